/* SPDX-License-Identifier: ISC */
/*
 * The writer thread and the group commit. All that is in the queue when the
 * thread comes back from one group is the next one: its blobs are appended,
 * one fdatasync, then one transaction of LMDB with all batches in the order of
 * the queue, then all answers.
 *
 * A batch changes nothing before all its guards hold, so a failed guard costs
 * that batch alone. An error of the medium in the middle aborts the
 * transaction; then each batch is tried in one of its own.
 *
 * After a failed fdatasync the pages count as clean though they are not on the
 * medium, so a second one would lie: the segment is given up, and the blobs,
 * still in memory, can go to the next.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/store/embedded.h"
#include "common/store/store_io.h"

#define PROBE_OCTETS ((rlim_t)1 << 20)
#define SLOW_COMMIT_NS ((int64_t)300 * 1000) /* a commit's share of a group */
#define GATHER_WAIT_MAX_NS ((int64_t)5 * 1000000)
#define GATHER 256 /* records in one pwritev */

/* --- segments --- */

int
segment_open(struct emb *e, uint32_t number, int flags)
{
	char name[BLOB_NAME_MAX];
	int fd;

	blob_file_name(name, number, NULL);
	fd = openat(e->blobs_fd, name, O_RDWR | O_CLOEXEC | flags,
	    e->group ? 0660 : 0600);
	if (fd == -1)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) == -1) {
		close(fd);
		return -EBUSY;
	}
	if (e->group && (flags & O_CREAT))
		(void)!fchmod(fd, 0660);
	return fd;
}

/* A segment that nobody writes; one that lost octets is left alone. */
static int
segment_take(struct emb *e, uint32_t number, const struct segment_row *row)
{
	int fd = segment_open(e, number, row->committed == 0 ? O_CREAT : 0);
	struct stat st;

	if (fd >= 0 &&
	    (fstat(fd, &st) == -1 || (uint64_t)st.st_size < row->committed)) {
		close(fd);
		return -EIO;
	}
	return fd;
}

/* Take over what a process has left, not full; 0 in *number: none. */
static int
segment_find(
    struct emb *e, MDB_txn *txn, uint32_t *number, uint64_t *end, int *fd)
{
	MDB_cursor *c;
	MDB_val k, v;
	struct segment_row row;
	int rc;

	*number = 0;
	if ((rc = mdb_cursor_open(txn, e->segments, &c)) != 0)
		return rc;
	while ((rc = mdb_cursor_get(c, &k, &v, MDB_NEXT)) == 0) {
		if (k.mv_size != 4 || get_be32(k.mv_data) == SEGMENT_COUNTER ||
		    get_be32(k.mv_data) == SEGMENT_OWN_FILE ||
		    !segment_row_decode(v, &row) || row.full ||
		    (*fd = segment_take(e, get_be32(k.mv_data), &row)) < 0)
			continue;
		*number = get_be32(k.mv_data);
		*end = row.committed;
		break;
	}
	mdb_cursor_close(c);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

/* A number that no segment ever had. */
static int
segment_new(struct emb *e, MDB_txn *txn, uint32_t *number, int *fd)
{
	struct segment_row counter = { 0 }, fresh = { 0 };
	int rc = segment_row_get(e, txn, SEGMENT_COUNTER, &counter);

	if (rc != 0 && rc != MDB_NOTFOUND)
		return rc;
	counter.committed++;
	counter.full = true;
	*number = (uint32_t)counter.committed;
	if ((rc = segment_row_put(e, txn, SEGMENT_COUNTER, &counter)) != 0 ||
	    (rc = segment_row_put(e, txn, *number, &fresh)) != 0)
		return rc;
	*fd = segment_open(e, *number, O_CREAT);
	return *fd < 0 ? -*fd : 0;
}

/*
 * A segment that is left stays locked to the end of the group: records of the
 * group are in it whose rows are not there yet, so to others they look dead,
 * and compaction would take the file away.
 */
static int
left_reserve(struct emb *e)
{
	int *fds;

	if (e->n_left < e->cap_left)
		return 0;
	fds = realloc(e->left, (e->cap_left + 8) * sizeof(*fds));
	if (fds == NULL)
		return -ENOMEM;
	e->left = fds;
	e->cap_left += 8;
	return 0;
}

void
segments_let_go(struct emb *e)
{
	while (e->n_left > 0)
		close(e->left[--e->n_left]);
}

/* The one we leave may hold records that a later commit indexes: nobody may
 * append to it any more. */
static int
segment_mark_full(struct emb *e, MDB_txn *txn)
{
	struct segment_row row = { 0 };
	int rc = segment_row_get(e, txn, e->segment.number, &row);

	if (rc != 0)
		return rc;
	row.full = true;
	if (row.committed < e->segment.end)
		row.committed = e->segment.end;
	return segment_row_put(e, txn, e->segment.number, &row);
}

static int
segment_choose(
    struct emb *e, MDB_txn *txn, uint32_t *number, uint64_t *end, int *fd)
{
	int rc = 0;

