/* SPDX-License-Identifier: ISC */
/* Writing passwords, for mgmt. */
#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>

#include "common/auth/accounts_change.h"
#include "common/auth/secret.h"
#include "common/base/clock.h"

struct credential_change {
	struct accounts_name name;
	struct slice credential;
	struct credential_record r;
	bool remove;
	/* The key pair that was there when we looked, and the one to put, which
	 * differs where `new_pair`. `lose`: nobody need open it. */
	struct seal_record seen, seal;
	bool new_pair, lose;
};

int
accounts_seal_put(struct change *c, const struct accounts_name *name,
    const struct seal_record *seal)
{
	struct slice key = accounts_key(&c->arena, "n/", name->local), row;
	struct buf json = BUF_INIT;
	int rc = accounts_row(c->a, &c->arena, c->part, key, &row);

	if (rc == 0)
		rc = record_seal_put(row, seal, &json);
	return change_put(c, key, rc, &json);
}

/*
 * The pair must be the one that was wrapped; and somebody must open it
 * afterwards, else sealed mail would come in that nobody can read.
 */
static int
seal_fill(struct change *c, const struct credential_change *in,
    const struct accounts_login *l)
{
	static const struct seal_record none;

	if (!in->remove && (in->seen.has_key != l->seal.has_key ||
	    memcmp(in->seen.public, l->seal.public, SEAL_PUBLIC_LEN) != 0))
		return change_fail(c, -EINVAL,
		    "the key pair of %.*s was changed meanwhile; try again",
		    (int)in->name.address.n, in->name.address.p);
	if (in->new_pair)
		return accounts_seal_put(c, &in->name, &in->seal);
	if (!l->seal.has_key || l->seal.has_recovery ||
	    (!in->remove && in->r.unlock.any) ||
	    !accounts_is_opened(l, NULL) ||
	    accounts_is_opened(l, arena_strdup(&c->arena, in->credential)))
		return 0;
	if (in->lose)
		return accounts_seal_put(c, &in->name, &none);
	return change_fail(c, -ENOKEY,
	    "the password \"%.*s\" is the last that opens the sealed mail of "
	    "%.*s",
	    (int)in->credential.n, in->credential.p, (int)in->name.address.n,
	    in->name.address.p);
}

static int
credential_fill(struct change *c, const void *arg)
{
	const struct credential_change *in = arg;
	struct slice key, row = SLICE_EMPTY;
	struct credential_record r;
	struct accounts_login l;
	struct buf json = BUF_INIT;
	bool exists;
	int rc = accounts_login_load(c->a, &c->arena, in->name.address, &l);

	if (rc != 0)
		return rc;
	key =
	    accounts_credential_key(&c->arena, in->name.local, in->credential);
	rc = accounts_row(c->a, &c->arena, c->part, key, &row);
	if (rc != 0 && rc != -ENOENT)
		return rc;
	exists = rc == 0;
	if (in->remove) {
		if (!exists)
			return change_fail(c, -ENOENT,
			    "%.*s has no password "
			    "\"%.*s\"",
			    (int)in->name.address.n, in->name.address.p,
			    (int)in->credential.n, in->credential.p);
		store_del(c->b, key);
		return seal_fill(c, in, &l);
	}
	if (!l.is_account)
		return change_fail(c, -ENOENT, "no account %.*s",
		    (int)in->name.address.n, in->name.address.p);
	if (!exists && l.n >= ACCOUNTS_CREDENTIALS_MAX)
		return change_fail(c, -EINVAL,
		    "%.*s has %zu passwords; remove "
		    "one first",
		    (int)in->name.address.n, in->name.address.p, l.n);
	r = in->r;
	if (!l.keeps_secrets) /* switched off just now */
		r.sealed = SLICE_EMPTY;
	rc = record_credential_encode(&r, &json);
	rc = change_put(c, key, rc, &json);
	return rc == 0 ? seal_fill(c, in, &l) : rc;
}

static void
scram_salt_choose(struct accounts *a, const struct credential_record *other,
    enum scram_digest digest, struct scram_keys *k)
{
	k->salt_n = SCRAM_SALT_LEN;
	k->iterations = a->policy.scram_iterations;
	random_octets(k->salt, SCRAM_SALT_LEN);
	if (other != NULL && other->has_scram[digest])
		*k = other->scram[digest];
	k->digest = digest;
}

