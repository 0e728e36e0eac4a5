/* SPDX-License-Identifier: ISC */
/*
 * An account's key pair, for mgmt: opening it by what a person knows, making
 * it, and the recovery key. That a password opens it is written where the
 * password is (accounts_credential.c).
 */
#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>

#include "common/auth/accounts_change.h"

int
accounts_sealing_get(struct accounts *a, struct slice account,
    struct accounts_sealing *out)
{
	struct arena arena = ARENA_INIT_MAX((size_t)1 << 20);
	struct accounts_name name;
	struct name_record r;
	int rc = accounts_name(&arena, account, &name);

	if (rc == 0)
		rc =
		    accounts_name_row(a, &arena, name.domain, name.local, &r);
	if (rc == -EINVAL || (rc == 0 && r.kind != KIND_ACCOUNT))
		rc = -ENOENT;
	if (rc == 0) {
		out->how = r.account.encryption == ACCOUNTS_ENCRYPTION_DEFAULT
		    ? a->encryption
		    : r.account.encryption;
		out->has_key = r.seal.has_key;
		memcpy(out->public, r.seal.public, sizeof(out->public));
	}
	arena_reset(&arena);
	return rc;
}

/* --- whose password is this? --- */

struct match_job {
	const struct accounts_login *l;
	struct password password;
	char hash[PASSWORD_HASH_MAX];
	const struct credential_record *match;
	struct slice about; /* of the match, for the key */
	unsigned char octets[SEAL_KEY_LEN];
	int rc;
};

/* Slow. No attacker is here, who could measure how long it takes. */
static void
match_work(void *arg)
{
	struct match_job *j = arg;

	for (size_t i = 0; i < j->l->n && j->match == NULL; i++) {
		const struct credential_record *r = &j->l->credentials[i];
		size_t salt = strrchr(r->hash, '$') == NULL
		    ? 0
		    : (size_t)(strrchr(r->hash, '$') - r->hash);

		/* Those of an account share a salt. */
		if ((salt == 0 || strncmp(j->hash, r->hash, salt) != 0) &&
		    password_hash(&j->password, r->hash, j->hash) != 0)
			continue;
		if (password_hash_eq(j->hash, r->hash))
			j->match = r;
	}
}

static void
open_work(void *arg)
{
	struct match_job *j = arg;

	j->rc = unlock_by_password(
	    &j->match->unlock, j->about, &j->password, j->octets);
}

/* Which of the credentials it is, to j->match; -EACCES: none. */
static int
match(struct accounts *a, struct match_job *j, struct slice password,
    struct buf *err)
{
	int rc = 0;

	if (password_prepare(password, true, &j->password) == 0)
		rc = accounts_work(a, match_work, j);
	if (rc == 0 && j->match == NULL) {
		buf_printf(err, "this is no password of %.*s",
		    (int)j->l->name.address.n, j->l->name.address.p);
		rc = -EACCES;
	}
	return rc;
}

static int
load(struct accounts *a, struct arena *arena, struct slice account,
    struct accounts_login *l, struct buf *err)
{
	struct accounts_name name;
	int rc = check_address(arena, account, &name, err);

	if (rc == 0)
		rc = accounts_login_load(a, arena, name.address, l);
	if (rc == 0 && !l->is_account) {
		buf_printf(err, "no account %.*s", (int)name.address.n,
		    name.address.p);
		rc = -ENOENT;
	}
	return rc;
}

static int
need_key(const struct accounts_login *l, struct buf *err)
{
	if (l->seal.has_key)
		return 0;
	buf_printf(err, "%.*s has no key pair", (int)l->name.address.n,
	    l->name.address.p);
	return -ENOKEY;
}

/* --- opening --- */

static int
take(const struct accounts_login *l, const unsigned char *octets,
    struct seal_key **out, struct buf *err)
{
	int rc = seal_key_new(out, octets);

	if (rc == 0 && memcmp(seal_key_public(*out), l->seal.public,
			   SEAL_PUBLIC_LEN) != 0) {
		seal_key_unref(out);
		rc = -EIO;
	}
	if (rc != 0)
		buf_printf(err, "the key of %.*s is damaged",
		    (int)l->name.address.n, l->name.address.p);
	return rc;
}

static int
open_by(struct accounts *a, struct arena *arena, struct match_job *j,
    struct slice password, struct seal_key **out, struct buf *err)
{
	int rc = match(a, j, password, err);

	if (rc != 0)
		return rc;
	if (!accounts_opens(j->l, j->match)) {
		buf_printf(err,
		    "the password \"%s\" does not open the sealed mail of "
		    "%.*s",
		    j->match->public.name, (int)j->l->name.address.n,
		    j->l->name.address.p);
		return -EACCES;
	}
	j->about = accounts_unlock_about(
	    arena, j->l, slice_str(j->match->public.name));
	if (j->about.p == NULL)
		return -ENOMEM;
	if ((rc = accounts_work(a, open_work, j)) == 0)
		rc = j->rc == -EBADMSG ? -EIO : j->rc;
	return rc == 0 ? take(j->l, j->octets, out, err) : rc;
}

