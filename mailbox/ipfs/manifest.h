/* SPDX-License-Identifier: ISC */
/*
 * What an account's mail is, as octets: mailboxes with names, UIDVALIDITY, flags
 * and so on, and for each message where its blocks are and what opens them.
 * Numbers are big-endian. Records of a letter, octets of the rest (4), the rest:
 *
 *	H  version 1 (1), when it was made (8), account
 *	B  mailbox: attributes (4), UIDVALIDITY (4; 0: a name only), UIDNEXT (4),
 *	   HIGHESTMODSEQ (8), octets of the name (2), name; keywords, each with
 *	   its octets (1) before it
 *	M  message of that mailbox, in ascending order: UID (4), system flags (4),
 *	   keywords (8, bits of the list), INTERNALDATE (8), SAVEDATE (8), octets
 *	   (8), id of the blob (16), in frames (1), enum wrap_kind (1) and the
 *	   message's key so wrapped; key of the blocks (32), octets of the blob
 *	   (8), digests (32 each)
 *	Z  mailboxes (4), messages (8)
 *
 * H first, Z last, nothing behind it. A reader refuses what it does not know:
 * another version has another number.
 */
#ifndef PNEU_MAILBOX_IPFS_MANIFEST_H
#define PNEU_MAILBOX_IPFS_MANIFEST_H

#include "mailbox/ipfs/rows.h"
#include "mailbox/mails/impl.h"

struct manifest_head {
	int64_t made_s;
	struct slice account;
};
struct manifest_mailbox {
	uint32_t attrs, uidvalidity, uidnext; /* enum mails_attr */
	uint64_t modseq;
	struct slice name;
	size_t n_keywords;
	struct slice keywords[MAILS_KEYWORDS_MAX];
};
struct manifest_message {
	uint32_t uid;
	struct row row; /* no modseq, no token */
	unsigned char key[AEAD_KEY];
	uint64_t stored; /* octets of the blob */
	struct slice digests;
	size_t n; /* of them */
};
struct manifest_end {
	uint32_t mailboxes;
	uint64_t messages;
};

/* --- writing; false: no memory --- */

bool manifest_put_head(struct buf *out, const struct manifest_head *h);
bool manifest_put_mailbox(struct buf *out, const struct manifest_mailbox *b);
bool manifest_put_message(struct buf *out, const struct manifest_message *m);
bool manifest_put_end(struct buf *out, const struct manifest_end *e);

/* --- reading --- */

/* May wait; a non-zero return ends it all. Slices are valid for the call. */
struct manifest_fns {
	int (*head)(void *arg, const struct manifest_head *h);
	int (*mailbox)(void *arg, const struct manifest_mailbox *b);
	int (*message)(void *arg, const struct manifest_message *m);
};
struct manifest_reader {
	const struct manifest_fns *fns;
	void *arg;
	/* its own: */
	struct buf held; /* of a record that is not whole yet */
	bool begun, in_mailbox, ended;
	uint32_t uidnext, last_uid;
	size_t n_keywords;
	struct manifest_end seen;
};
void manifest_reader_init(
    struct manifest_reader *r, const struct manifest_fns *fns, void *arg);
void manifest_reader_clear(struct manifest_reader *r);
/* In any pieces. 0; -EBADMSG: no manifest; or what a function says. */
int manifest_feed(struct manifest_reader *r, struct slice octets);
/* 0, or -EBADMSG: that was not all. */
int manifest_feed_end(const struct manifest_reader *r);

#endif
