/* SPDX-License-Identifier: ISC */
/*
 * A record of all that is done to the files below a folder: these functions
 * stand before those of libc in a test's program, for the engine and for LMDB.
 * The record is in memory that forked processes share, in the order in which
 * things happened to the files, and the test adds its own marks to it.
 *
 * LMDB writes by pwrite, writev and write; the page that makes a commit valid
 * through a descriptor with O_DSYNC, which is durable when the call returns.
 * Its lock file is no part of the record, and sockets are none. The same
 * calls can be made to fail.
 */
#ifndef PNEU_TESTS_POWER_RECORD_H
#define PNEU_TESTS_POWER_RECORD_H

#include <assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum power_kind {
	POWER_MKDIR,  /* at: of the folder it is made in; octets: its name */
	POWER_CREATE, /* the same of a file */
	POWER_UNLINK, /* file: the folder; octets: the name */
	POWER_RENAME, /* file: the folder; octets: both names, NUL between */
	POWER_WRITE,
	POWER_WRITE_DSYNC, /* durable by itself */
	POWER_TRUNCATE,    /* to `at` octets */
	POWER_SYNC,        /* of a file or folder */
	POWER_MARK,        /* of the test */
};

struct power_entry {
	uint32_t kind, n; /* n octets follow */
	uint64_t file, at;
};

#define POWER_OCTETS ((size_t)1 << 30) /* of address space */
#define POWER_FILES 4096

static struct power_log {
	pthread_mutex_t lock;
	bool on;
	dev_t dev;
	/* Never given twice, as inode numbers are. The root is number 0. */
	uint64_t n_files;
	ino_t inodes[POWER_FILES];
	bool folders[POWER_FILES];
	/* Calls on these files that fail, counted from 1; see power_fails. */
	uint64_t calls, fail_from, fail_to;
	int fail_errno;
	size_t n; /* of octets */
	char octets[];
} * power;

/* What a fault of ours would be: these syncs are not recorded. */
static enum power_deaf {
	DEAF_NOT,
	DEAF_SEGMENTS,
	DEAF_FILES, /* of large blobs */
	DEAF_ROWS,
	DEAF_COMMITS, /* the page that makes a commit valid */
	DEAF_FOLDERS,
} power_deaf;

#define REAL(name) ((__typeof__(&name))(uintptr_t)power_real(#name))

static inline void *
power_real(const char *name)
{
	void *p = dlsym(RTLD_NEXT, name);

	if (p == NULL)
		abort();
	return p;
}

static inline void
power_lock(void)
{
	if (power != NULL)
		pthread_mutex_lock(&power->lock);
}

static inline void
power_unlock(void)
{
	int before = errno;

	if (power != NULL)
		pthread_mutex_unlock(&power->lock);
	errno = before;
}

/* Number of the file, or UINT64_MAX: not one of ours. */
static inline uint64_t
power_file(const struct stat *info)
{
	if (power == NULL || !power->on || info->st_dev != power->dev)
		return UINT64_MAX;
	for (uint64_t i = power->n_files; i-- > 0;)
		if (power->inodes[i] == info->st_ino)
			return i;
	return UINT64_MAX;
}

static inline uint64_t
power_fd(int fd)
{
	struct stat info;
	int before = errno;
	uint64_t file = UINT64_MAX;

	if (power != NULL && power->on && fstat(fd, &info) == 0)
		file = power_file(&info);
	errno = before;
	return file;
}

enum power_call { CALL_WRITE, CALL_NAME, CALL_SYNC, CALL_READ };

/* Shall this call fail? A full disk fails what needs room, EIO all. */
static inline bool
power_fails(uint64_t file, enum power_call what)
{
	if (file == UINT64_MAX || power->fail_from == 0 ||
	    (power->fail_errno == ENOSPC && what > CALL_NAME) ||
	    ++power->calls < power->fail_from || power->calls > power->fail_to)
		return false;
	errno = power->fail_errno;
	return true;
}

