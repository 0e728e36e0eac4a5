/* SPDX-License-Identifier: ISC */
/* What a token endpoint and a device endpoint say (RFC 6749 5, RFC 8628 3.2),
 * whole and cut off at each octet; forms, PKCE, providers. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/auth/oauth_client.h"
#include "common/auth/oauth_login.h"
#include "common/net/http_form.h"

#define TOKEN "\"access_token\":\"t\""
#define BEARER "\"token_type\":\"bEaReR\""

static const struct {
	int status;
	const char *json;
	int rc;
	const char *access, *refresh, *error;
	int64_t expires_s;
} answers[] = {
	{ 200, "{" TOKEN "," BEARER "}", 0, "t", "", "", 0 },
	{ 200,
	    "{" TOKEN "," BEARER ",\"expires_in\":3600,\"refresh_token\":\"r\","
	    "\"scope\":\"x\",\"more\":[1]}",
	    0, "t", "r", "", 3600 },
	{ 200, "{" TOKEN "," BEARER ",\"expires_in\":\"3599\"}", 0, "t", "", "",
	    3599 },
	{ 200, "{" TOKEN "," BEARER ",\"expires_in\":-5}", 0, "t", "", "", 0 },
	{ 200, "{" TOKEN "," BEARER ",\"expires_in\":9e99}", 0, "t", "", "",
	    315360000 },
	{ 200, "{" TOKEN "," BEARER ",\"expires_in\":null}", 0, "t", "", "",
	    0 },
	/* A refresh token that cannot be one is none. */
	{ 200, "{" TOKEN "," BEARER ",\"refresh_token\":\"a\\u0001\"}", 0, "t",
	    "", "", 0 },
	{ 200, "{" TOKEN "}", -EAGAIN, "", "", "", 0 },
	{ 200, "{" BEARER "}", -EAGAIN, "", "", "", 0 },
	{ 200, "{" TOKEN ",\"token_type\":\"mac\"}", -EAGAIN, "", "", "", 0 },
	{ 200, "{\"access_token\":\"a\\u0001b\"," BEARER "}", -EAGAIN, "", "",
	    "", 0 },
	{ 200, "{\"access_token\":\"\\u00e9\"," BEARER "}", -EAGAIN, "", "", "",
	    0 },
	{ 200, "{\"access_token\":7," BEARER "}", -EAGAIN, "", "", "", 0 },
	{ 200, "{" TOKEN "," TOKEN "," BEARER "}", -EAGAIN, "", "", "", 0 },
	{ 201, "{" TOKEN "," BEARER "}", -EAGAIN, "", "", "", 0 },
	{ 400, "{\"error\":\"invalid_grant\"}", -EACCES, "", "",
	    "invalid_grant", 0 },
	/* An error is one, whatever the status and the rest say. */
	{ 200, "{\"error\":\"invalid_grant\"," TOKEN "," BEARER "}", -EACCES,
	    "", "", "invalid_grant", 0 },
	{ 503, "{\"error\":\"invalid_grant\"}", -EAGAIN, "", "",
	    "invalid_grant", 0 },
	{ 401, "{\"error\":\"invalid_client\"}", -EINVAL, "", "",
	    "invalid_client", 0 },
	{ 400, "{\"error\":\"\\u001b[1m\"}", -EINVAL, "", "", "\\x1b[1m", 0 },
	{ 428, "{\"error\":\"authorization_pending\"}", -EAGAIN, "", "",
	    "authorization_pending", 0 },
	{ 429, "{\"error\":\"x\"}", -EAGAIN, "", "", "x", 0 },
	{ 400, "{\"error\":7}", -EAGAIN, "", "", "", 0 },
	{ 400, "[]", -EAGAIN, "", "", "", 0 },
	{ 502, "<html>", -EAGAIN, "", "", "", 0 },
	{ 200, "", -EAGAIN, "", "", "", 0 },
};

static void
test_answers(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		struct slice json = slice_str(answers[i].json);
		struct arena a = ARENA_INIT_MAX(65536);
		struct oauth_answer o;

		assert_int_equal(
		    oauth_answer_parse(&a, answers[i].status, json, &o),
		    answers[i].rc);
		assert_string_equal(o.access, answers[i].access);
		assert_string_equal(o.refresh, answers[i].refresh);
		assert_string_equal(o.error, answers[i].error);
		assert_int_equal(o.expires_s, answers[i].expires_s);
		/* There is always something to tell. */
		if (answers[i].rc != 0)
			assert_true(*o.error != '\0' || *o.description != '\0');
		for (size_t n = 0; n < json.n; n++) {
			char *cut = malloc(n + 1); /* ASan sees its end */

			memcpy(cut, json.p, n);
			assert_int_equal(
			    oauth_answer_parse(&a, 200, slice(cut, n), &o),
			    -EAGAIN);
			free(cut);
		}
		arena_reset(&a);
	}
}

static void
test_long_token(void **state)
{
	struct arena a = ARENA_INIT_MAX(1 << 20);
	struct buf b = BUF_INIT;
	struct oauth_answer o;

	(void)state;
	for (size_t n = 6000; n <= 6001; n++) {
		buf_reset(&b);
		buf_put_str(&b, "{" BEARER ",\"access_token\":\"");
		for (size_t i = 0; i < n; i++)
			buf_put_char(&b, 'x');
		buf_put_str(&b, "\"}");
		assert_int_equal(oauth_answer_parse(&a, 200, buf_slice(&b), &o),
		    n == 6000 ? 0 : -EAGAIN);
	}
	buf_clear(&b);
	arena_reset(&a);
}

