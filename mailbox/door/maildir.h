/* SPDX-License-Identifier: ISC */
/*
 * Maildir, the names in it, and the files beside the messages: Maildir++
 * folders, flags as Dovecot has them (and everybody since), keywords as
 * Dovecot (dovecot-keywords: letters in the file name) and as Courier
 * (courierimapkeywords) keep them, UID lists and subscriptions of both.
 *
 * Nothing here touches a file: so a folder and a tar are read by the same code.
 */
#ifndef PNEU_MAILBOX_DOOR_MAILDIR_H
#define PNEU_MAILBOX_DOOR_MAILDIR_H

#include "mailbox/door/door.h"

#define MAILDIR_NAME_MAX 255 /* octets of a file's name */
#define MAILDIR_LETTERS 26   /* keywords that have one */
#define MAILDIR_LINE_MAX ((size_t)8192)

/* --- file names: "1700000000.P123.host,S=56:2,FSa" --- */

struct maildir_name {
	struct slice base; /* without ":2,...": Courier's lists have it */
	struct slice id;   /* the base up to ',': what does not change */
	uint32_t flags;    /* enum mails_flag */
	bool passed;       /* P: $Forwarded */
	uint32_t letters;  /* bit 0: 'a' */
	uint64_t order;    /* the number that it begins with: seconds */
};
void maildir_name_parse(struct slice name, struct maildir_name *out);
/* ":2,DFPRSTabc", letters in the order of ASCII. */
bool
maildir_put_info(struct buf *b, uint32_t flags, bool passed, uint32_t letters);

/* --- folders: ".A.B" is A/B; ".a&AC4-b" is a.b --- */

/* `name` without the first dot. False: out has failed. */
bool maildir_folder_decode(struct buf *out, struct slice name);
/* False also when `name` is not UTF-8. INBOX has no folder name. */
bool maildir_folder_encode(struct buf *out, struct slice name);

/* --- keywords --- */

/* Names by number; NULL where there is none. */
struct maildir_keywords {
	size_t n; /* one more than the greatest number */
	const char *names[MAILS_KEYWORDS_MAX];
};
/* A line of dovecot-keywords: "0 $Junk". What is not is passed over. */
void maildir_dovecot_keyword(
    struct maildir_keywords *k, struct arena *a, struct slice line);
/* Bits to names. */
void maildir_keywords_add(const struct maildir_keywords *k, uint64_t bits,
    struct door_meta *m, struct arena *a);

/*
 * Lines of courierimapkeywords/:list: names, an empty line, then
 * "base:number number ...". True: the line was of the second kind.
 */
struct maildir_courier {
	struct maildir_keywords keywords;
	bool in_messages;
};
bool maildir_courier_line(struct maildir_courier *c, struct arena *a,
    struct slice line, struct slice *base, uint64_t *bits);

/* A line of dovecot-uidlist (versions 1 and 3) or courierimapuiddb: false for
 * the first one. */
bool maildir_uid_line(struct slice line, struct slice *base, uint32_t *uid);

/* --- subscriptions --- */

enum maildir_subscriptions {
	MAILDIR_DOVECOT_1, /* subscriptions: "A.B" */
	MAILDIR_DOVECOT_2, /* with "V\t2" on top: "A\tB" */
	MAILDIR_COURIER,   /* courierimapsubscribed: "INBOX.A.B" */
};
/* A line to the name of a mailbox, appended to `out` (emptied first). False
 * where there is none in it; the first line of version 2 changes *kind. */
bool maildir_subscription(
    enum maildir_subscriptions *kind, struct slice line, struct buf *out);

#endif
