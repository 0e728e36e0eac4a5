/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#include "common/mail/charset.h"
#include "common/mail/encoded.h"
#include "common/mail/transfer.h"

#define N(a) (sizeof(a) / sizeof(*(a)))

#define FFFD "\xef\xbf\xbd"

static const struct {
	const char *text, *decoded;
} words[] = {
	/* RFC 2047 8 */
	{ "=?US-ASCII?Q?Keith_Moore?= <moore@cs.utk.edu>",
	    "Keith Moore <moore@cs.utk.edu>" },
	{ "=?ISO-8859-1?Q?Keld_J=F8rn_Simonsen?=",
	    "Keld J\xc3\xb8rn Simonsen" },
	{ "=?ISO-8859-1?Q?Andr=E9?= Pirard", "Andr\xc3\xa9 Pirard" },
	{ "=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?=\r\n"
	  " =?ISO-8859-2?B?dSB1bmRlcnN0YW5kIHRoZSBleGFtcGxlLg==?=",
	    "If you can read this you understand the example." },
	{ "=?ISO-8859-1?Q?Patrik_F=E4ltstr=F6m?=",
	    "Patrik F\xc3\xa4ltstr\xc3\xb6m" },
	{ "=?iso-8859-8?b?7eXs+SDv4SDp7Oj08A==?=",
	    "\xd7\x9d\xd7\x95\xd7\x9c\xd7\xa9 \xd7\x9f\xd7\x91 "
	    "\xd7\x99\xd7\x9c\xd7\x98\xd7\xa4\xd7\xa0" },
	{ "(=?ISO-8859-1?Q?a?=)", "(a)" },
	{ "(=?ISO-8859-1?Q?a?= b)", "(a b)" },
	{ "(=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=)", "(ab)" },
	{ "(=?ISO-8859-1?Q?a?=  =?ISO-8859-1?Q?b?=)", "(ab)" },
	{ "(=?ISO-8859-1?Q?a?=\r\n    =?ISO-8859-1?Q?b?=)", "(ab)" },
	{ "(=?ISO-8859-1?Q?a_b?=)", "(a b)" },
	{ "(=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=)", "(a b)" },
	/* RFC 2231 5: with a language */
	{ "=?US-ASCII*EN?Q?Keith_Moore?=", "Keith Moore" },
	/* a character split over two words; a run that plain text ends */
	{ "=?utf-8?B?w6TD?= =?utf-8?B?pA==?=", "\xc3\xa4\xc3\xa4" },
	{ "=?utf-8?Q?=C3?= x =?utf-8?Q?=A4?=", FFFD " x " FFFD },
	{ "=?utf-8?Q?=C3?= =?iso-8859-1?Q?=E4?=", FFFD "\xc3\xa4" },
	/* kept as written: unknown charset or encoding, no end */
	{ "=?x-unknown?Q?abc?=", "=?x-unknown?Q?abc?=" },
	{ "=?ISO-2022-CN-EXT?B?GyQqSA==?=", "=?ISO-2022-CN-EXT?B?GyQqSA==?=" },
	{ "=?utf-8?X?abc?=", "=?utf-8?X?abc?=" },
	{ "=?utf-8?Q?abc", "=?utf-8?Q?abc" },
	{ "=?utf-8?Q?abc?", "=?utf-8?Q?abc?" },
	{ "=?", "=?" },
	{ "=?utf-8?Q?a?= =?broken", "a =?broken" },
	{ "x =? y =?utf-8?Q?z?=", "x =? y z" },
	/* not allowed, but sent */
	{ "=?utf-8?Q?two words?= x", "two words x" },
	{ "a=?utf-8?Q?b?=c", "abc" },
	{ "=?utf-8?B?YWI?=", "ab" },
	{ "=?utf-8?Q?=zz_=4?=", "=zz =4" },
	{ "=?utf-8?q?"
	  "?=x",
	    "x" },
	/* nothing that ends a line comes out */
	{ "=?utf-8?Q?a=0D=0AEvil:_b=00?=", "a  Evil: b" },
	{ "raw \xe4 latin1", "raw " FFFD " latin1" },
	{ "raw \xc3\xa4 utf-8", "raw \xc3\xa4 utf-8" },
	{ "", "" },
	{ "  a  b  ", "a  b" },
	{ "=?iso-2022-jp?B?GyRCJUYlOSVIGyhC?=",
	    "\xe3\x83\x86\xe3\x82\xb9\xe3\x83\x88" },
	{ "=?windows-1252?Q?=80uro?=", "\xe2\x82\xacuro" },
};

