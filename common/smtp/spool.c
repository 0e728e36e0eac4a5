/* SPDX-License-Identifier: ISC */
/*
 * A message in transit. Invariant: `head` holds the first octets; once there
 * is a file, it holds all octets but those that still wait in `tail`, and head
 * is cut to HEAD_KEPT of them. Where the process is short of memory, there is a
 * file sooner, head has fewer octets, and nothing waits in tail.
 */
#include "common/smtp/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/memory.h"

#define MEMORY_MAX ((size_t)256 << 10)
#define HEAD_KEPT ((size_t)64 << 10)
#define CHUNK ((size_t)64 << 10)
#define SHORT_MAX ((size_t)8 << 10)

struct spool {
	const char *dir;
	struct buf head;
	struct buf tail; /* with a file: written to it when full */
	struct buf view; /* what spool_view read from the file */
	struct buf whole; /* what spool_head read, of what head has not */
	uint64_t size;
	uint64_t filed; /* octets in the file */
	int fd;         /* -1: all in head */
	bool is_8bit;
};

int
spool_new(struct spool **out, const char *dir)
{
	struct spool *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return -ENOMEM;
	s->dir = dir;
	s->fd = -1;
	*out = s;
	return 0;
}

void
spool_free(struct spool **s)
{
	if (*s == NULL)
		return;
	if ((*s)->fd >= 0)
		close((*s)->fd);
	buf_clear(&(*s)->head);
	buf_clear(&(*s)->tail);
	buf_clear(&(*s)->view);
	buf_clear(&(*s)->whole);
	free(*s);
	*s = NULL;
}

static bool
has_high_octet(struct slice s)
{
	uint64_t all = 0, word;
	size_t i = 0;

	for (; s.n - i >= sizeof(word); i += sizeof(word)) {
		memcpy(&word, s.p + i, sizeof(word));
		all |= word;
	}
	for (; i < s.n; i++)
		all |= (unsigned char)s.p[i];
	return (all & 0x8080808080808080U) != 0;
}

/* --- the file --- */

/* Unlinked from the start, so that nothing is left after a crash. */
static int
file_open(const char *dir)
{
	char path[4096];
	int fd, n;

	fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
		return fd >= 0 ? fd : -errno;
	n = snprintf(path, sizeof(path), "%s/spool.XXXXXX", dir);
	if (n < 0 || (size_t)n >= sizeof(path))
		return -ENAMETOOLONG;
	if ((fd = mkostemp(path, O_CLOEXEC)) < 0)
		return -errno;
	unlink(path);
	return fd;
}

static bool
is_full(int error)
{
	return error == ENOSPC || error == EDQUOT || error == EFBIG;
}

static int
file_write(struct spool *s, struct slice o)
{
	while (o.n > 0) {
		ssize_t n = pwrite(s->fd, o.p, o.n, (off_t)s->filed);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return is_full(errno) ? -ENOSPC : -EIO;
		s->filed += (uint64_t)n;
		o = slice_from(o, (size_t)n);
	}
	return 0;
}

static int
file_read(struct spool *s, uint64_t at, char *p, size_t n)
{
	while (n > 0) {
		ssize_t r = pread(s->fd, p, n, (off_t)at);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return -EIO;
		p += r;
		n -= (size_t)r;
		at += (uint64_t)r;
	}
	return 0;
}

/* Memory is used up: go on in a file. */
static int
to_file(struct spool *s)
{
	struct buf kept = BUF_INIT;
	int rc;

	if ((s->fd = file_open(s->dir)) < 0) {
		rc = s->fd == -ENOSPC ? -ENOSPC : -EIO;
		s->fd = -1;
		return rc;
	}
	if ((rc = file_write(s, buf_slice(&s->head))) != 0)
		return rc;
	if (!buf_put(&kept, s->head.p,
		s->head.n < HEAD_KEPT ? s->head.n : HEAD_KEPT))
		return -ENOMEM;
	buf_clear(&s->head);
	s->head = kept;
	return 0;
}

