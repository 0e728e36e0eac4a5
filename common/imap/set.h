/* SPDX-License-Identifier: ISC */
/* Numbers as a sequence set (RFC 3501 9), for both sides of IMAP. */
#ifndef PNEU_IMAP_SET_H
#define PNEU_IMAP_SET_H

#include "common/base/buf.h"

/* Append the numbers in this order: "3:5,9,7". Nothing for n 0. False: `b` has
 * failed. */
bool imap_set_put(struct buf *b, const uint32_t *v, size_t n);

/* Take the first range off *set, which has numbers only: 1, with *from <= *to;
 * 0: it is empty; -EINVAL. */
int imap_set_next(struct slice *set, uint32_t *from, uint32_t *to);

#endif
