/* SPDX-License-Identifier: ISC */
/*
 * The memory engine, for tests: nothing lasts, and it lies as an engine across
 * a network may. Answers come some turns late; commits are answered CONFLICT
 * though nothing stood against them, or UNKNOWN, done or not; all by the seed.
 * Commits are carried out in the order of the calls by one coroutine, while
 * reads see the rows as they are at that moment.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "common/store/engine.h"

struct mem_row {
	size_t key_n, val_n;
	char octets[]; /* key, value */
};

struct mem_blob {
	struct store_blob_id id;
	int64_t written_s;
	size_t size;
	char octets[];
};

struct mem_writer {
	struct store_blob_writer w;
	struct buf octets;
	struct mem_writer *next; /* in sealed */
	bool kept;               /* a commit has needed it */
};

/* One call of commit, on its caller's stack. */
struct mem_commit {
	struct mem_commit *next;
	struct store_batch *const *b;
	size_t n;
	int *rc;
	struct co *c;
	bool done;
};

struct mem {
	struct mem_row **rows; /* sorted by key */
	size_t n_rows, cap_rows;
	struct mem_blob **blobs;
	size_t n_blobs, cap_blobs;
	struct mem_writer *sealed;
	struct mem_commit *first, **last;
	bool draining;
	uint64_t chance;
	unsigned conflict_pct, unknown_pct, late_pct;
	struct store_stats stats;
};

/* --- chance --- */

static unsigned
mem_random(struct mem *m)
{
	m->chance ^= m->chance << 13; /* xorshift64 */
	m->chance ^= m->chance >> 7;
	m->chance ^= m->chance << 17;
	return (unsigned)(m->chance >> 33);
}

static bool
mem_happens(struct mem *m, unsigned pct)
{
	return pct > 0 && mem_random(m) % 100 < pct;
}

/* Come late, now and then; a cancelled caller waits as well. */
static void
mem_late(struct mem *m)
{
	if (co_self() == NULL || !mem_happens(m, m->late_pct))
		return;
	for (unsigned i = 1 + mem_random(m) % 4; i > 0; i--)
		(void)co_yield ();
}

/* --- rows --- */

static struct slice
row_key(const struct mem_row *r)
{
	return slice(r->octets, r->key_n);
}

static struct slice
row_val(const struct mem_row *r)
{
	return slice(r->octets + r->key_n, r->val_n);
}

