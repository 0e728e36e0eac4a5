/* SPDX-License-Identifier: ISC */
/*
 * Upkeep of the embedded engine: figures, check, compaction.
 *
 * Compaction walks one segment of which much is dead, a few records a step, on
 * the writer thread: live records go to the current segment, are synced, and
 * then one transaction moves their index rows (each only if it still points to
 * the old place). When no live record is left, the row of the segment goes,
 * and after it the file. A crash anywhere leaves dead copies or a file without
 * a row, never an index row without its record.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/store/embedded.h"
#include "common/store/store_io.h"

/* A step is what a delivery may have to wait for: some ms on a slow disk. */
#define STEP_OCTETS ((uint64_t)256 << 10)
#define STEP_RECORDS 64
#define ORPHAN_AGE_S 3600
#define ORPHANS_EVERY_MS ((int64_t)3600 * 1000)

/* --- figures --- */

/* Calls `fn` for each segment. An LMDB error. */
static int
segments_each(struct emb *e, MDB_txn *txn,
    void (*fn)(void *arg, uint32_t number, const struct segment_row *row),
    void *arg)
{
	struct segment_row row;
	MDB_cursor *c;
	MDB_val k, v;
	int rc = mdb_cursor_open(txn, e->segments, &c);

	if (rc != 0)
		return rc;
	while ((rc = mdb_cursor_get(c, &k, &v, MDB_NEXT)) == 0)
		if (k.mv_size == 4 && segment_row_decode(v, &row) &&
		    get_be32(k.mv_data) != SEGMENT_COUNTER)
			fn(arg, get_be32(k.mv_data), &row);
	mdb_cursor_close(c);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

static void
segment_sum(void *arg, uint32_t number, const struct segment_row *row)
{
	struct store_stats *out = arg;

	out->blob_octets += row->live;
	if (number == SEGMENT_OWN_FILE)
		return;
	out->segments++;
	if (row->committed > row->live)
		out->blob_dead_octets += row->committed - row->live;
}

int
emb_stats(struct store *s, struct store_stats *out)
{
	struct emb *e = s->e;
	MDB_stat st;
	int rc;

	out->commits = e->commits;
	out->batches = e->batches;
	out->syncs = e->syncs;
	if ((rc = emb_read_begin(e)) != 0)
		return rc;
	rc = segments_each(e, e->read_txn, segment_sum, out);
	if (rc == 0 && (rc = mdb_stat(e->read_txn, e->rows, &st)) == 0)
		out->rows_octets = st.ms_psize *
		    (st.ms_branch_pages + st.ms_leaf_pages +
			st.ms_overflow_pages);
	emb_read_end(e);
	return emb_fault(e, "stats", rc);
}

/* --- check --- */

struct check {
	struct emb *e;
	store_fault_fn *fault;
	void *arg;
	int faults;
};

static void
check_fault(struct check *c, const struct store_blob_id *blob, const char *name,
    const char *why)
{
	struct buf text = BUF_INIT;

	buf_printf(&text, "%s: %s", name, why);
	c->fault(c->arg, blob, buf_str(&text));
	buf_clear(&text);
	c->faults++;
}

static void
check_blob(struct check *c, const struct store_blob_id *id)
{
	char name[BLOB_NAME_MAX];
	int rc = emb_blob_verify(c->e, id);

	blob_file_name(name, SEGMENT_OWN_FILE, id);
	/* -ENOENT: deleted meanwhile. */
	if (rc != 0 && rc != -ENOENT)
		check_fault(c, id, name,
		    rc == -EIO ? "damaged, a checksum is wrong"
			       : strerror(-rc));
}

struct check_list {
	struct store_blob_id *ids;
	size_t n, cap;
};

static int
check_note(
    void *arg, const struct store_blob_id *id, uint64_t size, int64_t written_s)
{
	struct check_list *l = arg;
	struct store_blob_id *ids = l->ids;

	(void)size, (void)written_s;
	if (l->n == l->cap) {
		l->cap = l->cap == 0 ? 1024 : l->cap * 2;
		if ((ids = realloc(ids, l->cap * sizeof(*ids))) == NULL)
			return -ENOMEM;
		l->ids = ids;
	}
	l->ids[l->n++] = *id;
	return 0;
}

static void
check_segment(void *arg, uint32_t number, const struct segment_row *row)
{
	struct check *c = arg;
	char name[BLOB_NAME_MAX];
	struct stat st;

	if (number == SEGMENT_OWN_FILE || row->committed == 0)
		return;
	blob_file_name(name, number, NULL);
	if (fstatat(c->e->blobs_fd, name, &st, 0) == -1)
		check_fault(c, NULL, name, strerror(errno));
	else if ((uint64_t)st.st_size < row->committed)
		check_fault(c, NULL, name, "shorter than what it held");
	else if (row->live > row->committed)
		check_fault(c, NULL, name, "counts more than it has");
}

int
emb_check(struct store *s, store_fault_fn *fault, void *arg)
{
	struct check c = { .e = s->e, .fault = fault, .arg = arg };
	struct check_list list = { NULL, 0, 0 };
	int rc;

	if ((rc = emb_read_begin(c.e)) != 0)
		return rc;
	rc = segments_each(c.e, c.e->read_txn, check_segment, &c);
	emb_read_end(c.e);
	rc = rc != 0 ? emb_fault(c.e, "check", rc)
		     : emb_blob_list(s, NULL, check_note, &list);
	for (size_t i = 0; i < list.n && rc == 0; i++) {
		check_blob(&c, &list.ids[i]);
		if (i % 16 == 15 && co_self() != NULL)
			(void)co_yield ();
	}
	free(list.ids);
	return rc != 0 ? rc : c.faults;
}

/* --- compaction, on the writer thread --- */

struct moved {
	struct store_blob_id id;
	struct location from, to;
};

struct compact_step {
	struct request r;
	struct moved *moved;
	size_t n;
	uint64_t octets; /* copied */
	uint64_t at;     /* the walk has come to here */
	uint32_t next;   /* segment of the next step; 0: not known yet */
	int rc;
	bool more;
};

struct victim {
	struct emb *e;
	uint32_t number;
	uint64_t committed;
};

static bool
is_worth_it(uint32_t number, const struct segment_row *row)
{
	uint64_t dead = row->committed - row->live;

	if (number == SEGMENT_OWN_FILE || row->live > row->committed)
		return false;
	if (row->live == 0)
		return row->committed > 0;
	return dead >= store_io.dead_min && dead >= row->committed / 2;
}

static void
victim_look(void *arg, uint32_t number, const struct segment_row *row)
{
	struct victim *v = arg;

	if (v->number != 0 || number <= v->e->compact.last ||
	    number == v->e->segment.number || !is_worth_it(number, row))
		return;
	v->number = number;
	v->committed = row->committed;
}

/* The next segment worth the work, locked; 0 in compact.segment: none. */
static int
victim_find(struct emb *e)
{
	struct victim v;
	MDB_txn *txn;
	int fd, rc;

	do {
		v = (struct victim){ e, 0, 0 };
		if ((rc = emb_txn_begin(e, MDB_RDONLY, &txn)) != 0)
			return rc;
		rc = segments_each(e, txn, victim_look, &v);
		mdb_txn_abort(txn);
		if (rc != 0 || v.number == 0) {
			e->compact.last = 0;
			return rc;
		}
		e->compact.last = v.number;
		fd = segment_open(e, v.number, 0);
	} while (fd < 0);
	e->compact.segment = v.number;
	e->compact.committed = v.committed;
	e->compact.fd = fd;
	e->compact.at = 0;
	return 0;
}

static void
victim_leave(struct emb *e)
{
	close(e->compact.fd);
	e->compact.fd = -1;
	e->compact.segment = 0;
}

/* Append the record, as it is: damage stays what it is. */
static int
record_copy(
    struct emb *e, struct compact_step *step, uint64_t n, struct location *to)
{
	char *p = malloc(n);
	struct iovec iov = { p, n };
	int rc = p == NULL ? -ENOMEM : segment_reserve(e, n);

	if (rc == 0 &&
	    pread(e->compact.fd, p, n, (off_t)step->at) != (ssize_t)n)
		rc = -EIO;
	if (rc == 0)
		rc = store_io_write(
		    e->segment.fd, &iov, 1, (off_t)e->segment.end);
	free(p);
	if (rc != 0)
		return rc;
	to->segment = e->segment.number;
	to->at = e->segment.end;
	e->segment.end += n;
	e->segment.dirty = true;
	return 0;
}

static bool
points_to(const struct location *l, uint32_t segment, uint64_t at)
{
	return l->segment == segment && l->at == at;
}

/* The record at step->at; -EBADMSG: the walk cannot go on. */
static int
record_step(struct emb *e, MDB_txn *txn, struct compact_step *step)
{
	char header[RECORD_HEADER];
	struct moved *m = &step->moved[step->n];
	struct record r;
	uint64_t n;
	int rc;

	if (pread(e->compact.fd, header, sizeof(header), (off_t)step->at) !=
		sizeof(header) ||
	    !record_decode(header, &r))
		return -EBADMSG;
	n = record_size(r.length);
	if (r.length > store_io.segment_max ||
	    n > e->compact.committed - step->at)
		return -EBADMSG;
	rc = location_get(e, txn, &r.id, &m->from);
	if (rc != 0 && rc != MDB_NOTFOUND)
		return emb_error(rc);
	if (rc == 0 && points_to(&m->from, e->compact.segment, step->at)) {
		m->id = r.id;
		m->to = m->from;
		if ((rc = record_copy(e, step, n, &m->to)) != 0)
			return rc;
		step->n++;
		step->octets += n;
	}
	step->at += n;
	return 0;
}

static int
records_copy(struct emb *e, struct compact_step *step)
{
	MDB_txn *txn;
	int rc = emb_txn_begin(e, MDB_RDONLY, &txn);

	if (rc != 0)
		return emb_error(rc);
	step->at = e->compact.at;
	for (unsigned i = 0;
	     rc == 0 && i < 16 * STEP_RECORDS && step->n < STEP_RECORDS &&
	     step->octets < STEP_OCTETS && step->at < e->compact.committed;
	     i++) {
		/* The old segment is left with a transaction of its own. */
		mdb_txn_reset(txn);
		if ((rc = mdb_txn_renew(txn)) == 0)
			rc = record_step(e, txn, step);
	}
	mdb_txn_abort(txn);
	return rc > 0 ? emb_error(rc) : rc;
}

static int
record_move(struct emb *e, MDB_txn *txn, const struct moved *m)
{
	struct location now;
	int rc = location_get(e, txn, &m->id, &now);

	if (rc == MDB_NOTFOUND)
		return 0;
	if (rc != 0 || !points_to(&now, m->from.segment, m->from.at))
		return rc;
	if ((rc = segment_live(e, txn, &m->from, false)) != 0 ||
	    (rc = segment_live(e, txn, &m->to, true)) != 0)
		return rc;
	return location_put(e, txn, &m->id, &m->to);
}

static int
records_move(struct emb *e, const struct compact_step *step)
{
	MDB_txn *txn;
	int rc = emb_txn_begin(e, 0, &txn);

	if (rc != 0)
		return emb_fault(e, "compaction", rc);
	for (size_t i = 0; i < step->n && rc == 0; i++)
		rc = record_move(e, txn, &step->moved[i]);
	if (rc == 0)
		rc = emb_txn_commit(e, txn, NULL);
	else
		mdb_txn_abort(txn);
	return emb_fault(e, "compaction", rc);
}

/* The walk is through: row, then file. */
static int
victim_remove(struct emb *e)
{
	char key[4], name[BLOB_NAME_MAX];
	MDB_val k = { sizeof(key), key };
	struct segment_row row;
	MDB_txn *txn;
	int lock = emb_removal_lock(e, LOCK_SH | LOCK_NB), rc;

	if (lock == -1)
		return 0; /* a backup copies it; another time */
	put_be32(key, e->compact.segment);
	if ((rc = emb_txn_begin(e, 0, &txn)) != 0) {
		close(lock);
		return emb_fault(e, "compaction", rc);
	}
	rc = segment_row_get(e, txn, e->compact.segment, &row);
	if (rc == 0 && row.live == 0 && row.committed == e->compact.committed)
		rc = mdb_del(txn, e->segments, &k, NULL);
	else if (rc == 0)
		rc = MDB_NOTFOUND; /* records that the walk did not see */
	if (rc == 0)
		rc = emb_txn_commit(e, txn, NULL);
	else
		mdb_txn_abort(txn);
	blob_file_name(name, e->compact.segment, NULL);
	if (rc == 0)
		(void)unlinkat(e->blobs_fd, name, 0);
	close(lock);
	return rc == MDB_NOTFOUND ? 0 : emb_fault(e, "compaction", rc);
}

/* A segment is found in a step of its own: see read_ahead. */
static void
compact_run(struct emb *e, struct request *r)
{
	struct compact_step *step = (struct compact_step *)r;

	if (e->compact.segment == 0) {
		step->rc = emb_fault(e, "compaction", victim_find(e));
		step->next = e->compact.segment;
		step->more = step->next != 0;
		return;
	}
	step->more = true;
	step->rc = records_copy(e, step);
	if (step->rc == 0)
		step->rc = segment_sync(e);
	if (step->rc == 0 && step->n > 0)
		step->rc = records_move(e, step);
	if (step->rc == -EBADMSG) {
		/* A broken header: what is behind cannot be told apart. The
		 * segment stays, and check names what is damaged. */
		(void)emb_fault(e, "compaction of a damaged segment", EIO);
		victim_leave(e);
		step->rc = 0;
		return;
	}
	if (step->rc != 0)
		return;
	e->compact.at = step->at;
	if (e->compact.at < e->compact.committed) {
		step->next = e->compact.segment;
		return;
	}
	step->rc = victim_remove(e);
	victim_leave(e);
}

/*
 * What the next step is to copy is read by the thread pool, so that it is in
 * memory by then: a disk that has to be asked for it would hold the writer
 * thread, and so who delivers, for as long.
 */
struct read_ahead {
	struct emb *e;
	uint32_t segment;
	uint64_t at;
};

static void
read_ahead(void *arg)
{
	const struct read_ahead *a = arg;
	char name[BLOB_NAME_MAX];
	char *p = malloc(STEP_OCTETS);
	int fd;

	blob_file_name(name, a->segment, NULL);
	fd = openat(a->e->blobs_fd, name, O_RDONLY | O_CLOEXEC);
	/* A record more than that, which may be the last of the step. */
	for (unsigned i = 0; fd != -1 && p != NULL && i < 2; i++)
		(void)!pread(
		    fd, p, STEP_OCTETS, (off_t)(a->at + i * STEP_OCTETS));
	if (fd != -1)
		close(fd);
	free(p);
}

/* --- files without a row --- */

struct orphans {
	struct emb *e;
	size_t removed;
};

/* Does a table know it? True when in doubt. */
static bool
table_knows(struct emb *e, const char *name)
{
	struct store_blob_id id;
	struct segment_row row;
	struct location l;
	unsigned octet, number;
	MDB_txn *txn;
	int rc = MDB_NOTFOUND;

	if (e->env == NULL ||
	    mdb_txn_begin(e->env, NULL, MDB_RDONLY, &txn) != 0)
		return true;
	if (strlen(name) == 12 && sscanf(name, "%8x.seg", &number) == 1) {
		rc = segment_row_get(e, txn, number, &row);
	} else {
		for (size_t i = 0; i < sizeof(id.octets); i++)
			id.octets[i] = sscanf(name + 2 * i, "%2x", &octet) == 1
			    ? (unsigned char)octet
			    : 0;
		rc = location_get(e, txn, &id, &l);
	}
	mdb_txn_abort(txn);
	return rc != MDB_NOTFOUND;
}

static bool
file_is_known(struct emb *e, const char *name)
{
	bool known;

	pthread_rwlock_rdlock(&e->env_lock);
	known = table_knows(e, name);
	pthread_rwlock_unlock(&e->env_lock);
	return known;
}

/* Old, nobody's, and not known: looked at once more under its lock. */
static void
orphan_remove(struct orphans *o, const char *name)
{
	struct emb *e = o->e;
	struct stat st;
	int fd = openat(e->blobs_fd, name, O_RDONLY | O_CLOEXEC);

	if (fd == -1)
		return;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &st) == 0 &&
	    st.st_mtime + ORPHAN_AGE_S < clock_wall_s() &&
	    !file_is_known(e, name) && unlinkat(e->blobs_fd, name, 0) == 0)
		o->removed++;
	close(fd);
}

