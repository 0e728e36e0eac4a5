/* SPDX-License-Identifier: ISC */
/*
 * The parser of a message's structure, line by line. Open parts stand on a
 * stack, from the root to the part that is read now (`top`). That one is in
 * its header, whose lines are collected, or in its body, where only lines that
 * begin with "--" are looked at, and only while a multipart is open.
 *
 * `offset` and `lines` count what has been decided: a line of a header that is
 * not complete (in `header`), and the start of a line that may become a
 * delimiter (in `probe`), come after them. Offsets and line counts of a part's
 * end are known when a delimiter line, or the end of the message, closes it.
 */
#include "common/mail/mime.h"

#include <errno.h>
#include <stdlib.h>

#include "common/mail/header.h"
#include "common/mail/lex.h"
#include "common/mail/mime_fields.h"

/* RFC 2046 5.1.1 allows 70. */
#define BOUNDARY_MAX 200
/* Of a delimiter line with its line end: "--", boundary, "--", white space. */
#define DELIMITER_MAX 512

struct open_part {
	struct mime_part *part;
	struct slice boundary; /* empty: no multipart, or closed */
	uint64_t lines_at;     /* `lines` where its header or body began */
};

/* What is kept of a text for a preview. */
struct kept {
	struct mime_part *part;
	struct buf octets;
};

struct mime_parser {
	struct arena *a;
	int rc; /* sticky */
	struct mime_part *root;
	struct open_part stack[MIME_DEPTH_MAX];
	size_t depth;     /* of the stack; stack[depth - 1] is the top */
	size_t n_bounded; /* how many have a boundary */
	uint32_t n_parts;
	size_t tree_from; /* a->used at the start */

	bool in_header; /* of the top */
	uint64_t offset, lines;
	unsigned line_end; /* octets of the line end before `offset`: 0 .. 2;
			      counts only at the start of a line */
	bool mid_line;     /* body: within a line that is no delimiter */
	bool after_cr;     /* mid-line: the last octet was CR */

	struct buf header; /* of the top: decided lines, then the next */
	size_t header_n;   /* octets of decided lines */
	bool after_field;
	struct buf spare; /* memory for the next header */
	struct buf probe;

	size_t keep_text;
	struct kept plain, html;
	struct kept *keeping; /* the text that is being kept now */
};

static struct open_part *
top(struct mime_parser *p)
{
	return &p->stack[p->depth - 1];
}

/* --- opening and closing parts --- */

static int
push_part(struct mime_parser *p, struct mime_part *parent)
{
	struct mime_part *part = arena_alloc(p->a, sizeof(*part));

	if (part == NULL)
		return -ENOMEM;
	if (parent == NULL) {
		p->root = part;
	} else {
		part->parent = parent;
		part->number = ++parent->n_children;
		if (parent->last_child != NULL)
			parent->last_child->next = part;
		else
			parent->children = part;
		parent->last_child = part;
	}
	part->index = p->n_parts++;
	part->header_at = p->offset;
	p->stack[p->depth++] =
	    (struct open_part){ .part = part, .lines_at = p->lines };
	p->in_header = true;
	p->after_field = false;
	p->header_n = 0;
	buf_reset(&p->header);
	if (parent == NULL || parent->kind == MIME_MESSAGE) {
		part->envelope = arena_alloc(p->a, sizeof(*part->envelope));
		if (part->envelope == NULL)
			return -ENOMEM;
	}
	return 0;
}

/* Whether one more part may be opened inside the top. */
static bool
may_nest(const struct mime_parser *p)
{
	return p->depth < MIME_DEPTH_MAX && p->n_parts < MIME_PARTS_MAX &&
	    p->a->used - p->tree_from < MIME_TREE_MAX;
}

static struct slice
usable_boundary(const struct mime_part *part)
{
	struct slice b = param_raw(&part->params, "boundary");

	while (b.n > 0 && lex_is_wsp(b.p[b.n - 1]))
		b.n--;
	return b.n > BOUNDARY_MAX ? SLICE_EMPTY : b;
}

static void
start_keeping(struct mime_parser *p, struct mime_part *part)
{
	struct kept *k = mime_part_is_shown(part, "plain") ? &p->plain
	    : mime_part_is_shown(part, "html")             ? &p->html
							   : NULL;

	p->keeping = NULL;
	if (k != NULL && k->part == NULL && p->keep_text > 0) {
		k->part = part;
		buf_reset(&k->octets);
		p->keeping = k;
	}
}

/*
 * The header of the top is complete, these are its octets. Opens the message
 * inside a message/rfc822.
 */
