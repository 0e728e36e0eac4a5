/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "common/auth/outside.h"

static const struct {
	const char *path, *outside; /* NULL: it is none */
} cases[] = {
	{ "you@far.test.outside.invalid", "you@far.test" },
	{ "You+x@Far.test.OUTSIDE.invalid", "You+x@Far.test" },
	{ "\"a b\"@far.test.outside.invalid", "\"a b\"@far.test" },
	{ "you@far.test", NULL },
	{ "you@outside.invalid", NULL },
	{ "you@.outside.invalid", NULL },
	{ "you.outside.invalid", NULL },
	{ ".outside.invalid", NULL },
	{ "you@far.testXoutside.invalid", NULL },
	{ "", NULL },
};

static void
forward_paths(void **state)
{
	struct slice out;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool is = outside_push_is(slice_str(cases[i].path), &out);

		assert_int_equal(is, cases[i].outside != NULL);
		if (is)
			assert_true(slice_eq_str(out, cases[i].outside));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forward_paths),
	};

	return cmocka_run_group_tests_name(
	    "outside_push", tests, NULL, NULL);
}
