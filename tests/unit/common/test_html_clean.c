/* SPDX-License-Identifier: ISC */
/* What becomes of HTML, to the octet; that hostile mail does nothing is shown
 * in e2e test_api_send, with tests/e2e/hostile_html.txt. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "common/mail/html_clean.h"

static const struct {
	const char *in, *out;
	unsigned blocked;
} cases[] = {
	{ "", "", 0 },
	{ "a < b & c > d", "a &lt; b &amp; c &gt; d", 0 },
	{ "&lt;p&gt; &amp;amp; &eacute; &#65;&#x42;",
	    "&lt;p&gt; &amp;amp; \xc3\xa9 AB", 0 },
	{ "&#0;&#xd800;&#99999999;&unknown;",
	    "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd&amp;unknown;", 0 },
	{ "<p>x<P>y</p>", "<p>x<p>y</p></p>", 0 },
	{ "<b><i>x</b>y</i>", "<b><i>x</i></b>y", 0 },
	{ "</p>x</div>", "x", 0 },
	{ "<blink>x</blink>", "x", 0 },
	{ "<br/><hr /><br>", "<br><hr><br>", 0 },
	{ "<script>a<b</script >x", "x", 0 },
	{ "<script>x", "", 0 },
	{ "<style>p{}</styles></style>x", "x", 0 },
	{ "<svg><svg>a</svg>b</svg>c", "c", 0 },
	{ "<!-- <b> -->x<!--> y<!---> z<!-- a ---> q <!-- b --!> r",
	    "x y z q  r", 0 },
	{ "<!doctype html><?xml ?>x", "x", 0 },
	{ "<!-- x", "", 0 },
	{ "<p onclick=x align=left foo=bar>x",
	    "<p align=\"left\">x</p>", 0 },
	{ "<p title='a\"b>c' title=x>y",
	    "<p title=\"a&quot;b&gt;c\">y</p>", 0 },
	{ "<a href=https://a.test/?a=1&amp;b=2>x</a>",
	    "<a href=\"https://a.test/?a=1&amp;b=2\" target=\"_blank\" "
	    "rel=\"noopener noreferrer\">x</a>",
	    0 },
	{ "<a href='mailto:a@b.test'>x</a>",
	    "<a href=\"mailto:a@b.test\" target=\"_blank\" "
	    "rel=\"noopener noreferrer\">x</a>",
	    0 },
	{ "<a href=\"java\tscript:x\">x</a>", "<a>x</a>", 0 },
	{ "<a href=//a.test>x</a><p href=https://a.test>",
	    "<a>x</a><p></p>", 0 },
	{ "<img src=http://t.test/x alt=a><img src=HTTPS://t.test>",
	    "<img alt=\"a\"><img>", 2 },
	{ "<img src=cid:a><img src=/x><b src=cid:a>y</b>",
	    "<img src=\"data:,a\"><img><b>y</b>", 0 },
	{ "<p style=\"color: red; position:fixed; WIDTH:10px\">x",
	    "<p style=\"color:red;WIDTH:10px\">x</p>", 0 },
	{ "<p style=\"background:url(x);color:rgb(1,2,3)\">x",
	    "<p style=\"color:rgb(1,2,3)\">x</p>", 0 },
	{ "<p style=\"color:r\\65 d;width:1px/**/\">x", "<p>x</p>", 0 },
	{ "<table width=100% border=x\"y><tr><td bgcolor=#fff>x",
	    "<table width=\"100%\"><tr><td bgcolor=\"#fff\">x</td></tr>"
	    "</table>",
	    0 },
	{ "<p", "<p></p>", 0 },
	{ "<p title=\"x", "<p title=\"x\"></p>", 0 },
	{ "<", "&lt;", 0 },
	{ "</", "", 0 },
	{ "<averyveryverylongname>x</averyveryverylongname>", "x", 0 },
};

static bool
image(void *arg, struct slice src, struct buf *out)
{
	(void)arg;
	return slice_starts(src, "cid:") && buf_put_str(out, "data:,") &&
	    buf_put_slice(out, slice_from(src, 4));
}

static void
becomes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct html_clean h = { .image = image };
		struct buf b = BUF_INIT;

		assert_true(html_clean(&h, slice_str(cases[i].in), &b));
		if (strcmp(buf_str(&b), cases[i].out) != 0)
			fail_msg("%s: %s", cases[i].in, buf_str(&b));
		assert_int_equal(h.blocked, cases[i].blocked);
		buf_clear(&b);
	}
}

static void
remote_images_where_they_are_wanted(void **state)
{
	struct html_clean h = { .remote = true };
	struct buf b = BUF_INIT;

	(void)state;
	assert_true(html_clean(
	    &h, SLICE_LIT("<img src='http://a.test/?\"&lt;'>"), &b));
	assert_string_equal(
	    buf_str(&b), "<img src=\"http://a.test/?&quot;&lt;\">");
	assert_int_equal(h.blocked, 0);
	buf_clear(&b);
}

static void
depth_and_size_are_bounded(void **state)
{
	struct html_clean h = { .remote = false };
	struct buf in = BUF_INIT, out = BUF_INIT;
	struct buf tight = BUF_INIT_MAX(100);

	(void)state;
	for (int i = 0; i < 100000; i++)
		buf_put_str(&in, "<b>");
	assert_true(html_clean(&h, buf_slice(&in), &out));
	assert_int_equal(out.n, 100 * strlen("<b></b>"));
	assert_false(html_clean(&h, buf_slice(&in), &tight));
	buf_clear(&in);
	buf_clear(&out);
	buf_clear(&tight);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(becomes),
		cmocka_unit_test(remote_images_where_they_are_wanted),
		cmocka_unit_test(depth_and_size_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
