/* SPDX-License-Identifier: ISC */
/*
 * What was done on one side is done on the other. Both sides tell what changed
 * since what was noted; merge.h says what is to be done; that is done there,
 * then here; and then all is noted. So a kill at any moment has it done again,
 * and each step done twice is as done once: flags are added and removed, what
 * is gone is passed over, and a message that is being moved there is known when
 * it is met in its new folder (pair_moving). Our own doings are told to us like
 * anybody's, but agree with what was noted.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/imap/set.h"
#include "gateway/imap_folders.h"
#include "gateway/strays.h"

#define NAMES_OCTETS ((size_t)4 << 20) /* of all mailboxes here */
#define STEP 100                       /* messages of one command there */
#define LOOK_MAX 5000 /* farther away nothing alike is looked for */

/* A message with something to do. */
struct merged {
	struct folder *f;
	struct here_box *box;
	struct pair pair;
	struct merge_side there;
	struct merge_plan plan;
	bool refused; /* there */
	bool partly;  /* a keyword found no room here */
	bool missed;  /* gone here, and nothing here is the same */
	/* of a move: */
	struct folder *to;
	struct here_box *to_box;
	uint32_t to_here; /* UID in it */
	unsigned char print[STATE_ID];
	bool has_print;
};

struct mirror {
	struct imap_session *s;
	struct fetch *f;
	struct arena a;
	struct here_box *boxes;
	size_t n_boxes;
	struct merged *v;
	size_t n, cap;
	bool first; /* it was not mirrored before */
	bool asked_twice;
};

/* --- which mailbox is which folder --- */

static struct here_box *
box_of(struct mirror *m, const struct folder *b)
{
	return folders_box_of(m->s, b, m->boxes, m->n_boxes);
}

static struct folder *
folder_of_box(struct mirror *m, const struct here_box *box)
{
	return folders_of_box(m->s, box, m->boxes, m->n_boxes);
}

/* --- what changed here --- */

static int
state_failed(struct mirror *m, int rc)
{
	return session_state_failed(m->s, rc);
}

int
session_cursor_get(
    struct imap_session *s, const struct here_box *box, struct pair_cursor *out)
{
	char room[12];

	return pair_cursor_get(
	    s->f->g->state, s->f->o.address, here_cursor_name(box, room), out);
}

/* Where it was left. Of a mailbox that is new all is asked for: it may be where
 * something was moved to; and at the first look, of one that is a folder there,
 * so that each message's print is known. */
static int
cursor_load(struct mirror *m, struct here_box *box)
{
	int rc = session_cursor_get(m->s, box, &box->cursor);

	if (rc == -ENOENT)
		box->cursor = (struct pair_cursor){ box->uidvalidity,
			m->first && folder_of_box(m, box) == NULL ? box->uidnext
								  : 1,
			box->modseq, UINT32_MAX };
	return rc == -ENOENT ? 0 : state_failed(m, rc);
}

static int
ask_here(struct mirror *m)
{
	struct pair_cursor c;
	int rc = pair_cursor_get(m->f->g->state, m->f->o.address, "INBOX", &c);

	m->first = rc == -ENOENT;
	rc = m->first ? 0 : state_failed(m, rc);
	for (size_t i = 0; i < m->n_boxes && rc == 0; i++) {
		rc = cursor_load(m, &m->boxes[i]);
		if (rc == 0 && here_is_behind(&m->boxes[i]))
			rc = here_changes_or_all(
			    m->f, &m->s->keywords, &m->boxes[i]);
	}
	return rc;
}

/* Once more: what has left one mailbox may have come to one that was asked
 * before. */
static int
ask_here_again(struct mirror *m)
{
	int rc = 0;

	m->asked_twice = true;
	for (size_t i = 0; i < m->n_boxes && rc == 0; i++)
		rc = here_changes_or_all(m->f, &m->s->keywords, &m->boxes[i]);
	return rc;
}

/* --- putting both sides together --- */

/* What became here of a message that is a pair. */
struct local {
	struct pair pair;
	const struct here_change *change;
	size_t order;
};

struct locals {
	struct local *v;
	size_t n;
};

static int
local_cmp(const void *a, const void *b)
{
	const struct local *x = a, *y = b;

	if (x->pair.there != y->pair.there)
		return x->pair.there < y->pair.there ? -1 : 1;
	return (x->order > y->order) - (x->order < y->order);
}

/* Those of the mailbox that belong to this folder; the last word counts. */
static int
locals_of(struct mirror *m, const struct folder *f, struct here_box *box,
    struct locals *out)
{
	struct pair pair;
	size_t kept = 0;
	int rc;