static void
words_are_decoded(void **state)
{
	struct arena a = { 0 };

	(void)state;
	for (size_t i = 0; i < N(words); i++) {
		struct slice s = encoded_decode(&a, slice_str(words[i].text));

		assert_string_equal(arena_strdup(&a, s), words[i].decoded);
	}
	arena_reset(&a);
}

static const char *const texts[] = {
	"plain ASCII",
	"Gr\xc3\xbc\xc3\x9f"
	"e aus dem sch\xc3\xb6nen M\xc3\xbcnchen, wie geht es euch heute, und "
	"was macht der Bierg\xc3\xa4rtner?",
	"\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa"
	"\x9e\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e\xe6\x97\xa5\xe6\x9c\xac\xe8"
	"\xaa\x9e\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e\xe6\x97\xa5\xe6\x9c\xac",
	"=?utf-8?q?looks_encoded?=",
	"two  spaces \xc3\xa4  and  \xc3\xb6\xc3\xbc  more",
	"\xc3\xa4",
	"\"quoted\", (comment) <angle> back\\slash",
	"J. Doe",
	"",
};

static void
check_lines(struct slice s, size_t column)
{
	while (s.n > 0) {
		struct slice line = slice_trim(slice_split(&s, '\n'));

		assert_true(column + line.n <= 76);
		column = 1;
	}
}

static void
text_survives_both_ways(void **state)
{
	struct arena a = { 0 };

	(void)state;
	for (size_t i = 0; i < N(texts); i++) {
		struct buf b = BUF_INIT;
		struct slice s;

		assert_true(encoded_put_text(&b, slice_str(texts[i]), 9));
		assert_true(ascii_is_all(buf_slice(&b)));
		check_lines(buf_slice(&b), 9);
		s = encoded_decode(&a, buf_slice(&b));
		assert_string_equal(arena_strdup(&a, s), texts[i]);
		buf_clear(&b);
	}
	arena_reset(&a);
}

static const struct {
	const char *text, *phrase;
} phrases[] = {
	{ "Joe Doe", "Joe Doe" },
	{ "J. Doe", "\"J. Doe\"" },
	{ "say \"hi\" \\", "\"say \\\"hi\\\" \\\\\"" },
	{ "Gr\xc3\xbc\xc3\x9f"
	  "e",
	    "=?utf-8?q?Gr=C3=BC=C3=9Fe?=" },
	{ "a,b \xc3\xa4", "=?utf-8?q?a=2Cb_=C3=A4?=" },
	{ "=?utf-8?q?x?=", "=?utf-8?q?=3D=3Futf-8=3Fq=3Fx=3F=3D?=" },
	{ "\xe6\x97\xa5\xe6\x9c\xac", "=?utf-8?b?5pel5pys?=" },
	{ "evil\r\nTo: x", "\"evil  To: x\"" },
	{ "", "\"\"" },
};

static void
phrases_are_written(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(phrases); i++) {
		struct buf b = BUF_INIT;

		encoded_put_phrase(&b, slice_str(phrases[i].text), 6);
		assert_string_equal(buf_str(&b), phrases[i].phrase);
		buf_clear(&b);
	}
}

/* --- charsets --- */

