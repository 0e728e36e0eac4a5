/* SPDX-License-Identifier: ISC */
/*
 * Signing in: by password, and by every mechanism, our server against
 * libgsasl's client, in the clear and under TLS.
 */
#include "tests/unit/common/accounts_fixture.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include "common/auth/sasl.h"
#include "common/auth/scram_salted.h"
#include "common/auth/scram.h"
#include "common/mail/transfer.h"
#include "common/net/tls.h"

static const char directory[] =
    "domain example.org\n"
    "domain other.test\n"
    "-domain off.test\n"
    "account alice@example.org\n"
    "account bob@example.org\n"
    "-account gone@example.org\n"
    "account who@off.test\n"
    "account nopass@example.org\n"
    "alias sales@example.org alice@example.org\n"
    "account ren\xc3\xa9@example.org\n"
    "account two@example.org\n"
    "password two@example.org a same imap\n"
    "password two@example.org b same submission\n"
    "password two@example.org c same api\n"
    "password alice@example.org password secret\n"
    "password alice@example.org phone 2-app-2 imap\n"
    "password alice@example.org laptop 3-app-3 submission\n"
    "password bob@example.org password p=a,s\n"
    "password gone@example.org password secret\n"
    "password who@off.test password secret\n"
    "password ren\xc3\xa9@example.org password \xc3\xa9t\xc3\xa9\n";

static struct accounts *a;
static struct conn *server, *client;

/* Addresses of the two ends, so that the rules about them show. */
static void
set_peer(struct conn *c, const char *address)
{
	struct net_addr addr;

	if (address != NULL && net_addr_parse(&addr, address, "/") == 0)
		conn_set_peer(c, &addr);
}

/* --- by password --- */

static const struct {
	const char *user, *password;
	enum accounts_scope scope;
	const char *expected; /* account, or NULL: -EACCES */
} password_cases[] = {
	{ "alice@example.org", "secret", ACCOUNTS_IMAP, "alice@example.org" },
	{ "ALICE@Example.ORG", "secret", ACCOUNTS_IMAP, "alice@example.org" },
	/* Without a domain: of the first one. */
	{ "alice", "secret", ACCOUNTS_IMAP, "alice@example.org" },
	{ "alice@example.org", "secret ", ACCOUNTS_IMAP, NULL },
	{ "alice@example.org", "Secret", ACCOUNTS_IMAP, NULL },
	{ "alice@example.org", "", ACCOUNTS_IMAP, NULL },
	{ "alice@other.test", "secret", ACCOUNTS_IMAP, NULL },
	{ "alice+x@example.org", "secret", ACCOUNTS_IMAP, NULL },
	{ "sales@example.org", "secret", ACCOUNTS_IMAP, NULL },
	{ "nobody@example.org", "secret", ACCOUNTS_IMAP, NULL },
	{ "nopass@example.org", "", ACCOUNTS_IMAP, NULL },
	{ "nopass@example.org", "secret", ACCOUNTS_IMAP, NULL },
	{ "gone@example.org", "secret", ACCOUNTS_IMAP, NULL },
	{ "who@off.test", "secret", ACCOUNTS_IMAP, NULL },
	{ "", "secret", ACCOUNTS_IMAP, NULL },
	{ "@", "secret", ACCOUNTS_IMAP, NULL },
	{ "a b c", "secret", ACCOUNTS_IMAP, NULL },
	{ "alice@example.org", "2-app-2", ACCOUNTS_IMAP, "alice@example.org" },
	{ "alice@example.org", "2-app-2", ACCOUNTS_POP3, NULL },
	{ "alice@example.org", "2-app-2", ACCOUNTS_SUBMISSION, NULL },
	{ "alice@example.org", "3-app-3", ACCOUNTS_SUBMISSION,
	    "alice@example.org" },
	{ "alice@example.org", "3-app-3", ACCOUNTS_IMAP, NULL },
	{ "bob@example.org", "p=a,s", ACCOUNTS_API, "bob@example.org" },
	/* The same password under three names counts for each scope. */
	{ "two@example.org", "same", ACCOUNTS_IMAP, "two@example.org" },
	{ "two@example.org", "same", ACCOUNTS_SUBMISSION, "two@example.org" },
	{ "two@example.org", "same", ACCOUNTS_API, "two@example.org" },
	{ "two@example.org", "same", ACCOUNTS_POP3, NULL },
	/* Composed or not, as keyboards differ. */
	{ "rene\xcc\x81@example.org", "e\xcc\x81te\xcc\x81", ACCOUNTS_IMAP,
	    "ren\xc3\xa9@example.org" },
	{ "ren\xc3\xa9@example.org", "\xc3\xa9t\xc3\xa9", ACCOUNTS_IMAP,
	    "ren\xc3\xa9@example.org" },
};
#define N_PASSWORDS (sizeof(password_cases) / sizeof(password_cases[0]))

static struct {
	int rc[N_PASSWORDS][2];
	char account[N_PASSWORDS][2][64];
} by_password;

/* Each twice: the second time the cache may know it. */
static void
run_passwords(void *arg)
{
	(void)arg;
	a = fixture_open(directory, 1);
	for (size_t i = 0; i < N_PASSWORDS * 2; i++) {
		struct arena arena = { 0 };
		const char *account = "";
		size_t c = i / 2;

		by_password.rc[c][i % 2] = accounts_authenticate(a, &arena,
		    slice_str(password_cases[c].user),
		    slice_str(password_cases[c].password),
		    password_cases[c].scope, "unix", &account);
		snprintf(by_password.account[c][i % 2], 64, "%s", account);
		arena_reset(&arena);
	}
	accounts_close(&a);
}

