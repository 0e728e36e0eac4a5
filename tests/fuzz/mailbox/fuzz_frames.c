/* SPDX-License-Identifier: ISC */
/*
 * A blob as it is stored. Properties: reads lie within it; what is read has the
 * length that was announced, and is the same a second time, backwards. And
 * octets that are written are read, sealed or not; what comes from outside
 * opens with no key.
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

static const struct frames_seal seal = { { 1 }, "blob" };

static int
read_blob(struct packer *p, const struct frames_seal *with, struct slice blob,
    struct buf *out)
{
	struct frames_source s = { from_slice, &blob, blob.n };
	char *again = malloc(FRAME_OCTETS);
	struct frames f;
	size_t n;
	int rc = frames_open(&f, &s, with);

	buf_reset(out);
	if (rc == 0 && f.count < 16) {
		for (uint64_t i = 0; i < f.count; i++) {
			n = frames_octets(&f, i);
			need(n > 0 && n <= FRAME_OCTETS);
			need(buf_reserve(out, n));
			rc = frames_read(&f, p, i, out->p + out->n);
			if (rc != 0)
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
	return rc;
}

static void
write_blob(struct packer *p, const struct frames_seal *with, struct slice in,
    struct buf *out)
{
	struct buf blob = BUF_INIT;
	struct frames_writer w;

	frames_writer_init(&w, p, to_buf, &blob);
	w.seal = with;
	for (size_t at = 0; at < in.n; at++)
		need(frames_write(&w, slice(in.p + at, 1)) == 0);
	need(frames_end(&w) == 0);
	frames_writer_clear(&w);
	need(read_blob(p, with, buf_slice(&blob), out) == 0);
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
	(void)read_blob(p, NULL, slice(data, size), &out);
	need(read_blob(p, &seal, slice(data, size), &out) != 0);
	write_blob(p, NULL, slice(data, size), &out);
	write_blob(p, &seal, slice(data, size), &out);
	buf_clear(&out);
	return 0;
}
