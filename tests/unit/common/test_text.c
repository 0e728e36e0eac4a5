/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#include "common/mail/charset.h"
#include "common/mail/text.h"

#define N(a) (sizeof(a) / sizeof(*(a)))

static const struct {
	const char *header, *body, *text;
} texts[] = {
	{ "", "hello\r\nworld\r\n", "hello\nworld\n" },
	{ "", "a\rb\n\r\nc", "a\nb\n\nc" },
	{ "Content-Type: text/plain; charset=iso-8859-1\n"
	  "Content-Transfer-Encoding: quoted-printable\n",
	    "gr=FC=\r\n=DF", "gr\xc3\xbc\xc3\x9f" },
	{ "Content-Type: text/plain; charset=utf-8\n"
	  "Content-Transfer-Encoding: base64\n",
	    "w6TDtsO8", "\xc3\xa4\xc3\xb6\xc3\xbc" },
	{ "Content-Type: text/plain; charset=utf-16le\n"
	  "Content-Transfer-Encoding: base64\n",
	    "SABpAA0ACgA=", "Hi\n" },
	{ "Content-Type: text/plain; charset=x-unknown\n", "gr\xfc\xdf",
	    "gr\xef\xbf\xbd\xef\xbf\xbd" },
	/* HTML */
	{ "Content-Type: text/html\n",
	    "<html><head><title>no</title><style>p { }</style></head>\n<body>"
	    "<h1>Hello</h1>\n<p>two  words<br>next\n\n line</p></body></html>",
	    "Hello\ntwo words\nnext line" },
	{ "Content-Type: text/html\n", "a&amp;b &lt;x&gt; &auml;&#228;&#xE4;",
	    "a&b <x> \xc3\xa4\xc3\xa4\xc3\xa4" },
	{ "Content-Type: text/html\n", "&euro;&nbsp;5 &#128; &#x1F600;",
	    "\xe2\x82\xac 5 \xe2\x82\xac \xf0\x9f\x98\x80" },
	{ "Content-Type: text/html\n", "&unknown; &; & &amp &#; &#x; AT&T &am",
	    "&unknown; &; & & &#; &#x; AT&T &am" },
	{ "Content-Type: text/html\n", "&#xD800;&#99999999999;&#0;x",
	    "\xef\xbf\xbd\xef\xbf\xbdx" },
	{ "Content-Type: text/html\n",
	    "a<!-- no > <b> -- -->b<!doctype x>c<?php no ?>d", "abcd" },
	{ "Content-Type: text/html\n",
	    "<a title=\"x > y\" href='>'>link</a> 1 < 2 <3 </> x",
	    "link 1 < 2 <3 x" },
	{ "Content-Type: text/html\n",
	    "a<script>if (a</b) \"</script>\" </SCRIPT >b", "a\" b" },
	{ "Content-Type: text/html\n", "a<script>never ends", "a" },
	{ "Content-Type: text/html\n",
	    "<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>",
	    "a b\nc" },
	{ "Content-Type: text/html\n", "a&zwnj;&#8203;&shy;b", "ab" },
	{ "Content-Type: text/html\n", "  \n <p> \n </p> x", "x" },
	{ "Content-Type: text/html\n", "x<", "x<" },
	{ "Content-Type: text/html; charset=utf-8\n"
	  "Content-Transfer-Encoding: quoted-printable\n",
	    "<b>gr=C3=BC=C3=9F</b>", "gr\xc3\xbc\xc3\x9f" },
	{ "Content-Type: text/html\n",
	    "<div class=averyveryverylongattribute><blockquote>a</blockquote>"
	    "<averyverylongelementname>b",
	    "a\nb" },
};

static struct mime_part *
parse_header(struct arena *a, const char *header)
{
	struct buf m = BUF_INIT;
	struct mime_part *p = NULL;

	buf_put_str(&m, header);
	buf_put_str(&m, "\nbody");
	assert_int_equal(mime_parse(a, buf_slice(&m), &p), 0);
	buf_clear(&m);
	return p;
}

static void
check_text(size_t i, size_t step)
{
	struct arena a = { 0 };
	struct mime_part *p = parse_header(&a, texts[i].header);
	struct slice rest = slice_str(texts[i].body);
	struct text_reader *t;
	struct buf out = BUF_INIT;

	assert_true(text_part_is_text(p));
	assert_int_equal(text_reader_new(&t, p), 0);
	for (; rest.n > 0; rest = slice_from(rest, step))
		assert_true(text_reader_feed(t, slice_head(rest, step), &out));
	assert_true(text_reader_end(t, &out));
	assert_string_equal(buf_str(&out), texts[i].text);
	text_reader_free(&t);
	assert_null(t);
	buf_clear(&out);
	arena_reset(&a);
}

