/* SPDX-License-Identifier: ISC */
#include "common/base/arena.h"

#include <stdarg.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/memory.h"

#define ARENA_MAX ((size_t)64 << 20)
#define WHEN_FULL ((size_t)32 << 10)
#define BLOCK_SIZE 2000 /* small: many connections hold one and no more */

struct arena_block {
	struct arena_block *next;
	size_t size;
	alignas(max_align_t) char room[];
};

static bool
arena_grow(struct arena *a, size_t n)
{
	/* Blocks grow with what is in use, so that large commands need few. */
	size_t size = BLOCK_SIZE;
	struct arena_block *b;

	if (a->used > size)
		size = a->used < 65536 ? a->used : 65536;
	if (size < n)
		size = n;
	if (a->used + size > WHEN_FULL && memory_is_full())
		return false;
	if ((b = malloc(sizeof(*b) + size)) == NULL)
		return false;
	b->next = a->blocks;
	b->size = size;
	memory_take(size);
	a->blocks = b;
	a->at = b->room;
	a->end = b->room + size;
	return true;
}

void *
arena_alloc(struct arena *a, size_t n)
{
	size_t max = a->max == 0 ? ARENA_MAX : a->max;
	size_t align = alignof(max_align_t);
	void *p;

	if (n > max - align)
		return NULL;
	n = (n + align - 1) / align * align;
	if (n > max - a->used)
		return NULL;
	if ((size_t)(a->end - a->at) < n && !arena_grow(a, n))
		return NULL;
	p = a->at;
	a->at += n;
	a->used += n;
	memset(p, 0, n);
	return p;
}

void *
arena_array(struct arena *a, size_t n, size_t size)
{
	size_t total;

	if (__builtin_mul_overflow(n, size, &total))
		return NULL;
	return arena_alloc(a, total);
}

struct slice
arena_dup(struct arena *a, struct slice s)
{
	char *p = s.n == SIZE_MAX ? NULL : arena_alloc(a, s.n + 1);

	if (p == NULL)
		return (struct slice){ NULL, 0 };
	if (s.n > 0)
		memcpy(p, s.p, s.n);
	return slice(p, s.n);
}

char *
arena_strdup(struct arena *a, struct slice s)
{
	return (char *)(uintptr_t)arena_dup(a, s).p;
}

char *
arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	char *p;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0 || (p = arena_alloc(a, (size_t)n + 1)) == NULL)
		return NULL;
	va_start(ap, fmt);
	vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return p;
}

void
arena_reset(struct arena *a)
{
	struct arena_block *b, *next;

	for (b = a->blocks; b != NULL; b = next) {
		next = b->next;
		memory_give(b->size);
		free(b);
	}
	*a = ARENA_INIT_MAX(a->max);
}
