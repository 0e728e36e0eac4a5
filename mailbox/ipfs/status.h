/* SPDX-License-Identifier: ISC */
/* How the store and the node stand, by what is known here. */
#ifndef PNEU_MAILBOX_IPFS_STATUS_H
#define PNEU_MAILBOX_IPFS_STATUS_H

#include "mailbox/ipfs/rows.h"

struct ipfs_status {
	uint64_t put;     /* blobs that are there */
	uint64_t waiting; /* that are not yet */
	uint64_t leaving; /* whose blocks are to be unpinned yet */
	uint64_t blocks;  /* of those that are there */
	uint64_t manifests;
};
/* By a walk over everything. 0, or an error of the store. */
int ipfs_status_get(struct store *s, struct ipfs_status *out);

#endif
