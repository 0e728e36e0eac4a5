/* SPDX-License-Identifier: ISC */
/*
 * A slice: octets that somebody else owns. How all input is read here; a
 * length and a pointer never travel separately. Not NUL-terminated, and may
 * hold NUL.
 */
#ifndef PNEU_BASE_SLICE_H
#define PNEU_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

struct slice {
	const char *p;
	size_t n;
};

#define SLICE_EMPTY ((struct slice){ "", 0 })
/* Of a string literal, for initialisers and calls alike. */
#define SLICE_LIT(s) ((struct slice){ (s), sizeof(s) - 1 })

static inline struct slice
slice(const void *p, size_t n)
{
	return (struct slice){ p, n };
}

/* Of a C string; NULL gives the empty slice. */
static inline struct slice
slice_str(const char *s)
{
	return (struct slice){ s ? s : "", s ? strlen(s) : 0 };
}

/* From octet `at` to the end; `at` beyond the end gives the empty slice. Where
 * nothing is cut .p stays, NULL too (C11 6.5.6: NULL + 0 is undefined). */
static inline struct slice
slice_from(struct slice s, size_t at)
{
	if (at > s.n)
		at = s.n;
	if (at == 0)
		return s;
	return (struct slice){ s.p + at, s.n - at };
}

/* At most the first `n` octets. */
static inline struct slice
slice_head(struct slice s, size_t n)
{
	return (struct slice){ s.p, n < s.n ? n : s.n };
}

bool slice_eq(struct slice a, struct slice b);
/* ASCII case-insensitive, in no locale. */
bool slice_eq_nocase(struct slice a, struct slice b);
bool slice_eq_str(struct slice a, const char *s);
bool slice_eq_str_nocase(struct slice a, const char *s);
bool slice_starts(struct slice s, const char *prefix);
bool slice_starts_nocase(struct slice s, const char *prefix);
bool slice_ends_nocase(struct slice s, const char *suffix);
/* memcmp order, the shorter first where one is the start of the other. */
int slice_cmp(struct slice a, struct slice b);

/* Index of the first (last) octet `c`, or -1. */
ssize_t slice_find(struct slice s, char c);
ssize_t slice_rfind(struct slice s, char c);
/* Index of the first place where `needle` stands in `s`, or -1. */
ssize_t slice_find_slice(struct slice s, struct slice needle);

/* Without leading and trailing space, tab, CR and LF. */
struct slice slice_trim(struct slice s);

/*
 * Cut *s at the first `c`: returns what stood before it and leaves in *s what
 * stands after. Without a `c`, all is returned and *s becomes empty.
 */
struct slice slice_split(struct slice *s, char c);

/*
 * The whole slice as a decimal number without sign. 0, -EINVAL (empty, or not
 * digits only) or -ERANGE (over `max`); *out is untouched on error.
 */
int slice_u64(struct slice s, uint64_t max, uint64_t *out);

/* Zeros over it, in memory that is the caller's own: for passwords. */
static inline void
slice_wipe(struct slice s)
{
	if (s.n > 0)
		explicit_bzero((void *)(uintptr_t)s.p, s.n);
}

/* A malloc'd NUL-terminated copy; NULL when out of memory. */
char *slice_strdup(struct slice s);

/* ASCII only, whatever the locale says. */
static inline char
ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}
static inline char
ascii_upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - ('a' - 'A')) : c;
}
static inline bool
ascii_is_digit(char c)
{
	return c >= '0' && c <= '9';
}
static inline bool
ascii_is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
static inline bool
ascii_is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Big-endian numbers in keys and records. */
static inline void
put_be32(void *out, uint32_t v)
{
	unsigned char *o = out;

	o[0] = (unsigned char)(v >> 24);
	o[1] = (unsigned char)(v >> 16);
	o[2] = (unsigned char)(v >> 8);
	o[3] = (unsigned char)v;
}
static inline void
put_be64(void *out, uint64_t v)
{
	put_be32(out, (uint32_t)(v >> 32));
	put_be32((unsigned char *)out + 4, (uint32_t)v);
}
static inline uint32_t
get_be32(const void *in)
{
	const unsigned char *i = in;

	return (uint32_t)i[0] << 24 | (uint32_t)i[1] << 16 |
	    (uint32_t)i[2] << 8 | i[3];
}
static inline uint64_t
get_be64(const void *in)
{
	return (uint64_t)get_be32(in) << 32 |
	    get_be32((const unsigned char *)in + 4);
}

/* a + b into *out; false, and *out untouched, when it would overflow. */
static inline bool
size_add(size_t a, size_t b, size_t *out)
{
	return !__builtin_add_overflow(a, b, out);
}

#endif
