/* SPDX-License-Identifier: ISC */
#include "mgmt/http_pass.h"

#include <errno.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/net/service.h"

#define CONNECT_MS 5000
#define TICK_MS 2000
#define WAIT_MS ((int64_t)5 * 60 * 1000) /* a long search says nothing */
#define BODY_MAX ((uint64_t)256 << 20)   /* the other has its own limit */

/* What speaks of this connection (RFC 9110 7.6.1), and what only we may say. */
static bool
is_dropped(struct slice name)
{
	static const char *const names[] = { "Connection", "Keep-Alive",
		"Proxy-Connection", "TE", "Trailer", "Transfer-Encoding",
		"Upgrade", "Content-Length", "Expect", "Forwarded",
		"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (slice_eq_str_nocase(name, names[i]))
			return true;
	return false;
}

static void
put_head(struct http_exchange *x, struct buf *b)
{
	const struct http_head *h = &x->head;
	char peer[128];

	net_addr_text(conn_peer(x->c), peer);
	buf_put_slice(b, h->method_name);
	buf_put_char(b, ' ');
	buf_put_slice(b, h->path);
	if (h->query.n > 0) {
		buf_put_char(b, '?');
		buf_put_slice(b, h->query);
	}
	buf_put_str(b, " HTTP/1.1\r\n");
	if (http_head_get(h, "Host").p == NULL)
		buf_put_str(b, "Host: localhost\r\n");
	for (size_t i = 0; i < h->n_fields; i++) {
		if (is_dropped(h->fields[i].name))
			continue;
		buf_put_slice(b, h->fields[i].name);
		buf_put_str(b, ": ");
		buf_put_slice(b, h->fields[i].value);
		buf_put_str(b, "\r\n");
	}
	if (!net_addr_is_unix(conn_peer(x->c)))
		buf_printf(b, "Forwarded: for=\"%s\";proto=%s\r\n", peer,
		    conn_is_tls(x->c) ? "https" : "http");
	if (h->chunked)
		buf_put_str(b, "Transfer-Encoding: chunked\r\n");
	else if (h->has_length)
		buf_printf(b, "Content-Length: %llu\r\n",
		    (unsigned long long)h->length);
	/* A WebSocket (RFC 6455 4.1), of which we pass on what the server
	 * says; nothing is wanted of the client. */
	if (slice_eq_str_nocase(http_head_get(h, "Upgrade"), "websocket"))
		buf_put_str(
		    b, "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
	else
		buf_put_str(b, "Connection: close\r\n\r\n");
}

/* 0, an error of reading (http_body_read), or 1: the other side takes no more,
 * and may have said why. */
static int
pass_body(struct http_exchange *x, struct conn *to)
{
	struct slice piece;
	int rc;

	while ((rc = http_body_read(x, BODY_MAX, &piece)) == 0) {
		if (x->head.chunked && conn_printf(to, "%zx\r\n", piece.n) != 0)
			return 1;
		if (conn_write(to, piece) != 0 ||
		    (x->head.chunked && conn_puts(to, "\r\n") != 0))
			return 1;
		if (piece.n == 0)
			return conn_flush(to) == 0 ? 0 : 1;
	}
	return rc;
}

static int
pass_request(struct http_exchange *x, struct conn *to)
{
	struct buf b = BUF_INIT_MAX(2 * HTTP_HEAD_MAX);
	int rc;

	put_head(x, &b);
	rc = b.failed || conn_write(to, buf_slice(&b)) != 0 ? 1 : 0;
	buf_clear(&b);
	return rc != 0 ? rc : pass_body(x, to);
}

/* Something came, or nothing more will: events may be silent for long, and must
 * not hold up a shutdown. */
static bool
wait_reply(struct conn *from)
{
	int64_t until_ms = clock_mono_ms() + WAIT_MS;
	int rc;

	do {
		rc = conn_wait_input(from, NULL, TICK_MS);
	} while (rc == -ETIMEDOUT && !service_is_draining() &&
	    clock_mono_ms() < until_ms);
	return rc == 1;
}

/* Of "HTTP/1.1 200 OK", for the log; 0 where that is not all there yet. */
static int
status_of(struct slice head)
{
	uint64_t status;

	return slice_starts(head, "HTTP/1.") && head.n >= 12 &&
		slice_u64(slice(head.p + 9, 3), 599, &status) == 0
	    ? (int)status
	    : 0;
}

/* Returns how many octets came. */
static uint64_t
pass_reply(struct http_exchange *x, struct conn *from)
{
	struct slice piece;
	uint64_t total = 0;

	conn_set_deadline(x->c, -1);
	while (x->rc == 0 && wait_reply(from) && conn_peek(from, &piece) == 0) {
		x->begun = x->close = true;
		if (total == 0)
			x->status = status_of(piece);
		x->rc = conn_write(x->c, piece);
		total += piece.n;
		conn_consume(from, piece.n);
		/* Events must not stand in a buffer. */
		if (x->rc == 0 && conn_buffered(from) == 0)
			x->rc = conn_flush(x->c);
	}
	return total;
}

void
http_pass(struct http_exchange *x, const struct net_addr *to)
{
	struct conn *c = NULL;
	uint64_t got = 0;
	int rc = conn_connect(&c, to, NULL, CONNECT_MS);

	if (rc == 0) {
		conn_set_timeout(c, WAIT_MS);
		rc = pass_request(x, c);
		if (rc >= 0)
			got = pass_reply(x, c);
	} else {
		char at[128];

		net_addr_text(to, at);
		log_warning(
		    "not reached", "at=%s error=\"%s\"", at, strerror(-rc));
	}
	conn_free(&c);
	if (got > 0 || x->rc != 0)
		return;
	x->close = true;
	if (rc == -EMSGSIZE || rc == -EBADMSG) {
		http_reply(x, rc == -EMSGSIZE ? 413 : 400, NULL, SLICE_EMPTY);
		return;
	}
	http_reply_field(x, "Retry-After", SLICE_LIT("5"));
	http_reply(x, 503, "application/problem+json",
	    SLICE_LIT("{\"type\":\"urn:pneu:problem:try-later\","
		      "\"title\":\"Not possible just now; try again later\","
		      "\"status\":503,\"code\":\"try-later\"}"));
}
