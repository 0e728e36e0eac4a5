/* SPDX-License-Identifier: ISC */
/*
 * Accounts and the names of their mailboxes. All names are read, the change is
 * made on the list, and one batch, guarded on the account's row, writes what
 * differs. A mailbox's own partition is made before its name is.
 */
#include <stdlib.h>
#include <uninorm.h>
#include <unistr.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "mailbox/mails/arrivals_impl.h"
#include "mailbox/mails/kept_impl.h"

#define ACCOUNT_MAX 320 /* octets: RFC 5321 4.5.3.1 */
#define LEVELS_MAX 32
#define KEY_ACCOUNT SLICE_LIT("v")
#define ACCOUNT_ROW 13
#define CONVERT_STEP 100 /* names of one commit */

struct name {
	struct slice name; /* in the arena */
	uint64_t id;
	uint32_t attrs;
	bool was;        /* there is a row of this name, */
	bool was_sealed; /* in this form */
	bool gone;       /* no row of this name any more */
	bool changed;
	bool fresh; /* a new mailbox: its partition is to be made */
};

/* An account and its names, as one change of them sees it. */
struct names {
	struct mails *m;
	struct arena arena;
	struct buf part;
	struct name_sealer sealer;
	bool ids_only;    /* names that cannot be opened are left empty */
	unsigned damaged; /* rows of names */
	struct name *v;
	size_t n, cap;
	uint64_t changes;                      /* of the account's row */
	uint32_t uidvalidity, uidvalidity_was; /* given last */
	bool exists;
	uint64_t destroy;       /* a mailbox that goes with this change, or 0 */
	struct kept_box keep;   /* one whose name goes; id 0: none */
	struct kept_box revive; /* one that has a name again */
	uint64_t unfinished[8]; /* that went with an earlier one */
	size_t n_unfinished;
};

static const struct {
	const char *name;
	uint32_t attrs;
} defaults[] = {
	{ "INBOX", MAILS_SUBSCRIBED },
	{ "Archive", MAILS_SUBSCRIBED | MAILS_ARCHIVE },
	{ "Drafts", MAILS_SUBSCRIBED | MAILS_DRAFTS },
	{ "Junk", MAILS_SUBSCRIBED | MAILS_JUNK },
	{ "Sent", MAILS_SUBSCRIBED | MAILS_SENT },
	{ "Trash", MAILS_SUBSCRIBED | MAILS_TRASH },
};

/* --- names --- */

static bool
is_inbox(struct slice name)
{
	return slice_eq(name, SLICE_LIT("INBOX"));
}

static int
name_check(struct slice name)
{
	size_t levels = 1;

	if (name.n == 0 || name.n > MAILS_NAME_MAX ||
	    name.p[0] == MAILS_SEPARATOR ||
	    name.p[name.n - 1] == MAILS_SEPARATOR)
		return -EINVAL;
	for (size_t i = 0; i < name.n; i++) {
		if ((unsigned char)name.p[i] < ' ' || name.p[i] == 0x7f)
			return -EINVAL;
		if (name.p[i] != MAILS_SEPARATOR)
			continue;
		if (name.p[i - 1] == MAILS_SEPARATOR || ++levels > LEVELS_MAX)
			return -EINVAL;
	}
	return 0;
}

int
name_canonical(struct arena *a, struct slice name, struct slice *out)
{
	const uint8_t *in = (const uint8_t *)name.p;
	size_t n = 0, first;
	uint8_t *nfc;
	char *p;

	if (name.n > 4 * MAILS_NAME_MAX || u8_check(in, name.n) != NULL)
		return -EINVAL;
	if ((nfc = u8_normalize(UNINORM_NFC, in, name.n, NULL, &n)) == NULL)
		return -ENOMEM;
	*out = arena_dup(a, slice(nfc, n));
	free(nfc);
	if (out->p == NULL)
		return -ENOMEM;
	/* INBOX in every spelling, also with names below it. */
	p = (char *)(uintptr_t)out->p;
	for (first = 0; first < n && p[first] != MAILS_SEPARATOR; first++)
		;
	if (slice_eq_str_nocase(slice(p, first), "INBOX"))
		memcpy(p, "INBOX", first);
	return name_check(*out);
}

