/* SPDX-License-Identifier: ISC */
/* Paths, parameters, xtext, replies: the pure half of common/smtp. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/smtp/smtp.h"

static struct arena arena;

/* Exactly as many octets as there are, so that ASan sees a read behind them. */
static struct slice
exact(const char *s)
{
	size_t n = strlen(s);
	char *p = malloc(n == 0 ? 1 : n);

	memcpy(p, s, n);
	return slice(p, n);
}

static void
exact_free(struct slice s)
{
	free((void *)(uintptr_t)s.p);
}

/* --- paths --- */

#define X16 "xxxxxxxxxxxxxxxx"
#define X64 X16 X16 X16 X16
#define L63 "lllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllll"

static const struct {
	const char *in;
	int rc;
	const char *local, *domain, *text;
	size_t rest; /* octets not taken */
} paths[] = {
	{ "<>", 0, "", "", "", 0 },
	{ "<> SIZE=1", 0, "", "", "", 7 },
	{ "<a@b.example>", 0, "a", "b.example", "a@b.example", 0 },
	{ "<a@b.example> X", 0, "a", "b.example", "a@b.example", 2 },
	{ "<userc@d.bar.org>", 0, "userc", "d.bar.org", "userc@d.bar.org", 0 },
	/* RFC 5321 4.1.1.3 */
	{ "<@hosta.int,@jkl.org:userc@d.bar.org>", 0, "userc", "d.bar.org",
	    "userc@d.bar.org", 0 },
	{ "<@[192.0.2.1]:a@b>", 0, "a", "b", "a@b", 0 },
	{ "<@a.int:>", SMTP_PATH_SYNTAX, NULL, NULL, NULL, 0 },
	{ "<@a.int,b.int:a@b>", SMTP_PATH_SYNTAX, NULL, NULL, NULL, 0 },
	{ "<@a.int a@b>", SMTP_PATH_SYNTAX, NULL, NULL, NULL, 0 },
	/* RFC 5321 4.1.2: the comma is the fourth character */
	{ "<\"Joe\\,Smith\"@a.example>", 0, "Joe,Smith", "a.example",
	    "\"Joe\\,Smith\"@a.example", 0 },
	{ "<\"a b\"@c>", 0, "a b", "c", "\"a b\"@c", 0 },
	{ "<\"a@b>\"@c>", 0, "a@b>", "c", "\"a@b>\"@c", 0 },
	{ "<\"a\\\"\\\\\"@c>", 0, "a\"\\", "c", "\"a\\\"\\\\\"@c", 0 },
	{ "<\"abc\"@d>", 0, "abc", "d", "\"abc\"@d", 0 },
	{ "<\"\"@c>", SMTP_PATH_SYNTAX, NULL, NULL, NULL, 0 },
	{ "<\"a@c>", SMTP_PATH_SYNTAX, NULL, NULL, NULL, 0 },
	{ "<\"a\\\xc3\xa4\"@c>", SMTP_PATH_SYNTAX, NULL, NULL, NULL, 0 },
	{ "<\"a\tb\"@c>", SMTP_PATH_SYNTAX, NULL, NULL, NULL, 0 },
	{ "<\"a\\\nb\"@c>", SMTP_PATH_SYNTAX, NULL, NULL, NULL, 0 },
	{ "<\"a\"b@c>", SMTP_PATH_SYNTAX, NULL, NULL, NULL, 0 },
	{ "<a.b!#$%&'*+-/=?^_`{|}~@c>", 0, "a.b!#$%&'*+-/=?^_`{|}~", "c",
	    "a.b!#$%&'*+-/=?^_`{|}~@c", 0 },
	/* Taken as Postfix takes them; what goes on is quoted. */
	{ "<a..b@c>", 0, "a..b", "c", "\"a..b\"@c", 0 },
	{ "<.a@c> X", 0, ".a", "c", "\".a\"@c", 2 },
	{ "<a.@c>", 0, "a.", "c", "\"a.\"@c", 0 },
	{ "<a.@c.>", 0, "a.", "c", "\"a.\"@c", 0 },
	{ "<..@c>", SMTP_PATH_SYNTAX, NULL, NULL, NULL, 0 },
	{ "<a.\"b\"@c>", SMTP_PATH_SYNTAX, NULL, NULL, NULL, 0 },
	{ "<a b@c>", SMTP_PATH_SYNTAX, NULL, NULL, NULL, 0 },
	{ "<a(x)@c>", SMTP_PATH_SYNTAX, NULL, NULL, NULL, 0 },
	{ "<a@>", SMTP_PATH_SYNTAX, NULL, NULL, NULL, 0 },
	{ "<@b>", SMTP_PATH_SYNTAX, NULL, NULL, NULL, 0 },
	{ "<a@b", SMTP_PATH_SYNTAX, NULL, NULL, NULL, 0 },
	{ "<a@", SMTP_PATH_SYNTAX, NULL, NULL, NULL, 0 },
	{ "<a", SMTP_PATH_SYNTAX, NULL, NULL, NULL, 0 },
	{ "<", SMTP_PATH_SYNTAX, NULL, NULL, NULL, 0 },
	{ "", SMTP_PATH_SYNTAX, NULL, NULL, NULL, 0 },
	{ "a@b", SMTP_PATH_SYNTAX, NULL, NULL, NULL, 0 },
	{ " <a@b>", SMTP_PATH_SYNTAX, NULL, NULL, NULL, 0 },
	{ "<a@b@c>", SMTP_PATH_SYNTAX, NULL, NULL, NULL, 0 },
	{ "<a@b..c>", SMTP_PATH_SYNTAX, NULL, NULL, NULL, 0 },
	{ "<a@b.>", 0, "a", "b", "a@b", 0 },
	{ "<a@b..>", SMTP_PATH_SYNTAX, NULL, NULL, NULL, 0 },
	{ "<a@.>", SMTP_PATH_SYNTAX, NULL, NULL, NULL, 0 },
	{ "<a@b.", SMTP_PATH_SYNTAX, NULL, NULL, NULL, 0 },
	{ "<@a.>", SMTP_PATH_SYNTAX, NULL, NULL, NULL, 0 },
	{ "<a@-b>", SMTP_PATH_SYNTAX, NULL, NULL, NULL, 0 },
	{ "<a@b->", SMTP_PATH_SYNTAX, NULL, NULL, NULL, 0 },
	{ "<a@b_c>", 0, "a", "b_c", "a@b_c", 0 },
	{ "<a@_x.b_>", 0, "a", "_x.b_", "a@_x.b_", 0 },
	{ "<a@c%d>", SMTP_PATH_SYNTAX, NULL, NULL, NULL, 0 },
	{ "<a@b-c.1>", 0, "a", "b-c.1", "a@b-c.1", 0 },
	/* <Postmaster>, and nobody else, without a domain */
	{ "<Postmaster>", 0, "Postmaster", "", "Postmaster", 0 },
	{ "<pOsTmAsTeR>", 0, "pOsTmAsTeR", "", "pOsTmAsTeR", 0 },
	{ "<root>", SMTP_PATH_SYNTAX, NULL, NULL, NULL, 0 },
	/* RFC 5321 4.1.3 */
	{ "<a@[192.0.2.1]>", 0, "a", "[192.0.2.1]", "a@[192.0.2.1]", 0 },
	{ "<a@[IPv6:2001:db8::1]>", 0, "a", "[IPv6:2001:db8::1]",
	    "a@[IPv6:2001:db8::1]", 0 },
	{ "<a@[ipv6:::ffff:192.0.2.1]>", 0, "a", "[ipv6:::ffff:192.0.2.1]",
	    "a@[ipv6:::ffff:192.0.2.1]", 0 },
	{ "<a@[192.0.2.256]>", SMTP_PATH_SYNTAX, NULL, NULL, NULL, 0 },
	{ "<a@[192.0.2]>", SMTP_PATH_SYNTAX, NULL, NULL, NULL, 0 },
	{ "<a@[2001:db8::1]>", SMTP_PATH_SYNTAX, NULL, NULL, NULL, 0 },
	{ "<a@[IPv6:192.0.2.1]>", SMTP_PATH_SYNTAX, NULL, NULL, NULL, 0 },
	{ "<a@[x-tag:content]>", SMTP_PATH_SYNTAX, NULL, NULL, NULL, 0 },
	{ "<a@[]>", SMTP_PATH_SYNTAX, NULL, NULL, NULL, 0 },
	{ "<a@[192.0.2.1>", SMTP_PATH_SYNTAX, NULL, NULL, NULL, 0 },
	{ "<a@[192.0.2.1].b>", SMTP_PATH_SYNTAX, NULL, NULL, NULL, 0 },
	/* RFC 6531 3.3 */
	{ "<\xc3\xa4@\xc3\xb6.example>", 0, "\xc3\xa4", "\xc3\xb6.example",
	    "\xc3\xa4@\xc3\xb6.example", 0 },
	{ "<\"\xc3\xa4 b\"@c>", 0, "\xc3\xa4 b", "c", "\"\xc3\xa4 b\"@c", 0 },
	{ "<\xc3@b>", SMTP_PATH_SYNTAX, NULL, NULL, NULL, 0 },
	{ "<a@\xff>", SMTP_PATH_SYNTAX, NULL, NULL, NULL, 0 },
	{ "<\xed\xa0\x80@b>", SMTP_PATH_SYNTAX, NULL, NULL, NULL, 0 },
	/* RFC 5321 4.5.3.1 */
	{ "<" X64 "@b>", 0, X64, "b", X64 "@b", 0 },
	{ "<" X64 "x@b>", SMTP_PATH_TOO_LONG, NULL, NULL, NULL, 0 },
	{ "<\"" X64 "\"@b>", 0, X64, "b", "\"" X64 "\"@b", 0 },
	{ "<\"" X64 "x\"@b>", SMTP_PATH_TOO_LONG, NULL, NULL, NULL, 0 },
	{ "<a@" L63 ".b>", 0, "a", L63 ".b", "a@" L63 ".b", 0 },
	{ "<a@" L63 "l.b>", SMTP_PATH_SYNTAX, NULL, NULL, NULL, 0 },
	{ "<a@" L63 "." L63 "." L63 "." X16 X16 X16 "xxxxxxxxxxxx>", 0, "a",
	    L63 "." L63 "." L63 "." X16 X16 X16 "xxxxxxxxxxxx",
	    "a@" L63 "." L63 "." L63 "." X16 X16 X16 "xxxxxxxxxxxx", 0 },
	{ "<a@" L63 "." L63 "." L63 "." X16 X16 X16 "xxxxxxxxxxxxx>",
	    SMTP_PATH_TOO_LONG, NULL, NULL, NULL, 0 },
};

