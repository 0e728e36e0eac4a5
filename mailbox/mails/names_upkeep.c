/* SPDX-License-Identifier: ISC */
/* Names of mailboxes that were deleted; in which form names are stored; damage. */
#include <stdlib.h>

#include "mailbox/mails/names_impl.h"

#define CONVERT_STEP 100 /* names of one commit */

/* --- mailboxes that were deleted and are kept --- */

static int
revive_change(struct names *ns, void *arg)
{
	const struct kept_box *k = arg;
	struct name *n = names_get(ns, k->name);
	int rc;

	if (n != NULL && n->id == k->id)
		return 0; /* an attempt of unknown outcome did it */
	if (n != NULL && n->id != 0)
		return -EEXIST;
	ns->revive = *k;
	if ((rc = names_make_parents(ns, k->name, 0)) != 0)
		return rc;
	/* Not there: a mailbox that has lost its name. */
	rc = kept_box_look(
	    ns->m, &ns->sealer, buf_slice(&ns->part), &ns->revive);
	if (rc == -ENOENT && k->deleted_s == 0)
		ns->revive.id = 0;
	else if (rc != 0)
		return rc;
	n = names_get(ns, k->name);
	if (n == NULL && (n = names_append(ns, k->name)) == NULL)
		return -ENOMEM;
	n->id = k->id;
	n->attrs = k->attrs;
	n->changed = true;
	return 0;
}

int
names_revive(struct mails *m, const char *account, const struct kept_box *k)
{
	struct kept_box copy = *k;

	return names_change(m, account, revive_change, &copy);
}

/* The name's row becomes that of a mailbox being deleted. */
static int
kept_box_doom(struct mails *m, struct name_sealer *s, struct slice part,
    const struct kept_box *k)
{
	struct key d = key_token('d', k->id);
	struct store_batch *b = store_batch_new(m->s, part);
	int rc = b == NULL ? -ENOMEM : kept_box_take(s, b, k);

	if (rc == 0) {
		store_put(b, key_slice(&d), SLICE_EMPTY);
		rc = store_commit_one(m->s, b);
	}
	store_batch_free(&b);
	return rc;
}

int
names_destroy_kept(
    struct mails *m, const char *account, const struct kept_box *k)
{
	struct buf part = BUF_INIT;
	struct kept_box now = *k;
	struct name_sealer s;
	unsigned attempts = 0;
	int rc = name_sealer_init(&s, m, account);

	if (rc == 0 && (rc = account_part(&part, account)) == 0)
		do
			if ((rc = kept_box_look(
				 m, &s, buf_slice(&part), &now)) == 0)
				rc = kept_box_doom(
				    m, &s, buf_slice(&part), &now);
		while (try_again(rc, &attempts));
	name_sealer_wipe(&s);
	buf_clear(&part);
	/* It has a name again; or another, or an attempt of unknown outcome,
	 * was faster, and the next list finishes that. */
	if (rc == -ENOENT)
		return 0;
	return rc == 0 ? names_destroy(m, account, k->id) : rc;
}

/* --- in which form names are stored --- */

static int
convert_change(struct names *ns, void *arg)
{
	unsigned n = 0;

	for (size_t i = 0; i < ns->n && n < CONVERT_STEP; i++)
		if (ns->v[i].was && ns->v[i].was_sealed != ns->sealer.seals) {
			ns->v[i].changed = true;
			n++;
		}
	*(bool *)arg = n == CONVERT_STEP;
	return 0;
}

static int
kept_box_convert(struct mails *m, struct name_sealer *s, struct slice part,
    const struct kept_box *k)
{
	struct store_batch *b = store_batch_new(m->s, part);
	struct kept_box new = *k;
	int rc = b == NULL ? -ENOMEM : kept_box_take(s, b, k);

	new.sealed = s->seals;
	if (rc == 0)
		rc = kept_box_put(s, b, &new);
	if (rc == 0)
		rc = store_commit_one(m->s, b);
	store_batch_free(&b);
	return rc;
}

/* What was changed meanwhile is found again. */
static int
kept_convert_attempt(struct mails *m, const char *account)
{
	struct arena a = ARENA_INIT_MAX((size_t)4 << 20);
	struct buf part = BUF_INIT;
	struct kept_box *kept;
	struct name_sealer s;
	size_t n = 0;
	int rc = name_sealer_init(&s, m, account);

	if (rc == 0)
		rc = s.write_rc;
	if (rc == 0 && (rc = account_part(&part, account)) == 0)
		rc = kept_boxes(m, account, &a, &kept, &n);
	for (size_t i = 0; i < n && rc == 0; i++)
		if (kept[i].sealed != s.seals && kept[i].name.n > 0)
			rc =
			    kept_box_convert(m, &s, buf_slice(&part), &kept[i]);
	name_sealer_wipe(&s);
	buf_clear(&part);
	arena_reset(&a);
	return rc;
}

int
names_convert(struct mails *m, const char *account)
{
	unsigned attempts = 0;
	bool more = true;
	int rc = 0;

	while (rc == 0 && more)
		rc = names_change(m, account, convert_change, &more);
	if (rc == 0)
		do
			rc = kept_convert_attempt(m, account);
		while (try_again(rc, &attempts));
	return rc;
}

struct damaged {
	struct name_sealer sealer;
	struct store_batch *b;
	unsigned n;
};

static int
damaged_row(void *arg, struct slice key, struct slice val)
{
	struct damaged *d = arg;
	struct buf name = BUF_INIT;
	struct name_fields f;
	enum name_kind kind;

	if (!slice_starts(key, "n/") && !slice_starts(key, "N") &&
	    !slice_starts(key, "g/") && !slice_starts(key, "G"))
		return 0;
	if (name_row_get(&d->sealer, key, val, &kind, &f, &name) == -EIO) {
		store_guard(d->b, key, val);
		store_del(d->b, key);
		d->n++;
	}
	buf_clear(&name);
	return d->n == CONVERT_STEP;
}

static int
mend_step(struct mails *m, const char *account, unsigned *removed)
{
	struct damaged d = { .n = 0 };
	struct buf part = BUF_INIT;
	int rc = name_sealer_init(&d.sealer, m, account);

	if (rc == 0 && (rc = account_part(&part, account)) == 0 &&
	    (d.b = store_batch_new(m->s, buf_slice(&part))) == NULL)
		rc = -ENOMEM;
	if (rc == 0)
		rc = store_scan(m->s, buf_slice(&part), SLICE_EMPTY,
		    SLICE_EMPTY, 0, damaged_row, &d);
	if (rc >= 0 && d.n > 0)
		rc = store_commit_one(m->s, d.b);
	*removed = rc >= 0 ? d.n : 0;
	store_batch_free(&d.b);
	name_sealer_wipe(&d.sealer);
	buf_clear(&part);
	return rc > 0 ? 0 : rc;
}

int
names_mend(struct mails *m, const char *account, uint64_t *removed)
{
	unsigned attempts = 0, n = 0;
	int rc;

	do {
		rc = mend_step(m, account, &n);
		*removed += n;
	} while (try_again(rc, &attempts) || (rc == 0 && n > 0));
	return rc;
}
