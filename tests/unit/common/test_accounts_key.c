/* SPDX-License-Identifier: ISC */
/*
 * Accounts with a key pair: which credential opens it by which mechanism, what
 * changes of passwords do to it, and when it leaves the memory.
 */
#include "tests/unit/common/accounts_fixture.h"

#include "common/auth/sasl.h"

static struct accounts *a;

/* --- a story: steps, each with what comes of it --- */

enum what {
	FIXTURE, /* the fixture's line in `x` */
	MAKE,	 /* a pair, by password `x` */
	SET,	 /* password `x` named `name`, scope `scope`, key by `by` */
	REMOVE,	 /* the credential `name` */
	LOSE,	 /* the same, though nothing opens the key then */
	RECOVERY,    /* a new recovery key, by password `x` */
	NO_RECOVERY, /* remove it */
	SIGN_IN,     /* by mechanism `by` and password `x` */
	SAME,	     /* the public key is as it was at MARK, or (1) not */
	MARK,
};
#define NO_KEY 1 /* of SIGN_IN: right, but opens nothing */

struct step {
	enum what what;
	const char *x, *name, *scope, *by;
	int expected;
};

#define A SLICE_LIT("a@d.test")

static const struct step story[] = {
	{ FIXTURE, "domain d.test", 0, 0, 0, 0 },
	{ FIXTURE, "account a@d.test", 0, 0, 0, 0 },
	{ FIXTURE, "password a@d.test password one", 0, 0, 0, 0 },
	{ FIXTURE, "password a@d.test old two imap", 0, 0, 0, 0 },
	{ FIXTURE, "password a@d.test printer send submission", 0, 0, 0, 0 },
	{ SIGN_IN, "one", 0, 0, "PLAIN", NO_KEY },
	/* A pair, by one of the passwords that may read. */
	{ RECOVERY, "one", 0, 0, 0, -ENOKEY },
	{ MAKE, "wrong", 0, 0, 0, -EACCES },
	{ MAKE, "send", 0, 0, 0, -EACCES },
	{ MAKE, "one", 0, 0, 0, 0 },
	{ MAKE, "one", 0, 0, 0, -EEXIST },
	{ MARK, 0, 0, 0, 0, 0 },
	/* Twice each: the second may be out of the cache. */
	{ SIGN_IN, "one", 0, 0, "PLAIN", 0 },
	{ SIGN_IN, "one", 0, 0, "PLAIN", 0 },
	{ SIGN_IN, "one", 0, 0, "LOGIN", 0 },
	{ SIGN_IN, "one", 0, 0, "SCRAM-SHA-256", 0 },
	{ SIGN_IN, "one", 0, 0, "SCRAM-SHA-256", 0 },
	{ SIGN_IN, "one", 0, 0, "SCRAM-SHA-1", 0 },
	{ SIGN_IN, "wrong", 0, 0, "PLAIN", -EACCES },
	{ SIGN_IN, "wrong", 0, 0, "SCRAM-SHA-256", -EACCES },
	/* What was there already opens nothing, until it is set again. */
	{ SIGN_IN, "two", 0, 0, "PLAIN", NO_KEY },
	{ SIGN_IN, "two", 0, 0, "SCRAM-SHA-256", NO_KEY },
	{ SET, "two", "old", "imap", NULL, -ENOKEY },
	{ SET, "two", "old", "imap", "two", -EACCES },
	{ SET, "two", "old", "imap", "one", 0 },
	{ SIGN_IN, "two", 0, 0, "PLAIN", 0 },
	{ SIGN_IN, "two", 0, 0, "SCRAM-SHA-256", 0 },
	/* What is for sending needs no key, and gets none. */
	{ SET, "send2", "printer", "submission", NULL, 0 },
	{ SET, "send3", "printer", "submission", "one", 0 },
	{ SIGN_IN, "send3", 0, "submission", "PLAIN", NO_KEY },
	/* Changed by the old one: the pair stays. */
	{ SET, "three", "password", NULL, "one", 0 },
	{ SIGN_IN, "one", 0, 0, "PLAIN", -EACCES },
	{ SIGN_IN, "three", 0, 0, "SCRAM-SHA-256", 0 },
	{ SIGN_IN, "three", 0, 0, "PLAIN", 0 },
	{ SAME, 0, 0, 0, 0, 0 },
	/* The last that opens it stays, or something else does. */
	{ REMOVE, 0, "old", 0, 0, 0 },
	{ REMOVE, 0, "password", 0, 0, -ENOKEY },
	{ SET, "x", "password", "submission", NULL, -ENOKEY },
	{ RECOVERY, "three", 0, 0, 0, 0 },
	{ REMOVE, 0, "password", 0, 0, 0 },
	{ NO_RECOVERY, 0, 0, 0, 0, -ENOKEY },
	{ SET, "four", "password", NULL, "mistyped", -EACCES },
	{ SET, "four", "password", NULL, "recovery", 0 },
	{ SIGN_IN, "four", 0, 0, "SCRAM-SHA-256", 0 },
	{ SAME, 0, 0, 0, 0, 0 },
	/* Another recovery key ends the first; none is none. */
	{ SET, "five", "password", NULL, "recovery", 0 },
	{ RECOVERY, "five", 0, 0, 0, 0 },
	{ SET, "six", "password", NULL, "recovery", 0 },
	{ NO_RECOVERY, 0, 0, 0, 0, 0 },
	{ SET, "seven", "password", NULL, "recovery", -EACCES },
	/* What keeps the record keeps the pair. */
	{ FIXTURE, "keep a@d.test", 0, 0, 0, 0 },
	{ SAME, 0, 0, 0, 0, 0 },
	{ SET, "eight", "password", NULL, "six", 0 },
	{ SIGN_IN, "eight", 0, 0, "CRAM-MD5", 0 },
	{ FIXTURE, "-keep a@d.test", 0, 0, 0, 0 },
	{ SIGN_IN, "eight", 0, 0, "CRAM-MD5", -ENOSYS },
	{ SIGN_IN, "eight", 0, 0, "PLAIN", 0 },
	/* Lost: a new pair, which the others do not open. */
	{ SET, "nine", "phone", "imap", "eight", 0 },
	{ SET, "ten", "password", NULL, "lose", 0 },
	{ SAME, 0, 0, 0, 0, 1 },
	{ SIGN_IN, "ten", 0, 0, "SCRAM-SHA-256", 0 },
	{ SIGN_IN, "nine", 0, 0, "PLAIN", NO_KEY },
	{ REMOVE, 0, "phone", 0, 0, 0 },
	{ REMOVE, 0, "password", 0, 0, -ENOKEY },
	{ LOSE, 0, "password", 0, 0, 0 },
	{ SET, "new", "password", NULL, NULL, 0 },
	{ SIGN_IN, "new", 0, 0, "PLAIN", NO_KEY },
};
#define N_STORY (sizeof(story) / sizeof(story[0]))

