/* SPDX-License-Identifier: ISC */
/*
 * Asking mailbox what has arrived (mailbox/lmtp/arrived.h has the verbs). All
 * calls wait. Errors: -EAGAIN and those of a connection: try again later.
 */
#ifndef PNEU_GATEWAY_NOTICE_MAILBOX_H
#define PNEU_GATEWAY_NOTICE_MAILBOX_H

#include <jansson.h>

#include "common/smtp/client.h"
#include "gateway/notice_log.h"

#define ARRIVALS_MAX 50

/*
 * The first account after `after` of which there is something, into `out`; with
 * "" it waits for one, a minute at most. -ENOENT: none.
 */
int arrived_next(struct smtp_client *c, const char *after, struct buf *out);
/*
 * What has arrived there, up to ARRIVALS_MAX; done with what `done` says first
 * ("mailbox:modseq,..."; "": nothing).
 */
int arrived_list(struct smtp_pool *p, const char *account, const char *done,
    struct notice_event *out, size_t *n);
/* What the message of an event says of itself, to be freed; or "gone". -ENOENT:
 * so is its mailbox. */
int arrived_about(struct smtp_pool *p, const char *account,
    const struct notice_event *e, json_t **out);

#endif
