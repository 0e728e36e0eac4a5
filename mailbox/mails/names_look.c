/* SPDX-License-Identifier: ISC */
/* Mailboxes by name, lists of them, and accounts. */
#include <stdlib.h>

#include "common/base/log.h"
#include "mailbox/mails/names_impl.h"

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
	if ((rc = names_wanted(&w, name)) == 0 &&
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
		if (!name_is_mailbox(&ns->v[i]))
			continue;
		if ((x = box_get(ns->m, ns->v[i].id)) == NULL)
			return -ENOMEM;
		if ((rc = moves_replay(x)) != 0)
			log_warning("moves not finished", "mailbox=%s error=%s",
			    x->part, strerror(-rc));
		box_put(&x);
	}
	for (size_t i = 0; i < ns->n_unfinished; i++)
		(void)names_destroy(ns->m, account, ns->unfinished[i]);
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
		if (name_is_mailbox(&ns.v[i]))
			(*ids)[(*n)++] = ns.v[i].id;
	names_clear(&ns);
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
