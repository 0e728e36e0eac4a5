/* SPDX-License-Identifier: ISC */
/*
 * How often something was seen, by a 64-bit fingerprint: to tell apart
 * messages that are alike in all. 16 octets for each; two things of one
 * fingerprint only look alike, which does no harm here.
 */
#ifndef PNEU_MAILBOX_DOOR_SEEN_H
#define PNEU_MAILBOX_DOOR_SEEN_H

#include <stddef.h>
#include <stdint.h>

struct seen {
	struct seen_slot *v;
	size_t n, cap;
};

/* Zero-initialise. How many times it was seen before (0: never) into *times,
 * and count it. 0 or -ENOMEM. */
int seen_count(struct seen *s, uint64_t fingerprint, uint32_t *times);
void seen_clear(struct seen *s);

#endif