	*out = (struct locals){ .v = calloc(box->n + 1, sizeof(*out->v)) };
	if (out->v == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < box->n; i++) {
		rc = pair_find(m->f->g->state, m->f->o.address, &f->id,
		    box->v[i].uid, &pair);
		if (rc == -ENOENT)
			continue;
		if (rc != 0)
			return state_failed(m, rc);
		box->v[i].taken = true;
		out->v[out->n] = (struct local){ pair, &box->v[i], out->n };
		out->n++;
	}
	if (out->n > 0)
		qsort(out->v, out->n, sizeof(*out->v), local_cmp);
	for (size_t i = 0; i < out->n; i++) {
		if (kept > 0 &&
		    out->v[kept - 1].pair.there == out->v[i].pair.there)
			kept--;
		out->v[kept++] = out->v[i];
	}
	out->n = kept;
	return 0;
}

static struct merged *
merged_add(struct mirror *m)
{
	size_t cap = m->cap == 0 ? 64 : m->cap * 2;
	struct merged *v;

	if (m->n == m->cap) {
		if ((v = reallocarray(m->v, cap, sizeof(*v))) == NULL)
			return NULL;
		m->v = v;
		m->cap = cap;
	}
	m->v[m->n] = (struct merged){ .f = NULL };
	return &m->v[m->n++];
}

static int
merge_one(struct mirror *m, struct folder *f, struct here_box *box,
    const struct there_change *t, const struct local *l)
{
	struct merged *one = merged_add(m);
	struct merge_side here = { MERGE_SAME, { 0 } };

	if (one == NULL)
		return -ENOMEM;
	one->f = f;
	one->box = box;
	one->pair = t != NULL ? t->pair : l->pair;
	if (t != NULL) {
		one->there.what = t->gone ? MERGE_GONE : MERGE_FLAGS;
		one->there.flags = t->flags;
	}
	if (l != NULL && l->change->gone) {
		here.what = MERGE_GONE;
	} else if (l != NULL) {
		here.what = MERGE_FLAGS;
		here.flags = l->change->flags;
		/* The first word of it: keywords that it came with may have
		 * found no room here, which is nobody's wish. */
		if (one->pair.print == 0)
			one->pair.agreed.keywords &= here.flags.keywords;
		one->pair.print = l->change->print;
	}
	merge(m->f->o.sync, &one->pair.agreed, &one->there, &here, &one->plan);
	return 0;
}

/* UIDs of the mailbox that was here before mean nothing in this one. */
static int
forget_folder(struct mirror *m, struct folder *f, const struct here_box *box)
{
	log_warning("the mailbox here is another one: what is there stays",
	    "outside=%s mailbox=%s", log_qs(m->f->o.address),
	    log_qs(box->name));
	f->next.here = 0;
	f->looked = true;
	return state_failed(
	    m, pairs_forget(m->f->g->state, m->f->o.address, &f->id));
}

/* Nothing has come from it yet, but what is moved there makes pairs as well.
 * Noted at once, for these are noted before the look ends. */
static int
adopt_box(struct mirror *m, struct folder *f, const struct here_box *box)
{
	struct state *state = m->f->g->state;
	const char *address = m->f->o.address;
	struct state_folder noted;
	int rc = state_folder_get(state, address, f->id.id, &noted);

	noted.here = f->next.here = box->uidvalidity;
	if (rc == 0)
		rc = state_folder_put(state, address, f->id.id, &noted);
	return state_failed(m, rc);
}

/* The mailbox was deleted here, and so were they, or they were moved before. */
static int
locals_gone(struct mirror *m, const struct folder *f, struct locals *out)
{
	static const struct here_change gone = { .gone = true };
	struct pair *v;
	size_t n;
	int rc = pairs_range(m->f->g->state, m->f->o.address, &f->id, 1,
	    UINT32_MAX, SIZE_MAX, &v, &n);

	if (rc != 0)
		return state_failed(m, rc);
	*out = (struct locals){ .v = calloc(n + 1, sizeof(*out->v)) };
	for (size_t i = 0; i < n && out->v != NULL; i++)
		out->v[out->n++] = (struct local){ v[i], &gone, i };
	free(v);
	return out->v == NULL ? -ENOMEM : 0;
}

/* What is here belongs to the folder: 1; 0: there is none (any more). */
static int
is_mirrored(struct mirror *m, struct folder *f, const struct here_box *box)
{
	int rc = 0;

	if (f->orphan)
		return 1;
	if (box == NULL)
		return 0;
	if (f->next.here == 0 && m->f->o.sync == OUTSIDE_MIRROR)
		rc = adopt_box(m, f, box);
	if (rc == 0 && f->next.here != 0 && f->next.here != box->uidvalidity)
		return forget_folder(m, f, box);
	return rc == 0 ? f->next.here != 0 : rc;
}

