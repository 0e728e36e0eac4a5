/* SPDX-License-Identifier: ISC */
/* What is here, asked of mailbox and changed there (mailbox/lmtp/mirror.h).
 * All calls wait; of a negative result the reason is in f->why. */
#ifndef PNEU_GATEWAY_HERE_H
#define PNEU_GATEWAY_HERE_H

#include "gateway/fetch.h"
#include "gateway/pairs.h"

struct here_change {
	uint32_t uid;
	bool gone;  /* else all of the rest is known */
	bool taken; /* the caller's */
	struct merge_flags flags;
	uint64_t print;
};

struct here_box {
	const char *name;
	const char *use; /* "Sent", or "" */
	/* UIDVALIDITY stays with it when it is renamed, and no other of the
	 * account ever has it. */
	uint32_t uidvalidity, uidnext, messages;
	uint64_t modseq;
	/* of here_changes: */
	struct pair_cursor cursor; /* moved on by it */
	struct here_change *v;
	size_t n, cap;
	bool cut; /* there were too many: not all are here */
};

/* All mailboxes of the account; names in the arena. */
int
here_boxes(struct fetch *f, struct arena *a, struct here_box **out, size_t *n);
/* What changed since b->cursor, appended to b->v. -ESTALE: that is not known;
 * the cursor is of now. -ENOENT: it is not there any more. */
int here_changes(struct fetch *f, struct pair_keywords *k, struct here_box *b);
/* The same, but where that is not known, all that is there; what is missing is
 * then not told as gone. A mailbox that went has no changes. */
int here_changes_or_all(
    struct fetch *f, struct pair_keywords *k, struct here_box *b);
/* By what its cursor goes: what it keeps when it is renamed; INBOX says whether
 * there was a look. `room` may hold it. */
const char *here_cursor_name(const struct here_box *b, char room[static 12]);
/* Something may have happened in it since. */
bool here_is_behind(const struct here_box *b);
void here_box_clear(struct here_box *b);

enum here_op { HERE_ADD, HERE_REMOVE, HERE_GONE };
/* *some: a keyword found no room here. A mailbox that is not there any more is
 * no error. */
int here_apply(struct fetch *f, const struct here_box *b, enum here_op op,
    const uint32_t *uids, size_t n, struct slice flags, bool *some);

/* A mailbox of that name (`use`: "Sent", or ""), subscribed to where it is new:
 * its UIDVALIDITY. 1: there cannot be one. */
int here_make(struct fetch *f, struct slice name, const char *use,
    uint32_t *uidvalidity);
/* With all below it. 1: it cannot be, or it is not there any more. */
int here_rename(struct fetch *f, const struct here_box *b, struct slice to);
/* As long as it is as *b has it. 1: it is not, or cannot be. */
int here_delete(struct fetch *f, const struct here_box *b);
/* To the mailbox `to`. to_uids[i] is set for those that were there; *uidvalidity is
 * of that mailbox, 0 where none was moved. */
int here_move(struct fetch *f, const struct here_box *b, struct slice to,
    const uint32_t *uids, size_t n, uint32_t *to_uids, uint32_t *uidvalidity);

#endif
