/* SPDX-License-Identifier: ISC */
#include "common/auth/webpush.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/auth/secret.h"
#include "common/base/clock.h"
#include "common/mail/transfer.h"

#define RECORD_SIZE 4096
#define TAG 16
#define KEY 16
#define NONCE 12
#define SECRET 32
#define PAD_TO 256 /* octets of plaintext */
#define TOKEN_S (12 * 3600)
#define SIGNATURE 64 /* r and s of ES256, RFC 7518 3.4 */

/* --- points --- */

/* A public key of that point; NULL: it is none of the curve's. */
static EVP_PKEY *
point_key(struct slice point)
{
	char group[] = "prime256v1";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(
		    OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY,
		    (void *)(uintptr_t)point.p, point.n),
		OSSL_PARAM_construct_end(),
	};
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	EVP_PKEY *key = NULL;

	if (point.n != WEBPUSH_POINT || point.p[0] != 4 || c == NULL ||
	    EVP_PKEY_fromdata_init(c) != 1 ||
	    EVP_PKEY_fromdata(c, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
		key = NULL;
	EVP_PKEY_CTX_free(c);
	return key;
}

bool
webpush_point_is_valid(struct slice point)
{
	EVP_PKEY *key = point_key(point);

	EVP_PKEY_free(key);
	return key != NULL;
}

static bool
point_of(EVP_PKEY *key, unsigned char out[static WEBPUSH_POINT])
{
	size_t n = 0;

	return EVP_PKEY_get_octet_string_param(
		   key, OSSL_PKEY_PARAM_PUB_KEY, out, WEBPUSH_POINT, &n) == 1 &&
	    n == WEBPUSH_POINT && out[0] == 4;
}

/* --- the server's keys --- */

struct webpush_key {
	EVP_PKEY *key;
	unsigned char point[WEBPUSH_POINT];
};

static EVP_PKEY *
key_read(const char *path, int *rc)
{
	FILE *f = fopen(path, "re");
	EVP_PKEY *key;

	*rc = f == NULL ? -errno : 0;
	if (f == NULL)
		return NULL;
	key = PEM_read_PrivateKey(f, NULL, NULL, NULL);
	fclose(f);
	if (key == NULL)
		*rc = -EINVAL;
	return key;
}

/* It appears whole, or not at all. */
static int
key_write(const char *path, EVP_PKEY *key)
{
	struct buf temp = BUF_INIT_MAX(4096);
	FILE *f = NULL;
	int fd, rc = 0;

	buf_printf(&temp, "%s.new", path);
	fd = open(
	    buf_str(&temp), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd == -1 || (f = fdopen(fd, "w")) == NULL)
		rc = -errno;
	if (rc == 0 &&
	    PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) != 1)
		rc = -EIO;
	if (rc == 0 && (fflush(f) != 0 || fsync(fd) != 0))
		rc = -errno;
	if (f != NULL)
		fclose(f);
	else if (fd != -1)
		close(fd);
	if (rc == 0 && rename(buf_str(&temp), path) == -1)
		rc = -errno;
	if (rc != 0)
		unlink(buf_str(&temp));
	else
		rc = secret_name_sync(path);
	buf_clear(&temp);
	return rc;
}

static EVP_PKEY *
key_make(const char *path, int *rc)
{
	EVP_PKEY *key = EVP_EC_gen("prime256v1");

	*rc = key == NULL ? -EIO : key_write(path, key);
	if (*rc != 0) {
		EVP_PKEY_free(key);
		key = NULL;
	}
	return key;
}

int
webpush_key_load(const char *path, struct webpush_key **out)
{
	struct webpush_key *k = calloc(1, sizeof(*k));
	int rc = -ENOMEM;

	if (k != NULL) {
		k->key = key_read(path, &rc);
		if (rc == -ENOENT)
			k->key = key_make(path, &rc);
	}
	if (rc == 0 && !point_of(k->key, k->point))
		rc = -EINVAL;
	*out = k;
	if (rc != 0)
		webpush_key_free(out);
	return rc;
}

void
webpush_key_free(struct webpush_key **out)
{
	struct webpush_key *k = *out;

	*out = NULL;
	if (k == NULL)
		return;
	EVP_PKEY_free(k->key);
	free(k);
}

bool
webpush_key_public(const struct webpush_key *k, struct buf *out)
{
	return base64url_encode(out, slice(k->point, sizeof(k->point)));
}

/* --- VAPID --- */

