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
	uint32_t uidvalidity, uidnext;
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
void here_box_clear(struct here_box *b);

enum here_op { HERE_ADD, HERE_REMOVE, HERE_GONE };
/* *some: a keyword found no room here. A mailbox that is not there any more is
 * no error. */
int here_apply(struct fetch *f, const struct here_box *b, enum here_op op,
    const uint32_t *uids, size_t n, struct slice flags, bool *some);

#endif
