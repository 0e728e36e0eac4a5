/* SPDX-License-Identifier: ISC */
/*
 * The LMDB environment: opening it and its tables, and opening it anew when
 * LMDB has shut it.
 *
 * That is what LMDB does (MDB_PANIC for every call from then on) when a commit
 * could write neither the page that makes it valid nor what stood there
 * before. The file is sound all the same, and the disk may be well again a
 * moment later.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/store/embedded.h"
#include "common/store/store_io.h"

#define MAP_SIZE ((size_t)1 << 40)
#define MAP_SIZE_MIN ((size_t)256 << 20)
#define READERS_MAX 1024
#define DATABASE "data.mdb"
#define BEING_MADE "data.mdb.new"
#define REPLACED "data.mdb.old"
#define FORMAT_KEY SLICE_LIT("\001meta\0format")
#define FORMAT_VERSION SLICE_LIT("1")
#define REOPEN_WAIT_S 1 /* for readers: the loop's are short, a backup's not */

#if defined(__SANITIZE_ADDRESS__)
#define ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ADDRESS_SANITIZER 1
#endif
#endif

void
emb_env_close(struct emb *e)
{
	if (e->read_txn != NULL)
		mdb_txn_abort(e->read_txn);
	e->read_txn = NULL;
	if (e->env != NULL)
		mdb_env_close(e->env);
	e->env = NULL;
	e->mapped_from = e->mapped_to = NULL;
	e->mapped_octets = 0;
}

/* As much of the address space as there is: a map costs nothing but that. */
static size_t
map_size(void)
{
	struct rlimit limit;
	size_t size = MAP_SIZE;

#ifdef ADDRESS_SANITIZER
	size = (size_t)64 << 30;
#endif
	if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur / 4 < size)
		size = (size_t)limit.rlim_cur / 4;
	size &= ~(((size_t)1 << 20) - 1);
	return size < MAP_SIZE_MIN ? MAP_SIZE_MIN : size;
}

static int
env_open(struct emb *e)
{
	unsigned flags = MDB_NOTLS | (e->readonly ? MDB_RDONLY : 0);
	int dead, rc = 0;

	for (size_t size = map_size(); size >= MAP_SIZE_MIN; size /= 4) {
		if ((rc = mdb_env_create(&e->env)) != 0)
			return rc;
		mdb_env_set_maxdbs(e->env, 3);
		mdb_env_set_maxreaders(e->env, READERS_MAX);
		mdb_env_set_mapsize(e->env, size);
		rc =
		    mdb_env_open(e->env, e->dir, flags, e->group ? 0660 : 0600);
		if (rc == 0)
			return mdb_reader_check(e->env, &dead);
		mdb_env_close(e->env);
		e->env = NULL;
		if (rc != ENOMEM)
			break;
	}
	return rc;
}

static int
tables_open(struct emb *e, unsigned flags)
{
	MDB_txn *txn;
	int rc = mdb_txn_begin(e->env, NULL, flags ? 0 : MDB_RDONLY, &txn);

	if (rc != 0)
		return rc;
	if ((rc = mdb_dbi_open(txn, "rows", flags, &e->rows)) == 0 &&
	    (rc = mdb_dbi_open(txn, "blobs", flags, &e->blobs)) == 0)
		rc = mdb_dbi_open(txn, "segments", flags, &e->segments);
	if (rc == 0)
		return mdb_txn_commit(txn);
	mdb_txn_abort(txn);
	return rc;
}

/* Made by whoever comes first; a format of tomorrow is not touched. */
static int
format_check(struct emb *e)
{
	MDB_val k = mdb_slice(FORMAT_KEY), v = mdb_slice(FORMAT_VERSION);
	MDB_txn *txn;
	int rc =
	    mdb_txn_begin(e->env, NULL, e->readonly ? MDB_RDONLY : 0, &txn);

	if (rc != 0)
		return rc;
	rc = mdb_get(txn, e->rows, &k, &v);
	if (rc == 0 && !slice_eq(slice(v.mv_data, v.mv_size), FORMAT_VERSION))
		rc = MDB_VERSION_MISMATCH;
	if (rc != MDB_NOTFOUND || e->readonly) {
		mdb_txn_abort(txn);
		return rc;
	}
	v = mdb_slice(FORMAT_VERSION);
	if ((rc = mdb_put(txn, e->rows, &k, &v, 0)) == 0)
		return mdb_txn_commit(txn);
	mdb_txn_abort(txn);
	return rc;
}