static int
end_header(struct mime_parser *p, struct slice header)
{
	struct open_part *o = top(p);
	struct mime_part *part = o->part;
	int rc;

	part->header_size = p->offset - part->header_at;
	part->header_lines = p->lines - o->lines_at;
	part->body_at = p->offset;
	o->lines_at = p->lines;
	p->in_header = false;
	p->mid_line = false;
	if ((rc = mime_fields_parse(p->a, header, part)) != 0)
		return rc;
	if (mime_part_is(part, "message", "rfc822") && may_nest(p)) {
		part->kind = MIME_MESSAGE;
		return push_part(p, part);
	}
	if (slice_eq_str(part->type, "multipart") && may_nest(p) &&
	    (o->boundary = usable_boundary(part)).n > 0) {
		part->kind = MIME_MULTIPART;
		p->n_bounded++;
	}
	start_keeping(p, part);
	return 0;
}

static void
stop_bounding(struct mime_parser *p, struct open_part *o)
{
	p->n_bounded -= o->boundary.n > 0;
	o->boundary.n = 0;
}

/* Where the top ends, when what closes it leaves `end` for its last octet: not
 * before its own beginning or the end of what is in it. */
static void
close_top(struct mime_parser *p, uint64_t end)
{
	struct open_part *o = top(p);
	struct mime_part *part = o->part, *last = part->last_child;
	uint64_t from = part->body_at;

	if (last != NULL)
		from = last->body_at + last->body_size;
	if (end < from)
		end = from;
	part->body_size = end - part->body_at;
	/* The line end that went to the delimiter is not of this body. */
	part->body_lines = p->lines - o->lines_at - (end < p->offset);
	stop_bounding(p, o);
	if (p->keeping != NULL && p->keeping->part == part) {
		buf_truncate(&p->keeping->octets, part->body_size);
		if (!mime_part_has_text(part))
			p->keeping->part = NULL;
		p->keeping = NULL;
	}
	p->depth--;
}

/* The header of the top so far. */
static struct slice
decided_header(const struct mime_parser *p)
{
	return slice_head(buf_slice(&p->header), p->header_n);
}

static int
close_down_to(struct mime_parser *p, size_t depth, uint64_t end)
{
	int rc;

	/* A header may end here, and open a message, which ends here too. */
	while (p->in_header && p->depth > depth) {
		rc = end_header(p, decided_header(p));
		if (rc != 0)
			return rc;
	}
	while (p->depth > depth)
		close_top(p, end);
	return 0;
}

/* --- delimiters --- */

static bool
is_delimiter(struct slice line, struct slice boundary, bool *closing)
{
	line = slice_from(line, 2);
	if (!slice_eq(slice_head(line, boundary.n), boundary))
		return false;
	line = slice_from(line, boundary.n);
	*closing = slice_starts(line, "--");
	return line.n == 0 || (*closing && line.n == 2);
}

/* The stack index of the multipart whose delimiter the line is, or -1. */
static ssize_t
find_delimiter(const struct mime_parser *p, struct slice line, bool *closing)
{
	if (line.n > DELIMITER_MAX || !slice_starts(line, "--"))
		return -1;
	while (ascii_is_space(line.p[line.n - 1]))
		line.n--;
	for (size_t i = p->depth; i-- > 0;)
		if (p->stack[i].boundary.n > 0 &&
		    is_delimiter(line, p->stack[i].boundary, closing))
			return (ssize_t)i;
	return -1;
}

/* Octets of the line end of a line. */
static unsigned
line_end_size(struct slice line)
{
	if (line.n == 0 || line.p[line.n - 1] != '\n')
		return 0;
	return line.n > 1 && line.p[line.n - 2] == '\r' ? 2 : 1;
}

/* Count a line of n octets. */
static void
pass_line(struct mime_parser *p, size_t n, unsigned line_end)
{
	p->offset += n;
	p->lines += line_end > 0;
	p->line_end = line_end;
}

/* A limit is met: the rest is of the parts that are open. */
static void
open_no_more(struct mime_parser *p)
{
	for (size_t i = 0; i < p->depth; i++)
		stop_bounding(p, &p->stack[i]);
}

/*
 * If the line, which begins at `offset`, is a delimiter: close what it closes,
 * pass it, open the next part. 1 when it was one, 0 when not, or -ENOMEM.
 */
