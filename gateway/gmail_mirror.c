/* SPDX-License-Identifier: ISC */
/*
 * What changed in messages that are there and here, done on the other side, or
 * (OUTSIDE_FOLLOW) flags only, and only here. merge.h says what is to be done; that
 * is done there, then here, and then noted, in steps of STEP messages. A kill at
 * any moment has it done again, and each step done twice is as done once: labels
 * are added and removed, an id there stays the same for ever, and a message that
 * was moved here is known again by its print. Our own doings are told to us like
 * anybody's, but agree with what was noted.
 *
 * Nothing is ever deleted there for good: what is expunged here goes to TRASH.
 */
#include <errno.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "gateway/fetch_gmail.h"
#include "gateway/merge.h"
#include "gateway/strays.h"

#define STEP 1000 /* batchModify's most */
#define BOXES_OCTETS ((size_t)4 << 20)
#define FLAGS_OCTETS ((size_t)16 << 10)
/* More than that at once is not believed: see docs/gateway.md. */
#define MASS_MIN 10
#define MASS_EMPTY 3

struct box {
	struct here_box *b;
	struct pair_keywords k;
	bool doubtful; /* another one has the same UIDVALIDITY */
};

/* A message with something to do. */
struct one {
	struct gmail_row row;
	struct box *box; /* where it is, NULL: that is not here any more */
	/* what is said: */
	const json_t *there;
	bool there_told; /* by that, or it was asked for */
	bool there_gone;
	bool here_changed, here_gone_already;
	bool missed;              /* it is not known where it went */
	struct merge_flags flags; /* bits of the mailbox it is in */
	struct box *to;           /* it was moved there */
	uint32_t to_uid;
	/* what is to be done: */
	struct buf flags_text; /* of the row, where they were put right */
	struct buf labels;     /* as they are there */
	struct buf agreed, agreed_refused, agreed_partly;
	struct buf here_add, here_remove;
	struct gmail_edit edit;
	struct slice use, mailbox; /* where it goes here */
	bool here_move, here_gone, drop;
	/* and what came of it: */
	bool refused, partly;
	uint32_t moved_uidvalidity, moved_uid;
	/* by what those are found that go together: */
	const void *k_box;
	struct slice k_a, k_b;
};

struct mirror {
	struct gmail_session *s;
	struct fetch *f;
	json_t *labels, *gone;
	bool both; /* what changed here counts, too */
	struct arena a;
	struct box *boxes;
	struct here_box *here;
	size_t n_boxes;
	struct one **v;
	size_t n, cap;
	bool first; /* it was not mirrored before */
	bool asked_twice, asked;
};

static int
state_failed(struct mirror *m, int rc)
{
	if (rc != 0)
		fetch_fail(m->f, FETCH_RETRY, "our state: %s", strerror(-rc));
	return rc;
}

static void
one_free(struct one *o)
{
	buf_clear(&o->row.text);
	buf_clear(&o->flags_text);
	buf_clear(&o->labels);
	buf_clear(&o->agreed);
	buf_clear(&o->agreed_refused);
	buf_clear(&o->agreed_partly);
	buf_clear(&o->here_add);
	buf_clear(&o->here_remove);
	gmail_edit_clear(&o->edit);
	free(o);
}

static void
ones_clear(struct mirror *m)
{
	for (size_t i = 0; i < m->n; i++)
		one_free(m->v[i]);
	m->n = 0;
}

/* With this row, which is taken over. */
static struct one *
one_add(struct mirror *m, struct gmail_row *row)
{
	size_t cap = m->cap == 0 ? 64 : m->cap * 2;
	struct one **v, *o = calloc(1, sizeof(*o));

	if (o != NULL && m->n == m->cap) {
		if ((v = reallocarray(m->v, cap, sizeof(*v))) != NULL) {
			m->v = v;
			m->cap = cap;
		} else {
			free(o);
			o = NULL;
		}
	}
	if (o == NULL) {
		buf_clear(&row->text);
		return NULL;
	}
	o->row = *row;
	m->v[m->n++] = o;
	return o;
}

/* --- mailboxes here --- */

static int
boxes_load(struct mirror *m)
{
	int rc;

	m->a = ARENA_INIT_MAX(BOXES_OCTETS);
	rc = here_boxes(m->f, &m->a, &m->here, &m->n_boxes);
	if (rc == 0 &&
	    (m->boxes = calloc(m->n_boxes + 1, sizeof(*m->boxes))) == NULL)
		rc = -ENOMEM;
	for (size_t i = 0; i < m->n_boxes && rc == 0; i++) {
		m->boxes[i].b = &m->here[i];
		for (size_t k = 0; k < i; k++)
			if (m->here[k].uidvalidity == m->here[i].uidvalidity)
				m->boxes[i].doubtful = m->boxes[k].doubtful =
				    true;
	}
	return rc;
}