/* r and s, 32 octets each, of the DER that OpenSSL gives. */
static bool
raw_signature(
    const unsigned char *der, size_t n, unsigned char out[static SIGNATURE])
{
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)n);
	bool ok = sig != NULL &&
	    BN_bn2binpad(ECDSA_SIG_get0_r(sig), out, SIGNATURE / 2) ==
		SIGNATURE / 2 &&
	    BN_bn2binpad(ECDSA_SIG_get0_s(sig), out + SIGNATURE / 2,
		SIGNATURE / 2) == SIGNATURE / 2;

	ECDSA_SIG_free(sig);
	return ok;
}

static bool
sign(EVP_PKEY *key, struct slice what, unsigned char out[static SIGNATURE])
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	unsigned char der[128];
	size_t n = sizeof(der);
	bool ok = c != NULL &&
	    EVP_DigestSignInit(c, NULL, EVP_sha256(), NULL, key) == 1 &&
	    EVP_DigestSign(c, der, &n, (const unsigned char *)what.p, what.n) ==
		1 &&
	    raw_signature(der, n, out);

	EVP_MD_CTX_free(c);
	return ok;
}

/* RFC 6454 6.2: lower-case, the usual port left out. */
static void
put_origin(const struct http_url *u, struct buf *out)
{
	bool six = slice_find(u->host, ':') >= 0;

	buf_put_str(out, u->tls ? "https://" : "http://");
	if (six)
		buf_put_char(out, '[');
	for (size_t i = 0; i < u->host.n; i++)
		buf_put_char(out, ascii_lower(u->host.p[i]));
	if (six)
		buf_put_char(out, ']');
	if (u->port != (u->tls ? 443 : 80))
		buf_printf(out, ":%u", u->port);
}

static int
put_claims(const struct http_url *to, const char *contact, int64_t now_s,
    struct buf *out)
{
	struct buf origin = BUF_INIT_MAX(HTTP_URL_MAX);
	char *dump = NULL;
	json_t *j;

	put_origin(to, &origin);
	j = json_pack("{s:s, s:I, s:s}", "aud", buf_str(&origin), "exp",
	    (json_int_t)(now_s + TOKEN_S), "sub", contact);
	dump = j == NULL ? NULL : json_dumps(j, JSON_COMPACT);
	json_decref(j);
	buf_clear(&origin);
	if (dump == NULL)
		return -EIO;
	base64url_encode(out, slice_str(dump));
	free(dump);
	return 0;
}

int
webpush_vapid(const struct webpush_key *k, const struct http_url *to,
    const char *contact, int64_t now_s, struct buf *out)
{
	static const char head[] = "{\"typ\":\"JWT\",\"alg\":\"ES256\"}";
	struct buf token = BUF_INIT_MAX(8192);
	unsigned char signature[SIGNATURE];
	int rc;

	base64url_encode(&token, slice_str(head));
	buf_put_char(&token, '.');
	rc = put_claims(to, contact, now_s, &token);
	if (rc == 0 &&
	    (token.failed || !sign(k->key, buf_slice(&token), signature)))
		rc = -EIO;
	if (rc == 0) {
		buf_printf(out, "vapid t=%s.", buf_str(&token));
		base64url_encode(out, slice(signature, sizeof(signature)));
		buf_put_str(out, ", k=");
		webpush_key_public(k, out);
		rc = out->failed ? -EIO : 0;
	}
	buf_clear(&token);
	return rc;
}

/* --- messages --- */

static bool
hmac(struct slice key, struct slice what, unsigned char out[static SECRET])
{
	unsigned n = SECRET;

	return HMAC(EVP_sha256(), key.p, (int)key.n,
		   (const unsigned char *)what.p, what.n, out, &n) != NULL;
}

/* One block of HKDF's expansion (RFC 5869 2.3): info has the 1 behind it. */
static bool
expand(const unsigned char *prk, const char *info, size_t info_n,
    unsigned char out[static SECRET])
{
	return hmac(slice(prk, SECRET), slice(info, info_n), out);
}

static bool
agree(EVP_PKEY *own, EVP_PKEY *peer, unsigned char out[static SECRET])
{
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(own, NULL);
	size_t n = SECRET;
	bool ok = c != NULL && EVP_PKEY_derive_init(c) == 1 &&
	    EVP_PKEY_derive_set_peer(c, peer) == 1 &&
	    EVP_PKEY_derive(c, out, &n) == 1 && n == SECRET;

	EVP_PKEY_CTX_free(c);
	return ok;
}

