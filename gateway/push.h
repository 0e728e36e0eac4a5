/* SPDX-License-Identifier: ISC */
/*
 * Putting in: what comes for an account of ours, and is wanted in an outside
 * account as well (`pneu outside push`), comes here from qm by LMTP, for the
 * forward-path of outside_push_is. The queue keeps it until the other side has
 * said OK, so nothing is kept here but when it was begun, and whether octets went
 * out: then it is looked for there before they go out again.
 *
 * What the other side does not take for good, or not within a day, or for which
 * it does not let us in, goes to the mailbox of the account here that the outside
 * account belongs to. It goes with the message's own id, by which mailbox knows
 * it if it is there already; so the sender is not bothered with it.
 *
 * So it does when it is fetched from there again: by its octets or its place it
 * is known (state_push.h), and handed to mailbox under the message's own id.
 */
#ifndef PNEU_GATEWAY_PUSH_H
#define PNEU_GATEWAY_PUSH_H

#include "common/smtp/server.h"
#include "gateway/fetch.h"

/* At RCPT. *reply stays as it is where the account is there. */
int push_rcpt(struct gateway *g, struct smtp_session *s, struct slice address,
    struct smtp_reply *reply);
/* The message of the session, to one outside address. Waits. */
struct smtp_reply push_message(struct gateway *g, struct smtp_session *s,
    struct slice address, struct spool *body);
/* Between these, rows of long ago go (state_push.h). 0 or -ENOMEM. */
int push_start(struct gateway *g);
void push_stop(void);

#endif
