/* SPDX-License-Identifier: ISC */
/* The directory: who gets what, who may send as whom, and the writers. */
#include "tests/unit/common/accounts_fixture.h"

static const char directory[] =
    "domain example.org\n"
    "domain catch.test owner@catch.test\n"
    "domain away.test someone@else.test\n"
    "domain B\xc3\xbc" "cher.test\n"
    "-domain off.test\n"
    "account Alice@Example.ORG\n"
    "account bob@example.org\n"
    "-account gone@example.org\n"
    "account bob+own@example.org\n"
    "account owner@catch.test\n"
    "account j\xc3\xbcrgen@b\xc3\xbc" "cher.test\n"
    "alias sales@example.org alice@example.org bob+s@example.org x@else.test\n"
    "alias all@example.org sales@example.org alice@example.org\n"
    "alias loop1@example.org loop2@example.org\n"
    "alias loop2@example.org loop1@example.org\n"
    "alias self@example.org self@example.org bob@example.org\n"
    "alias dead@example.org nobody@example.org\n"
    "alias half@example.org nobody@example.org gone@example.org "
    "bob@example.org\n"
    "alias asleep@example.org gone@example.org\n"
    "alias cross@example.org any@catch.test\n"
    "blocked spam@example.org\n"
    "blocked bad@catch.test\n"
    "blocked bob+bad@example.org\n"
    "alias a1@example.org a2@example.org\n"
    "alias a2@example.org a3@example.org\n"
    "alias a3@example.org a4@example.org\n"
    "alias a4@example.org a5@example.org\n"
    "alias a5@example.org a6@example.org\n"
    "alias a6@example.org a7@example.org\n"
    "alias a7@example.org a8@example.org\n"
    "alias a8@example.org a9@example.org\n"
    "alias a9@example.org a10@example.org\n"
    "alias a10@example.org alice@example.org\n"
    "alias a0@example.org a1@example.org\n"
    "grant bob@example.org Boss@Example.org Me+x@Else.TEST "
    "@b\xc3\xbc" "cher.test spam@example.org\n";

/* --- resolve --- */

struct resolve_case {
	const char *local, *domain, *expected;
};