static int
take_delimiter(struct mime_parser *p, struct slice line)
{
	unsigned line_end = line_end_size(line); /* not valid for long */
	bool closing;
	ssize_t at = find_delimiter(p, line, &closing);
	int rc;

	if (at < 0)
		return 0;
	rc = close_down_to(p, (size_t)at + 1, p->offset - p->line_end);
	if (rc != 0)
		return rc;
	pass_line(p, line.n, line_end);
	p->mid_line = false;
	if (closing)
		stop_bounding(p, top(p));
	else if (may_nest(p))
		rc = push_part(p, top(p)->part);
	else
		open_no_more(p);
	return rc != 0 ? rc : 1;
}

/* --- bodies --- */

static void
keep(struct mime_parser *p, const char *s, size_t n)
{
	struct buf *b = &p->keeping->octets;
	size_t room = p->keep_text - b->n;

	buf_put(b, s, n < room ? n : room);
}

/* Octets of the body that lead up to `n` more of the message. */
static void
pass_body(struct mime_parser *p, const char *s, size_t n)
{
	p->offset += n;
	if (p->keeping != NULL)
		keep(p, s, n);
}

/* Without an open multipart nothing can happen until the end. */
static void
pass_all(struct mime_parser *p, struct slice s)
{
	const char *at = s.p, *end = s.p + s.n;

	while ((at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
		p->lines++;
		at++;
	}
	pass_body(p, s.p, s.n);
}

/* The rest of a line that is no delimiter; returns its octets in s. */
static size_t
pass_mid_line(struct mime_parser *p, struct slice s)
{
	const char *lf = memchr(s.p, '\n', s.n);
	size_t n = lf == NULL ? s.n : (size_t)(lf - s.p) + 1;

	if (lf == NULL) {
		p->after_cr = s.p[n - 1] == '\r';
	} else {
		bool cr = n > 1 ? s.p[n - 2] == '\r' : p->after_cr;

		p->lines++;
		p->line_end = cr ? 2 : 1;
		p->mid_line = false;
	}
	pass_body(p, s.p, n);
	return n;
}

/* A line that could have been a delimiter is none. */
static void
pass_probe(struct mime_parser *p, struct slice s)
{
	p->mid_line = true;
	p->after_cr = false;
	pass_mid_line(p, s);
}

/*
 * The start of a line that begins with "-". A delimiter is looked for when the
 * line is complete, in place if it is so in `s`, else in `probe`. Returns the
 * octets of s that are dealt with, or -ENOMEM.
 */
static ssize_t
take_dashes(struct mime_parser *p, struct slice s)
{
	size_t held = p->probe.n;
	struct slice part = slice_head(s, DELIMITER_MAX - held), line = part;
	const char *lf = memchr(part.p, '\n', part.n);
	int rc;

	if (lf != NULL)
		line = part = slice_head(part, (size_t)(lf - part.p) + 1);
	if (lf == NULL || held > 0) {
		if (!buf_put_slice(&p->probe, part))
			return -ENOMEM;
		line = buf_slice(&p->probe);
	}
	if (lf == NULL && line.n < DELIMITER_MAX &&
	    (line.n < 2 || line.p[1] == '-'))
		return (ssize_t)part.n;
	rc = lf == NULL ? 0 : take_delimiter(p, line);
	if (rc < 0)
		return rc;
	if (rc == 0)
		pass_probe(p, line);
	buf_reset(&p->probe);
	return (ssize_t)part.n;
}

/* As much of s as is body; the state changes when a part begins. */
static ssize_t
feed_body(struct mime_parser *p, struct slice s)
{
	size_t at = 0;

	if (p->n_bounded == 0) {
		pass_all(p, s);
		return (ssize_t)s.n;
	}
	while (at < s.n && !p->in_header) {
		struct slice rest = slice_from(s, at);

		if (p->probe.n > 0 || (!p->mid_line && *rest.p == '-')) {
			ssize_t n = take_dashes(p, rest);

			if (n < 0)
				return n;
			at += (size_t)n;
		} else {
			p->after_cr = p->mid_line && p->after_cr;
			p->mid_line = true;
			at += pass_mid_line(p, rest);
		}
	}
	return (ssize_t)at;
}

/* --- headers --- */

static int feed(struct mime_parser *p, struct slice s);

/*
 * The header of the top ends before the line (or the start of one) that stands
 * in `header` after its decided octets: that is of the body. It is fed from
 * memory of its own, for the body may be a message, with a header again. That
 * one cannot do the same with more than an empty header: so this nests twice
 * at most.
 */
static int
end_header_before_line(struct mime_parser *p)
{
	struct buf held = p->header;
	struct slice header = decided_header(p);
	int rc;

	p->header = p->spare;
	p->spare = BUF_INIT;
	rc = end_header(p, header);
	if (rc == 0)
		rc = feed(p, slice_from(buf_slice(&held), header.n));
	buf_clear(&p->spare);
	p->spare = held;
	return rc;
}

/* One line of the header, which stands at the end of `header`. */
static int
take_header_line(struct mime_parser *p)
{
	struct slice line = slice_from(buf_slice(&p->header), p->header_n);
	enum header_line kind;
	int rc = take_delimiter(p, line);

	if (rc != 0)
		return rc < 0 ? rc : 0;
	kind = header_line_kind(line, p->after_field);
	if (kind == HEADER_LINE_BODY)
		return end_header_before_line(p);
	pass_line(p, line.n, line_end_size(line));
	p->header_n = p->header.n;
	p->after_field = kind != HEADER_LINE_MBOX;
	if (kind == HEADER_LINE_BLANK)
		return end_header(p, decided_header(p));
	return 0;
}

/* As feed_body. */
static ssize_t
feed_header(struct mime_parser *p, struct slice s)
{
	const char *lf = memchr(s.p, '\n', s.n);
	size_t n = lf == NULL ? s.n : (size_t)(lf - s.p) + 1;
	size_t room = HEADER_MAX + 1 - p->header.n;
	int rc = 0;

	if (n > room)
		n = room;
	if (!buf_put(&p->header, s.p, n))
		return -ENOMEM;
	if (p->header.n > HEADER_MAX)
		rc = end_header_before_line(p);
	else if (lf != NULL)
		rc = take_header_line(p);
	return rc != 0 ? rc : (ssize_t)n;
}

/* --- the parser --- */

static int
feed(struct mime_parser *p, struct slice s)
{
	while (s.n > 0) {
		ssize_t n = p->in_header ? feed_header(p, s) : feed_body(p, s);

		if (n < 0)
			return (int)n;
		s = slice_from(s, (size_t)n);
	}
	return 0;
}

/* What is held is complete now. */
static int
finish(struct mime_parser *p)
{
	int rc = 0;

	while (rc == 0 && (p->in_header || p->probe.n > 0)) {
		if (!p->in_header) {
			struct slice line = buf_slice(&p->probe);

			rc = take_delimiter(p, line);
			if (rc == 0)
				pass_probe(p, line);
			rc = rc < 0 ? rc : 0;
			buf_reset(&p->probe);
		} else if (p->header.n > p->header_n) {
			rc = take_header_line(p);
		} else {
			rc = end_header(p, decided_header(p));
		}
	}
	return rc != 0 ? rc : close_down_to(p, 0, p->offset);
}

int
mime_parser_new(struct mime_parser **out, struct arena *a, size_t keep_text)
{
	struct mime_parser *p = calloc(1, sizeof(*p));
	int rc;

	if (p == NULL)
		return -ENOMEM;
	p->a = a;
	p->tree_from = a->used;
	p->keep_text = keep_text;
	if ((rc = push_part(p, NULL)) != 0) {
		mime_parser_free(&p);
		return rc;
	}
	*out = p;
	return 0;
}

int
mime_parser_feed(struct mime_parser *p, struct slice chunk)
{
	if (p->rc == 0)
		p->rc = feed(p, chunk);
	return p->rc;
}

int
mime_parser_end(struct mime_parser *p, struct mime_part **root)
{
	if (p->rc == 0 && p->depth > 0)
		p->rc = finish(p);
	if (p->rc == 0)
		*root = p->root;
	return p->rc;
}

struct slice
mime_parser_text(const struct mime_parser *p, const struct mime_part *part)
{
	if (part != NULL && p->plain.part == part)
		return buf_slice(&p->plain.octets);
	if (part != NULL && p->html.part == part)
		return buf_slice(&p->html.octets);
	return SLICE_EMPTY;
}

void
mime_parser_free(struct mime_parser **pp)
{
	struct mime_parser *p = *pp;

	if (p == NULL)
		return;
	buf_clear(&p->header);
	buf_clear(&p->spare);
	buf_clear(&p->probe);
	buf_clear(&p->plain.octets);
	buf_clear(&p->html.octets);
	free(p);
	*pp = NULL;
}

int
mime_parse(struct arena *a, struct slice message, struct mime_part **root)
{
	struct mime_parser *p = NULL;
	int rc = mime_parser_new(&p, a, 0);

	if (rc != 0)
		return rc;
	mime_parser_feed(p, message);
	rc = mime_parser_end(p, root);
	mime_parser_free(&p);
	return rc;
}
