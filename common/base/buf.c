/* SPDX-License-Identifier: ISC */
#include "common/base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"

void
buf_clear(struct buf *b)
{
	if (b == NULL)
		return;
	free(b->p);
	memory_give(b->cap);
	*b = BUF_INIT_MAX(b->max);
}

void
buf_wipe(struct buf *b)
{
	if (b != NULL && b->p != NULL)
		explicit_bzero(b->p, b->cap);
	buf_clear(b);
}

void
buf_reset(struct buf *b)
{
	buf_truncate(b, 0);
	b->failed = false;
}

bool
buf_reserve(struct buf *b, size_t n)
{
	size_t max = b->max == 0 ? BUF_MAX : b->max;
	size_t need, cap;
	char *p;

	if (b->failed)
		return false;
	if (!size_add(b->n, n, &need) || need > max) {
		b->failed = true;
		return false;
	}
	if (b->p != NULL && need <= b->cap)
		return true;
	cap = b->cap < 32 ? 64 : b->cap * 2;
	if (cap < need)
		cap = need;
	if (cap > max)
		cap = max;
	if ((p = realloc(b->p, cap + 1)) == NULL) {
		b->failed = true;
		return false;
	}
	memory_take(cap - b->cap);
	b->p = p;
	b->cap = cap;
	b->p[b->n] = '\0';
	return true;
}

bool
buf_put(struct buf *b, const void *p, size_t n)
{
	if (!buf_reserve(b, n))
		return false;
	if (n > 0)
		memcpy(b->p + b->n, p, n);
	b->n += n;
	b->p[b->n] = '\0';
	return true;
}

bool
buf_put_slice(struct buf *b, struct slice s)
{
	return buf_put(b, s.p, s.n);
}

bool
buf_put_str(struct buf *b, const char *s)
{
	return buf_put(b, s, strlen(s));
}

bool
buf_put_char(struct buf *b, char c)
{
	return buf_put(b, &c, 1);
}

bool
buf_put_utf8(struct buf *b, uint32_t c)
{
	char s[4];
	size_t n = 0;

	if (c < 0x80)
		return buf_put_char(b, (char)c);
	if (c >= 0x10000) {
		s[n++] = (char)(0xf0 | c >> 18);
		s[n++] = (char)(0x80 | (c >> 12 & 0x3f));
	} else if (c >= 0x800) {
		s[n++] = (char)(0xe0 | c >> 12);
	}
	s[n++] = (char)(c >= 0x800 ? 0x80 | (c >> 6 & 0x3f) : 0xc0 | c >> 6);
	s[n++] = (char)(0x80 | (c & 0x3f));
	return buf_put(b, s, n);
}

bool
buf_put_u64(struct buf *b, uint64_t v)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v != 0);
	return buf_put(b, digits + at, sizeof(digits) - at);
}

bool
buf_put_be32(struct buf *b, uint32_t v)
{
	char o[4];

	put_be32(o, v);
	return buf_put(b, o, sizeof(o));
}

bool
buf_put_be64(struct buf *b, uint64_t v)
{
	char o[8];

	put_be64(o, v);
	return buf_put(b, o, sizeof(o));
}

bool
buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
	va_list again;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (n < 0) {
		b->failed = true;
		return false;
	}
	if (!buf_reserve(b, (size_t)n))
		return false;
	vsnprintf(b->p + b->n, (size_t)n + 1, fmt, ap);
	b->n += (size_t)n;
	return true;
}

bool
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	bool ok;

	va_start(ap, fmt);
	ok = buf_vprintf(b, fmt, ap);
	va_end(ap);
	return ok;
}

void
buf_consume(struct buf *b, size_t n)
{
	if (n >= b->n) {
		buf_truncate(b, 0);
		return;
	}
	memmove(b->p, b->p + n, b->n - n);
	b->n -= n;
	b->p[b->n] = '\0';
}

void
buf_truncate(struct buf *b, size_t n)
{
	if (n >= b->n)
		return;
	b->n = n;
	b->p[n] = '\0';
}
