/* SPDX-License-Identifier: ISC */
/* Mailboxes are made, deleted, renamed and subscribed to. */
#include <stdlib.h>

#include "common/base/clock.h"
#include "mailbox/mails/names_impl.h"

int
names_wanted(struct wanted *w, struct slice name)
{
	int rc;

	*w = (struct wanted){ .arena = ARENA_INIT_MAX(8192) };
	rc = name_canonical(&w->arena, name, &w->name);
	return rc == 0 && kept_is_name(w->name) ? -EACCES : rc;
}

static int
create_change(struct names *ns, void *arg)
{
	struct wanted *w = arg;
	struct name *n = names_get(ns, w->name);
	int rc;

	if (name_is_mailbox(n) ||
	    (n != NULL && n->id != 0 && (w->attrs & MAILS_NOSELECT)))
		return n->id == w->id ? 0 : -EEXIST;
	if ((rc = names_make_parents(ns, w->name, w->attrs & MAILS_NOSELECT)) !=
	    0)
		return rc;
	if ((n = names_make(ns, w->name, w->attrs)) == NULL)
		return -ENOMEM;
	w->id = n->id;
	return 0;
}

int
mails_create(struct mails *m, const char *account, struct slice name,
    unsigned special, uint64_t *id)
{
	struct wanted w;
	int rc;

	/* CREATE "foo/" says that names below foo are to come (6.3.3). */
	if (name.n > 1 && name.p[name.n - 1] == MAILS_SEPARATOR)
		name.n--;
	if ((rc = names_wanted(&w, name)) == 0 && special != MAILS_NOSELECT &&
	    (special & ~(unsigned)MAILS_SPECIAL_USES) != 0)
		rc = -EINVAL;
	w.attrs = special;
	if (rc == 0)
		rc = names_change(m, account, create_change, &w);
	if (id != NULL)
		*id = w.id;
	arena_reset(&w.arena);
	return rc;
}

static bool
is_below(struct slice name, struct slice parent)
{
	return name.n > parent.n && name.p[parent.n] == MAILS_SEPARATOR &&
	    memcmp(name.p, parent.p, parent.n) == 0;
}

static bool
has_children(const struct names *ns, struct slice name)
{
	for (size_t i = 0; i < ns->n; i++)
		if (!ns->v[i].gone && ns->v[i].id != 0 &&
		    is_below(ns->v[i].name, name))
			return true;
	return false;
}

/* The name goes; a subscription to it stays (RFC 3501 6.3.6: the server must
 * not remove it by itself). */
static void
name_leave(struct name *n)
{
	n->changed = true;
	n->fresh = false;
	n->id = 0;
	if (n->attrs & MAILS_SUBSCRIBED)
		n->attrs = MAILS_SUBSCRIBED | MAILS_NOSELECT;
	else
		n->gone = true;
}

static int
delete_change(struct names *ns, void *arg)
{
	struct wanted *w = arg;
	struct name *n = names_get(ns, w->name);
	bool children;

	if (w->id != 0 && (n == NULL || n->id != w->id))
		return 0; /* an attempt of unknown outcome did it */
	if (n == NULL || n->id == 0)
		return -ENOENT;
	children = has_children(ns, w->name);
	if (children && (n->attrs & MAILS_NOSELECT))
		return -ENOENT; /* RFC 3501 6.3.4: an error */
	w->id = n->id;
	w->kept = ns->m->keep_s > 0;
	if ((n->attrs & MAILS_NOSELECT) == 0 && w->kept)
		ns->keep = (struct kept_box){ .name = n->name,
			.id = n->id,
			.attrs = n->attrs,
			.deleted_s = clock_wall_s() };
	else if ((n->attrs & MAILS_NOSELECT) == 0)
		ns->destroy = n->id;
	if (!children) {
		name_leave(n);
		return 0;
	}
	n->id = names_new_id();
	n->attrs = (n->attrs & MAILS_SUBSCRIBED) | MAILS_NOSELECT;
	n->changed = true;
	n->fresh = false;
	return 0;
}

/* The rows of a mailbox whose name is gone, then the note of it. */
int
names_destroy(struct mails *m, const char *account, uint64_t id)
{
	struct key k = key_token('d', id);
	struct buf part = BUF_INIT;
	struct store_batch *b;
	unsigned attempts = 0;
	int rc = box_destroy(m, id);

	if (rc == 0)
		rc = account_part(&part, account);
	if (rc == 0)
		do {
			b = store_batch_new(m->s, buf_slice(&part));
			if (b != NULL)
				store_del(b, key_slice(&k));
			rc = store_commit_one(m->s, b);
			store_batch_free(&b);
		} while (try_again(rc, &attempts));
	buf_clear(&part);
	return rc;
}

