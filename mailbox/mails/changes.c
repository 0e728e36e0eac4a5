/* SPDX-License-Identifier: ISC */
/*
 * What changed in a mailbox since a cursor: change rows by modseq, and message
 * rows from a UID on. No view is opened, so that who asks often and of many
 * mailboxes costs little where nothing happened.
 */
#include "mailbox/mails/impl.h"

struct collect {
	struct mails_changed *out;
	struct mails_cursor *c;
	size_t max;
};

/* What is the same wherever the message goes, and (the lower half) whatever
 * blob that is, until it is sealed into another. */
static uint64_t
print_of(const struct row *r)
{
	const char *p = (const char *)r->blob.octets;
	uint64_t like = (uint64_t)r->internaldate * 0x9e3779b97f4a7c15u ^
	    r->size * 0xc2b2ae3d27d4eb4fu;

	return (like >> 32 ^ like) << 32 | (uint32_t)get_be64(p);
}

static void
fill(struct mails_change *v, const struct row *r)
{
	v->flags = r->flags;
	v->print = print_of(r);
}

static int
on_change(void *arg, struct slice key, struct slice val)
{
	struct collect *k = arg;

	if (key.n != 13 || val.n != 1)
		return -EIO;
	k->c->modseq = get_be64(key.p + 1);
	k->c->modseq_uid = get_be32(key.p + 9);
	k->out->v[k->out->n++] = (struct mails_change){ .uid = k->c->modseq_uid,
		.gone = val.p[0] == CHANGE_EXPUNGE };
	return k->out->n == k->max;
}

static int
on_message(void *arg, struct slice key, struct slice val)
{
	struct collect *k = arg;
	struct mails_change *v = &k->out->v[k->out->n];
	struct row r;

	if (key.n != 5)
		return -EIO;
	*v = (struct mails_change){ .uid = get_be32(key.p + 1) };
	k->c->uid = v->uid + 1;
	/* A damaged row costs that message; check names it. */
	if (row_decode(val, &r) != 0)
		return 0;
	fill(v, &r);
	return ++k->out->n == k->max;
}

/* Flags of what was changed; what has gone since is named by a later row. */
static int
read_flags(struct box *x, struct mails_changed *out)
{
	size_t kept = 0;
	struct row r;
	int rc;

	for (size_t i = 0; i < out->n; i++) {
		struct mails_change v = out->v[i];

		if (!v.gone) {
			rc = row_get(x, v.uid, &r);
			if (rc == -ENOENT)
				continue;
			if (rc != 0)
				return rc;
			fill(&v, &r);
		}
		out->v[kept++] = v;
	}
	out->n = kept;
	return 0;
}

static int
take_keywords(struct box *x, struct arena *a, struct mails_changed *out)
{
	struct keywords k = { .n = 0 };
	int rc = keywords_read(x, &k);

	if (rc == 0 &&
	    (out->keywords = arena_array(a, k.n + 1, sizeof(*out->keywords))) ==
		NULL)
		rc = -ENOMEM;
	for (size_t i = 0; i < k.n && rc == 0; i++, out->n_keywords++)
		if ((out->keywords[i] =
			    arena_strdup(a, slice_str(k.names[i]))) == NULL)
			rc = -ENOMEM;
	keywords_clear(&k);
	return rc;
}

static int
changes_collect(struct box *x, const struct header *h, struct collect *k)
{
	struct mails_cursor *c = k->c;
	struct key from = c->modseq_uid == UINT32_MAX
	    ? key_change(c->modseq + 1, 0)
	    : key_change(c->modseq, c->modseq_uid + 1);
	struct key to = key_change(h->modseq + 1, 0);
	int rc = store_scan(x->m->s, box_part(x), key_slice(&from),
	    key_slice(&to), 0, on_change, k);

	if (rc < 0 || (rc = k->out->more = rc == 1) != 0)
		return rc < 0 ? rc : read_flags(x, k->out);
	c->modseq = h->modseq;
	c->modseq_uid = UINT32_MAX;
	if ((rc = read_flags(x, k->out)) != 0)
		return rc;
	from = key_uid('u', c->uid);
	to = key_uid('u', h->uidnext);
	if (c->uid < h->uidnext)
		rc = store_scan(x->m->s, box_part(x), key_slice(&from),
		    key_slice(&to), 0, on_message, k);
	k->out->more = rc == 1;
	if (rc == 0)
		c->uid = h->uidnext;
	return rc < 0 ? rc : 0;
}

static bool
is_stale(const struct mails_cursor *c, const struct header *h)
{
	return c->uidvalidity != h->uidvalidity || c->uid > h->uidnext ||
	    c->modseq > h->modseq || c->modseq < h->expunge_floor;
}

static int
box_changes(struct box *x, struct mails_cursor *c, size_t max, struct arena *a,
    struct mails_changed *out)
{
	struct collect k = { out, c, max };
	struct header h;
	int rc = box_read(x, &h);

	if (rc != 0)
		return rc;
	if (is_stale(c, &h)) {
		*c = (struct mails_cursor){ h.uidvalidity, h.uidnext, h.modseq,
			UINT32_MAX };
		return -ESTALE;
	}
	if ((out->v = arena_array(a, max, sizeof(*out->v))) == NULL)
		return -ENOMEM;
	if ((rc = changes_collect(x, &h, &k)) == 0)
		rc = take_keywords(x, a, out);
	/* What is on its way to another mailbox arrives there. */
	return rc == 0 ? moves_replay(x) : rc;
}

int
mails_changes(struct mails *m, const char *account, struct slice name,
    struct mails_cursor *c, size_t max, struct arena *a,
    struct mails_changed *out)
{
	struct box *x;
	uint64_t id;
	int rc = names_find(m, account, name, &id);

	*out = (struct mails_changed){ .n = 0 };
	if (rc != 0)
		return mails_error(rc);
	if ((x = box_get(m, id)) == NULL)
		return -ENOMEM;
	rc = box_changes(x, c, max, a, out);
	box_put(&x);
	return rc == -ESTALE ? rc : mails_error(rc);
}
