/* SPDX-License-Identifier: ISC */
/*
 * Changing flags, and expunging. Both work on some messages a time: their rows
 * are read, and the change is guarded on each as it was read, besides the
 * header; so nothing that another session did in between is lost.
 */
#include <stdlib.h>

#include "common/base/clock.h"
#include "mailbox/mails/kept_impl.h"

#define STORE_STEP 100      /* messages of one batch: 4 operations each */
#define EXPUNGE_STEP 80     /* 6 operations each */
#define EXPUNGED_KEPT 10000 /* change rows of expunges */
#define TRIM_STEP 400

/* --- flags --- */

struct flags_job {
	struct mails_view *v;
	enum mails_store_mode mode;
	uint32_t system;
	const char *const *names;
	uint64_t keywords;
	size_t keywords_were;
	uint64_t unchanged_since;
	bool silent;
	struct arena *a;
	uint32_t *failed;
	size_t n_failed, cap_failed;
};

/* A message of the step. */
struct target {
	uint32_t seq;
	struct row old, new;
	struct mails_flags base; /* what the change was made from */
	uint64_t tried;          /* modseq of an attempt of unknown outcome */
	enum { TARGET_SKIP, TARGET_SAME, TARGET_CHANGE } what;
};

static int
failed_add(struct flags_job *j, uint32_t seq)
{
	size_t cap = j->cap_failed == 0 ? 64 : j->cap_failed * 2;
	uint32_t *v;

	if (j->n_failed == j->cap_failed) {
		if ((v = arena_array(j->a, cap, sizeof(*v))) == NULL)
			return -ENOMEM;
		if (j->n_failed > 0)
			memcpy(v, j->failed, j->n_failed * sizeof(*v));
		j->failed = v;
		j->cap_failed = cap;
	}
	j->failed[j->n_failed++] = seq;
	return 0;
}

static void
flags_apply(const struct flags_job *j, struct mails_flags *f)
{
	switch (j->mode) {
	case MAILS_FLAGS_SET:
		f->system = j->system;
		f->keywords = j->keywords;
		break;
	case MAILS_FLAGS_ADD:
		f->system |= j->system;
		f->keywords |= j->keywords;
		break;
	case MAILS_FLAGS_REMOVE:
		f->system &= ~j->system;
		f->keywords &= ~j->keywords;
		break;
	}
}

/* The table as it is, with the names that are new. Removing a keyword that
 * nobody has does not make it one. */
static int
job_keywords(struct flags_job *j)
{
	struct mails_view *v = j->v;
	bool grown = false;
	int rc;

	j->keywords_were = v->keywords.n;
	if (j->names == NULL || *j->names == NULL)
		return 0;
	if ((rc = keywords_read(v->x, &v->keywords)) != 0)
		return rc;
	j->keywords_were = v->keywords.n;
	return keywords_bits(&v->keywords, j->names, &j->keywords, &grown);
}

static int
target_read(struct flags_job *j, struct target *t)
{
	int rc = row_get(j->v->x, mails_view_uid(j->v, t->seq), &t->old);

	t->what = TARGET_SKIP;
	if (rc != 0)
		return rc == -ENOENT ? 0 : rc; /* RFC 2180 4.2.3 */
	t->new = t->old;
	if (t->tried != 0 && t->old.modseq == t->tried) {
		t->what = TARGET_SAME; /* that attempt has done it */
		return 0;
	}
	if (j->unchanged_since > 0 && t->old.modseq > j->unchanged_since)
		return failed_add(j, t->seq);
	flags_apply(j, &t->new.flags);
	t->base = t->old.flags;
	t->what = TARGET_CHANGE;
	if (t->new.flags.system == t->old.flags.system &&
	    t->new.flags.keywords == t->old.flags.keywords)
		t->what = TARGET_SAME;
	return 0;
}

static void
put_change(struct store_batch *b, uint64_t old, uint64_t new, uint32_t uid,
    enum change_kind kind)
{
	struct key k = key_change(old, uid);
	char row = (char)kind;

	store_del(b, key_slice(&k));
	k = key_change(new, uid);
	store_put(b, key_slice(&k), slice(&row, 1));
}

