/* SPDX-License-Identifier: ISC */
/*
 * guard's service hooks and its one decision. The protocol of the answers
 * (design section 3, "Guard over LMTP"):
 *
 *   250  deliver as is
 *   251  deliver to the forward-paths instead, one per line in angle brackets,
 *        each followed by "local" (an account of ours) or "relay"; the address
 *        itself may be among them, when its mail goes elsewhere, too
 *   4xx, 5xx  what the client is to be told
 *   550 5.7.1  for a domain that is not ours
 */
#ifndef PNEU_GUARD_GUARD_H
#define PNEU_GUARD_GUARD_H

#include "common/auth/accounts.h"
#include "common/net/service.h"
#include "common/smtp/smtp.h"

void guard_reload(const struct conf *conf);
int guard_start(const struct conf *conf);
void guard_stop(void);
size_t
guard_paths(const struct conf *conf, struct service_path *out, size_t max);
void guard_session(struct conn *c, const struct service_protocol *p);

/* Outside accounts (outside.h) that an account's mail is put into, too. */
struct guard_push {
	const char *const *to;
	size_t n;
	bool only; /* and nothing stays here */
};

/*
 * The reply for a recipient that resolved so; texts in the arena. `push`: of the
 * account, or of each target; NULL: nothing. Pure, so that each verdict is tested
 * without a database.
 */
struct smtp_reply guard_verdict(struct arena *a, const struct smtp_path *to,
    const struct accounts_resolution *r, const struct guard_push *push);
/* The same for VRFY: 250 with the address, 252 for others' domains, or why
 * not. */
struct smtp_reply guard_verify(struct arena *a, const struct smtp_path *who,
    const struct accounts_resolution *r);

#endif
