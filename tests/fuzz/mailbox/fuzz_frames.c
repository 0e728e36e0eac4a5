/* SPDX-License-Identifier: ISC */
/*
 * A blob as it is stored. Properties: reads lie within it; what is read has the
 * length that was announced, and is the same a second time, backwards. And
 * octets that are written are read.
 */
#include <errno.h>
#include <stdlib.h>

#include "mailbox/mails/frames.h"

static void
need(bool fine)
{
	if (!fine)
		abort();
}

static int
from_slice(void *arg, uint64_t at, void *p, size_t n)
{
	const struct slice *s = arg;

	need(at <= s->n && n <= s->n - at);
	memcpy(p, s->p + at, n);
	return 0;
}

static int
to_buf(void *arg, struct slice octets)
{
	return buf_put_slice(arg, octets) ? 0 : -ENOMEM;
}

static void
read_blob(struct packer *p, struct slice blob, struct buf *out)
{
	struct frames_source s = { from_slice, &blob, blob.n };
	char *again = malloc(FRAME_OCTETS);
	struct frames f;
	size_t n;

	buf_reset(out);
	if (frames_open(&f, &s) == 0 && f.count < 16) {
		for (uint64_t i = 0; i < f.count; i++) {
			n = frames_octets(&f, i);
			need(n > 0 && n <= FRAME_OCTETS);
			need(buf_reserve(out, n));
			if (frames_read(&f, p, i, out->p + out->n) != 0)
				goto out;
			out->n += n;
		}
		need(out->n == f.size);
		for (uint64_t i = f.count; i-- > 0;) {
			need(frames_read(&f, p, i, again) == 0);
			need(memcmp(again, out->p + i * FRAME_OCTETS,
				 frames_octets(&f, i)) == 0);
		}
	}
out:
	free(again);
}

static void
write_blob(struct packer *p, struct slice in, struct buf *out)
{
	struct buf blob = BUF_INIT;
	struct frames_writer w;

	frames_writer_init(&w, p, to_buf, &blob);
	for (size_t at = 0; at < in.n; at++)
		need(frames_write(&w, slice(in.p + at, 1)) == 0);
	need(frames_end(&w) == 0);
	frames_writer_clear(&w);
	read_blob(p, buf_slice(&blob), out);
	need(slice_eq(buf_slice(out), in));
	buf_clear(&blob);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct packer *p;
	struct buf out = BUF_INIT;

	if (p == NULL)
		p = packer_new(3);
	need(p != NULL);
	read_blob(p, slice(data, size), &out);
	write_blob(p, slice(data, size), &out);
	buf_clear(&out);
	return 0;
}
