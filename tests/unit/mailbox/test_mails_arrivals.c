/* SPDX-License-Identifier: ISC */
/* New mail that somebody is to be told of: it is there until it is done with. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "mailbox/mails/arrivals.h"
#include "tests/unit/mailbox/mails_test.h"

#define MANY 100

/* With a key, and so as often as it takes on the engine that lies. */
static uint32_t
arrive(const char *account, const char *mailbox, const char *key, bool tell)
{
	struct mails_message *msg = message_of("Subject: x\r\n\r\nBody\r\n");
	struct mails_target t = { .account = account,
		.mailbox = slice_str(mailbox),
		.internaldate = 1000,
		.key = slice_str(key),
		.tell = tell };

	/* The octets are said to be Alice's, and so are sealed for Bob too. */
	CHECK_INT(mails_deliver(msg, &t, 1), 0);
	mails_message_free(&msg);
	return t.uid;
}

/* "INBOX:1 INBOX:2- Junk:1 ": a minus where it is gone. */
static void
check_list(const char *account, size_t max, const char *expected)
{
	struct arena a = ARENA_INIT_MAX((size_t)1 << 20);
	struct buf got = BUF_INIT;
	struct mails_arrival *v;
	uint64_t modseq = 0;
	size_t n = 0;

	CHECK_INT(mails_arrivals(mm, account, &a, max, &v, &n), 0);
	for (size_t i = 0; i < n; i++) {
		buf_printf(&got, "%s:%u%s ", v[i].name, v[i].uid,
		    v[i].gone ? "-" : "");
		CHECK(
		    v[i].gone || (v[i].size > 0 && v[i].internaldate == 1000));
		CHECK(i == 0 || v[i - 1].mailbox != v[i].mailbox ||
		    v[i].modseq > modseq);
		modseq = v[i].modseq;
	}
	if (strcmp(buf_str(&got), expected) != 0 &&
	    store_test_failure[0] == '\0')
		snprintf(store_test_failure, sizeof(store_test_failure),
		    "\"%s\", not \"%s\"", buf_str(&got), expected);
	buf_clear(&got);
	arena_reset(&a);
}

/* Those up to the i-th. */
static void
done(const char *account, size_t i, int want)
{
	struct arena a = ARENA_INIT_MAX((size_t)1 << 20);
	struct mails_arrival *v;
	size_t n = 0;

	CHECK_INT(mails_arrivals(mm, ALICE, &a, MANY, &v, &n), 0);
	CHECK(n > i);
	if (n > i)
		CHECK_INT(
		    mails_arrivals_done(mm, account, v[i].mailbox, v[i].modseq),
		    want);
	arena_reset(&a);
}

static void
there_until_done(void)
{
	check_list(ALICE, MANY, "");
	CHECK_INT(arrive(ALICE, "INBOX", "A1", true), 1);
	CHECK_INT(arrive(ALICE, "INBOX", "A2", false), 2);
	CHECK_INT(arrive(ALICE, "INBOX", "A3", true), 3);
	CHECK_INT(arrive(ALICE, "Junk", "A4", true), 1);
	check_list(ALICE, MANY, "INBOX:1 INBOX:3 Junk:1 ");
	check_list(ALICE, 2, "INBOX:1 INBOX:3 ");
	check_list(BOB, MANY, "");
	/* Asked again, it is still one arrival. */
	CHECK_INT(arrive(ALICE, "INBOX", "A3", true), 3);
	check_list(ALICE, MANY, "INBOX:1 INBOX:3 Junk:1 ");
	done(BOB, 0, -ENOENT);
	check_list(ALICE, MANY, "INBOX:1 INBOX:3 Junk:1 ");
	done(ALICE, 0, 0);
	check_list(ALICE, MANY, "INBOX:3 Junk:1 ");
	done(ALICE, 1, 0);
	check_list(ALICE, MANY, "INBOX:3 ");
	done(ALICE, 0, 0);
	check_list(ALICE, MANY, "");
	arrive(ALICE, "INBOX", "A5", true);
	check_list(ALICE, MANY, "INBOX:4 ");
	CHECK_INT(mails_account_drop(mm, ALICE), 0);
	check_list(ALICE, MANY, "");
}
MAILS_ON_ALL(there_until_done)

