/* SPDX-License-Identifier: ISC */
/*
 * The search index of a mailbox: which messages may have a text in them.
 * Blocks of messages (index_block.h) in rows of the mailbox's partition, made
 * in the background; what is in no block yet may have any text. Who asks
 * looks at the candidates themselves, so its answer is exact. docs/search.md.
 *
 * Rows: "q" the state, "t<first UID><row>" the blocks.
 */
#ifndef PNEU_MAILBOX_MAILS_INDEX_H
#define PNEU_MAILBOX_MAILS_INDEX_H

#include "mailbox/mails/mails.h"

#define MAILS_INDEX_NEEDLES 16 /* of one question */
#define MAILS_INDEX_LEAST 3    /* octets of a mapped text that can help */

/*
 * For each of n texts (mapped by casemap_put) the messages of the view that
 * may have it: bit seq - 1 of may[i][0 ..], a word for each 64 messages; one
 * free() for may[0] frees all. may[0] NULL: there is nothing to say, all may.
 * Reads the index only. Errors of Mails; any of them means all may, too.
 */
int mails_index_ask(
    struct mails_view *v, const struct slice *texts, size_t n, uint64_t **may);

struct mails_index_status {
	uint64_t messages, indexed; /* of them, in blocks */
	uint64_t blocks, octets;    /* rows of the index */
};
/* Of one mailbox, by its id. */
int mails_index_status(
    struct mails *m, uint64_t mailbox, struct mails_index_status *out);

/*
 * Bring the index of a mailbox up to date, until nothing is left to do. Waits
 * in between and lets others have their turn. `progress` (or NULL) after each
 * block. The last messages, fewer than make a block, are left. -EBUSY: another
 * process is at it.
 */
int mails_index_build(
    struct mails *m, uint64_t mailbox, void (*progress)(void *arg), void *arg);
/* Forget it. */
int mails_index_drop(struct mails *m, uint64_t mailbox);

/*
 * Do that in the background, from now until mails_close: for mailboxes that
 * this process changes, and at first for all. Takes turns of 2 ms, and rests
 * as long.
 */
int mails_index_start(struct mails *m);

#endif
