/* SPDX-License-Identifier: ISC */
/* What IMAP servers say: whole, and octet by octet. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/imap/response.h"
#include "common/imap/set.h"

/* Streams "BODY[]" literals into `streamed`. */
static struct buf streamed;

static int
sink_begin(void *arg, struct slice so_far, uint64_t size)
{
	(void)arg;
	if (!slice_ends_nocase(so_far, "BODY[] "))
		return 0;
	buf_printf(&streamed, "<%llu:", (unsigned long long)size);
	return 1;
}

static int
sink_octets(void *arg, struct slice octets)
{
	(void)arg;
	buf_put_slice(&streamed, octets);
	return 0;
}

static const struct imap_sink sink = { sink_begin, sink_octets, NULL };

static const char *const kind_names[] = { "other", "continue", "OK", "NO",
	"BAD", "BYE", "PREAUTH", "CAPABILITY", "NAMESPACE", "LIST", "LSUB",
	"STATUS", "EXISTS", "EXPUNGE", "FETCH", "SEARCH", "VANISHED" };

static void
put_fetch(struct buf *out, const struct imap_response *r)
{
	buf_printf(out, " uid=%u", r->uid);
	if (r->has_date)
		buf_printf(out, " date=%lld", (long long)r->internaldate);
	if (r->size != 0)
		buf_printf(out, " size=%llu", (unsigned long long)r->size);
	if (r->modseq != 0)
		buf_printf(out, " modseq=%llu", (unsigned long long)r->modseq);
	if (r->gm_msgid != 0)
		buf_printf(out, " gm=%llu", (unsigned long long)r->gm_msgid);
	if (r->has_body)
		buf_printf(out, " body=%s%.*s",
		    r->body_streamed ? "streamed" : "", (int)r->body.n,
		    r->body.p);
}

/* All that was understood, as text. */
static void
put_response(struct buf *out, const struct imap_response *r)
{
	buf_put_str(out, kind_names[r->kind]);
	if (r->tag.n > 0)
		buf_printf(out, " tag=%.*s", (int)r->tag.n, r->tag.p);
	if (r->number != 0)
		buf_printf(out, " n=%u", r->number);
	if (r->code.n > 0)
		buf_printf(out, " [%.*s]", (int)r->code.n, r->code.p);
	if (r->text.n > 0)
		buf_printf(out, " '%.*s'", (int)r->text.n, r->text.p);
	if (r->kind == IMAP_FETCH)
		put_fetch(out, r);
	if (r->name.p != NULL)
		buf_printf(out, " name=%.*s", (int)r->name.n, r->name.p);
	if (r->separator != '\0')
		buf_printf(out, " sep=%c", r->separator);
	for (size_t i = 0; i < r->flags.n; i++)
		buf_printf(out, " %.*s", (int)r->flags.v[i].n, r->flags.v[i].p);
	if (r->kind == IMAP_STATUS)
		buf_printf(out, " %u %u %u %llu", r->messages, r->uidnext,
		    r->uidvalidity, (unsigned long long)r->modseq);
	if (r->mailboxid.n > 0)
		buf_printf(out, " id=%.*s", (int)r->mailboxid.n,
		    r->mailboxid.p);
	buf_put_char(out, '\n');
}

static void
read_all(struct slice in, size_t step, struct buf *out)
{
	struct imap_assembler a = { .left = 0 };
	struct arena arena = ARENA_INIT_MAX(1 << 20);
	struct imap_response r;
	size_t used;
	int rc = 0;

	buf_reset(&streamed);
	while (in.n > 0 && rc >= 0) {
		rc =
		    imap_assembler_feed(&a, slice_head(in, step), &sink, &used);
		in = slice_from(in, used);
		if (rc != 1)
			continue;
		assert_int_equal(
		    imap_response_parse(&arena, buf_slice(&a.text), &r), 0);
		put_response(out, &r);
		imap_assembler_reset(&a);
		arena_reset(&arena);
	}
	if (rc < 0)
		buf_printf(out, "error %d\n", rc);
	if (streamed.n > 0)
		buf_printf(out, "%s>\n", buf_str(&streamed));
	imap_assembler_clear(&a);
}

