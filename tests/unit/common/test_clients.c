/* SPDX-License-Identifier: ISC */
/* Connections counted by their clients: who is one, and who is not counted. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/net/clients.h"

static struct clients *clients;

static int
enter(const char *host, struct client_prefix *prefix)
{
	struct net_addr a;

	assert_int_equal(net_addr_parse_host(&a, slice_str(host), 4000), 0);
	return clients_enter(clients, &a, prefix);
}

static void
are_counted_by_prefix(void **state)
{
	struct client_prefix first, p;
	char host[64];

	(void)state;
	for (unsigned i = 0; i < 3000; i++) {
		snprintf(host, sizeof(host), "10.0.%u.%u", i / 250, i % 250);
		assert_int_equal(enter(host, &p), 0);
	}
	assert_int_equal(enter("10.0.3.7", &first), 0);
	assert_int_equal(enter("10.0.3.7", &p), -EBUSY);
	clients_leave(clients, &p);
	clients_leave(clients, &p); /* no longer there: nothing happens */
	assert_int_equal(enter("10.0.3.7", &p), -EBUSY);
	clients_leave(clients, &p);
	clients_leave(clients, &first);
	assert_int_equal(enter("10.0.3.7", &p), 0);
	/* A network of IPv6 is one. */
	assert_int_equal(enter("2001:db8:1:2::1", &p), 0);
	assert_int_equal(enter("2001:db8:1:2::2", &p), 0);
	assert_int_equal(enter("2001:db8:1:2::3", &p), -EBUSY);
	assert_int_equal(enter("2001:db8:1:3::3", &p), 0);
}

static void
some_are_not_counted(void **state)
{
	static const char *const hosts[] = { "127.0.0.1", "127.8.8.8", "::1",
		"192.0.2.9", "198.51.100.7" };
	struct client_prefix p;
	struct net_addr a;

	(void)state;
	for (size_t i = 0; i < 20; i++)
		for (size_t k = 0; k < sizeof(hosts) / sizeof(*hosts); k++)
			assert_int_equal(enter(hosts[k], &p), 0);
	assert_int_equal(net_addr_parse(&a, "unix:/x", NULL), 0);
	for (size_t i = 0; i < 20; i++)
		assert_int_equal(clients_enter(clients, &a, &p), 0);
	clients_leave(clients, &p);
}

int
main(void)
{
	static const char text[] = "{ \"msa\": { \"max_per_address\": 2,"
				   "\"xclient_from\": [\"198.51.100.7\"],"
				   "\"crowd_from\": [\"loopback\", "
				   "\"192.0.2.0/24\"] } }";
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(are_counted_by_prefix),
		cmocka_unit_test(some_are_not_counted),
	};
	struct buf err = BUF_INIT;
	struct conf *conf = conf_parse("f", slice_str(text), &err);
	int rc;

	if (conf == NULL || clients_new(&clients) != 0)
		return 1;
	clients_configure(clients, conf, "msa");
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	clients_free(&clients);
	clients_free(&clients);
	conf_free(&conf);
	return rc;
}
