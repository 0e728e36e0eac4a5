/* SPDX-License-Identifier: ISC */
/* The tag of Send-As: found in every form, cut, and the header rewritten. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>

#include "common/mail/encoded.h"
#include "common/mail/header.h"
#include "msa/sendas.h"

#define LONG "a-rather-long-word-that-fills-the-line"

/* What follows "Subject:", the address found, and what the Subject is then
 * once decoded. */
static const struct {
	const char *subject;
	const char *local, *domain; /* NULL: left out */
	const char *reads;
	const char *raw; /* NULL: not looked at */
} found[] = {
	/* any position, one adjoining space */
	{ " [sendas:shop] Hello", "shop", NULL, "Hello", " Hello\r\n" },
	{ " Hello [sendas:shop]", "shop", NULL, "Hello", " Hello\r\n" },
	{ " Hello [sendas:shop] world", "shop", NULL, "Hello world",
	    " Hello world\r\n" },
	{ " Hello  [sendas:shop]  world", "shop", NULL, "Hello   world", NULL },
	{ " a[sendas:shop]b", "shop", NULL, "ab", NULL },
	{ " a[sendas:shop] b", "shop", NULL, "ab", NULL },
	{ " a [sendas:shop]b", "shop", NULL, "ab", NULL },
	{ "[sendas:shop]", "shop", NULL, "", NULL },
	{ " [sendas:shop]", "shop", NULL, "", NULL },
	{ " \t[sendas:shop]\tx ", "shop", NULL, "x", NULL },
	{ " Re: Fwd: [list] [sendas:shop] x", "shop", NULL,
	    "Re: Fwd: [list] x", " Re: Fwd: [list] x\r\n" },
	{ " [x] [sendas:shop]: y", "shop", NULL, "[x]: y", NULL },
	{ " [[sendas:shop]]", "shop", NULL, "[]", NULL },
	/* case, domains, angle brackets, white space */
	{ " [SENDAS:Shop] x", "Shop", NULL, "x", NULL },
	{ " [SendAs:SHOP@Example.ORG] x", "SHOP", "Example.ORG", "x", NULL },
	{ " [sendas:<shop>] x", "shop", NULL, "x", NULL },
	{ " [sendas:<shop@all.lab>] x", "shop", "all.lab", "x", NULL },
	{ " [sendas: shop@all.lab ] x", "shop", "all.lab", "x", NULL },
	{ " [sendas: < shop @ all.lab > ] x", "shop", "all.lab", "x", NULL },
	{ " [sendas:a.b-c_d+e=f'g] x", "a.b-c_d+e=f'g", NULL, "x", NULL },
	{ " [sendas:a@b@all.lab] x", NULL, NULL, NULL, NULL },
	/* folded */
	{ "\r\n [sendas:shop] x", "shop", NULL, "x", NULL },
	{ " Hello\r\n [sendas:shop]\r\n world", "shop", NULL, "Hello world",
	    " Hello world\r\n" },
	{ " Hello\r\n [sendas:shop]", "shop", NULL, "Hello", " Hello\r\n" },
	{ " [sendas:shop]\r\n world", "shop", NULL, "world", NULL },
	{ " [sendas:\r\n shop] x", "shop", NULL, "x", NULL },
	{ " [sendas:shop@\r\n\tall.lab] x", "shop", "all.lab", "x", NULL },
	{ " [sendas:shop\r\n ]\r\n x", "shop", NULL, "x", NULL },
	{ " Hello\n [sendas:shop]\n world", "shop", NULL, "Hello world",
	    NULL },
	{ " " LONG " " LONG "\r\n [sendas:shop]\r\n " LONG, "shop", NULL,
	    LONG " " LONG " " LONG,
	    " " LONG "\r\n " LONG "\r\n " LONG "\r\n" },
	/* 8-bit as it is */
	{ " [sendas:shop] gr\xc3\xbc\xc3\x9f", "shop", NULL,
	    "gr\xc3\xbc\xc3\x9f", " gr\xc3\xbc\xc3\x9f\r\n" },
	{ " [sendas:b\xc3\xbcro] x", "b\xc3\xbcro", NULL, "x", NULL },
	{ " [sendas:shop@b\xc3\xbc"
	  "cher.lab] x",
	    "shop", "b\xc3\xbc" "cher.lab", "x", NULL },
	/* beside encoded words, which stay as they are */
	{ " [sendas:shop] =?iso-8859-1?q?gr=FC=DF?=", "shop", NULL,
	    "gr\xc3\xbc\xc3\x9f", " =?iso-8859-1?q?gr=FC=DF?=\r\n" },
	{ " =?iso-8859-1?q?gr=FC=DF?= [sendas:shop]", "shop", NULL,
	    "gr\xc3\xbc\xc3\x9f", " =?iso-8859-1?q?gr=FC=DF?=\r\n" },
	{ " =?utf-8?q?a?= [sendas:shop] b", "shop", NULL, "a b",
	    " =?utf-8?q?a?= b\r\n" },
	/* between two: they must not run together */
	{ " =?utf-8?q?a?= [sendas:shop] =?utf-8?q?b?=", "shop", NULL, "a b",
	    " a b\r\n" },
	{ " =?utf-8?q?=C3=BC?=\r\n [sendas:shop]\r\n =?utf-8?q?=C3=BC?=",
	    "shop", NULL, "\xc3\xbc \xc3\xbc", NULL },
	/* inside one, and split over them */
	{ " =?utf-8?q?[sendas:shop]_gr=C3=BC=C3=9F?=", "shop", NULL,
	    "gr\xc3\xbc\xc3\x9f", " =?utf-8?b?Z3LDvMOf?=\r\n" },
	{ " =?UTF-8?Q?gr=C3=BC=C3=9F_=5Bsendas=3Ashop=5D?=", "shop", NULL,
	    "gr\xc3\xbc\xc3\x9f", NULL },
	{ " =?utf-8?b?W3NlbmRhczpzaG9wQGFsbC5sYWJdIMO8?=", "shop", "all.lab",
	    "\xc3\xbc", NULL },
	{ " =?utf-8?q?=C3=BC_[sen?= =?utf-8?q?das:shop]?=", "shop", NULL,
	    "\xc3\xbc", NULL },
	{ " =?utf-8?q?=C3=BC_[sen?=\r\n =?utf-8?b?ZGFzOnNob3Bd?=\r\n"
	  " =?iso-8859-1?q?_x?=",
	    "shop", NULL, "\xc3\xbc x", NULL },
	{ " =?utf-8?q?[sendas:sh?=\r\n\t=?utf-8?q?op@all.?=\r\n"
	  "\t=?utf-8?q?lab]_=C3=BC?=",
	    "shop", "all.lab", "\xc3\xbc", NULL },
	{ " =?utf-8?q?[sendas:?= shop] x", "shop", NULL, "x", NULL },
	{ " =?utf-8?b?W3NlbmRhczpiw7xyb10gw7w=?=", "b\xc3\xbcro", NULL,
	    "\xc3\xbc", NULL },
	/* what decoding brings in ends no line */
	{ " =?utf-8?q?a=0D=0ABcc:_x@y.lab_[sendas:shop]?=", "shop", NULL,
	    "a  Bcc: x@y.lab", NULL },
};

