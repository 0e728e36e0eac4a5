/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>

#include "common/base/buf.h"
#include "common/base/json_text.h"

/* "[[[...]]]" with `n` levels, or cut in the middle. */
static bool
loads(int n, bool whole)
{
	struct buf b = BUF_INIT;
	json_t *j;
	bool ok;

	for (int i = 0; i < n; i++)
		buf_put_char(&b, '[');
	for (int i = 0; whole && i < n; i++)
		buf_put_char(&b, ']');
	j = json_text_load(buf_slice(&b), 0);
	ok = j != NULL;
	json_decref(j);
	buf_clear(&b);
	return ok;
}

static void
depth(void **state)
{
	(void)state;
	assert_true(loads(JSON_TEXT_LEVELS, true));
	assert_false(loads(JSON_TEXT_LEVELS + 1, true));
	assert_false(loads(1000000, true));
	assert_false(loads(1000000, false));
}

static const struct {
	const char *text;
	bool deep;
} cases[] = {
	{ "", false },
	{ "{\"a\": \"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"}", false },
	{ "{\"a\": \"\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"}", false },
	{ "{\"a\\\\\": [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", true },
	{ "[][][][][][][][][][][][][][][][][][][][][][][][]", false },
};

static void
strings_are_no_levels(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(
		    json_text_is_deep(slice_str(cases[i].text)), cases[i].deep);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(depth),
		cmocka_unit_test(strings_are_no_levels),
	};

	return cmocka_run_group_tests_name("json_text", tests, NULL, NULL);
}
