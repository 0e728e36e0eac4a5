/* SPDX-License-Identifier: ISC */
/* An input of the door that comes from memory, so many octets at a time. */
#ifndef PNEU_TESTS_DOOR_INPUT_H
#define PNEU_TESTS_DOOR_INPUT_H

#include "mailbox/door/input.h"

struct memory_input {
	struct slice rest;
	size_t step;
};

static inline ssize_t
memory_read(void *arg, void *p, size_t n)
{
	struct memory_input *m = arg;
	struct slice part = slice_head(m->rest, n < m->step ? n : m->step);

	memcpy(p, part.p, part.n);
	m->rest = slice_from(m->rest, part.n);
	return (ssize_t)part.n;
}

static inline struct input *
memory_input(struct memory_input *m, struct slice text, size_t step)
{
	struct input *in = NULL;

	*m = (struct memory_input){ text, step };
	if (input_new_fn(&in, memory_read, m, "/tmp") != 0)
		abort();
	return in;
}

#endif