/*
 * All credentials of an account have one salt, so that one hash tells which of
 * them a password is, in the same time whether there is one or thirty; and so
 * that SCRAM, where the salt comes first, can do it at all. A new salt where
 * this is the only credential.
 */
static int
salts_choose(struct accounts *a, const struct accounts_login *l,
    struct slice credential, struct credential_record *r,
    char setting[static PASSWORD_HASH_MAX])
{
	const struct credential_record *other = NULL;

	for (size_t i = 0; i < l->n; i++)
		if (!slice_eq_str(credential, l->credentials[i].public.name))
			other = &l->credentials[i];
	for (size_t d = 0; d < SCRAM_DIGESTS; d++)
		scram_salt_choose(a, other, (enum scram_digest)d, &r->scram[d]);
	if (other == NULL || strlen(other->hash) >= PASSWORD_HASH_MAX)
		return password_setting(&a->policy, setting);
	memcpy(setting, other->hash, strlen(other->hash) + 1);
	return 0;
}

struct set_job {
	struct password password;
	char setting[PASSWORD_HASH_MAX], hash[PASSWORD_HASH_MAX];
	struct credential_record *r;
	struct seal_key *key; /* for r->unlock; NULL: it opens nothing */
	struct slice about;
	int rc;
};

static void
set_work(void *arg)
{
	struct set_job *j = arg;

	j->rc = password_hash(&j->password, j->setting, j->hash);
	for (size_t d = 0; d < SCRAM_DIGESTS && j->rc == 0; d++)
		if (j->r->has_scram[d])
			j->rc =
			    scram_keys_derive(&j->password, &j->r->scram[d]);
	if (j->rc == 0 && j->key != NULL)
		j->rc = unlock_make(&j->r->unlock, seal_key_private(j->key),
		    j->about, &j->password, j->r->scram, j->r->has_scram);
}

/* For CRAM-MD5 and APOP, where the account has them on. */
static int
secret_keep(struct accounts *a, struct arena *arena,
    const struct credential_change *ch, const struct password *password,
    struct slice *sealed, struct buf *err)
{
	struct buf b = BUF_INIT;
	int rc = accounts_secret_key(a, true);

	if (rc != 0) {
		buf_printf(err, "%s: %s", a->key_path, strerror(-rc));
		return rc;
	}
	rc = secret_seal(a->key,
	    accounts_secret_about(arena, ch->name.address, ch->credential),
	    slice(password->text, password->n), &b);
	*sealed = arena_dup(arena, buf_slice(&b));
	buf_clear(&b);
	return rc != 0 ? rc : sealed->p == NULL ? -ENOMEM : 0;
}

static bool
wants_pair(const struct accounts *a, const struct accounts_login *l,
    const struct accounts_password_change *in)
{
	enum accounts_encryption how = l->encryption;

	if (how == ACCOUNTS_ENCRYPTION_DEFAULT)
		how = a->encryption;
	return l->seal.has_key ? in->lose_sealed
			       : in->make_key ||
		how == ACCOUNTS_ENCRYPTION_ACCOUNT;
}

/* The key that this password is to open, if any, to j->key. */
static int
key_choose(struct accounts *a, struct arena *arena, struct accounts_login *l,
    struct credential_change *ch, const struct accounts_password_change *in,
    struct set_job *j, struct buf *err)
{
	int rc = 0;

	ch->seen = ch->seal = l->seal;
	ch->lose = in->lose_sealed;
	/* What is only for sending opens nothing: it may lie on a printer. */
	if (!accounts_scopes_may_read(in->scopes))
		return 0;
	if (wants_pair(a, l, in)) {
		if ((rc = seal_key_make(&j->key)) != 0)
			return rc;
		ch->new_pair = true;
		ch->seal = (struct seal_record){ .has_key = true };
		memcpy(ch->seal.public, seal_key_public(j->key),
		    SEAL_PUBLIC_LEN);
	} else if (!l->seal.has_key) {
		return 0;
	} else if (in->key == NULL ||
	    memcmp(seal_key_public(in->key), l->seal.public,
		SEAL_PUBLIC_LEN) != 0) {
		buf_printf(err,
		    "the mail of %.*s is sealed: a new password must open it, "
		    "and for that one of the old ones, or the recovery key, "
		    "is needed",
		    (int)l->name.address.n, l->name.address.p);
		return -ENOKEY;
	} else {
		j->key = seal_key_ref((struct seal_key *)(uintptr_t)in->key);
	}
	l->seal = ch->seal;
	memcpy(j->r->unlock.public, l->seal.public, SEAL_PUBLIC_LEN);
	unlock_scrypt_choose(a->policy.cost, &j->r->unlock.scrypt);
	j->about = accounts_unlock_about(arena, l, ch->credential);
	return j->about.p == NULL ? -ENOMEM : 0;
}