static void
paths_parse(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		struct slice in = exact(paths[i].in);
		struct smtp_path p = { 0 };
		size_t used = 0;
		int rc = smtp_path_parse(&arena, in, &p, &used);

		if (rc != paths[i].rc)
			fail_msg("%s: %d", paths[i].in, rc);
		if (rc == 0) {
			assert_string_equal(p.local.p, paths[i].local);
			assert_string_equal(p.domain.p, paths[i].domain);
			assert_string_equal(p.text.p, paths[i].text);
			assert_int_equal(in.n - used, paths[i].rest);
		}
		exact_free(in);
	}
}

/* VERP and SRS: the limit is that of the path, 254 octets. */
static const struct {
	const char *in;
	int rc, long_rc;
} long_paths[] = {
	{ "<" X64 "@b>", 0, 0 },
	{ "<" X64 "x@b>", SMTP_PATH_TOO_LONG, 0 },
	{ "<\"" X64 "x\"@b>", SMTP_PATH_TOO_LONG, 0 },
	{ "<" X64 X64 X64 X16 X16 X16 "xxxxxxxxxxxx@b>", SMTP_PATH_TOO_LONG,
	    0 },
	{ "<" X64 X64 X64 X16 X16 X16 "xxxxxxxxxxxxx@b>", SMTP_PATH_TOO_LONG,
	    SMTP_PATH_TOO_LONG },
	{ "<" X64 X64 X64 X64 X64 "@b>", SMTP_PATH_TOO_LONG,
	    SMTP_PATH_TOO_LONG },
	{ "<\"" X64 X64 X64 X64 X64 "\"@b>", SMTP_PATH_TOO_LONG,
	    SMTP_PATH_TOO_LONG },
};