static const struct {
	const char *in, *want;
} cases[] = {
	/* greetings, status responses, codes */
	{ "* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi\r\n",
	    "OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] 'hi'\n" },
	{ "A1 NO [ALERT] no such thing {5}\r\nA2 OK\r\n* BYE\r\n",
	    "NO tag=A1 [ALERT] 'no such thing {5}'\nOK tag=A2\nBYE\n" },
	{ "* PREAUTH x\n+ aGk=\n+\r\n+ {3}\r\n",
	    "PREAUTH 'x'\ncontinue 'aGk='\ncontinue\ncontinue '{3}'\n" },
	{ "* CAPABILITY IMAP4rev1 IDLE\r\n", "CAPABILITY 'IMAP4rev1 IDLE'\n" },
	{ "A1 BYE x\r\nA1 PREAUTH x\r\n* 3 OK x\r\n* EXISTS\r\n",
	    "other tag=A1\nother tag=A1\nother n=3\nother\n" },
	/* mailboxes */
	{ "* LIST (\\HasNoChildren \\Sent) \"/\" \"Sent Items\"\r\n",
	    "LIST name=Sent Items sep=/ \\HasNoChildren \\Sent\n" },
	{ "* LIST () NIL INBOX\r\n* LSUB () \".\" a.b\r\n",
	    "LIST name=INBOX\nLSUB name=a.b sep=.\n" },
	{ "* LIST () \"\\\\\" \"q\\\"u\\\\o\"\r\n",
	    "LIST name=q\"u\\o sep=\\\n" },
	{ "* LIST () \"/\" {5}\r\na b\"c\r\n* LIST () \"/\" \"\"\r\n",
	    "LIST name=a b\"c sep=/\nLIST name= sep=/\n" },
	{ "* LIST () \"/\" x (CHILDINFO (\"SUBSCRIBED\"))\r\n",
	    "LIST name=x sep=/\n" },
	{ "* LIST (\\A \"/\" x\r\n* LIST () \"/\"\r\n* LIST\r\n",
	    "other \\A / x\nother name= sep=/\nother\n" },
	{ "* STATUS a (MAILBOXID (F2212ea8) UIDNEXT 9)\r\n",
	    "STATUS name=a 0 9 0 0 id=F2212ea8\n" },
	{ "* STATUS a (UIDNEXT 9 MAILBOXID ())\r\n",
	    "STATUS name=a 0 9 0 0\n" },
	{ "* STATUS a (MAILBOXID ((x)) UIDNEXT 9)\r\n",
	    "STATUS name=a 0 9 0 0\n" },
	{ "* STATUS \"a b\" (MESSAGES 3 UIDNEXT 9 UIDVALIDITY 7 HIGHESTMODSEQ "
	  "99999999999 X (1 2))\r\n",
	    "STATUS name=a b 3 9 7 99999999999\n" },
	{ "* NAMESPACE ((\"INBOX.\" \".\")) NIL ((\"x\" \"/\"))\r\n* NAMESPACE "
	  "NIL NIL NIL\r\n",
	    "NAMESPACE name=INBOX. sep=.\nNAMESPACE\n" },
	/* numbers */
	{ "* 12 EXISTS\r\n* 3 EXPUNGE\r\n* 4294967296 EXISTS\r\n",
	    "EXISTS n=12\nEXPUNGE n=3\nother\n" },
	/* FETCH */
	{ "* 1 FETCH (UID 7 FLAGS (\\Seen $Junk) INTERNALDATE \"17-Jul-1996 "
	  "02:44:25 -0700\" RFC822.SIZE 44 MODSEQ (624140003))\r\n",
	    "FETCH n=1 uid=7 date=837596665 size=44 modseq=624140003 \\Seen "
	    "$Junk\n" },
	{ "* 2 fetch (uid 8 body[] {5}\r\na)\r\nb flags ())\r\n* 9 EXISTS\r\n",
	    "FETCH n=2 uid=8 body=streamed\nEXISTS n=9\n<5:a)\r\nb>\n" },
	{ "* 2 FETCH (BODY[] {0}\r\n UID 3)\r\n",
	    "FETCH n=2 uid=3 body=streamed\n<0:>\n" },
	{ "* 2 FETCH (BODY[] \"short\" UID 3)\r\n* 2 FETCH (BODY[] NIL)\r\n",
	    "FETCH n=2 uid=3 body=short\nFETCH n=2 uid=0\n" },
	{ "* 2 FETCH (BODY[HEADER.FIELDS (A B)] {3}\r\nx\r\n UID 4)\r\n",
	    "FETCH n=2 uid=4\n" },
	{ "* 2 FETCH (ENVELOPE (\"a\" NIL ((NIL NIL \"(\" \"x\"))) X "
	  "{2+}\r\n)( "
	  "X-GM-MSGID 1278455344230334865 UID 4)\r\n",
	    "FETCH n=2 uid=4 gm=1278455344230334865\n" },
	{ "* 2 FETCH (UID 4\r\n* 2 FETCH (UID x)\r\n* 2 FETCH ()\r\n* 2 "
	  "FETCH\r\n",
	    "other n=2\nother n=2\nFETCH n=2 uid=0\nother n=2\n" },
	{ "* 2 FETCH (INTERNALDATE \"yesterday\" FLAGS (\"q\"))\r\n",
	    "FETCH n=2 uid=0 q\n" },
	/* what is none of it */
	{ "\r\n\r\n* \r\n*\r\n* ODD {3}\r\n{1}\r\n\r\nrandom text here\r\n",
	    "other\nother\nother\nother\nother\nother\nother tag=random\n" },
	{ "* X {99999999999999999999}\r\n* X {12a}\r\n* {}\r\n",
	    "other\nother\nother\n" },
	{ "* X {262145}\r\n", "error -90\n" },
	{ "* 1 FETCH (BODY[] {99999999999}\r\nabc", "<99999999999:abc>\n" },
};

