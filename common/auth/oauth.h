/* SPDX-License-Identifier: ISC */
/*
 * Bearer tokens (RFC 6750) that an authorization server is asked about
 * (RFC 7662). What it said is remembered for at most a minute, and never past
 * the token's end.
 */
#ifndef PNEU_AUTH_OAUTH_H
#define PNEU_AUTH_OAUTH_H

#include "common/auth/accounts.h"

struct oauth;

/* Settings auth.oauth_*; *out is NULL where there is no URL. 0, or -errno with
 * the reason in `err`. In a worker, in a coroutine. */
int oauth_new(struct oauth **out, const struct conf *conf, struct buf *err);
void oauth_free(struct oauth **o);

/*
 * Whose token this is, as the claim has it, in the arena. 0; -EACCES: not
 * active, over, of another scope, or of nobody; -EAGAIN: no answer. May wait.
 */
int oauth_check(struct oauth *o, struct arena *arena, struct slice token,
    const char **user);
/* The answer to a token that was refused (RFC 7628 3.2.2). */
void oauth_refusal(const struct oauth *o, struct buf *out);

/* --- apart, to be tested --- */

/* What the server says of a token, at `now_s`: 0 with the user, and until when
 * that may be believed; -EACCES, or -EAGAIN when it is no such answer. */
int oauth_read_answer(struct arena *arena, struct slice json, const char *claim,
    const char *scope, int64_t now_s, const char **user, int64_t *until_s);

#endif
