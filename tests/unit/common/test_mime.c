/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#include "common/mail/header.h"
#include "common/mail/mime.h"
#include "common/mail/text.h"

#define N(a) (sizeof(a) / sizeof(*(a)))

/*
 * Messages have LF here and are tried with CRLF too. The tree: a line for each
 * part, indented by its depth: type/subtype, then |header|body| of what is
 * not a container, with "$" for line ends.
 */
static const struct {
	const char *name, *message, *tree;
} cases[] = {
	{ "empty", "", "text/plain ||\n" },
	{ "plain", "Subject: x\n\nhello\n",
	    "text/plain Subject: x$$|hello$|\n" },
	{ "no header", "hello\n", "text/plain |hello$|\n" },
	{ "no body", "Subject: x\n\n", "text/plain Subject: x$$||\n" },
	{ "RFC 2046 5.1.1",
	    "Content-type: multipart/mixed; boundary=\"simple boundary\"\n\n"
	    "This is the preamble.\n\n--simple boundary\n\n"
	    "This is implicitly typed plain US-ASCII text.\n"
	    "It does NOT end with a linebreak.\n--simple boundary\n"
	    "Content-type: text/plain; charset=us-ascii\n\n"
	    "It DOES end with a linebreak.\n\n--simple boundary--\n\n"
	    "This is the epilogue.\n",
	    "multipart/mixed\n"
	    " text/plain $|This is implicitly typed plain US-ASCII text.$"
	    "It does NOT end with a linebreak.|\n"
	    " text/plain Content-type: text/plain; charset=us-ascii$$|"
	    "It DOES end with a linebreak.$|\n" },
	{ "RFC 2049 A",
	    "MIME-Version: 1.0\n"
	    "From: Nathaniel Borenstein <nsb@nsb.fv.com>\n"
	    "Subject: A multipart example\nContent-Type: multipart/mixed;\n"
	    "              boundary=unique-boundary-1\n\n"
	    "This is the preamble area of a multipart message.\n\n"
	    "--unique-boundary-1\n\n  ... Some text appears here ...\n\n"
	    "--unique-boundary-1\n"
	    "Content-type: text/plain; charset=US-ASCII\n\n"
	    "This could have been part of the previous part.\n\n"
	    "--unique-boundary-1\nContent-Type: multipart/parallel; "
	    "boundary=unique-boundary-2\n\n--unique-boundary-2\n"
	    "Content-Type: audio/basic\nContent-Transfer-Encoding: base64\n\n"
	    "  ... base64-encoded ...\n\n--unique-boundary-2\n"
	    "Content-Type: image/jpeg\nContent-Transfer-Encoding: base64\n\n"
	    "  ... base64-encoded ...\n\n--unique-boundary-2--\n\n"
	    "--unique-boundary-1\nContent-type: text/enriched\n\n"
	    "This is <bold>enriched.</bold>\n\n--unique-boundary-1\n"
	    "Content-Type: message/rfc822\n\n"
	    "From: (mailbox in US-ASCII)\nSubject: (subject in US-ASCII)\n"
	    "Content-Type: Text/plain; charset=ISO-8859-1\n\n"
	    "  ... Additional text ...\n\n--unique-boundary-1--\n",
	    "multipart/mixed\n"
	    " text/plain $|  ... Some text appears here ...$|\n"
	    " text/plain Content-type: text/plain; charset=US-ASCII$$|"
	    "This could have been part of the previous part.$|\n"
	    " multipart/parallel\n"
	    "  audio/basic Content-Type: audio/basic$"
	    "Content-Transfer-Encoding: base64$$|  ... base64-encoded ...$|\n"
	    "  image/jpeg Content-Type: image/jpeg$"
	    "Content-Transfer-Encoding: base64$$|  ... base64-encoded ...$|\n"
	    " text/enriched Content-type: text/enriched$$|"
	    "This is <bold>enriched.</bold>$|\n"
	    " message/rfc822\n"
	    "  text/plain From: (mailbox in US-ASCII)$"
	    "Subject: (subject in US-ASCII)$"
	    "Content-Type: Text/plain; charset=ISO-8859-1$$|"
	    "  ... Additional text ...$|\n" },
	{ "nested",
	    "Content-Type: multipart/mixed; boundary=a\n\n--a\n"
	    "Content-Type: multipart/alternative; boundary=b\n\n--b\n\none\n"
	    "--b\nContent-Type: text/html\n\ntwo\n--b--\nepilogue\n--a\n\n"
	    "three\n--a--\n",
	    "multipart/mixed\n multipart/alternative\n  text/plain $|one|\n"
	    "  text/html Content-Type: text/html$$|two|\n"
	    " text/plain $|three|\n" },
	{ "the inner close is missing",
	    "Content-Type: multipart/mixed; boundary=a\n\n--a\n"
	    "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--a\n\n"
	    "two\n--a--\n",
	    "multipart/mixed\n multipart/mixed\n  text/plain $|one|\n"
	    " text/plain $|two|\n" },
	{ "all closes are missing",
	    "Content-Type: multipart/mixed; boundary=a\n\n--a\n\none\n",
	    "multipart/mixed\n text/plain $|one$|\n" },
	{ "boundaries that begin with one another",
	    "Content-Type: multipart/mixed; boundary=b\n\n--b\n"
	    "Content-Type: multipart/mixed; boundary=bb\n\n--bb\n\none\n"
	    "--bbb\n--bb--\n--b\n\ntwo\n--bb\n--b--\n",
	    "multipart/mixed\n multipart/mixed\n  text/plain $|one$--bbb|\n"
	    " text/plain $|two$--bb|\n" },
	{ "a boundary that looks like the close of another",
	    "Content-Type: multipart/mixed; boundary=b\n\n--b\n"
	    "Content-Type: multipart/mixed; boundary=b--\n\n--b--\n\none\n"
	    "--b----\n--b\n\ntwo\n--b--\n",
	    "multipart/mixed\n multipart/mixed\n  text/plain $|one|\n"
	    " text/plain $|two|\n" },
	{ "nested with the same boundary",
	    "Content-Type: multipart/mixed; boundary=b\n\n--b\n"
	    "Content-Type: multipart/alternative; boundary=b\n\n--b\n\none\n"
	    "--b\n\ntwo\n--b--\n--b\n\nthree\n--b--\n",
	    "multipart/mixed\n multipart/alternative\n  text/plain $|one|\n"
	    "  text/plain $|two|\n text/plain $|three|\n" },
	{ "white space after the boundary, text after it",
	    "Content-Type: multipart/mixed; boundary=\"b \"\n\n--b \t \n\none\n"
	    "--b x\n--b-\n--b--x\n--b-- \n--b\n",
	    "multipart/mixed\n text/plain $|one$--b x$--b-$--b--x|\n" },
	{ "after the close nothing begins",
	    "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b--\n"
	    "--b\n\ntwo\n--b--\n",
	    "multipart/mixed\n text/plain $|one|\n" },
	{ "a delimiter right after the header, and after another",
	    "Content-Type: multipart/mixed; boundary=b\n--b\n--b\n\n--b\n\n\n"
	    "--b\nContent-Type: text/html\n--b--\n",
	    "multipart/mixed\n text/plain ||\n text/plain $||\n"
	    " text/plain $||\n text/html Content-Type: text/html$||\n" },
	{ "a part without the blank line",
	    "Content-Type: multipart/mixed; boundary=b\n\n--b\none\n--b\n"
	    "Content-Type: text/html\ntwo words\n--b--\n",
	    "multipart/mixed\n text/plain |one|\n"
	    " text/html Content-Type: text/html$|two words|\n" },
	{ "delimiter at the end without a line end",
	    "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b--",
	    "multipart/mixed\n text/plain $|one|\n" },
	{ "the same, not closing",
	    "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b",
	    "multipart/mixed\n text/plain $|one|\n text/plain ||\n" },
	{ "no boundary", "Content-Type: multipart/mixed\n\n--b\n\none\n--b--\n",
	    "multipart/mixed Content-Type: multipart/mixed$$|"
	    "--b$$one$--b--$|\n" },
	{ "no parts", "Content-Type: multipart/mixed; boundary=b\n\ntext\n",
	    "multipart/mixed\n" },
	{ "message/rfc822",
	    "Content-Type: message/rfc822\n\nSubject: in\n\nhello\n",
	    "message/rfc822\n text/plain Subject: in$$|hello$|\n" },
	{ "message in a multipart",
	    "Content-Type: multipart/mixed; boundary=b\n\n--b\n"
	    "Content-Type: message/rfc822\n\nSubject: in\n"
	    "Content-Type: multipart/mixed; boundary=c\n\n--c\n\none\n--c--\n"
	    "--b\n\ntwo\n--b--\n",
	    "multipart/mixed\n message/rfc822\n  multipart/mixed\n"
	    "   text/plain $|one|\n text/plain $|two|\n" },
	{ "message without header or blank line",
	    "Content-Type: message/rfc822\nnot a field\n",
	    "message/rfc822\n text/plain |not a field$|\n" },
	{ "message that is empty",
	    "Content-Type: multipart/mixed; boundary=b\n\n--b\n"
	    "Content-Type: message/rfc822\n\n--b\nContent-Type: "
	    "message/rfc822\n--b--\n",
	    "multipart/mixed\n message/rfc822\n  text/plain ||\n"
	    " message/rfc822\n  text/plain ||\n" },
	{ "digest",
	    "Content-Type: multipart/digest; boundary=b\n\n--b\n\n"
	    "Subject: one\n\n1\n--b\nContent-Type: text/plain\n\n2\n--b\n"
	    "three words here\n--b--\n",
	    "multipart/digest\n message/rfc822\n"
	    "  text/plain Subject: one$$|1|\n"
	    " text/plain Content-Type: text/plain$$|2|\n"
	    " message/rfc822\n  text/plain |three words here|\n" },
	{ "a type that cannot be parsed", "Content-Type: multipart\n\nx",
	    "text/plain Content-Type: "
	    "multipart$$|x|\n" },
	{ "the first type counts",
	    "Content-Type: text/html\nContent-Type: text/plain\n\nx",
	    "text/html Content-Type: text/html$Content-Type: text/plain$$|"
	    "x|\n" },
	{ "dashes that are no delimiters",
	    "Content-Type: multipart/mixed; boundary=b\n\n--b\n\n-\n--\n"
	    "-- \n---\n-b\n--c\n --b\n--B\n--b--\n",
	    "multipart/mixed\n"
	    " text/plain $|-$--$-- $---$-b$--c$ --b$--B|\n" },
	{ "mbox line", "From a@b Fri Nov 20\nContent-Type: text/html\n\nx",
	    "text/html From a@b Fri Nov 20$Content-Type: text/html$$|x|\n" },
};

