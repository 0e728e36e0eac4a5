/* SPDX-License-Identifier: ISC */
/*
 * What guard's reply to RCPT means to the queue: an account of ours, somebody
 * outside, other addresses in its place, refused, or not known now. Pure
 * functions.
 */
#ifndef PNEU_QM_VERDICT_H
#define PNEU_QM_VERDICT_H

#include "common/smtp/smtp.h"
#include "qm/destination.h"
#include "qm/queue/queue.h"

enum verdict {
	VERDICT_LOCAL,  /* 250: deliver to the mailbox */
	VERDICT_REMOTE, /* 550 5.7.1: the domain is not ours: relay */
	VERDICT_EXPAND, /* 251: to others instead */
	VERDICT_REFUSED,
	VERDICT_LATER,
};
enum verdict verdict_of(const struct smtp_reply *reply);

/*
 * Where the recipient goes: set as r->route, in m's arena. `smarthost`: one is
 * configured. False when out of memory, or a remote address has no domain.
 */
bool verdict_route(
    struct queue_message *m, struct queue_rcpt *r, bool local, bool smarthost);

/*
 * Add the forward-paths of a 251, each with its route, to `m` (RFC 3461
 * 5.2.7): they inherit `notify` and the original recipient; of several, none
 * reports success. Paths that `m` has already are left out. Returns how many
 * were named (0: the reply cannot be understood), or -E2BIG, -ENOMEM.
 */
int verdict_expand(struct queue_message *m, const struct queue_rcpt *from,
    struct slice text, bool smarthost);

/* An alias of an alias ..., each asked of guard anew: more is a loop. */
#define VERDICT_EXPANSIONS_MAX 10

#endif