static const struct {
	const char *charset;
	struct slice in;
	const char *utf8;
} charsets[] = {
	{ "utf-8", SLICE_LIT("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"),
	    "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80" },
	/* overlong, surrogate, too high, cut: RFC 3629 4 */
	{ "utf-8", SLICE_LIT("a\xc0\x80z"), "a" FFFD FFFD "z" },
	{ "utf-8", SLICE_LIT("\xed\xa0\x80"), FFFD FFFD FFFD },
	{ "utf-8", SLICE_LIT("\xf4\x90\x80\x80"), FFFD FFFD FFFD FFFD },
	{ "utf-8", SLICE_LIT("\xe2\x82"), FFFD },
	{ "utf-8", SLICE_LIT("\xe2\x82z"), FFFD "z" },
	{ "utf-8", SLICE_LIT("a\0b"), "ab" },
	{ "", SLICE_LIT("\xe4"), FFFD },
	{ "no-such", SLICE_LIT("\xc3\xa4"), "\xc3\xa4" },
	{ "us-ascii", SLICE_LIT("\xc3\xa4"), "\xc3\xa4" },
	{ "ISO-8859-1", SLICE_LIT("\xe4"), "\xc3\xa4" },
	{ "iso-8859-15", SLICE_LIT("\xa4"), "\xe2\x82\xac" },
	{ "windows-1252", SLICE_LIT("\x81\x80"), FFFD "\xe2\x82\xac" },
	{ "koi8-r", SLICE_LIT("\xd0\xd2"), "\xd0\xbf\xd1\x80" },
	{ "shift_jis", SLICE_LIT("\x83\x65\x83\x58\x83\x67"),
	    "\xe3\x83\x86\xe3\x82\xb9\xe3\x83\x88" },
	{ "euc-jp", SLICE_LIT("\xa5\xc6\xa5\xb9\xa5\xc8"),
	    "\xe3\x83\x86\xe3\x82\xb9\xe3\x83\x88" },
	{ "gb2312", SLICE_LIT("\xc4\xe3\xba\xc3"), "\xe4\xbd\xa0\xe5\xa5\xbd" },
	{ "big5", SLICE_LIT("\xa7\x41\xa6\x6e"), "\xe4\xbd\xa0\xe5\xa5\xbd" },
	{ "euc-kr", SLICE_LIT("\xc7\xd1"), "\xed\x95\x9c" },
	{ "utf-16le",
	    SLICE_LIT("a\0\xac\x20\x00\xdc"
		      "b\0"),
	    "a\xe2\x82\xac" FFFD "b" },
	{ "utf-16be", SLICE_LIT("\0a\xd8\x3d\xde\x00\x00"),
	    "a\xf0\x9f\x98\x80" FFFD },
	{ "utf-7", SLICE_LIT("Hi +AOQ-!"), "Hi \xc3\xa4!" },
	/* RFC 2152, its examples and its rules */
	{ "utf-7", SLICE_LIT("A+ImIDkQ."), "A\xe2\x89\xa2\xce\x91." },
	{ "utf-7", SLICE_LIT("Hi Mom -+Jjo--!"), "Hi Mom -\xe2\x98\xba-!" },
	{ "utf-7", SLICE_LIT("1 +- 1"), "1 + 1" },
	{ "utf-7", SLICE_LIT("+2D3eAA-"), "\xf0\x9f\x98\x80" },
	{ "utf-7", SLICE_LIT("+AOQ b"), "\xc3\xa4 b" },
	{ "utf-7", SLICE_LIT("+ b"), "\xef\xbf\xbd b" },
	{ "utf-7", SLICE_LIT("+2D0-b"), "\xef\xbf\xbd" "b" },
	{ "utf-7", SLICE_LIT("+AOR-b"), "\xc3\xa4\xef\xbf\xbd" "b" },
	{ "utf-7", SLICE_LIT("+AO"), "\xef\xbf\xbd" },
	{ "utf-7", SLICE_LIT("a\xe4"), "a\xef\xbf\xbd" },
	{ "iso-2022-jp", SLICE_LIT("\x1b$B%F%9%H\x1b(B!"),
	    "\xe3\x83\x86\xe3\x82\xb9\xe3\x83\x88!" },
	{ "windows-1258", SLICE_LIT("a\xcc"), "\xc3\xa0" },
};

