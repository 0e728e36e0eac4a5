/* SPDX-License-Identifier: ISC */
/*
 * Mailboxes that were deleted and are kept: only their names went, into another
 * row of the account (name_rows.h). Their own rows are as they were.
 */
#include <stdlib.h>

#include "common/base/clock.h"
#include "mailbox/mails/kept_impl.h"

static bool
is_root(struct slice name, const char *root)
{
	struct slice r = slice_str(root);

	return name.n >= r.n && memcmp(name.p, r.p, r.n) == 0 &&
	    (name.n == r.n || name.p[r.n] == MAILS_SEPARATOR);
}

bool
kept_is_name(struct slice name)
{
	return is_root(name, MAILS_DELETED_ROOT) ||
	    is_root(name, MAILS_TIME_ROOT);
}

static int
box_row_put(struct name_sealer *s, const struct kept_box *k, struct buf *key,
    struct buf *val)
{
	const struct name_fields f = { k->id, k->attrs, k->deleted_s,
		k->sealed };

	return name_row_put(s, NAME_KEPT, k->name, &f, key, val);
}

int
kept_box_put(
    struct name_sealer *s, struct store_batch *b, const struct kept_box *k)
{
	struct buf key = BUF_INIT, val = BUF_INIT;
	int rc = box_row_put(s, k, &key, &val);

	if (rc == 0)
		store_put(b, buf_slice(&key), buf_slice(&val));
	buf_clear(&key);
	buf_clear(&val);
	return rc;
}

int
kept_box_take(
    struct name_sealer *s, struct store_batch *b, const struct kept_box *k)
{
	struct buf key = BUF_INIT, val = BUF_INIT;
	int rc = box_row_put(s, k, &key, &val);

	if (rc == 0) {
		store_guard(b, buf_slice(&key), buf_slice(&val));
		store_del(b, buf_slice(&key));
	}
	buf_clear(&key);
	buf_clear(&val);
	return rc;
}

int
kept_box_look(struct mails *m, struct name_sealer *s, struct slice part,
    struct kept_box *k)
{
	struct buf key = BUF_INIT, row = BUF_INIT;
	int rc = -ENOENT;

	/* As it was read; then in the other form. */
	for (int i = 0; i < 2 && rc == -ENOENT; i++, k->sealed = !k->sealed) {
		if (k->sealed && !s->opens)
			continue;
		buf_reset(&key);
		if ((rc = box_row_put(s, k, &key, NULL)) == 0)
			rc = store_get(m->s, part, buf_slice(&key), &row);
		if (rc == 0)
			break;
	}
	buf_clear(&key);
	buf_clear(&row);
	return rc;
}

struct boxes {
	struct arena *a;
	struct name_sealer sealer;
	struct kept_box *v;
	size_t n, cap;
	unsigned damaged;
};

static int
box_note(struct boxes *all, struct slice name, const struct name_fields *f)
{
	size_t cap = all->cap == 0 ? 16 : all->cap * 2;
	struct kept_box *v;

	if (all->n == all->cap) {
		if ((v = arena_array(all->a, cap, sizeof(*v))) == NULL)
			return -ENOMEM;
		if (all->n > 0)
			memcpy(v, all->v, all->n * sizeof(*v));
		all->v = v;
		all->cap = cap;
	}
	v = &all->v[all->n++];
	*v = (struct kept_box){ .name = arena_dup(all->a, name),
		.id = f->id,
		.attrs = f->attrs,
		.deleted_s = f->deleted_s,
		.sealed = f->sealed };
	return v->name.p == NULL ? -ENOMEM : 0;
}

/* A name that cannot be opened for want of the key is empty: nothing has it. */
static int
box_row(void *arg, struct slice key, struct slice val)
{
	struct boxes *all = arg;
	struct buf name = BUF_INIT;
	struct name_fields f;
	enum name_kind kind;
	int rc;

	if (!slice_starts(key, "g/") && !slice_starts(key, "G"))
		return 0;
	rc = name_row_get(&all->sealer, key, val, &kind, &f, &name);
	if (rc == 0 || rc == -ENOKEY)
		rc = box_note(all, buf_slice(&name), &f);
	all->damaged += rc == -EIO;
	buf_clear(&name);
	return rc == -EIO ? 0 : rc;
}

static int
box_cmp(const void *pa, const void *pb)
{
	const struct kept_box *a = pa, *b = pb;
	int d = slice_cmp(a->name, b->name);

	return d != 0 ? d : (a->id > b->id) - (a->id < b->id);
}

