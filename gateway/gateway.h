/* SPDX-License-Identifier: ISC */
/*
 * The gateway's service hooks. It fetches by itself; what it serves is LMTP on a
 * Unix socket: mail to be sent through outside accounts (relay.h), and verbs of
 * its own: those of ask.h about outside accounts, and XNOTICE about notices of new
 * mail (common/auth/notice_ask.h).
 */
#ifndef PNEU_GATEWAY_GATEWAY_H
#define PNEU_GATEWAY_GATEWAY_H

#include "common/net/service.h"
#include "gateway/fetch.h"

int gateway_start(const struct conf *conf);
void gateway_reload(const struct conf *conf);
void gateway_stop(void);
size_t
gateway_paths(const struct conf *conf, struct service_path *out, size_t max);
void gateway_session(struct conn *c, const struct service_protocol *p);

/* For the daemon and for the commands, which only read state (that may be NULL:
 * there is none yet). 0, or -errno with the reason in `err`; close in any
 * case. */
int gateway_open(
    struct gateway *g, const struct conf *conf, bool readonly, struct buf *err);
void gateway_close(struct gateway *g);

/* list, show, test, fetch; ends with a NULL name. */
extern const struct service_command gateway_commands[];

#endif
