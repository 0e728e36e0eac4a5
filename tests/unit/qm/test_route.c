/* SPDX-License-Identifier: ISC */
/* Routes from a DNS that stands in a table. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qm/route.h"

/* "10 mx1 10 mx2" sorted; "!" temporary failure, "" no such records, NULL
 * (not in the table) no such name. */
struct record {
	const char *name, *mx, *addresses;
};
static const struct record zone[] = {
	{ "one.lab", "10 mx.one.lab", "" },
	{ "mx.one.lab", "", "192.0.2.1" },
	{ "two.lab", "10 a.two.lab 20 b.two.lab", "192.0.2.99" },
	{ "a.two.lab", "", "2001:db8::1 192.0.2.2" },
	{ "b.two.lab", "", "192.0.2.3" },
	{ "implicit.lab", "", "192.0.2.4" },
	{ "empty.lab", "", "" },
	{ "nullmx.lab", "0 .", "192.0.2.5" },
	{ "later.lab", "!", "192.0.2.6" },
	{ "later-a.lab", "", "!" },
	{ "later-host.lab", "10 bad.lab 20 b.two.lab", "" },
	{ "bad.lab", "", "!" },
	{ "only-bad.lab", "10 bad.lab", "" },
	{ "dangling.lab", "10 nowhere.lab 20 empty.lab", "192.0.2.7" },
	{ "half.lab", "10 nowhere.lab 20 mx.one.lab", "" },
	{ "backup.lab", "5 a.two.lab 10 self.lab 20 b.two.lab", "" },
	{ "best.lab", "10 self.lab 20 b.two.lab", "" },
	{ "equal.lab", "10 mx.one.lab 10 self.lab 20 b.two.lab", "" },
	{ "equal-low.lab", "5 b.two.lab 10 mx.one.lab 10 self.lab", "" },
	{ "byaddr.lab", "5 a.two.lab 10 me.lab 20 b.two.lab", "" },
	{ "equal-byaddr.lab", "5 b.two.lab 10 mx.one.lab 10 me.lab", "" },
	{ "me.lab", "", "198.51.100.1" },
	{ "self.lab", "", "198.51.100.9" },
	{ "xn--bcher-kva.lab", "10 mx.one.lab", "" },
	{ "many.lab",
	    "1 h1.lab 2 h2.lab 3 h3.lab 4 h4.lab 5 h5.lab 6 h6.lab 7 h7.lab "
	    "8 h8.lab 9 h9.lab 10 h10.lab 11 h11.lab 12 self.lab",
	    "" },
	{ "h1.lab", "", "192.0.2.11 192.0.2.12 192.0.2.13 192.0.2.14" },
	{ "h2.lab", "", "192.0.2.21 192.0.2.22 192.0.2.23 192.0.2.24" },
	{ "h3.lab", "", "192.0.2.31 192.0.2.32 192.0.2.33 192.0.2.34" },
	{ "h4.lab", "", "192.0.2.41 192.0.2.42 192.0.2.43 192.0.2.44" },
	{ "h5.lab", "", "192.0.2.51 192.0.2.52 192.0.2.53 192.0.2.54" },
	{ "h6.lab", "", "192.0.2.61 192.0.2.62 192.0.2.63 192.0.2.64" },
	{ NULL, NULL, NULL },
};

static const struct record *
look_up(const char *name)
{
	const struct record *r = zone;

	while (r->name != NULL && strcmp(r->name, name) != 0)
		r++;
	return r->name == NULL ? NULL : r;
}

static struct slice
word(struct slice *rest)
{
	return slice_split(rest, ' ');
}

static int
fake_mx(void *arg, struct arena *a, const char *domain, struct dns_mx **out,
    size_t *n, bool *secure)
{
	const struct record *r = look_up(domain);
	struct slice rest;

	(void)arg;
	*secure = strcmp(domain, "two.lab") == 0; /* the one that is signed */
	if (r == NULL)
		return -ENOENT;
	if (r->mx[0] == '\0')
		return -ENODATA;
	if (r->mx[0] == '!')
		return -EAGAIN;
	*out = arena_array(a, 20, sizeof(**out));
	rest = slice_str(r->mx);
	for (*n = 0; rest.n > 0; ++*n) {
		uint64_t preference;
		struct slice host;

		slice_u64(word(&rest), 65535, &preference);
		host = word(&rest);
		(*out)[*n].preference = (uint16_t)preference;
		(*out)[*n].host =
		    slice_eq_str(host, ".") ? "" : arena_strdup(a, host);
	}
	return 0;
}

