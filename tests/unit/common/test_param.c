/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#include "common/mail/message_id.h"
#include "common/mail/param.h"

#define N(a) (sizeof(a) / sizeof(*(a)))

/* Expected as "type/subtype|name=value|..."; NULL: -EINVAL. */
static const struct {
	const char *value, *out;
} fields[] = {
	{ "text/plain", "text/plain" },
	{ "Text/PLAIN; Charset=UTF-8", "text/plain|charset=UTF-8" },
	/* RFC 2045 5.1 */
	{ "text/plain; charset=us-ascii (Plain text)",
	    "text/plain|charset=us-ascii" },
	{ "text/plain; charset=\"us-ascii\"", "text/plain|charset=us-ascii" },
	{ " text (a) / (b) plain ; (c) a (d) = (e) b (f) ; c = d",
	    "text/plain|a=b|c=d" },
	{ "multipart/mixed;\r\n boundary=\"a b;c=\\\"d\\\"\"",
	    "multipart/mixed|boundary=a b;c=\"d\"" },
	/* not as it should be */
	{ "text/plain charset=utf-8", "text/plain|charset=utf-8" },
	{ "text/plain; charset=utf-8 format=flowed",
	    "text/plain|charset=utf-8|format=flowed" },
	{ "text/plain; name=my file (1).pdf; a=b",
	    "text/plain|name=my file|a=b" },
	{ "text/plain; name=my file.pdf", "text/plain|name=my file.pdf" },
	{ "text/plain; name=file(1).pdf", "text/plain|name=file(1).pdf" },
	{ "text/plain;; ; charset=x;", "text/plain|charset=x" },
	{ "text/plain; charset", "text/plain" },
	{ "text/plain; charset; a=b", "text/plain|a=b" },
	{ "text/plain; =x; a=b", "text/plain|a=b" },
	{ "text/plain; charset=; a=b", "text/plain|charset=|a=b" },
	{ "text/plain; a=\"never ends; b=c", "text/plain|a=never ends; b=c" },
	{ "text/plain; a=\"x\" junk; b=c", "text/plain|a=x|b=c" },
	{ "text/plain; a=\"x\" b=c", "text/plain|a=x|b=c" },
	{ "text/plain; a=b (never ends; c=d", "text/plain|a=b" },
	{ "image/png; name==?utf-8?q?a?=", "image/png|name==?utf-8?q?a?=" },
	{ "text", NULL },
	{ "text/", NULL },
	{ "/plain", NULL },
	{ "", NULL },
	{ "text;plain", NULL },
	/* RFC 2231 3, 4, 4.1 */
	{ "message/external-body; access-type=URL;\r\n"
	  " URL*0=\"ftp://\";\r\n URL*1=\"cs.utk.edu/pub/moore/x.tar\"",
	    "message/external-body|access-type=URL|"
	    "url=ftp://cs.utk.edu/pub/moore/x.tar" },
	{ "application/x-stuff; title*=us-ascii'en-us'This%20is%20%2A%2A%2A",
	    "application/x-stuff|title*=us-ascii'en-us'This%20is%20%2A%2A%2A" },
	{ "application/x-stuff;\r\n title*0*=us-ascii'en'This%20is%20even%20"
	  "more%20;\r\n title*1*=%2A%2A%2Afun%2A%2A%2A%20;\r\n"
	  " title*2=\"isn't it!\"",
	    "application/x-stuff|title*=us-ascii'en'This%20is%20even%20more"
	    "%20%2A%2A%2Afun%2A%2A%2A%20isn%27t%20it!" },
	{ "a/b; x*1=two; y=z; x*0=one; x*2=three", "a/b|x=onetwothree|y=z" },
	{ "a/b; x*0=one; x*2=three", "a/b|x=one" },
	{ "a/b; x*1=two", "a/b" },
	{ "a/b; x*0=one; x*1*=%74wo", "a/b|x*=''one%74wo" },
	{ "a/b; x*y=z; *=q; x**=r", "a/b|x*y=z|*=q|x**=r" },
};

static void
fields_are_parsed(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(fields); i++) {
		struct arena a = { 0 };
		struct buf b = BUF_INIT;
		struct slice type = SLICE_EMPTY, sub = SLICE_EMPTY;
		struct params params = { NULL, 0 };
		int rc = param_field_parse(
		    &a, slice_str(fields[i].value), &type, &sub, &params);

		assert_int_equal(rc, fields[i].out == NULL ? -EINVAL : 0);
		buf_put_slice(&b, type);
		buf_put_char(&b, '/');
		buf_put_slice(&b, sub);
		for (size_t k = 0; k < params.n; k++) {
			buf_put_char(&b, '|');
			buf_put_slice(&b, params.v[k].name);
			buf_put_char(&b, '=');
			buf_put_slice(&b, params.v[k].value);
		}
		assert_string_equal(buf_str(&b), rc == 0 ? fields[i].out : "/");
		buf_clear(&b);
		arena_reset(&a);
	}
}