static void
check_charset(size_t i, size_t step)
{
	struct slice in = charsets[i].in;
	struct charset_decoder d;
	struct buf out = BUF_INIT;

	assert_int_equal(
	    charset_decoder_init(&d, slice_str(charsets[i].charset)), 0);
	while (in.n > 0) {
		charset_decode(&d, slice_head(in, step), &out);
		in = slice_from(in, step);
	}
	assert_true(charset_decoder_end(&d, &out));
	assert_string_equal(buf_str(&out), charsets[i].utf8);
	buf_clear(&out);
}

static void
charsets_become_utf8(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(charsets); i++)
		for (size_t step = 1; step <= charsets[i].in.n; step++)
			check_charset(i, step);
}

static void
all_known_charsets_can_be_opened(void **state)
{
	static const char *const names[] = { "gb18030", "big5-hkscs",
		"windows-874", "iso-8859-16", "macintosh", "ibm852", "koi8-u",
		"iso-2022-kr", "ks_c_5601-1987", "utf-32", "windows-31j" };
	struct charset_decoder d;

	(void)state;
	for (size_t i = 0; i < N(names); i++) {
		struct buf b = BUF_INIT;

		assert_true(charset_is_known(slice_str(names[i])));
		assert_int_equal(
		    charset_decoder_init(&d, slice_str(names[i])), 0);
		assert_int_not_equal(d.unit, 0); /* iconv has it */
		charset_decoder_end(&d, &b);
		buf_clear(&b);
	}
	assert_false(charset_is_known(SLICE_LIT("ISO-2022-CN-EXT")));
}

static void
utf8_is_measured(void **state)
{
	(void)state;
	assert_int_equal(utf8_prefix(SLICE_LIT("\xc3\xa4\xc3\xb6x"), 0), 0);
	assert_int_equal(utf8_prefix(SLICE_LIT("\xc3\xa4\xc3\xb6x"), 1), 2);
	assert_int_equal(utf8_prefix(SLICE_LIT("\xc3\xa4\xc3\xb6x"), 2), 4);
	assert_int_equal(utf8_prefix(SLICE_LIT("\xc3\xa4\xc3\xb6x"), 9), 5);
	assert_true(utf8_is_valid(SLICE_LIT("\xc3\xa4")));
	assert_false(utf8_is_valid(SLICE_LIT("\xc3")));
	assert_false(utf8_is_valid(SLICE_LIT("\xed\xbf\xbf")));
}

/* --- transfer encodings --- */

