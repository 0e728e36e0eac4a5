/* SPDX-License-Identifier: ISC */
/*
 * The MIME tree of any message: the same in chunks as in one piece, its parts
 * inside one another and one after another, found again by their numbers; the
 * IMAP texts made from it well-formed; its text UTF-8.
 */
#include <stdint.h>
#include <stdlib.h>

#include "common/mail/charset.h"
#include "common/mail/envelope.h"
#include "common/mail/header.h"
#include "common/mail/mime.h"
#include "common/mail/text.h"

#define KEEP 64

static void
check(bool ok)
{
	if (!ok)
		abort();
}

static bool
same(struct slice a, struct slice b)
{
	return (a.p == NULL) == (b.p == NULL) && slice_eq(a, b);
}

static void
check_same_params(struct params a, struct params b)
{
	check(a.n == b.n);
	for (size_t i = 0; i < a.n; i++)
		check(same(a.v[i].name, b.v[i].name) &&
		    same(a.v[i].value, b.v[i].value));
}

static void
check_same_envelope(
    const struct mime_envelope *a, const struct mime_envelope *b)
{
	check((a == NULL) == (b == NULL));
	if (a == NULL)
		return;
	check(same(a->date, b->date) && same(a->subject, b->subject));
	check(same(a->from, b->from) && same(a->sender, b->sender));
	check(same(a->reply_to, b->reply_to) && same(a->to, b->to));
	check(same(a->cc, b->cc) && same(a->bcc, b->bcc));
	check(same(a->in_reply_to, b->in_reply_to));
	check(same(a->message_id, b->message_id));
	check(same(a->references, b->references));
}

static void
check_same_part(const struct mime_part *a, const struct mime_part *b)
{
	check(a->kind == b->kind && a->encoding == b->encoding);
	check(same(a->type, b->type) && same(a->subtype, b->subtype));
	check_same_params(a->params, b->params);
	check(same(a->encoding_name, b->encoding_name));
	check(same(a->id, b->id) && same(a->md5, b->md5));
	check(same(a->description, b->description));
	check(same(a->location, b->location));
	check(same(a->language, b->language));
	check(same(a->disposition, b->disposition));
	check_same_params(a->disposition_params, b->disposition_params);
	check(a->header_at == b->header_at && a->body_at == b->body_at);
	check(a->header_size == b->header_size);
	check(a->body_size == b->body_size);
	check(a->header_lines == b->header_lines);
	check(a->body_lines == b->body_lines);
	check_same_envelope(a->envelope, b->envelope);
	check(a->number == b->number && a->n_children == b->n_children);
}

static uint64_t
count_lines(struct slice m, uint64_t at, uint64_t n)
{
	uint64_t lines = 0;

	check(at <= m.n && n <= m.n - at);
	for (uint64_t i = at; i < at + n; i++)
		lines += m.p[i] == '\n';
	return lines;
}

static void
check_place(struct slice m, const struct mime_part *p)
{
	uint64_t end = p->body_at + p->body_size;

	check(p->header_at + p->header_size == p->body_at);
	check(p->header_lines == count_lines(m, p->header_at, p->header_size));
	check(p->body_lines == count_lines(m, p->body_at, p->body_size));
	check((p->kind == MIME_LEAF) == (p->children == NULL) ||
	    p->kind == MIME_MULTIPART);
	if (p->parent == NULL) {
		check(p->header_at == 0 && end == m.n);
		check(p->header_size == header_size(m));
		return;
	}
	check(p->header_at >= p->parent->body_at);
	check(end <= p->parent->body_at + p->parent->body_size);
	if (p->parent->kind == MIME_MESSAGE)
		check(p->header_at == p->parent->body_at &&
		    end == p->parent->body_at + p->parent->body_size);
	if (p->next != NULL)
		check(p->next->header_at >= end);
}

static bool
is_message(const struct mime_part *p)
{
	return p->parent == NULL || p->parent->kind == MIME_MESSAGE;
}

/* The numbers by which IMAP names the part lead to it (RFC 3501 6.4.5). */
static void
check_path(const struct mime_part *root, const struct mime_part *part)
{
	uint32_t path[MIME_DEPTH_MAX];
	size_t n = MIME_DEPTH_MAX, at = n;

	if (is_message(part) && part->kind == MIME_MULTIPART)
		return; /* has no number of its own */
	for (const struct mime_part *p = part; p != NULL; p = p->parent)
		if (!is_message(p))
			path[--at] = p->number;
		else if (p->kind != MIME_MULTIPART)
			path[--at] = 1;
	check(mime_part_find(root, path + at, n - at) == part);
}

