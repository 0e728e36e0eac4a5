/* SPDX-License-Identifier: ISC */
/* Tables, sizes and times for people; JSON for programs. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <time.h>
#include <uniwidth.h>

#include "mgmt/commands.h"
#include "mgmt/directory.h"

/* --- sizes --- */

static int
unit_parse(struct slice s, unsigned *shift)
{
	static const char units[] = "kmgt";
	const char *at;

	*shift = 0;
	if (s.n == 0 || slice_eq_str_nocase(s, "b"))
		return 0;
	if ((at = strchr(units, ascii_lower(s.p[0]))) == NULL)
		return -EINVAL;
	*shift = 10 * (unsigned)(at - units + 1);
	s = slice_from(s, 1);
	return s.n == 0 || slice_eq_str_nocase(s, "b") ||
		slice_eq_str_nocase(s, "ib")
	    ? 0
	    : -EINVAL;
}

int
size_parse(const char *text, uint64_t *octets)
{
	struct slice s = slice_trim(slice_str(text)), number = s, whole;
	uint64_t n, tenths = 0;
	unsigned shift;
	size_t digits = 0;

	if (slice_eq_str_nocase(s, "none") ||
	    slice_eq_str_nocase(s, "unlimited")) {
		*octets = 0;
		return 0;
	}
	while (
	    digits < s.n && (ascii_is_digit(s.p[digits]) || s.p[digits] == '.'))
		digits++;
	number = slice_head(s, digits);
	if (unit_parse(slice_trim(slice_from(s, digits)), &shift) != 0)
		return -EINVAL;
	whole = slice_split(&number, '.');
	if (slice_u64(whole, (uint64_t)INT64_MAX >> shift, &n) != 0 ||
	    (number.n > 0 &&
		(shift == 0 ||
		    slice_u64(slice_head(number, 1), 9, &tenths) != 0)) ||
	    number.n > 1)
		return -EINVAL;
	*octets = (n << shift) + (((uint64_t)1 << shift) * tenths) / 10;
	return *octets <= INT64_MAX ? 0 : -EINVAL;
}

const char *
size_text(struct arena *a, uint64_t octets)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB",
		"PiB", "EiB" };
	unsigned unit = 0;
	uint64_t tenths;

	if (octets == 0)
		return "-";
	while (unit < 6 && octets >> (10 * (unit + 1)) != 0)
		unit++;
	/* 6 * 10 + 64 bits would overflow: drop what is far below a tenth. */
	tenths = unit == 0 ? octets * 10
			   : ((octets >> (10 * (unit - 1))) * 10 + 512) >> 10;
	if (tenths % 10 == 0)
		return arena_printf(a, "%llu %s",
		    (unsigned long long)(tenths / 10), units[unit]);
	return arena_printf(a, "%llu.%llu %s",
	    (unsigned long long)(tenths / 10),
	    (unsigned long long)(tenths % 10), units[unit]);
}

const char *
count_text(struct arena *a, uint64_t n)
{
	if (n == 0)
		return "-";
	return arena_printf(a, "%llu", (unsigned long long)n);
}

const char *
time_text(struct arena *a, int64_t s)
{
	char text[32] = "";
	time_t t = (time_t)s;
	struct tm tm;

	if (s != 0 && gmtime_r(&t, &tm) != NULL)
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return arena_strdup(a, slice_str(text));
}

/* --- tables --- */

static int
width_of(const char *s)
{
	return u8_strwidth((const uint8_t *)s, "UTF-8");
}

void
table_init(
    struct table *t, struct arena *a, size_t columns, const char *const *head)
{
	*t = (struct table){ .arena = a, .columns = columns };
	table_row(t, head);
}

void
table_row(struct table *t, const char *const *cells)
{
	if (t->n + t->columns > t->cap) {
		size_t cap = t->cap == 0 ? 32 * t->columns : t->cap * 2;
		const char **v = arena_array(t->arena, cap, sizeof(*v));

		if (v == NULL) {
			complain("out of memory");
			exit(EX_OSERR);
		}
		if (t->n > 0)
			memcpy(v, t->cells, t->n * sizeof(*v));
		t->cells = v;
		t->cap = cap;
	}
	for (size_t i = 0; i < t->columns; i++)
		t->cells[t->n++] =
		    cells[i] != NULL && cells[i][0] != '\0' ? cells[i] : "-";
}

void
table_print(const struct table *t)
{
	int widths[TABLE_COLUMNS_MAX] = { 0 };

	for (size_t i = 0; i < t->n; i++) {
		int w = width_of(t->cells[i]);

		if (w > widths[i % t->columns])
			widths[i % t->columns] = w;
	}
	for (size_t i = 0; i < t->n; i++) {
		bool last = i % t->columns == t->columns - 1;
		int pad = widths[i % t->columns] - width_of(t->cells[i]);

		if (last)
			printf("%s\n", t->cells[i]);
		else
			printf("%s%*s", t->cells[i], pad + 2, "");
	}
}

void
show_line(const char *name, const char *value)
{
	printf("%-12s  %s\n", name,
	    value != NULL && value[0] != '\0' ? value : "-");
}

/* --- JSON --- */

int
json_print(json_t *j)
{
	int rc = j == NULL ? -1 : json_dumpf(j, stdout, JSON_INDENT(2));

	json_decref(j);
	if (rc != 0) {
		complain("cannot write JSON");
		return EX_IOERR;
	}
	putchar('\n');
	return EX_OK;
}

json_t *
json_texts(const char *const *v, size_t n)
{
	json_t *a = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(a, json_string(v[i]));
	return a;
}

json_t *
json_time(int64_t s)
{
	struct arena a = { 0 };
	json_t *j = s == 0 ? json_null() : json_string(time_text(&a, s));

	arena_reset(&a);
	return j;
}
