/* SPDX-License-Identifier: ISC */
/* Which manifests are at the node, so that they go again: rows.h. */
#ifndef PNEU_MAILBOX_IPFS_MANIFEST_ROWS_H
#define PNEU_MAILBOX_IPFS_MANIFEST_ROWS_H

#include "mailbox/ipfs/rows.h"

struct mails;

#define MANIFEST_ROOT UINT32_MAX
#define MANIFEST_COMING (UINT32_MAX - 1) /* the root, before the node has it */

/* Before these blocks are put; MANIFEST_ROOT when all of them are. */
int ipfs_manifest_note(struct store *s, const char *account, uint64_t made_ms,
    uint32_t number, const struct cid *cid);
/*
 * Unpin what is no account's latest: older manifests, those that were not
 * finished within a day, and all of accounts that are gone. 0, or an error of
 * the node or the store.
 */
int ipfs_manifests_reap(struct mails *m, struct ipfs_node *n);

/*
 * The account is being restored, and was never touched before that: until it is
 * whole, what stands in it is of the manifest, or what every new account has.
 */
int ipfs_restoring_get(struct store *s, const char *account, bool *out);
int ipfs_restoring_set(struct store *s, const char *account, bool is);

#endif
