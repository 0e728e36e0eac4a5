/* SPDX-License-Identifier: ISC */
/*
 * Adding, loading and changing messages. The order that matters: the blob is
 * durable before the row that names it (store_batch_need); a message of more
 * recipients than a batch holds counts only when its message row has the
 * right next_index, which the last batch writes.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "qm/queue/internal.h"

#define BATCH_RCPTS 400
/* A message that is being added in several batches and is not complete after
 * this time was left by a crash. */
#define PARTIAL_MS (3600 * 1000)
#define TRIES 50

int
queue_open(struct queue **out, const struct store_conf *conf, struct buf *err)
{
	struct queue *q = calloc(1, sizeof(*q));
	int rc;

	*out = NULL;
	if (q == NULL)
		return -ENOMEM;
	if ((rc = store_open(&q->store, conf, err)) != 0) {
		free(q);
		return rc;
	}
	for (unsigned i = 0; i < QUEUE_SLICES; i++)
		q->slices[i].q = q;
	*out = q;
	return 0;
}

void
queue_close(struct queue **out)
{
	struct queue *q = *out;

	if (q == NULL)
		return;
	*out = NULL;
	queue_hold_stop(q);
	store_close(&q->store);
	free(q);
}

struct store *
queue_store(struct queue *q)
{
	return q->store;
}

int
queue_id_slice(struct slice id)
{
	int v = 0;

	if (id.n != QUEUE_ID_LEN)
		return -1;
	for (size_t i = 0; i < id.n; i++)
		if (!ascii_is_digit(id.p[i]) &&
		    !(id.p[i] >= 'A' && id.p[i] <= 'Z'))
			return -1;
	for (size_t i = ID_LEN; i < id.n; i++) {
		if (id.p[i] > 'F')
			return -1;
		v = v * 16 +
		    (id.p[i] <= '9' ? id.p[i] - '0' : id.p[i] - 'A' + 10);
	}
	return v;
}

int
queue_read(struct queue *q, const struct queue_message *m, uint64_t at, void *p,
    size_t n, size_t *got)
{
	return store_blob_read(q->store, &m->blob, at, p, n, got);
}

/* --- several batches, as many as the rows need --- */

struct writer {
	struct queue *q;
	struct slice part;
	struct record_key part_key;
	struct store_batch *v[QUEUE_RCPTS_MAX / BATCH_RCPTS + 3];
	size_t n, rows;
	/* Put into every batch: */
	const struct queue_slice *fence;
	const struct queue_message *guard;
	struct buf value;
	int rc;
};

static void
writer_init(struct writer *w, struct queue *q, unsigned slice)
{
	*w = (struct writer){ .q = q, .part_key = record_part(slice) };
	w->part = record_slice(&w->part_key);
}

static void
writer_clear(struct writer *w)
{
	for (size_t i = 0; i < w->n; i++)
		store_batch_free(&w->v[i]);
	buf_clear(&w->value);
}

/* The batch that takes the next row. */
static struct store_batch *
writer_batch(struct writer *w)
{
	struct store_batch *b;

	if (w->n > 0 && w->rows < BATCH_RCPTS)
		return w->v[w->n - 1];
	assert(w->n < sizeof(w->v) / sizeof(w->v[0]));
	if ((b = store_batch_new(w->q->store, w->part)) == NULL)
		return NULL;
	w->v[w->n++] = b;
	w->rows = 0;
	if (w->fence != NULL)
		queue_guard_fence(b, w->fence);
	if (w->guard != NULL) {
		struct record_key k = record_message_key(w->guard->id);

		store_guard(b, record_slice(&k), buf_slice(&w->guard->row));
	}
	return b;
}

static void
writer_row(struct writer *w, const struct record_key *k, bool put)
{
	struct store_batch *b = writer_batch(w);

	if (b == NULL || w->value.failed) {
		w->rc = -ENOMEM;
		return;
	}
	if (put)
		store_put(b, record_slice(k), buf_slice(&w->value));
	else
		store_del(b, record_slice(k));
}

static void
writer_message(struct writer *w, const struct queue_message *m)
{
	struct record_key k = record_message_key(m->id);

	buf_reset(&w->value);
	record_message_put(&w->value, m);
	writer_row(w, &k, true);
}