static struct box *
box_with(struct mirror *m, uint32_t uidvalidity)
{
	for (size_t i = 0; i < m->n_boxes; i++)
		if (m->here[i].uidvalidity == uidvalidity &&
		    !m->boxes[i].doubtful)
			return &m->boxes[i];
	return NULL;
}

/* The mailbox that a place is here; NULL: there is none yet. */
static struct here_box *
box_of_place(struct mirror *m, struct slice use, struct slice mailbox)
{
	struct buf room = BUF_INIT_MAX(4000);
	struct slice name = gmail_session_mailbox(m->s, mailbox, &room);
	struct here_box *found = NULL;

	for (size_t i = 0; i < m->n_boxes && *m->f->o.into == '\0'; i++)
		if (use.n > 0 && slice_eq_str(use, m->here[i].use))
			found = &m->here[i];
	for (size_t i = 0; i < m->n_boxes && found == NULL; i++)
		if (slice_eq_str(name, m->here[i].name))
			found = &m->here[i];
	buf_clear(&room);
	return found;
}

/* The other way round: what a mailbox is there. False: it is none of theirs, and
 * in it is what was archived. */
static bool
place_of_box(struct mirror *m, const struct here_box *b, struct slice *use,
    struct slice *name)
{
	static const char *const uses[] = { "Trash", "Junk", "Drafts", "Sent",
		"Archive" };
	struct slice into = slice_str(m->f->o.into);

	*use = SLICE_EMPTY;
	*name = slice_str(b->name);
	if (into.n > 0) {
		if (slice_eq(*name, into)) {
			*name = SLICE_LIT("INBOX");
			return true;
		}
		if (name->n <= into.n + 1 ||
		    !slice_eq(slice_head(*name, into.n), into) ||
		    name->p[into.n] != '/')
			return false;
		*name = slice_from(*name, into.n + 1);
	}
	for (size_t i = 0; i < sizeof(uses) / sizeof(uses[0]); i++)
		if ((into.n == 0 && strcmp(b->use, uses[i]) == 0) ||
		    slice_eq_str(*name, uses[i])) {
			*use = *name = slice_str(uses[i]);
			return true;
		}
	return slice_eq_str(*name, "INBOX") ||
	    m->f->o.labels == OUTSIDE_LABELS_FOLDERS;
}

/* --- what changed here --- */

static int
cursor_load(struct mirror *m, struct here_box *b)
{
	char room[12];
	int rc = pair_cursor_get(m->f->g->state, m->f->o.address,
	    here_cursor_name(b, room), &b->cursor);

	/* All of it: where something may have been moved to, and so that each
	 * message's print is known; and what went from one that is new, but not
	 * what went before there was a mirror. */
	if (rc == -ENOENT)
		b->cursor = (struct pair_cursor){ b->uidvalidity, 1,
			m->first ? b->modseq : 0, UINT32_MAX };
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
		if (m->boxes[i].doubtful)
			continue;
		rc = cursor_load(m, &m->here[i]);
		if (rc == 0 && here_is_behind(&m->here[i])) {
			m->asked = true;
			rc = here_changes_or_all(
			    m->f, &m->boxes[i].k, &m->here[i]);
		}
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
		if (!m->boxes[i].doubtful)
			rc = here_changes_or_all(
			    m->f, &m->boxes[i].k, &m->here[i]);
	return rc;
}

struct ordered {
	struct here_change c;
	size_t order;
};

static int
ordered_cmp(const void *a, const void *b)
{
	const struct ordered *x = a, *y = b;

	if (x->c.uid != y->c.uid)
		return x->c.uid < y->c.uid ? -1 : 1;
	return (x->order > y->order) - (x->order < y->order);
}

/* The last word on each message; its print, where an earlier one had it. */
static int
changes_once(struct here_box *b)
{
	struct ordered *v = calloc(b->n + 1, sizeof(*v));
	size_t kept = 0;

	if (v == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < b->n; i++)
		v[i] = (struct ordered){ b->v[i], i };
	qsort(v, b->n, sizeof(*v), ordered_cmp);
	for (size_t i = 0; i < b->n; i++) {
		v[i].c.taken = false;
		if (kept > 0 && b->v[kept - 1].uid == v[i].c.uid) {
			if (v[i].c.print == 0)
				v[i].c.print = b->v[kept - 1].print;
			kept--;
		}
		b->v[kept++] = v[i].c;
	}
	b->n = kept;
	free(v);
	return 0;
}

/* --- flags as bits, of one message --- */

static void
bits_put(struct pair_keywords *k, struct slice text, struct merge_flags *out)
{
	while (text.n > 0) {
		struct slice word = slice_split(&text, ' ');

		if (word.n > 0)
			(void)pair_flag_add(k, out, word);
	}
}

/* As they are here; what is no label there is as it was agreed. */
static int
bits_here(struct mirror *m, struct pair_keywords *k, const struct box *box,
    const struct merge_flags *flags, const struct gmail_row *row,
    struct merge_flags *out)
{
	struct buf text = BUF_INIT_MAX(FLAGS_OCTETS);
	struct slice all, word, was = row->flags;
	int rc;

