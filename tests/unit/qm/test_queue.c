/* SPDX-License-Identifier: ISC */
/* The queue on all three engines: memory, memory that lies, embedded; and a
 * child that is killed at any moment. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "qm/queue/internal.h"

/* cmocka's assertions must not run in a coroutine: note, and assert after. */
static char failure[256];
#define CHECK(cond)                                                            \
	do {                                                                   \
		if (!(cond)) {                                                 \
			if (failure[0] == '\0')                                \
				snprintf(failure, sizeof(failure),             \
				    "%s:%d: %s", __func__, __LINE__, #cond);   \
			return;                                                \
		}                                                              \
	} while (0)

static char dir[64];

static int
remove_one(const char *path, const struct stat *st, int flag, struct FTW *f)
{
	(void)st, (void)flag, (void)f;
	return remove(path);
}

static void
remove_dir(void)
{
	if (dir[0] != '\0')
		nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	dir[0] = '\0';
}

static const char *
make_dir(void)
{
	remove_dir();
	snprintf(dir, sizeof(dir), "/tmp/pneu-test-queue-XXXXXX");
	return mkdtemp(dir);
}

/* --- helpers inside a coroutine --- */

static struct store_conf engine;
static struct queue *q;
static int wakes;

static void
on_wake(void *arg)
{
	(void)arg;
	wakes++;
}

static bool
open_queue(bool hold)
{
	struct buf err = BUF_INIT;
	int rc = queue_open(&q, &engine, &err);

	buf_clear(&err);
	if (rc != 0)
		return false;
	if (!hold)
		return true;
	if (queue_hold_start(q, QUEUE_SLICES, on_wake, NULL) != 0)
		return false;
	for (int i = 0; i < 10000 && q->n_held < QUEUE_SLICES; i++)
		co_sleep(1);
	return q->n_held == QUEUE_SLICES;
}

/* A message of `n` recipients, r0@x ..., whose content is its number. */
static struct queue_message *
make(unsigned number, size_t n)
{
	struct queue_message *m = queue_message_new();
	char text[64];

	m->from = SLICE_LIT("sender@example.test");
	m->envid = SLICE_LIT("env");
	m->trace = SLICE_LIT("01TRACE");
	m->ret = 2;
	m->body = 1;
	m->size = (uint64_t)snprintf(text, sizeof(text), "content %u", number);
	for (size_t i = 0; i < n; i++) {
		snprintf(text, sizeof(text), "r%zu@x.lab", i);
		queue_message_add(
		    m, slice_str(text), 4, SLICE_LIT("rfc822;orig@x.lab"));
	}
	return m;
}

static int
blob_for(struct queue_message *m, unsigned number, struct store_blob_writer **w)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "content %u", number);
	int rc;

	store_blob_id_new(&m->blob);
	if ((rc = store_blob_begin(q->store, &m->blob, w)) != 0 ||
	    (rc = store_blob_write(*w, slice(text, (size_t)n))) != 0)
		return rc;
	return store_blob_seal(*w);
}

static int
put(struct queue_message *m, unsigned number)
{
	struct store_blob_writer *w = NULL;
	int rc = blob_for(m, number, &w);

	if (rc == 0)
		rc = queue_put(q, m, w);
	store_blob_writer_free(&w);
	return rc;
}

static bool
content_is(const struct queue_message *m, unsigned number)
{
	char text[64], got[64];
	int n = snprintf(text, sizeof(text), "content %u", number);
	size_t have = 0;

	return queue_read(q, m, 0, got, sizeof(got), &have) == 0 &&
	    have == (size_t)n && memcmp(got, text, have) == 0;
}

struct found {
	char ids[64][QUEUE_ID_LEN + 1];
	size_t n, max;
};

static int
note_due(void *arg, const char *id, int64_t due_ms)
{
	struct found *f = arg;

	(void)due_ms;
	if (f->n == f->max)
		return 1;
	memcpy(f->ids[f->n++], id, QUEUE_ID_LEN + 1);
	return 0;
}

static size_t
count_due(int64_t now_ms, int64_t *next_ms)
{
	struct found f = { .max = 64 };

	for (unsigned i = 0; i < QUEUE_SLICES; i++)
		q->slices[i].next_due_ms = 0;
	if (queue_due(q, now_ms, note_due, &f, next_ms) != 0)
		return 999;
	return f.n;
}