int
kept_boxes_count(struct mails *m, const char *account, struct arena *a,
    struct kept_box **out, size_t *n, unsigned *damaged)
{
	struct boxes all = { .a = a };
	struct buf part = BUF_INIT;
	int rc = account_part(&part, account);

	if (rc == 0)
		rc = name_sealer_init(&all.sealer, m, account);
	/* Both forms in one scan: a row may change its form meanwhile. */
	if (rc == 0)
		rc = store_scan(m->s, buf_slice(&part), SLICE_LIT("G"),
		    SLICE_LIT("g0"), 0, box_row, &all);
	if (all.n > 0)
		qsort(all.v, all.n, sizeof(*all.v), box_cmp);
	name_sealer_wipe(&all.sealer);
	buf_clear(&part);
	*out = all.v;
	*n = all.n;
	*damaged = all.damaged;
	return rc;
}

int
kept_boxes(struct mails *m, const char *account, struct arena *a,
    struct kept_box **out, size_t *n)
{
	unsigned damaged;

	return kept_boxes_count(m, account, a, out, n, &damaged);
}

int
kept_box_find(struct mails *m, const char *account, struct slice name,
    struct arena *a, struct kept_box *out)
{
	struct slice canonical;
	struct kept_box *v;
	size_t n, best;
	int rc;

	if ((rc = name_canonical(a, name, &canonical)) != 0 ||
	    (rc = kept_boxes(m, account, a, &v, &n)) != 0)
		return rc;
	best = n;
	for (size_t i = 0; i < n; i++)
		if (slice_eq(v[i].name, canonical) &&
		    (best == n || v[i].deleted_s > v[best].deleted_s))
			best = i;
	if (best == n)
		return -ENOENT;
	*out = v[best];
	return 0;
}

int
mails_kept_mailboxes(
    struct mails *m, const char *account, struct arena *a, const char ***out)
{
	struct kept_box *v;
	size_t n, k = 0;
	int rc = kept_boxes(m, account, a, &v, &n);

	if (rc == 0 && (*out = arena_array(a, n + 1, sizeof(**out))) == NULL)
		rc = -ENOMEM;
	/* In the order of their names: those of one name stand together. */
	for (size_t i = 0; i < n && rc == 0; i++)
		if (v[i].name.n > 0 &&
		    (k == 0 || !slice_eq_str(v[i].name, (*out)[k - 1])) &&
		    ((*out)[k++] = arena_strdup(a, v[i].name)) == NULL)
			rc = -ENOMEM;
	if (rc == 0)
		(*out)[k] = NULL;
	return mails_error(rc);
}

static int
is_expunged(void *arg, uint32_t number, const struct kept *k)
{
	(void)arg, (void)number;
	return k->kind == KEPT_EXPUNGED;
}

/* Is there one in the mailbox? 1: yes. */
static int
box_has_kept(struct mails *m, uint64_t id)
{
	struct box *x = box_get(m, id);
	int rc = x == NULL ? -ENOMEM : kept_rows(x, 0, is_expunged, NULL);

	box_put(&x);
	return rc;
}

int
mails_kept_names(struct mails *m, const char *account, struct arena *a,
    const char ***out, size_t *n)
{
	struct mails_info *all;
	const char **deleted;
	size_t n_all, n_deleted = 0;
	int rc;

	*n = 0;
	if ((rc = mails_list(m, account, a, &all, &n_all)) != 0 ||
	    (rc = mails_kept_mailboxes(m, account, a, &deleted)) != 0)
		return rc;
	while (deleted[n_deleted] != NULL)
		n_deleted++;
	if ((*out = arena_array(a, n_all + n_deleted + 1, sizeof(**out))) ==
	    NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n_all && rc >= 0; i++) {
		if (all[i].id == 0 || (all[i].attrs & MAILS_NOSELECT) != 0)
			continue;
		if ((rc = box_has_kept(m, all[i].id)) == 1)
			(*out)[(*n)++] = all[i].name;
	}
	for (size_t i = 0; i < n_deleted && rc >= 0; i++) {
		bool live = false;

		for (size_t k = 0; k < n_all; k++)
			live |= all[k].id != 0 &&
			    (all[k].attrs & MAILS_NOSELECT) == 0 &&
			    strcmp(all[k].name, deleted[i]) == 0;
		if (!live)
			(*out)[(*n)++] = deleted[i];
	}
	return mails_error(rc < 0 ? rc : 0);
}
