/* SPDX-License-Identifier: ISC */
/*
 * The embedded engine: opening and closing, the tables of LMDB, reading.
 *
 * LMDB's rules that shape this (dependencies.md A9): the map is reserved large
 * at open and never grows; opened after fork, once in a process; a read
 * transaction is never held over a wait, for old pages cannot be used again
 * before it ends; slots of dead readers are cleared at open and each minute.
 */
#include "common/store/embedded.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/store/store_io.h"

#define KEEP_EVERY_MINUTES 10
#define MAPPED_MAX ((size_t)1 << 20)
#define MAPPED_LEAST ((size_t)2048)
#define MAPPED_MOST ((size_t)8192)

static struct emb *all_open;

/* --- errors --- */

int
emb_error(int rc)
{
	switch (rc) {
	case 0:
		return 0;
	case MDB_NOTFOUND:
		return -ENOENT;
	case MDB_MAP_FULL:
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return -ENOSPC;
	case MDB_TXN_FULL:
		return -E2BIG;
	case ENOMEM:
		return -ENOMEM;
	case EROFS:
		return -EROFS;
	default:
		return -EIO;
	}
}

int
emb_fault(struct emb *e, const char *what, int rc)
{
	if (rc != 0 && rc != MDB_NOTFOUND) {
		pthread_mutex_lock(&e->lock);
		e->fault = what;
		e->fault_rc = rc;
		pthread_mutex_unlock(&e->lock);
	}
	return emb_error(rc);
}

void
emb_fault_log(struct emb *e)
{
	const char *what;
	int rc;

	pthread_mutex_lock(&e->lock);
	what = e->fault;
	rc = e->fault_rc;
	e->fault = NULL;
	pthread_mutex_unlock(&e->lock);
	if (what != NULL)
		log_error("store fault", "dir=%s at=%s error=%s", e->dir, what,
		    mdb_strerror(rc));
}

/* --- rows of the tables --- */

void
location_encode(char out[static 28], const struct location *l)
{
	put_be32(out, l->segment);
	put_be64(out + 4, l->at);
	put_be64(out + 12, l->length);
	put_be64(out + 20, (uint64_t)l->written_s);
}

bool
location_decode(MDB_val v, struct location *l)
{
	const char *in = v.mv_data;

	if (v.mv_size != 28)
		return false;
	l->segment = get_be32(in);
	l->at = get_be64(in + 4);
	l->length = get_be64(in + 12);
	l->written_s = (int64_t)get_be64(in + 20);
	return true;
}

int
location_get(struct emb *e, MDB_txn *txn, const struct store_blob_id *id,
    struct location *l)
{
	MDB_val key = mdb_slice(slice(id->octets, sizeof(id->octets))), val;
	int rc = mdb_get(txn, e->blobs, &key, &val);

	if (rc == 0 && !location_decode(val, l))
		rc = MDB_CORRUPTED;
	return rc;
}

int
location_put(struct emb *e, MDB_txn *txn, const struct store_blob_id *id,
    const struct location *l)
{
	char row[28];
	MDB_val key = mdb_slice(slice(id->octets, sizeof(id->octets)));
	MDB_val val = { sizeof(row), row };

	location_encode(row, l);
	return mdb_put(txn, e->blobs, &key, &val, 0);
}

bool
segment_row_decode(MDB_val v, struct segment_row *out)
{
	const char *in = v.mv_data;

	if (v.mv_size != 17)
		return false;
	out->committed = get_be64(in);
	out->live = get_be64(in + 8);
	out->full = in[16] != 0;
	return true;
}

int
segment_row_get(
    struct emb *e, MDB_txn *txn, uint32_t number, struct segment_row *out)
{
	char octets[4];
	MDB_val key = { sizeof(octets), octets }, val;
	int rc;

	put_be32(octets, number);
	rc = mdb_get(txn, e->segments, &key, &val);
	if (rc == 0 && !segment_row_decode(val, out))
		rc = MDB_CORRUPTED;
	return rc;
}

