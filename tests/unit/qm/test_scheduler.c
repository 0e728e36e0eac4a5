/* SPDX-License-Identifier: ISC */
/* The scheduler with a network that is a few counters. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/co.h"
#include "qm/scheduler.h"

static char failure[256];
#define CHECK(cond)                                                            \
	do {                                                                   \
		if (!(cond)) {                                                 \
			if (failure[0] == '\0')                                \
				snprintf(failure, sizeof(failure),             \
				    "%s:%d: %s", __func__, __LINE__, #cond);   \
			return;                                                \
		}                                                              \
	} while (0)

/* --- the network --- */

static struct {
	unsigned opens, closes, open_now, most_open;
	unsigned running, most_running;
	int open_rc;
	struct smtp_reply open_reply;
	enum scheduler_run result;
	unsigned results; /* how often `result` is given; then GOOD */
	unsigned fails;
	int fail_code;
	bool hang;
} net;

struct job {
	struct scheduler_job job;
	unsigned runs, fails, dones;
	unsigned at; /* the how-manieth to be done */
};
static unsigned n_done;

static int
fake_open(void *arg, const char *destination, void **connection,
    struct scheduler_fault *why)
{
	(void)arg, (void)destination;
	net.opens++;
	co_yield ();
	if (net.open_rc != 0) {
		why->reply = net.open_reply;
		return net.open_rc;
	}
	if (++net.open_now > net.most_open)
		net.most_open = net.open_now;
	*connection = &net;
	return 0;
}

static enum scheduler_run
fake_run(void *arg, void *connection, struct scheduler_job *job)
{
	enum scheduler_run result = SCHEDULER_GOOD;
	int rc;

	(void)arg, (void)connection;
	if (++net.running > net.most_running)
		net.most_running = net.running;
	rc = net.hang ? co_park(-1) : co_yield ();
	net.running--;
	if (rc == -ECANCELED)
		return SCHEDULER_BROKEN;
	if (net.results > 0) {
		net.results--;
		result = net.result;
	}
	if (result != SCHEDULER_STALE)
		((struct job *)job)->runs++;
	return result;
}

static void
fake_close(void *arg, void *connection)
{
	(void)arg, (void)connection;
	net.closes++;
	net.open_now--;
}

static void
fake_fail(
    void *arg, struct scheduler_job *job, const struct scheduler_fault *why)
{
	(void)arg;
	((struct job *)job)->fails++;
	net.fails++;
	net.fail_code = why->reply.code;
}

static void
on_done(struct scheduler_job *job)
{
	((struct job *)job)->dones++;
	((struct job *)job)->at = ++n_done;
}

static const struct scheduler_ops ops = { fake_open, fake_run, fake_close,
	fake_fail };

static const struct scheduler_conf usual = { .window_start = 2,
	.window_max = 10,
	.near = "near",
	.connections_max = 100,
	.jobs_max = 10000,
	.leave_alone_ms = 60000,
	.leave_alone_max_ms = 600000,
	.idle_ms = 20 };

static struct scheduler *
start(const struct scheduler_conf *conf)
{
	struct scheduler *s;

	memset(&net, 0, sizeof(net));
	n_done = 0;
	return scheduler_new(&s, conf, &ops, NULL) == 0 ? s : NULL;
}

static bool
submit(struct scheduler *s, struct job *j, size_t n, const char *destination)
{
	for (size_t i = 0; i < n; i++) {
		j[i] = (struct job){ .job = { .destination = destination,
					 .done = on_done } };
		if (!scheduler_submit(s, &j[i].job))
			return false;
	}
	return true;
}

/* Turns of the loop until all is done; false when that never comes. */
static bool
drain(struct scheduler *s)
{
	for (int i = 0; i < 20000 && scheduler_jobs(s) > 0; i++)
		co_yield ();
	return scheduler_jobs(s) == 0;
}

static bool
each_done_once(const struct job *j, size_t n, unsigned runs)
{
	for (size_t i = 0; i < n; i++)
		if (j[i].dones != 1 || j[i].runs + j[i].fails != 1 ||
		    j[i].runs != runs)
			return false;
	return true;
}

static struct job jobs[2000];

