/* SPDX-License-Identifier: ISC */
/*
 * What the gateway knows of outside accounts: how it went last time, and what
 * it has dealt with. Only this program opens it. Losing it costs fetches, never
 * a message or a second copy: that is mailbox's to know (XSOURCE); and a login,
 * where a provider changes refresh tokens.
 *
 * Partition "p<address>":
 *   s          how it stands (struct state_status), JSON
 *   a          whose all this is: struct outside's id
 *   q          of a look that is under way: messages that it has brought, and that
 *              are still to come (8 octets each)
 *   o          whose maildrop the rest is of (state_bind), 16 octets
 *   t          OAuth: which login it comes from (16 octets), and the refresh token
 *              that came in place of that one's, sealed (outside.h)
 *   u<16>      POP3: half a SHA-256 of a unique-id; when it was first here, in
 *              seconds (8 octets)
 *   f<16>      IMAP: the same of a folder's name; UIDVALIDITY, next UID, one
 *              that breaks the connection, and how often it has (4 octets each),
 *              HIGHESTMODSEQ (8), messages (4), when all were compared (8),
 *              UIDVALIDITY of its mailbox here (4)
 *   and those of pairs.h, state_gmail.h and state_push.h
 *
 * All calls may wait. Errors as of store.h.
 */
#ifndef PNEU_GATEWAY_STATE_H
#define PNEU_GATEWAY_STATE_H

#include "common/base/conf.h"
#include "common/store/store.h"

#define STATE_ID 16 /* half a SHA-256 */

struct state;

int state_open(struct state **out, const struct conf *conf, bool readonly,
    struct buf *err);
void state_close(struct state **s);
/* Its database, for notice_log.h: partitions "n<account>". */
struct store *state_store(struct state *s);
/* All of an account. */
int state_drop(struct state *s, const char *address);
/* What is known of the account `id`; what is known of another one, which had the
 * address before it, goes. "": it is not known which. */
int state_claim(struct state *s, const char *address, const char *id);
/*
 * What is known of messages is known of one maildrop: ids mean something else at
 * another server, or in another's. `print` is of that; where it is not the one
 * of before, all but the status and the token goes, in one commit.
 */
int state_bind(struct state *s, const char *address,
    const unsigned char print[static STATE_ID]);
/* Addresses that there is something of; `each` must not wait. */
int state_addresses(
    struct state *s, int (*each)(void *arg, struct slice address), void *arg);

/* --- how it stands --- */

enum state_kind {
	STATE_NEW, /* not looked at yet */
	STATE_OK,
	STATE_RETRY, /* did not work, will be tried again */
	STATE_LOGIN, /* the other side does not let us in: the user must act */
	STATE_KINDS,
};
extern const char *const state_kinds[STATE_KINDS];

struct state_status {
	enum state_kind kind;
	const char *error; /* "" or why, for people; in the arena */
	int64_t looked_s;  /* last time; 0: never */
	int64_t good_s;    /* last time that it worked */
	int64_t next_s;
	uint32_t fails;                     /* one after the other */
	uint64_t messages, octets, refused; /* fetched so far */
	/* Of state_status_now: still to come, in the look that is under way. */
	uint64_t left;
};
int state_status_get(struct state *s, struct arena *a, const char *address,
    struct state_status *out); /* -ENOENT: STATE_NEW, out is set */
int state_status_put(
    struct state *s, const char *address, const struct state_status *st);
/* The same with the look that is under way, for people. */
int state_status_now(struct state *s, struct arena *a, const char *address,
    struct state_status *out);

/* A look that is under way, for people. */
struct state_progress {
	uint64_t done, left;
};
int state_progress_put(
    struct state *s, const char *address, const struct state_progress *p);

/* --- OAuth --- */


/* The sealed token of the login `base`; -ENOENT: none, or of another login. */
int state_token_get(struct state *s, const char *address,
    const unsigned char base[static STATE_ID], struct buf *sealed);
/* Durable when it returns 0. */
int state_token_put(struct state *s, const char *address,
    const unsigned char base[static STATE_ID], struct slice sealed);

/* --- POP3 --- */

struct state_seen {
	unsigned char id[STATE_ID];
	int64_t first_s;
};
/* Sorted by id; free(*out). */
int state_seen_load(
    struct state *s, const char *address, struct state_seen **out, size_t *n);
int state_seen_put(
    struct state *s, const char *address, const struct state_seen *v, size_t n);
int state_seen_del(
    struct state *s, const char *address, const struct state_seen *v, size_t n);

/* --- IMAP --- */

struct state_folder {
	uint32_t uidvalidity, uidnext; /* UIDs below that were dealt with */
	uint32_t stuck_uid, stuck_times;
	uint64_t modseq;    /* changes up to that were followed; 0: none */
	uint32_t messages;  /* in it, after the last look at all of it */
	int64_t compared_s; /* when flags were last compared one by one */
	uint32_t here;      /* UIDVALIDITY of its mailbox here; 0: none yet */
};
/* `id`: half a SHA-256 of its name, as it was first known (known.h). All zero
 * where nothing is known. */
int state_folder_get(struct state *s, const char *address,
    const unsigned char id[static STATE_ID], struct state_folder *out);
int state_folder_put(struct state *s, const char *address,
    const unsigned char id[static STATE_ID], const struct state_folder *f);

/* Half a SHA-256. */
void state_id(struct slice of, unsigned char out[static STATE_ID]);

#endif
