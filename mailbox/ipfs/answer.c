/* SPDX-License-Identifier: ISC */
#include "mailbox/ipfs/answer.h"

#include <errno.h>

enum {
	IN_STATUS,
	IN_FIELDS,
	IN_BODY, /* of `left` octets */
	IN_REST, /* to the end of the connection */
	IN_CHUNK_SIZE,
	IN_CHUNK,
	IN_CHUNK_END, /* the line ending behind its octets */
	IN_TRAILER,
	DONE,
};

void
answer_init(struct answer *a, size_t body_max)
{
	*a = (struct answer){ .body = BUF_INIT_MAX(body_max),
		.line = BUF_INIT_MAX(ANSWER_LINE_MAX) };
}

void
answer_clear(struct answer *a)
{
	buf_clear(&a->body);
	buf_clear(&a->line);
}

/* "HTTP/1.1 200 OK" (RFC 9112 4). */
static int
take_status(struct answer *a, struct slice line)
{
	uint64_t code;

	if (!slice_starts(line, "HTTP/1.") || line.n < 12 ||
	    !ascii_is_digit(line.p[7]) || line.p[8] != ' ' ||
	    (line.n > 12 && line.p[12] != ' ') ||
	    slice_u64(slice(line.p + 9, 3), 599, &code) != 0 || code < 100)
		return -EPROTO;
	a->status = (int)code;
	a->state = IN_FIELDS;
	return 0;
}

/* After the empty line (RFC 9112 6.3). */
static int
take_head_end(struct answer *a)
{
	if (a->status < 200) {
		/* An interim one: the answer follows (RFC 9110 15.2). */
		if (a->has_length || a->chunked || a->status == 101)
			return -EPROTO;
		a->state = IN_STATUS;
		return 0;
	}
	if (a->has_length && a->chunked)
		return -EPROTO;
	if (a->status == 204 || a->status == 304 ||
	    (a->has_length && a->left == 0))
		a->state = DONE;
	else
		a->state = a->chunked ? IN_CHUNK_SIZE
		    : a->has_length   ? IN_BODY
				      : IN_REST;
	return 0;
}

static int
take_field(struct answer *a, struct slice line)
{
	struct slice name, value = line;
	uint64_t n;

	if (line.n == 0)
		return take_head_end(a);
	if (slice_find(line, ':') <= 0)
		return -EPROTO;
	name = slice_split(&value, ':');
	value = slice_trim(value);
	if (slice_eq_str_nocase(name, "content-length")) {
		if (slice_u64(value, UINT64_MAX >> 1, &n) != 0 ||
		    (a->has_length && n != a->left))
			return -EPROTO;
		a->has_length = true;
		a->left = n;
	} else if (slice_eq_str_nocase(name, "transfer-encoding")) {
		if (a->chunked || !slice_eq_str_nocase(value, "chunked"))
			return -EPROTO;
		a->chunked = true;
	}
	return 0;
}

static int
hex_digit_of(char c)
{
	c = ascii_lower(c);
	return ascii_is_digit(c)   ? c - '0'
	    : c >= 'a' && c <= 'f' ? c - 'a' + 10
				   : -1;
}

/* RFC 9112 7.1; extensions are passed over. */
static int
take_chunk_size(struct answer *a, struct slice line)
{
	struct slice rest = line, size = slice_trim(slice_split(&rest, ';'));
	uint64_t n = 0;

	if (size.n == 0 || size.n > 8)
		return -EPROTO;
	for (size_t i = 0; i < size.n; i++) {
		if (hex_digit_of(size.p[i]) < 0)
			return -EPROTO;
		n = n << 4 | (uint64_t)hex_digit_of(size.p[i]);
	}
	a->left = n;
	a->state = n > 0 ? IN_CHUNK : IN_TRAILER;
	return 0;
}

static int
take_line(struct answer *a, struct slice line)
{
	if (++a->lines > ANSWER_LINES_MAX && a->state != IN_CHUNK_SIZE &&
	    a->state != IN_CHUNK_END)
		return -EPROTO;
	switch (a->state) {
	case IN_STATUS:
		return take_status(a, line);
	case IN_FIELDS:
		return take_field(a, line);
	case IN_CHUNK_SIZE:
		return take_chunk_size(a, line);
	case IN_CHUNK_END:
		a->state = IN_CHUNK_SIZE;
		return line.n == 0 ? 0 : -EPROTO;
	default: /* IN_TRAILER */
		if (line.n == 0)
			a->state = DONE;
		return 0;
	}
}

/* Up to the end of a line, or of the octets. */
static int
feed_line(struct answer *a, struct slice *octets)
{
	ssize_t end = slice_find(*octets, '\n');
	struct slice part =
	    slice_head(*octets, end < 0 ? octets->n : (size_t)end);
	int rc = 0;

	if (!buf_put_slice(&a->line, part))
		return -EPROTO;
	*octets = slice_from(*octets, part.n + (end < 0 ? 0 : 1));
	if (end < 0)
		return 0;
	if (a->line.n > 0 && a->line.p[a->line.n - 1] == '\r')
		buf_truncate(&a->line, a->line.n - 1);
	rc = take_line(a, buf_slice(&a->line));
	buf_reset(&a->line);
	return rc;
}

static int
feed_body(struct answer *a, struct slice *octets)
{
	struct slice part = *octets;

	if (a->state != IN_REST && part.n > a->left)
		part.n = (size_t)a->left;
	if (!buf_put_slice(&a->body, part))
		return -E2BIG;
	*octets = slice_from(*octets, part.n);
	if (a->state == IN_REST)
		return 0;
	a->left -= part.n;
	if (a->left == 0)
		a->state = a->state == IN_CHUNK ? IN_CHUNK_END : DONE;
	return 0;
}

int
answer_feed(struct answer *a, struct slice octets)
{
	int rc = 0;

	while (octets.n > 0 && a->state != DONE && rc == 0)
		rc = a->state == IN_BODY || a->state == IN_REST ||
			a->state == IN_CHUNK
		    ? feed_body(a, &octets)
		    : feed_line(a, &octets);
	return rc != 0 ? rc : a->state == DONE;
}

int
answer_end(struct answer *a)
{
	if (a->state == IN_REST)
		a->state = DONE;
	return a->state == DONE ? 1 : -EPROTO;
}
