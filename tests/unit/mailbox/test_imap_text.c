/* SPDX-License-Identifier: ISC */
/* Small forms of IMAP: sets, modified UTF-7, patterns, ENVELOPE. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>

#include "mailbox/mails/envelope_read.h"
#include "mailbox/imap/imap_list.h"
#include "mailbox/imap/imap_set.h"
#include "common/imap/utf7.h"

/* --- sets --- */

static const struct {
	const char *in;
	const char *want; /* NULL: invalid */
	uint32_t star;
} sets[] = {
	{ "1", "1-1", 9 },
	{ "*", "9-9", 9 },
	{ "1:*", "1-9", 9 },
	{ "*:1", "1-9", 9 },
	{ "12:*", "9-12", 9 }, /* RFC 3501 6.4.8 */
	{ "*:*", "9-9", 9 },
	{ "4,2:3,7", "2-4 7-7", 9 },
	{ "5:3,1,2", "1-5", 9 },
	{ "1:10,3:4", "1-10", 9 },
	{ "1,1,1", "1-1", 9 },
	{ "4294967295:4294967294,1", "1-1 4294967294-4294967295", 9 },
	{ "1:4294967295,7", "1-4294967295", 9 },
	{ "*", "0-0", 0 }, /* empty mailbox */
	{ "0", NULL, 9 },
	{ "", NULL, 9 },
	{ "1,", NULL, 9 },
	{ ",1", NULL, 9 },
	{ "1:", NULL, 9 },
	{ ":", NULL, 9 },
	{ "1:2:3", NULL, 9 },
	{ "4294967296", NULL, 9 },
	{ "**", NULL, 9 },
	{ "1*", NULL, 9 },
};

static void
sets_are_ordered_and_merged(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		struct arena a = ARENA_INIT_MAX(65536);
		struct buf b = BUF_INIT;
		struct imap_set s;
		int rc = imap_set_parse(&a, slice_str(sets[i].in), &s);

		assert_int_equal(rc, sets[i].want == NULL ? -EINVAL : 0);
		if (rc == 0) {
			imap_set_resolve(&s, sets[i].star);
			for (size_t k = 0; k < s.n; k++)
				buf_printf(&b, "%s%u-%u", k ? " " : "",
				    s.v[k].lo, s.v[k].hi);
			assert_string_equal(buf_str(&b), sets[i].want);
		}
		buf_clear(&b);
		arena_reset(&a);
	}
}

static void
sets_know_their_members(void **state)
{
	struct arena a = ARENA_INIT_MAX(65536);
	struct imap_set s;

	(void)state;
	assert_int_equal(imap_set_parse(&a, SLICE_LIT("2:4,8,10:*"), &s), 0);
	imap_set_resolve(&s, 12);
	for (uint32_t n = 0; n < 20; n++)
		assert_int_equal(imap_set_has(&s, n),
		    (n >= 2 && n <= 4) || n == 8 || (n >= 10 && n <= 12));
	assert_int_equal(imap_set_count(&s), 7);
	arena_reset(&a);
}

static void
sets_are_written_in_their_order(void **state)
{
	static const uint32_t v[] = { 3, 4, 5, 9, 7, 8, 8 };
	struct buf b = BUF_INIT;

	(void)state;
	assert_true(imap_set_put(&b, v, 7));
	assert_string_equal(buf_str(&b), "3:5,9,7:8,8");
	buf_reset(&b);
	assert_true(imap_set_put(&b, v, 0));
	assert_int_equal(b.n, 0);
	buf_clear(&b);
}

/* --- modified UTF-7 --- */

static const struct {
	const char *utf7, *utf8; /* one NULL: invalid */
} names[] = {
	{ "INBOX", "INBOX" },
	{ "", "" },
	{ "&-", "&" },
	{ "a&-b&-", "a&b&" },
	/* RFC 3501 5.1.3 */
	{ "~peter/mail/&U,BTFw-/&ZeVnLIqe-",
	    "~peter/mail/\345\217\260\345\214\227/"
	    "\346\227\245\346\234\254\350\252\236" },
	{ "&U,BTF2XlZyyKng-",
	    "\345\217\260\345\214\227\346\227\245\346\234\254\350\252\236" },
	{ "&U,BTFw-&ZeVnLIqe-", NULL }, /* superfluous shift */
	{ "&Jjo!", NULL },
	{ "&Jjo-!", "\342\230\272!" },
	{ "Entw&APw-rfe", "Entw\303\274rfe" },
	{ "&2D3eCQ-", "\360\237\230\211" }, /* beyond 16 bits */
	{ "&AOk-&-", "\303\251&" },
	{ "&2D0-", NULL },    /* half a pair */
	{ "&3gk-", NULL },    /* the other half */
	{ "&2D0AQQ-", NULL }, /* a pair that is none */
	{ "&AGE-", NULL },    /* "a" can represent itself */
	{ "&AOl-", NULL },    /* padding is not zero */
	{ "&AOkA-", NULL },   /* a digit too many */
	{ "&AO-", NULL },     /* too few bits */
	{ "&", NULL },
	{ "&AOk", NULL },
	{ "&A/8-", NULL }, /* "/" is "," here */
	{ "a\tb", NULL },
	{ "a\303\251", NULL }, /* 8-bit */
	{ NULL, "\303" },
	{ NULL, "a\355\240\200" }, /* surrogate in UTF-8 */
	{ NULL, "\300\200" },
	{ NULL, "\364\220\200\200" },
};

