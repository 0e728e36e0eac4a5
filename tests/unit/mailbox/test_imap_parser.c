/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>

#include "common/base/buf.h"
#include "mailbox/imap/imap_parser.h"
#include "tests/unit/mailbox/imap_memory.h"

/*
 * What to take from the input, one letter each: t tag, s space, a atom,
 * A astring, S string, n nstring, L list-mailbox, f flag, N name, d number,
 * D number of 63 bits, q set, ( and ) themselves, e end, l literal announced,
 * r its octets.
 */
struct script {
	const char *in;
	const char *take;
	const char *want; /* tokens in brackets; then the error, if any */
	const char *left; /* of the input after finish */
	unsigned go_aheads;
};

static const struct script scripts[] = {
	{ "a1 NOOP\r\nb", "tsae", "[a1][NOOP]", "b", 0 },
	{ "a1 NOOP \r\n", "tsae", "[a1][NOOP]BAD Unexpected argument", "", 0 },
	{ "a+ NOOP\r\n", "ts", "[a]BAD Space expected", "", 0 },
	{ "* NOOP\r\n", "t", "BAD Invalid tag", "", 0 },
	{ "\r\n", "t", "BAD Invalid tag", "", 0 },
	{ "a]b\r\n", "A", "[a]b]", "", 0 },
	{ "a]b\r\n", "ae", "[a]BAD Unexpected argument", "", 0 },
	{ "a%b*\r\n", "Le", "[a%b*]", "", 0 },
	{ "a%b\r\n", "Ae", "[a]BAD Unexpected argument", "", 0 },
	{ "\"\"\r\n", "Ae", "[]", "", 0 },
	{ "\"a b\\\"c\\\\d\" x\r\n", "Asae", "[a b\"c\\d][x]", "", 0 },
	{ "\"a\\b\"\r\n", "A", "BAD Bad escape in a string", "", 0 },
	{ "\"a\r\n", "A", "BAD Missing quote", "", 0 },
	{ "\"a\\\r\n", "A", "BAD Bad escape in a string", "", 0 },
	{ "\"\303\251\"\r\n", "A", "[\303\251]", "", 0 },
	{ "\303\251\r\n", "A", "BAD Atom or string expected", "", 0 },
	{ "NIL nil NILx\r\n", "nsnsn", "[NIL][NIL]BAD String expected", "", 0 },
	{ "NILx\r\n", "n", "BAD String expected", "", 0 },
	{ "\\Seen word \\*\r\n", "fsfsf", "[\\Seen][word]BAD Flag expected", "",
	    0 },
	{ "BODY.PEEK[]\r\n", "N", "[BODY.PEEK]", "", 0 },
	{ "0 4294967295 4294967296\r\n", "dsdsd",
	    "[0][4294967295]BAD Number too large", "", 0 },
	{ "9223372036854775807 x\r\n", "Dsd",
	    "[9223372036854775807]BAD Number expected", "", 0 },
	{ "1:*,5 x\r\n", "qsa", "[1:*,5][x]", "", 0 },
	{ "(a)\r\n", "(a)e", "[a]", "", 0 },
	{ "a)\r\n", "(", "BAD \"(\" expected", "", 0 },

	/* literals */
	{ "LOGIN {5}\r\na b c {2}\r\nxy\r\nrest", "asSsSe",
	    "[LOGIN][a b c][xy]", "rest", 2 },
	{ "LOGIN {5+}\r\na b c {2+}\r\nxy\r\nrest", "asSsSe",
	    "[LOGIN][a b c][xy]", "rest", 0 },
	{ "x {0}\r\n\r\nrest", "asAe", "[x][]", "rest", 1 },
	{ "x {3}\r\n\r\n\r\r\nrest", "asAe", "[x][\r\n\r]", "rest", 1 },
	{ "x {3}\r\nabc\r\n", "asae", "[x]BAD Atom expected", "abc\r\n", 0 },
	/* not at the end of the line: no literal */
	{ "x {3} y\r\n", "asA", "[x]BAD Literal expected", "", 0 },
	{ "x {3}{4}\r\n", "asA", "[x]BAD Literal expected", "", 0 },
	{ "x {a}\r\n", "asA", "[x]BAD Literal expected", "", 0 },
	{ "x {}\r\n", "asA", "[x]BAD Literal expected", "", 0 },
	{ "x {-1}\r\n", "asA", "[x]BAD Literal expected", "", 0 },
	{ "x {99999999999999999999}\r\n", "asA",
	    "[x]BIG [TOOBIG] Literal is too long", "", 0 },
	{ "x {65537}\r\nnext\r\n", "asA", "[x]BIG [TOOBIG] Literal is too long",
	    "next\r\n", 0 },

	/* what was not parsed is passed over (RFC 7888 3) */
	{ "x {3+}\r\nabc y\r\nrest", "ae", "[x]BAD Unexpected argument", "rest",
	    0 },
	{ "x {3+}\r\nabc {2+}\r\nde\r\nrest", "ae",
	    "[x]BAD Unexpected argument", "rest", 0 },
	{ "junk \"{3+}\r\nabc\r\nrest", "asA", "[junk]BAD Missing quote",
	    "rest", 0 },
	{ "x {3+}\r\nabc {2}\r\nrest", "ae", "[x]BAD Unexpected argument",
	    "rest", 0 },
	{ "x {99999+}\r\nrest", "ae", "[x]BAD Unexpected argument, too much",
	    NULL, 0 },

	/* a literal in pieces */
	{ "x {5}\r\nabcde y\r\nrest", "aslrsae", "[x][5][abcde][y]", "rest",
	    1 },
	{ "x {5+}\r\nabcde\r\nrest", "aslre", "[x][5][abcde]", "rest", 0 },
	{ "x {5}\r\nnext", "asl", "[x][5]", "next", 0 },
	{ "x {5+}\r\nabcde\r\nnext", "asl", "[x][5]", "next", 0 },
	/* one piece seen, the rest dropped */
	{ "x {5}\r\nabcde\r\nnext", "aslR", "[x][5]", "next", 1 },
};