/* Index of the first row with a key >= `key`. */
static size_t
rows_from(const struct mem *m, struct slice key)
{
	size_t lo = 0, hi = m->n_rows, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (slice_cmp(row_key(m->rows[mid]), key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct mem_row *
row_find(const struct mem *m, struct slice key)
{
	size_t i = rows_from(m, key);

	if (i < m->n_rows && slice_eq(row_key(m->rows[i]), key))
		return m->rows[i];
	return NULL;
}

/* Room for one more pointer. The tests' memory does not run out. */
static void *
array_grow(void *p, size_t n, size_t *cap)
{
	if (n < *cap)
		return p;
	*cap = *cap == 0 ? 64 : *cap * 2;
	p = realloc(p, *cap * sizeof(void *));
	assert(p != NULL);
	return p;
}

static void
row_put(struct mem *m, struct slice key, struct slice val)
{
	struct mem_row *r = malloc(sizeof(*r) + key.n + val.n);
	size_t i = rows_from(m, key);

	assert(r != NULL);
	r->key_n = key.n;
	r->val_n = val.n;
	memcpy(r->octets, key.p, key.n);
	if (val.n > 0)
		memcpy(r->octets + key.n, val.p, val.n);
	if (i < m->n_rows && slice_eq(row_key(m->rows[i]), key)) {
		free(m->rows[i]);
		m->rows[i] = r;
		return;
	}
	m->rows = array_grow(m->rows, m->n_rows, &m->cap_rows);
	memmove(
	    m->rows + i + 1, m->rows + i, (m->n_rows - i) * sizeof(*m->rows));
	m->rows[i] = r;
	m->n_rows++;
}

static void
rows_del(struct mem *m, struct slice from, struct slice to)
{
	size_t i = rows_from(m, from), end = rows_from(m, to);

	if (i >= end)
		return;
	for (size_t j = i; j < end; j++)
		free(m->rows[j]);
	memmove(
	    m->rows + i, m->rows + end, (m->n_rows - end) * sizeof(*m->rows));
	m->n_rows -= end - i;
}

static int
mem_get(struct store *s, struct slice key, struct buf *val)
{
	struct mem_row *r;

	mem_late(s->e);
	if ((r = row_find(s->e, key)) == NULL)
		return -ENOENT;
	return buf_put_slice(val, row_val(r)) ? 0 : -ENOMEM;
}

static int
mem_scan(struct store *s, struct slice from, struct slice to, size_t skip,
    unsigned flags, store_row_fn *row, void *arg)
{
	struct mem *m = s->e;
	size_t i, end, at;
	int rc = 0;

	mem_late(m);
	i = rows_from(m, from);
	end = rows_from(m, to);
	for (size_t n = 0; i + n < end && rc == 0; n++) {
		at = flags & STORE_SCAN_REVERSE ? end - 1 - n : i + n;
		rc = row(arg, slice_from(row_key(m->rows[at]), skip),
		    flags & STORE_SCAN_KEYS ? SLICE_EMPTY
					    : row_val(m->rows[at]));
	}
	return rc;
}

static int
mem_partitions(struct store *s, struct slice prefix,
    int (*part)(void *arg, struct slice name), void *arg)
{
	struct mem *m = s->e;
	struct slice name, last = { NULL, 0 };
	int rc = 0;

	mem_late(m);
	for (size_t i = rows_from(m, prefix); i < m->n_rows && rc == 0; i++) {
		name = row_key(m->rows[i]);
		name = slice_split(&name, '\0');
		if (name.n < prefix.n || memcmp(name.p, prefix.p, prefix.n))
			break;
		if (last.p != NULL && slice_eq(name, last))
			continue;
		last = name;
		rc = part(arg, name);
	}
	return rc;
}

/* --- blobs --- */

static size_t
blobs_from(const struct mem *m, const struct store_blob_id *id)
{
	size_t i = 0;

	while (i < m->n_blobs && memcmp(&m->blobs[i]->id, id, sizeof(*id)) < 0)
		i++;
	return i;
}

static struct mem_blob *
blob_find(const struct mem *m, const struct store_blob_id *id)
{
	size_t i = blobs_from(m, id);

	if (i < m->n_blobs && memcmp(&m->blobs[i]->id, id, sizeof(*id)) == 0)
		return m->blobs[i];
	return NULL;
}

static struct mem_writer *
sealed_find(const struct mem *m, const struct store_blob_id *id)
{
	struct mem_writer *w = m->sealed;

	while (w != NULL && memcmp(&w->w.id, id, sizeof(*id)) != 0)
		w = w->next;
	return w;
}

static void
blob_keep(struct mem *m, struct mem_writer *w)
{
	struct mem_blob *b;
	size_t i;

	if (w->kept)
		return;
	w->kept = true;
	b = malloc(sizeof(*b) + w->octets.n);
	assert(b != NULL);
	b->id = w->w.id;
	b->size = w->octets.n;
	b->written_s = w->w.written_s;
	if (b->size > 0)
		memcpy(b->octets, w->octets.p, b->size);
	m->blobs = array_grow(m->blobs, m->n_blobs, &m->cap_blobs);
	i = blobs_from(m, &b->id);
	memmove(m->blobs + i + 1, m->blobs + i,
	    (m->n_blobs - i) * sizeof(*m->blobs));
	m->blobs[i] = b;
	m->n_blobs++;
}

static void
blob_del(struct mem *m, struct slice id)
{
	struct store_blob_id key;
	size_t i;

	memcpy(&key, id.p, sizeof(key));
	if (blob_find(m, &key) == NULL)
		return;
	i = blobs_from(m, &key);
	free(m->blobs[i]);
	memmove(m->blobs + i, m->blobs + i + 1,
	    (m->n_blobs - i - 1) * sizeof(*m->blobs));
	m->n_blobs--;
}

static int
mem_blob_begin(struct store *s, const struct store_blob_id *id,
    struct store_blob_writer **out)
{
	struct mem_writer *w;

	mem_late(s->e);
	if (blob_find(s->e, id) != NULL || sealed_find(s->e, id) != NULL)
		return -EEXIST;
	if ((w = calloc(1, sizeof(*w))) == NULL)
		return -ENOMEM;
	*out = &w->w;
	return 0;
}

static int
mem_blob_write(struct store_blob_writer *writer, struct slice octets)
{
	struct mem_writer *w = (struct mem_writer *)writer;

	mem_late(writer->s->e);
	return buf_put_slice(&w->octets, octets) ? 0 : -ENOSPC;
}

static int
mem_blob_seal(struct store_blob_writer *writer)
{
	struct mem_writer *w = (struct mem_writer *)writer;
	struct mem *m = writer->s->e;

	mem_late(m);
	w->next = m->sealed;
	m->sealed = w;
	return 0;
}

static void
mem_blob_writer_free(struct store_blob_writer *writer)
{
	struct mem_writer *w = (struct mem_writer *)writer, **at;
	struct mem *m = writer->s->e;

	for (at = &m->sealed; *at != NULL && *at != w; at = &(*at)->next)
		;
	if (*at != NULL)
		*at = w->next;
	buf_clear(&w->octets);
	free(w);
}

/* Kept, or sealed and not yet needed; -ENOENT. */
static int
blob_octets(struct mem *m, const struct store_blob_id *id, struct slice *out)
{
	struct mem_blob *b = blob_find(m, id);
	struct mem_writer *w = sealed_find(m, id);

	if (b != NULL)
		*out = slice(b->octets, b->size);
	else if (w != NULL && !w->kept)
		*out = buf_slice(&w->octets);
	else
		return -ENOENT;
	return 0;
}

static int
mem_blob_size(struct store *s, const struct store_blob_id *id, uint64_t *size)
{
	struct slice octets;

	mem_late(s->e);
	if (blob_octets(s->e, id, &octets) != 0)
		return -ENOENT;
	*size = octets.n;
	return 0;
}

static int
mem_blob_read(struct store *s, const struct store_blob_id *id, uint64_t at,
    void *p, size_t n, size_t *got)
{
	struct slice octets;

	mem_late(s->e);
	if (blob_octets(s->e, id, &octets) != 0)
		return -ENOENT;
	octets = slice_head(slice_from(octets, at), n);
	if (octets.n > 0)
		memcpy(p, octets.p, octets.n);
	*got = octets.n;
	return 0;
}

static int
mem_blob_list(struct store *s, const struct store_blob_id *after,
    store_blob_fn *blob, void *arg)
{
	struct mem *m = s->e;
	size_t i;
	int rc = 0;

	mem_late(m);
	i = after == NULL ? 0 : blobs_from(m, after);
	if (after != NULL && blob_find(m, after) != NULL)
		i++;
	for (; i < m->n_blobs && rc == 0; i++)
		rc = blob(arg, &m->blobs[i]->id, m->blobs[i]->size,
		    m->blobs[i]->written_s);
	return rc;
}

/* --- commits --- */

static bool
guards_hold(const struct mem *m, const struct store_batch *b)
{
	const struct store_op *op = b->ops;
	struct mem_row *r;

	for (; op < b->ops + b->n_ops; op++) {
		if (op->kind != OP_GUARD && op->kind != OP_GUARD_ABSENT)
			continue;
		r = row_find(m, op_key(b, op));
		if ((r == NULL) != (op->kind == OP_GUARD_ABSENT) ||
		    (r != NULL && !slice_eq(row_val(r), op_val(b, op))))
			return false;
	}
	return true;
}

static void
op_apply(struct mem *m, const struct store_batch *b, const struct store_op *op)
{
	struct slice key = op_key(b, op), end;
	char behind[STORE_KEY_MAX + 2];

	switch (op->kind) {
	case OP_PUT:
		row_put(m, key, op_val(b, op));
		break;
	case OP_DEL:
		memcpy(behind, key.p, key.n);
		behind[key.n] = '\0';
		end = slice(behind, key.n + 1);
		rows_del(m, key, end);
		break;
	case OP_DEL_RANGE:
		rows_del(m, key, op_val(b, op));
		break;
	case OP_BLOB_DEL:
		blob_del(m, key);
		break;
	case OP_GUARD:
	case OP_GUARD_ABSENT:
		break;
	}
}

static int
batch_apply(struct mem *m, struct store_batch *b)
{
	bool unknown = mem_happens(m, m->unknown_pct);

	if (mem_happens(m, m->conflict_pct) || !guards_hold(m, b))
		return STORE_ECONFLICT;
	if (unknown && mem_happens(m, 50))
		return STORE_EUNKNOWN;
	for (size_t i = 0; i < b->n_needs; i++)
		blob_keep(m, (struct mem_writer *)b->needs[i]);
	for (size_t i = 0; i < b->n_ops; i++)
		op_apply(m, b, &b->ops[i]);
	m->stats.batches++;
	return unknown ? STORE_EUNKNOWN : 0;
}

static void
drain(void *arg)
{
	struct mem *m = arg;
	struct mem_commit *c;

	mem_late(m);
	while ((c = m->first) != NULL) {
		if ((m->first = c->next) == NULL)
			m->last = &m->first;
		for (size_t i = 0; i < c->n; i++)
			if (c->rc[i] == 0)
				c->rc[i] = batch_apply(m, c->b[i]);
		m->stats.commits++;
		c->done = true;
		co_wake(c->c);
	}
	m->draining = false;
}

static void
mem_commit(struct store *s, struct store_batch *const *b, size_t n, int *rc)
{
	struct mem *m = s->e;
	struct mem_commit c = { NULL, b, n, rc, co_self(), false };

	*m->last = &c;
	m->last = &c.next;
	if (!m->draining) {
		m->draining = true;
		if (co_spawn(drain, m) == NULL)
			drain(m);
	}
	while (!c.done)
		co_park_uncancelable();
	mem_late(m);
}

/* --- upkeep --- */

static int
mem_stats(struct store *s, struct store_stats *out)
{
	struct mem *m = s->e;

	*out = m->stats;
	for (size_t i = 0; i < m->n_rows; i++)
		out->rows_octets += m->rows[i]->key_n + m->rows[i]->val_n;
	for (size_t i = 0; i < m->n_blobs; i++)
		out->blob_octets += m->blobs[i]->size;
	return 0;
}

static int
mem_check(struct store *s, store_fault_fn *fault, void *arg)
{
	(void)s, (void)fault, (void)arg;
	return 0;
}

static int
mem_compact(struct store *s, bool *more)
{
	(void)s;
	*more = false;
	return 0;
}

static int
mem_backup(struct store *s, const char *dir)
{
	(void)s, (void)dir;
	return -EOPNOTSUPP;
}

static int
mem_open(struct store *s, const struct store_conf *conf, struct buf *err)
{
	struct mem *m = calloc(1, sizeof(*m));

	if (m == NULL || watches_open(s, NULL, false) != 0) {
		buf_put_str(err, "out of memory");
		free(m);
		return -ENOMEM;
	}
	m->last = &m->first;
	m->chance = (uint64_t)conf->seed * 2654435761u + 88172645463325252u;
	m->conflict_pct = conf->conflict_pct;
	m->unknown_pct = conf->unknown_pct;
	m->late_pct = conf->late_pct;
	s->e = m;
	return 0;
}

static void
mem_close(struct store *s)
{
	struct mem *m = s->e;

	watches_close(s);
	for (size_t i = 0; i < m->n_rows; i++)
		free(m->rows[i]);
	for (size_t i = 0; i < m->n_blobs; i++)
		free(m->blobs[i]);
	free(m->rows);
	free(m->blobs);
	free(m);
}

const struct store_engine store_engine_memory = {
	.name = "memory",
	.open = mem_open,
	.close = mem_close,
	.get = mem_get,
	.scan = mem_scan,
	.partitions = mem_partitions,
	.commit = mem_commit,
	.blob_begin = mem_blob_begin,
	.blob_write = mem_blob_write,
	.blob_seal = mem_blob_seal,
	.blob_writer_free = mem_blob_writer_free,
	.blob_size = mem_blob_size,
	.blob_read = mem_blob_read,
	.blob_list = mem_blob_list,
	.stats = mem_stats,
	.check = mem_check,
	.compact = mem_compact,
	.backup = mem_backup,
};
