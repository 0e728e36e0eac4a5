/* SPDX-License-Identifier: ISC */
/* IMAP4rev1 (RFC 3501 and the extensions of imap_commands.c), as a service. */
#ifndef PNEU_MAILBOX_IMAP_IMAP_H
#define PNEU_MAILBOX_IMAP_IMAP_H

#include "common/auth/accounts.h"
#include "common/net/service.h"
#include "mailbox/mails/mails.h"

/* What sessions stand on; everything in it outlives them. */
struct imap_env {
	struct mails *mails;
	struct accounts *accounts;
	struct tls_server *tls; /* NULL: no STARTTLS */
	uint64_t max_size;      /* octets of a message in APPEND */
	bool plaintext_login;
	bool submit; /* sessions are submission servers': URLFETCH only */
	int64_t login_ms; /* to sign in, whatever else is done; 0: 3 minutes */
	const char *preauth; /* of submit, and for tests: without a login */
};

/* Once per process. 0 or -errno. */
int imap_start(
    const struct conf *conf, struct mails *mails, struct accounts *accounts);
/* A service_protocol's session. */
void imap_session(struct conn *c, const struct service_protocol *p);

/* The same on mailbox.submit: of a submission server of ours, which needs no
 * login, may only URLFETCH, and must come by a Unix socket. */
void imap_submit_session(struct conn *c, const struct service_protocol *p);

/* One session until its end; `c` stays the caller's. */
void imap_serve(const struct imap_env *env, struct conn *c);

#endif
