/* SPDX-License-Identifier: ISC */
/*
 * What Gmail's labels are here. A message has one place:
 *
 *   TRASH, SPAM, DRAFT   Trash, Junk, Drafts
 *   INBOX                INBOX
 *   (folders) a label    a mailbox of its name; the first in their order
 *   SENT                 Sent
 *   else                 Archive
 *
 * and flags: \Seen without UNREAD, \Flagged with STARRED, \Draft with DRAFT,
 * $Important (RFC 8457) with IMPORTANT, and a keyword for each label of the
 * user's that is not its place. Pure.
 */
#ifndef PNEU_GATEWAY_GMAIL_LABELS_H
#define PNEU_GATEWAY_GMAIL_LABELS_H

#include <jansson.h>

#include "common/base/buf.h"

struct gmail_place {
	const char *use;      /* "Sent" of \Sent, or NULL */
	struct slice mailbox; /* UTF-8; of `names`, or a literal */
	struct buf flags;     /* each followed by a space; reset, and filled */
	bool chat;            /* it is none of mail */
};

/*
 * `labels`: ids, each followed by a space. `names`: an object, id to name, of the
 * user's own. *unknown: one is not in it and may be the user's.
 */
void gmail_place_of(struct slice labels, const json_t *names, bool folders,
    struct gmail_place *out, bool *unknown);

/* The label's name as a keyword (RFC 3501 9, flag-keyword): in modified UTF-7, as
 * Thunderbird has it, with '_' for what no keyword can have. */
bool gmail_keyword_put(struct buf *out, const char *name);

/* --- and the other way round --- */

/* Keywords, in small letters, to the ids of their labels, each followed by a
 * space. NULL: no memory. */
json_t *gmail_words_of(const json_t *names);
/* A flag that is a label's there: \Seen, \Flagged, $Important, a keyword. */
bool gmail_flag_is_theirs(const json_t *words, struct slice flag);

/* What is to be changed of a message's labels: ids, each followed by a space. */
struct gmail_edit {
	struct buf add, remove;
};
void gmail_edit_clear(struct gmail_edit *e);
/* With these flags there, or without. Labels that it has, or has not, are left
 * out. */
void gmail_edit_flags(struct gmail_edit *e, struct slice labels,
    const json_t *words, struct slice add, struct slice remove);
/*
 * To this place. `from`, `to`: ids of labels whose mailboxes it leaves and comes
 * to, or NULL. What there is no place for there (a mailbox without a label; Sent,
 * of what was not sent) is archived.
 */
void gmail_edit_place(struct gmail_edit *e, struct slice labels,
    struct slice use, struct slice mailbox, const char *from, const char *to);
/* The labels after it. */
void gmail_edit_apply(
    const struct gmail_edit *e, struct slice labels, struct buf *out);
/* The id of a label with this name, or NULL. */
const char *gmail_label_named(const json_t *names, struct slice name);

#endif
