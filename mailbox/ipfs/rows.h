/* SPDX-License-Identifier: ISC */
/*
 * What is kept of each blob that is, or is to be, at the node: partition
 * "i<first octet of its id, in hex>", row <blob id>:
 *
 *	version 1 (1), state (1), then, unless LEAVING: key (32), octets of the
 *	blob (8); then of each block the digest (32)
 *
 *	PENDING   the blocks are known, and may be at the node
 *	PUT       they are there, pinned
 *	LEAVING   the blob has gone, and the key with it; to be unpinned
 *
 * PENDING is durable before the first block is put, so whatever is pinned is
 * known; with the key and the blob the same blocks are made again.
 *
 * And of manifests, partition "im", row <account> NUL <milliseconds when it was
 * made (8)> <number (4)>: the digests of some of its blocks; the number
 * UINT32_MAX has the root's, and is put last: without it the manifest is not
 * whole. A row 0x01 <account> says that it is being restored.
 */
#ifndef PNEU_MAILBOX_IPFS_ROWS_H
#define PNEU_MAILBOX_IPFS_ROWS_H

#include "common/store/store.h"
#include "mailbox/ipfs/block.h"

enum ipfs_state { IPFS_PENDING = 1, IPFS_PUT = 2, IPFS_LEAVING = 3 };

struct ipfs_row {
	enum ipfs_state state;
	unsigned char key[AEAD_KEY];
	uint64_t size;
	struct slice digests; /* n * CID_DIGEST octets */
	size_t n;
};
/* So many blocks find room in a row: 1.5 GiB. */
#define IPFS_BLOCKS_MAX 2000

/* False: no memory. */
bool ipfs_row_encode(const struct ipfs_row *r, struct buf *out);
/* Digests are of `in`. 0, -EIO. */
int ipfs_row_decode(struct slice in, struct ipfs_row *out);
static inline struct cid
ipfs_row_cid(const struct ipfs_row *r, size_t i)
{
	struct cid c;

	memcpy(c.digest, r->digests.p + i * CID_DIGEST, CID_DIGEST);
	return c;
}

#define IPFS_PART 3
struct slice
ipfs_part(const struct store_blob_id *id, char room[static IPFS_PART + 1]);
static inline struct slice
ipfs_key(const struct store_blob_id *id)
{
	return slice(id->octets, sizeof(id->octets));
}
/* The row's octets into `raw`, which is emptied; *out is of them. 0, -ENOENT,
 * -EIO. */
int ipfs_row_get(struct store *s, const struct store_blob_id *id,
    struct buf *raw, struct ipfs_row *out);
/* Change it from `old` (empty: there is none) to `new` (empty: none). 0,
 * STORE_ECONFLICT: it is another by now. */
int ipfs_row_change(struct store *s, const struct store_blob_id *id,
    struct slice old, struct slice new);

#define IPFS_MANIFESTS SLICE_LIT("im")

#endif