static void
test_responses(void **state)
{
	static const size_t steps[] = { SIZE_MAX, 1, 2, 3, 7 };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t k = 0; k < sizeof(steps) / sizeof(steps[0]); k++) {
			struct buf out = BUF_INIT;

			read_all(slice_str(cases[i].in), steps[k], &out);
			assert_string_equal(buf_str(&out), cases[i].want);
			buf_clear(&out);
		}
}

/* A response that grows and grows ends at a bound, however it comes. */
static void
test_bounds(void **state)
{
	static const char *const parts[] = { "xxxxxxxx", "{4}\r\nabcd ",
		"* 1 FETCH (UID 1 X \"" };

	(void)state;
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		struct imap_assembler a = { .left = 0 };
		size_t used, total = 0;
		int rc = 0;

		while (rc == 0 && total < 4 * IMAP_RESPONSE_MAX) {
			rc = imap_assembler_feed(
			    &a, slice_str(parts[i]), NULL, &used);
			total += used;
			assert_true(a.text.n <= IMAP_RESPONSE_MAX);
		}
		assert_int_equal(rc, -EMSGSIZE);
		imap_assembler_clear(&a);
	}
}

static void
test_deep(void **state)
{
	struct arena a = ARENA_INIT_MAX(1 << 16);
	struct buf text = BUF_INIT;
	struct imap_response r;

	(void)state;
	buf_put_str(&text, "* 1 FETCH (X ");
	for (int i = 0; i < 10000; i++)
		buf_put_char(&text, '(');
	assert_int_equal(imap_response_parse(&a, buf_slice(&text), &r), 0);
	assert_int_equal(r.kind, IMAP_OTHER);
	buf_clear(&text);
	arena_reset(&a);
}

static void
test_codes(void **state)
{
	uint64_t n = 0;

	(void)state;
	assert_int_equal(
	    imap_code_number(SLICE_LIT("uidvalidity 7"), "UIDVALIDITY", &n), 0);
	assert_int_equal(n, 7);
	assert_int_equal(
	    imap_code_number(SLICE_LIT("UIDVALIDITY"), "UIDVALIDITY", &n),
	    -ENOENT);
	assert_int_equal(
	    imap_code_number(SLICE_LIT("UIDNEXT 7"), "UIDVALIDITY", &n),
	    -ENOENT);
}

static void
test_quoting(void **state)
{
	struct buf b = BUF_INIT;

	(void)state;
	assert_true(imap_put_quoted(&b, SLICE_LIT("a\"b\\c \xc3\xa9")));
	assert_string_equal(buf_str(&b), "\"a\\\"b\\\\c \xc3\xa9\"");
	assert_false(imap_put_quoted(&b, SLICE_LIT("a\r\nA1 DELETE x")));
	buf_clear(&b);
}

