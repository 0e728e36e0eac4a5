/* SPDX-License-Identifier: ISC */
/*
 * A census while things move. A message moves by its row going from one
 * mailbox (where an intent stays until the end) and coming in another. It
 * could be missed only when it came into a mailbox after that had been
 * counted; so each header counts such comings, and after all mailboxes are
 * counted the headers are looked at again. Any change: from the beginning.
 */
#include "mailbox/mails/census.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "mailbox/mails/kept_impl.h"

#define ROUNDS 5
#define PAGE 1000

static struct census_fault *
fault_new(struct census *c)
{
	size_t cap = c->cap_faults == 0 ? 64 : c->cap_faults * 2;
	struct census_fault *v;

	if (c->n_faults == c->cap_faults) {
		if ((v = realloc(c->faults, cap * sizeof(*v))) == NULL)
			return NULL;
		c->faults = v;
		c->cap_faults = cap;
	}
	return &c->faults[c->n_faults++];
}

void
census_fault(
    struct census *c, uint64_t mailbox, uint32_t uid, const char *fmt, ...)
{
	struct census_fault *f = fault_new(c);
	va_list ap;

	if (f == NULL) {
		c->faults_lost = true;
		return;
	}
	*f = (struct census_fault){ mailbox, uid, c->texts.n };
	va_start(ap, fmt);
	buf_vprintf(&c->texts, fmt, ap);
	va_end(ap);
	if (!buf_put_char(&c->texts, '\0'))
		c->faults_lost = true;
}

void
census_clear(struct census *c)
{
	free(c->marks);
	free(c->boxes);
	free(c->faults);
	buf_clear(&c->texts);
	c->faults = NULL;
	c->n_faults = c->cap_faults = 0;
	c->faults_lost = false;
	c->marks = NULL;
	c->boxes = NULL;
	c->n_marks = c->cap_marks = c->n_boxes = c->cap_boxes = 0;
}

/* --- marks --- */

static int
mark_add(struct census *c, const struct row *r, uint64_t mailbox, uint32_t uid)
{
	size_t cap = c->cap_marks == 0 ? 1024 : c->cap_marks * 2;
	struct mark *v;

	if (c->n_marks == c->cap_marks) {
		if ((v = realloc(c->marks, cap * sizeof(*v))) == NULL)
			return -ENOMEM;
		c->marks = v;
		c->cap_marks = cap;
	}
	c->marks[c->n_marks++] = (struct mark){
		.blob = r->blob,
		.token = r->token,
		.size = r->size,
		.framed = r->framed,
		.sealed = r->wrap.kind != WRAP_NONE,
		.mailbox = mailbox,
		.uid = uid,
	};
	return 0;
}

static int
mark_cmp(const void *pa, const void *pb)
{
	const struct mark *a = pa, *b = pb;
	int d = memcmp(&a->blob, &b->blob, sizeof(a->blob));

	if (d != 0)
		return d;
	return a->token < b->token ? -1 : a->token > b->token;
}