static const struct {
	enum transfer_encoding encoding;
	struct slice in, out;
} decodings[] = {
	{ TRANSFER_QP, SLICE_LIT("plain\r\ntext\n"),
	    SLICE_LIT("plain\r\ntext\n") },
	/* RFC 2045 6.7 */
	{ TRANSFER_QP,
	    SLICE_LIT("Now's the time =\r\nfor all folk to come=\r\n"
		      " to the aid of their country."),
	    SLICE_LIT("Now's the time for all folk to come to the aid of "
		      "their country.") },
	{ TRANSFER_QP, SLICE_LIT("=E4=3D=3d"), SLICE_LIT("\xe4==") },
	{ TRANSFER_QP, SLICE_LIT("end \t \r\nnext  \n"),
	    SLICE_LIT("end\r\nnext\n") },
	{ TRANSFER_QP, SLICE_LIT("soft= \t\r\nbreak=\nx"),
	    SLICE_LIT("softbreakx") },
	{ TRANSFER_QP, SLICE_LIT("a=zz=4=4z= b=\rc"),
	    SLICE_LIT("a=zz=4=4z= b=\rc") },
	{ TRANSFER_QP, SLICE_LIT("in the middle\rx"),
	    SLICE_LIT("in the middle\rx") },
	{ TRANSFER_QP, SLICE_LIT("end="), SLICE_LIT("end") },
	{ TRANSFER_QP, SLICE_LIT("end=4"), SLICE_LIT("end=4") },
	{ TRANSFER_QP, SLICE_LIT("end  "), SLICE_LIT("end") },
	{ TRANSFER_QP, SLICE_LIT("end \r"), SLICE_LIT("end \r") },
	{ TRANSFER_QP, SLICE_LIT("==41=20\r\n"), SLICE_LIT("=A \r\n") },
	{ TRANSFER_BASE64, SLICE_LIT("aGVsbG8gd29ybGQ="),
	    SLICE_LIT("hello world") },
	{ TRANSFER_BASE64, SLICE_LIT("aGVs\r\nbG8g \t d29y!!bGQ=\r\n"),
	    SLICE_LIT("hello world") },
	{ TRANSFER_BASE64, SLICE_LIT("aGVsbG8gd29ybGQ"),
	    SLICE_LIT("hello world") },
	{ TRANSFER_BASE64, SLICE_LIT("aGVsbG8gd29ybA=="),
	    SLICE_LIT("hello worl") },
	{ TRANSFER_BASE64, SLICE_LIT("aGVsbG8gd29ybA"),
	    SLICE_LIT("hello worl") },
	{ TRANSFER_BASE64, SLICE_LIT("YQ==\r\n--\r\nlist footer"),
	    SLICE_LIT("a") },
	{ TRANSFER_BASE64, SLICE_LIT("=YWJj"), SLICE_LIT("abc") },
	{ TRANSFER_BASE64, SLICE_LIT("AP/+"), SLICE_LIT("\0\xff\xfe") },
	{ TRANSFER_BASE64, SLICE_LIT("Y"), SLICE_LIT("") },
	{ TRANSFER_8BIT, SLICE_LIT("=E4 as is"), SLICE_LIT("=E4 as is") },
	{ TRANSFER_OTHER, SLICE_LIT("as is"), SLICE_LIT("as is") },
};

static void
check_decoding(size_t i, size_t step)
{
	struct slice in = decodings[i].in;
	struct transfer_decoder d;
	struct buf out = BUF_INIT;

	transfer_decoder_init(&d, decodings[i].encoding);
	while (in.n > 0) {
		assert_true(transfer_decode(&d, slice_head(in, step), &out));
		in = slice_from(in, step);
	}
	assert_true(transfer_decoder_end(&d, &out));
	assert_int_equal(out.n, decodings[i].out.n);
	assert_memory_equal(
	    buf_slice(&out).p, decodings[i].out.p, decodings[i].out.n);
	buf_clear(&out);
}

static void
bodies_are_decoded(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(decodings); i++)
		for (size_t step = 1; step <= decodings[i].in.n; step++)
			check_decoding(i, step);
}

static const struct {
	struct slice in;
	const char *qp;
} encodings[] = {
	{ SLICE_LIT("a=b\r\n"), "a=3Db\r\n" },
	{ SLICE_LIT("space \r\ntab\t\n"), "space=20\r\ntab=09\r\n" },
	{ SLICE_LIT("in the\tmiddle"), "in the\tmiddle=\r\n" },
	{ SLICE_LIT("bare\rcr \rx"), "bare=0Dcr =0Dx=\r\n" },
	{ SLICE_LIT("\r\r\n"), "=0D\r\n" },
	{ SLICE_LIT(" \r\r\r\n"), " =0D=0D\r\n" },
	{ SLICE_LIT("end "), "end=20=\r\n" },
	{ SLICE_LIT("\xc3\xa4\0"), "=C3=A4=00=\r\n" },
	{ SLICE_LIT(""), "" },
	{ SLICE_LIT("123456789 123456789 123456789 123456789 123456789 "
		    "123456789 123456789 123456789 12345"),
	    "123456789 123456789 123456789 123456789 123456789 "
	    "123456789 123456789 12345=\r\n6789 12345=\r\n" },
};

