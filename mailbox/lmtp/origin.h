/* SPDX-License-Identifier: ISC */
/* For which address of a catch-all a message came in (reply_as of accounts):
 * kept at delivery, and told by XWHO. */
#ifndef PNEU_MAILBOX_LMTP_ORIGIN_H
#define PNEU_MAILBOX_LMTP_ORIGIN_H

#include "common/auth/accounts.h"
#include "common/smtp/server.h"
#include "mailbox/mails/mails.h"

struct origins {
	struct mails *mails;
	struct accounts *accounts;
};

/* Of a message for the account that came for `original` ("local@domain"): keep
 * that, if it was by a catch-all. What goes wrong is logged: the message is
 * there all the same. */
void origin_keep(const struct origins *o, const char *account,
    struct slice original, struct slice message_id);

/*
 * XWHO <account> message-id, the latter as xtext and without brackets:
 * 250 <address>, or 252 when it is not known. As smtp_handler.command.
 */
int origin_xwho(const struct origins *o, struct smtp_session *s,
    struct slice args, struct smtp_reply *reply);

#endif
