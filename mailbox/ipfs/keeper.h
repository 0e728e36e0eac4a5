/* SPDX-License-Identifier: ISC */
/*
 * Keeps the node with what is in the store, in the background: each blob is put
 * there, and what has gone is unpinned. A delivery never waits for it, and puts
 * no row of its own: what is to be done is the difference between the blobs that
 * there are and the rows (rows.h), so nothing is forgotten, whoever dies when.
 * Commits of this process are looked after at once; all else is found by a walk
 * over everything: at the start, after the node was away, when another process
 * says so (ipfs_hint), and now and then.
 */
#ifndef PNEU_MAILBOX_IPFS_KEEPER_H
#define PNEU_MAILBOX_IPFS_KEEPER_H

#include "common/base/conf.h"
#include "mailbox/mails/mails.h"

struct ipfs;

/* By mailbox.ipfs; *out stays NULL where that is not set. 0 or -errno. */
int ipfs_start(struct ipfs **out, struct mails *m, const struct conf *conf);
/* Before mails_close. NULL is fine. */
void ipfs_stop(struct ipfs **k);
/* Of a tool: it may have changed something. */
void ipfs_hint(struct mails *m, const struct conf *conf);

#endif
