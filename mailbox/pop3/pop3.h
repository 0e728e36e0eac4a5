/* SPDX-License-Identifier: ISC */
/* POP3 (RFC 1939, 2449, 2595, 5034), as a service. */
#ifndef PNEU_MAILBOX_POP3_POP3_H
#define PNEU_MAILBOX_POP3_POP3_H

#include "common/auth/accounts.h"
#include "common/net/service.h"
#include "mailbox/mails/mails.h"

/* What sessions stand on; everything in it outlives them. */
struct pop3_env {
	struct mails *mails;
	struct accounts *accounts;
	struct tls_server *tls; /* NULL: no STLS */
	bool plaintext_login;
	int64_t login_ms; /* to sign in, whatever else is done; 0: 3 minutes */
	const char *preauth; /* for tests: this account, without a login */
};

/* Once per process. 0 or -errno. */
int pop3_start(
    const struct conf *conf, struct mails *mails, struct accounts *accounts);
/* A service_protocol's session. */
void pop3_session(struct conn *c, const struct service_protocol *p);

/* One session until its end; `c` stays the caller's. */
void pop3_serve(const struct pop3_env *env, struct conn *c);

#endif
