/* SPDX-License-Identifier: ISC */
/*
 * The messages of one folder of a Maildir, put in order before they are read.
 * Names stand in a file without a name; in memory there are 16 octets for each
 * message, and 16 more for each line of a list.
 */
#include <errno.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "mailbox/door/source.h"
#include "mailbox/door/spill.h"

const struct maildir_list_name maildir_lists[] = {
	{ "dovecot-keywords", LIST_DOVECOT_KEYWORDS },
	{ "courierimapkeywords/:list", LIST_COURIER_KEYWORDS },
	{ "dovecot-uidlist", LIST_UIDS },
	{ "courierimapuiddb", LIST_UIDS },
	{ NULL, LIST_UIDS },
};

/* A line of a list: of the message with that base, this. */
struct listed {
	uint64_t fingerprint, value;
};
struct list {
	struct listed *v;
	size_t n, cap;
	bool sorted;
};

struct entry {
	uint64_t order;
	uint64_t at; /* in the file of names */
};

#define RECORD_MAX (9 + MAILDIR_NAME_MAX)
struct record {
	uint64_t cookie;
	size_t n;
	char name[MAILDIR_NAME_MAX];
};

struct maildir_index {
	const struct source *s;
	const struct maildir_ops *ops;
	void *arg;
	struct arena a; /* names of keywords */
	struct maildir_keywords dovecot;
	struct maildir_courier courier;
	struct list uids, bits;
	struct spill names;
	struct entry *v;
	size_t n, cap;
	char *chunk;
	int rc; /* of a comparison */
};

int
maildir_index_new(struct maildir_index **out, const struct source *s,
    const struct maildir_ops *ops, void *arg)
{
	struct maildir_index *ix = calloc(1, sizeof(*ix));
	int rc;

	*out = ix;
	if (ix == NULL)
		return -ENOMEM;
	ix->s = s;
	ix->ops = ops;
	ix->arg = arg;
	ix->a = ARENA_INIT_MAX((size_t)64 << 10);
	rc = spill_open(&ix->names, s->dir);
	if (rc == 0 && (ix->chunk = malloc(DOOR_CHUNK)) == NULL)
		rc = -ENOMEM;
	if (rc != 0)
		maildir_index_free(out);
	return rc;
}

void
maildir_index_free(struct maildir_index **out)
{
	struct maildir_index *ix = *out;

	*out = NULL;
	if (ix == NULL)
		return;
	spill_close(&ix->names);
	arena_reset(&ix->a);
	free(ix->uids.v);
	free(ix->bits.v);
	free(ix->v);
	free(ix->chunk);
	free(ix);
}

void
maildir_index_begin(struct maildir_index *ix)
{
	arena_reset(&ix->a);
	ix->dovecot = (struct maildir_keywords){ 0 };
	ix->courier = (struct maildir_courier){ 0 };
	ix->uids.n = ix->bits.n = 0;
	ix->uids.sorted = ix->bits.sorted = false;
	ix->n = 0;
	spill_reset(&ix->names);
}

/* --- lists --- */

static int
list_add(struct list *l, struct slice base, uint64_t value)
{
	size_t cap = l->cap == 0 ? 256 : l->cap * 2;
	struct listed *v;

	if (l->n == l->cap) {
		if ((v = reallocarray(l->v, cap, sizeof(*v))) == NULL)
			return -ENOMEM;
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n++] = (struct listed){ door_fingerprint(&base, 1), value };
	return 0;
}

static int
listed_cmp(const void *a, const void *b)
{
	const struct listed *x = a, *y = b;

	return (x->fingerprint > y->fingerprint) -
	    (x->fingerprint < y->fingerprint);
}

/* 0: it is not there. */
static uint64_t
list_get(struct list *l, struct slice base)
{
	struct listed key = { .value = 0 }, *found;

	if (l->n == 0)
		return 0;
	if (!l->sorted)
		qsort(l->v, l->n, sizeof(*l->v), listed_cmp);
	l->sorted = true;
	key.fingerprint = door_fingerprint(&base, 1);
	found = bsearch(&key, l->v, l->n, sizeof(*l->v), listed_cmp);
	return found == NULL ? 0 : found->value;
}

