/* SPDX-License-Identifier: ISC */
#include "common/net/http_server.h"

#include <errno.h>
#include <stdio.h>

#include "common/base/clock.h"
#include "common/net/service.h"

#define HEAD_MS (10 * 1000)
#define IDLE_MS (60 * 1000)
#define WAIT_MS (60 * 1000) /* a peer that does not send or read */
#define REQUESTS 1000
#define MEMORY ((size_t)1 << 20)
#define FIELDS_MAX ((size_t)16 << 10)
#define BODY_RATE 4096 /* octets a second that an upload must come to */
#define BODY_MS (60 * 1000)
#define DRAIN_MAX ((uint64_t)64 << 10)
#define LINGER_MS 10000
#define LINGER_MAX ((size_t)32 << 20) /* some clients send all, then read */
#define CHUNK_LINE_MAX ((size_t)256)
#define TRAILERS_MAX 32

static const struct {
	int status;
	const char *reason;
} reasons[] = {
	{ 200, "OK" },
	{ 201, "Created" },
	{ 202, "Accepted" },
	{ 204, "No Content" },
	{ 206, "Partial Content" },
	{ 304, "Not Modified" },
	{ 308, "Permanent Redirect" },
	{ 400, "Bad Request" },
	{ 401, "Unauthorized" },
	{ 403, "Forbidden" },
	{ 404, "Not Found" },
	{ 405, "Method Not Allowed" },
	{ 408, "Request Timeout" },
	{ 409, "Conflict" },
	{ 412, "Precondition Failed" },
	{ 413, "Content Too Large" },
	{ 415, "Unsupported Media Type" },
	{ 416, "Range Not Satisfiable" },
	{ 417, "Expectation Failed" },
	{ 422, "Unprocessable Content" },
	{ 429, "Too Many Requests" },
	{ 431, "Request Header Fields Too Large" },
	{ 500, "Internal Server Error" },
	{ 501, "Not Implemented" },
	{ 502, "Bad Gateway" },
	{ 503, "Service Unavailable" },
	{ 504, "Gateway Timeout" },
	{ 505, "HTTP Version Not Supported" },
	{ 507, "Insufficient Storage" },
};

const char *
http_reason(int status)
{
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "Other";
}

/* --- the head --- */

static int
read_line(struct http_exchange *x, struct slice *line)
{
	size_t max = x->server->line_max;
	int rc =
	    conn_read_line(x->c, max > 0 ? max : HTTP_LINE_MAX, line, NULL);

	return rc == -EMSGSIZE ? 431 : rc == -ETIMEDOUT ? 408 : rc;
}

/* 0; the status to answer with; or a negative errno, and then nobody is there
 * to answer. */
static int
read_head(struct http_exchange *x)
{
	struct slice line;
	size_t total = 0;
	int rc = read_line(x, &line);

	/* RFC 9112 2.2: an empty line before it is not to be minded. */
	if (rc == 0 && line.n == 0)
		rc = read_line(x, &line);
	if (rc == 0)
		rc = http_head_line(&x->head, &x->a, line);
	while (rc == 0) {
		if ((rc = read_line(x, &line)) != 0)
			return rc;
		if (line.n == 0)
			return http_head_end(&x->head);
		if ((total += line.n) > HTTP_HEAD_MAX)
			return 431;
		rc = http_head_field(&x->head, line);
	}
	return rc;
}

/* --- the body --- */

static int
body_begin(struct http_exchange *x)
{
	uint64_t ms = x->head.length / BODY_RATE * 1000 + BODY_MS;
	int rc = 0;

	x->body_begun = true;
	x->body_left = x->head.length;
	x->body_done = !http_head_has_body(&x->head);
	/* Where the length is not told, each wait has its own limit. */
	conn_set_timeout(x->c, WAIT_MS);
	conn_set_deadline(x->c,
	    x->head.chunked ? -1 : clock_mono_ms() + (int64_t)ms);
	if (x->head.expect_continue && !x->body_done &&
	    (rc = conn_puts(x->c, "HTTP/1.1 100 Continue\r\n\r\n")) == 0)
		rc = conn_flush(x->c);
	return rc;
}

static int
read_chunk_line(struct http_exchange *x, struct slice *line)
{
	bool bare_lf;
	int rc = conn_read_line(x->c, CHUNK_LINE_MAX, line, &bare_lf);

	return rc == -EMSGSIZE || (rc == 0 && bare_lf) ? -EBADMSG : rc;
}

