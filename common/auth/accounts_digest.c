/* SPDX-License-Identifier: ISC */
/*
 * CRAM-MD5 (RFC 2195) and APOP (RFC 1939 7): what the client sends is made from
 * a challenge and the password, so the server must know the password. It does
 * for accounts that were told to (accounts_account.cram_md5).
 */
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "common/auth/accounts_impl.h"
#include "common/auth/secret.h"
#include "common/base/clock.h"
#include "common/base/log.h"

#define MD5_LEN 16

int
accounts_secret_key(struct accounts *a, bool make)
{
	int rc;

	if (a->has_key)
		return 0;
	rc = secret_key_load(a->key_path, make, a->key);
	a->has_key = rc == 0;
	if (rc != 0 && !a->key_complained) {
		log_error("no key for the passwords of CRAM-MD5 and APOP",
		    "file=\"%s\" error=\"%s\"", log_qs(a->key_path),
		    strerror(-rc));
		a->key_complained = true;
	}
	return rc;
}

struct slice
accounts_secret_about(
    struct arena *arena, struct slice address, struct slice credential)
{
	struct buf b = BUF_INIT;
	struct slice s;

	buf_put_slice(&b, address);
	buf_put_char(&b, '\0');
	buf_put_slice(&b, credential);
	s = arena_dup(arena, buf_slice(&b));
	buf_clear(&b);
	return s;
}

bool
accounts_have_secrets(struct accounts *a)
{
	struct arena arena = ARENA_INIT_MAX(4096);
	struct slice val;
	bool any = accounts_meta(a, &arena, "secrets", &val) == 0;

	arena_reset(&arena);
	return any;
}

char *
accounts_challenge(struct accounts *a, struct arena *arena)
{
	unsigned char chance[16];

	random_octets(chance, sizeof(chance));
	return arena_printf(arena, "<%016llx%016llx.%lld@%s>",
	    (unsigned long long)get_be64(chance),
	    (unsigned long long)get_be64(chance + 8), (long long)clock_wall_s(),
	    a->hostname);
}

static bool
digest_make(enum accounts_digest kind, struct slice challenge,
    struct slice password, char hex[static 2 * MD5_LEN + 1])
{
	unsigned char md[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *c = NULL;
	bool ok;

	if (kind == ACCOUNTS_CRAM_MD5) {
		ok = HMAC(EVP_md5(), password.p, (int)password.n,
			 (const unsigned char *)challenge.p, challenge.n, md,
			 NULL) != NULL;
	} else {
		c = EVP_MD_CTX_new();
		ok = c != NULL && EVP_DigestInit_ex(c, EVP_md5(), NULL) == 1 &&
		    EVP_DigestUpdate(c, challenge.p, challenge.n) == 1 &&
		    EVP_DigestUpdate(c, password.p, password.n) == 1 &&
		    EVP_DigestFinal_ex(c, md, NULL) == 1;
		EVP_MD_CTX_free(c);
	}
	for (size_t i = 0; ok && i < MD5_LEN; i++) {
		hex[2 * i] = "0123456789abcdef"[md[i] >> 4];
		hex[2 * i + 1] = "0123456789abcdef"[md[i] & 15];
	}
	OPENSSL_cleanse(md, sizeof(md));
	return ok;
}

struct digest_check {
	struct accounts *a;
	enum accounts_digest kind;
	struct slice challenge, digest;
	struct accounts_login login;
	const struct credential_record *match;
	bool wants_key;
	struct seal_key *key;
};

static bool
is_it(struct digest_check *c, struct arena *arena,
    const struct credential_record *r)
{
	struct buf plain = BUF_INIT_MAX(ACCOUNTS_PASSWORD_MAX + 1);
	char hex[2 * MD5_LEN + 1];
	bool it = secret_open(c->a->key,
		      accounts_secret_about(arena, c->login.name.address,
			  slice_str(r->public.name)),
		      r->sealed, &plain) == 0;

	it = it && digest_make(c->kind, c->challenge, buf_slice(&plain), hex) &&
	    c->digest.n == 2 * MD5_LEN &&
	    CRYPTO_memcmp(hex, c->digest.p, 2 * MD5_LEN) == 0;
	buf_wipe(&plain);
	return it;
}

/* The password is here, so it opens what a password does. */
static int
unlock(struct digest_check *c, struct arena *arena)
{
	struct buf plain = BUF_INIT_MAX(ACCOUNTS_PASSWORD_MAX + 1);
	struct password password;
	int rc = -ENOENT;

	if (!c->wants_key || !accounts_opens(&c->login, c->match))
		return 0;
	if (secret_open(c->a->key,
		accounts_secret_about(arena, c->login.name.address,
		    slice_str(c->match->public.name)),
		c->match->sealed, &plain) == 0)
		rc = password_prepare(buf_slice(&plain), true, &password);
	buf_wipe(&plain);
	if (rc == 0)
		rc = accounts_unlock_password(
		    c->a, arena, &c->login, c->match, &password, &c->key);
	password_wipe(&password);
	return rc == -EAGAIN || rc == -ENOMEM ? rc : 0;
}

static int
verdict(struct digest_check *c, struct arena *arena, struct slice user,
    enum accounts_scope scope, const char **why)
{
	int rc = accounts_login_load(c->a, arena, user, &c->login);

	if (rc != 0)
		return rc;
	if (accounts_secret_key(c->a, false) != 0)
		return -EAGAIN;
	accounts_login_scope(&c->login, scope);
	for (size_t i = 0; i < c->login.n; i++)
		if (is_it(c, arena, &c->login.credentials[i]))
			c->match = &c->login.credentials[i];
	if (c->match == NULL)
		*why = c->login.is_account ? "wrong password, or none for this"
					   : "no account";
	else if (!c->login.enabled)
		*why = "disabled";
	return *why == NULL ? unlock(c, arena) : 0;
}

int
accounts_authenticate_digest(struct accounts *a, struct arena *arena,
    struct slice user, enum accounts_digest kind, struct slice challenge,
    struct slice digest, enum accounts_scope scope, const char *peer,
    const char **account, struct seal_key **key)
{
	struct arena scratch = ARENA_INIT_MAX((size_t)4 << 20);
	struct accounts_attempt at = { accounts_attempt_key(a, &scratch, user),
		peer, kind == ACCOUNTS_APOP ? "APOP" : "CRAM-MD5", 0 };
	struct digest_check c = { a, kind, challenge, digest,
		.wants_key = key != NULL };
	const char *why = NULL;
	int rc = accounts_check_begin(a, &at);

	if (rc == 0) {
		rc = verdict(&c, &scratch, user, scope, &why);
		rc = accounts_check_end(a, &at, &c.login, c.match, rc, why);
	}
	if (rc == 0) {
		*account = arena_strdup(arena, c.login.name.address);
		rc = *account == NULL ? -EAGAIN : 0;
	}
	if (key != NULL) {
		*key = rc == 0 ? c.key : NULL;
		c.key = rc == 0 ? NULL : c.key;
	}
	seal_key_unref(&c.key);
	arena_reset(&scratch);
	return rc;
}