/* Balanced lists of strings, numbers and NIL; literals whose size is right. */
static void
check_imap(struct slice s)
{
	size_t depth = 0;

	while (s.n > 0) {
		uint64_t size = 0;
		char c = *s.p;

		s = slice_from(s, 1);
		if (c == '(') {
			depth++;
		} else if (c == ')') {
			check(depth-- > 0);
		} else if (c == '"') {
			while (*s.p != '"') {
				check((unsigned char)*s.p < 128);
				check(*s.p != '\r' && *s.p != '\n' && *s.p);
				s = slice_from(s, *s.p == '\\' ? 2 : 1);
				check(s.n > 0);
			}
			s = slice_from(s, 1);
		} else if (c == '{') {
			check(slice_u64(slice_split(&s, '}'), s.n, &size) == 0);
			check(slice_starts(s, "\r\n"));
			s = slice_from(s, 2);
			check(size <= s.n);
			check(memchr(s.p, '\0', size) == NULL);
			s = slice_from(s, size);
		} else {
			check(ascii_is_digit(c) || c == ' ' || c == 'N' ||
			    c == 'I' || c == 'L');
		}
	}
	check(depth == 0);
}

static void
check_texts(const struct mime_part *root)
{
	struct buf b = BUF_INIT;

	check(envelope_put(&b, root->envelope) == 0);
	check_imap(buf_slice(&b));
	buf_reset(&b);
	check(envelope_put_body(&b, root, false) == 0);
	check_imap(buf_slice(&b));
	buf_reset(&b);
	check(envelope_put_body(&b, root, true) == 0);
	check_imap(buf_slice(&b));
	buf_clear(&b);
}

static void
check_readable(const struct mime_part *part, struct slice raw)
{
	struct buf text = BUF_INIT_MAX(4096), preview = BUF_INIT;

	check(text_decode(part, raw, &text) == 0);
	check(utf8_is_valid(buf_slice(&text)));
	check(text_preview(buf_slice(&text), &preview));
	check(utf8_is_valid(buf_slice(&preview)));
	check(
	    utf8_prefix(buf_slice(&preview), TEXT_PREVIEW_CHARS) == preview.n);
	check(memchr(buf_str(&preview), '\n', preview.n) == NULL);
	buf_clear(&text);
	buf_clear(&preview);
}

static struct mime_part *
parse_in_steps(struct mime_parser *parser, struct slice message, size_t step)
{
	struct mime_part *root;

	for (; message.n > 0; message = slice_from(message, step))
		check(mime_parser_feed(parser, slice_head(message, step)) == 0);
	check(mime_parser_end(parser, &root) == 0);
	return root;
}

/* What the parser kept is the start of the body it belongs to. */
static void
check_kept(const struct mime_parser *parser, const struct mime_part *root,
    struct slice m)
{
	const struct mime_part *shown = text_part_find(root);
	struct slice kept = mime_parser_text(parser, shown);
	struct slice body = SLICE_EMPTY;

	if (shown != NULL)
		body =
		    slice_head(slice_from(m, shown->body_at), shown->body_size);
	check(slice_eq(kept, slice_head(body, KEEP)));
	if (shown != NULL)
		check_readable(shown, body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a = { 0 }, b = { 0 };
	struct slice m = slice(data, size);
	size_t step = size == 0 ? 1 : 1 + data[size - 1] % 16;
	struct mime_part *whole, *stepped;
	struct mime_parser *parser;
	const struct mime_part *q;
	uint32_t n = 0;

	check(mime_parse(&a, m, &whole) == 0);
	check(mime_parser_new(&parser, &b, KEEP) == 0);
	q = stepped = parse_in_steps(parser, m, step);
	for (const struct mime_part *p = whole; p; p = mime_part_next(p)) {
		check(q != NULL);
		check_same_part(p, q);
		check_place(m, p);
		check_path(whole, p);
		check(p->index == n++);
		q = mime_part_next(q);
	}
	check(q == NULL && n <= MIME_PARTS_MAX);
	check_texts(whole);
	check_kept(parser, stepped, m);
	mime_parser_free(&parser);
	arena_reset(&a);
	arena_reset(&b);
	return 0;
}