static const struct resolve_case resolve_cases[] = {
	{ "alice", "example.org", "deliver alice@example.org" },
	{ "ALICE", "EXAMPLE.org", "deliver alice@example.org" },
	{ "bob", "example.org", "deliver bob@example.org" },
	/* Subaddresses: the detail keeps its case; an exact record is first. */
	{ "bob+Lists", "example.org", "deliver bob@example.org +Lists" },
	{ "bob+a+b", "example.org", "deliver bob@example.org +a+b" },
	{ "bob+", "example.org", "deliver bob@example.org" },
	{ "bob+own", "example.org", "deliver bob+own@example.org" },
	{ "bob+own+x", "example.org", "deliver bob@example.org +own+x" },
	{ "bob+bad", "example.org", "blocked" },
	{ "+x", "example.org", "unknown" },
	{ "nobody", "example.org", "unknown" },
	{ "nobody+x", "example.org", "unknown" },
	{ "gone", "example.org", "disabled" },
	{ "gone+x", "example.org", "disabled" },
	{ "spam", "example.org", "blocked" },
	{ "spam+x", "example.org", "blocked" },
	/* Other domains. */
	{ "alice", "else.test", "not local" },
	{ "alice", "sub.example.org", "not local" },
	{ "alice", "[192.0.2.1]", "not local" },
	{ "alice", "off.test", "disabled" },
	{ "j\xc3\xbcrgen", "b\xc3\xbc" "cher.test",
	    "deliver j\xc3\xbcrgen@xn--bcher-kva.test" },
	{ "J\xc3\x9cRGEN", "xn--bcher-kva.test",
	    "deliver j\xc3\xbcrgen@xn--bcher-kva.test" },
	{ "ju\xcc\x88rgen", "xn--bcher-kva.test",
	    "deliver j\xc3\xbcrgen@xn--bcher-kva.test" },
	/* Aliases. */
	{ "sales", "example.org",
	    "forward alice@example.org=alice@example.org "
	    "bob+s@example.org=bob@example.org x@else.test" },
	{ "sales+x", "example.org",
	    "forward alice@example.org=alice@example.org "
	    "bob+s@example.org=bob@example.org x@else.test" },
	{ "all", "example.org",
	    "forward alice@example.org=alice@example.org "
	    "bob+s@example.org=bob@example.org x@else.test" },
	{ "loop1", "example.org", "unknown" },
	{ "self", "example.org", "forward bob@example.org=bob@example.org" },
	{ "dead", "example.org", "unknown" },
	{ "half", "example.org", "forward bob@example.org=bob@example.org" },
	{ "asleep", "example.org", "disabled" },
	{ "cross", "example.org",
	    "forward owner@catch.test=owner@catch.test" },
	/* Ten deep, and eleven. */
	{ "a1", "example.org",
	    "forward alice@example.org=alice@example.org" },
	{ "a0", "example.org", "error -7" },
	/* Catch-all. */
	{ "any", "catch.test", "forward owner@catch.test=owner@catch.test" },
	{ "owner", "catch.test", "deliver owner@catch.test" },
	{ "owner+y", "catch.test", "deliver owner@catch.test +y" },
	{ "bad", "catch.test", "blocked" },
	{ "any", "away.test", "forward someone@else.test" },
	/* Postmaster: the only admin's, or the oldest account's. */
	{ "postmaster", "example.org", "deliver alice@example.org" },
	{ "PostMaster", "xn--bcher-kva.test", "deliver alice@example.org" },
	{ "postmaster", "catch.test",
	    "forward owner@catch.test=owner@catch.test" },
	{ "postmaster", "", "deliver alice@example.org" },
	{ "Postmaster", "", "deliver alice@example.org" },
	{ "postmaster", "off.test", "disabled" },
	{ "root", "", "not local" },
	/* What cannot be an address. */
	{ "", "example.org", "unknown" },
	{ "", "else.test", "not local" },
	{ "a\nb", "example.org", "unknown" },
	{ "alice", "exa mple.org", "not local" },
	{ "1234567890123456789012345678901234567890123456789012345678901234x",
	    "example.org", "unknown" },
};
#define N_RESOLVE (sizeof(resolve_cases) / sizeof(resolve_cases[0]))

static char *resolved[N_RESOLVE];

static void
resolution_put(struct buf *b, const struct accounts_resolution *r)
{
	static const char *const words[] = { "deliver", "forward", "blocked",
		"unknown", "disabled", "not local" };

	buf_put_str(b, words[r->fate]);
	if (r->fate == ACCOUNTS_DELIVER)
		buf_printf(b, " %s", r->account);
	if (r->detail.n > 0)
		buf_printf(b, " +%.*s", (int)r->detail.n, r->detail.p);
	for (size_t i = 0; i < r->n_targets; i++) {
		buf_printf(b, " %s", r->targets[i]);
		if (r->target_is_local[i])
			buf_printf(b, "=%s", r->target_accounts[i]);
		else if (r->target_accounts[i] != NULL)
			buf_put_str(b, "=?");
	}
}

static void
run_resolve(void *arg)
{
	struct accounts *a = fixture_open(directory, *(unsigned *)arg);

	for (size_t i = 0; i < N_RESOLVE; i++) {
		const struct resolve_case *c = &resolve_cases[i];
		struct arena arena = { 0 };
		struct accounts_resolution r;
		struct buf b = BUF_INIT;
		int rc = accounts_resolve(a, &arena, slice_str(c->local),
		    slice_str(c->domain), &r);

		if (rc == 0)
			resolution_put(&b, &r);
		else
			buf_printf(&b, "error %d", rc);
		resolved[i] = slice_strdup(buf_slice(&b));
		buf_clear(&b);
		arena_reset(&arena);
	}
	accounts_close(&a);
}

