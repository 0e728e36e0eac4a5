/* SPDX-License-Identifier: ISC */
/*
 * Going out through the door: the mailboxes of an account, one message after
 * the other, to a writer of a format. What is written depends on the mail
 * alone, not on where it is: the same mail gives the same octets.
 */
#ifndef PNEU_MAILBOX_DOOR_GIVE_H
#define PNEU_MAILBOX_DOOR_GIVE_H

#include "mailbox/door/door.h"
#include "mailbox/door/lines.h"

struct give_conf {
	struct mails *m;
	const char *account;
	struct seal_key *key; /* the account's private one, or NULL */
	const char *const *only;  /* mailboxes; NULL: all */
	const char *const * not ; /* but for these; both end with NULL */
	struct door_report *report;
};

struct give_mailbox {
	const char *name; /* UTF-8 */
	/* Keywords that some message has, by their octets. */
	const char *const *keywords;
	size_t n_keywords;
};

struct give_message {
	struct door_meta meta; /* keywords by their octets */
	uint32_t uid;
	uint32_t number; /* in its mailbox, from 1 on */
	struct line_census census;
	unsigned char digest[32]; /* SHA-256 of the octets */
	/* its own: */
	struct mails_view *v;
	uint32_t seq;
	struct buf whole; /* a small one is kept */
	char *chunk;
};

/*
 * A format. What one of these returns ends it all, but for -EBADMSG and
 * -ENAMETOOLONG: this mailbox or message is told and passed over. `put` is only
 * called where `begin` said 1 (0: it is there already).
 */
struct give_format {
	int (*mailbox)(void *arg, const struct give_mailbox *b);
	int (*begin)(void *arg, const struct give_message *m);
	int (*put)(void *arg, struct slice octets); /* with CRLF, as they are */
	int (*end)(void *arg);
	int (*mailbox_end)(void *arg);
	/* Names that are subscribed to, sorted. */
	int (*finish)(void *arg, const char *const *subscribed, size_t n);
};
int give(const struct give_conf *conf, const struct give_format *f, void *arg);

/* --- formats --- */

/* One file, or a folder with a file for each mailbox. */
int give_mbox(const struct give_conf *conf, const char *path);
int give_mboxes(const struct give_conf *conf, const char *path);
int give_maildir(const struct give_conf *conf, const char *path);
/* "-": standard output. */
int give_tar(const struct give_conf *conf, const char *path);

/* --- where a Maildir goes --- */

/* Paths are in the Maildir; folder "" is INBOX. As struct give_format. */
struct outlet {
	int (*folder)(void *arg, const char *folder);
	int (*file)(
	    void *arg, const char *folder, const char *name, struct slice text);
	int (*begin)(void *arg, const char *folder, const char *name,
	    uint64_t size, int64_t mtime);
	int (*put)(void *arg, struct slice octets);
	int (*end)(void *arg);
	int (*folder_end)(void *arg, const char *folder);
	int (*finish)(void *arg);
};
int give_maildir_to(
    const struct give_conf *conf, const struct outlet *o, void *arg);
/* Is a file of that name one that we wrote? */
bool give_maildir_is_ours(struct slice name);

/* write(2) until all is written; 0 or -errno. */
int give_write(int fd, struct slice octets);

#endif