	*out = (struct merge_flags){ 0 };
	pair_flags_put(&box->k, flags, &text);
	for (all = buf_slice(&text); all.n > 0;) {
		word = slice_split(&all, ' ');
		if (word.n > 0 && gmail_flag_is_theirs(m->s->words, word))
			(void)pair_flag_add(k, out, word);
	}
	while (was.n > 0) {
		word = slice_split(&was, ' ');
		if (word.n > 0 && !gmail_flag_is_theirs(m->s->words, word))
			(void)pair_flag_add(k, out, word);
	}
	rc = text.failed ? -ENOMEM : 0;
	buf_clear(&text);
	return rc;
}

/* Not as it was agreed? */
static int
differs_here(struct mirror *m, const struct one *o, bool *out)
{
	struct pair_keywords k = { .n = 0 };
	struct merge_flags was = { 0 }, now;
	int rc;

	bits_put(&k, o->row.flags, &was);
	rc = bits_here(m, &k, o->box, &o->flags, &o->row, &now);
	*out = !merge_flags_eq(&was, &now);
	pair_keywords_clear(&k);
	return rc;
}

/* The first word of a message: labels that found no room here are nobody's
 * wish. */
static int
first_word(struct one *o, uint64_t print)
{
	struct pair_keywords k = { .n = 0 };
	struct merge_flags was = { 0 }, now = { 0 };
	struct buf text = BUF_INIT_MAX(FLAGS_OCTETS);

	bits_put(&k, o->row.flags, &was);
	pair_flags_put(&o->box->k, &o->flags, &text);
	bits_put(&k, buf_slice(&text), &now);
	was.keywords &= now.keywords;
	pair_flags_put(&k, &was, &o->flags_text);
	o->row.flags = buf_slice(&o->flags_text);
	o->row.print = print;
	pair_keywords_clear(&k);
	buf_clear(&text);
	return o->flags_text.failed || text.failed ? -ENOMEM : 0;
}

/* --- both sides --- */

static int
collect_one(struct mirror *m, struct box *box, struct here_change *c,
    struct gmail_writer *w)
{
	struct gmail_row row;
	struct one *o;
	bool differs = true;
	int rc = gmail_row_find(
	    m->f->g->state, m->f->o.address, box->b->uidvalidity, c->uid, &row);

	if (rc != 0 || row.kind != GMAIL_ROW_DONE) {
		buf_clear(&row.text);
		return state_failed(m, rc);
	}
	c->taken = true;
	if ((o = one_add(m, &row)) == NULL)
		return -ENOMEM;
	o->box = box;
	o->here_changed = true;
	o->here_gone_already = c->gone;
	o->flags = c->flags;
	if (c->gone && o->row.print == 0) {
		o->row.print = c->print;
	} else if (!c->gone) {
		if (o->row.print == 0 && (rc = first_word(o, c->print)) == 0)
			gmail_write(w, &o->row);
		if (rc == 0)
			rc = differs_here(m, o, &differs);
	}
	if (!differs)
		one_free(m->v[--m->n]);
	return rc;
}

/* Prints are noted before anything is done: a message that we move is known by
 * its print if that is not noted any more. */
static int
collect_here(struct mirror *m)
{
	struct gmail_writer w = { .s = m->f->g->state,
		.address = m->f->o.address };
	int rc = 0, ended;

	ones_clear(m);
	for (size_t i = 0; i < m->n_boxes && rc == 0; i++) {
		struct here_box *b = &m->here[i];

		rc = changes_once(b);
		for (size_t k = 0; k < b->n && rc == 0; k++)
			rc = collect_one(m, &m->boxes[i], &b->v[k], &w);
	}
	ended = state_failed(m, gmail_write_end(&w));
	return rc != 0 ? rc : ended;
}

static bool
is_pair(const struct gmail_row *row)
{
	return row->kind == GMAIL_ROW_DONE && row->uid != 0;
}

/* Of the rest, which nobody here has changed. */
static int
collect_there(
    struct mirror *m, const char *id, const json_t *message, bool gone)
{
	struct gmail_row row;
	struct one *o;
	int rc = gmail_session_row_get(m->s, id, &row);

	if (rc != 0 || !is_pair(&row)) {
		buf_clear(&row.text);
		return rc;
	}
	if ((o = one_add(m, &row)) == NULL)
		return -ENOMEM;
	o->box = box_with(m, o->row.uidvalidity);
	o->there = gone ? NULL : message;
	o->there_gone = gone;
	return 0;
}