/* RFC 9112 7.1: chunk-size [ chunk-ext ] CRLF */
static int
parse_chunk_size(struct slice line, uint64_t *out)
{
	struct slice digits = slice_trim(slice_split(&line, ';'));
	uint64_t n = 0;

	if (digits.n == 0 || digits.n > 15)
		return -EBADMSG;
	for (size_t i = 0; i < digits.n; i++) {
		char c = ascii_lower(digits.p[i]);
		int digit = ascii_is_digit(c) ? c - '0'
		    : c >= 'a' && c <= 'f'    ? c - 'a' + 10
					      : -1;

		if (digit < 0)
			return -EBADMSG;
		n = n << 4 | (uint64_t)digit;
	}
	*out = n;
	return 0;
}

static int
read_trailers(struct http_exchange *x)
{
	struct slice line;
	int rc;

	for (int i = 0; i < TRAILERS_MAX; i++) {
		rc = conn_read_line(x->c, HTTP_LINE_MAX, &line, NULL);
		if (rc != 0)
			return rc == -EMSGSIZE ? -EBADMSG : rc;
		if (line.n == 0)
			return 0;
	}
	return -EBADMSG;
}

static int
next_chunk(struct http_exchange *x)
{
	struct slice line;
	int rc = 0;

	/* The line end behind the one before. */
	if (x->body_got > 0 && (rc = read_chunk_line(x, &line)) == 0 &&
	    line.n > 0)
		rc = -EBADMSG;
	if (rc != 0 || (rc = read_chunk_line(x, &line)) != 0 ||
	    (rc = parse_chunk_size(line, &x->body_left)) != 0)
		return rc;
	if (x->body_left > 0)
		return 0;
	x->body_done = true;
	return read_trailers(x);
}

static int
body_read(struct http_exchange *x, uint64_t max, struct slice *piece)
{
	int rc = 0;

	*piece = SLICE_EMPTY;
	if (!x->body_begun) {
		if (x->head.has_length && x->head.length > max)
			return -EMSGSIZE;
		rc = body_begin(x);
	}
	if (rc == 0 && !x->body_done && x->body_left == 0 && x->head.chunked)
		rc = next_chunk(x);
	if (rc != 0 || x->body_done)
		return rc;
	if (x->body_left > max || x->body_got > max - x->body_left)
		return -EMSGSIZE;
	if ((rc = conn_peek(x->c, piece)) != 0)
		return rc;
	if (piece->n > x->body_left)
		piece->n = (size_t)x->body_left;
	conn_consume(x->c, piece->n);
	x->body_got += piece->n;
	x->body_left -= piece->n;
	if (x->body_left == 0 && !x->head.chunked)
		x->body_done = true;
	return 0;
}

int
http_body_read(struct http_exchange *x, uint64_t max, struct slice *piece)
{
	int rc = body_read(x, max, piece);

	if (rc != 0)
		x->close = true;
	if (rc != 0 && rc != -EMSGSIZE && rc != -EBADMSG)
		x->rc = rc;
	return rc;
}

int
http_body_all(struct http_exchange *x, size_t max, struct buf *out)
{
	struct slice piece;
	int rc;

	while ((rc = http_body_read(x, max, &piece)) == 0 && piece.n > 0)
		if (!buf_put_slice(out, piece))
			return -ENOMEM;
	return rc;
}

/* --- the reply --- */

void
http_reply_field(struct http_exchange *x, const char *name, struct slice value)
{
	buf_put_str(&x->fields, name);
	buf_put_str(&x->fields, ": ");
	for (size_t i = 0; i < value.n; i++)
		buf_put_char(&x->fields,
		    (unsigned char)value.p[i] < ' ' ? ' ' : value.p[i]);
	buf_put_str(&x->fields, "\r\n");
}

static int
put_head(struct http_exchange *x, const char *type, int64_t length)
{
	struct conn *c = x->c;
	int rc;

	rc = conn_printf(
	    c, "HTTP/1.1 %d %s\r\n", x->status, http_reason(x->status));
	if (rc == 0 && type != NULL)
		rc = conn_printf(c, "Content-Type: %s\r\n", type);
	if (rc == 0 && length >= 0 && x->status != 204 && x->status != 304)
		rc = conn_printf(c, "Content-Length: %lld\r\n",
		    (long long)length);
	if (rc == 0 && x->chunked)
		rc = conn_puts(c, "Transfer-Encoding: chunked\r\n");
	if (rc == 0 && x->server->fields != NULL)
		rc = conn_puts(c, x->server->fields);
	if (rc == 0)
		rc = conn_write(c, buf_slice(&x->fields));
	if (rc == 0)
		rc = conn_puts(
		    c, x->close ? "Connection: close\r\n\r\n" : "\r\n");
	return rc;
}

