/* SPDX-License-Identifier: ISC */
/*
 * An IPFS node's RPC API (docs.ipfs.tech, Kubo's /api/v0): a raw block is put,
 * which pins it, got, or let go. No word of the node is believed: the CID of
 * what is put is made here and compared, what is got must have the digest.
 *
 * Errors: -EAGAIN: no node there, no answer in time, or not one of its own
 * (*why says it, in plain words); -ENOENT: it has no such block; -EBADMSG: it
 * speaks of another block; -ENOMEM; -ECANCELED.
 */
#ifndef PNEU_MAILBOX_IPFS_NODE_H
#define PNEU_MAILBOX_IPFS_NODE_H

#include "common/net/conn.h"
#include "mailbox/ipfs/cid.h"

/* Octets of a block at most: what other nodes exchange is up to 1 MiB. */
#define IPFS_BLOCK_MAX ((size_t)768 << 10)

struct ipfs_node {
	struct net_addr addr;
	int64_t timeout_ms; /* of a request */
	char why[160];      /* the last failure */
};

/* `addr` as net_addr_parse has it. 0 or -EINVAL. */
int ipfs_node_init(struct ipfs_node *n, const char *addr, const char *run_dir);

/* `cid` is that of the block. 0: it is there and pinned. */
int
ipfs_node_put(struct ipfs_node *n, struct slice block, const struct cid *cid);
/* Appended to `out`, verified. */
int ipfs_node_get(struct ipfs_node *n, const struct cid *cid, struct buf *out);
/* Unpin; fine where it was not pinned. */
int ipfs_node_let_go(struct ipfs_node *n, const struct cid *cid);

#endif
