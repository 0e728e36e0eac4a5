/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#include "common/mail/envelope.h"

#define N(a) (sizeof(a) / sizeof(*(a)))

static const struct {
	const char *header, *envelope;
} envelopes[] = {
	/* RFC 3501 8 */
	{ "Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\r\n"
	  "From: Terry Gray <gray@cac.washington.edu>\r\n"
	  "Subject: IMAP4rev1 WG mtg summary and minutes\r\n"
	  "To: imap@cac.washington.edu\r\n"
	  "cc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>\r\n"
	  "Message-Id: <B27397-0100000@cac.washington.edu>\r\n"
	  "MIME-Version: 1.0\r\n"
	  "Content-Type: TEXT/PLAIN; CHARSET=US-ASCII\r\n\r\n",
	    "(\"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\" "
	    "\"IMAP4rev1 WG mtg summary and minutes\" "
	    "((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) "
	    "((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) "
	    "((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) "
	    "((NIL NIL \"imap\" \"cac.washington.edu\")) "
	    "((NIL NIL \"minutes\" \"CNRI.Reston.VA.US\")"
	    "(\"John Klensin\" NIL \"KLENSIN\" \"MIT.EDU\")) NIL NIL "
	    "\"<B27397-0100000@cac.washington.edu>\")" },
	{ "\r\n", "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)" },
	{ "Subject:\r\nDate:\r\nTo:\r\nCc: ,\r\nIn-Reply-To:\r\n\r\n",
	    "(\"\" \"\" NIL NIL NIL NIL NIL NIL \"\" NIL)" },
	/* empty Sender and Reply-To are as From */
	{ "From: a@b\r\nSender:\r\nReply-To: c@d\r\n\r\n",
	    "(NIL NIL ((NIL NIL \"a\" \"b\")) ((NIL NIL \"a\" \"b\")) "
	    "((NIL NIL \"c\" \"d\")) NIL NIL NIL NIL NIL)" },
	/* groups, a route, no domain */
	{ "To: A Group:Ed <e@x>, f@y;, root\r\nCc: Undisclosed:;\r\n"
	  "Bcc: <@r1,@r2:a@b>\r\n\r\n",
	    "(NIL NIL NIL NIL NIL ((NIL NIL \"A Group\" NIL)"
	    "(\"Ed\" NIL \"e\" \"x\")(NIL NIL \"f\" \"y\")(NIL NIL NIL NIL)"
	    "(NIL NIL \"root\" \"\")) "
	    "((NIL NIL \"Undisclosed\" NIL)(NIL NIL NIL NIL)) "
	    "((NIL \"@r1,@r2\" \"a\" \"b\")) NIL NIL)" },
	/* quoting, literals, encoded words as they are */
	{ "Subject: say \"hi\" \\o/\r\nFrom: =?utf-8?q?=C3=A4?= <a@b>\r\n\r\n",
	    "(NIL \"say \\\"hi\\\" \\\\o/\" "
	    "((\"=?utf-8?q?=C3=A4?=\" NIL \"a\" \"b\")) "
	    "((\"=?utf-8?q?=C3=A4?=\" NIL \"a\" \"b\")) "
	    "((\"=?utf-8?q?=C3=A4?=\" NIL \"a\" \"b\")) NIL NIL NIL NIL NIL)" },
	{ "Subject: gr\xc3\xbc\xc3\x9f\r\n dich\r\n\r\n",
	    "(NIL {11}\r\ngr\xc3\xbc\xc3\x9f dich NIL NIL NIL NIL NIL NIL NIL "
	    "NIL)" },
};

static void
envelopes_are_written(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(envelopes); i++) {
		struct arena a = { 0 };
		struct buf b = BUF_INIT;
		struct mime_part *p;

		assert_int_equal(
		    mime_parse(&a, slice_str(envelopes[i].header), &p), 0);
		assert_int_equal(envelope_put(&b, p->envelope), 0);
		assert_string_equal(buf_str(&b), envelopes[i].envelope);
		buf_clear(&b);
		arena_reset(&a);
	}
}

#define ASCII "(\"charset\" \"us-ascii\")"
#define NO_ENVELOPE "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"

