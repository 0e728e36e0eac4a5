/* SPDX-License-Identifier: ISC */
/* What the program has open, and its hooks for the service. */
#ifndef PNEU_MAILBOX_MAILBOX_H
#define PNEU_MAILBOX_MAILBOX_H

#include "common/net/service.h"

int mailbox_start(const struct conf *conf);
void mailbox_reload(const struct conf *conf);
void mailbox_stop(void);
size_t
mailbox_paths(const struct conf *conf, struct service_path *out, size_t max);

/* IMAP and POP3, for as many as an address may have. */
void mailbox_imap(struct conn *c, const struct service_protocol *p);
void mailbox_pop3(struct conn *c, const struct service_protocol *p);

#endif
