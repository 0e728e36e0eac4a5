/* SPDX-License-Identifier: ISC */
/*
 * Rows of messages that were expunged or moved away. They are numbered in the
 * order in which they went, so the oldest stand first, and a view of them is a
 * mailbox with ascending UIDs. A row comes in the batch that takes the
 * message's row out, and goes in one that is guarded on it: whoever brings the
 * message back or removes it for good is the only one.
 */
#include <stdlib.h>

#include "common/base/clock.h"
#include "mailbox/mails/kept_impl.h"
#include "mailbox/mails/room.h"

#define KEPT_VERSION 1
#define PURGE_STEP 80 /* messages of one batch: 3 operations each */
#define UNDELETE_STEP 60
#define STEP_OCTETS ((size_t)700 << 10)
#define PAGE 500

/* --- rows --- */

void
kept_put(
    struct change *c, uint32_t uid, const struct row *r, enum kept_kind kind)
{
	uint32_t number = c->h.kept_next == 0 ? 1 : c->h.kept_next;
	struct key k = key_uid('e', number);
	char row[KEPT_ROW_MAX];
	size_t n;

	if (number == UINT32_MAX)
		return; /* four thousand million later */
	row[0] = KEPT_VERSION;
	row[1] = (char)kind;
	put_be64(row + 2, (uint64_t)clock_wall_s());
	put_be32(row + 10, uid);
	n = KEPT_HEAD + row_encode(row + KEPT_HEAD, r);
	store_put(c->b, key_slice(&k), slice(row, n));
	c->h.kept_next = number + 1;
}

int
kept_decode(struct slice in, struct kept *k)
{
	if (in.n < KEPT_HEAD || in.p[0] != KEPT_VERSION)
		return -EIO;
	k->kind = (enum kept_kind)in.p[1];
	k->expunged_s = (int64_t)get_be64(in.p + 2);
	k->uid = get_be32(in.p + 10);
	return row_decode(slice_from(in, KEPT_HEAD), &k->row);
}

int
kept_get(struct box *x, uint32_t number, struct kept *k, struct buf *raw)
{
	struct key key = key_uid('e', number);
	struct buf row = BUF_INIT;
	int rc = store_get(x->m->s, box_part(x), key_slice(&key), &row);

	if (rc == 0)
		rc = kept_decode(buf_slice(&row), k);
	if (rc == 0 && raw != NULL) {
		buf_reset(raw);
		if (!buf_put_slice(raw, buf_slice(&row)))
			rc = -ENOMEM;
	}
	buf_clear(&row);
	return rc;
}

struct walk {
	int (*fn)(void *arg, uint32_t number, const struct kept *k);
	void *arg;
	uint32_t next;
	unsigned n;
	int rc; /* of fn */
};

static int
walk_row(void *arg, struct slice key, struct slice val)
{
	struct walk *w = arg;
	struct kept k;

	if (key.n != 5)
		return -EIO;
	w->next = get_be32(key.p + 1) + 1;
	if (kept_decode(val, &k) == 0 &&
	    (w->rc = w->fn(w->arg, w->next - 1, &k)) != 0)
		return 1;
	return ++w->n == PAGE;
}

int
kept_rows(struct box *x, uint32_t from,
    int (*fn)(void *arg, uint32_t number, const struct kept *k), void *arg)
{
	struct walk w = { .fn = fn, .arg = arg, .next = from };
	struct key first;
	int rc = 1;

	while (rc == 1 && w.rc == 0) {
		w.n = 0;
		first = key_uid('e', w.next);
		rc = store_scan(x->m->s, box_part(x), key_slice(&first),
		    SLICE_LIT("f"), 0, walk_row, &w);
		if (rc == 1 && w.rc == 0)
			(void)co_yield ();
	}
	return w.rc != 0 ? w.rc : rc > 0 ? 0 : rc;
}

/* --- for good --- */

struct purge {
	struct store_batch *b;
	struct ref *refs;
	size_t n, n_refs;
	int64_t before;
};

static int
purge_row(void *arg, struct slice key, struct slice val)
{
	struct purge *p = arg;
	struct kept k;

	/* One that cannot be read owns nothing that could be named. */
	if (kept_decode(val, &k) == 0) {
		if (k.expunged_s >= p->before)
			return 2;
		if (k.kind == KEPT_EXPUNGED && k.row.token == 0)
			store_batch_blob_del(p->b, &k.row.blob);
		else if (k.kind == KEPT_EXPUNGED)
			p->refs[p->n_refs++] = (struct ref){ .blob = k.row.blob,
				.token = k.row.token };
	}
	store_guard(p->b, key, val);
	store_del(p->b, key);
	return ++p->n == PURGE_STEP;
}

