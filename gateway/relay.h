/* SPDX-License-Identifier: ISC */
/*
 * Sending: mail of an outside address, which qm hands over by LMTP with XOUTSIDE
 * of MAIL, goes out through that account's own server. Nothing is kept here: the
 * replies are the server's, and qm retries and reports.
 */
#ifndef PNEU_GATEWAY_RELAY_H
#define PNEU_GATEWAY_RELAY_H

#include "common/smtp/server.h"
#include "gateway/fetch.h"

/* Of smtp_handler, `g` being the server's app. */
int relay_rcpt(
    struct smtp_session *s, struct smtp_rcpt *r, struct smtp_reply *reply);
int relay_message(struct smtp_session *s, struct spool *body,
    struct smtp_reply *replies, size_t n);

#endif