static int
collect_both(struct mirror *m)
{
	json_t *seen = json_object();
	const char *id;
	json_t *v;
	int rc = seen == NULL ? -ENOMEM : 0;

	for (size_t i = 0; i < m->n && rc == 0; i++) {
		struct one *o = m->v[i];

		o->there = json_object_get(m->labels, o->row.id);
		o->there_gone = json_object_get(m->gone, o->row.id) != NULL;
		json_object_set_new(seen, o->row.id, json_true());
	}
	json_object_foreach(m->labels, id, v)
	{
		if (rc == 0 && json_object_get(seen, id) == NULL &&
		    json_object_get(m->gone, id) == NULL)
			rc = collect_there(m, id, v, false);
	}
	json_object_foreach(m->gone, id, v)
	{
		if (rc == 0 && json_object_get(seen, id) == NULL)
			rc = collect_there(m, id, v, true);
	}
	json_decref(seen);
	return rc;
}

/* --- moves here --- */

static bool
is_unexplained(const struct one *o)
{
	return o->here_gone_already && o->to == NULL && !o->drop;
}

static bool
any_unexplained(const struct mirror *m)
{
	for (size_t i = 0; i < m->n; i++)
		if (is_unexplained(m->v[i]))
			return true;
	return false;
}

static void
was_moved(struct mirror *m, struct one *o, const struct stray *to)
{
	for (size_t i = 0; i < m->n_boxes; i++)
		if (&m->here[i] == to->box)
			o->to = &m->boxes[i];
	o->to_uid = to->change->uid;
	o->flags = to->change->flags;
}

static bool
is_alone(const struct mirror *m, const struct one *o)
{
	size_t alike = 0;

	for (size_t i = 0; i < m->n; i++)
		alike += m->v[i]->missed &&
		    print_like(m->v[i]->row.print) == print_like(o->row.print);
	return alike == 1;
}

/* Where it was sealed anew: the only one alike is it, if nothing else that has
 * gone may be that. Else it is not known, and it stays where it is. */
static void
find_like(struct mirror *m, struct one *o, const struct stray *v, size_t n)
{
	const struct stray *only;
	size_t alike = strays_like(v, n, print_like(o->row.print), &only);

	if (alike == 0)
		return;
	if (alike > 1 || !is_alone(m, o)) {
		o->drop = true;
		return;
	}
	only->change->taken = true;
	was_moved(m, o, only);
}

static int
find_moves(struct mirror *m)
{
	const struct stray *to;
	struct stray *v;
	bool cut = false;
	size_t n;
	int rc = strays_find(m->here, m->n_boxes, &v, &n);

	for (size_t i = 0; i < m->n_boxes; i++)
		cut |= m->here[i].cut;
	for (size_t i = 0; i < m->n && rc == 0; i++) {
		struct one *o = m->v[i];

		if (!is_unexplained(o))
			continue;
		/* One that was never told of may be any of these. */
		if (o->row.print == 0 && n > 0)
			o->drop = true;
		else if ((to = stray_take(v, n, o->row.print)) != NULL)
			was_moved(m, o, to);
	}
	for (size_t i = 0; i < m->n; i++)
		m->v[i]->missed = is_unexplained(m->v[i]);
	for (size_t i = 0; i < m->n && rc == 0; i++)
		if (m->v[i]->missed)
			find_like(m, m->v[i], v, n);
	/* Where not all could be looked at, nothing is known to be gone. */
	for (size_t i = 0; i < m->n && rc == 0 && cut; i++)
		m->v[i]->drop |= is_unexplained(m->v[i]);
	free(v);
	return rc;
}

static int
collect(struct mirror *m)
{
	int rc = m->both ? collect_here(m) : 0;

	if (rc == 0 && any_unexplained(m) && !m->asked_twice &&
	    (rc = ask_here_again(m)) == 0)
		rc = collect_here(m);
	if (rc == 0 && any_unexplained(m))
		rc = find_moves(m);
	return rc == 0 ? collect_both(m) : rc;
}

/* --- and is believed --- */

bool
gmail_mirror_doubts(size_t gone, size_t total)
{
	return (gone > MASS_MIN && gone * 2 > total) ||
	    (gone > MASS_EMPTY && gone >= total);
}

static int
count_pairs(struct mirror *m, size_t *total)
{
	unsigned char key[STATE_ID] = { 0 };
	struct gmail_row *v;
	size_t n = 1;
	int rc = 0;

	*total = 0;
	while (rc == 0 && n > 0) {
		rc = gmail_rows(
		    m->f->g->state, m->f->o.address, key, STEP, &v, &n);
		for (size_t i = 0; i < n; i++) {
			*total +=
			    is_pair(&v[i]) && !gmail_row_is_thrown_away(&v[i]);
			buf_clear(&v[i].text);
		}
		free(v);
	}
	return state_failed(m, rc);
}

/* What is gone for good there that was not thrown away before: if that is most of
 * all, it stays here, as mail of its own. */
