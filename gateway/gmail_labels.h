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

#endif
