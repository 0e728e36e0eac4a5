/* SPDX-License-Identifier: ISC */
/* Passwords prepared and hashed, the cache, and what failures cost. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/auth/auth_cache.h"
#include "common/auth/password.h"
#include "common/auth/secret.h"
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
	auth_cache_put(c, a, NULL, 1000);
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
		auth_cache_put(c, b, NULL, 1000);
		assert_true(auth_cache_has(c, b, 1000));
	}
	auth_cache_free(&c);
	assert_null(c);
}

/* --- what failures cost --- */

#define DELAY_MAX 15000
#define NAME slice_str

static struct throttle *t;

static int
throttle_with(const char *text, struct throttle **out)
{
	struct buf err = BUF_INIT;
	struct conf *conf = conf_parse("test", slice_str(text), &err);
	int rc;

	assert_non_null(conf);
	rc = throttle_new(out, conf, &err);
	assert_int_equal(rc != 0, err.n > 0);
	conf_free(&conf);
	buf_clear(&err);
	return rc;
}

static int
setup_throttle(void **state)
{
	(void)state;
	assert_int_equal(throttle_with("{}", &t), 0);
	return 0;
}

static int
teardown_throttle(void **state)
{
	(void)state;
	throttle_free(&t);
	return 0;
}

static int64_t
try_on(struct throttle *on, const char *peer, const char *account,
    enum throttle_outcome outcome, int64_t now)
{
	int64_t wait = throttle_begin(on, peer, slice_str(account), now);

	if (wait >= 0)
		throttle_end(on, peer, slice_str(account), outcome, now);
	return wait;
}

static int64_t
try(const char *peer, const char *account, enum throttle_outcome outcome,
    int64_t now)
{
	return try_on(t, peer, account, outcome, now);
}

static void
failures_of_a_prefix_cost_more_and_more(void **state)
{
	static const int64_t expected[] = { 0, 0, 0, 1000, 2000, 4000, 8000,
		DELAY_MAX, DELAY_MAX };
	char account[16];

	(void)state;
	for (int i = 0; i < 9; i++) {
		snprintf(account, sizeof(account), "user%d", i);
		assert_int_equal(try("192.0.2.1", account, THROTTLE_WRONG, 0),
		    expected[i]);
	}
	/* Not others'; and it goes away in time. */
	assert_int_equal(try("192.0.2.2", "u", THROTTLE_WRONG, 0), 0);
	assert_int_equal(try("192.0.2.1", "u", THROTTLE_UNCHECKED, 0),
	    DELAY_MAX);
	assert_int_equal(try("192.0.2.1", "u", THROTTLE_UNCHECKED, 6 * 60000),
	    1000);
	assert_int_equal(try("192.0.2.1", "u", THROTTLE_UNCHECKED,
			     600 * 60000), 0);
}

static void
a_clock_set_back_holds_nobody_for_long(void **state)
{
	(void)state;
	for (int i = 0; i < 9; i++)
		try("192.0.2.1", "u", THROTTLE_WRONG, 1000000000);
	assert_int_equal(try("192.0.2.1", "u", THROTTLE_UNCHECKED, 0),
	    DELAY_MAX);
	assert_int_equal(try("192.0.2.1", "u", THROTTLE_UNCHECKED,
			     10 * 60000), 0);
}

static void
failures_on_an_account_spare_who_belongs_there(void **state)
{
	char peer[32];

	(void)state;
	assert_int_equal(try("192.0.2.7", "bob", THROTTLE_GOOD, 1), 0);
	for (int i = 0; i < 150; i++) {
		snprintf(peer, sizeof(peer), "198.51.100.%d", i);
		if (i == 30)
			assert_int_equal(try("203.0.113.1", "bob",
					     THROTTLE_UNCHECKED, 1),
			    DELAY_MAX / 2);
		assert_int_equal(try(peer, "bob", THROTTLE_WRONG, 1) < 0,
		    i >= 100);
	}
	/* From elsewhere nothing is checked until some are forgotten. */
	assert_int_equal(try("203.0.113.1", "bob", THROTTLE_UNCHECKED, 1),
	    -EAGAIN);
	assert_int_equal(try("203.0.113.1", "bob", THROTTLE_UNCHECKED, 60001),
	    DELAY_MAX / 2);
	assert_int_equal(try("203.0.113.1", "alice", THROTTLE_UNCHECKED, 1),
	    0);
	assert_int_equal(try("192.0.2.7", "bob", THROTTLE_GOOD, 60001), 0);
	/* Until it fails from there too. */
	assert_int_equal(try("192.0.2.7", "bob", THROTTLE_WRONG, 60001), 0);
	assert_int_equal(try("192.0.2.7", "bob", THROTTLE_WRONG, 60001),
	    -EAGAIN);
}