static int
doubt(struct mirror *m)
{
	size_t gone = 0, total;
	int rc;

	for (size_t i = 0; i < m->n; i++)
		gone += m->v[i]->there_gone &&
		    !gmail_row_is_thrown_away(&m->v[i]->row);
	if (gone <= MASS_EMPTY || (rc = count_pairs(m, &total)) != 0)
		return gone <= MASS_EMPTY ? 0 : rc;
	if (!gmail_mirror_doubts(gone, total))
		return 0;
	log_warning("most of it is gone there: what is here stays",
	    "outside=%s gone=%zu of=%zu", log_qs(m->f->o.address), gone, total);
	for (size_t i = 0; i < m->n; i++)
		if (m->v[i]->there_gone &&
		    !gmail_row_is_thrown_away(&m->v[i]->row))
			m->v[i]->drop = true;
	return 0;
}

/* --- what is to be done --- */

/* History leaves labels out where there are none, or does not say: then it is
 * asked for. -ENOENT: the message is gone. */
static int
labels_of(struct gmail_session *s, const char *id, const json_t *message,
    struct buf *out)
{
	json_t *answer = NULL;
	char path[100 + GMAIL_ID_MAX];
	int rc = 0;

	if (json_object_get(message, "labelIds") == NULL) {
		snprintf(path, sizeof(path), "messages/%s?format=minimal", id);
		rc = gmail_get(&s->login.g, path, &answer);
		message = answer;
	}
	if (rc == 0)
		gmail_labels_text(message, out);
	json_decref(answer);
	return rc == 0 && out->failed ? -E2BIG : rc;
}

/* Those of the message now, or as they were last seen. */
static int
labels_load(struct mirror *m, struct one *o)
{
	int rc = 0;

	o->labels = BUF_INIT_MAX(GMAIL_LABELS_MAX);
	o->there_told = o->there != NULL || !o->row.has_labels;
	if (!o->there_told)
		buf_put_slice(&o->labels, o->row.labels);
	else if ((rc = labels_of(m->s, o->row.id, o->there, &o->labels)) ==
	    -ENOENT)
		o->there_gone = true;
	return rc == -ENOENT ? 0 : rc;
}

static void
texts_of(
    struct one *o, const struct pair_keywords *k, const struct merge_plan *p)
{
	struct merge_flags partly = p->agreed;

	partly.keywords &= ~p->here_add.keywords;
	pair_flags_put(k, &p->agreed, &o->agreed);
	pair_flags_put(k, &p->agreed_refused, &o->agreed_refused);
	pair_flags_put(k, &partly, &o->agreed_partly);
	pair_flags_put(k, &p->here_add, &o->here_add);
	pair_flags_put(k, &p->here_remove, &o->here_remove);
}

static int
plan_flags(struct mirror *m, struct one *o, struct slice flags_there,
    struct merge_plan *out)
{
	struct pair_keywords k = { .n = 0 };
	struct merge_flags agreed = { 0 };
	struct merge_side there = { MERGE_SAME, { 0 } };
	struct merge_side here = { MERGE_SAME, { 0 } };
	struct buf add = BUF_INIT_MAX(FLAGS_OCTETS);
	struct buf remove = BUF_INIT_MAX(FLAGS_OCTETS);
	int rc = 0;

	bits_put(&k, o->row.flags, &agreed);
	if (o->there_gone) {
		there.what = MERGE_GONE;
	} else if (o->there_told) {
		there.what = MERGE_FLAGS;
		bits_put(&k, flags_there, &there.flags);
	}
	if (o->here_changed && o->here_gone_already && o->to == NULL) {
		here.what = MERGE_GONE;
	} else if (o->here_changed) {
		here.what = o->to != NULL ? MERGE_MOVED : MERGE_FLAGS;
		rc = bits_here(m, &k, o->to != NULL ? o->to : o->box, &o->flags,
		    &o->row, &here.flags);
	}
	merge(m->f->o.sync, &agreed, &there, &here, out);
	texts_of(o, &k, out);
	pair_flags_put(&k, &out->there_add, &add);
	pair_flags_put(&k, &out->there_remove, &remove);
	if (rc == 0 && !o->there_gone && m->f->o.sync == OUTSIDE_MIRROR)
		gmail_edit_flags(&o->edit, buf_slice(&o->labels), m->s->words,
		    buf_slice(&add), buf_slice(&remove));
	rc = rc == 0 && (add.failed || remove.failed) ? -ENOMEM : rc;
	buf_clear(&add);
	buf_clear(&remove);
	pair_keywords_clear(&k);
	return rc;
}

static bool
same_place(const struct gmail_row *row, struct slice use, struct slice mailbox)
{
	return slice_eq(row->use, use) && slice_eq(row->mailbox, mailbox);
}

/* The label whose mailbox that is, with --labels folders. */
static const char *
label_of_place(struct mirror *m, struct slice use, struct slice mailbox)
{
	return m->f->o.labels != OUTSIDE_LABELS_FOLDERS || use.n > 0 ||
		slice_eq_str(mailbox, "INBOX")
	    ? NULL
	    : gmail_label_named(m->s->names, mailbox);
}