	if (e->segment.fd != -1 && (rc = segment_mark_full(e, txn)) != 0)
		return rc;
	if ((rc = segment_find(e, txn, number, end, fd)) != 0)
		return rc;
	if (*number == 0)
		rc = segment_new(e, txn, number, fd);
	if (rc == 0 && ftruncate(*fd, (off_t)*end) == -1)
		rc = errno;
	return rc;
}

/* Leave the current segment for another. On error it stays. */
static int
segment_next(struct emb *e)
{
	uint32_t number = 0;
	uint64_t end = 0;
	MDB_txn *txn;
	int fd = -1, rc;

	if ((rc = left_reserve(e)) != 0)
		return rc;
	if ((rc = emb_txn_begin(e, 0, &txn)) != 0)
		return emb_fault(e, "next segment", rc);
	rc = segment_choose(e, txn, &number, &end, &fd);
	if (rc == 0)
		rc = emb_txn_commit(e, txn, NULL);
	else
		mdb_txn_abort(txn);
	if (rc == 0 && store_io.fsync(e->blobs_fd) == -1)
		rc = errno;
	if (rc != 0) {
		if (fd >= 0)
			close(fd);
		return emb_fault(e, "next segment", rc);
	}
	segment_trim(e);
	if (e->segment.fd != -1)
		e->left[e->n_left++] = e->segment.fd;
	e->segment.fd = fd;
	e->segment.number = number;
	e->segment.begun = e->segment.end = e->segment.room = end;
	e->segment.dirty = e->segment.poisoned = false;
	return 0;
}

/*
 * Zeros ahead (store_io_ahead), as many as this process has written to it so
 * far: who brings one message needs none. Behind the octets, so that one sync
 * does for both.
 */
static void
segment_ahead(struct emb *e)
{
	uint64_t n = e->segment.end - e->segment.begun, left = 0;

	if (e->segment.end < e->segment.room)
		return;
	e->segment.room = e->segment.end;
	if (store_io.segment_max > e->segment.end)
		left = store_io.segment_max - e->segment.end;
	n = n < store_io.ahead ? n : store_io.ahead;
	n = n < left ? n : left;
	e->segment.room += store_io_ahead(e->segment.fd, e->segment.end, n);
}

void
segment_trim(struct emb *e)
{
	if (e->segment.fd != -1 && e->segment.room > e->segment.end)
		(void)!ftruncate(e->segment.fd, (off_t)e->segment.end);
	e->segment.room = e->segment.end;
}

/* What was written since the last sync is good now, or has to be written
 * again elsewhere. */
static void
written_settle(struct emb *e, int rc)
{
	struct emb_writer *w;

	while ((w = e->written) != NULL) {
		e->written = w->next_written;
		w->state = rc == 0 ? BLOB_SYNCED : BLOB_SEALED;
		w->rc = rc;
	}
}

int
segment_sync(struct emb *e)
{
	int rc = 0;

	if (!e->segment.dirty)
		return 0;
	segment_ahead(e);
	e->segment.dirty = false;
	e->syncs++;
	if (store_io.fdatasync(e->segment.fd) == -1) {
		e->segment.poisoned = true;
		(void)emb_fault(e, "fdatasync of a segment", errno);
		rc = -EIO;
	}
	written_settle(e, rc);
	return rc;
}

int
segment_reserve(struct emb *e, uint64_t n)
{
	int rc;

	if (e->segment.fd != -1 && !e->segment.poisoned &&
	    (e->segment.end == 0 || e->segment.end + n <= store_io.segment_max))
		return 0;
	if ((rc = segment_sync(e)) != 0)
		return rc;
	return segment_next(e);
}

/* --- blobs of a group --- */

struct gather {
	struct iovec iov[GATHER];
	struct emb_writer *w[GATHER];
	int n;
	uint64_t octets;
};

static void
gather_flush(struct emb *e, struct gather *g)
{
	uint64_t at = e->segment.end;
	int rc;

	if (g->n == 0)
		return;
	rc = store_io_write(e->segment.fd, g->iov, g->n, (off_t)at);
	e->segment.dirty = true;
	for (int i = 0; i < g->n; i++) {
		g->w[i]->rc = emb_fault(e, "write of a segment", -rc);
		if (rc != 0)
			continue;
		g->w[i]->location.segment = e->segment.number;
		g->w[i]->location.at = at;
		g->w[i]->state = BLOB_WRITTEN;
		g->w[i]->next_written = e->written;
		e->written = g->w[i];
		at += g->w[i]->record.n;
	}
	e->segment.end = at; /* unchanged after an error: written over */
	g->n = 0;
	g->octets = 0;
}

static void
gather_small(struct emb *e, struct gather *g, struct emb_writer *w)
{
	uint64_t n = w->record.n;

	if (g->n == GATHER ||
	    (g->n > 0 && e->segment.end + g->octets + n > store_io.segment_max))
		gather_flush(e, g);
	if (g->n == 0 && (w->rc = segment_reserve(e, n)) != 0)
		return;
	g->iov[g->n] = (struct iovec){ w->record.p, w->record.n };
	g->w[g->n++] = w;
	g->octets += n;
}

/* Its own file has all octets. One attempt: see above. */
static void
sync_large(struct emb *e, struct emb_writer *w)
{
	e->syncs++;
	if (store_io.fdatasync(w->fd) == -1 ||
	    store_io.fsync(e->blobs_fd) == -1) {
		(void)emb_fault(e, "fdatasync of a blob", errno);
		w->state = BLOB_LOST;
		w->rc = -EIO;
		return;
	}
	w->location.segment = SEGMENT_OWN_FILE;
	w->location.at = 0;
	w->state = BLOB_SYNCED;
}

static void
write_blob(struct emb *e, struct gather *g, struct emb_writer *w)
{
	if (w->group == e->group_number)
		return; /* many batches of the group need it */
	w->group = e->group_number;
	w->rc = w->state == BLOB_LOST ? -EIO : 0;
	/* The segment of an earlier attempt may be gone since it was left. */
	if (w->state == BLOB_SYNCED && w->fd == -1 &&
	    w->location.segment != e->segment.number)
		w->state = BLOB_SEALED;
	if (w->state != BLOB_SEALED)
		return;
	if (w->fd != -1)
		sync_large(e, w);
	else
		gather_small(e, g, w);
}

static void
group_blobs(struct emb *e, struct request *first)
{
	struct gather g = { .n = 0 };

	e->group_number++;
	for (struct request *r = first; r != NULL; r = r->next)
		for (size_t i = 0; i < r->n; i++)
			for (size_t k = 0;
			     r->rc[i] == 0 && k < r->b[i]->n_needs; k++)
				write_blob(e, &g,
				    (struct emb_writer *)r->b[i]->needs[k]);
	gather_flush(e, &g);
	(void)segment_sync(e); /* each blob knows */
}

/* --- rows of a group --- */

static int
guards_check(struct emb *e, MDB_txn *txn, const struct store_batch *b)
{
	const struct store_op *op = b->ops;
	MDB_val k, v;
	int rc;

	for (; op < b->ops + b->n_ops; op++) {
		if (op->kind != OP_GUARD && op->kind != OP_GUARD_ABSENT)
			continue;
		k = mdb_slice(op_key(b, op));
		rc = mdb_get(txn, e->rows, &k, &v);
		if (rc != 0 && rc != MDB_NOTFOUND)
			return emb_fault(e, "guard", rc);
		if ((rc == MDB_NOTFOUND) != (op->kind == OP_GUARD_ABSENT))
			return STORE_ECONFLICT;
		if (rc == 0 &&
		    !slice_eq(op_val(b, op), slice(v.mv_data, v.mv_size)))
			return STORE_ECONFLICT;
	}
	return 0;
}

static int
range_del(struct emb *e, MDB_txn *txn, struct slice from, struct slice to)
{
	MDB_cursor *c;
	MDB_val k = mdb_slice(from), v;
	int rc = mdb_cursor_open(txn, e->rows, &c);

	if (rc != 0)
		return rc;
	/* Where a cursor stands after a delete differs between releases. */
	while ((rc = mdb_cursor_get(c, &k, &v, MDB_SET_RANGE)) == 0 &&
	    slice_cmp(slice(k.mv_data, k.mv_size), to) < 0 &&
	    (rc = mdb_cursor_del(c, 0)) == 0)
		k = mdb_slice(from);
	mdb_cursor_close(c);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

static int
blob_unindex(struct emb *e, MDB_txn *txn, struct slice octets)
{
	struct store_blob_id id;
	struct location l;
	MDB_val k = mdb_slice(octets);
	int rc;

	memcpy(id.octets, octets.p, sizeof(id.octets));
	if ((rc = location_get(e, txn, &id, &l)) != 0)
		return rc == MDB_NOTFOUND ? 0 : rc;
	if (l.segment == SEGMENT_OWN_FILE)
		emb_unlink_later(e, &id);
	if ((rc = segment_live(e, txn, &l, false)) != 0)
		return rc;
	return mdb_del(txn, e->blobs, &k, NULL);
}

static int
blob_index(struct emb *e, MDB_txn *txn, struct emb_writer *w)
{
	struct location l;
	int rc = location_get(e, txn, &w->w.id, &l);

	if (rc != MDB_NOTFOUND)
		return rc;
	if ((rc = segment_live(e, txn, &w->location, true)) != 0)
		return rc;
	return location_put(e, txn, &w->w.id, &w->location);
}

static int
op_apply(struct emb *e, MDB_txn *txn, const struct store_batch *b,
    const struct store_op *op)
{
	MDB_val k = mdb_slice(op_key(b, op)), v = mdb_slice(op_val(b, op));
	int rc = 0;

	switch (op->kind) {
	case OP_PUT:
		return mdb_put(txn, e->rows, &k, &v, 0);
	case OP_DEL:
		rc = mdb_del(txn, e->rows, &k, NULL);
		return rc == MDB_NOTFOUND ? 0 : rc;
	case OP_DEL_RANGE:
		return range_del(e, txn, op_key(b, op), op_val(b, op));
	case OP_BLOB_DEL:
		return blob_unindex(e, txn, op_key(b, op));
	case OP_GUARD:
	case OP_GUARD_ABSENT:
		break;
	}
	return rc;
}

/* Its blobs are on the medium; one that an earlier commit has put into the
 * index is still there. */
static int
needs_check(struct emb *e, MDB_txn *txn, const struct store_batch *b)
{
	struct emb_writer *w;
	struct location l;
	int rc = 0;

	for (size_t i = 0; i < b->n_needs && rc == 0; i++) {
		w = (struct emb_writer *)b->needs[i];
		rc = w->rc;
		if (rc == 0 && w->state == BLOB_INDEXED)
			rc = emb_fault(
			    e, "index", location_get(e, txn, &w->w.id, &l));
	}
	return rc;
}

/* 0, or why nothing of it was done. *broken: the transaction cannot go on. */
static int
batch_apply(
    struct emb *e, MDB_txn *txn, const struct store_batch *b, bool *broken)
{
	int rc = needs_check(e, txn, b);

	if (rc != 0)
		return rc;
	if ((rc = guards_check(e, txn, b)) != 0) {
		*broken = rc != STORE_ECONFLICT;
		return rc;
	}
	rc = 0;
	for (size_t i = 0; i < b->n_needs && rc == 0; i++)
		rc = blob_index(e, txn, (struct emb_writer *)b->needs[i]);
	for (size_t i = 0; i < b->n_ops && rc == 0; i++)
		rc = op_apply(e, txn, b, &b->ops[i]);
	*broken = rc != 0;
	return emb_fault(e, "commit", rc);
}

struct item {
	const struct store_batch *b;
	int *rc;
	int result;
};

/* LMDB calls a short write EIO, and a short write is what a disk that gets
 * full does: so ask the file system. */
static bool
disk_is_full(struct emb *e)
{
	struct rlimit limit;
	struct stat st;
	int fd = openat(e->dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	bool full = false;

	if (fd != -1) {
		full = fallocate(fd, 0, 0, PROBE_OCTETS) == -1 &&
		    (errno == ENOSPC || errno == EDQUOT || errno == EFBIG);
		close(fd);
	}
	if (!full && getrlimit(RLIMIT_FSIZE, &limit) == 0 &&
	    fstatat(e->dir_fd, "data.mdb", &st, 0) == 0)
		full = (rlim_t)st.st_size + PROBE_OCTETS > limit.rlim_cur;
	return full;
}

static int
txn_end(struct emb *e, MDB_txn *txn)
{
	bool unknown;
	int rc = emb_txn_commit(e, txn, &unknown);

	e->commits++;
	if (rc == 0)
		return 0;
	if (unknown) {
		(void)emb_fault(e, "commit, outcome unknown", rc);
		return STORE_EUNKNOWN;
	}
	if (rc == EIO && disk_is_full(e))
		rc = ENOSPC;
	return emb_fault(e, "commit", rc);
}

/* One transaction over n items: 0, or nothing was done. */
static int
items_commit(struct emb *e, struct item *items, size_t n)
{
	bool broken = false;
	MDB_txn *txn;
	int rc;

	if ((rc = emb_txn_begin(e, 0, &txn)) != 0)
		return emb_fault(e, "begin of a commit", rc);
	for (size_t i = 0; i < n && !broken; i++)
		rc = items[i].result = batch_apply(e, txn, items[i].b, &broken);
	if (broken) {
		mdb_txn_abort(txn);
		emb_unlink_now(e, false);
		return rc;
	}
	rc = txn_end(e, txn);
	emb_unlink_now(e, rc == 0);
	return rc;
}

static void
item_done(struct emb *e, const struct store_batch *b)
{
	e->batches++;
	for (size_t i = 0; i < b->n_needs; i++)
		((struct emb_writer *)b->needs[i])->state = BLOB_INDEXED;
}

/* All in one; should that fail, each alone, so that what one batch costs (a
 * full disk, say) is not the others'. */
static void
items_run(struct emb *e, struct item *items, size_t n)
{
	int rc = n == 0 ? 0 : items_commit(e, items, n);

	if (rc == STORE_EUNKNOWN || (rc != 0 && n == 1)) {
		for (size_t i = 0; i < n; i++)
			*items[i].rc = rc;
		return;
	}
	for (size_t i = 0; i < n; i++) {
		if (rc == 0)
			*items[i].rc = items[i].result;
		else
			items_run(e, items + i, 1);
		if (rc == 0 && *items[i].rc == 0)
			item_done(e, items[i].b);
	}
}

static void
group_rows(struct emb *e, struct request *first)
{
	struct item *items;
	size_t n = 0, at = 0;

	for (struct request *r = first; r != NULL; r = r->next)
		n += r->n;
	items = calloc(n + 1, sizeof(*items));
	for (struct request *r = first; r != NULL; r = r->next)
		for (size_t i = 0; i < r->n; i++) {
			if (r->rc[i] == 0 && items == NULL)
				r->rc[i] = -ENOMEM;
			if (r->rc[i] == 0)
				items[at++] =
				    (struct item){ r->b[i], &r->rc[i], 0 };
		}
	items_run(e, items, at);
	free(items);
}

/* --- files of large blobs that are deleted --- */

void
emb_unlink_later(struct emb *e, const struct store_blob_id *id)
{
	size_t cap = e->cap_unlinks == 0 ? 16 : e->cap_unlinks * 2;
	struct store_blob_id *ids = e->unlinks;

	if (e->n_unlinks == e->cap_unlinks) {
		ids = realloc(ids, cap * sizeof(*ids));
		if (ids == NULL)
			return; /* compaction finds the file */
		e->unlinks = ids;
		e->cap_unlinks = cap;
	}
	e->unlinks[e->n_unlinks++] = *id;
}

int
emb_removal_lock(struct emb *e, int how)
{
	int fd = openat(e->dir_fd, "removal.lock", O_RDWR | O_CREAT | O_CLOEXEC,
	    e->group ? 0660 : 0600);

	if (fd != -1 && flock(fd, how) == -1) {
		close(fd);
		fd = -1;
	}
	return fd;
}

void
emb_unlink_now(struct emb *e, bool done)
{
	char name[BLOB_NAME_MAX];
	int lock = -1;

	if (done && e->n_unlinks > 0)
		lock = emb_removal_lock(e, LOCK_SH | LOCK_NB);
	for (size_t i = 0; lock != -1 && i < e->n_unlinks; i++) {
		blob_file_name(name, SEGMENT_OWN_FILE, &e->unlinks[i]);
		(void)unlinkat(e->blobs_fd, name, 0);
	}
	if (lock != -1)
		close(lock);
	e->n_unlinks = 0;
}

/* --- the thread --- */

static void
group_run(struct emb *e, struct request *first)
{
	struct request *next;

	group_blobs(e, first);
	group_rows(e, first);
	segments_let_go(e);
	for (; first != NULL; first = next) {
		next = first->next;
		co_remote_done(&first->remote);
	}
}

/*
 * Processes take turns before they cut a group, not between its blobs and its
 * rows, where LMDB's lock would have them wait: what comes meanwhile goes with
 * it. Nothing but the size of groups depends on this lock.
 */
static void
turn_wait(struct emb *e)
{
	if (e->turn_fd == -1)
		e->turn_fd = openat(e->dir_fd, "turn.lock",
		    O_RDONLY | O_CREAT | O_CLOEXEC, e->group ? 0660 : 0600);
	if (e->turn_fd != -1)
		(void)flock(e->turn_fd, LOCK_EX);
}

static void
turn_end(struct emb *e)
{
	if (e->turn_fd != -1)
		(void)flock(e->turn_fd, LOCK_UN);
}

/* Cut the queue into groups of commits and other work. */
static void
queue_run(struct emb *e, struct request *r)
{
	struct request *first, **end;

	while (r != NULL) {
		if (r->run != NULL) {
			first = r;
			r = r->next;
			turn_end(e);
			first->run(e, first);
			segments_let_go(e);
			co_remote_done(&first->remote);
			continue;
		}
		first = r;
		for (end = &first; *end != NULL && (*end)->run == NULL;
		     end = &(*end)->next)
			;
		r = *end;
		*end = NULL;
		group_run(e, first);
	}
}

/*
 * Who was answered a moment ago is about to come again. A group that sets out
 * without them makes two half groups take turns, each waiting for the other's
 * syncs; so wait for as many as the last group and its queue had, but only a
 * fraction of the time that a group takes. Where syncs are fast it is better
 * that the loop works while the thread waits for the disk.
 */
static void
gather_wait(struct emb *e)
{
	struct timespec until;
	int64_t ns = e->group_ns / 8;

	if (e->group_ns < SLOW_COMMIT_NS * (int64_t)e->taken)
		return;
	if (ns > GATHER_WAIT_MAX_NS)
		ns = GATHER_WAIT_MAX_NS;
	clock_gettime(CLOCK_MONOTONIC, &until);
	ns += until.tv_nsec;
	until.tv_sec += ns / 1000000000;
	until.tv_nsec = ns % 1000000000;
	while (e->queued < e->expected && !e->stop &&
	    pthread_cond_timedwait(&e->wanted, &e->lock, &until) == 0)
		(void)flock(e->turn_fd, LOCK_EX);
}

static int64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void
emb_writer_ask_env(struct emb *e)
{
	pthread_mutex_lock(&e->lock);
	e->env_asked = true;
	pthread_cond_signal(&e->wanted);
	pthread_mutex_unlock(&e->lock);
}

/* Wait for something to do, and look after the environment meanwhile. */
static void
queue_wait(struct emb *e)
{
	while (e->first == NULL && !e->stop) {
		if (!e->env_asked) {
			pthread_cond_wait(&e->wanted, &e->lock);
			continue;
		}
		e->env_asked = false;
		pthread_mutex_unlock(&e->lock);
		(void)emb_env_revive(e);
		pthread_mutex_lock(&e->lock);
	}
}

/* The queue, once there is something in it; NULL at the end. */
static struct request *
queue_take(struct emb *e)
{
	struct request *r;

	pthread_mutex_lock(&e->lock);
	e->expected = e->taken + e->queued;
	queue_wait(e);
	if (e->first != NULL)
		gather_wait(e);
	if (e->first != NULL) {
		pthread_mutex_unlock(&e->lock);
		turn_wait(e);
		pthread_mutex_lock(&e->lock);
	}
	r = e->first;
	e->first = NULL;
	e->last = &e->first;
	e->taken = e->queued;
	e->queued = 0;
	pthread_mutex_unlock(&e->lock);
	return r;
}

static void *
writer_main(void *arg)
{
	struct emb *e = arg;
	struct request *r;
	int64_t start;

	while ((r = queue_take(e)) != NULL) {
		start = now_ns();
		queue_run(e, r);
		turn_end(e);
		e->group_ns = now_ns() - start;
	}
	return NULL;
}

/* Signals are the loop's. */
static int
writer_start(struct emb *e)
{
	sigset_t all, old;
	pthread_attr_t attr;
	int rc;

	if (e->started)
		return 0;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, (size_t)512 << 10);
	rc = pthread_create(&e->thread, &attr, writer_main, e);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	e->started = rc == 0;
	return rc == 0 ? 0 : -ENOMEM;
}

int
emb_submit(struct emb *e, struct request *r)
{
	int rc;

	assert(co_self() != NULL);
	if (e->readonly)
		return -EROFS;
	if ((rc = writer_start(e)) != 0)
		return rc;
	co_remote_begin(&r->remote);
	r->next = NULL;
	pthread_mutex_lock(&e->lock);
	*e->last = r;
	e->last = &r->next;
	e->queued++;
	pthread_cond_signal(&e->wanted);
	pthread_mutex_unlock(&e->lock);
	co_remote_wait(&r->remote);
	emb_fault_log(e);
	return 0;
}

void
emb_writer_stop(struct emb *e)
{
	if (!e->started)
		return;
	pthread_mutex_lock(&e->lock);
	e->stop = true;
	pthread_cond_signal(&e->wanted);
	pthread_mutex_unlock(&e->lock);
	pthread_join(e->thread, NULL);
	e->started = false;
}