/* 1: there are more. */
static int
purge_step(struct box *x, int64_t before_s, uint64_t *removed)
{
	struct purge p = { .before = before_s,
		.b = store_batch_new(x->m->s, box_part(x)),
		.refs = calloc(PURGE_STEP, sizeof(*p.refs)) };
	int more = -ENOMEM, rc;

	if (p.b != NULL && p.refs != NULL)
		more = store_scan(x->m->s, box_part(x), SLICE_LIT("e"),
		    SLICE_LIT("f"), 0, purge_row, &p);
	rc = more;
	if (rc >= 0 && p.n > 0)
		rc = store_commit_one(x->m->s, p.b);
	/* After an outcome that is not known, collect finds the refs. */
	if (rc == 0 && p.n_refs > 0)
		(void)refs_remove(x->m, p.refs, p.n_refs);
	if (rc == 0 && removed != NULL)
		*removed += p.n;
	store_batch_free(&p.b);
	free(p.refs);
	return rc == 0 && p.n > 0 ? more == 1 : rc < 0 ? rc : 0;
}

int
kept_purge(struct box *x, int64_t before_s, uint64_t *removed)
{
	unsigned attempts = 0;
	int rc;

	do
		rc = purge_step(x, before_s, removed);
	while (rc == 1 || try_again(rc, &attempts));
	return rc;
}

/* --- and back --- */

/* Without the account's key there is none. */
static int
kept_summary(struct box *x, const struct row *r, struct buf *row)
{
	const struct frames_seal *seal;
	struct opened o = { .wrap.kind = WRAP_NONE };
	int rc = row_unseal(x, r, NULL, &o, &seal);

	if (rc == 0)
		rc = summary_compute(x->m, r, seal, row);
	opened_wipe(&o);
	return rc;
}

struct revived {
	uint32_t number;
	struct kept kept;
	struct buf raw, summary;
	bool there, was; /* was: at an attempt of unknown outcome */
};

static int
revived_read(struct box *x, struct revived *r)
{
	int rc = kept_get(x, r->number, &r->kept, &r->raw);

	r->there = rc == 0 && r->kept.kind == KEPT_EXPUNGED;
	if (rc != 0)
		return rc == -ENOENT ? 0 : rc;
	if (r->there && r->summary.n == 0 &&
	    kept_summary(x, &r->kept.row, &r->summary) != 0)
		buf_reset(&r->summary); /* made when it is asked for */
	return 0;
}

static void
revived_put(struct change *c, struct revived *r)
{
	struct key k = key_uid('e', r->number);
	struct row row = r->kept.row;
	uint32_t uid = c->h.uidnext++;

	store_guard(c->b, key_slice(&k), buf_slice(&r->raw));
	store_del(c->b, key_slice(&k));
	row.flags.system &= ~(uint32_t)MAILS_DELETED;
	row.modseq = c->h.modseq;
	row.savedate = clock_wall_s();
	put_row(c->b, uid, &row);
	k = key_uid('s', uid);
	if (r->summary.n > 0 && r->summary.n <= STORE_VALUE_MAX)
		store_put(c->b, key_slice(&k), buf_slice(&r->summary));
	box_count(&c->h, &row, 1);
}

static int
revive_attempt(struct box *x, struct revived *r, size_t n)
{
	struct change c;
	size_t there = 0;
	int rc = 0;

	for (size_t i = 0; i < n && rc == 0; i++) {
		rc = revived_read(x, &r[i]);
		there += r[i].there;
	}
	if (rc != 0 || there == 0 || (rc = change_begin(&c, x)) != 0)
		return rc;
	if (c.h.uidnext > UINT32_MAX - n) {
		change_abort(&c);
		return -ENOSPC;
	}
	c.h.modseq++;
	c.h.moved_in++; /* for a census */
	for (size_t i = 0; i < n; i++)
		if (r[i].there)
			revived_put(&c, &r[i]);
	return change_commit(&c);
}

/* How many of the numbers are one batch; their summaries are read. */
static int
revive_step(
    struct box *x, const uint32_t *numbers, size_t *n, uint64_t *restored)
{
	struct revived *r = calloc(UNDELETE_STEP, sizeof(*r));
	size_t octets = 0, k = 0;
	unsigned attempts = 0;
	int rc = r == NULL ? -ENOMEM : 0;

	for (; rc == 0 && k < *n && k < UNDELETE_STEP && octets < STEP_OCTETS;
	     k++) {
		r[k].number = numbers[k];
		rc = revived_read(x, &r[k]);
		octets += r[k].summary.n + MESSAGE_ROW_MAX + KEPT_ROW_MAX;
	}
	if (rc == 0)
		do {
			rc = revive_attempt(x, r, k);
			for (size_t i = 0; i < k && rc == STORE_EUNKNOWN; i++)
				r[i].was |= r[i].there;
		} while (try_again(rc, &attempts));
	for (size_t i = 0; i < k; i++) {
		*restored += rc == 0 && (r[i].there || r[i].was);
		buf_clear(&r[i].raw);
		buf_clear(&r[i].summary);
	}
	free(r);
	*n = k;
	return rc;
}

struct since {
	uint32_t *v;
	size_t n, cap;
	int64_t s;
};