/* --- cases --- */

static void
the_window_starts_small_and_grows(void *arg)
{
	struct scheduler *s = start(&usual);

	(void)arg;
	CHECK(submit(s, jobs, 2, "a"));
	CHECK(drain(s) && net.most_running <= 2);
	CHECK(submit(s, jobs, 1000, "a"));
	CHECK(drain(s) && each_done_once(jobs, 1000, 1));
	CHECK(net.most_running == 10 && net.most_open == 10);
	/* Connections were kept and used again. */
	CHECK(net.opens == 10);
	CHECK(scheduler_window(s, "a") == 10 && scheduler_window(s, "b") == 0);
	for (int i = 0; i < 1000 && net.open_now > 0; i++)
		co_sleep(1);
	CHECK(net.open_now == 0 && net.closes == 10); /* idle ones go */
	scheduler_free(&s);
}

static void
what_is_near_needs_no_slow_start(void *arg)
{
	struct scheduler *s = start(&usual);

	(void)arg;
	CHECK(submit(s, jobs, 10, "near"));
	CHECK(net.opens == 0); /* nothing runs inside submit */
	CHECK(drain(s) && net.most_running == 10);
	scheduler_free(&s);
}

static void
trouble_halves_the_window(void *arg)
{
	struct scheduler *s = start(&usual);

	(void)arg;
	CHECK(submit(s, jobs, 500, "a") && drain(s));
	CHECK(scheduler_window(s, "a") == 10);
	net.result = SCHEDULER_BROKEN;
	net.results = 1;
	CHECK(submit(s, jobs, 1, "a") && drain(s));
	CHECK(scheduler_window(s, "a") == 5);
	net.results = 10;
	CHECK(submit(s, jobs, 10, "a") && drain(s));
	CHECK(scheduler_window(s, "a") == 1);
	CHECK(each_done_once(jobs, 10, 1)); /* carried out all the same */
	scheduler_free(&s);
}

static void
who_cannot_be_reached_is_left_alone(void *arg)
{
	struct scheduler *s = start(&usual);
	unsigned opens;

	(void)arg;
	net.open_rc = -ECONNREFUSED;
	net.open_reply = SMTP_REPLY(451, "4.4.1", "refused");
	CHECK(submit(s, jobs, 50, "down") && drain(s));
	CHECK(each_done_once(jobs, 50, 0) && net.fail_code == 451);
	CHECK(net.opens <= 3);
	opens = net.opens;
	/* At once, without asking; others are not touched by it. */
	CHECK(submit(s, jobs, 5, "down") && n_done == 55);
	CHECK(net.opens == opens);
	net.open_rc = 0;
	CHECK(submit(s, jobs, 1, "up") && drain(s) && jobs[0].runs == 1);
	/* An admin wants it tried. */
	jobs[0] = (struct job){ .job = { .destination = "down",
				    .at_once = true,
				    .done = on_done } };
	CHECK(scheduler_submit(s, &jobs[0].job) && drain(s));
	CHECK(jobs[0].runs == 1);
	CHECK(submit(s, jobs, 1, "down") && drain(s) && jobs[0].runs == 1);
	scheduler_free(&s);
}

static void
after_a_while_it_is_tried_again(void *arg)
{
	struct scheduler_conf conf = usual;
	struct scheduler *s;

	(void)arg;
	conf.leave_alone_ms = 30;
	s = start(&conf);
	net.open_rc = -ETIMEDOUT;
	net.open_reply = SMTP_REPLY(451, "4.4.1", "timed out");
	CHECK(submit(s, jobs, 1, "a") && drain(s) && jobs[0].fails == 1);
	net.open_rc = 0;
	for (int i = 0; i < 1000; i++) {
		CHECK(submit(s, jobs, 1, "a") && drain(s));
		if (jobs[0].runs == 1)
			break;
		co_sleep(2);
	}
	CHECK(jobs[0].runs == 1);
	scheduler_free(&s);
}

