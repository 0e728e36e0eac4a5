/* SPDX-License-Identifier: ISC */
/*
 * A connection of the scheduler's: to the mailbox, to a host of a domain, to a
 * smarthost; opened as safely as the message and the domain want it.
 */
#ifndef PNEU_QM_LINK_H
#define PNEU_QM_LINK_H

#include "qm/deliver.h"
#include "qm/destination.h"

struct link {
	struct smtp_client *client;
	struct deliver_peer peer;
	bool local;
	unsigned needs; /* enum destination_need */
	bool unmet;     /* a server lacked some of that */
	bool verified;  /* REQUIRETLS may be said to it */
	unsigned uses;  /* transactions done */
	struct policy_domain domain; /* while it is opened */
	char host[256], relay[512], tls[16];
};

/* For struct scheduler_ops; `arg` is a struct deliver. */
int link_open(void *arg, const char *destination, void **connection,
    struct scheduler_fault *why);
void link_close(void *arg, void *connection);

#endif