static int
note_info(void *arg, const struct queue_info *info)
{
	(void)info;
	++*(size_t *)arg;
	return 0;
}

static size_t
count_all(void)
{
	size_t n = 0;

	return queue_list(q, note_info, &n) == 0 ? n : 999;
}

/* --- the cases --- */

static void
what_is_put_is_loaded(void *arg)
{
	struct queue_message *m = make(1, 3), *l;

	(void)arg;
	CHECK(open_queue(true));
	CHECK(put(m, 1) == 0);
	CHECK(queue_load(q, m->id, m->due_ms, &l) == 0);
	CHECK(strcmp(l->id, m->id) == 0 && l->slice == m->slice);
	CHECK(slice_eq(l->from, m->from) && slice_eq(l->envid, m->envid));
	CHECK(slice_eq(l->trace, m->trace) && l->ret == 2 && l->body == 1);
	CHECK(l->size == 9 && l->arrival_ms == m->arrival_ms);
	CHECK(l->n_rcpts == 3 && l->next_index == 3);
	CHECK(slice_eq_str(l->rcpts[2]->address, "r2@x.lab"));
	CHECK(slice_eq_str(l->rcpts[2]->orcpt, "rfc822;orig@x.lab"));
	CHECK(l->rcpts[2]->notify == 4 && l->rcpts[2]->in_store);
	CHECK(!queue_rcpt_is_dirty(l->rcpts[2]));
	CHECK(content_is(l, 1));
	CHECK(count_all() == 1);
	queue_message_free(&m);
	queue_message_free(&l);
	queue_close(&q);
}

static void
many_recipients_take_several_batches(void *arg)
{
	struct queue_message *m = make(2, 1234), *l;
	bool gone;

	(void)arg;
	CHECK(open_queue(true));
	CHECK(put(m, 2) == 0);
	CHECK(queue_load(q, m->id, m->due_ms, &l) == 0);
	CHECK(l->n_rcpts == 1234);
	for (size_t i = 0; i < 1234; i += 2)
		queue_rcpt_set(l, l->rcpts[i], QUEUE_DONE, "2.0.0", SLICE_EMPTY,
		    SLICE_EMPTY);
	for (size_t i = 1; i < 1234; i += 2)
		queue_rcpt_set(l, l->rcpts[i], QUEUE_PENDING, "4.2.1",
		    SLICE_LIT("450 4.2.1\nbusy\r"), SLICE_LIT("mx.lab"));
	l->due_ms += 5000;
	l->attempts = 1;
	CHECK(queue_update(q, l, NULL, NULL, &gone) == 0 && !gone);
	queue_message_free(&l);
	CHECK(queue_load(q, m->id, m->due_ms + 5000, &l) == 0);
	CHECK(l->n_rcpts == 617 && l->attempts == 1);
	CHECK(slice_eq_str(l->rcpts[0]->address, "r1@x.lab"));
	CHECK(slice_eq_str(l->rcpts[0]->diagnostic, "450 4.2.1 busy "));
	CHECK(strcmp(l->rcpts[616]->status, "4.2.1") == 0);
	for (size_t i = 0; i < l->n_rcpts; i++)
		queue_rcpt_set(l, l->rcpts[i], QUEUE_DONE, "2.0.0", SLICE_EMPTY,
		    SLICE_EMPTY);
	CHECK(queue_update(q, l, NULL, NULL, &gone) == 0 && gone);
	CHECK(count_all() == 0);
	queue_message_free(&l);
	queue_message_free(&m);
	queue_close(&q);
}

static void
due_in_order_and_next_time_told(void *arg)
{
	struct queue_message *m[3], *l;
	int64_t next, base;
	struct found f = { .max = 2 };
	bool gone;

	(void)arg;
	CHECK(open_queue(true));
	for (unsigned i = 0; i < 3; i++) {
		m[i] = make(i, 1);
		CHECK(put(m[i], i) == 0);
	}
	base = m[2]->due_ms;
	CHECK(count_due(base, &next) == 3 && next == INT64_MAX);
	/* No room: it stops, and comes again for the rest. */
	for (unsigned i = 0; i < QUEUE_SLICES; i++)
		q->slices[i].next_due_ms = 0;
	CHECK(queue_due(q, base, note_due, &f, &next) == 0);
	CHECK(f.n == 2 && next <= base);
	/* One moves to later. */
	CHECK(queue_load(q, m[1]->id, m[1]->due_ms, &l) == 0);
	l->due_ms = base + 7000;
	l->attempts++;
	CHECK(queue_update(q, l, NULL, NULL, &gone) == 0);
	CHECK(count_due(base, &next) == 2 && next == base + 7000);
	CHECK(count_due(base + 7000, &next) == 3);
	/* Its old due row is gone; a stale one would be removed. */
	queue_message_free(&l);
	CHECK(queue_load(q, m[1]->id, m[1]->due_ms, &l) == -ENOENT);
	for (unsigned i = 0; i < 3; i++)
		queue_message_free(&m[i]);
	queue_close(&q);
}

