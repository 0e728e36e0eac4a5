/* SPDX-License-Identifier: ISC */
/* The plan is a list of segments: copied, a header that is changed, or a body
 * that is encoded. */
#include "common/mail/seven_bit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/mail/header.h"
#include "common/mail/mime.h"

#define CHUNK ((size_t)16 << 10)
#define TREE_MAX ((size_t)8 << 20)
#define OUT_MAX ((size_t)1 << 20) /* a header, or a chunk encoded */
#define LINE_MAX 998              /* RFC 5322 2.1.1 */

enum segment_kind { COPY, HEADER, ENCODE };

struct segment {
	enum segment_kind kind;
	enum transfer_encoding encoding;
	const struct mime_part *part; /* of HEADER */
	uint64_t at, end;
};

struct seven_bit {
	seven_bit_source *source;
	void *arg;
	struct arena arena; /* the tree */
	struct segment *segments;
	size_t n, cap;
	/* Reading: */
	size_t current;
	uint64_t at; /* in the current segment; segment.at at its begin */
	struct transfer_encoder encoder;
	bool begun;
	struct buf out; /* not yet taken */
	size_t taken;
	char chunk[CHUNK];
};

/* --- the source --- */

/* Give [at, end) to `take` in chunks. */
static int
each_chunk(struct seven_bit *s, uint64_t at, uint64_t end,
    int (*take)(void *arg, struct slice chunk), void *arg)
{
	while (at < end) {
		size_t want = end - at < CHUNK ? (size_t)(end - at) : CHUNK;
		size_t got;
		int rc = s->source(s->arg, at, s->chunk, want, &got);

		if (rc != 0)
			return rc;
		if (got == 0)
			return end == UINT64_MAX ? 0 : -EIO;
		if ((rc = take(arg, slice(s->chunk, got))) != 0)
			return rc;
		at += got;
	}
	return 0;
}

/* --- what is in a body --- */

struct look {
	uint64_t octets, high;
	size_t line;              /* octets of it so far */
	bool long_line, not_text; /* NUL, bare CR or LF */
	bool after_cr;
};

static int
look_at(void *arg, struct slice chunk)
{
	struct look *l = arg;

	for (size_t i = 0; i < chunk.n; i++) {
		unsigned char c = (unsigned char)chunk.p[i];
		bool ends = c == '\n' && l->after_cr;

		if (c == '\0' || (c == '\n') != ends || (l->after_cr && !ends))
			l->not_text = true;
		l->high += c >= 0x80;
		l->line = ends ? 0 : l->line + 1;
		if (l->line > LINE_MAX + 1) /* with its CR */
			l->long_line = true;
		l->after_cr = c == '\r';
	}
	l->octets += chunk.n;
	return 0;
}

static bool
must_be_encoded(const struct look *l)
{
	return l->high > 0 || l->not_text || l->long_line;
}

/* What is shorter, where a person could read either; base64 for what has no
 * lines. */
static enum transfer_encoding
encoding_for(const struct mime_part *part, const struct look *l)
{
	if (!slice_eq_str(part->type, "text") || l->not_text)
		return TRANSFER_BASE64;
	return l->high > l->octets / 5 ? TRANSFER_BASE64 : TRANSFER_QP;
}

/* --- the plan --- */

static bool
segment_add(struct seven_bit *s, struct segment one)
{
	size_t cap = s->cap == 0 ? 16 : s->cap * 2;
	struct segment *v;

	if (s->n == s->cap) {
		if ((v = realloc(s->segments, cap * sizeof(*v))) == NULL)
			return false;
		s->segments = v;
		s->cap = cap;
	}
	s->segments[s->n++] = one;
	return true;
}

/* Up to the part's header as it is, then its header changed. */
static bool
header_add(struct seven_bit *s, const struct mime_part *part, uint64_t *at,
    enum transfer_encoding encoding)
{
	if (!segment_add(s,
		(struct segment){
		    .kind = COPY, .at = *at, .end = part->header_at }) ||
	    !segment_add(s,
		(struct segment){ .kind = HEADER,
		    .encoding = encoding,
		    .part = part,
		    .at = part->header_at,
		    .end = part->body_at }))
		return false;
	*at = part->body_at;
	return true;
}

