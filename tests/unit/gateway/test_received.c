/* SPDX-License-Identifier: ISC */
/* When a server got a message, by what the message says. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "gateway/received.h"

#define NOW 1000000000 /* Sun, 09 Sep 2001 01:46:40 +0000 */
#define TOP                                                                    \
	"Received: from a (b; c) by d;\r\n\tSun, 9 Sep 2001 01:46:30 "         \
	"+0000\r\n"
#define BELOW "Received: by e; Sun, 9 Sep 2001 01:00:00 +0000\r\n"
#define DATE "Date: Sun, 9 Sep 2001 00:00:00 +0000\r\n"

static int64_t
at(const char *text)
{
	struct spool *s = NULL;
	int64_t seconds;

	assert_int_equal(spool_new(&s, "/tmp"), 0);
	assert_int_equal(spool_write(s, slice_str(text)), 0);
	seconds = received_at(s, NOW);
	spool_free(&s);
	return seconds;
}

static void
by_the_topmost(void **state)
{
	(void)state;
	assert_true(at(TOP BELOW DATE "\r\nText\r\n") == NOW - 10);
	assert_true(at(DATE BELOW TOP "\r\n") == NOW - 2800);
	assert_true(
	    at("rEcEiVeD: by d; 9 Sep 2001 01:46 -0000 (x)\r\n") == NOW - 40);
}

static void
else_by_date(void **state)
{
	(void)state;
	assert_true(at(DATE "\r\n") == NOW - 6400);
	assert_true(at("Received: by d\r\n" DATE) == NOW - 6400);
	assert_true(at("Received: by d; soon\r\n" DATE) == NOW - 6400);
}

static void
else_nobody_knows(void **state)
{
	(void)state;
	assert_true(at("") == INT64_MIN);
	assert_true(at("\r\n" TOP) == INT64_MIN);
	assert_true(at("Subject: x\r\n\r\n" DATE) == INT64_MIN);
	assert_true(at("Received: ;\r\n\r\n") == INT64_MIN);
	assert_true(
	    at("Date: Sun, 9 Sep 2001 01:46:41 +0000\r\n") == INT64_MIN);
	assert_true(at("Date: 1 Jan 1960 00:00:00 +0000\r\n") == INT64_MIN);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_the_topmost),
		cmocka_unit_test(else_by_date),
		cmocka_unit_test(else_nobody_knows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