static void
slice_is(struct slice s, const char *expected)
{
	if (expected == NULL) {
		assert_null(s.p);
		return;
	}
	if (!slice_eq_str(s, expected))
		print_error("\"%.*s\" is not \"%s\"\n", (int)s.n, s.p,
		    expected);
	assert_true(slice_eq_str(s, expected));
}

static int
find(struct arena *a, const char *subject, struct sendas_tag *out)
{
	const char *header = arena_printf(
	    a, "To: x@y.lab\r\nsubject:%s\r\nFrom: a@x.lab\r\n\r\n", subject);

	return sendas_find(a, slice_str(header), out);
}

static void
the_tag_is_found_and_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(found) / sizeof(found[0]); i++) {
		struct arena a = ARENA_INIT_MAX(0);
		struct sendas_tag tag = { .text = SLICE_EMPTY };
		int rc = find(&a, found[i].subject, &tag);

		if (rc != (found[i].local != NULL ? SENDAS_TAG : SENDAS_BAD))
			print_error("%s: %d\n", found[i].subject, rc);
		if (found[i].local == NULL) {
			assert_int_equal(rc, SENDAS_BAD);
			arena_reset(&a);
			continue;
		}
		assert_int_equal(rc, SENDAS_TAG);
		slice_is(tag.local, found[i].local);
		slice_is(tag.domain, found[i].domain);
		slice_is(slice_trim(encoded_decode(&a, tag.subject)),
		    found[i].reads);
		if (found[i].raw != NULL)
			slice_is(tag.subject, found[i].raw);
		arena_reset(&a);
	}
}