static void
writer_due(struct writer *w, const char *id, int64_t due_ms, bool put)
{
	struct record_key k = record_due_key(due_ms, id);

	buf_reset(&w->value);
	writer_row(w, &k, put);
}

static void
writer_rcpt(struct writer *w, const char *id, const struct queue_rcpt *r)
{
	struct record_key k = record_rcpt_key(id, r->index);

	buf_reset(&w->value);
	if (r->state != QUEUE_DONE)
		record_rcpt_put(&w->value, r);
	writer_row(w, &k, r->state != QUEUE_DONE);
	w->rows++;
}

static void
writer_need(struct writer *w, struct store_blob_writer *blob)
{
	struct store_batch *b = writer_batch(w);

	if (b != NULL && blob != NULL)
		store_batch_need(b, blob);
}

/* The last batch makes what the others wrote count, so it goes alone. */
static int
writer_commit(struct writer *w)
{
	int rcs[sizeof(w->v) / sizeof(w->v[0])], rc;

	if (w->rc != 0)
		return w->rc;
	if (w->n > 1) {
		rc = store_commit(w->q->store, w->v, w->n - 1, rcs);
		if (rc != 0)
			return rc;
	}
	return store_commit_one(w->q->store, w->v[w->n - 1]);
}

/* --- adding --- */

static void
message_named(struct queue_message *m, unsigned number)
{
	char id[ID_LEN + 1];

	id_new(id);
	snprintf(m->id, sizeof(m->id), "%s%02X", id, number);
	m->slice = number;
	if (m->trace.n == 0)
		m->trace = slice(m->id, ID_LEN);
}

/* What the store now has: so it may be loaded, or simply gone on with. */
static bool
message_stored(struct queue_message *m)
{
	buf_reset(&m->row);
	m->row_flags = m->flags;
	m->row_due_ms = m->due_ms;
	return record_message_put(&m->row, m);
}

/* All rows of a message that fit one batch with what else is in it. */
static void
put_whole(
    struct writer *w, struct queue_message *m, struct store_blob_writer *blob)
{
	writer_message(w, m);
	writer_need(w, blob);
	if ((m->flags & QUEUE_HELD) == 0)
		writer_due(w, m->id, m->due_ms, true);
	for (size_t i = 0; i < m->n_rcpts; i++)
		writer_rcpt(w, m->id, m->rcpts[i]);
}

/* The message row says «no recipients» until the last batch. */
static void
put_in_parts(
    struct writer *w, struct queue_message *m, struct store_blob_writer *blob)
{
	int64_t due_ms = m->due_ms;
	uint32_t next_index = m->next_index;

	m->next_index = 0;
	m->due_ms += PARTIAL_MS;
	put_whole(w, m, blob);
	writer_due(w, m->id, m->due_ms, false);
	m->next_index = next_index;
	m->due_ms = due_ms;
	writer_message(w, m);
	writer_due(w, m->id, m->due_ms, true);
}

static void
message_remove(struct store_batch *b, const struct queue_message *m)
{
	struct record_key row = record_message_key(m->id);
	struct record_key due = record_due_key(m->row_due_ms, m->id);
	struct record_key from = record_rcpt_key(m->id, 0);
	struct record_key to = record_rcpt_end(m->id);

	store_del(b, record_slice(&row));
	store_del(b, record_slice(&due));
	store_del_range(b, record_slice(&from), record_slice(&to));
	store_batch_blob_del(b, &m->blob);
}

/* Is the message row of `m` in the store now? 1, 0 or an error. */
static int
message_is_there(
    struct queue *q, const struct queue_message *m, struct slice row)
{
	struct record_key part = record_part(m->slice);
	struct record_key key = record_message_key(m->id);
	struct buf now = BUF_INIT;
	int rc =
	    store_get(q->store, record_slice(&part), record_slice(&key), &now);

	if (rc == 0)
		rc = slice_eq(buf_slice(&now), row);
	else if (rc == -ENOENT)
		rc = 0;
	buf_clear(&now);
	return rc;
}

