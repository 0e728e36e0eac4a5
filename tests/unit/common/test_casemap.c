/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "common/mail/casemap.h"

static const struct {
	const char *in, *want;
} cases[] = {
	{ "", "" },
	{ "Hello, World 7", "HELLO, WORLD 7" },
	{ "stra\303\237e", "STRA\303\237E" },	/* no simple titlecase */
	{ "\303\251clair", "E\314\201CLAIR" },	/* e acute */
	{ "e\314\201clair", "E\314\201CLAIR" }, /* the same, decomposed */
	{ "\357\254\201n", "fiN" },		/* fi ligature, RFC 5051 2.4 */
	{ "\307\206", "D\172\314\214" },	/* dz with caron: Dz */
	{ "\317\202", "\316\243" },		/* final sigma */
	{ "\320\266", "\320\226" },		/* Cyrillic zhe */
	{ "a\377b", "A\377B" },			/* not UTF-8 */
};

static void
text_is_mapped(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf b = BUF_INIT;

		assert_true(casemap_put(&b, slice_str(cases[i].in)));
		assert_string_equal(buf_str(&b), cases[i].want);
		buf_clear(&b);
	}
}

static void
a_full_buffer_is_told(void **state)
{
	struct buf b = BUF_INIT_MAX(3);

	(void)state;
	assert_false(casemap_put(&b, SLICE_LIT("abcd")));
	buf_reset(&b);
	assert_false(casemap_put(&b, SLICE_LIT("ab\303\251")));
	buf_clear(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_is_mapped),
		cmocka_unit_test(a_full_buffer_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
