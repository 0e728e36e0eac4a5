/* SPDX-License-Identifier: ISC */
/* What accounts have sent, and when they may again. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/auth/sent.h"

#define NONE SENT_UNLIMITED
#define DAY 86400
#define T ((int64_t)20000 * DAY) /* the start of an hour */

/* One after the other: at that time, so many recipients; 0 or the limit that
 * is over, and when it is not. */
static const struct {
	int64_t at;
	uint32_t recipients;
	int over; /* -1: it goes */
	int64_t again;
} steps[] = {
	{ T, 1, -1, 0 },
	{ T + 299, 1, -1, 0 },
	{ T + 300, 1, -1, 0 },
	/* The first two leave after 65 minutes at most. */
	{ T + 301, 1, SENT_MESSAGES_HOUR, T + 3900 },
	{ T + 3600, 1, SENT_MESSAGES_HOUR, T + 3900 },
	{ T + 3899, 1, SENT_MESSAGES_HOUR, T + 3900 },
	{ T + 3900, 1, -1, 0 },
	{ T + 3900, 1, -1, 0 },
	{ T + 3900, 1, SENT_MESSAGES_HOUR, T + 4200 },
	{ T + 9000, 5, -1, 0 },
	{ T + 9000, 2, SENT_RECIPIENTS_HOUR, T + 12900 },
	{ T + 9000, 7, SENT_RECIPIENTS_HOUR, 0 }, /* never */
	{ T + 9000, 1, -1, 0 },
	/* Seven messages; the day's limit. */
	{ T + 20000, 1, -1, 0 },
	{ T + 20000, 1, SENT_MESSAGES_DAY, T + 25 * 3600 },
	{ T + 25 * 3600 - 1, 1, SENT_MESSAGES_DAY, T + 25 * 3600 },
	{ T + 25 * 3600, 1, -1, 0 },
	{ T + 30 * DAY, 1, -1, 0 },
};

static void
limits_hold_until_time_has_passed(void **state)
{
	static sent_limits limits = { 3, 8, 6, NONE };
	struct slice who = SLICE_LIT("a@x.test");
	struct sent *s = sent_new();

	(void)state;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct sent_over over = { SENT_LIMITS, 0, -1 };
		struct sent_count c;
		bool may = sent_may(s, who, limits, steps[i].recipients,
		    steps[i].at, &over);

		if (may != (steps[i].over == -1))
			print_error("step %zu\n", i);
		assert_int_equal(may, steps[i].over == -1);
		if (!may) {
			assert_int_equal(over.limit, steps[i].over);
			assert_int_equal(over.max, limits[over.limit]);
			assert_int_equal(over.again_s, steps[i].again);
		}
		assert_int_equal(sent_take(s, who, limits,
				     steps[i].recipients, steps[i].at, &c,
				     &over),
		    may);
	}
	sent_free(&s);
}

static void
what_did_not_go_out_does_not_count(void **state)
{
	static sent_limits limits = { 2, NONE, NONE, 10 };
	struct slice who = SLICE_LIT("a@x.test");
	struct sent *s = sent_new();
	uint32_t now[SENT_LIMITS];
	struct sent_over over;
	struct sent_count c;

	(void)state;
	for (int i = 0; i < 100; i++) {
		assert_true(sent_take(s, who, limits, 10, T + i, &c, &over));
		sent_give_back(s, &c);
	}
	assert_true(sent_take(s, who, limits, 4, T + 100, &c, &over));
	sent_get(s, who, T + 200, now);
	assert_int_equal(now[SENT_MESSAGES_HOUR], 1);
	assert_int_equal(now[SENT_MESSAGES_DAY], 1);
	assert_int_equal(now[SENT_RECIPIENTS_HOUR], 4);
	assert_int_equal(now[SENT_RECIPIENTS_DAY], 4);
	/* Given back when the part is past: no other one's count. */
	assert_true(sent_take(s, who, limits, 1, T + 400, &c, &over));
	sent_give_back(s, &c);
	sent_give_back(s, &c);
	sent_get(s, who, T + 400, now);
	assert_int_equal(now[SENT_MESSAGES_HOUR], 1);
	sent_get(s, SLICE_LIT("b@x.test"), T + 400, now);
	assert_int_equal(now[SENT_MESSAGES_DAY], 0);
	sent_free(&s);
}

static void
no_limit_is_none(void **state)
{
	static sent_limits limits = { NONE, NONE, NONE, NONE };
	struct sent *s = sent_new();
	struct sent_over over;
	struct sent_count c;

	(void)state;
	for (int i = 0; i < 3000; i++)
		assert_true(sent_take(s, SLICE_LIT("a"), limits,
		    SENT_LIMIT_MAX, T, &c, &over));
	sent_free(&s);
}

#define PROCESSES 4

/* How many of 1,000 attempts went. */
static void
send_in_child(const char *dir, int out)
{
	static sent_limits limits = { 1500, NONE, NONE, NONE };
	struct sent *s = sent_new();
	struct sent_over over;
	struct sent_count c;
	int n = 0;

	if (sent_share(s, dir) != 0)
		_exit(1);
	for (int i = 0; i < 1000; i++) {
		bool may = sent_take(
		    s, SLICE_LIT("a@x.test"), limits, 1, T, &c, &over);

		if (may && i % 10 == 0)
			sent_give_back(s, &c);
		else
			n += may;
	}
	_exit(write(out, &n, sizeof(n)) == sizeof(n) ? 0 : 1);
}

static void
all_processes_count_together(void **state)
{
	char dir[] = "/tmp/pneu-sent-XXXXXX", path[64];
	uint32_t now[SENT_LIMITS];
	struct sent *s = sent_new();
	int ends[2], n, total = 0, status;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(pipe(ends), 0);
	for (int i = 0; i < PROCESSES; i++)
		if (fork() == 0)
			send_in_child(dir, ends[1]);
	for (int i = 0; i < PROCESSES; i++) {
		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
		assert_int_equal(read(ends[0], &n, sizeof(n)), sizeof(n));
		total += n;
	}
	/* And who comes later finds it. */
	assert_int_equal(sent_share(s, dir), 0);
	sent_get(s, SLICE_LIT("a@x.test"), T + 60, now);
	assert_int_equal(now[SENT_MESSAGES_HOUR], total);
	assert_true(total <= 1500 && total > 1000);
	sent_free(&s);
	snprintf(path, sizeof(path), "%s/%s", dir, SENT_FILE);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
	close(ends[0]);
	close(ends[1]);
}

static void
more_accounts_than_there_is_room_for(void **state)
{
	static sent_limits limits = { NONE, 1, NONE, NONE };
	struct sent *s = sent_new();
	struct sent_over over;
	struct sent_count c;
	char name[32];
	int kept = 0;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		snprintf(name, sizeof(name), "u%d@x.test", i);
		assert_true(sent_take(s, slice_str(name), limits, 1,
		    T + i * 3, &c, &over));
	}
	/* The latest are there. */
	for (int i = 19500; i < 20000; i++) {
		snprintf(name, sizeof(name), "u%d@x.test", i);
		kept += !sent_may(
		    s, slice_str(name), limits, 1, T + 60000, &over);
	}
	assert_true(kept >= 490);
	sent_free(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(limits_hold_until_time_has_passed),
		cmocka_unit_test(what_did_not_go_out_does_not_count),
		cmocka_unit_test(no_limit_is_none),
		cmocka_unit_test(all_processes_count_together),
		cmocka_unit_test(more_accounts_than_there_is_room_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
