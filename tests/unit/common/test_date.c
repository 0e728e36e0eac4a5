/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#include "common/mail/date.h"

#define N(a) (sizeof(a) / sizeof(*(a)))

/* Expected: written again by date_put; NULL: -EINVAL. */
static const struct {
	const char *in, *out;
} dates[] = {
	/* RFC 5322 A.1, A.5, A.6 */
	{ "Fri, 21 Nov 1997 09:55:06 -0600",
	    "Fri, 21 Nov 1997 09:55:06 -0600" },
	{ "Tue, 1 Jul 2003 10:52:37 +0200", "Tue, 01 Jul 2003 10:52:37 +0200" },
	{ "Thu,\r\n      13\r\n        Feb\r\n          1969\r\n      23:32\r\n"
	  "               -0330 (Newfoundland Time)",
	    "Thu, 13 Feb 1969 23:32:00 -0330" },
	{ "21 Nov 97 09:55:06 GMT", "Fri, 21 Nov 1997 09:55:06 +0000" },
	{ "Fri, 21 Nov 1997 09(comment):   55  :  06 -0600",
	    "Fri, 21 Nov 1997 09:55:06 -0600" },
	/* no day name, a wrong one, no seconds, no zone, no time */
	{ "20 Nov 2026 22:00:00 +0000", "Fri, 20 Nov 2026 22:00:00 +0000" },
	{ "Mon, 20 Nov 2026 22:00:00 +0000",
	    "Fri, 20 Nov 2026 22:00:00 +0000" },
	{ "Fri, 20 Nov 2026 22:00 +0000", "Fri, 20 Nov 2026 22:00:00 +0000" },
	{ "Fri, 20 Nov 2026 22:00:00", "Fri, 20 Nov 2026 22:00:00 +0000" },
	{ "20 Nov 2026", "Fri, 20 Nov 2026 00:00:00 +0000" },
	/* years (RFC 5322 4.3) */
	{ "20 Nov 49 22:00:00 +0000", "Sat, 20 Nov 2049 22:00:00 +0000" },
	{ "20 Nov 50 22:00:00 +0000", "Mon, 20 Nov 1950 22:00:00 +0000" },
	{ "20 Nov 126 22:00:00 +0000", "Fri, 20 Nov 2026 22:00:00 +0000" },
	/* zones */
	{ "1 Jan 2026 00:00:00 EST", "Thu, 01 Jan 2026 00:00:00 -0500" },
	{ "1 Jan 2026 00:00:00 PDT", "Thu, 01 Jan 2026 00:00:00 -0700" },
	{ "1 Jan 2026 00:00:00 UT", "Thu, 01 Jan 2026 00:00:00 +0000" },
	{ "1 Jan 2026 00:00:00 Z", "Thu, 01 Jan 2026 00:00:00 +0000" },
	{ "1 Jan 2026 00:00:00 CEST", "Thu, 01 Jan 2026 00:00:00 +0000" },
	{ "1 Jan 2026 00:00:00 -0000", "Thu, 01 Jan 2026 00:00:00 +0000" },
	{ "1 Jan 2026 00:00:00 +9999", "Thu, 01 Jan 2026 00:00:00 +0000" },
	{ "1 Jan 2026 00:00:00 GMT+2", "Thu, 01 Jan 2026 00:00:00 +0200" },
	{ "1 Jan 2026 00:00:00 +05:30", "Thu, 01 Jan 2026 00:00:00 +0530" },
	{ "1 Jan 2026 00:00:00+0530", "Thu, 01 Jan 2026 00:00:00 +0530" },
	{ "Thu Jan 01 2026 10:00:00 GMT+0100 (CET)",
	    "Thu, 01 Jan 2026 10:00:00 +0100" },
	/* other orders and forms */
	{ "Fri Nov 20 22:00:00 2026", "Fri, 20 Nov 2026 22:00:00 +0000" },
	{ "Fri Nov 20 22:00:00 EST 2026", "Fri, 20 Nov 2026 22:00:00 -0500" },
	{ "20-Nov-2026 22:00:00 +0100", "Fri, 20 Nov 2026 22:00:00 +0100" },
	{ "2026-11-20T22:00:00Z", "Fri, 20 Nov 2026 22:00:00 +0000" },
	{ "2026-11-20 22:00:00.123 +01:00", "Fri, 20 Nov 2026 22:00:00 +0100" },
	{ "November 20, 2026 10:00:00 PM", "Fri, 20 Nov 2026 22:00:00 +0000" },
	{ "20 Nov 2026 12:30 AM", "Fri, 20 Nov 2026 00:30:00 +0000" },
	{ "FRI, 20 NOV 2026 22:00:00 +0000",
	    "Fri, 20 Nov 2026 22:00:00 +0000" },
	/* the calendar */
	{ "29 Feb 2024 00:00:00 +0000", "Thu, 29 Feb 2024 00:00:00 +0000" },
	{ "29 Feb 2000 00:00:00 +0000", "Tue, 29 Feb 2000 00:00:00 +0000" },
	{ "31 Dec 2016 23:59:60 +0000", "Sun, 01 Jan 2017 00:00:00 +0000" },
	{ "1 Jan 1970 00:00:00 +0000", "Thu, 01 Jan 1970 00:00:00 +0000" },
	{ "31 Dec 1969 23:59:59 +0000", "Wed, 31 Dec 1969 23:59:59 +0000" },
	{ "29 Feb 2023 00:00:00 +0000", NULL },
	{ "29 Feb 1900 00:00:00 +0000", NULL },
	{ "31 Apr 2026 00:00:00 +0000", NULL },
	{ "0 Apr 2026 00:00:00 +0000", NULL },
	{ "20 Nov 2026 24:00:00 +0000", NULL },
	{ "20 Nov 2026 22:60:00 +0000", NULL },
	{ "20 Nov 2026 22:00:61 +0000", NULL },
	{ "20 Foo 2026 22:00:00 +0000", NULL },
	{ "Nov 2026", NULL },
	{ "20 Nov", NULL },
	{ "20 Nov 20261 22:00:00", NULL },
	{ "", NULL },
	{ "yesterday", NULL },
	{ "(20 Nov 2026", NULL },
};