int
account_part(struct buf *out, const char *account)
{
	struct slice name = slice_str(account);

	if (name.n == 0 || name.n > ACCOUNT_MAX)
		return -EINVAL;
	buf_put_char(out, 'a');
	return buf_put_slice(out, name) ? 0 : -ENOMEM;
}

static struct name *
names_get(struct names *ns, struct slice name)
{
	for (size_t i = 0; i < ns->n; i++)
		if (!ns->v[i].gone && slice_eq(ns->v[i].name, name))
			return &ns->v[i];
	return NULL;
}

static struct name *
names_append(struct names *ns, struct slice name)
{
	size_t cap = ns->cap == 0 ? 16 : ns->cap * 2;
	struct name *v;

	if (ns->n == ns->cap) {
		if ((v = realloc(ns->v, cap * sizeof(*v))) == NULL)
			return NULL;
		ns->v = v;
		ns->cap = cap;
	}
	v = &ns->v[ns->n];
	*v = (struct name){ .name = arena_dup(&ns->arena, name) };
	if (v->name.p == NULL)
		return NULL;
	ns->n++;
	return v;
}

/* --- reading an account --- */

/* One that is damaged costs a mailbox its name, until check --rebuild. */
static int
name_note(struct names *ns, struct slice key, struct slice val)
{
	struct buf name = BUF_INIT;
	struct name_fields f;
	enum name_kind kind;
	struct name *n;
	int rc = name_row_get(&ns->sealer, key, val, &kind, &f, &name);

	if (rc == -ENOKEY && ns->ids_only)
		rc = 0;
	if (rc == 0 && (n = names_append(ns, buf_slice(&name))) != NULL) {
		n->id = f.id;
		n->attrs = f.attrs;
		n->was = true;
		n->was_sealed = f.sealed;
	} else if (rc == 0) {
		rc = -ENOMEM;
	}
	ns->damaged += rc == -EIO;
	buf_clear(&name);
	return rc == -EIO ? 0 : rc;
}

static int
name_row(void *arg, struct slice key, struct slice val)
{
	struct names *ns = arg;

	if (slice_eq(key, KEY_ACCOUNT)) {
		if (val.n != ACCOUNT_ROW)
			return -EIO;
		ns->exists = true;
		ns->changes = get_be64(val.p + 1);
		ns->uidvalidity = ns->uidvalidity_was = get_be32(val.p + 9);
		return 0;
	}
	if (slice_starts(key, "d") && key.n == 9 && ns->n_unfinished < 8)
		ns->unfinished[ns->n_unfinished++] = get_be64(key.p + 1);
	return slice_starts(key, "n/") || slice_starts(key, "N")
	    ? name_note(ns, key, val)
	    : 0;
}

static void
names_init(struct names *ns, struct mails *m)
{
	*ns =
	    (struct names){ .m = m, .arena = ARENA_INIT_MAX((size_t)4 << 20) };
}

static void
names_clear(struct names *ns)
{
	arena_reset(&ns->arena);
	buf_clear(&ns->part);
	name_sealer_wipe(&ns->sealer);
	free(ns->v);
	ns->v = NULL;
}

/* As it is now, read again with each attempt. */
static int
names_read(struct names *ns, const char *account)
{
	struct mails *m = ns->m;
	bool ids_only = ns->ids_only;
	int rc;

	names_clear(ns);
	names_init(ns, m);
	ns->ids_only = ids_only;
	if ((rc = account_part(&ns->part, account)) != 0 ||
	    (rc = name_sealer_init(&ns->sealer, m, account)) != 0)
		return rc;
	return store_scan(m->s, buf_slice(&ns->part), SLICE_EMPTY, SLICE_EMPTY,
	    0, name_row, ns);
}

/* --- writing --- */

static void
account_row(char out[static ACCOUNT_ROW], uint64_t changes, uint32_t validity)
{
	out[0] = 1;
	put_be64(out + 1, changes);
	put_be32(out + 9, validity);
}

