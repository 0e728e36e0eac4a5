/* SPDX-License-Identifier: ISC */
#include "common/auth/seal.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>

#include "common/auth/seal_key.h"
#include "common/base/clock.h"

#define BOX_LABEL "pneu seal 1"

/* --- HKDF-SHA-256 (RFC 5869) --- */

static bool
hkdf(struct slice secret, struct slice salt, const char *label,
    unsigned char *out, size_t n)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *c = kdf != NULL ? EVP_KDF_CTX_new(kdf) : NULL;
	char sha256[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(
		    OSSL_KDF_PARAM_DIGEST, sha256, 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY,
		    (void *)(uintptr_t)secret.p, secret.n),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT,
		    (void *)(uintptr_t)salt.p, salt.n),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO,
		    (void *)(uintptr_t)label, strlen(label)),
		OSSL_PARAM_construct_end(),
	};
	bool ok = c != NULL && EVP_KDF_derive(c, out, n, params) == 1;

	EVP_KDF_CTX_free(c);
	EVP_KDF_free(kdf);
	return ok;
}

int
seal_subkey(struct slice secret, const char *label,
    unsigned char out[static SEAL_KEY_LEN])
{
	return hkdf(secret, SLICE_EMPTY, label, out, SEAL_KEY_LEN) ? 0 : -EIO;
}

int
seal_key_subkey(const struct seal_key *k, const char *label,
    unsigned char out[static SEAL_KEY_LEN])
{
	return seal_subkey(
	    slice(seal_key_private(k), SEAL_KEY_LEN), label, out);
}

/* --- AES-256-GCM of one secret --- */

static bool
gcm_seal(const unsigned char *key, const unsigned char *nonce,
    const unsigned char *secret, struct slice context, unsigned char *out)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	int n = 0;
	bool ok = c != NULL && context.n <= INT32_MAX &&
	    EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, key, nonce) == 1 &&
	    EVP_EncryptUpdate(c, NULL, &n, (const unsigned char *)context.p,
		(int)context.n) == 1 &&
	    EVP_EncryptUpdate(c, out, &n, secret, SEAL_SECRET_LEN) == 1 &&
	    EVP_EncryptFinal_ex(c, out + n, &n) == 1 &&
	    EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, SEAL_TAG_LEN,
		out + SEAL_SECRET_LEN) == 1;

	EVP_CIPHER_CTX_free(c);
	return ok;
}

/* `secret` is zeros where it fails. */
static bool
gcm_open(const unsigned char *key, const unsigned char *nonce,
    const unsigned char *in, struct slice context, unsigned char *secret)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	unsigned char tag[SEAL_TAG_LEN];
	int n = 0;
	bool ok;

	memcpy(tag, in + SEAL_SECRET_LEN, SEAL_TAG_LEN);
	ok = c != NULL && context.n <= INT32_MAX &&
	    EVP_DecryptInit_ex(c, EVP_aes_256_gcm(), NULL, key, nonce) == 1 &&
	    EVP_DecryptUpdate(c, NULL, &n, (const unsigned char *)context.p,
		(int)context.n) == 1 &&
	    EVP_DecryptUpdate(c, secret, &n, in, SEAL_SECRET_LEN) == 1 &&
	    EVP_CIPHER_CTX_ctrl(
		c, EVP_CTRL_GCM_SET_TAG, SEAL_TAG_LEN, tag) == 1 &&
	    EVP_DecryptFinal_ex(c, secret + n, &n) == 1;
	EVP_CIPHER_CTX_free(c);
	if (!ok)
		OPENSSL_cleanse(secret, SEAL_SECRET_LEN);
	return ok;
}

/* --- boxes between a pair --- */

/* What the key of one box is made of, and what comes of it. */
struct agreement {
	unsigned char shared[SEAL_KEY_LEN];
	unsigned char publics[2 * SEAL_PUBLIC_LEN]; /* ephemeral, receiver's */
	unsigned char key[SEAL_KEY_LEN + SEAL_NONCE_LEN]; /* and nonce */
};

/* RFC 7748 6.1: all zeros come of a point of low order, and are refused
 * (OpenSSL does). 0, -EINVAL, -EIO. */
