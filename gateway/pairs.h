/* SPDX-License-Identifier: ISC */
/*
 * Which message of an IMAP folder elsewhere is which one here, and which flags
 * both sides last agreed on. Rows, besides those of state.h; F is half a
 * SHA-256 of the folder's name there, B of the mailbox's here:
 *
 *   m<F><uid>    a message: where it is here, since when, flags
 *   l<F><uid>    the other way round: UID here, to UID there
 *   x<F><uid>    it is to be deleted there, whatever the mirror says
 *   i<F><16>     a message that is about to be moved into F there, by what it
 *                is known by (fingerprint): not to be fetched from F
 *   b<B>         changes here that were dealt with
 *   k            names of keywords; messages have bits
 *
 * Losing them costs fetches (state.h), and what was deleted on one side while
 * they were lost stays on the other.
 */
#ifndef PNEU_GATEWAY_PAIRS_H
#define PNEU_GATEWAY_PAIRS_H

#include "gateway/merge.h"
#include "gateway/state.h"

struct pair {
	uint32_t there, here; /* UIDs */
	int64_t first_s;      /* when it came */
	struct merge_flags agreed;
	uint64_t print; /* what it is known by here; 0: not known yet */
};

struct pair_folder { /* F */
	unsigned char id[STATE_ID];
};

/* Changes, in as few commits as the engine takes; an error sticks. */
struct pairs {
	struct state *s;
	const char *address;
	struct store_batch *b;
	size_t n;
	int rc;
};
void pairs_begin(struct pairs *p, struct state *s, const char *address);
void
pairs_put(struct pairs *p, const struct pair_folder *f, const struct pair *v);
void
pairs_drop(struct pairs *p, const struct pair_folder *f, const struct pair *v);
/* 0, or what went wrong since the last one. */
int pairs_flush(struct pairs *p);

/* 0, -ENOENT, or an error of the engine. */
int pair_get(struct state *s, const char *address, const struct pair_folder *f,
    uint32_t there, struct pair *out);
int pair_find(struct state *s, const char *address, const struct pair_folder *f,
    uint32_t here, struct pair *out);
/* At most `max` with from <= there <= to, ascending; free(*out). */
int
pairs_range(struct state *s, const char *address, const struct pair_folder *f,
    uint32_t from, uint32_t to, size_t max, struct pair **out, size_t *n);
int pairs_count(struct state *s, const char *address,
    const struct pair_folder *f, size_t *n);
/* All of a folder, with what is to be deleted in it; or of all folders. */
int
pairs_forget(struct state *s, const char *address, const struct pair_folder *f);

/* --- to be deleted there --- */

/* In place of the pair. */
void
pairs_doom(struct pairs *p, const struct pair_folder *f, const struct pair *v);
void pairs_undoom(struct pairs *p, const struct pair_folder *f, uint32_t there);
/* free(*out). */
int pairs_doomed(struct state *s, const char *address,
    const struct pair_folder *f, size_t max, uint32_t **out, size_t *n);

/* --- moves under way there --- */

struct pair_moving {
	unsigned char id[STATE_ID]; /* fingerprint */
	struct pair pair;           /* to be; `there` is not known yet */
};
void pairs_moving_put(
    struct pairs *p, const struct pair_folder *to, const struct pair_moving *m);
void pairs_moving_drop(struct pairs *p, const struct pair_folder *to,
    const unsigned char id[static STATE_ID]);
/* free(*out). Old ones, which have led to nothing, are left out. */
int pairs_moving(struct state *s, const char *address,
    const struct pair_folder *to, struct pair_moving **out, size_t *n);

/* --- mailboxes here --- */

struct pair_cursor { /* as mails_cursor of mailbox */
	uint32_t uidvalidity, uid;
	uint64_t modseq;
	uint32_t modseq_uid;
};
static inline bool
pair_cursor_eq(const struct pair_cursor *a, const struct pair_cursor *b)
{
	return a->uidvalidity == b->uidvalidity && a->uid == b->uid &&
	    a->modseq == b->modseq && a->modseq_uid == b->modseq_uid;
}
/* -ENOENT: never looked at. */
int pair_cursor_get(struct state *s, const char *address, const char *mailbox,
    struct pair_cursor *out);
int pair_cursor_put(struct state *s, const char *address, const char *mailbox,
    const struct pair_cursor *c);
/* All of them: what changes here from now on is not looked at. */
int pair_cursors_forget(struct state *s, const char *address);

/* --- flags --- */

#define SYSTEM_FLAGS 5
/* "\Seen", "\Answered", "\Flagged", "\Deleted", "\Draft": bits in the order of
 * mails_flag of mailbox. */
extern const char *const system_flags[SYSTEM_FLAGS];

#define PAIR_KEYWORDS 64
struct pair_keywords {
	size_t n, kept; /* kept: of these in the database */
	char *names[PAIR_KEYWORDS];
};
int pair_keywords_load(
    struct state *s, const char *address, struct pair_keywords *k);
int pair_keywords_save(
    struct state *s, const char *address, struct pair_keywords *k);
void pair_keywords_clear(struct pair_keywords *k);
/* The flag in `f`; false: it is none that is mirrored (\Recent; too many). */
bool pair_flag_add(
    struct pair_keywords *k, struct merge_flags *f, struct slice name);
/* "\Seen $Label1 ": each followed by a space. */
void pair_flags_put(const struct pair_keywords *k, const struct merge_flags *f,
    struct buf *out);

#endif
