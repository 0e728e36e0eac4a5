/* SPDX-License-Identifier: ISC */
/*
 * The block whose CID is the manifest's. In the clear stands what who may read
 * it needs, and no name:
 *
 *	0x8e "PNI", version 1 (1), kind (1)
 *	SERVER    the manifest's key, wrapped by the server's (60)
 *	ACCOUNT   the account's public key (32); the manifest's key in a box for
 *	          it (80); 1 and its private key wrapped by its recovery key (60),
 *	          or 0 and 60 zeros
 *
 * Then, sealed with the manifest's key: the manifest itself (0, octets (8),
 * these), or where it is (1, octets (8), digests of the leaves (4 for their
 * number, 32 each)): leaf i holds the next BLOCK_OCTETS of it.
 */
#ifndef PNEU_MAILBOX_IPFS_ROOT_H
#define PNEU_MAILBOX_IPFS_ROOT_H

#include "common/auth/seal.h"
#include "mailbox/ipfs/block.h"

enum root_kind { ROOT_SERVER = 1, ROOT_ACCOUNT = 2 };

struct root {
	enum root_kind kind;
	unsigned char wrapped[SEAL_BOX_LEN]; /* SERVER: SEAL_WRAP_LEN of it */
	unsigned char public[SEAL_PUBLIC_LEN];
	bool has_recovery;
	unsigned char recovery[SEAL_WRAP_LEN];
};
#define ROOT_HEAD_MAX 256
/* Of the manifest in the root itself. */
#define ROOT_ROOM (IPFS_BLOCK_MAX - ROOT_HEAD_MAX - AEAD_TAG - 16)
#define ROOT_LEAVES_MAX (ROOT_ROOM / CID_DIGEST)

struct root_body {
	uint64_t octets; /* of the manifest */
	bool is_inline;
	struct slice octets_here, digests; /* one of both */
};

/* What the manifest's key is in a box as. */
#define ROOT_CONTEXT SLICE_LIT("pneu ipfs manifest")

/* Into `out`, emptied. 0, -ENOMEM, -E2BIG. */
int root_encode(const struct root *r, const unsigned char key[static AEAD_KEY],
    const struct root_body *body, struct buf *out);
/* The clear part. *sealed says where the rest begins. 0, -EBADMSG. */
int root_decode(struct slice block, struct root *out, size_t *sealed);
/* The rest, opened in place. 0, -EBADMSG. */
int root_open(struct buf *block, size_t sealed,
    const unsigned char key[static AEAD_KEY], struct root_body *out);

#endif