static void
an_address_is_blocked_in_the_end(void **state)
{
	struct throttle_state st;
	char account[16], peer[THROTTLE_PEER_MAX];
	size_t at = 0;

	(void)state;
	assert_int_equal(try("192.0.2.1", "bob", THROTTLE_GOOD, 1), 0);
	for (int i = 0; i < 60; i++) {
		snprintf(account, sizeof(account), "user%d", i);
		assert_int_equal(try("192.0.2.1", account, THROTTLE_WRONG, 1) <
		    0, i >= 50);
	}
	assert_int_equal(try("192.0.2.1", "bob", THROTTLE_GOOD, 1), 0);
	assert_true(throttle_next_address(t, &at, 1, peer, &st));
	assert_string_equal(peer, "192.0.2.1");
	assert_int_equal(st.failed, 50);
	assert_int_equal(st.blocked_ms, 60000);
	assert_int_equal(st.free_ms, 50 * 60000);
	assert_false(throttle_next_address(t, &at, 1, peer, &st));
	assert_int_equal(throttle_names(t, 1), 50);
	/* Pardon. */
	assert_int_equal(throttle_clear_address(t, "192.0.2.2"), -ENOENT);
	assert_int_equal(throttle_clear_address(t, "bob"), -EINVAL);
	assert_int_equal(throttle_clear_address(t, "192.0.2.1"), 0);
	assert_int_equal(try("192.0.2.1", "u", THROTTLE_WRONG, 1), 0);
	assert_true(throttle_account(t, NAME("user7"), 1, &st));
	assert_int_equal(st.failed, 1);
	assert_int_equal(throttle_clear_account(t, NAME("user7")), 0);
	assert_false(throttle_account(t, NAME("user7"), 1, &st));
	throttle_clear_all(t);
	at = 0;
	assert_false(throttle_next_address(t, &at, 1, peer, &st));
	assert_int_equal(throttle_names(t, 1), 0);
}

static void
a_prefix_of_ipv6_is_64_bits(void **state)
{
	char peer[THROTTLE_PEER_MAX];
	struct throttle_state st;
	size_t at = 0;

	(void)state;
	try("2001:db8:1:2::/64", "u", THROTTLE_WRONG, 1);
	assert_true(throttle_next_address(t, &at, 1, peer, &st));
	assert_string_equal(peer, "2001:db8:1:2::/64");
	/* Any address in it names it. */
	assert_int_equal(throttle_clear_address(t, "2001:db8:1:2:3::4"), 0);
}

static void
many_at_once_gain_nothing(void **state)
{
	int64_t wait = 0;

	(void)state;
	for (int i = 0; i < 10; i++)
		wait = throttle_begin(t, "192.0.2.1", SLICE_LIT("x"), 0);
	assert_int_equal(wait, DELAY_MAX);
	for (int i = 0; i < 10; i++)
		throttle_end(t, "192.0.2.1", SLICE_LIT("x"), THROTTLE_GOOD, 0);
	assert_int_equal(try("192.0.2.1", "y", THROTTLE_UNCHECKED, 0), 0);
}

static void
this_machine_is_exempt(void **state)
{
	static const char *const peers[] = { "127.0.0.1", "127.8.8.8", "unix",
		"::/64", "", NULL };

	(void)state;
	for (size_t i = 0; i < sizeof(peers) / sizeof(peers[0]); i++)
		for (int k = 0; k < 20; k++)
			assert_int_equal(try(peers[i], "x", THROTTLE_WRONG, 0),
			    0);
}

static const struct {
	const char *exempt, *peer;
	bool is;
} exempt_cases[] = {
	{ "loopback", "127.0.0.1", true },
	{ "loopback", "192.0.2.1", false },
	{ "loopback", "2001:db8::/64", false },
	{ "10.0.0.0/8", "10.255.1.2", true },
	{ "10.0.0.0/8", "127.0.0.1", false },
	{ "192.0.2.128/25", "192.0.2.129", true },
	{ "192.0.2.128/25", "192.0.2.127", false },
	{ "192.0.2.7", "192.0.2.7", true },
	{ "192.0.2.7", "192.0.2.6", false },
	{ "0.0.0.0/0", "192.0.2.6", true },
	{ "0.0.0.0/0", "2001:db8::/64", false },
	{ "::/0", "2001:db8::/64", true },
	{ "2001:db8::/33", "2001:db8:7fff:1::/64", true },
	{ "2001:db8::/33", "2001:db8:8000:1::/64", false },
	{ "2001:db8::1:2:3", "2001:db8::/64", true },
};