static int
write_to_file(struct spool *s, struct slice o)
{
	int rc;

	if (s->tail.n + o.n <= CHUNK && !memory_is_short())
		return buf_put_slice(&s->tail, o) ? 0 : -ENOMEM;
	if ((rc = file_write(s, buf_slice(&s->tail))) != 0)
		return rc;
	if (memory_is_short())
		buf_clear(&s->tail);
	buf_reset(&s->tail);
	if (o.n >= CHUNK || memory_is_short())
		return file_write(s, o);
	return buf_put_slice(&s->tail, o) ? 0 : -ENOMEM;
}

/* --- the octets --- */

/* How many octets are held before there is a file, and when there is one. */
static size_t
memory_max(void)
{
	return memory_is_short() ? SHORT_MAX : MEMORY_MAX;
}

static size_t
head_kept(void)
{
	return memory_is_short() ? SHORT_MAX : HEAD_KEPT;
}

int
spool_write(struct spool *s, struct slice octets)
{
	struct slice part;
	int rc;

	if (octets.n == 0)
		return 0;
	if (!s->is_8bit)
		s->is_8bit = has_high_octet(octets);
	s->size += octets.n;
	if (s->fd < 0) {
		if (s->head.n + octets.n <= memory_max())
			return buf_put_slice(&s->head, octets) ? 0 : -ENOMEM;
		if (s->head.n < head_kept()) {
			size_t n = head_kept() - s->head.n;

			/* A first write this large: fill the head from it. */
			part = slice_head(octets, n);
			if (!buf_put_slice(&s->head, part))
				return -ENOMEM;
			octets = slice_from(octets, part.n);
		}
		if ((rc = to_file(s)) != 0)
			return rc;
	}
	return write_to_file(s, octets);
}

uint64_t
spool_size(const struct spool *s)
{
	return s->size;
}

bool
spool_is_8bit(const struct spool *s)
{
	return s->is_8bit;
}

int
spool_view(struct spool *s, uint64_t at, struct slice *out)
{
	size_t n;
	int rc;

	*out = SLICE_EMPTY;
	if (at >= s->size)
		return 0;
	if (at < s->head.n) {
		*out = slice_from(buf_slice(&s->head), (size_t)at);
		return 0;
	}
	if (at >= s->filed) {
		*out = slice_from(buf_slice(&s->tail), (size_t)(at - s->filed));
		return 0;
	}
	n = s->filed - at < CHUNK ? (size_t)(s->filed - at) : CHUNK;
	buf_reset(&s->view);
	if (!buf_reserve(&s->view, n))
		return -ENOMEM;
	if ((rc = file_read(s, at, s->view.p, n)) == 0)
		*out = slice(s->view.p, n);
	return rc;
}

int
spool_read(struct spool *s, uint64_t at, void *p, size_t n, size_t *got)
{
	char *to = p;
	int rc;

	*got = 0;
	while (n > 0 && at < s->size) {
		struct slice v;

		/* A large read of the file needs no second copy. */
		if (at >= s->head.n && at < s->filed) {
			v.n = s->filed - at < n ? (size_t)(s->filed - at) : n;
			if ((rc = file_read(s, at, to, v.n)) != 0)
				return rc;
		} else {
			if ((rc = spool_view(s, at, &v)) != 0)
				return rc;
			v = slice_head(v, n);
			memcpy(to, v.p, v.n);
		}
		to += v.n;
		at += v.n;
		n -= v.n;
		*got += v.n;
	}
	return 0;
}

int
spool_head(struct spool *s, size_t n, struct slice *out)
{
	size_t got;
	int rc;

	if (n > HEAD_KEPT)
		n = HEAD_KEPT;
	if (n > s->size)
		n = (size_t)s->size;
	*out = slice_head(buf_slice(&s->head), n);
	if (out->n == n)
		return 0;
	buf_clear(&s->whole);
	if (!buf_reserve(&s->whole, n))
		return -ENOMEM;
	if ((rc = spool_read(s, 0, s->whole.p, n, &got)) == 0)
		*out = slice(s->whole.p, got);
	return rc;
}