static void
group_files(struct emb *e)
{
	if (!e->group || e->readonly)
		return;
	/* Of another owner: then he has done it. */
	(void)!fchmodat(e->dir_fd, "data.mdb", 0660, 0);
	(void)!fchmodat(e->dir_fd, "lock.mdb", 0660, 0);
}

/*
 * A new database comes into being whole. LMDB itself writes the first pages of
 * one without a sync, so a power failure would leave a file that it refuses for
 * ever. The caller has the lock.
 */
static int
database_make(struct emb *e, int (*fill)(struct emb *e, void *arg), void *arg)
{
	const unsigned flags = MDB_NOTLS | MDB_NOSUBDIR | MDB_NOLOCK;
	struct buf path = BUF_INIT;
	int rc;

	if (unlinkat(e->dir_fd, BEING_MADE, 0) == -1 && errno != ENOENT)
		return errno;
	if (!buf_printf(&path, "%s/" BEING_MADE, e->dir))
		return ENOMEM;
	if ((rc = mdb_env_create(&e->env)) == 0 &&
	    (rc = mdb_env_set_maxdbs(e->env, 3)) == 0 &&
	    (fill == NULL ||
		(rc = mdb_env_set_mapsize(e->env, map_size())) == 0) &&
	    (rc = mdb_env_open(
		 e->env, buf_str(&path), flags, e->group ? 0660 : 0600)) == 0 &&
	    (rc = tables_open(e, MDB_CREATE)) == 0 &&
	    (rc = format_check(e)) == 0 && fill != NULL)
		rc = fill(e, arg); /* the last commit syncs all pages */
	emb_env_close(e);
	buf_clear(&path);
	if (rc == 0 && fill != NULL &&
	    renameat(e->dir_fd, DATABASE, e->dir_fd, REPLACED) == -1 &&
	    errno != ENOENT)
		rc = errno;
	if (rc == 0 &&
	    (renameat(e->dir_fd, BEING_MADE, e->dir_fd, DATABASE) == -1 ||
		store_io.fsync(e->dir_fd) == -1))
		rc = errno;
	return rc;
}

int
emb_env_remake(struct emb *e, int (*fill)(struct emb *e, void *arg), void *arg)
{
	int lock = emb_removal_lock(e, LOCK_EX), rc;

	if (lock == -1)
		return errno;
	rc = database_make(e, fill, arg);
	close(lock);
	return rc;
}

/* Are there blobs? Then a database was there too, and a new one in its place
 * would make them all look like left over. */
