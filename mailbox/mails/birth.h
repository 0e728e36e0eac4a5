/* SPDX-License-Identifier: ISC */
/*
 * What a blob says of where its message was delivered, so that rows can be made
 * again from blobs alone (rebuild.c). It stands behind all else in the blob:
 *
 *	one record for each target:
 *		octets of the fields
 *		fields: kind (1), octets, value
 *	tail, 8: 0x8e "PNB", octets of all this with the tail (4)
 *
 * «Octets» are one up to 254, else 255 and two. Kinds: 'a' account; 'm' mailbox
 * (without it: INBOX); 'd' INTERNALDATE, as few octets as it needs, the first
 * with the sign; 'f' system flags, 4; 'k' a keyword; 'w' the message's key,
 * wrapped for this account: enum wrap_kind (1), then as in its row; 's' in place
 * of 'm' and 'k': both, sealed (name_seal.h). Others are passed over. What a blob
 * without a birth ends with, the size of a message, never begins like the tail.
 */
#ifndef PNEU_MAILBOX_MAILS_BIRTH_H
#define PNEU_MAILBOX_MAILS_BIRTH_H

#include "common/base/buf.h"
#include "common/base/slice.h"

#define BIRTH_TAIL 8
#define BIRTH_MAX ((size_t)64 << 10) /* some hundred targets */
#define BIRTH_KEYWORDS 64

struct birth {
	struct slice account, mailbox;
	int64_t internaldate;
	uint32_t flags; /* enum mails_flag */
	struct slice keywords[BIRTH_KEYWORDS];
	size_t n_keywords;
	struct slice
	    wrap; /* empty: not sealed, or its key is in its row only */
	struct slice sealed; /* not empty: mailbox and keywords are in it */
};

/* Append a target, as far as there is room: without those that find none the
 * message is rebuilt for the others. False: no memory. */
bool birth_put(struct buf *out, const struct birth *b);
/* Append the tail, unless there is nothing. */
bool birth_end(struct buf *out);

/* Octets of all this in a blob of `stored` octets that ends so; 0: none. */
size_t birth_octets(const char tail[static BIRTH_TAIL], uint64_t stored);
/* The next target; *rest (at first, all without the tail) goes on. 1; 0 at the
 * end; -EBADMSG. Slices are of *rest. */
int birth_next(struct slice *rest, struct birth *out);

struct name_sealer;
struct store_blob_id;
/* Mailbox and keywords become `sealed`, unless there is nothing to hide: INBOX
 * and none. Slices are of `room`. 0, -ENOKEY, -ENOMEM. */
int birth_names_seal(struct name_sealer *s, const struct store_blob_id *id,
    struct birth *b, struct buf *room);
/* The opposite. -EBADMSG: changed, or of another blob or account. */
int birth_names_open(struct name_sealer *s, const struct store_blob_id *id,
    struct birth *b, struct buf *room);

#endif
