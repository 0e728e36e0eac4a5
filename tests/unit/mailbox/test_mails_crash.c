/* SPDX-License-Identifier: ISC */
/*
 * Mails under SIGKILL, and with several processes at one mailbox (promise 1):
 * what was answered is there exactly once, everything else at most once.
 */
#include "tests/unit/mailbox/mails_test.h"

#include <signal.h>

#include "common/store/store_io.h"
#include "mailbox/mails/check.h"

#define EMBEDDED (&test_engines[2])
#define NUMBERS 100000

static int told_fd[2];
static unsigned char acknowledged[NUMBERS], found[NUMBERS];
static unsigned base; /* numbers of this child begin here */
static unsigned next_number;

static void
here(void (*body)(void))
{
	test_engine = EMBEDDED;
	co_run(mails_test_body, &body);
}

static pid_t
child(void (*body)(void))
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	alarm(500);
	here(body);
	if (store_test_failure[0] != '\0')
		print_error("child: %s\n", store_test_failure);
	_exit(store_test_failure[0] != '\0');
}

static void
text_of(char out[static 200], unsigned number)
{
	snprintf(out, 200, "Subject: %u\r\n\r\nNumber %u.\r\n", number, number);
}

/* Deliver one message; to both accounts when `two`. Tell what was answered. */
static int
deliver_number(bool two)
{
	unsigned number = base + next_number++;
	struct mails_target t[2];
	struct mails_message *msg;
	char text[200];
	int rc;

	text_of(text, number);
	msg = message_of(text);
	for (int i = 0; i < 2; i++)
		t[i] = (struct mails_target){ .account = i ? BOB : ALICE,
			.mailbox = SLICE_LIT("INBOX"),
			.internaldate = INT64_MIN };
	rc = mails_deliver(msg, t, two ? 2 : 1);
	mails_message_free(&msg);
	if (t[0].rc == 0 &&
	    write(told_fd[1], &number, sizeof(number)) != sizeof(number))
		return -EPIPE;
	return rc;
}

static void
deliverer(void *arg)
{
	while (deliver_number(arg != NULL) == 0)
		;
}

static size_t
some(struct mails_view *v, uint32_t seqs[static 8])
{
	uint32_t count = mails_view_count(v);
	size_t n = 0;

	for (uint32_t seq = 1; seq <= count && n < 8; seq++)
		if (random_below(3) == 0)
			seqs[n++] = seq;
	return n;
}

/* Moves messages to and fro. */
static void
mover(void *arg)
{
	const char *names[2] = { "INBOX", "Archive" };
	struct arena a = ARENA_INIT_MAX(1 << 16);
	struct mails_view *v[2] = { view_of(ALICE, "INBOX"),
		view_of(ALICE, "Archive") };
	struct mails_copied out;
	uint32_t seqs[8];
	int rc = 0;

	(void)arg;
	for (int i = 0; rc == 0; i ^= 1) {
		arena_reset(&a);
		rc = mails_move(v[i], seqs, some(v[i], seqs),
		    slice_str(names[i ^ 1]), &a, &out);
		if (rc == 0)
			rc = mails_view_sync(v[i], true, NULL);
		(void)co_yield ();
	}
	CHECK_INT(rc, 0);
}

/* Copies to Trash, and empties it; changes flags on the way. */
static void
copier(void *arg)
{
	struct arena a = ARENA_INIT_MAX(1 << 16);
	struct mails_view *v = view_of(ALICE, "INBOX");
	struct mails_view *trash = view_of(ALICE, "Trash");
	struct mails_copied out;
	uint32_t seqs[8], *failed;
	size_t n, n_failed;
	int rc = 0;

	(void)arg;
	while (rc == 0) {
		arena_reset(&a);
		n = some(v, seqs);
		rc = mails_store_flags(v, seqs, n, MAILS_FLAGS_ADD, MAILS_SEEN,
		    NULL, 0, true, &a, &failed, &n_failed);
		if (rc == 0)
			rc = mails_copy(
			    v, seqs, n, SLICE_LIT("Trash"), NULL, &a, &out);
		if (rc == 0)
			rc = mails_view_sync(trash, true, NULL);
		if (rc == 0)
			rc =
			    mails_expunge(trash, seqs, some(trash, seqs), true);
		if (rc == 0)
			rc = mails_view_sync(v, true, NULL);
	}
	CHECK_INT(rc, 0);
}

