/* SPDX-License-Identifier: ISC */
/* What SEARCH and the sections of FETCH are parsed to. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "common/base/buf.h"
#include "mailbox/imap/imap_search.h"
#include "mailbox/imap/imap_section.h"
#include "tests/unit/mailbox/imap_memory.h"

static const char *const kinds[] = {
	[IMAP_KEY_ALL] = "all",
	[IMAP_KEY_SEQS] = "seqs",
	[IMAP_KEY_UIDS] = "uids",
	[IMAP_KEY_FLAG] = "flag",
	[IMAP_KEY_KEYWORD] = "keyword",
	[IMAP_KEY_RECENT] = "recent",
	[IMAP_KEY_MODSEQ] = "modseq",
	[IMAP_KEY_BEFORE] = "before",
	[IMAP_KEY_ON] = "on",
	[IMAP_KEY_SINCE] = "since",
	[IMAP_KEY_OLDER] = "older",
	[IMAP_KEY_YOUNGER] = "younger",
	[IMAP_KEY_LARGER] = "larger",
	[IMAP_KEY_SMALLER] = "smaller",
	[IMAP_KEY_SENTBEFORE] = "sentbefore",
	[IMAP_KEY_SENTON] = "senton",
	[IMAP_KEY_SENTSINCE] = "sentsince",
	[IMAP_KEY_SUBJECT] = "subject",
	[IMAP_KEY_FROM] = "from",
	[IMAP_KEY_TO] = "to",
	[IMAP_KEY_CC] = "cc",
	[IMAP_KEY_BCC] = "bcc",
	[IMAP_KEY_HEADER] = "header",
	[IMAP_KEY_BODY] = "body",
	[IMAP_KEY_TEXT] = "text",
	[IMAP_KEY_AND] = "and",
	[IMAP_KEY_OR] = "or",
	[IMAP_KEY_NOT] = "not",
};

static void
print_key(struct buf *b, const struct imap_key *k)
{
	buf_put_str(b, kinds[k->kind]);
	if (k->name.n > 0)
		buf_printf(b, " %.*s", (int)k->name.n, k->name.p);
	if (k->needle.n > 0)
		buf_printf(b, " '%.*s'", (int)k->needle.n, k->needle.p);
	if (k->flags != 0)
		buf_printf(b, " %u", k->flags);
	if (k->number != 0)
		buf_printf(b, " %llu", (unsigned long long)k->number);
	if (k->day != 0)
		buf_printf(b, " day %lld", (long long)k->day / 86400);
	for (size_t i = 0; i < k->set.n; i++)
		buf_printf(b, " %u-%u", k->set.v[i].lo, k->set.v[i].hi);
	if (k->child == NULL)
		return;
	buf_put_char(b, '(');
	for (const struct imap_key *c = k->child; c != NULL; c = c->next) {
		print_key(b, c);
		if (c->next != NULL)
			buf_put_str(b, ", ");
	}
	buf_put_char(b, ')');
}

static const struct {
	const char *in, *want;
} searches[] = {
	{ "ALL", "all" },
	{ "1:3,*", "seqs 1-3 0-0" },
	{ "UID 5:*", "uids 5-0" },
	{ "UNSEEN", "not(flag 1)" },
	{ "NEW", "and(recent, not(flag 1))" },
	{ "OLD", "not(recent)" },
	{ "KEYWORD $Junk UNKEYWORD x", "and(keyword $Junk, not(keyword x))" },
	{ "FLAGGED SINCE 1-Feb-1994 NOT FROM \"Smith\"",
	    "and(flag 4, since day 8797, not(from 'SMITH'))" },
	/* dear keys come last */
	{ "BODY x SUBJECT y LARGER 5 SEEN",
	    "and(flag 1, larger 5, subject 'Y', body 'X')" },
	{ "OR BODY x SEEN", "or(flag 1, body 'X')" },
	{ "OR (BODY x ALL) (LARGER 1 SEEN)",
	    "or(and(flag 1, larger 1), and(all, body 'X'))" },
	{ "NOT NOT SEEN", "not(not(flag 1))" },
	{ "((SEEN))", "flag 1" },
	{ "HEADER Message-ID \"\"", "header Message-ID" },
	{ "HEADER \"X y\" {3}\r\na b", "header X y 'A B'" },
	{ "ON \"03-Mar-2001\"", "on day 11384" },
	{ "CHARSET UTF-8 TEXT \"stra\303\237e \303\251\"",
	    "text 'STRA\303\237E E\314\201'" },
	{ "CHARSET us-ascii ALL", "all" },
	{ "CHARSET koi8-r TEXT {2}\r\n\301\302", "charset" },
	{ "CHARSET UTF-8 TEXT {1}\r\n\301",
	    "BAD String is not in the charset" },
	{ "RETURN (MIN COUNT) ALL", "returns 9: all" },
	{ "RETURN () ALL", "returns 4: all" },
	{ "RETURN (MIN MAX) CHARSET UTF-8 1", "returns 3: seqs 1-1" },
	{ "RETURN (SAVE) ALL", "BAD Unknown result option" },
	{ "MODSEQ 620162338", "modseq 620162338" },
	{ "MODSEQ \"/flags/\\\\draft\" all 7", "modseq 7" },
	{ "MODSEQ \"/flags/\\\\draft\" some 7", "BAD Invalid entry type" },
	{ "OLDER 60 YOUNGER 3600", "and(older 60, younger 3600)" },
	{ "", "BAD Atom expected" },
	{ "ALL ", "BAD Atom expected" },
	{ "()", "BAD Atom expected" },
	{ "(ALL", "BAD \")\" expected" },
	{ "ALL)", "BAD Unexpected argument" },
	{ "NOPE", "BAD Unknown search key" },
	{ "OR ALL", "BAD Missing argument" },
	{ "BEFORE yesterday", "BAD Invalid date" },
	{ "SINCE 31-Feb-2001x", "BAD Invalid date" },
	{ "LARGER x", "BAD Number expected" },
	{ "0", "BAD Invalid message set" },
	{ "FROM", "BAD Missing argument" },
	{ "\"ALL\"", "BAD Atom expected" },
};

