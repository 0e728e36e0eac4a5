/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "gateway/pop3_parse.h"

static int
put(void *arg, struct slice octets)
{
	return buf_put_slice(arg, octets) ? 0 : -1;
}

static const struct {
	const char *in, *want, *rest;
} bodies[] = {
	{ ".\r\n", "", "" },
	{ "a\r\n.\r\n+OK", "a\r\n", "+OK" },
	{ "a\r\n..\r\n.\r\n", "a\r\n.\r\n", "" },
	{ "..a\r\n.b\r\n.\r\n", ".a\r\nb\r\n", "" },
	{ "a\n.\nx", "a\n", "x" },
	{ "a\n.\r\nx", "a\n", "x" },
	{ "a\r\n.\rb\r\n.\r\n", "a\r\n\rb\r\n", "" },
	{ "a\r\n.\r\r\n.\r\n", "a\r\n\r", ".\r\n" },
	{ "a.\r\n.\r\n", "a.\r\n", "" },
	{ "\r\n\r\n.\r\n", "\r\n\r\n", "" },
};

static void
body_whole_and_octet_by_octet(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
		for (size_t step = 1; step < 20; step += 6) {
			struct slice in = slice_str(bodies[i].in);
			struct pop3_body b = { 0 };
			struct buf out = BUF_INIT;
			size_t used;

			while (in.n > 0 && !b.ended) {
				assert_int_equal(
				    pop3_body_feed(&b, slice_head(in, step),
					put, &out, &used),
				    0);
				in = slice_from(in, used);
			}
			assert_true(b.ended);
			assert_string_equal(buf_str(&out), bodies[i].want);
			assert_true(slice_eq_str(in, bodies[i].rest));
			buf_clear(&out);
		}
}

static void
uidl(void **state)
{
	static const struct {
		const char *line, *uid;
		uint32_t number;
	} cases[] = {
		{ "1 whqtswO00WBw418f9t5JxYwZ", "whqtswO00WBw418f9t5JxYwZ", 1 },
		{ "4294967295 a", "a", 4294967295U },
		{ "2  x ", "x", 2 },
		{ "0 a", NULL, 0 },
		{ "1", NULL, 0 },
		{ "1 ", NULL, 0 },
		{ "x y", NULL, 0 },
		{ "1 a b", NULL, 0 },
		{ "4294967296 a", NULL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct slice uid;
		uint32_t n;
		int rc = pop3_uidl_parse(slice_str(cases[i].line), &n, &uid);

		assert_int_equal(rc == 0, cases[i].uid != NULL);
		if (rc == 0) {
			assert_int_equal(n, cases[i].number);
			assert_true(slice_eq_str(uid, cases[i].uid));
		}
	}
}

static void
status_code_and_timestamp(void **state)
{
	struct slice text = SLICE_LIT("+OK hi <1.2@h>");

	(void)state;
	assert_int_equal(pop3_status_parse(SLICE_LIT("+OK"), &text), POP3_OK);
	assert_int_equal(
	    pop3_status_parse(SLICE_LIT("-ERR [IN-USE] busy"), &text),
	    POP3_ERR);
	assert_true(slice_eq_str(pop3_code(text), "IN-USE"));
	assert_int_equal(
	    pop3_status_parse(SLICE_LIT("+ abc"), &text), POP3_MORE);
	assert_true(slice_eq_str(text, "abc"));
	assert_int_equal(
	    pop3_status_parse(SLICE_LIT("+OKAY"), &text), POP3_NONE);
	assert_int_equal(pop3_code(SLICE_LIT("[x")).n, 0);
	assert_true(slice_eq_str(
	    pop3_timestamp(SLICE_LIT("hi <1.2@h> there")), "<1.2@h>"));
	assert_int_equal(pop3_timestamp(SLICE_LIT("> <a")).n, 0);
	assert_int_equal(pop3_timestamp(SLICE_LIT("<a>")).n, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(body_whole_and_octet_by_octet),
		cmocka_unit_test(uidl),
		cmocka_unit_test(status_code_and_timestamp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
