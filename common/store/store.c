/* SPDX-License-Identifier: ISC */
/*
 * What all engines have in common: names and limits of keys, building of
 * batches, dropping of partitions.
 *
 * A drop is an intent (a row of the partition DROPS) and a mark in the
 * partition itself; every batch of the drop guards on the mark. So a replay
 * that comes late, when the partition was made anew, does nothing.
 */
#include "common/store/store.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/store/engine.h"

#define DROPS SLICE_LIT("\001drops")
#define DROP_MARK SLICE_LIT("\377\377drop")
#define DROP_PAGE 400 /* rows deleted in one batch */

static const struct store_engine *const engines[] = {
	&store_engine_embedded,
	&store_engine_memory,
};

/* --- opening --- */

static void
replay_main(void *arg)
{
	struct store *s = arg;

	store_drops_replay(s);
	store_leave(s);
}

/* In a coroutine at once; before the loop runs, as the first thing then. */
static void
replay_start(struct store *s)
{
	if (s->readonly)
		return;
	store_enter(s);
	if (co_self() != NULL)
		replay_main(s);
	else if (co_spawn(replay_main, s) == NULL)
		store_leave(s);
}

int
store_open(struct store **out, const struct store_conf *conf, struct buf *err)
{
	struct store *s = calloc(1, sizeof(*s));
	int rc = -EINVAL;

	*out = NULL;
	if (s == NULL)
		return -ENOMEM;
	s->watches.fd = s->watches.dir_fd = -1;
	s->readonly = conf->readonly;
	for (size_t i = 0; i < sizeof(engines) / sizeof(engines[0]); i++)
		if (strcmp(engines[i]->name, conf->engine) == 0)
			s->engine = engines[i];
	if (s->engine == NULL)
		buf_printf(err, "%s: no such store engine", conf->engine);
	else
		rc = s->engine->open(s, conf, err);
	if (rc != 0) {
		free(s);
		return rc;
	}
	replay_start(s);
	*out = s;
	return 0;
}

void
store_close(struct store **out)
{
	struct store *s = *out;

	if (s == NULL)
		return;
	*out = NULL;
	co_cancel(s->keeper);
	while (s->busy > 0 && co_self() != NULL) {
		s->closer = co_self();
		co_park_uncancelable();
	}
	s->engine->close(s);
	free(s);
}

void
store_enter(struct store *s)
{
	s->busy++;
}

void
store_leave(struct store *s)
{
	if (--s->busy == 0 && s->closer != NULL)
		co_wake(s->closer);
}

void
store_caps(const struct store *s, struct store_caps *out)
{
	(void)s;
	*out = (struct store_caps){
		.key_max = STORE_KEY_MAX,
		.value_max = STORE_VALUE_MAX,
		.batch_ops = STORE_BATCH_OPS,
		.batch_octets = STORE_BATCH_OCTETS,
		.blob_chunk = (size_t)256 << 10,
	};
}

/* --- full keys --- */

struct full_key {
	char octets[STORE_KEY_MAX + 2];
	size_t n;
};

/* partition, `sep`, key; -E2BIG. */
static int
full_key(struct full_key *out, struct slice part, char sep, struct slice key)
{
	assert(memchr(part.p, '\0', part.n) == NULL);
	if (part.n > STORE_KEY_MAX || key.n > STORE_KEY_MAX - part.n)
		return -E2BIG;
	memcpy(out->octets, part.p, part.n);
	out->octets[part.n] = sep;
	if (key.n > 0)
		memcpy(out->octets + part.n + 1, key.p, key.n);
	out->n = part.n + 1 + key.n;
	return 0;
}

static struct slice
full_slice(const struct full_key *k)
{
	return slice(k->octets, k->n);
}

/* The first key behind a range: `to`, or the end of the partition. */
static int
full_key_end(struct full_key *out, struct slice part, struct slice to)
{
	return full_key(out, part, to.n == 0 ? '\1' : '\0', to);
}

/* --- reading rows --- */

int
store_get(struct store *s, struct slice part, struct slice key, struct buf *val)
{
	struct full_key k;
	int rc;

	if ((rc = full_key(&k, part, '\0', key)) != 0)
		return rc;
	store_enter(s);
	rc = s->engine->get(s, full_slice(&k), val);
	store_leave(s);
	return rc;
}

