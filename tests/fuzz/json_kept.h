/* SPDX-License-Identifier: ISC */
/*
 * jansson is not built with ASan, and a reference that is given away twice is
 * counted down in memory that is somebody else's by then. So what jansson frees
 * is kept until the input is done, and must be as it was left.
 */
#ifndef PNEU_TESTS_FUZZ_JSON_KEPT_H
#define PNEU_TESTS_FUZZ_JSON_KEPT_H

#include <jansson.h>
#include <malloc.h>
#include <string.h>

#include "tests/fuzz/need.h"

#define KEPT_FILL 0xfb

struct kept {
	struct kept *next;
	unsigned char *p;
	size_t n;
};
static struct kept *kept_freed;

static inline void
kept_free(void *p)
{
	struct kept *k = p == NULL ? NULL : malloc(sizeof(*k));

	if (k == NULL)
		return;
	/* What json_dumps gives is freed by free(), so nothing can stand before
	 * what malloc gave; with ASan this is what was asked for. */
	*k = (struct kept){ kept_freed, p, malloc_usable_size(p) };
	memset(p, KEPT_FILL, k->n);
	kept_freed = k;
}

static inline void
json_kept_start(void)
{
	json_set_alloc_funcs(malloc, kept_free);
}

/* At the end of each input. */
static inline void
json_kept_check(void)
{
	while (kept_freed != NULL) {
		struct kept *k = kept_freed;

		for (size_t i = 0; i < k->n; i++)
			need(k->p[i] == KEPT_FILL);
		kept_freed = k->next;
		free(k->p);
		free(k);
	}
}

#endif