int
segment_row_put(
    struct emb *e, MDB_txn *txn, uint32_t number, const struct segment_row *row)
{
	char octets[4], in[17];
	MDB_val key = { sizeof(octets), octets }, val = { sizeof(in), in };

	put_be32(octets, number);
	put_be64(in, row->committed);
	put_be64(in + 8, row->live);
	in[16] = row->full;
	return mdb_put(txn, e->segments, &key, &val, 0);
}

int
segment_live(struct emb *e, MDB_txn *txn, const struct location *l, bool live)
{
	struct segment_row row = { 0 };
	uint64_t n = record_size(l->length);
	int rc = segment_row_get(e, txn, l->segment, &row);

	/* A segment without a row has no file either: what was written there is
	 * gone. Only the count of the large blobs begins here. */
	if (rc == MDB_NOTFOUND && live && l->segment != SEGMENT_OWN_FILE)
		return MDB_CORRUPTED;
	if (rc != 0 && rc != MDB_NOTFOUND)
		return rc;
	if (live)
		row.live += n;
	else
		row.live -= row.live < n ? row.live : n;
	if (live && l->segment == SEGMENT_OWN_FILE)
		row.committed = row.live;
	else if (live && row.committed < l->at + n)
		row.committed = l->at + n;
	return segment_row_put(e, txn, l->segment, &row);
}

void
blob_file_name(char out[static BLOB_NAME_MAX], uint32_t segment,
    const struct store_blob_id *id)
{
	if (segment != SEGMENT_OWN_FILE) {
		snprintf(out, BLOB_NAME_MAX, "%08x.seg", segment);
		return;
	}
	for (size_t i = 0; i < sizeof(id->octets); i++)
		snprintf(out + 2 * i, 3, "%02x", id->octets[i]);
	memcpy(out + 2 * sizeof(id->octets), ".blob", sizeof(".blob"));
}

/* --- reading rows --- */

static int
read_txn(struct emb *e)
{
	int dead, rc;

	if (e->env == NULL)
		return MDB_PANIC;
	if (e->read_txn != NULL)
		return mdb_txn_renew(e->read_txn);
	rc = mdb_txn_begin(e->env, NULL, MDB_RDONLY, &e->read_txn);
	if (rc == MDB_READERS_FULL && mdb_reader_check(e->env, &dead) == 0)
		rc = mdb_txn_begin(e->env, NULL, MDB_RDONLY, &e->read_txn);
	return rc;
}

int
emb_read_begin(struct emb *e)
{
	int rc;

	if (e->read_depth++ > 0)
		return 0;
	pthread_rwlock_rdlock(&e->env_lock);
	if ((rc = read_txn(e)) == 0)
		return 0;
	pthread_rwlock_unlock(&e->env_lock);
	e->read_depth--;
	if (rc == MDB_PANIC)
		emb_writer_ask_env(e);
	rc = emb_fault(e, "read", rc);
	emb_fault_log(e);
	return rc;
}

/* What is read of the map stays in this process's size; so now and then it is
 * let go. It stays in memory as the system likes, and is there again at the
 * next touch. */
static void
map_let_go(struct emb *e)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t from = (uintptr_t)e->mapped_from & ~(page - 1);
	uintptr_t to = ((uintptr_t)e->mapped_to + page - 1) & ~(page - 1);

	/* All of it is of one mapping, which LMDB never writes to. */
	if (e->mapped_from != NULL)
		(void)madvise((void *)from, to - from, MADV_DONTNEED);
	e->mapped_from = e->mapped_to = NULL;
	e->mapped_octets = 0;
}

static void
map_note(struct emb *e, MDB_val v)
{
	const char *p = v.mv_data;

	if (e->mapped_from == NULL || p < e->mapped_from)
		e->mapped_from = p;
	if (p + v.mv_size > e->mapped_to)
		e->mapped_to = p + v.mv_size;
	/* The system maps some pages around; of a long value who reads it may
	 * look at little. */
	e->mapped_octets += v.mv_size < MAPPED_LEAST ? MAPPED_LEAST
	    : v.mv_size < MAPPED_MOST                ? v.mv_size
						     : MAPPED_MOST;
}

