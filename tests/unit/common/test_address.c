/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#include "common/mail/address.h"

#define N(a) (sizeof(a) / sizeof(*(a)))

/* Each address as name|route|local|domain, "!" before it when broken; groups
 * as "{name" and "}"; all separated by ";". */
static const struct {
	const char *value, *list;
} lists[] = {
	/* RFC 5322 A.1 */
	{ "John Doe <jdoe@machine.example>", "John Doe||jdoe|machine.example" },
	{ "Mary Smith <mary@example.net>", "Mary Smith||mary|example.net" },
	{ "\"Joe Q. Public\" <john.q.public@example.com>",
	    "Joe Q. Public||john.q.public|example.com" },
	{ "Mary Smith <mary@x.test>, jdoe@example.org, Who? <one@y.test>",
	    "Mary Smith||mary|x.test;||jdoe|example.org;Who?||one|y.test" },
	{ "<boss@nil.test>, \"Giant; \\\"Big\\\" Box\" "
	  "<sysservices@example.net>",
	    "||boss|nil.test;Giant; \"Big\" Box||sysservices|example.net" },
	{ "Pete <pete@silly.example>", "Pete||pete|silly.example" },
	{ "A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;",
	    "{A Group;Ed Jones||c|a.test;||joe|where.test;"
	    "John||jdoe|one.test;}" },
	{ "Undisclosed recipients:;", "{Undisclosed recipients;}" },
	/* A.5: comments and white space */
	{ "Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>",
	    "Pete||pete|silly.test" },
	{ "A Group(Some people)\r\n     :Chris Jones <c@(Chris's host.)"
	  "public.example>,\r\n         joe@example.org,\r\n  John "
	  "<jdoe@one.test> (my dear friend); (the end of the group)",
	    "{A Group;Chris Jones||c|public.example;||joe|example.org;"
	    "John||jdoe|one.test;}" },
	{ "(Empty list)(start)Hidden recipients  :(nobody(that I know))  ;",
	    "{Hidden recipients;}" },
	/* A.6: obsolete forms */
	{ "Joe Q. Public <john.q.public@example.com>",
	    "Joe Q. Public||john.q.public|example.com" },
	{ "Mary Smith <@node.test:mary@example.net>, , jdoe@test  . example",
	    "Mary Smith|@node.test|mary|example.net;||jdoe|test.example" },
	{ "<@a.test,@b.test:joe@c.test>", "|@a.test,@b.test|joe|c.test" },
	{ "john . doe @ example . com", "||john.doe|example.com" },
	/* the old form of a name */
	{ "jdoe@example.org (John Doe)", "John Doe||jdoe|example.org" },
	{ "<jdoe@example.org> (John Doe)", "John Doe||jdoe|example.org" },
	{ "(not me) John <jdoe@example.org>", "John||jdoe|example.org" },
	/* local parts and domains */
	{ "\"john doe\"@example.org", "||john doe|example.org" },
	{ "\"a@b\"@example.org", "||a@b|example.org" },
	{ "joe@[192.0.2.1]", "||joe|[192.0.2.1]" },
	{ "Joe <joe@[IPv6:2001:db8::1]>", "Joe||joe|[IPv6:2001:db8::1]" },
	{ "joe@[IPv6:2001:db8::1], x@y", "||joe|[IPv6:2001:db8::1];||x|y" },
	{ "a+b=c@x.org", "||a+b=c|x.org" },
	{ "j\xc3\xbcrgen@b\xc3\xbc"
	  "cher.example",
	    "||j\xc3\xbcrgen|b\xc3\xbc"
	    "cher.example" },
	/* encoded names */
	{ "=?utf-8?q?J=C3=BCrgen?= <j@x.org>", "J\xc3\xbcrgen||j|x.org" },
	{ "\"=?utf-8?q?J=C3=BCrgen?=\" <j@x.org>", "J\xc3\xbcrgen||j|x.org" },
	{ "=?utf-8?q?A?= =?utf-8?q?B?= <j@x.org>", "AB||j|x.org" },
	{ "=?utf-8?q?A=2C_B?= <j@x.org>, c@d", "A, B||j|x.org;||c|d" },
	/* names with what must be quoted */
	{ "a@b.org <c@d.org>", "a@b.org||c|d.org" },
	{ "[List] Joe <c@d.org>", "[List] Joe||c|d.org" },
	{ "J.R. \"Bob\" Dobbs <c@d.org>", "J.R. Bob Dobbs||c|d.org" },
	{ "\"\" <c@d.org>", "||c|d.org" },
	/* separators */
	{ "a@b;c@d", "||a|b;||c|d" },
	{ ",, a@b ,,", "||a|b" },
	{ "", "" },
	{ " \r\n ", "" },
	{ "(only a comment)", "" },
	/* broken, and shown */
	{ "root", "!||root|" },
	{ "John Doe", "!||John Doe|" },
	{ "@x.org", "!|||x.org" },
	{ "joe@", "!||joe|" },
	{ "<>", "!|||" },
	{ "Joe <>", "!Joe|||" },
	{ "Joe <joe@x.org", "!Joe||joe|x.org" },
	{ "Joe <joe@x.org, c@d", "!Joe||joe|x.org;||c|d" },
	{ "Joe <joe@x.org> junk", "Joe||joe|x.org;!||junk|" },
	{ "A <a@b> B <c@d>", "A||a|b;B||c|d" },
	{ "a@b@c", "!||a@b|c" },
	{ "<a@b@c>", "!||a@b|c" },
	{ "Joe joe@x.org", "!Joe||joe|x.org" },
	{ "joe@x.org Joe, c@d", "!||joe|x.org;||c|d" },
	{ "<joe doe@x.org>", "!||joe doe|x.org" },
	{ "Group: a@b, c@d", "{Group;||a|b;||c|d;}" },
	{ "Group: a@b; c@d", "{Group;||a|b;};||c|d" },
	{ "A: B: c@d;", "{A;!B:||c|d;}" },
	{ "\"never ends <a@b>", "!||never ends <a@b>|" },
	{ "a@b (never ends, c@d", "never ends, c@d||a|b" },
	{ "> < )(", "!>||)|" },
	{ "mailto:joe@x.org", "{mailto;||joe|x.org;}" },
};