static void
a_final_no_is_for_the_job_alone(void *arg)
{
	struct scheduler *s = start(&usual);

	(void)arg;
	net.open_rc = -EHOSTUNREACH;
	net.open_reply = SMTP_REPLY(556, "5.1.10", "null MX");
	CHECK(submit(s, jobs, 3, "a") && drain(s));
	CHECK(each_done_once(jobs, 3, 0) && net.fail_code == 556);
	net.open_rc = 0;
	CHECK(submit(s, jobs, 1, "a") && drain(s) && jobs[0].runs == 1);
	scheduler_free(&s);
}

/* The server wants no more connections; those that it took go on. */
static void
refused_connections_leave_work_to_the_others(void *arg)
{
	struct scheduler *s = start(&usual);

	(void)arg;
	net.hang = true;
	CHECK(submit(s, jobs, 1, "a"));
	while (net.running == 0)
		co_yield ();
	net.open_rc = -EPROTO;
	net.open_reply = SMTP_REPLY(421, "4.7.0", "too many connections");
	CHECK(submit(s, jobs + 1, 3, "a"));
	for (int i = 0; i < 50; i++)
		co_yield ();
	CHECK(net.fails == 0 && scheduler_jobs(s) == 4);
	scheduler_free(&s);
	CHECK(n_done == 4);
}

static void
a_stale_connection_is_replaced(void *arg)
{
	struct scheduler *s = start(&usual);

	(void)arg;
	CHECK(submit(s, jobs, 1, "a") && drain(s));
	net.result = SCHEDULER_STALE;
	net.results = 1;
	CHECK(submit(s, jobs, 1, "a") && drain(s));
	CHECK(jobs[0].runs == 1 && net.opens == 2);
	net.results = 2; /* twice is a fault */
	CHECK(submit(s, jobs, 1, "a") && drain(s));
	CHECK(jobs[0].fails == 1 && jobs[0].dones == 1);
	scheduler_free(&s);
}

static void
destinations_take_turns(void *arg)
{
	struct scheduler_conf conf = usual;
	struct scheduler *s;

	(void)arg;
	conf.connections_max = 2;
	s = start(&conf);
	CHECK(submit(s, jobs, 1000, "big"));
	for (int i = 0; i < 20; i++)
		co_yield ();
	CHECK(submit(s, jobs + 1000, 1, "small"));
	CHECK(submit(s, jobs + 1001, 1, "other"));
	CHECK(drain(s) && each_done_once(jobs, 1002, 1));
	CHECK(net.most_open <= 2);
	CHECK(jobs[1000].at < 150 && jobs[1001].at < 150);
	scheduler_free(&s);
}

/* A place that an idle connection holds is given to who needs one. */
static void
idle_connections_make_room(void *arg)
{
	struct scheduler_conf conf = usual;
	struct scheduler *s;

	(void)arg;
	conf.connections_max = 1;
	conf.idle_ms = 3600000;
	s = start(&conf);
	CHECK(submit(s, jobs, 1, "a") && drain(s) && net.open_now == 1);
	CHECK(submit(s, jobs, 1, "b") && drain(s) && jobs[0].runs == 1);
	CHECK(net.most_open == 1);
	scheduler_free(&s);
}

static void
no_destination_takes_all_memory(void *arg)
{
	struct scheduler_conf conf = usual;
	struct scheduler *s;
	size_t n = 0;

	(void)arg;
	conf.jobs_max = 100;
	s = start(&conf);
	net.hang = true;
	while (n < 200 && submit(s, jobs + n, 1, "slow"))
		n++;
	CHECK(n == 50 && scheduler_wait_ms(s, "slow") >= 0);
	while (n < 200 && submit(s, jobs + n, 1, "slow too"))
		n++;
	CHECK(n == 75);
	CHECK(submit(s, jobs + n, 1, "another"));
	n++;
	scheduler_free(&s);
	CHECK(n_done == n);
}

/* RFC 6710 5.1: what is more urgent goes first, among equals who came first;
 * one that is put back stays before its equals. */