static int
fake_addresses(void *arg, struct arena *a, const char *host,
    struct net_addr **out, size_t *n)
{
	const struct record *r = look_up(host);
	struct slice rest;

	(void)arg;
	if (r == NULL)
		return -ENOENT;
	if (r->addresses[0] == '\0')
		return -ENODATA;
	if (r->addresses[0] == '!')
		return -EAGAIN;
	*out = arena_array(a, 20, sizeof(**out));
	rest = slice_str(r->addresses);
	for (*n = 0; rest.n > 0; ++*n) {
		struct slice one = word(&rest);
		char text[64];
		bool v6 = slice_find(one, ':') >= 0;

		snprintf(text, sizeof(text), v6 ? "[%.*s]:0" : "%.*s:0",
		    (int)one.n, one.p);
		if (net_addr_parse(&(*out)[*n], text, "/") != 0)
			return -EINVAL;
	}
	return 0;
}

static const struct route_dns dns = { NULL, fake_mx, fake_addresses };

struct expected {
	const char *domain;
	const char *hops; /* "host[address]:port ..." */
	int code;         /* when there are none */
	const char *enhanced;
};

static const struct expected domains[] = {
	{ "one.lab", "mx.one.lab[192.0.2.1]:25", 0, "" },
	{ "ONE.Lab", "mx.one.lab[192.0.2.1]:25", 0, "" },
	/* Every address of a host, and the domain's own A is not for mail. */
	{ "two.lab",
	    "a.two.lab[2001:db8::1]:25 a.two.lab[192.0.2.2]:25 "
	    "b.two.lab[192.0.2.3]:25",
	    0, "" },
	{ "implicit.lab", "implicit.lab[192.0.2.4]:25", 0, "" },
	{ "half.lab", "mx.one.lab[192.0.2.1]:25", 0, "" },
	{ "later-host.lab", "b.two.lab[192.0.2.3]:25", 0, "" },
	{ "b\303\274cher.lab", "mx.one.lab[192.0.2.1]:25", 0, "" },
	{ "[192.0.2.77]", "[192.0.2.77][192.0.2.77]:25", 0, "" },
	{ "[IPv6:2001:db8::7]", "[IPv6:2001:db8::7][2001:db8::7]:25", 0, "" },
	/* RFC 5321 5.1: we, and all of our preference and above, are out. */
	{ "backup.lab", "a.two.lab[2001:db8::1]:25 a.two.lab[192.0.2.2]:25", 0,
	    "" },
	{ "byaddr.lab", "a.two.lab[2001:db8::1]:25 a.two.lab[192.0.2.2]:25", 0,
	    "" },
	{ "equal-low.lab", "b.two.lab[192.0.2.3]:25", 0, "" },
	{ "equal-byaddr.lab", "b.two.lab[192.0.2.3]:25", 0, "" },
	{ "best.lab", NULL, 554, "5.4.6" },
	{ "equal.lab", NULL, 554, "5.4.6" },
	{ "self.lab", NULL, 554, "5.4.6" },
	{ "[198.51.100.1]", NULL, 554, "5.4.6" },
	{ "nullmx.lab", NULL, 556, "5.1.10" },
	{ "unknown.lab", NULL, 550, "5.1.2" },
	{ "empty.lab", NULL, 550, "5.1.2" },
	/* MX hosts, but none with an address: an error, and no implicit MX. */
	{ "dangling.lab", NULL, 550, "5.4.4" },
	{ "later.lab", NULL, 451, "4.4.3" },
	{ "later-a.lab", NULL, 451, "4.4.3" },
	{ "only-bad.lab", NULL, 451, "4.4.3" },
	{ "[not an address]", NULL, 550, "5.1.2" },
	{ "[192.0.2.1.5]", NULL, 550, "5.1.2" },
	{ "[IPv6:192.0.2.1]", NULL, 550, "5.1.2" },
	{ "[]", NULL, 550, "5.1.2" },
	{ "..", NULL, 550, "5.1.2" },
};

static void
hops_text(struct buf *b, const struct route_hop *hops, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char host[128];
		uint16_t port;

		net_addr_host(&hops[i].addr, host);
		memcpy(&port, (const char *)&hops[i].addr.sa + 2, 2);
		buf_printf(b, "%s%s[%s]:%u", i > 0 ? " " : "", hops[i].host,
		    host, (unsigned)((port & 255) << 8 | port >> 8));
	}
}

static struct route_self
self_of(struct net_addr *addr)
{
	assert_int_equal(net_addr_parse(addr, "198.51.100.1:0", "/"), 0);
	return (struct route_self){ "Self.lab", addr, 1 };
}

