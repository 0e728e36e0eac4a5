/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "qm/retry.h"

#define MIN ((int64_t)60000)

static const struct retry_conf conf = { .first_ms = 5 * MIN,
	.max_ms = 240 * MIN,
	.max_age_ms = 5 * 24 * 60 * MIN,
	.delay_notice_ms = 240 * MIN };

static void
waits_double_up_to_the_longest(void **state)
{
	static const int64_t minutes[] = { 5, 5, 10, 20, 40, 80, 160, 240,
		240 };

	(void)state;
	for (unsigned i = 0; i < sizeof(minutes) / sizeof(minutes[0]); i++) {
		assert_int_equal(retry_next_ms(&conf, i, 0, 1000, 0),
		    1000 + minutes[i] * MIN);
		/* Jitter takes at most a quarter off. */
		assert_int_equal(retry_next_ms(&conf, i, 0, 1000, 65535),
		    1000 + minutes[i] * MIN * 3 / 4);
	}
	assert_int_equal(
	    retry_next_ms(&conf, 4000000000u, 0, 1000, 0), 1000 + 240 * MIN);
}

static void
jitter_spreads(void **state)
{
	int64_t last = retry_next_ms(&conf, 3, 0, 0, 0);

	(void)state;
	for (unsigned chance = 4096; chance < 65536; chance += 4096) {
		int64_t next = retry_next_ms(&conf, 3, 0, 0, chance);

		assert_true(next < last);
		last = next;
	}
}

static void
the_last_attempt_is_at_the_end_of_the_age(void **state)
{
	int64_t end = conf.max_age_ms;

	(void)state;
	assert_int_equal(retry_next_ms(&conf, 9, 0, end - MIN, 0), end);
	assert_false(retry_is_over(&conf, 0, end - 1));
	assert_true(retry_is_over(&conf, 0, end));
	/* Past the end (the machine was off) it still lies ahead. */
	assert_true(retry_next_ms(&conf, 9, 0, end + MIN, 0) > end + MIN);
}

static void
odd_settings_make_no_endless_loop(void **state)
{
	struct retry_conf odd = {
		.first_ms = 1, .max_ms = 1, .max_age_ms = 1000
	};

	(void)state;
	assert_int_equal(retry_next_ms(&odd, 3, 0, 10, 65535), 11);
	odd = (struct retry_conf){ .first_ms = INT64_MAX / 2,
		.max_ms = INT64_MAX / 2,
		.max_age_ms = 1000 };
	assert_int_equal(retry_next_ms(&odd, 5, 0, 10, 0), 1000);
	odd.first_ms = 500; /* larger than the longest */
	odd.max_ms = 100;
	assert_int_equal(retry_next_ms(&odd, 1, 0, 10, 0), 110);
}

static void
delay_is_told_after_its_time_or_never(void **state)
{
	struct retry_conf never = conf;

	(void)state;
	never.delay_notice_ms = 0;
	assert_false(retry_is_delayed(&conf, 0, 240 * MIN - 1));
	assert_true(retry_is_delayed(&conf, 0, 240 * MIN));
	assert_false(retry_is_delayed(&never, 0, INT64_MAX));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(waits_double_up_to_the_longest),
		cmocka_unit_test(jitter_spreads),
		cmocka_unit_test(the_last_attempt_is_at_the_end_of_the_age),
		cmocka_unit_test(odd_settings_make_no_endless_loop),
		cmocka_unit_test(delay_is_told_after_its_time_or_never),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
