/* SPDX-License-Identifier: ISC */
/* Dates: what has been understood is the same when written and read again. */
#include <stdint.h>
#include <stdlib.h>

#include "common/mail/date.h"

static void
check(bool ok)
{
	if (!ok)
		abort();
}

static void
check_date(struct date d)
{
	struct buf b = BUF_INIT;
	struct date again;

	check(d.zone_minutes > -1440 && d.zone_minutes < 1440);
	/* years that have four digits in every zone */
	if (d.time < -62135596800 + 86400 * 2 ||
	    d.time > 253402300799 - 86400 * 2)
		return;
	check(date_put(&b, d));
	check(date_parse(buf_slice(&b), &again) == 0);
	check(again.time == d.time && again.zone_minutes == d.zone_minutes);
	buf_reset(&b);
	check(date_put_imap(&b, d));
	check(date_parse_imap(buf_slice(&b), &again) == 0);
	check(again.time == d.time && again.zone_minutes == d.zone_minutes);
	check(date_day(d) % 86400 == 0);
	buf_clear(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice s = slice(data, size);
	struct date d;
	int64_t day;

	if (date_parse(s, &d) == 0)
		check_date(d);
	if (date_parse_imap(s, &d) == 0)
		check_date(d);
	if (date_parse_imap_day(s, &day) == 0)
		check(day % 86400 == 0);
	return 0;
}
