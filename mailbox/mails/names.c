/* SPDX-License-Identifier: ISC */
/*
 * The names of an account's mailboxes, as rows. All names are read, a change is
 * made on the list, and one batch, guarded on the account's row, writes what
 * differs. A mailbox's own partition is made before its name is.
 */
#include <stdlib.h>
#include <uninorm.h>
#include <unistr.h>

#include "common/base/clock.h"
#include "mailbox/mails/names_impl.h"

#define ACCOUNT_MAX 320 /* octets: RFC 5321 4.5.3.1 */
#define LEVELS_MAX 32
#define ACCOUNT_ROW 13

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

bool
name_is_inbox(struct slice name)
{
	return slice_eq(name, SLICE_LIT("INBOX"));
}

int
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

struct name *
names_get(struct names *ns, struct slice name)
{
	for (size_t i = 0; i < ns->n; i++)
		if (!ns->v[i].gone && slice_eq(ns->v[i].name, name))
			return &ns->v[i];
	return NULL;
}

struct name *
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

void
names_init(struct names *ns, struct mails *m)
{
	*ns =
	    (struct names){ .m = m, .arena = ARENA_INIT_MAX((size_t)4 << 20) };
}

void
names_clear(struct names *ns)
{
	arena_reset(&ns->arena);
	buf_clear(&ns->part);
	name_sealer_wipe(&ns->sealer);
	free(ns->v);
	ns->v = NULL;
}

/* As it is now, read again with each attempt. */
int
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

uint64_t
names_new_id(void)
{
	uint64_t id;

	do
		random_octets(&id, sizeof(id));
	while (id == 0);
	return id;
}

/* A mailbox of that name; a row that is there only as a name becomes one. */
struct name *
names_make(struct names *ns, struct slice name, uint32_t attrs)
{
	struct name *n = names_get(ns, name);

	if (n == NULL && (n = names_append(ns, name)) == NULL)
		return NULL;
	n->id = names_new_id();
	n->attrs = (n->attrs & MAILS_SUBSCRIBED) | attrs;
	n->fresh = (attrs & MAILS_NOSELECT) == 0;
	n->changed = true;
	return n;
}

bool
name_is_mailbox(const struct name *n)
{
	return n != NULL && n->id != 0 && (n->attrs & MAILS_NOSELECT) == 0;
}

/* `attrs`: what a name that is missing is made with. */
int
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
int
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
