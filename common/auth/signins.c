/* SPDX-License-Identifier: ISC */
#include "common/auth/signins.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"

#define KEY_LEN 32

struct entry {
	_Atomic uint64_t id;    /* 0: free */
	_Atomic uint64_t state; /* at_ms << 16 | n */
};
struct table {
	char magic[8]; /* last of what is written into a new file */
	unsigned char key[KEY_LEN];
	unsigned char unused[24];
	struct entry entries[SIGNINS_KINDS][SIGNINS_SETS][SIGNINS_WAYS];
};
static const char magic[8] = "pneusg1";

struct signins {
	struct table *table;
};

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2,
    "a lock beside the table would be of this process only");

/* --- the memory --- */

static struct table *
table_map(int fd)
{
	int flags = fd == -1 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
	void *p = mmap(
	    NULL, sizeof(struct table), PROT_READ | PROT_WRITE, flags, fd, 0);

	return p == MAP_FAILED ? NULL : p;
}

static void
table_unmap(struct table *t)
{
	if (t != NULL)
		munmap(t, sizeof(*t));
}

struct signins *
signins_new(void)
{
	struct signins *s = calloc(1, sizeof(*s));

	if (s != NULL && (s->table = table_map(-1)) == NULL)
		signins_free(&s);
	if (s != NULL)
		random_octets(s->table->key, KEY_LEN);
	return s;
}

void
signins_free(struct signins **s)
{
	if (*s == NULL)
		return;
	table_unmap((*s)->table);
	free(*s);
	*s = NULL;
}

/* --- the file --- */

static int
file_fill(int fd)
{
	unsigned char key[KEY_LEN];
	int rc = 0;

	random_octets(key, sizeof(key));
	/* Allocated, so that a full disk is an error here, not SIGBUS. */
	rc = -posix_fallocate(fd, 0, sizeof(struct table));
	if (rc == 0 &&
	    pwrite(fd, key, sizeof(key), offsetof(struct table, key)) !=
		(ssize_t)sizeof(key))
		rc = -EIO;
	if (rc == 0 && pwrite(fd, magic, sizeof(magic), 0) != sizeof(magic))
		rc = -EIO;
	OPENSSL_cleanse(key, sizeof(key));
	return rc;
}

/*
 * With the file's lock: 0 when it is whole now; -ESTALE when it is not ours to
 * understand. One that was killed while filling it left it without magic.
 */
static int
file_check(int fd)
{
	char found[sizeof(magic)] = { 0 };
	struct stat st;

	if (fstat(fd, &st) == -1)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (pread(fd, found, sizeof(found), 0) == -1)
		return -errno;
	if (found[0] == '\0')
		return file_fill(fd);
	return memcmp(found, magic, sizeof(magic)) == 0 &&
		st.st_size == (off_t)sizeof(struct table)
	    ? 0
	    : -ESTALE;
}

static int
file_open(const char *path, int *out)
{
	int fd = open(
	    path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0660);
	int rc = fd == -1 ? -errno : 0;

	if (rc == 0 && flock(fd, LOCK_EX) == -1)
		rc = -errno;
	if (rc == 0 && (rc = file_check(fd)) == -ESTALE && unlink(path) == -1)
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
signins_share(struct signins *s, const char *dir)
{
	char path[PATH_MAX];
	struct table *t;
	int fd, rc;

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, SIGNINS_FILE) >=
	    sizeof(path))
		return -ENAMETOOLONG;
	/* Twice: the first may have removed one of another version. */
	if ((rc = file_open(path, &fd)) == -ESTALE)
		rc = file_open(path, &fd);
	if (rc != 0)
		return rc;
	t = table_map(fd);
	close(fd);
	if (t == NULL)
		return -ENOMEM;
	table_unmap(s->table);
	s->table = t;
	return 0;
}

/* --- ids --- */

uint64_t
signins_id(const struct signins *s, struct slice a, struct slice b)
{
	unsigned char mac[EVP_MAX_MD_SIZE];
	struct buf in = BUF_INIT_MAX(2048);
	uint64_t id = 0;

	buf_put_slice(&in, slice_head(a, 512));
	buf_put_char(&in, '\0');
	buf_put_slice(&in, slice_head(b, 512));
	if (!in.failed &&
	    HMAC(EVP_sha256(), s->table->key, KEY_LEN,
		(const unsigned char *)in.p, in.n, mac, NULL) != NULL)
		id = get_be64(mac);
	buf_clear(&in);
	return id == 0 ? 1 : id;
}

/* The set of an id; ids of addresses are no hashes. */
static struct entry *
set_of(const struct signins *s, enum signins_kind kind, uint64_t id)
{
	unsigned char octets[8];
	uint64_t hash = id;

	if (kind == SIGNINS_ADDRESS) {
		put_be64(octets, id);
		hash = signins_id(s, slice(octets, 8), SLICE_EMPTY);
	}
	return s->table->entries[kind][hash % SIGNINS_SETS];
}

