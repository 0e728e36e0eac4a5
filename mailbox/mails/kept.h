/* SPDX-License-Identifier: ISC */
/*
 * Mail that was expunged, and is kept for a while (mails_conf.keep_s): looked
 * at and brought back by the tools here, by IMAP clients as read-only mailboxes
 * (mails_view_open of these names):
 *
 *	#deleted/NAME		what was expunged from NAME; and NAME itself,
 *				when the mailbox was deleted
 *	#time/WHEN/NAME		NAME as it was at that time, in the time zone of
 *				the server; WHEN is 2026-11-20 (its first
 *				moment) or 2026-11-20T14:30 or 2026-11-20T143015
 *
 * Flags are those of now or of the expunge; names are those of now. Kept mail
 * does not count for quota.
 */
#ifndef PNEU_MAILBOX_MAILS_KEPT_H
#define PNEU_MAILBOX_MAILS_KEPT_H

#include "mailbox/mails/mails.h"

#define MAILS_DELETED_ROOT "#deleted"
#define MAILS_TIME_ROOT "#time"

/* How long mail is kept, 0: not at all. */
int64_t mails_keep_s(const struct mails *m);

struct mails_kept {
	uint32_t uid;       /* in #deleted/NAME */
	int64_t expunged_s; /* when */
	int64_t internaldate;
	uint64_t size;
	struct slice envelope; /* RFC 3501 7.4.2; empty: not to be had */
};
/* What is kept of a mailbox, oldest first. `fn` may wait; a non-zero return
 * ends it. */
int mails_kept_each(struct mails *m, const char *account, struct slice name,
    int (*fn)(void *arg, const struct mails_kept *k), void *arg);

/*
 * Bring back into the mailbox: the n messages of these UIDs, in ascending
 * order (NULL: all that were expunged since `since_s`). They get new UIDs and
 * keep their flags, but for \Deleted. *restored counts them. A mailbox that was
 * deleted comes back under its name, with all that was in it (-EEXIST: there is
 * another of that name).
 */
int mails_undelete(struct mails *m, const char *account, struct slice name,
    const uint32_t *uids, size_t n, int64_t since_s, uint64_t *restored);

/* Names of mailboxes that were deleted and are kept, NULL-terminated. */
int mails_kept_mailboxes(
    struct mails *m, const char *account, struct arena *a, const char ***out);
/* And of those from which something was expunged and is kept. */
int mails_kept_names(struct mails *m, const char *account, struct arena *a,
    const char ***out, size_t *n);

/*
 * Remove for good what was expunged or deleted before `before_s`, of an account
 * (NULL: of all); *removed counts messages.
 */
int mails_purge(
    struct mails *m, const char *account, int64_t before_s, uint64_t *removed);

/* Do that in the background, now and then, until mails_close. */
int mails_purge_start(struct mails *m);

#endif