static int
since_note(void *arg, uint32_t number, const struct kept *k)
{
	struct since *l = arg;
	uint32_t *v = l->v;

	if (k->kind != KEPT_EXPUNGED || k->expunged_s < l->s)
		return 0;
	if (l->n == l->cap) {
		l->cap = l->cap == 0 ? 256 : l->cap * 2;
		if ((v = realloc(v, l->cap * sizeof(*v))) == NULL)
			return -ENOMEM;
		l->v = v;
	}
	l->v[l->n++] = number;
	return 0;
}

static int
box_revive(struct box *x, const uint32_t *numbers, size_t n, uint64_t *restored)
{
	size_t step;
	int rc = 0;

	for (size_t at = 0; at < n && rc == 0; at += step) {
		step = n - at;
		rc = revive_step(x, numbers + at, &step, restored);
	}
	return rc;
}

static int
box_undelete(struct mails *m, uint64_t id, const uint32_t *uids, size_t n,
    int64_t since_s, uint64_t *restored)
{
	struct box *x = box_get(m, id);
	struct since all = { .s = since_s };
	int rc = x == NULL ? -ENOMEM : 0;

	if (rc == 0 && uids == NULL &&
	    (rc = kept_rows(x, 0, since_note, &all)) == 0)
		rc = box_revive(x, all.v, all.n, restored);
	else if (rc == 0)
		rc = box_revive(x, uids, n, restored);
	free(all.v);
	box_put(&x);
	return rc;
}

int
mails_undelete(struct mails *m, const char *account, struct slice name,
    const uint32_t *uids, size_t n, int64_t since_s, uint64_t *restored)
{
	struct arena a = ARENA_INIT_MAX((size_t)1 << 20);
	struct room room = { 0 };
	struct kept_box k;
	struct mails_status s;
	uint64_t id;
	int rc = names_find(m, account, name, &id);

	*restored = 0;
	if (rc == 0) {
		rc = box_undelete(m, id, uids, n, since_s, restored);
	} else if (rc == -ENOENT &&
	    (rc = kept_box_find(m, account, name, &a, &k)) == 0 &&
	    (k.deleted_s < since_s || uids != NULL)) {
		rc = uids != NULL ? -ENOENT : 0;
	} else if (rc == 0 && (rc = names_revive(m, account, &k)) == 0 &&
	    mails_status(m, account, name, &s) == 0) {
		*restored = s.messages;
	}
	/* Whatever the quota is: who delivers next counts anew. */
	room_end(m, account, &room, true);
	arena_reset(&a);
	return mails_error(rc);
}

/* --- a list --- */

struct listing {
	struct box *x;
	struct kept_item {
		uint32_t number;
		struct kept kept;
	} v[64];
	size_t n;
};

static int
listing_note(void *arg, uint32_t number, const struct kept *k)
{
	struct listing *l = arg;

	if (k->kind == KEPT_EXPUNGED)
		l->v[l->n++] = (struct kept_item){ number, *k };
	return l->n == sizeof(l->v) / sizeof(l->v[0]);
}

/* Empty: it cannot be read. */
static struct slice
kept_envelope(
    struct box *x, const struct row *r, struct buf *row, struct arena *a)
{
	const struct frames_seal *seal;
	struct opened o = { .wrap.kind = WRAP_NONE };
	struct mails_summary sum = { .n_parts = 0 };
	int rc = row_unseal(x, r, NULL, &o, &seal);

	if (rc == 0 && (rc = summary_compute(x->m, r, seal, row)) == 0)
		rc = summary_decode(
		    x->m->packer, seal, buf_slice(row), a, &sum);
	opened_wipe(&o);
	return rc == 0 ? sum.envelope : SLICE_EMPTY;
}

static int
listing_tell(
    struct listing *l, int (*fn)(void *, const struct mails_kept *), void *arg)
{
	struct arena a = ARENA_INIT_MAX((size_t)8 << 20);
	struct buf row = BUF_INIT;
	int rc = 0;

	for (size_t i = 0; i < l->n && rc == 0; i++) {
		const struct row *r = &l->v[i].kept.row;

		arena_reset(&a);
		rc = fn(arg,
		    &(struct mails_kept){
			.uid = l->v[i].number,
			.expunged_s = l->v[i].kept.expunged_s,
			.internaldate = r->internaldate,
			.size = r->size,
			.envelope = kept_envelope(l->x, r, &row, &a),
		    });
	}
	arena_reset(&a);
	buf_clear(&row);
	return rc;
}

int
mails_kept_each(struct mails *m, const char *account, struct slice name,
    int (*fn)(void *arg, const struct mails_kept *k), void *arg)
{
	struct listing *l = calloc(1, sizeof(*l));
	uint32_t from = 0;
	uint64_t id;
	int rc = l == NULL ? -ENOMEM : names_find(m, account, name, &id);

	if (rc == 0 && (l->x = box_get(m, id)) == NULL)
		rc = -ENOMEM;
	for (int more = 1; rc == 0 && more == 1;) {
		l->n = 0;
		more = kept_rows(l->x, from, listing_note, l);
		if (l->n > 0)
			from = l->v[l->n - 1].number + 1;
		rc = more < 0 ? more : listing_tell(l, fn, arg);
	}
	if (l != NULL)
		box_put(&l->x);
	free(l);
	return mails_error(rc);
}
