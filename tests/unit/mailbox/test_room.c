/* SPDX-License-Identifier: ISC */
/*
 * Quotas are exact: of many that deliver at once, in one process or several,
 * as many get in as fit, no more and no fewer; whatever was killed on the way.
 */
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/mailbox/mails_test.h"

#define MESSAGE "Subject: x\r\n\r\nTwenty-eight octets in all.\r\n"
#define FIT 17

static const char *const accounts[] = { "a@one.test", "b@one.test",
	"c@one.test", "d@two.test" };
static const char *const boxes[] = { "INBOX", "Archive", "Trash" };

/* One of many: delivers `n` times somewhere, and counts what got in. */
struct sender {
	const struct mails_quota *quota;
	unsigned n, first, accounts;
	unsigned in, full;
};

static int
send_one(const struct sender *s, unsigned i)
{
	struct mails_message *msg = message_of(MESSAGE);
	struct mails_target t = { .account = accounts[i % s->accounts],
		.mailbox = slice_str(boxes[i / s->accounts % 3]),
		.quota = s->quota,
		.internaldate = INT64_MIN };
	int rc = mails_deliver(msg, &t, 1);

	mails_message_free(&msg);
	return rc;
}

static void
run_sender(void *arg)
{
	struct sender *s = arg;

	for (unsigned i = 0; i < s->n; i++) {
		int rc = send_one(s, s->first + i);

		CHECK(rc == 0 || rc == -EDQUOT);
		s->in += rc == 0;
		s->full += rc == -EDQUOT;
	}
}

static unsigned
senders_run(struct sender one, unsigned n)
{
	struct sender s[20];
	struct co_group g = { 0 };
	unsigned in = 0;

	for (unsigned i = 0; i < n; i++) {
		s[i] = one;
		s[i].first = i;
		CHECK_INT(co_group_spawn(&g, run_sender, &s[i]), 0);
	}
	CHECK_INT(co_group_join(&g), 0);
	for (unsigned i = 0; i < n; i++)
		in += s[i].in;
	return in;
}

static void
of_an_account(void)
{
	const struct mails_quota messages = { .messages = FIT };
	const struct mails_quota octets = { .octets =
						2 * FIT * strlen(MESSAGE) + 1 };

	CHECK_INT(
	    senders_run((struct sender){ &messages, 3, 0, 1, 0, 0 }, 20), FIT);
	CHECK_INT(
	    senders_run((struct sender){ &messages, 1, 0, 1, 0, 0 }, 9), 0);
	/* What one quota has counted holds for the other. */
	CHECK_INT(
	    senders_run((struct sender){ &octets, 3, 0, 1, 0, 0 }, 20), FIT);
}

static void
of_a_domain(void)
{
	const struct mails_quota q = { .domain_messages = FIT };
	uint64_t octets, messages, all = 0;

	/* The other domain is counted by itself. */
	CHECK_INT(
	    senders_run((struct sender){ &q, 8, 0, 4, 0, 0 }, 20), FIT + FIT);
	for (int i = 0; i < 3; i++) {
		CHECK_INT(mails_usage(mm, accounts[i], &octets, &messages), 0);
		all += messages;
	}
	CHECK_INT(all, FIT);
	CHECK_INT(mails_room(mm, accounts[0], &q, 1), -EDQUOT);
}

static void
what_goes_makes_room(void)
{
	const struct mails_quota q = { .messages = 2 };
	const struct sender s = { &q, 3, 0, 1, 0, 0 };
	struct mails_view *v;

	CHECK_INT(senders_run(s, 1), 2);
	CHECK_INT(mails_room(mm, accounts[0], &q, 1), -EDQUOT);
	v = view_of(accounts[0], "INBOX");
	CHECK_INT(mails_expunge(v, (uint32_t[]){ 1 }, 1, true), 0);
	mails_view_close(&v);
	CHECK_INT(mails_room(mm, accounts[0], &q, 1), 0);
	CHECK_INT(senders_run(s, 1), 1);
}

static void
what_never_fits(void)
{
	const struct mails_quota q = { .octets = 10, .domain_octets = 10 };

	CHECK_INT(senders_run((struct sender){ &q, 1, 0, 4, 0, 0 }, 4), 0);
	CHECK_INT(mails_room(mm, accounts[0], &q, 10), 0);
	CHECK_INT(mails_room(mm, accounts[0], &q, 11), -EDQUOT);
}

static void
mail_without_a_quota_counts(void)
{
	const struct mails_quota q = { .messages = 5, .domain_messages = 7 };
	const struct mails_quota own = { .messages = 50 };

	CHECK_INT(senders_run((struct sender){ &q, 1, 0, 1, 0, 0 }, 2), 2);
	CHECK_INT(senders_run((struct sender){ NULL, 1, 0, 1, 0, 0 }, 2), 2);
	CHECK_INT(senders_run((struct sender){ &q, 1, 0, 1, 0, 0 }, 4), 1);
	/* Of the account only, the domain's number must know all the same. */
	CHECK_INT(senders_run((struct sender){ &own, 1, 0, 1, 0, 0 }, 1), 1);
	CHECK_INT(senders_run((struct sender){ &q, 3, 1, 2, 0, 0 }, 1), 1);
}