static void
all_done_leaves_nothing(void *arg)
{
	struct queue_message *m = make(3, 2);
	uint64_t size;
	int64_t next;
	bool gone;

	(void)arg;
	CHECK(open_queue(true));
	CHECK(put(m, 3) == 0);
	queue_rcpt_set(
	    m, m->rcpts[0], QUEUE_DONE, "2.0.0", SLICE_EMPTY, SLICE_EMPTY);
	CHECK(queue_update(q, m, NULL, NULL, &gone) == 0 && !gone);
	queue_rcpt_set(
	    m, m->rcpts[1], QUEUE_DONE, "2.0.0", SLICE_EMPTY, SLICE_EMPTY);
	CHECK(queue_update(q, m, NULL, NULL, &gone) == 0 && gone);
	CHECK(count_due(INT64_MAX - 1, &next) == 0 && count_all() == 0);
	CHECK(store_blob_size(q->store, &m->blob, &size) == -ENOENT);
	queue_message_free(&m);
	queue_close(&q);
}

static void
report_and_removal_are_one(void *arg)
{
	struct queue_message *m = make(4, 2), *report = make(5, 1), *l;
	struct store_blob_writer *w;
	bool gone;

	(void)arg;
	CHECK(open_queue(true));
	CHECK(put(m, 4) == 0);
	queue_rcpt_set(
	    m, m->rcpts[0], QUEUE_DONE, "5.1.1", SLICE_EMPTY, SLICE_EMPTY);
	m->attempts++;
	CHECK(blob_for(report, 5, &w) == 0);
	CHECK(queue_update(q, m, report, w, &gone) == 0 && !gone);
	store_blob_writer_free(&w);
	CHECK(report->slice == m->slice && count_all() == 2);
	CHECK(queue_load(q, report->id, report->due_ms, &l) == 0);
	CHECK(l->n_rcpts == 1 && content_is(l, 5));
	queue_message_free(&l);
	CHECK(queue_load(q, m->id, -1, &l) == 0 && l->n_rcpts == 1);
	queue_message_free(&l);
	queue_message_free(&m);
	queue_message_free(&report);
	queue_close(&q);
}

static void
orders_meet_a_delivery_under_way(void *arg)
{
	struct queue_message *m = make(6, 2), *l;
	int64_t next, base;
	bool gone;

	(void)arg;
	CHECK(open_queue(true));
	CHECK(put(m, 6) == 0);
	base = m->due_ms;
	/* Held while it is attempted: the outcome is kept, and so is the hold. */
	CHECK(queue_order(q, m->id, QUEUE_ORDER_HOLD) == 0);
	queue_rcpt_set(
	    m, m->rcpts[0], QUEUE_DONE, "2.0.0", SLICE_EMPTY, SLICE_EMPTY);
	m->due_ms = base + 60000;
	m->attempts++;
	CHECK(queue_update(q, m, NULL, NULL, &gone) == 0 && !gone);
	CHECK((m->flags & QUEUE_HELD) != 0);
	CHECK(count_due(INT64_MAX - 1, &next) == 0);
	CHECK(queue_order(q, m->id, QUEUE_ORDER_RETRY) == 0);
	CHECK(count_due(INT64_MAX - 1, &next) == 0);
	CHECK(queue_order(q, m->id, QUEUE_ORDER_RELEASE) == 0);
	CHECK(count_due(clock_wall_ms(), &next) == 1);
	CHECK(queue_load(q, m->id, -1, &l) == 0);
	CHECK(l->n_rcpts == 1 && l->attempts == 1);
	CHECK((l->flags & QUEUE_AT_ONCE) != 0 && l->due_ms < base + 60000);
	/* Asked for again while it is attempted: due at once, not later. */
	co_sleep(2); /* in the same millisecond it would be the same order */
	CHECK(queue_order(q, m->id, QUEUE_ORDER_RETRY) == 0);
	l->flags &= ~(unsigned)QUEUE_AT_ONCE;
	l->due_ms = base + 90000;
	l->attempts++;
	CHECK(queue_update(q, l, NULL, NULL, &gone) == 0);
	CHECK(l->due_ms < base + 60000);
	CHECK(count_due(clock_wall_ms(), &next) == 1);
	/* Deleted while it is attempted. */
	CHECK(queue_order(q, m->id, QUEUE_ORDER_DELETE) == 0);
	queue_rcpt_set(
	    l, l->rcpts[0], QUEUE_PENDING, "4.0.0", SLICE_EMPTY, SLICE_EMPTY);
	l->attempts++;
	CHECK(queue_update(q, l, NULL, NULL, &gone) == -ENOENT);
	CHECK(count_all() == 0 && count_due(INT64_MAX - 1, &next) == 0);
	CHECK(queue_order(q, m->id, QUEUE_ORDER_DELETE) == -ENOENT);
	CHECK(queue_order(q, "nonsense", QUEUE_ORDER_HOLD) == -ENOENT);
	queue_message_free(&l);
	queue_message_free(&m);
	queue_close(&q);
}

