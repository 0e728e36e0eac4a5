/* SPDX-License-Identifier: ISC */
#include "mailbox/door/spill.h"

#include <errno.h>
#include <unistd.h>

#include "mailbox/door/input.h"

#define PENDING ((size_t)64 << 10)

int
spill_open(struct spill *s, const char *dir)
{
	*s = (struct spill){ .fd = door_tempfile(dir) };
	return s->fd < 0 ? s->fd : 0;
}

void
spill_close(struct spill *s)
{
	if (s->fd > 0)
		close(s->fd);
	s->fd = -1;
	buf_clear(&s->pending);
}

void
spill_reset(struct spill *s)
{
	s->written = 0;
	buf_reset(&s->pending);
}

uint64_t
spill_end(const struct spill *s)
{
	return s->written + s->pending.n;
}

static int
flush(struct spill *s)
{
	struct slice rest = buf_slice(&s->pending);

	while (rest.n > 0) {
		ssize_t n = pwrite(s->fd, rest.p, rest.n, (off_t)s->written);

		if (n == -1 && errno != EINTR)
			return -errno;
		if (n <= 0)
			continue;
		s->written += (uint64_t)n;
		rest = slice_from(rest, (size_t)n);
	}
	buf_reset(&s->pending);
	return 0;
}

int
spill_put(struct spill *s, struct slice octets)
{
	if (!buf_put_slice(&s->pending, octets))
		return -ENOMEM;
	return s->pending.n >= PENDING ? flush(s) : 0;
}

ssize_t
spill_get(struct spill *s, uint64_t at, void *p, size_t n)
{
	int rc = s->pending.n > 0 ? flush(s) : 0;
	uint64_t left = at < s->written ? s->written - at : 0;
	ssize_t got;

	if (rc != 0)
		return rc;
	/* Behind the end there may be octets from before a reset. */
	n = n < left ? n : (size_t)left;
	while ((got = pread(s->fd, p, n, (off_t)at)) == -1 && errno == EINTR)
		;
	return got == -1 ? -errno : got;
}