/* Moved here: so there. `use`, `mailbox`: where it is there by now. */
static int
plan_move_there(
    struct mirror *m, struct one *o, struct slice use, struct slice mailbox)
{
	const char *from = label_of_place(m, use, mailbox), *to = NULL;
	struct slice to_use, to_name;
	bool known = place_of_box(m, o->to->b, &to_use, &to_name);
	int rc = 0;

	if (known && slice_eq(use, to_use) && slice_eq(mailbox, to_name))
		return 0;
	if (known && m->f->o.labels == OUTSIDE_LABELS_FOLDERS &&
	    to_use.n == 0 && !slice_eq_str(to_name, "INBOX"))
		rc = gmail_session_label(m->s, to_name, &to);
	if (rc != 0)
		return rc;
	if (!known) {
		to_use = SLICE_LIT("Archive");
		to_name = SLICE_LIT("Archive");
	}
	gmail_edit_place(
	    &o->edit, buf_slice(&o->labels), to_use, to_name, from, to);
	return 0;
}

static void
plan_trash(struct one *o)
{
	buf_reset(&o->edit.add);
	buf_reset(&o->edit.remove);
	gmail_edit_place(&o->edit, buf_slice(&o->labels), SLICE_LIT("Trash"),
	    SLICE_LIT("Trash"), NULL, NULL);
}

/* Moved there, and nobody did so here. */
static void
plan_move_here(struct mirror *m, struct one *o, const struct gmail_place *place)
{
	const struct here_box *to;

	o->use = slice_str(place->use);
	o->mailbox = place->mailbox;
	to = box_of_place(m, o->use, o->mailbox);
	o->here_move = o->box != NULL && to != o->box->b;
}

static int
plan_one(struct mirror *m, struct one *o)
{
	struct gmail_place place = { .flags = BUF_INIT_MAX(FLAGS_OCTETS) };
	struct merge_plan plan;
	bool mirror = m->f->o.sync == OUTSIDE_MIRROR, moved;
	int rc;

	if (o->drop) /* it is nobody's any more */
		return 0;
	rc = o->there_gone ? 0 : labels_load(m, o);
	if (rc == 0 && !o->there_gone)
		rc = gmail_session_place(m->s, buf_slice(&o->labels), &place);
	if (rc == 0)
		rc = plan_flags(m, o, buf_slice(&place.flags), &plan);
	if (rc != 0) {
		buf_clear(&place.flags);
		return rc;
	}
	moved = mirror && o->there_told && !o->there_gone &&
	    !same_place(&o->row, slice_str(place.use), place.mailbox);
	if (o->there_gone) {
		/* A draft that is gone was made anew, or sent. */
		o->here_gone = o->box != NULL &&
		    (plan.here_gone || slice_eq_str(o->row.use, "Drafts"));
		o->drop = true;
	} else if (plan.there_gone) {
		plan_trash(o);
		o->drop = true;
	} else if (plan.there_move) {
		rc = plan_move_there(m, o, slice_str(place.use), place.mailbox);
	} else if (moved) {
		plan_move_here(m, o, &place);
	}
	buf_clear(&place.flags);
	return rc;
}

/* --- doing it there --- */

static json_t *
ids_json(struct slice ids)
{
	json_t *list = json_array();

	while (ids.n > 0) {
		struct slice id = slice_split(&ids, ' ');

		if (id.n > 0)
			json_array_append_new(list, json_stringn(id.p, id.n));
	}
	return list;
}

static int
modify(struct mirror *m, struct one *const *v, size_t n)
{
	const struct gmail_edit *e = &v[0]->edit;
	struct gmail *g = &m->s->login.g;
	char path[100 + GMAIL_ID_MAX];
	json_t *body;

	if (n == 1 && slice_eq_str(buf_slice(&e->add), "TRASH ")) {
		snprintf(path, sizeof(path), "messages/%s/trash", v[0]->row.id);
		return gmail_do(g, path, NULL);
	}
	body =
	    json_pack("{s:o, s:o}", "addLabelIds", ids_json(buf_slice(&e->add)),
		"removeLabelIds", ids_json(buf_slice(&e->remove)));
	if (body == NULL)
		return -ENOMEM;
	if (n == 1) {
		snprintf(
		    path, sizeof(path), "messages/%s/modify", v[0]->row.id);
		return gmail_do(g, path, body);
	}
	json_object_set_new(body, "ids", json_array());
	for (size_t i = 0; i < n; i++)
		json_array_append_new(
		    json_object_get(body, "ids"), json_string(v[i]->row.id));
	return gmail_do(g, "messages/batchModify", body);
}

/* One alone costs a tenth of a batch (5 units to 50). Where a batch is refused,
 * each half of it is tried; one that is gone is told by history. */
static int
edit_there(struct mirror *m, struct one *const *v, size_t n)
{
	int rc = modify(m, v, n);

	if (rc == -ENOENT && n == 1)
		return 0;
	if (rc != -EINVAL && rc != -ENOENT)
		return rc;
	if (n > 1) {
		rc = edit_there(m, v, n / 2);
		return rc == 0 ? edit_there(m, v + n / 2, n - n / 2) : rc;
	}
	log_info("not done there", "outside=%s id=%s said=\"%s\"",
	    log_qs(m->f->o.address), v[0]->row.id,
	    log_qs(buf_str(&m->s->login.g.said)));
	v[0]->refused = true;
	return 0;
}