static void
a_password_is_right_for_one_account_and_its_scope(void **state)
{
	(void)state;
	co_run(run_passwords, NULL);
	assert_string_equal(fixture_fault, "");
	for (size_t i = 0; i < N_PASSWORDS * 2; i++) {
		const char *want = password_cases[i / 2].expected;

		if ((by_password.rc[i / 2][i % 2] == 0) != (want != NULL))
			print_error("%s %s\n", password_cases[i / 2].user,
			    password_cases[i / 2].password);
		assert_int_equal(by_password.rc[i / 2][i % 2],
		    want != NULL ? 0 : -EACCES);
		assert_string_equal(by_password.account[i / 2][i % 2],
		    want != NULL ? want : "");
	}
}

static int changed[8];

static int
try(const char *user, const char *password)
{
	struct arena arena = { 0 };
	const char *account;
	int rc = accounts_authenticate(a, &arena, slice_str(user),
	    slice_str(password), ACCOUNTS_IMAP, "unix", &account);

	arena_reset(&arena);
	return rc;
}

static void
run_changes(void *arg)
{
	struct slice alice = SLICE_LIT("alice@example.org");
	struct accounts_account off = { .address = "bob@example.org",
		.name = "", .disabled = true };
	struct buf err = BUF_INIT;

	(void)arg;
	a = fixture_open(directory, 2);
	changed[0] = try("alice@example.org", "secret");
	changed[1] = try("alice@example.org", "2-app-2");
	accounts_password_set(a, alice, "password", SLICE_LIT("new"), 0, &err);
	accounts_credential_remove(a, alice, "phone", &err);
	changed[2] = try("alice@example.org", "secret");
	changed[3] = try("alice@example.org", "2-app-2");
	changed[4] = try("alice@example.org", "new");
	changed[5] = try("bob@example.org", "p=a,s");
	accounts_account_put(a, &off, false, &err);
	changed[6] = try("bob@example.org", "p=a,s");
	/* What stands for a password that cannot be is nobody's. */
	accounts_password_set(a, alice, "password", SLICE_LIT("x"), 0, &err);
	try("alice@example.org", "x");
	changed[7] = try("alice@example.org", "\x01");
	buf_clear(&err);
	accounts_close(&a);
}

static void
a_change_counts_at_once_whatever_was_cached(void **state)
{
	static const int expected[8] = { 0, 0, -EACCES, -EACCES, 0, 0, -EACCES,
		-EACCES };

	(void)state;
	co_run(run_changes, NULL);
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(changed[i], expected[i]);
}

/* --- many at once --- */

#define N_FLOOD 200

static struct {
	int rc[N_FLOOD];
	size_t left;
} flood;

static void
flood_one(void *arg)
{
	size_t i = (size_t)(uintptr_t)arg;
	char user[32];

	snprintf(user, sizeof(user), "user%zu@example.org", i);
	flood.rc[i] = try(user, "secret");
}

/* No hash gets its turn before all have asked for one. */
static void
run_flood(void *arg)
{
	struct co_group g = { 0 };
	size_t turns;

	(void)arg;
	a = fixture_open("domain example.org\n", 3);
	turns = a->hashers.free;
	a->hashers.free = 0;
	for (size_t i = 0; i < N_FLOOD; i++)
		co_group_spawn(&g, flood_one, (void *)(uintptr_t)i);
	while (g.running > ACCOUNTS_HASHES_MAX)
		co_yield();
	while (turns-- > 0)
		co_semaphore_give(&a->hashers);
	co_group_join(&g);
	flood.left = a->hashes;
	accounts_close(&a);
}

static void
a_flood_is_told_to_come_back(void **state)
{
	size_t refused = 0, later = 0;

	(void)state;
	co_run(run_flood, NULL);
	for (size_t i = 0; i < N_FLOOD; i++) {
		refused += flood.rc[i] == -EACCES;
		later += flood.rc[i] == -EAGAIN;
	}
	assert_int_equal(refused, ACCOUNTS_HASHES_MAX);
	assert_int_equal(later, N_FLOOD - ACCOUNTS_HASHES_MAX);
	assert_int_equal(flood.left, 0);
}

/* --- the server, message by message --- */

struct message {
	const char *p;
	size_t n;
};
#define M(s) { s, sizeof(s) - 1 }
#define NONE { NULL, 0 }