static int seen[N_STORY];
static size_t keys_left[N_STORY];
static char recovery[RECOVERY_TEXT_LEN + 1];
static struct accounts_sealing mark;

/* The key by "recovery", "mistyped" or a password. */
static int
open_by(const char *by, struct seal_key **k, struct buf *err)
{
	char text[RECOVERY_TEXT_LEN + 1];

	if (strcmp(by, "recovery") != 0 && strcmp(by, "mistyped") != 0)
		return accounts_key_open(a, A, slice_str(by), k, err);
	memcpy(text, recovery, sizeof(text));
	if (strcmp(by, "mistyped") == 0)
		text[7] = text[7] == '7' ? '8' : '7';
	return accounts_key_recover(a, A, slice_str(text), k, err);
}

static int
set(const struct step *s, struct buf *err)
{
	struct accounts_password_change ch = { .name = s->name,
		.password = slice_str(s->x),
		.scopes = fixture_scope(s->scope) };
	struct seal_key *k = NULL;
	int rc = 0;

	ch.lose_sealed = s->by != NULL && strcmp(s->by, "lose") == 0;
	if (s->by != NULL && !ch.lose_sealed)
		rc = open_by(s->by, &k, err);
	ch.key = k;
	if (rc == 0)
		rc = accounts_password_change(a, A, &ch, err);
	seal_key_unref(&k);
	return rc;
}

