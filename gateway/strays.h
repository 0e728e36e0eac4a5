/* SPDX-License-Identifier: ISC */
/*
 * Messages that came to be in a mailbox here by no doing of ours: where one that
 * has gone from its mailbox may have been moved to.
 */
#ifndef PNEU_GATEWAY_STRAYS_H
#define PNEU_GATEWAY_STRAYS_H

#include "gateway/here.h"

struct stray {
	uint64_t print;
	struct here_box *box;
	struct here_change *change;
};

/* All that is there and not `taken`, by print; free(*out). 0, -ENOMEM. */
int strays_find(
    struct here_box *boxes, size_t n_boxes, struct stray **out, size_t *n);
/* One with this print, which is then taken; NULL: none. */
const struct stray *stray_take(const struct stray *v, size_t n, uint64_t print);
/* The part of a print that sealing anew leaves as it is. */
static inline uint64_t
print_like(uint64_t print)
{
	return print & ~(uint64_t)UINT32_MAX;
}
/* Those alike that nobody has taken; *only is the last of them. */
size_t strays_like(
    const struct stray *v, size_t n, uint64_t like, const struct stray **only);

#endif
