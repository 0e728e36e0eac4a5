/* SPDX-License-Identifier: ISC */
/*
 * Tokens: the first 16 bits of HMAC-SHA256 by the account's key of each three
 * octets in a row. What was computed is kept, as text has the same few
 * trigrams again and again.
 */
#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdlib.h>

#include "mailbox/mails/index_impl.h"

#define KEPT 32768u

struct index_tokens {
	EVP_MAC_CTX *mac;
	uint32_t before; /* the last octets, of 24 bits */
	unsigned n_before;
	struct {
		uint32_t trigram; /* and bit 24: it is one */
		uint16_t token;
	} kept[KEPT];
};

static EVP_MAC_CTX *
mac_new(const unsigned char key[static INDEX_KEY])
{
	char digest[] = "SHA256";
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(
		    OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_end(),
	};
	EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	EVP_MAC_CTX *mac = hmac == NULL ? NULL : EVP_MAC_CTX_new(hmac);

	EVP_MAC_free(hmac);
	if (mac != NULL && !EVP_MAC_init(mac, key, INDEX_KEY, params)) {
		EVP_MAC_CTX_free(mac);
		mac = NULL;
	}
	return mac;
}

int
index_tokens_new(
    struct index_tokens **out, const unsigned char key[static INDEX_KEY])
{
	struct index_tokens *t = calloc(1, sizeof(*t));

	*out = NULL;
	if (t == NULL || (t->mac = mac_new(key)) == NULL) {
		free(t);
		return -ENOMEM;
	}
	*out = t;
	return 0;
}

void
index_tokens_free(struct index_tokens **out)
{
	struct index_tokens *t = *out;

	*out = NULL;
	if (t == NULL)
		return;
	EVP_MAC_CTX_free(t->mac);
	free(t);
}

/* Aborts where OpenSSL cannot do it: a wrong token would be a wrong answer. */
static uint64_t
hmac(struct index_tokens *t, const void *p, size_t n)
{
	unsigned char out[EVP_MAX_MD_SIZE];
	size_t got = 0;

	if (!EVP_MAC_init(t->mac, NULL, 0, NULL) ||
	    !EVP_MAC_update(t->mac, p, n) ||
	    !EVP_MAC_final(t->mac, out, &got, sizeof(out)) || got < 8)
		abort();
	return get_be64(out);
}

uint64_t
index_tokens_check(struct index_tokens *t)
{
	return hmac(t, "pneu index 1", 12);
}

static uint16_t
token_of(struct index_tokens *t, uint32_t trigram)
{
	uint32_t mark = trigram | 1u << 24;
	size_t at = trigram * UINT32_C(2654435761) >> 17;
	unsigned char octets[3];

	if (t->kept[at].trigram != mark) {
		octets[0] = (unsigned char)(trigram >> 16);
		octets[1] = (unsigned char)(trigram >> 8);
		octets[2] = (unsigned char)trigram;
		t->kept[at].trigram = mark;
		t->kept[at].token =
		    (uint16_t)(hmac(t, octets, sizeof(octets)) >> 48);
	}
	return t->kept[at].token;
}

void
index_tokens_of(struct index_tokens *t, struct slice mapped, bool begins,
    void (*token)(void *arg, uint16_t token), void *arg)
{
	uint32_t v = t->before;

	if (begins)
		t->n_before = 0;
	for (size_t i = 0; i < mapped.n; i++) {
		v = (v << 8 | (unsigned char)mapped.p[i]) & 0xffffff;
		if (t->n_before < 2)
			t->n_before++;
		else
			token(arg, token_of(t, v));
	}
	t->before = v;
}
