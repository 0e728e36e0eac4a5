/* SPDX-License-Identifier: ISC */
/*
 * libevent keeps a small piece for each descriptor that it has ever watched,
 * for ever, and makes it at the connection's first wait: after a crowd has
 * gone, each page of the heap that its connections used would hold one of
 * these, and none could go back to the kernel (1,500 silent connections left
 * 6 MiB). So small pieces of libevent's stand apart, in blocks that hold
 * nothing else.
 */
#include "common/base/loop_memory.h"

#include <event2/event.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define SMALL 48 /* octets; struct evmap_io and the like are smaller */
#define BLOCK ((size_t)16 << 10)

union piece {
	union piece *next; /* while free */
	char room[SMALL];
};

/* Before each allocation: was it small? */
struct head {
	alignas(max_align_t) size_t size;
};

struct cell {
	struct head head;
	union piece piece;
};

static union piece *unused;

static bool
add_block(void)
{
	size_t n = BLOCK / sizeof(struct cell);
	struct cell *c = malloc(n * sizeof(*c));

	if (c == NULL)
		return false;
	for (size_t i = 0; i < n; i++) {
		c[i].head.size = SMALL;
		c[i].piece.next = unused;
		unused = &c[i].piece;
	}
	return true;
}

static struct head *
head_of(void *p)
{
	return (struct head *)((char *)p - sizeof(struct head));
}

static void *
take(size_t n)
{
	union piece *p;
	struct head *h;

	if (n > SMALL) {
		if ((h = malloc(sizeof(*h) + n)) == NULL)
			return NULL;
		h->size = n;
		return h + 1;
	}
	if (unused == NULL && !add_block())
		return NULL;
	p = unused;
	unused = p->next;
	return p;
}

static void
give(void *p)
{
	union piece *piece = p;

	if (p == NULL)
		return;
	if (head_of(p)->size > SMALL) {
		free(head_of(p));
		return;
	}
	piece->next = unused;
	unused = piece;
}

static void *
resize(void *p, size_t n)
{
	size_t had = p == NULL ? 0 : head_of(p)->size;
	struct head *h;
	void *to;

	if (had > SMALL && n > SMALL) {
		if ((h = realloc(head_of(p), sizeof(*h) + n)) == NULL)
			return NULL;
		h->size = n;
		return h + 1;
	}
	if ((to = take(n)) == NULL)
		return NULL;
	if (p != NULL)
		memcpy(to, p, had < n ? had : n);
	give(p);
	return to;
}

void
loop_memory_init(void)
{
	static bool done;

	if (!done)
		event_set_mem_functions(take, resize, give);
	done = true;
}