/* The engine's own row of a drop is none of the partition's. */
struct scan {
	store_row_fn *row;
	void *arg;
};

static int
scan_row(void *arg, struct slice key, struct slice val)
{
	const struct scan *scan = arg;

	return slice_eq(key, DROP_MARK) ? 0 : scan->row(scan->arg, key, val);
}

int
store_scan(struct store *s, struct slice part, struct slice from,
    struct slice to, unsigned flags, store_row_fn *row, void *arg)
{
	struct scan scan = { row, arg };
	struct full_key first, end;
	int rc;

	if ((rc = full_key(&first, part, '\0', from)) != 0 ||
	    (rc = full_key_end(&end, part, to)) != 0)
		return rc;
	store_enter(s);
	rc = s->engine->scan(s, full_slice(&first), full_slice(&end),
	    part.n + 1, flags, scan_row, &scan);
	store_leave(s);
	return rc;
}

/* The engine's own partitions begin with 0x01: who asks for all does not
 * mean them. */
struct partitions_arg {
	int (*part)(void *arg, struct slice name);
	void *arg;
	bool own;
};

static int
partition_found(void *arg, struct slice name)
{
	struct partitions_arg *p = arg;

	if (!p->own && name.n > 0 && name.p[0] == '\1')
		return 0;
	return p->part(p->arg, name);
}

int
store_partitions(struct store *s, struct slice prefix,
    int (*part)(void *arg, struct slice name), void *arg)
{
	struct partitions_arg p = { part, arg, prefix.n > 0 };
	int rc;

	if (prefix.n > STORE_KEY_MAX)
		return -E2BIG;
	store_enter(s);
	rc = s->engine->partitions(s, prefix, partition_found, &p);
	store_leave(s);
	return rc;
}

/* --- batches --- */

struct store_batch *
store_batch_new(struct store *s, struct slice part)
{
	struct store_batch *b = calloc(1, sizeof(*b));

	assert(memchr(part.p, '\0', part.n) == NULL);
	if (b == NULL)
		return NULL;
	b->s = s;
	b->octets = BUF_INIT_MAX(STORE_BATCH_OCTETS);
	b->part_n = part.n + 1;
	buf_put_slice(&b->octets, part);
	if (!buf_put_char(&b->octets, '\0'))
		b->rc = -ENOMEM;
	return b;
}

void
store_batch_free(struct store_batch **out)
{
	struct store_batch *b = *out;

	if (b == NULL)
		return;
	*out = NULL;
	buf_clear(&b->octets);
	free(b->ops);
	free(b->needs);
	free(b);
}

static struct store_op *
op_new(struct store_batch *b, enum store_op_kind kind)
{
	struct store_op *ops;
	size_t cap = b->cap_ops == 0 ? 8 : b->cap_ops * 2;

	if (b->rc != 0)
		return NULL;
	if (b->n_ops == STORE_BATCH_OPS) {
		b->rc = -E2BIG;
		return NULL;
	}
	if (b->n_ops == b->cap_ops) {
		if ((ops = realloc(b->ops, cap * sizeof(*ops))) == NULL) {
			b->rc = -ENOMEM;
			return NULL;
		}
		b->ops = ops;
		b->cap_ops = cap;
	}
	b->ops[b->n_ops] = (struct store_op){ .kind = kind };
	return &b->ops[b->n_ops++];
}

/* Put octets into the batch: [*at, *at + *n). */
static void
op_octets(struct store_batch *b, struct slice octets, uint32_t *at, uint32_t *n)
{
	*at = (uint32_t)b->octets.n;
	*n = (uint32_t)octets.n;
	if (!buf_put_slice(&b->octets, octets))
		b->rc = -E2BIG;
}

/* The full key, of the batch's own partition. */
static void
op_full_key(struct store_batch *b, char sep, struct slice key, uint32_t *at,
    uint32_t *n)
{
	struct full_key k;
	int rc;

	rc = full_key(&k, slice(b->octets.p, b->part_n - 1), sep, key);
	if (rc != 0)
		b->rc = rc;
	else
		op_octets(b, full_slice(&k), at, n);
}

