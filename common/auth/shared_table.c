/* SPDX-License-Identifier: ISC */
#include "common/auth/shared_table.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"

#define MAGIC 8

struct shape {
	const char *magic;
	size_t size;
};

/* --- the memory --- */

static struct shared_table *
map(int fd, size_t size)
{
	int flags = fd == -1 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);

	return p == MAP_FAILED ? NULL : p;
}

struct shared_table *
shared_table_private(size_t size)
{
	struct shared_table *t = map(-1, size);

	if (t != NULL)
		random_octets(t->key, sizeof(t->key));
	return t;
}

void
shared_table_unmap(struct shared_table *t, size_t size)
{
	if (t != NULL)
		munmap(t, size);
}

/* --- the lock --- */

#define LOCK_DEAD_MS 100

void
shared_table_lock(struct shared_table *t)
{
	for (;;) {
		uint64_t now = (uint64_t)clock_mono_ms() + 1, held = 0;

		if (atomic_compare_exchange_strong(&t->lock, &held, now))
			return;
		/* Of a machine that was started anew meanwhile, too. */
		if ((held > now || now - held > LOCK_DEAD_MS) &&
		    atomic_compare_exchange_strong(&t->lock, &held, now))
			return;
		sched_yield();
	}
}

void
shared_table_unlock(struct shared_table *t)
{
	atomic_store(&t->lock, 0);
}

/* --- the file --- */

static int
file_fill(int fd, const struct shape *shape)
{
	unsigned char key[SHARED_TABLE_KEY];
	int rc = 0;

	random_octets(key, sizeof(key));
	/* Allocated, so that a full disk is an error here, not SIGBUS. */
	rc = -posix_fallocate(fd, 0, (off_t)shape->size);
	if (rc == 0 &&
	    pwrite(fd, key, sizeof(key), offsetof(struct shared_table, key)) !=
		(ssize_t)sizeof(key))
		rc = -EIO;
	if (rc == 0 && pwrite(fd, shape->magic, MAGIC, 0) != MAGIC)
		rc = -EIO;
	OPENSSL_cleanse(key, sizeof(key));
	return rc;
}

/*
 * With the file's lock: 0 when it is whole now; -ESTALE when it is not ours to
 * understand. One that was killed while filling it left it without magic.
 */
static int
file_check(int fd, const struct shape *shape)
{
	char found[MAGIC] = { 0 };
	struct stat st;

	if (fstat(fd, &st) == -1)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (pread(fd, found, sizeof(found), 0) == -1)
		return -errno;
	if (found[0] == '\0')
		return file_fill(fd, shape);
	return memcmp(found, shape->magic, MAGIC) == 0 &&
		st.st_size == (off_t)shape->size
	    ? 0
	    : -ESTALE;
}

static int
file_open(const char *path, const struct shape *shape, int *out)
{
	int fd = open(
	    path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0660);
	int rc = fd == -1 ? -errno : 0;

	if (rc == 0 && flock(fd, LOCK_EX) == -1)
		rc = -errno;
	if (rc == 0 && (rc = file_check(fd, shape)) == -ESTALE &&
	    unlink(path) == -1)
		rc = -errno;
	if (rc != 0) {
		if (fd != -1)
			close(fd);
		return rc;
	}
	(void)!fchmod(fd, 0660); /* whoever made it; the umask may be 077 */
	flock(fd, LOCK_UN);
	*out = fd;
	return 0;
}

int
shared_table_map(const char *dir, const char *name, const char magic[8],
    size_t size, struct shared_table **out)
{
	const struct shape shape = { magic, size };
	char path[PATH_MAX];
	int fd, rc;

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, name) >=
	    sizeof(path))
		return -ENAMETOOLONG;
	/* Twice: the first may have removed one of another version. */
	if ((rc = file_open(path, &shape, &fd)) == -ESTALE)
		rc = file_open(path, &shape, &fd);
	if (rc != 0)
		return rc;
	*out = map(fd, size);
	close(fd);
	return *out == NULL ? -ENOMEM : 0;
}

int
shared_table_share(struct shared_table **t, const char *dir, const char *name,
    const char magic[8], size_t size)
{
	struct shared_table *shared;
	int rc = shared_table_map(dir, name, magic, size, &shared);

	if (rc != 0)
		return rc;
	shared_table_unmap(*t, size);
	*t = shared;
	return 0;
}

/* --- ids --- */

uint64_t
shared_table_id(const struct shared_table *t, struct slice octets)
{
	unsigned char mac[EVP_MAX_MD_SIZE];
	uint64_t id = 0;

	if (HMAC(EVP_sha256(), t->key, SHARED_TABLE_KEY,
		(const unsigned char *)octets.p, octets.n, mac, NULL) != NULL)
		id = get_be64(mac);
	return id == 0 ? 1 : id;
}
