/* SPDX-License-Identifier: ISC */
/*
 * Rows of messages, kept ones, names, and summaries. Properties: what is decoded
 * encodes as it was, for commits are guarded on that; a row with more behind it
 * is the same row; and no octets from outside are a summary, or a name, that was
 * sealed.
 */
#include <stdlib.h>

#include "mailbox/mails/kept_impl.h"
#include "mailbox/mails/pack.h"

static void
need(bool fine)
{
	if (!fine)
		abort();
}

static void
message_row(struct slice in)
{
	char out[MESSAGE_ROW_MAX];
	struct row r, again;
	size_t used = 0, n;

	if (row_decode_head(in, &r, &used) != 0) {
		need(row_decode(in, &r) != 0);
		return;
	}
	need(used <= in.n && used <= sizeof(out));
	need((row_decode(in, &again) == 0) == (used == in.n));
	n = row_encode(out, &r);
	need(slice_eq(slice(out, n), slice_head(in, used)));
	need(row_decode(slice(out, n), &again) == 0);
	need(again.size == r.size && again.wrap.kind == r.wrap.kind);
}

/* The first octet is how many of the key follow. */
static void
name_row(struct slice in)
{
	struct name_sealer s = { .opens = true, .seals = true, .base = { 1 } };
	struct buf name = BUF_INIT, key_again = BUF_INIT, val_again = BUF_INIT;
	size_t n = in.n == 0 ? 0 : (unsigned char)in.p[0];
	struct slice key = slice_head(slice_from(in, 1), n);
	struct slice val = slice_from(slice_from(in, 1), n);
	struct name_fields f;
	enum name_kind kind;

	if (!slice_starts(key, "n/") && !slice_starts(key, "N") &&
	    !slice_starts(key, "g/") && !slice_starts(key, "G"))
		return;
	if (name_row_get(&s, key, val, &kind, &f, &name) == 0) {
		need(!f.sealed);
		need(name_row_put(&s, kind, buf_slice(&name), &f, &key_again,
			 &val_again) == 0);
		need(slice_eq(buf_slice(&key_again), key));
		need(slice_eq(buf_slice(&val_again), val));
	}
	buf_clear(&name);
	buf_clear(&key_again);
	buf_clear(&val_again);
}

static void
summary_row(struct packer *p, struct slice in)
{
	static const struct frames_seal seal = { { 1 }, "blob" };
	struct arena a = ARENA_INIT_MAX((size_t)8 << 20);
	struct mails_summary s;

	if (summary_decode(p, NULL, in, &a, &s) == 0)
		need(s.n_parts > 0 && !summary_is_sealed(in));
	need(summary_decode(p, &seal, in, &a, &s) != 0);
	arena_reset(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct packer *p;
	struct slice in = slice(data, size);
	struct header h;
	struct kept k;

	if (p == NULL)
		p = packer_new(3);
	need(p != NULL);
	message_row(in);
	if (kept_decode(in, &k) == 0)
		message_row(slice_from(in, KEPT_HEAD));
	(void)header_decode(in, &h);
	summary_row(p, in);
	name_row(in);
	return 0;
}