static void
op_row(struct store_batch *b, enum store_op_kind kind, struct slice key,
    struct slice val)
{
	struct store_op *op;

	if (val.n > STORE_VALUE_MAX && b->rc == 0)
		b->rc = -E2BIG;
	if ((op = op_new(b, kind)) == NULL)
		return;
	op_full_key(b, '\0', key, &op->key_at, &op->key_n);
	op_octets(b, val, &op->val_at, &op->val_n);
}

void
store_guard(struct store_batch *b, struct slice key, struct slice val)
{
	op_row(b, OP_GUARD, key, val);
}

void
store_guard_absent(struct store_batch *b, struct slice key)
{
	op_row(b, OP_GUARD_ABSENT, key, SLICE_EMPTY);
}

void
store_put(struct store_batch *b, struct slice key, struct slice val)
{
	op_row(b, OP_PUT, key, val);
}

void
store_del(struct store_batch *b, struct slice key)
{
	op_row(b, OP_DEL, key, SLICE_EMPTY);
}

void
store_del_range(struct store_batch *b, struct slice from, struct slice to)
{
	struct store_op *op = op_new(b, OP_DEL_RANGE);

	if (op == NULL)
		return;
	op_full_key(b, '\0', from, &op->key_at, &op->key_n);
	op_full_key(b, to.n == 0 ? '\1' : '\0', to, &op->val_at, &op->val_n);
}

void
store_batch_blob_del(struct store_batch *b, const struct store_blob_id *id)
{
	struct store_op *op = op_new(b, OP_BLOB_DEL);

	if (op != NULL)
		op_octets(b, slice(id->octets, sizeof(id->octets)), &op->key_at,
		    &op->key_n);
}

void
store_batch_need(struct store_batch *b, struct store_blob_writer *w)
{
	struct store_blob_writer **needs;

	assert(w->sealed);
	needs = realloc(b->needs, (b->n_needs + 1) * sizeof(*needs));
	if (needs == NULL) {
		b->rc = b->rc != 0 ? b->rc : -ENOMEM;
		return;
	}
	b->needs = needs;
	b->needs[b->n_needs++] = w;
}

void
store_on_blobs(struct store *s,
    void (*fn)(void *arg, const struct store_blob_id *id), void *arg)
{
	s->on_blob = fn;
	s->on_blob_arg = arg;
}

static void
tell_blobs(struct store *s, const struct store_batch *b)
{
	struct store_blob_id id;

	for (size_t i = 0; i < b->n_needs; i++)
		s->on_blob(s->on_blob_arg, &b->needs[i]->id);
	for (size_t i = 0; i < b->n_ops; i++)
		if (b->ops[i].kind == OP_BLOB_DEL) {
			memcpy(id.octets, op_key(b, &b->ops[i]).p,
			    sizeof(id.octets));
			s->on_blob(s->on_blob_arg, &id);
		}
}

int
store_commit(struct store *s, struct store_batch *const *b, size_t n, int *rc)
{
	for (size_t i = 0; i < n; i++)
		rc[i] = s->readonly ? -EROFS : b[i]->rc;
	store_enter(s);
	s->engine->commit(s, b, n, rc);
	for (size_t i = 0; i < n && s->on_blob != NULL; i++)
		if (rc[i] == 0)
			tell_blobs(s, b[i]);
	store_leave(s);
	for (size_t i = 0; i < n; i++)
		if (rc[i] != 0)
			return rc[i];
	return 0;
}

int
store_commit_one(struct store *s, struct store_batch *b)
{
	int rc;

	if (b == NULL)
		return -ENOMEM;
	return store_commit(s, &b, 1, &rc);
}

/* --- dropping a partition --- */

static bool
is_doubtful(int rc)
{
	return rc == STORE_ECONFLICT || rc == STORE_EUNKNOWN;
}

struct drop_page {
	struct store_batch *b;
	size_t n;
};

static int
drop_row(void *arg, struct slice key, struct slice val)
{
	struct drop_page *page = arg;

	(void)val;
	store_del(page->b, key);
	return ++page->n == DROP_PAGE;
}

