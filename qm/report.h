/* SPDX-License-Identifier: ISC */
/*
 * Delivery status notifications (RFC 3464) to the sender of a queued message:
 * who is told what (RFC 3461 4.1, 5.2), and the notification as a message of
 * its own, ready for the batch that takes its recipients off the queue.
 */
#ifndef PNEU_QM_REPORT_H
#define PNEU_QM_REPORT_H

#include "qm/queue/queue.h"

struct report_conf {
	const char *hostname;
	int64_t max_age_ms; /* for Will-Retry-Until */
};

/* Does the sender want to hear that this recipient is in that state (PENDING:
 * that it waits)? Never when the sender is "<>" (RFC 5321 6.1). */
bool
report_is_wanted(const struct queue_message *m, const struct queue_rcpt *r);

/*
 * Write the notification about n recipients of `m` as a blob, sealed, and make
 * its message. The caller adds both by queue_update and frees both; a blob
 * that was not added is his to delete. 0 or -errno.
 */
int report_write(struct queue *q, const struct report_conf *conf,
    const struct queue_message *m, struct queue_rcpt *const *rcpts, size_t n,
    struct queue_message **out, struct store_blob_writer **blob);

#endif
