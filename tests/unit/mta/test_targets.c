/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "mta/mta.h"

static const struct {
	const char *text;
	int rc;
	size_t n;
	const char *address[3];
	bool relay[3];
} cases[] = {
	{ "<a@x.test> local", 0, 1, { "a@x.test" }, { false } },
	{ "<a@x.test> relay", 0, 1, { "a@x.test" }, { true } },
	/* another guard's words: qm finds out */
	{ "User not local; will forward to <a@x.test>", 0, 1, { "a@x.test" },
	    { true } },
	{ "<a@x.test> local\n<b@y.test> relay", 0, 2,
	    { "a@x.test", "b@y.test" }, { false, true } },
	{ "will forward", -EPROTO, 0, { NULL }, { false } },
	{ "<> local", -EPROTO, 0, { NULL }, { false } },
	{ "<a@x.test local", -EPROTO, 0, { NULL }, { false } },
	{ "", -EPROTO, 0, { NULL }, { false } },
	{ "<a@x.test>\n<b@x.test>\n<c@x.test>\n<d@x.test>", -E2BIG, 3, { NULL },
	    { false } },
};

static void
forward_paths_become_targets(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct arena a = ARENA_INIT_MAX(0);
		struct mta_target t[3];
		struct smtp_reply r = { 251, "2.1.5",
			slice_str(cases[i].text) };
		size_t n = 0;

		assert_int_equal(mta_targets_of_251(&a, &r,
				     SLICE_LIT("rfc822;s@x.test"), 0, t, &n, 3),
		    cases[i].rc);
		assert_int_equal(n, cases[i].n);
		for (size_t k = 0; cases[i].rc == 0 && k < n; k++) {
			assert_true(
			    slice_eq_str(t[k].address, cases[i].address[k]));
			assert_int_equal(t[k].relay, cases[i].relay[k]);
			assert_true(
			    slice_eq_str(t[k].orcpt, "rfc822;s@x.test"));
		}
		arena_reset(&a);
	}
}

static void
each_address_once_and_relayed_first(void **state)
{
	struct mta_target t[] = {
		{ .address = SLICE_LIT("b@x") },
		{ .address = SLICE_LIT("r@y"), .relay = true },
		{ .address = SLICE_LIT("a@x") },
		{ .address = SLICE_LIT("b@x") },
		{ .address = SLICE_LIT("r@y"), .relay = true },
	};

	(void)state;
	assert_int_equal(mta_targets_unique(t, 5), 3);
	assert_true(slice_eq_str(t[0].address, "r@y"));
	assert_true(slice_eq_str(t[1].address, "a@x"));
	assert_true(slice_eq_str(t[2].address, "b@x"));
	assert_int_equal(mta_targets_unique(t, 0), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forward_paths_become_targets),
		cmocka_unit_test(each_address_once_and_relayed_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