static const struct server_case {
	const char *mechanism;
	struct message in[3]; /* to the first with n 0 after the first */
	const char *expected; /* "ok ACCOUNT", or the error, or the challenge */
} server_cases[] = {
	/* RFC 4616 */
	{ "PLAIN", { M("\0alice@example.org\0secret") },
	    "ok alice@example.org" },
	{ "plain", { M("\0alice@example.org\0secret") },
	    "ok alice@example.org" },
	{ "PLAIN", { NONE }, "more []" },
	{ "PLAIN", { NONE, M("\0alice@example.org\0secret") },
	    "ok alice@example.org" },
	{ "PLAIN", { M("alice@example.org\0alice@example.org\0secret") },
	    "ok alice@example.org" },
	{ "PLAIN", { M("Alice\0alice@example.org\0secret") },
	    "ok alice@example.org" },
	{ "PLAIN", { M("bob@example.org\0alice@example.org\0secret") },
	    "refused" },
	{ "PLAIN", { M("x@\0alice@example.org\0secret") }, "refused" },
	{ "PLAIN", { M("\0alice@example.org\0wrong") }, "refused" },
	{ "PLAIN", { M("\0alice@example.org\0") }, "malformed" },
	{ "PLAIN", { M("\0\0secret") }, "malformed" },
	{ "PLAIN", { M("\0alice@example.org") }, "malformed" },
	{ "PLAIN", { M("alice@example.org") }, "malformed" },
	{ "PLAIN", { M("\0alice@example.org\0secret\0") }, "malformed" },
	{ "PLAIN", { M("\0alice@example.org\0sec\0ret") }, "malformed" },
	{ "PLAIN", { M("\0alice@example.org\0\xff\xfe") }, "malformed" },
	{ "PLAIN", { M("\0") }, "malformed" },
	{ "PLAIN", { { "", 0 } }, "malformed" },
	/* After the end there is nothing more. */
	{ "PLAIN", { M("\0alice@example.org\0wrong"),
		       M("\0alice@example.org\0secret") }, "malformed" },
	{ "PLAIN", { M("\0alice@example.org\0secret"),
		       M("\0alice@example.org\0secret") }, "malformed" },
	/* LOGIN */
	{ "LOGIN", { NONE }, "more [Username:]" },
	{ "LOGIN", { NONE, M("alice@example.org") }, "more [Password:]" },
	{ "LOGIN", { NONE, M("alice@example.org"), M("secret") },
	    "ok alice@example.org" },
	{ "LOGIN", { M("alice@example.org"), M("secret") },
	    "ok alice@example.org" },
	{ "LOGIN", { M("alice@example.org"), M("wrong") }, "refused" },
	{ "LOGIN", { M("alice@example.org\0x"), M("secret") }, "refused" },
	{ "LOGIN", { M("alice\0x"), M("secret") }, "refused" },
	{ "LOGIN", { M("alice@example.org"), M("secret\0") }, "refused" },
	/* SCRAM (RFC 5802 7): first messages that cannot be. */
	{ "SCRAM-SHA-256", { NONE }, "more []" },
	{ "SCRAM-SHA-256", { M("n,,n=alice,r=") }, "malformed" },
	{ "SCRAM-SHA-256", { M("n,,n=,r=abc") }, "malformed" },
	{ "SCRAM-SHA-256", { M("n,n=alice,r=abc") }, "malformed" },
	{ "SCRAM-SHA-256", { M("n=alice,r=abc") }, "malformed" },
	{ "SCRAM-SHA-256", { M(",,n=alice,r=abc") }, "malformed" },
	{ "SCRAM-SHA-256", { M("x,,n=alice,r=abc") }, "malformed" },
	{ "SCRAM-SHA-256", { M("n,,r=abc,n=alice") }, "malformed" },
	{ "SCRAM-SHA-256", { M("n,,m=x,n=alice,r=abc") }, "malformed" },
	{ "SCRAM-SHA-256", { M("n,,n=al=ice,r=abc") }, "malformed" },
	{ "SCRAM-SHA-256", { M("n,,n=al=2cice,r=abc") }, "malformed" },
	{ "SCRAM-SHA-256", { M("n,,n=alice=,r=abc") }, "malformed" },
	{ "SCRAM-SHA-256", { M("n,,n=al\0ice,r=abc") }, "malformed" },
	{ "SCRAM-SHA-256", { M("n,,n=al\xff,r=abc") }, "malformed" },
	{ "SCRAM-SHA-256", { M("n,,n=alice,r=a c") }, "malformed" },
	{ "SCRAM-SHA-256", { M("n,,n=alice,r=abc,x") }, "malformed" },
	{ "SCRAM-SHA-256", { M("n,x=,n=alice,r=abc") }, "malformed" },
	{ "SCRAM-SHA-256", { { "", 0 } }, "malformed" },
	/* Bound to a channel that is not there, or not there with -PLUS. */
	{ "SCRAM-SHA-256", { M("p=tls-unique,,n=alice,r=abc") }, "refused" },
	{ "SCRAM-SHA-256-PLUS", { M("n,,n=alice,r=abc") }, "no mechanism" },
	{ "SCRAM-SHA-256", { M("n,,n=alice,r=abc"), M("c=biws") },
	    "malformed" },
	{ "SCRAM-SHA-256", { M("n,,n=alice,r=abc"), M("c=biws,r=abc,p=AAAA") },
	    "malformed" },
	{ "SCRAM-SHA-256", { M("n,,n=alice,r=abc"),
			       M("c=biws,r=abc,p="
				 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
				 "=") }, "refused" },
	{ "SCRAM-SHA-256", { M("n,,n=alice,r=abc"),
			       M("c=b!ws,r=abc,p="
				 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
				 "=") }, "refused" },
	{ "SCRAM-SHA-256", { M("n,,n=alice,r=abc"), { "", 0 } }, "more" },
	/* What is not offered. */
	{ "ANONYMOUS", { NONE }, "no mechanism" },
	{ "EXTERNAL", { NONE }, "no mechanism" },
	{ "", { NONE }, "no mechanism" },
};
#define N_SERVER (sizeof(server_cases) / sizeof(server_cases[0]))

static char server_seen[N_SERVER][256];

static void
server_case_run(const struct server_case *c, char seen[static 256])
{
	struct sasl_server *s = NULL;
	struct buf out = BUF_INIT;
	int rc;

	if (sasl_server_new(&s, a, server, slice_str(c->mechanism),
		ACCOUNTS_IMAP, false) != 0) {
		snprintf(seen, 256, "no mechanism");
		return;
	}
	rc = sasl_server_step(s, slice(c->in[0].p, c->in[0].n), &out);
	for (size_t i = 1; i < 3 && c->in[i].n > 0; i++) {
		buf_reset(&out);
		rc = sasl_server_step(s, slice(c->in[i].p, c->in[i].n), &out);
	}
	if (rc == SASL_OK)
		snprintf(seen, 256, "ok %s", sasl_server_account(s));
	else if (rc == SASL_MORE)
		snprintf(seen, 256, "more [%s]", buf_str(&out));
	else
		snprintf(seen, 256, "%s", rc == -EACCES ? "refused" :
			rc == -EBADMSG			? "malformed" :
							  "other");
	buf_clear(&out);
	sasl_server_free(&s);
}

static void
run_server_cases(void *arg)
{
	(void)arg;
	a = fixture_open(directory, 5);
	conn_pair(&server, &client);
	for (size_t i = 0; i < N_SERVER; i++)
		server_case_run(&server_cases[i], server_seen[i]);
	conn_free(&server);
	conn_free(&client);
	accounts_close(&a);
}

