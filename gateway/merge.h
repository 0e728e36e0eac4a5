/* SPDX-License-Identifier: ISC */
/*
 * One message that is at the origin and here: from what both sides last agreed
 * on and what each side has now, what is to be done at each. No side effects.
 *
 * A flag is there or not, so where both sides changed it they changed it alike,
 * and where one did, that one is right: flags never conflict. Else:
 *
 *   gone there                 it goes here too, whatever was done to it here,
 *                              but for a move: then it stays where it is now
 *   gone here, changed there   it goes there
 *   moved here, changed there  it moves there, with the flags of both
 *
 * With OUTSIDE_FOLLOW only flags that changed there are done here.
 */
#ifndef PNEU_GATEWAY_MERGE_H
#define PNEU_GATEWAY_MERGE_H

#include "common/auth/outside.h"

struct merge_flags {
	uint32_t system;   /* SYSTEM_FLAGS of pairs.h */
	uint64_t keywords; /* bits of the account's table */
};

enum merge_what {
	MERGE_SAME, /* as agreed, as far as anybody says */
	MERGE_FLAGS,
	MERGE_GONE,
	MERGE_MOVED, /* here only; with these flags */
};

struct merge_side {
	enum merge_what what;
	struct merge_flags flags;
};

struct merge_plan {
	struct merge_flags here_add, here_remove;
	struct merge_flags there_add, there_remove;
	bool here_gone, there_gone, there_move;
	bool drop; /* the pair is none any more (a move makes another) */
	struct merge_flags agreed;
	/* The same where the origin refuses flags: what it has. So they are
	 * not taken for its own change, and not taken away here. */
	struct merge_flags agreed_refused;
};

void merge(enum outside_sync sync, const struct merge_flags *agreed,
    const struct merge_side *there, const struct merge_side *here,
    struct merge_plan *out);

static inline bool
merge_flags_any(const struct merge_flags *f)
{
	return f->system != 0 || f->keywords != 0;
}
static inline bool
merge_flags_eq(const struct merge_flags *a, const struct merge_flags *b)
{
	return a->system == b->system && a->keywords == b->keywords;
}

#endif
