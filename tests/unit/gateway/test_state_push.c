/* SPDX-License-Identifier: ISC */
/* What was put in is found by its octets and by its place until it is met, and
 * rows of long ago go, and only these. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "gateway/state_impl.h"
#include "gateway/state_push.h"

#define A "far@out.test"

static char fault[200];

#define CHECK(condition)                                                       \
	do {                                                                   \
		if (!(condition) && fault[0] == '\0')                          \
			snprintf(fault, sizeof(fault), "line %d: %s",          \
			    __LINE__, #condition);                             \
	} while (0)

static struct state_put_in
put_in(char c, const char *trace, const char *from)
{
	struct state_put_in p = { .trace = slice_str(trace),
		.from = slice_str(from) };

	memset(p.octets, c, sizeof(p.octets));
	return p;
}

static bool
is_found(int rc, const struct state_put_in *want, struct state_put_in *got)
{
	bool same = rc == 0 && slice_eq(got->trace, want->trace) &&
	    slice_eq(got->from, want->from) &&
	    memcmp(got->octets, want->octets, STATE_ID) == 0;

	buf_clear(&got->text);
	return same;
}

static void
met(struct state *s)
{
	const struct state_put_in one = put_in('1', "T1", "x@else.test"),
				  two = put_in('2', "T2", "");
	struct state_push p = { .since_s = 77, .sent = true };
	struct state_put_in got;

	CHECK(state_put_in_any(s, A) == 0);
	CHECK(state_push_put(s, A, one.trace, &p) == 0);
	CHECK(state_put_in_any(s, A) == 0);
	CHECK(state_put_in_announce(s, A, &one) == 0);
	CHECK(state_put_in_announce(s, A, &two) == 0);
	CHECK(state_put_in_any(s, A) == 1);
	CHECK(is_found(state_put_in_of(s, A, one.octets, &got), &one, &got));
	CHECK(state_put_in_at(s, A, 5, 9, &got) == -ENOENT);
	buf_clear(&got.text);
	CHECK(state_put_in_done(s, A, &one, 5, 9) == 0);
	CHECK(state_put_in_done(s, A, &two, 0, 0) == 0);
	/* It is not on its way any more, which the queue may not have heard. */
	CHECK(state_push_get(s, A, one.trace, &p) == 0 && p.over && !p.sent);
	CHECK(is_found(state_put_in_at(s, A, 5, 9, &got), &one, &got));
	CHECK(state_put_in_at(s, A, 5, 8, &got) == -ENOENT);
	buf_clear(&got.text);
	CHECK(state_put_in_at(s, A, 0, 0, &got) == -ENOENT);
	buf_clear(&got.text);
	CHECK(is_found(state_put_in_of(s, A, two.octets, &got), &two, &got));
	/* Another account, of whose name this is the beginning. */
	CHECK(state_put_in_any(s, A "x") == 0);
	CHECK(state_put_in_forget(s, A, &one, 5, 9) == 0);
	CHECK(state_put_in_of(s, A, one.octets, &got) == -ENOENT);
	buf_clear(&got.text);
	CHECK(state_put_in_at(s, A, 5, 9, &got) == -ENOENT);
	buf_clear(&got.text);
	CHECK(state_put_in_forget(s, A, &two, 1, 1) == 0);
	CHECK(state_put_in_any(s, A) == 0);
}

static void
old(struct state *s)
{
	const struct state_put_in one = put_in('1', "T1", "x@else.test");
	struct state_push p = { .since_s = 1000 };
	struct state_put_in got;
	char trace[20];
	size_t n;

	for (int i = 0; i < 450; i++) {
		snprintf(trace, sizeof(trace), "old%d", i);
		CHECK(state_push_put(s, A, slice_str(trace), &p) == 0);
	}
	p.since_s = 2000;
	CHECK(state_push_put(s, A, SLICE_LIT("new"), &p) == 0);
	CHECK(state_put_in_announce(s, A, &one) == 0);
	CHECK(state_put_in_done(s, A, &one, 5, 9) == 0);
	/* What else there is of it is not looked at. */
	CHECK(state_row_put(
		  s, A, SLICE_LIT("q"), SLICE_LIT("\0\0\0\0\0\0\0\1")) == 0);
	CHECK(state_row_put(s, A, SLICE_LIT("x12345678901234567890"),
		  SLICE_LIT("\0\0\0\0\0\0\0\1")) == 0);
	CHECK(state_push_sweep(s, A, 1000, &n) == 0 && n == 0);
	CHECK(state_push_sweep(s, A, 1001, &n) == 0 && n == 450);
	CHECK(state_push_get(s, A, SLICE_LIT("old449"), &p) == 0 &&
	    p.since_s == 0);
	CHECK(state_push_get(s, A, SLICE_LIT("new"), &p) == 0 &&
	    p.since_s == 2000);
	CHECK(is_found(state_put_in_at(s, A, 5, 9, &got), &one, &got));
	CHECK(state_push_sweep(s, A, clock_wall_s() + 1, &n) == 0 && n == 5);
	CHECK(state_push_sweep(s, "nobody@out.test", 9, &n) == 0 && n == 0);
}

static void
run_all(void *arg)
{
	const struct store_conf sc = { .engine = "memory",
		.seed = *(unsigned *)arg,
		.conflict_pct = 10,
		.unknown_pct = 10,
		.late_pct = 30 };
	struct buf err = BUF_INIT;
	struct state s = { NULL };

	CHECK(store_open(&s.store, &sc, &err) == 0);
	met(&s);
	old(&s);
	store_close(&s.store);
	buf_clear(&err);
}

static void
test_rows(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 5; seed++) {
		assert_int_equal(co_run(run_all, &seed), 0);
		assert_string_equal(fault, "");
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
