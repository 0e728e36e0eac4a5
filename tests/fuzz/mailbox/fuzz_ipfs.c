/* SPDX-License-Identifier: ISC */
/*
 * What comes from an IPFS node, or is typed: the first octet says which.
 * A text as a CID, an answer, a manifest, a row: the same whole and octet by
 * octet, and the same once it is written again.
 */
#include <stdlib.h>

#include "mailbox/ipfs/answer.h"
#include "mailbox/ipfs/manifest.h"
#include "mailbox/ipfs/root.h"

static void
need(bool fine)
{
	if (!fine)
		abort();
}

static void
try_cid(struct slice in)
{
	char text[CID_TEXT + 1];
	struct cid c;

	if (cid_parse(in, &c) != 0)
		return;
	cid_text(&c, text);
	need(slice_eq_str(in, text));
}

static int
answer_by(struct slice in, size_t step, struct answer *a)
{
	int rc = 0;

	answer_init(a, 4096);
	for (size_t at = 0; at < in.n && rc == 0; at += step)
		rc = answer_feed(a, slice_head(slice_from(in, at), step));
	return rc == 0 ? answer_end(a) : rc;
}

static void
try_answer(struct slice in)
{
	struct answer a, b;
	int rc = answer_by(in, in.n + 1, &a);

	need(answer_by(in, 1, &b) == rc && a.status == b.status);
	need(rc != 1 || slice_eq(buf_slice(&a.body), buf_slice(&b.body)));
	answer_clear(&a);
	answer_clear(&b);
}

static int
on_head(void *arg, const struct manifest_head *h)
{
	need(manifest_put_head(arg, h));
	return 0;
}

static int
on_mailbox(void *arg, const struct manifest_mailbox *b)
{
	need(manifest_put_mailbox(arg, b));
	return 0;
}

static int
on_message(void *arg, const struct manifest_message *m)
{
	need(manifest_put_message(arg, m));
	return 0;
}

static int
manifest_by(struct slice in, size_t step, struct buf *out)
{
	static const struct manifest_fns fns = { on_head, on_mailbox,
		on_message };
	struct manifest_reader r;
	int rc = 0;

	manifest_reader_init(&r, &fns, out);
	for (size_t at = 0; at < in.n && rc == 0; at += step)
		rc = manifest_feed(&r, slice_head(slice_from(in, at), step));
	if (rc == 0 && (rc = manifest_feed_end(&r)) == 0)
		need(manifest_put_end(out, &r.seen));
	manifest_reader_clear(&r);
	return rc;
}

static void
try_manifest(struct slice in)
{
	struct buf a = BUF_INIT, b = BUF_INIT;
	int rc = manifest_by(in, in.n + 1, &a);

	need(manifest_by(in, 1, &b) == rc);
	need(slice_eq(buf_slice(&a), buf_slice(&b)));
	need(rc != 0 || slice_eq(buf_slice(&a), in));
	buf_clear(&a);
	buf_clear(&b);
}

static void
try_row(struct slice in)
{
	struct buf out = BUF_INIT;
	struct ipfs_row r;
	struct root root;
	size_t sealed;

	if (ipfs_row_decode(in, &r) == 0) {
		need(ipfs_row_encode(&r, &out));
		need(slice_eq(buf_slice(&out), in));
	}
	if (root_decode(in, &root, &sealed) == 0)
		need(sealed + AEAD_TAG <= in.n);
	buf_clear(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const tries[])(
	    struct slice) = { try_cid, try_answer, try_manifest, try_row };
	struct slice in = slice((const char *)data, size);

	if (size > 0)
		tries[data[0] % 4](slice_from(in, 1));
	return 0;
}
