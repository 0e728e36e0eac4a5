/* SPDX-License-Identifier: ISC */
/* In a coroutine a trace of the stack tells little: the line does. */
#ifndef PNEU_TESTS_FUZZ_NEED_H
#define PNEU_TESTS_FUZZ_NEED_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#define need(fine) need_at((fine), __FILE__, __LINE__)

static inline void
need_at(bool fine, const char *file, int line)
{
	if (fine)
		return;
	fprintf(stderr, "%s:%d: not as it must be\n", file, line);
	abort();
}

#endif
