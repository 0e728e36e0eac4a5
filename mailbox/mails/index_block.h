/* SPDX-License-Identifier: ISC */
/*
 * A block of the search index: which of up to INDEX_BLOCK messages have which
 * tokens, in rows of bounded size. docs/search.md has the calculation.
 *
 * A token is one of INDEX_TOKENS numbers; each has a list of the messages that
 * have it, Golomb-Rice coded. The rarest tokens tell most, so lists are kept
 * from the rarest on until the room is used up; the commonest tokens are left
 * out, and then say "any message". So the size is bounded whatever the mail
 * is, and an answer may have messages too many, never one too few.
 *
 * Row, numbers big-endian: version, log2 of the number of rows, this row's
 * number, 0; first and end UID of the block (4, 4); messages (2). In row 0 the
 * UIDs (varints of the steps), the number of messages that match always (2)
 * and these (2 each). Then one offset (2) for each INDEX_GROUP tokens, and
 * the lists, each group beginning at an octet.
 */
#ifndef PNEU_MAILBOX_MAILS_INDEX_BLOCK_H
#define PNEU_MAILBOX_MAILS_INDEX_BLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/slice.h"

#define INDEX_TOKENS 65536u
#define INDEX_BLOCK 1024u /* messages */
#define INDEX_OCTETS 360u /* for each message, at most, in all rows */
#define INDEX_CHUNKS 8u   /* rows of a full block */
#define INDEX_WORDS (INDEX_BLOCK / 64)

/* Messages of a block, by their place in it. */
struct index_set {
	uint64_t words[INDEX_WORDS];
};

static inline bool
index_set_has(const struct index_set *s, unsigned i)
{
	return (s->words[i / 64] >> i % 64 & 1) != 0;
}

/* --- making one --- */

struct index_maker;

/* NULL: no memory. Holds some MiB at most while it is being filled. */
struct index_maker *index_maker_new(void);
void index_maker_free(struct index_maker **m);
/* A token of the message that is being read; again and again is fine. */
void index_maker_token(struct index_maker *m, uint16_t token);
/* That was the message. UIDs ascend. `always`: it could not be read, and is to
 * be looked at for every question. 0, -ENOMEM. */
int index_maker_message(struct index_maker *m, uint32_t uid, bool always);
unsigned index_maker_count(const struct index_maker *m);
/* No more messages fit. */
bool index_maker_is_full(const struct index_maker *m);
/* Rows of the block; then each of them, in order, appended to `row`. 0 or
 * -ENOMEM. */
unsigned index_maker_chunks(const struct index_maker *m);
int index_maker_chunk(struct index_maker *m, unsigned i, uint32_t first,
    uint32_t end, struct buf *row);

/* --- reading one --- */

struct index_chunk {
	uint32_t first, end; /* UIDs of the block: first <= UID < end */
	unsigned n;          /* messages */
	unsigned chunks, i;
	/* within the row: */
	struct slice uids, always, groups, lists;
};
/* -EBADMSG: damaged, or of another version. */
int index_chunk_read(struct slice row, struct index_chunk *out);
/* Is the token's list in this row? */
bool index_chunk_has(const struct index_chunk *c, uint16_t token);
/* Keep in `s` only messages that may have the token. -EBADMSG. */
int index_chunk_and(
    const struct index_chunk *c, uint16_t token, struct index_set *s);
/* Of row 0: the UIDs, in order; room for c->n. -EBADMSG. */
int index_chunk_uids(const struct index_chunk *c, uint32_t *uids);
/* Of row 0: add those that match always. -EBADMSG. */
int index_chunk_always(const struct index_chunk *c, struct index_set *s);
/* The first n. */
void index_set_fill(struct index_set *s, unsigned n);
bool index_set_is_empty(const struct index_set *s);

#endif