/* Both are sorted by the UID there. */
static int
merge_folder(struct mirror *m, struct folder *f)
{
	struct here_box *box = f->orphan ? NULL : box_of(m, f);
	struct locals ls = { .v = NULL };
	size_t i = 0, k = 0;
	int rc = is_mirrored(m, f, box);

	if (rc <= 0)
		return rc;
	rc = 0;
	if (f->orphan)
		rc = locals_gone(m, f, &ls);
	else if (m->f->o.sync == OUTSIDE_MIRROR)
		rc = locals_of(m, f, box, &ls);
	while (rc == 0 && (i < f->n || k < ls.n)) {
		bool t = i < f->n &&
		    (k == ls.n || f->v[i].pair.there <= ls.v[k].pair.there);
		bool l = k < ls.n &&
		    (i == f->n || ls.v[k].pair.there <= f->v[i].pair.there);

		rc = merge_one(
		    m, f, box, t ? &f->v[i] : NULL, l ? &ls.v[k] : NULL);
		i += t;
		k += l;
	}
	free(ls.v);
	return rc;
}

/* --- moves --- */

/* Gone from its mailbox here, and now in that one. */
static int
plan_move(struct mirror *m, struct merged *one, const struct stray *to)
{
	struct merge_side here = { MERGE_MOVED, to->change->flags };
	int rc;

	one->to = folder_of_box(m, to->box);
	if (one->to == NULL &&
	    (rc = folders_needed(
		 m->s, to->box, m->boxes, m->n_boxes, &one->to)) != 0)
		return rc;
	one->to_box = to->box;
	one->to_here = to->change->uid;
	if (one->to == NULL || one->to == one->f) {
		/* There is no such folder there: it stays where it is. */
		log_info("moved to a mailbox that is not there",
		    "outside=%s mailbox=%s", log_qs(m->f->o.address),
		    log_qs(to->box->name));
		one->plan = (struct merge_plan){ .drop = true };
		return 0;
	}
	merge(
	    OUTSIDE_MIRROR, &one->pair.agreed, &one->there, &here, &one->plan);
	return 0;
}

static bool
is_unexplained(const struct merged *one)
{
	return one->plan.there_gone && one->to == NULL;
}

static bool
is_alone(const struct mirror *m, const struct merged *one)
{
	size_t alike = 0;

	for (size_t i = 0; i < m->n; i++)
		alike += m->v[i].missed &&
		    print_like(m->v[i].pair.print) ==
			print_like(one->pair.print);
	return alike == 1;
}

/* Where it was sealed anew: the only one alike is it, if nothing else that has
 * gone may be that. Else it is not known, and it stays where it is. */
static int
plan_like(struct mirror *m, struct merged *one, const struct stray *v, size_t n)
{
	const struct stray *only;
	size_t alike = strays_like(v, n, print_like(one->pair.print), &only);

	if (alike == 0)
		return 0;
	if (alike > 1 || !is_alone(m, one)) {
		one->plan = (struct merge_plan){ .drop = true };
		return 0;
	}
	only->change->taken = true;
	return plan_move(m, one, only);
}

static int
find_moves(struct mirror *m)
{
	const struct stray *to;
	struct stray *v;
	size_t n;
	int rc = strays_find(m->boxes, m->n_boxes, &v, &n);

	for (size_t i = 0; i < m->n && rc == 0; i++) {
		struct merged *one = &m->v[i];

		if (!is_unexplained(one))
			continue;
		/* One that was never told of may be any of these. */
		if (one->pair.print == 0 && n > 0)
			one->plan = (struct merge_plan){ .drop = true };
		else if (n > 0 &&
		    (to = stray_take(v, n, one->pair.print)) != NULL)
			rc = plan_move(m, one, to);
	}
	for (size_t i = 0; i < m->n; i++)
		m->v[i].missed = is_unexplained(&m->v[i]);
	for (size_t i = 0; i < m->n && rc == 0 && n > 0; i++)
		if (m->v[i].missed)
			rc = plan_like(m, &m->v[i], v, n);
	free(v);
	return rc;
}

static bool
any_unexplained(const struct mirror *m)
{
	for (size_t i = 0; i < m->n; i++)
		if (is_unexplained(&m->v[i]))
			return true;
	return false;
}

