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

#include "mailbox/mails/mails.h"

struct ipfs;

struct ipfs_conf {
	const char *addr; /* net_addr_parse has it; "": there is no node */
	const char *run_dir;
	/* Waits before the first walk, and after a failure, the first and the
	 * longest; 0: as usual. For tests. */
	int64_t start_ms, away_ms, away_max_ms;
	int64_t duty; /* a walk rests so many times as long as it took */
};
/* *out stays NULL where there is no node. 0 or -errno, logged. */
int
ipfs_start(struct ipfs **out, struct mails *m, const struct ipfs_conf *conf);
/* Before mails_close. NULL is fine. */
void ipfs_stop(struct ipfs **k);
/* Of a tool: it may have changed something. Does not wait. */
void ipfs_hint(struct mails *m);

#endif