/* One batch of the drop. *more: rows are left, but for the mark. */
static int
drop_step(struct store *s, struct slice part, struct slice mark, bool *more)
{
	struct drop_page page = { store_batch_new(s, part), 0 };
	int rc;

	if (page.b == NULL)
		return -ENOMEM;
	store_guard(page.b, DROP_MARK, mark);
	rc = store_scan(s, part, SLICE_EMPTY, SLICE_EMPTY, STORE_SCAN_KEYS,
	    drop_row, &page);
	*more = rc > 0;
	if (rc == 0)
		store_del(page.b, DROP_MARK);
	if (rc >= 0)
		rc = store_commit_one(s, page.b);
	store_batch_free(&page.b);
	return rc;
}

static int
drop_forget(struct store *s, struct slice part)
{
	struct store_batch *b;
	int rc;

	do {
		if ((b = store_batch_new(s, DROPS)) == NULL)
			return -ENOMEM;
		store_del(b, part);
		rc = store_commit_one(s, b);
		store_batch_free(&b);
	} while (is_doubtful(rc));
	return rc;
}

/* All steps of a drop whose mark is there; without the mark somebody has
 * finished it. */
static int
drop_finish(struct store *s, struct slice part)
{
	struct buf mark = BUF_INIT;
	bool more = true;
	int rc;

	do {
		buf_reset(&mark);
		rc = store_get(s, part, DROP_MARK, &mark);
		if (rc == 0)
			rc = drop_step(s, part, buf_slice(&mark), &more);
	} while (is_doubtful(rc) || (rc == 0 && more));
	buf_clear(&mark);
	return rc == 0 || rc == -ENOENT ? drop_forget(s, part) : rc;
}

static int
drop_put(struct store *s, struct slice part, struct slice key, struct slice val)
{
	struct store_batch *b;
	int rc;

	do {
		if ((b = store_batch_new(s, part)) == NULL)
			return -ENOMEM;
		store_put(b, key, val);
		rc = store_commit_one(s, b);
		store_batch_free(&b);
	} while (is_doubtful(rc));
	return rc;
}

int
store_partition_drop(struct store *s, struct slice part)
{
	struct store_blob_id mark;
	int rc;

	if (part.n + DROP_MARK.n > STORE_KEY_MAX)
		return -E2BIG;
	store_blob_id_new(&mark);
	store_enter(s);
	if ((rc = drop_put(s, DROPS, part, SLICE_EMPTY)) == 0 &&
	    (rc = drop_put(s, part, DROP_MARK,
		 slice(mark.octets, sizeof(mark.octets)))) == 0)
		rc = drop_finish(s, part);
	store_leave(s);
	return rc;
}

struct drop_next {
	char name[STORE_KEY_MAX];
	size_t n;
};

static int
drop_next(void *arg, struct slice key, struct slice val)
{
	struct drop_next *next = arg;

	(void)val;
	memcpy(next->name, key.p, key.n);
	next->n = key.n;
	return 1;
}

int
store_drops_replay(struct store *s)
{
	struct drop_next next = { .n = 0 };
	size_t from;
	int rc;

	for (;;) {
		/* Behind the last name: the same with a NUL. */
		from = next.n;
		if (from > 0)
			next.name[from++] = '\0';
		rc = store_scan(s, DROPS, slice(next.name, from), SLICE_EMPTY,
		    STORE_SCAN_KEYS, drop_next, &next);
		if (rc <= 0)
			break;
		log_info("finishing a partition drop", "partition=%s",
		    log_q(slice(next.name, next.n)));
		rc = drop_finish(s, slice(next.name, next.n));
		if (rc != 0)
			break;
	}
	if (rc < 0)
		log_warning(
		    "partition drop not finished", "error=%s", strerror(-rc));
	return rc;
}

/* --- blobs --- */

void
store_blob_id_new(struct store_blob_id *id)
{
	random_octets(id->octets, sizeof(id->octets));
}

int
store_blob_begin(struct store *s, const struct store_blob_id *id,
    struct store_blob_writer **out)
{
	int rc;

	*out = NULL;
	if (s->readonly)
		return -EROFS;
	store_enter(s);
	rc = s->engine->blob_begin(s, id, out);
	store_leave(s);
	if (rc == 0) {
		(*out)->s = s;
		(*out)->id = *id;
		(*out)->written_s = clock_wall_s();
	}
	return rc;
}

