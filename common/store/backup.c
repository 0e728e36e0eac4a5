/* SPDX-License-Identifier: ISC */
/*
 * Backup of the embedded engine, while it runs. First the rows, by LMDB's own
 * copy of one moment; then all files of blobs, which at that moment or later
 * hold every record that the copy's index knows: records never change, and
 * while the removal lock is held no file goes. What a segment has got since is
 * more than needed and does no harm.
 *
 * LMDB has no checksums, so the copy of the rows gets one, behind its last page,
 * where LMDB does not look; it goes when the copy is opened to be written.
 *
 * A file that the target has with the same size and time is kept, so a second
 * backup into the same folder copies what is new.
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
#include "common/base/crc32c.h"
#include "common/base/log.h"
#include "common/store/embedded.h"
#include "common/store/store_io.h"

/* In the target's folder of blobs. A file is whole before it takes the place of
 * an older copy: cut short, the backup that was there is still a backup. */
#define BEING_COPIED ".new"
#define TICK_S 2 /* the coarsest clock of a file system that is in use */

struct backup {
	struct emb *e;
	const char *dir;
	int dir_fd, blobs_fd; /* of the target */
	int rc;
};

static int
octets_copy(int from, int to, uint64_t n)
{
	char *p;
	ssize_t got = 0;
	struct iovec iov;
	off_t at = 0;
	int rc = 0;

	/* Shares the blocks where the file system can. */
	while (n > 0 && (got = copy_file_range(from, NULL, to, NULL, n, 0)) > 0)
		n -= (uint64_t)got;
	if (n == 0)
		return 0;
	if ((p = malloc((size_t)1 << 20)) == NULL)
		return -ENOMEM;
	at = lseek(to, 0, SEEK_CUR);
	while (rc == 0 && n > 0) {
		got = pread(from, p, n < 1 << 20 ? n : 1 << 20, at);
		if (got <= 0) {
			rc = got == 0 ? -EIO : -errno;
			break;
		}
		iov = (struct iovec){ p, (size_t)got };
		rc = store_io_write(to, &iov, 1, at);
		at += got;
		n -= (uint64_t)got;
	}
	free(p);
	return rc;
}