static void
the_server_answers_each_message(void **state)
{
	(void)state;
	co_run(run_server_cases, NULL);
	for (size_t i = 0; i < N_SERVER; i++) {
		const char *want = server_cases[i].expected;
		size_t n = strlen(want);

		/* "more" alone: whatever the challenge. */
		if (strcmp(want, "more") != 0)
			n = 256;
		if (strncmp(server_seen[i], want, n) != 0)
			print_error("case %zu %s: %s, not %s\n", i,
			    server_cases[i].mechanism, server_seen[i], want);
		assert_int_equal(strncmp(server_seen[i], want, n), 0);
	}
}

/* --- salts --- */

static char salts[7][128];

static void
salt_of(const char *user, enum accounts_scope scope, char out[static 128])
{
	struct sasl_server *s = NULL;
	struct buf in = BUF_INIT, b = BUF_INIT;

	buf_printf(&in, "n,,n=%s,r=abc", user);
	sasl_server_new(&s, a, server, SLICE_LIT("SCRAM-SHA-256"), scope,
	    false);
	if (sasl_server_step(s, buf_slice(&in), &b) == SASL_MORE)
		snprintf(out, 128, "%s", strstr(buf_str(&b), ",s="));
	sasl_server_free(&s);
	buf_clear(&in);
	buf_clear(&b);
}

static void
run_salts(void *arg)
{
	(void)arg;
	a = fixture_open(directory, 6);
	conn_pair(&server, &client);
	salt_of("nobody@example.org", ACCOUNTS_IMAP, salts[0]);
	salt_of("NOBODY@example.org", ACCOUNTS_IMAP, salts[1]);
	salt_of("nobody2@example.org", ACCOUNTS_IMAP, salts[2]);
	salt_of("alice@example.org", ACCOUNTS_IMAP, salts[3]);
	salt_of("alice@example.org", ACCOUNTS_API, salts[4]);
	salt_of("two@example.org", ACCOUNTS_IMAP, salts[5]);
	salt_of("two@example.org", ACCOUNTS_POP3, salts[6]);
	conn_free(&server);
	conn_free(&client);
	accounts_close(&a);
}

static void
unknown_users_have_salts_like_others(void **state)
{
	(void)state;
	co_run(run_salts, NULL);
	assert_string_equal(salts[0], salts[1]);
	assert_string_not_equal(salts[0], salts[2]);
	/* At any port, whatever its passwords are good for. */
	assert_string_equal(salts[3], salts[4]);
	assert_string_equal(salts[5], salts[6]);
	assert_int_equal(strlen(salts[0]), strlen(salts[3]));
	assert_string_equal(strstr(salts[0], ",i="), ",i=4096");
	assert_string_equal(strstr(salts[3], ",i="), ",i=4096");
}

/* --- client against server --- */

static char dir[] = "/tmp/test_sasl.XXXXXX";
static struct tls_server *server_tls;
static struct tls_client *client_tls;

static const struct pair_case {
	const char *offered, *user, *password;
	bool tls;
	const char *peer; /* of the client, NULL: this machine */
	enum accounts_scope scope;
	const char *expected; /* "MECHANISM ACCOUNT" or what went wrong */
} pair_cases[] = {
	{ "PLAIN", "alice", "secret", false, NULL, ACCOUNTS_IMAP,
	    "PLAIN alice@example.org" },
	{ "LOGIN", "alice", "secret", false, NULL, ACCOUNTS_IMAP,
	    "LOGIN alice@example.org" },
	{ "LOGIN PLAIN", "alice", "secret", false, NULL, ACCOUNTS_IMAP,
	    "PLAIN alice@example.org" },
	{ "PLAIN SCRAM-SHA-256", "alice", "secret", false, NULL, ACCOUNTS_IMAP,
	    "SCRAM-SHA-256 alice@example.org" },
	{ "scram-sha-256", "ALICE@example.org", "secret", false, NULL,
	    ACCOUNTS_IMAP, "SCRAM-SHA-256 alice@example.org" },
	{ "SCRAM-SHA-256", "bob@example.org", "p=a,s", false, NULL,
	    ACCOUNTS_IMAP, "SCRAM-SHA-256 bob@example.org" },
	{ "SCRAM-SHA-256", "alice", "wrong", false, NULL, ACCOUNTS_IMAP,
	    "server refused" },
	{ "SCRAM-SHA-256", "nobody", "secret", false, NULL, ACCOUNTS_IMAP,
	    "server refused" },
	{ "SCRAM-SHA-256", "nopass", "secret", false, NULL, ACCOUNTS_IMAP,
	    "server refused" },
	{ "SCRAM-SHA-256", "gone", "secret", false, NULL, ACCOUNTS_IMAP,
	    "server refused" },
	{ "SCRAM-SHA-256", "ren\xc3\xa9", "e\xcc\x81te\xcc\x81", false, NULL,
	    ACCOUNTS_IMAP, "SCRAM-SHA-256 ren\xc3\xa9@example.org" },
	{ "SCRAM-SHA-1", "bob@example.org", "p=a,s", false, NULL,
	    ACCOUNTS_IMAP, "SCRAM-SHA-1 bob@example.org" },
	{ "SCRAM-SHA-1", "alice", "wrong", false, NULL, ACCOUNTS_IMAP,
	    "server refused" },
	{ "SCRAM-SHA-1", "nobody", "secret", false, NULL, ACCOUNTS_IMAP,
	    "server refused" },
	{ "SCRAM-SHA-1", "alice", "2-app-2", false, NULL, ACCOUNTS_IMAP,
	    "SCRAM-SHA-1 alice@example.org" },
	{ "SCRAM-SHA-1 SCRAM-SHA-256", "alice", "secret", false, NULL,
	    ACCOUNTS_IMAP, "SCRAM-SHA-256 alice@example.org" },
	{ "SCRAM-SHA-1-PLUS SCRAM-SHA-256", "alice", "secret", true,
	    "192.0.2.1:25", ACCOUNTS_IMAP,
	    "SCRAM-SHA-1-PLUS alice@example.org" },
	{ "SCRAM-SHA-1", "alice", "secret", true, "192.0.2.1:25",
	    ACCOUNTS_IMAP, "SCRAM-SHA-1 alice@example.org" },
	/* An app password, for what it is for. */
	{ "SCRAM-SHA-256", "alice", "2-app-2", false, NULL, ACCOUNTS_IMAP,
	    "SCRAM-SHA-256 alice@example.org" },
	{ "SCRAM-SHA-256", "alice", "2-app-2", false, NULL,
	    ACCOUNTS_SUBMISSION, "server refused" },
	{ "SCRAM-SHA-256", "alice", "3-app-3", false, NULL,
	    ACCOUNTS_SUBMISSION, "SCRAM-SHA-256 alice@example.org" },
	/* Under TLS, bound to it. */
	{ "*", "alice", "secret", true, "192.0.2.1:25", ACCOUNTS_IMAP,
	    "SCRAM-SHA-256-PLUS alice@example.org" },
	{ "*", "alice", "2-app-2", true, "192.0.2.1:25", ACCOUNTS_IMAP,
	    "SCRAM-SHA-256-PLUS alice@example.org" },
	{ "*", "alice", "wrong", true, "192.0.2.1:25", ACCOUNTS_IMAP,
	    "server refused" },
	{ "SCRAM-SHA-256", "alice", "secret", true, "192.0.2.1:25",
	    ACCOUNTS_IMAP, "SCRAM-SHA-256 alice@example.org" },
	{ "PLAIN", "alice", "secret", true, "192.0.2.1:25", ACCOUNTS_IMAP,
	    "PLAIN alice@example.org" },
	/* Not in the clear over a network. */
	{ "*", "alice", "secret", false, "192.0.2.1:25", ACCOUNTS_IMAP,
	    "no mechanism" },
	{ "PLAIN LOGIN", "alice", "secret", false, "192.0.2.1:25",
	    ACCOUNTS_IMAP, "no mechanism" },
	{ "GSSAPI X", "alice", "secret", false, NULL, ACCOUNTS_IMAP,
	    "no mechanism" },
	{ "", "alice", "secret", false, NULL, ACCOUNTS_IMAP, "no mechanism" },
};
#define N_PAIRS (sizeof(pair_cases) / sizeof(pair_cases[0]))

