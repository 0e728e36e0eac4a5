/* SPDX-License-Identifier: ISC */
/* For which address a message came in: kept, told, replaced, forgotten. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/mailbox/mails_test.h"

#define DAY INT64_C(86400)
#define T (20000 * DAY)

static void
put(const char *account, const char *id, const char *address, int64_t now)
{
	CHECK_INT(mails_origin_put(
		      mm, account, slice_str(id), slice_str(address), now),
	    0);
}

static void
get(const char *account, const char *id, int64_t now, const char *expected)
{
	struct buf address = BUF_INIT;
	int rc =
	    mails_origin_get(mm, account, slice_str(id), now, &address);

	CHECK_INT(rc, expected == NULL ? -ENOENT : 0);
	if (rc == 0 && expected != NULL)
		CHECK(slice_eq_str(buf_slice(&address), expected));
	buf_clear(&address);
}

static void
kept(void)
{
	get(ALICE, "1@x", T, NULL);
	put(ALICE, "1@x", "shop@all.lab", T);
	put(ALICE, "2@x", "\"a b\"@all.lab", T);
	put(BOB, "1@x", "bob@all.lab", T);
	get(ALICE, "1@x", T, "shop@all.lab");
	get(ALICE, "2@x", T, "\"a b\"@all.lab");
	get(BOB, "1@x", T, "bob@all.lab");
	get(BOB, "2@x", T, NULL);
	get(ALICE, "1@X", T, NULL);
	get(ALICE, "", T, NULL);
	/* The latest counts. */
	put(ALICE, "1@x", "new@all.lab", T + 1);
	get(ALICE, "1@x", T + 1, "new@all.lab");
	/* And for so long. */
	get(ALICE, "2@x", T + MAILS_ORIGIN_DAYS * DAY, "\"a b\"@all.lab");
	get(ALICE, "2@x", T + MAILS_ORIGIN_DAYS * DAY + 1, NULL);
	get(ALICE, "1@x", T + MAILS_ORIGIN_DAYS * DAY + 1, "new@all.lab");
}
MAILS_ON_ALL(kept)

static void
gone_with_the_account(void)
{
	deliver_to(ALICE, "INBOX", 0, "Subject: x\r\n\r\n");
	put(ALICE, "1@x", "shop@all.lab", T);
	put(BOB, "1@x", "bob@all.lab", T);
	CHECK_INT(mails_account_drop(mm, ALICE), 0);
	get(ALICE, "1@x", T, NULL);
	get(BOB, "1@x", T, "bob@all.lab");
}
MAILS_ON_ALL(gone_with_the_account)

static size_t rows;
static size_t largest;

static int
row(void *arg, struct slice key, struct slice val)
{
	(void)arg, (void)key;
	rows++;
	largest = val.n > largest ? val.n : largest;
	return 0;
}

/* As many as there are, a row holds a few, and of those the latest. */
static void
bounded(void)
{
	char id[32];
	int found = 0;

	for (int i = 0; i < 3000; i++) {
		snprintf(id, sizeof(id), "%d@x", i);
		put(ALICE, id, "somebody@all.lab", T + i);
	}
	for (int i = 0; i < 3000; i++) {
		struct buf address = BUF_INIT;

		snprintf(id, sizeof(id), "%d@x", i);
		found += mails_origin_get(mm, ALICE, slice_str(id), T + 3000,
			     &address) == 0;
		buf_clear(&address);
	}
	CHECK(found > 2990);
	/* One bucket, again and again. */
	for (int i = 0; i < 50; i++)
		put(ALICE, "same@x", "somebody@all.lab", T + i);
	CHECK_INT(store_scan(mails_store(mm),
		      SLICE_LIT("walice@example.test"), SLICE_EMPTY,
		      SLICE_EMPTY, 0, row, NULL),
	    0);
	CHECK(rows <= 3001);
	CHECK(largest <= 4 * (16 + 16));
}

static void
rows_are_bounded(void **state)
{
	(void)state;
	mails_run_on(&test_engines[0], bounded);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(on_all_kept),
		cmocka_unit_test(on_all_gone_with_the_account),
		cmocka_unit_test(rows_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
