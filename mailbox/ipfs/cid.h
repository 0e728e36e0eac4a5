/* SPDX-License-Identifier: ISC */
/*
 * Content identifiers of the one kind that we make: CIDv1, codec raw, multihash
 * sha2-256, in base32 (github.com/multiformats: cid, multicodec, multihash,
 * multibase). Such a CID is the digest of a block's octets, so whoever gets a
 * block can tell whether it is the one.
 */
#ifndef PNEU_MAILBOX_IPFS_CID_H
#define PNEU_MAILBOX_IPFS_CID_H

#include "common/base/slice.h"

#define CID_DIGEST 32
#define CID_TEXT 59 /* "bafkrei..." */

struct cid {
	unsigned char digest[CID_DIGEST];
};

/* Of a block. 0, or -EIO where there is no SHA-256. */
int cid_of(struct slice block, struct cid *out);
/* With a NUL. */
void cid_text(const struct cid *c, char out[static CID_TEXT + 1]);
/*
 * Exactly such a text: 0; -EINVAL: none, or of another kind (another version,
 * codec, digest or base), or not the text that we would write.
 */
int cid_parse(struct slice text, struct cid *out);

#endif
