/* SPDX-License-Identifier: ISC */
/*
 * Mailboxes that were deleted and are kept: only their names went, into a row
 * "g/<name>NUL<id>" of the account. Their own rows are as they were.
 */
#include <stdlib.h>

#include "common/base/clock.h"
#include "mailbox/mails/kept_impl.h"

#define BOX_ROW 21

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

static void
box_key(struct buf *key, const struct kept_box *k)
{
	buf_put_str(key, "g/");
	buf_put_slice(key, k->name);
	buf_put_char(key, '\0');
	buf_put_be64(key, k->id);
}

static void
box_encode(char row[static BOX_ROW], const struct kept_box *k)
{
	row[0] = 1;
	put_be64(row + 1, k->id);
	put_be32(row + 9, k->attrs);
	put_be64(row + 13, (uint64_t)k->deleted_s);
}

void
kept_box_put(struct store_batch *b, const struct kept_box *k)
{
	struct buf key = BUF_INIT;
	char row[BOX_ROW];

	box_key(&key, k);
	box_encode(row, k);
	store_put(b, buf_slice(&key), slice(row, sizeof(row)));
	buf_clear(&key);
}

int
kept_box_exists(struct mails *m, struct slice part, const struct kept_box *k)
{
	struct buf key = BUF_INIT, row = BUF_INIT;
	int rc;

	box_key(&key, k);
	rc = store_get(m->s, part, buf_slice(&key), &row);
	buf_clear(&key);
	buf_clear(&row);
	return rc;
}

void
kept_box_guard(struct store_batch *b, const struct kept_box *k)
{
	struct buf key = BUF_INIT;
	char row[BOX_ROW];

	box_key(&key, k);
	box_encode(row, k);
	store_guard(b, buf_slice(&key), slice(row, sizeof(row)));
	buf_clear(&key);
}

void
kept_box_del(struct store_batch *b, const struct kept_box *k)
{
	struct buf key = BUF_INIT;

	box_key(&key, k);
	store_del(b, buf_slice(&key));
	buf_clear(&key);
}

struct boxes {
	struct arena *a;
	struct kept_box *v;
	size_t n, cap;
};

static int
box_row(void *arg, struct slice key, struct slice val)
{
	struct boxes *all = arg;
	size_t cap = all->cap == 0 ? 16 : all->cap * 2;
	struct kept_box *v;

	if (key.n < 2 + 1 + 8 || val.n != BOX_ROW)
		return -EIO;
	if (all->n == all->cap) {
		if ((v = arena_array(all->a, cap, sizeof(*v))) == NULL)
			return -ENOMEM;
		if (all->n > 0)
			memcpy(v, all->v, all->n * sizeof(*v));
		all->v = v;
		all->cap = cap;
	}
	v = &all->v[all->n++];
	v->name = arena_dup(all->a, slice(key.p + 2, key.n - 2 - 1 - 8));
	v->id = get_be64(val.p + 1);
	v->attrs = get_be32(val.p + 9);
	v->deleted_s = (int64_t)get_be64(val.p + 13);
	return v->name.p == NULL ? -ENOMEM : 0;
}

int
kept_boxes(struct mails *m, const char *account, struct arena *a,
    struct kept_box **out, size_t *n)
{
	struct boxes all = { .a = a };
	struct buf part = BUF_INIT;
	int rc = account_part(&part, account);

	if (rc == 0)
		rc = store_scan(m->s, buf_slice(&part), SLICE_LIT("g/"),
		    SLICE_LIT("g0"), 0, box_row, &all);
	buf_clear(&part);
	*out = all.v;
	*n = all.n;
	return rc;
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
		if ((k == 0 || !slice_eq_str(v[i].name, (*out)[k - 1])) &&
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