static int
list_line(struct maildir_index *ix, enum maildir_list kind, struct slice line)
{
	struct maildir_name name;
	struct slice base;
	uint64_t bits;
	uint32_t uid;

	if (kind == LIST_DOVECOT_KEYWORDS) {
		maildir_dovecot_keyword(&ix->dovecot, &ix->a, line);
	} else if (kind == LIST_COURIER_KEYWORDS) {
		if (maildir_courier_line(
			&ix->courier, &ix->a, line, &base, &bits))
			return list_add(&ix->bits, base, bits);
	} else if (maildir_uid_line(line, &base, &uid)) {
		maildir_name_parse(base, &name);
		return list_add(&ix->uids, name.id, uid);
	}
	return 0;
}

/* The next line without its end; empty with *end at the end. */
static int
next_line(struct input *in, struct slice *line, bool *end)
{
	int rc = input_line(in, line);

	*end = rc != 0 || line->n == 0;
	if (*end)
		return rc;
	input_consume(in, line->n);
	while (line->n > 0 &&
	    (line->p[line->n - 1] == '\n' || line->p[line->n - 1] == '\r'))
		line->n--;
	return 0;
}

int
maildir_index_list(
    struct maildir_index *ix, enum maildir_list kind, struct input *in)
{
	struct slice line;
	bool end = false;
	int rc = 0;

	while (rc == 0 && (rc = next_line(in, &line, &end)) == 0 && !end)
		if (line.n <= MAILDIR_LINE_MAX)
			rc = list_line(ix, kind, line);
	return rc;
}

int
maildir_subscriptions_read(
    const struct source *s, enum maildir_subscriptions kind, struct input *in)
{
	struct buf name = BUF_INIT_MAX(MAILDIR_LINE_MAX);
	struct slice line;
	bool end = false;
	int rc = 0;

	take_has_subscriptions(s->take);
	while (rc == 0 && (rc = next_line(in, &line, &end)) == 0 && !end)
		if (line.n <= MAILDIR_LINE_MAX &&
		    maildir_subscription(&kind, line, &name))
			rc = take_subscribe(s->take, buf_slice(&name), 0);
	buf_clear(&name);
	return rc;
}

/* --- names --- */

int
maildir_index_add(struct maildir_index *ix, struct slice name, uint64_t cookie)
{
	size_t cap = ix->cap == 0 ? 256 : ix->cap * 2;
	char head[9];
	struct entry *v;
	int rc;

	if (name.n == 0 || name.n > MAILDIR_NAME_MAX)
		return 0;
	if (ix->n == ix->cap) {
		if ((v = reallocarray(ix->v, cap, sizeof(*v))) == NULL)
			return -ENOMEM;
		ix->v = v;
		ix->cap = cap;
	}
	ix->v[ix->n++] = (struct entry){ .at = spill_end(&ix->names) };
	put_be64(head, cookie);
	head[8] = (char)name.n;
	rc = spill_put(&ix->names, slice(head, sizeof(head)));
	return rc != 0 ? rc : spill_put(&ix->names, name);
}

static int
record_read(struct maildir_index *ix, uint64_t at, struct record *out)
{
	char octets[RECORD_MAX];
	ssize_t n = spill_get(&ix->names, at, octets, sizeof(octets));

	if (n < 9 || n < 9 + (unsigned char)octets[8])
		return n < 0 ? (int)n : -EIO;
	out->cookie = get_be64(octets);
	out->n = (unsigned char)octets[8];
	memcpy(out->name, octets + 9, out->n);
	return 0;
}

/* --- order --- */

/* Those with a UID as they were; then by time: seconds, and what Dovecot has
 * as microseconds, "1700000000.M123456P...". */
static uint64_t
order_of(struct maildir_index *ix, const struct record *r)
{
	struct slice rest = slice(r->name, r->n);
	struct maildir_name name;
	uint64_t uid, micro = 0;

	maildir_name_parse(rest, &name);
	if ((uid = list_get(&ix->uids, name.id)) != 0)
		return uid;
	(void)slice_split(&rest, '.');
	if (!slice_starts(rest, "M"))
		rest = SLICE_EMPTY;
	for (size_t i = 1; i < rest.n && ascii_is_digit(rest.p[i]); i++)
		if (micro < UINT64_MAX / 100)
			micro = micro * 10 + (uint64_t)(rest.p[i] - '0');
	micro = micro > 999999 ? 999999 : micro;
	return UINT64_C(1) << 63 |
	    ((name.order * 1000000 + micro) & ~(UINT64_C(1) << 63));
}

