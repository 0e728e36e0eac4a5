/* SPDX-License-Identifier: ISC */
/* What the queue leaves in the trace (common/base/trace.h): under the id that
 * the message came with, from whichever coroutine. Nothing waits or fails. */
#ifndef PNEU_QM_TELL_H
#define PNEU_QM_TELL_H

#include "qm/deliver.h"

/* It is durable now. `message_id` may be unknown; `about` is the message that
 * a report is about, else NULL. */
void tell_queued(const struct queue_message *m, struct slice message_id,
    const struct queue_message *about, int64_t took_us);
void tell_expanded(const struct queue_message *m, const struct queue_rcpt *r,
    struct slice targets);
void tell_outcome(const struct queue_message *m, const struct queue_rcpt *r,
    const struct smtp_reply *reply, const struct deliver_peer *peer);
/* Who is pending waits until m->due_ms. */
void tell_retry(const struct queue_message *m);
/* `rule`: what says that it has been tried for long enough. */
void tell_expired(const struct queue_message *m, const struct queue_rcpt *r,
    const char *rule);
/* "1 failed, 2 delayed": to be asked before they are done. */
void tell_counts(struct queue_rcpt *const *v, size_t n, struct buf *out);
void tell_report(const struct queue_message *m, struct queue_rcpt *const *v,
    size_t n, struct slice counts, const struct queue_message *report);
void tell_unreported(
    const struct queue_message *m, const struct queue_rcpt *r);

#endif