static void
put_dollars(struct buf *b, struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] != '\r')
			buf_put_char(b, s.p[i] == '\n' ? '$' : s.p[i]);
}

static struct slice
range(struct slice message, uint64_t at, uint64_t n)
{
	assert_true(at <= message.n && n <= message.n - at);
	return slice_head(slice_from(message, at), n);
}

static void
put_tree(struct buf *b, struct slice message, const struct mime_part *root)
{
	for (const struct mime_part *p = root; p; p = mime_part_next(p)) {
		for (const struct mime_part *q = p; q->parent; q = q->parent)
			buf_put_char(b, ' ');
		buf_put_slice(b, p->type);
		buf_put_char(b, '/');
		buf_put_slice(b, p->subtype);
		if (p->kind == MIME_LEAF) {
			buf_put_char(b, ' ');
			put_dollars(
			    b, range(message, p->header_at, p->header_size));
			buf_put_char(b, '|');
			put_dollars(
			    b, range(message, p->body_at, p->body_size));
			buf_put_char(b, '|');
		}
		buf_put_char(b, '\n');
	}
}

static uint64_t
count_lines(struct slice s)
{
	uint64_t n = 0;

	for (size_t i = 0; i < s.n; i++)
		n += s.p[i] == '\n';
	return n;
}

