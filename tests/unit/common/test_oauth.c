/* SPDX-License-Identifier: ISC */
/* What an authorization server says of a token (RFC 7662 2.2), whole and cut
 * off at each octet. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "common/auth/oauth.h"

#define NOW 1000000

static const struct {
	const char *json, *claim, *scope;
	int rc;
	const char *user;
	int64_t until_s;
} cases[] = {
	{ "{\"active\":true,\"email\":\"a@b\"}", "email", "", 0, "a@b",
	    NOW + 60 },
	{ "{\"active\":true,\"email\":\"a@b\",\"exp\":1000030}", "email", "", 0,
	    "a@b", NOW + 30 },
	{ "{\"active\":true,\"email\":\"a@b\",\"exp\":1000000.9}", "email", "",
	    -EACCES, NULL, 0 },
	{ "{\"active\":true,\"email\":\"a@b\",\"exp\":9e99}", "email", "", 0,
	    "a@b", NOW + 60 },
	{ "{\"active\":true,\"email\":\"a@b\",\"exp\":1000000}", "email", "",
	    -EACCES, NULL, 0 },
	{ "{\"active\":true,\"email\":\"a@b\",\"exp\":-9e99}", "email", "",
	    -EACCES, NULL, 0 },
	{ "{\"active\":true,\"email\":\"a@b\",\"nbf\":1000001}", "email", "",
	    -EACCES, NULL, 0 },
	{ "{\"active\":true,\"username\":\"u\"}", "email", "", 0, "u",
	    NOW + 60 },
	{ "{\"active\":true,\"sub\":\"s\",\"username\":\"u\"}", "sub", "", 0,
	    "s", NOW + 60 },
	{ "{\"active\":true,\"email\":7,\"username\":\"u\"}", "email", "", 0,
	    "u", NOW + 60 },
	{ "{\"active\":true,\"email\":\"\"}", "email", "", -EACCES, NULL, 0 },
	{ "{\"active\":true}", "email", "", -EACCES, NULL, 0 },
	{ "{\"active\":false,\"email\":\"a@b\"}", "email", "", -EACCES, NULL,
	    0 },
	{ "{\"active\":true,\"email\":\"a@b\",\"email_verified\":false}",
	    "email", "", -EACCES, NULL, 0 },
	{ "{\"active\":true,\"email\":\"a@b\",\"scope\":\"x mail y\"}", "email",
	    "mail", 0, "a@b", NOW + 60 },
	{ "{\"active\":true,\"email\":\"a@b\",\"scope\":\"mailbox\"}", "email",
	    "mail", -EACCES, NULL, 0 },
	{ "{\"active\":true,\"email\":\"a@b\"}", "email", "mail", -EACCES, NULL,
	    0 },
	/* No answer of that kind: nothing is known. */
	{ "{\"active\":\"true\",\"email\":\"a@b\"}", "email", "", -EAGAIN, NULL,
	    0 },
	{ "{\"active\":true,\"active\":false}", "email", "", -EAGAIN, NULL, 0 },
	{ "{}", "email", "", -EAGAIN, NULL, 0 },
	{ "[]", "email", "", -EAGAIN, NULL, 0 },
	{ "", "email", "", -EAGAIN, NULL, 0 },
};

static void
answers_are_judged(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct slice json = slice_str(cases[i].json);
		struct arena arena = { 0 };
		const char *user = NULL;
		int64_t until_s = 0;
		int rc = oauth_read_answer(&arena, json, cases[i].claim,
		    cases[i].scope, NOW, &user, &until_s);

		if (rc != cases[i].rc)
			fail_msg("%s: %d", cases[i].json, rc);
		if (rc == 0) {
			assert_string_equal(user, cases[i].user);
			assert_int_equal(until_s, cases[i].until_s);
		}
		for (size_t n = 0; n < json.n; n++)
			assert_int_equal(
			    oauth_read_answer(&arena, slice_head(json, n),
				cases[i].claim, cases[i].scope, NOW, &user,
				&until_s),
			    -EAGAIN);
		arena_reset(&arena);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_are_judged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
