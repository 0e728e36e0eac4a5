/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>

#include "gateway/gmail_scan.h"

static int
put(void *arg, struct slice octets)
{
	return buf_put_slice(arg, octets) ? 0 : -ENOSPC;
}

static int
scan(const char *text, size_t step, struct gmail_scan *s, struct buf *out)
{
	struct slice in = slice_str(text);

	gmail_scan_init(s, put, out);
	while (in.n > 0 && gmail_scan_feed(s, slice_head(in, step)) == 0)
		in = slice_from(in, slice_head(in, step).n);
	return gmail_scan_end(s);
}

#define STEPS(step) for (size_t step = 1; step < 400; step = step * 3 + 1)

static void
a_message(void **state)
{
	static const char text[] =
	    " { \"raw\": \"U3ViamVjdDogeA0K\\u002d_8\\u003d\\/\",\"id\":\"1\"}";
	static const char good[] =
	    "{\n \"id\": \"18c0a\",\"threadId\" : \"18c0b\",\n"
	    "\"labelIds\": [ \"INBOX\", \"Label_1\" ], \"snippet\": "
	    "\"\\\"{[\\ud83d\\ude00 \xc3\xa4\", \"sizeEstimate\": -1.5e+3,"
	    "\"payload\": {\"raw\": \"!!\", \"id\": [[{\"id\": null}], true, "
	    "false, 0]}, \"raw\": \"U3ViamVjdDogeA0KDQo\\u003d\","
	    "\"historyId\":\"7\", \"internalDate\": \"1700000000123\"}\r\n";

	(void)state;
	STEPS(step)
	{
		struct buf out = BUF_INIT;
		struct gmail_scan s;

		assert_int_equal(scan(good, step, &s, &out), 0);
		assert_string_equal(s.id, "18c0a");
		assert_string_equal(buf_str(&s.labels), "INBOX Label_1 ");
		assert_true(s.internaldate_ms == 1700000000123);
		assert_string_equal(buf_str(&out), "Subject: x\r\n\r\n");
		gmail_scan_clear(&s);
		buf_reset(&out);
		/* "/" is not of this alphabet. */
		assert_int_equal(scan(text, step, &s, &out), -EPROTO);
		gmail_scan_clear(&s);
		buf_clear(&out);
	}
}

static void
base64url(void **state)
{
	static const struct {
		const char *in, *out; /* NULL: refused */
	} tests[] = { { "", "" }, { "YQ", "a" }, { "YQ==", "a" },
		{ "YWI", "ab" }, { "YWI=", "ab" }, { "YWJj", "abc" },
		{ "-_-_", "\xfb\xff\xbf" }, { "YQ=", NULL }, { "Y", NULL },
		{ "YR", NULL }, { "YWJ", NULL }, { "YQ==YQ==", NULL },
		{ "=", NULL }, { "YWJj=", NULL }, { "YW+j", NULL },
		{ "YW j", NULL }, { "YWI==", NULL }, { "YQ===", NULL },
		{ "YQ\\n==", NULL }, { "\\u00c3YQ", NULL } };

	(void)state;
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		struct buf out = BUF_INIT, text = BUF_INIT;
		struct gmail_scan s;

		buf_printf(&text, "{\"raw\":\"%s\",\"id\":\"a\"}", tests[i].in);
		assert_int_equal(scan(buf_str(&text), 1, &s, &out),
		    tests[i].out == NULL ? -EPROTO : 0);
		if (tests[i].out != NULL)
			assert_string_equal(buf_str(&out), tests[i].out);
		gmail_scan_clear(&s);
		buf_clear(&out);
		buf_clear(&text);
	}
}

static void
what_is_refused(void **state)
{
	static const char *const texts[] = { "", "{", "{}", "[]", "\"raw\"",
		"{\"id\":\"a\"}", "{\"raw\":\"\"}",
		"{\"id\":\"a\",\"raw\":\"\"", "{\"id\":\"a\",\"raw\":\"\"}}",
		"{\"id\":\"a\",\"raw\":\"\"} x", "{\"id\":\"a\",\"raw\":\"\",}",
		"{\"id\":\"a\" \"raw\":\"\"}", "{\"id\":\"a\",,\"raw\":\"\"}",
		"{\"id\":\"a/b\",\"raw\":\"\"}", "{\"id\":\"\",\"raw\":\"\"}",
		"{\"id\":\"a\",\"id\":\"b\",\"raw\":\"\"}",
		"{\"id\":\"a\",\"raw\":\"\",\"raw\":\"YQ\"}",
		"{\"id\":\"a\",\"raw\":\"\",\"x\":01}",
		"{\"id\":\"a\",\"raw\":\"\",\"x\":1.}",
		"{\"id\":\"a\",\"raw\":\"\",\"x\":-}",
		"{\"id\":\"a\",\"raw\":\"\",\"x\":1e}",
		"{\"id\":\"a\",\"raw\":\"\",\"x\":tru}",
		"{\"id\":\"a\",\"raw\":\"\",\"x\":[1}",
		"{\"id\":\"a\",\"raw\":\"\",\"x\":[1,]}",
		"{\"id\":\"a\",\"raw\":\"\",\"x\":\"\t\"}",
		"{\"id\":\"a\",\"raw\":\"\",\"x\":\"\\x\"}",
		"{\"id\":\"a\",\"raw\":\"\",\"x\":\"\\u12g4\"}",
		"{\"id\":\"a\",\"raw\":\"\",\"internalDate\":\"1x\"}",
		"{\"id\":\"a\",\"raw\":\"\",\"labelIds\":[\"a b\"]}",
		"{\"id\":\"a\",\"raw\":\"\",\"x\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
		"[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}" };

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		STEPS(step)
		{
			struct buf out = BUF_INIT;
			struct gmail_scan s;

			if (scan(texts[i], step, &s, &out) != -EPROTO)
				fail_msg("taken: %s", texts[i]);
			gmail_scan_clear(&s);
			buf_clear(&out);
		}
}

static void
an_error_of_ours_ends_it(void **state)
{
	struct buf out = BUF_INIT_MAX(2);
	struct gmail_scan s;

	(void)state;
	assert_int_equal(
	    scan("{\"raw\":\"YWJjZA\",\"id\":\"a\"}", 1, &s, &out), -ENOSPC);
	gmail_scan_clear(&s);
	buf_clear(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message),
		cmocka_unit_test(base64url),
		cmocka_unit_test(what_is_refused),
		cmocka_unit_test(an_error_of_ours_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