static const struct {
	const char *subject;
	int found;
} others[] = {
	{ "", SENDAS_NONE },
	{ " Hello", SENDAS_NONE },
	{ " sendas:shop", SENDAS_NONE },
	{ " [sendas] shop", SENDAS_NONE },
	{ " [sendas shop]", SENDAS_NONE },
	{ " [sendas:shop", SENDAS_NONE },
	{ " [ sendas:shop]", SENDAS_NONE },
	{ " [send as:shop]", SENDAS_NONE },
	{ " (sendas:shop)", SENDAS_NONE },
	{ " =?utf-8?q?=5Bsendas:shop?=", SENDAS_NONE },
	{ " =?x-unknown?q?[sendas:shop]?= x", SENDAS_TAG },
	{ " [sendas:]", SENDAS_BAD },
	{ " [sendas: ]", SENDAS_BAD },
	{ " [sendas:<>]", SENDAS_BAD },
	{ " [sendas:@all.lab]", SENDAS_BAD },
	{ " [sendas:shop@]", SENDAS_BAD },
	{ " [sendas:a b]", SENDAS_BAD },
	{ " [sendas:a..b]", SENDAS_BAD },
	{ " [sendas:.a]", SENDAS_BAD },
	{ " [sendas:a.]", SENDAS_BAD },
	{ " [sendas:<a]", SENDAS_BAD },
	{ " [sendas:a,b]", SENDAS_BAD },
	{ " [sendas:a@b c]", SENDAS_BAD },
	{ " [sendas:a@b/c]", SENDAS_BAD },
	{ " [sendas:\"a\"]", SENDAS_BAD },
	{ " =?utf-8?q?[sendas:a=0D=0ARCPT]?=", SENDAS_BAD },
	{ " [sendas:a=0A] =?utf-8?q?=?=", SENDAS_TAG },
	{ " [sendas:a] [sendas:b]", SENDAS_MANY },
	{ " [sendas:a] [sendas:a]", SENDAS_MANY },
	{ " [sendas:a] [sendas:]", SENDAS_MANY },
	{ " [sen[sendas:a]das:b]", SENDAS_MANY },
	{ " [sendas:a] =?utf-8?q?[SENDAS:b]?=", SENDAS_MANY },
	{ " [sendas:a]\r\nSubject: [sendas:b]", SENDAS_MANY },
	{ " x\r\nSubject: [sendas:b]", SENDAS_TAG },
	{ " x\r\nX-Subject: [sendas:b]", SENDAS_NONE },
	{ " x\r\nTo: \"[sendas:b]\" <a@b.lab>", SENDAS_NONE },
	{ " x\r\n\r\nSubject: [sendas:b]", SENDAS_NONE },
};

static void
what_is_no_tag_or_no_address_is_known(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		struct arena a = ARENA_INIT_MAX(0);
		struct sendas_tag tag = { .text = SLICE_EMPTY };
		int rc = find(&a, others[i].subject, &tag);

		if (rc != others[i].found)
			print_error("%s\n", others[i].subject);
		assert_int_equal(rc, others[i].found);
		arena_reset(&a);
	}
	/* A local part over its limit. */
	{
		struct arena a = ARENA_INIT_MAX(0);
		struct sendas_tag tag;
		char text[128] = " [sendas:";

		memset(text + 9, 'a', 65);
		text[9 + 65] = ']';
		assert_int_equal(find(&a, text, &tag), SENDAS_BAD);
		text[9 + 64] = ']';
		assert_int_equal(find(&a, text, &tag), SENDAS_TAG);
		arena_reset(&a);
	}
}

