/* SPDX-License-Identifier: ISC */
/*
 * Sequence sets (RFC 3501 9): parsed, resolved against a mailbox, written.
 */
#ifndef PNEU_MAILBOX_IMAP_SET_H
#define PNEU_MAILBOX_IMAP_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/slice.h"
#include "common/imap/set.h"

/* Both ends belong to it; 0 stands for "*" until imap_set_resolve. */
struct imap_range {
	uint32_t lo, hi;
};
struct imap_set {
	struct imap_range *v;
	size_t n;
};

/* 0, -EINVAL (also: a 0, or over 32 bits), -ENOMEM. */
int imap_set_parse(struct arena *a, struct slice in, struct imap_set *out);
/* Put `star` for "*"; then order, sort and merge the ranges. */
void imap_set_resolve(struct imap_set *s, uint32_t star);
/* Of a resolved set. */
bool imap_set_has(const struct imap_set *s, uint32_t n);
/* How many numbers a resolved set has. */
uint64_t imap_set_count(const struct imap_set *s);

#endif
