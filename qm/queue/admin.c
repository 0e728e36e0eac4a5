/* SPDX-License-Identifier: ISC */
/*
 * What an admin asks of the queue, often from another process than the one
 * that holds the slices: a change is a batch that guards on the message's row,
 * so it and a delivery that is under way cannot undo each other.
 */
#include <errno.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/trace.h"
#include "qm/queue/internal.h"

#define TRIES 50

/* --- list --- */

struct listing {
	struct queue_info info;
	int (*each)(void *arg, const struct queue_info *info);
	void *arg;
	int rc;
	struct record_key next; /* where the next page begins */
	unsigned page;
};

#define PAGE 200

static int
list_row(void *arg, struct slice key, struct slice val)
{
	struct listing *l = arg;
	struct queue_message *m = queue_message_new();
	int rc;

	if (m == NULL)
		return -ENOMEM;
	if (!record_message_parse(key, m->id) ||
	    record_message_get(m, val) != 0 || m->next_index == 0) {
		queue_message_free(&m);
		return 0;
	}
	l->info = (struct queue_info){ .flags = m->flags,
		.attempts = m->attempts,
		.arrival_ms = m->arrival_ms,
		.due_ms = m->due_ms,
		.release_ms = m->wishes.release_ms,
		.size = m->size,
		.from = m->from,
		.trace = m->trace,
		.recipients = m->next_index };
	memcpy(l->info.id, m->id, sizeof(m->id));
	rc = l->rc = l->each(l->arg, &l->info);
	queue_message_free(&m);
	if (rc != 0)
		return 1;
	memcpy(l->next.octets, key.p, key.n);
	l->next.n = key.n;
	l->next.octets[l->next.n++] = '\0';
	return ++l->page == PAGE;
}

static int
list_slice(struct queue *q, unsigned number, struct listing *l)
{
	struct record_key part = record_part(number);
	int rc;

	l->next = (struct record_key){ .octets = "m", .n = 1 };
	do {
		l->page = 0;
		rc = store_scan(q->store, record_slice(&part),
		    record_slice(&l->next), SLICE_LIT("n"), 0, list_row, l);
	} while (rc == 1 && l->rc == 0);
	return rc < 0 ? rc : l->rc;
}

int
queue_list(struct queue *q, int (*each)(void *arg, const struct queue_info *),
    void *arg)
{
	struct listing l = { .each = each, .arg = arg };
	int rc = 0;

	for (unsigned i = 0; i < QUEUE_SLICES && rc == 0; i++)
		rc = list_slice(q, i, &l);
	return rc;
}

/* --- orders --- */

/* Now, but what its sender has held waits for its time (RFC 4865 4.2 5). */
static int64_t
soonest_ms(const struct queue_message *m)
{
	int64_t now_ms = clock_wall_ms();

	return m->wishes.release_ms > now_ms ? m->wishes.release_ms : now_ms;
}

/* What the order makes of the message; false: nothing to do. */
static bool
order_apply(struct queue_message *m, enum queue_order order)
{
	bool held = (m->flags & QUEUE_HELD) != 0;

	switch (order) {
	case QUEUE_ORDER_HOLD:
		m->flags |= QUEUE_HELD;
		return !held;
	case QUEUE_ORDER_RELEASE:
		m->flags &= ~(unsigned)QUEUE_HELD;
		m->flags |= QUEUE_AT_ONCE;
		m->due_ms = soonest_ms(m);
		return held;
	case QUEUE_ORDER_RETRY:
		m->flags |= QUEUE_AT_ONCE;
		m->due_ms = soonest_ms(m);
		return !held;
	case QUEUE_ORDER_DELETE:
		return true;
	}
	return false;
}

static int
order_commit(struct queue *q, struct queue_message *m, bool delete)
{
	struct record_key part = record_part(m->slice);
	struct record_key key = record_message_key(m->id);
	struct record_key was = record_due_key(m->row_due_ms, m->id);
	struct record_key due = record_due_key(m->due_ms, m->id);
	struct record_key from = record_rcpt_key(m->id, 0);
	struct record_key to = record_rcpt_end(m->id);
	struct store_batch *b = store_batch_new(q->store, record_slice(&part));
	struct buf row = BUF_INIT;
	int rc = -ENOMEM;

	if (b == NULL)
		return -ENOMEM;
	store_guard(b, record_slice(&key), buf_slice(&m->row));
	store_del(b, record_slice(&was));
	if (delete) {
		store_del(b, record_slice(&key));
		store_del_range(b, record_slice(&from), record_slice(&to));
		store_batch_blob_del(b, &m->blob);
	} else {
		record_message_put(&row, m);
		store_put(b, record_slice(&key), buf_slice(&row));
		if ((m->flags & QUEUE_HELD) == 0)
			store_put(b, record_slice(&due), SLICE_EMPTY);
	}
	if (!row.failed)
		rc = store_commit_one(q->store, b);
	buf_clear(&row);
	store_batch_free(&b);
	return rc;
}

static void
order_trace(const struct queue_message *m, enum queue_order order)
{
	static const char *const words[] = {
		[QUEUE_ORDER_HOLD] = "hold it",
		[QUEUE_ORDER_RELEASE] = "release it, and attempt it now",
		[QUEUE_ORDER_RETRY] = "attempt it now",
		[QUEUE_ORDER_DELETE] = "delete it, and tell nobody",
	};

	trace_write(&(struct trace_record){ .kind = TRACE_ORDER,
	    .octets = m->size,
	    .field = { [TRACE_ID] = m->trace,
		[TRACE_SENDER] = m->from,
		[TRACE_RULE] = slice_str(m->id),
		[TRACE_TEXT] = slice_str(words[order]) } });
}

static int
order_once(struct queue *q, const char *id, enum queue_order order)
{
	struct queue_message *m;
	int rc;

	if ((rc = queue_load(q, id, -1, &m)) != 0)
		return rc;
	if (order_apply(m, order))
		rc = order_commit(q, m, order == QUEUE_ORDER_DELETE);
	if (rc == 0)
		order_trace(m, order);
	queue_message_free(&m);
	return rc;
}

int
queue_order(struct queue *q, const char *id, enum queue_order order)
{
	int number = queue_id_slice(slice_str(id));
	struct record_key part;
	int rc = STORE_ECONFLICT;

	if (number < 0)
		return -ENOENT;
	for (int i = 0;
	     i < TRIES && (rc == STORE_ECONFLICT || rc == STORE_EUNKNOWN);
	     i++) {
		bool unknown = rc == STORE_EUNKNOWN;

		rc = order_once(q, id, order);
		if (rc == -ENOENT && unknown && order == QUEUE_ORDER_DELETE)
			rc = 0; /* the one before it did it */
	}
	part = record_part((unsigned)number);
	if (rc == 0)
		store_notify(q->store, record_slice(&part));
	return rc;
}
