/* SPDX-License-Identifier: ISC */
/* LMTP in (RFC 2033): the door by which mail comes into Mails. */
#ifndef PNEU_MAILBOX_LMTP_LMTP_H
#define PNEU_MAILBOX_LMTP_LMTP_H

#include "common/auth/accounts.h"
#include "common/net/service.h"
#include "mailbox/mails/mails.h"

/* Both must live as long as sessions do. 0 or -errno. */
int lmtp_start(
    const struct conf *conf, struct mails *mails, struct accounts *accounts);
/* A service_protocol's session. */
void lmtp_session(struct conn *c, const struct service_protocol *p);

#endif