static bool
has_blobs(struct emb *e)
{
	int fd = openat(e->blobs_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd == -1 ? NULL : fdopendir(fd);
	bool has = false;
	struct dirent *d;
	struct stat st;

	while (dir != NULL && !has && (d = readdir(dir)) != NULL)
		has = d->d_name[0] != '.' &&
		    fstatat(e->blobs_fd, d->d_name, &st, 0) == 0 &&
		    st.st_size > 0;
	if (dir != NULL)
		closedir(dir);
	else if (fd != -1)
		close(fd);
	return has;
}

/* LMDB takes an empty file for a new one. */
static bool
has_database(struct emb *e)
{
	struct stat st;

	return fstatat(e->dir_fd, DATABASE, &st, 0) == 0 ? st.st_size > 0
							 : errno != ENOENT;
}

/* Where there is none yet; several processes may come first. */
static int
database_make_once(struct emb *e)
{
	int lock, rc = 0;

	if (has_database(e))
		return 0;
	if (e->readonly)
		return has_blobs(e) ? ENOTRECOVERABLE : 0;
	if ((lock = emb_removal_lock(e, LOCK_EX)) == -1)
		return errno;
	if (!has_database(e))
		rc = has_blobs(e) ? ENOTRECOVERABLE
				  : database_make(e, NULL, NULL);
	close(lock);
	return rc;
}

/* An LMDB error. */
static int
database_open(struct emb *e)
{
	int rc = database_make_once(e);

	if (rc == 0 && !e->readonly)
		rc = -emb_sum_remove(e);
	if (rc != 0)
		return rc;
	if ((rc = env_open(e)) == 0)
		rc = tables_open(e, 0);
	if (rc == MDB_NOTFOUND && !e->readonly)
		rc = tables_open(e, MDB_CREATE);
	if (rc == 0)
		rc = format_check(e);
	if (rc == 0)
		group_files(e);
	else
		emb_env_close(e);
	return rc;
}

int
emb_env_open(struct emb *e, struct buf *err)
{
	int rc = database_open(e);

	if (rc == 0)
		return 0;
	if (rc == ENOTRECOVERABLE)
		buf_printf(err,
		    "%s: there are blobs, but " DATABASE
		    " is missing; put it back, or all of a backup",
		    e->dir);
	else
		buf_printf(err, "%s: %s", e->dir, mdb_strerror(rc));
	if (rc == MDB_INVALID || rc == MDB_CORRUPTED || rc == MDB_PAGE_NOTFOUND)
		return -ENOTRECOVERABLE;
	return rc == MDB_NOTFOUND ? -ENOENT : rc > 0 ? -rc : -EIO;
}

/* --- opening anew --- */

static void
env_reopen(struct emb *e)
{
	struct timespec until;
	int rc;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += REOPEN_WAIT_S;
	if (pthread_rwlock_timedwrlock(&e->env_lock, &until) != 0)
		return;
	emb_env_close(e);
	rc = database_open(e);
	pthread_rwlock_unlock(&e->env_lock);
	(void)emb_fault(e, "opening anew", rc);
}

bool
emb_env_revive(struct emb *e)
{
	MDB_txn *probe;
	int rc = MDB_PANIC;

	if (e->env != NULL)
		rc = mdb_txn_begin(e->env, NULL, MDB_RDONLY, &probe);
	if (rc == 0)
		mdb_txn_abort(probe);
	if (rc == MDB_PANIC)
		env_reopen(e);
	return rc == MDB_PANIC;
}

/*
 * Zeros behind the pages in use, as many as this process has seen the database
 * grow so far. Only who is to commit may do so: LMDB's own pages go there. What
 * LMDB has never counted as a page it never looks at.
 */
static void
rows_ahead(struct emb *e)
{
	MDB_envinfo info;
	MDB_stat st;
	struct stat file;
	uint64_t used, n;
	int fd;

	if (mdb_env_info(e->env, &info) != 0 ||
	    mdb_env_stat(e->env, &st) != 0 ||
	    mdb_env_get_fd(e->env, &fd) != 0 || fstat(fd, &file) == -1)
		return;
	used = (info.me_last_pgno + 1) * st.ms_psize;
	if (e->rows_begun == 0)
		e->rows_begun = used;
	n = used - e->rows_begun;
	n = n < store_io.ahead ? n : store_io.ahead;
	n -= n % st.ms_psize;
	if ((uint64_t)file.st_size >= used &&
	    (uint64_t)file.st_size < used + n / 2)
		(void)store_io_ahead(fd, (uint64_t)file.st_size, n);
}

int
emb_txn_begin(struct emb *e, unsigned flags, MDB_txn **txn)
{
	int rc = MDB_PANIC;

	if (e->env != NULL)
		rc = mdb_txn_begin(e->env, NULL, flags, txn);
	if (rc == MDB_PANIC) {
		(void)emb_env_revive(e);
		if (e->env != NULL)
			rc = mdb_txn_begin(e->env, NULL, flags, txn);
	}
	if (rc == 0 && (flags & MDB_RDONLY) == 0)
		rows_ahead(e);
	return rc;
}

/* The number of the last commit that is valid tells, unless another process has
 * committed since. */
static bool
commit_is_unknown(struct emb *e, size_t number)
{
	MDB_envinfo info;

	return e->env == NULL || mdb_env_info(e->env, &info) != 0 ||
	    info.me_last_txnid >= number;
}

int
emb_txn_commit(struct emb *e, MDB_txn *txn, bool *unknown)
{
	size_t number = mdb_txn_id(txn);
	int rc = store_io.txn_commit(txn);
	bool shut = rc != 0 && emb_env_revive(e);

	if (unknown != NULL)
		*unknown = shut && commit_is_unknown(e, number);
	return rc;
}
