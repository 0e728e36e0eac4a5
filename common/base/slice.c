/* SPDX-License-Identifier: ISC */
#include "common/base/slice.h"

#include <errno.h>
#include <stdlib.h>

bool
slice_eq(struct slice a, struct slice b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool
slice_eq_nocase(struct slice a, struct slice b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		if (ascii_lower(a.p[i]) != ascii_lower(b.p[i]))
			return false;
	return true;
}

bool
slice_eq_str(struct slice a, const char *s)
{
	return slice_eq(a, slice_str(s));
}

bool
slice_eq_str_nocase(struct slice a, const char *s)
{
	return slice_eq_nocase(a, slice_str(s));
}

bool
slice_starts(struct slice s, const char *prefix)
{
	return slice_eq_str(slice_head(s, strlen(prefix)), prefix);
}

bool
slice_starts_nocase(struct slice s, const char *prefix)
{
	return slice_eq_str_nocase(slice_head(s, strlen(prefix)), prefix);
}

bool
slice_ends_nocase(struct slice s, const char *suffix)
{
	size_t n = strlen(suffix);

	return s.n >= n && slice_eq_str_nocase(slice_from(s, s.n - n), suffix);
}

int
slice_cmp(struct slice a, struct slice b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int c = n == 0 ? 0 : memcmp(a.p, b.p, n);

	if (c != 0)
		return c;
	return (a.n > b.n) - (a.n < b.n);
}

ssize_t
slice_find(struct slice s, char c)
{
	const char *at = s.n == 0 ? NULL : memchr(s.p, c, s.n);

	return at == NULL ? -1 : at - s.p;
}

ssize_t
slice_rfind(struct slice s, char c)
{
	const char *at = s.n == 0 ? NULL : memrchr(s.p, c, s.n);

	return at == NULL ? -1 : at - s.p;
}

ssize_t
slice_find_slice(struct slice s, struct slice needle)
{
	const char *at;

	if (needle.n == 0)
		return 0;
	at = s.n == 0 ? NULL : memmem(s.p, s.n, needle.p, needle.n);
	return at == NULL ? -1 : at - s.p;
}

struct slice
slice_trim(struct slice s)
{
	while (s.n > 0 && ascii_is_space(s.p[0]))
		s = slice_from(s, 1);
	while (s.n > 0 && ascii_is_space(s.p[s.n - 1]))
		s.n--;
	return s;
}

struct slice
slice_split(struct slice *s, char c)
{
	ssize_t at = slice_find(*s, c);
	struct slice head = at < 0 ? *s : slice_head(*s, (size_t)at);

	*s = slice_from(*s, at < 0 ? s->n : (size_t)at + 1);
	return head;
}

int
slice_u64(struct slice s, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;

	if (s.n == 0)
		return -EINVAL;
	for (size_t i = 0; i < s.n; i++) {
		if (!ascii_is_digit(s.p[i]))
			return -EINVAL;
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v) ||
		    v > max) {
			for (i++; i < s.n; i++)
				if (!ascii_is_digit(s.p[i]))
					return -EINVAL;
			return -ERANGE;
		}
	}
	*out = v;
	return 0;
}

char *
slice_strdup(struct slice s)
{
	char *d = malloc(s.n + 1);

	if (d == NULL)
		return NULL;
	if (s.n > 0)
		memcpy(d, s.p, s.n);
	d[s.n] = '\0';
	return d;
}
