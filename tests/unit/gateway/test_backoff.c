/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "gateway/backoff.h"

static void
interval_keeps_within_a_tenth(void **state)
{
	(void)state;
	assert_int_equal(backoff_interval(1000, 0), 900);
	assert_int_equal(backoff_interval(1000, 0xffff), 1100);
	assert_int_equal(backoff_interval(5, 0xffff), 5);
}

static void
retries_double_up_to_the_most(void **state)
{
	static const struct {
		unsigned fails, chance;
		int64_t want;
	} cases[] = { { 1, 0, 100 }, { 2, 0, 200 }, { 3, 0, 400 },
		{ 4, 0, 500 }, { 4000000000U, 0, 500 }, { 1, 0xffff, 75 },
		{ 9, 0xffff, 375 } };
	const struct backoff_conf c = { 100, 500 };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(
		    backoff_retry(&c, cases[i].fails, cases[i].chance),
		    cases[i].want);
	assert_int_equal(
	    backoff_retry(&(struct backoff_conf){ 0, 0 }, 3, 0xffff), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(interval_keeps_within_a_tenth),
		cmocka_unit_test(retries_double_up_to_the_most),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