static int
merge_folders(struct mirror *m)
{
	struct imap_session *s = m->s;
	int rc = 0;

	m->n = 0;
	for (size_t i = 0; i < m->n_boxes; i++)
		for (size_t k = 0; k < m->boxes[i].n; k++)
			m->boxes[i].v[k].taken = false;
	for (size_t i = 0; i < s->n && rc == 0; i++)
		if (session_wants(s, &s->folders[i]))
			rc = merge_folder(m, &s->folders[i]);
	return rc;
}

static int
merge_all(struct mirror *m)
{
	int rc = merge_folders(m);

	if (rc == 0 && any_unexplained(m) && !m->asked_twice &&
	    (rc = ask_here_again(m)) == 0)
		rc = merge_folders(m);
	if (rc == 0 && any_unexplained(m))
		rc = find_moves(m);
	/* Where not all could be looked at, nothing is known to be gone. */
	for (size_t i = 0; i < m->n_boxes && rc == 0; i++)
		for (size_t k = 0; m->boxes[i].cut && k < m->n; k++)
			if (is_unexplained(&m->v[k]))
				m->v[k].plan =
				    (struct merge_plan){ .drop = true };
	return rc;
}

/* --- doing it there --- */

/* Messages of one folder to which the same is to be done. */
struct group {
	struct merged *of[STEP];
	size_t n;
};

static void
group_set(const struct group *g, struct buf *out)
{
	uint32_t uids[STEP];

	buf_reset(out);
	for (size_t i = 0; i < g->n; i++)
		uids[i] = g->of[i]->pair.there;
	imap_set_put(out, uids, g->n);
}

static void
group_refused(struct mirror *m, struct group *g)
{
	log_info("not done there", "outside=%s said=\"%s\"",
	    log_qs(m->f->o.address), imap_client_said(m->s->c));
	for (size_t i = 0; i < g->n; i++)
		g->of[i]->refused = true;
}

/* What the folder takes of these flags. */
static struct merge_flags
permitted(const struct imap_session *s, const struct merge_flags *f)
{
	struct merge_flags out = { f->system & s->permanent.system,
		f->keywords };

	if (!s->keywords_any)
		out.keywords &= s->permanent.keywords;
	return out;
}

static int
store_there(struct mirror *m, struct group *g, const char *how,
    const struct merge_flags *wanted)
{
	struct merge_flags f = permitted(m->s, wanted);
	struct buf set = BUF_INIT, flags = BUF_INIT;
	int rc = 0;

	if (!merge_flags_eq(&f, wanted))
		for (size_t i = 0; i < g->n; i++)
			g->of[i]->refused = true;
	group_set(g, &set);
	pair_flags_put(&m->s->keywords, &f, &flags);
	if (flags.n > 0) {
		buf_truncate(&flags, flags.n - 1);
		rc = imap_client_run(m->s->c, NULL,
		    "UID STORE %s %sFLAGS.SILENT (%s)", buf_str(&set), how,
		    buf_str(&flags));
	}
	if (rc == IMAP_REFUSED)
		group_refused(m, g);
	buf_clear(&set);
	buf_clear(&flags);
	return rc < 0 ? rc : 0;
}

/* They are missed by nobody at the next look. */
static void
went(struct group *g)
{
	struct folder *f = g->of[0]->f;

	f->next.messages -=
	    g->n < f->next.messages ? (uint32_t)g->n : f->next.messages;
	f->looked = true;
}

static int
delete_there(struct mirror *m, struct group *g)
{
	struct buf set = BUF_INIT;
	int rc;

	group_set(g, &set);
	rc = imap_client_run(m->s->c, NULL,
	    "UID STORE %s +FLAGS.SILENT (\\Deleted)", buf_str(&set));
	/* Without UIDPLUS others' would go as well (RFC 4315 2.1). */
	if (rc == 0 && imap_client_has(m->s->c, "UIDPLUS"))
		rc = imap_client_run(
		    m->s->c, NULL, "UID EXPUNGE %s", buf_str(&set));
	if (rc == IMAP_REFUSED)
		group_refused(m, g);
	else if (rc == 0)
		went(g);
	buf_clear(&set);
	return rc < 0 ? rc : 0;
}

/* --- moving there --- */

static void
note_print(void *arg, uint32_t uid, const unsigned char *id)
{
	struct group *g = arg;

	for (size_t i = 0; i < g->n; i++)
		if (g->of[i]->pair.there == uid) {
			memcpy(g->of[i]->print, id, STATE_ID);
			g->of[i]->has_print = true;
		}
}