static void
check_offsets(struct slice message, const struct mime_part *root)
{
	uint32_t index = 0;

	assert_int_equal(root->header_at, 0);
	assert_int_equal(root->body_at + root->body_size, message.n);
	assert_int_equal(root->header_size, header_size(message));
	for (const struct mime_part *p = root; p; p = mime_part_next(p)) {
		assert_int_equal(p->index, index++);
		assert_int_equal(p->header_at + p->header_size, p->body_at);
		assert_int_equal(p->header_lines,
		    count_lines(range(message, p->header_at, p->header_size)));
		assert_int_equal(p->body_lines,
		    count_lines(range(message, p->body_at, p->body_size)));
		if (p->parent == NULL)
			continue;
		assert_true(p->header_at >= p->parent->body_at);
		assert_true(p->body_at + p->body_size <=
		    p->parent->body_at + p->parent->body_size);
	}
}

static void
check_case(size_t i, struct slice message, size_t step)
{
	struct arena a = { 0 };
	struct mime_parser *p;
	struct mime_part *root;
	struct slice rest = message;
	struct buf b = BUF_INIT;

	assert_int_equal(mime_parser_new(&p, &a, 0), 0);
	while (rest.n > 0) {
		assert_int_equal(
		    mime_parser_feed(p, slice_head(rest, step)), 0);
		rest = slice_from(rest, step);
	}
	assert_int_equal(mime_parser_end(p, &root), 0);
	put_tree(&b, message, root);
	if (strcmp(buf_str(&b), cases[i].tree) != 0)
		fail_msg("%s: in steps of %zu\n%s", cases[i].name, step,
		    buf_str(&b));
	check_offsets(message, root);
	buf_clear(&b);
	mime_parser_free(&p);
	arena_reset(&a);
}

