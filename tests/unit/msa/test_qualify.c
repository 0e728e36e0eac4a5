/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>

#include "msa/msa.h"

/* All names are known but those that begin with "no". */
static const struct {
	const char *in, *out;
} cases[] = {
	{ "", "" },
	{ " bob", " bob@x.test" },
	{ " bob\r\n", " bob@x.test\r\n" },
	{ "bob,alice", "bob@x.test,alice@x.test" },
	{ "bob , alice ;", "bob@x.test , alice@x.test ;" },
	{ " b.o.b", " b.o.b@x.test" },
	{ " Bob <bob>", " Bob <bob@x.test>" },
	{ " <bob>, x@y.test, < bob >", " <bob@x.test>, x@y.test, < bob@x.test >" },
	{ " \"Bob, B.\" <bob>", " \"Bob, B.\" <bob@x.test>" },
	{ " =?utf-8?q?Bob?= <bob>", " =?utf-8?q?Bob?= <bob@x.test>" },
	{ " bob (a, comment)", " bob@x.test (a, comment)" },
	{ " (c)\r\n bob\r\n (d)", " (c)\r\n bob@x.test\r\n (d)" },
	{ " team: bob, Al <al>;, c", " team: bob@x.test, Al <al@x.test>;, c@x.test" },
	{ " team:;", " team:;" },
	/* Not known, or complete. */
	{ " nobody, No <nobody>, bob", " nobody, No <nobody>, bob@x.test" },
	{ " bob@y.test, Bob <bob@y.test>", " bob@y.test, Bob <bob@y.test>" },
	{ " bob @ y.test", " bob @ y.test" },
	{ " bob (c) @y.test", " bob (c) @y.test" },
	{ " <@a.test:bob>", " <@a.test:bob>" },
	/* Not plain. */
	{ " bob smith", " bob smith" },
	{ " \"bob\"", " \"bob\"" },
	{ " <\"bob\">", " <\"bob\">" },
	{ " <bob smith>", " <bob smith>" },
	{ " <bob", " <bob" },
	{ " bob>", " bob>" },
	{ " <bob> alice, <bob> <bob>", " <bob@x.test> alice, <bob@x.test> <bob@x.test>" },
	{ " .bob, bob., b..b", " .bob, bob., b..b" },
	{ " =?utf-8?q?bob?=", " =?utf-8?q?bob?=" },
	{ " b\xc3\xb6" "b", " b\xc3\xb6" "b" },
	{ " [bob], bob!x\\, b\x01" "b", " [bob], bob!x\\, b\x01" "b" },
	{ " (bob", " (bob" },
	{ " \"bob", " \"bob" },
	{ " ,,bob,,", " ,,bob@x.test,," },
};

static bool
is_known(void *arg, struct slice local)
{
	(void)arg;
	return !slice_starts(local, "no");
}

static const struct msa_fixup fixup = { .fixes = MSA_FIX_QUALIFY,
	.domain = SLICE_LIT("x.test"), .is_known = is_known };

static void
plain_local_parts_get_their_domain(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf out = BUF_INIT;
		struct slice in = slice_str(cases[i].in);
		bool done = msa_qualify(in, &fixup, &out);

		assert_string_equal(buf_str(&out), cases[i].out);
		assert_int_equal(done, !slice_eq_str(in, cases[i].out));
		buf_clear(&out);
	}
}

static void
always_asks_nobody(void **state)
{
	struct msa_fixup f = fixup;
	struct buf out = BUF_INIT;

	(void)state;
	f.is_known = NULL;
	msa_qualify(SLICE_LIT(" nobody"), &f, &out);
	assert_string_equal(buf_str(&out), " nobody@x.test");
	buf_clear(&out);
}

static void
lines_stay_within_bounds_and_so_does_the_work(void **state)
{
	struct buf in = BUF_INIT, out = BUF_INIT;
	struct slice rest;
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < 1200; i++)
		buf_put_str(&in, i % 80 == 79 ? "bob,\r\n " : "bob, ");
	assert_true(msa_qualify(buf_slice(&in), &fixup, &out));
	rest = buf_slice(&out);
	while (rest.n > 0) {
		struct slice line = slice_split(&rest, '\n');

		assert_true(line.n < 998);
		for (; line.n > 0; line = slice_from(line, 1))
			n += *line.p == '@';
	}
	assert_int_equal(n, 1000);
	buf_clear(&in);
	buf_clear(&out);
}

static void
only_fields_of_recipients(void **state)
{
	(void)state;
	assert_true(msa_names_recipients(SLICE_LIT("rEsent-cC")));
	assert_false(msa_names_recipients(SLICE_LIT("From")));
	assert_false(msa_names_recipients(SLICE_LIT("Subject")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_local_parts_get_their_domain),
		cmocka_unit_test(always_asks_nobody),
		cmocka_unit_test(lines_stay_within_bounds_and_so_does_the_work),
		cmocka_unit_test(only_fields_of_recipients),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
