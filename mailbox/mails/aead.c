/* SPDX-License-Identifier: ISC */
#include "mailbox/mails/aead.h"

#include <errno.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

#include "common/base/clock.h"

/* Looked up once: the look-up costs as much as sealing a summary. */
static const EVP_CIPHER *
cipher(void)
{
	static EVP_CIPHER *c;

	if (c == NULL)
		c = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	return c;
}

static bool
run(EVP_CIPHER_CTX *c, struct slice about, struct slice in, unsigned char *out)
{
	int n;

	if (about.n > INT_MAX || in.n > INT_MAX)
		return false;
	if (about.n > 0 &&
	    EVP_CipherUpdate(c, NULL, &n, (const unsigned char *)about.p,
		(int)about.n) != 1)
		return false;
	return in.n == 0 ||
	    EVP_CipherUpdate(c, out, &n, (const unsigned char *)in.p,
		(int)in.n) == 1;
}

int
aead_seal(const unsigned char key[static AEAD_KEY],
    const struct aead_nonce *nonce, struct slice about, struct slice plain,
    char *out)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	unsigned char *p = (unsigned char *)out;
	int n;
	bool ok;

	ok = c != NULL &&
	    EVP_CipherInit_ex2(c, cipher(), key, nonce->octets, 1, NULL) == 1 &&
	    run(c, about, plain, p) &&
	    EVP_CipherFinal_ex(c, p + plain.n, &n) == 1 &&
	    EVP_CIPHER_CTX_ctrl(
		c, EVP_CTRL_GCM_GET_TAG, AEAD_TAG, p + plain.n) == 1;
	EVP_CIPHER_CTX_free(c);
	return ok ? 0 : -ENOMEM;
}

int
aead_open(const unsigned char key[static AEAD_KEY],
    const struct aead_nonce *nonce, struct slice about, struct slice sealed,
    char *out)
{
	unsigned char *p = (unsigned char *)out, tag[AEAD_TAG], last[16];
	EVP_CIPHER_CTX *c;
	struct slice in;
	int n;
	bool ok;

	if (sealed.n < AEAD_TAG)
		return -EBADMSG;
	if ((c = EVP_CIPHER_CTX_new()) == NULL)
		return -ENOMEM;
	in = slice_head(sealed, sealed.n - AEAD_TAG);
	memcpy(tag, sealed.p + in.n, AEAD_TAG);
	ok = EVP_CipherInit_ex2(c, cipher(), key, nonce->octets, 0, NULL) ==
		1 &&
	    run(c, about, in, p) &&
	    EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, AEAD_TAG, tag) == 1 &&
	    EVP_CipherFinal_ex(c, last, &n) == 1;
	EVP_CIPHER_CTX_free(c);
	if (!ok && in.n > 0)
		OPENSSL_cleanse(out, in.n);
	return ok ? 0 : -EBADMSG;
}

struct aead_nonce
aead_nonce_new(void)
{
	struct aead_nonce n;

	random_octets(n.octets, sizeof(n.octets));
	n.octets[0] |= 0x80;
	return n;
}
