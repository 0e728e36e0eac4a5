/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>

#include "guard/guard.h"

static const struct {
	enum accounts_fate fate;
	int code;
	const char *enhanced;
} cases[] = {
	{ ACCOUNTS_DELIVER, 250, "2.1.5" },
	{ ACCOUNTS_BLOCKED, 550, "5.1.1" },
	{ ACCOUNTS_UNKNOWN, 550, "5.1.1" },
	{ ACCOUNTS_DISABLED, 550, "5.2.1" },
	{ ACCOUNTS_NOT_LOCAL, 550, "5.7.1" },
};

static void
each_fate_has_its_reply(void **state)
{
	struct arena a = ARENA_INIT_MAX(0);
	struct smtp_path to = { .text = SLICE_LIT("bob@example.test") };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct accounts_resolution r = { .fate = cases[i].fate };
		struct smtp_reply reply = guard_verdict(&a, &to, &r, NULL);

		assert_int_equal(reply.code, cases[i].code);
		assert_string_equal(reply.enhanced, cases[i].enhanced);
	}
	arena_reset(&a);
}

static void
blocked_looks_like_unknown(void **state)
{
	struct arena a = ARENA_INIT_MAX(0);
	struct smtp_path to = { .text = SLICE_LIT("bob@example.test") };
	struct accounts_resolution r = { .fate = ACCOUNTS_BLOCKED };
	struct smtp_reply blocked = guard_verdict(&a, &to, &r, NULL), unknown;

	(void)state;
	r.fate = ACCOUNTS_UNKNOWN;
	unknown = guard_verdict(&a, &to, &r, NULL);
	assert_true(slice_eq(blocked.text, unknown.text));
	arena_reset(&a);
}

/* What is put into an outside account, too, or only there. */
static void
pushed(void **state)
{
	static const char *const to_two[] = { "u@far.test", "v@far.test" };
	static const char *const targets[] = { "bob@example.test",
		"x@else.test" };
	static const bool is_local[] = { true, false };
	struct arena a = ARENA_INIT_MAX(0);
	struct smtp_path to = { .text = SLICE_LIT("bob+lists@example.test") };
	struct accounts_resolution r = { .fate = ACCOUNTS_DELIVER };
	struct guard_push push[2] = { { to_two, 2, false },
		{ NULL, 0, false } };
	struct smtp_reply reply = guard_verdict(&a, &to, &r, push);

	(void)state;
	assert_int_equal(reply.code, 251);
	assert_true(slice_eq_str(reply.text,
	    "<bob+lists@example.test> local\n"
	    "<u@far.test.outside.invalid> relay\n"
	    "<v@far.test.outside.invalid> relay"));
	push[0].only = true;
	r = (struct accounts_resolution){ .fate = ACCOUNTS_FORWARD,
		.targets = targets,
		.target_is_local = is_local,
		.n_targets = 2 };
	reply = guard_verdict(&a, &to, &r, push);
	assert_true(slice_eq_str(reply.text,
	    "<u@far.test.outside.invalid> relay\n"
	    "<v@far.test.outside.invalid> relay\n"
	    "<x@else.test> relay"));
	push[0].n = 0;
	reply = guard_verdict(&a, &to, &r, push);
	assert_true(slice_eq_str(
	    reply.text, "<bob@example.test> local\n<x@else.test> relay"));
	arena_reset(&a);
}

static const struct {
	enum accounts_fate fate;
	int code;
} verify_cases[] = {
	{ ACCOUNTS_DELIVER, 250 },
	{ ACCOUNTS_FORWARD, 250 }, /* and not to whom */
	{ ACCOUNTS_BLOCKED, 550 },
	{ ACCOUNTS_UNKNOWN, 550 },
	{ ACCOUNTS_DISABLED, 550 },
	{ ACCOUNTS_NOT_LOCAL, 252 },
};

static void
what_vrfy_is_told(void **state)
{
	struct arena a = ARENA_INIT_MAX(0);
	struct smtp_path who = { .text = SLICE_LIT("bob@example.test") };

	(void)state;
	for (size_t i = 0; i < sizeof(verify_cases) / sizeof(*verify_cases);
	     i++) {
		struct accounts_resolution r = { .fate = verify_cases[i].fate };
		struct smtp_reply reply = guard_verify(&a, &who, &r);

		assert_int_equal(reply.code, verify_cases[i].code);
		if (reply.code == 250)
			assert_true(
			    slice_eq_str(reply.text, "<bob@example.test>"));
	}
	arena_reset(&a);
}

static void
forward_lists_each_path_and_where_it_is(void **state)
{
	struct arena a = ARENA_INIT_MAX(0);
	const char *targets[] = { "alice@example.test", "x@elsewhere.test" };
	bool local[] = { true, false };
	struct smtp_path to = { .text = SLICE_LIT("sales@example.test") };
	struct accounts_resolution r = { .fate = ACCOUNTS_FORWARD,
		.targets = targets,
		.target_is_local = local,
		.n_targets = 2 };
	struct smtp_reply reply = guard_verdict(&a, &to, &r, NULL);
	struct buf wire = BUF_INIT;

	(void)state;
	assert_int_equal(reply.code, 251);
	assert_true(smtp_reply_write(&wire, &reply));
	assert_string_equal(buf_str(&wire),
	    "251-2.1.5 <alice@example.test> local\r\n"
	    "251 2.1.5 <x@elsewhere.test> relay\r\n");
	buf_clear(&wire);
	arena_reset(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_fate_has_its_reply),
		cmocka_unit_test(blocked_looks_like_unknown),
		cmocka_unit_test(pushed),
		cmocka_unit_test(what_vrfy_is_told),
		cmocka_unit_test(forward_lists_each_path_and_where_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