static void
busy_child(void)
{
	struct co_group g = { 0 };

	co_group_spawn(&g, deliverer, NULL);
	co_group_spawn(&g, deliverer, NULL);
	co_group_spawn(&g, deliverer, &g);
	co_group_spawn(&g, mover, NULL);
	co_group_spawn(&g, copier, NULL);
	co_group_join(&g);
}

/* --- what is there --- */

static void
count_messages(const char *account, const char *mailbox)
{
	struct mails_view *v = view_of(account, mailbox);
	char got[200], text[200];
	unsigned number = 0;
	size_t n;

	for (uint32_t seq = 1; v != NULL && seq <= mails_view_count(v); seq++) {
		CHECK_INT(mails_read(v, seq, 0, got, sizeof(got) - 1, &n), 0);
		got[n] = '\0';
		CHECK_INT(sscanf(got, "Subject: %u", &number), 1);
		text_of(text, number % NUMBERS);
		CHECK(strcmp(got, text) == 0);
		found[number % NUMBERS]++;
	}
	mails_view_close(&v);
}

static void
no_fault(void *arg, const struct mails_fault *f)
{
	(void)arg;
	print_error("check: %s\n", f->what);
}

/* A list finishes what a crash has left in the account. */
static void
replay(const char *account)
{
	struct arena a = ARENA_INIT_MAX(1 << 20);
	struct mails_info *infos;
	size_t n;

	CHECK_INT(mails_list(mm, account, &a, &infos, &n), 0);
	arena_reset(&a);
}

static void
verify_counts(void)
{
	replay(ALICE);
	memset(found, 0, sizeof(found));
	count_messages(ALICE, "INBOX");
	count_messages(ALICE, "Archive");
	for (unsigned i = 0; i < NUMBERS; i++)
		CHECK(found[i] <= 1 && found[i] >= acknowledged[i]);
	memset(found, 0, sizeof(found));
	count_messages(BOB, "INBOX");
	for (unsigned i = 0; i < NUMBERS; i++)
		CHECK(found[i] <= 1);
}

/* Also when what the crash left is collected, nothing that counts goes. */
static void
verify(void)
{
	struct mails_collected collected;

	CHECK_INT(mails_check(mm, true, no_fault, NULL, NULL), 0);
	verify_counts();
	CHECK_INT(mails_collect(mm, -1, &collected), 0);
	CHECK_INT(mails_check(mm, true, no_fault, NULL, NULL), 0);
	verify_counts();
}

static void
crash_once(unsigned after)
{
	unsigned number, n = 0;
	pid_t pid;

	assert_int_equal(pipe(told_fd), 0);
	next_number = 0;
	pid = child(busy_child);
	close(told_fd[1]);
	while (read(told_fd[0], &number, sizeof(number)) == sizeof(number)) {
		acknowledged[number % NUMBERS] = 1;
		if (++n == after)
			kill(pid, SIGKILL);
	}
	close(told_fd[0]);
	waitpid(pid, NULL, 0);
	CHECK(n >= after);
	base += n + 1000;
	here(verify);
}

static void
exactly_once_under_sigkill(void **state)
{
	(void)state;
	store_test_failure[0] = '\0';
	memset(acknowledged, 0, sizeof(acknowledged));
	base = 0;
	test_dir_new();
	for (int i = 0; i < 40 && store_test_failure[0] == '\0'; i++)
		crash_once(1 + random_below(60));
	test_dir_remove();
	if (store_test_failure[0] != '\0')
		fail_msg("%s", store_test_failure);
}

/* --- a failing disk --- */

static int calls, fail_at, fail_errno, fail_what;

static bool
fails(int what)
{
	if (what != fail_what || ++calls != fail_at)
		return false;
	errno = fail_errno;
	return true;
}

static ssize_t
failing_pwritev(int fd, const struct iovec *iov, int n, off_t at)
{
	return fails(0) ? -1 : pwritev(fd, iov, n, at);
}

static int
failing_fdatasync(int fd)
{
	return fails(1) ? -1 : fdatasync(fd);
}

static int
failing_commit(MDB_txn *txn)
{
	if (!fails(2))
		return mdb_txn_commit(txn);
	mdb_txn_abort(txn);
	return fail_errno;
}

static void
fault_deliver(void *arg)
{
	unsigned number = base + next_number++;
	struct mails_target t[2];
	struct mails_message *msg;
	char text[200];

	text_of(text, number);
	msg = message_of(text);
	for (int i = 0; i < 2; i++)
		t[i] = (struct mails_target){ .account = i ? BOB : ALICE,
			.mailbox = SLICE_LIT("INBOX"),
			.internaldate = INT64_MIN };
	(void)mails_deliver(msg, t, arg != NULL ? 2 : 1);
	CHECK(t[0].rc == 0 || t[0].rc == -fail_errno);
	acknowledged[number] = t[0].rc == 0;
	mails_message_free(&msg);
}

