/* SPDX-License-Identifier: ISC */
/*
 * zstd with the dictionaries that are built in, for frames and summaries. A
 * dictionary is never changed, for what was packed with it needs it: a better
 * one gets the next number, and the older stays. Nothing here waits.
 */
#ifndef PNEU_MAILBOX_MAILS_PACK_H
#define PNEU_MAILBOX_MAILS_PACK_H

#include "common/base/buf.h"
#include "common/base/slice.h"

#define PACK_DICTIONARIES 2 /* their numbers are 1 .. */

enum pack_what {
	PACK_FRAME,
	/* With a dictionary of summaries; those of before have that of frames.
	 * At level 3 at least: short texts of their own kind gain by it. */
	PACK_SUMMARY,
};

struct packer;

/* The number of that which packs; 0: none. */
unsigned packer_dictionary(const struct packer *p, enum pack_what what);
/* Append; false when it would not be smaller by a sixteenth, or the memory
 * was short: then nothing was appended. */
bool packer_pack(struct packer *p, enum pack_what what, struct slice plain,
    struct buf *out);
/* What must give exactly n octets. 0, -EBADMSG, -ENOMEM. */
int packer_unpack(struct packer *p, unsigned dictionary, struct slice packed,
    char *plain, size_t n);

#endif
