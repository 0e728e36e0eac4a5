/* SPDX-License-Identifier: ISC */
/*
 * Invariant: what has not been consumed is first buf[at..at+n), then, of the
 * file `ahead_fd`, [ahead_at..ahead_n), then what the source has yet to give.
 */
#include "mailbox/door/input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define AHEAD_SMALL ((uint64_t)256 << 10)

struct input {
	input_read_fn *read;
	void *arg;
	int fd;
	const char *dir;
	char *buf; /* of 2 * INPUT_MAX */
	size_t at, n;
	bool ended; /* the source has no more */
	int rc;     /* what went wrong, for good */
	bool seekable;
	uint64_t base, consumed; /* where a seekable one was; since then */
	int ahead_fd;
	uint64_t ahead_at, ahead_n;
};

int
door_tempfile(const char *dir)
{
	char path[4096];
	int fd;

	if (snprintf(path, sizeof(path), "%s/door.XXXXXX", dir) >=
	    (int)sizeof(path))
		return -ENAMETOOLONG;
	if ((fd = mkostemp(path, O_CLOEXEC)) == -1)
		return -errno;
	unlink(path);
	return fd;
}

static ssize_t
read_fd(void *arg, void *p, size_t n)
{
	const struct input *in = arg;
	ssize_t r;

	while ((r = read(in->fd, p, n)) == -1 && errno == EINTR)
		;
	return r == -1 ? -errno : r;
}

int
input_new_fn(struct input **out, input_read_fn *fn, void *arg, const char *dir)
{
	struct input *in = calloc(1, sizeof(*in));

	if (in == NULL || (in->buf = malloc(2 * INPUT_MAX)) == NULL) {
		free(in);
		return -ENOMEM;
	}
	in->read = fn;
	in->arg = arg;
	in->fd = in->ahead_fd = -1;
	in->dir = dir;
	*out = in;
	return 0;
}

int
input_new(struct input **out, int fd, const char *dir)
{
	int rc = input_new_fn(out, read_fd, NULL, dir);
	struct stat st;
	off_t at;

	if (rc != 0)
		return rc;
	(*out)->arg = *out;
	(*out)->fd = fd;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    (at = lseek(fd, 0, SEEK_CUR)) >= 0) {
		(*out)->seekable = true;
		(*out)->base = (uint64_t)at;
	}
	return 0;
}

void
input_free(struct input **out)
{
	struct input *in = *out;

	*out = NULL;
	if (in == NULL)
		return;
	if (in->ahead_fd != -1)
		close(in->ahead_fd);
	free(in->buf);
	free(in);
}

uint64_t
input_consumed(const struct input *in)
{
	return in->consumed;
}

static ssize_t
pread_all(int fd, void *p, size_t n, uint64_t at)
{
	size_t got = 0;
	ssize_t r = 1;

	while (got < n && r != 0) {
		r = pread(fd, (char *)p + got, n - got, (off_t)(at + got));
		if (r == -1 && errno != EINTR)
			return -errno;
		if (r > 0)
			got += (size_t)r;
	}
	return (ssize_t)got;
}

static int
pwrite_all(int fd, const void *p, size_t n, uint64_t at)
{
	size_t done = 0;
	ssize_t r;

	while (done < n) {
		r = pwrite(
		    fd, (const char *)p + done, n - done, (off_t)(at + done));
		if (r == -1 && errno != EINTR)
			return -errno;
		if (r > 0)
			done += (size_t)r;
	}
	return 0;
}

/* The next octets, from the file that was read ahead or from the source. */
static ssize_t
more(struct input *in, void *p, size_t n)
{
	uint64_t left = in->ahead_n - in->ahead_at;
	ssize_t r;

	if (left == 0) {
		in->ahead_at = in->ahead_n = 0;
		if (in->ended)
			return 0;
		r = in->read(in->arg, p, n);
		in->ended = r == 0;
		return r;
	}
	r = pread_all(
	    in->ahead_fd, p, n < left ? n : (size_t)left, in->ahead_at);
	if (r == 0)
		return -EIO; /* the file is ours: it has lost octets */
	if (r > 0)
		in->ahead_at += (uint64_t)r;
	return r;
}

int
input_peek(struct input *in, size_t n, struct slice *out)
{
	ssize_t r = 1;

	if (in->at > INPUT_MAX) {
		memmove(in->buf, in->buf + in->at, in->n);
		in->at = 0;
	}
	while (in->rc == 0 && in->n < n && r > 0) {
		r = more(in, in->buf + in->at + in->n,
		    2 * INPUT_MAX - in->at - in->n);
		if (r < 0)
			in->rc = (int)r;
		else
			in->n += (size_t)r;
	}
	if (in->rc != 0)
		return in->rc;
	*out = slice(in->buf + in->at, in->n);
	return 0;
}