static void
parse_search(struct buf *b, struct arena *a, const char *in, size_t step)
{
	struct imap_search q;
	struct imap_parser p;
	struct memory m;
	struct buf line = BUF_INIT;
	int rc;

	buf_printf(&line, "%s\r\n", in);
	memory_init(&m, buf_slice(&line), step);
	imap_parser_init(&p, &m.in, a);
	assert_int_equal(imap_parser_begin(&p), 0);
	rc = imap_search_parse(&p, &q);
	if (rc == -EBADMSG)
		buf_printf(b, "BAD %s", p.why);
	else if (rc != 0)
		buf_printf(b, "error %d", rc);
	else if (q.bad_charset)
		buf_put_str(b, "charset");
	else {
		if (q.extended)
			buf_printf(b, "returns %u: ", q.returns);
		print_key(b, q.root);
	}
	buf_clear(&line);
}

static void
searches_become_trees(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(searches) / sizeof(searches[0]); i++)
		for (size_t step = 1; step < 5; step += 3) {
			struct arena a = ARENA_INIT_MAX((size_t)1 << 20);
			struct buf b = BUF_INIT;

			parse_search(&b, &a, searches[i].in, step);
			assert_string_equal(buf_str(&b), searches[i].want);
			buf_clear(&b);
			arena_reset(&a);
		}
}

static void
depth_is_limited(void **state)
{
	static const char *const openings[] = { "(", "NOT ", "OR ALL " };

	(void)state;
	for (size_t k = 0; k < 3; k++) {
		struct arena a = ARENA_INIT_MAX((size_t)8 << 20);
		struct buf in = BUF_INIT, b = BUF_INIT;

		for (int i = 0; i < 9000; i++)
			buf_put_str(&in, openings[k]);
		parse_search(&b, &a, buf_str(&in), 1);
		assert_string_equal(
		    buf_str(&b), "BAD [LIMIT] Keys are nested too deep");
		buf_clear(&b);
		buf_clear(&in);
		arena_reset(&a);
	}
}

static void
texts_are_limited(void **state)
{
	struct arena a = ARENA_INIT_MAX((size_t)8 << 20);
	struct buf in = BUF_INIT, b = BUF_INIT;

	(void)state;
	for (int i = 0; i < 65; i++)
		buf_put_str(&in, i == 0 ? "BODY x" : " BODY x");
	parse_search(&b, &a, buf_str(&in), 1);
	assert_string_equal(buf_str(&b), "BAD [LIMIT] Too many texts");
	buf_clear(&b);
	buf_clear(&in);
	arena_reset(&a);
}

