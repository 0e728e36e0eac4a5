/* SPDX-License-Identifier: ISC */
/*
 * Rows of the queue as octets: keys, message rows, recipient rows. Pure
 * functions. Numbers are big-endian, texts have two octets of length before
 * them, the first octet of a row is its version.
 */
#ifndef PNEU_QM_QUEUE_RECORD_H
#define PNEU_QM_QUEUE_RECORD_H

#include "qm/queue/queue.h"

#define RECORD_PART_LEN 4 /* "q.a7" */
#define RECORD_DUE_LEN (1 + 8 + QUEUE_ID_LEN)
#define RECORD_RCPT_LEN (1 + QUEUE_ID_LEN + 4)
#define RECORD_MESSAGE_LEN (1 + QUEUE_ID_LEN)

struct record_key {
	char octets[40];
	size_t n;
};
static inline struct slice
record_slice(const struct record_key *k)
{
	return slice(k->octets, k->n);
}

struct record_key record_part(unsigned slice);
struct record_key record_message_key(const char *id);
struct record_key record_rcpt_key(const char *id, uint32_t index);
/* Behind all recipients of the message. */
struct record_key record_rcpt_end(const char *id);
struct record_key record_due_key(int64_t due_ms, const char *id);
/* Behind all messages due at or before due_ms. */
struct record_key record_due_end(int64_t due_ms);
/* False: not such a key. */
bool record_due_parse(
    struct slice key, int64_t *due_ms, char id[static QUEUE_ID_LEN + 1]);
bool record_message_parse(struct slice key, char id[static QUEUE_ID_LEN + 1]);

bool record_message_put(struct buf *b, const struct queue_message *m);
/* Into m (texts in its arena). 0, -EIO (not such a row), -ENOMEM. */
int record_message_get(struct queue_message *m, struct slice row);
bool record_rcpt_put(struct buf *b, const struct queue_rcpt *r);
/* Adds a recipient to m. 0, -EIO, -ENOMEM. */
int
record_rcpt_get(struct queue_message *m, struct slice key, struct slice row);

#endif
