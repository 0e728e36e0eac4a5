/* SPDX-License-Identifier: ISC */
/* `pneu mail export --ipfs`: an account's manifest to the node. */
#ifndef PNEU_MAILBOX_IPFS_GIVE_H
#define PNEU_MAILBOX_IPFS_GIVE_H

#include "mailbox/door/door.h"
#include "mailbox/ipfs/root.h"

struct ipfs_give {
	struct mails *m;
	struct ipfs_node *node;
	const char *account;
	/* Its private key as its recovery key wraps it, where it has that. */
	bool has_recovery;
	unsigned char recovery[SEAL_WRAP_LEN];
	struct door_report *report;
};
/*
 * All blobs that are not at the node yet are put there first. A message whose
 * octets are damaged is told, counted and left out. 0 with the manifest's CID;
 * -ENOKEY: there is no key to seal it with; or an error, also of the node.
 */
int ipfs_give(const struct ipfs_give *conf, struct cid *out);

#endif