/* --- sections --- */

/*
 * RFC 3501 6.4.5's example, in miniature. Header of each part: 10 octets at
 * 1000 times its index; body: 100 behind it.
 */
enum { ROOT, P1, P2, P3, M3, P31, P32, P4, P41, P42, M42, P421, P422, PARTS };
static const struct {
	unsigned parent, number, kind;
} tree[PARTS] = {
	[ROOT] = { 0, 0, MAILS_PART_MULTI },
	[P1] = { ROOT, 1, MAILS_PART_LEAF },
	[P2] = { ROOT, 2, MAILS_PART_LEAF },
	[P3] = { ROOT, 3, MAILS_PART_MESSAGE },
	[M3] = { P3, 1, MAILS_PART_MULTI },
	[P31] = { M3, 1, MAILS_PART_LEAF },
	[P32] = { M3, 2, MAILS_PART_LEAF },
	[P4] = { ROOT, 4, MAILS_PART_MULTI },
	[P41] = { P4, 1, MAILS_PART_LEAF },
	[P42] = { P4, 2, MAILS_PART_MESSAGE },
	[M42] = { P42, 1, MAILS_PART_LEAF },
};

static const struct {
	const char *in;
	unsigned root; /* kind of the root; MULTI: the tree above */
	int part;      /* whose octets; -1: none, -2: the whole message */
	bool header;
	const char *label; /* NULL: BAD */
} sections[] = {
	{ "[]", MAILS_PART_MULTI, -2, false, "BODY[]" },
	{ "[HEADER]", MAILS_PART_MULTI, ROOT, true, "BODY[HEADER]" },
	{ "[text]<5.10>", MAILS_PART_MULTI, ROOT, false, "BODY[TEXT]<5>" },
	{ "[1]", MAILS_PART_MULTI, P1, false, "BODY[1]" },
	{ "[1.MIME]", MAILS_PART_MULTI, P1, true, "BODY[1.MIME]" },
	{ "[1.HEADER]", MAILS_PART_MULTI, -1, true, "BODY[1.HEADER]" },
	{ "[1.1]", MAILS_PART_MULTI, -1, false, "BODY[1.1]" },
	{ "[3]", MAILS_PART_MULTI, P3, false, "BODY[3]" },
	{ "[3.HEADER]", MAILS_PART_MULTI, M3, true, "BODY[3.HEADER]" },
	{ "[3.TEXT]", MAILS_PART_MULTI, M3, false, "BODY[3.TEXT]" },
	{ "[3.MIME]", MAILS_PART_MULTI, P3, true, "BODY[3.MIME]" },
	{ "[3.1]", MAILS_PART_MULTI, P31, false, "BODY[3.1]" },
	{ "[3.2.MIME]", MAILS_PART_MULTI, P32, true, "BODY[3.2.MIME]" },
	{ "[4.1.MIME]", MAILS_PART_MULTI, P41, true, "BODY[4.1.MIME]" },
	{ "[4.2.HEADER]", MAILS_PART_MULTI, M42, true, "BODY[4.2.HEADER]" },
	{ "[4.2.1]", MAILS_PART_MULTI, M42, false, "BODY[4.2.1]" },
	{ "[4.2.2]", MAILS_PART_MULTI, -1, false, "BODY[4.2.2]" },
	{ "[4.HEADER]", MAILS_PART_MULTI, -1, true, "BODY[4.HEADER]" },
	{ "[9]", MAILS_PART_MULTI, -1, false, "BODY[9]" },
	{ "[1]", MAILS_PART_LEAF, ROOT, false, "BODY[1]" },
	{ "[1.MIME]", MAILS_PART_LEAF, ROOT, true, "BODY[1.MIME]" },
	{ "[2]", MAILS_PART_LEAF, -1, false, "BODY[2]" },
	{ "[1.1]", MAILS_PART_LEAF, -1, false, "BODY[1.1]" },
	{ "[1.TEXT]", MAILS_PART_LEAF, -1, false, "BODY[1.TEXT]" },
	{ "[HEADER.FIELDS (Date \"X y\" {2}\r\nto)]", MAILS_PART_MULTI, ROOT,
	    true, "BODY[HEADER.FIELDS (DATE \"X Y\" TO)]" },
	{ "[3.HEADER.FIELDS.NOT (a)]<0.1>", MAILS_PART_MULTI, M3, true,
	    "BODY[3.HEADER.FIELDS.NOT (A)]<0>" },
	{ "[MIME]", 0, 0, false, NULL },
	{ "[1.]", 0, 0, false, NULL },
	{ "[1.x]", 0, 0, false, NULL },
	{ "[0]", 0, 0, false, NULL },
	{ "[1", 0, 0, false, NULL },
	{ "[HEADER.FIELDS]", 0, 0, false, NULL },
	{ "[HEADER.FIELDS ()]", 0, 0, false, NULL },
	{ "[]<1>", 0, 0, false, NULL },
	{ "[]<1.0>", 0, 0, false, NULL },
};