static void
copies_take_room(void)
{
	const struct mails_quota q = { .messages = 5 };
	struct arena a = { 0 };
	struct mails_copied out;
	struct mails_view *v;
	uint32_t seqs[] = { 1, 2, 3 };

	CHECK_INT(senders_run((struct sender){ &q, 1, 0, 1, 0, 0 }, 3), 3);
	v = view_of(accounts[0], "INBOX");
	CHECK_INT(mails_copy(v, seqs, 1, SLICE_LIT("Sent"), &q, &a, &out), 0);
	CHECK_INT(mails_move(v, seqs, 1, SLICE_LIT("Drafts"), &a, &out), 0);
	mails_view_close(&v);
	v = view_of(accounts[0], "Archive");
	CHECK_INT(mails_copy(v, seqs, 1, SLICE_LIT("Sent"), &q, &a, &out), 0);
	CHECK_INT(
	    mails_copy(v, seqs, 1, SLICE_LIT("Sent"), &q, &a, &out), -EDQUOT);
	mails_view_close(&v);
	arena_reset(&a);
}

/* One message to many of a domain that is nearly full: it waits for nobody,
 * itself least. */
static void
one_message_to_many(void)
{
	const struct mails_quota q = { .domain_messages = 4 };
	struct mails_message *msg = message_of(MESSAGE);
	struct mails_target t[9];
	int in = 0;

	for (int i = 0; i < 9; i++)
		t[i] = (struct mails_target){ .account = accounts[i % 3],
			.mailbox = slice_str(boxes[i / 3]),
			.quota = &q,
			.internaldate = INT64_MIN };
	CHECK_INT(senders_run((struct sender){ &q, 1, 0, 3, 0, 0 }, 1), 1);
	CHECK_INT(mails_deliver(msg, t, 9), -EDQUOT);
	for (int i = 0; i < 9; i++) {
		CHECK(t[i].rc == 0 || t[i].rc == -EDQUOT);
		in += t[i].rc == 0;
	}
	CHECK_INT(in, 3);
	mails_message_free(&msg);
}

/* --- several processes --- */

#define EMBEDDED (&test_engines[2])
#define PROCESSES 4

static const struct mails_quota both = { .messages = FIT,
	.domain_messages = 2 * FIT };
static unsigned got_in;

static void
process_body(void)
{
	got_in = senders_run((struct sender){ &both, 5, 0, 3, 0, 0 }, 10);
}

static pid_t
process(bool for_ever)
{
	void (*body)(void) = process_body;
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	alarm(500);
	do
		if (co_run(mails_test_body, &body) != 0)
			_exit(255);
	while (for_ever);
	_exit(store_test_failure[0] != '\0' ? 255 : (int)got_in);
}

static void
usage_is_full(void)
{
	uint64_t octets, messages, all = 0;

	for (int i = 0; i < 3; i++) {
		CHECK_INT(mails_usage(mm, accounts[i], &octets, &messages), 0);
		CHECK(messages <= FIT);
		all += messages;
	}
	CHECK_INT(all, 2 * FIT);
}

static void
here(void (*body)(void))
{
	assert_int_equal(co_run(mails_test_body, &body), 0);
}

static void
processes(void **state)
{
	pid_t pid[PROCESSES];
	unsigned in = 0;
	int status;

	(void)state;
	test_engine = EMBEDDED;
	test_dir_new();
	for (int i = 0; i < PROCESSES; i++)
		pid[i] = process(false);
	for (int i = 0; i < PROCESSES; i++) {
		waitpid(pid[i], &status, 0);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) != 255);
		in += (unsigned)WEXITSTATUS(status);
	}
	assert_int_equal(in, 2 * FIT);
	here(usage_is_full);
	test_dir_remove();
	assert_string_equal(store_test_failure, "");
}

static void
a_kill_costs_no_room(void **state)
{
	pid_t pid[PROCESSES];

	(void)state;
	for (unsigned round = 0; round < 8; round++) {
		test_engine = EMBEDDED;
		test_dir_new();
		for (int i = 0; i < PROCESSES; i++)
			pid[i] = process(true);
		usleep(3000 * round);
		for (int i = 0; i < PROCESSES; i++)
			kill(pid[i], SIGKILL);
		for (int i = 0; i < PROCESSES; i++)
			waitpid(pid[i], NULL, 0);
		here(process_body);
		here(usage_is_full);
		test_dir_remove();
		assert_string_equal(store_test_failure, "");
	}
}

MAILS_ON_ALL(of_an_account)
MAILS_ON_ALL(of_a_domain)
MAILS_ON_ALL(what_goes_makes_room)
MAILS_ON_ALL(what_never_fits)
MAILS_ON_ALL(mail_without_a_quota_counts)
MAILS_ON_ALL(copies_take_room)
MAILS_ON_ALL(one_message_to_many)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(on_all_of_an_account),
		cmocka_unit_test(on_all_of_a_domain),
		cmocka_unit_test(on_all_what_goes_makes_room),
		cmocka_unit_test(on_all_what_never_fits),
		cmocka_unit_test(on_all_mail_without_a_quota_counts),
		cmocka_unit_test(on_all_copies_take_room),
		cmocka_unit_test(on_all_one_message_to_many),
		cmocka_unit_test(processes),
		cmocka_unit_test(a_kill_costs_no_room),
	};

	test_dir_in_memory = true;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
