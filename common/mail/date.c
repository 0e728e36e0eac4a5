/* SPDX-License-Identifier: ISC */
/*
 * The parser takes words in nearly any order and asks of each what it can be:
 * that covers RFC 5322, asctime, and most of what is between.
 */
#include "common/mail/date.h"

#include <errno.h>

#include "common/mail/lex.h"

static const char month_names[12][4] = { "Jan", "Feb", "Mar", "Apr", "May",
	"Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
static const char day_names[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri",
	"Sat" };

/* Obsolete zones with a meaning (RFC 5322 4.3); others count as -0000. */
static const struct {
	const char *name;
	int minutes;
} zones[] = {
	{ "EDT", -4 * 60 },
	{ "EST", -5 * 60 },
	{ "CDT", -5 * 60 },
	{ "CST", -6 * 60 },
	{ "MDT", -6 * 60 },
	{ "MST", -7 * 60 },
	{ "PDT", -7 * 60 },
	{ "PST", -8 * 60 },
};

struct fields {
	int year, month, day; /* month 1 .. 12; -1: not seen */
	int hour, minute, second;
	int zone;
	bool pm, am;
};

/* --- calendar (proleptic Gregorian) --- */

static bool
is_leap(int year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int
days_in_month(int year, int month)
{
	static const int days[12] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31,
		30, 31 };

	return days[month - 1] + (month == 2 && is_leap(year));
}

/* Days since 1970-01-01; years begin in March, so that February is last. */
static int64_t
days_of(int year, int month, int day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = (y >= 0 ? y : y - 399) / 400, in_era = y - era * 400;
	int64_t in_year =
	    (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + in_era * 365 + in_era / 4 - in_era / 100 +
	    in_year - 719468;
}

static int64_t
floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

static void
civil_of(int64_t days, int *year, int *month, int *day)
{
	int64_t z = days + 719468, era = floor_div(z, 146097);
	int64_t in_era = z - era * 146097;
	int64_t y =
	    (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
	int64_t in_year = in_era - (365 * y + y / 4 - y / 100);
	int64_t m = (5 * in_year + 2) / 153;

	*day = (int)(in_year - (153 * m + 2) / 5 + 1);
	*month = (int)(m < 10 ? m + 3 : m - 9);
	*year = (int)(y + era * 400 + (*month <= 2));
}

/* Of a time in its zone, clamped to years 0 .. 9999. */
static struct fields
fields_of(struct date d, int *weekday)
{
	struct fields f = { .zone = d.zone_minutes };
	const int64_t min = -62167219200, max = 253402300799;
	int64_t t = d.time, days, in_day;

	if (t < min + 86400)
		t = min + 86400;
	if (t > max - 86400)
		t = max - 86400;
	t += (int64_t)d.zone_minutes * 60;
	days = floor_div(t, 86400);
	in_day = t - days * 86400;
	civil_of(days, &f.year, &f.month, &f.day);
	f.hour = (int)(in_day / 3600);
	f.minute = (int)(in_day / 60 % 60);
	f.second = (int)(in_day % 60);
	*weekday = (int)((days % 7 + 11) % 7); /* day 0 was a Thursday */
	return f;
}

static int
date_of(const struct fields *f, struct date *out)
{
	if (f->year < 0 || f->month < 1 || f->day < 1 ||
	    f->day > days_in_month(f->year, f->month) || f->hour > 23 ||
	    f->minute > 59 || f->second > 60)
		return -EINVAL;
	out->zone_minutes = f->zone;
	out->time = days_of(f->year, f->month, f->day) * 86400 +
	    f->hour * 3600 + f->minute * 60 + f->second - (int64_t)f->zone * 60;
	return 0;
}

/* --- words --- */

/* The decimal number at the start of *s, at most `digits` long; -1: none. */
static int
take_number(struct slice *s, size_t digits, size_t *n)
{
	int v = 0;

	for (*n = 0; *n < digits && *n < s->n && ascii_is_digit(s->p[*n]); ++*n)
		v = v * 10 + (s->p[*n] - '0');
	*s = slice_from(*s, *n);
	return *n == 0 ? -1 : v;
}

static bool
take_char(struct slice *s, char c)
{
	if (s->n == 0 || *s->p != c)
		return false;
	*s = slice_from(*s, 1);
	return true;
}

/* 1 .. 12 for a name that begins with that of a month, else 0. */
static int
month_of(struct slice word)
{
	for (int i = 0; i < 12; i++)
		if (slice_starts_nocase(word, month_names[i]))
			return i + 1;
	return 0;
}

/* A ":" with white space and comments around it (RFC 5322 4.3). */
static bool
take_colon(struct slice *s)
{
	struct slice t = lex_skip_cfws(*s);

	if (!take_char(&t, ':'))
		return false;
	*s = lex_skip_cfws(t);
	return true;
}

/* "mm[:ss[.fraction]]" after the hour. */
static bool
take_time(struct slice *s, struct fields *f)
{
	size_t n;

	if ((f->minute = take_number(s, 2, &n)) < 0)
		return false;
	if (!take_colon(s))
		return true;
	if ((f->second = take_number(s, 2, &n)) < 0)
		return false;
	if (take_char(s, '.') || take_char(s, ','))
		while (s->n > 0 && ascii_is_digit(*s->p))
			*s = slice_from(*s, 1);
	return true;
}

/* Digits after a sign: hhmm, hh:mm, hmm, hh or h. */
static void
take_zone(struct slice *s, int sign, struct fields *f)
{
	size_t n, more = 0;
	int v = take_number(s, 4, &n), minutes;

	if (v < 0)
		return;
	minutes = n <= 2 ? v * 60 : v / 100 * 60 + v % 100;
	if (n <= 2 && take_char(s, ':') && (v = take_number(s, 2, &more)) > 0)
		minutes += v;
	if (minutes < 24 * 60)
		f->zone = sign * minutes;
}

/* The year as written; RFC 5322 4.3 on those of 2 and 3 digits. */
static int
full_year(int v, size_t digits)
{
	if (digits <= 2)
		return v < 50 ? v + 2000 : v + 1900;
	return digits == 3 ? v + 1900 : v;
}

static bool
take_digits(struct slice *s, struct fields *f)
{
	size_t n;
	int v = take_number(s, 4, &n);

	if (s->n > 0 && ascii_is_digit(*s->p))
		return false; /* no part of a date is that long */
	if (f->hour < 0 && n <= 2 && take_colon(s)) {
		f->hour = v;
		return take_time(s, f);
	}
	if (f->day < 0 && n <= 2)
		f->day = v;
	else if (f->year < 0)
		f->year = full_year(v, n);
	return true;
}

static void
take_word(struct slice *s, struct fields *f)
{
	struct slice word = *s;

	for (word.n = 0; word.n < s->n && ascii_is_alpha(word.p[word.n]);)
		word.n++;
	*s = slice_from(*s, word.n);
	if (f->month < 0 && month_of(word) > 0)
		f->month = month_of(word);
	else if (slice_eq_str_nocase(word, "PM"))
		f->pm = true;
	else if (slice_eq_str_nocase(word, "AM"))
		f->am = true;
	for (size_t i = 0; i < sizeof(zones) / sizeof(*zones); i++)
		if (f->hour >= 0 && slice_eq_str_nocase(word, zones[i].name))
			f->zone = zones[i].minutes;
}

/* "yyyy-mm-dd" at the start, as ISO 8601 has it. */
static void
take_iso_day(struct slice *s, struct fields *f)
{
	struct slice t = *s;
	size_t n;
	int year = take_number(&t, 4, &n), month, day;

	if (n != 4 || !take_char(&t, '-'))
		return;
	if ((month = take_number(&t, 2, &n)) < 1 || month > 12 ||
	    !take_char(&t, '-') || (day = take_number(&t, 2, &n)) < 0)
		return;
	f->year = year;
	f->month = month;
	f->day = day;
	*s = t;
}

static bool
parse_fields(struct slice s, struct fields *f)
{
	take_iso_day(&s, f);
	while (s.n > 0) {
		char c = *s.p;

		if (ascii_is_digit(c)) {
			if (!take_digits(&s, f))
				return false;
		} else if (ascii_is_alpha(c)) {
			take_word(&s, f);
		} else if (c == '(') {
			s = slice_from(s, lex_comment_size(s));
		} else {
			s = slice_from(s, 1);
			if (f->hour >= 0 && (c == '+' || c == '-'))
				take_zone(&s, c == '-' ? -1 : 1, f);
		}
	}
	return true;
}

int
date_parse(struct slice in, struct date *out)
{
	struct fields f = { -1, -1, -1, -1, 0, 0, 0, false, false };

	/* Nothing that is longer is a date; and parsing stays cheap. */
	if (!parse_fields(slice_head(slice_trim(in), 256), &f))
		return -EINVAL;
	if (f.hour < 0)
		f.hour = 0;
	if (f.pm && f.hour < 12)
		f.hour += 12;
	if (f.am && f.hour == 12)
		f.hour = 0;
	return date_of(&f, out);
}

bool
date_put(struct buf *b, struct date d)
{
	int weekday;
	struct fields f = fields_of(d, &weekday);
	int zone = f.zone < 0 ? -f.zone : f.zone;

	return buf_printf(b, "%s, %02d %s %04d %02d:%02d:%02d %c%02d%02d",
	    day_names[weekday], f.day, month_names[f.month - 1], f.year, f.hour,
	    f.minute, f.second, f.zone < 0 ? '-' : '+', zone / 60, zone % 60);
}

/* --- IMAP: strict --- */

/* 2 digits within a range; -1 otherwise. */
static int
take_two(struct slice *s, int min, int max)
{
	size_t n;
	int v = take_number(s, 2, &n);

	return n == 2 && v >= min && v <= max ? v : -1;
}

/* "-Mon-yyyy" */
static bool
take_month_year(struct slice *s, struct fields *f)
{
	size_t n;

	if (!take_char(s, '-') || (f->month = month_of(slice_head(*s, 3))) == 0)
		return false;
	*s = slice_from(*s, 3);
	if (!take_char(s, '-'))
		return false;
	f->year = take_number(s, 4, &n);
	return n == 4;
}

int
date_parse_imap(struct slice in, struct date *out)
{
	struct fields f = { 0 };
	size_t n;
	int sign, hours, minutes;

	f.day = take_char(&in, ' ') ? take_number(&in, 1, &n)
				    : take_two(&in, 1, 31);
	if (f.day < 1 || !take_month_year(&in, &f) || !take_char(&in, ' '))
		return -EINVAL;
	if ((f.hour = take_two(&in, 0, 23)) < 0 || !take_char(&in, ':') ||
	    (f.minute = take_two(&in, 0, 59)) < 0 || !take_char(&in, ':') ||
	    (f.second = take_two(&in, 0, 60)) < 0 || !take_char(&in, ' '))
		return -EINVAL;
	sign = take_char(&in, '+') ? 1 : take_char(&in, '-') ? -1 : 0;
	if (sign == 0 || (hours = take_two(&in, 0, 23)) < 0 ||
	    (minutes = take_two(&in, 0, 59)) < 0 || in.n > 0)
		return -EINVAL;
	f.zone = sign * (hours * 60 + minutes);
	return date_of(&f, out);
}

bool
date_put_imap(struct buf *b, struct date d)
{
	int weekday;
	struct fields f = fields_of(d, &weekday);
	int zone = f.zone < 0 ? -f.zone : f.zone;

	return buf_printf(b, "%02d-%s-%04d %02d:%02d:%02d %c%02d%02d", f.day,
	    month_names[f.month - 1], f.year, f.hour, f.minute, f.second,
	    f.zone < 0 ? '-' : '+', zone / 60, zone % 60);
}

int
date_parse_imap_day(struct slice in, int64_t *out)
{
	struct fields f = { 0 };
	struct date d;
	size_t n;

	if (in.n >= 2 && in.p[0] == '"' && in.p[in.n - 1] == '"')
		in = slice(in.p + 1, in.n - 2);
	f.day = take_number(&in, 2, &n);
	if (f.day < 1 || !take_month_year(&in, &f) || in.n > 0 ||
	    date_of(&f, &d) != 0)
		return -EINVAL;
	*out = d.time;
	return 0;
}

int64_t
date_day(struct date d)
{
	return floor_div(d.time + (int64_t)d.zone_minutes * 60, 86400) * 86400;
}

bool
date_put_iso(struct buf *b, int64_t seconds)
{
	int weekday;
	struct fields f = fields_of((struct date){ seconds, 0 }, &weekday);

	return buf_printf(b, "%04d-%02d-%02dT%02d:%02d:%02dZ", f.year, f.month,
	    f.day, f.hour, f.minute, f.second);
}
