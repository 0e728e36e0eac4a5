/* SPDX-License-Identifier: ISC */
/*
 * A COPY that does not fit one batch is all or none over a crash too (RFC 3501
 * 6.4.7): row "z" of the target lists what it has put there so far. Each batch
 * of messages changes it, the last one removes it. Who holds the mailbox's lease
 * may copy; the lease of a process that died is free, and who gets it and finds
 * a list takes these messages out again.
 */
#ifndef PNEU_MAILBOX_MAILS_COPY_JOURNAL_H
#define PNEU_MAILBOX_MAILS_COPY_JOURNAL_H

#include "mailbox/mails/impl.h"

struct copy_journal {
	struct box *x; /* NULL: not begun */
	uint64_t fence;
	struct buf was, next; /* the row: as it is, as the batch leaves it */
};

/* Waits for another copy into the mailbox. 0, or -EAGAIN. */
int copy_journal_begin(struct copy_journal *j, struct box *x);
/* Into a batch that puts n messages from `first` on; `last`: the copy is whole
 * with it. False: no memory. */
bool copy_journal_put(struct copy_journal *j, struct store_batch *b,
    uint32_t first, uint32_t n, bool last);
/* That batch is committed. */
void copy_journal_done(struct copy_journal *j);
/*
 * What a commit of unknown outcome has left: take out all that is listed. 1:
 * nothing is, so the copy is whole, if its last batch was in doubt.
 */
int copy_journal_undo(struct copy_journal *j);
/* Not begun is fine. */
void copy_journal_end(struct copy_journal *j);

/* Undo what a process that died has left. Where somebody copies nothing is
 * done. */
int copies_replay(struct box *x);

#endif