/* What another worker, that has taken the slice over, writes. */
static int
set_fence(unsigned number, uint64_t fence)
{
	struct record_key part = record_part(number);
	struct store_batch *b = store_batch_new(q->store, record_slice(&part));
	char row[8];
	int rc;

	put_be64(row, fence);
	store_put(b, SLICE_LIT("f"), slice(row, sizeof(row)));
	do
		rc = store_commit_one(q->store, b);
	while (rc == STORE_ECONFLICT || rc == STORE_EUNKNOWN);
	store_batch_free(&b);
	return rc;
}

/* A worker that was stopped for longer than its leases, which nobody took. */
static void
what_was_broken_off_is_looked_for_again(void *arg)
{
	struct queue_message *m = make(8, 1);
	struct found f = { .max = 64 };
	int64_t next;
	bool gone;

	(void)arg;
	CHECK(open_queue(true));
	CHECK(put(m, 8) == 0);
	CHECK(count_due(m->due_ms, &next) == 1 && next == INT64_MAX);
	for (unsigned i = 0; i < QUEUE_SLICES; i++)
		q->slices[i].lease_until = clock_mono_ms();
	CHECK(queue_update(q, m, NULL, NULL, &gone) == -ESTALE);
	CHECK(queue_due(q, m->due_ms, note_due, &f, &next) == 0);
	CHECK(f.n == 0 && next == INT64_MAX);
	queue_note(q, m->slice, m->due_ms); /* nothing to spin for */
	CHECK(queue_due(q, m->due_ms, note_due, &f, &next) == 0);
	CHECK(f.n == 0 && next == INT64_MAX);
	q->slices[m->slice].next_due_ms = INT64_MAX;
	wakes = 0;
	queue_renew(q);
	CHECK(wakes > 0);
	CHECK(queue_due(q, m->due_ms, note_due, &f, &next) == 0);
	CHECK(f.n == 1);
	queue_message_free(&m);
	queue_close(&q);
}

static void
who_lost_the_slice_writes_nothing(void *arg)
{
	struct queue_message *m = make(7, 1), *l;
	struct queue_slice *sl;
	bool gone;

	(void)arg;
	CHECK(open_queue(true));
	CHECK(put(m, 7) == 0);
	CHECK(queue_claim(q, m->slice) == 0);
	sl = &q->slices[m->slice];
	CHECK(set_fence(m->slice, sl->fence + 1) == 0);
	queue_rcpt_set(
	    m, m->rcpts[0], QUEUE_DONE, "2.0.0", SLICE_EMPTY, SLICE_EMPTY);
	CHECK(queue_update(q, m, NULL, NULL, &gone) == -ESTALE);
	CHECK(!sl->held && !queue_holds(q, m->slice));
	CHECK(queue_load(q, m->id, -1, &l) == 0 && l->n_rcpts == 1);
	queue_message_free(&l);
	queue_message_free(&m);
	queue_close(&q);
}

