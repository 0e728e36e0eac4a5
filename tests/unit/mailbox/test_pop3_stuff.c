/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "mailbox/pop3/pop3_stuff.h"

static const struct {
	const char *in;
	int lines; /* -1: all */
	const char *want;
} cases[] = {
	{ "", -1, ".\r\n" },
	{ "a\r\n", -1, "a\r\n.\r\n" },
	{ "a", -1, "a\r\n.\r\n" },
	{ "a\r", -1, "a\r\n.\r\n" },
	{ ".", -1, "..\r\n.\r\n" },
	{ ".\r\n", -1, "..\r\n.\r\n" },
	{ "..\r\na.b\r\n.c", -1, "...\r\na.b\r\n..c\r\n.\r\n" },
	{ "\r\n.\r\n", -1, "\r\n..\r\n.\r\n" },
	{ "a\r\nb\r\nc\r\n", 0, ".\r\n" },
	{ "a\r\n.b\r\nc\r\n", 2, "a\r\n..b\r\n.\r\n" },
	{ "a\r\nb", 9, "a\r\nb\r\n.\r\n" },
};

static void
stuffing_whole_and_octet_by_octet(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t step = 1; step < 4; step++) {
			struct pop3_stuffer t = {
				.counting = cases[i].lines >= 0,
				.lines = cases[i].lines < 0
				    ? 0
				    : (uint64_t)cases[i].lines,
			};
			struct slice in = slice_str(cases[i].in);
			struct buf out = BUF_INIT;

			while (in.n > 0 &&
			    !pop3_stuff(&t, slice_head(in, step), &out))
				in = slice_from(in, step);
			pop3_stuff_end(&t, &out);
			assert_string_equal(buf_str(&out), cases[i].want);
			buf_clear(&out);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stuffing_whole_and_octet_by_octet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
