/* SPDX-License-Identifier: ISC */
/*
 * The end of a blob, as it is stored. What is read lies within it; and it reads
 * the same once it is written again.
 */
#include <stdlib.h>

#include "mailbox/mails/birth.h"

static void
need(bool fine)
{
	if (!fine)
		abort();
}

static bool
same(const struct birth *a, const struct birth *b)
{
	if (!slice_eq(a->account, b->account) ||
	    !slice_eq(a->mailbox, b->mailbox) || !slice_eq(a->wrap, b->wrap) ||
	    !slice_eq(a->sealed, b->sealed) ||
	    a->internaldate != b->internaldate || a->flags != b->flags ||
	    a->n_keywords != b->n_keywords)
		return false;
	for (size_t i = 0; i < a->n_keywords; i++)
		if (!slice_eq(a->keywords[i], b->keywords[i]))
			return false;
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice blob = slice((const char *)data, size), rest, again_rest;
	struct buf again = BUF_INIT;
	struct birth b, c;
	size_t n;

	if (size < BIRTH_TAIL)
		return 0;
	n = birth_octets(blob.p + size - BIRTH_TAIL, size);
	need(n == 0 || (n > BIRTH_TAIL && n <= size));
	if (n == 0)
		return 0;
	rest = slice(blob.p + size - n, n - BIRTH_TAIL);
	while (birth_next(&rest, &b) == 1) {
		buf_reset(&again);
		need(birth_put(&again, &b));
		if (again.n == 0)
			continue; /* longer than it needs to be */
		again_rest = buf_slice(&again);
		need(birth_next(&again_rest, &c) == 1);
		need(same(&b, &c) && again_rest.n == 0);
	}
	buf_clear(&again);
	return 0;
}