static void
put_crlf(struct buf *b, const char *s)
{
	for (; *s != '\0'; s++) {
		if (*s == '\n')
			buf_put_char(b, '\r');
		buf_put_char(b, *s);
	}
}

static void
messages_have_their_structure(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct buf crlf = BUF_INIT;
		struct slice lf = slice_str(cases[i].message);

		put_crlf(&crlf, cases[i].message);
		for (size_t step = 1; step <= 7; step++) {
			check_case(i, lf, step);
			check_case(i, buf_slice(&crlf), step);
		}
		check_case(i, lf, lf.n + 1);
		check_case(i, buf_slice(&crlf), crlf.n + 1);
		buf_clear(&crlf);
	}
}

/* --- what the fields say --- */

static void
fields_of_a_part_are_kept(void **state)
{
	static const char message[] =
	    "Subject: =?utf-8?q?x?=\r\nTo: a@b\r\nTo: c@d,\r\n e@f\r\n"
	    "Date: Fri, 20 Nov 2026 22:00:00 +0000\r\nSubject: second\r\n"
	    "Content-Type: TEXT/X-Foo (c); Name=\"a b\"\r\n"
	    "Content-Transfer-Encoding: Base64 (comment)\r\n"
	    "Content-ID: <id@x>\r\nContent-Description: what\r\n it is\r\n"
	    "Content-Disposition: ATTACHMENT; filename=f\r\n"
	    "Content-Language: en, de\r\nContent-Location: http://x/\r\n"
	    "Content-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==\r\n\r\nx";
	struct arena a = { 0 };
	struct mime_part *p;

	(void)state;
	assert_int_equal(mime_parse(&a, slice_str(message), &p), 0);
	assert_true(mime_part_is(p, "text", "x-foo"));
	assert_true(p->type_given);
	assert_true(slice_eq_str(param_raw(&p->params, "name"), "a b"));
	assert_int_equal(p->encoding, TRANSFER_BASE64);
	assert_true(slice_eq_str(p->encoding_name, "base64"));
	assert_true(slice_eq_str(p->id, "<id@x>"));
	assert_true(slice_eq_str(p->description, "what it is"));
	assert_true(slice_eq_str(p->disposition, "attachment"));
	assert_true(
	    slice_eq_str(param_raw(&p->disposition_params, "filename"), "f"));
	assert_true(slice_eq_str(p->language, "en, de"));
	assert_true(slice_eq_str(p->location, "http://x/"));
	assert_true(slice_eq_str(p->md5, "Q2hlY2sgSW50ZWdyaXR5IQ=="));
	assert_true(slice_eq_str(p->envelope->subject, "=?utf-8?q?x?="));
	assert_true(slice_eq_str(p->envelope->to, "a@b, c@d, e@f"));
	assert_null(p->envelope->cc.p);
	assert_null(p->envelope->message_id.p);
	arena_reset(&a);
}

