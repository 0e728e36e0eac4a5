/* SPDX-License-Identifier: ISC */
/*
 * Two sessions at one message, on an engine that often does not tell whether a
 * commit was done. Whatever comes first: no message may stand there whose
 * octets are gone, none twice, and what was answered holds.
 */
#include "tests/unit/mailbox/mails_test.h"

#include "mailbox/mails/check.h"

#define SEEDS 150

static void
deliver_shared(void)
{
	struct mails_message *msg = message_of("Subject: one\r\n\r\nText.\r\n");
	struct mails_target t[2] = {
		{ .account = ALICE,
		    .mailbox = SLICE_LIT("INBOX"),
		    .internaldate = INT64_MIN },
		{ .account = BOB,
		    .mailbox = SLICE_LIT("INBOX"),
		    .internaldate = INT64_MIN },
	};

	CHECK_INT(mails_deliver(msg, t, 2), 0);
	mails_message_free(&msg);
}

/* --- what the sessions do with message 1 of Alice's INBOX --- */

static unsigned copies; /* that were answered for */
static bool gone;       /* from INBOX, as answered */

static void
session_expunge(void *arg)
{
	struct mails_view *v = view_of(ALICE, "INBOX");
	uint32_t seq = 1;

	(void)arg;
	if (v != NULL && mails_view_count(v) == 1 &&
	    mails_expunge(v, &seq, 1, true) == 0)
		gone = true;
	mails_view_close(&v);
}

static void
session_move(void *arg)
{
	struct mails_view *v = view_of(ALICE, "INBOX");
	struct arena a = ARENA_INIT_MAX(1 << 16);
	struct mails_copied out = { .n = 0 };
	uint32_t seq = 1;

	(void)arg;
	if (v != NULL && mails_view_count(v) == 1 &&
	    mails_move(v, &seq, 1, SLICE_LIT("Archive"), &a, &out) == 0)
		gone = true;
	copies += (unsigned)out.n;
	mails_view_close(&v);
	arena_reset(&a);
}

static void
session_copy(void *arg)
{
	struct mails_view *v = view_of(ALICE, "INBOX");
	struct arena a = ARENA_INIT_MAX(1 << 16);
	struct mails_copied out = { .n = 0 };
	uint32_t seq = 1;

	(void)arg;
	if (v != NULL && mails_view_count(v) == 1 &&
	    mails_copy(v, &seq, 1, SLICE_LIT("Archive"), NULL, &a, &out) == 0)
		copies += (unsigned)out.n;
	mails_view_close(&v);
	arena_reset(&a);
}

/* --- */

static void (*sessions[2])(void *arg);

static void
told(void *arg, const struct mails_fault *f)
{
	(void)arg;
	print_message("%s UID %u: %s\n", f->mailbox, f->uid, f->what);
}

static void
look(const char *account, const char *name, unsigned least, unsigned most)
{
	struct mails_view *v = view_of(account, name);
	uint32_t n = v == NULL ? 0 : mails_view_count(v);

	CHECK(n >= least && n <= most);
	for (uint32_t seq = 1; seq <= n; seq++)
		CHECK(text_is(v, seq, "Subject: one\r\n\r\nText.\r\n"));
	mails_view_close(&v);
}

static void
both(void)
{
	struct co_group g = { 0 };

	copies = 0;
	gone = false;
	deliver_shared();
	for (int i = 0; i < 2; i++)
		CHECK_INT(co_group_spawn(&g, sessions[i], NULL), 0);
	(void)co_group_join(&g);
	look(ALICE, "INBOX", 0, gone ? 0 : 1);
	look(ALICE, "Archive", copies, 2);
	look(BOB, "INBOX", 1, 1);
	CHECK_INT(mails_check(mm, true, told, NULL, NULL), 0);
}

/* Who watches hears of a delivery of which nobody knew whether it was done. */
static void
watching(void)
{
	struct mails_view *v = view_of(ALICE, "INBOX");
	struct co_event e = { .set = false };

	mails_view_watch(v, &e);
	CHECK_INT(deliver_to(ALICE, "INBOX", 0, "Subject: x\r\n\r\n"), 1);
	CHECK_INT(co_event_wait(&e, 60000), 0);
	CHECK(sync_is(v, true, "e1 "));
	mails_view_watch(v, NULL);
	mails_view_close(&v);
}

static void
a_watcher_is_told(void **state)
{
	char name[40];
	struct test_engine engine = { name,
		{ .engine = "memory", .unknown_pct = 60, .late_pct = 30 },
		true, false };

	(void)state;
	for (unsigned seed = 1; seed <= SEEDS; seed++) {
		snprintf(name, sizeof(name), "seed %u", seed);
		engine.conf.seed = seed;
		mails_run_on(&engine, watching);
	}
}

static void
two_at_one_message(void **state)
{
	static void (*const all[])(
	    void *arg) = { session_expunge, session_move, session_copy };
	char name[40];
	struct test_engine engine = { name,
		{ .engine = "memory",
		    .conflict_pct = 15,
		    .unknown_pct = 40,
		    .late_pct = 60 },
		true, false };

	(void)state;
	for (unsigned i = 0; i < 9; i++) {
		sessions[0] = all[i / 3];
		sessions[1] = all[i % 3];
		for (unsigned seed = 1; seed <= SEEDS; seed++) {
			engine.conf.seed = seed;
			snprintf(
			    name, sizeof(name), "case %u, seed %u", i, seed);
			mails_run_on(&engine, both);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_watcher_is_told),
		cmocka_unit_test(two_at_one_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
