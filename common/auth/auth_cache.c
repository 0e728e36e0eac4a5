/* SPDX-License-Identifier: ISC */
#include "common/auth/auth_cache.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "common/base/clock.h"

#define SETS 512
#define WAYS 4

struct entry {
	unsigned char mac[AUTH_CACHE_MAC_LEN];
	unsigned char key[AUTH_CACHE_KEY_LEN]; /* masked */
	bool has_key;
	int64_t until_ms; /* 0: free */
};
struct auth_cache {
	EVP_MAC_CTX *keyed;
	struct entry entries[SETS][WAYS];
};

static EVP_MAC_CTX *
keyed_hmac(void)
{
	EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	EVP_MAC_CTX *ctx = hmac != NULL ? EVP_MAC_CTX_new(hmac) : NULL;
	char sha256[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(
		    OSSL_MAC_PARAM_DIGEST, sha256, 0),
		OSSL_PARAM_construct_end(),
	};
	unsigned char key[32];

	random_octets(key, sizeof(key));
	if (ctx != NULL && EVP_MAC_init(ctx, key, sizeof(key), params) != 1) {
		EVP_MAC_CTX_free(ctx);
		ctx = NULL;
	}
	OPENSSL_cleanse(key, sizeof(key));
	EVP_MAC_free(hmac);
	return ctx;
}

struct auth_cache *
auth_cache_new(void)
{
	struct auth_cache *c = calloc(1, sizeof(*c));

	if (c != NULL && (c->keyed = keyed_hmac()) == NULL)
		auth_cache_free(&c);
	return c;
}

void
auth_cache_free(struct auth_cache **c)
{
	if (*c == NULL)
		return;
	EVP_MAC_CTX_free((*c)->keyed);
	free(*c);
	*c = NULL;
}

/* With its length before it, so that no two inputs run together alike. */
static bool
mac_put(EVP_MAC_CTX *ctx, struct slice s)
{
	unsigned char n[8];

	put_be64(n, s.n);
	return EVP_MAC_update(ctx, n, sizeof(n)) == 1 &&
	    EVP_MAC_update(ctx, (const unsigned char *)s.p, s.n) == 1;
}

/* `use` tells one output from the other; "" adds nothing. */
static bool
mac_of(struct auth_cache *c, struct slice account, struct slice record,
    struct slice password, const char *use, unsigned char *out)
{
	EVP_MAC_CTX *ctx = EVP_MAC_CTX_dup(c->keyed);
	size_t n = 0;
	bool ok;

	ok = ctx != NULL && mac_put(ctx, account) && mac_put(ctx, record) &&
	    mac_put(ctx, password) &&
	    (*use == '\0' || mac_put(ctx, slice_str(use))) &&
	    EVP_MAC_final(ctx, out, &n, AUTH_CACHE_MAC_LEN) == 1 &&
	    n == AUTH_CACHE_MAC_LEN;
	EVP_MAC_CTX_free(ctx);
	return ok;
}

bool
auth_cache_mac(struct auth_cache *c, struct slice account, struct slice record,
    struct slice password, unsigned char out[static AUTH_CACHE_MAC_LEN])
{
	return mac_of(c, account, record, password, "", out);
}

bool
auth_cache_mask(struct auth_cache *c, struct slice account, struct slice record,
    struct slice password, unsigned char out[static AUTH_CACHE_KEY_LEN])
{
	return mac_of(c, account, record, password, "private key", out);
}

static const struct entry *
find(const struct auth_cache *c,
    const unsigned char mac[static AUTH_CACHE_MAC_LEN], int64_t now_ms)
{
	const struct entry *set = c->entries[get_be32(mac) % SETS];

	for (size_t i = 0; i < WAYS; i++)
		if (set[i].until_ms > now_ms &&
		    CRYPTO_memcmp(set[i].mac, mac, AUTH_CACHE_MAC_LEN) == 0)
			return &set[i];
	return NULL;
}

bool
auth_cache_has(const struct auth_cache *c,
    const unsigned char mac[static AUTH_CACHE_MAC_LEN], int64_t now_ms)
{
	return find(c, mac, now_ms) != NULL;
}

const unsigned char *
auth_cache_key(const struct auth_cache *c,
    const unsigned char mac[static AUTH_CACHE_MAC_LEN], int64_t now_ms)
{
	const struct entry *e = find(c, mac, now_ms);

	return e != NULL && e->has_key ? e->key : NULL;
}

void
auth_cache_put(struct auth_cache *c,
    const unsigned char mac[static AUTH_CACHE_MAC_LEN],
    const unsigned char *masked, int64_t now_ms)
{
	struct entry *set = c->entries[get_be32(mac) % SETS];
	struct entry *oldest = &set[0];

	for (size_t i = 1; i < WAYS; i++)
		if (set[i].until_ms < oldest->until_ms)
			oldest = &set[i];
	memcpy(oldest->mac, mac, AUTH_CACHE_MAC_LEN);
	oldest->has_key = masked != NULL;
	if (masked != NULL)
		memcpy(oldest->key, masked, AUTH_CACHE_KEY_LEN);
	else
		memset(oldest->key, 0, AUTH_CACHE_KEY_LEN);
	oldest->until_ms = now_ms + AUTH_CACHE_MS;
}
