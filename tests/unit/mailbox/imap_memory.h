/* SPDX-License-Identifier: ISC */
/* Input of the IMAP parser from memory, whole or in steps of some octets. */
#ifndef PNEU_TEST_IMAP_MEMORY_H
#define PNEU_TEST_IMAP_MEMORY_H

#include "mailbox/imap/imap_parser.h"

struct memory {
	struct imap_input in;
	struct slice left;
	size_t step; /* octets that one peek shows at most */
	unsigned go_aheads;
};

static inline int
memory_line(void *arg, size_t max, struct slice *line)
{
	struct memory *m = arg;
	ssize_t lf = slice_find(m->left, '\n');

	if (lf < 0)
		return -EPIPE;
	*line = slice_split(&m->left, '\n');
	if (line->n > 0 && line->p[line->n - 1] == '\r')
		line->n--;
	return line->n > max ? -EMSGSIZE : 0;
}

static inline int
memory_peek(void *arg, struct slice *out)
{
	struct memory *m = arg;

	*out = slice_head(m->left, m->step);
	return out->n == 0 ? -EPIPE : 0;
}

static inline void
memory_consume(void *arg, size_t n)
{
	struct memory *m = arg;

	m->left = slice_from(m->left, n);
}

static inline int
memory_go_ahead(void *arg)
{
	struct memory *m = arg;

	m->go_aheads++;
	return 0;
}

static inline void
memory_init(struct memory *m, struct slice data, size_t step)
{
	*m = (struct memory){
		.in = { memory_line, memory_peek, memory_consume,
		    memory_go_ahead, m },
		.left = data,
		.step = step,
	};
}

#endif
