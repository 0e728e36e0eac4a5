/* SPDX-License-Identifier: ISC */
/*
 * What sealed messages are opened with. Of the server's key Mails uses one made
 * of it, and keeps a check value, so that a store is never sealed with two keys
 * because a file was lost or another was named.
 */
#include "mailbox/mails/index_impl.h"

#define CHECK 16
#define PARTITION SLICE_LIT("s")
#define KEY_CHECK SLICE_LIT("k")

/* --- the server's key --- */

/* -ENOENT: no key was used yet. */
static int
check_compare(struct mails *m, const unsigned char check[static CHECK])
{
	struct buf row = BUF_INIT;
	int rc = store_get(m->s, PARTITION, KEY_CHECK, &row);

	if (rc == 0 &&
	    !slice_eq(buf_slice(&row), slice((const char *)check, CHECK)))
		rc = -EKEYREJECTED;
	buf_clear(&row);
	return rc;
}

static int
check_put(struct mails *m, const unsigned char check[static CHECK])
{
	struct store_batch *b = store_batch_new(m->s, PARTITION);
	int rc = b == NULL ? -ENOMEM : 0;

	if (rc == 0) {
		store_guard_absent(b, KEY_CHECK);
		store_put(b, KEY_CHECK, slice((const char *)check, CHECK));
		rc = store_commit_one(m->s, b);
	}
	store_batch_free(&b);
	return rc;
}

/* Another may be first, or an attempt of unknown outcome have done it. */
static int
check_keep(struct mails *m, const unsigned char check[static CHECK], bool first)
{
	unsigned attempts = 0;
	int rc;

	do {
		if ((rc = check_compare(m, check)) == -ENOENT)
			rc = first ? check_put(m, check) : 0;
	} while (try_again(rc, &attempts));
	return rc;
}

/* `first`: it is used from now on, whether it was before or not. */
static int
server_key_take(struct mails *m, const struct seal_key *k, bool first)
{
	unsigned char check[SEAL_KEY_LEN];
	int rc = seal_key_subkey(k, "mails", m->server_key);

	if (rc == 0)
		rc = seal_key_subkey(k, "mails names", m->names_key);
	if (rc == 0)
		rc = seal_key_subkey(k, "mails check", check);
	if (rc == 0)
		rc = check_keep(m, check, first);
	m->has_server_key = rc == 0;
	return rc;
}

/* `make` it, or only look whether another process has. */
static int
server_key_load(struct mails *m, bool make)
{
	struct seal_key *k = NULL;
	int rc;

	if (m->server_key_get == NULL)
		return -ENOKEY;
	if ((rc = m->server_key_get(m->sealing_arg, make, &k)) == 0)
		rc = server_key_take(m, k, !m->readonly);
	seal_key_unref(&k);
	return rc == -ENOENT ? -ENOKEY : rc;
}

int
server_key_need(struct mails *m)
{
	if (m->has_server_key)
		return 0;
	return server_key_load(m, !m->readonly && !mails_has_sealed(m));
}

void
server_key_look(struct mails *m)
{
	if (!m->has_server_key && mails_has_sealed(m))
		(void)server_key_load(m, false);
}

int
sealing_of(struct mails *m, const char *account, enum mails_sealing *how,
    unsigned char public[static SEAL_PUBLIC_LEN])
{
	int rc = m->account_sealing == NULL
	    ? -ENOENT
	    : m->account_sealing(m->sealing_arg, account, how, public);

	if (rc == -ENOENT) {
		*how = m->seal == MAILS_SEAL_NONE ? MAILS_SEAL_NONE
						  : MAILS_SEAL_SERVER;
		rc = 0;
	}
	return rc;
}

int
sealing_open(struct mails *m, const struct mails_conf *conf, struct buf *err)
{
	bool first = conf->seal != MAILS_SEAL_NONE && !conf->store.readonly;
	int rc = conf->server_key == NULL
	    ? 0
	    : server_key_take(m, conf->server_key, first);

	m->readonly = conf->store.readonly;
	m->seal = conf->seal;
	m->sealing = m->seal != MAILS_SEAL_NONE || m->has_server_key ||
	    conf->sealing != NULL;
	m->account_sealing = conf->sealing;
	m->server_key_get = conf->server_key_get;
	m->sealing_arg = conf->sealing_arg;
	if (rc == -EKEYREJECTED)
		buf_put_str(err,
		    "the mail was sealed with another key than that of "
		    "mailbox.sealing_key");
	return rc;
}