static void
target_build(struct change *c, const struct mails_view *v, struct target *t)
{
	uint32_t uid = mails_view_uid(v, t->seq);

	t->new.modseq = t->tried = c->h.modseq;
	guard_row(c->b, uid, &t->old);
	put_row(c->b, uid, &t->new);
	put_change(c->b, t->old.modseq, t->new.modseq, uid, CHANGE_FLAGS);
	box_count(&c->h, &t->old, -1);
	box_count(&c->h, &t->new, 1);
}

/* The view has the new flags at once. What another session changed in the
 * same message is told at the next sync, silent or not. */
static void
target_take(const struct flags_job *j, const struct target *t)
{
	struct entry *e;

	/* Without memory the next sync finds it. */
	if (t->what == TARGET_SKIP || (e = view_edit(j->v, t->seq)) == NULL)
		return;
	if (!j->silent || e->system != t->base.system ||
	    e->keywords != t->base.keywords)
		e->tell = j->v->tells = true;
	e->system = (uint8_t)t->new.flags.system;
	e->keywords = t->new.flags.keywords;
	e->modseq = t->new.modseq;
}

/* One attempt at some messages. */
static int
flags_attempt(struct flags_job *j, struct target *t, size_t n)
{
	struct change c;
	size_t changes = 0, failed = j->n_failed;
	int rc = job_keywords(j);

	for (size_t i = 0; i < n && rc == 0; i++) {
		rc = target_read(j, &t[i]);
		changes += t[i].what == TARGET_CHANGE;
	}
	if (rc != 0 || changes == 0)
		return rc;
	if ((rc = change_begin(&c, j->v->x)) != 0)
		return rc;
	if (j->v->keywords.n > j->keywords_were) {
		rc = c.h.keywords != j->keywords_were
		    ? box_conflict(j->v->x)
		    : keywords_put(&c, &j->v->keywords);
		if (rc != 0) {
			change_abort(&c);
			j->n_failed = failed;
			return rc;
		}
	}
	c.h.modseq++;
	for (size_t i = 0; i < n; i++)
		if (t[i].what == TARGET_CHANGE)
			target_build(&c, j->v, &t[i]);
	rc = change_commit(&c);
	for (size_t i = 0; i < n && rc != STORE_EUNKNOWN && rc != 0; i++)
		t[i].tried = 0;
	if (rc != 0)
		j->n_failed = failed; /* found again */
	return rc;
}

