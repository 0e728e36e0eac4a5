/* SPDX-License-Identifier: ISC */
/* What take.c and take_batch.c share. */
#ifndef PNEU_MAILBOX_DOOR_TAKE_IMPL_H
#define PNEU_MAILBOX_DOOR_TAKE_IMPL_H

#include "mailbox/door/lines.h"
#include "mailbox/door/seen.h"
#include "mailbox/door/take.h"

/* What the note of a key says: with which flags the message was seen at the
 * source last, and, of 'm' keys, whose the message is. */
struct note {
	uint8_t flags;
	uint64_t keywords; /* fingerprint */
	struct take_origin origin;
};

/* A message that is to be put in, in the next commit. */
struct coming {
	struct mails_message *msg;
	struct door_key key; /* 'm' */
	struct note note;
	const char *const *keywords;
	int64_t internaldate;
	bool quiet;
};

/* A message that is there, and gets other flags, other notes, or both. */
struct mending {
	uint32_t uid;
	bool flags; /* are to be set */
	bool done;
	uint32_t system;
	const char *const *keywords;
	struct note note;
	bool has_content; /* key 'm' gets the note */
	struct door_key content;
};

#define BATCH_MESSAGES 200
#define BATCH_OCTETS ((size_t)2 << 20) /* of messages, which are in memory */
#define BATCH_MENDING 100              /* two keys each */

struct batch {
	struct take *t;
	struct arena a; /* keywords of what follows */
	size_t n, octets, n_mending;
	struct coming coming[BATCH_MESSAGES];
	struct mending mending[BATCH_MENDING];
};

/* A mailbox of this run. */
struct visited {
	struct visited *next;
	const char *name; /* here */
	bool visited, subscribed;
};

struct take {
	struct take_conf conf;
	struct door_report *report;
	struct arena a;
	bool fresh;  /* the account had no mail at all */
	bool exists; /* false: only in a dry run */
	bool has_subs;
	struct visited *names;
	const char *special[10]; /* names of mailboxes with a use, by its bit */
	const char *target;      /* the mailbox that is under way, or NULL */
	struct seen seen;        /* of its messages that come from files */
	struct batch *batch;
	bool no_keywords_told; /* of this mailbox */
	/* of the message: */
	struct mails_message *msg;
	struct door_digest *digest;
	struct crlf_maker crlf;
	struct buf chunk;
	uint64_t octets;
	bool begun;
	uint32_t last_uidvalidity, last_uid; /* of take_last */
};

struct door_key take_uid_key(const struct take_origin *o);
struct note
take_note(const struct door_meta *meta, const struct take_origin *origin);
bool take_note_decode(struct slice in, struct note *out);

int batch_new(struct batch **out, struct take *t);
void batch_free(struct batch **b);
/* Takes msg over. */
int batch_add(struct batch *b, struct mails_message *msg,
    const struct door_key *key, const struct door_meta *meta,
    const struct note *note);
/* Is a message of that key to be put in? Its note, else NULL. */
const struct note *
batch_find(const struct batch *b, const struct door_key *key);
/* `content` NULL: only key 'u' gets the note. */
int batch_mend(struct batch *b, uint32_t uid, const struct door_meta *meta,
    bool flags, const struct note *note, const struct door_key *content);
int batch_flush(struct batch *b);

#endif