static void
the_urgent_go_first(void *arg)
{
	static const struct {
		int priority;
		unsigned at; /* is done */
	} cases[] = { { 0, 1 }, { 0, 5 }, { -4, 8 }, { 4, 3 }, { 0, 6 },
		{ 9, 2 }, { 4, 4 }, { 0, 7 } };
	enum { N = sizeof(cases) / sizeof(*cases) };
	struct scheduler_conf conf = usual;
	struct job j[N];
	struct scheduler *s;

	(void)arg;
	conf.window_max = 1;
	CHECK((s = start(&conf)) != NULL);
	for (size_t i = 0; i < N; i++) {
		j[i] = (struct job){ .job = { .destination = "x",
					 .priority = cases[i].priority,
					 .done = on_done } };
		CHECK(scheduler_submit(s, &j[i].job));
		/* The first is under way before the others come. */
		for (int k = 0; i == 0 && k < 3; k++)
			co_yield ();
	}
	while (scheduler_jobs(s) > 0)
		co_yield ();
	for (size_t i = 0; i < N; i++)
		CHECK(j[i].at == cases[i].at);
	scheduler_free(&s);
}
static void
the_end_leaves_no_job_behind(void *arg)
{
	struct scheduler *s = start(&usual);

	(void)arg;
	net.hang = true;
	CHECK(submit(s, jobs, 100, "a") && submit(s, jobs + 100, 100, "b"));
	for (int i = 0; i < 10; i++)
		co_yield ();
	CHECK(net.running > 0);
	scheduler_free(&s);
	CHECK(s == NULL && n_done == 200 && net.open_now == 0);
	for (size_t i = 0; i < 200; i++)
		CHECK(jobs[i].dones == 1);
}

#define CASE(name)                                                             \
	static void name##_(void **state)                                      \
	{                                                                      \
		(void)state;                                                   \
		failure[0] = '\0';                                             \
		assert_int_equal(co_run(name, NULL), 0);                       \
		assert_string_equal(failure, "");                              \
	}
CASE(the_window_starts_small_and_grows)
CASE(what_is_near_needs_no_slow_start)
CASE(trouble_halves_the_window)
CASE(who_cannot_be_reached_is_left_alone)
CASE(after_a_while_it_is_tried_again)
CASE(a_final_no_is_for_the_job_alone)
CASE(refused_connections_leave_work_to_the_others)
CASE(a_stale_connection_is_replaced)
CASE(destinations_take_turns)
CASE(idle_connections_make_room)
CASE(no_destination_takes_all_memory)
CASE(the_urgent_go_first)
CASE(the_end_leaves_no_job_behind)

static void
window_arithmetic(void **state)
{
	struct window w;

	(void)state;
	window_init(&w, 2, 20);
	assert_int_equal(window_connections(&w), 2);
	for (int i = 0; i < 18; i++) /* slow start: one more for each */
		window_success(&w);
	assert_int_equal(window_connections(&w), 20);
	window_success(&w);
	assert_int_equal(window_connections(&w), 20);
	window_failure(&w);
	assert_int_equal(window_connections(&w), 10);
	for (int i = 0; i < 9; i++) /* now one more for a whole round */
		window_success(&w);
	assert_int_equal(window_connections(&w), 10);
	window_success(&w);
	window_success(&w);
	assert_int_equal(window_connections(&w), 11);
	for (int i = 0; i < 10; i++)
		window_failure(&w);
	assert_int_equal(window_connections(&w), 1);
	window_init(&w, 0, 0);
	assert_int_equal(window_connections(&w), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(window_arithmetic),
		cmocka_unit_test(the_window_starts_small_and_grows_),
		cmocka_unit_test(what_is_near_needs_no_slow_start_),
		cmocka_unit_test(trouble_halves_the_window_),
		cmocka_unit_test(who_cannot_be_reached_is_left_alone_),
		cmocka_unit_test(after_a_while_it_is_tried_again_),
		cmocka_unit_test(a_final_no_is_for_the_job_alone_),
		cmocka_unit_test(refused_connections_leave_work_to_the_others_),
		cmocka_unit_test(a_stale_connection_is_replaced_),
		cmocka_unit_test(destinations_take_turns_),
		cmocka_unit_test(idle_connections_make_room_),
		cmocka_unit_test(no_destination_takes_all_memory_),
		cmocka_unit_test(the_urgent_go_first_),
		cmocka_unit_test(the_end_leaves_no_job_behind_),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