static void
each_address_goes_where_it_belongs(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 3; seed++) {
		co_run(run_resolve, &seed);
		assert_string_equal(fixture_fault, "");
		for (size_t i = 0; i < N_RESOLVE; i++) {
			if (strcmp(resolved[i], resolve_cases[i].expected) != 0)
				print_error("<%s@%s>\n", resolve_cases[i].local,
				    resolve_cases[i].domain);
			assert_string_equal(resolved[i],
			    resolve_cases[i].expected);
			free(resolved[i]);
		}
	}
}

/* --- sending --- */

static const struct send_case {
	const char *account, *local, *domain;
	int expected;
} send_cases[] = {
	{ "alice@example.org", "alice", "example.org", 1 },
	{ "Alice@EXAMPLE.org", "ALICE", "example.org", 1 },
	{ "alice@example.org", "alice+x", "example.org", 1 },
	{ "alice@example.org", "sales", "example.org", 1 },
	{ "alice@example.org", "all", "example.org", 1 },
	{ "bob@example.org", "sales", "example.org", 1 },
	{ "alice@example.org", "bob", "example.org", 0 },
	{ "bob@example.org", "bob+own", "example.org", 0 },
	{ "alice@example.org", "nobody", "example.org", 0 },
	{ "alice@example.org", "spam", "example.org", 0 },
	{ "alice@example.org", "alice", "else.test", 0 },
	{ "alice@example.org", "x", "else.test", 0 },
	{ "owner@catch.test", "whatever", "catch.test", 1 },
	{ "owner@catch.test", "a b", "catch.test", 1 },
	{ "owner@catch.test", "\"a b\"", "catch.test", 1 },
	{ "owner@catch.test", "\"bad\"", "catch.test", 0 },
	{ "owner@catch.test", "bad", "catch.test", 0 },
	{ "alice@example.org", "whatever", "catch.test", 0 },
	{ "alice@example.org", "", "", 0 },
	/* Granted: as it is, with a subaddress, with all of a domain. */
	{ "bob@example.org", "boss", "example.org", 1 },
	{ "bob@example.org", "BOSS+a", "example.org", 1 },
	{ "bob@example.org", "boss2", "example.org", 0 },
	{ "alice@example.org", "boss", "example.org", 0 },
	{ "bob@example.org", "me+x", "else.test", 1 },
	{ "bob@example.org", "me", "else.test", 0 },
	{ "bob@example.org", "me+xx", "else.test", 0 },
	{ "bob@example.org", "any", "xn--bcher-kva.test", 1 },
	{ "bob@example.org", "any", "B\xc3\xbc" "cher.test", 1 },
	{ "bob@example.org", "any", "sub.xn--bcher-kva.test", 0 },
	{ "bob@example.org", "spam", "example.org", 1 },
	{ "bob@example.org", "boss", "", 0 },
	{ "not an address", "alice", "example.org", 0 },
	{ "", "", "example.org", 0 },
};
#define N_SEND (sizeof(send_cases) / sizeof(send_cases[0]))

static int may_send[N_SEND];

static void
run_send(void *arg)
{
	struct accounts *a = fixture_open(directory, 4);

	(void)arg;
	for (size_t i = 0; i < N_SEND; i++)
		may_send[i] = accounts_may_send_as(a,
		    slice_str(send_cases[i].account),
		    slice_str(send_cases[i].local),
		    slice_str(send_cases[i].domain));
	accounts_close(&a);
}

static void
one_sends_as_whom_one_gets_mail_for(void **state)
{
	(void)state;
	co_run(run_send, NULL);
	for (size_t i = 0; i < N_SEND; i++) {
		if (may_send[i] != send_cases[i].expected)
			print_error("%s as %s@%s\n", send_cases[i].account,
			    send_cases[i].local, send_cases[i].domain);
		assert_int_equal(may_send[i], send_cases[i].expected);
	}
}

/* --- writing --- */

#define NOTES_MAX 40
static struct {
	int rc[NOTES_MAX];
	char err[NOTES_MAX][160];
	size_t n;
} notes;