static void
orphans_collect(void *arg)
{
	struct orphans *o = arg;
	int lock = emb_removal_lock(o->e, LOCK_SH | LOCK_NB);
	int fd =
	    openat(o->e->blobs_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd == -1 || lock == -1 ? NULL : fdopendir(fd);
	struct dirent *d;
	size_t n;

	while (dir != NULL && (d = readdir(dir)) != NULL) {
		n = strlen(d->d_name);
		if ((n == 12 || n == 37) && !file_is_known(o->e, d->d_name))
			orphan_remove(o, d->d_name);
	}
	if (dir != NULL)
		closedir(dir);
	else if (fd != -1)
		close(fd);
	if (lock != -1)
		close(lock);
}

static void
orphans_now_and_then(struct emb *e)
{
	struct orphans o = { e, 0 };
	int64_t now = clock_mono_ms();

	if (now < e->orphans_next_ms)
		return;
	e->orphans_next_ms = now + ORPHANS_EVERY_MS;
	if (co_work(orphans_collect, &o) == 0 && o.removed > 0)
		log_info("removed blob files without a row", "dir=%s files=%zu",
		    e->dir, o.removed);
}

static void
wanted_look(void *arg, uint32_t number, const struct segment_row *row)
{
	bool *wanted = arg;

	*wanted = *wanted || is_worth_it(number, row);
}

/* Is there anything to do? Asked here, so that a process with nothing to
 * write needs no writer thread for it. */
static int
is_wanted(struct emb *e, bool *wanted)
{
	int rc = emb_read_begin(e);

	*wanted = false;
	if (rc != 0)
		return rc;
	rc = segments_each(e, e->read_txn, wanted_look, wanted);
	emb_read_end(e);
	return emb_fault(e, "compaction", rc);
}

int
emb_compact(struct store *s, bool *more)
{
	struct emb *e = s->e;
	struct compact_step step = { .r = { .run = compact_run } };
	bool wanted = true;
	int rc;

	orphans_now_and_then(e);
	*more = false;
	if (!e->compacting && ((rc = is_wanted(e, &wanted)) != 0 || !wanted))
		return rc;
	if (e->compact_next != 0)
		(void)co_work(read_ahead,
		    &(struct read_ahead){
			e, e->compact_next, e->compact_next_at });
	step.moved = calloc(STEP_RECORDS + 1, sizeof(*step.moved));
	if (step.moved == NULL)
		return -ENOMEM;
	rc = emb_submit(e, &step.r);
	e->compact_next = step.next;
	e->compact_next_at = step.at;
	free(step.moved);
	emb_files_close(e, false);
	e->compacting = *more = step.more;
	return rc != 0 ? rc : step.rc;
}
