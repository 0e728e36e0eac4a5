/* SPDX-License-Identifier: ISC */
/*
 * Dates of mail (RFC 5322 3.3, obsolete forms of 4.3, and the common broken
 * ones) and of IMAP (RFC 3501 9 date, date-time). Times are seconds since 1970
 * in UTC; zones minutes east of it. No locale, no TZ.
 */
#ifndef PNEU_MAIL_DATE_H
#define PNEU_MAIL_DATE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/slice.h"

struct date {
	int64_t time;     /* seconds since 1970 */
	int zone_minutes; /* -1439 .. 1439; 0 when unknown ("-0000", "CEST") */
};

/*
 * A Date field. Takes also: no day name, a wrong one, two-digit years, no
 * seconds, no zone (UTC), asctime order, comments, "GMT+2", ISO 8601.
 * 0, or -EINVAL (*out untouched).
 */
int date_parse(struct slice in, struct date *out);
/* "Fri, 20 Nov 2026 22:00:00 +0000". Years 0 to 9999; what is beyond
 * is clamped. */
bool date_put(struct buf *b, struct date d);

/* IMAP date-time, without the quotes: "17-Jul-1996 02:44:25 -0700". */
int date_parse_imap(struct slice in, struct date *out);
bool date_put_imap(struct buf *b, struct date d);

/* IMAP date, with or without quotes: "1-Feb-1994"; its midnight as if in UTC,
 * to be compared with date_day. */
int date_parse_imap_day(struct slice in, int64_t *out);
/* The day of d in its own zone, as midnight UTC of the same calendar day: what
 * SENTON and, for INTERNALDATE, ON compare. */
int64_t date_day(struct date d);

/* ISO 8601 in UTC, "2026-11-20T22:00:00Z", for logs and JSON. */
bool date_put_iso(struct buf *b, int64_t seconds);

#endif