static void
dates_are_parsed(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(dates); i++) {
		struct date d = { 42, 42 };
		struct buf b = BUF_INIT;
		int rc = date_parse(slice_str(dates[i].in), &d);

		if (rc != (dates[i].out == NULL ? -EINVAL : 0))
			fail_msg("%s: %d", dates[i].in, rc);
		if (rc != 0) {
			assert_int_equal(d.time, 42);
			continue;
		}
		date_put(&b, d);
		assert_string_equal(buf_str(&b), dates[i].out);
		buf_clear(&b);
	}
}

static void
times_are_seconds_in_utc(void **state)
{
	struct date d;

	(void)state;
	assert_int_equal(
	    date_parse(SLICE_LIT("Fri, 20 Nov 2026 22:00:00 +0200"), &d), 0);
	assert_int_equal(d.time, 1795204800);
	assert_int_equal(d.zone_minutes, 120);
}

static const struct {
	const char *in;
	int64_t time; /* INT64_MIN: -EINVAL */
	int zone;
} date_times[] = {
	{ "17-Jul-1996 02:44:25 -0700", 837596665, -420 }, /* RFC 3501 2.3.3 */
	{ " 1-Feb-1994 21:52:25 -0800", 760168345, -480 },
	{ "01-Feb-1994 21:52:25 -0800", 760168345, -480 },
	{ "17-JUL-1996 02:44:25 +0000", 837571465, 0 },
	{ "1-Feb-1994 21:52:25 -0800", INT64_MIN, 0 },
	{ "17-Jul-1996 02:44:25", INT64_MIN, 0 },
	{ "17-Jul-1996 02:44:25 -0700 ", INT64_MIN, 0 },
	{ "17-Jul-1996  2:44:25 -0700", INT64_MIN, 0 },
	{ "31-Jun-1996 02:44:25 -0700", INT64_MIN, 0 },
	{ "17-Jul-96 02:44:25 -0700", INT64_MIN, 0 },
	{ "17 Jul 1996 02:44:25 -0700", INT64_MIN, 0 },
	{ "17-Jul-1996 02:44:25 0700", INT64_MIN, 0 },
	{ "17-Jul-1996 02:44:25 +0760", INT64_MIN, 0 },
	{ "17-July-1996 02:44:25 +0700", INT64_MIN, 0 },
	{ "", INT64_MIN, 0 },
};

