/* SPDX-License-Identifier: ISC */
/* Passwords prepared and hashed, the cache, and what failures cost. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>

#include "common/auth/auth_cache.h"
#include "common/auth/password.h"
#include "common/auth/throttle.h"
#include "common/base/buf.h"
#include "common/mail/transfer.h"

/* --- preparing (RFC 4013) --- */

static const struct {
	const char *in;
	int rc, rc_query;
	const char *out;
} prepare_cases[] = {
	{ "secret", 0, 0, "secret" },
	{ " a b ", 0, 0, " a b " },
	{ "", -EINVAL, -EINVAL, NULL },
	/* RFC 4013 3: soft hyphen goes, compatibility forms are mapped. */
	{ "I\xc2\xadX", 0, 0, "IX" },
	{ "\xc2\xaa", 0, 0, "a" },
	{ "\xe2\x85\xa8", 0, 0, "IX" },
	{ "u\xcc\x88", 0, 0, "\xc3\xbc" },
	{ "a\xc2\xa0" "b", 0, 0, "a b" },
	{ "a\x07" "b", -EINVAL, -EINVAL, NULL },
	{ "\xd8\xa7" "1", -EINVAL, -EINVAL, NULL },
	{ "\xff\xfe", -EINVAL, -EINVAL, NULL },
	{ "\xc2\xad", -EINVAL, -EINVAL, NULL },
	/* Not assigned in Unicode 3.2: may be asked for, not be stored. */
	{ "a\xc8\xa1", -EINVAL, 0, "a\xc8\xa1" },
};

static void
passwords_are_prepared(void **state)
{
	size_t n = sizeof(prepare_cases) / sizeof(prepare_cases[0]);
	struct password p;

	(void)state;
	for (size_t i = 0; i < n; i++) {
		struct slice in = slice_str(prepare_cases[i].in);

		assert_int_equal(password_prepare(in, false, &p),
		    prepare_cases[i].rc);
		assert_int_equal(password_prepare(in, true, &p),
		    prepare_cases[i].rc_query);
		if (prepare_cases[i].out != NULL) {
			assert_string_equal(p.text, prepare_cases[i].out);
			assert_int_equal(p.n, strlen(prepare_cases[i].out));
		}
	}
	assert_int_equal(password_prepare(SLICE_LIT("a\0b"), true, &p),
	    -EINVAL);
}

static void
passwords_have_a_longest(void **state)
{
	char text[ACCOUNTS_PASSWORD_MAX + 1];
	struct password p;

	(void)state;
	memset(text, 'x', sizeof(text));
	assert_int_equal(password_prepare(slice(text, sizeof(text) - 1), true,
			     &p), 0);
	assert_int_equal(password_prepare(slice(text, sizeof(text)), true, &p),
	    -EINVAL);
}

/* --- hashing --- */

static void
hash_of(const char *password, const char *setting,
    char out[static PASSWORD_HASH_MAX])
{
	struct password p;

	assert_int_equal(password_prepare(slice_str(password), false, &p), 0);
	assert_int_equal(password_hash(&p, setting, out), 0);
}

static void
a_hash_knows_its_password(void **state)
{
	const struct password_policy policy = { .cost = 1 };
	char setting[PASSWORD_HASH_MAX], other[PASSWORD_HASH_MAX];
	char a[PASSWORD_HASH_MAX], b[PASSWORD_HASH_MAX], c[PASSWORD_HASH_MAX];

	(void)state;
	assert_int_equal(password_setting(&policy, setting), 0);
	assert_int_equal(password_setting(&policy, other), 0);
	assert_string_not_equal(setting, other);
	assert_int_equal(strncmp(setting, "$y$", 3), 0);
	hash_of("demo", setting, a);
	hash_of("demo", a, b);
	hash_of("Demo", a, c);
	assert_true(password_hash_eq(a, b));
	assert_false(password_hash_eq(a, c));
	assert_false(password_hash_eq(a, ""));
	/* A hash of another machine's method that we know too. */
	hash_of("Hello world!", "$6$saltstring", a);
	assert_string_equal(a,
	    "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl"
	    "/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1");
}

