/* SPDX-License-Identifier: ISC */
/* Mailbox access keys: one per mailbox, made, replaced, removed. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>

#include "tests/unit/mailbox/mails_test.h"

static int
get(const char *account, const char *name, bool make, unsigned char *key)
{
	return mails_urlkey_get(mm, account, slice_str(name), make, key);
}

static void
keys(void)
{
	unsigned char a[MAILS_URLKEY], b[MAILS_URLKEY], c[MAILS_URLKEY];
	uint64_t id;

	CHECK_INT(get(ALICE, "INBOX", false, a), -ENOENT);
	CHECK_INT(get(ALICE, "nope", true, a), -ENOENT);
	CHECK_INT(get(ALICE, "INBOX", true, a), 0);
	CHECK_INT(get(ALICE, "inbox", true, b), 0);
	CHECK_INT(memcmp(a, b, sizeof(a)), 0);
	CHECK_INT(get(ALICE, "INBOX", false, b), 0);
	CHECK_INT(memcmp(a, b, sizeof(a)), 0);
	/* Of each mailbox and account another one. */
	CHECK_INT(get(ALICE, "Sent", true, b), 0);
	CHECK_INT(get(BOB, "INBOX", true, c), 0);
	CHECK(memcmp(a, b, sizeof(a)) != 0);
	CHECK(memcmp(a, c, sizeof(a)) != 0);
	/* Replaced. */
	CHECK_INT(mails_urlkey_reset(mm, ALICE, SLICE_LIT("INBOX")), 0);
	CHECK_INT(get(ALICE, "INBOX", false, c), 0);
	CHECK(memcmp(a, c, sizeof(a)) != 0);
	CHECK_INT(mails_urlkey_reset(mm, ALICE, SLICE_LIT("nope")), -ENOENT);
	CHECK_INT(mails_urlkey_reset(mm, ALICE, SLICE_LIT("Trash")), 0);
	CHECK_INT(get(ALICE, "Trash", false, c), 0);
	/* Removed. */
	CHECK_INT(mails_urlkeys_remove(mm, ALICE), 0);
	CHECK_INT(get(ALICE, "INBOX", false, c), -ENOENT);
	CHECK_INT(get(ALICE, "Sent", false, c), -ENOENT);
	CHECK_INT(get(BOB, "INBOX", false, c), 0);
	CHECK_INT(get(ALICE, "INBOX", true, c), 0);
	CHECK(memcmp(a, c, sizeof(a)) != 0);
	/* It goes with its mailbox, and moves with its name. */
	CHECK_INT(mails_create(mm, ALICE, SLICE_LIT("x"), 0, &id), 0);
	CHECK_INT(get(ALICE, "x", true, a), 0);
	CHECK_INT(
	    mails_rename(mm, ALICE, SLICE_LIT("x"), SLICE_LIT("y")), 0);
	CHECK_INT(get(ALICE, "y", false, b), 0);
	CHECK_INT(memcmp(a, b, sizeof(a)), 0);
	CHECK_INT(mails_delete(mm, ALICE, SLICE_LIT("y")), 0);
	CHECK_INT(mails_create(mm, ALICE, SLICE_LIT("y"), 0, &id), 0);
	CHECK_INT(get(ALICE, "y", false, b), -ENOENT);
}
MAILS_ON_ALL(keys)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(on_all_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
