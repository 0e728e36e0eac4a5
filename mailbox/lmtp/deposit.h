/* SPDX-License-Identifier: ISC */
/*
 * Messages that stand elsewhere and are to be here too: pneu-gateway says by
 * XSOURCE of MAIL where a message stands there and what is known of it, and it
 * is taken in as the door does (mailbox/door/take.h): octet by octet, with
 * flags and date, and once, however often it is offered.
 *
 *   XSOURCE=<source>;<uidvalidity>;<uid>;<seconds or ->;<new or old>;
 *       <use or ->;<xtext>
 *
 * source: 16 hexadecimal digits for account and folder there. seconds: its date
 * of receipt. old: it was there before anybody here asked for it, so it is
 * nothing to tell of (docs/notices.md). use: "\Sent" and the like without the
 * backslash. The xtext is of flags and keywords, each followed by a space, then
 * a tab, then the mailbox's name; and, where it is known, a tab and its
 * UIDVALIDITY, by which it is found if it has just been renamed. The reply is
 * "250 2.0.0 delivered|known <uidvalidity> <uid>", of where it is here.
 *
 * XSOURCE=- is of one that was ours before it was there: it is delivered as any
 * other, under its trace id, so it is known where that was; the reply is the same.
 */
#ifndef PNEU_MAILBOX_LMTP_DEPOSIT_H
#define PNEU_MAILBOX_LMTP_DEPOSIT_H

#include "common/smtp/smtp.h"
#include "common/smtp/spool.h"
#include "mailbox/door/take.h"

struct deposit {
	struct take_origin origin;
	struct door_meta meta;
	bool is_old;
	unsigned special;
	struct slice mailbox;
	uint32_t uidvalidity; /* of it; 0: not told */
};
/* The value of XSOURCE; all in the arena. 0, -EINVAL or -ENOMEM. */
int deposit_parse(struct arena *a, struct slice value, struct deposit *out);
/* Flags and keywords, each followed by a space, over what *out has. */
void deposit_flags(struct arena *a, struct slice s, struct door_meta *out);

/* What its mailbox is called now; one that is not there any more is made anew. */
int deposit_name(struct mails *m, const char *account, const struct deposit *d,
    struct arena *a, struct slice *out);

struct deposited {
	bool known; /* it was here before, and may be expunged by now */
	uint32_t uidvalidity, uid; /* where it is, or was; 0: not to be told */
};
/*
 * Put it into the account; `tell`: somebody is to be told of it, where it is
 * new mail. 0 when it is durable there, *out saying where; -EINVAL: there cannot
 * be such a mailbox; -EDQUOT, -ENOSPC, or another error.
 */
int deposit(struct mails *m, const char *account,
    const struct mails_quota *quota, const struct deposit *d,
    struct spool *body, bool tell, struct deposited *out);

/* The octets of a message: take_begin, and all of them. 0 or an error. */
int deposit_body(struct take *t, struct spool *body);

#endif
