/* SPDX-License-Identifier: ISC */
/*
 * What is being put into an outside account (push.h), and what was: so that it is
 * known where it is fetched again. Rows, besides those of state.h:
 *
 *   w<16>   a message on its way: half a SHA-256 of its trace id; when that was
 *           begun, in seconds (8 octets), and 1 once octets may have gone there;
 *           2 when it is over, for the queue may not have heard of it
 *   p<16>   the same of all octets that went there, put before they go: seconds
 *           (8), trace id, NUL, sender
 *   q<16>   the same of where it is there: what p has, with the 16 octets of
 *           that row's key behind the seconds
 *
 * p and q go when the message is met, and all of them after STATE_PUSH_DAYS.
 * All calls may wait. Errors as of store.h.
 */
#ifndef PNEU_GATEWAY_STATE_PUSH_H
#define PNEU_GATEWAY_STATE_PUSH_H

#include "gateway/state.h"

/* Longer than qm.max_age and MAILS_KEY_DAYS of mailbox. */
#define STATE_PUSH_DAYS 30

struct state_push {
	int64_t since_s; /* 0: nothing is known of it */
	bool sent;
	bool over; /* it is there, or in the mailbox here */
};
int state_push_get(struct state *s, const char *address, struct slice trace,
    struct state_push *out);
int state_push_put(struct state *s, const char *address, struct slice trace,
    const struct state_push *p);

struct state_put_in {
	unsigned char octets[STATE_ID]; /* half a SHA-256 */
	struct slice trace, from;       /* of the message here */
	struct buf text;                /* of a find: clear it */
};
/* Before octets go out. */
int state_put_in_announce(
    struct state *s, const char *address, const struct state_put_in *p);
/* It is there, and where (0, 0: not told): with that it is over, in one commit. */
int state_put_in_done(struct state *s, const char *address,
    const struct state_put_in *p, uint32_t uidvalidity, uint32_t uid);
/* Was anything put in that has not been met? 1, 0, or an error. */
int state_put_in_any(struct state *s, const char *address);
/* What is there so, or has these octets: -ENOENT. */
int state_put_in_at(struct state *s, const char *address, uint32_t uidvalidity,
    uint32_t uid, struct state_put_in *out);
int state_put_in_of(struct state *s, const char *address,
    const unsigned char octets[static STATE_ID], struct state_put_in *out);
/* It was met there. */
int state_put_in_forget(struct state *s, const char *address,
    const struct state_put_in *p, uint32_t uidvalidity, uint32_t uid);

/* Rows of the account that are older than that: *n of them went. */
int state_push_sweep(
    struct state *s, const char *address, int64_t before_s, size_t *n);

#endif