static char pair_seen[N_PAIRS][128], pair_again[N_PAIRS][128];
static uint64_t hits[2];

/* As the two would go on over a protocol, the last data in its place. */
static void
dialogue(struct sasl_server *s, struct sasl_client *c, char seen[static 128])
{
	struct buf up = BUF_INIT, down = BUF_INIT;
	struct slice challenge = { NULL, 0 };
	int s_rc = SASL_MORE, c_rc;

	for (int i = 0; i < 5 && s_rc == SASL_MORE; i++) {
		buf_reset(&up);
		c_rc = sasl_client_step(c, challenge, &up);
		if (c_rc < 0) {
			snprintf(seen, 128, "client error %d", c_rc);
			goto out;
		}
		buf_reset(&down);
		s_rc = sasl_server_step(s, challenge.p == NULL && up.n == 0 ?
			slice(NULL, 0) : buf_slice(&up), &down);
		challenge = buf_slice(&down);
	}
	if (s_rc != SASL_OK) {
		snprintf(seen, 128, s_rc == -EACCES ? "server refused" :
						      "server error");
		goto out;
	}
	if (down.n > 0 && (c_rc = sasl_client_step(c, challenge, &up)) < 0)
		snprintf(seen, 128, "client error %d", c_rc);
	else if (!sasl_client_is_done(c))
		snprintf(seen, 128, "client is not content");
	else
		snprintf(seen, 128, "%s %s", sasl_server_mechanism(s),
		    sasl_server_account(s));
out:
	buf_clear(&up);
	buf_clear(&down);
}

static void
server_handshake(void *arg)
{
	(void)arg;
	conn_starttls_server(server, server_tls);
}

static void
pair_open(const struct pair_case *p)
{
	struct co_group g = { 0 };

	conn_pair(&server, &client);
	if (p->tls) {
		co_group_spawn(&g, server_handshake, NULL);
		conn_starttls_client(client, client_tls, "localhost");
		co_group_join(&g);
	}
	set_peer(server, p->peer);
	set_peer(client, p->peer);
}

static void
pair_run(const struct pair_case *p, char seen[static 128])
{
	struct sasl_server *s = NULL;
	struct sasl_client *c = NULL;
	struct arena arena = { 0 };
	const char *offered = p->offered;

	pair_open(p);
	if (strcmp(offered, "*") == 0)
		offered = sasl_server_mechanisms(a, &arena, server, false);
	if (sasl_client_new(&c, slice_str(offered), client, p->user,
		p->password, "imap", "localhost", false) != 0 ||
	    sasl_server_new(&s, a, server,
		slice_str(sasl_client_mechanism(c)), p->scope, false) != 0)
		snprintf(seen, 128, "no mechanism");
	else
		dialogue(s, c, seen);
	sasl_client_free(&c);
	sasl_server_free(&s);
	conn_free(&client);
	conn_free(&server);
	arena_reset(&arena);
}

static void
run_pairs(void *arg)
{
	(void)arg;
	a = fixture_open(directory, 7);
	for (size_t i = 0; i < N_PAIRS; i++)
		pair_run(&pair_cases[i], pair_seen[i]);
	hits[0] = scram_salted_hits();
	/* Once more, with what the client has kept of the first time. */
	for (size_t i = 0; i < N_PAIRS; i++)
		pair_run(&pair_cases[i], pair_again[i]);
	hits[1] = scram_salted_hits();
	scram_salted_wipe();
	accounts_close(&a);
}

static void
client_and_server_agree(void **state)
{
	size_t scrams = 0;

	(void)state;
	co_run(run_pairs, NULL);
	for (size_t i = 0; i < N_PAIRS; i++) {
		if (strcmp(pair_seen[i], pair_cases[i].expected) != 0)
			print_error("case %zu\n", i);
		assert_string_equal(pair_seen[i], pair_cases[i].expected);
		assert_string_equal(pair_again[i], pair_cases[i].expected);
		scrams += strncmp(pair_seen[i], "SCRAM-", 6) == 0;
	}
	assert_true(scrams > 0 && hits[1] - hits[0] >= scrams);
}