void
emb_read_end(struct emb *e)
{
	if (--e->read_depth > 0)
		return;
	mdb_txn_reset(e->read_txn);
	if (e->mapped_octets > MAPPED_MAX)
		map_let_go(e);
	pthread_rwlock_unlock(&e->env_lock);
}

static int
emb_get(struct store *s, struct slice key, struct buf *out)
{
	struct emb *e = s->e;
	MDB_val k = mdb_slice(key), v;
	int rc;

	if ((rc = emb_read_begin(e)) != 0)
		return rc;
	rc = emb_fault(e, "get", mdb_get(e->read_txn, e->rows, &k, &v));
	if (rc == 0 && !buf_put(out, v.mv_data, v.mv_size))
		rc = -ENOMEM;
	if (rc == 0)
		map_note(e, v);
	emb_read_end(e);
	return rc;
}

static struct slice
val_slice(MDB_val v)
{
	return slice(v.mv_data, v.mv_size);
}

/* The last key before `to`. */
static int
cursor_before(MDB_cursor *c, MDB_val *k, MDB_val *v)
{
	int rc = mdb_cursor_get(c, k, v, MDB_SET_RANGE);

	if (rc == MDB_NOTFOUND)
		return mdb_cursor_get(c, k, v, MDB_LAST);
	return rc == 0 ? mdb_cursor_get(c, k, v, MDB_PREV) : rc;
}

/* 0: all seen; > 0 and < 0 as `row`; LMDB's errors in *mdb_rc. */
static int
cursor_scan(struct emb *e, MDB_cursor *c, struct slice from, struct slice to,
    size_t skip, unsigned flags, store_row_fn *row, void *arg, int *mdb_rc)
{
	bool back = flags & STORE_SCAN_REVERSE;
	MDB_val k = mdb_slice(back ? to : from), v;
	struct slice key;
	int rc = 0;

	if (back)
		*mdb_rc = cursor_before(c, &k, &v);
	else
		*mdb_rc = mdb_cursor_get(c, &k, &v, MDB_SET_RANGE);
	while (*mdb_rc == 0) {
		key = val_slice(k);
		if (back ? slice_cmp(key, from) < 0 : slice_cmp(key, to) >= 0)
			break;
		rc = row(arg, slice_from(key, skip),
		    flags & STORE_SCAN_KEYS ? SLICE_EMPTY : val_slice(v));
		map_note(e, v);
		if (rc != 0)
			break;
		*mdb_rc = mdb_cursor_get(c, &k, &v, back ? MDB_PREV : MDB_NEXT);
	}
	return rc;
}

static int
emb_scan(struct store *s, struct slice from, struct slice to, size_t skip,
    unsigned flags, store_row_fn *row, void *arg)
{
	struct emb *e = s->e;
	MDB_cursor *c;
	int rc, mdb_rc;

	if ((rc = emb_read_begin(e)) != 0)
		return rc;
	mdb_rc = mdb_cursor_open(e->read_txn, e->rows, &c);
	if (mdb_rc == 0) {
		rc =
		    cursor_scan(e, c, from, to, skip, flags, row, arg, &mdb_rc);
		mdb_cursor_close(c);
	}
	emb_read_end(e);
	if (mdb_rc != 0 && mdb_rc != MDB_NOTFOUND)
		rc = emb_fault(e, "scan", mdb_rc);
	return rc;
}