/* A little of everything; whatever fails fails cleanly. */
static void
fault_body(void)
{
	struct arena a = ARENA_INIT_MAX(1 << 16);
	struct co_group g = { 0 };
	struct mails_copied out;
	struct mails_view *v = NULL, *trash = NULL;
	uint32_t seqs[] = { 1, 2 }, *failed;
	size_t n_failed;

	for (int i = 0; i < 8; i++)
		co_group_spawn(&g, fault_deliver, i % 3 == 0 ? &g : NULL);
	co_group_join(&g);
	if (mails_view_open(mm, ALICE, SLICE_LIT("INBOX"), &v) == 0 &&
	    mails_view_count(v) >= 4) {
		(void)mails_store_flags(v, seqs, 2, MAILS_FLAGS_ADD, MAILS_SEEN,
		    NULL, 0, true, &a, &failed, &n_failed);
		(void)mails_copy(
		    v, seqs, 2, SLICE_LIT("Trash"), NULL, &a, &out);
		(void)mails_move(v, seqs, 2, SLICE_LIT("Archive"), &a, &out);
	}
	if (mails_view_open(mm, ALICE, SLICE_LIT("Trash"), &trash) == 0 &&
	    mails_view_count(trash) > 0)
		(void)mails_expunge(trash, seqs, 1, true);
	mails_view_close(&v);
	mails_view_close(&trash);
	arena_reset(&a);
}

static void
a_failing_disk_loses_nothing(void **state)
{
	const struct store_io real = store_io;
	static const int errors[] = { ENOSPC, EIO };

	(void)state;
	store_test_failure[0] = '\0';
	for (int round = 0; round < 3 * 2 * 25; round++) {
		memset(acknowledged, 0, sizeof(acknowledged));
		test_dir_new();
		base = next_number = 0;
		calls = 0;
		fail_what = round % 3;
		fail_errno = fail_what == 1 ? EIO : errors[round / 3 % 2];
		fail_at = 1 + round / 6;
		store_io.pwritev = failing_pwritev;
		store_io.fdatasync = failing_fdatasync;
		store_io.txn_commit = failing_commit;
		here(fault_body);
		store_io = real;
		here(verify);
		test_dir_remove();
		if (store_test_failure[0] != '\0')
			fail_msg("call %d of kind %d: %s", fail_at, fail_what,
			    store_test_failure);
	}
}

/* --- copies of more than one batch --- */

#define LARGE 450

static void
large_fill(void)
{
	struct mails_message *msgs[LARGE];
	struct mails_target targets[LARGE];
	char text[200];

	for (unsigned i = 0; i < LARGE; i++) {
		text_of(text, i);
		msgs[i] = message_of(text);
		targets[i] = (struct mails_target){ .account = ALICE,
			.mailbox = SLICE_LIT("INBOX"),
			.internaldate = 1000 };
	}
	CHECK_INT(mails_deliver_each(msgs, targets, LARGE), 0);
	for (unsigned i = 0; i < LARGE; i++)
		mails_message_free(&msgs[i]);
}

static int
large_copy(void)
{
	struct arena a = ARENA_INIT_MAX(1 << 20);
	struct mails_view *v = view_of(ALICE, "INBOX");
	uint32_t seqs[LARGE];
	struct mails_copied out;
	int rc;

	for (unsigned i = 0; i < LARGE; i++)
		seqs[i] = i + 1;
	rc = mails_copy(v, seqs, LARGE, SLICE_LIT("Archive"), NULL, &a, &out);
	CHECK(rc != 0 || out.n == LARGE);
	mails_view_close(&v);
	arena_reset(&a);
	return rc;
}

static void
large_child(void)
{
	char done = 'x';

	while (large_copy() == 0)
		if (write(told_fd[1], &done, 1) != 1)
			return;
}

static unsigned large_told, large_found;

/* All or none: whole copies only, and those that were answered for. Archive
 * is empty afterwards. */