static void
listed_networks_are_exempt(void **state)
{
	static const char *const wrong[] = { "localhost", "10.0.0.0/33",
		"10.0.0/8", "::/129", "10.0.0.0/", "/8", "" };
	struct throttle *own = NULL;
	char text[96];

	(void)state;
	for (size_t i = 0; i < sizeof(exempt_cases) / sizeof(*exempt_cases);
	     i++) {
		bool is = true;

		snprintf(text, sizeof(text), "{\"auth\":{\"exempt\":[\"%s\"]}}",
		    exempt_cases[i].exempt);
		assert_int_equal(throttle_with(text, &own), 0);
		for (int k = 0; k < 5; k++)
			is &= try_on(own, exempt_cases[i].peer, "x",
				  THROTTLE_WRONG, 0) == 0;
		throttle_free(&own);
		if (is != exempt_cases[i].is)
			fail_msg("%s %s", exempt_cases[i].exempt,
			    exempt_cases[i].peer);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		snprintf(text, sizeof(text), "{\"auth\":{\"exempt\":[\"%s\"]}}",
		    wrong[i]);
		assert_int_equal(throttle_with(text, &own), -EINVAL);
	}
}

static void
a_flood_does_not_wash_out_who_failed_most(void **state)
{
	char peer[48];

	(void)state;
	for (int i = 0; i < 20; i++)
		try("192.0.2.1", "victim", THROTTLE_WRONG, 0);
	for (int i = 0; i < 50000; i++) {
		snprintf(peer, sizeof(peer), "2001:db8:%x:%x::/64", i & 0xfff,
		    i >> 12);
		try(peer, peer, THROTTLE_WRONG, 0);
	}
	assert_int_equal(try("192.0.2.1", "other", THROTTLE_UNCHECKED, 0),
	    DELAY_MAX);
}

static void
passwords_know_their_last_use(void **state)
{
	(void)state;
	assert_int_equal(throttle_last_used(t, NAME("bob"), "phone", 7), 0);
	throttle_used(t, NAME("bob"), "phone", 7, 1000000);
	assert_int_equal(throttle_last_used(t, NAME("bob"), "phone", 7), 1000);
	/* Made anew under the old name is another; not each use is written. */
	assert_int_equal(throttle_last_used(t, NAME("bob"), "phone", 8), 0);
	throttle_used(t, NAME("bob"), "phone", 7, 1059999);
	assert_int_equal(throttle_last_used(t, NAME("bob"), "phone", 7), 1000);
	throttle_used(t, NAME("bob"), "phone", 7, 1060000);
	assert_int_equal(throttle_last_used(t, NAME("bob"), "phone", 7), 1060);
}

/* --- all processes together --- */

static char share_dir[] = "/tmp/test_signins.XXXXXX";

static void
in_children(int n, void (*body)(int i))
{
	pid_t pids[8];

	for (int i = 0; i < n; i++) {
		if ((pids[i] = fork()) == 0) {
			body(i);
			_exit(0);
		}
	}
	for (int i = 0; i < n; i++) {
		int status = -1;

		waitpid(pids[i], &status, 0);
		assert_int_equal(status, 0);
	}
}

static struct throttle *
shared(void)
{
	struct throttle *own = NULL;
	struct buf err = BUF_INIT;
	struct conf *conf = conf_parse("test",
	    SLICE_LIT("{\"auth\":{\"block_address\":10000}}"), &err);

	if (throttle_new(&own, conf, &err) != 0 ||
	    throttle_share(own, share_dir) != 0)
		abort();
	conf_free(&conf);
	return own;
}

static void
fail_thousand(int i)
{
	struct throttle *own = shared();
	char account[32];

	for (int k = 0; k < 1000; k++) {
		snprintf(account, sizeof(account), "%d.%d", i, k);
		try_on(own, "192.0.2.1", account, THROTTLE_WRONG, 1);
	}
	throttle_free(&own);
}

static void
share_file(char path[static 64])
{
	snprintf(path, 64, "%s/signins", share_dir);
}