static struct pair
pair_moved(const struct merged *one)
{
	struct pair p = one->pair;

	p.here = one->to_here;
	p.there = 0;
	p.agreed = one->refused ? one->plan.agreed_refused : one->plan.agreed;
	return p;
}

/* Before it is done: so that it is known where it is met. Those that cannot be
 * known stay where they are. */
static int
moves_announce(struct mirror *m, struct group *g)
{
	struct imap_session *s = m->s;
	uint32_t uids[STEP];
	size_t kept = 0;
	int rc;

	for (size_t i = 0; i < g->n; i++)
		uids[i] = g->of[i]->pair.there;
	if ((rc = follow_prints(s, uids, g->n, note_print, g)) < 0)
		return rc;
	for (size_t i = 0; i < g->n; i++) {
		struct merged *one = g->of[i];
		struct pair_moving moving = { .pair = pair_moved(one) };

		if (!one->has_print)
			continue; /* it is not there any more */
		g->of[kept++] = one;
		memcpy(moving.id, one->print, STATE_ID);
		if (session_wants(s, one->to))
			pairs_moving_put(&s->pairs, &one->to->id, &moving);
	}
	g->n = kept;
	return session_state_failed(s, pairs_flush(&s->pairs));
}

/* Where the server says it (RFC 4315): each is paired at once. */
static void
moves_told(struct mirror *m, struct group *g)
{
	struct imap_session *s = m->s;
	uint32_t from[STEP], to[STEP], uidvalidity;
	size_t n = imap_code_copyuid(
	    imap_client_code(s->c), &uidvalidity, from, to, STEP);

	for (size_t i = 0; i < g->n; i++) {
		struct merged *one = g->of[i];
		struct pair p = pair_moved(one);

		for (size_t k = 0; k < n; k++)
			if (from[k] == one->pair.there)
				p.there = to[k];
		if (p.there == 0 || !session_wants(s, one->to) ||
		    (one->to->has_status &&
			one->to->uidvalidity != uidvalidity))
			continue;
		pairs_put(&s->pairs, &one->to->id, &p);
		pairs_moving_drop(&s->pairs, &one->to->id, one->print);
	}
}

struct move {
	struct mirror *m;
	struct group *g;
};

/* MOVE may say it in an untagged OK (RFC 6851 4.3). */
static int
on_moved(void *arg, const struct imap_response *r)
{
	struct move *v = arg;
	struct imap_session *s = v->m->s;
	uint32_t from[STEP], to[STEP], uidvalidity;
	size_t n = r->kind != IMAP_OK
	    ? 0
	    : imap_code_copyuid(r->code, &uidvalidity, from, to, STEP);

	for (size_t i = 0; i < v->g->n; i++)
		for (size_t k = 0; k < n; k++) {
			struct merged *one = v->g->of[i];
			struct pair p = pair_moved(one);

			if (from[k] != one->pair.there ||
			    !session_wants(s, one->to))
				continue;
			p.there = to[k];
			pairs_put(&s->pairs, &one->to->id, &p);
			pairs_moving_drop(&s->pairs, &one->to->id, one->print);
		}
	return 0;
}

static void
moves_refused(struct mirror *m, struct group *g)
{
	group_refused(m, g);
	for (size_t i = 0; i < g->n; i++)
		pairs_moving_drop(
		    &m->s->pairs, &g->of[i]->to->id, g->of[i]->print);
}

static int
move_there(struct mirror *m, struct group *g)
{
	struct move arg = { m, g };
	const struct imap_handler h = { .untagged = on_moved, .arg = &arg };
	struct imap_session *s = m->s;
	struct buf set = BUF_INIT, name = BUF_INIT;
	bool moves = imap_client_has(s->c, "MOVE");
	int rc = moves_announce(m, g);

	if (rc == 0 && g->n > 0 && imap_put_quoted(&name, g->of[0]->to->raw)) {
		group_set(g, &set);
		rc = imap_client_run(s->c, &h, "UID %s %s %s",
		    moves ? "MOVE" : "COPY", buf_str(&set), buf_str(&name));
		if (rc == 0)
			moves_told(m, g);
		if (rc == 0 && moves)
			went(g);
		if (rc == 0 && !moves)
			rc = delete_there(m, g);
		if (rc == IMAP_REFUSED)
			moves_refused(m, g);
	}
	buf_clear(&set);
	buf_clear(&name);
	return rc < 0 ? rc : 0;
}

/* --- in groups --- */

enum deed { ADD_THERE, REMOVE_THERE, MOVE_THERE, DELETE_THERE, DEEDS };