static int
put_once(struct queue *q, struct queue_message *m, struct store_blob_writer *w)
{
	struct writer out;
	int rc;

	writer_init(&out, q, m->slice);
	if (m->n_rcpts <= BATCH_RCPTS)
		put_whole(&out, m, w);
	else
		put_in_parts(&out, m, w);
	rc = writer_commit(&out);
	writer_clear(&out);
	if (rc == STORE_EUNKNOWN) {
		rc = message_is_there(q, m, buf_slice(&m->row));
		if (rc >= 0)
			rc = rc == 1 ? 0 : STORE_ECONFLICT;
	}
	return rc;
}

/* Take back a message that was added in part, as well as can be; else it is
 * removed when it falls due. */
static void
put_undo(struct queue *q, struct queue_message *m)
{
	struct record_key part = record_part(m->slice);
	struct record_key due = record_due_key(m->due_ms + PARTIAL_MS, m->id);
	struct store_batch *b = store_batch_new(q->store, record_slice(&part));

	if (b == NULL)
		return;
	message_remove(b, m);
	store_del(b, record_slice(&due));
	store_commit_one(q->store, b);
	store_batch_free(&b);
}

int
queue_put(struct queue *q, struct queue_message *m, struct store_blob_writer *w)
{
	int rc = STORE_ECONFLICT;

	assert(m->n_rcpts > 0);
	message_named(m, queue_slice_pick(q));
	if (!message_stored(m))
		return -ENOMEM;
	for (int i = 0; i < TRIES && rc == STORE_ECONFLICT; i++)
		rc = put_once(q, m, w);
	if (rc != 0) {
		put_undo(q, m);
		return rc;
	}
	for (size_t i = 0; i < m->n_rcpts; i++) {
		m->rcpts[i]->stored = m->rcpts[i]->changes;
		m->rcpts[i]->in_store = true;
	}
	return 0;
}

/* --- loading --- */

static int
load_rcpt(void *arg, struct slice key, struct slice val)
{
	struct queue_message *m = arg;

	if (key.n == RECORD_RCPT_LEN &&
	    get_be32(key.p + RECORD_RCPT_LEN - 4) >= m->next_index)
		return 0; /* of an expansion that a crash cut short */
	return record_rcpt_get(m, key, val);
}

static int
load_message(struct queue *q, struct queue_message *m)
{
	struct record_key part = record_part(m->slice);
	struct record_key key = record_message_key(m->id);
	struct record_key from = record_rcpt_key(m->id, 0);
	struct record_key to = record_rcpt_end(m->id);
	int rc;

	rc = store_get(
	    q->store, record_slice(&part), record_slice(&key), &m->row);
	if (rc != 0)
		return rc;
	if ((rc = record_message_get(m, buf_slice(&m->row))) != 0)
		return rc;
	m->row_flags = m->flags;
	m->row_due_ms = m->due_ms;
	return store_scan(q->store, record_slice(&part), record_slice(&from),
	    record_slice(&to), 0, load_rcpt, m);
}

/* A due row that leads nowhere; the message row is as `m` has it (no octets:
 * not there). */
static void
due_remove(struct queue *q, const struct queue_message *m, int64_t due_ms)
{
	struct record_key part = record_part(m->slice);
	struct record_key row = record_message_key(m->id);
	struct record_key due = record_due_key(due_ms, m->id);
	struct store_batch *b = store_batch_new(q->store, record_slice(&part));

	if (b == NULL)
		return;
	if (m->row.n == 0)
		store_guard_absent(b, record_slice(&row));
	else
		store_guard(b, record_slice(&row), buf_slice(&m->row));
	store_del(b, record_slice(&due));
	store_commit_one(q->store, b);
	store_batch_free(&b);
}

/* Left by a crash while it was added: nobody was told 250. */
static void
partial_remove(struct queue *q, struct queue_message *m)
{
	struct record_key part = record_part(m->slice);
	struct record_key row = record_message_key(m->id);
	struct store_batch *b = store_batch_new(q->store, record_slice(&part));

	if (b == NULL)
		return;
	store_guard(b, record_slice(&row), buf_slice(&m->row));
	message_remove(b, m);
	if (store_commit_one(q->store, b) == 0)
		log_info("removed", "qid=%s reason=\"never completely added\"",
		    m->id);
	store_batch_free(&b);
}

int
queue_load(
    struct queue *q, const char *id, int64_t due_ms, struct queue_message **out)
{
	struct queue_message *m = queue_message_new();
	int slice = queue_id_slice(slice_str(id)), rc;

