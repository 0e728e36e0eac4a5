/* SPDX-License-Identifier: ISC */
/*
 * An arena: memory that is freed all at once, for what lives as long as a
 * connection, a transaction or a command. Bounded: going over `max`, or
 * getting large while the process has no memory left (memory.h), is an ordinary
 * NULL, which the caller turns into 452, 421 or NO. Descriptors,
 * events and SSL objects never live here.
 */
#ifndef PNEU_BASE_ARENA_H
#define PNEU_BASE_ARENA_H

#include <stddef.h>

#include "common/base/slice.h"

struct arena_block;

struct arena {
	struct arena_block *blocks; /* newest first */
	char *at, *end;             /* the room left in the newest block */
	size_t used, max; /* octets given out; the bound (0: 64 MiB) */
};

#define ARENA_INIT_MAX(m) ((struct arena){ .max = (m) })

/* Zeroed, aligned for any type; NULL when over the bound or out of memory. */
void *arena_alloc(struct arena *a, size_t n);
/* n elements of `size` octets; the product is checked. */
void *arena_array(struct arena *a, size_t n, size_t size);
/* NUL-terminated copies. NULL as above. */
char *arena_strdup(struct arena *a, struct slice s);
char *arena_printf(struct arena *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* A copy as a slice (NUL follows it); .p is NULL when out of room. */
struct slice arena_dup(struct arena *a, struct slice s);

/* Free everything; the arena can be used again with the same bound. */
void arena_reset(struct arena *a);

#endif