static void
reverse_paths_may_be_long(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(long_paths) / sizeof(*long_paths); i++) {
		struct slice in = exact(long_paths[i].in);
		struct smtp_path p;
		size_t used;

		assert_int_equal(
		    smtp_path_parse(&arena, in, &p, &used), long_paths[i].rc);
		assert_int_equal(smtp_long_path_parse(&arena, in, &p, &used),
		    long_paths[i].long_rc);
		if (long_paths[i].long_rc == 0)
			assert_int_equal(used, in.n);
		exact_free(in);
	}
}

/* What is parsed and written again means the same. */
static void
paths_survive_writing(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		struct smtp_path p, again;
		struct buf b = BUF_INIT;
		size_t used;

		if (smtp_path_parse(
			&arena, slice_str(paths[i].in), &p, &used) != 0)
			continue;
		buf_put_char(&b, '<');
		assert_true(smtp_path_write(&b, p.local, p.domain));
		buf_put_char(&b, '>');
		assert_int_equal(
		    smtp_path_parse(&arena, buf_slice(&b), &again, &used), 0);
		assert_int_equal(used, b.n);
		assert_true(slice_eq(p.local, again.local));
		assert_true(slice_eq(p.domain, again.domain));
		buf_clear(&b);
	}
}

static void
paths_are_written_with_the_least_quoting(void **state)
{
	static const struct {
		const char *local, *domain, *out; /* NULL: refused */
	} cases[] = {
		{ "a.b", "c", "a.b@c" },
		{ "a..b", "c", "\"a..b\"@c" },
		{ "a b\"\\", "c", "\"a b\\\"\\\\\"@c" },
		{ "postmaster", "", "postmaster" },
		{ "", "", "" },
		{ "a\r\nRCPT", "c", NULL },
		{ "a", "c\r\nRCPT", NULL },
		{ "a", "c> SIZE=1", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct buf b = BUF_INIT;
		bool ok = smtp_path_write(
		    &b, slice_str(cases[i].local), slice_str(cases[i].domain));

		assert_int_equal(ok, cases[i].out != NULL);
		assert_string_equal(buf_str(&b), ok ? cases[i].out : "");
		buf_clear(&b);
	}
}

/* --- xtext and ORCPT --- */

static void
xtext(void **state)
{
	static const struct {
		const char *in, *out; /* NULL: refused */
		bool canonical;       /* encoding `out` gives `in` */
	} cases[] = {
		{ "abc", "abc", true },
		{ "", "", true },
		{ "a+2Bb", "a+b", true },
		{ "+20", " ", true },
		{ "a+3D+3D", "a==", true },
		{ "+C3+A4", "\xc3\xa4", true },
		{ "+2b", "+", false },
		{ "+41", "A", false },
		{ "a=b", NULL, false },
		{ "a b", NULL, false },
		{ "a+", NULL, false },
		{ "a+2", NULL, false },
		{ "a+2G", NULL, false },
		{ "\xc3\xa4", NULL, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct buf b = BUF_INIT;
		struct slice in = exact(cases[i].in);
		int rc = smtp_xtext_decode(in, &b);

		assert_int_equal(rc, cases[i].out == NULL ? -EINVAL : 0);
		assert_string_equal(buf_str(&b), rc == 0 ? cases[i].out : "");
		if (cases[i].canonical) {
			buf_reset(&b);
			smtp_xtext_encode(slice_str(cases[i].out), &b);
			assert_string_equal(buf_str(&b), cases[i].in);
		}
		buf_clear(&b);
		exact_free(in);
	}
}

static void
orcpt(void **state)
{
	static const struct {
		const char *in, *plain;   /* NULL: refused */
		const char *ascii, *utf8; /* encoded again */
	} cases[] = {
		{ "rfc822;Bob+2B@b.example", "rfc822;Bob+@b.example",
		    "rfc822;Bob+2B@b.example", "rfc822;Bob+2B@b.example" },
		{ "utf-8;\\x{E4}@b", "utf-8;\xc3\xa4@b", "utf-8;\\x{E4}@b",
		    "utf-8;\xc3\xa4@b" },
		{ "UTF-8;\xc3\xa4@b", "UTF-8;\xc3\xa4@b", "UTF-8;\\x{E4}@b",
		    "UTF-8;\xc3\xa4@b" },
		{ "utf-8;\\x{1F600}\\x{2B}@b", "utf-8;\xf0\x9f\x98\x80+@b",
		    "utf-8;\\x{1F600}\\x{2B}@b",
		    "utf-8;\xf0\x9f\x98\x80\\x{2B}@b" },
		{ "utf-8;\\x{D800}@b", NULL, NULL, NULL },
		{ "utf-8;\\x{110000}@b", NULL, NULL, NULL },
		{ "utf-8;\\x{E4@b", NULL, NULL, NULL },
		{ "utf-8;\\x", NULL, NULL, NULL },
		{ "rfc822", NULL, NULL, NULL },
		{ ";a@b", NULL, NULL, NULL },
		{ "rfc 822;a@b", NULL, NULL, NULL },
		{ "rfc822;a=b", NULL, NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct buf b = BUF_INIT;
		struct slice in = exact(cases[i].in);
		int rc = smtp_orcpt_decode(in, &b);

		if (rc != (cases[i].plain == NULL ? -EINVAL : 0))
			fail_msg("%s: %d", cases[i].in, rc);
		exact_free(in);
		if (rc != 0) {
			buf_clear(&b);
			continue;
		}
		assert_string_equal(buf_str(&b), cases[i].plain);
		buf_reset(&b);
		smtp_orcpt_encode(slice_str(cases[i].plain), false, &b);
		assert_string_equal(buf_str(&b), cases[i].ascii);
		buf_reset(&b);
		smtp_orcpt_encode(slice_str(cases[i].plain), true, &b);
		assert_string_equal(buf_str(&b), cases[i].utf8);
		buf_clear(&b);
	}
}

/* --- parameters --- */

#define ALL 0xffffffffU
#define A25 "aaaaaaaaaaaaaaaaaaaaaaaaa"

static const struct {
	const char *in;
	unsigned offered;
	int code; /* 0: taken */
} mail_cases[] = {
	{ "", 0, 0 },
	{ " ", 0, 0 },
	{ " SIZE=10", SMTP_EXT_SIZE, 0 },
	{ " size=10", SMTP_EXT_SIZE, 0 },
	{ "  SIZE=10 ", SMTP_EXT_SIZE, 0 },
	{ " SIZE=10", ALL & ~SMTP_EXT_SIZE, 555 },
	{ "SIZE=10", ALL, 501 },
	{ " SIZE", ALL, 501 },
	{ " SIZE=", ALL, 501 },
	{ " SIZE=-1", ALL, 501 },
	{ " SIZE=1=2", ALL, 501 },
	{ " SIZE=123456789012345678901", ALL, 501 },
	{ " SIZE=99999999999999999999", ALL, 0 },
	{ " SIZE=1 SIZE=1", ALL, 501 },
	{ " BODY=7BIT", SMTP_EXT_8BITMIME, 0 },
	{ " BODY=8bitmime", SMTP_EXT_8BITMIME, 0 },
	{ " BODY=9BIT", ALL, 501 },
	{ " BODY=BINARYMIME", SMTP_EXT_8BITMIME, 501 },
	{ " BODY=BINARYMIME", ALL, 0 },
	{ " SMTPUTF8", ALL, 0 },
	{ " SMTPUTF8=1", ALL, 501 },
	{ " RET=FULL", ALL, 0 },
	{ " RET=hdrs", ALL, 0 },
	{ " RET=NONE", ALL, 501 },
	{ " RET=FULL RET=HDRS", ALL, 501 },
	{ " ENVID=" A25 A25 A25 A25, ALL, 0 },
	{ " ENVID=" A25 A25 A25 A25 "a", ALL, 501 },
	{ " ENVID=a+0D+0Ab", ALL, 501 },
	{ " ENVID=a+FF", ALL, 501 },
	{ " AUTH=<>", ALL, 0 },
	{ " AUTH=e+3Dmc2@example.com", ALL, 0 },
	{ " XTRACE=01JABCDEFGHJKMNPQR", ALL, 0 },
	{ " XTRACE=01JABCDEFGHJKMNPQ", ALL, 501 },
	{ " XTRACE=01JABCDEFGHJKMNP/R", ALL, 501 },
	{ " NOTIFY=NEVER", ALL, 555 },
	{ " X-Y=1", ALL, 555 },
	{ " -X=1", ALL, 501 },
	{ " =1", ALL, 501 },
	{ " S\x01ZE=1", ALL, 501 },
};

static void
mail_parameters(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(mail_cases) / sizeof(*mail_cases); i++) {
		struct slice in = exact(mail_cases[i].in);
		struct smtp_mail m = { 0 };
		struct smtp_reply r = { 0 };
		bool ok = smtp_mail_params_parse(
		    &arena, in, mail_cases[i].offered, &m, &r);

		if (ok != (mail_cases[i].code == 0) ||
		    r.code != mail_cases[i].code)
			fail_msg("%s: %d", mail_cases[i].in, r.code);
		exact_free(in);
	}
}

static const struct {
	const char *in;
	int code;
	unsigned notify;
} rcpt_cases[] = {
	{ "", 0, 0 },
	{ " NOTIFY=NEVER", 0, SMTP_NOTIFY_NEVER },
	{ " NOTIFY=success,Failure,DELAY", 0,
	    SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_FAILURE | SMTP_NOTIFY_DELAY },
	{ " NOTIFY=NEVER,SUCCESS", 501, 0 },
	{ " NOTIFY=SUCCESS,", 501, 0 },
	{ " NOTIFY=,SUCCESS", 501, 0 },
	{ " NOTIFY=SOMETIMES", 501, 0 },
	{ " NOTIFY=NEVER NOTIFY=NEVER", 501, 0 },
	{ " ORCPT=rfc822;a@b", 0, 0 },
	{ " ORCPT=rfc822;a+0Ab", 501, 0 },
	{ " ORCPT=a@b", 501, 0 },
	{ " SIZE=1", 555, 0 },
};

static void
rcpt_parameters(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rcpt_cases) / sizeof(*rcpt_cases); i++) {
		struct slice in = exact(rcpt_cases[i].in);
		struct smtp_rcpt m = { 0 };
		struct smtp_reply r = { 0 };
		bool ok = smtp_rcpt_params_parse(&arena, in, ALL, &m, &r);

		if (ok != (rcpt_cases[i].code == 0) ||
		    r.code != rcpt_cases[i].code)
			fail_msg("%s: %d", rcpt_cases[i].in, r.code);
		if (ok)
			assert_int_equal(m.notify, rcpt_cases[i].notify);
		exact_free(in);
	}
}