void
input_consume(struct input *in, size_t n)
{
	if (n > in->n)
		abort(); /* our bug: it was never shown */
	in->at += n;
	in->n -= n;
	in->consumed += n;
	if (in->n == 0)
		in->at = 0;
}

int
input_line(struct input *in, struct slice *out)
{
	size_t want = 1;
	struct slice s;
	ssize_t lf;
	int rc;

	for (;;) {
		if ((rc = input_peek(in, want, &s)) != 0)
			return rc;
		s = slice_head(s, INPUT_MAX);
		lf = slice_find(s, '\n');
		if (lf >= 0 || s.n < want || s.n == INPUT_MAX)
			break;
		want = s.n + 1;
	}
	*out = lf < 0 ? s : slice_head(s, (size_t)lf + 1);
	return 0;
}

/* --- far ahead, in a pipe --- */

/* What is left of an earlier look goes to the front. */
static int
ahead_tidy(struct input *in)
{
	uint64_t left = in->ahead_n - in->ahead_at;
	char *p;
	ssize_t r;
	int rc;

	if (in->ahead_at == 0 || left > AHEAD_SMALL)
		return 0;
	if ((p = malloc((size_t)left + 1)) == NULL)
		return -ENOMEM;
	r = pread_all(in->ahead_fd, p, (size_t)left, in->ahead_at);
	rc = r < 0 ? (int)r
	    : (uint64_t)r != left
	    ? -EIO
	    : pwrite_all(in->ahead_fd, p, (size_t)left, 0);
	free(p);
	if (rc == 0 && ftruncate(in->ahead_fd, (off_t)left) == -1)
		rc = -errno;
	in->ahead_at = 0;
	in->ahead_n = left;
	return rc;
}

/* Read the source on until `upto` octets wait in the buffer and the file. */
static int
ahead_fill(struct input *in, uint64_t upto)
{
	char *chunk;
	ssize_t r = 1;
	int rc = 0;

	if (in->ahead_fd == -1 && (in->ahead_fd = door_tempfile(in->dir)) < 0) {
		rc = in->ahead_fd;
		in->ahead_fd = -1;
		return rc;
	}
	if ((rc = ahead_tidy(in)) != 0)
		return rc;
	if ((chunk = malloc(INPUT_MAX)) == NULL)
		return -ENOMEM;
	while (rc == 0 && r > 0 && !in->ended &&
	    in->n + in->ahead_n - in->ahead_at < upto) {
		r = in->read(in->arg, chunk, INPUT_MAX);
		in->ended = r == 0;
		rc = r < 0
		    ? (int)r
		    : pwrite_all(in->ahead_fd, chunk, (size_t)r, in->ahead_n);
		if (rc == 0)
			in->ahead_n += (uint64_t)r;
	}
	free(chunk);
	return rc;
}

static int
ahead_copy(struct input *in, uint64_t at, char *p, size_t n, size_t *got)
{
	uint64_t left = in->ahead_n - in->ahead_at;
	size_t part;
	ssize_t r;

	*got = 0;
	if (at < in->n) {
		part = in->n - (size_t)at < n ? in->n - (size_t)at : n;
		memcpy(p, in->buf + in->at + at, part);
		*got = part;
		at += part;
	}
	at -= in->n;
	if (*got == n || at >= left)
		return 0;
	part = left - at < n - *got ? (size_t)(left - at) : n - *got;
	r = pread_all(in->ahead_fd, p + *got, part, in->ahead_at + at);
	if (r < 0 || (size_t)r != part)
		return r < 0 ? (int)r : -EIO;
	*got += part;
	return 0;
}

int
input_ahead(struct input *in, uint64_t at, void *p, size_t n, size_t *got)
{
	ssize_t r;

	*got = 0;
	if (in->rc != 0 || at > UINT64_MAX - n)
		return in->rc != 0 ? in->rc : -EOVERFLOW;
	if (in->seekable) {
		if (at > (uint64_t)INT64_MAX - in->base - in->consumed - n)
			return 0;
		r = pread_all(in->fd, p, n, in->base + in->consumed + at);
		if (r < 0)
			return in->rc = (int)r;
		*got = (size_t)r;
		return 0;
	}
	if (in->n < at + n && (in->rc = ahead_fill(in, at + n)) != 0)
		return in->rc;
	return in->rc = ahead_copy(in, at, p, n, got);
}