static void
processes_count_together(void **state)
{
	struct throttle *own;
	struct throttle_state st = { 0 };
	char peer[THROTTLE_PEER_MAX], path[64];
	struct stat info;
	size_t at = 0;

	(void)state;
	assert_non_null(mkdtemp(share_dir));
	share_file(path);
	in_children(4, fail_thousand);
	own = shared();
	assert_true(throttle_next_address(own, &at, 1, peer, &st));
	assert_int_equal(st.failed, 4000);
	throttle_free(&own);
	assert_int_equal(stat(path, &info), 0);
	assert_int_equal(info.st_mode & 0777, 0660);

	/* What was never finished is begun anew; so is another version. */
	assert_int_equal(truncate(path, 100), 0);
	assert_int_equal(unlink(path), 0);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	own = shared();
	try_on(own, "192.0.2.1", "x", THROTTLE_WRONG, 1);
	throttle_free(&own);
	own = shared();
	at = 0;
	assert_true(throttle_next_address(own, &at, 1, peer, &st));
	assert_int_equal(st.failed, 1);
	throttle_free(&own);
	assert_int_equal(truncate(path, 4096), 0);
	own = shared();
	at = 0;
	assert_false(throttle_next_address(own, &at, 1, peer, &st));
	/* A link is not followed. */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/dev/null", path), 0);
	assert_int_equal(throttle_share(own, share_dir), -ELOOP);
	throttle_free(&own);
	unlink(path);
	rmdir(share_dir);
}

/* --- passwords that are kept --- */

static void
a_secret_opens_only_where_it_belongs(void **state)
{
	char folder[] = "/tmp/test_secret.XXXXXX", path[64];
	unsigned char key[SECRET_KEY_LEN], again[SECRET_KEY_LEN];
	struct buf sealed = BUF_INIT, plain = BUF_INIT;
	struct stat info;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/key", folder);
	assert_int_equal(secret_key_load(path, false, key), -ENOENT);
	assert_int_equal(secret_key_load(path, true, key), 0);
	assert_int_equal(secret_key_load(path, true, again), 0);
	assert_memory_equal(key, again, sizeof(key));
	assert_int_equal(stat(path, &info), 0);
	assert_int_equal(info.st_mode & 0777, 0600);

	assert_int_equal(secret_seal(key, SLICE_LIT("a"), SLICE_LIT("pass"),
			     &sealed), 0);
	assert_int_equal(sealed.n, 4 + SECRET_OVERHEAD);
	assert_int_equal(secret_open(key, SLICE_LIT("a"), buf_slice(&sealed),
			     &plain), 0);
	assert_string_equal(buf_str(&plain), "pass");
	buf_reset(&plain);
	assert_int_equal(secret_open(key, SLICE_LIT("b"), buf_slice(&sealed),
			     &plain), -EBADMSG);
	for (size_t i = 0; i < sealed.n; i++) {
		sealed.p[i] ^= 1;
		assert_int_equal(secret_open(key, SLICE_LIT("a"),
				     buf_slice(&sealed), &plain), -EBADMSG);
		sealed.p[i] ^= 1;
		assert_int_equal(secret_open(key, SLICE_LIT("a"),
				     slice_head(buf_slice(&sealed), i),
				     &plain), -EBADMSG);
	}
	assert_int_equal(plain.n, 0);
	/* A folder of a group; half a key. */
	assert_int_equal(truncate(path, 31), 0);
	assert_int_equal(secret_key_load(path, true, key), -EINVAL);
	unlink(path);
	chmod(folder, 02770);
	assert_int_equal(secret_key_load(path, true, key), 0);
	assert_int_equal(stat(path, &info), 0);
	assert_int_equal(info.st_mode & 0777, 0640);
	unlink(path);
	assert_int_equal(rmdir(folder), 0);
	buf_clear(&sealed);
	buf_clear(&plain);
}

#define THROTTLE_TEST(f) \
	cmocka_unit_test_setup_teardown(f, setup_throttle, teardown_throttle)

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
		THROTTLE_TEST(failures_of_a_prefix_cost_more_and_more),
		THROTTLE_TEST(a_clock_set_back_holds_nobody_for_long),
		THROTTLE_TEST(failures_on_an_account_spare_who_belongs_there),
		THROTTLE_TEST(an_address_is_blocked_in_the_end),
		THROTTLE_TEST(a_prefix_of_ipv6_is_64_bits),
		THROTTLE_TEST(many_at_once_gain_nothing),
		THROTTLE_TEST(this_machine_is_exempt),
		THROTTLE_TEST(a_flood_does_not_wash_out_who_failed_most),
		THROTTLE_TEST(passwords_know_their_last_use),
		cmocka_unit_test(listed_networks_are_exempt),
		cmocka_unit_test(processes_count_together),
		cmocka_unit_test(a_secret_opens_only_where_it_belongs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