static void
new_recipients_count_with_the_last_batch(void *arg)
{
	struct queue_message *m = make(8, 1), *l;
	char text[32];
	bool gone;

	(void)arg;
	CHECK(open_queue(true));
	CHECK(put(m, 8) == 0);
	for (int i = 0; i < 900; i++) {
		snprintf(text, sizeof(text), "t%d@x.lab", i);
		CHECK(queue_message_add(m, slice_str(text), 0, SLICE_EMPTY));
	}
	queue_rcpt_set(
	    m, m->rcpts[0], QUEUE_DONE, "2.1.5", SLICE_EMPTY, SLICE_EMPTY);
	CHECK(queue_update(q, m, NULL, NULL, &gone) == 0 && !gone);
	CHECK(queue_load(q, m->id, -1, &l) == 0);
	CHECK(l->n_rcpts == 900 && l->next_index == 901);
	queue_message_free(&l);
	queue_message_free(&m);
	queue_close(&q);
}

/* A crash between the batches of an expansion: rows above next_index. */
static void
rows_of_a_cut_expansion_do_not_count(void *arg)
{
	struct queue_message *m = make(11, 1), *l;
	struct record_key part, key;
	struct store_batch *b;
	struct buf row = BUF_INIT;
	bool gone;
	int rc;

	(void)arg;
	CHECK(open_queue(true));
	CHECK(put(m, 11) == 0);
	part = record_part(m->slice);
	key = record_rcpt_key(m->id, 1);
	record_rcpt_put(&row, m->rcpts[0]);
	do {
		b = store_batch_new(q->store, record_slice(&part));
		store_put(b, record_slice(&key), buf_slice(&row));
		rc = store_commit_one(q->store, b);
		store_batch_free(&b);
	} while (rc == STORE_ECONFLICT || rc == STORE_EUNKNOWN);
	CHECK(queue_load(q, m->id, -1, &l) == 0 && l->n_rcpts == 1);
	/* And they go with the message. */
	l->rcpts[0]->state = QUEUE_DONE;
	queue_rcpt_touch(l->rcpts[0]);
	CHECK(queue_update(q, l, NULL, NULL, &gone) == 0 && gone);
	buf_reset(&row);
	CHECK(store_get(q->store, record_slice(&part), record_slice(&key),
		  &row) == -ENOENT);
	buf_clear(&row);
	queue_message_free(&l);
	queue_message_free(&m);
	queue_close(&q);
}

/* The rows that a crash leaves of a message that comes in several batches. */
static void
a_part_of_a_message_is_swept_away(void *arg)
{
	struct queue_message *m = make(9, 1), *l;
	struct store_blob_writer *w;
	struct record_key part = record_part(0x5a), key, due, rcpt;
	struct store_batch *b;
	struct buf row = BUF_INIT, one = BUF_INIT;
	int64_t next;
	int rc;

	(void)arg;
	CHECK(open_queue(true));
	CHECK(blob_for(m, 9, &w) == 0);
	snprintf(m->id, sizeof(m->id), "01ABCDEFGHJKMNPQRS5A");
	m->next_index = 0;
	key = record_message_key(m->id);
	due = record_due_key(m->due_ms, m->id);
	rcpt = record_rcpt_key(m->id, 0);
	record_message_put(&row, m);
	record_rcpt_put(&one, m->rcpts[0]);
	do {
		b = store_batch_new(q->store, record_slice(&part));
		store_batch_need(b, w);
		store_put(b, record_slice(&key), buf_slice(&row));
		store_put(b, record_slice(&due), SLICE_EMPTY);
		store_put(b, record_slice(&rcpt), buf_slice(&one));
		rc = store_commit_one(q->store, b);
		store_batch_free(&b);
	} while (rc == STORE_ECONFLICT || rc == STORE_EUNKNOWN);
	CHECK(rc == 0);
	store_blob_writer_free(&w);
	CHECK(count_all() == 0); /* an admin does not see it */
	CHECK(count_due(m->due_ms, &next) == 1);
	/* The sweep takes no second try: the lying engine may need several. */
	for (int i = 0; i < 100 && count_due(m->due_ms, &next) == 1; i++)
		CHECK(queue_load(q, m->id, m->due_ms, &l) == -ENOENT);
	CHECK(count_due(INT64_MAX - 1, &next) == 0);
	buf_clear(&row);
	buf_clear(&one);
	queue_message_free(&m);
	queue_close(&q);
}