static int
plan_leaf(struct seven_bit *s, const struct mime_part *part, uint64_t *at)
{
	uint64_t end = part->body_at + part->body_size;
	struct look l = { 0 };
	enum transfer_encoding encoding;
	int rc = each_chunk(s, part->body_at, end, look_at, &l);

	if (rc != 0 || !must_be_encoded(&l))
		return rc;
	/* What could not be taken apart must not be encoded as a whole
	 * (RFC 2045 6.4), nor twice. */
	if (slice_eq_str(part->type, "multipart") ||
	    (slice_eq_str(part->type, "message") &&
		!slice_starts(part->subtype, "global")) ||
	    part->encoding == TRANSFER_QP ||
	    part->encoding == TRANSFER_BASE64 ||
	    part->encoding == TRANSFER_OTHER)
		return -ENOTSUP;
	encoding = encoding_for(part, &l);
	if (!header_add(s, part, at, encoding) ||
	    !segment_add(s,
		(struct segment){ .kind = ENCODE,
		    .encoding = encoding,
		    .at = part->body_at,
		    .end = end }))
		return -ENOMEM;
	*at = end;
	return 0;
}

static int
plan_part(struct seven_bit *s, const struct mime_part *part, uint64_t *at)
{
	if (part->kind == MIME_LEAF)
		return plan_leaf(s, part, at);
	/* What said that 8-bit octets are somewhere in it. */
	if (part->encoding == TRANSFER_8BIT ||
	    part->encoding == TRANSFER_BINARY)
		return header_add(s, part, at, TRANSFER_7BIT) ? 0 : -ENOMEM;
	return 0;
}

static int
feed(void *parser, struct slice chunk)
{
	return mime_parser_feed(parser, chunk);
}

static int
plan(struct seven_bit *s)
{
	struct mime_parser *parser;
	struct mime_part *root;
	uint64_t at = 0;
	int rc = mime_parser_new(&parser, &s->arena, 0);

	if (rc != 0)
		return rc;
	rc = each_chunk(s, 0, UINT64_MAX, feed, parser);
	if (rc == 0)
		rc = mime_parser_end(parser, &root);
	for (const struct mime_part *p = rc == 0 ? root : NULL;
	     p != NULL && rc == 0; p = mime_part_next(p))
		rc = plan_part(s, p, &at);
	mime_parser_free(&parser);
	if (rc == 0 &&
	    !segment_add(s,
		(struct segment){ .kind = COPY, .at = at, .end = UINT64_MAX }))
		rc = -ENOMEM;
	return rc;
}

int
seven_bit_new(struct seven_bit **out, seven_bit_source *source, void *arg)
{
	struct seven_bit *s = calloc(1, sizeof(*s));
	int rc;

	*out = NULL;
	if (s == NULL)
		return -ENOMEM;
	s->source = source;
	s->arg = arg;
	s->arena = ARENA_INIT_MAX(TREE_MAX);
	s->out = (struct buf)BUF_INIT_MAX(OUT_MAX);
	if ((rc = plan(s)) != 0)
		seven_bit_free(&s);
	else
		s->at = s->segments[0].at;
	*out = s;
	return rc;
}

void
seven_bit_free(struct seven_bit **out)
{
	struct seven_bit *s = *out;

	if (s == NULL)
		return;
	*out = NULL;
	arena_reset(&s->arena);
	buf_clear(&s->out);
	free(s->segments);
	free(s);
}

/* --- the header of a part --- */

static int
collect(void *buf, struct slice chunk)
{
	return buf_put_slice(buf, chunk) ? 0 : -ENOMEM;
}

