/* SPDX-License-Identifier: ISC */
#include "gateway/merge.h"

/* a & ~b */
static struct merge_flags
without(const struct merge_flags *a, const struct merge_flags *b)
{
	return (struct merge_flags){ a->system & ~b->system,
		a->keywords & ~b->keywords };
}

/* Of two sides that both began with `was`: the one that changed is right. */
static struct merge_flags
changed(const struct merge_flags *was, const struct merge_flags *a,
    const struct merge_flags *b)
{
	return (struct merge_flags){ was->system ^ (was->system ^ a->system) ^
		    ((was->system ^ b->system) & ~(was->system ^ a->system)),
		was->keywords ^ (was->keywords ^ a->keywords) ^
		    ((was->keywords ^ b->keywords) &
			~(was->keywords ^ a->keywords)) };
}

static void
merge_all_flags(const struct merge_flags *agreed, const struct merge_flags *o,
    const struct merge_flags *h, struct merge_plan *out)
{
	out->agreed = changed(agreed, o, h);
	out->here_add = without(&out->agreed, h);
	out->here_remove = without(h, &out->agreed);
	out->there_add = without(&out->agreed, o);
	out->there_remove = without(o, &out->agreed);
	out->agreed_refused = *o;
}

static void
follow(const struct merge_flags *agreed, const struct merge_side *there,
    struct merge_plan *out)
{
	if (there->what == MERGE_GONE) {
		out->drop = true;
	} else if (there->what == MERGE_FLAGS) {
		out->here_add = without(&there->flags, agreed);
		out->here_remove = without(agreed, &there->flags);
		out->agreed = out->agreed_refused = there->flags;
	}
}

void
merge(enum outside_sync sync, const struct merge_flags *agreed,
    const struct merge_side *there, const struct merge_side *here,
    struct merge_plan *out)
{
	const struct merge_flags *o =
	    there->what == MERGE_FLAGS ? &there->flags : agreed;
	const struct merge_flags *h =
	    here->what == MERGE_FLAGS || here->what == MERGE_MOVED
	    ? &here->flags
	    : agreed;

	*out =
	    (struct merge_plan){ .agreed = *agreed, .agreed_refused = *agreed };
	if (sync != OUTSIDE_MIRROR) {
		if (sync == OUTSIDE_FOLLOW)
			follow(agreed, there, out);
		return;
	}
	if (there->what == MERGE_GONE) {
		out->drop = true;
		out->here_gone =
		    here->what == MERGE_SAME || here->what == MERGE_FLAGS;
	} else if (here->what == MERGE_GONE) {
		out->drop = out->there_gone = true;
	} else {
		merge_all_flags(agreed, o, h, out);
		if (here->what == MERGE_MOVED)
			out->drop = out->there_move = true;
	}
}