static void
make_parts(struct mails_part parts[PARTS], unsigned root)
{
	for (unsigned i = 0; i < PARTS; i++)
		parts[i] = (struct mails_part){
			.parent = tree[i].parent,
			.number = tree[i].number,
			.kind = tree[i].kind,
			.header_at = 1000 * i,
			.header_size = 10,
			.body_at = 1000 * i + 10,
			.body_size = 100,
		};
	parts[0].kind = root;
}

static void
sections_find_their_octets(void **state)
{
	struct mails_part parts[PARTS];
	struct mails_summary sum = { .parts = parts };

	(void)state;
	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
		struct arena a = ARENA_INIT_MAX((size_t)1 << 20);
		struct buf line = BUF_INIT;
		struct imap_section s;
		struct imap_octets o;
		struct imap_parser p;
		struct memory m;
		int rc, part = sections[i].part;

		buf_printf(&line, "%s\r\n", sections[i].in);
		memory_init(&m, buf_slice(&line), 1);
		imap_parser_init(&p, &m.in, &a);
		assert_int_equal(imap_parser_begin(&p), 0);
		rc = imap_section_parse(&p, &s);
		assert_int_equal(rc, sections[i].label ? 0 : -EBADMSG);
		if (rc == 0) {
			assert_true(slice_eq_str(s.label, sections[i].label));
			make_parts(parts, sections[i].root);
			sum.n_parts =
			    sections[i].root == MAILS_PART_MULTI ? PARTS : 1;
			assert_int_equal(
			    imap_section_find(&s, &sum, 77, &o), part != -1);
			if (part == -2)
				assert_int_equal(o.size, 77);
			else if (part >= 0)
				assert_int_equal(o.at,
				    1000 * part +
					(sections[i].header ? 0 : 10));
		}
		buf_clear(&line);
		arena_reset(&a);
	}
}

static void
fields_are_chosen(void **state)
{
	static const char header[] = "A: 1\r\n\tmore\r\nB: 2\r\na: 3\r\n\r\n";
	struct slice name = SLICE_LIT("a");
	struct imap_section s = { .fields = &name, .n_fields = 1 };
	struct buf b = BUF_INIT;

	(void)state;
	s.what = IMAP_SECTION_FIELDS;
	imap_section_filter(&s, slice_str(header), &b);
	assert_string_equal(buf_str(&b), "A: 1\r\n\tmore\r\na: 3\r\n\r\n");
	buf_reset(&b);
	s.what = IMAP_SECTION_FIELDS_NOT;
	imap_section_filter(&s, slice_str(header), &b);
	assert_string_equal(buf_str(&b), "B: 2\r\n\r\n");
	buf_reset(&b);
	imap_section_filter(&s, SLICE_LIT("B: 2\r\n"), &b); /* no body */
	assert_string_equal(buf_str(&b), "B: 2\r\n");
	buf_reset(&b);
	imap_section_filter(&s, SLICE_LIT("\r\n"), &b);
	assert_string_equal(buf_str(&b), "\r\n");
	buf_clear(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(searches_become_trees),
		cmocka_unit_test(depth_is_limited),
		cmocka_unit_test(texts_are_limited),
		cmocka_unit_test(sections_find_their_octets),
		cmocka_unit_test(fields_are_chosen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