/* RFC 3501 6.4.5. */
static const char sections[] =
    "Content-Type: multipart/mixed; boundary=a\n\n"
    "--a\nContent-Type: text/plain\n\n1\n"
    "--a\nContent-Type: application/octet-stream\n\n2\n"
    "--a\nContent-Type: message/rfc822\n\n"
    "Subject: 3\nContent-Type: multipart/mixed; boundary=b\n\n"
    "--b\n\n3.1\n--b\nContent-Type: application/octet-stream\n\n3.2\n--b--\n"
    "--a\nContent-Type: multipart/mixed; boundary=c\n\n"
    "--c\nContent-Type: image/gif\n\n4.1\n"
    "--c\nContent-Type: message/rfc822\n\n"
    "Subject: 4.2\nContent-Type: multipart/mixed; boundary=d\n\n"
    "--d\n\n4.2.1\n"
    "--d\nContent-Type: multipart/alternative; boundary=e\n\n"
    "--e\n\n4.2.2.1\n--e\nContent-Type: text/richtext\n\n4.2.2.2\n--e--\n"
    "--d--\n--c--\n--a\nContent-Type: message/rfc822\n\n"
    "Subject: 5\n\n5.1\n--a--\n";

static const struct {
	uint32_t path[5];
	size_t n;
	const char *type;    /* NULL: no such part */
	const char *body;    /* of a leaf */
	const char *subject; /* of the message that HEADER means */
} paths[] = {
	{ { 0 }, 0, "multipart", NULL, "" },
	{ { 1 }, 1, "text", "1", NULL },
	{ { 2 }, 1, "application", "2", NULL },
	{ { 3 }, 1, "message", NULL, "3" },
	{ { 3, 1 }, 2, "text", "3.1", NULL },
	{ { 3, 2 }, 2, "application", "3.2", NULL },
	{ { 3, 3 }, 2, NULL, NULL, NULL },
	{ { 4 }, 1, "multipart", NULL, NULL },
	{ { 4, 1 }, 2, "image", "4.1", NULL },
	{ { 4, 2 }, 2, "message", NULL, "4.2" },
	{ { 4, 2, 1 }, 3, "text", "4.2.1", NULL },
	{ { 4, 2, 2 }, 3, "multipart", NULL, NULL },
	{ { 4, 2, 2, 1 }, 4, "text", "4.2.2.1", NULL },
	{ { 4, 2, 2, 2 }, 4, "text", "4.2.2.2", NULL },
	{ { 4, 2, 2, 2, 1 }, 5, NULL, NULL, NULL },
	{ { 5 }, 1, "message", NULL, "5" },
	{ { 5, 1 }, 2, "text", "5.1", NULL },
	{ { 5, 2 }, 2, NULL, NULL, NULL },
	{ { 5, 1, 1 }, 3, NULL, NULL, NULL },
	{ { 1, 1 }, 2, NULL, NULL, NULL },
	{ { 0 }, 1, NULL, NULL, NULL },
	{ { 6 }, 1, NULL, NULL, NULL },
};

static void
check_path(struct slice message, const struct mime_part *root, size_t i)
{
	const struct mime_part *p, *m;

	p = mime_part_find(root, paths[i].path, paths[i].n);
	assert_int_equal(p == NULL, paths[i].type == NULL);
	if (p == NULL)
		return;
	assert_true(slice_eq_str(p->type, paths[i].type));
	if (paths[i].body != NULL)
		assert_true(slice_eq_str(
		    range(message, p->body_at, p->body_size), paths[i].body));
	m = mime_part_message(p, paths[i].n);
	assert_int_equal(m == NULL, paths[i].subject == NULL);
	if (m != NULL)
		assert_true(slice_eq_str(
		    slice_trim(m->envelope->subject), paths[i].subject));
}