static void
put_list(struct buf *b, const struct address_list *list)
{
	for (size_t i = 0; i < list->n; i++) {
		const struct address *m = &list->v[i];

		if (i > 0)
			buf_put_char(b, ';');
		if (m->kind == ADDRESS_GROUP_END) {
			buf_put_char(b, '}');
			continue;
		}
		if (m->kind == ADDRESS_GROUP_START) {
			buf_put_char(b, '{');
			buf_put_slice(b, m->name);
			continue;
		}
		buf_put_str(b, m->broken ? "!" : "");
		buf_put_slice(b, m->name);
		buf_put_char(b, '|');
		buf_put_slice(b, m->route);
		buf_put_char(b, '|');
		buf_put_slice(b, m->local);
		buf_put_char(b, '|');
		buf_put_slice(b, m->domain);
	}
}

static void
lists_are_parsed(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(lists); i++) {
		struct arena a = { 0 };
		struct address_list list;
		struct buf b = BUF_INIT;

		assert_int_equal(
		    address_list_parse(&a, slice_str(lists[i].value), &list),
		    0);
		put_list(&b, &list);
		assert_string_equal(buf_str(&b), lists[i].list);
		buf_clear(&b);
		arena_reset(&a);
	}
}

static void
raw_names_keep_their_encoded_words(void **state)
{
	struct arena a = { 0 };
	struct address_list list;

	(void)state;
	address_list_parse(
	    &a, SLICE_LIT("=?utf-8?q?J=C3=BCrgen?= X <j@x>"), &list);
	assert_true(
	    slice_eq_str(list.v[0].raw_name, "=?utf-8?q?J=C3=BCrgen?= X"));
	address_list_parse(&a, SLICE_LIT("j@x"), &list);
	assert_null(list.v[0].raw_name.p);
	assert_null(list.v[0].route.p);
	address_list_parse(&a, SLICE_LIT("root"), &list);
	assert_null(list.v[0].domain.p);
	assert_null(address_list_first(&list));
	address_list_parse(&a, SLICE_LIT("G: root, j@x;"), &list);
	assert_true(slice_eq_str(address_list_first(&list)->local, "j"));
	arena_reset(&a);
}