static void
note(int rc, struct buf *err)
{
	notes.rc[notes.n] = rc;
	snprintf(notes.err[notes.n], sizeof(notes.err[0]), "%s", buf_str(err));
	notes.n++;
	buf_reset(err);
}

static int
put_account(struct accounts *a, const char *address, bool add, struct buf *err)
{
	return accounts_account_put(a,
	    &(struct accounts_account) { .address = address, .name = "" }, add,
	    err);
}

static int
put_alias(struct accounts *a, const char *address, const char *target,
    bool add, struct buf *err)
{
	return accounts_address_put(a,
	    &(struct accounts_address) { .address = address,
		.targets = &target,
		.n_targets = target != NULL },
	    add, err);
}

static int
put_domain(struct accounts *a, const char *name, bool add, struct buf *err)
{
	return accounts_domain_put(a, &(struct accounts_domain) { .name = name },
	    add, err);
}

static const struct {
	int rc;
	const char *err;
} write_expected[] = {
	{ -EEXIST, "domain example.org exists" },
	{ -ENOENT, "no domain other.org" },
	{ -EINVAL, "exa mple: not a domain name" },
	{ -EINVAL, "[192.0.2.1]: not a domain name" },
	{ -ENOENT, "no domain other.org" },
	{ -EEXIST, "alice@example.org exists: it is an account" },
	{ -EEXIST, "sales@example.org exists: it is an alias" },
	{ -ENOENT, "no account carol@example.org" },
	{ -ENOENT, "sales@example.org is an alias" },
	{ -EINVAL, "example.org: not an address (name@domain)" },
	{ -EEXIST, "alice@example.org exists: it is an account" },
	{ -ENOENT, "alice@example.org is an account" },
	{ -EINVAL, "an address needs a target, or to be blocked" },
	{ -EINVAL, "nowhere: not an address (name@domain)" },
	{ -ENOTEMPTY, "domain example.org has accounts or addresses" },
	{ -ENOENT, "no account sales@example.org" },
	{ -ENOENT, "alice@example.org has no password \"phone\"" },
	{ -EINVAL, "a password needs a name" },
	{ -EINVAL, "name of the password: has a control character" },
	{ 0, "" },
	{ -ENOENT, "no account bob@example.org" },
	{ 0, "" },
	{ 0, "" },
	{ 0, "" },
	{ -ENOENT, "no domain example.org" },
	{ 0, "" },
};

static void
run_write(void *arg)
{
	struct accounts *a = fixture_open("domain example.org\n"
	    "account alice@example.org\naccount bob@example.org\n"
	    "alias sales@example.org bob@example.org\n", *(unsigned *)arg);
	struct slice alice = slice_str("alice@example.org");
	struct slice sales = slice_str("sales@example.org");
	struct slice bob = slice_str("bob@example.org");
	struct slice pw = slice_str("secret");
	struct buf err = BUF_INIT;

	notes.n = 0;
	note(put_domain(a, "Example.Org", true, &err), &err);
	note(put_domain(a, "other.org", false, &err), &err);
	note(put_domain(a, "exa mple", true, &err), &err);
	note(put_domain(a, "[192.0.2.1]", true, &err), &err);
	note(put_account(a, "x@other.org", true, &err), &err);
	note(put_account(a, "alice@example.org", true, &err), &err);
	note(put_account(a, "sales@example.org", true, &err), &err);
	note(put_account(a, "carol@example.org", false, &err), &err);
	note(put_account(a, "sales@example.org", false, &err), &err);
	note(put_account(a, "example.org", true, &err), &err);
	note(put_alias(a, "alice@example.org", "x@y.test", true, &err), &err);
	note(put_alias(a, "alice@example.org", "x@y.test", false, &err), &err);
	note(put_alias(a, "none@example.org", NULL, true, &err), &err);
	note(put_alias(a, "bad@example.org", "nowhere", true, &err), &err);
	note(accounts_domain_remove(a, slice_str("example.org"), &err), &err);
	note(accounts_password_set(a, sales, "password", pw, 0, &err), &err);
	note(accounts_credential_remove(a, alice, "phone", &err), &err);
	note(accounts_password_set(a, alice, "", pw, 0, &err), &err);
	note(accounts_password_set(a, alice, "a\nb", pw, 0, &err), &err);
	note(accounts_account_remove(a, bob, &err), &err);
	note(accounts_account_remove(a, bob, &err), &err);
	note(accounts_account_remove(a, alice, &err), &err);
	note(accounts_address_remove(a, sales, &err), &err);
	note(accounts_domain_remove(a, slice_str("example.org"), &err), &err);
	note(accounts_domain_remove(a, slice_str("example.org"), &err), &err);
	note(put_domain(a, "example.org", true, &err), &err);
	buf_clear(&err);
	accounts_close(&a);
}