static void
imap_date_times_are_strict(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(date_times); i++) {
		struct date d = { 0 }, again = { 0 };
		struct buf b = BUF_INIT;
		int rc = date_parse_imap(slice_str(date_times[i].in), &d);

		if (date_times[i].time == INT64_MIN) {
			assert_int_equal(rc, -EINVAL);
			continue;
		}
		assert_int_equal(rc, 0);
		assert_int_equal(d.time, date_times[i].time);
		assert_int_equal(d.zone_minutes, date_times[i].zone);
		date_put_imap(&b, d);
		assert_int_equal(b.n, 26);
		assert_int_equal(date_parse_imap(buf_slice(&b), &again), 0);
		assert_int_equal(again.time, d.time);
		buf_clear(&b);
	}
}

static void
imap_days_compare_with_the_day_of_a_date(void **state)
{
	struct date d;
	int64_t day, quoted;

	(void)state;
	assert_int_equal(date_parse_imap_day(SLICE_LIT("1-Feb-1994"), &day), 0);
	assert_int_equal(
	    date_parse_imap_day(SLICE_LIT("\"01-Feb-1994\""), &quoted), 0);
	assert_int_equal(day, quoted);
	/* in UTC this is the 2nd already: the zone is disregarded */
	date_parse(SLICE_LIT("1 Feb 1994 23:00:00 -0800"), &d);
	assert_int_equal(date_day(d), day);
	date_parse(SLICE_LIT("31 Dec 1969 23:00:00 +0000"), &d);
	assert_int_equal(date_day(d), -86400);
	assert_int_equal(
	    date_parse_imap_day(SLICE_LIT("1-Feb-94"), &day), -EINVAL);
	assert_int_equal(
	    date_parse_imap_day(SLICE_LIT("30-Feb-1994"), &day), -EINVAL);
	assert_int_equal(
	    date_parse_imap_day(SLICE_LIT("1-Feb-1994x"), &day), -EINVAL);
	assert_int_equal(date_parse_imap_day(SLICE_LIT(""), &day), -EINVAL);
}

static void
writing_clamps(void **state)
{
	struct buf b = BUF_INIT;

	(void)state;
	date_put(&b, (struct date){ INT64_MAX, 1439 });
	assert_int_equal(b.n, 31);
	buf_reset(&b);
	date_put_imap(&b, (struct date){ INT64_MIN, -1439 });
	assert_int_equal(b.n, 26);
	buf_reset(&b);
	date_put_iso(&b, 1795204800);
	assert_string_equal(buf_str(&b), "2026-11-20T20:00:00Z");
	buf_clear(&b);
}

static void
every_day_survives_both_ways(void **state)
{
	struct buf b = BUF_INIT;
	struct date d;

	(void)state;
	for (int64_t t = -2208988800; t < 4102444800; t += 86400 * 13 + 3661) {
		buf_reset(&b);
		date_put(&b, (struct date){ t, 0 });
		assert_int_equal(date_parse(buf_slice(&b), &d), 0);
		assert_int_equal(d.time, t);
	}
	buf_clear(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dates_are_parsed),
		cmocka_unit_test(times_are_seconds_in_utc),
		cmocka_unit_test(imap_date_times_are_strict),
		cmocka_unit_test(imap_days_compare_with_the_day_of_a_date),
		cmocka_unit_test(writing_clamps),
		cmocka_unit_test(every_day_survives_both_ways),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
