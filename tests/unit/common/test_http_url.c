/* SPDX-License-Identifier: ISC */
/* URLs that users give us, and which addresses the whole world can have. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>

#include "common/net/http_url.h"

/* tls|host|address?|port|target */
static const struct {
	const char *url, *expected;
} good[] = {
	{ "https://hooks.example.org/new?x=1",
	    "1|hooks.example.org|0|443|/new?x=1" },
	{ "http://a.test", "0|a.test|0|80|" },
	{ "HTTPS://A.test:8443?q", "1|A.test|0|8443|?q" },
	{ "https://192.0.2.1/", "1|192.0.2.1|1|443|/" },
	{ "https://[2001:db8::1]:1/x", "1|2001:db8::1|1|1|/x" },
	{ "https://xn--bcher-kva.test/%C3%A9",
	    "1|xn--bcher-kva.test|0|443|/%C3%A9" },
	{ "https://a_b.1a.test/", "1|a_b.1a.test|0|443|/" },
};
static const char *const bad[] = { "", "https://", "https:///x", "ftp://a/",
	"//a/", "https://user@a.test/", "https://u:p@a.test/",
	"https://a.test/#x", "https://a.test/ x", "https://a.test/\r\nX: y",
	"https://a test/", "https://a.test:0/", "https://a.test:65536/",
	"https://a.test:/", "https://a.test:80x/", "https://a..test/",
	"https://.a.test/", "https://a.test./", "https://127.1/",
	"https://2130706433/", "https://0x7f000001/", "https://0x7f.0.0.1/",
	"https://127.0.0.1.5/", "https://0177.0.0.01/", "https://1.2.3.0x4/",
	"https://[::1/", "https://[fe80::1%25eth0]/", "https://[127.0.0.1]/",
	"https://[::1]x/", "https://a.test\\@b.test/",
	"https://b\xc3\xbc.test/", "javascript:1", "https://a.test/\x7f" };

static void
test_good(void **state)
{
	char got[300];
	struct http_url u;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(http_url_parse(slice_str(good[i].url), &u), 0);
		snprintf(got, sizeof(got), "%d|%.*s|%d|%u|%.*s", u.tls,
		    (int)u.host.n, u.host.p, u.is_address, u.port,
		    (int)u.target.n, u.target.p);
		assert_string_equal(got, good[i].expected);
	}
}

static void
test_bad(void **state)
{
	struct http_url u;
	char text[HTTP_URL_MAX + 2];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (http_url_parse(slice_str(bad[i]), &u) != -EINVAL)
			fail_msg("taken: %s", bad[i]);
	memset(text, 'a', sizeof(text));
	memcpy(text, "https://a/", 10);
	assert_int_equal(http_url_parse(slice(text, HTTP_URL_MAX), &u), 0);
	assert_int_equal(
	    http_url_parse(slice(text, HTTP_URL_MAX + 1), &u), -EINVAL);
	assert_int_equal(
	    http_url_parse(SLICE_LIT("https://a.test/\0x"), &u), -EINVAL);
}

static void
test_global(void **state)
{
	static const char *const yes[] = { "1.1.1.1", "9.255.255.255",
		"100.128.0.1", "172.32.0.1", "192.0.1.1", "223.255.255.254",
		"2001:200::1", "2606:4700::1111", "2a00::1" };
	static const char *const no[] = { "0.0.0.0", "10.0.0.1", "100.64.0.1",
		"127.0.0.1", "169.254.169.254", "172.16.0.1", "172.31.255.255",
		"192.168.1.1", "192.0.0.8", "192.0.2.1", "198.18.0.1",
		"198.51.100.1", "203.0.113.1", "224.0.0.1", "255.255.255.255",
		"::", "::1", "::ffff:8.8.8.8", "::127.0.0.1", "fe80::1",
		"fc00::1", "fd12::1", "ff02::1", "64:ff9b::7f00:1",
		"2002:7f00:1::1", "2001::1", "2001:db8::1", "3fff::1",
		"4000::1" };
	struct net_addr a;

	(void)state;
	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		assert_int_equal(
		    net_addr_parse_host(&a, slice_str(yes[i]), 1), 0);
		if (!net_addr_is_global(&a))
			fail_msg("not global: %s", yes[i]);
	}
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
		assert_int_equal(
		    net_addr_parse_host(&a, slice_str(no[i]), 1), 0);
		if (net_addr_is_global(&a))
			fail_msg("global: %s", no[i]);
	}
	assert_int_equal(net_addr_parse(&a, "unix:/x", NULL), 0);
	assert_false(net_addr_is_global(&a));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_global),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