static void
writers_refuse_with_a_reason(void **state)
{
	size_t n = sizeof(write_expected) / sizeof(write_expected[0]);

	(void)state;
	for (unsigned seed = 1; seed <= 5; seed++) {
		co_run(run_write, &seed);
		assert_string_equal(fixture_fault, "");
		assert_int_equal(notes.n, n);
		for (size_t i = 0; i < n; i++) {
			assert_string_equal(notes.err[i],
			    write_expected[i].err);
			assert_int_equal(notes.rc[i], write_expected[i].rc);
		}
	}
}

/* --- many at once --- */

static struct accounts *shared;
static int add_rc[20];

static void
add_same(void *arg)
{
	struct buf err = BUF_INIT;

	*(int *)arg = put_account(shared, "one@example.org", true, &err);
	buf_clear(&err);
}

static void
run_race(void *arg)
{
	struct co_group g = { 0 };

	(void)arg;
	shared = fixture_open("domain example.org\n", 9);
	for (size_t i = 0; i < 20; i++)
		co_group_spawn(&g, add_same, &add_rc[i]);
	co_group_join(&g);
	accounts_close(&shared);
}

static void
of_many_who_add_the_same_one_succeeds(void **state)
{
	int good = 0;

	(void)state;
	co_run(run_race, NULL);
	for (size_t i = 0; i < 20; i++) {
		good += add_rc[i] == 0;
		assert_true(add_rc[i] == 0 || add_rc[i] == -EEXIST);
	}
	assert_int_equal(good, 1);
}

/* --- records --- */

static struct {
	int rc_list;
	size_t n_accounts, n_addresses, n_domains, n_all;
	char first[64], name[64], second_domain[64];
	uint64_t quota;
	bool admin;
	char postmaster[4][64];
} lists;

static void
note_postmaster(struct accounts *a, char out[64])
{
	struct arena arena = { 0 };
	struct slice v = SLICE_EMPTY;

	if (accounts_meta(a, &arena, "postmaster", &v) == 0)
		snprintf(out, 64, "%.*s", (int)v.n, v.p);
	arena_reset(&arena);
}

static void
run_lists(void *arg)
{
	struct accounts *a = fixture_open(
	    "domain b.test\ndomain a.test\naccount z@b.test\n"
	    "account c@a.test\naccount a@a.test\nblocked x@a.test\n", 11);
	struct accounts_account *v, one;
	struct accounts_address *o;
	struct accounts_domain *d;
	struct arena arena = { 0 };
	struct buf err = BUF_INIT;
	size_t n;

	(void)arg;
	note_postmaster(a, lists.postmaster[0]);
	lists.rc_list = accounts_account_list(a, &arena, slice_str("A.test"),
	    &v, &lists.n_accounts);
	snprintf(lists.first, sizeof(lists.first), "%s", v[0].address);
	accounts_account_list(a, &arena, SLICE_EMPTY, &v, &lists.n_all);
	accounts_address_list(a, &arena, SLICE_EMPTY, &o, &lists.n_addresses);
	accounts_domain_list(a, &arena, &d, &lists.n_domains);
	snprintf(lists.second_domain, 64, "%s", d[1].name);
	one = (struct accounts_account) { .address = "A@a.test",
		.name = "J\xc3\xbcrgen \"J\"", .admin = true,
		.quota_octets = (uint64_t)1 << 40 };
	accounts_account_put(a, &one, false, &err);
	note_postmaster(a, lists.postmaster[1]);
	accounts_account_get(a, &arena, slice_str("a@A.TEST"), &one);
	snprintf(lists.name, sizeof(lists.name), "%s", one.name);
	lists.quota = one.quota_octets;
	lists.admin = one.admin;
	accounts_account_remove(a, slice_str("a@a.test"), &err);
	note_postmaster(a, lists.postmaster[2]);
	if (accounts_account_list(a, &arena, slice_str("no.test"), &v, &n) !=
	    -ENOENT)
		lists.rc_list = -1;
	buf_clear(&err);
	arena_reset(&arena);
	accounts_close(&a);
}

