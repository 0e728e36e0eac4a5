/* SPDX-License-Identifier: ISC */
/* Addresses as text: what is understood, and how it is printed. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/net/conn.h"

#define LONG_108                                                               \
	"/1234567890123456789012345678901234567890123456789"                   \
	"01234567890123456789012345678901234567890123456789012345678"

struct address_case {
	const char *text, *printed, *host, *prefix; /* printed NULL: -EINVAL */
	bool loopback;
};

static const struct address_case cases[] = {
	{ "127.0.0.1:25", "127.0.0.1:25", "127.0.0.1", "127.0.0.1", true },
	{ "127.9.9.9:25", "127.9.9.9:25", "127.9.9.9", "127.9.9.9", true },
	{ "192.0.2.1:65535", "192.0.2.1:65535", "192.0.2.1", "192.0.2.1",
	    false },
	{ "[::1]:25", "[::1]:25", "::1", "::/64", true },
	{ "[2001:db8:1:2:3:4:5:6]:0", "[2001:db8:1:2:3:4:5:6]:0",
	    "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", false },
	{ "[::ffff:192.0.2.7]:25", "192.0.2.7:25", "192.0.2.7", "192.0.2.7",
	    false },
	{ "[::ffff:127.0.0.1]:25", "127.0.0.1:25", "127.0.0.1", "127.0.0.1",
	    true },
	{ "*:143", "[::]:143", "::", "::/64", false },
	{ "unix:/run/a b", "unix:/run/a b", "unix", "unix", true },
	{ "unix:x.sock", "unix:/dir/x.sock", "unix", "unix", true },
	{ "", NULL, NULL, NULL, false },
	{ ":25", NULL, NULL, NULL, false },
	{ "127.0.0.1", NULL, NULL, NULL, false },
	{ "127.0.0.1:", NULL, NULL, NULL, false },
	{ "127.0.0.1:65536", NULL, NULL, NULL, false },
	{ "127.0.0.1:-1", NULL, NULL, NULL, false },
	{ "127.0.0.1:25x", NULL, NULL, NULL, false },
	{ "127.0.0:25", NULL, NULL, NULL, false },
	{ "localhost:25", NULL, NULL, NULL, false },
	{ "::1:25", NULL, NULL, NULL, false },
	{ "[127.0.0.1]:25", NULL, NULL, NULL, false },
	{ "[::1:25", NULL, NULL, NULL, false },
	{ "[]:25", NULL, NULL, NULL, false },
	{ "unix:", NULL, NULL, NULL, false },
	{ "unix:" LONG_108, NULL, NULL, NULL, false },
};

static void
addresses_are_read_and_printed(void **state)
{
	struct net_addr a;
	char out[128], prefix[64];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct address_case *c = &cases[i];
		int rc = net_addr_parse(&a, c->text, "/dir");

		assert_int_equal(rc, c->printed ? 0 : -EINVAL);
		if (rc != 0)
			continue;
		net_addr_text(&a, out);
		assert_string_equal(out, c->printed);
		net_addr_host(&a, out);
		assert_string_equal(out, c->host);
		net_addr_prefix(&a, prefix);
		assert_string_equal(prefix, c->prefix);
		assert_int_equal(net_addr_is_loopback(&a), c->loopback);
	}
}

static void
relative_unix_path_needs_a_folder(void **state)
{
	struct net_addr a;

	(void)state;
	assert_int_equal(net_addr_parse(&a, "unix:x", NULL), -EINVAL);
	assert_int_equal(net_addr_parse(&a, "unix:/x", NULL), 0);
	assert_string_equal(net_addr_path(&a), "/x");
}

static void
longest_unix_path_is_107_octets(void **state)
{
	char text[200];
	struct net_addr a;

	(void)state;
	snprintf(text, sizeof(text), "unix:%.107s", LONG_108);
	assert_int_equal(net_addr_parse(&a, text, NULL), 0);
	assert_int_equal(strlen(net_addr_path(&a)), 107);
}

static void
networks(void **state)
{
	static const struct {
		const char *address, *network;
		bool in;
	} in[] = {
		{ "192.0.2.7:25", "192.0.2.7", true },
		{ "192.0.2.7:25", "192.0.2.8", false },
		{ "192.0.2.7:25", "192.0.2.0/24", true },
		{ "192.0.3.7:25", "192.0.2.0/23", true },
		{ "192.0.4.7:25", "192.0.2.0/23", false },
		{ "192.0.2.129:25", "192.0.2.128/25", true },
		{ "192.0.2.127:25", "192.0.2.128/25", false },
		{ "192.0.2.7:25", "0.0.0.0/0", true },
		{ "192.0.2.7:25", "::/0", true },
		{ "[::ffff:192.0.2.7]:25", "192.0.2.0/24", true },
		{ "[2001:db8::1]:25", "0.0.0.0/0", false },
		{ "[2001:db8::1]:25", "2001:db8::/32", true },
		{ "[2001:db9::1]:25", "2001:db8::/32", false },
		{ "[2001:db8::1]:25", "2001:db8::1", true },
		{ "unix:/x", "unix", true },
		{ "unix:/x", "::/0", false },
		{ "192.0.2.7:25", "unix", false },
	};
	static const char *const bad[] = { "", "x", "192.0.2.0/33",
		"192.0.2.0/", "192.0.2.0/-1", "2001:db8::/129", "192.0.2/24",
		"*", "192.0.2.0/24/1" };

	(void)state;
	for (size_t i = 0; i < sizeof(in) / sizeof(*in); i++) {
		const char *list[] = { "203.0.113.1", in[i].network, NULL };
		struct net_addr a;

		assert_int_equal(net_addr_parse(&a, in[i].address, ""), 0);
		assert_true(net_network_is_valid(in[i].network));
		if (net_addr_is_listed(&a, list) != in[i].in)
			fail_msg("%s %s", in[i].address, in[i].network);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_false(net_network_is_valid(bad[i]));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_read_and_printed),
		cmocka_unit_test(relative_unix_path_needs_a_folder),
		cmocka_unit_test(networks),
		cmocka_unit_test(longest_unix_path_is_107_octets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