/* The first that is not before `key`. */
static struct mark *
mark_from(struct census *c, const struct mark *key)
{
	size_t lo = 0, hi = c->n_marks, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (mark_cmp(&c->marks[mid], key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return c->marks + lo;
}

bool
census_is_last(const struct census *c, const struct mark *m)
{
	return m + 1 == c->marks + c->n_marks ||
	    memcmp(&m[0].blob, &m[1].blob, sizeof(m->blob)) != 0;
}

struct mark *
census_blob(struct census *c, const struct store_blob_id *id)
{
	const struct mark key = { .blob = *id };
	struct mark *m = mark_from(c, &key);

	if (m == c->marks + c->n_marks ||
	    memcmp(&m->blob, id, sizeof(*id)) != 0)
		return NULL;
	return m;
}

struct mark *
census_ref(struct census *c, const struct ref *r)
{
	const struct mark key = { .blob = r->blob, .token = r->token };
	struct mark *m = mark_from(c, &key);

	if (m == c->marks + c->n_marks || mark_cmp(m, &key) != 0)
		return NULL;
	return m;
}

/* --- one mailbox --- */

struct box_count {
	struct census *c;
	struct box *x;
	struct header sum;
	char next[32]; /* the key to go on with */
	size_t next_n;
	size_t n;
};

/* Rows of messages, and of messages under way. */
static int
count_row(void *arg, struct slice key, struct slice val)
{
	struct box_count *b = arg;
	bool intent = key.p[0] == 'x';
	struct row r;
	size_t used = 0;
	int rc;

	if (key.n + 1 > sizeof(b->next))
		return -EIO;
	memcpy(b->next, key.p, key.n);
	b->next[key.n] = '\0';
	b->next_n = key.n + 1;
	if (intent && key.n == 11 && key.p[9] == 0 && key.p[10] == 0)
		return 0; /* the head of an intent */
	if (key.n != (intent ? 11 : 5) ||
	    row_decode_head(val, &r, &used) != 0 ||
	    (!intent && used != val.n)) {
		census_fault(b->c, b->x->id,
		    !intent && key.n == 5 ? get_be32(key.p + 1) : 0,
		    "its row is damaged, so the message cannot be shown");
		return 0;
	}
	if (!intent)
		box_count(&b->sum, &r, 1);
	rc = mark_add(b->c, &r, b->x->id, intent ? 0 : get_be32(key.p + 1));
	return rc != 0 ? rc : ++b->n == PAGE;
}

/* Kept messages own their blobs as others do. */
static int
count_kept(void *arg, uint32_t number, const struct kept *k)
{
	struct box_count *b = arg;
	int rc;

	if (k->kind != KEPT_EXPUNGED)
		return 0;
	if ((rc = mark_add(b->c, &k->row, b->x->id, k->uid)) == 0)
		b->c->marks[b->c->n_marks - 1].kept = number;
	return rc;
}

static int
count_kind(struct box_count *b, char kind)
{
	char end = (char)(kind + 1);
	int rc = 1;

	b->next[0] = kind;
	b->next_n = 1;
	while (rc == 1) {
		b->n = 0;
		rc = store_scan(b->c->m->s, box_part(b->x),
		    slice(b->next, b->next_n), slice(&end, 1), 0, count_row, b);
		if (rc == 1)
			(void)co_yield ();
	}
	return rc;
}

static bool
sums_differ(const struct header *a, const struct header *b)
{
	return a->messages != b->messages || a->unseen != b->unseen ||
	    a->deleted != b->deleted || a->octets != b->octets;
}

/* Whether they can be opened, with the key. */
static int
count_keywords(struct census *c, struct box *x)
{
	struct keywords k = { .n = 0 };
	int rc = keywords_read(x, &k);

	if (rc == 0 && k.lost)
		census_fault(c, x->id, 0, "its keywords are damaged");
	keywords_clear(&k);
	return rc;
}

/* Messages first: one that leaves in between is seen in its intent. */
static int
count_box(struct census *c, struct census_box *out)
{
	struct box *x = box_get(c->m, out->id);
	struct box_count b = { .c = c, .x = x };
	struct header after = { 0 };
	int rc = x == NULL ? -ENOMEM : box_read(x, &out->h);

	out->exists = rc == 0;
	if (rc == -ENOENT)
		rc = 0;
	else if (rc == 0)
		rc = count_keywords(c, x);
	if (rc == 0 && (rc = count_kind(&b, 'u')) == 0 &&
	    (rc = count_kind(&b, 'x')) == 0)
		rc = kept_rows(x, 0, count_kept, &b);
	/* Sums can be compared when nothing changed meanwhile. */
	if (rc == 0 && out->exists && box_read(x, &after) == 0 &&
	    after.changes == out->h.changes && sums_differ(&after, &b.sum))
		census_fault(c, x->id, 0,
		    "has %u messages (%u unseen, %u deleted), but its header "
		    "says %u (%u, %u)",
		    b.sum.messages, b.sum.unseen, b.sum.deleted, after.messages,
		    after.unseen, after.deleted);
	box_put(&x);
	return rc;
}

/* --- all of them --- */

static int
box_note(void *arg, struct slice part)
{
	struct census *c = arg;
	size_t cap = c->cap_boxes == 0 ? 256 : c->cap_boxes * 2;
	struct census_box *v;
	char hex[17] = { 0 };

	if (part.n != 17)
		return 0;
	memcpy(hex, part.p + 1, 16);
	if (c->n_boxes == c->cap_boxes) {
		if ((v = realloc(c->boxes, cap * sizeof(*v))) == NULL)
			return -ENOMEM;
		c->boxes = v;
		c->cap_boxes = cap;
	}
	/* Listed in the order of their names, which is that of their ids. */
	c->boxes[c->n_boxes++] =
	    (struct census_box){ .id = strtoull(hex, NULL, 16) };
	return 0;
}

static struct census_box *
box_find(struct census *c, uint64_t id)
{
	size_t lo = 0, hi = c->n_boxes, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (c->boxes[mid].id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < c->n_boxes && c->boxes[lo].id == id ? &c->boxes[lo] : NULL;
}

/* A name whose mailbox has no header, and not because both went just now. */
static bool
is_lost(struct census *c, const char *account, uint64_t id)
{
	struct arena a = ARENA_INIT_MAX((size_t)1 << 20);
	struct box *x = box_get(c->m, id);
	bool lost = false, named = false;
	struct header h;
	uint64_t *ids;
	size_t n;

	if (x != NULL)
		lost = box_read(x, &h) == -ENOENT;
	if (lost && names_ids(c->m, account, &a, &ids, &n) == 0)
		for (size_t i = 0; i < n; i++)
			named |= ids[i] == id;
	box_put(&x);
	arena_reset(&a);
	return lost && named;
}

/* So a mailbox may seem to have no name that has one. */
static void
names_fault(
    struct census *c, const char *account, unsigned damaged, const char *which)
{
	if (damaged > 0)
		census_fault(c, 0, 0, "%u names %sof account %s are damaged",
		    damaged, which, account);
}

/* Deleted mailboxes that are kept have a name too. */
static int
kept_mark(struct census *c, const char *account)
{
	struct arena a = ARENA_INIT_MAX((size_t)1 << 20);
	struct census_box *box;
	struct kept_box *kept;
	unsigned damaged;
	size_t n;
	int rc = kept_boxes_count(c->m, account, &a, &kept, &n, &damaged);

	if (rc == 0)
		names_fault(c, account, damaged, "of deleted mailboxes ");

	for (size_t i = 0; i < n && rc == 0; i++)
		if ((box = box_find(c, kept[i].id)) != NULL)
			box->named = true;
	arena_reset(&a);
	return rc;
}

static int
names_mark(struct census *c)
{
	struct arena a = ARENA_INIT_MAX((size_t)256 << 20), ids_arena;
	struct census_box *box;
	const char **accounts;
	unsigned damaged = 0;
	uint64_t *ids;
	size_t n, n_ids;
	int rc = mails_accounts(c->m, &a, &accounts, &n);

	for (size_t i = 0; i < n && rc == 0; i++) {
		ids_arena = ARENA_INIT_MAX((size_t)1 << 20);
		rc = names_ids_count(
		    c->m, accounts[i], &ids_arena, &ids, &n_ids, &damaged);
		if (rc == 0)
			names_fault(c, accounts[i], damaged, "");
		for (size_t k = 0; k < n_ids && rc == 0; k++) {
			box = box_find(c, ids[k]);
			if (box != NULL)
				box->named = true;
			if ((box == NULL || !box->exists) &&
			    is_lost(c, accounts[i], ids[k]))
				census_fault(c, ids[k], 0,
				    "the name is there, the mailbox of account "
				    "%s is not",
				    accounts[i]);
		}
		arena_reset(&ids_arena);
		if (rc == 0)
			rc = kept_mark(c, accounts[i]);
	}
	arena_reset(&a);
	return rc;
}

/* 1: something moved in after it was counted. */
static int
moved_in_since(struct census *c)
{
	struct header h;
	struct box *x;
	int rc = 0;

	for (size_t i = 0; i < c->n_boxes && rc == 0; i++) {
		if ((x = box_get(c->m, c->boxes[i].id)) == NULL)
			return -ENOMEM;
		rc = box_read(x, &h);
		if (rc == 0)
			rc = h.moved_in != c->boxes[i].h.moved_in;
		else if (rc == -ENOENT)
			rc = 0; /* deleted meanwhile */
		box_put(&x);
	}
	return rc;
}

static int
census_round(struct census *c)
{
	int rc;

	census_clear(c);
	rc = store_partitions(c->m->s, SLICE_LIT("m"), box_note, c);
	for (size_t i = 0; i < c->n_boxes && rc == 0; i++)
		rc = count_box(c, &c->boxes[i]);
	if (rc == 0)
		rc = names_mark(c);
	return rc == 0 ? moved_in_since(c) : rc;
}

int
census_take(struct census *c)
{
	int rc = 1;

	for (int i = 0; i < ROUNDS && rc == 1; i++)
		rc = census_round(c);
	if (rc == 0 && c->n_marks > 0)
		qsort(c->marks, c->n_marks, sizeof(*c->marks), mark_cmp);
	return rc == 1 ? -EAGAIN : rc;
}