int
accounts_key_open(struct accounts *a, struct slice account,
    struct slice password, struct seal_key **out, struct buf *err)
{
	struct arena arena = { 0 };
	struct match_job *j = calloc(1, sizeof(*j));
	struct accounts_login l;
	int rc = j == NULL ? -ENOMEM : load(a, &arena, account, &l, err);

	*out = NULL;
	if (rc == 0)
		rc = need_key(&l, err);
	if (rc == 0) {
		j->l = &l;
		rc = open_by(a, &arena, j, password, out, err);
	}
	if (rc != 0 && err->n == 0)
		buf_printf(err, "accounts: %s", strerror(-rc));
	if (j != NULL)
		OPENSSL_cleanse(j, sizeof(*j));
	free(j);
	arena_reset(&arena);
	return rc;
}

/* A mistyped one is told apart from another account's. */
static int
recover(struct arena *arena, const struct accounts_login *l, struct slice text,
    unsigned char octets[static SEAL_KEY_LEN], struct buf *err)
{
	unsigned char key[SEAL_KEY_LEN];
	struct slice about = accounts_unlock_about(arena, l, SLICE_EMPTY);
	int rc = -EACCES;

	if (about.p == NULL)
		return -ENOMEM;
	if (!l->seal.has_recovery)
		buf_printf(err, "%.*s has no recovery key",
		    (int)l->name.address.n, l->name.address.p);
	else if (recovery_read(text, key) != 0)
		buf_put_str(err,
		    "this is no recovery key: a letter is wrong, or missing");
	else if (seal_unwrap(key, l->seal.recovery, about, octets) != 0)
		buf_printf(err, "this is not the recovery key of %.*s",
		    (int)l->name.address.n, l->name.address.p);
	else
		rc = 0;
	OPENSSL_cleanse(key, sizeof(key));
	return rc;
}

int
accounts_key_recover(struct accounts *a, struct slice account,
    struct slice recovery, struct seal_key **out, struct buf *err)
{
	struct arena arena = { 0 };
	unsigned char octets[SEAL_KEY_LEN];
	struct accounts_login l;
	int rc = load(a, &arena, account, &l, err);

	*out = NULL;
	if (rc == 0)
		rc = need_key(&l, err);
	if (rc == 0)
		rc = recover(&arena, &l, recovery, octets, err);
	if (rc == 0)
		rc = take(&l, octets, out, err);
	OPENSSL_cleanse(octets, sizeof(octets));
	if (rc != 0 && err->n == 0)
		buf_printf(err, "accounts: %s", strerror(-rc));
	arena_reset(&arena);
	return rc;
}

/* --- making --- */

static int
make_by(struct accounts *a, struct match_job *j, struct slice password,
    struct buf *err)
{
	struct accounts_password_change ch = { .make_key = true };
	int rc = match(a, j, password, err);

	if (rc != 0)
		return rc;
	ch.name = j->match->public.name;
	ch.password = password;
	ch.scopes = j->match->public.scopes;
	ch.created_s = j->match->public.created_s;
	if (!accounts_scopes_may_read(ch.scopes)) {
		buf_printf(err,
		    "the password \"%s\" is not for reading mail, and so does "
		    "not open it",
		    ch.name);
		return -EACCES;
	}
	return accounts_password_change(a, j->l->name.address, &ch, err);
}

int
accounts_key_make(struct accounts *a, struct slice account,
    struct slice password, struct buf *err)
{
	struct arena arena = { 0 };
	struct match_job *j = calloc(1, sizeof(*j));
	struct accounts_login l;
	int rc = j == NULL ? -ENOMEM : load(a, &arena, account, &l, err);

	if (rc == 0 && l.seal.has_key) {
		buf_printf(err, "%.*s has a key pair",
		    (int)l.name.address.n, l.name.address.p);
		rc = -EEXIST;
	}
	if (rc == 0) {
		j->l = &l;
		rc = make_by(a, j, password, err);
	}
	if (rc != 0 && err->n == 0)
		buf_printf(err, "accounts: %s", strerror(-rc));
	if (j != NULL)
		OPENSSL_cleanse(j, sizeof(*j));
	free(j);
	arena_reset(&arena);
	return rc;
}

/* --- the recovery key --- */

struct recovery_change {
	struct accounts_name name;
	const unsigned char *public; /* of what was wrapped; NULL: remove */
	unsigned char wrapped[SEAL_WRAP_LEN];
};