/* Until it says OK or not; the client's last word is not waited for. */
static int
dialogue(struct sasl_server *s, struct sasl_client *c)
{
	struct buf up = BUF_INIT, down = BUF_INIT;
	struct slice challenge = { NULL, 0 };
	int rc = SASL_MORE;

	for (int i = 0; i < 5 && rc == SASL_MORE; i++) {
		buf_reset(&up);
		if (sasl_client_step(c, challenge, &up) < 0)
			break;
		buf_reset(&down);
		rc = sasl_server_step(s,
		    challenge.p == NULL && up.n == 0 ? slice(NULL, 0)
						     : buf_slice(&up),
		    &down);
		challenge = buf_slice(&down);
	}
	buf_clear(&up);
	buf_clear(&down);
	return rc == SASL_OK ? 0 : rc == SASL_MORE ? -EPROTO : rc;
}

static int
sign_in(const struct step *s)
{
	enum accounts_scope scope =
	    s->scope == NULL ? ACCOUNTS_IMAP : fixture_scope(s->scope);
	struct sasl_server *server = NULL;
	struct sasl_client *client = NULL;
	struct conn *ends[2];
	struct accounts_sealing now;
	struct seal_key *k = NULL;
	int rc;

	conn_pair(&ends[0], &ends[1]);
	rc = sasl_client_new(&client, slice_str(s->by), ends[1], "a@d.test",
	    s->x, "imap", "localhost", false);
	if (rc == 0)
		rc = sasl_server_new(
		    &server, a, ends[0], slice_str(s->by), scope, false);
	if (rc == 0)
		rc = dialogue(server, client);
	if (rc == 0) {
		k = sasl_server_take_key(server);
		rc = k == NULL ? NO_KEY : accounts_sealing_get(a, A, &now);
		if (k != NULL && memcmp(now.public, seal_key_public(k), 32))
			rc = -EBADMSG;
	}
	seal_key_unref(&k);
	sasl_client_free(&client);
	sasl_server_free(&server);
	conn_free(&ends[0]);
	conn_free(&ends[1]);
	return rc;
}

static int
run(const struct step *s)
{
	struct accounts_sealing now;
	struct seal_key *k = NULL;
	struct buf err = BUF_INIT;
	int rc = 0;

	switch (s->what) {
	case FIXTURE:
		fixture_line(a, slice_str(s->x));
		break;
	case MAKE:
		rc = accounts_key_make(a, A, slice_str(s->x), &err);
		break;
	case SET:
		rc = set(s, &err);
		break;
	case REMOVE:
		rc = accounts_credential_remove(a, A, s->name, &err);
		break;
	case LOSE:
		rc = accounts_credential_remove_lose(a, A, s->name, &err);
		break;
	case RECOVERY:
		if ((rc = open_by(s->x, &k, &err)) == 0)
			rc = accounts_recovery_make(a, A, k, recovery, &err);
		seal_key_unref(&k);
		break;
	case NO_RECOVERY:
		rc = accounts_recovery_remove(a, A, &err);
		break;
	case SIGN_IN:
		rc = sign_in(s);
		break;
	case MARK:
		rc = accounts_sealing_get(a, A, &mark);
		break;
	case SAME:
		rc = accounts_sealing_get(a, A, &now);
		if (rc == 0 && memcmp(now.public, mark.public, 32) != 0)
			rc = 1;
		break;
	}
	if (rc < 0 && rc != -ENOSYS && s->what != SIGN_IN && err.n == 0)
		rc = -ENOMSG; /* each refusal says why */
	buf_clear(&err);
	return rc;
}

static void
run_story(void *arg)
{
	(void)arg;
	a = fixture_open("", 3);
	for (size_t i = 0; i < N_STORY; i++) {
		seen[i] = run(&story[i]);
		keys_left[i] = seal_key_count();
	}
	accounts_close(&a);
}

static void
passwords_open_and_rewrap(void **state)
{
	(void)state;
	co_run(run_story, NULL);
	assert_string_equal(fixture_fault, "");
	for (size_t i = 0; i < N_STORY; i++) {
		if (seen[i] != story[i].expected)
			print_error("step %zu (\"%s\"): %d, not %d\n", i,
			    story[i].x != NULL ? story[i].x : "", seen[i],
			    story[i].expected);
		assert_int_equal(seen[i], story[i].expected);
		/* Nobody is signed in between the steps. */
		assert_int_equal(keys_left[i], 0);
	}
}