static void
sections_name_parts(void **state)
{
	struct slice m = slice_str(sections);
	struct arena a = { 0 };
	struct mime_part *root;

	(void)state;
	assert_int_equal(mime_parse(&a, m, &root), 0);
	for (size_t i = 0; i < N(paths); i++)
		check_path(m, root, i);
	/* a message that is no multipart has one part: itself */
	assert_int_equal(
	    mime_parse(&a, SLICE_LIT("Subject: x\n\nbody"), &root), 0);
	assert_ptr_equal(mime_part_find(root, (uint32_t[]){ 1 }, 1), root);
	assert_null(mime_part_find(root, (uint32_t[]){ 2 }, 1));
	assert_null(mime_part_find(root, (uint32_t[]){ 1, 1 }, 2));
	assert_null(mime_part_message(root, 1));
	/* as its one part a message/rfc822 has parts again */
	assert_int_equal(mime_parse(&a,
			     SLICE_LIT("Content-Type: message/rfc822\n\n"
				       "Subject: in\n\nbody"),
			     &root),
	    0);
	assert_ptr_equal(mime_part_find(root, (uint32_t[]){ 1 }, 1), root);
	assert_ptr_equal(
	    mime_part_find(root, (uint32_t[]){ 1, 1 }, 2), root->children);
	assert_ptr_equal(mime_part_message(root, 1), root->children);
	arena_reset(&a);
}

/* --- limits --- */

static void
depth_is_limited(void **state)
{
	struct arena a = { 0 };
	struct buf b = BUF_INIT;
	struct mime_part *root;
	const struct mime_part *p;
	size_t depth = 0;

	(void)state;
	for (int i = 0; i < 100; i++)
		buf_printf(&b,
		    "Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n", i,
		    i);
	assert_int_equal(mime_parse(&a, buf_slice(&b), &root), 0);
	for (p = root; p->children != NULL; p = p->children)
		depth++;
	assert_int_equal(depth, MIME_DEPTH_MAX - 1);
	assert_int_equal(p->kind, MIME_LEAF);
	assert_int_equal(p->body_at + p->body_size, b.n);
	buf_reset(&b);
	arena_reset(&a);

	for (int i = 0; i < 100; i++)
		buf_put_str(&b, "Content-Type: message/rfc822\n\n");
	assert_int_equal(mime_parse(&a, buf_slice(&b), &root), 0);
	for (depth = 0, p = root; p->children != NULL; p = p->children)
		depth++;
	assert_int_equal(depth, MIME_DEPTH_MAX - 1);
	buf_clear(&b);
	arena_reset(&a);
}

static void
parts_are_limited(void **state)
{
	struct arena a = { 0 };
	struct buf b = BUF_INIT;
	struct mime_part *root;

	(void)state;
	buf_put_str(&b, "Content-Type: multipart/mixed; boundary=b\n\n");
	for (int i = 0; i < 2 * MIME_PARTS_MAX; i++)
		buf_put_str(&b, "--b\n\nx\n");
	buf_put_str(&b, "--b--\n");
	assert_int_equal(mime_parse(&a, buf_slice(&b), &root), 0);
	assert_int_equal(root->n_children, MIME_PARTS_MAX - 1);
	assert_int_equal(root->body_at + root->body_size, b.n);
	assert_int_equal(root->last_child->body_size, 1);
	buf_clear(&b);
	arena_reset(&a);
}