static void
nobody_holds_it_and_it_waits(void *arg)
{
	struct queue_message *m = make(10, 1);

	(void)arg;
	CHECK(open_queue(false));
	CHECK(put(m, 10) == 0);
	CHECK(!queue_holds(q, m->slice));
	CHECK(queue_claim(q, m->slice) == -ESTALE);
	CHECK(count_all() == 1);
	queue_message_free(&m);
	queue_close(&q);
}

static void (*const cases[])(void *) = {
	what_is_put_is_loaded,
	many_recipients_take_several_batches,
	due_in_order_and_next_time_told,
	all_done_leaves_nothing,
	report_and_removal_are_one,
	orders_meet_a_delivery_under_way,
	what_was_broken_off_is_looked_for_again,
	who_lost_the_slice_writes_nothing,
	new_recipients_count_with_the_last_batch,
	rows_of_a_cut_expansion_do_not_count,
	a_part_of_a_message_is_swept_away,
	nobody_holds_it_and_it_waits,
};

static void
run_case(void (*fn)(void *), const struct store_conf *conf)
{
	engine = *conf;
	failure[0] = '\0';
	assert_int_equal(co_run(fn, NULL), 0);
	assert_string_equal(failure, "");
}

static void
memory_engine(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		run_case(cases[i], &(struct store_conf){ .engine = "memory" });
}

static void
memory_engine_that_lies(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 20; seed++)
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
			run_case(cases[i],
			    &(struct store_conf){ .engine = "memory",
				.seed = seed,
				.conflict_pct = 15,
				.unknown_pct = 15,
				.late_pct = 20 });
}

static void
embedded_engine(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		run_case(cases[i],
		    &(struct store_conf){
			.engine = "embedded", .dir = make_dir() });
	remove_dir();
}

/* --- killed at any moment --- */

/*
 * The child puts messages of two recipients and works on them as qm does:
 * first one is delivered, then the other fails, which is reported. Before and
 * after each step it tells so, and is killed somewhere.
 */
static int tell_fd;

static void
tell(char what, const char *id, unsigned number)
{
	char line[64];
	int n = snprintf(line, sizeof(line), "%c %s %u\n", what, id, number);

	if (write(tell_fd, line, (size_t)n) != n)
		_exit(1);
}

static void
child_one(unsigned number)
{
	struct queue_message *m = make(number, 2), *report;
	struct store_blob_writer *w;
	bool gone;

	if (put(m, number) != 0)
		_exit(2);
	tell('P', m->id, number);
	if (number % 3 == 0) { /* some only wait */
		queue_message_free(&m);
		return;
	}
	queue_rcpt_set(
	    m, m->rcpts[0], QUEUE_DONE, "2.0.0", SLICE_EMPTY, SLICE_EMPTY);
	tell('d', m->id, number);
	if (queue_update(q, m, NULL, NULL, &gone) != 0 || gone)
		_exit(3);
	tell('D', m->id, number);
	report = make(number + 1000000, 1);
	if (blob_for(report, number + 1000000, &w) != 0)
		_exit(4);
	queue_rcpt_set(
	    m, m->rcpts[1], QUEUE_DONE, "5.1.1", SLICE_EMPTY, SLICE_EMPTY);
	tell('r', m->id, number);
	if (queue_update(q, m, report, w, &gone) != 0 || !gone)
		_exit(5);
	tell('R', m->id, number);
	store_blob_writer_free(&w);
	queue_message_free(&report);
	queue_message_free(&m);
}

static void
child_main(void *arg)
{
	unsigned number = *(unsigned *)arg;

	if (!open_queue(true))
		_exit(6);
	for (;;)
		child_one(number++);
}

/* What the child had told last of each message. */
struct told {
	char id[QUEUE_ID_LEN + 1];
	char last;
};
#define TOLD_MAX 4000
static struct told told[TOLD_MAX];
static unsigned n_told;

/* So many lines, then the end of the child, then what it had still told. */
static void
read_told(int fd, pid_t pid, unsigned lines)
{
	FILE *f = fdopen(fd, "r");
	char what, id[64];
	unsigned number;

	while (fscanf(f, "%c %63s %u\n", &what, id, &number) == 3) {
		if (--lines == 0)
			kill(pid, SIGKILL);
		if (number >= TOLD_MAX)
			continue;
		memcpy(told[number].id, id, QUEUE_ID_LEN + 1);
		told[number].last = what;
		if (number >= n_told)
			n_told = number + 1;
	}
	fclose(f);
}

