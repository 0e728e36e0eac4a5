/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "qm/qm.h"

static const struct {
	const char *address, *node;
	bool subdomains, matches;
} cases[] = {
	{ "a@b.example", "b.example", false, true },
	{ "a@B.Example", "b.eXAMPLE", false, true },
	{ "a@c.b.example", "b.example", false, false },
	{ "a@c.b.example", "b.example", true, true },
	{ "a@b.example", "b.example", true, true },
	{ "a@cb.example", "b.example", true, false },
	{ "a@example", "b.example", true, false },
	{ "b.example@a", "b.example", true, false },
	{ "\"x@b.example\"@a", "b.example", false, false },
	{ "a@b\xc3\xbc"
	  "cher.example",
	    "xn--bcher-kva.example", false, true },
	{ "a@\xc3\xa4.example", "xn--4ca.example", false, true },
	{ "a@x.xn--4ca.example", "\xc3\xa4.example", true, true },
	{ "a@[192.0.2.1]", "[192.0.2.1]", false, true },
	{ "a@[192.0.2.1]", "[192.0.2.11]", false, false },
	{ "postmaster", "b.example", true, false },
	{ "postmaster", "", true, false },
};

static void
domains_match(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		if (qm_domain_matches(slice_str(cases[i].address),
			slice_str(cases[i].node),
			cases[i].subdomains) != cases[i].matches)
			fail_msg("%s %s", cases[i].address, cases[i].node);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(domains_match),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
