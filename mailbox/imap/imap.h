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
	const char *preauth; /* for tests: this account, without a login */
};

/* Once per process. 0 or -errno. */
int imap_start(
    const struct conf *conf, struct mails *mails, struct accounts *accounts);
/* A service_protocol's session. */
void imap_session(struct conn *c, const struct service_protocol *p);

/* One session until its end; `c` stays the caller's. */
void imap_serve(const struct imap_env *env, struct conn *c);

#endif
