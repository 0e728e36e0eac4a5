/* SPDX-License-Identifier: ISC */
/*
 * zstd with the dictionary of mail that is built in, for frames and summaries.
 * A dictionary is never changed, for what was packed with it needs it: a
 * better one gets the next number, and the older stays. Nothing here waits.
 */
#ifndef PNEU_MAILBOX_MAILS_PACK_H
#define PNEU_MAILBOX_MAILS_PACK_H

#include "common/base/buf.h"
#include "common/base/slice.h"

#define PACK_DICTIONARIES 1 /* their numbers are 1 .. */

struct packer;

/* The number of that which packs; 0: none. */
unsigned packer_dictionary(const struct packer *p);
/* Append; false when it would not be smaller by a sixteenth, or the memory
 * was short: then nothing was appended. */
bool packer_pack(struct packer *p, struct slice plain, struct buf *out);
/* What must give exactly n octets. 0, -EBADMSG, -ENOMEM. */
int packer_unpack(struct packer *p, unsigned dictionary, struct slice packed,
    char *plain, size_t n);

#endif