/* --- what is offered where --- */

static char offers[5][128];

static void
offer(bool tls, const char *peer, bool plaintext_ok, char out[static 128])
{
	struct arena arena = { 0 };

	pair_open(&(struct pair_case) { .tls = tls, .peer = peer });
	snprintf(out, 128, "%s",
	    sasl_server_mechanisms(a, &arena, server, plaintext_ok));
	conn_free(&client);
	conn_free(&server);
	arena_reset(&arena);
}

static void
run_offers(void *arg)
{
	(void)arg;
	a = fixture_open("domain example.org\n", 8);
	offer(true, "192.0.2.1:25", false, offers[0]);
	offer(false, "192.0.2.1:25", false, offers[1]);
	offer(false, "192.0.2.1:25", true, offers[2]);
	offer(false, NULL, false, offers[3]);
	memset(a->scram, 0, sizeof(a->scram));
	offer(true, "192.0.2.1:25", false, offers[4]);
	accounts_close(&a);
}

static void
mechanisms_follow_from_the_connection(void **state)
{
	(void)state;
	co_run(run_offers, NULL);
	assert_string_equal(offers[0],
	    "SCRAM-SHA-256-PLUS SCRAM-SHA-1-PLUS SCRAM-SHA-256 "
	    "SCRAM-SHA-1 PLAIN LOGIN");
	assert_string_equal(offers[1], "");
	assert_string_equal(offers[2],
	    "SCRAM-SHA-256 SCRAM-SHA-1 PLAIN LOGIN");
	assert_string_equal(offers[3],
	    "SCRAM-SHA-256 SCRAM-SHA-1 PLAIN LOGIN");
	assert_string_equal(offers[4], "PLAIN LOGIN");
}

/* --- channel binding against who stands between --- */

static int bound[5];

static int
first_message(const char *mechanism, const char *message)
{
	struct sasl_server *s = NULL;
	struct buf out = BUF_INIT;
	int rc = sasl_server_new(&s, a, server, slice_str(mechanism),
	    ACCOUNTS_IMAP, false);

	if (rc == 0)
		rc = sasl_server_step(s, slice_str(message), &out);
	sasl_server_free(&s);
	buf_clear(&out);
	return rc;
}

static void
run_bound(void *arg)
{
	(void)arg;
	a = fixture_open(directory, 9);
	pair_open(&(struct pair_case) { .tls = true, .peer = "192.0.2.1:1" });
	/* The client believes that we have no -PLUS: somebody hid it. */
	bound[0] = first_message("SCRAM-SHA-256", "y,,n=alice,r=abc");
	bound[1] = first_message("SCRAM-SHA-256", "n,,n=alice,r=abc");
	bound[2] = first_message("SCRAM-SHA-256-PLUS", "n,,n=alice,r=abc");
	bound[3] = first_message("SCRAM-SHA-256-PLUS",
	    "p=tls-exporter,,n=alice,r=abc");
	bound[4] = first_message("SCRAM-SHA-256-PLUS",
	    "p=tls-server-end-point,,n=alice,r=abc");
	conn_free(&client);
	conn_free(&server);
	accounts_close(&a);
}

static void
a_hidden_plus_is_noticed(void **state)
{
	(void)state;
	co_run(run_bound, NULL);
	assert_int_equal(bound[0], -EACCES);
	assert_int_equal(bound[1], SASL_MORE);
	assert_int_equal(bound[2], -EACCES);
	assert_int_equal(bound[3], SASL_MORE);
	assert_int_equal(bound[4], -EACCES);
}

/* --- a client against a hostile server --- */

static const struct {
	const char *first; /* %s is the client's nonce */
	int expected;
} hostile_cases[] = {
	{ "r=%sX,s=QUJDRA==,i=4096", SASL_MORE },
	{ "r=%sX,s=QUJDRA==,i=600000", SASL_MORE },
	{ "r=%sX,s=QUJDRA==,i=600001", -EBADMSG },
	{ "r=%sX,s=QUJDRA==,i=4095", -EBADMSG },
	{ "r=%sX,s=QUJDRA==,i=1", -EBADMSG },
	{ "r=%sX,s=QUJDRA==,i=99999999999999999999999", -EBADMSG },
	{ "r=%sX,s=QUJDRA==,i=-1", -EBADMSG },
	{ "r=%sX,s=QUJDRA==", -EBADMSG },
	{ "r=other,s=QUJDRA==,i=4096,%s", -EBADMSG },
	{ "%s", -EBADMSG },
};
#define N_HOSTILE (sizeof(hostile_cases) / sizeof(hostile_cases[0]))

static int hostile_rc[N_HOSTILE], forged_rc;
static bool hostile_done;

static void
run_hostile(void *arg)
{
	(void)arg;
	conn_pair(&server, &client);
	for (size_t i = 0; i < N_HOSTILE; i++) {
		struct buf up = BUF_INIT, down = BUF_INIT;
		struct sasl_client *c = NULL;

		sasl_client_new(&c, SLICE_LIT("SCRAM-SHA-256"), client, "u",
		    "p", "smtp", "h", false);
		sasl_client_step(c, slice(NULL, 0), &up);
		buf_printf(&down, hostile_cases[i].first,
		    strstr(buf_str(&up), "r=") + 2);
		buf_reset(&up);
		hostile_rc[i] = sasl_client_step(c, buf_slice(&down), &up);
		if (i == 0) {
			/* It does not know the password. */
			buf_reset(&up);
			forged_rc = sasl_client_step(c,
			    SLICE_LIT("v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
				      "AAAAA="), &up);
		}
		hostile_done |= sasl_client_is_done(c);
		sasl_client_free(&c);
		buf_clear(&up);
		buf_clear(&down);
	}
	conn_free(&server);
	conn_free(&client);
}

