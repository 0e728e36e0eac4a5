/* SPDX-License-Identifier: ISC */
/* Numbers as a sequence set (RFC 3501 9), for both sides of IMAP. */
#ifndef PNEU_IMAP_SET_H
#define PNEU_IMAP_SET_H

#include "common/base/buf.h"

/* Append the numbers in this order: "3:5,9,7". Nothing for n 0. False: `b` has
 * failed. */
bool imap_set_put(struct buf *b, const uint32_t *v, size_t n);

#endif
