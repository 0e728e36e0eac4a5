/* SPDX-License-Identifier: ISC */
/* All that can have happened to a message on both sides. Flags do not depend on
 * one another, so one of the system and one keyword are all. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "gateway/merge.h"

#define SIDES_THERE 6 /* SAME, GONE, FLAGS with four values */
#define SIDES_HERE 10 /* the same, MOVED with four values */

static struct merge_flags
bits(unsigned n)
{
	return (struct merge_flags){ n & 1, n >> 1 & 1 };
}

static struct merge_side
side(unsigned n)
{
	if (n == 0)
		return (struct merge_side){ MERGE_SAME, { 0 } };
	if (n == 1)
		return (struct merge_side){ MERGE_GONE, { 0 } };
	return (struct merge_side){ n < 6 ? MERGE_FLAGS : MERGE_MOVED,
		bits(n - 2) };
}

static struct merge_flags
now(const struct merge_side *s, const struct merge_flags *agreed)
{
	return s->what == MERGE_SAME ? *agreed : s->flags;
}

static struct merge_flags
done(struct merge_flags f, const struct merge_flags *add,
    const struct merge_flags *remove)
{
	/* Nothing is added that is there, nor removed that is not. */
	assert_int_equal(f.system & add->system, 0);
	assert_int_equal(f.keywords & add->keywords, 0);
	assert_int_equal(remove->system & ~f.system, 0);
	assert_int_equal(remove->keywords & ~f.keywords, 0);
	f.system = (f.system | add->system) & ~remove->system;
	f.keywords = (f.keywords | add->keywords) & ~remove->keywords;
	return f;
}

static void
assert_same(struct merge_flags a, struct merge_flags b)
{
	assert_int_equal(a.system, b.system);
	assert_int_equal(a.keywords, b.keywords);
}

static void
assert_idle(const struct merge_plan *p)
{
	assert_false(merge_flags_any(&p->here_add));
	assert_false(merge_flags_any(&p->here_remove));
	assert_false(merge_flags_any(&p->there_add));
	assert_false(merge_flags_any(&p->there_remove));
	assert_false(p->here_gone || p->there_gone || p->there_move);
}

/* The one bit that each side has, and which is right. */
static uint64_t
right(uint64_t agreed, uint64_t there, uint64_t here)
{
	return there != agreed ? there : here;
}

/* What was done is told to us as anybody's doing would be: nothing follows. */
static void
no_echo(const struct merge_flags *agreed)
{
	const struct merge_side same = { MERGE_FLAGS, *agreed },
				nothing = { MERGE_SAME, { 0 } };
	struct merge_plan p;

	merge(OUTSIDE_MIRROR, agreed, &same, &same, &p);
	assert_idle(&p);
	assert_false(p.drop);
	merge(OUTSIDE_MIRROR, agreed, &same, &nothing, &p);
	assert_idle(&p);
	merge(OUTSIDE_MIRROR, agreed, &nothing, &same, &p);
	assert_idle(&p);
	assert_same(p.agreed, *agreed);
}

/* Killed after it was done there, or here, and not noted: done again, the end
 * is the same. */
static void
again(const struct merge_flags *agreed, const struct merge_side *there,
    const struct merge_side *here, struct merge_flags end)
{
	struct merge_side t = { MERGE_FLAGS, now(there, agreed) }, h = *here;
	struct merge_plan p;

	t.flags = end;
	merge(OUTSIDE_MIRROR, agreed, &t, &h, &p);
	assert_same(p.agreed, end);
	assert_same(done(now(&h, agreed), &p.here_add, &p.here_remove), end);
	if (here->what == MERGE_MOVED)
		return;
	h = (struct merge_side){ MERGE_FLAGS, end };
	merge(OUTSIDE_MIRROR, agreed, there, &h, &p);
	assert_same(p.agreed, end);
	assert_same(
	    done(now(there, agreed), &p.there_add, &p.there_remove), end);
}

/* The origin refuses flags: it has what it had, and when it tells that, or
 * anything else, nothing is taken away here that it was not asked to. */
static void
refused(const struct merge_plan *p, struct merge_flags there,
    struct merge_flags here)
{
	const struct merge_side t = { MERGE_FLAGS, there },
				same = { MERGE_SAME, { 0 } };
	struct merge_plan next;