/* The next partition that begins with `prefix`; `k` holds where to look. */
static int
cursor_partitions(MDB_cursor *c, struct slice prefix,
    int (*part)(void *arg, struct slice name), void *arg, int *mdb_rc)
{
	char at[STORE_KEY_MAX + 2] = { 0 };
	/* LMDB has no empty keys: the least is NUL. */
	MDB_val k = { prefix.n > 0 ? prefix.n : 1, at }, v;
	struct slice name;
	int rc = 0;

	memcpy(at, prefix.p, prefix.n);
	while (rc == 0 &&
	    (*mdb_rc = mdb_cursor_get(c, &k, &v, MDB_SET_RANGE)) == 0) {
		name = val_slice(k);
		name = slice_split(&name, '\0');
		if (name.n < prefix.n ||
		    memcmp(name.p, prefix.p, prefix.n) != 0)
			break;
		memcpy(at, name.p, name.n);
		at[name.n] = '\1'; /* behind all rows of it */
		rc = part(arg, slice(at, name.n));
		k = (MDB_val){ name.n + 1, at };
	}
	return rc;
}

static int
emb_partitions(struct store *s, struct slice prefix,
    int (*part)(void *arg, struct slice name), void *arg)
{
	struct emb *e = s->e;
	MDB_cursor *c;
	int rc, mdb_rc;

	if ((rc = emb_read_begin(e)) != 0)
		return rc;
	mdb_rc = mdb_cursor_open(e->read_txn, e->rows, &c);
	if (mdb_rc == 0) {
		rc = cursor_partitions(c, prefix, part, arg, &mdb_rc);
		mdb_cursor_close(c);
	}
	emb_read_end(e);
	if (mdb_rc != 0 && mdb_rc != MDB_NOTFOUND)
		rc = emb_fault(e, "partitions", mdb_rc);
	return rc;
}

/* --- commits --- */

static void
emb_commit(struct store *s, struct store_batch *const *b, size_t n, int *rc)
{
	struct emb *e = s->e;
	struct request r = { .b = b, .n = n, .rc = rc };
	int failed = emb_submit(e, &r);

	for (size_t i = 0; i < n; i++) {
		if (failed != 0 && rc[i] == 0)
			rc[i] = failed;
		for (size_t k = 0; k < b[i]->n_needs; k++)
			emb_blob_answered(
			    e, (struct emb_writer *)b[i]->needs[k], rc[i]);
	}
}

/* --- opening --- */

static int
folder_open(struct emb *e, const char *name, int *fd)
{
	int at = e->dir_fd == -1 ? AT_FDCWD : e->dir_fd;
	int rc = e->readonly ? 0 : store_io_mkdir(at, name, e->group);

	if (rc != 0)
		return rc;
	*fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *fd == -1 ? -errno : 0;
}

/* The folders; -EBUSY when this process has it open already. */
static int
folders_open(struct emb *e)
{
	struct stat st;
	int rc;

	if ((rc = folder_open(e, e->dir, &e->dir_fd)) != 0 ||
	    (rc = folder_open(e, "blobs", &e->blobs_fd)) != 0)
		return rc;
	if (fstat(e->dir_fd, &st) == -1)
		return -errno;
	e->dev = st.st_dev;
	e->ino = st.st_ino;
	for (struct emb *o = all_open; o != NULL; o = o->next)
		if (o->dev == e->dev && o->ino == e->ino)
			return -EBUSY;
	return 0;
}