	*out = NULL;
	if (m == NULL)
		return -ENOMEM;
	if (slice < 0) {
		queue_message_free(&m);
		return -ENOENT;
	}
	memcpy(m->id, id, sizeof(m->id));
	m->slice = (unsigned)slice;
	rc = load_message(q, m);
	if (due_ms >= 0 &&
	    (rc == -ENOENT ||
		(rc == 0 &&
		    (m->due_ms != due_ms || (m->flags & QUEUE_HELD) != 0)))) {
		due_remove(q, m, due_ms);
		rc = -ENOENT;
	}
	if (rc == 0 && m->next_index == 0) {
		if (due_ms >= 0)
			partial_remove(q, m);
		rc = -ENOENT;
	}
	if (rc == 0)
		*out = m;
	else
		queue_message_free(&m);
	return rc;
}

/* --- changing --- */

/* `changes` of each recipient as they are written now: while the commit waits
 * another transaction may note an outcome. */
static void
rcpts_noted(struct queue_message *m, unsigned *seen, bool *done)
{
	for (size_t i = 0; i < m->n_rcpts; i++) {
		seen[i] = m->rcpts[i]->changes;
		done[i] = m->rcpts[i]->state == QUEUE_DONE;
	}
}

static void
rcpts_stored(
    struct queue_message *m, size_t n, const unsigned *seen, const bool *done)
{
	for (size_t i = 0; i < n; i++) {
		m->rcpts[i]->stored = seen[i];
		m->rcpts[i]->in_store = !done[i];
	}
}

static void
update_rcpts(struct writer *w, const struct queue_message *m, bool added)
{
	for (size_t i = 0; i < m->n_rcpts; i++) {
		const struct queue_rcpt *r = m->rcpts[i];

		/* Nothing to write for one that came and went in memory. */
		if (queue_rcpt_is_dirty(r) && r->in_store != added)
			writer_rcpt(w, m->id, r);
	}
}

/* The rows as they shall be. Recipients that are new come first: they do not
 * count before the message row, in the last batch, has their index. */
static void
update_write(struct writer *w, struct queue_message *m, struct slice new_row,
    const struct queue_message *report, struct store_blob_writer *blob,
    bool gone)
{
	struct store_batch *b;

	if (gone) {
		if ((b = writer_batch(w)) == NULL) {
			w->rc = -ENOMEM;
			return;
		}
		message_remove(b, m);
	} else {
		update_rcpts(w, m, true);
		update_rcpts(w, m, false);
	}
	if (!gone && !slice_eq(new_row, buf_slice(&m->row))) {
		bool was = (m->row_flags & QUEUE_HELD) == 0;
		bool is = (m->flags & QUEUE_HELD) == 0;

		writer_message(w, m);
		if (was && (!is || m->due_ms != m->row_due_ms))
			writer_due(w, m->id, m->row_due_ms, false);
		if (is && (!was || m->due_ms != m->row_due_ms))
			writer_due(w, m->id, m->due_ms, true);
	}
	if (report != NULL) {
		w->rows = 0; /* never into another batch */
		put_whole(w, (struct queue_message *)report, blob);
	}
}

/* The row in the store is another one than we know: an admin's change, which
 * is taken over. */
static int
message_adopt(struct queue_message *m, struct slice row)
{
	unsigned admin = QUEUE_HELD | QUEUE_AT_ONCE;
	struct queue_message *theirs = queue_message_new();
	int rc = theirs == NULL ? -ENOMEM : record_message_get(theirs, row);

	if (rc == 0) {
		m->flags = (m->flags & ~admin) | (theirs->flags & admin);
		if (theirs->due_ms != m->row_due_ms &&
		    (m->due_ms == m->row_due_ms || theirs->due_ms < m->due_ms))
			m->due_ms = theirs->due_ms;
		m->row_flags = theirs->flags;
		m->row_due_ms = theirs->due_ms;
		buf_reset(&m->row);
		rc = buf_put_slice(&m->row, row) ? 0 : -ENOMEM;
	}
	queue_message_free(&theirs);
	return rc;
}