bool
mails_has_sealed(struct mails *m)
{
	struct buf row = BUF_INIT;
	int rc = store_get(m->s, PARTITION, KEY_CHECK, &row);

	buf_clear(&row);
	return rc == 0;
}

/* --- messages --- */

static bool
is_opened(const struct opened *o, const struct row *r)
{
	return o->wrap.kind == r->wrap.kind &&
	    memcmp(o->wrap.octets, r->wrap.octets, wrap_octets(r->wrap.kind)) ==
	    0 &&
	    memcmp(o->seal.id, r->blob.octets, FRAMES_ID) == 0;
}

void
opened_wipe(struct opened *o)
{
	explicit_bzero(o, sizeof(*o));
}

int
row_unseal(struct box *x, const struct row *r, const struct seal_key *k,
    struct opened *o, const struct frames_seal **out)
{
	const char *account;
	bool known;
	int rc;

	*out = NULL;
	if (r->wrap.kind == WRAP_NONE)
		return 0;
	if (!is_opened(o, r)) {
		opened_wipe(o);
		known = r->wrap.kind == WRAP_ACCOUNT &&
		    opened_keys_find(x->m, r, k, o->seal.key);
		if (!known &&
		    ((rc = box_account(x, &account)) != 0 ||
			(rc = wrap_open(x->m, account, k,
			     slice(r->blob.octets, sizeof(r->blob.octets)),
			     &r->wrap, o->seal.key)) != 0))
			return rc;
		if (!known && r->wrap.kind == WRAP_ACCOUNT)
			opened_keys_note(x->m, r, k, o->seal.key);
		o->wrap = r->wrap;
		memcpy(o->seal.id, r->blob.octets, FRAMES_ID);
	}
	*out = &o->seal;
	return 0;
}

/* --- views --- */

void
mails_view_unlock(struct mails_view *v, struct seal_key *k)
{
	struct mails_view **at = &v->m->unlocked;
	struct seal_key *old;

	if (v->key == NULL && k != NULL) {
		v->next_unlocked = *at;
		*at = v;
	} else if (v->key != NULL && k == NULL) {
		for (; *at != v; at = &(*at)->next_unlocked)
			;
		*at = v->next_unlocked;
	}
	k = seal_key_ref(k);
	old = v->key;
	v->key = k;
	if (old != NULL && !unlocked_is(v->m, old))
		opened_keys_wipe(v->m, old);
	seal_key_unref(&old);
	/* What came while nobody was signed in waits to be indexed. */
	if (k != NULL && v->account != NULL && v->kind == VIEW_LIVE)
		index_wish(v->x);
}

int
view_unseal(struct mails_view *v, const struct row *r, struct opened *o,
    const struct frames_seal **out)
{
	int rc;

	/* A copy: another coroutine may use the view while this one waits. */
	*o = v->opened;
	rc = row_unseal(v->x, r, v->key, o, out);
	v->opened = *o;
	return rc;
}

void
view_unseal_end(struct mails_view *v)
{
	if (v->opened.wrap.kind != WRAP_NONE)
		octets_cache_wipe(v->m);
	opened_wipe(&v->opened);
	mails_view_unlock(v, NULL);
}

struct seal_key *
unlocked_find(struct mails *m, const char *account)
{
	for (struct mails_view *v = m->unlocked; v; v = v->next_unlocked)
		if (v->account != NULL && strcmp(v->account, account) == 0)
			return seal_key_ref(v->key);
	return NULL;
}

bool
unlocked_is(const struct mails *m, const struct seal_key *k)
{
	for (const struct mails_view *v = m->unlocked; v; v = v->next_unlocked)
		if (v->account != NULL && v->key == k)
			return true;
	return false;
}