	assert_same(p->agreed_refused, there);
	merge(OUTSIDE_MIRROR, &p->agreed_refused, &t, &same, &next);
	assert_idle(&next);
	/* Asked for again only when it is touched again here. */
	merge(OUTSIDE_MIRROR, &p->agreed_refused, &same,
	    &(struct merge_side){ MERGE_FLAGS, here }, &next);
	assert_same(done(there, &next.there_add, &next.there_remove), here);
}

static void
both_there(const struct merge_flags *agreed, const struct merge_side *there,
    const struct merge_side *here, const struct merge_plan *p)
{
	struct merge_flags t = now(there, agreed), h = now(here, agreed), end;

	assert_int_equal(
	    p->agreed.system, right(agreed->system, t.system, h.system));
	assert_int_equal(p->agreed.keywords,
	    right(agreed->keywords, t.keywords, h.keywords));
	end = done(t, &p->there_add, &p->there_remove);
	assert_same(end, p->agreed);
	assert_same(done(h, &p->here_add, &p->here_remove), end);
	assert_false(p->here_gone || p->there_gone);
	assert_int_equal(p->there_move, here->what == MERGE_MOVED);
	assert_int_equal(p->drop, here->what == MERGE_MOVED);
	no_echo(&end);
	again(agreed, there, here, end);
	refused(p, t, end);
}

static void
check_mirror(const struct merge_flags *agreed, const struct merge_side *there,
    const struct merge_side *here)
{
	struct merge_plan p;

	merge(OUTSIDE_MIRROR, agreed, there, here, &p);
	if (there->what != MERGE_GONE && here->what != MERGE_GONE) {
		both_there(agreed, there, here, &p);
		return;
	}
	assert_true(p.drop);
	assert_false(p.there_move);
	assert_false(merge_flags_any(&p.here_add));
	assert_false(merge_flags_any(&p.here_remove));
	assert_false(merge_flags_any(&p.there_add));
	assert_false(merge_flags_any(&p.there_remove));
	/* Nothing is deleted on the side that has it but for a deletion on the
	 * other; and not what was moved here. */
	assert_int_equal(p.there_gone, there->what != MERGE_GONE);
	assert_int_equal(p.here_gone,
	    there->what == MERGE_GONE &&
		(here->what == MERGE_SAME || here->what == MERGE_FLAGS));
}

static void
check_follow(const struct merge_flags *agreed, const struct merge_side *there,
    const struct merge_side *here)
{
	struct merge_flags t = now(there, agreed);
	struct merge_plan p;

	merge(OUTSIDE_FOLLOW, agreed, there, here, &p);
	assert_false(p.here_gone || p.there_gone || p.there_move);
	assert_false(merge_flags_any(&p.there_add));
	assert_false(merge_flags_any(&p.there_remove));
	assert_int_equal(p.drop, there->what == MERGE_GONE);
	if (there->what == MERGE_GONE)
		t = *agreed;
	assert_same(p.agreed, t);
	assert_int_equal(p.here_add.system, t.system & ~agreed->system);
	assert_int_equal(p.here_add.keywords, t.keywords & ~agreed->keywords);
	assert_int_equal(p.here_remove.system, agreed->system & ~t.system);
	assert_int_equal(
	    p.here_remove.keywords, agreed->keywords & ~t.keywords);
	merge(OUTSIDE_APART, agreed, there, here, &p);
	assert_idle(&p);
	assert_false(p.drop);
	assert_same(p.agreed, *agreed);
}

static void
every_state(void **state)
{
	unsigned n = 0;

	(void)state;
	for (unsigned a = 0; a < 4; a++)
		for (unsigned t = 0; t < SIDES_THERE; t++)
			for (unsigned h = 0; h < SIDES_HERE; h++, n++) {
				struct merge_flags agreed = bits(a);
				struct merge_side there = side(t),
						  here = side(h);

				check_mirror(&agreed, &there, &here);
				check_follow(&agreed, &there, &here);
			}
	assert_int_equal(n, 4 * SIDES_THERE * SIDES_HERE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(every_state) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