static int
recovery_fill(struct change *c, const void *arg)
{
	const struct recovery_change *in = arg;
	struct accounts_login l;
	int rc = accounts_login_load(c->a, &c->arena, in->name.address, &l);

	if (rc != 0)
		return rc;
	if (!l.seal.has_key ||
	    (in->public != NULL && memcmp(in->public, l.seal.public,
				       SEAL_PUBLIC_LEN) != 0))
		return change_fail(c, -ENOKEY, "%.*s has no key pair, or "
		    "another one meanwhile",
		    (int)in->name.address.n, in->name.address.p);
	if (in->public == NULL) {
		if (!accounts_is_opened(&l, NULL))
			return change_fail(c, -ENOKEY,
			    "no password of %.*s opens its sealed mail, only "
			    "the recovery key does",
			    (int)in->name.address.n, in->name.address.p);
		l.seal.has_recovery = false;
	} else {
		l.seal.has_recovery = true;
		memcpy(l.seal.recovery, in->wrapped, SEAL_WRAP_LEN);
	}
	return accounts_seal_put(c, &in->name, &l.seal);
}

int
accounts_recovery_make(struct accounts *a, struct slice account,
    const struct seal_key *key, char text[static 40], struct buf *err)
{
	struct arena arena = { 0 };
	struct recovery_change ch = { .public = seal_key_public(key) };
	unsigned char wrapping[SEAL_KEY_LEN];
	struct accounts_login l;
	struct slice about;
	int rc = load(a, &arena, account, &l, err);

	_Static_assert(RECOVERY_TEXT_LEN + 1 == 40, "as accounts.h says");
	if (rc == 0) {
		ch.name = l.name;
		memcpy(l.seal.public, ch.public, SEAL_PUBLIC_LEN);
		about = accounts_unlock_about(&arena, &l, SLICE_EMPTY);
		recovery_make(text);
		rc = about.p == NULL ? -ENOMEM
				     : recovery_read(slice_str(text), wrapping);
	}
	if (rc == 0)
		rc = seal_wrap(
		    wrapping, seal_key_private(key), about, ch.wrapped);
	OPENSSL_cleanse(wrapping, sizeof(wrapping));
	if (rc == 0)
		rc = accounts_change(
		    a, ch.name.domain, recovery_fill, &ch, err);
	if (rc != 0 && err->n == 0)
		buf_printf(err, "accounts: %s", strerror(-rc));
	arena_reset(&arena);
	return rc;
}

int
accounts_recovery_remove(
    struct accounts *a, struct slice account, struct buf *err)
{
	struct arena arena = { 0 };
	struct recovery_change ch = { .public = NULL };
	int rc = check_address(&arena, account, &ch.name, err);

	if (rc == 0)
		rc = accounts_change(
		    a, ch.name.domain, recovery_fill, &ch, err);
	arena_reset(&arena);
	return rc;
}

/* --- the same, for a copy elsewhere --- */

int
accounts_recovery_get(struct accounts *a, struct slice account,
    unsigned char wrapped[static SEAL_WRAP_LEN])
{
	struct arena arena = { 0 };
	struct buf err = BUF_INIT;
	struct accounts_login l;
	int rc = load(a, &arena, account, &l, &err);

	if (rc == 0 && !(l.seal.has_key && l.seal.has_recovery))
		rc = -ENOENT;
	if (rc == 0)
		memcpy(wrapped, l.seal.recovery, SEAL_WRAP_LEN);
	buf_clear(&err);
	arena_reset(&arena);
	return rc;
}

int
accounts_recovery_open(struct slice account,
    const unsigned char public[static SEAL_PUBLIC_LEN],
    const unsigned char wrapped[static SEAL_WRAP_LEN], struct slice recovery,
    struct seal_key **out)
{
	unsigned char key[SEAL_KEY_LEN], octets[SEAL_KEY_LEN];
	struct accounts_login l = { .name.address = account };
	struct arena arena = { 0 };
	struct slice about;
	int rc = 0;

	*out = NULL;
	memcpy(l.seal.public, public, SEAL_PUBLIC_LEN);
	about = accounts_unlock_about(&arena, &l, SLICE_EMPTY);
	if (about.p == NULL)
		rc = -ENOMEM;
	if (rc == 0 &&
	    (recovery_read(recovery, key) != 0 ||
		seal_unwrap(key, wrapped, about, octets) != 0))
		rc = -EACCES;
	if (rc == 0)
		rc = seal_key_new(out, octets);
	if (rc == 0 &&
	    memcmp(seal_key_public(*out), public, SEAL_PUBLIC_LEN) != 0) {
		seal_key_unref(out);
		rc = -EACCES;
	}
	OPENSSL_cleanse(key, sizeof(key));
	OPENSSL_cleanse(octets, sizeof(octets));
	arena_reset(&arena);
	return rc;
}