static void
put_encoding(struct buf *out, enum transfer_encoding encoding)
{
	buf_printf(out, "Content-Transfer-Encoding: %s\r\n",
	    encoding == TRANSFER_QP           ? "quoted-printable"
		: encoding == TRANSFER_BASE64 ? "base64"
					      : "7bit");
}

/* Its fields but the encoding, then that. Text that came without any word of
 * MIME gets what makes it MIME: which charset it is nobody knows (RFC 1428 3). */
static void
put_header(struct buf *out, struct slice header, const struct segment *seg)
{
	bool top = seg->part->parent == NULL ||
	    seg->part->parent->kind == MIME_MESSAGE;
	bool has_version = false, has_type = false;
	struct slice rest = header;
	struct header_field f;

	while (header_next(&rest, &f)) {
		if (slice_eq_str_nocase(f.name, "Content-Transfer-Encoding"))
			continue;
		has_version =
		    has_version || slice_eq_str_nocase(f.name, "MIME-Version");
		has_type =
		    has_type || slice_eq_str_nocase(f.name, "Content-Type");
		buf_put_slice(out, f.raw);
		if (!slice_ends_nocase(f.raw, "\n"))
			buf_put_str(out, "\r\n");
	}
	if (top && !has_version)
		buf_put_str(out, "MIME-Version: 1.0\r\n");
	if (!has_type && seg->encoding != TRANSFER_7BIT)
		buf_put_str(
		    out, "Content-Type: text/plain; charset=unknown-8bit\r\n");
	put_encoding(out, seg->encoding);
	buf_put_str(out, "\r\n");
}

/* --- reading --- */

static int
read_header(struct seven_bit *s, const struct segment *seg)
{
	struct buf header = BUF_INIT_MAX(HEADER_MAX * 2);
	int rc = each_chunk(s, seg->at, seg->end, collect, &header);

	if (rc == 0)
		put_header(&s->out, buf_slice(&header), seg);
	buf_clear(&header);
	s->at = seg->end;
	return rc;
}

/* The next chunk of the segment to `out`; the segment may end by it. */
static int
read_chunk(struct seven_bit *s, const struct segment *seg)
{
	uint64_t left = seg->end - s->at;
	size_t got = 0;
	int rc = 0;

	if (left > 0)
		rc = s->source(s->arg, s->at, s->chunk,
		    left < CHUNK ? (size_t)left : CHUNK, &got);
	if (rc != 0)
		return rc;
	if (got == 0 && left > 0 && seg->end != UINT64_MAX)
		return -EIO;
	s->at = got == 0 ? seg->end : s->at + got;
	if (seg->kind == COPY) {
		buf_put(&s->out, s->chunk, got);
		return 0;
	}
	if (!s->begun)
		transfer_encoder_init(&s->encoder, seg->encoding);
	s->begun = true;
	transfer_encode(&s->encoder, slice(s->chunk, got), &s->out);
	if (s->at == seg->end)
		transfer_encoder_end(&s->encoder, &s->out);
	return 0;
}

/* More in `out`, unless it is the end. */
static int
fill(struct seven_bit *s)
{
	buf_reset(&s->out);
	s->taken = 0;
	while (s->out.n == 0 && s->current < s->n) {
		const struct segment *seg = &s->segments[s->current];
		int rc = 0;

		if (seg->kind == HEADER)
			rc = read_header(s, seg);
		else if (seg->at < seg->end)
			rc = read_chunk(s, seg);
		if (rc != 0)
			return rc;
		if (s->at < seg->end)
			continue;
		s->begun = false;
		if (++s->current < s->n)
			s->at = s->segments[s->current].at;
	}
	return s->out.failed ? -ENOMEM : 0;
}

ssize_t
seven_bit_read(struct seven_bit *s, void *p, size_t n)
{
	int rc;

	if (s->taken == s->out.n && (rc = fill(s)) != 0)
		return rc;
	if (n > s->out.n - s->taken)
		n = s->out.n - s->taken;
	memcpy(p, s->out.p + s->taken, n);
	s->taken += n;
	return (ssize_t)n;
}