int
http_reply_begin(
    struct http_exchange *x, int status, const char *type, int64_t length)
{
	x->begun = true;
	x->status = status;
	conn_set_timeout(x->c, WAIT_MS);
	conn_set_deadline(x->c, -1);
	/* An unread rest that is too long to be passed over ends it. */
	if (!x->body_begun &&
	    (x->head.chunked || x->head.length > DRAIN_MAX))
		x->close = true;
	if (length < 0 && x->head.http10)
		x->close = true;
	x->chunked = length < 0 && !x->head.http10;
	x->rc = x->fields.failed ? -ENOMEM : put_head(x, type, length);
	return x->rc;
}

int
http_reply_write(struct http_exchange *x, struct slice piece)
{
	if (x->rc != 0 || piece.n == 0 || x->head.method == HTTP_HEAD)
		return x->rc;
	if (x->chunked)
		x->rc = conn_printf(x->c, "%zx\r\n", piece.n);
	if (x->rc == 0)
		x->rc = conn_write(x->c, piece);
	if (x->rc == 0 && x->chunked)
		x->rc = conn_puts(x->c, "\r\n");
	return x->rc;
}

int
http_reply(
    struct http_exchange *x, int status, const char *type, struct slice body)
{
	if (http_reply_begin(x, status, type, (int64_t)body.n) == 0)
		http_reply_write(x, body);
	return x->rc;
}

void
http_reply_abort(struct http_exchange *x)
{
	if (x->rc == 0)
		x->rc = -ECONNABORTED;
}

static void
refuse(struct http_exchange *x, int status)
{
	char line[64];

	x->close = true;
	if (x->server->refuse != NULL) {
		x->server->refuse(x, status);
		return;
	}
	snprintf(line, sizeof(line), "%s\n", http_reason(status));
	http_reply(x, status, "text/plain", slice_str(line));
}

/* --- the connection --- */

/* What is left of the body, for the next request comes behind it. */
static void
drain_body(struct http_exchange *x)
{
	struct slice piece;
	uint64_t max = x->body_got + DRAIN_MAX;

	while (!x->close && http_body_read(x, max, &piece) == 0 && piece.n > 0)
		continue;
}

/* Closing with input unread would reset the connection, and the reply might
 * be lost on its way (RFC 9112 9.6). */
static void
linger(struct conn *c)
{
	struct slice input;
	size_t total = 0;

	conn_set_deadline(c, clock_mono_ms() + LINGER_MS);
	if (conn_shutdown(c) != 0)
		return;
	while (total < LINGER_MAX && conn_peek(c, &input) == 0) {
		total += input.n;
		conn_consume(c, input.n);
	}
}

static void
end_reply(struct http_exchange *x)
{
	if (x->rc == 0 && !x->begun)
		refuse(x, 500);
	if (x->rc == 0 && x->chunked && x->head.method != HTTP_HEAD)
		x->rc = conn_puts(x->c, "0\r\n\r\n");
	if (x->rc == 0)
		x->rc = conn_flush(x->c);
}

/* One request: true to go on. */
static bool
serve_one(struct http_exchange *x)
{
	int64_t head_ms = x->server->head_ms;
	int status;

	if (head_ms == 0)
		head_ms = HEAD_MS;
	conn_set_timeout(x->c, head_ms);
	conn_set_deadline(x->c, clock_mono_ms() + head_ms);
	status = read_head(x);
	if (status < 0)
		return false;
	if (x->head.close || service_is_draining())
		x->close = true;
	if (status > 0)
		refuse(x, status);
	else
		x->server->handle(x);
	end_reply(x);
	if (x->rc == 0 && !x->close)
		drain_body(x);
	if (x->rc == 0 && x->close)
		linger(x->c);
	return x->rc == 0 && !x->close;
}

void
http_serve(struct conn *c, const struct http_server *s, void *arg)
{
	unsigned most = s->requests > 0 ? s->requests : REQUESTS;
	int64_t idle_ms = s->idle_ms > 0 ? s->idle_ms : IDLE_MS;
	bool more = true;

	for (unsigned i = 1; more && i <= most; i++) {
		struct http_exchange x = {
			.c = c,
			.server = s,
			.arg = arg,
			.a = ARENA_INIT_MAX(s->memory > 0 ? s->memory : MEMORY),
			.fields = BUF_INIT_MAX(FIELDS_MAX),
			.close = i == most,
		};

		conn_set_deadline(c, -1);
		if (conn_buffered(c) == 0 && conn_wait_input(c, NULL, idle_ms) < 0)
			return;
		more = serve_one(&x);
		buf_clear(&x.fields);
		arena_reset(&x.a);
	}
}
