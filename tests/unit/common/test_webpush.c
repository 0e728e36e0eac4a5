/* SPDX-License-Identifier: ISC */
/* Web Push: the vector of RFC 8291 5, keys and tokens. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/auth/webpush.h"
#include "common/mail/transfer.h"

#define POINT                                                                  \
	"BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7V" \
	"d8pZGH6SRpkNtoIAiw4"
#define AUTH "BTBZMqHH6r4Tts7J_aSIgg"
#define OWN_PRIVATE "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
#define OWN_PUBLIC                                                             \
	"BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6Tlz" \
	"AC8wEqKK6PBru3jl7A8"
#define SALT "DGv6ra1nlYgDCS1FRnbzlw"
#define TEXT "When I grow up, I want to be a watermelon"
#define SEALED                                                                 \
	"DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27ml"     \
	"mlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPT"     \
	"pK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"

static struct buf
octets(const char *base64url)
{
	struct buf b = BUF_INIT;

	assert_int_equal(base64url_decode(&b, slice_str(base64url)), 0);
	return b;
}

static EVP_PKEY *
own_key(void)
{
	struct buf private = octets(OWN_PRIVATE), public = octets(OWN_PUBLIC);
	OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	BIGNUM *d = BN_bin2bn((unsigned char *)private.p, (int)private.n, NULL);
	EVP_PKEY *key = NULL;
	OSSL_PARAM *params;

	OSSL_PARAM_BLD_push_utf8_string(
	    b, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0);
	OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_PRIV_KEY, d);
	OSSL_PARAM_BLD_push_octet_string(
	    b, OSSL_PKEY_PARAM_PUB_KEY, public.p, public.n);
	params = OSSL_PARAM_BLD_to_param(b);
	assert_int_equal(EVP_PKEY_fromdata_init(c), 1);
	assert_int_equal(
	    EVP_PKEY_fromdata(c, &key, EVP_PKEY_KEYPAIR, params), 1);
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(b);
	EVP_PKEY_CTX_free(c);
	BN_free(d);
	buf_clear(&private);
	buf_clear(&public);
	return key;
}

static void
test_vector(void **state)
{
	struct buf point = octets(POINT), auth = octets(AUTH);
	struct buf salt = octets(SALT), out = BUF_INIT, text = BUF_INIT;
	EVP_PKEY *own = own_key();

	(void)state;
	assert_int_equal(
	    webpush_encrypt_with(own, buf_slice(&salt), buf_slice(&point),
		buf_slice(&auth), SLICE_LIT(TEXT), 0, &out),
	    0);
	base64url_encode(&text, buf_slice(&out));
	assert_string_equal(buf_str(&text), SEALED);
	EVP_PKEY_free(own);
	buf_clear(&point);
	buf_clear(&auth);
	buf_clear(&salt);
	buf_clear(&out);
	buf_clear(&text);
}

static void
test_sizes(void **state)
{
	struct buf point = octets(POINT), auth = octets(AUTH), out = BUF_INIT;
	static char text[WEBPUSH_MAX + 1];
	size_t last = 0;

	(void)state;
	/* Lengths tell little, and never more than a push service takes. */
	for (size_t n = 0; n <= WEBPUSH_MAX; n++) {
		buf_reset(&out);
		assert_int_equal(webpush_encrypt(buf_slice(&point),
				     buf_slice(&auth), slice(text, n), &out),
		    0);
		assert_in_range(out.n, 86 + n + 17, 4096);
		assert_true(n % 256 == 0 || out.n == last);
		last = out.n;
	}
	assert_int_equal(webpush_encrypt(buf_slice(&point), buf_slice(&auth),
			     slice(text, WEBPUSH_MAX + 1), &out),
	    -E2BIG);
	assert_int_equal(webpush_encrypt(buf_slice(&point), slice(auth.p, 15),
			     slice(text, 1), &out),
	    -EINVAL);
	buf_clear(&point);
	buf_clear(&auth);
	buf_clear(&out);
}

static void
test_points(void **state)
{
	struct buf point = octets(POINT);

	(void)state;
	assert_true(webpush_point_is_valid(buf_slice(&point)));
	assert_false(webpush_point_is_valid(slice(point.p, 64)));
	assert_false(webpush_point_is_valid(SLICE_EMPTY));
	for (size_t i = 0; i < point.n; i++) {
		point.p[i] ^= 1;
		assert_false(webpush_point_is_valid(buf_slice(&point)));
		point.p[i] ^= 1;
	}
	/* The point at infinity, and what has only zeros. */
	memset(point.p, 0, point.n);
	assert_false(webpush_point_is_valid(buf_slice(&point)));
	assert_false(webpush_point_is_valid(slice(point.p, 1)));
	point.p[0] = 4;
	assert_false(webpush_point_is_valid(buf_slice(&point)));
	buf_clear(&point);
}

static void
test_key_file(void **state)
{
	char dir[] = "/tmp/pneu-webpush-XXXXXX", path[64];
	struct buf first = BUF_INIT, again = BUF_INIT, token = BUF_INIT;
	struct webpush_key *k = NULL;
	struct http_url url;
	struct stat st;
	FILE *f;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/vapid.pem", dir);
	assert_int_equal(webpush_key_load(path, &k), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_true(webpush_key_public(k, &first));
	assert_int_equal(first.n, 87);
	/* The audience is the origin, as RFC 6454 writes it. */
	assert_int_equal(
	    http_url_parse(SLICE_LIT("HTTPS://Push.Example:443/x"), &url), 0);
	assert_int_equal(
	    webpush_vapid(k, &url, "mailto:x@y.test", 1000, &token), 0);
	assert_non_null(strstr(buf_str(&token),
	    "vapid t=eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiJ9."
	    "eyJhdWQiOiJodHRwczovL3B1c2guZXhhbXBsZSIsImV4cCI6NDQyMDAsInN1Yi"
	    "I6Im1haWx0bzp4QHkudGVzdCJ9."));
	assert_non_null(strstr(buf_str(&token), buf_str(&first)));
	webpush_key_free(&k);
	assert_int_equal(webpush_key_load(path, &k), 0);
	assert_true(webpush_key_public(k, &again));
	assert_string_equal(buf_str(&first), buf_str(&again));
	webpush_key_free(&k);
	/* A damaged one is not silently replaced: subscriptions depend on it. */
	f = fopen(path, "w");
	assert_non_null(f);
	fputs("nonsense\n", f);
	fclose(f);
	assert_int_equal(webpush_key_load(path, &k), -EINVAL);
	assert_null(k);
	unlink(path);
	rmdir(dir);
	buf_clear(&first);
	buf_clear(&again);
	buf_clear(&token);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vector),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_points),
		cmocka_unit_test(test_key_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