/* Of a write: a disk that gets full takes a part first, at every other. */
static inline bool
power_write_fails(int fd, size_t *n)
{
	if (power == NULL || power->fail_from == 0 ||
	    !power_fails(power_fd(fd), CALL_WRITE))
		return false;
	if (power->fail_errno == ENOSPC && power->calls == power->fail_from &&
	    power->fail_from % 2 == 0 && *n > 1) {
		*n /= 2;
		return false;
	}
	return true;
}

static inline char *
power_add(enum power_kind kind, uint64_t file, uint64_t at, size_t n)
{
	struct power_entry e = { kind, (uint32_t)n, file, at };
	char *p = power->octets + power->n;

	if (power->n + sizeof(e) + n + 8 > POWER_OCTETS - sizeof(*power))
		abort();
	memcpy(p, &e, sizeof(e));
	power->n += (sizeof(e) + n + 7) & ~(size_t)7;
	return p + sizeof(e);
}

static inline void
power_mark(const void *p, size_t n)
{
	power_lock();
	if (power != NULL && power->on)
		memcpy(power_add(POWER_MARK, 0, 0, n), p, n);
	power_unlock();
}

/* --- names --- */

/* The folder that `name` is in; *base: the name in it. */
static inline uint64_t
power_folder(int at, const char *name, const char **base)
{
	const char *slash = strrchr(name, '/');
	char dir[PATH_MAX];
	struct stat info;
	int before = errno;
	uint64_t file = UINT64_MAX;

	*base = slash == NULL ? name : slash + 1;
	if (slash == NULL)
		snprintf(dir, sizeof(dir), ".");
	else
		snprintf(dir, sizeof(dir), "%.*s", (int)(slash - name), name);
	if (power != NULL && power->on && fstatat(at, dir, &info, 0) == 0)
		file = power_file(&info);
	errno = before;
	return file;
}

static inline bool
power_ignores(const char *base)
{
	return strcmp(base, "lock.mdb") == 0 || strstr(base, ".lock") != NULL ||
	    strcmp(base, "watch") == 0;
}

static inline void
power_made(uint64_t folder, const char *base, const struct stat *info, bool dir)
{
	assert(power->n_files < POWER_FILES);
	power->inodes[power->n_files] = info->st_ino;
	power->folders[power->n_files] = dir;
	memcpy(power_add(dir ? POWER_MKDIR : POWER_CREATE, power->n_files,
		   folder, strlen(base)),
	    base, strlen(base));
	power->n_files++;
}

static inline int
power_open(int at, const char *name, int flags, mode_t mode)
{
	const char *base;
	struct stat info;
	uint64_t folder;
	int fd, before = errno;
	bool is_new;

	power_lock();
	folder = flags & O_CREAT && (flags & O_TMPFILE) != O_TMPFILE
	    ? power_folder(at, name, &base)
	    : UINT64_MAX;
	is_new = folder != UINT64_MAX && !power_ignores(base) &&
	    fstatat(at, name, &info, AT_SYMLINK_NOFOLLOW) == -1;
	errno = before;
	if (is_new && power_fails(folder, CALL_NAME))
		fd = -1;
	else
		fd = REAL(openat)(at, name, flags, mode);
	if (fd != -1 && is_new && fstat(fd, &info) == 0)
		power_made(folder, base, &info, false);
	else if (fd != -1 && flags & O_TRUNC && power_fd(fd) != UINT64_MAX)
		power_add(POWER_TRUNCATE, power_fd(fd), 0, 0);
	power_unlock();
	return fd;
}

#define POWER_MODE(last)                                                       \
	va_list ap;                                                            \
	mode_t mode;                                                           \
	va_start(ap, last);                                                    \
	mode = flags & (O_CREAT | O_TMPFILE) ? (mode_t)va_arg(ap, int) : 0;    \
	va_end(ap)

int
open(const char *name, int flags, ...)
{
	POWER_MODE(flags);
	return power_open(AT_FDCWD, name, flags, mode);
}

int
openat(int at, const char *name, int flags, ...)
{
	POWER_MODE(flags);
	return power_open(at, name, flags, mode);
}

