/* SPDX-License-Identifier: ISC */
#include "common/auth/scram.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <unistr.h>

#include "common/base/clock.h"
#include "common/mail/transfer.h"

#define NONCE_MAX 512
#define NONCE_OCTETS 18 /* ours, before base64 */

void
scram_init(struct scram *s, struct arena *arena, enum scram_digest digest,
    bool plus, const struct scram_channel *channel)
{
	*s = (struct scram){ .arena = arena,
		.digest = digest,
		.plus = plus,
		.channel = *channel };
}

/* --- reading (RFC 5802 7) --- */

/* Take "X=value" and the comma behind it. False when it is not there; the
 * value may not be empty. */
static bool
take_attribute(struct slice *in, char name, struct slice *value)
{
	struct slice rest = *in;

	if (rest.n < 3 || rest.p[0] != name || rest.p[1] != '=')
		return false;
	*value = slice_split(&rest, ',');
	*value = slice_from(*value, 2);
	if (value->n == 0)
		return false;
	*in = rest;
	return true;
}

/* Optional extensions are ignored, but have a form. Mandatory ones ("m=")
 * only come first, and are refused there. */
static bool
are_extensions(struct slice in)
{
	while (in.n > 0) {
		struct slice e = slice_split(&in, ',');

		if (e.n < 3 || !ascii_is_alpha(e.p[0]) || e.p[1] != '=' ||
		    slice_find(e, '\0') >= 0)
			return false;
	}
	return true;
}

int
scram_name_decode(struct arena *arena, struct slice in, struct slice *out)
{
	char *p = arena_alloc(arena, in.n + 1);
	size_t n = 0;

	if (p == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < in.n; i++) {
		struct slice at = slice_head(slice_from(in, i), 3);

		if (in.p[i] == '\0')
			return -EBADMSG;
		if (in.p[i] != '=') {
			p[n++] = in.p[i];
			continue;
		}
		if (slice_eq_str(at, "=2C"))
			p[n++] = ',';
		else if (slice_eq_str(at, "=3D"))
			p[n++] = '=';
		else
			return -EBADMSG;
		i += 2;
	}
	*out = slice(p, n);
	return u8_check((const uint8_t *)p, n) == NULL ? 0 : -EBADMSG;
}

static bool
is_nonce(struct slice s)
{
	if (s.n > NONCE_MAX)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= 0x20 || s.p[i] >= 0x7f || s.p[i] == ',')
			return false;
	return true;
}

/* "n", "y" or "p=TYPE" (RFC 5802 6). */
static int
read_binding_flag(struct scram *s, struct slice flag)
{
	bool offered = s->channel.exporter.n > 0 || s->channel.unique.n > 0;

	if (slice_eq_str(flag, "n"))
		return s->plus ? -EACCES : 0;
	/* The client could bind but saw no -PLUS, which we offered: somebody
	 * between us took it out of the list. */
	if (slice_eq_str(flag, "y"))
		return s->plus || offered ? -EACCES : 0;
	if (!slice_starts(flag, "p="))
		return -EBADMSG;
	if (!s->plus)
		return -EACCES;
	flag = slice_from(flag, 2);
	if (slice_eq_str(flag, "tls-exporter"))
		s->binding = s->channel.exporter;
	else if (slice_eq_str(flag, "tls-unique"))
		s->binding = s->channel.unique;
	return s->binding.n > 0 ? 0 : -EACCES;
}

int
scram_client_first(struct scram *s, struct slice in)
{
	struct slice rest, flag, authzid, user, nonce;
	int rc;

	if ((in = arena_dup(s->arena, in)).p == NULL)
		return -ENOMEM;
	rest = in;
	flag = slice_split(&rest, ',');
	s->authzid = SLICE_EMPTY;
	if (take_attribute(&rest, 'a', &authzid)) {
		rc = scram_name_decode(s->arena, authzid, &s->authzid);
		if (rc != 0)
			return rc;
	} else if (rest.n > 0 && rest.p[0] == ',') {
		rest = slice_from(rest, 1);
	} else {
		return -EBADMSG;
	}
	s->gs2_header = slice_head(in, (size_t)(rest.p - in.p));
	s->client_first_bare = rest;
	if ((rc = read_binding_flag(s, flag)) != 0)
		return rc;
	if (!take_attribute(&rest, 'n', &user) ||
	    !take_attribute(&rest, 'r', &nonce) || !is_nonce(nonce) ||
	    !are_extensions(rest))
		return -EBADMSG;
	s->nonce = nonce;
	return scram_name_decode(s->arena, user, &s->user);
}

int
scram_server_first(struct scram *s, const struct scram_keys *k, struct buf *out)
{
	unsigned char chance[NONCE_OCTETS];
	struct buf b = BUF_INIT;
	size_t n;

	random_octets(chance, sizeof(chance));
	buf_put_str(&b, "r=");
	buf_put_slice(&b, s->nonce);
	base64_encode(&b, slice(chance, sizeof(chance)));
	n = b.n;
	buf_put_str(&b, ",s=");
	base64_encode(&b, slice(k->salt, k->salt_n));
	buf_printf(&b, ",i=%u", (unsigned)k->iterations);
	s->server_first = arena_dup(s->arena, buf_slice(&b));
	s->nonce = slice_from(slice_head(s->server_first, n), 2);
	buf_put_slice(out, s->server_first);
	n = b.failed || out->failed || s->server_first.p == NULL;
	buf_clear(&b);
	return n ? -ENOMEM : 0;
}

