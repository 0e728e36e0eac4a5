/* SPDX-License-Identifier: ISC */
#include "mailbox/ipfs/rows.h"

#include <stdio.h>

#define VERSION 1
#define WITH_KEY (2 + AEAD_KEY + 8)

bool
ipfs_row_encode(const struct ipfs_row *r, struct buf *out)
{
	buf_put_char(out, VERSION);
	buf_put_char(out, (char)r->state);
	if (r->state != IPFS_LEAVING) {
		buf_put(out, r->key, sizeof(r->key));
		buf_put_be64(out, r->size);
	}
	return buf_put_slice(out, r->digests);
}

int
ipfs_row_decode(struct slice in, struct ipfs_row *out)
{
	size_t head = in.n > 1 && in.p[1] == IPFS_LEAVING ? 2 : WITH_KEY;

	if (in.n < head || in.p[0] != VERSION || in.p[1] < IPFS_PENDING ||
	    in.p[1] > IPFS_LEAVING)
		return -EIO;
	*out = (struct ipfs_row){ .state = (enum ipfs_state)in.p[1] };
	if (out->state != IPFS_LEAVING) {
		memcpy(out->key, in.p + 2, AEAD_KEY);
		out->size = get_be64(in.p + 2 + AEAD_KEY);
	}
	out->digests = slice_from(in, head);
	out->n = out->digests.n / CID_DIGEST;
	if (out->digests.n % CID_DIGEST != 0 || out->n > IPFS_BLOCKS_MAX ||
	    (out->state != IPFS_LEAVING && out->n != block_count(out->size)))
		return -EIO;
	return 0;
}

struct slice
ipfs_part(const struct store_blob_id *id, char room[static IPFS_PART + 1])
{
	snprintf(room, IPFS_PART + 1, "i%02x", id->octets[0]);
	return slice(room, IPFS_PART);
}

int
ipfs_row_get(struct store *s, const struct store_blob_id *id, struct buf *raw,
    struct ipfs_row *out)
{
	char part[IPFS_PART + 1];
	int rc;

	buf_reset(raw);
	rc = store_get(s, ipfs_part(id, part), ipfs_key(id), raw);
	return rc == 0 ? ipfs_row_decode(buf_slice(raw), out) : rc;
}

int
ipfs_row_change(struct store *s, const struct store_blob_id *id,
    struct slice old, struct slice new)
{
	char part[IPFS_PART + 1];
	struct store_batch *b = store_batch_new(s, ipfs_part(id, part));
	int rc;

	if (b == NULL)
		return -ENOMEM;
	if (old.n > 0)
		store_guard(b, ipfs_key(id), old);
	else
		store_guard_absent(b, ipfs_key(id));
	if (new.n > 0)
		store_put(b, ipfs_key(id), new);
	else
		store_del(b, ipfs_key(id));
	rc = store_commit_one(s, b);
	store_batch_free(&b);
	return rc;
}