#define CODES "\"device_code\":\"d\",\"user_code\":\"u\""

static const struct {
	const char *json;
	int rc;
	const char *url, *with_code;
	int64_t expires_s, interval_s;
} devices[] = {
	{ "{" CODES ",\"verification_uri\":\"https://a\"}", 0, "https://a", "",
	    3600, 5 },
	{ "{" CODES ",\"verification_url\":\"https://g\",\"expires_in\":1800,"
	  "\"interval\":7}",
	    0, "https://g", "", 1800, 7 },
	{ "{" CODES ",\"verification_uri\":\"https://a\","
	  "\"verification_uri_complete\":\"https://a?c\",\"interval\":1e9,"
	  "\"expires_in\":1e300}",
	    0, "https://a", "https://a?c", 3600, 60 },
	/* Nobody is sent where others listen, or to a program's URL. */
	{ "{" CODES ",\"verification_uri\":\"http://a\"}", -EAGAIN, "", "", 0,
	    0 },
	{ "{" CODES ",\"verification_uri\":\"https://a\","
	  "\"verification_uri_complete\":\"file:///x\"}",
	    -EAGAIN, "", "", 0, 0 },
	{ "{" CODES ",\"verification_uri\":\"https://a\\u001b\"}", -EAGAIN, "",
	    "", 0, 0 },
	{ "{" CODES "}", -EAGAIN, "", "", 0, 0 },
	{ "{\"user_code\":\"u\",\"verification_uri\":\"https://a\"}", -EAGAIN,
	    "", "", 0, 0 },
	{ "[]", -EAGAIN, "", "", 0, 0 },
};

static void
test_devices(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++) {
		struct slice json = slice_str(devices[i].json);
		struct arena a = ARENA_INIT_MAX(65536);
		struct oauth_device d;

		assert_int_equal(
		    oauth_device_parse(&a, json, &d), devices[i].rc);
		if (devices[i].rc == 0) {
			assert_string_equal(d.device_code, "d");
			assert_string_equal(d.user_code, "u");
			assert_string_equal(d.url, devices[i].url);
			assert_string_equal(
			    d.url_with_code, devices[i].with_code);
			assert_int_equal(d.expires_s, devices[i].expires_s);
			assert_int_equal(d.interval_s, devices[i].interval_s);
		}
		for (size_t n = 0; n < json.n; n++)
			assert_int_equal(
			    oauth_device_parse(&a, slice_head(json, n), &d),
			    -EAGAIN);
		arena_reset(&a);
	}
}

/* RFC 7636 B */
static void
test_challenge(void **state)
{
	struct buf b = BUF_INIT;

	(void)state;
	assert_true(oauth_challenge(
	    SLICE_LIT("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"), &b));
	assert_string_equal(
	    buf_str(&b), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
	buf_clear(&b);
}

static void
test_form(void **state)
{
	struct buf b = BUF_INIT;

	(void)state;
	http_form_put(&b, "a", SLICE_LIT("x y+z&=%/\xc3\xa9~-._"));
	http_form_put(&b, "b", SLICE_EMPTY);
	assert_string_equal(
	    buf_str(&b), "a=x%20y%2Bz%26%3D%25%2F%C3%A9~-._&b=");
	buf_reset(&b);
	buf_put_str(&b, "https://h/p?");
	http_form_put(&b, "c", SLICE_LIT("1"));
	http_form_put(&b, "d", SLICE_LIT("2"));
	assert_string_equal(buf_str(&b), "https://h/p?c=1&d=2");
	buf_clear(&b);
}

static void
test_providers(void **state)
{
	const struct oauth_provider *p;
	size_t n = 0;

	(void)state;
	for (; (p = oauth_provider_at(n)) != NULL; n++) {
		assert_ptr_equal(oauth_provider_find(p->name), p);
		assert_int_equal(strncmp(p->auth_url, "https://", 8), 0);
		assert_int_equal(strncmp(p->token_url, "https://", 8), 0);
		assert_true(p->device_url == NULL ||
		    strncmp(p->device_url, "https://", 8) == 0);
		assert_true(*p->scope != '\0' && strlen(p->scope) < 1000);
		assert_true(*p->extra == '\0' || *p->extra == '&');
	}
	assert_true(n >= 7);
	p = oauth_provider_of_host("imap.GMAIL.com");
	assert_non_null(p);
	assert_string_equal(p->name, "google");
	p = oauth_provider_of_host("outlook.office365.com");
	assert_non_null(p);
	assert_string_equal(p->name, "microsoft");
	assert_null(oauth_provider_of_host("notgmail.com"));
	assert_null(oauth_provider_of_host("gmail.com.evil.test"));
	assert_null(oauth_provider_of_host(""));
	assert_null(oauth_provider_find(""));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_long_token),
		cmocka_unit_test(test_devices),
		cmocka_unit_test(test_challenge),
		cmocka_unit_test(test_form),
		cmocka_unit_test(test_providers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
