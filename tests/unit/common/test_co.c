/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/co.h"

/* cmocka leaves a failed assertion by longjmp, which must not cross stacks:
 * so coroutines note what they saw, and the test asserts it. */
static struct {
	int count, rc_canceled, rc_timeout, rc_late, worked, order[3], n;
	bool event_was_set;
} seen;
static struct co_mutex mutex;

static void
slow(void *arg)
{
	usleep(1000);
	*(int *)arg = 1;
}

static void
child(void *arg)
{
	int done = 0;

	(void)arg;
	if (co_mutex_lock(&mutex, -1) != 0)
		return;
	co_sleep(1);
	seen.count++;
	co_mutex_unlock(&mutex);
	co_work(slow, &done);
	seen.worked += done;
}

static void
run_group(void *arg)
{
	struct co_group g = { 0 };

	(void)arg;
	for (int i = 0; i < 50; i++)
		co_group_spawn(&g, child, NULL);
	co_group_join(&g);
}

static void
group_is_joined_and_mutex_excludes(void **state)
{
	(void)state;
	co_run(run_group, NULL);
	assert_int_equal(seen.count, 50);
	assert_int_equal(seen.worked, 50);
}

static void
hang(void *arg)
{
	(void)arg;
	seen.rc_canceled = co_park(-1);
	seen.rc_late = co_sleep(1000000);
}

static void
run_cancel(void *arg)
{
	struct co *c = co_spawn(hang, NULL);

	(void)arg;
	co_yield ();
	co_cancel(c);
	while (co_count() > 1)
		co_yield ();
	seen.rc_timeout = co_park(5);
}

static void
cancel_is_sticky_and_park_times_out(void **state)
{
	(void)state;
	co_run(run_cancel, NULL);
	assert_int_equal(seen.rc_canceled, -ECANCELED);
	assert_int_equal(seen.rc_late, -ECANCELED);
	assert_int_equal(seen.rc_timeout, -ETIMEDOUT);
}

static struct co_event event;

static void
set_event(void *arg)
{
	(void)arg;
	co_event_set(&event);
}

static void
run_event(void *arg)
{
	(void)arg;
	co_spawn(set_event, NULL);
	seen.event_was_set = co_event_wait(&event, -1) == 0 && event.set;
}

static void
event_wakes_its_waiter(void **state)
{
	(void)state;
	co_run(run_event, NULL);
	assert_true(seen.event_was_set);
}

static void
order(void *arg)
{
	seen.order[seen.n++] = (int)(intptr_t)arg;
}

static void
run_order(void *arg)
{
	(void)arg;
	for (int i = 0; i < 3; i++)
		co_spawn(order, (void *)(intptr_t)i);
	co_yield ();
}

static void
coroutines_run_in_the_order_of_spawning(void **state)
{
	(void)state;
	co_run(run_order, NULL);
	assert_int_equal(seen.n, 3);
	for (int i = 0; i < 3; i++)
		assert_int_equal(seen.order[i], i);
}

static int pipe_fds[2];
static bool pipe_was_seen;

static void
wait_for_pipe(void *arg)
{
	(void)arg;
	pipe_was_seen = co_wait_fd(pipe_fds[0], EV_READ, -1) == 0;
}

static void
run_yielding(void *arg)
{
	(void)arg;
	co_spawn(wait_for_pipe, NULL);
	co_yield ();
	seen.rc_late = write(pipe_fds[1], "x", 1) == 1 ? 0 : -1;
	for (int i = 0; i < 10 && !pipe_was_seen; i++)
		co_yield ();
}

static void
yielding_does_not_starve_descriptors(void **state)
{
	(void)state;
	assert_int_equal(pipe(pipe_fds), 0);
	co_run(run_yielding, NULL);
	assert_int_equal(seen.rc_late, 0);
	assert_true(pipe_was_seen);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(group_is_joined_and_mutex_excludes),
		cmocka_unit_test(cancel_is_sticky_and_park_times_out),
		cmocka_unit_test(event_wakes_its_waiter),
		cmocka_unit_test(yielding_does_not_starve_descriptors),
		cmocka_unit_test(coroutines_run_in_the_order_of_spawning),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