/* The row as it was goes, unless the new one stands in its place. */
static int
name_write(struct names *ns, struct store_batch *b, const struct name *n)
{
	struct name_fields f = {
		.id = n->id, .attrs = n->attrs, .sealed = n->was_sealed
	};
	struct buf key = BUF_INIT, val = BUF_INIT;
	int rc = 0;

	if (n->was && (n->gone || n->was_sealed != ns->sealer.seals) &&
	    (rc = name_row_put(
		 &ns->sealer, NAME_LIVE, n->name, &f, &key, NULL)) == 0)
		store_del(b, buf_slice(&key));
	buf_reset(&key);
	f.sealed = ns->sealer.seals;
	if (rc == 0 && !n->gone &&
	    (rc = name_row_put(
		 &ns->sealer, NAME_LIVE, n->name, &f, &key, &val)) == 0)
		store_put(b, buf_slice(&key), buf_slice(&val));
	buf_clear(&key);
	buf_clear(&val);
	return rc;
}

/* Partitions of new mailboxes: before their names. Should the names then not
 * be written, check finds and removes them. */
static int
fresh_commit(struct mails *m, const struct name *n, const char *account,
    uint32_t uidvalidity)
{
	const struct header h = { .uidvalidity = uidvalidity,
		.uidnext = 1,
		.modseq = 1,
		.recent_uid = 1 };
	struct box *x = box_get(m, n->id);
	char row[HEADER_ROW_MAX];
	struct store_batch *b;
	unsigned attempts = 0;
	size_t row_n;
	int rc;

	if (x == NULL)
		return -ENOMEM;
	row_n = header_encode(row, &h);
	do {
		b = store_batch_new(m->s, box_part(x));
		if (b != NULL) {
			store_put(b, KEY_HEADER, slice(row, row_n));
			store_put(b, KEY_OWNER, slice_str(account));
		}
		rc = store_commit_one(m->s, b);
		store_batch_free(&b);
	} while (try_again(rc, &attempts));
	box_put(&x);
	return rc;
}

static int
names_fresh(struct names *ns, const char *account)
{
	uint32_t now = (uint32_t)clock_wall_s();
	int rc = 0;

	for (size_t i = 0; i < ns->n && rc == 0; i++) {
		if (!ns->v[i].fresh || ns->v[i].gone)
			continue;
		/* From time, and never one that was given before. */
		ns->uidvalidity =
		    now > ns->uidvalidity ? now : ns->uidvalidity + 1;
		rc = fresh_commit(ns->m, &ns->v[i], account, ns->uidvalidity);
	}
	return rc;
}

static int
names_commit(struct names *ns)
{
	struct store_batch *b = store_batch_new(ns->m->s, buf_slice(&ns->part));
	char row[ACCOUNT_ROW];
	struct key k;
	int rc = ns->sealer.write_rc;

	if (b == NULL)
		return -ENOMEM;
	account_row(row, ns->changes, ns->uidvalidity_was);
	if (ns->exists)
		store_guard(b, KEY_ACCOUNT, slice(row, sizeof(row)));
	else
		store_guard_absent(b, KEY_ACCOUNT);
	account_row(row, ns->changes + 1, ns->uidvalidity);
	store_put(b, KEY_ACCOUNT, slice(row, sizeof(row)));
	for (size_t i = 0; i < ns->n && rc == 0; i++)
		if (ns->v[i].changed)
			rc = name_write(ns, b, &ns->v[i]);
	if (ns->destroy != 0) {
		k = key_token('d', ns->destroy);
		store_put(b, key_slice(&k), SLICE_EMPTY);
	}
	ns->keep.sealed = ns->sealer.seals;
	if (rc == 0 && ns->keep.id != 0)
		rc = kept_box_put(&ns->sealer, b, &ns->keep);
	if (rc == 0 && ns->revive.id != 0)
		rc = kept_box_take(&ns->sealer, b, &ns->revive);
	if (rc == 0)
		rc = store_commit_one(ns->m->s, b);
	store_batch_free(&b);
	return rc;
}

/* --- changes --- */

static uint64_t
mailbox_id_new(void)
{
	uint64_t id;

	do
		random_octets(&id, sizeof(id));
	while (id == 0);
	return id;
}

/* A mailbox of that name; a row that is there only as a name becomes one. */
static struct name *
names_make(struct names *ns, struct slice name, uint32_t attrs)
{
	struct name *n = names_get(ns, name);

	if (n == NULL && (n = names_append(ns, name)) == NULL)
		return NULL;
	n->id = mailbox_id_new();
	n->attrs = (n->attrs & MAILS_SUBSCRIBED) | attrs;
	n->fresh = (attrs & MAILS_NOSELECT) == 0;
	n->changed = true;
	return n;
}

