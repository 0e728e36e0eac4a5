/* SPDX-License-Identifier: ISC */
/*
 * Events of new mail, numbered for each account, and how far each subscription
 * has come in them. What a message says of itself is not in here, nor are names
 * of mailboxes: what mailbox may have sealed.
 *
 * Partition "n<account>" of the gateway's database (state.h):
 *   h              number of the next event (8 octets)
 *   b<mailbox>     MODSEQ of the last arrival there that became an event
 *   e<number>      event (struct notice_event)
 *   s<id>          how a subscription stands (struct notice_status), JSON
 *   d<id><number>  an event that it never took (struct notice_dead), JSON
 *
 * An event gets its number in one batch with the note that its arrival has been
 * dealt with: so a crash makes neither a second one of it, nor another number.
 *
 * All calls may wait. Errors as of store.h.
 */
#ifndef PNEU_GATEWAY_NOTICE_LOG_H
#define PNEU_GATEWAY_NOTICE_LOG_H

#include "common/auth/notice.h"
#include "common/store/store.h"

struct notice_event {
	uint64_t number; /* 1 .. */
	uint64_t mailbox, modseq;
	uint32_t uidvalidity, uid;
	uint64_t size;
	int64_t date_s, arrived_s; /* as it says; when it came */
	bool quiet; /* the mailbox is Sent, Drafts, Junk or Trash */
	bool gone;  /* before anybody could be told of it */
};

/* Give those numbers that have none yet (.number is ignored). */
int notice_log_append(struct store *s, const char *account,
    const struct notice_event *v, size_t n);
/* At most `max` from that number on. */
int notice_log_read(struct store *s, const char *account, uint64_t from,
    size_t max, struct notice_event *out, size_t *n);
/* The oldest that is kept, and the next that will be; equal: none is there. */
int notice_log_bounds(
    struct store *s, const char *account, uint64_t *first, uint64_t *next);
/* The first that arrived at that time or later, or the next one. */
int notice_log_since(
    struct store *s, const char *account, int64_t arrived_s, uint64_t *number);
/* Forget some of those that arrived before that time, and that they are dead:
 * nobody can be sent them again. */
int notice_log_purge(struct store *s, const char *account, int64_t arrived_s);

/* --- subscriptions --- */

struct notice_status {
	uint64_t next;               /* event that is to be sent next */
	uint64_t sent, passed;       /* so far; the filters passed over those */
	uint32_t fails;              /* one after the other */
	int64_t since_s;             /* first of them; 0: none */
	int64_t replayed_s;          /* when it was asked to go back */
	int64_t sent_s, next_s;      /* last one; next attempt, 0: no failure */
	int status;                  /* HTTP, of the last attempt; 0: none */
	uint64_t ended;    /* the version of the record that has ended */
	uint64_t retry_to; /* dead ones up to here are to be sent again */
	const char *error; /* of the last attempt, for people; "": it was taken */
};
/* -ENOENT: it is new, *out is zeros. */
int notice_status_get(struct store *s, struct arena *a, const char *account,
    const char *id, struct notice_status *out);

struct notice_dead {
	uint64_t number;
	int64_t at_s;
	uint32_t attempts;
	int status;
	const char *error;
};
/* With `dead` (n of them, at most NOTICE_DEAD_STEP) noted in the same batch;
 * `taken`: one that was dead and is no more, or 0. */
#define NOTICE_DEAD_STEP 100
int notice_status_put(struct store *s, const char *account, const char *id,
    const struct notice_status *st, const struct notice_dead *dead, size_t n,
    uint64_t taken);
/* Of the dead from that number on. */
int notice_dead_list(struct store *s, const char *account, const char *id,
    struct arena *a, uint64_t from, size_t max, struct notice_dead *out,
    size_t *n);
/* How many are dead, `max` at most. */
int notice_dead_count(struct store *s, const char *account, const char *id,
    size_t max, size_t *n);
/* All that is known of a subscription. */
int notice_forget(struct store *s, const char *account, const char *id);
/* Subscriptions that there is something of. `each` must not wait. */
int notice_known(struct store *s, const char *account,
    int (*each)(void *arg, struct slice id), void *arg);
/* All of an account. */
int notice_drop(struct store *s, const char *account);
/* Accounts that there is something of. */
int notice_accounts(
    struct store *s, int (*each)(void *arg, struct slice account), void *arg);

#endif
