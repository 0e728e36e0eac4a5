/* SPDX-License-Identifier: ISC */
/*
 * Mails on a disk that fails: the load of the power failure test is done again
 * and again, and each time another call on the store's files fails, the first,
 * the second, and so on to the last. After it all that was answered is there,
 * exactly once, what failed is there or not, and the store works on.
 *
 * And several processes at once on one store beside a model of it.
 */
#include "tests/unit/mailbox/power_load.h"
#include "tests/unit/mailbox/power_verify.h"

#include <signal.h>

#include "common/store/store_io.h"

#if defined(__SANITIZE_ADDRESS__)
#define STRIDE 9
#else
#define STRIDE 1
#endif

static unsigned first_actor, n_actors;

static void
actors_run(void)
{
	unsigned ids[ACTORS];
	struct co_group g = { 0 };

	for (unsigned i = 0; i < n_actors; i++) {
		ids[i] = first_actor + i;
		co_group_spawn(&g, act, &ids[i]);
	}
	co_group_join(&g);
}

/* The store may not open; then nothing is done. */
static void
faulty_body(void *arg)
{
	struct mails_conf conf = { .store = test_conf(),
		.keep_s = test_keep_s,
		.seal = test_seal,
		.sealing = test_sealing,
		.server_key = test_server_key };
	struct buf err = BUF_INIT;
	int rc = mails_open(&mm, &conf, &err);

	(void)arg;
	CHECK(rc == 0 || rc == -ENOSPC || rc == -EIO);
	st = rc == 0 ? mails_store(mm) : NULL;
	if (rc == 0)
		actors_run();
	mails_close(&mm);
	buf_clear(&err);
}

static void
clean_body(void)
{
	verify_further();
}

static int
child(void (*body)(void *), void *arg)
{
	static const int signals[] = { SIGBUS, SIGSEGV, SIGABRT, SIGFPE };
	pid_t pid = fork();
	int status;

	if (pid != 0) {
		waitpid(pid, &status, 0);
		return status;
	}
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		signal(signals[i], SIG_DFL);
	alarm(500);
	log_set_level(LOG_LEVEL_ERROR);
	if (power_faults) /* each is logged, and there are thousands */
		(void)!freopen("/dev/null", "w", stderr);
	small_sizes();
	test_engine = &test_engines[2];
	co_run(body, arg);
	if (store_test_failure[0] != '\0')
		print_message("%s\n", store_test_failure);
	fflush(NULL);
	_exit(store_test_failure[0] != '\0');
}

static void
expect_all(void)
{
	const struct power_entry *e;
	size_t at = 0;

	memset(want, 0, sizeof(*want));
	while ((e = power_next(&at)) != NULL)
		if (e->kind == POWER_MARK)
			expect(e);
}

/* One load with calls from..to failing: were there as many? */
static bool
faulty_load(uint64_t from, uint64_t to, int error)
{
	void (*clean)(void) = clean_body;
	bool reached;

	test_dir_new();
	power_begin(test_dir);
	power->fail_from = from;
	power->fail_to = to;
	power->fail_errno = error;
	test_keep_s = from % 2 * 86400;
	test_keys_make();
	test_seal = (enum mails_sealing)(from % 3);
	if (child(faulty_body, NULL) != 0)
		fail_msg(
		    "load with call %llu failing", (unsigned long long)from);
	reached = power->calls >= from;
	power->fail_from = 0;
	power->on = false;
	expect_all();
	if (child(mails_test_body, &clean) != 0)
		fail_msg("after call %llu failed with %s",
		    (unsigned long long)from, strerror(error));
	test_dir_remove();
	power_end();
	return reached;
}

static void
each_call_fails(uint64_t length, int error)
{
	uint64_t n = 1 + random_below(STRIDE), tried = 0;

	want = calloc(1, sizeof(*want));
	found = calloc(1, sizeof(*found));
	first_actor = 0;
	n_actors = 3;
	load_operations = 24;
	load_checks = false;
	power_faults = true;
	store_test_failure[0] = '\0';
	for (; faulty_load(n, n + length - 1, error); n += STRIDE)
		tried++;
	print_message("%llu calls\n", (unsigned long long)tried);
	assert_true(tried > 60 / STRIDE);
	power_faults = false;
	free(want);
	free(found);
}

static void
disk_full_at_every_write(void **state)
{
	(void)state;
	each_call_fails(UINT32_MAX, ENOSPC);
}

static void
disk_full_for_a_moment(void **state)
{
	(void)state;
	each_call_fails(2, ENOSPC);
}

static void
one_error_at_every_call(void **state)
{
	(void)state;
	each_call_fails(1, EIO);
}

static void
errors_from_every_call_on(void **state)
{
	(void)state;
	each_call_fails(UINT32_MAX, EIO);
}

/* --- several processes, and none fails --- */

static void
checked_body(void *arg)
{
	(void)arg;
	mails_test_open();
	actors_run();
	mails_close(&mm);
}

/* Each looks after each step of its own at what is its own. */
static void
processes_beside_a_model(void **state)
{
	void (*clean)(void) = clean_body;
	pid_t pid[4];
	int status;

	(void)state;
	want = calloc(1, sizeof(*want));
	found = calloc(1, sizeof(*found));
	store_test_failure[0] = '\0';
	test_dir_new();
	power_begin(test_dir);
	power_faults = false;
	load_operations = 80;
	load_checks = true;
	for (unsigned i = 0; i < 4; i++) {
		first_actor = i * 3 / 2;
		n_actors = i % 2 == 0 ? 1 : 2;
		if ((pid[i] = fork()) == 0)
			_exit(child(checked_body, NULL) != 0);
	}
	for (unsigned i = 0; i < 4; i++) {
		waitpid(pid[i], &status, 0);
		assert_int_equal(status, 0);
	}
	power->on = false;
	expect_all();
	for (unsigned i = 0; i < ACTORS; i++)
		assert_int_equal(want->under_way[i].n, 0);
	assert_int_equal(child(mails_test_body, &clean), 0);
	test_dir_remove();
	power_end();
	load_checks = false;
	free(want);
	free(found);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(processes_beside_a_model),
		cmocka_unit_test(disk_full_at_every_write),
		cmocka_unit_test(disk_full_for_a_moment),
		cmocka_unit_test(one_error_at_every_call),
		cmocka_unit_test(errors_from_every_call_on),
	};

	test_dir_in_memory = true;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
