/* SPDX-License-Identifier: ISC */
/*
 * What failed sign-ins cost: a wait before the next check, which grows with
 * the failures of the client's address prefix and of the account, and in the
 * end no check at all for a while. A check that runs counts as failed until it
 * has succeeded, so that many at once gain nothing. An address from which an
 * account has signed in well pays nothing for what others try.
 *
 * The counts are those of all programs and workers (signins.h), and go down in
 * time. Listed networks are exempt, and Unix sockets. No clock is read here:
 * time comes in, of the wall, in milliseconds.
 */
#ifndef PNEU_AUTH_THROTTLE_H
#define PNEU_AUTH_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/conf.h"
#include "common/base/slice.h"

struct throttle;

enum throttle_outcome {
	THROTTLE_GOOD,
	THROTTLE_WRONG,
	THROTTLE_UNCHECKED, /* it came to no check */
};

/* Settings auth.*; private until shared. 0, -ENOMEM, or -EINVAL with the
 * reason in `err`. */
int
throttle_new(struct throttle **out, const struct conf *conf, struct buf *err);
void throttle_free(struct throttle **t);
/* With all who name this folder. 0 or -errno. */
int throttle_share(struct throttle *t, const char *dir);

/*
 * Milliseconds to wait before the check; throttle_end must follow. Or -EAGAIN:
 * too many failed, so nothing is checked now, and nothing follows. `peer` as of
 * net_addr_prefix; NULL is exempt. `account` in its canonical form.
 */
int64_t throttle_begin(
    struct throttle *t, const char *peer, struct slice account, int64_t now_ms);
void throttle_end(struct throttle *t, const char *peer, struct slice account,
    enum throttle_outcome outcome, int64_t now_ms);

/* --- when which password was right, to the minute --- */

void throttle_used(struct throttle *t, struct slice account,
    const char *credential, int64_t created_s, int64_t now_ms);
/* Seconds since 1970; 0: never, or so long ago that others came since. */
int64_t throttle_last_used(struct throttle *t, struct slice account,
    const char *credential, int64_t created_s);

/* --- for the admin --- */

#define THROTTLE_PEER_MAX 64

struct throttle_state {
	uint32_t failed;
	int64_t delay_ms;   /* of the next check */
	int64_t blocked_ms; /* no check until then; 0: not blocked */
	int64_t free_ms;    /* all is forgotten after so long */
};

/* The n'th prefix that has failures, from *i = 0 on. False: no more. */
bool throttle_next_address(struct throttle *t, size_t *i, int64_t now_ms,
    char peer[static THROTTLE_PEER_MAX], struct throttle_state *out);
/* False: no failures. */
bool throttle_account(struct throttle *t, struct slice account, int64_t now_ms,
    struct throttle_state *out);
/* How many names have failures, whether there are such accounts or not. */
size_t throttle_names(struct throttle *t, int64_t now_ms);

/* An address or prefix, as text. 0, -ENOENT (nothing known), -EINVAL. */
int throttle_clear_address(struct throttle *t, const char *text);
int throttle_clear_account(struct throttle *t, struct slice account);
void throttle_clear_all(struct throttle *t);

#endif
