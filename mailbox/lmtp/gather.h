/* SPDX-License-Identifier: ISC */
/*
 * Many messages of outside accounts in one commit. A first look may bring 100,000
 * messages, and each by itself costs the disk three syncs.
 *
 *   XGATHER
 *	from here on 250 to a message with XSOURCE (deposit.h; not "-") says that
 *	it was taken, and no more
 *   XFLUSH
 *	all that were taken are durable: 250 with a line "delivered|known
 *	<uidvalidity> <uid>" for each, in their order. 4xx: they count as not
 *	taken; one at a time it may be seen which of them it is. Either way the
 *	gathering is over
 *
 * They are for one account and one mailbox; 503 to another. A session that ends
 * has not taken them. On Unix sockets only.
 */
#ifndef PNEU_MAILBOX_LMTP_GATHER_H
#define PNEU_MAILBOX_LMTP_GATHER_H

#include "common/smtp/server.h"
#include "mailbox/lmtp/deposit.h"

#define GATHER_MAX 200 /* messages */

/* -ENOSYS: it is none of these verbs. */
int gather_command(struct mails *m, struct smtp_session *s, struct slice verb,
    struct slice args, struct smtp_reply *reply);
/* Does this session gather? */
bool gather_is_open(struct smtp_session *s);
/* Take it; the reply is set where 0 is returned. */
int gather_take(struct smtp_session *s, const char *account,
    const struct mails_quota *quota, const struct deposit *d,
    struct spool *body, bool tell, struct smtp_reply *reply);
/* The session has ended. */
void gather_end(struct smtp_session *s);

#endif