/* What follows "From:" before and after. */
static const struct {
	const char *from, *to;
} froms[] = {
	{ " a@x.lab", " n@all.lab" },
	{ " <a@x.lab>", " <n@all.lab>" },
	{ "a@x.lab", "n@all.lab" },
	{ " Alice <a@x.lab>", " Alice <n@all.lab>" },
	{ " Alice<a@x.lab>", " Alice<n@all.lab>" },
	{ " \"Last, First\" <a@x.lab>", " \"Last, First\" <n@all.lab>" },
	{ " \"a <b@c> \\\" d\" <a@x.lab>", " \"a <b@c> \\\" d\" <n@all.lab>" },
	{ " =?iso-8859-1?q?J=FCrgen?= <a@x.lab>",
	    " =?iso-8859-1?q?J=FCrgen?= <n@all.lab>" },
	{ " J\xc3\xbcrgen <a@x.lab>", " J\xc3\xbcrgen <n@all.lab>" },
	{ "\r\n Alice\r\n <a@x.lab>", "\r\n Alice\r\n <n@all.lab>" },
	{ "\r\n\ta@x.lab", "\r\n\tn@all.lab" },
	{ " a@x.lab (Alice)", " n@all.lab (Alice)" },
	{ " (Alice) a@x.lab", " (Alice) n@all.lab" },
	{ " (c) Alice (c2) <a@x.lab> (c3)", " (c) Alice (c2) <n@all.lab> (c3)" },
	{ " \"quoted local\"@x.lab", " n@all.lab" },
	{ " Alice <\"<>\"@x.lab>", " Alice <n@all.lab>" },
	{ " Alice <@r.lab,@s.lab:a@x.lab>", " Alice <n@all.lab>" },
	{ " a @ x . lab", " n@all.lab" },
	{ " a(c)@x.lab", " c <n@all.lab>" },
	/* A name that is the address would tell it. */
	{ " \"a@x.lab\" <a@x.lab>", " n@all.lab" },
	{ " A@X.lab <a@x.lab>", " n@all.lab" },
	{ " \"b@x.lab\" <a@x.lab>", " \"b@x.lab\" <n@all.lab>" },
	/* Others: the first lends its name. */
	{ " Alice <a@x.lab>, Bob <b@x.lab>", " Alice <n@all.lab>" },
	{ " a@x.lab, b@x.lab", " n@all.lab" },
	{ " Team: Alice <a@x.lab>, b@x.lab;", " Alice <n@all.lab>" },
	{ " =?utf-8?q?J=C3=BC?= <a@x.lab>, b@x.lab",
	    " =?utf-8?b?SsO8?= <n@all.lab>" },
	{ " Alice <a@x.lab>\r\nFrom: Bob <b@x.lab>", " Alice <n@all.lab>" },
	{ "", " n@all.lab" },
	{ " Alice", " n@all.lab" },
};

static void
from_has_the_new_address_and_its_name(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(froms) / sizeof(froms[0]); i++) {
		struct arena a = ARENA_INIT_MAX(0);
		struct buf out = BUF_INIT;
		const char *in = arena_printf(
		    &a, "To: x\r\nfrom:%s\r\nX: y\r\n\r\n", froms[i].from);
		const char *expected = arena_printf(
		    &a, "To: x\r\nFrom:%s\r\nX: y\r\n", froms[i].to);

		assert_int_equal(
		    sendas_rewrite(&a, slice_str(in), NULL, SLICE_LIT("n"),
			SLICE_LIT("all.lab"), &out),
		    0);
		assert_string_equal(buf_str(&out), expected);
		buf_clear(&out);
		arena_reset(&a);
	}
}

static void
the_rest_stays_octet_by_octet(void **state)
{
	static const char in[] =
	    "Received:  by x\r\n\tfor y;\r\n"
	    "Sender: a@x.lab\r\nDate: \xff\xfe\r\n"
	    "subject : Re: [sendas:n]  x\r\nX-Odd:\ttab\r\n folded\r\n"
	    "From: \"A\" <a@x.lab>\r\nReply-To: A <a@x.lab>\r\n\r\nbody";
	static const char expected[] =
	    "Received:  by x\r\n\tfor y;\r\n"
	    "Date: \xff\xfe\r\n"
	    "Subject: Re:  x\r\nX-Odd:\ttab\r\n folded\r\n"
	    "From: \"A\" <n@all.lab>\r\nReply-To: A <a@x.lab>\r\n";
	struct arena a = ARENA_INIT_MAX(0);
	struct sendas_tag tag;
	struct buf out = BUF_INIT;

	(void)state;
	assert_int_equal(sendas_find(&a, slice_str(in), &tag), SENDAS_TAG);
	assert_int_equal(sendas_rewrite(&a, slice_str(in), &tag, tag.local,
			     SLICE_LIT("all.lab"), &out),
	    0);
	assert_string_equal(buf_str(&out), expected);
	buf_clear(&out);
	arena_reset(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_tag_is_found_and_cut),
		cmocka_unit_test(what_is_no_tag_or_no_address_is_known),
		cmocka_unit_test(from_has_the_new_address_and_its_name),
		cmocka_unit_test(the_rest_stays_octet_by_octet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