static void
text_becomes_quoted_printable(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(encodings); i++) {
		for (size_t step = 1; step <= encodings[i].in.n + 1; step++) {
			struct slice in = encodings[i].in;
			struct transfer_encoder e;
			struct buf out = BUF_INIT;

			transfer_encoder_init(&e, TRANSFER_QP);
			while (in.n > 0) {
				transfer_encode(&e, slice_head(in, step), &out);
				in = slice_from(in, step);
			}
			assert_true(transfer_encoder_end(&e, &out));
			assert_string_equal(buf_str(&out), encodings[i].qp);
			buf_clear(&out);
		}
	}
}

static void
base64_lines_have_76_octets(void **state)
{
	struct transfer_encoder e;
	struct buf out = BUF_INIT;
	char in[100];

	(void)state;
	memset(in, 'x', sizeof(in));
	transfer_encoder_init(&e, TRANSFER_BASE64);
	for (size_t i = 0; i < sizeof(in); i++)
		transfer_encode(&e, slice(in + i, 1), &out);
	transfer_encoder_end(&e, &out);
	assert_int_equal(slice_find(buf_slice(&out), '\r'), 76);
	assert_int_equal(out.n, 136 + 2 * 2);
	assert_true(slice_ends_nocase(buf_slice(&out), "eA==\r\n"));
	buf_clear(&out);
}

static const struct {
	const char *in;
	int rc;
	const char *out;
} tokens[] = {
	{ "", 0, "" },
	{ "AGFsaWNlAGRlbW8=", 0, "\0alice\0demo" },
	{ "YQ==", 0, "a" },
	{ "YR==", -EINVAL, "" }, /* bits that nothing uses */
	{ "YQ=", -EINVAL, "" },
	{ "YQ", -EINVAL, "" },
	{ "====", -EINVAL, "" },
	{ "Y===", -EINVAL, "" },
	{ "YQ==YQ==", -EINVAL, "" },
	{ "Y Q=", -EINVAL, "" },
	{ "YWJj\r\n", -EINVAL, "" },
};

static void
tokens_are_decoded_strictly(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(tokens); i++) {
		struct buf b = BUF_INIT, back = BUF_INIT;

		assert_int_equal(
		    base64_decode(&b, slice_str(tokens[i].in)), tokens[i].rc);
		if (tokens[i].rc != 0)
			assert_int_equal(b.n, 0);
		else
			base64_encode(&back, buf_slice(&b));
		if (tokens[i].rc == 0)
			assert_string_equal(buf_str(&back), tokens[i].in);
		buf_clear(&b);
		buf_clear(&back);
	}
}

static void
encodings_have_names(void **state)
{
	(void)state;
	assert_int_equal(
	    transfer_encoding_of(SLICE_LIT("Base64")), TRANSFER_BASE64);
	assert_int_equal(transfer_encoding_of(SLICE_LIT("")), TRANSFER_7BIT);
	assert_int_equal(
	    transfer_encoding_of(SLICE_LIT("x-uuencode")), TRANSFER_OTHER);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_are_decoded),
		cmocka_unit_test(text_survives_both_ways),
		cmocka_unit_test(phrases_are_written),
		cmocka_unit_test(charsets_become_utf8),
		cmocka_unit_test(all_known_charsets_can_be_opened),
		cmocka_unit_test(utf8_is_measured),
		cmocka_unit_test(bodies_are_decoded),
		cmocka_unit_test(text_becomes_quoted_printable),
		cmocka_unit_test(base64_lines_have_76_octets),
		cmocka_unit_test(tokens_are_decoded_strictly),
		cmocka_unit_test(encodings_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
