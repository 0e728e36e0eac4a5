/* SPDX-License-Identifier: ISC */
/* The HTTP API of mail (docs/api.md), as a service. */
#ifndef PNEU_MAILBOX_API_API_H
#define PNEU_MAILBOX_API_API_H

#include "common/auth/accounts.h"
#include "common/net/service.h"
#include "mailbox/mails/mails.h"

/* Once per process, and after a reload. 0 or -errno. */
int api_start(
    const struct conf *conf, struct mails *mails, struct accounts *accounts);
/* A service_protocol's session. */
void api_session(struct conn *c, const struct service_protocol *p);

#endif