static const struct {
	const char *message, *body, *structure;
} bodies[] = {
	{ "\r\nhello\r\n",
	    "(\"text\" \"plain\" " ASCII " NIL NIL \"7bit\" 7 1)",
	    "(\"text\" \"plain\" " ASCII " NIL NIL \"7bit\" 7 1 NIL NIL NIL "
	    "NIL)" },
	{ "Content-Type: text/html\r\n\r\n",
	    "(\"text\" \"html\" NIL NIL NIL \"7bit\" 0 0)",
	    "(\"text\" \"html\" NIL NIL NIL \"7bit\" 0 0 NIL NIL NIL NIL)" },
	/* RFC 3501 7.4.2, the second part of its example */
	{ "Content-Type: TEXT/PLAIN; CHARSET=US-ASCII; NAME=\"cc.diff\"\r\n"
	  "Content-ID: <960723163407.20117h@cac.washington.edu>\r\n"
	  "Content-Description: Compiler diff\r\n"
	  "Content-Transfer-Encoding: BASE64\r\n"
	  "Content-Disposition: attachment; filename=cc.diff\r\n"
	  "Content-Language: en,de\r\nContent-Location: x\r\n"
	  "Content-MD5: y\r\n\r\nxx\r\n",
	    "(\"text\" \"plain\" (\"charset\" \"US-ASCII\" \"name\" "
	    "\"cc.diff\") \"<960723163407.20117h@cac.washington.edu>\" "
	    "\"Compiler diff\" \"base64\" 4 1)",
	    "(\"text\" \"plain\" (\"charset\" \"US-ASCII\" \"name\" "
	    "\"cc.diff\") \"<960723163407.20117h@cac.washington.edu>\" "
	    "\"Compiler diff\" \"base64\" 4 1 \"y\" (\"attachment\" "
	    "(\"filename\" \"cc.diff\")) (\"en\" \"de\") \"x\")" },
	{ "Content-Type: multipart/mixed; boundary=b\r\n"
	  "Content-Language: en\r\n\r\n--b\r\n\r\none\r\n"
	  "--b\r\nContent-Type: image/png\r\n"
	  "Content-Disposition: inline\r\n\r\nxx\r\n--b--\r\n",
	    "((\"text\" \"plain\" " ASCII " NIL NIL \"7bit\" 3 0)"
	    "(\"image\" \"png\" NIL NIL NIL \"7bit\" 2) \"mixed\")",
	    "((\"text\" \"plain\" " ASCII
	    " NIL NIL \"7bit\" 3 0 NIL NIL NIL NIL)"
	    "(\"image\" \"png\" NIL NIL NIL \"7bit\" 2 NIL (\"inline\" NIL) "
	    "NIL NIL) \"mixed\" (\"boundary\" \"b\") NIL (\"en\") NIL)" },
	{ "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
	  "Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nx\r\ny\r\n"
	  "--b--\r\n",
	    "((\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 19 "
	    "(NIL \"in\" NIL NIL NIL NIL NIL NIL NIL NIL) "
	    "(\"text\" \"plain\" " ASCII " NIL NIL \"7bit\" 4 1) 3) \"mixed\")",
	    "((\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 19 "
	    "(NIL \"in\" NIL NIL NIL NIL NIL NIL NIL NIL) "
	    "(\"text\" \"plain\" " ASCII " NIL NIL \"7bit\" 4 1 NIL NIL NIL "
	    "NIL) 3 NIL NIL NIL NIL) \"mixed\" (\"boundary\" \"b\") NIL NIL "
	    "NIL)" },
	/* a multipart always has a part; without boundary it is none */
	{ "Content-Type: multipart/mixed; boundary=b\r\n\r\nxxx\r\n",
	    "((\"text\" \"plain\" " ASCII " NIL NIL \"7bit\" 0 0) \"mixed\")",
	    "((\"text\" \"plain\" " ASCII " NIL NIL \"7bit\" 0 0 NIL NIL NIL "
	    "NIL) \"mixed\" (\"boundary\" \"b\") NIL NIL NIL)" },
	{ "Content-Type: multipart/mixed\r\n\r\nxxx\r\n",
	    "(\"application\" \"octet-stream\" NIL NIL NIL \"7bit\" 5)",
	    "(\"application\" \"octet-stream\" NIL NIL NIL \"7bit\" 5 NIL NIL "
	    "NIL NIL)" },
	{ "Content-Type: message/rfc822\r\n\r\n",
	    "(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 0 " NO_ENVELOPE
	    " (\"text\" \"plain\" " ASCII " NIL NIL \"7bit\" 0 0) 0)",
	    "(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 0 " NO_ENVELOPE
	    " (\"text\" \"plain\" " ASCII
	    " NIL NIL \"7bit\" 0 0 NIL NIL NIL NIL) 0 NIL NIL NIL NIL)" },
	/* RFC 2231 6: continuations are joined */
	{ "Content-Type: a/b; n*0=x; n*1=y\r\n"
	  "Content-Disposition: attachment;\r\n"
	  " filename*0*=utf-8''%c3; filename*1*=%a4\r\n\r\n",
	    "(\"a\" \"b\" (\"n\" \"xy\") NIL NIL \"7bit\" 0)",
	    "(\"a\" \"b\" (\"n\" \"xy\") NIL NIL \"7bit\" 0 NIL "
	    "(\"attachment\" (\"filename*\" \"utf-8''%c3%a4\")) NIL NIL)" },
	/* 8-bit in a parameter; language without a tag */
	{ "Content-Type: a/b; n=\"\xc3\xa4\"\r\nContent-Language: ,\r\n\r\n",
	    "(\"a\" \"b\" (\"n\" {2}\r\n\xc3\xa4) NIL NIL \"7bit\" 0)",
	    "(\"a\" \"b\" (\"n\" {2}\r\n\xc3\xa4) NIL NIL \"7bit\" 0 NIL NIL "
	    "NIL NIL)" },
};