static void
a_list_has_a_bound(void **state)
{
	struct arena a = { 0 };
	struct address_list list;
	struct buf b = BUF_INIT;

	(void)state;
	buf_put_str(&b, "group:");
	for (int i = 0; i < ADDRESS_LIST_MAX + 10; i++)
		buf_put_str(&b, "a@b,");
	assert_int_equal(address_list_parse(&a, buf_slice(&b), &list), 0);
	assert_true(list.truncated);
	assert_int_equal(list.n, ADDRESS_LIST_MAX + 1);
	assert_int_equal(list.v[list.n - 1].kind, ADDRESS_GROUP_END);
	buf_clear(&b);
	arena_reset(&a);
	a.max = 1000;
	assert_int_equal(address_list_parse(&a,
			     SLICE_LIT("a@b,a@b,a@b,a@b,a@b,a@b,a@b"), &list),
	    -ENOMEM);
	arena_reset(&a);
}

static const struct {
	const char *name, *local, *domain;
	bool utf8;
	const char *text;
} written[] = {
	{ NULL, "joe", "x.org", false, "joe@x.org" },
	{ "Joe", "joe", "x.org", false, "Joe <joe@x.org>" },
	{ "J. Doe", "joe", "x.org", false, "\"J. Doe\" <joe@x.org>" },
	{ "J\xc3\xbcrgen", "j", "x.org", false,
	    "=?utf-8?q?J=C3=BCrgen?= <j@x.org>" },
	{ "J\xc3\xbcrgen", "j", "x.org", true, "\"J\xc3\xbcrgen\" <j@x.org>" },
	{ NULL, "joe doe", "x.org", false, "\"joe doe\"@x.org" },
	{ NULL, "a..b", "x.org", false, "\"a..b\"@x.org" },
	{ NULL, "a\"b\\", "x.org", false, "\"a\\\"b\\\\\"@x.org" },
	{ NULL, "joe", "", false, "joe" },
};

static void
addresses_are_written(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(written); i++) {
		struct address m = { .local = slice_str(written[i].local),
			.domain = slice_str(written[i].domain) };
		struct buf b = BUF_INIT;

		if (written[i].name != NULL)
			m.name = slice_str(written[i].name);
		assert_true(address_put(&b, &m, written[i].utf8));
		assert_string_equal(buf_str(&b), written[i].text);
		buf_clear(&b);
	}
}

#define A16 "aaaaaaaaaaaaaaaa"
#define A64 A16 A16 A16 A16

