/* SPDX-License-Identifier: ISC */
/*
 * All outside accounts, and when each is to be looked at: one small record and a
 * place in a heap for each, a coroutine only while it is looked at. So many
 * thousands cost little. At most so many at once, and at one host fewer; a host
 * that cannot be reached makes all of its accounts wait.
 */
#ifndef PNEU_GATEWAY_ROSTER_H
#define PNEU_GATEWAY_ROSTER_H

#include "gateway/backoff.h"
#include "gateway/fetch.h"

struct roster;

struct roster_conf {
	int64_t interval_ms;
	struct backoff_conf retry, login;
	size_t max_fetches, max_per_host, max_idle;
};

int roster_new(
    struct roster **out, struct gateway *g, const struct roster_conf *conf);
/* From now on. */
void roster_configure(struct roster *r, const struct roster_conf *conf);
/* Stops what is under way, and waits for its end. NULL is fine. */
void roster_free(struct roster **r);

/*
 * Look at this account now, and wait for the end of a look that begins after
 * the call. 0, the texts in `why` as of struct fetch; -ENOENT: there is none;
 * -EPERM: it is paused; -ECANCELED.
 */
struct roster_result {
	enum fetch_end end;
	uint64_t messages, octets;
	struct buf why;
};
int
roster_fetch(struct roster *r, struct slice address, struct roster_result *out);

#endif