static struct entry *
find(const struct signins *s, enum signins_kind kind, uint64_t id)
{
	struct entry *set = set_of(s, kind, id);

	for (size_t i = 0; i < SIGNINS_WAYS; i++)
		if (atomic_load(&set[i].id) == id)
			return &set[i];
	return NULL;
}

/* --- counts --- */

static uint64_t
pack(struct signins_count c)
{
	return (uint64_t)c.at_ms << 16 | c.n;
}

static struct signins_count
unpack(uint64_t state, int64_t forget_ms, int64_t now_ms)
{
	struct signins_count c = { (int64_t)(state >> 16), state & 0xffff };
	int64_t gone;

	if (c.at_ms > now_ms)
		c.at_ms = now_ms;
	if (forget_ms <= 0)
		return c;
	gone = (now_ms - c.at_ms) / forget_ms;
	c.n -= gone >= c.n ? c.n : (uint32_t)gone;
	c.at_ms += gone * forget_ms;
	return c;
}

/* Whichever of two says less makes room: the lower count, then the older. */
static bool
says_less(struct entry *a, struct entry *b, int64_t forget_ms, int64_t now_ms)
{
	struct signins_count x, y;

	if (atomic_load(&a->id) == 0 || atomic_load(&b->id) == 0)
		return atomic_load(&b->id) != 0;
	x = unpack(atomic_load(&a->state), forget_ms, now_ms);
	y = unpack(atomic_load(&b->state), forget_ms, now_ms);
	return x.n != y.n ? x.n < y.n : x.at_ms < y.at_ms;
}

static struct entry *
find_or_make(struct signins *s, enum signins_kind kind, uint64_t id,
    int64_t forget_ms, int64_t now_ms)
{
	struct entry *e = find(s, kind, id), *set;

	if (e != NULL)
		return e;
	e = set = set_of(s, kind, id);
	for (size_t i = 1; i < SIGNINS_WAYS; i++)
		if (says_less(&set[i], e, forget_ms, now_ms))
			e = &set[i];
	/* Should two do this at once, one of them loses a count. */
	atomic_store(&e->state, pack((struct signins_count){ now_ms, 0 }));
	atomic_store(&e->id, id);
	return e;
}

struct signins_count
signins_get(const struct signins *s, enum signins_kind kind, uint64_t id,
    int64_t forget_ms, int64_t now_ms)
{
	struct entry *e = find(s, kind, id);

	if (e == NULL)
		return (struct signins_count){ 0, 0 };
	return unpack(atomic_load(&e->state), forget_ms, now_ms);
}

uint32_t
signins_up(struct signins *s, enum signins_kind kind, uint64_t id, uint32_t max,
    int64_t forget_ms, int64_t now_ms)
{
	struct entry *e = find_or_make(s, kind, id, forget_ms, now_ms);
	uint64_t old = atomic_load(&e->state);
	struct signins_count c;
	uint32_t before;

	do {
		c = unpack(old, forget_ms, now_ms);
		before = c.n;
		if (c.n == 0)
			c.at_ms = now_ms;
		if (c.n < max && c.n < SIGNINS_COUNT_MAX)
			c.n++;
	} while (!atomic_compare_exchange_weak(&e->state, &old, pack(c)));
	return before;
}

void
signins_down(struct signins *s, enum signins_kind kind, uint64_t id)
{
	struct entry *e = find(s, kind, id);
	uint64_t old;

	if (e == NULL)
		return;
	old = atomic_load(&e->state);
	while ((old & 0xffff) != 0 &&
	    !atomic_compare_exchange_weak(&e->state, &old, old - 1))
		;
}

void
signins_note(struct signins *s, enum signins_kind kind, uint64_t id,
    int64_t min_ms, int64_t now_ms)
{
	struct entry *e = find(s, kind, id);
	struct signins_count old;

	if (e != NULL) {
		old = unpack(atomic_load(&e->state), 0, INT64_MAX);
		if (old.at_ms <= now_ms && now_ms - old.at_ms < min_ms)
			return;
	} else {
		e = find_or_make(s, kind, id, 0, now_ms);
	}
	atomic_store(&e->state, pack((struct signins_count){ now_ms, 0 }));
}

bool
signins_remove(struct signins *s, enum signins_kind kind, uint64_t id)
{
	struct entry *set = set_of(s, kind, id);
	bool found = false;
	uint64_t had;

	/* All of them: two at once may have made it twice. */
	for (size_t i = 0; i < SIGNINS_WAYS; i++) {
		had = id;
		if (atomic_compare_exchange_strong(&set[i].id, &had, 0))
			found = true;
	}
	return found;
}

uint64_t
signins_at(const struct signins *s, enum signins_kind kind, size_t i)
{
	struct entry *set = s->table->entries[kind][i / SIGNINS_WAYS];

	return atomic_load(&set[i % SIGNINS_WAYS].id);
}
