/* SPDX-License-Identifier: ISC */
/*
 * What the marks of a record (power_load.h) promise, and whether an opened store
 * keeps it.
 */
#ifndef PNEU_TESTS_POWER_VERIFY_H
#define PNEU_TESTS_POWER_VERIFY_H

#include "mailbox/mails/rebuild.h"
#include "tests/unit/mailbox/power_load.h"

/* --- what is expected --- */

struct expected {
	struct cell cells[N_BOXES][NUMBERS + 1];
	struct mark under_way[ACTORS];            /* n 0: nothing */
	uint32_t uidnext[BOXES_SHARED];           /* at least */
	unsigned kept[BOXES_SHARED][NUMBERS + 1]; /* expunged so often */
};

static struct expected *want;

static inline void
expect(const struct power_entry *e)
{
	const struct mark *m = (const void *)power_octets(e);
	const struct effect *f = m->effects;
	struct cell *c;

	if (!m->end) {
		memset(&want->under_way[m->actor], 0, sizeof(*m));
		memcpy(&want->under_way[m->actor], m, e->n);
		return;
	}
	for (; f < m->effects + m->n; f++) {
		c = &want->cells[f->box][f->number];
		c->value = f->value;
		if (m->what == OP_EXPUNGE && f->box < BOXES_SHARED)
			want->kept[f->box][f->number]++;
		if (f->uid == 0)
			continue;
		c->uid = f->uid;
		if (f->box < BOXES_SHARED && f->uid >= want->uidnext[f->box])
			want->uidnext[f->box] = f->uid + 1;
	}
	want->under_way[m->actor].n = 0;
}

static inline const struct mark *
way_of(unsigned box, unsigned number, const struct effect **out)
{
	const struct mark *m;

	for (m = want->under_way; m < want->under_way + ACTORS; m++)
		for (unsigned i = 0; i < m->n; i++)
			if (m->effects[i].box == box &&
			    m->effects[i].number == number) {
				*out = &m->effects[i];
				return m;
			}
	return NULL;
}

/* --- what is there --- */

static bool is_rebuilt; /* with other UIDs then */

static struct found {
	struct cell cells[N_BOXES][NUMBERS + 1];
	unsigned count[N_BOXES][NUMBERS + 1];
} * found;

static inline void
find_message(struct mails_view *v, uint32_t seq, unsigned box, struct arena *a,
    struct buf *text, char *got)
{
	struct mails_summary summary;
	unsigned number = 0;
	size_t n = 0;

	CHECK_INT(mails_read(v, seq, 0, got, 80000, &n), 0);
	got[n] = '\0';
	CHECK_INT(sscanf(got, "Subject: %u", &number), 1);
	CHECK_INT(mails_summary(v, seq, a, &summary), 0);
	arena_reset(a);
	if (number > NUMBERS)
		return; /* of afterwards */
	text_of(text, number);
	CHECK(slice_eq(slice(got, n), buf_slice(text)));
	found->count[box][number]++;
	found->cells[box][number].value = value_of(v, seq);
	found->cells[box][number].uid = mails_view_uid(v, seq);
}

static inline void
find_box(const char *account, const char *name, struct arena *a)
{
	unsigned box = box_of_name(account, name);
	struct mails_view *v = view_of(account, name);
	struct buf text = BUF_INIT;
	char *got = malloc(80001);

	if (v == NULL)
		return;
	if (box == N_BOXES && !is_rebuilt) {
		CHECK_INT(mails_view_count(v), 0);
	} else if (box < N_BOXES) {
		found->count[box][BOX_ITSELF]++;
		found->cells[box][BOX_ITSELF].value = 1;
		for (uint32_t seq = 1; seq <= mails_view_count(v); seq++)
			find_message(v, seq, box, a, &text, got);
		if (box < BOXES_SHARED && !is_rebuilt)
			CHECK(mails_view_uidnext(v) >= want->uidnext[box]);
	}
	mails_view_close(&v);
	buf_clear(&text);
	free(got);
}

