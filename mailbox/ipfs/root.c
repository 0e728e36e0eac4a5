/* SPDX-License-Identifier: ISC */
#include "mailbox/ipfs/root.h"

#include <errno.h>

#define MAGIC "\x8ePNI\x01"
#define MAGIC_N (sizeof(MAGIC) - 1)

/* Leaves are sealed with the same key, and their numbers. */
static const struct aead_nonce nonce = { { 0x40 } };

static void
put_clear(const struct root *r, struct buf *out)
{
	buf_put(out, MAGIC, MAGIC_N);
	buf_put_char(out, (char)r->kind);
	if (r->kind == ROOT_SERVER) {
		buf_put(out, r->wrapped, SEAL_WRAP_LEN);
		return;
	}
	buf_put(out, r->public, sizeof(r->public));
	buf_put(out, r->wrapped, SEAL_BOX_LEN);
	buf_put_char(out, r->has_recovery);
	buf_put(out, r->recovery, sizeof(r->recovery));
}

int
root_encode(const struct root *r, const unsigned char key[static AEAD_KEY],
    const struct root_body *body, struct buf *out)
{
	struct buf plain = BUF_INIT;
	size_t n;
	int rc;

	buf_reset(out);
	put_clear(r, out);
	buf_put_char(&plain, body->is_inline ? 0 : 1);
	buf_put_be64(&plain, body->octets);
	if (!body->is_inline)
		buf_put_be32(&plain, (uint32_t)(body->digests.n / CID_DIGEST));
	buf_put_slice(
	    &plain, body->is_inline ? body->octets_here : body->digests);
	n = padded_octets(plain.n);
	if (n > IPFS_BLOCK_MAX - ROOT_HEAD_MAX - AEAD_TAG)
		n = IPFS_BLOCK_MAX - ROOT_HEAD_MAX - AEAD_TAG;
	rc = plain.n > n ? -E2BIG : 0;
	while (plain.n < n && buf_put_char(&plain, '\0'))
		;
	if (rc == 0 && (plain.failed || !buf_reserve(out, n + AEAD_TAG)))
		rc = -ENOMEM;
	if (rc == 0)
		rc = aead_seal(key, &nonce, buf_slice(out), buf_slice(&plain),
		    out->p + out->n);
	if (rc == 0)
		out->n += n + AEAD_TAG;
	buf_wipe(&plain);
	return rc;
}

int
root_decode(struct slice block, struct root *out, size_t *sealed)
{
	const char *p = block.p + MAGIC_N + 1;

	*out = (struct root){ .kind = ROOT_SERVER };
	if (block.n < MAGIC_N + 1 || memcmp(block.p, MAGIC, MAGIC_N) != 0)
		return -EBADMSG;
	out->kind = (enum root_kind)block.p[MAGIC_N];
	*sealed = MAGIC_N + 1 +
	    (out->kind == ROOT_SERVER
		    ? SEAL_WRAP_LEN
		    : SEAL_PUBLIC_LEN + SEAL_BOX_LEN + 1 + SEAL_WRAP_LEN);
	if (block.n < *sealed + AEAD_TAG || block.n > IPFS_BLOCK_MAX ||
	    (out->kind != ROOT_SERVER && out->kind != ROOT_ACCOUNT))
		return -EBADMSG;
	if (out->kind == ROOT_SERVER) {
		memcpy(out->wrapped, p, SEAL_WRAP_LEN);
		return 0;
	}
	memcpy(out->public, p, SEAL_PUBLIC_LEN);
	p += SEAL_PUBLIC_LEN;
	memcpy(out->wrapped, p, SEAL_BOX_LEN);
	p += SEAL_BOX_LEN;
	out->has_recovery = *p == 1;
	if (*p != 0 && *p != 1)
		return -EBADMSG;
	memcpy(out->recovery, p + 1, SEAL_WRAP_LEN);
	return 0;
}

/* Of what was sealed. */
static int
body_decode(struct slice in, struct root_body *out)
{
	size_t n;

	if (in.n < 9 || (in.p[0] != 0 && in.p[0] != 1))
		return -EBADMSG;
	*out = (struct root_body){ .is_inline = in.p[0] == 0,
		.octets = get_be64(in.p + 1) };
	in = slice_from(in, 9);
	if (out->is_inline) {
		if (out->octets > in.n)
			return -EBADMSG;
		out->octets_here = slice_head(in, (size_t)out->octets);
		return 0;
	}
	if (in.n < 4 || (n = get_be32(in.p)) > (in.n - 4) / CID_DIGEST ||
	    n != block_count(out->octets))
		return -EBADMSG;
	out->digests = slice(in.p + 4, n * CID_DIGEST);
	return 0;
}

int
root_open(struct buf *block, size_t sealed,
    const unsigned char key[static AEAD_KEY], struct root_body *out)
{
	struct slice in = slice_from(buf_slice(block), sealed);
	int rc;

	if (in.n < AEAD_TAG)
		return -EBADMSG;
	rc = aead_open(
	    key, &nonce, slice(block->p, sealed), in, block->p + sealed);
	return rc == 0
	    ? body_decode(slice(block->p + sealed, in.n - AEAD_TAG), out)
	    : rc;
}
