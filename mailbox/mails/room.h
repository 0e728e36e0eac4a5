/* SPDX-License-Identifier: ISC */
/*
 * Quotas, exact however many deliver at once, from any process.
 *
 * An account and a domain are holders. For each there is, in a file that all
 * processes map ("room"), a number that is never less than what the holder
 * has: deliveries add to it before they commit and take it back when nothing
 * came of it; what is expunged, or was to be taken back by one that was
 * killed, is not subtracted. So as long as a delivery fits under the quota by
 * this number it fits in truth, which costs a few atomic operations. When it
 * does not, the truth is counted anew from the headers of the mailboxes while
 * nobody is between adding and committing: deliveries hold a shared lock of
 * the holder (fcntl, so that it goes with a process that is killed), the count
 * an exclusive one. Nobody asks for the exclusive lock while holding another:
 * no deadlock.
 */
#ifndef PNEU_MAILBOX_MAILS_ROOM_H
#define PNEU_MAILBOX_MAILS_ROOM_H

#include "mailbox/mails/impl.h"

struct rooms;

/* `dir`: of the file; NULL: counted in memory of this process. Never fails
 * for want of the file: then each process counts for itself. NULL: no memory. */
struct rooms *rooms_new(const char *dir);
void rooms_free(struct rooms **r);

/* What one delivery has taken: of the account and of its domain. */
struct room {
	uint64_t id[2]; /* of the holders; 0: nothing taken */
	uint64_t octets, messages;
};

/*
 * Room for so much, of an account with this quota. May wait. 0 with *out to be
 * given to room_end; -EDQUOT; or an error of the store. Without any quota
 * nothing is taken.
 */
int room_take(struct mails *m, const char *account, const struct mails_quota *q,
    uint64_t octets, uint64_t messages, struct room *out);
/* The same for who has taken another room already, and so may not wait for a
 * count: -EAGAIN where one is needed, or under way. */
int room_try(struct mails *m, const char *account, const struct mails_quota *q,
    uint64_t octets, uint64_t messages, struct room *out);
/* The mail is in, or may be; or it is not. Does not wait. Where mail came in
 * without a quota of the account or of its domain, the next who asks counts
 * anew. */
void room_end(struct mails *m, const char *account, struct room *r, bool used);
/* While mail of the account is moved from one mailbox to another nobody shall
 * count it. Ends by room_end. */
int room_hold(struct mails *m, const char *account, struct room *out);

#endif