/* The names of what was just made are durable too, up to the folder's own. */
static int
folders_sync(struct emb *e)
{
	int parent =
	    openat(e->dir_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = 0;

	if (!e->readonly && fsync(e->dir_fd) == -1)
		rc = -errno;
	/* A sandbox, or another user's folder: then it was there before. */
	if (parent != -1) {
		if (rc == 0 && !e->readonly && fsync(parent) == -1)
			rc = -errno;
		close(parent);
	}
	return rc;
}

static void
on_minute(evutil_socket_t fd, short what, void *arg)
{
	struct emb *e = arg;
	int dead;

	(void)fd, (void)what;
	if (pthread_rwlock_tryrdlock(&e->env_lock) == 0) {
		if (e->env != NULL)
			mdb_reader_check(e->env, &dead);
		pthread_rwlock_unlock(&e->env_lock);
	}
	emb_files_close(e, false);
	if (e->minutes++ % KEEP_EVERY_MINUTES == 0)
		store_keep(e->s);
}

static int
minute_start(struct emb *e)
{
	const struct timeval minute = { 60, 0 };

	e->minute = event_new(loop_base(), -1, EV_PERSIST, on_minute, e);
	if (e->minute == NULL || event_add(e->minute, &minute) == -1)
		return -ENOMEM;
	return watches_open(e->s, e->dir, e->group);
}

static struct emb *
emb_new(struct store *s, const struct store_conf *conf)
{
	struct emb *e = calloc(1, sizeof(*e));
	pthread_condattr_t monotonic;

	if (e == NULL || (e->dir = strdup(conf->dir)) == NULL) {
		free(e);
		return NULL;
	}
	e->s = s;
	e->dir_fd = e->blobs_fd = e->segment.fd = e->compact.fd = -1;
	e->turn_fd = -1;
	e->readonly = conf->readonly;
	e->group = conf->group;
	e->last = &e->first;
	pthread_rwlock_init(&e->env_lock, NULL);
	pthread_mutex_init(&e->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&e->wanted, &monotonic);
	pthread_condattr_destroy(&monotonic);
	for (size_t i = 0; i < BLOB_FILES; i++)
		e->files[i].fd = -1;
	return e;
}

int
emb_begin(struct store *s, const struct store_conf *conf, struct buf *err)
{
	int rc;

	if ((s->e = emb_new(s, conf)) == NULL)
		return -ENOMEM;
	if ((rc = folders_open(s->e)) != 0)
		buf_printf(err, "%s: %s", conf->dir, strerror(-rc));
	return rc;
}

static int
emb_open(struct store *s, const struct store_conf *conf, struct buf *err)
{
	struct emb *e;
	int rc = emb_begin(s, conf, err);

	if ((e = s->e) == NULL)
		return rc;
	if (rc == 0 && (rc = emb_env_open(e, err)) == 0 &&
	    ((rc = folders_sync(e)) != 0 || (rc = minute_start(e)) != 0))
		buf_printf(err, "%s: %s", e->dir, strerror(-rc));
	if (rc != 0) {
		emb_close(s);
		return rc;
	}
	e->next = all_open;
	all_open = e;
	return 0;
}

void
emb_close(struct store *s)
{
	struct emb *e = s->e, **at;

	emb_writer_stop(e);
	watches_close(s);
	for (at = &all_open; *at != NULL && *at != e; at = &(*at)->next)
		;
	if (*at != NULL)
		*at = e->next;
	if (e->minute != NULL)
		event_free(e->minute);
	emb_files_close(e, true);
	emb_env_close(e);
	segment_trim(e);
	if (e->segment.fd != -1)
		close(e->segment.fd);
	if (e->compact.fd != -1)
		close(e->compact.fd);
	if (e->turn_fd != -1)
		close(e->turn_fd);
	if (e->blobs_fd != -1)
		close(e->blobs_fd);
	if (e->dir_fd != -1)
		close(e->dir_fd);
	pthread_rwlock_destroy(&e->env_lock);
	pthread_mutex_destroy(&e->lock);
	pthread_cond_destroy(&e->wanted);
	free(e->unlinks);
	free(e->left);
	free(e->chunk);
	free(e->dir);
	free(e);
}

const struct store_engine store_engine_embedded = {
	.name = "embedded",
	.open = emb_open,
	.close = emb_close,
	.get = emb_get,
	.scan = emb_scan,
	.partitions = emb_partitions,
	.commit = emb_commit,
	.blob_begin = emb_blob_begin,
	.blob_write = emb_blob_write,
	.blob_seal = emb_blob_seal,
	.blob_writer_free = emb_blob_writer_free,
	.blob_size = emb_blob_size,
	.blob_read = emb_blob_read,
	.blob_list = emb_blob_list,
	.stats = emb_stats,
	.check = emb_check,
	.compact = emb_compact,
	.backup = emb_backup,
};