static bool
is_same(const struct stat *a, const struct stat *b)
{
	return a->st_size == b->st_size &&
	    a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	    a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/*
 * A segment in use keeps its size for a while (store_io_ahead), and a file
 * system's clock has ticks: what is written to it in this one leaves the time
 * as it is. So a file that was written just now gets another one, and is copied
 * again the next time.
 */
static int
file_sync_as(int fd, const struct stat *st, int64_t looked_s)
{
	struct timespec times[2] = { st->st_mtim, st->st_mtim };

	if (times[1].tv_sec + TICK_S >= looked_s)
		times[1] = (struct timespec){ 0, 0 };
	if (store_io.fdatasync(fd) == -1 || futimens(fd, times) == -1)
		return -errno;
	return 0;
}

static int
blob_file_copy(struct backup *b, const char *name)
{
	struct stat st, old;
	int from = openat(b->e->blobs_fd, name, O_RDONLY | O_CLOEXEC);
	int64_t looked_s = clock_wall_s();
	int to = -1, rc;

	if (from == -1)
		return errno == ENOENT ? 0 : -errno;
	if (fstat(from, &st) == -1)
		rc = -errno;
	else if (fstatat(b->blobs_fd, name, &old, 0) == 0 && is_same(&st, &old))
		rc = 0;
	else if ((to = openat(b->blobs_fd, BEING_COPIED,
		      O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)) == -1)
		rc = -errno;
	else if ((rc = octets_copy(from, to, (uint64_t)st.st_size)) == 0 &&
	    (rc = file_sync_as(to, &st, looked_s)) == 0 &&
	    renameat(b->blobs_fd, BEING_COPIED, b->blobs_fd, name) == -1)
		rc = -errno;
	close(from);
	if (to != -1)
		close(to);
	return rc;
}

static int
blobs_copy(struct backup *b)
{
	int fd =
	    openat(b->e->blobs_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd == -1 ? NULL : fdopendir(fd);
	struct dirent *d;
	int rc = 0;

	if (dir == NULL) {
		rc = -errno;
		if (fd != -1)
			close(fd);
		return rc;
	}
	while (rc == 0 && (d = readdir(dir)) != NULL)
		if (d->d_name[0] != '.')
			rc = blob_file_copy(b, d->d_name);
	closedir(dir);
	if (rc == 0 && store_io.fsync(b->blobs_fd) == -1)
		rc = -errno;
	return rc;
}

/* --- the sum of the rows' copy --- */

#define SUM_OCTETS 16 /* magic, CRC-32C, octets before it */
#define SUM_MAGIC 0x504e5331u
#define SUM_PAGE 4096 /* at least: LMDB's pages are multiples */

/* Of the first `n` octets; -errno. */
static int
octets_sum(int fd, uint64_t n, uint32_t *crc)
{
	char *p = malloc((size_t)1 << 20);
	uint64_t at = 0;
	ssize_t got = 0;

	*crc = 0;
	if (p == NULL)
		return -ENOMEM;
	for (; at < n; at += (uint64_t)got) {
		got = pread(
		    fd, p, n - at < 1 << 20 ? n - at : 1 << 20, (off_t)at);
		if (got <= 0)
			break;
		*crc = crc32c(*crc, p, (size_t)got);
	}
	free(p);
	return at == n ? 0 : got == 0 ? -EIO : -errno;
}

static int
sum_add(int fd)
{
	char sum[SUM_OCTETS];
	struct iovec iov = { sum, sizeof(sum) };
	struct stat st;
	uint32_t crc;
	int rc;

	if (fstat(fd, &st) == -1)
		return -errno;
	if ((rc = octets_sum(fd, (uint64_t)st.st_size, &crc)) != 0)
		return rc;
	put_be32(sum, SUM_MAGIC);
	put_be32(sum + 4, crc);
	put_be64(sum + 8, (uint64_t)st.st_size);
	return store_io_write(fd, &iov, 1, st.st_size);
}

static bool
has_sum(const struct stat *st)
{
	return st->st_size % SUM_PAGE == SUM_OCTETS;
}

static int
sum_check(int fd)
{
	char sum[SUM_OCTETS];
	struct stat st;
	uint64_t n;
	uint32_t crc;
	int rc;

	if (fstat(fd, &st) == -1)
		return -errno;
	if (st.st_size % SUM_PAGE == 0)
		return 0; /* in use, or of a version that made none */
	if (!has_sum(&st))
		return -EIO;
	n = (uint64_t)st.st_size - SUM_OCTETS;
	if (pread(fd, sum, sizeof(sum), (off_t)n) != sizeof(sum))
		return -EIO;
	if ((rc = octets_sum(fd, n, &crc)) != 0)
		return rc;
	return get_be32(sum) == SUM_MAGIC && get_be32(sum + 4) == crc &&
		get_be64(sum + 8) == n
	    ? 0
	    : -EIO;
}

int
store_backup_check(const char *dir)
{
	struct buf path = BUF_INIT;
	int fd, rc;

	if (!buf_printf(&path, "%s/data.mdb", dir))
		return -ENOMEM;
	fd = open(buf_str(&path), O_RDONLY | O_CLOEXEC);
	rc = fd == -1 ? -errno : sum_check(fd);
	if (fd != -1)
		close(fd);
	buf_clear(&path);
	return rc;
}

int
emb_sum_remove(struct emb *e)
{
	int fd = openat(e->dir_fd, "data.mdb", O_RDWR | O_CLOEXEC);
	int lock, rc = 0;
	struct stat st;

	if (fd == -1)
		return errno == ENOENT ? 0 : -errno;
	/* Once, before anybody has it open to write. */
	if (fstat(fd, &st) == 0 && has_sum(&st)) {
		lock = emb_removal_lock(e, LOCK_EX);
		if (lock == -1 || fstat(fd, &st) == -1 ||
		    (has_sum(&st) &&
			ftruncate(fd, st.st_size - SUM_OCTETS) == -1))
			rc = -errno;
		if (lock != -1)
			close(lock);
	}
	close(fd);
	return rc;
}

/* Compacted; under another name until all is there. */
static int
rows_copy(struct backup *b)
{
	int fd = openat(b->dir_fd, "data.mdb.new",
	    O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int rc = MDB_PANIC;

	if (fd == -1)
		return -errno;
	pthread_rwlock_rdlock(&b->e->env_lock);
	if (b->e->env != NULL)
		rc = mdb_env_copyfd2(b->e->env, fd, MDB_CP_COMPACT);
	pthread_rwlock_unlock(&b->e->env_lock);
	rc = emb_fault(b->e, "backup", rc);
	if (rc == 0)
		rc = sum_add(fd);
	if (rc == 0 && store_io.fdatasync(fd) == -1)
		rc = -errno;
	close(fd);
	return rc;
}

static int
target_open(struct backup *b)
{
	if ((mkdir(b->dir, 0700) == -1 && errno != EEXIST) ||
	    (b->dir_fd = open(b->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) ==
		-1 ||
	    (mkdirat(b->dir_fd, "blobs", 0700) == -1 && errno != EEXIST) ||
	    (b->blobs_fd = openat(
		 b->dir_fd, "blobs", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1)
		return -errno;
	return 0;
}

static void
backup_run(void *arg)
{
	struct backup *b = arg;
	int lock = emb_removal_lock(b->e, LOCK_EX);

	if (lock == -1)
		b->rc = -errno;
	else if ((b->rc = target_open(b)) == 0 && (b->rc = rows_copy(b)) == 0 &&
	    (b->rc = blobs_copy(b)) == 0 &&
	    (renameat(b->dir_fd, "data.mdb.new", b->dir_fd, "data.mdb") == -1 ||
		store_io.fsync(b->dir_fd) == -1))
		b->rc = -errno;
	if (lock != -1)
		close(lock);
	if (b->dir_fd != -1)
		close(b->dir_fd);
	if (b->blobs_fd != -1)
		close(b->blobs_fd);
}

int
emb_backup(struct store *s, const char *dir)
{
	struct backup b = { s->e, dir, -1, -1, 0 };

	if (co_work(backup_run, &b) != 0)
		return -EBUSY;
	emb_fault_log(s->e);
	return b.rc;
}