static void
large_verify(void)
{
	struct mails_collected collected;
	struct mails_view *v;

	replay(ALICE);
	CHECK_INT(mails_check(mm, true, no_fault, NULL, NULL), 0);
	v = view_of(ALICE, "Archive");
	large_found = mails_view_count(v);
	CHECK_INT(large_found % LARGE, 0);
	CHECK(large_found / LARGE >= large_told);
	CHECK(large_found / LARGE <= large_told + 1);
	CHECK_INT(mails_expunge(v, NULL, 0, true), 0);
	mails_view_close(&v);
	CHECK_INT(mails_collect(mm, -1, &collected), 0);
	CHECK_INT(mails_check(mm, true, no_fault, NULL, NULL), 0);
}

static void
large_copy_under_sigkill(void **state)
{
	unsigned wait_us, partial = 0;
	pid_t pid;
	char c;

	(void)state;
	store_test_failure[0] = '\0';
	test_dir_new();
	here(large_fill);
	for (int i = 0; i < 20 && store_test_failure[0] == '\0'; i++) {
		assert_int_equal(pipe(told_fd), 0);
		large_told = 0;
		pid = child(large_child);
		close(told_fd[1]);
		/* One is whole, and another one is under way. */
		large_told += read(told_fd[0], &c, 1) == 1;
		wait_us = random_below(15000);
		usleep(wait_us);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		while (read(told_fd[0], &c, 1) == 1)
			large_told++;
		close(told_fd[0]);
		here(large_verify);
		partial += large_found > 0;
	}
	CHECK(partial > 0);
	test_dir_remove();
	if (store_test_failure[0] != '\0')
		fail_msg("%s", store_test_failure);
}

static int large_rc;

static void
large_faulty(void)
{
	large_rc = large_copy();
}

static void
large_copy_on_a_failing_disk(void **state)
{
	const struct store_io real = store_io;

	(void)state;
	store_test_failure[0] = '\0';
	test_dir_new();
	here(large_fill);
	for (int round = 0; round < 20; round++) {
		calls = 0;
		fail_what = 2;
		fail_errno = round % 2 ? EIO : ENOSPC;
		fail_at = 1 + round / 2;
		store_io.txn_commit = failing_commit;
		here(large_faulty);
		store_io = real;
		large_told = large_rc == 0;
		here(large_verify);
		/* What was refused is not there. */
		CHECK_INT(large_found, large_told * LARGE);
		if (store_test_failure[0] != '\0')
			break;
	}
	test_dir_remove();
	if (store_test_failure[0] != '\0')
		fail_msg("call %d: %s", fail_at, store_test_failure);
}

/* --- several processes --- */

#define EACH 60

static void
many_child(void)
{
	struct mails_view *v = view_of(ALICE, "INBOX");

	for (int i = 0; i < EACH; i++)
		CHECK_INT(deliver_number(i % 4 == 0), 0);
	CHECK_INT(mails_view_sync(v, true, NULL), 0);
	CHECK(mails_view_count(v) >= EACH);
	mails_view_close(&v);
}

static void
many_verify(void)
{
	struct mails_status s = { 0 };

	verify();
	CHECK_INT(mails_status(mm, ALICE, SLICE_LIT("INBOX"), &s), 0);
	CHECK_INT(s.messages, 3 * EACH);
	CHECK_INT(s.uidnext, 3 * EACH + 1);
	CHECK_INT(mails_status(mm, BOB, SLICE_LIT("INBOX"), &s), 0);
	CHECK_INT(s.messages, 3 * EACH / 4);
}

/* From the first touch of the account on: who makes it is a race too. */
static void
processes_deliver_to_one_mailbox(void **state)
{
	unsigned number;
	pid_t pid[3];
	int status;

	(void)state;
	store_test_failure[0] = '\0';
	memset(acknowledged, 0, sizeof(acknowledged));
	test_dir_new();
	assert_int_equal(pipe(told_fd), 0);
	for (unsigned i = 0; i < 3; i++) {
		base = 1000 * i;
		next_number = 0;
		pid[i] = child(many_child);
	}
	close(told_fd[1]);
	while (read(told_fd[0], &number, sizeof(number)) == sizeof(number))
		acknowledged[number % NUMBERS] = 1;
	close(told_fd[0]);
	for (int i = 0; i < 3; i++) {
		waitpid(pid[i], &status, 0);
		CHECK_INT(status, 0);
	}
	here(many_verify);
	test_dir_remove();
	if (store_test_failure[0] != '\0')
		fail_msg("%s", store_test_failure);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(processes_deliver_to_one_mailbox),
		cmocka_unit_test(exactly_once_under_sigkill),
		cmocka_unit_test(a_failing_disk_loses_nothing),
		cmocka_unit_test(large_copy_under_sigkill),
		cmocka_unit_test(large_copy_on_a_failing_disk),
	};

	test_dir_in_memory = true;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
