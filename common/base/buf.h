/* SPDX-License-Identifier: ISC */
/*
 * A growable, bounded buffer of octets, for all that is written.
 *
 * Invariants: `p` is NULL or points to `cap` octets; n <= cap <= max, and
 * whenever p is not NULL there is a NUL at p[n] (so b.p prints as a string;
 * an empty buffer made by BUF_INIT has p NULL: use buf_str).
 *
 * Failure is sticky: when a write would go over `max` or memory is out, the
 * buffer is left as it was before that write, `failed` is set, and later
 * writes do nothing. So a caller can write a whole reply and look once.
 */
#ifndef PNEU_BASE_BUF_H
#define PNEU_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/base/slice.h"

struct buf {
	char *p;
	size_t n;
	size_t cap;
	size_t max; /* octets; 0 means BUF_MAX */
	bool failed;
};

#define BUF_MAX ((size_t)64 << 20)
#define BUF_INIT ((struct buf){ 0 })
#define BUF_INIT_MAX(m) ((struct buf){ .max = (m) })

/* Free what it holds; it can be used again, with the same max. NULL is fine. */
void buf_clear(struct buf *b);
/* The same, with zeros over what it held: for passwords. */
void buf_wipe(struct buf *b);
/* Forget the content and any failure; keep the memory. */
void buf_reset(struct buf *b);

/* All return true, or false when failed (see above). */
bool buf_put(struct buf *b, const void *p, size_t n);
bool buf_put_slice(struct buf *b, struct slice s);
bool buf_put_str(struct buf *b, const char *s);
bool buf_put_char(struct buf *b, char c);
bool buf_put_utf8(struct buf *b, uint32_t c); /* up to U+10FFFF */
bool buf_put_u64(struct buf *b, uint64_t v); /* decimal */
bool buf_put_be32(struct buf *b, uint32_t v);
bool buf_put_be64(struct buf *b, uint64_t v);
bool buf_printf(struct buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
bool buf_vprintf(struct buf *b, const char *fmt, va_list ap);

/* Room for `n` octets more at p + n, which the caller fills and adds to n. */
bool buf_reserve(struct buf *b, size_t n);
/* Drop the first `n` octets (all, when it holds fewer). */
void buf_consume(struct buf *b, size_t n);
/* Keep only the first `n` octets. */
void buf_truncate(struct buf *b, size_t n);

static inline struct slice
buf_slice(const struct buf *b)
{
	return (struct slice){ b->p ? b->p : "", b->n };
}

/* NUL-terminated, never NULL, valid until the next write. */
static inline const char *
buf_str(const struct buf *b)
{
	return b->p ? b->p : "";
}

#endif