int
mkdirat(int at, const char *name, mode_t mode)
{
	const char *base;
	struct stat info;
	uint64_t folder;
	int rc;

	power_lock();
	folder = power_folder(at, name, &base);
	rc =
	    power_fails(folder, CALL_NAME) ? -1 : REAL(mkdirat)(at, name, mode);
	if (rc == 0 && folder != UINT64_MAX && !power_ignores(base) &&
	    fstatat(at, name, &info, 0) == 0)
		power_made(folder, base, &info, true);
	power_unlock();
	return rc;
}

int
unlinkat(int at, const char *name, int flags)
{
	const char *base;
	uint64_t folder;
	int rc;

	power_lock();
	folder = power_folder(at, name, &base);
	rc = !power_ignores(base) && power_fails(folder, CALL_READ)
	    ? -1
	    : REAL(unlinkat)(at, name, flags);
	if (rc == 0 && folder != UINT64_MAX && !power_ignores(base))
		memcpy(power_add(POWER_UNLINK, folder, 0, strlen(base)), base,
		    strlen(base));
	power_unlock();
	return rc;
}

int
renameat(int at, const char *from, int to_at, const char *to)
{
	const char *base, *to_base;
	uint64_t folder, to_folder;
	size_t n, to_n;
	char *p;
	int rc;

	power_lock();
	folder = power_folder(at, from, &base);
	to_folder = power_folder(to_at, to, &to_base);
	rc = power_fails(folder, CALL_NAME)
	    ? -1
	    : REAL(renameat)(at, from, to_at, to);
	if (rc == 0 && folder != UINT64_MAX) {
		assert(folder == to_folder);
		n = strlen(base) + 1;
		to_n = strlen(to_base);
		p = power_add(POWER_RENAME, folder, 0, n + to_n);
		memcpy(p, base, n);
		memcpy(p + n, to_base, to_n);
	}
	power_unlock();
	return rc;
}

/* --- octets --- */

static inline void
power_wrote(int fd, const struct iovec *iov, uint64_t at, size_t n)
{
	uint64_t file = power_fd(fd);
	bool dsync = fcntl(fd, F_GETFL) & O_DSYNC;
	size_t part;
	char *p;

	if (file == UINT64_MAX || n == 0)
		return;
	p = power_add(dsync && power_deaf != DEAF_COMMITS ? POWER_WRITE_DSYNC
							  : POWER_WRITE,
	    file, at, n);
	for (; n > 0; iov++, p += part, n -= part) {
		part = iov->iov_len < n ? iov->iov_len : n;
		memcpy(p, iov->iov_base, part);
	}
}

ssize_t
pwritev(int fd, const struct iovec *iov, int n, off_t at)
{
	size_t parts = (size_t)n;
	ssize_t done;

	power_lock();
	done = power_write_fails(fd, &parts)
	    ? -1
	    : REAL(pwritev)(fd, iov, (int)parts, at);
	if (done > 0)
		power_wrote(fd, iov, (uint64_t)at, (size_t)done);
	power_unlock();
	return done;
}

ssize_t
pwrite(int fd, const void *p, size_t n, off_t at)
{
	struct iovec iov = { (void *)(uintptr_t)p, n };
	ssize_t done;

	power_lock();
	done = power_write_fails(fd, &n) ? -1 : REAL(pwrite)(fd, p, n, at);
	if (done > 0)
		power_wrote(fd, &iov, (uint64_t)at, (size_t)done);
	power_unlock();
	return done;
}

ssize_t
writev(int fd, const struct iovec *iov, int n)
{
	size_t parts = (size_t)n;
	ssize_t done;

	power_lock();
	done = power_write_fails(fd, &parts)
	    ? -1
	    : REAL(writev)(fd, iov, (int)parts);
	if (done > 0 && power_fd(fd) != UINT64_MAX)
		power_wrote(fd, iov, (uint64_t)lseek(fd, 0, SEEK_CUR) - done,
		    (size_t)done);
	power_unlock();
	return done;
}