static int
take_number(struct imap_parser *p, bool wide, char *text, struct slice *out)
{
	uint64_t v = 0;
	uint32_t v32 = 0;
	int rc = wide ? imap_parse_u64(p, &v) : imap_parse_u32(p, &v32);

	*out = slice(text,
	    (size_t)snprintf(
		text, 32, "%llu", (unsigned long long)(wide ? v : v32)));
	return rc;
}

static int
take_literal(struct imap_parser *p, struct buf *text)
{
	struct slice s;
	int rc = imap_literal_go(p);

	buf_put_char(text, '[');
	while (rc == 0 && (rc = imap_literal_read(p, &s)) == 0 && s.n > 0)
		buf_put_slice(text, s);
	buf_put_char(text, ']');
	return rc;
}

/* One letter of the script; the token, if it gives one, into text. */
static int
take(struct imap_parser *p, char c, struct buf *text)
{
	struct slice s = slice(NULL, 0);
	struct imap_literal l;
	char number[32];
	int rc;

	switch (c) {
	case 't':
		rc = imap_parse_tag(p, &s);
		break;
	case 'a':
		rc = imap_parse_atom(p, &s);
		break;
	case 'A':
		rc = imap_parse_astring(p, &s);
		break;
	case 'S':
		rc = imap_parse_string(p, &s);
		break;
	case 'n':
		rc = imap_parse_nstring(p, &s);
		if (rc == 0 && s.p == NULL)
			s = SLICE_LIT("NIL");
		break;
	case 'L':
		rc = imap_parse_list_mailbox(p, &s);
		break;
	case 'f':
		rc = imap_parse_flag(p, &s);
		break;
	case 'N':
		rc = imap_parse_name(p, &s);
		break;
	case 'q':
		rc = imap_parse_set_token(p, &s);
		break;
	case 'd':
	case 'D':
		rc = take_number(p, c == 'D', number, &s);
		break;
	case 'l':
		if ((rc = imap_parse_literal(p, &l)) == 0)
			s = slice(number,
			    (size_t)snprintf(number, 32, "%llu",
				(unsigned long long)l.size));
		break;
	case 'r':
		return take_literal(p, text);
	case 'R':
		if ((rc = imap_literal_go(p)) == 0)
			rc = imap_literal_read(p, &s);
		return rc;
	case 's':
		return imap_parse_sp(p);
	case 'e':
		return imap_parse_end(p);
	default:
		return imap_parse_char(p, c);
	}
	if (rc == 0 && s.p != NULL) {
		buf_put_char(text, '[');
		buf_put_slice(text, s);
		buf_put_char(text, ']');
	}
	return rc;
}

