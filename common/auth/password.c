/* SPDX-License-Identifier: ISC */
#include "common/auth/password.h"

#include <crypt.h>
#include <errno.h>
#include <gsasl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>

#include "common/base/clock.h"

/* --- preparing --- */

static bool
is_printable_ascii(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < 0x20 || s.p[i] > 0x7e)
			return false;
	return true;
}

/* To `out`; false when it fails or does not fit. */
static bool
saslprep(const char *in, Gsasl_saslprep_flags flags, struct password *out)
{
	char *prepared = NULL;
	size_t n;
	bool fits;

	if (gsasl_saslprep(in, flags, &prepared, NULL) != GSASL_OK)
		return false;
	n = strlen(prepared);
	fits = n > 0 && n <= ACCOUNTS_PASSWORD_MAX;
	if (fits) {
		memcpy(out->text, prepared, n + 1);
		out->n = n;
	}
	OPENSSL_cleanse(prepared, n);
	gsasl_free(prepared);
	return fits;
}

/*
 * libgsasl 2.2 takes GSASL_ALLOW_UNASSIGNED for its opposite, later ones may
 * not: so both ways are gone, and one (both) must be fine for a query (a
 * stored string).
 */
static int
prepare_unicode(bool query, struct password *out)
{
	struct password in = *out;
	bool one = saslprep(in.text, GSASL_ALLOW_UNASSIGNED, out);
	bool other = saslprep(in.text, 0, out);

	password_wipe(&in);
	return (query ? one || other : one && other) ? 0 : -EINVAL;
}

int
password_prepare(struct slice in, bool query, struct password *out)
{
	out->n = 0;
	if (in.n == 0 || in.n > ACCOUNTS_PASSWORD_MAX ||
	    slice_find(in, '\0') >= 0)
		return -EINVAL;
	memcpy(out->text, in.p, in.n);
	out->text[in.n] = '\0';
	out->n = in.n;
	/* SASLprep changes nothing there, but leaves copies on the heap. */
	if (is_printable_ascii(in))
		return 0;
	return prepare_unicode(query, out);
}

void
password_wipe(struct password *p)
{
	OPENSSL_cleanse(p, sizeof(*p));
}

/* --- crypt(3) --- */

int
password_setting(
    const struct password_policy *policy, char out[static PASSWORD_HASH_MAX])
{
	char salt[16];

	random_octets(salt, sizeof(salt));
	if (crypt_gensalt_rn("$y$", policy->cost, salt, sizeof(salt), out,
		PASSWORD_HASH_MAX) == NULL)
		return -EIO;
	return 0;
}

int
password_hash(const struct password *p, const char *setting,
    char out[static PASSWORD_HASH_MAX])
{
	/* 32 KiB, of which the password is a part. */
	struct crypt_data *data = calloc(1, sizeof(*data));
	const char *hash;
	int rc = -EINVAL;

	if (data == NULL)
		return -ENOMEM;
	hash = crypt_rn(p->text, setting, data, (int)sizeof(*data));
	if (hash != NULL && strlen(hash) < PASSWORD_HASH_MAX) {
		memcpy(out, hash, strlen(hash) + 1);
		rc = 0;
	}
	OPENSSL_cleanse(data, sizeof(*data));
	free(data);
	return rc;
}

bool
password_hash_eq(const char *a, const char *b)
{
	size_t n = strlen(a);

	return n == strlen(b) && CRYPTO_memcmp(a, b, n) == 0;
}

/* --- SCRAM --- */

size_t
scram_key_len(enum scram_digest digest)
{
	return digest == SCRAM_SHA_1 ? 20 : 32;
}

static bool
hmac(const EVP_MD *md, const unsigned char *key, const char *text,
    unsigned char *out)
{
	return HMAC(md, key, EVP_MD_get_size(md), (const unsigned char *)text,
		   strlen(text), out, NULL) != NULL;
}

int
scram_keys_derive(const struct password *p, struct scram_keys *k)
{
	unsigned char salted[SCRAM_KEY_LEN], client[SCRAM_KEY_LEN];
	const EVP_MD *md =
	    k->digest == SCRAM_SHA_1 ? EVP_sha1() : EVP_sha256();
	size_t n = scram_key_len(k->digest);
	bool ok;

	ok = PKCS5_PBKDF2_HMAC(p->text, (int)p->n, k->salt, (int)k->salt_n,
		 (int)k->iterations, md, (int)n, salted) == 1;
	ok = ok && hmac(md, salted, "Client Key", client) &&
	    hmac(md, salted, "Server Key", k->server_key) &&
	    EVP_Digest(client, n, k->stored_key, NULL, md, NULL) == 1;
	OPENSSL_cleanse(salted, sizeof(salted));
	OPENSSL_cleanse(client, sizeof(client));
	return ok ? 0 : -EIO;
}

int
scram_client_key_derive(const struct password *p, const struct scram_keys *k,
    unsigned char out[static SCRAM_KEY_LEN])
{
	unsigned char salted[SCRAM_KEY_LEN];
	const EVP_MD *md =
	    k->digest == SCRAM_SHA_1 ? EVP_sha1() : EVP_sha256();
	bool ok;

	ok = PKCS5_PBKDF2_HMAC(p->text, (int)p->n, k->salt, (int)k->salt_n,
		 (int)k->iterations, md, (int)scram_key_len(k->digest),
		 salted) == 1 &&
	    hmac(md, salted, "Client Key", out);
	OPENSSL_cleanse(salted, sizeof(salted));
	return ok ? 0 : -EIO;
}

/* --- making one --- */

void
password_generate(char out[static PASSWORD_GENERATED_LEN + 1])
{
	/* No 0, 1, l, o: none that looks like another. 32 of them. */
	static const char letters[] = "23456789abcdefghijkmnpqrstuvwxyz";
	unsigned char chance[PASSWORD_GENERATED_LEN];

	random_octets(chance, sizeof(chance));
	for (size_t i = 0; i < PASSWORD_GENERATED_LEN; i++)
		out[i] = i % 6 == 5 ? '-' : letters[chance[i] % 32];
	out[PASSWORD_GENERATED_LEN] = '\0';
	OPENSSL_cleanse(chance, sizeof(chance));
}