static int
agree(EVP_PKEY *mine, const unsigned char *theirs, struct agreement *g)
{
	EVP_PKEY *peer = EVP_PKEY_new_raw_public_key(
	    EVP_PKEY_X25519, NULL, theirs, SEAL_PUBLIC_LEN);
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(mine, NULL);
	size_t n = sizeof(g->shared);
	int rc = -EIO;

	if (peer != NULL && c != NULL && EVP_PKEY_derive_init(c) == 1)
		rc = EVP_PKEY_derive_set_peer(c, peer) == 1 &&
			EVP_PKEY_derive(c, g->shared, &n) == 1 &&
			n == sizeof(g->shared)
		    ? 0
		    : -EINVAL;
	/* A key each, so no nonce comes twice. */
	if (rc == 0 &&
	    !hkdf(slice(g->shared, sizeof(g->shared)),
		slice(g->publics, sizeof(g->publics)), BOX_LABEL, g->key,
		sizeof(g->key)))
		rc = -EIO;
	EVP_PKEY_CTX_free(c);
	EVP_PKEY_free(peer);
	return rc;
}

int
seal_to(const unsigned char public[static SEAL_PUBLIC_LEN],
    const unsigned char secret[static SEAL_SECRET_LEN], struct slice context,
    unsigned char out[static SEAL_BOX_LEN])
{
	EVP_PKEY *pair = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
	struct agreement g;
	size_t n = SEAL_PUBLIC_LEN;
	int rc = -EIO;

	if (pair != NULL && EVP_PKEY_get_raw_public_key(pair, out, &n) == 1) {
		memcpy(g.publics, out, SEAL_PUBLIC_LEN);
		memcpy(g.publics + SEAL_PUBLIC_LEN, public, SEAL_PUBLIC_LEN);
		rc = agree(pair, public, &g);
	}
	if (rc == 0 &&
	    !gcm_seal(g.key, g.key + SEAL_KEY_LEN, secret, context,
		out + SEAL_PUBLIC_LEN))
		rc = -EIO;
	EVP_PKEY_free(pair);
	OPENSSL_cleanse(&g, sizeof(g));
	return rc;
}

int
seal_open(const struct seal_key *k,
    const unsigned char in[static SEAL_BOX_LEN], struct slice context,
    unsigned char secret[static SEAL_SECRET_LEN])
{
	EVP_PKEY *pair = seal_key_pkey(
	    seal_key_private(k), seal_key_public(k));
	struct agreement g;
	int rc = -EIO;

	memset(secret, 0, SEAL_SECRET_LEN);
	if (pair != NULL) {
		memcpy(g.publics, in, SEAL_PUBLIC_LEN);
		memcpy(g.publics + SEAL_PUBLIC_LEN, seal_key_public(k),
		    SEAL_PUBLIC_LEN);
		rc = agree(pair, in, &g);
	}
	if (rc == -EINVAL ||
	    (rc == 0 &&
		!gcm_open(g.key, g.key + SEAL_KEY_LEN, in + SEAL_PUBLIC_LEN,
		    context, secret)))
		rc = -EBADMSG;
	EVP_PKEY_free(pair);
	OPENSSL_cleanse(&g, sizeof(g));
	return rc;
}

/* --- boxes of one key --- */

int
seal_wrap(const unsigned char key[static SEAL_KEY_LEN],
    const unsigned char secret[static SEAL_SECRET_LEN], struct slice context,
    unsigned char out[static SEAL_WRAP_LEN])
{
	random_octets(out, SEAL_NONCE_LEN);
	return gcm_seal(key, out, secret, context, out + SEAL_NONCE_LEN)
	    ? 0
	    : -EIO;
}

int
seal_unwrap(const unsigned char key[static SEAL_KEY_LEN],
    const unsigned char in[static SEAL_WRAP_LEN], struct slice context,
    unsigned char secret[static SEAL_SECRET_LEN])
{
	return gcm_open(key, in, in + SEAL_NONCE_LEN, context, secret)
	    ? 0
	    : -EBADMSG;
}