static void
records_come_back_as_they_were_put(void **state)
{
	(void)state;
	co_run(run_lists, NULL);
	assert_int_equal(lists.rc_list, 0);
	assert_int_equal(lists.n_accounts, 2);
	assert_int_equal(lists.n_all, 3);
	assert_int_equal(lists.n_addresses, 1);
	assert_int_equal(lists.n_domains, 2);
	assert_string_equal(lists.first, "a@a.test");
	assert_string_equal(lists.second_domain, "b.test");
	assert_string_equal(lists.name, "J\xc3\xbcrgen \"J\"");
	assert_true(lists.quota == (uint64_t)1 << 40);
	assert_true(lists.admin);
	assert_string_equal(lists.postmaster[0], "z@b.test");
	assert_string_equal(lists.postmaster[1], "a@a.test");
	/* One of those that were added in the same second. */
	assert_non_null(strstr("z@b.test c@a.test", lists.postmaster[2]));
	assert_string_not_equal(lists.postmaster[2], "");
}

#define DIGESTS 7
static unsigned char digests[DIGESTS][ACCOUNTS_DIGEST_LEN];
static int digest_rc[DIGESTS];

static void
note_digest(struct accounts *a, size_t i)
{
	struct arena arena = { 0 };

	digest_rc[i] = accounts_passwords_digest(
	    a, &arena, slice_str("A@a.test"), digests[i]);
	arena_reset(&arena);
}

/* All in the same second, as far as the records tell. */
static void
set_password(struct accounts *a, const char *name, const char *password)
{
	struct buf err = BUF_INIT;

	fixture_note(password,
	    accounts_password_change(a, slice_str("a@a.test"),
		&(struct accounts_password_change) { .name = name,
		    .password = slice_str(password),
		    .created_s = 1000 },
		&err),
	    &err);
	buf_clear(&err);
}

static void
run_digests(void *arg)
{
	struct accounts *a = fixture_open("domain a.test\n", 13);
	struct accounts_account one = { .address = "a@a.test", .name = "" };
	struct buf err = BUF_INIT;

	(void)arg;
	note_digest(a, 0);
	accounts_account_put(a, &one, true, &err);
	set_password(a, "password", "one");
	note_digest(a, 1);
	set_password(a, "password", "two");
	note_digest(a, 2);
	set_password(a, "phone", "three");
	note_digest(a, 3);
	one.name = "Somebody else";
	accounts_account_put(a, &one, false, &err);
	note_digest(a, 4);
	accounts_credential_remove(a, slice_str("a@a.test"), "phone", &err);
	note_digest(a, 5);
	one.disabled = true;
	accounts_account_put(a, &one, false, &err);
	note_digest(a, 6);
	fixture_note("digests", 0, &err);
	buf_clear(&err);
	accounts_close(&a);
}

static bool
same_digest(size_t i, size_t j)
{
	return memcmp(digests[i], digests[j], ACCOUNTS_DIGEST_LEN) == 0;
}

