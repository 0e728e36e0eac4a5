/* SPDX-License-Identifier: ISC */
/*
 * New mail that somebody is to be told of (docs/notices.md): a durable list in
 * each mailbox, put there in the batch of the delivery itself, and taken away
 * by who has noted it elsewhere. So it costs deliveries no commit of its own,
 * and nothing is forgotten at whatever crash.
 *
 * Row "n<modseq><uid>" of the mailbox, empty. And partition "n", a row for each
 * account that has such rows: what it is, is not told by it, only that one should
 * look.
 */
#ifndef PNEU_MAILBOX_MAILS_ARRIVALS_H
#define PNEU_MAILBOX_MAILS_ARRIVALS_H

#include "mailbox/mails/mails.h"

struct mails_arrival {
	uint64_t mailbox;
	const char *name; /* of the mailbox, now */
	unsigned attrs;   /* its enum mails_attr */
	uint32_t uidvalidity, uid;
	uint64_t modseq; /* of the delivery: ascending in the mailbox */
	uint64_t size;
	int64_t internaldate, savedate;
	bool gone; /* expunged or moved since: size and dates are 0 */
};

/* The first account after `after` ("": the very first) that has any, in the
 * arena. 0, -ENOENT. */
int mails_arrived(
    struct mails *m, struct arena *a, const char *after, const char **account);
/* `w` (with fn and arg) is told when mail arrives for anybody, in whatever
 * process. */
void mails_arrived_watch(struct mails *m, struct store_watch *w);
void mails_arrived_unwatch(struct mails *m, struct store_watch *w);
/*
 * At most `max` of the account's, by mailbox, in order; none: and the account
 * has none then.
 */
int mails_arrivals(struct mails *m, const char *account, struct arena *a,
    size_t max, struct mails_arrival **out, size_t *n);
/* Those of the mailbox up to that one are done with. -ENOENT: it is not the
 * account's. */
int mails_arrivals_done(
    struct mails *m, const char *account, uint64_t mailbox, uint64_t modseq);
/*
 * A view with that message alone (seq 1), for mails_row and mails_summary.
 * -ENOENT: it is gone, or the mailbox is not the account's.
 */
int mails_arrival_open(struct mails *m, const char *account, uint64_t mailbox,
    uint32_t uid, struct mails_view **out);

#endif