/* RFC 8291 3.4. */
static bool
derive(EVP_PKEY *own, EVP_PKEY *peer, struct slice point,
    const unsigned char *own_point, struct slice auth, struct slice salt,
    unsigned char *key, unsigned char *nonce)
{
	static const char cek[] = "Content-Encoding: aes128gcm\0\1";
	static const char non[] = "Content-Encoding: nonce\0\1";
	unsigned char shared[SECRET], prk[SECRET], ikm[SECRET], out[SECRET];
	struct buf info = BUF_INIT_MAX(256);
	bool ok = agree(own, peer, shared);

	buf_put(&info, "WebPush: info", 14); /* with its NUL */
	buf_put_slice(&info, point);
	buf_put(&info, own_point, WEBPUSH_POINT);
	buf_put_char(&info, 1);
	ok = ok && !info.failed && hmac(auth, slice(shared, SECRET), prk) &&
	    expand(prk, info.p, info.n, ikm) &&
	    hmac(salt, slice(ikm, SECRET), prk) &&
	    expand(prk, cek, sizeof(cek) - 1, out);
	if (ok)
		memcpy(key, out, KEY);
	ok = ok && expand(prk, non, sizeof(non) - 1, out);
	if (ok)
		memcpy(nonce, out, NONCE);
	explicit_bzero(shared, sizeof(shared));
	explicit_bzero(prk, sizeof(prk));
	explicit_bzero(ikm, sizeof(ikm));
	explicit_bzero(out, sizeof(out));
	buf_clear(&info);
	return ok;
}

/* The one record (RFC 8188 2): the octets, a 2, zeros. */
static bool
put_record(const unsigned char *key, const unsigned char *nonce,
    struct slice plain, size_t padding, struct buf *out)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	size_t total = plain.n + 1 + padding;
	unsigned char tail[PAD_TO + 1] = { 2 };
	unsigned char *to;
	int n = 0;
	bool ok = c != NULL && buf_reserve(out, total + TAG);

	if (!ok) {
		EVP_CIPHER_CTX_free(c);
		return false;
	}
	to = (unsigned char *)out->p + out->n;
	ok = EVP_EncryptInit_ex(c, EVP_aes_128_gcm(), NULL, key, nonce) == 1 &&
	    EVP_EncryptUpdate(
		c, to, &n, (const unsigned char *)plain.p, (int)plain.n) == 1 &&
	    EVP_EncryptUpdate(c, to + plain.n, &n, tail, (int)padding + 1) ==
		1 &&
	    EVP_EncryptFinal_ex(c, to + total, &n) == 1 &&
	    EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, TAG, to + total) == 1;
	EVP_CIPHER_CTX_free(c);
	if (ok)
		out->n += total + TAG;
	return ok;
}

int
webpush_encrypt_with(EVP_PKEY *own, struct slice salt, struct slice point,
    struct slice auth, struct slice plain, size_t padding, struct buf *out)
{
	unsigned char own_point[WEBPUSH_POINT], key[KEY], nonce[NONCE];
	EVP_PKEY *peer = point_key(point);
	size_t before = out->n;
	int rc = 0;

	if (peer == NULL || auth.n != WEBPUSH_AUTH || salt.n != WEBPUSH_SALT)
		rc = -EINVAL;
	else if (plain.n + padding > WEBPUSH_MAX || padding > PAD_TO)
		rc = -E2BIG;
	else if (!point_of(own, own_point) ||
	    !derive(own, peer, point, own_point, auth, salt, key, nonce))
		rc = -EIO;
	EVP_PKEY_free(peer);
	if (rc != 0)
		return rc;
	buf_put_slice(out, salt);
	buf_put_be32(out, RECORD_SIZE);
	buf_put_char(out, WEBPUSH_POINT);
	buf_put(out, own_point, sizeof(own_point));
	if (out->failed || !put_record(key, nonce, plain, padding, out)) {
		buf_truncate(out, before);
		rc = -EIO;
	}
	explicit_bzero(key, sizeof(key));
	return rc;
}

int
webpush_encrypt(
    struct slice point, struct slice auth, struct slice plain, struct buf *out)
{
	EVP_PKEY *own = EVP_EC_gen("prime256v1");
	unsigned char salt[WEBPUSH_SALT];
	size_t padding = PAD_TO - plain.n % PAD_TO;
	int rc;

	if (own == NULL)
		return -EIO;
	if (plain.n + padding > WEBPUSH_MAX)
		padding = plain.n < WEBPUSH_MAX ? WEBPUSH_MAX - plain.n : 0;
	random_octets(salt, sizeof(salt));
	rc = webpush_encrypt_with(
	    own, slice(salt, sizeof(salt)), point, auth, plain, padding, out);
	EVP_PKEY_free(own);
	return rc;
}