static inline void
find_all(void)
{
	const char *accounts[] = { ALICE, BOB };
	struct arena a = ARENA_INIT_MAX(1 << 20), b = ARENA_INIT_MAX(1 << 20);
	struct mails_info *infos;
	size_t n;

	memset(found, 0, sizeof(*found));
	/* The list finishes what the failure has left, and opening does; so
	 * each is opened before any is looked at. */
	for (int i = 0; i < 4; i++) {
		CHECK_INT(mails_list(mm, accounts[i % 2], &a, &infos, &n), 0);
		for (size_t k = 0; k < n; k++) {
			struct mails_view *v;

			if (i < 2 && (v = view_of(accounts[i], infos[k].name)))
				mails_view_close(&v);
			else if (i >= 2)
				find_box(accounts[i % 2], infos[k].name, &b);
		}
		arena_reset(&a);
	}
}

/* What was expunged is kept as often as it was, or once more where an expunge
 * was under way. */
static inline void
compare_kept(unsigned box, const unsigned *kept)
{
	const struct effect *e;
	const struct mark *m;

	for (unsigned n = 1; n <= NUMBERS; n++) {
		m = way_of(box, n, &e);
		CHECK(kept[n] == want->kept[box][n] ||
		    (m != NULL && m->what == OP_EXPUNGE &&
			kept[n] == want->kept[box][n] + 1));
	}
}

static inline void
find_kept(unsigned box)
{
	unsigned kept[NUMBERS + 1] = { 0 }, number = 0;
	struct buf text = BUF_INIT;
	char *got = malloc(80001);
	struct mails_view *v;
	char name[40];
	size_t n;

	snprintf(name, sizeof(name), "#deleted/%s", box_name(box));
	v = view_of(box_account(box), name);
	for (uint32_t seq = 1; v != NULL && seq <= mails_view_count(v); seq++) {
		CHECK_INT(mails_read(v, seq, 0, got, 80000, &n), 0);
		got[n] = '\0';
		CHECK_INT(sscanf(got, "Subject: %u", &number), 1);
		if (number > NUMBERS)
			continue;
		text_of(&text, number);
		CHECK(slice_eq(slice(got, n), buf_slice(&text)));
		kept[number]++;
	}
	mails_view_close(&v);
	buf_clear(&text);
	free(got);
	compare_kept(box, kept);
}

static inline bool
cell_is(unsigned box, unsigned number, uint32_t value, uint32_t uid)
{
	const struct cell *f = &found->cells[box][number];

	return f->value == value && (value == 0 || uid == 0 || f->uid == uid);
}

static inline void
compare_cell(unsigned box, unsigned number)
{
	const struct cell *w = &want->cells[box][number];
	const struct effect *e;
	const struct mark *m = way_of(box, number, &e);

	if (found->count[box][number] <= 1 &&
	    (cell_is(box, number, w->value, w->uid) ||
		(m != NULL && cell_is(box, number, e->value, e->uid))))
		return;
	if (store_test_failure[0] == '\0')
		snprintf(store_test_failure, sizeof(store_test_failure),
		    "message %u in %s: %u times, value %x UID %u, not %x UID "
		    "%u%s",
		    number, box_name(box), found->count[box][number],
		    found->cells[box][number].value,
		    found->cells[box][number].uid, w->value, w->uid,
		    m != NULL ? " (an operation was under way)" : "");
}

static inline bool
is_done(const struct effect *e)
{
	return found->cells[e->box][e->number].value == e->value;
}

/* Whole or not at all; effects that change nothing do not tell. */
static inline void
compare_whole(const struct mark *m)
{
	const struct effect *e;
	int done = -1;

	for (e = m->effects; e < m->effects + m->n; e++) {
		if (want->cells[e->box][e->number].value == e->value)
			continue;
		CHECK(done == -1 || done == is_done(e));
		done = is_done(e);
	}
}