/* RFC 7162 3.2.10 */
static void
vanished(void **state)
{
	static const struct {
		const char *text, *set;
		bool earlier;
	} good[] = { { "* VANISHED (EARLIER) 41,43:116,118", "41,43:116,118",
			 true },
		{ "* vanished (earlier) 1", "1", true },
		{ "* VANISHED 405,407:410", "405,407:410", false },
		{ "* VANISHED 4294967295:1", "4294967295:1", false } };
	static const char *const bad[] = { "* VANISHED", "* VANISHED ",
		"* VANISHED (EARLIER)", "* VANISHED (LATER) 1",
		"* VANISHED (EARLIER 1", "* VANISHED 1,", "* VANISHED 0",
		"* VANISHED 1:*", "* VANISHED 4294967296", "* VANISHED 1:2:3",
		"* VANISHED a", "* 3 VANISHED 1" };
	struct arena a = ARENA_INIT_MAX(4096);
	struct imap_response r;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(
		    imap_response_parse(&a, slice_str(good[i].text), &r), 0);
		assert_int_equal(r.kind, IMAP_VANISHED);
		assert_true(slice_eq_str(r.set, good[i].set));
		assert_int_equal(r.earlier, good[i].earlier);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(
		    imap_response_parse(&a, slice_str(bad[i]), &r), 0);
		assert_int_equal(r.kind, IMAP_OTHER);
	}
	arena_reset(&a);
}

static void
envelopes_are_left_as_they_are(void **state)
{
	static const char text[] = "* 2 FETCH (UID 7 ENVELOPE (NIL \"a) (b\" "
				   "((\"x\" NIL {3}\r\n) (\"y\")) NIL) "
				   "RFC822.SIZE 12)";
	struct arena a = ARENA_INIT_MAX(4096);
	struct imap_response r;

	(void)state;
	assert_int_equal(imap_response_parse(&a, slice_str(text), &r), 0);
	assert_int_equal(r.kind, IMAP_FETCH);
	assert_true(slice_eq_str(r.envelope,
	    "(NIL \"a) (b\" ((\"x\" NIL {3}\r\n) (\"y\")) NIL)"));
	assert_int_equal(r.size, 12);
	arena_reset(&a);
}

/* RFC 4315 3 */
static void
copyuid(void **state)
{
	static const char *const bad[] = { "COPYUID", "COPYUID 1",
		"COPYUID 1 2", "COPYUID 1 2:3 4", "COPYUID x 2 3",
		"COPYUID 1 2 x", "COPYUID 1 2:9 3:10", "APPENDUID 1 2 3", "",
		"COPYUID 99999999999 2 3" };
	uint32_t validity, from[4], to[4];

	(void)state;
	assert_int_equal(imap_code_copyuid(SLICE_LIT("COPYUID 38505 304,319:320 "
						     "3956:3958"),
			     &validity, from, to, 4),
	    3);
	assert_int_equal(validity, 38505);
	assert_int_equal(from[0], 304);
	assert_int_equal(from[2], 320);
	assert_int_equal(to[0], 3956);
	assert_int_equal(to[2], 3958);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(imap_code_copyuid(slice_str(bad[i]), &validity,
				     from, to, 4),
		    0);
}

static void
sets_are_taken_apart(void **state)
{
	struct slice set = SLICE_LIT("7,9:5,4294967295");
	uint32_t from, to;

	(void)state;
	assert_int_equal(imap_set_next(&set, &from, &to), 1);
	assert_true(from == 7 && to == 7);
	assert_int_equal(imap_set_next(&set, &from, &to), 1);
	assert_true(from == 5 && to == 9); /* in either order */
	assert_int_equal(imap_set_next(&set, &from, &to), 1);
	assert_true(from == UINT32_MAX && to == UINT32_MAX);
	assert_int_equal(imap_set_next(&set, &from, &to), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_responses),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_deep),
		cmocka_unit_test(test_codes),
		cmocka_unit_test(vanished),
		cmocka_unit_test(envelopes_are_left_as_they_are),
		cmocka_unit_test(copyuid),
		cmocka_unit_test(sets_are_taken_apart),
		cmocka_unit_test(test_quoting),
	};
	int rc = cmocka_run_group_tests(tests, NULL, NULL);

	buf_clear(&streamed);
	return rc;
}
