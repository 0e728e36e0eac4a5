/* SPDX-License-Identifier: ISC */
/* What `pneu outside` and pneu manage ask about outside accounts, on the Unix
 * socket (XFETCH of LHLO stands for all three), with answers in JSON
 * (common/auth/program_ask.h); 550: there is no such account.
 *
 *   XSTATE <address>   how it stands: an object of state, error, looked, worked,
 *                      next, messages, octets, refused
 *   XTEST <address>    sign in there, and say how it went: {"ok", "error"}
 *   XFETCH <address>   look at it now: {"ok", "error", "messages", "octets"}
 */
#ifndef PNEU_GATEWAY_ASK_H
#define PNEU_GATEWAY_ASK_H

#include "common/smtp/server.h"
#include "gateway/fetch.h"
#include "gateway/roster.h"

/* True: it is one of these, and answered. Waits. */
bool ask_command(struct gateway *g, struct roster *r, struct smtp_session *s,
    struct slice verb, struct slice args, struct smtp_reply *reply);

#endif