/* --- who is signed in shares the key --- */

static struct {
	struct seal_key *k[3];
	bool shared;
	size_t while_in, after_one, after_all;
	int wrong_rc, flaw_rc;
	struct seal_key *wrong, *flaw;
} in;

static struct seal_key *
key_by(const char *password, int *rc)
{
	struct arena arena = { 0 };
	struct seal_key *k = NULL;
	const char *account;

	*rc = accounts_authenticate_key(a, &arena, A, slice_str(password),
	    ACCOUNTS_IMAP, "127.0.0.1", &account, &k);
	arena_reset(&arena);
	return k;
}

/* Change one character of the wrapped key, in the row. */
static void
spoil(const char *credential)
{
	struct arena arena = { 0 };
	struct slice part = accounts_partition(&arena, SLICE_LIT("d.test"));
	struct slice key = accounts_credential_key(
	    &arena, SLICE_LIT("a"), slice_str(credential)), row;
	struct store_batch *b;
	ssize_t at;

	accounts_row(a, &arena, part, key, &row);
	at = slice_find_slice(row, SLICE_LIT("\"unlock\""));
	at += slice_find_slice(
	    slice_from(row, (size_t)at), SLICE_LIT("\"password\":\"")) + 32;
	((char *)(uintptr_t)row.p)[at] = row.p[at] == 'A' ? 'B' : 'A';
	for (int rc = -1; rc != 0;) {
		b = store_batch_new(a->store, part);
		store_put(b, key, row);
		rc = store_commit_one(a->store, b);
		store_batch_free(&b);
	}
	arena_reset(&arena);
}

static void
run_sharing(void *arg)
{
	int rc;

	(void)arg;
	a = fixture_open("domain d.test\naccount a@d.test\n"
			 "password a@d.test password one\n",
	    4);
	fixture_note("make", run(&(struct step){ MAKE, "one", 0, 0, 0, 0 }),
	    &(struct buf){ 0 });
	in.k[0] = key_by("one", &rc);
	in.k[1] = key_by("one", &rc); /* out of the cache */
	in.while_in = seal_key_count();
	in.shared = in.k[0] != NULL && in.k[0] == in.k[1];
	in.wrong = key_by("two", &in.wrong_rc);
	seal_key_unref(&in.k[0]);
	in.after_one = seal_key_count();
	seal_key_unref(&in.k[1]);
	in.after_all = seal_key_count();
	/* The sign-in is right all the same, and the mail that is not sealed
	 * can be read. */
	spoil("password");
	in.flaw = key_by("one", &in.flaw_rc);
	accounts_close(&a);
}

static void
sessions_share_one_key_to_the_last(void **state)
{
	(void)state;
	co_run(run_sharing, NULL);
	assert_string_equal(fixture_fault, "");
	assert_true(in.shared);
	assert_int_equal(in.while_in, 1);
	assert_int_equal(in.after_one, 1);
	assert_int_equal(in.after_all, 0);
	assert_int_equal(in.wrong_rc, -EACCES);
	assert_null(in.wrong);
	assert_int_equal(in.flaw_rc, 0);
	assert_null(in.flaw);
}

/* --- mailbox.encryption: account --- */

static int by_setting[3];
static struct accounts_sealing sealing[3];

static void
run_setting(void *arg)
{
	struct accounts_account v = { .address = "b@d.test", .name = "",
		.encryption = ACCOUNTS_ENCRYPTION_SERVER };
	struct buf err = BUF_INIT;

	(void)arg;
	a = fixture_open("domain d.test\naccount a@d.test\n"
			 "account b@d.test\n", 5);
	a->encryption = ACCOUNTS_ENCRYPTION_ACCOUNT;
	fixture_note("put", accounts_account_put(a, &v, false, &err), &err);
	accounts_sealing_get(a, A, &sealing[0]);
	fixture_script(a, "password a@d.test password one\n"
			  "password b@d.test password one\n");
	accounts_sealing_get(a, A, &sealing[1]);
	accounts_sealing_get(a, SLICE_LIT("b@d.test"), &sealing[2]);
	by_setting[0] = run(&(struct step){ SIGN_IN, "one", 0, 0, "PLAIN", 0 });
	by_setting[1] =
	    accounts_sealing_get(a, SLICE_LIT("c@d.test"), &sealing[0]);
	sealing[0].has_key = false;
	accounts_close(&a);
	buf_clear(&err);
}