/* --- in groups --- */

enum deed { EDIT_THERE, ADD_HERE, REMOVE_HERE, MOVE_HERE, GONE_HERE, DEEDS };

/* Where the message is here. */
static struct box *
box_now(const struct one *o)
{
	return o->to != NULL ? o->to : o->box;
}

static bool
has_deed(const struct one *o, enum deed d)
{
	switch (d) {
	case EDIT_THERE:
		return o->edit.add.n > 0 || o->edit.remove.n > 0;
	case ADD_HERE:
		return o->here_add.n > 0 && box_now(o) != NULL;
	case REMOVE_HERE:
		return o->here_remove.n > 0 && box_now(o) != NULL;
	case MOVE_HERE:
		return o->here_move;
	default:
		return o->here_gone;
	}
}

static void
keys_of(struct one *o, enum deed d)
{
	o->k_box = d == EDIT_THERE ? NULL : box_now(o);
	o->k_a = d == EDIT_THERE ? buf_slice(&o->edit.add)
	    : d == ADD_HERE      ? buf_slice(&o->here_add)
	    : d == REMOVE_HERE   ? buf_slice(&o->here_remove)
	    : d == MOVE_HERE     ? o->use
				 : SLICE_EMPTY;
	o->k_b = d == EDIT_THERE ? buf_slice(&o->edit.remove)
	    : d == MOVE_HERE     ? o->mailbox
				 : SLICE_EMPTY;
}

static int
keys_cmp(const void *a, const void *b)
{
	const struct one *x = *(struct one *const *)a;
	const struct one *y = *(struct one *const *)b;
	int c = slice_cmp(x->k_a, y->k_a);

	if (c == 0)
		c = slice_cmp(x->k_b, y->k_b);
	if (c == 0 && x->k_box != y->k_box)
		c = (uintptr_t)x->k_box < (uintptr_t)y->k_box ? -1 : 1;
	return c;
}

static int
flags_here(struct mirror *m, struct one **v, size_t n, enum here_op op,
    const uint32_t *uids)
{
	bool some;
	int rc =
	    here_apply(m->f, box_now(v[0])->b, op, uids, n, v[0]->k_a, &some);

	for (size_t i = 0; i < n && rc == 0; i++)
		v[i]->partly |= some;
	return rc;
}

static int
move_here(struct mirror *m, struct one **v, size_t n, const uint32_t *uids)
{
	struct buf room = BUF_INIT_MAX(4000);
	const struct here_box *box = box_of_place(m, v[0]->use, v[0]->mailbox);
	struct slice to = box != NULL
	    ? slice_str(box->name)
	    : gmail_session_mailbox(m->s, v[0]->mailbox, &room);
	uint32_t to_uids[STEP], uidvalidity;
	char use[16] = "";
	int rc = 0;

	if (*m->f->o.into == '\0')
		snprintf(
		    use, sizeof(use), "%.*s", (int)v[0]->use.n, v[0]->use.p);
	if (box == NULL)
		rc = here_make(m->f, to, use, &uidvalidity);
	if (rc == 0)
		rc = here_move(
		    m->f, box_now(v[0])->b, to, uids, n, to_uids, &uidvalidity);
	for (size_t i = 0; i < n && rc == 0; i++) {
		v[i]->moved_uid = to_uids[i];
		v[i]->moved_uidvalidity = uidvalidity;
	}
	buf_clear(&room);
	return rc == 1 ? 0 : rc; /* there cannot be one: it stays */
}

/* All of these alike. */
static int
do_deed(struct mirror *m, struct one **v, size_t n, enum deed d)
{
	uint32_t uids[STEP];

	if (d == EDIT_THERE)
		return edit_there(m, v, n);
	for (size_t i = 0; i < n; i++)
		uids[i] = v[i]->to != NULL ? v[i]->to_uid : v[i]->row.uid;
	if (d == MOVE_HERE)
		return move_here(m, v, n, uids);
	return flags_here(m, v, n,
	    d == ADD_HERE          ? HERE_ADD
		: d == REMOVE_HERE ? HERE_REMOVE
				   : HERE_GONE,
	    uids);
}

/* At most STEP of them. */
static int
deeds_of(struct mirror *m, struct one *const *all, size_t n, enum deed d)
{
	struct one *v[STEP];
	size_t kept = 0, end;
	int rc = 0;

	for (size_t i = 0; i < n; i++)
		if (has_deed(all[i], d)) {
			keys_of(all[i], d);
			v[kept++] = all[i];
		}
	qsort(v, kept, sizeof(*v), keys_cmp);
	for (size_t at = 0; at < kept && rc == 0; at = end) {
		for (end = at + 1;
		     end < kept && keys_cmp(&v[at], &v[end]) == 0;)
			end++;
		rc = do_deed(m, v + at, end - at, d);
	}
	return rc;
}

