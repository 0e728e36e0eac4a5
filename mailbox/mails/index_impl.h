/* SPDX-License-Identifier: ISC */
/* What the files of the index share. */
#ifndef PNEU_MAILBOX_MAILS_INDEX_IMPL_H
#define PNEU_MAILBOX_MAILS_INDEX_IMPL_H

#include "mailbox/mails/impl.h"
#include "mailbox/mails/index.h"
#include "mailbox/mails/index_block.h"
#include "mailbox/mails/search_text.h"

/* --- the account's key (index_key.c) --- */

#define INDEX_KEY 32
/* The key by which tokens are made, and where mail of the account is sealed that
 * of the blocks' rows. Wipe it. */
struct index_key {
	unsigned char octets[INDEX_KEY];
	bool sealed;
	unsigned char rows[INDEX_KEY]; /* if sealed */
};
void index_key_wipe(struct index_key *k);
/*
 * `private`: the account's private key, or NULL. make: a new one where there is
 * none, or it cannot be used any more. 0; -ENOENT; -ENOKEY: it is sealed, and
 * what opens it is not here; -EBADMSG; or an error of Mails.
 */
int index_key_get(struct mails *m, const char *account,
    const struct seal_key *private, struct index_key *k);
int index_key_make(struct mails *m, const char *account,
    const struct seal_key *private, struct index_key *k);
/* A key that is not sealed as mail is now goes. 1: it went, or there is none;
 * 0: it suits. */
int index_key_retire(struct mails *m, const char *account);
/* A row of a block, by its key, sealed where the index is; and opened, *row is in
 * `room` then. 0, -EBADMSG, -ENOMEM. */
int index_row_seal(const struct index_key *k, const struct box *x,
    struct slice key, struct buf *row);
int index_row_open(const struct index_key *k, const struct box *x,
    struct slice key, struct slice *row, struct buf *room);

/* --- tokens (index_tokens.c) --- */

struct index_tokens;
int index_tokens_new(
    struct index_tokens **out, const unsigned char key[static INDEX_KEY]);
void index_tokens_free(struct index_tokens **t);
/* Says whether two keys are the same, and nothing else of them. */
uint64_t index_tokens_check(struct index_tokens *t);
/* Those of a text, in any order, some more than once. `begins` as in
 * search_text.h: else its first two come of the text before too. */
void index_tokens_of(struct index_tokens *t, struct slice mapped, bool begins,
    void (*token)(void *arg, uint16_t token), void *arg);

/* --- the state row (index.c) --- */

struct index_state {
	uint64_t key;  /* index_tokens_check */
	uint32_t next; /* messages below this UID are in blocks */
	uint32_t blocks;
	uint64_t messages, octets; /* of all blocks, when they were made */
};
#define INDEX_STATE 33
#define KEY_INDEX SLICE_LIT("q")
/* -ENOENT: none, or of another version. `row` (emptied first) gets it as it
 * is. */
int index_state_read(struct box *x, struct index_state *s, struct buf *row);
void
index_state_encode(char out[static INDEX_STATE], const struct index_state *s);
struct key index_block_key(uint32_t first, unsigned chunk);

/* The account of the mailbox, appended. */
int index_owner(struct box *x, struct buf *account);

/* Messages with from <= UID < to, counted up to some more than `max`. */
int index_count(
    struct box *x, uint32_t from, uint32_t to, uint32_t max, uint32_t *n);

/* --- upkeep (index_upkeep.c) --- */

struct indexer; /* what of this process waits to be indexed */
/* A change was committed: is it time to index? Does not wait. */
void
index_note(struct box *x, const struct header *old, const struct header *now);
/* The mailbox is looked at soon. */
void index_wish(struct box *x);
/* Ends it, and waits for that. */
void index_stop(struct mails *m);

#endif
