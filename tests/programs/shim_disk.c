/* SPDX-License-Identifier: ISC */
/*
 * A disk that fails when told to: a library for LD_PRELOAD. While the file
 * $PNEU_DISK.full exists, everything that writes to files below the folder
 * $PNEU_DISK_DIR fails with ENOSPC, some of it after a part, as it is when a
 * disk gets full; while $PNEU_DISK.eio exists, with EIO. While $PNEU_DISK.meta
 * exists only those writes fail, with EIO, that make a commit of LMDB valid.
 * Reading works.
 *
 * LMDB writes with pwrite, pwritev, and lseek with write or writev; the rest of
 * pneu with pwrite and pwritev.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#define META_END 8192 /* LMDB's two pages of that kind */

static char full[PATH_MAX], eio[PATH_MAX], meta[PATH_MAX];
static const char *dir;
static atomic_uint calls;

static struct {
	ssize_t (*write)(int, const void *, size_t);
	ssize_t (*pwrite)(int, const void *, size_t, off_t);
	ssize_t (*writev)(int, const struct iovec *, int);
	ssize_t (*pwritev)(int, const struct iovec *, int, off_t);
	int (*ftruncate)(int, off_t);
	int (*fallocate)(int, int, off_t, off_t);
	int (*fsync)(int);
	int (*fdatasync)(int);
	int (*msync)(void *, size_t, int);
} real;

/* dlsym gives an object pointer; C has no cast from it to a function's. */
static void
find(void *to, const char *name)
{
	void *p = dlsym(RTLD_NEXT, name);

	memcpy(to, &p, sizeof(p));
}

__attribute__((constructor)) static void
begin(void)
{
	const char *flag = getenv("PNEU_DISK");

	find(&real.write, "write");
	find(&real.pwrite, "pwrite");
	find(&real.writev, "writev");
	find(&real.pwritev, "pwritev");
	find(&real.ftruncate, "ftruncate");
	find(&real.fallocate, "fallocate");
	find(&real.fsync, "fsync");
	find(&real.fdatasync, "fdatasync");
	find(&real.msync, "msync");
	dir = getenv("PNEU_DISK_DIR");
	if (flag == NULL || dir == NULL)
		return;
	snprintf(full, sizeof(full), "%s.full", flag);
	snprintf(eio, sizeof(eio), "%s.eio", flag);
	snprintf(meta, sizeof(meta), "%s.meta", flag);
}

static bool
is_there(const char *flag)
{
	return flag[0] != '\0' && access(flag, F_OK) == 0;
}

static bool
is_below(int fd)
{
	char link[64], path[PATH_MAX];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path));
	return n >= (ssize_t)strlen(dir) && memcmp(path, dir, strlen(dir)) == 0;
}

/* What a call on this file fails with, or 0; errno is kept. */
static int
fault(int fd)
{
	int before = errno, error = 0;

	if (is_there(full))
		error = ENOSPC;
	else if (is_there(eio))
		error = EIO;
	if (error != 0 && fd >= 0 && !is_below(fd))
		error = 0;
	errno = before;
	return error;
}

/* LMDB uses pwrite for those pages, and the rest of pneu does not. */
static int
fault_at(int fd, off_t at)
{
	int before = errno, error = fault(fd);

	if (error == 0 && at < META_END && is_there(meta) && is_below(fd))
		error = EIO;
	errno = before;
	return error;
}

/* The last octets that fit; every third time. */
static size_t
part(int error, size_t n)
{
	return error == ENOSPC && n > 1 && calls++ % 3 == 0 ? n / 2 : 0;
}

#define FAIL(error) return errno = (error), -1

ssize_t
write(int fd, const void *p, size_t n)
{
	int error = fault(fd);
	size_t some = part(error, n);

	if (error != 0 && some == 0)
		FAIL(error);
	return real.write(fd, p, error == 0 ? n : some);
}

ssize_t
pwrite(int fd, const void *p, size_t n, off_t at)
{
	int error = fault_at(fd, at);
	size_t some = part(error, n);

	if (error != 0 && some == 0)
		FAIL(error);
	return real.pwrite(fd, p, error == 0 ? n : some, at);
}

ssize_t
writev(int fd, const struct iovec *iov, int n)
{
	int error = fault(fd);

	if (error == 0)
		return real.writev(fd, iov, n);
	if (part(error, (size_t)n) == 0)
		FAIL(error);
	return real.writev(fd, iov, 1);
}

ssize_t
pwritev(int fd, const struct iovec *iov, int n, off_t at)
{
	int error = fault(fd);

	if (error == 0)
		return real.pwritev(fd, iov, n, at);
	if (part(error, (size_t)n) == 0)
		FAIL(error);
	return real.pwritev(fd, iov, 1, at);
}

int
ftruncate(int fd, off_t n)
{
	int error = fault(fd);

	if (error != 0)
		FAIL(error);
	return real.ftruncate(fd, n);
}

int
fallocate(int fd, int mode, off_t at, off_t n)
{
	int error = fault(fd);

	if (error != 0)
		FAIL(error);
	return real.fallocate(fd, mode, at, n);
}

int
fsync(int fd)
{
	int error = fault(fd);

	if (error != 0)
		FAIL(error);
	return real.fsync(fd);
}

int
fdatasync(int fd)
{
	int error = fault(fd);

	if (error != 0)
		FAIL(error);
	return real.fdatasync(fd);
}

int
msync(void *p, size_t n, int flags)
{
	int error = fault(-1);

	if (error != 0)
		FAIL(error);
	return real.msync(p, n, flags);
}

/* The same calls under the names of programs with large files. */
#define ALIAS(of) __attribute__((alias(of)))
ssize_t pwrite64(int fd, const void *p, size_t n, off_t at) ALIAS("pwrite");
ssize_t
pwritev64(int fd, const struct iovec *iov, int n, off_t at) ALIAS("pwritev");
int ftruncate64(int fd, off_t n) ALIAS("ftruncate");
int fallocate64(int fd, int mode, off_t at, off_t n) ALIAS("fallocate");