static void
can_be_looked_at(void)
{
	struct arena a = ARENA_INIT_MAX((size_t)1 << 20);
	struct mails_arrival *arrivals;
	struct mails_view *v = NULL;
	struct mails_summary sum;
	size_t n = 0;

	arrive(ALICE, "INBOX", "A1", false);
	arrive(ALICE, "INBOX", "A2", true);
	CHECK_INT(mails_arrivals(mm, ALICE, &a, MANY, &arrivals, &n), 0);
	CHECK(n == 1);
	if (n != 1)
		return;
	CHECK_INT(mails_arrival_open(
		      mm, ALICE, arrivals[0].mailbox, arrivals[0].uid, &v),
	    0);
	CHECK_INT(mails_view_count(v), 1);
	CHECK_INT(mails_view_uid(v, 1), 2);
	/* As with any view without the account's key. */
	CHECK_INT(mails_summary(v, 1, &a, &sum),
	    test_seal == MAILS_SEAL_ACCOUNT ? -ENOKEY : 0);
	mails_view_close(&v);
	CHECK_INT(
	    mails_arrival_open(mm, ALICE, arrivals[0].mailbox, 9, &v), -ENOENT);
	CHECK(v == NULL);
	CHECK_INT(mails_arrival_open(
		      mm, BOB, arrivals[0].mailbox, arrivals[0].uid, &v),
	    -ENOENT);
	CHECK(v == NULL);
	/* Expunged, it stays an arrival. */
	CHECK_INT(mails_view_open(mm, ALICE, SLICE_LIT("INBOX"), &v), 0);
	CHECK_INT(mails_expunge(v, &(uint32_t){ 2 }, 1, true), 0);
	mails_view_close(&v);
	check_list(ALICE, MANY, "INBOX:2- ");
	arena_reset(&a);
}
MAILS_ON_ALL(can_be_looked_at)

static void
on_note(void *arg)
{
	co_event_set(arg);
}

static void
marks(void)
{
	struct arena a = ARENA_INIT_MAX((size_t)1 << 20);
	struct co_event told = { 0 };
	struct store_watch w = { .fn = on_note, .arg = &told };
	const char *account;

	CHECK_INT(mails_arrived(mm, &a, "", &account), -ENOENT);
	mails_arrived_watch(mm, &w);
	arrive(ALICE, "INBOX", "A1", false);
	CHECK_INT(mails_arrived(mm, &a, "", &account), -ENOENT);
	CHECK(!told.set);
	arrive(ALICE, "INBOX", "A2", true);
	arrive(BOB, "INBOX", "B1", true);
	CHECK_INT(co_event_wait(&told, 10000), 0);
	mails_arrived_unwatch(mm, &w);
	CHECK_INT(mails_arrived(mm, &a, "", &account), 0);
	CHECK(account != NULL && strcmp(account, ALICE) == 0);
	CHECK_INT(mails_arrived(mm, &a, ALICE, &account), 0);
	CHECK(account != NULL && strcmp(account, BOB) == 0);
	CHECK_INT(mails_arrived(mm, &a, BOB, &account), -ENOENT);
	/* Looked at, with something there, it stays; then it goes. */
	check_list(ALICE, MANY, "INBOX:2 ");
	CHECK_INT(mails_arrived(mm, &a, "", &account), 0);
	CHECK(account != NULL && strcmp(account, ALICE) == 0);
	done(ALICE, 0, 0);
	check_list(ALICE, MANY, "");
	CHECK_INT(mails_arrived(mm, &a, "", &account), 0);
	CHECK(account != NULL && strcmp(account, BOB) == 0);
	CHECK_INT(mails_account_drop(mm, BOB), 0);
	CHECK_INT(mails_arrived(mm, &a, "", &account), -ENOENT);
	arena_reset(&a);
}

static void
marks_where_nothing_lies(void **state)
{
	(void)state;
	for (size_t i = 0; i < TEST_ENGINES; i++)
		if (!test_engines[i].lies)
			mails_run_on(&test_engines[i], marks);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(on_all_there_until_done),
		cmocka_unit_test(on_all_can_be_looked_at),
		cmocka_unit_test(marks_where_nothing_lies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