static void
domains_lead_to_their_hosts(void **state)
{
	struct net_addr mine;
	struct route_self self = self_of(&mine);

	(void)state;
	for (size_t i = 0; i < sizeof(domains) / sizeof(domains[0]); i++) {
		const struct expected *e = &domains[i];
		struct arena a = ARENA_INIT_MAX((size_t)1 << 20);
		struct buf got = BUF_INIT;
		struct route_hop *hops = NULL;
		struct smtp_reply why;
		size_t n = 0;
		int rc = route_domain(
		    &dns, &self, &a, slice_str(e->domain), 25, &hops, &n, &why);

		if (rc == 0)
			hops_text(&got, hops, n);
		print_message("%s\n", e->domain);
		assert_int_equal(rc == 0, e->hops != NULL);
		if (e->hops != NULL) {
			assert_string_equal(buf_str(&got), e->hops);
		} else {
			assert_int_equal(why.code, e->code);
			assert_string_equal(why.enhanced, e->enhanced);
			assert_true(why.text.n > 0);
		}
		buf_clear(&got);
		arena_reset(&a);
	}
}

static const struct {
	const char *domain;
	bool secure;
} names[] = {
	{ "one.lab", false },     /* an MX that anybody could have given */
	{ "two.lab", true },      /* signed */
	{ "implicit.lab", true }, /* the domain itself */
	{ "[192.0.2.1]", false },
};

/* RFC 8689 4.2.1 */
static void
some_names_are_sure(void **state)
{
	struct net_addr mine;
	struct route_self self = self_of(&mine);

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		struct arena a = ARENA_INIT_MAX((size_t)1 << 20);
		struct route_hop *hops;
		struct smtp_reply why;
		size_t n;

		assert_int_equal(
		    route_domain(&dns, &self, &a, slice_str(names[i].domain),
			25, &hops, &n, &why),
		    0);
		for (size_t k = 0; k < n; k++)
			assert_int_equal(hops[k].secure, names[i].secure);
		arena_reset(&a);
	}
}

static void
the_number_of_hops_is_bounded(void **state)
{
	struct net_addr mine;
	struct route_self self = self_of(&mine);
	struct arena a = ARENA_INIT_MAX((size_t)1 << 20);
	struct route_hop *hops;
	struct smtp_reply why;
	size_t n;

	(void)state;
	assert_int_equal(route_domain(&dns, &self, &a, SLICE_LIT("many.lab"),
			     25, &hops, &n, &why),
	    0);
	assert_int_equal(n, ROUTE_ADDRESSES_MAX);
	arena_reset(&a);
}

static const struct expected smarthosts[] = {
	{ "mx.one.lab:587", "mx.one.lab[192.0.2.1]:587", 0, "" },
	{ "a.two.lab:25", "a.two.lab[2001:db8::1]:25 a.two.lab[192.0.2.2]:25",
	    0, "" },
	{ "192.0.2.8:2525", "192.0.2.8:2525[192.0.2.8]:2525", 0, "" },
	/* MX is not asked: a smarthost is a host. */
	{ "two.lab:25", "two.lab[192.0.2.99]:25", 0, "" },
	/* Never a reason to return mail. */
	{ "unknown.lab:25", NULL, 451, "4.4.3" },
	{ "bad.lab:25", NULL, 451, "4.4.3" },
	{ "mx.one.lab", NULL, 451, "4.3.5" },
	{ "mx.one.lab:99999", NULL, 451, "4.3.5" },
	{ ":25", NULL, 451, "4.3.5" },
};

static void
a_smarthost_is_one_host(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(smarthosts) / sizeof(smarthosts[0]);
	     i++) {
		const struct expected *e = &smarthosts[i];
		struct arena a = ARENA_INIT_MAX((size_t)1 << 20);
		struct buf got = BUF_INIT;
		struct route_hop *hops = NULL;
		struct smtp_reply why;
		size_t n = 0;
		int rc = route_smarthost(&dns, &a, e->domain, &hops, &n, &why);

		if (rc == 0)
			hops_text(&got, hops, n);
		print_message("%s\n", e->domain);
		assert_int_equal(rc == 0, e->hops != NULL);
		if (e->hops != NULL)
			assert_string_equal(buf_str(&got), e->hops);
		else
			assert_int_equal(why.code, e->code);
		if (e->hops == NULL)
			assert_string_equal(why.enhanced, e->enhanced);
		buf_clear(&got);
		arena_reset(&a);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(domains_lead_to_their_hosts),
		cmocka_unit_test(some_names_are_sure),
		cmocka_unit_test(the_number_of_hops_is_bounded),
		cmocka_unit_test(a_smarthost_is_one_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