int
store_blob_write(struct store_blob_writer *w, struct slice octets)
{
	struct store *s = w->s;
	int rc;

	assert(!w->sealed);
	if (octets.n == 0)
		return 0;
	store_enter(s);
	rc = s->engine->blob_write(w, octets);
	store_leave(s);
	if (rc == 0)
		w->size += octets.n;
	return rc;
}

int
store_blob_seal(struct store_blob_writer *w)
{
	struct store *s = w->s;
	int rc;

	assert(!w->sealed);
	store_enter(s);
	rc = s->engine->blob_seal(w);
	store_leave(s);
	if (rc == 0)
		w->sealed = true;
	return rc;
}

int
store_blob_sync(struct store_blob_writer *w)
{
	struct store_batch *b = store_batch_new(w->s, SLICE_EMPTY);
	int rc;

	if (b == NULL)
		return -ENOMEM;
	store_batch_need(b, w);
	rc = store_commit_one(w->s, b);
	store_batch_free(&b);
	return rc;
}

void
store_blob_writer_free(struct store_blob_writer **out)
{
	struct store_blob_writer *w = *out;

	if (w == NULL)
		return;
	*out = NULL;
	w->s->engine->blob_writer_free(w);
}

int
store_blob_size(struct store *s, const struct store_blob_id *id, uint64_t *size)
{
	int rc;

	store_enter(s);
	rc = s->engine->blob_size(s, id, size);
	store_leave(s);
	return rc;
}

int
store_blob_read(struct store *s, const struct store_blob_id *id, uint64_t at,
    void *p, size_t n, size_t *got)
{
	int rc;

	*got = 0;
	store_enter(s);
	rc = s->engine->blob_read(s, id, at, p, n, got);
	store_leave(s);
	return rc;
}

int
store_blob_del(struct store *s, const struct store_blob_id *id)
{
	struct store_batch *b = store_batch_new(s, SLICE_EMPTY);
	int rc;

	if (b == NULL)
		return -ENOMEM;
	store_batch_blob_del(b, id);
	rc = store_commit_one(s, b);
	store_batch_free(&b);
	return rc;
}

int
store_blob_list(struct store *s, store_blob_fn *blob, void *arg)
{
	return store_blob_list_after(s, NULL, blob, arg);
}

int
store_blob_list_after(struct store *s, const struct store_blob_id *after,
    store_blob_fn *blob, void *arg)
{
	int rc;

	store_enter(s);
	rc = s->engine->blob_list(s, after, blob, arg);
	store_leave(s);
	return rc;
}

/* --- upkeep --- */

int
store_stats(struct store *s, struct store_stats *out)
{
	int rc;

	*out = (struct store_stats){ 0 };
	store_enter(s);
	rc = s->engine->stats(s, out);
	store_leave(s);
	return rc;
}

int
store_check(struct store *s, store_fault_fn *fault, void *arg)
{
	int rc;

	store_enter(s);
	rc = s->engine->check(s, fault, arg);
	store_leave(s);
	return rc;
}

int
store_compact(struct store *s, bool *more)
{
	int rc;

	*more = false;
	if (s->readonly)
		return -EROFS;
	store_enter(s);
	rc = s->engine->compact(s, more);
	store_leave(s);
	return rc;
}

/* A step is at most half a MiB: so at most 5 MiB a second are rewritten. */
#define KEEP_PAUSE_MS 100

static void
keeper_main(void *arg)
{
	struct store *s = arg;
	bool more = true;
	int rc = 0;

	while (more && rc == 0) {
		if ((rc = s->engine->compact(s, &more)) == 0 && more)
			rc = co_sleep(KEEP_PAUSE_MS);
	}
	if (rc != 0 && rc != -ECANCELED)
		log_warning("compaction", "error=\"%s\"", strerror(-rc));
	s->keeper = NULL;
	store_leave(s);
}

void
store_keep(struct store *s)
{
	if (s->keeper != NULL || s->readonly)
		return;
	store_enter(s);
	if ((s->keeper = co_spawn(keeper_main, s)) == NULL)
		store_leave(s);
}

int
store_backup(struct store *s, const char *dir)
{
	int rc;

	store_enter(s);
	rc = s->engine->backup(s, dir);
	store_leave(s);
	return rc;
}
