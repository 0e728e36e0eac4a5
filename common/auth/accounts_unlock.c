/* SPDX-License-Identifier: ISC */
/*
 * The account's private key at a sign-in. All sessions of an account in a
 * process share one; scrypt runs on the thread pool, in turn with password
 * hashes, so the memory that both take has one bound.
 */
#include <errno.h>
#include <openssl/crypto.h>

#include "common/auth/accounts_impl.h"
#include "common/base/log.h"

struct slice
accounts_unlock_about(struct arena *arena, const struct accounts_login *l,
    struct slice credential)
{
	struct buf b = BUF_INIT;
	struct slice s;

	buf_put_slice(&b, l->name.address);
	buf_put_char(&b, '\0');
	buf_put_slice(&b, credential);
	buf_put_char(&b, '\0');
	buf_put(&b, l->seal.public, sizeof(l->seal.public));
	s = b.failed ? slice(NULL, 0) : arena_dup(arena, buf_slice(&b));
	buf_clear(&b);
	return s;
}

bool
accounts_opens(
    const struct accounts_login *l, const struct credential_record *r)
{
	return l->seal.has_key && r->unlock.any &&
	    memcmp(r->unlock.public, l->seal.public,
		sizeof(l->seal.public)) == 0;
}

bool
accounts_scopes_may_read(unsigned scopes)
{
	return scopes == 0 || (scopes & ACCOUNTS_READING) != 0;
}

bool
accounts_is_opened(const struct accounts_login *l, const char *except)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct credential_record *r = &l->credentials[i];

		if (accounts_opens(l, r) && (except == NULL ||
			strcmp(r->public.name, except) != 0))
			return true;
	}
	return false;
}

struct seal_key *
accounts_unlock_live(struct accounts *a, const struct accounts_login *l)
{
	return seal_table_find(a->keys, l->seal.public);
}

struct seal_key *
accounts_unlock_take(struct accounts *a, const struct accounts_login *l,
    const unsigned char octets[static SEAL_KEY_LEN])
{
	struct seal_key *k = NULL;
	int rc = seal_key_new(&k, octets);

	if (rc == 0 && memcmp(seal_key_public(k), l->seal.public,
			   SEAL_PUBLIC_LEN) != 0) {
		seal_key_unref(&k);
		rc = -EBADMSG;
	}
	if (rc == 0)
		seal_table_share(a->keys, &k);
	else
		log_error("an account's private key cannot be opened",
		    "account=%s error=\"%s\"", log_q(l->name.address),
		    strerror(-rc));
	return k;
}

/* Of what was unwrapped, or not: 0 (*key may be NULL), or -ENOMEM. */
static int
take(struct accounts *a, const struct accounts_login *l, int rc,
    const unsigned char *octets, struct seal_key **key)
{
	*key = NULL;
	if (rc == -ENOMEM)
		return rc;
	if (rc == 0)
		*key = accounts_unlock_take(a, l, octets);
	else if (rc != -ENOENT)
		log_error("an account's private key cannot be unwrapped",
		    "account=%s error=\"%s\"", log_q(l->name.address),
		    strerror(-rc));
	return 0;
}

struct job {
	const struct unlock *unlock;
	const struct password *password;
	struct slice about;
	unsigned char octets[SEAL_KEY_LEN];
	int rc;
};

static void
work(void *arg)
{
	struct job *j = arg;

	j->rc = unlock_by_password(
	    j->unlock, j->about, j->password, j->octets);
}

int
accounts_unlock_password(struct accounts *a, struct arena *arena,
    const struct accounts_login *l, const struct credential_record *r,
    const struct password *password, struct seal_key **key)
{
	struct job j = { &r->unlock, password,
		accounts_unlock_about(arena, l, slice_str(r->public.name)),
		{ 0 }, 0 };
	int rc;

	if ((*key = accounts_unlock_live(a, l)) != NULL)
		return 0;
	if (j.about.p == NULL)
		return -ENOMEM;
	if ((rc = accounts_work(a, work, &j)) == 0)
		rc = take(a, l, j.rc, j.octets, key);
	OPENSSL_cleanse(j.octets, sizeof(j.octets));
	return rc;
}

int
accounts_unlock_client_key(struct accounts *a, struct arena *arena,
    const struct accounts_login *l, const struct credential_record *r,
    enum scram_digest digest, const unsigned char *client_key,
    struct seal_key **key)
{
	struct slice about =
	    accounts_unlock_about(arena, l, slice_str(r->public.name));
	unsigned char octets[SEAL_KEY_LEN];
	int rc;

	if ((*key = accounts_unlock_live(a, l)) != NULL)
		return 0;
	if (about.p == NULL)
		return -ENOMEM;
	rc = unlock_by_client_key(
	    &r->unlock, about, digest, client_key, octets);
	rc = take(a, l, rc, octets, key);
	OPENSSL_cleanse(octets, sizeof(octets));
	return rc;
}
