/* SPDX-License-Identifier: ISC */
#include "common/auth/unlock.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "common/base/clock.h"

#define SCRYPT_R 8
#define N_LOG2_MAX 17

static const char *const scram_labels[SCRAM_DIGESTS] = {
	"pneu unlock SCRAM-SHA-256", "pneu unlock SCRAM-SHA-1"
};

/* --- a password's key (RFC 7914) --- */

void
unlock_scrypt_choose(unsigned cost, struct unlock_scrypt *out)
{
	unsigned log2 = 10 + cost < N_LOG2_MAX ? 10 + cost : N_LOG2_MAX;

	out->n = (uint64_t)1 << log2;
	out->r = SCRYPT_R;
	out->p = 1;
	random_octets(out->salt, sizeof(out->salt));
}

bool
unlock_scrypt_is_fit(const struct unlock_scrypt *s)
{
	return s->n >= 2 && (s->n & (s->n - 1)) == 0 && s->r >= 1 &&
	    s->r <= 32 && s->p >= 1 && s->p <= 16 &&
	    s->n <= UNLOCK_MEMORY_MAX / 128 / s->r;
}

static int
password_key(const struct unlock_scrypt *s, const struct password *password,
    unsigned char key[static SEAL_KEY_LEN])
{
	/* OpenSSL counts a little beside the large table. */
	uint64_t memory = 2 * UNLOCK_MEMORY_MAX;

	if (!unlock_scrypt_is_fit(s))
		return -EBADMSG;
	return EVP_PBE_scrypt(password->text, password->n, s->salt,
		   sizeof(s->salt), s->n, s->r, s->p, memory, key,
		   SEAL_KEY_LEN) == 1
	    ? 0
	    : -EIO;
}

/* --- of SCRAM --- */

static int
client_key_key(enum scram_digest digest, const unsigned char *client_key,
    unsigned char key[static SEAL_KEY_LEN])
{
	return seal_subkey(slice(client_key, scram_key_len(digest)),
	    scram_labels[digest], key);
}

static int
wrap_scram(struct unlock *u, const unsigned char *private, struct slice about,
    const struct password *password, const struct scram_keys *k)
{
	unsigned char client_key[SCRAM_KEY_LEN], key[SEAL_KEY_LEN];
	int rc = scram_client_key_derive(password, k, client_key);

	if (rc == 0)
		rc = client_key_key(k->digest, client_key, key);
	if (rc == 0)
		rc = seal_wrap(key, private, about, u->by_scram[k->digest]);
	u->has_scram[k->digest] = rc == 0;
	OPENSSL_cleanse(client_key, sizeof(client_key));
	OPENSSL_cleanse(key, sizeof(key));
	return rc;
}

/* --- both --- */

int
unlock_make(struct unlock *u,
    const unsigned char private[static SEAL_KEY_LEN], struct slice about,
    const struct password *password, const struct scram_keys *keys,
    const bool *has_scram)
{
	unsigned char key[SEAL_KEY_LEN];
	int rc = password_key(&u->scrypt, password, key);

	if (rc == 0)
		rc = seal_wrap(key, private, about, u->by_password);
	OPENSSL_cleanse(key, sizeof(key));
	for (size_t d = 0; d < SCRAM_DIGESTS; d++) {
		u->has_scram[d] = false;
		if (rc == 0 && has_scram[d])
			rc = wrap_scram(u, private, about, password, &keys[d]);
	}
	u->any = rc == 0;
	return rc;
}

int
unlock_by_password(const struct unlock *u, struct slice about,
    const struct password *password,
    unsigned char private[static SEAL_KEY_LEN])
{
	unsigned char key[SEAL_KEY_LEN];
	int rc = password_key(&u->scrypt, password, key);

	if (rc == 0)
		rc = seal_unwrap(key, u->by_password, about, private);
	OPENSSL_cleanse(key, sizeof(key));
	return rc;
}

int
unlock_by_client_key(const struct unlock *u, struct slice about,
    enum scram_digest digest,
    const unsigned char client_key[static SCRAM_KEY_LEN],
    unsigned char private[static SEAL_KEY_LEN])
{
	unsigned char key[SEAL_KEY_LEN];
	int rc = u->any && u->has_scram[digest] ? 0 : -ENOENT;

	if (rc == 0)
		rc = client_key_key(digest, client_key, key);
	if (rc == 0)
		rc = seal_unwrap(key, u->by_scram[digest], about, private);
	OPENSSL_cleanse(key, sizeof(key));
	return rc;
}

/* --- the recovery key --- */

#define CHANCE_LEN 18
#define CHECK_LEN 2
#define SYMBOLS ((CHANCE_LEN + CHECK_LEN) * 8 / 5)

static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";

static void
checksum(const unsigned char *chance, unsigned char out[static CHECK_LEN])
{
	unsigned char md[EVP_MAX_MD_SIZE] = { 0 };

	EVP_Digest(chance, CHANCE_LEN, md, NULL, EVP_sha256(), NULL);
	memcpy(out, md, CHECK_LEN);
}

void
recovery_make(char out[static RECOVERY_TEXT_LEN + 1])
{
	unsigned char octets[CHANCE_LEN + CHECK_LEN];
	size_t at = 0;

	random_octets(octets, CHANCE_LEN);
	checksum(octets, octets + CHANCE_LEN);
	for (size_t i = 0; i < SYMBOLS; i++) {
		size_t bit = 5 * i;
		unsigned two = (unsigned)octets[bit / 8] << 8;

		if (bit / 8 + 1 < sizeof(octets))
			two |= octets[bit / 8 + 1];
		if (i > 0 && i % 4 == 0)
			out[at++] = '-';
		out[at++] = alphabet[two >> (11 - bit % 8) & 31];
	}
	out[at] = '\0';
	OPENSSL_cleanse(octets, sizeof(octets));
}

/* -1: none of them. */
static int
symbol_value(char c)
{
	const char *p;

	c = ascii_lower(c);
	if (c == 'o')
		c = '0';
	if (c == 'i' || c == 'l')
		c = '1';
	p = c == '\0' ? NULL : strchr(alphabet, c);
	return p == NULL ? -1 : (int)(p - alphabet);
}

static bool
symbols_read(struct slice text, unsigned char octets[static CHANCE_LEN + CHECK_LEN])
{
	size_t n = 0;

	memset(octets, 0, CHANCE_LEN + CHECK_LEN);
	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];
		int v = symbol_value(c);

		if (c == '-' || ascii_is_space(c))
			continue;
		if (v < 0 || n == SYMBOLS)
			return false;
		for (size_t b = 0; b < 5; b++, v <<= 1)
			if ((v & 16) != 0)
				octets[(5 * n + b) / 8] |= (unsigned char)(0x80 >> (5 * n + b) % 8);
		n++;
	}
	return n == SYMBOLS;
}

int
recovery_read(struct slice text, unsigned char key[static SEAL_KEY_LEN])
{
	unsigned char octets[CHANCE_LEN + CHECK_LEN], check[CHECK_LEN];
	int rc = -EINVAL;

	if (symbols_read(text, octets)) {
		checksum(octets, check);
		if (memcmp(check, octets + CHANCE_LEN, CHECK_LEN) == 0)
			rc = seal_subkey(slice(octets, CHANCE_LEN),
			    "pneu unlock recovery", key);
	}
	OPENSSL_cleanse(octets, sizeof(octets));
	return rc;
}