static void
utf7_has_one_form(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct buf b = BUF_INIT;

		buf_put_str(&b, "x");
		if (names[i].utf8 != NULL) {
			assert_int_equal(
			    imap_utf7_encode(&b, slice_str(names[i].utf8)),
			    names[i].utf7 != NULL);
			assert_string_equal(buf_str(&b) + 1,
			    names[i].utf7 ? names[i].utf7 : "");
		}
		buf_truncate(&b, 1);
		if (names[i].utf7 != NULL) {
			assert_int_equal(
			    imap_utf7_decode(&b, slice_str(names[i].utf7)),
			    names[i].utf8 != NULL ? 0 : -EINVAL);
			assert_string_equal(buf_str(&b) + 1,
			    names[i].utf8 ? names[i].utf8 : "");
		}
		buf_clear(&b);
	}
}

/* --- patterns --- */

static const struct {
	const char *pattern, *name;
	bool match;
} patterns[] = {
	{ "*", "a/b/c", true },
	{ "%", "a", true },
	{ "%", "a/b", false },
	{ "%/%", "a/b", true },
	{ "%/%", "a/b/c", false },
	{ "*/%", "a/b/c", true },
	{ "a*", "a", true },
	{ "a*", "ab/c", true },
	{ "a%", "ab/c", false },
	{ "*c", "a/b/c", true },
	{ "%c", "a/b/c", false },
	{ "a/*/c", "a/b/b/c", true },
	{ "a/%/c", "a/b/b/c", false },
	{ "*b%d", "abc/bcd", true },
	{ "*b%d", "abc/cd", false },
	{ "*a%b%c", "a/axbxc", true },
	{ "*a%b%c", "axb/xc", false },
	{ "%a*b", "xa/b", true },
	{ "", "", true },
	{ "", "a", false },
	{ "a", "", false },
	{ "**", "", true },
	{ "%%", "ab", true },
	{ "inbox", "INBOX", true },
	{ "InB%", "INBOX", true },
	{ "inbox/x", "INBOX/x", true },
	{ "inbox/X", "INBOX/x", false },
	{ "inboxes", "INBOXES", false },
	{ "foo", "FOO", false },
	{ "a*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	    false },
};

static void
patterns_match(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++)
		if (imap_list_match(slice_str(patterns[i].pattern),
			slice_str(patterns[i].name)) != patterns[i].match)
			fail_msg(
			    "%s %s", patterns[i].pattern, patterns[i].name);
}

static bool
match_slow(const char *p, const char *n)
{
	if (*p == '\0')
		return *n == '\0';
	if (*p != '*' && *p != '%')
		return *p == *n && match_slow(p + 1, n + 1);
	return match_slow(p + 1, n) ||
	    (*n != '\0' && (*p == '*' || *n != '/') && match_slow(p, n + 1));
}

/* All short patterns and names over a small alphabet. */
static void
patterns_match_as_the_plain_definition(void **state)
{
	static const char letters[] = "*%a/";
	char p[6], n[6];

	(void)state;
	for (unsigned i = 0; i < 1024; i++) {
		for (unsigned k = 0; k < 5; k++)
			p[k] = letters[i >> 2 * k & 3];
		p[5] = '\0';
		for (unsigned j = 0; j < 32; j++) {
			for (unsigned k = 0; k < 5; k++)
				n[k] = letters[2 + (j >> k & 1)];
			n[5] = '\0';
			if (imap_list_match(slice_str(p), slice_str(n)) !=
			    match_slow(p, n))
				fail_msg("%s %s", p, n);
		}
	}
}

/* --- which names LIST shows --- */

static const struct mails_info all[] = {
	{ "INBOX", 1, MAILS_SUBSCRIBED },
	{ "Sent", 2, MAILS_SUBSCRIBED | MAILS_SENT },
	{ "foo", 3, MAILS_NOSELECT },
	{ "foo-x", 4, 0 },
	{ "foo/bar", 5, MAILS_SUBSCRIBED },
	{ "gone/deep", 0, MAILS_NOSELECT | MAILS_SUBSCRIBED },
};