static void
bodies_become_text(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(texts); i++)
		for (size_t step = 1; step < 200; step = step * 2 + 1)
			check_text(i, step);
}

static void
text_is_bounded(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(texts); i++) {
		for (size_t max = 1; max < 20; max++) {
			struct arena a = { 0 };
			struct mime_part *p = parse_header(&a, texts[i].header);
			struct buf out = BUF_INIT_MAX(max);

			assert_int_equal(
			    text_decode(p, slice_str(texts[i].body), &out), 0);
			assert_false(out.failed);
			assert_true(utf8_is_valid(buf_slice(&out)));
			assert_true(slice_starts(
			    slice_str(texts[i].text), buf_str(&out)));
			assert_true(
			    out.n + 4 > max || out.n == strlen(texts[i].text));
			buf_clear(&out);
			arena_reset(&a);
		}
	}
}

static void
big_bodies_go_through_in_pieces(void **state)
{
	struct arena a = { 0 };
	struct mime_part *p = parse_header(&a, "Content-Type: text/html\n");
	struct buf raw = BUF_INIT, out = BUF_INIT_MAX((size_t)1 << 20);

	(void)state;
	for (int i = 0; i < 10000; i++)
		buf_put_str(&raw, "<p>gr\xc3\xbc\xc3\x9f</p>\r\n");
	assert_int_equal(text_decode(p, buf_slice(&raw), &out), 0);
	assert_int_equal(out.n, 10000 * 7 - 1);
	buf_clear(&raw);
	buf_clear(&out);
	arena_reset(&a);
}

static const struct {
	const char *text, *preview;
} previews[] = {
	{ "", "" },
	{ "  hello \r\n\r\n  world\t\tagain \n", "hello world again" },
	{ "On Friday Joe wrote:\n> quoted\n> more\nanswer\n",
	    "On Friday Joe wrote: answer" },
	{ "Title\n=====\n-- \n* * *\ntext", "Title text" },
	{ "a\x01\x7f\xe2\x80\x8b\xc2\xad\xef\xbb\xbf"
	  "b\xc2\xa0"
	  "c",
	    "ab c" },
	{ "\n\n\n", "" },
};

static void
previews_are_one_line(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(previews); i++) {
		struct buf b = BUF_INIT;

		assert_true(text_preview(slice_str(previews[i].text), &b));
		assert_string_equal(buf_str(&b), previews[i].preview);
		buf_clear(&b);
	}
}

static void
previews_have_200_characters(void **state)
{
	struct buf text = BUF_INIT, b = BUF_INIT;

	(void)state;
	for (int i = 0; i < 300; i++)
		buf_put_str(&text, "\xc3\xa4");
	text_preview(buf_slice(&text), &b);
	assert_int_equal(b.n, 400);
	buf_reset(&text);
	buf_reset(&b);
	for (int i = 0; i < 300; i++)
		buf_put_str(&text, "ab ");
	text_preview(buf_slice(&text), &b);
	assert_int_equal(b.n, 200);
	buf_reset(&text);
	buf_reset(&b);
	for (int i = 0; i < 300; i++)
		buf_put_str(&text, "a ");
	text_preview(buf_slice(&text), &b);
	assert_int_equal(b.n, 199); /* not a space at the end */
	buf_clear(&text);
	buf_clear(&b);
}

static const struct {
	const char *message, *type;
} found[] = {
	{ "\nplain text", "plain" },
	{ "Content-Type: text/html\n\n<p>html", "html" },
	{ "Content-Type: image/png\n\nxxxx", NULL },
	{ "\n", NULL },
	{ "Content-Type: multipart/alternative; boundary=b\n\n--b\n"
	  "Content-Type: text/html\n\n<p>html\n--b\n\nplain\n--b--\n",
	    "plain" },
	{ "Content-Type: multipart/alternative; boundary=b\n\n--b\n\n\n--b\n"
	  "Content-Type: text/html\n\n<p>html\n--b--\n",
	    "html" },
	{ "Content-Disposition: attachment\n\nplain text", NULL },
};

static void
the_text_part_is_found(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(found); i++) {
		struct arena a = { 0 };
		struct mime_part *root;
		const struct mime_part *p;

		mime_parse(&a, slice_str(found[i].message), &root);
		p = text_part_find(root);
		assert_int_equal(p == NULL, found[i].type == NULL);
		if (p != NULL)
			assert_true(slice_eq_str(p->subtype, found[i].type));
		arena_reset(&a);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bodies_become_text),
		cmocka_unit_test(text_is_bounded),
		cmocka_unit_test(big_bodies_go_through_in_pieces),
		cmocka_unit_test(previews_are_one_line),
		cmocka_unit_test(previews_have_200_characters),
		cmocka_unit_test(the_text_part_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