static unsigned reports_found, originals_found;

/* Is there a report about message `number`? */
struct hunt {
	unsigned number;
	bool found;
	char ids[TOLD_MAX][QUEUE_ID_LEN + 1];
	size_t n;
};
static struct hunt hunt;

static int
note_id(void *arg, const struct queue_info *info)
{
	(void)arg;
	if (hunt.n < TOLD_MAX)
		memcpy(hunt.ids[hunt.n++], info->id, QUEUE_ID_LEN + 1);
	return 0;
}

static bool has_report[TOLD_MAX];

/* Every message in the queue must be whole; note what it is by its content. */
static void
look_at_all(void)
{
	hunt.n = 0;
	memset(has_report, 0, sizeof(has_report));
	CHECK(queue_list(q, note_id, NULL) == 0);
	for (size_t i = 0; i < hunt.n; i++) {
		struct queue_message *m;
		char text[64] = "";
		unsigned number = 0;
		size_t got;

		CHECK(queue_load(q, hunt.ids[i], -1, &m) == 0);
		CHECK(queue_read(q, m, 0, text, sizeof(text) - 1, &got) == 0);
		CHECK(sscanf(text, "content %u", &number) == 1);
		CHECK(m->n_rcpts > 0);
		if (number >= 1000000) {
			CHECK(!has_report[number - 1000000]);
			has_report[number - 1000000] = true;
			reports_found++;
		} else {
			originals_found++;
		}
		queue_message_free(&m);
	}
}

static void
check_told(unsigned number)
{
	struct queue_message *m = NULL;
	int rc = queue_load(q, told[number].id, -1, &m);
	size_t n = m == NULL ? 0 : m->n_rcpts;
	bool report = has_report[number];

	queue_message_free(&m);
	switch (told[number].last) {
	case 'P':
		CHECK(rc == 0 && n == 2 && !report);
		break;
	case 'd':
		CHECK(rc == 0 && (n == 2 || n == 1) && !report);
		break;
	case 'D':
		CHECK(rc == 0 && n == 1 && !report);
		break;
	case 'r': /* one or the other, never both or none */
		CHECK((rc == 0 && n == 1) != report);
		CHECK(rc == 0 || rc == -ENOENT);
		break;
	case 'R':
		CHECK(rc == -ENOENT && report);
		break;
	}
}

static void
check_main(void *arg)
{
	unsigned from = *(unsigned *)arg;
	int64_t next;

	CHECK(open_queue(true));
	look_at_all();
	for (unsigned i = from; i < n_told; i++)
		if (told[i].last != '\0')
			check_told(i);
	/* All that is there is due again, and no due row leads nowhere. */
	for (unsigned i = 0; i < QUEUE_SLICES; i++)
		q->slices[i].next_due_ms = 0;
	CHECK(queue_due(q, clock_wall_ms(), note_due,
		  &(struct found){ .max = 64 }, &next) == 0);
	queue_close(&q);
}

static unsigned
kill_round(unsigned from, unsigned lines)
{
	int fds[2], status;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	if ((pid = fork()) == 0) {
		close(fds[0]);
		tell_fd = fds[1];
		co_run(child_main, &from);
		_exit(7);
	}
	close(fds[1]);
	read_told(fds[0], pid, lines);
	waitpid(pid, &status, 0);
	assert_true(WIFSIGNALED(status));
	failure[0] = '\0';
	assert_int_equal(co_run(check_main, &from), 0);
	assert_string_equal(failure, "");
	return n_told;
}

static void
killed_at_any_moment(void **state)
{
	unsigned from = 0;

	(void)state;
	engine = (struct store_conf){ .engine = "embedded", .dir = make_dir() };
	for (unsigned i = 0; i < 12; i++) {
		from = kill_round(from, 7 + i * 5) + 1;
		assert_true(from < TOLD_MAX);
	}
	assert_true(reports_found > 0 && originals_found > 0);
	remove_dir();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_engine),
		cmocka_unit_test(memory_engine_that_lies),
		cmocka_unit_test(embedded_engine),
		cmocka_unit_test(killed_at_any_moment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
