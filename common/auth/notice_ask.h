/* SPDX-License-Identifier: ISC */
/*
 * Asking the running gateway about subscriptions: how they stand, what could
 * not be sent, and to send again. For `pneu notice` and the HTTP API; who may
 * ask about which is theirs to know.
 *
 *   XNOTICE STATUS <account>     of its subscriptions, by id: an object each of
 *                                state, sent, dead, next, last, fails, error,
 *                                status, sent_at, next_at
 *   XNOTICE DEAD <id>            array of event, at, attempts, status, error
 *   XNOTICE EVENTS <account>     {"first", "last"} of the numbers that are kept
 *   XNOTICE TEST <id>            send one now: {"ok", "status", "error"}
 *   XNOTICE REPLAY <id> <n>      send again from that event on: {"from", "last"}
 *   XNOTICE RETRY <id>           the same of those that could not be sent
 *   XNOTICE KEY                  {"public"}: the server's key for Web Push
 *                                (applicationServerKey), base64url
 */
#ifndef PNEU_AUTH_NOTICE_ASK_H
#define PNEU_AUTH_NOTICE_ASK_H

#include <jansson.h>

#include "common/base/conf.h"
#include "common/base/slice.h"

struct buf;

/*
 * `what` is one of the lines above, without XNOTICE. 0 with *out, to be freed;
 * -ENOENT: no such subscription, or event; -ECONNREFUSED and the like: no
 * gateway runs; -EAGAIN, -EPROTO: it says no, with its words in `err`.
 */
int notice_ask(
    const struct conf *conf, const char *what, json_t **out, struct buf *err);

#endif