static int
flags_step(struct flags_job *j, const uint32_t *seqs, size_t n)
{
	struct target *t = calloc(n, sizeof(*t));
	unsigned attempts = 0;
	int rc;

	if (t == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		t[i].seq = seqs[i];
	do
		rc = flags_attempt(j, t, n);
	while (try_again(rc, &attempts));
	for (size_t i = 0; i < n && rc == 0; i++)
		target_take(j, &t[i]);
	free(t);
	return rc;
}

int
mails_store_flags(struct mails_view *v, const uint32_t *seqs, size_t n,
    enum mails_store_mode mode, uint32_t flags, const char *const *keywords,
    uint64_t unchanged_since, bool silent, struct arena *a, uint32_t **failed,
    size_t *n_failed)
{
	struct flags_job j = { .v = v,
		.mode = mode,
		.system = flags,
		.names = keywords,
		.unchanged_since = unchanged_since,
		.silent = silent,
		.a = a };
	size_t step;
	int rc = v->kind == VIEW_LIVE ? 0 : -EACCES;

	for (size_t at = 0; at < n && rc == 0; at += step) {
		step = n - at < STORE_STEP ? n - at : STORE_STEP;
		rc = flags_step(&j, seqs + at, step);
	}
	if (failed != NULL)
		*failed = j.failed;
	if (n_failed != NULL)
		*n_failed = j.n_failed;
	return mails_error(rc);
}

/* --- forgetting old expunges --- */

struct trim {
	struct store_batch *b;
	uint64_t upto;
	uint32_t removed, seen;
};

static int
trim_row(void *arg, struct slice key, struct slice val)
{
	struct trim *t = arg;

	if (key.n == 13 && val.n == 1 && val.p[0] == CHANGE_EXPUNGE) {
		store_del(t->b, key);
		t->upto = get_be64(key.p + 1);
		t->removed++;
	}
	return t->removed == TRIM_STEP;
}

/* A view that is older than what is kept compares all messages instead. */
static void
expunges_trim(struct box *x)
{
	struct change c;
	struct trim t;
	int rc;

	while (x->known && x->h.expunged > EXPUNGED_KEPT) {
		t = (struct trim){ store_batch_new(x->m->s, box_part(x)), 0, 0,
			0 };
		if (t.b == NULL)
			return;
		rc = store_scan(x->m->s, box_part(x), SLICE_LIT("c"),
		    SLICE_LIT("d"), 0, trim_row, &t);
		if (rc < 0 || t.removed == 0 || change_begin(&c, x) != 0) {
			store_batch_free(&t.b);
			return;
		}
		store_batch_free(&c.b);
		c.b = t.b;
		c.h.expunged -=
		    t.removed < c.h.expunged ? t.removed : c.h.expunged;
		c.h.expunge_floor = t.upto;
		if (change_commit(&c) != 0)
			return; /* the next expunge tries again */
	}
}

/* --- expunging --- */

struct expunge {
	struct box *x;
	bool force;
	bool keep;
	struct ref *refs; /* of shared blobs whose rows are gone */
	size_t n_refs, cap_refs;
};

/* Room for the refs of one step, before it is made. */
static int
refs_room(struct expunge *e, size_t n)
{
	struct ref *v;

	if (e->n_refs + n <= e->cap_refs)
		return 0;
	v = realloc(e->refs, (e->n_refs + n) * sizeof(*v));
	if (v == NULL)
		return -ENOMEM;
	e->refs = v;
	e->cap_refs = e->n_refs + n;
	return 0;
}

void
row_expunge(
    struct change *c, uint32_t uid, const struct row *r, enum row_fate fate)
{
	struct key k = key_uid('u', uid);

	guard_row(c->b, uid, r);
	store_del(c->b, key_slice(&k));
	k = key_uid('s', uid);
	store_del(c->b, key_slice(&k));
	put_change(c->b, r->modseq, c->h.modseq, uid, CHANGE_EXPUNGE);
	if (fate != ROW_DROPPED && c->x->m->keep_s > 0)
		kept_put(
		    c, uid, r, fate == ROW_MOVED ? KEPT_MOVED : KEPT_EXPUNGED);
	else if (fate != ROW_MOVED && r->token == 0)
		store_batch_blob_del(c->b, &r->blob);
	box_count(&c->h, r, -1);
	c->h.expunged++;
}

struct doomed {
	uint32_t uid;
	bool there;
	struct row row;
};

static int
doomed_read(struct expunge *e, struct doomed *d)
{
	int rc = row_get(e->x, d->uid, &d->row);

	d->there =
	    rc == 0 && (e->force || (d->row.flags.system & MAILS_DELETED));
	return rc == -ENOENT ? 0 : rc;
}

static void
doomed_note(struct expunge *e, const struct doomed *d)
{
	if (d->there && d->row.token != 0)
		e->refs[e->n_refs++] =
		    (struct ref){ .blob = d->row.blob, .token = d->row.token };
}

static int
expunge_attempt(struct expunge *e, struct doomed *d, size_t n)
{
	struct change c;
	size_t there = 0;
	int rc = 0;

	for (size_t i = 0; i < n && rc == 0; i++) {
		rc = doomed_read(e, &d[i]);
		there += d[i].there;
	}
	if (rc != 0 || there == 0 || (rc = change_begin(&c, e->x)) != 0)
		return rc;
	c.h.modseq++;
	for (size_t i = 0; i < n; i++)
		if (d[i].there)
			row_expunge(&c, d[i].uid, &d[i].row,
			    e->keep ? ROW_KEPT : ROW_DROPPED);
	return change_commit(&c);
}

/*
 * What went by an attempt of unknown outcome keeps its ref: it may as well have
 * moved away since, and have its share along. Collect finds which.
 */
static int
expunge_step(struct expunge *e, const uint32_t *uids, size_t n)
{
	struct doomed *d = calloc(n, sizeof(*d));
	unsigned attempts = 0;
	int rc = d == NULL ? -ENOMEM : refs_room(e, n);

	for (size_t i = 0; i < n && rc == 0; i++)
		d[i].uid = uids[i];
	if (rc == 0)
		do
			rc = expunge_attempt(e, d, n);
		while (try_again(rc, &attempts));
	for (size_t i = 0; i < n && rc == 0 && !e->keep; i++)
		doomed_note(e, &d[i]);
	free(d);
	return rc;
}

int
box_expunge(
    struct box *x, const uint32_t *uids, size_t n, bool force, bool keep)
{
	struct expunge e = {
		.x = x, .force = force, .keep = keep && x->m->keep_s > 0
	};
	size_t step;
	int rc = 0;

	for (size_t at = 0; at < n && rc == 0; at += step) {
		step = n - at < EXPUNGE_STEP ? n - at : EXPUNGE_STEP;
		rc = expunge_step(&e, uids + at, step);
	}
	/* A ref that stays after an error here is found by check. */
	if (e.n_refs > 0)
		(void)refs_remove(x->m, e.refs, e.n_refs);
	free(e.refs);
	if (rc == 0)
		expunges_trim(x);
	if (rc == 0 && e.keep)
		(void)kept_purge(x, clock_wall_s() - x->m->keep_s, NULL);
	return rc;
}

int
mails_expunge(struct mails_view *v, const uint32_t *seqs, size_t n, bool force)
{
	size_t max = seqs == NULL ? v->roll.n : n, k = 0;
	uint32_t *uids = calloc(max + 1, sizeof(*uids)), seq;
	int rc;

	if (v->kind != VIEW_LIVE || uids == NULL) {
		free(uids);
		return v->kind != VIEW_LIVE ? -EACCES : -ENOMEM;
	}
	/* Which are deleted is asked of the rows: the view may be older. */
	for (size_t i = 0; i < max; i++) {
		seq = seqs == NULL ? (uint32_t)i + 1 : seqs[i];
		if (!view_entry(v, seq)->gone)
			uids[k++] = mails_view_uid(v, seq);
	}
	rc = box_expunge(v->x, uids, k, force, true);
	free(uids);
	return mails_error(rc);
}

/* --- the end of a mailbox --- */

/* Without its header a mailbox does not exist: nothing can be added. */
static int
header_remove(struct box *x)
{
	struct store_batch *b;
	unsigned attempts = 0;
	int rc;

	do {
		b = store_batch_new(x->m->s, box_part(x));
		if (b != NULL)
			store_del(b, KEY_HEADER);
		rc = store_commit_one(x->m->s, b);
		store_batch_free(&b);
	} while (try_again(rc, &attempts));
	x->known = false;
	store_notify(x->m->s, box_part(x));
	return rc;
}

struct destroy_page {
	struct store_batch *b;
	struct ref refs[EXPUNGE_STEP];
	size_t n, n_refs;
};

static int
destroy_row(void *arg, struct slice key, struct slice val)
{
	struct destroy_page *p = arg;
	struct row r;

	if (key.n != 5 || row_decode(val, &r) != 0)
		return -EIO;
	store_del(p->b, key);
	if (r.token == 0)
		store_batch_blob_del(p->b, &r.blob);
	else
		p->refs[p->n_refs++] =
		    (struct ref){ .blob = r.blob, .token = r.token };
	return ++p->n == EXPUNGE_STEP;
}

/* Some rows with their blobs. 1: there are more. */
static int
destroy_step(struct box *x)
{
	struct destroy_page *p = calloc(1, sizeof(*p));
	int rc, more;

	if (p == NULL)
		return -ENOMEM;
	p->b = store_batch_new(x->m->s, box_part(x));
	more = p->b == NULL ? -ENOMEM
			    : store_scan(x->m->s, box_part(x), SLICE_LIT("u"),
				  SLICE_LIT("v"), 0, destroy_row, p);
	rc = more;
	if (more >= 0 && p->n > 0)
		rc = store_commit_one(x->m->s, p->b);
	/* Nobody can reach the rows any more, gone or (outcome unknown) not. */
	if ((rc >= 0 || rc == STORE_EUNKNOWN) && p->n_refs > 0 &&
	    refs_remove(x->m, p->refs, p->n_refs) != 0)
		rc = rc < 0 ? rc : -EIO;
	store_batch_free(&p->b);
	free(p);
	return rc < 0 ? rc : more;
}

int
box_destroy(struct mails *m, uint64_t id)
{
	struct box *x = box_get(m, id);
	unsigned attempts = 0;
	int rc;

	if (x == NULL)
		return -ENOMEM;
	/* What is on its way out of here belongs to its target. */
	if ((rc = moves_replay(x)) == 0)
		rc = header_remove(x);
	if (rc == 0)
		do
			rc = destroy_step(x);
		while (rc == 1 || try_again(rc, &attempts));
	if (rc == 0)
		rc = kept_purge(x, INT64_MAX, NULL);
	if (rc == 0)
		rc = store_partition_drop(m->s, box_part(x));
	box_put(&x);
	return rc;
}