static void
the_setting_makes_a_pair_with_the_password(void **state)
{
	(void)state;
	co_run(run_setting, NULL);
	assert_string_equal(fixture_fault, "");
	assert_int_equal(sealing[0].how, ACCOUNTS_ENCRYPTION_ACCOUNT);
	assert_false(sealing[0].has_key);
	assert_true(sealing[1].has_key);
	assert_int_equal(sealing[2].how, ACCOUNTS_ENCRYPTION_SERVER);
	assert_false(sealing[2].has_key);
	assert_int_equal(by_setting[0], 0);
	assert_int_equal(by_setting[1], -ENOENT);
}

/* --- what a person types --- */

static void
recovery_keys_are_read_as_people_write(void **state)
{
	char text[RECOVERY_TEXT_LEN + 1], other[80];
	unsigned char key[SEAL_KEY_LEN], again[SEAL_KEY_LEN];
	size_t n = 0, found = 0;

	(void)state;
	recovery_make(text);
	assert_int_equal(strlen(text), RECOVERY_TEXT_LEN);
	assert_int_equal(recovery_read(slice_str(text), key), 0);
	for (size_t i = 0; i < RECOVERY_TEXT_LEN; i++) {
		char c = ascii_upper(text[i]);

		if (c == '-')
			c = ' ';
		other[n++] = c == '0' ? 'O' : c == '1' ? 'l' : c;
	}
	assert_int_equal(recovery_read(slice(other, n), again), 0);
	assert_memory_equal(key, again, sizeof(key));
	/* One letter too few or too many, another one, or what is none. */
	assert_int_equal(recovery_read(slice_head(slice_str(text), 38), again),
	    -EINVAL);
	snprintf(other, sizeof(other), "%sa", text);
	assert_int_equal(recovery_read(slice_str(other), again), -EINVAL);
	assert_int_equal(recovery_read(SLICE_EMPTY, again), -EINVAL);
	memcpy(other, text, sizeof(text));
	other[3] = 'u';
	assert_int_equal(recovery_read(slice_str(other), again), -EINVAL);
	/* 16 bits find all but one slip in 65,536; of 300, few if any. */
	for (size_t i = 0; i < RECOVERY_TEXT_LEN; i++) {
		memcpy(other, text, sizeof(text));
		if (text[i] == '-')
			continue;
		for (size_t k = 0; k < 9; k++) {
			other[i] = "abcdefgh2"[k];
			found += other[i] != text[i] &&
			    recovery_read(slice_str(other), again) == 0;
		}
	}
	assert_in_range(found, 0, 3);
}

/* Numbers in a record that would cost more than we pay. */
static void
scrypt_has_bounds(void **state)
{
	static const struct {
		uint64_t n;
		uint32_t r, p;
		bool fit;
	} cases[] = {
		{ 1 << 15, 8, 1, true },
		{ 1 << 17, 8, 1, true },
		{ 1 << 18, 8, 1, false },
		{ 2, 1, 1, true },
		{ 1, 8, 1, false },
		{ 0, 8, 1, false },
		{ 3, 8, 1, false },
		{ 1 << 10, 0, 1, false },
		{ 1 << 10, 33, 1, false },
		{ 1 << 10, 8, 0, false },
		{ 1 << 10, 8, 17, false },
		{ (uint64_t)1 << 63, 32, 16, false },
	};
	struct unlock_scrypt s = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		s.n = cases[i].n;
		s.r = cases[i].r;
		s.p = cases[i].p;
		assert_int_equal(unlock_scrypt_is_fit(&s), cases[i].fit);
	}
	for (unsigned cost = 1; cost <= 11; cost++) {
		unlock_scrypt_choose(cost, &s);
		assert_true(unlock_scrypt_is_fit(&s));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(passwords_open_and_rewrap),
		cmocka_unit_test(sessions_share_one_key_to_the_last),
		cmocka_unit_test(the_setting_makes_a_pair_with_the_password),
		cmocka_unit_test(recovery_keys_are_read_as_people_write),
		cmocka_unit_test(scrypt_has_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