static bool
has_deed(const struct merged *one, enum deed d)
{
	switch (d) {
	case ADD_THERE:
		return merge_flags_any(&one->plan.there_add);
	case REMOVE_THERE:
		return merge_flags_any(&one->plan.there_remove);
	case MOVE_THERE:
		return one->plan.there_move;
	default:
		return one->plan.there_gone;
	}
}

static bool
is_alike(const struct merged *a, const struct merged *b, enum deed d)
{
	return a->f == b->f && has_deed(b, d) &&
	    (d == ADD_THERE
		    ? merge_flags_eq(&a->plan.there_add, &b->plan.there_add)
		    : d == REMOVE_THERE ? merge_flags_eq(&a->plan.there_remove,
					      &b->plan.there_remove)
		    : d == MOVE_THERE   ? a->to == b->to
					: true);
}

static int
do_there(struct mirror *m, struct group *g, enum deed d)
{
	switch (d) {
	case ADD_THERE:
		return store_there(m, g, "+", &g->of[0]->plan.there_add);
	case REMOVE_THERE:
		return store_there(m, g, "-", &g->of[0]->plan.there_remove);
	case MOVE_THERE:
		return move_there(m, g);
	default:
		return delete_there(m, g);
	}
}

/* All of one kind in m->v[at .. end), which are of one folder. */
static int
deeds_of(struct mirror *m, size_t at, size_t end, enum deed d)
{
	bool *done = calloc(end - at + 1, sizeof(*done));
	struct group g;
	int rc = done == NULL ? -ENOMEM : 0;

	for (size_t i = at; i < end && rc == 0; i++) {
		if (done[i - at] || !has_deed(&m->v[i], d))
			continue;
		g.n = 0;
		for (size_t k = i; k < end && k < i + LOOK_MAX && g.n < STEP;
		     k++)
			if (!done[k - at] && is_alike(&m->v[i], &m->v[k], d)) {
				done[k - at] = true;
				g.of[g.n++] = &m->v[k];
			}
		rc = do_there(m, &g, d);
	}
	free(done);
	return rc;
}

static bool
any_there(const struct mirror *m, size_t at, size_t end)
{
	for (size_t i = at; i < end; i++)
		for (int d = 0; d < DEEDS; d++)
			if (has_deed(&m->v[i], (enum deed)d))
				return true;
	return false;
}

/* --- doing it here --- */

static const struct merge_flags *
flags_here(const struct merged *one, enum here_op op)
{
	return op == HERE_ADD ? &one->plan.here_add : &one->plan.here_remove;
}

static bool
has_here(const struct merged *one, enum here_op op)
{
	return op == HERE_GONE ? one->plan.here_gone
			       : merge_flags_any(flags_here(one, op));
}

/* Where the message is, after a move. */
static struct here_box *
box_now(const struct merged *one)
{
	return one->to != NULL ? one->to_box : one->box;
}

static int
here_group(struct mirror *m, struct group *g, enum here_op op)
{
	struct buf flags = BUF_INIT;
	uint32_t uids[STEP];
	bool some;
	int rc;

	for (size_t i = 0; i < g->n; i++)
		uids[i] = g->of[i]->to != NULL ? g->of[i]->to_here
					       : g->of[i]->pair.here;
	if (op != HERE_GONE)
		pair_flags_put(
		    &m->s->keywords, flags_here(g->of[0], op), &flags);
	rc = here_apply(
	    m->f, box_now(g->of[0]), op, uids, g->n, buf_slice(&flags), &some);
	for (size_t i = 0; rc == 0 && some && i < g->n; i++)
		g->of[i]->partly = true;
	buf_clear(&flags);
	return rc == 0 ? 0 : (m->s->rc = rc);
}

static int
deeds_here(struct mirror *m, size_t at, size_t end, enum here_op op)
{
	bool *done = calloc(end - at + 1, sizeof(*done));
	struct group g;
	int rc = done == NULL ? -ENOMEM : 0;

	for (size_t i = at; i < end && rc == 0; i++) {
		if (done[i - at] || !has_here(&m->v[i], op))
			continue;
		g.n = 0;
		for (size_t k = i; k < end && k < i + LOOK_MAX && g.n < STEP;
		     k++)
			if (!done[k - at] && has_here(&m->v[k], op) &&
			    box_now(&m->v[k]) == box_now(&m->v[i]) &&
			    (op == HERE_GONE ||
				merge_flags_eq(flags_here(&m->v[i], op),
				    flags_here(&m->v[k], op)))) {
				done[k - at] = true;
				g.of[g.n++] = &m->v[k];
			}
		rc = here_group(m, &g, op);
	}
	free(done);
	return rc;
}

