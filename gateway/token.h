/* SPDX-License-Identifier: ISC */
/*
 * Access tokens of outside accounts that sign in by OAuth: from the refresh
 * token, kept in memory until shortly before they expire, and fetched once for
 * all who want the same.
 *
 * Only the gateway asks for them, since a provider may take a refresh token
 * once, and give another one with the answer (RFC 6749 6). That is kept, sealed,
 * in our own state before anybody gets the access token; it holds as long as the
 * record has the login that it comes from, so a new login always wins.
 */
#ifndef PNEU_GATEWAY_TOKEN_H
#define PNEU_GATEWAY_TOKEN_H

#include "common/auth/outside.h"
#include "common/base/conf.h"

struct gateway;
struct tokens;

/* `g` has accounts, state and http; the configuration is what g->conf is at
 * each refresh. 0 or -ENOMEM. */
int tokens_new(struct tokens **out, struct gateway *g);
/* Waits until no refresh runs: what comes back must be kept. NULL is fine. */
void tokens_free(struct tokens **t);

/*
 * (`t` NULL, in a command: -EAGAIN, since only the daemon asks.)
 * The access token of `o`, appended to `out` (wipe it), NUL not included.
 * `refused`: the one that the server has just not taken, or NULL: where it is the
 * one that is kept, another is fetched. Waits, at most some 25 s.
 *
 * 0; -EACCES: the user must log in again, or for the first time (asked of the
 * provider once for each login, then known); -EINVAL: the provider does not take
 * our client, or it is not said which; -EAGAIN: try later; -ECANCELED. But for 0
 * and -ECANCELED with the reason, for people, in `why`.
 */
int token_get(struct tokens *t, const struct outside *o, const char *refused,
    struct buf *out, struct buf *why);
/* Of an account that is gone. */
void token_forget(struct tokens *t, const char *address);

#endif
