/* SPDX-License-Identifier: ISC */
/*
 * Notices of new mail: what has arrived becomes numbered events
 * (notice_log.h), and each subscription is sent those that it wants, in order,
 * one at a time. Nothing is forgotten at a crash; what was sent and not yet
 * noted is sent once more, with the same id.
 *
 * A coroutine waits for mailbox to say that there is something; one per
 * subscription runs while there is something to send. Those that wait for a
 * retry cost a timer.
 */
#ifndef PNEU_GATEWAY_NOTICES_H
#define PNEU_GATEWAY_NOTICES_H

#include <jansson.h>

#include "gateway/backoff.h"
#include "gateway/fetch.h"

struct notices;

int notices_new(struct notices **out, struct gateway *g,
    const struct conf *conf, struct buf *err);
/* From now on. */
void notices_configure(struct notices *s, const struct conf *conf);
/* Stops what is under way, and waits for its end. NULL is fine. */
void notices_free(struct notices **s);

/*
 * XNOTICE: what common/auth/notice_ask.h lists. 0 with *out, to be freed;
 * -ENOENT, -EINVAL (no such question), -EPERM (it is paused), -ECANCELED, or
 * another error.
 */
int notices_ask(struct notices *s, struct slice what, json_t **out);

#endif
