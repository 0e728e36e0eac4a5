/* SPDX-License-Identifier: ISC */
/*
 * The list of a large mailbox as it was at some modseq, in few rows, so that
 * to open it is not to read a row for each message. What changed since is
 * found as a view finds it at each sync, so a snapshot may be old, never
 * wrong, and deliveries and flag changes do not know of it.
 *
 * Rows: "w" the head; "w<UID>" the messages of 4,096 UIDs from that one on. A
 * row of messages is of the head's modseq or later; the head is written last.
 */
#ifndef PNEU_MAILBOX_MAILS_SNAPSHOT_H
#define PNEU_MAILBOX_MAILS_SNAPSHOT_H

#include "mailbox/mails/impl.h"

/*
 * Fill v->roll, and set v->h.modseq and uidnext to what it is of. `now`: the
 * header as it was read before. -ENOENT: none, or none that helps.
 */
int snapshot_load(struct mails_view *v, const struct header *now);
/* Write it anew when the mailbox is large and much has changed since. */
int snapshot_keep(struct box *x);

/* The messages of one row; for tests and fuzzing. 0, -EBADMSG, -ENOMEM. */
int snapshot_row_decode(uint32_t base, struct slice row, struct roll *out);
/* From *i on, those with a UID below base + SNAPSHOT_UIDS. */
void snapshot_row_encode(
    uint32_t base, const struct roll *r, uint32_t *i, struct buf *row);
#define SNAPSHOT_UIDS 4096u

#endif