static const struct {
	const char *value, *name, *text; /* NULL: there is none */
} decodings[] = {
	{ "attachment; filename=a.txt", "filename", "a.txt" },
	{ "attachment; filename*=utf-8''%e2%82%ac%20rates", "filename",
	    "\xe2\x82\xac rates" },
	{ "attachment; filename=x; filename*=iso-8859-1'en'%A3%20rates",
	    "filename", "\xc2\xa3 rates" },
	{ "attachment; filename*0*=utf-8''%c3; filename*1*=%a4.txt", "filename",
	    "\xc3\xa4.txt" },
	{ "attachment; filename*=no-quotes%20here", "filename",
	    "no-quotes here" },
	{ "attachment; filename*=utf-8''100%", "filename", "100%" },
	{ "attachment; filename*=utf-8''a%zz", "filename", "a%zz" },
	{ "attachment; filename=\"=?utf-8?q?=C3=A4?=.txt\"", "filename",
	    "\xc3\xa4.txt" },
	{ "attachment; filename*=utf-8''a%00b", "filename", "ab" },
	{ "attachment; name=x", "filename", NULL },
	{ "attachment", "filename", NULL },
};

static void
parameters_become_utf8(void **state)
{
	struct arena a = { 0 };

	(void)state;
	for (size_t i = 0; i < N(decodings); i++) {
		struct slice type, s;
		struct params params;

		assert_int_equal(
		    param_field_parse(&a, slice_str(decodings[i].value), &type,
			NULL, &params),
		    0);
		s = param_decode(&a, &params, decodings[i].name);
		assert_int_equal(s.p == NULL, decodings[i].text == NULL);
		if (s.p != NULL)
			assert_string_equal(
			    arena_strdup(&a, s), decodings[i].text);
	}
	arena_reset(&a);
}

/* What would take a naive parser the square of its length. */
static void
hostile_fields_take_linear_time(void **state)
{
	static const char *const units[] = { "a ", " ", ";", "a(", "a=(", "\"",
		"a=\"", "a*0=b;", "= ", "a= b", "a=b (", "\\", "x=y " };

	(void)state;
	for (size_t i = 0; i < N(units); i++) {
		struct arena a = { 0 };
		struct buf b = BUF_INIT;
		struct slice t, s;
		struct params params;

		buf_put_str(&b, "a/b;");
		while (b.n < 256 << 10)
			buf_put_str(&b, units[i]);
		assert_int_equal(
		    param_field_parse(&a, buf_slice(&b), &t, &s, &params), 0);
		assert_true(params.n <= PARAMS_MAX);
		buf_clear(&b);
		arena_reset(&a);
	}
}

/* --- message ids --- */

static const struct {
	const char *value, *ids; /* each followed by a space */
} id_lists[] = {
	{ "<1234@local.machine.example>", "1234@local.machine.example " },
	{ "<a@b>  <c@d>\r\n <e@f>", "a@b c@d e@f " },
	{ "<a@b><c@d>", "a@b c@d " },
	/* RFC 5322 A.5, A.6.3 */
	{ "              <testabcd.1234@silly.test>",
	    "testabcd.1234@silly.test " },
	{ "<1234 @ local(blah) .machine .example>",
	    "1234@local.machine.example " },
	/* quotes that are not needed: RFC 5256 3 "REFERENCES" */
	{ "<\"01KF8JCEOCBS0045PS\"@xxx.yyy.com>",
	    "01KF8JCEOCBS0045PS@xxx.yyy.com " },
	{ "Your message of Friday <a@b> (comment <no@id>) \"x\" <c@d>",
	    "a@b c@d " },
	{ "a@b", "" },
	{ "<>", "" },
	{ "< >", "" },
	{ "<a@b <c@d>", "c@d " },
	{ "<no-at-sign>", "no-at-sign " },
	{ "<a(b@c> <d@e>", "a(b@c d@e " },
	{ "", "" },
};

static void
message_ids_are_listed(void **state)
{
	struct arena a = { 0 };

	(void)state;
	for (size_t i = 0; i < N(id_lists); i++) {
		struct slice v = slice_str(id_lists[i].value), *ids;
		struct buf b = BUF_INIT;
		size_t n;

		assert_int_equal(message_id_list(&a, v, &ids, &n), 0);
		for (size_t k = 0; k < n; k++) {
			buf_put_slice(&b, ids[k]);
			buf_put_char(&b, ' ');
		}
		assert_string_equal(buf_str(&b), id_lists[i].ids);
		assert_int_equal(message_id_first(&a, v).p == NULL, n == 0);
		buf_clear(&b);
	}
	arena_reset(&a);
}

static void
message_ids_are_unique_and_well_formed(void **state)
{
	struct arena a = { 0 };
	struct buf b = BUF_INIT, c = BUF_INIT;

	(void)state;
	message_id_put(&b, SLICE_LIT("mail.example.test"));
	message_id_put(&c, SLICE_LIT("mail.example.test"));
	assert_string_not_equal(buf_str(&b), buf_str(&c));
	assert_true(slice_starts(buf_slice(&b), "<"));
	assert_true(slice_ends_nocase(buf_slice(&b), "@mail.example.test>"));
	assert_int_equal(message_id_first(&a, buf_slice(&b)).n, b.n - 2);
	buf_reset(&b);
	message_id_put(&b, SLICE_LIT("evil>\r\nBcc: x"));
	assert_true(slice_ends_nocase(buf_slice(&b), "@localhost>"));
	buf_clear(&b);
	buf_clear(&c);
	arena_reset(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_are_parsed),
		cmocka_unit_test(parameters_become_utf8),
		cmocka_unit_test(hostile_fields_take_linear_time),
		cmocka_unit_test(message_ids_are_listed),
		cmocka_unit_test(message_ids_are_unique_and_well_formed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