static const struct {
	const char *pattern;
	unsigned options;
	const char *want;
} lists[] = {
	{ "*", 0, "INBOX- Sent-$ foo+N foo-x- foo/bar-" },
	{ "%", 0, "INBOX- Sent-$ foo+N foo-x-" },
	{ "foo%", 0, "foo+N foo-x-" },
	{ "*", IMAP_LIST_SPECIAL, "Sent-$" },
	{ "*", IMAP_LIST_SUBSCRIBED,
	    "INBOX-S Sent-S$ foo/bar-S gone/deep-XSN" },
	{ "*", IMAP_LIST_RETURN_SUBSCRIBED,
	    "INBOX-S Sent-S$ foo+N foo-x- foo/bar-S" },
	{ "%", IMAP_LIST_SUBSCRIBED, "INBOX-S Sent-S$" },
	{ "%", IMAP_LIST_SUBSCRIBED | IMAP_LIST_RECURSIVE,
	    "INBOX-S Sent-S$ foo+NC gone-XC" },
	{ "*", IMAP_LIST_LSUB, "INBOX- Sent- foo/bar- gone/deep-" },
	{ "%", IMAP_LIST_LSUB, "INBOX- Sent- foo+N gone-N" },
	{ "foo", IMAP_LIST_LSUB, "" },
	{ "%/%", IMAP_LIST_LSUB, "foo/bar- gone/deep-" },
};

static void
lists_show_what_was_asked(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		struct arena a = ARENA_INIT_MAX(65536);
		struct slice pattern = slice_str(lists[i].pattern);
		struct imap_list_entry *e;
		struct buf b = BUF_INIT;
		size_t n;

		assert_int_equal(imap_list_select(&a, all, 6, &pattern, 1,
				     lists[i].options, &e, &n),
		    0);
		for (size_t k = 0; k < n; k++)
			buf_printf(&b, "%s%.*s%s%s%s%s%s%s", k ? " " : "",
			    (int)e[k].name.n, e[k].name.p,
			    e[k].has_children ? "+" : "-",
			    e[k].nonexistent ? "X" : "",
			    e[k].attrs & MAILS_SUBSCRIBED ? "S" : "",
			    e[k].attrs & MAILS_SENT ? "$" : "",
			    e[k].attrs & MAILS_NOSELECT ? "N" : "",
			    e[k].child_info ? "C" : "");
		assert_string_equal(buf_str(&b), lists[i].want);
		buf_clear(&b);
		arena_reset(&a);
	}
}

/* --- ENVELOPE --- */

static void
envelopes_are_read(void **state)
{
	static const char env[] =
	    "(\"Mon, 1 Jan\" {5}\r\na\"(\r\n ((\"A \\\"B\\\"\" NIL \"a\" "
	    "\"x.y\")(NIL NIL \"b\" \"z\")) NIL NIL ((NIL NIL \"grp\" NIL)"
	    "(NIL NIL \"m\" \"h\")(NIL NIL NIL NIL)) NIL NIL NIL \"<i@d>\")";
	struct arena a = ARENA_INIT_MAX(65536);
	struct slice f[ENVELOPE_FIELDS], s;

	(void)state;
	assert_int_equal(envelope_read_split(slice_str(env), f), 0);
	assert_int_equal(envelope_read_string(&a, f[ENVELOPE_SUBJECT], &s), 0);
	assert_true(slice_eq_str(s, "a\"(\r\n"));
	assert_int_equal(envelope_read_string(&a, f[ENVELOPE_CC], &s), 0);
	assert_null(s.p);
	assert_int_equal(envelope_read_address(&a, &f[ENVELOPE_FROM], &s), 1);
	assert_true(slice_eq_str(s, "A \"B\" <a@x.y>"));
	assert_int_equal(envelope_read_address(&a, &f[ENVELOPE_FROM], &s), 1);
	assert_true(slice_eq_str(s, "<b@z>"));
	assert_int_equal(envelope_read_address(&a, &f[ENVELOPE_FROM], &s), 0);
	assert_int_equal(envelope_read_address(&a, &f[ENVELOPE_CC], &s), 0);
	assert_int_equal(envelope_read_address(&a, &f[ENVELOPE_TO], &s), 1);
	assert_true(slice_eq_str(s, "grp"));
	assert_int_equal(envelope_read_address(&a, &f[ENVELOPE_TO], &s), 1);
	assert_true(slice_eq_str(s, "<m@h>"));
	assert_int_equal(envelope_read_address(&a, &f[ENVELOPE_TO], &s), 1);
	assert_true(slice_eq_str(s, ""));
	assert_int_equal(envelope_read_address(&a, &f[ENVELOPE_TO], &s), 0);
	arena_reset(&a);
}

static void
broken_envelopes_are_refused(void **state)
{
	static const char *const broken[] = { "", "(", ")", "()", "NIL",
		"(NIL)", "(\"", "({9}\r\nx NIL)",
		"(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)",
		"(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL",
		"(x NIL NIL NIL NIL NIL NIL NIL NIL NIL)",
		"(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL) " };
	struct slice f[ENVELOPE_FIELDS];

	(void)state;
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
		assert_int_equal(
		    envelope_read_split(slice_str(broken[i]), f), -EINVAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sets_are_ordered_and_merged),
		cmocka_unit_test(sets_know_their_members),
		cmocka_unit_test(sets_are_written_in_their_order),
		cmocka_unit_test(utf7_has_one_form),
		cmocka_unit_test(patterns_match),
		cmocka_unit_test(patterns_match_as_the_plain_definition),
		cmocka_unit_test(lists_show_what_was_asked),
		cmocka_unit_test(envelopes_are_read),
		cmocka_unit_test(broken_envelopes_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