static int
entry_cmp(const void *a, const void *b, void *arg)
{
	const struct entry *x = a, *y = b;
	struct maildir_index *ix = arg;
	struct record r[2];
	int rc;

	if (x->order != y->order)
		return x->order < y->order ? -1 : 1;
	if (x->at == y->at)
		return 0;
	if ((rc = record_read(ix, x->at, &r[0])) != 0 ||
	    (rc = record_read(ix, y->at, &r[1])) != 0) {
		ix->rc = rc;
		return 0;
	}
	return slice_cmp(slice(r[0].name, r[0].n), slice(r[1].name, r[1].n));
}

static int
sort(struct maildir_index *ix)
{
	struct record r;
	int rc = 0;

	for (size_t i = 0; i < ix->n && rc == 0; i++)
		if ((rc = record_read(ix, ix->v[i].at, &r)) == 0)
			ix->v[i].order = order_of(ix, &r);
	ix->rc = 0;
	if (rc == 0 && ix->n > 0)
		qsort_r(ix->v, ix->n, sizeof(*ix->v), entry_cmp, ix);
	return rc == 0 ? ix->rc : rc;
}

/* --- reading --- */

static void
meta_of(struct maildir_index *ix, const struct maildir_name *name,
    struct door_meta *meta, struct arena *a)
{
	struct maildir_keywords *d = &ix->dovecot;

	meta->flags = name->flags;
	if (name->passed)
		(void)door_keyword_add(meta, a, SLICE_LIT("$Forwarded"));
	maildir_keywords_add(d, name->letters, meta, a);
	if (ix->bits.n > 0)
		maildir_keywords_add(&ix->courier.keywords,
		    list_get(&ix->bits, name->base), meta, a);
}

/* The octets into take: how many, or the error of the source in *bad. */
static int
copy_octets(struct maildir_index *ix, uint64_t *octets, int *bad)
{
	ssize_t n;
	int rc;

	*octets = 0;
	*bad = 0;
	while ((n = ix->ops->read(ix->arg, ix->chunk, DOOR_CHUNK)) > 0) {
		*octets += (uint64_t)n;
		rc = take_octets(ix->s->take, slice(ix->chunk, (size_t)n));
		if (rc != 0)
			return rc;
	}
	*bad = (int)n;
	return 0;
}

static void
tell_bad(struct maildir_index *ix, const struct record *r, int rc)
{
	ix->s->report->failed++;
	door_warn(ix->s->report, "%s: %s; passed over",
	    log_q(slice(r->name, r->n)),
	    rc == -ENOENT        ? "gone meanwhile (import again)"
		: rc == -ENODATA ? "is empty"
				 : strerror(-rc));
}

static int
take_one(struct maildir_index *ix, const struct record *r)
{
	struct arena a = ARENA_INIT_MAX((size_t)32 << 10);
	struct door_meta meta = { .internaldate = INT64_MIN };
	struct slice text = slice(r->name, r->n);
	struct maildir_name name;
	uint64_t octets = 0;
	int rc,
	    bad = ix->ops->open(ix->arg, text, r->cookie, &meta.internaldate);

	if (bad != 0) {
		tell_bad(ix, r, bad);
		return 0;
	}
	maildir_name_parse(text, &name);
	meta_of(ix, &name, &meta, &a);
	if ((rc = take_begin(ix->s->take)) == 0)
		rc = copy_octets(ix, &octets, &bad);
	ix->ops->close(ix->arg);
	if (rc == 0 && bad == 0 && octets == 0)
		bad = -ENODATA;
	if (rc == 0 && bad == 0)
		rc = take_end(ix->s->take, &meta, NULL);
	else
		take_drop(ix->s->take);
	if (rc == 0 && bad != 0)
		tell_bad(ix, r, bad);
	arena_reset(&a);
	return rc;
}

int
maildir_index_run(struct maildir_index *ix)
{
	struct record r;
	int rc = sort(ix);

	for (size_t i = 0; i < ix->n && rc == 0; i++)
		if ((rc = record_read(ix, ix->v[i].at, &r)) == 0)
			rc = take_one(ix, &r);
	return rc;
}
