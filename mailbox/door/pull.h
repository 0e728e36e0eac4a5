/* SPDX-License-Identifier: ISC */
/*
 * Mail of another IMAP server, as it is now: all mailboxes of the user there,
 * with flags, keywords, dates, special uses and subscriptions, in a stream. Run
 * again, it brings what is new, and flags as they are now; what has gone there
 * stays here.
 *
 * What is noted of a mailbox when it has been gone through is key 's': its
 * UIDVALIDITY, the UIDs that were dealt with, and with CONDSTORE (RFC 7162) up
 * to which change; of each message, take.h says.
 */
#ifndef PNEU_MAILBOX_DOOR_PULL_H
#define PNEU_MAILBOX_DOOR_PULL_H

#include "common/imap/client.h"
#include "mailbox/door/take.h"

struct pull_conf {
	struct take_conf take;
	const struct net_addr *addrs; /* of the server, tried in turn */
	size_t n_addrs;
	struct imap_client_conf client;
};
/* 0, or -errno; -EINVAL: why has been said. What is passed over is in the
 * report. */
int pull(const struct pull_conf *conf);

#endif