static bool
is_mailbox(const struct name *n)
{
	return n != NULL && n->id != 0 && (n->attrs & MAILS_NOSELECT) == 0;
}

/* `attrs`: what a name that is missing is made with. */
static int
names_make_parents(struct names *ns, struct slice name, uint32_t attrs)
{
	struct slice parent;
	struct name *n;

	for (size_t i = 0; i < name.n; i++) {
		if (name.p[i] != MAILS_SEPARATOR)
			continue;
		parent = slice_head(name, i);
		n = names_get(ns, parent);
		if ((n == NULL || n->id == 0) &&
		    names_make(ns, parent, attrs) == NULL)
			return -ENOMEM;
	}
	return 0;
}

static int
names_defaults(struct names *ns)
{
	size_t n = sizeof(defaults) / sizeof(defaults[0]);

	if (ns->m->no_default_mailboxes)
		n = 1;
	for (size_t i = 0; i < n; i++)
		if (names_make(ns, slice_str(defaults[i].name),
			defaults[i].attrs) == NULL)
			return -ENOMEM;
	return 0;
}

static bool
names_differ(const struct names *ns)
{
	for (size_t i = 0; i < ns->n; i++)
		if (ns->v[i].changed)
			return true;
	return false;
}

/* Read, change by `fn` (NULL: only make a new account), write; again after a
 * conflict. */
static int
names_change(struct mails *m, const char *account,
    int (*fn)(struct names *ns, void *arg), void *arg)
{
	struct names ns;
	unsigned attempts = 0;
	int rc;

	names_init(&ns, m);
	do {
		rc = names_read(&ns, account);
		if (rc == 0 && ns.damaged > 0)
			rc = -EIO; /* it may be that of any name */
		if (rc == 0 && !ns.exists)
			rc = names_defaults(&ns);
		if (rc == 0 && fn != NULL)
			rc = fn(&ns, arg);
		if (rc == 0 && ns.n > MAILBOXES_MAX)
			rc = -ENOSPC;
		if (rc == 0 && names_differ(&ns) &&
		    (rc = names_fresh(&ns, account)) == 0)
			rc = names_commit(&ns);
	} while (try_again(rc, &attempts));
	names_clear(&ns);
	return mails_error(rc);
}

/* A name of a caller, and what an attempt of unknown outcome has left. */
struct wanted {
	struct arena arena;
	struct slice name, to;
	unsigned attrs;
	bool subscribed;
	bool kept;   /* it was deleted, and is kept */
	uint64_t id; /* of the mailbox made, deleted or renamed */
};