/* A guard failed, or the outcome is not known: what is there now? */
static int
message_reread(struct queue *q, struct queue_message *m)
{
	struct record_key part = record_part(m->slice);
	struct record_key key = record_message_key(m->id);
	struct queue_slice *sl = &q->slices[m->slice];
	struct buf row = BUF_INIT;
	int rc;

	sl->fenced = false;
	if ((rc = queue_slice_fence(q, sl)) != 0)
		return rc;
	rc = store_get(q->store, record_slice(&part), record_slice(&key), &row);
	if (rc == 0 && !slice_eq(buf_slice(&row), buf_slice(&m->row)))
		rc = message_adopt(m, buf_slice(&row));
	buf_clear(&row);
	return rc;
}

/* After UNKNOWN: 1 the update is done, 0 it is not (or doing it again does no
 * harm), or an error. */
static int
update_is_done(struct queue *q, const struct queue_message *m,
    struct slice new_row, const struct queue_message *report, bool gone)
{
	int rc;

	if (report != NULL)
		return message_is_there(q, report, buf_slice(&report->row));
	if (gone) {
		struct record_key part = record_part(m->slice);
		struct record_key key = record_message_key(m->id);
		struct buf row = BUF_INIT;

		rc = store_get(
		    q->store, record_slice(&part), record_slice(&key), &row);
		buf_clear(&row);
		return rc == -ENOENT ? 1 : rc;
	}
	if (slice_eq(new_row, buf_slice(&m->row)))
		return 0;
	return message_is_there(q, m, new_row);
}

/* As it was when the update was written. */
struct update {
	unsigned *seen;
	bool *done;
	size_t n;
	struct buf row;
	unsigned flags;
	int64_t due_ms;
	bool gone;
};

static int
update_prepare(struct update *u, struct queue_message *m)
{
	u->n = m->n_rcpts;
	u->seen = calloc(u->n + 1, sizeof(*u->seen));
	u->done = calloc(u->n + 1, sizeof(*u->done));
	if (u->seen == NULL || u->done == NULL ||
	    !record_message_put(&u->row, m))
		return -ENOMEM;
	rcpts_noted(m, u->seen, u->done);
	u->flags = m->flags;
	u->due_ms = m->due_ms;
	u->gone = queue_message_count(m, QUEUE_DONE) == m->n_rcpts;
	return 0;
}

static void
update_clear(struct update *u)
{
	free(u->seen);
	free(u->done);
	buf_clear(&u->row);
}

static int
update_once(struct queue *q, struct queue_message *m, struct update *u,
    const struct queue_message *report, struct store_blob_writer *blob)
{
	struct writer w;
	int rc;

	writer_init(&w, q, m->slice);
	w.fence = &q->slices[m->slice];
	w.guard = m;
	update_write(&w, m, buf_slice(&u->row), report, blob, u->gone);
	rc = w.n == 0 && w.rc == 0 ? 0 : writer_commit(&w);
	writer_clear(&w);
	if (rc == STORE_EUNKNOWN) {
		rc = update_is_done(q, m, buf_slice(&u->row), report, u->gone);
		if (rc >= 0)
			rc = rc == 1 ? 0 : STORE_ECONFLICT;
	}
	if (rc == 0) {
		rcpts_stored(m, u->n, u->seen, u->done);
		buf_reset(&m->row);
		buf_put_slice(&m->row, buf_slice(&u->row));
		m->row_flags = u->flags;
		m->row_due_ms = u->due_ms;
	}
	return rc;
}

int
queue_update(struct queue *q, struct queue_message *m,
    struct queue_message *report, struct store_blob_writer *w, bool *gone)
{
	int rc;

	*gone = false;
	if ((rc = queue_claim(q, m->slice)) != 0)
		return rc;
	if (report != NULL) {
		message_named(report, m->slice);
		if (!message_stored(report))
			return -ENOMEM;
	}
	rc = STORE_ECONFLICT;
	for (int i = 0; i < TRIES && rc == STORE_ECONFLICT; i++) {
		struct update u = { .row = BUF_INIT };

		rc = update_prepare(&u, m);
		if (rc == 0)
			rc = update_once(q, m, &u, report, w);
		*gone = u.gone;
		update_clear(&u);
		if (rc == STORE_ECONFLICT) {
			int again = message_reread(q, m);

			if (again != 0)
				return again;
		}
	}
	return rc;
}