static void
a_client_takes_no_count_and_no_proof_on_trust(void **state)
{
	(void)state;
	co_run(run_hostile, NULL);
	for (size_t i = 0; i < N_HOSTILE; i++) {
		if ((hostile_rc[i] < 0) != (hostile_cases[i].expected < 0))
			print_error("case %zu\n", i);
		assert_true((hostile_rc[i] < 0) ==
		    (hostile_cases[i].expected < 0));
	}
	assert_true(forged_rc < 0);
	assert_false(hostile_done);
}

/* --- the same over SMTP (RFC 4954) --- */

static const struct smtp_case {
	const char *auth;	/* the reply to AUTH */
	const char *challenged; /* to what comes next, if anything */
	int rc, code;
	const char *last; /* how the client's last line begins */
} smtp_cases[] = {
	/* Success from one who has proved nothing. */
	{ "235 2.7.0 Welcome\r\n", "", -EPROTO, 454, "AUTH SCRAM-SHA-256 " },
	{ "535 5.7.8 No\r\n", "", -EPROTO, 535, "AUTH SCRAM-SHA-256 " },
	{ "334 \r\n", "501 5.7.0 Cancelled\r\n", -EPROTO, 454, "*" },
	{ "334 ?\r\n", "501 5.7.0 Cancelled\r\n", -EPROTO, 454, "*" },
	{ "334 \r\n", "235 2.7.0 Welcome\r\n", -EPROTO, 454, "*" },
};
#define N_SMTP (sizeof(smtp_cases) / sizeof(smtp_cases[0]))

static const struct smtp_case *smtp_case;
static struct {
	int rc, code;
	char last[64];
} smtp_seen[N_SMTP];

static void
smtp_serve(void *arg)
{
	const char *replies[] = { "250-x\r\n250 AUTH PLAIN SCRAM-SHA-256\r\n",
		smtp_case->auth, smtp_case->challenged };
	char *last = arg;
	struct slice line;

	conn_puts(server, "220 x\r\n");
	for (int i = 0; conn_flush(server) == 0 &&
	     conn_read_line(server, 1000, &line, NULL) == 0; i++) {
		if (slice_eq_str(line, "QUIT"))
			break;
		snprintf(last, 64, "%.*s", (int)line.n, line.p);
		if (i < 3)
			conn_puts(server, replies[i]);
	}
	conn_free(&server);
}

static void
run_smtp(void *arg)
{
	struct smtp_client_conf conf = { .hostname = "c.test",
		.sasl_user = "alice", .sasl_password = "secret",
		.sasl = &sasl_smtp_client, .timeout_ms = 20000 };

	(void)arg;
	for (size_t i = 0; i < N_SMTP; i++) {
		struct co_group g = { 0 };
		struct smtp_client *c = NULL;
		struct smtp_reply reply = { 0 };

		smtp_case = &smtp_cases[i];
		conn_pair(&server, &client);
		co_group_spawn(&g, smtp_serve, smtp_seen[i].last);
		smtp_seen[i].rc = smtp_client_open_conn(&c, client, &conf,
		    &reply);
		smtp_seen[i].code = reply.code;
		smtp_client_free(&c);
		co_group_join(&g);
	}
}

static void
smtp_success_needs_the_proof(void **state)
{
	(void)state;
	co_run(run_smtp, NULL);
	for (size_t i = 0; i < N_SMTP; i++) {
		assert_int_equal(smtp_seen[i].rc, smtp_cases[i].rc);
		assert_int_equal(smtp_seen[i].code, smtp_cases[i].code);
		assert_int_equal(strncmp(smtp_seen[i].last, smtp_cases[i].last,
				     strlen(smtp_cases[i].last)), 0);
	}
}

/* --- CRAM-MD5 (RFC 2195 2) --- */

static char cram[128];

static void
run_cram(void *arg)
{
	struct buf up = BUF_INIT;
	struct sasl_client *c = NULL;

	(void)arg;
	conn_pair(&server, &client);
	set_peer(client, "192.0.2.1:25");
	if (sasl_client_new(&c, SLICE_LIT("PLAIN LOGIN CRAM-MD5"), client,
		"tim", "tanstaaftanstaaf", "imap", "h", false) == 0 &&
	    sasl_client_step(c, slice(NULL, 0), &up) == SASL_MORE &&
	    up.n == 0 &&
	    sasl_client_step(c, SLICE_LIT("<1896.697170952@postoffice.reston."
		"mci.net>"), &up) == SASL_OK && sasl_client_is_done(c))
		snprintf(cram, sizeof(cram), "%s", buf_str(&up));
	sasl_client_free(&c);
	buf_clear(&up);
	conn_free(&server);
	conn_free(&client);
}

static void
cram_md5_is_that_of_the_rfc(void **state)
{
	(void)state;
	co_run(run_cram, NULL);
	assert_string_equal(cram, "tim b913a602c7eda7a495b4e6e7334d3890");
}

/* --- certificates --- */

static void
make_certificate(const char *path)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	FILE *f = fopen(path, "w");

	X509_set_version(x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -3600);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN",
	    MBSTRING_ASC, (const unsigned char *)"localhost", -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(x));
	X509_sign(x, key, EVP_sha256());
	PEM_write_X509(f, x);
	PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
	fclose(f);
	X509_free(x);
	EVP_PKEY_free(key);
}

static int
setup(void **state)
{
	struct buf text = BUF_INIT, err = BUF_INIT;
	struct conf *conf;
	char path[64];
	int rc;

	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/cert.pem", dir);
	make_certificate(path);
	buf_printf(&text, "{ \"tls\": { \"certificate\": \"%s\", "
	    "\"key\": \"%s\" } }", path, path);
	conf = conf_parse("test", buf_slice(&text), &err);
	rc = tls_server_new(&server_tls, conf, &err);
	if (rc == 0)
		rc = tls_client_new(&client_tls, conf, TLS_VERIFY_NONE, &err);
	conf_free(&conf);
	buf_clear(&text);
	buf_clear(&err);
	return rc;
}