static void
an_unknown_method_is_an_error(void **state)
{
	char out[PASSWORD_HASH_MAX];
	struct password p;

	(void)state;
	assert_int_equal(password_prepare(SLICE_LIT("demo"), true, &p), 0);
	assert_int_equal(password_hash(&p, "$nonsense$", out), -EINVAL);
	assert_int_equal(password_hash(&p, "*", out), -EINVAL);
	assert_int_equal(password_hash(&p, "", out), -EINVAL);
}

/* RFC 7677 3; the keys follow from what the example shows. */
static void
scram_keys_are_those_of_the_rfc(void **state)
{
	struct scram_keys k = { .iterations = 4096 };
	struct buf b = BUF_INIT;
	struct password p;

	(void)state;
	assert_int_equal(base64_decode(&b, SLICE_LIT("W22ZaJ0SNY7soEsUEjb6gQ=="
		)), 0);
	k.salt_n = (uint32_t)b.n;
	memcpy(k.salt, b.p, b.n);
	assert_int_equal(password_prepare(SLICE_LIT("pencil"), false, &p), 0);
	assert_int_equal(scram_keys_derive(&p, &k), 0);
	buf_reset(&b);
	base64_encode(&b, slice(k.stored_key, SCRAM_KEY_LEN));
	assert_string_equal(buf_str(&b),
	    "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=");
	buf_reset(&b);
	base64_encode(&b, slice(k.server_key, SCRAM_KEY_LEN));
	assert_string_equal(buf_str(&b),
	    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=");
	buf_clear(&b);
}

static void
generated_passwords_differ_and_are_typeable(void **state)
{
	char a[PASSWORD_GENERATED_LEN + 1], b[PASSWORD_GENERATED_LEN + 1];

	(void)state;
	password_generate(a);
	password_generate(b);
	assert_string_not_equal(a, b);
	assert_int_equal(strlen(a), PASSWORD_GENERATED_LEN);
	assert_int_equal(strspn(a, "-23456789abcdefghijkmnpqrstuvwxyz"),
	    PASSWORD_GENERATED_LEN);
}

/* --- the cache --- */

static void
the_cache_forgets_and_tells_apart(void **state)
{
	struct auth_cache *c = auth_cache_new();
	unsigned char a[AUTH_CACHE_MAC_LEN], b[AUTH_CACHE_MAC_LEN];
	struct slice user = SLICE_LIT("u"), record = SLICE_LIT("rp");

	(void)state;
	assert_non_null(c);
	assert_true(auth_cache_mac(c, user, record, SLICE_LIT("p"), a));
	assert_false(auth_cache_has(c, a, 1000));
	auth_cache_put(c, a, 1000);
	assert_true(auth_cache_has(c, a, 1000));
	assert_true(auth_cache_has(c, a, 1000 + AUTH_CACHE_MS - 1));
	assert_false(auth_cache_has(c, a, 1000 + AUTH_CACHE_MS));
	/* The same octets, cut elsewhere. */
	assert_true(auth_cache_mac(c, user, SLICE_LIT("r"), SLICE_LIT("pp"),
	    b));
	assert_false(auth_cache_has(c, b, 1000));
	for (int i = 0; i < 100000; i++) {
		char text[16];

		snprintf(text, sizeof(text), "%d", i);
		auth_cache_mac(c, user, record, slice_str(text), b);
		auth_cache_put(c, b, 1000);
		assert_true(auth_cache_has(c, b, 1000));
	}
	auth_cache_free(&c);
	assert_null(c);
}

/* --- what failures cost --- */

static struct throttle t;

static void
setup_throttle(void)
{
	memset(&t, 0, sizeof(t));
	throttle_init(&t);
}

static int64_t
try(const char *peer, const char *account, enum throttle_outcome outcome,
    int64_t now)
{
	int64_t wait = throttle_begin(&t, peer, slice_str(account), now);

	throttle_end(&t, peer, slice_str(account), outcome, now);
	return wait;
}

static void
failures_of_a_prefix_cost_more_and_more(void **state)
{
	static const int64_t expected[] = { 0, 0, 0, 1000, 2000, 4000, 8000,
		THROTTLE_PREFIX_MAX_MS, THROTTLE_PREFIX_MAX_MS };
	char account[16];

	(void)state;
	setup_throttle();
	for (int i = 0; i < 9; i++) {
		snprintf(account, sizeof(account), "user%d", i);
		assert_int_equal(try("192.0.2.1", account, THROTTLE_WRONG, 0),
		    expected[i]);
	}
	/* Not others'; and it goes away in time. */
	assert_int_equal(try("192.0.2.2", "u", THROTTLE_WRONG, 0), 0);
	assert_int_equal(try("192.0.2.1", "u", THROTTLE_UNCHECKED, 0),
	    THROTTLE_PREFIX_MAX_MS);
	assert_int_equal(try("192.0.2.1", "u", THROTTLE_UNCHECKED, 6 * 60000),
	    1000);
	assert_int_equal(try("192.0.2.1", "u", THROTTLE_UNCHECKED,
			     600 * 60000), 0);
}

static void
failures_on_an_account_spare_who_belongs_there(void **state)
{
	char peer[32];

	(void)state;
	setup_throttle();
	assert_int_equal(try("192.0.2.7", "bob", THROTTLE_GOOD, 0), 0);
	for (int i = 0; i < 30; i++) {
		snprintf(peer, sizeof(peer), "198.51.100.%d", i);
		try(peer, "bob", THROTTLE_WRONG, 0);
	}
	assert_int_equal(try("203.0.113.1", "bob", THROTTLE_UNCHECKED, 0),
	    THROTTLE_ACCOUNT_MAX_MS);
	assert_int_equal(try("203.0.113.1", "alice", THROTTLE_UNCHECKED, 0),
	    0);
	assert_int_equal(try("192.0.2.7", "bob", THROTTLE_GOOD, 0), 0);
	/* Until it fails from there too. */
	assert_int_equal(try("192.0.2.7", "bob", THROTTLE_WRONG, 0), 0);
	assert_int_equal(try("192.0.2.7", "bob", THROTTLE_WRONG, 0),
	    THROTTLE_ACCOUNT_MAX_MS);
}

static void
many_at_once_gain_nothing(void **state)
{
	int64_t wait = 0;

	(void)state;
	setup_throttle();
	for (int i = 0; i < 10; i++)
		wait = throttle_begin(&t, "192.0.2.1", SLICE_LIT("x"), 0);
	assert_int_equal(wait, THROTTLE_PREFIX_MAX_MS);
	for (int i = 0; i < 10; i++)
		throttle_end(&t, "192.0.2.1", SLICE_LIT("x"), THROTTLE_GOOD, 0);
	assert_int_equal(try("192.0.2.1", "y", THROTTLE_UNCHECKED, 0), 0);
}

static void
this_machine_is_exempt(void **state)
{
	static const char *const peers[] = { "127.0.0.1", "127.8.8.8", "unix",
		"::/64", "", NULL };

	(void)state;
	setup_throttle();
	for (size_t i = 0; i < sizeof(peers) / sizeof(peers[0]); i++)
		for (int k = 0; k < 20; k++)
			assert_int_equal(try(peers[i], "x", THROTTLE_WRONG, 0),
			    0);
}

static void
a_flood_does_not_wash_out_who_failed_most(void **state)
{
	char peer[48];

	(void)state;
	setup_throttle();
	for (int i = 0; i < 20; i++)
		try("192.0.2.1", "victim", THROTTLE_WRONG, 0);
	for (int i = 0; i < 50000; i++) {
		snprintf(peer, sizeof(peer), "2001:db8:%x:%x::/64", i & 0xfff,
		    i >> 12);
		try(peer, peer, THROTTLE_WRONG, 0);
	}
	assert_int_equal(try("192.0.2.1", "other", THROTTLE_UNCHECKED, 0),
	    THROTTLE_PREFIX_MAX_MS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(passwords_are_prepared),
		cmocka_unit_test(passwords_have_a_longest),
		cmocka_unit_test(a_hash_knows_its_password),
		cmocka_unit_test(an_unknown_method_is_an_error),
		cmocka_unit_test(scram_keys_are_those_of_the_rfc),
		cmocka_unit_test(generated_passwords_differ_and_are_typeable),
		cmocka_unit_test(the_cache_forgets_and_tells_apart),
		cmocka_unit_test(failures_of_a_prefix_cost_more_and_more),
		cmocka_unit_test(failures_on_an_account_spare_who_belongs_there),
		cmocka_unit_test(many_at_once_gain_nothing),
		cmocka_unit_test(this_machine_is_exempt),
		cmocka_unit_test(a_flood_does_not_wash_out_who_failed_most),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