/* --- noting it --- */

static void
note_pair(struct mirror *m, const struct merged *one)
{
	struct pair p = one->pair;

	if (one->plan.drop) {
		pairs_drop(&m->s->pairs, &one->f->id, &p);
		return;
	}
	p.agreed = one->refused ? one->plan.agreed_refused : one->plan.agreed;
	if (one->partly)
		p.agreed.keywords &= ~one->plan.here_add.keywords;
	pairs_put(&m->s->pairs, &one->f->id, &p);
}

/* Messages of one folder. */
static int
do_folder(struct mirror *m, size_t at, size_t end)
{
	struct imap_session *s = m->s;
	struct folder *f = m->v[at].f;
	int rc = 0;

	if (any_there(m, at, end)) {
		rc = session_select(s, f, true, "");
		if (rc < 0)
			return rc;
		for (int d = 0; d < DEEDS && rc == 0 &&
		     s->uidvalidity == f->next.uidvalidity;
		     d++)
			rc = deeds_of(m, at, end, (enum deed)d);
		if (rc == IMAP_REFUSED)
			for (size_t i = at; i < end; i++)
				m->v[i].refused = true;
	}
	for (int op = HERE_ADD; op <= HERE_GONE && rc >= 0; op++)
		rc = deeds_here(m, at, end, (enum here_op)op);
	if (rc < 0)
		return rc;
	for (size_t i = at; i < end; i++)
		note_pair(m, &m->v[i]);
	rc = pair_keywords_save(m->f->g->state, m->f->o.address, &s->keywords);
	if (rc == 0)
		rc = pairs_flush(&s->pairs);
	return session_state_failed(s, rc);
}

static int
do_all(struct mirror *m)
{
	size_t end;
	int rc = 0;

	for (size_t at = 0; at < m->n && rc == 0; at = end) {
		for (end = at; end < m->n && m->v[end].f == m->v[at].f;)
			end++;
		rc = do_folder(m, at, end);
	}
	return rc;
}

/* All has been done: what comes now is new. */
static int
note_all(struct mirror *m)
{
	struct imap_session *s = m->s;
	struct fetch *f = m->f;
	struct pair_cursor was;
	char room[12];
	int rc = pairs_flush(&s->pairs);

	for (size_t i = 0; i < s->n && rc == 0; i++)
		if (s->folders[i].looked)
			rc = state_folder_put(f->g->state, f->o.address,
			    s->folders[i].id.id, &s->folders[i].next);
	for (size_t i = 0;
	     i < m->n_boxes && rc == 0 && f->o.sync == OUTSIDE_MIRROR; i++) {
		const struct here_box *box = &m->boxes[i];

		rc = session_cursor_get(s, box, &was);
		if (rc == -ENOENT ||
		    (rc == 0 && !pair_cursor_eq(&was, &box->cursor)))
			rc = pair_cursor_put(f->g->state, f->o.address,
			    here_cursor_name(box, room), &box->cursor);
	}
	return session_state_failed(s, rc);
}

/* --- all --- */

#define FNV_1A 14695981039346656037u

static uint64_t
mix(uint64_t h, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		h = (h ^ (v >> (8 * i) & 0xff)) * 1099511628211u;
	return h;
}

static uint64_t
mix_name(uint64_t h, const char *name)
{
	for (; *name != '\0'; name++)
		h = mix(h, (unsigned char)*name);
	return h;
}

static bool
any_changes(const struct imap_session *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->folders[i].n > 0)
			return true;
	return false;
}

/* It was mirrored before: what is done here until it is again, is not. */
static int
cursors_end(struct imap_session *s)
{
	struct fetch *f = s->f;
	struct pair_cursor c;
	int rc = pair_cursor_get(f->g->state, f->o.address, "INBOX", &c);

	if (rc == 0 && (rc = folders_forget(s)) == 0)
		rc = pair_cursors_forget(f->g->state, f->o.address);
	return session_state_failed(s, rc == -ENOENT ? 0 : rc);
}

static void
mirror_clear(struct mirror *m)
{
	for (size_t i = 0; i < m->n_boxes; i++)
		here_box_clear(&m->boxes[i]);
	arena_reset(&m->a);
	free(m->v);
}

/* For those that are to be made there meanwhile: all point to these. */
static int
room_for_folders(struct imap_session *s, size_t n)
{
	struct folder *v;

	if (s->cap - s->n >= n)
		return 0;
	if ((v = reallocarray(s->folders, s->n + n, sizeof(*v))) == NULL)
		return s->rc = -ENOMEM;
	s->folder = NULL;
	s->folders = v;
	s->cap = s->n + n;
	return 0;
}