static int
wanted_init(struct wanted *w, struct slice name)
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

	if (is_mailbox(n) ||
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
	if ((rc = wanted_init(&w, name)) == 0 && special != MAILS_NOSELECT &&
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
	n->id = mailbox_id_new();
	n->attrs = (n->attrs & MAILS_SUBSCRIBED) | MAILS_NOSELECT;
	n->changed = true;
	n->fresh = false;
	return 0;
}

/* The rows of a mailbox whose name is gone, then the note of it. */
static int
destroy(struct mails *m, const char *account, uint64_t id)
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

	if ((rc = wanted_init(&w, name)) == 0)
		rc = is_inbox(w.name)
		    ? -EPERM
		    : names_change(m, account, delete_change, &w);
	/* The name is gone: what is left over is done by the next list. */
	if (rc == 0 && w.kept)
		finish_moves(m, w.id);
	else if (rc == 0)
		(void)destroy(m, account, w.id);
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
	if ((rc = wanted_init(&w, from)) == 0 &&
	    (rc = name_canonical(&w.arena, to, &w.to)) == 0) {
		if (kept_is_name(w.to))
			rc = -EACCES;
		else if (is_inbox(w.to))
			rc = -EEXIST;
		else if (is_inbox(w.name))
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

	if ((rc = wanted_init(&w, name)) == 0) {
		w.subscribed = subscribed;
		rc = names_change(m, account, subscribe_change, &w);
	}
	arena_reset(&w.arena);
	return rc;
}

/* --- looking --- */

/* The row of one name, if it is stored so. */
static int
name_get_as(struct mails *m, struct name_sealer *s, bool sealed,
    struct slice part, struct slice name, uint64_t *id)
{
	struct name_fields f = { .sealed = sealed };
	struct buf key = BUF_INIT, row = BUF_INIT, got = BUF_INIT;
	enum name_kind kind;
	int rc = name_row_put(s, NAME_LIVE, name, &f, &key, NULL);

	if (rc == 0)
		rc = store_get(m->s, part, buf_slice(&key), &row);
	if (rc == 0)
		rc = name_row_get(
		    s, buf_slice(&key), buf_slice(&row), &kind, &f, &got);
	if (rc == 0 && !slice_eq(buf_slice(&got), name))
		rc = -EIO;
	else if (rc == 0 && (f.attrs & MAILS_NOSELECT))
		rc = -ENOENT;
	else if (rc == 0)
		*id = f.id;
	buf_clear(&key);
	buf_clear(&row);
	buf_clear(&got);
	return rc;
}

static int
name_get(struct mails *m, struct name_sealer *s, struct slice part,
    struct slice name, uint64_t *id)
{
	int rc = s->opens ? name_get_as(m, s, true, part, name, id) : -ENOENT;

	return rc == -ENOENT ? name_get_as(m, s, false, part, name, id) : rc;
}

static int
account_exists(struct mails *m, struct slice part)
{
	struct buf row = BUF_INIT;
	int rc = store_get(m->s, part, KEY_ACCOUNT, &row);

	buf_clear(&row);
	return rc;
}

int
names_find(
    struct mails *m, const char *account, struct slice name, uint64_t *id)
{
	struct name_sealer s = { 0 };
	struct buf part = BUF_INIT;
	struct wanted w;
	int rc;

	*id = 0;
	if ((rc = wanted_init(&w, name)) == 0 &&
	    (rc = account_part(&part, account)) == 0 &&
	    (rc = name_sealer_init(&s, m, account)) == 0)
		rc = name_get(m, &s, buf_slice(&part), w.name, id);
	if (rc == -ENOENT && w.name.n > 0) {
		rc = account_exists(m, buf_slice(&part));
		if (rc == -ENOENT)
			rc = names_change(m, account, NULL, NULL);
		/* Made now, or by somebody between the two looks; or its row
		 * was sealed between them, by who perhaps made the key. */
		if (rc == 0)
			rc = name_sealer_init(&s, m, account);
		if (rc == 0)
			rc = name_get(m, &s, buf_slice(&part), w.name, id);
	}
	if (rc == 0 && *id == 0)
		rc = -ENOENT;
	name_sealer_wipe(&s);
	buf_clear(&part);
	arena_reset(&w.arena);
	return rc;
}

static int
info_cmp(const void *pa, const void *pb)
{
	const struct mails_info *a = pa, *b = pb;
	int inbox_a = strcmp(a->name, "INBOX") != 0;
	int inbox_b = strcmp(b->name, "INBOX") != 0;

	return inbox_a != inbox_b ? inbox_a - inbox_b
				  : strcmp(a->name, b->name);
}

static int
list_infos(
    const struct names *ns, struct arena *a, struct mails_info **out, size_t *n)
{
	*n = 0;
	if ((*out = arena_array(a, ns->n + 1, sizeof(**out))) == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < ns->n; i++, ++*n) {
		(*out)[i] = (struct mails_info){
			.name = arena_strdup(a, ns->v[i].name),
			.id = ns->v[i].id,
			.attrs = ns->v[i].attrs,
		};
		if ((*out)[i].name == NULL)
			return -ENOMEM;
	}
	if (*n > 0)
		qsort(*out, *n, sizeof(**out), info_cmp);
	return 0;
}

/* What a crash has left of moves and deletions: a client that lists its
 * mailboxes is about to look into them. */
static int
account_replay(struct names *ns, const char *account)
{
	struct box *x;
	int rc;

	for (size_t i = 0; i < ns->n; i++) {
		if (!is_mailbox(&ns->v[i]))
			continue;
		if ((x = box_get(ns->m, ns->v[i].id)) == NULL)
			return -ENOMEM;
		if ((rc = moves_replay(x)) != 0)
			log_warning("moves not finished", "mailbox=%s error=%s",
			    x->part, strerror(-rc));
		box_put(&x);
	}
	for (size_t i = 0; i < ns->n_unfinished; i++)
		(void)destroy(ns->m, account, ns->unfinished[i]);
	return 0;
}

int
mails_list(struct mails *m, const char *account, struct arena *a,
    struct mails_info **out, size_t *n)
{
	struct names ns;
	int rc;

	names_init(&ns, m);
	rc = names_read(&ns, account);
	if (rc == 0 && !ns.exists &&
	    (rc = names_change(m, account, NULL, NULL)) == 0)
		rc = names_read(&ns, account);
	if (rc == 0)
		rc = list_infos(&ns, a, out, n);
	if (rc == 0 && ns.damaged > 0)
		log_warning("names of mailboxes are damaged",
		    "account=\"%s\" names=%u", log_qs(account), ns.damaged);
	if (rc == 0)
		rc = account_replay(&ns, account);
	names_clear(&ns);
	return mails_error(rc);
}

int
names_ids(struct mails *m, const char *account, struct arena *a, uint64_t **ids,
    size_t *n)
{
	unsigned damaged;

	return names_ids_count(m, account, a, ids, n, &damaged);
}

int
names_ids_count(struct mails *m, const char *account, struct arena *a,
    uint64_t **ids, size_t *n, unsigned *damaged)
{
	struct names ns;
	int rc;

	*n = 0;
	names_init(&ns, m);
	ns.ids_only = true;
	rc = names_read(&ns, account);
	*damaged = ns.damaged;
	if (rc == 0 && (*ids = arena_array(a, ns.n + 1, sizeof(**ids))) == NULL)
		rc = -ENOMEM;
	for (size_t i = 0; i < ns.n && rc == 0; i++)
		if (is_mailbox(&ns.v[i]))
			(*ids)[(*n)++] = ns.v[i].id;
	names_clear(&ns);
	return rc;
}

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
	return rc == 0 ? destroy(m, account, k->id) : rc;
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

/* --- accounts --- */

int
mails_account_drop(struct mails *m, const char *account)
{
	struct arena a = ARENA_INIT_MAX((size_t)1 << 20);
	struct buf part = BUF_INIT;
	struct kept_box *kept;
	uint64_t *ids;
	size_t n, n_kept = 0;
	int rc;

	rc = names_ids(m, account, &a, &ids, &n);
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = box_destroy(m, ids[i]);
	if (rc == 0)
		rc = kept_boxes(m, account, &a, &kept, &n_kept);
	for (size_t i = 0; i < n_kept && rc == 0; i++)
		rc = box_destroy(m, kept[i].id);
	if (rc == 0 && (rc = account_part(&part, account)) == 0)
		rc = store_partition_drop(m->s, buf_slice(&part));
	if (rc == 0)
		rc = origins_drop(m, account);
	if (rc == 0)
		rc = arrivals_drop(m, account);
	buf_clear(&part);
	arena_reset(&a);
	return mails_error(rc);
}

struct accounts {
	struct arena *a;
	const char **v;
	size_t n, cap;
};

static int
account_note(void *arg, struct slice part)
{
	struct accounts *all = arg;
	size_t cap = all->cap == 0 ? 64 : all->cap * 2;
	const char **v;

	if (all->n + 1 >= all->cap) {
		if ((v = arena_array(all->a, cap, sizeof(*v))) == NULL)
			return -ENOMEM;
		if (all->n > 0)
			memcpy(v, all->v, all->n * sizeof(*v));
		all->v = v;
		all->cap = cap;
	}
	if ((all->v[all->n] = arena_strdup(all->a, slice_from(part, 1))) ==
	    NULL)
		return -ENOMEM;
	all->n++;
	return 0;
}

int
mails_accounts(struct mails *m, struct arena *a, const char ***out, size_t *n)
{
	struct accounts all = { a, NULL, 0, 0 };
	int rc = store_partitions(m->s, SLICE_LIT("a"), account_note, &all);

	*out = all.v;
	*n = all.n;
	return mails_error(rc);
}
