/* SPDX-License-Identifier: ISC */
/* What the files of pull share. */
#ifndef PNEU_MAILBOX_DOOR_PULL_IMPL_H
#define PNEU_MAILBOX_DOOR_PULL_IMPL_H

#include "mailbox/door/pull.h"
#include "mailbox/door/seen.h"

#define PULL_MAILBOXES_MAX 20000

/* A mailbox there. */
struct remote {
	struct slice raw;  /* its name on the wire */
	struct slice name; /* as take has it */
	unsigned special;
	bool selectable, subscribed;
};

/* What key 's' says. */
struct pull_state {
	uint32_t uidvalidity, uidnext; /* UIDs below that were dealt with */
	uint64_t modseq;
};

struct pull {
	const struct pull_conf *conf;
	struct take *take;
	struct door_report *report;
	struct imap_client *c;
	struct arena a;
	int rc;    /* what went wrong on our side: it ends all */
	bool said; /* why it ends */
	struct remote *boxes;
	size_t n, cap;
	struct slice prefix; /* of all names there: "INBOX." */
	bool extended;       /* LIST told subscriptions, too */
	/* Gmail shows one message in many mailboxes: those seen, by their id. */
	bool gmail;
	struct seen gm_seen;
	/* of the mailbox: */
	const struct remote *box;
	uint64_t source;
	struct pull_state now;
	uint32_t exists;
	uint32_t *uids; /* to be fetched */
	size_t n_uids, cap_uids;
	uint32_t from; /* UIDs that may be new are from here on */
	/* of the messages being fetched: */
	const uint32_t *batch;
	size_t n_batch;
	bool *got;
	size_t n_got;
	bool failed; /* something of the mailbox was */
	bool looked; /* `uids` are what is to be fetched, of `seen` */
	struct pull_state seen;
	int breaks; /* of the connection, one after the other */
};

/* The list of mailboxes, with names for take; 0 or an error. */
int pull_list(struct pull *p);
/* The mailbox p->box is selected: 0, IMAP_REFUSED, or an error. */
int pull_select(struct pull *p);
/* All of it, as far as the connection holds; to be called again with a new
 * one. 0: it is done. Negative: p->rc, or the connection. */
int pull_mailbox(struct pull *p);
/* p->uids, what is left of them; *progress: some have come. */
int pull_fetch(struct pull *p, size_t batch_max, bool *progress);
void pull_meta(struct pull *p, const struct imap_response *r,
    struct door_meta *meta, struct arena *a);

#endif
