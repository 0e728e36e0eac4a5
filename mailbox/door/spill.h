/* SPDX-License-Identifier: ISC */
/* Records that are too many for memory, in a file without a name: put one
 * behind the other, then read in any order. */
#ifndef PNEU_MAILBOX_DOOR_SPILL_H
#define PNEU_MAILBOX_DOOR_SPILL_H

#include "common/base/buf.h"

struct spill {
	int fd;
	uint64_t written;
	struct buf pending; /* goes behind that */
};

/* 0 or -errno. */
int spill_open(struct spill *s, const char *dir);
void spill_close(struct spill *s);
/* Forget all. */
void spill_reset(struct spill *s);
/* Where the next record will be. */
uint64_t spill_end(const struct spill *s);
int spill_put(struct spill *s, struct slice octets);
/* Up to n octets from `at` on; how many, or -errno. */
ssize_t spill_get(struct spill *s, uint64_t at, void *p, size_t n);

#endif
