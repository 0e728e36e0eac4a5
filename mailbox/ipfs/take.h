/* SPDX-License-Identifier: ISC */
/* `pneu mail import --ipfs`: an account's mail from a manifest. */
#ifndef PNEU_MAILBOX_IPFS_TAKE_H
#define PNEU_MAILBOX_IPFS_TAKE_H

#include "mailbox/door/door.h"
#include "mailbox/ipfs/root.h"

/* The root block, whose clear part says who can open it. */
struct ipfs_root {
	struct buf block;
	struct root root;
	size_t sealed;
};
/* 0; -EBADMSG: this is no manifest; or an error of the node. */
int ipfs_root_get(
    struct ipfs_node *n, const struct cid *cid, struct ipfs_root *out);

struct ipfs_take {
	struct mails *m;
	struct ipfs_node *node;
	const unsigned char *server_key; /* Mails' own, of there; or NULL */
	struct seal_key *key;            /* the account's, of there; or NULL */
	const char *spool_dir;
	/* Whose mail it was: to set the following two, or end it all. */
	int (*who)(void *arg, const char *account);
	void *arg;
	const char *account;
	const struct mails_quota *quota; /* NULL: none */
	struct door_report *report;
	/* Of the messages that came in now: these have other UIDs than there. */
	uint64_t other_uids;
};
/*
 * All of it that is not here yet; may be done again. What cannot be had is told,
 * counted and left out. 0; -ENOKEY: nothing here opens the manifest; -EBADMSG:
 * it is damaged; or an error, also of the node.
 */
int ipfs_take(struct ipfs_take *conf, struct ipfs_root *root);

#endif