static void
parameters_without_memory(void **state)
{
	struct arena none = ARENA_INIT_MAX(1);
	struct smtp_mail m = { 0 };
	struct smtp_reply r = { 0 };
	struct smtp_path p;
	size_t used;

	(void)state;
	assert_false(smtp_mail_params_parse(&none,
	    SLICE_LIT(" ENVID=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), ALL, &m,
	    &r));
	assert_int_equal(r.code, 452);
	assert_int_equal(smtp_path_parse(&none, SLICE_LIT("<a@b>"), &p, &used),
	    SMTP_PATH_NOMEM);
	arena_reset(&none);
}

/* --- replies --- */

static void
replies_are_written(void **state)
{
	static const struct {
		int code;
		const char *enhanced, *text, *out;
	} cases[] = {
		{ 250, "2.0.0", "OK", "250 2.0.0 OK\r\n" },
		{ 220, "", "mx ESMTP", "220 mx ESMTP\r\n" },
		{ 250, "", "", "250 \r\n" },
		{ 550, "5.7.1", "one\ntwo",
		    "550-5.7.1 one\r\n550 5.7.1 two\r\n" },
		{ 250, "", "a\r\nb\n", "250-a \r\n250 b\r\n" },
		{ 250, "", "a\n\nb", "250-a\r\n250-\r\n250 b\r\n" },
		{ 250, "", "a\x01\x7f\tb", "250 a  \tb\r\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct smtp_reply r = { .code = cases[i].code,
			.text = slice_str(cases[i].text) };
		struct buf b = BUF_INIT;

		snprintf(
		    r.enhanced, sizeof(r.enhanced), "%s", cases[i].enhanced);
		assert_true(smtp_reply_write(&b, &r));
		assert_string_equal(buf_str(&b), cases[i].out);
		buf_clear(&b);
	}
}

static void
read_all(struct slice wire, struct smtp_reply *out)
{
	struct smtp_reply_reader reader = { .arena = &arena };
	int rc = 0;

	while (rc == 0 && wire.n > 0) {
		struct slice line = slice_split(&wire, '\n');

		assert_true(line.n > 0 && line.p[line.n - 1] == '\r');
		assert_true(line.n + 1 <= 512);
		line.n--;
		rc = smtp_reply_read(&reader, line, out);
	}
	assert_int_equal(rc, 1);
	assert_int_equal(wire.n, 0);
	smtp_reply_reader_clear(&reader);
}

/* A header field of any length in a reply comes out folded, and nothing of it
 * is lost (RFC 5321 4.5.3.1.5). */
static void
long_replies_are_folded(void **state)
{
	(void)state;
	for (size_t n = 1; n < 3000; n += 7) {
		struct smtp_reply r = { .code = 250, .enhanced = "2.0.0" }, got;
		struct buf text = BUF_INIT, wire = BUF_INIT, back = BUF_INIT;

		for (size_t i = 0; i < n; i++)
			buf_put_str(
			    &text, i % (n % 400 + 2) == 1 ? " " : "\xc3\xa4");
		r.text = buf_slice(&text);
		assert_true(smtp_reply_write(&wire, &r));
		read_all(buf_slice(&wire), &got);
		assert_int_equal(got.code, 250);
		assert_string_equal(got.enhanced, "2.0.0");
		for (size_t i = 0; i < got.text.n; i++)
			if (got.text.p[i] != '\n')
				buf_put_char(&back, got.text.p[i]);
		assert_true(slice_eq(buf_slice(&back), buf_slice(&text)));
		buf_clear(&text);
		buf_clear(&wire);
		buf_clear(&back);
		arena_reset(&arena);
	}
}

static void
replies_are_read(void **state)
{
	static const struct {
		const char *lines[5];
		int rc; /* of the last line */
		int code;
		const char *enhanced, *text;
	} cases[] = {
		{ { "250 OK" }, 1, 250, "", "OK" },
		{ { "250" }, 1, 250, "", "" },
		{ { "250 " }, 1, 250, "", "" },
		{ { "250 2.1.0 ok" }, 1, 250, "2.1.0", "ok" },
		{ { "250 2.1.0" }, 1, 250, "2.1.0", "" },
		{ { "550 2.1.0 ok" }, 1, 550, "", "2.1.0 ok" },
		{ { "550 5.1 x" }, 1, 550, "", "5.1 x" },
		{ { "550 5.1.1234 x" }, 1, 550, "", "5.1.1234 x" },
		{ { "354 3.0.0 go" }, 1, 354, "", "3.0.0 go" },
		/* RFC 5321 4.2.1 */
		{ { "250-First line", "250-Second line",
		      "250-234 Text beginning with numbers",
		      "250 The last line" },
		    1, 250, "",
		    "First line\nSecond line\n234 Text beginning with numbers"
		    "\nThe last line" },
		/* RFC 2034 6 */
		{ { "551-5.7.1 Forwarding to remote hosts disabled",
		      "551 5.7.1 Select another host" },
		    1, 551, "5.7.1",
		    "Forwarding to remote hosts disabled\n"
		    "Select another host" },
		{ { "250-2.0.0 a", "250 2.0.1 b" }, 1, 250, "2.0.0",
		    "a\n2.0.1 b" },
		{ { "250-a" }, 0, 0, "", "" },
		{ { "250-a", "251 b" }, -EPROTO, 0, "", "" },
		{ { "250x" }, -EPROTO, 0, "", "" },
		{ { "25" }, -EPROTO, 0, "", "" },
		{ { "" }, -EPROTO, 0, "", "" },
		{ { "150 x" }, -EPROTO, 0, "", "" },
		{ { "650 x" }, -EPROTO, 0, "", "" },
		{ { "2a0 x" }, -EPROTO, 0, "", "" },
		{ { "250 a\tb\x01\x1b[0m" }, 1, 250, "", "a\tb  [0m" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct smtp_reply_reader reader = { .arena = &arena };
		struct smtp_reply got = { 0 };
		int rc = 0;

		for (size_t k = 0; cases[i].lines[k] != NULL; k++) {
			struct slice line = exact(cases[i].lines[k]);

			assert_int_equal(rc, 0);
			rc = smtp_reply_read(&reader, line, &got);
			exact_free(line);
		}
		assert_int_equal(rc, cases[i].rc);
		if (rc == 1) {
			assert_int_equal(got.code, cases[i].code);
			assert_string_equal(got.enhanced, cases[i].enhanced);
			assert_string_equal(got.text.p, cases[i].text);
		}
		smtp_reply_reader_clear(&reader);
	}
}

static void
endless_replies_end(void **state)
{
	struct smtp_reply_reader reader = { .arena = &arena };
	struct smtp_reply got;
	size_t lines = 0;
	int rc;

	(void)state;
	while ((rc = smtp_reply_read(&reader, SLICE_LIT("250-x"), &got)) == 0)
		lines++;
	assert_int_equal(rc, -EPROTO);
	assert_int_equal(lines, SMTP_REPLY_LINES_MAX);
	smtp_reply_reader_clear(&reader);
}

static int
teardown(void **state)
{
	(void)state;
	arena_reset(&arena);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_parse),
		cmocka_unit_test(reverse_paths_may_be_long),
		cmocka_unit_test(paths_survive_writing),
		cmocka_unit_test(paths_are_written_with_the_least_quoting),
		cmocka_unit_test(xtext),
		cmocka_unit_test(orcpt),
		cmocka_unit_test(mail_parameters),
		cmocka_unit_test(rcpt_parameters),
		cmocka_unit_test(parameters_without_memory),
		cmocka_unit_test(replies_are_written),
		cmocka_unit_test(long_replies_are_folded),
		cmocka_unit_test(replies_are_read),
		cmocka_unit_test(endless_replies_end),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
