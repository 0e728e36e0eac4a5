/* SPDX-License-Identifier: ISC */
/* One blob to the node, and away from it. May be broken off anywhere, and done
 * by several processes at once. */
#ifndef PNEU_MAILBOX_IPFS_PUT_H
#define PNEU_MAILBOX_IPFS_PUT_H

#include "mailbox/ipfs/rows.h"

/*
 * Put what is not there yet. `raw` is emptied and gets the row, *row is of it.
 * *octets counts those that went to the node. 0; -ENOENT: no such blob; -E2BIG:
 * too large; -EIO: damaged here; or an error of the node (node.h).
 */
int ipfs_blob_put(struct store *s, struct ipfs_node *n,
    const struct store_blob_id *id, struct buf *raw, struct ipfs_row *row,
    uint64_t *octets);
/* The blob has gone: forget its key, unpin its blocks, forget the row. 0, also
 * where there is no row. */
int ipfs_blob_leave(
    struct store *s, struct ipfs_node *n, const struct store_blob_id *id);

#endif