/* "c=" must be the header of the first message and the channel's data. */
static int
check_binding(const struct scram *s, struct slice c)
{
	struct buf got = BUF_INIT_MAX(4096), want = BUF_INIT;
	int rc = base64_decode(&got, c);

	if (rc == -EINVAL)
		rc = -EBADMSG;
	buf_put_slice(&want, s->gs2_header);
	buf_put_slice(&want, s->binding);
	if (rc == 0 && !slice_eq(buf_slice(&got), buf_slice(&want)))
		rc = -EACCES;
	buf_clear(&got);
	buf_clear(&want);
	return rc;
}

static int
read_proof(struct scram *s, struct slice p)
{
	size_t n = scram_key_len(s->digest);
	struct buf b = BUF_INIT_MAX(n);
	int rc = base64_decode(&b, p);

	/* Too long is -ENOMEM there. */
	rc = rc == 0 && b.n == n ? 0 : -EBADMSG;
	if (rc == 0)
		memcpy(s->proof, b.p, n);
	buf_clear(&b);
	return rc;
}

static int
make_auth_message(struct scram *s, struct slice without_proof)
{
	struct buf b = BUF_INIT;
	int rc;

	buf_put_slice(&b, s->client_first_bare);
	buf_put_char(&b, ',');
	buf_put_slice(&b, s->server_first);
	buf_put_char(&b, ',');
	buf_put_slice(&b, without_proof);
	s->auth_message = arena_dup(s->arena, buf_slice(&b));
	rc = b.failed || s->auth_message.p == NULL ? -ENOMEM : 0;
	buf_clear(&b);
	return rc;
}

int
scram_client_final(struct scram *s, struct slice in)
{
	ssize_t at = slice_rfind(in, ',');
	struct slice rest, proof, c, nonce, without;
	int rc;

	if (at < 0)
		return -EBADMSG;
	without = rest = slice_head(in, (size_t)at);
	proof = slice_from(in, (size_t)at + 1);
	if (!take_attribute(&rest, 'c', &c) ||
	    !take_attribute(&rest, 'r', &nonce) || !are_extensions(rest) ||
	    !slice_starts(proof, "p="))
		return -EBADMSG;
	if ((rc = read_proof(s, slice_from(proof, 2))) != 0)
		return rc;
	if (!slice_eq(nonce, s->nonce))
		return -EACCES;
	if ((rc = check_binding(s, c)) != 0)
		return rc;
	return make_auth_message(s, without);
}

/* --- the proof (RFC 5802 3) --- */

static const EVP_MD *
digest_of(const struct scram *s)
{
	return s->digest == SCRAM_SHA_1 ? EVP_sha1() : EVP_sha256();
}

static bool
sign(const struct scram *s, const unsigned char key[static SCRAM_KEY_LEN],
    unsigned char out[static SCRAM_KEY_LEN])
{
	return HMAC(digest_of(s), key, (int)scram_key_len(s->digest),
		   (const unsigned char *)s->auth_message.p, s->auth_message.n,
		   out, NULL) != NULL;
}

bool
scram_client_key(const struct scram *s, const struct scram_keys *k,
    unsigned char out[static SCRAM_KEY_LEN])
{
	bool ok = sign(s, k->stored_key, out);

	for (size_t i = 0; ok && i < scram_key_len(s->digest); i++)
		out[i] ^= s->proof[i];
	return ok;
}

static bool
proves(const struct scram *s, const struct scram_keys *k)
{
	unsigned char client_key[SCRAM_KEY_LEN], stored_key[SCRAM_KEY_LEN];
	size_t n = scram_key_len(s->digest);
	bool ok = scram_client_key(s, k, client_key);

	ok = ok &&
	    EVP_Digest(client_key, n, stored_key, NULL, digest_of(s), NULL) ==
		1;
	ok = ok && CRYPTO_memcmp(stored_key, k->stored_key, n) == 0;
	/* With it and a stored key one could sign in as the client. */
	OPENSSL_cleanse(client_key, sizeof(client_key));
	return ok;
}

ssize_t
scram_verify(const struct scram *s, const struct scram_keys *const *k, size_t n)
{
	ssize_t match = -1;

	for (size_t i = 0; i < n; i++)
		if (proves(s, k[i]))
			match = (ssize_t)i;
	return match;
}

int
scram_server_final(
    const struct scram *s, const struct scram_keys *k, struct buf *out)
{
	unsigned char signature[SCRAM_KEY_LEN];

	if (!sign(s, k->server_key, signature))
		return -ENOMEM;
	buf_put_str(out, "v=");
	base64_encode(out, slice(signature, scram_key_len(s->digest)));
	return out->failed ? -ENOMEM : 0;
}

void
scram_fake_salt(const unsigned char secret[static 32], struct slice account,
    struct scram_keys *out)
{
	unsigned char mac[EVP_MAX_MD_SIZE] = { 0 };
	struct buf b = BUF_INIT;

	buf_put_slice(&b, account);
	if (out->digest != SCRAM_SHA_256) /* whose real ones differ too */
		buf_put_char(&b, (char)out->digest);
	HMAC(EVP_sha256(), secret, 32, (const unsigned char *)b.p, b.n, mac,
	    NULL);
	buf_clear(&b);
	out->salt_n = SCRAM_SALT_LEN;
	memcpy(out->salt, mac, SCRAM_SALT_LEN);
}