ssize_t
write(int fd, const void *p, size_t n)
{
	struct iovec iov = { (void *)(uintptr_t)p, n };
	ssize_t done;

	power_lock();
	done = power_write_fails(fd, &n) ? -1 : REAL(write)(fd, p, n);
	if (done > 0 && power_fd(fd) != UINT64_MAX)
		power_wrote(fd, &iov, (uint64_t)lseek(fd, 0, SEEK_CUR) - done,
		    (size_t)done);
	power_unlock();
	return done;
}

int
ftruncate(int fd, off_t n)
{
	uint64_t file;
	int rc;

	power_lock();
	file = power_fd(fd);
	rc = power_fails(file, CALL_WRITE) ? -1 : REAL(ftruncate)(fd, n);
	if (rc == 0 && file != UINT64_MAX)
		power_add(POWER_TRUNCATE, file, (uint64_t)n, 0);
	power_unlock();
	return rc;
}

/* Reads are no part of the record, but may fail. */
static inline bool
power_read_fails(int fd)
{
	bool fails = false;

	if (power != NULL && power->fail_from != 0) {
		power_lock();
		fails = power_fails(power_fd(fd), CALL_READ);
		power_unlock();
	}
	return fails;
}

ssize_t
pread(int fd, void *p, size_t n, off_t at)
{
	return power_read_fails(fd) ? -1 : REAL(pread)(fd, p, n, at);
}

ssize_t
preadv2(int fd, const struct iovec *iov, int n, off_t at, int flags)
{
	return power_read_fails(fd) ? -1 : REAL(preadv2)(fd, iov, n, at, flags);
}

/* --- syncs --- */

static inline bool
power_is_deaf(int fd, uint64_t file)
{
	char link[64], path[PATH_MAX];
	const char *end;
	ssize_t n;

	if (power->folders[file])
		return power_deaf == DEAF_FOLDERS;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	path[n > 0 ? n : 0] = '\0';
	end = strrchr(path, '.');
	if (end == NULL)
		return false;
	return (power_deaf == DEAF_SEGMENTS && strcmp(end, ".seg") == 0) ||
	    (power_deaf == DEAF_FILES && strcmp(end, ".blob") == 0) ||
	    (power_deaf == DEAF_ROWS && strcmp(end, ".mdb") == 0);
}

static inline int
power_sync(int fd, int (*real)(int))
{
	uint64_t file;
	int rc;

	power_lock();
	file = power_fd(fd);
	rc = power_fails(file, CALL_SYNC) ? -1 : real(fd);
	if (rc == 0 && file != UINT64_MAX && !power_is_deaf(fd, file))
		power_add(POWER_SYNC, file, 0, 0);
	power_unlock();
	return rc;
}

int
fsync(int fd)
{
	return power_sync(fd, REAL(fsync));
}

int
fdatasync(int fd)
{
	return power_sync(fd, REAL(fdatasync));
}

/* --- the record --- */

/* From now on, for this process and its children. */
static inline void
power_begin(const char *dir)
{
	pthread_mutexattr_t shared;
	struct stat info;

	power = mmap(NULL, POWER_OCTETS, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (power == MAP_FAILED || stat(dir, &info) == -1)
		abort();
	pthread_mutexattr_init(&shared);
	pthread_mutexattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(&power->lock, &shared);
	pthread_mutexattr_destroy(&shared);
	power->dev = info.st_dev;
	power->inodes[0] = info.st_ino;
	power->folders[0] = true;
	power->n_files = 1;
	power->on = true;
}

static inline void
power_end(void)
{
	munmap(power, POWER_OCTETS);
	power = NULL;
}

/* The entry at *at, which goes on to the next; NULL at the end. */
static inline const struct power_entry *
power_next(size_t *at)
{
	const struct power_entry *e;

	if (*at == power->n)
		return NULL;
	e = (const void *)(power->octets + *at);
	*at += (sizeof(*e) + e->n + 7) & ~(size_t)7;
	return e;
}

static inline const char *
power_octets(const struct power_entry *e)
{
	return (const char *)(e + 1);
}

#endif