static inline void
compare(void)
{
	const struct mark *m;

	for (unsigned box = 0; box < N_BOXES; box++)
		for (unsigned n = 0; n <= NUMBERS; n++)
			if (n != BOX_ITSELF || box >= BOXES_SHARED)
				compare_cell(box, n);
	for (m = want->under_way; m < want->under_way + ACTORS; m++) {
		if (m->what == OP_COPY || m->what == OP_RENAME ||
		    m->what == OP_DELETE)
			compare_whole(m);
		for (unsigned i = 0; m->what == OP_MOVE && i < m->n; i += 2)
			CHECK(is_done(&m->effects[i]) ==
			    is_done(&m->effects[i + 1]));
	}
}

static inline void
no_fault(void *arg, const struct mails_fault *f)
{
	(void)arg;
	if (store_test_failure[0] == '\0')
		snprintf(store_test_failure, sizeof(store_test_failure),
		    "check: %s (%s, UID %u)", f->what,
		    f->mailbox == NULL ? "" : f->mailbox, f->uid);
}

static inline void
verify_state(void)
{
	CHECK_INT(mails_check(mm, true, no_fault, NULL, NULL), 0);
	find_all();
	compare();
	for (unsigned box = 0; test_keep_s > 0 && box < BOXES_SHARED; box++)
		find_kept(box);
}

/* Who had no reply asks again, and has its message once. */
static inline void
ask_again(void)
{
	const struct mark *m;
	struct mails_target t;
	char key[16];

	for (m = want->under_way; m < want->under_way + ACTORS; m++)
		for (unsigned i = 0; m->what == OP_DELIVER && i < m->n; i++) {
			snprintf(key, sizeof(key), "K%u", m->effects[i].number);
			t = target_of(m->effects[i].box, key);
			CHECK_INT(deliver_text(m->effects[i].number, &t, 1), 0);
			want->cells[m->effects[i].box][m->effects[i].number] =
			    (struct cell){ 1, t.uid };
		}
}

/* The store goes on, and what the failure left can be removed. */
static inline void
verify_further(void)
{
	struct mails_collected collected;
	bool more = true;
	int i;

	verify_state();
	ask_again();
	CHECK(deliver_to(ALICE, "INBOX", 0, "Subject: 999999\r\n\r\nx\r\n") >=
	    (int)want->uidnext[0]);
	CHECK_INT(mails_collect(mm, -1, &collected), 0);
	for (i = 0; i < 100 && more; i++)
		CHECK_INT(store_compact(st, &more), 0);
	CHECK(i < 100);
	verify_state();
}

/* --- all rows lost besides --- */

static inline bool
is_wanted_by(const char *account, unsigned number, bool *is_found)
{
	const struct effect *e;
	bool wanted = false;

	*is_found = false;
	for (unsigned box = 0; box < N_BOXES; box++) {
		if (strcmp(box_account(box), account) != 0)
			continue;
		if (way_of(box, number, &e) != NULL)
			return false;
		wanted |= want->cells[box][number].value != 0;
		*is_found |= found->count[box][number] > 0;
	}
	return wanted;
}

/* What was answered is there, wherever; what was expunged may be. */
static inline void
verify_rebuilt(void)
{
	static const char *const accounts[] = { ALICE, BOB };
	struct mails_rebuilt out;
	bool is_found;

	is_rebuilt = true;
	CHECK_INT(mails_rebuild(mm, NULL, no_fault, NULL, &out), 0);
	CHECK_INT(out.damaged + out.unowned, 0);
	CHECK_INT(mails_check(mm, true, no_fault, NULL, NULL), 0);
	find_all();
	for (unsigned number = 1; number <= NUMBERS; number++)
		for (unsigned i = 0; i < 2; i++)
			if (is_wanted_by(accounts[i], number, &is_found))
				CHECK(is_found);
	is_rebuilt = false;
}

#endif