static const struct {
	const char *address, *canonical; /* NULL: -EINVAL */
} canonicals[] = {
	{ "joe@x.org", "joe@x.org" },
	{ "Joe.DOE@X.Org", "joe.doe@x.org" },
	{ "joe@x.org.", "joe@x.org" },
	{ "\"joe\"@x.org", "joe@x.org" },
	{ "\"Joe Doe\"@x.org", "\"joe doe\"@x.org" },
	{ "\"a\\b\"@x.org", "ab@x.org" },
	{ "\"a@b\"@x.org", "\"a@b\"@x.org" },
	{ "a..b@x.org", "\"a..b\"@x.org" },
	{ "\"a..b\"@x.org", "\"a..b\"@x.org" },
	{ "joe+tag@x.org", "joe+tag@x.org" },
	{ "joe@B\xc3\x9c"
	  "CHER.example",
	    "joe@xn--bcher-kva.example" },
	{ "joe@XN--bcher-kva.example", "joe@xn--bcher-kva.example" },
	/* NFD and NFC, upper and lower */
	{ "Ju\xcc\x88rgen@x.org", "j\xc3\xbcrgen@x.org" },
	{ "J\xc3\x9cRGEN@x.org", "j\xc3\xbcrgen@x.org" },
	{ "joe@stra\xc3\x9f"
	  "e.example",
	    "joe@xn--strae-oqa.example" },
	{ "joe@\xe4\xbe\x8b\xe3\x81\x88.\xe3\x83\x86\xe3\x82\xb9\xe3\x83\x88",
	    "joe@xn--r8jz45g.xn--zckzah" },
	{ "joe@[192.0.2.1]", "joe@[192.0.2.1]" },
	{ "joe@[IPv6:2001:DB8::1]", "joe@[ipv6:2001:db8::1]" },
	{ "joe@localhost", "joe@localhost" },
	{ "joe@_srv.x.org", "joe@_srv.x.org" },
	{ A64 "@x.org", A64 "@x.org" },
	{ A64 "a@x.org", NULL },
	{ "a@" A16 A16 A16 "aaaaaaaaaaaaaaa.org",
	    "a@" A16 A16 A16 "aaaaaaaaaaaaaaa.org" },
	{ "a@" A64 ".org", NULL },
	{ "", NULL },
	{ "joe", NULL },
	{ "@x.org", NULL },
	{ "joe@", NULL },
	{ "joe@.", NULL },
	{ "joe@x..org", NULL },
	{ "joe@.x.org", NULL },
	{ "joe@-x.org", NULL },
	{ "joe@x-.org", NULL },
	{ "joe@x org", NULL },
	{ "joe@x\r\norg", NULL },
	{ "jo e@x.org", NULL },
	{ "jo\re@x.org", NULL },
	{ "<joe@x.org>", NULL },
	{ "\"joe@x.org", NULL },
	{ "\"joe\"x@x.org", NULL },
	{ "\"\"@x.org", NULL },
	{ "\"a\x01\"@x.org", NULL },
	{ "j\xfc@x.org", NULL },
	{ "joe@\xfc.org", NULL },
	{ "a@b@x.org", NULL },
	{ "joe@[]", NULL },
	{ "joe@[1.2.3.4", NULL },
};

static void
addresses_have_one_canonical_form(void **state)
{
	struct arena a = { 0 };

	(void)state;
	for (size_t i = 0; i < N(canonicals); i++) {
		struct slice out = SLICE_LIT("untouched"), again;
		int rc = address_canonical(
		    &a, slice_str(canonicals[i].address), &out);

		if (canonicals[i].canonical == NULL) {
			assert_int_equal(rc, -EINVAL);
			assert_true(slice_eq_str(out, "untouched"));
			continue;
		}
		assert_int_equal(rc, 0);
		assert_string_equal(
		    arena_strdup(&a, out), canonicals[i].canonical);
		assert_int_equal(address_canonical(&a, out, &again), 0);
		assert_true(slice_eq(out, again));
	}
	arena_reset(&a);
}

static void
domains_are_shown_to_people(void **state)
{
	struct arena a = { 0 };

	(void)state;
	assert_true(
	    slice_eq_str(domain_display(&a, SLICE_LIT("xn--bcher-kva.example")),
		"b\xc3\xbc"
		"cher.example"));
	assert_true(
	    slice_eq_str(domain_display(&a, SLICE_LIT("x.org")), "x.org"));
	assert_true(
	    slice_eq_str(domain_display(&a, SLICE_LIT("xn--zzzzz---.org")),
		"xn--zzzzz---.org"));
	arena_reset(&a);
}

static void
addresses_are_split(void **state)
{
	struct slice l, d;

	(void)state;
	assert_int_equal(address_split(SLICE_LIT("\"a@b\"@c"), &l, &d), 0);
	assert_true(slice_eq_str(l, "\"a@b\"") && slice_eq_str(d, "c"));
	assert_int_equal(address_split(SLICE_LIT("a@b@c"), &l, &d), 0);
	assert_true(slice_eq_str(l, "a@b") && slice_eq_str(d, "c"));
	assert_int_equal(address_split(SLICE_LIT("\"a\"b@c"), &l, &d), -EINVAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_are_parsed),
		cmocka_unit_test(raw_names_keep_their_encoded_words),
		cmocka_unit_test(a_list_has_a_bound),
		cmocka_unit_test(addresses_are_written),
		cmocka_unit_test(addresses_have_one_canonical_form),
		cmocka_unit_test(domains_are_shown_to_people),
		cmocka_unit_test(addresses_are_split),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