static void
bodies_are_described(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(bodies); i++) {
		struct arena a = { 0 };
		struct buf b = BUF_INIT;
		struct mime_part *p;

		assert_int_equal(
		    mime_parse(&a, slice_str(bodies[i].message), &p), 0);
		assert_int_equal(envelope_put_body(&b, p, false), 0);
		assert_string_equal(buf_str(&b), bodies[i].body);
		buf_reset(&b);
		assert_int_equal(envelope_put_body(&b, p, true), 0);
		assert_string_equal(buf_str(&b), bodies[i].structure);
		buf_clear(&b);
		arena_reset(&a);
	}
}

static void
what_does_not_fit_is_an_error(void **state)
{
	struct arena a = { 0 };
	struct buf b = BUF_INIT_MAX(100);
	struct mime_part *p;

	(void)state;
	mime_parse(&a, slice_str(envelopes[0].header), &p);
	assert_int_equal(envelope_put(&b, p->envelope), -ENOMEM);
	buf_reset(&b);
	assert_int_equal(envelope_put_body(&b, p, true), 0);
	buf_clear(&b);
	b = BUF_INIT_MAX(10);
	assert_int_equal(envelope_put_body(&b, p, true), -ENOMEM);
	buf_clear(&b);
	arena_reset(&a);
}

/* A message may fill the tree with addresses: that costs no more memory at a
 * time than one list of them does. */
static void
many_addresses_are_described(void **state)
{
	struct arena a = { .max = (size_t)8 << 20 };
	struct buf m = BUF_INIT, b = BUF_INIT;
	struct mime_part *p;

	(void)state;
	buf_put_str(&m, "Content-Type: multipart/digest; boundary=b\n\n");
	for (int i = 0; i < 30; i++) {
		buf_put_str(&m, "--b\n\nFrom: ");
		for (int k = 0; k < 20000; k++)
			buf_put_str(&m, "a@b,");
		buf_put_str(&m, "\n\nx\n");
	}
	assert_int_equal(mime_parse(&a, buf_slice(&m), &p), 0);
	assert_int_equal(envelope_put_body(&b, p, true), 0);
	assert_true(b.n > (size_t)10 << 20);
	buf_clear(&m);
	buf_clear(&b);
	arena_reset(&a);
}

