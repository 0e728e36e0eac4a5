/* SPDX-License-Identifier: ISC */
/* Messages of the queue as JSON: of `pneu queue` and of the API. */
#ifndef PNEU_QM_QUEUE_JSON_H
#define PNEU_QM_QUEUE_JSON_H

#include <jansson.h>

#include "qm/queue/queue.h"

/* What a server said need not be UTF-8. */
json_t *queue_json_text(struct slice s);
json_t *queue_json_time(int64_t ms);
/* When its sender wants it to go, or null. */
json_t *queue_json_release(int64_t ms);
/* "waiting", "deferred", "failed", "delivered" ... */
const char *queue_state_word(const struct queue_rcpt *r);
/* With at most so many of its recipients; `waiting`: only who waits. */
json_t *
queue_message_json(const struct queue_message *m, size_t most, bool waiting);

#endif