int
mirror_all(struct imap_session *s)
{
	struct mirror m = {
		.s = s, .f = s->f, .a = ARENA_INIT_MAX(NAMES_OCTETS)
	};
	bool both = s->f->o.sync == OUTSIDE_MIRROR;
	int rc = 0;

	if (both || any_changes(s))
		rc = here_boxes(s->f, &m.a, &m.boxes, &m.n_boxes);
	if (rc == 0)
		rc = room_for_folders(s, m.n_boxes);
	if (rc == 0 && both)
		rc = ask_here(&m);
	else if (rc == 0)
		rc = cursors_end(s);
	if (rc == 0)
		rc = merge_all(&m);
	if (rc == 0)
		rc = do_all(&m);
	if (rc == 0)
		rc = note_all(&m);
	if (rc == 0)
		rc = folders_end(s);
	s->here_print = FNV_1A;
	for (size_t i = 0; i < m.n_boxes; i++)
		s->here_print =
		    mix(mix(mix(mix_name(s->here_print, m.boxes[i].name),
				m.boxes[i].cursor.uidvalidity),
			    m.boxes[i].cursor.uid),
			m.boxes[i].cursor.modseq);
	mirror_clear(&m);
	return rc;
}

int
mirror_is_due(struct imap_session *s)
{
	struct arena a = ARENA_INIT_MAX(NAMES_OCTETS);
	struct here_box *v = NULL;
	uint64_t print = FNV_1A;
	size_t n = 0;
	int rc = here_boxes(s->f, &a, &v, &n);

	for (size_t i = 0; i < n; i++)
		print =
		    mix(mix(mix(mix_name(print, v[i].name), v[i].uidvalidity),
			    v[i].uidnext),
			v[i].modseq);
	arena_reset(&a);
	return rc < 0 ? rc : print != s->here_print;
}

/* --- what has been here for long --- */

/* First it is no pair any more, so that its end there is none here. */
static int
doom_old(struct imap_session *s, struct folder *b)
{
	struct fetch *f = s->f;
	int64_t before_s = clock_wall_s() - f->o.delete_days * 86400;
	struct pair *v;
	size_t n;
	int rc = pairs_range(
	    f->g->state, f->o.address, &b->id, 1, UINT32_MAX, SIZE_MAX, &v, &n);

	for (size_t i = 0; i < n && rc == 0; i++)
		if (v[i].first_s <= before_s)
			pairs_doom(&s->pairs, &b->id, &v[i]);
	free(v);
	return session_state_failed(s, rc != 0 ? rc : pairs_flush(&s->pairs));
}

static int
delete_doomed(
    struct imap_session *s, struct folder *b, const uint32_t *uids, size_t n)
{
	struct buf set = BUF_INIT;
	int rc;

	imap_set_put(&set, uids, n);
	rc = imap_client_run(s->c, NULL,
	    "UID STORE %s +FLAGS.SILENT (\\Deleted)", buf_str(&set));
	if (rc == 0)
		rc = imap_client_run(
		    s->c, NULL, "UID EXPUNGE %s", buf_str(&set));
	buf_clear(&set);
	if (rc == IMAP_REFUSED)
		log_warning("not deleted there", "folder=%s said=\"%s\"",
		    log_q(b->name), imap_client_said(s->c));
	for (size_t i = 0; i < n && rc == 0; i++)
		pairs_undoom(&s->pairs, &b->id, uids[i]);
	if (rc == 0)
		rc = session_state_failed(s, pairs_flush(&s->pairs));
	return rc;
}

int
mirror_delete_old(struct imap_session *s, struct folder *b)
{
	struct fetch *f = s->f;
	uint32_t *uids;
	size_t n, step;
	int rc;

	if (!imap_client_has(s->c, "UIDPLUS")) {
		log_warning("nothing is deleted there: it has no UIDPLUS",
		    "outside=%s", log_qs(f->o.address));
		return 0;
	}
	if ((rc = doom_old(s, b)) != 0)
		return rc;
	rc = pairs_doomed(
	    f->g->state, f->o.address, &b->id, SIZE_MAX, &uids, &n);
	if (rc != 0)
		return session_state_failed(s, rc);
	if (n > 0)
		rc = session_select(s, b, true, "");
	for (size_t at = 0; at < n && rc == 0; at += step) {
		step = n - at < STEP ? n - at : STEP;
		rc = delete_doomed(s, b, uids + at, step);
	}
	free(uids);
	return rc < 0 ? rc : 0;
}