/* --- noting it --- */

static int
note_place(struct mirror *m, const struct one *o, struct gmail_row *row,
    struct buf *labels)
{
	struct gmail_place place = { .flags = BUF_INIT_MAX(FLAGS_OCTETS) };
	int rc;

	if (o->refused)
		buf_put_slice(labels, buf_slice(&o->labels));
	else
		gmail_edit_apply(&o->edit, buf_slice(&o->labels), labels);
	rc = gmail_session_place(m->s, buf_slice(labels), &place);
	row->has_labels = true;
	row->labels = buf_slice(labels);
	if (m->f->o.sync == OUTSIDE_MIRROR) {
		row->use = slice_str(place.use);
		row->mailbox = place.mailbox;
	}
	buf_clear(&place.flags);
	return rc == 0 && labels->failed ? -E2BIG : rc;
}

static int
note_one(struct mirror *m, struct one *o, struct gmail_writer *w)
{
	struct buf labels = BUF_INIT_MAX(GMAIL_LABELS_MAX);
	struct gmail_row row = o->row;
	int rc = 0;

	if (o->drop) {
		row.kind = GMAIL_ROW_PASSED;
		row.uid = 0;
	} else {
		if (o->moved_uid != 0) {
			row.uidvalidity = o->moved_uidvalidity;
			row.uid = o->moved_uid;
		} else if (o->to != NULL) {
			row.uidvalidity = o->to->b->uidvalidity;
			row.uid = o->to_uid;
		}
		row.flags = buf_slice(o->refused ? &o->agreed_refused
			: o->partly              ? &o->agreed_partly
						 : &o->agreed);
		rc = note_place(m, o, &row, &labels);
	}
	if (rc == 0)
		gmail_write(w, &row);
	buf_clear(&labels);
	return rc;
}

static int
do_step(struct mirror *m, struct one *const *v, size_t n)
{
	struct gmail_writer w = { .s = m->f->g->state,
		.address = m->f->o.address };
	int rc = 0, ended;

	for (size_t i = 0; i < n && rc == 0; i++)
		rc = plan_one(m, v[i]);
	for (int d = 0; d < DEEDS && rc == 0; d++)
		rc = deeds_of(m, v, n, (enum deed)d);
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = note_one(m, v[i], &w);
	ended = state_failed(m, gmail_write_end(&w));
	return rc != 0 ? rc : ended;
}

static int
do_all(struct mirror *m)
{
	int rc = m->n > 0 ? doubt(m) : 0;

	for (size_t at = 0; at < m->n && rc == 0; at += STEP)
		rc = do_step(m, m->v + at, m->n - at < STEP ? m->n - at : STEP);
	return rc;
}

/* All has been done: what comes now is new. */
static int
note_cursors(struct mirror *m)
{
	struct fetch *f = m->f;
	struct pair_cursor was;
	const char *name;
	char room[12];
	int rc = 0;

	for (size_t i = 0; i < m->n_boxes && rc == 0; i++) {
		const struct here_box *b = &m->here[i];

		if (m->boxes[i].doubtful)
			continue;
		name = here_cursor_name(b, room);
		rc = pair_cursor_get(f->g->state, f->o.address, name, &was);
		if (rc == -ENOENT ||
		    (rc == 0 && !pair_cursor_eq(&was, &b->cursor)))
			rc = pair_cursor_put(
			    f->g->state, f->o.address, name, &b->cursor);
	}
	return state_failed(m, rc);
}

/* --- all --- */

static void
mirror_clear(struct mirror *m)
{
	ones_clear(m);
	free(m->v);
	for (size_t i = 0; i < m->n_boxes && m->boxes != NULL; i++) {
		here_box_clear(&m->here[i]);
		pair_keywords_clear(&m->boxes[i].k);
	}
	free(m->boxes);
	arena_reset(&m->a);
}

int
gmail_mirror(struct gmail_session *s, json_t *labels, json_t *gone, bool here)
{
	struct mirror m = { .s = s, .f = s->f, .labels = labels, .gone = gone };
	bool any = json_object_size(labels) + json_object_size(gone) > 0;
	int rc = 0;

	if (s->f->o.sync == OUTSIDE_APART)
		return 0;
	m.both = here && s->f->o.sync == OUTSIDE_MIRROR;
	if (any || m.both)
		rc = boxes_load(&m);
	if (rc == 0 && m.both)
		rc = ask_here(&m);
	if (rc == 0 && (any || m.asked)) {
		if (s->f->o.sync == OUTSIDE_MIRROR)
			rc = gmail_session_names(s);
		if (rc == 0)
			rc = collect(&m);
		if (rc == 0)
			rc = do_all(&m);
		if (rc == 0 && m.both)
			rc = note_cursors(&m);
	}
	mirror_clear(&m);
	return rc;
}