static void
passwords_are_told_apart_within_a_second(void **state)
{
	(void)state;
	co_run(run_digests, NULL);
	assert_string_equal(fixture_fault, "");
	assert_int_equal(digest_rc[0], -ENOENT);
	for (size_t i = 1; i < DIGESTS - 1; i++)
		assert_int_equal(digest_rc[i], 0);
	assert_int_equal(digest_rc[6], -ENOENT);
	assert_false(same_digest(1, 2));
	assert_false(same_digest(2, 3));
	assert_true(same_digest(3, 4)); /* of passwords, and nothing else */
	assert_true(same_digest(2, 5));
}

static void
records_keep_what_they_do_not_know(void **state)
{
	struct slice old = SLICE_LIT("{\"kind\":\"account\",\"name\":\"A\","
				     "\"disabled\":true,\"later\":[1,{}]}");
	struct name_record r = { .kind = KIND_ACCOUNT };
	struct arena arena = { 0 };
	struct buf out = BUF_INIT;

	(void)state;
	r.account.name = "B";
	assert_int_equal(record_name_encode(old, &r, &out), 0);
	assert_string_equal(buf_str(&out),
	    "{\"kind\":\"account\",\"name\":\"B\",\"later\":[1,{}]}");
	assert_int_equal(record_name_decode(&arena, buf_slice(&out), &r), 0);
	assert_string_equal(r.account.name, "B");
	assert_false(r.account.disabled);
	buf_clear(&out);
	arena_reset(&arena);
}

static void
damaged_records_are_an_error(void **state)
{
	static const char *const names[] = { "", "{", "[]", "null", "1",
		"{\"kind\":\"account\",\"name\":1}", "{\"kind\":\"x\"}", "{}",
		"{\"kind\":\"alias\",\"targets\":{}}",
		"{\"kind\":\"alias\",\"targets\":[1]}",
		"{\"kind\":\"account\",\"quota_octets\":-1}",
		"{\"kind\":\"account\",\"kind\":\"alias\"}",
		"{\"a\":[[[[[[[[[[[[]]]]]]]]]]]]}" };
	static const char *const credentials[] = { "{\"hash\":1}",
		"{\"hash\":\"\",\"scram_sha_256\":{}}",
		"{\"hash\":\"\",\"scram_sha_256\":1}",
		"{\"hash\":\"\",\"scram_sha_256\":{\"iterations\":1,"
		"\"salt\":\"AAAA\",\"stored_key\":\"AAAA\","
		"\"server_key\":\"AAAA\"}}",
		"{\"scopes\":\"imap\"}" };
	struct credential_record c;
	struct accounts_domain d;
	struct name_record r;
	struct arena a = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(record_name_decode(&a, slice_str(names[i]),
				     &r), -EIO);
	for (size_t i = 0; i < sizeof(credentials) / sizeof(credentials[0]);
	     i++)
		assert_int_equal(record_credential_decode(&a,
				     slice_str(credentials[i]), &c), -EIO);
	assert_int_equal(record_domain_decode(&a,
			     SLICE_LIT("{\"catch_all\":\"x\"}"), &d), -EIO);
	/* A scope of a newer version does not turn into all of them. */
	assert_int_equal(record_credential_decode(&a,
			     SLICE_LIT("{\"scopes\":[\"sieve\"]}"), &c), 0);
	assert_int_not_equal(c.public.scopes, 0);
	assert_int_equal(c.public.scopes & (ACCOUNTS_IMAP | ACCOUNTS_API), 0);
	arena_reset(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_address_goes_where_it_belongs),
		cmocka_unit_test(one_sends_as_whom_one_gets_mail_for),
		cmocka_unit_test(writers_refuse_with_a_reason),
		cmocka_unit_test(of_many_who_add_the_same_one_succeeds),
		cmocka_unit_test(records_come_back_as_they_were_put),
		cmocka_unit_test(passwords_are_told_apart_within_a_second),
		cmocka_unit_test(records_keep_what_they_do_not_know),
		cmocka_unit_test(damaged_records_are_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