static int
set_prepare(struct accounts *a, struct arena *arena,
    struct credential_change *ch, const struct accounts_password_change *in,
    struct set_job *j, struct buf *err)
{
	struct accounts_login l;
	int rc = accounts_login_load(a, arena, ch->name.address, &l);

	if (rc == 0 && !l.is_account) {
		buf_printf(err, "no account %.*s", (int)ch->name.address.n,
		    ch->name.address.p);
		rc = -ENOENT;
	}
	if (rc != 0)
		return rc;
	if ((rc = password_prepare(in->password, false, &j->password)) != 0) {
		buf_printf(err,
		    "the password is empty, longer than %d octets, "
		    "or has characters that cannot be in one",
		    ACCOUNTS_PASSWORD_MAX);
		return rc;
	}
	if (l.keeps_secrets &&
	    (rc = secret_keep(
		 a, arena, ch, &j->password, &j->r->sealed, err)) != 0)
		return rc;
	if ((rc = key_choose(a, arena, &l, ch, in, j, err)) != 0)
		return rc;
	return salts_choose(a, &l, ch->credential, j->r, j->setting);
}

int
accounts_password_set(struct accounts *a, struct slice account,
    const char *name, struct slice password, unsigned scopes, struct buf *err)
{
	return accounts_password_change(a, account,
	    &(struct accounts_password_change){ .name = name,
		.password = password,
		.scopes = scopes },
	    err);
}

int
accounts_password_change(struct accounts *a, struct slice account,
    const struct accounts_password_change *in, struct buf *err)
{
	struct arena arena = { 0 };
	struct credential_change ch = { .credential = slice_str(in->name) };
	struct set_job *j = calloc(1, sizeof(*j));
	int rc =
	    j == NULL ? -ENOMEM : check_address(&arena, account, &ch.name, err);

	if (rc == 0)
		rc = check_text("name of the password", ch.credential, 64, err);
	if (rc == 0 && ch.credential.n == 0) {
		buf_put_str(err, "a password needs a name");
		rc = -EINVAL;
	}
	ch.r.sealed = SLICE_EMPTY;
	ch.r.public.scopes = in->scopes;
	ch.r.public.created_s =
	    in->created_s != 0 ? in->created_s : clock_wall_s();
	memcpy(ch.r.has_scram, a->scram, sizeof(a->scram));
	if (rc == 0) {
		j->r = &ch.r;
		rc = set_prepare(a, &arena, &ch, in, j, err);
	}
	if (rc == 0 && (rc = co_work(set_work, j)) == 0)
		rc = j->rc;
	if (rc == 0) {
		ch.r.hash = j->hash;
		rc = accounts_change(
		    a, ch.name.domain, credential_fill, &ch, err);
	}
	if (rc == 0 && ch.r.sealed.n > 0)
		accounts_meta_secrets(a);
	if (rc != 0 && err->n == 0)
		buf_printf(err, "accounts: %s", strerror(-rc));
	if (j != NULL) {
		seal_key_unref(&j->key);
		OPENSSL_cleanse(j, sizeof(*j));
	}
	free(j);
	arena_reset(&arena);
	return rc;
}

static int
credential_remove(struct accounts *a, struct slice account, const char *name,
    bool lose, struct buf *err)
{
	struct arena arena = { 0 };
	struct credential_change ch = { .credential = slice_str(name),
		.remove = true,
		.lose = lose };
	int rc = check_address(&arena, account, &ch.name, err);

	if (rc == 0)
		rc = accounts_change(
		    a, ch.name.domain, credential_fill, &ch, err);
	if (rc == 0 && accounts_have_secrets(a))
		accounts_meta_secrets(a);
	arena_reset(&arena);
	return rc;
}

int
accounts_credential_remove(
    struct accounts *a, struct slice account, const char *name, struct buf *err)
{
	return credential_remove(a, account, name, false, err);
}

int
accounts_credential_remove_lose(
    struct accounts *a, struct slice account, const char *name, struct buf *err)
{
	return credential_remove(a, account, name, true, err);
}
