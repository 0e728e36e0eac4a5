/* SPDX-License-Identifier: ISC */
/* The frame of a request of the API: how often somebody may ask. Routes are in
 * test_api_openapi, the rest in e2e test_openapi and test_manage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/net/http_api.h"

static void
a_sixth_at_once(void **state)
{
	int wait = 0, n = 0;

	(void)state;
	/* 10 at once of few; one more comes in each 6 s. */
	while (n < 1000 && (wait = http_rate_take(SLICE_LIT("a"), 10)) == 0)
		n++;
	assert_in_range(n, 10, 20);
	assert_in_range(wait, 1, 7);
	/* It stays so, and is nobody else's. */
	assert_int_equal(http_rate_take(SLICE_LIT("b"), 10), 0);
	/* 600 a minute: 100 at once. */
	for (n = 0; n < 1000 && http_rate_take(SLICE_LIT("c"), 600) == 0;)
		n++;
	assert_in_range(n, 100, 400);
}

static void
any_number(void **state)
{
	(void)state;
	for (int i = 0; i < 10000; i++)
		assert_int_equal(http_rate_take(SLICE_LIT("d"), 0), 0);
}

/* Names are cut, and buckets used anew: never out of bounds. */
static void
many_askers(void **state)
{
	char name[300];

	(void)state;
	memset(name, 'x', sizeof(name));
	assert_int_equal(
	    http_rate_take(slice(name, sizeof(name)), 1000000), 0);
	for (int i = 0; i < 20000; i++) {
		int n = snprintf(name, sizeof(name), "who %d", i);

		assert_int_equal(http_rate_take(slice(name, (size_t)n), 10), 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sixth_at_once),
		cmocka_unit_test(any_number),
		cmocka_unit_test(many_askers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