static void
the_tree_is_limited(void **state)
{
	struct arena a = { .max = (size_t)8 << 20 };
	struct buf b = BUF_INIT;
	struct mime_part *root;

	(void)state;
	buf_put_str(&b, "Content-Type: multipart/digest; boundary=b\n\n");
	for (int i = 0; i < 100; i++) {
		buf_put_str(&b, "--b\n\nSubject: ");
		for (int k = 0; k < 6000; k++)
			buf_put_str(&b, "0123456789");
		for (int k = 0; k < 6000; k++)
			buf_put_str(&b, "\nTo: a@b");
		buf_put_str(&b, "\n\nx\n");
	}
	assert_int_equal(mime_parse(&a, buf_slice(&b), &root), 0);
	assert_true(root->n_children > 5 && root->n_children < 50);
	assert_true(a.used < MIME_TREE_MAX + 4 * HEADER_MAX);
	assert_int_equal(root->body_at + root->body_size, b.n);
	buf_clear(&b);
	arena_reset(&a);
}

static void
a_full_arena_is_an_error(void **state)
{
	(void)state;
	for (size_t max = 0; max < 20000; max += 500) {
		struct arena a = { .max = max + 1 };
		struct mime_part *root = NULL;
		int rc = mime_parse(&a, slice_str(sections), &root);

		assert_int_equal(rc, root == NULL ? -ENOMEM : 0);
		arena_reset(&a);
	}
}

static void
a_huge_part_header_ends(void **state)
{
	struct arena a = { 0 };
	struct buf b = BUF_INIT;
	struct mime_part *root;

	(void)state;
	buf_put_str(&b, "Content-Type: multipart/mixed; boundary=b\n\n--b\n");
	while (b.n < HEADER_MAX + 100000)
		buf_put_str(&b, "X-Filler: 0123456789 0123456789\n");
	buf_put_str(&b, "\n--b\n\nsecond\n--b--\n");
	assert_int_equal(mime_parse(&a, buf_slice(&b), &root), 0);
	assert_int_equal(root->n_children, 2);
	assert_true(root->children->header_size <= HEADER_MAX);
	assert_true(root->children->body_size > 90000);
	assert_int_equal(root->last_child->body_size, 6);
	buf_clear(&b);
	arena_reset(&a);
}

/* --- text kept --- */

static const struct {
	const char *message, *text;
	size_t keep;
} kepts[] = {
	{ "Subject: x\n\nhello world\n", "hello world\n", 100 },
	{ "Subject: x\n\nhello world\n", "hello", 5 },
	{ "Content-Type: multipart/alternative; boundary=b\n\n--b\n"
	  "Content-Type: text/html\n\n<b>html</b>\n--b\n\nplain\n-x\n--y\n"
	  "--b--\n",
	    "plain\n-x\n--y", 100 },
	{ "Content-Type: multipart/alternative; boundary=b\n\n--b\n\n\n--b\n"
	  "Content-Type: text/html\n\n<b>html</b>\n--b--\n",
	    "<b>html</b>", 100 },
	{ "Content-Type: multipart/mixed; boundary=b\n\n--b\n"
	  "Content-Disposition: attachment\n\nattached\n--b\n\nshown\n--b--\n",
	    "shown", 100 },
	{ "Content-Type: image/png\n\nxxxx", "", 100 },
};

static void
text_is_kept_for_a_preview(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(kepts); i++) {
		for (size_t step = 1; step < 100; step *= 3) {
			struct slice rest = slice_str(kepts[i].message), text;
			struct arena a = { 0 };
			struct mime_parser *p;
			struct mime_part *root;

			mime_parser_new(&p, &a, kepts[i].keep);
			for (; rest.n > 0; rest = slice_from(rest, step))
				mime_parser_feed(p, slice_head(rest, step));
			mime_parser_end(p, &root);
			text = mime_parser_text(p, text_part_find(root));
			assert_string_equal(
			    arena_strdup(&a, text), kepts[i].text);
			mime_parser_free(&p);
			arena_reset(&a);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_have_their_structure),
		cmocka_unit_test(fields_of_a_part_are_kept),
		cmocka_unit_test(sections_name_parts),
		cmocka_unit_test(depth_is_limited),
		cmocka_unit_test(parts_are_limited),
		cmocka_unit_test(the_tree_is_limited),
		cmocka_unit_test(a_full_arena_is_an_error),
		cmocka_unit_test(a_huge_part_header_ends),
		cmocka_unit_test(text_is_kept_for_a_preview),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