static void
strings_are_safe(void **state)
{
	struct buf b = BUF_INIT;

	(void)state;
	envelope_put_nstring(&b, SLICE_LIT("a\r\nb\0c\"\\"));
	assert_string_equal(buf_str(&b), "\"abc\\\"\\\\\"");
	buf_reset(&b);
	envelope_put_nstring(&b, SLICE_LIT("\r\xc3\n\xa4\0"));
	assert_string_equal(buf_str(&b), "{2}\r\n\xc3\xa4");
	buf_reset(&b);
	envelope_put_nstring(&b, slice(NULL, 0));
	assert_string_equal(buf_str(&b), "NIL");
	buf_clear(&b);
}

static const struct {
	const char *subject, *base;
	bool is_reply;
} subjects[] = {
	{ "hello", "hello", false },
	{ "Re: hello", "hello", true },
	{ "RE:hello", "hello", true },
	{ "re : hello", "hello", true },
	{ "Fwd: Re: hello", "hello", true },
	{ "FW: hello", "hello", true },
	{ "Re[2]: hello", "hello", true },
	{ "Re [list] : hello", "hello", true },
	{ "[list] hello", "hello", false },
	{ "[list] Re: hello", "hello", true },
	{ "[a] [b] Re: [c] hello", "hello", true },
	{ "hello (fwd)", "hello", true },
	{ "hello (fwd)  (FWD) ", "hello", true },
	{ "[Fwd: hello]", "hello", true },
	{ "[fwd: [fwd: Re: hello (fwd)]]", "hello", true },
	{ "[only a blob]", "[only a blob]", false },
	{ "Re: [only a blob]", "[only a blob]", true },
	{ "[a][b]", "[b]", false },
	{ "  two   spaces\t\there ", "two spaces here", false },
	{ "=?utf-8?q?Re:_gr=C3=BC=C3=9F?=", "gr\xc3\xbc\xc3\x9f", true },
	{ "Re: =?utf-8?q?Re:?= x", "x", true },
	{ "Re:", "", true },
	{ "", "", false },
	{ "Regarding: x", "Regarding: x", false },
	{ "Re", "Re", false },
	{ "[unclosed Re: x", "[unclosed Re: x", false },
	{ "[fwd: unclosed", "[fwd: unclosed", false },
	{ "(fwd)", "", true },
	{ "[fwd:]", "", true },
};

static void
subjects_have_a_base(void **state)
{
	struct arena a = { 0 };

	(void)state;
	for (size_t i = 0; i < N(subjects); i++) {
		bool is_reply;
		struct slice s = envelope_base_subject(
		    &a, slice_str(subjects[i].subject), &is_reply);

		assert_string_equal(arena_strdup(&a, s), subjects[i].base);
		assert_int_equal(is_reply, subjects[i].is_reply);
	}
	arena_reset(&a);
}

static void
hostile_subjects_end_soon(void **state)
{
	static const char *const units[] = { "[a]", "[", "[fwd:", "Re:", "]",
		"(fwd)", " " };

	(void)state;
	for (size_t i = 0; i < N(units); i++) {
		struct arena a = { 0 };
		struct buf b = BUF_INIT;

		while (b.n < 256 << 10)
			buf_put_str(&b, units[i]);
		assert_non_null(
		    envelope_base_subject(&a, buf_slice(&b), NULL).p);
		buf_clear(&b);
		arena_reset(&a);
	}
}

static void
sent_dates_are_read(void **state)
{
	struct mime_envelope e = { .date = SLICE_LIT(
				       "Fri, 20 Nov 2026 22:00:00 +0200") };
	int64_t t = 0;

	(void)state;
	assert_true(envelope_sent_date(&e, &t));
	assert_int_equal(t, 1795204800);
	e.date = SLICE_LIT("junk");
	assert_false(envelope_sent_date(&e, &t));
	e.date = slice(NULL, 0);
	assert_false(envelope_sent_date(&e, &t));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(envelopes_are_written),
		cmocka_unit_test(bodies_are_described),
		cmocka_unit_test(what_does_not_fit_is_an_error),
		cmocka_unit_test(many_addresses_are_described),
		cmocka_unit_test(strings_are_safe),
		cmocka_unit_test(subjects_have_a_base),
		cmocka_unit_test(hostile_subjects_end_soon),
		cmocka_unit_test(sent_dates_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