/* What is on its way out of there belongs to its target. */
static void
finish_moves(struct mails *m, uint64_t id)
{
	struct box *x = box_get(m, id);

	if (x != NULL)
		(void)moves_replay(x);
	box_put(&x);
}

int
mails_delete(struct mails *m, const char *account, struct slice name)
{
	struct wanted w;
	int rc;

	if ((rc = names_wanted(&w, name)) == 0)
		rc = name_is_inbox(w.name)
		    ? -EPERM
		    : names_change(m, account, delete_change, &w);
	/* The name is gone: what is left over is done by the next list. */
	if (rc == 0 && w.kept)
		finish_moves(m, w.id);
	else if (rc == 0)
		(void)names_destroy(m, account, w.id);
	arena_reset(&w.arena);
	return rc;
}

/* `from` and all below it, under the new name. */
static int
rename_one(struct names *ns, size_t i, struct slice from, struct slice to)
{
	struct buf name = BUF_INIT;
	struct name *n;
	int rc = -ENOMEM;

	buf_put_slice(&name, to);
	buf_put_slice(&name, slice_from(ns->v[i].name, from.n));
	n = names_get(ns, buf_slice(&name));
	if ((rc = name_check(buf_slice(&name))) == 0 && n != NULL && n->id != 0)
		rc = -EEXIST;
	if (rc == 0 && n == NULL &&
	    (n = names_append(ns, buf_slice(&name))) == NULL)
		rc = -ENOMEM;
	if (rc == 0) {
		n->id = ns->v[i].id;
		n->attrs = ns->v[i].attrs | (n->attrs & MAILS_SUBSCRIBED);
		n->changed = true;
		n->fresh = ns->v[i].fresh;
		name_leave(&ns->v[i]);
	}
	buf_clear(&name);
	return rc;
}

static int
rename_change(struct names *ns, void *arg)
{
	struct wanted *w = arg;
	struct name *from = names_get(ns, w->name), *to = names_get(ns, w->to);
	size_t n = ns->n;
	int rc = 0;

	if (w->id != 0 && to != NULL && to->id == w->id)
		return 0; /* an attempt of unknown outcome did it */
	if (from == NULL || from->id == 0)
		return -ENOENT;
	if (to != NULL && to->id != 0)
		return -EEXIST;
	w->id = from->id;
	for (size_t i = 0; i < n && rc == 0; i++)
		if (!ns->v[i].gone && ns->v[i].id != 0 &&
		    (slice_eq(ns->v[i].name, w->name) ||
			is_below(ns->v[i].name, w->name)))
			rc = rename_one(ns, i, w->name, w->to);
	return rc == 0 ? names_make_parents(ns, w->to, 0) : rc;
}

/* INBOX stays, its mail goes (RFC 3501 6.3.5). */
static int
rename_inbox(struct mails *m, const char *account, struct slice to)
{
	uint64_t inbox, id;
	int rc;

	if ((rc = names_find(m, account, SLICE_LIT("INBOX"), &inbox)) != 0 ||
	    (rc = mails_create(m, account, to, 0, &id)) != 0)
		return rc;
	return box_move_all(m, inbox, id);
}

int
mails_rename(
    struct mails *m, const char *account, struct slice from, struct slice to)
{
	struct wanted w;
	int rc;

	if (to.n > 1 && to.p[to.n - 1] == MAILS_SEPARATOR)
		to.n--;
	if ((rc = names_wanted(&w, from)) == 0 &&
	    (rc = name_canonical(&w.arena, to, &w.to)) == 0) {
		if (kept_is_name(w.to))
			rc = -EACCES;
		else if (name_is_inbox(w.to))
			rc = -EEXIST;
		else if (name_is_inbox(w.name))
			rc = rename_inbox(m, account, w.to);
		else
			rc = names_change(m, account, rename_change, &w);
	}
	arena_reset(&w.arena);
	return mails_error(rc);
}

static int
subscribe_change(struct names *ns, void *arg)
{
	struct wanted *w = arg;
	struct name *n = names_get(ns, w->name);

	if (n == NULL && !w->subscribed)
		return 0;
	if (n == NULL) {
		if ((n = names_append(ns, w->name)) == NULL)
			return -ENOMEM;
		n->attrs = MAILS_NOSELECT;
	}
	if (((n->attrs & MAILS_SUBSCRIBED) != 0) == w->subscribed)
		return 0;
	n->attrs ^= MAILS_SUBSCRIBED;
	n->gone = n->id == 0 && !w->subscribed;
	n->changed = true;
	return 0;
}

int
mails_subscribe(
    struct mails *m, const char *account, struct slice name, bool subscribed)
{
	struct wanted w;
	int rc;

	if ((rc = names_wanted(&w, name)) == 0) {
		w.subscribed = subscribed;
		rc = names_change(m, account, subscribe_change, &w);
	}
	arena_reset(&w.arena);
	return rc;
}