static void
run(const struct script *s, size_t step)
{
	struct arena a = ARENA_INIT_MAX((size_t)1 << 20);
	struct buf text = BUF_INIT;
	struct imap_parser p;
	struct memory m;
	int rc;

	memory_init(&m, slice_str(s->in), step);
	imap_parser_init(&p, &m.in, &a);
	rc = imap_parser_begin(&p);
	for (const char *c = s->take; *c != '\0' && rc == 0; c++)
		rc = take(&p, *c, &text);
	if (rc == -EBADMSG)
		buf_printf(&text, "BAD %s", p.why);
	else if (rc == -E2BIG)
		buf_printf(&text, "BIG %s", p.why);
	else if (rc != 0)
		buf_printf(&text, "error %d", rc);
	if (imap_parser_finish(&p) == -EFBIG)
		buf_put_str(&text, ", too much");
	assert_string_equal(buf_str(&text), s->want);
	if (s->left != NULL)
		assert_true(slice_eq_str(m.left, s->left));
	assert_int_equal(m.go_aheads, s->go_aheads);
	buf_clear(&text);
	arena_reset(&a);
}

static void
scripts_whole_and_octet_by_octet(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
		run(&scripts[i], SIZE_MAX);
		run(&scripts[i], 1);
		run(&scripts[i], 2);
	}
}

static void
words_end_where_atoms_end(void **state)
{
	struct arena a = ARENA_INIT_MAX(65536);
	struct imap_parser p;
	struct memory m;

	(void)state;
	memory_init(&m, SLICE_LIT("return(ALLx ALL\r\n"), 1);
	imap_parser_init(&p, &m.in, &a);
	assert_int_equal(imap_parser_begin(&p), 0);
	assert_true(imap_accept_word(&p, "RETURN"));
	assert_true(imap_accept(&p, '('));
	assert_false(imap_accept_word(&p, "ALL"));
	assert_int_equal(imap_peek(&p), 'A');
	arena_reset(&a);
}

static void
nul_is_refused_in_literals(void **state)
{
	struct arena a = ARENA_INIT_MAX(65536);
	struct imap_parser p;
	struct memory m;
	struct slice s;

	(void)state;
	memory_init(&m, SLICE_LIT("{1}\r\n\0\r\nrest"), 1);
	imap_parser_init(&p, &m.in, &a);
	assert_int_equal(imap_parser_begin(&p), 0);
	assert_int_equal(imap_parse_string(&p, &s), -EBADMSG);
	assert_int_equal(imap_parser_finish(&p), 0);
	assert_true(slice_eq_str(m.left, "rest"));
	arena_reset(&a);
}

static void
a_full_arena_is_told(void **state)
{
	struct arena a = ARENA_INIT_MAX(256);
	struct imap_parser p;
	struct memory m;
	struct slice s;

	(void)state;
	memory_init(&m, SLICE_LIT("x {300}\r\n"), 1);
	imap_parser_init(&p, &m.in, &a);
	assert_int_equal(imap_parser_begin(&p), 0);
	assert_int_equal(imap_parse_atom(&p, &s), 0);
	assert_int_equal(imap_parse_sp(&p), 0);
	assert_int_equal(imap_parse_astring(&p, &s), -ENOMEM);
	assert_int_equal(m.go_aheads, 0);
	arena_reset(&a);
}

static void
a_line_may_be_too_long(void **state)
{
	struct arena a = ARENA_INIT_MAX(65536);
	struct imap_parser p;
	struct memory m;

	(void)state;
	memory_init(&m, SLICE_LIT("0123456789\r\n"), 1);
	imap_parser_init(&p, &m.in, &a);
	p.line_max = 9;
	assert_int_equal(imap_parser_begin(&p), -EMSGSIZE);
	arena_reset(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scripts_whole_and_octet_by_octet),
		cmocka_unit_test(words_end_where_atoms_end),
		cmocka_unit_test(nul_is_refused_in_literals),
		cmocka_unit_test(a_full_arena_is_told),
		cmocka_unit_test(a_line_may_be_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
