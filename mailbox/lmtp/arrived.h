/* SPDX-License-Identifier: ISC */
/*
 * What pneu-gateway asks of new mail that somebody is to be told of
 * (mailbox/mails/arrivals.h), on our LMTP socket:
 *
 *   XARRIVED <after>
 *	an account that has some, the first after that one; with <> the reply
 *	waits until there is one, a minute at most. 250 <account>, 252: none
 *   XARRIVALS <account> [<mailbox>:<modseq>,...]
 *	done with those up to there; then which there are, at most 50: 250, an
 *	array
 *   XARRIVAL <account> <mailbox> <uid>
 *	what one says of itself: 250, an object as a list of the API has it, but
 *	for whom it is to, with "sealed" where it cannot be read without the
 *	account's key, and "mailbox_name"; that and "gone"; 550: so is the
 *	mailbox
 *
 * Arrays and objects are JSON in base64, which the lines of a reply cannot hurt.
 */
#ifndef PNEU_MAILBOX_LMTP_ARRIVED_H
#define PNEU_MAILBOX_LMTP_ARRIVED_H

#include "common/smtp/server.h"
#include "mailbox/mails/mails.h"

/* -ENOSYS: it is none of these. */
int arrived_command(struct mails *m, struct smtp_session *s, struct slice verb,
    struct slice args, struct smtp_reply *reply);
/* The session has ended. */
void arrived_end(struct smtp_session *s);

#endif
