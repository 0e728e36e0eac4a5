/* SPDX-License-Identifier: ISC */
/*
 * The inner side of the door: mailboxes and messages go into an account, many
 * in one commit, and none twice.
 *
 * A message is known by its octets: key 'm' of what it is, and how many of the
 * same came before it in its mailbox. One that comes from an IMAP server is
 * known by where it is there too: key 'u' of source, UIDVALIDITY and UID, which
 * is put after the message is, and says that it need not be fetched. So a crash
 * in between, and a UIDVALIDITY that has changed, cost a fetch and no more.
 * Both stay as long as the mailbox: what its owner expunges does not come back.
 */
#ifndef PNEU_MAILBOX_DOOR_TAKE_H
#define PNEU_MAILBOX_DOOR_TAKE_H

#include "mailbox/door/door.h"

struct take_conf {
	struct mails *m;
	const char *account;
	const char *into;         /* NULL, or where all goes, and below which */
	const char *const *only;  /* mailboxes of the source; NULL: all */
	const char *const * not ; /* but for these; both end with NULL */
	const struct mails_quota *quota; /* NULL: none */
	struct door_report *report;      /* says dry_run too */
	/* Somebody is to be told of what has come there of late, and nobody has
	 * seen. */
	bool tell;
};

/* Where a message is at an IMAP server. */
struct take_origin {
	uint64_t source; /* fingerprint of server, user and mailbox */
	uint32_t uidvalidity, uid;
};

struct take;

/*
 * The slices and strings of `conf` stay the caller's. Errors of these are what
 * ends it all: -ENOSPC, -EDQUOT (said already), -EIO, -ENOMEM. What goes wrong
 * with one message or mailbox is told, counted in the report and passed over.
 */
int take_new(struct take **out, const struct take_conf *conf);
/* What has not been flushed is not taken. */
void take_free(struct take **t);

/*
 * Go to a mailbox of the source, by its name in UTF-8; it is made where it is
 * not there. `special`: its use, or 0; such a one goes to the account's mailbox
 * of that use. 1; 0: it is not to be taken.
 */
int take_mailbox(struct take *t, struct slice name, unsigned special);
/* Its name here; NULL where there is none, because of dry_run. */
const char *take_target(const struct take *t);

/* The mailbox has this one already, and flags are seen to: 1. 0: it has not. */
int take_is_known(struct take *t, const struct take_origin *origin,
    const struct door_meta *meta);

/* A message; line ends of any kind. `origin` NULL: it comes from a file. */
int take_begin(struct take *t);
int take_octets(struct take *t, struct slice octets);
int take_end(struct take *t, const struct door_meta *meta,
    const struct take_origin *origin);
/* Where the message of the last take_end is, after a flush: its UID in
 * take_target; 0: nowhere. It may have been expunged there. */
void take_last(const struct take *t, uint32_t *uidvalidity, uint32_t *uid);
/* Where the one from there is, after a flush. 0, or -ENOENT: it is not here. */
int take_place(struct take *t, const struct take_origin *origin,
    uint32_t *uidvalidity, uint32_t *uid);
/* It has broken off, or is none. */
void take_drop(struct take *t);
/* All that came so far is durable; before going to another mailbox it is done
 * by itself. */
int take_flush(struct take *t);

/* The source has said that it tells which mailboxes are subscribed to, */
void take_has_subscriptions(struct take *t);
/* and that this one is; `special` as of take_mailbox. */
int take_subscribe(struct take *t, struct slice name, unsigned special);
/* The last call: flushes, and sees to subscriptions. */
int take_finish(struct take *t);

#endif
