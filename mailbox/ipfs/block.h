/* SPDX-License-Identifier: ISC */
/*
 * What goes to the node: octets in blocks, each sealed by AES-256-GCM with a key
 * of its own for each blob (or manifest), the number of the block as the nonce.
 * So a block looks like chance, and one key makes each block once. The last one
 * is padded, that its length tells little of the message's (padded_octets).
 */
#ifndef PNEU_MAILBOX_IPFS_BLOCK_H
#define PNEU_MAILBOX_IPFS_BLOCK_H

#include "common/base/buf.h"
#include "mailbox/ipfs/node.h"
#include "mailbox/mails/aead.h"

#define BLOCK_OCTETS (IPFS_BLOCK_MAX - AEAD_TAG) /* of what is sealed */

enum block_kind {
	BLOCK_BLOB = 'b',
	BLOCK_LEAF = 'l', /* of a manifest */
	BLOCK_ROOT = 'r',
};

/* How many blocks so many octets take; at least one. */
uint64_t block_count(uint64_t octets);
/* What `n` octets are padded to: at most an eighth more, in steps (Padme,
 * Nikitin and others 2019), and not over BLOCK_OCTETS. */
size_t padded_octets(size_t n);

/* `plain`, at most BLOCK_OCTETS, padded and sealed, in place of what is in
 * `out`. 0, -ENOMEM. */
int block_seal(const unsigned char key[static AEAD_KEY], enum block_kind kind,
    uint64_t number, struct slice plain, struct buf *out);
/* In place: *plain is what was sealed with its padding, in `block`. 0; -EBADMSG:
 * not this block. */
int block_open(const unsigned char key[static AEAD_KEY], enum block_kind kind,
    uint64_t number, struct buf *block, struct slice *plain);

#endif