static int
teardown(void **state)
{
	char path[64];

	(void)state;
	tls_server_free(&server_tls);
	tls_client_free(&client_tls);
	snprintf(path, sizeof(path), "%s/cert.pem", dir);
	unlink(path);
	return rmdir(dir);
}

/* --- CRAM-MD5 and APOP --- */

static const struct pair_case cram_cases[] = {
	{ "CRAM-MD5", "carl", "one", false, NULL, ACCOUNTS_IMAP,
	    "CRAM-MD5 carl@example.org" },
	{ "CRAM-MD5", "CARL@example.org", "two", false, NULL, ACCOUNTS_POP3,
	    "CRAM-MD5 carl@example.org" },
	{ "CRAM-MD5", "carl", "two", false, NULL, ACCOUNTS_IMAP,
	    "server refused" },
	{ "CRAM-MD5", "carl", "wrong", false, NULL, ACCOUNTS_IMAP,
	    "server refused" },
	{ "CRAM-MD5", "dora", "one", false, NULL, ACCOUNTS_IMAP,
	    "server refused" },
	{ "CRAM-MD5", "nobody", "one", false, NULL, ACCOUNTS_IMAP,
	    "server refused" },
	{ "SCRAM-SHA-256", "carl", "one", false, NULL, ACCOUNTS_IMAP,
	    "SCRAM-SHA-256 carl@example.org" },
	{ "PLAIN", "carl", "one", false, NULL, ACCOUNTS_IMAP,
	    "PLAIN carl@example.org" },
};
#define N_CRAM (sizeof(cram_cases) / sizeof(cram_cases[0]))
static char cram_seen[N_CRAM][128], cram_offers[3][128];
static int cram_initial, apop_rc[3];
static bool cram_sealed, cram_plain;

static int
apop(const char *user, const char *digest)
{
	struct arena arena = { 0 };
	const char *account;
	int rc = accounts_authenticate_digest(a, &arena, slice_str(user),
	    ACCOUNTS_APOP, SLICE_LIT("<1896.697170952@dbc.mtview.ca.us>"),
	    slice_str(digest), ACCOUNTS_POP3, "127.0.0.1", &account,
	    NULL);

	arena_reset(&arena);
	return rc;
}

static void
look_at_row(void)
{
	struct arena arena = { 0 };
	struct accounts_login l;

	if (accounts_login_load(a, &arena, SLICE_LIT("rfc"), &l) == 0 &&
	    l.n == 1) {
		cram_sealed = l.credentials[0].sealed.n == 28 + 8;
		cram_plain = slice_find_slice(l.credentials[0].raw,
				 SLICE_LIT("tanstaaf")) >= 0;
	}
	arena_reset(&arena);
}

static void
run_shared(void *arg)
{
	(void)arg;
	a = fixture_open("domain example.org\n"
			 "account carl@example.org\n"
			 "account dora@example.org\n"
			 "password dora@example.org password one\n",
	    12);
	offer(true, NULL, false, cram_offers[0]);
	fixture_script(a, "keep carl@example.org\n"
			  "password carl@example.org password one\n"
			  "password carl@example.org old two pop3\n"
			  "account rfc@example.org\n"
			  "keep rfc@example.org\n"
			  "password rfc@example.org password tanstaaf\n");
	offer(true, NULL, false, cram_offers[1]);
	for (size_t i = 0; i < N_CRAM; i++)
		pair_run(&cram_cases[i], cram_seen[i]);
	conn_pair(&server, &client);
	cram_initial = first_message("CRAM-MD5", "carl 0123");
	conn_free(&server);
	conn_free(&client);
	/* RFC 1939 7 */
	apop_rc[0] = apop("rfc", "c4c9334bac560ecc979e58001b3e22fb");
	apop_rc[1] = apop("rfc", "c4c9334bac560ecc979e58001b3e22fc");
	look_at_row();
	fixture_script(a, "-keep carl@example.org\n-keep rfc@example.org\n");
	apop_rc[2] = apop("rfc", "c4c9334bac560ecc979e58001b3e22fb");
	offer(true, NULL, false, cram_offers[2]);
	accounts_close(&a);
}

static void
cram_md5_is_for_those_who_switch_it_on(void **state)
{
	(void)state;
	co_run(run_shared, NULL);
	assert_string_equal(fixture_fault, "");
	assert_null(strstr(cram_offers[0], "CRAM-MD5"));
	assert_non_null(strstr(cram_offers[1], " PLAIN LOGIN CRAM-MD5"));
	assert_null(strstr(cram_offers[2], "CRAM-MD5"));
	for (size_t i = 0; i < N_CRAM; i++)
		assert_string_equal(cram_seen[i], cram_cases[i].expected);
	assert_int_equal(cram_initial, -EBADMSG);
	assert_int_equal(apop_rc[0], 0);
	assert_int_equal(apop_rc[1], -EACCES);
	assert_int_equal(apop_rc[2], -EACCES);
	assert_true(cram_sealed);
	assert_false(cram_plain);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_password_is_right_for_one_account_and_its_scope),
		cmocka_unit_test(a_change_counts_at_once_whatever_was_cached),
		cmocka_unit_test(a_flood_is_told_to_come_back),
		cmocka_unit_test(the_server_answers_each_message),
		cmocka_unit_test(unknown_users_have_salts_like_others),
		cmocka_unit_test(client_and_server_agree),
		cmocka_unit_test(mechanisms_follow_from_the_connection),
		cmocka_unit_test(a_hidden_plus_is_noticed),
		cmocka_unit_test(a_client_takes_no_count_and_no_proof_on_trust),
		cmocka_unit_test(smtp_success_needs_the_proof),
		cmocka_unit_test(cram_md5_is_that_of_the_rfc),
		cmocka_unit_test(cram_md5_is_for_those_who_switch_it_on),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
