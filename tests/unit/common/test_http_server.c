/* SPDX-License-Identifier: ISC */
/* Requests and their replies, to the octet; each input whole, and octet by
 * octet. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>

#include "common/base/log.h"
#include "common/net/http_server.h"

#define BODY_MAX 10

/* Says what it saw: method, path, body. "/chunked" is answered in pieces,
 * "/unread" without reading, "/nothing" not at all. */
static void
handle(struct http_exchange *x)
{
	const struct http_head *h = &x->head;
	struct buf b = BUF_INIT;
	int rc = 0;

	buf_put_slice(&b, h->method_name);
	buf_put_char(&b, ' ');
	buf_put_slice(&b, h->path);
	buf_put_char(&b, ' ');
	if (!slice_eq_str(h->path, "/unread"))
		rc = http_body_all(x, BODY_MAX, &b);
	if (rc == -EMSGSIZE || rc == -EBADMSG) {
		http_reply(x, rc == -EMSGSIZE ? 413 : 400, NULL, SLICE_EMPTY);
	} else if (rc == 0 && slice_eq_str(h->path, "/chunked")) {
		http_reply_begin(x, 200, NULL, -1);
		http_reply_write(x, SLICE_LIT("one"));
		http_reply_write(x, SLICE_EMPTY);
		http_reply_write(x, SLICE_LIT("twotwotwotwotwotwo"));
	} else if (rc == 0 && slice_eq_str(h->path, "/field")) {
		http_reply_field(x, "X", SLICE_LIT("a\r\nY: b"));
		http_reply(x, 204, NULL, SLICE_EMPTY);
	} else if (rc == 0 && !slice_eq_str(h->path, "/nothing")) {
		http_reply(x, 200, NULL, buf_slice(&b));
	}
	buf_clear(&b);
}

#define OK(n, body) "HTTP/1.1 200 OK\r\nContent-Length: " n "\r\n\r\n" body
#define LAST(n, body)                                                          \
	"HTTP/1.1 200 OK\r\nContent-Length: " n "\r\n"                         \
	"Connection: close\r\n\r\n" body
#define NONE(status)                                                           \
	"HTTP/1.1 " status "\r\nContent-Length: 0\r\n"                         \
	"Connection: close\r\n\r\n"
#define REFUSED(status, n, text)                                               \
	"HTTP/1.1 " status "\r\nContent-Type: text/plain\r\n"                  \
	"Content-Length: " n "\r\nConnection: close\r\n\r\n" text "\n"
#define HOST "Host: x\r\n"

static const struct {
	const char *in, *out;
} cases[] = {
	{ "", "" },
	{ "GET /a HTTP/1.1\r\n" HOST "\r\n", OK("7", "GET /a ") },
	{ "\r\nGET /a HTTP/1.1\r\n" HOST "\r\n", OK("7", "GET /a ") },
	{ "GET /a HTTP/1.1\r\n" HOST "\r\nGET /b HTTP/1.1\r\n" HOST
	  "Connection: x, Close\r\n\r\nGET /c HTTP/1.1\r\n" HOST "\r\n",
	    OK("7", "GET /a ") LAST("7", "GET /b ") },
	{ "GET /a HTTP/1.0\r\n\r\nGET /b HTTP/1.0\r\n\r\n",
	    LAST("7", "GET /a ") },
	{ "HEAD /a HTTP/1.1\r\n" HOST "\r\n", OK("8", "") },
	{ "POST /a HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello"
	  "GET /b HTTP/1.1\r\n" HOST "\r\n",
	    OK("13", "POST /a hello") OK("7", "GET /b ") },
	{ "POST /a HTTP/1.1\r\n" HOST "Content-Length: 11\r\n\r\nhello world",
	    NONE("413 Content Too Large") },
	{ "POST /a HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhell", "" },
	{ "POST /unread HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello"
	  "GET /b HTTP/1.1\r\n" HOST "\r\n",
	    OK("13", "POST /unread ") OK("7", "GET /b ") },
	{ "POST /unread HTTP/1.1\r\n" HOST "Content-Length: 99999999\r\n\r\n",
	    LAST("13", "POST /unread ") },
	{ "POST /a HTTP/1.1\r\n" HOST "Content-Length: 2\r\n"
	  "Expect: 100-continue\r\n\r\nhi",
	    "HTTP/1.1 100 Continue\r\n\r\n" OK("10", "POST /a hi") },
	{ "POST /unread HTTP/1.1\r\n" HOST "Content-Length: 99999\r\n"
	  "Expect: 100-continue\r\n\r\n",
	    LAST("13", "POST /unread ") },
	{ "POST /a HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
	  "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: x\r\n\r\n"
	  "GET /b HTTP/1.1\r\n" HOST "\r\n",
	    OK("13", "POST /a abcde") OK("7", "GET /b ") },
	{ "POST /a HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
	  "0\r\n\r\n",
	    OK("8", "POST /a ") },
	{ "POST /a HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
	  "6\r\nabcdef\r\n6\r\nabcdef\r\n0\r\n\r\n",
	    NONE("413 Content Too Large") },
	{ "POST /a HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
	  "ffffffffffffffff\r\n",
	    NONE("400 Bad Request") },
	{ "POST /a HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
	  "-1\r\n",
	    NONE("400 Bad Request") },
	{ "POST /a HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
	  "3\nabc\r\n0\r\n\r\n", /* LF alone: smuggling */
	    NONE("400 Bad Request") },
	{ "POST /a HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
	  "3\r\nabcd\r\n0\r\n\r\n",
	    NONE("400 Bad Request") },
	{ "GET /chunked HTTP/1.1\r\n" HOST "\r\n",
	    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	    "3\r\none\r\n12\r\ntwotwotwotwotwotwo\r\n0\r\n\r\n" },
	{ "GET /chunked HTTP/1.0\r\n\r\n",
	    "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
	    "onetwotwotwotwotwotwo" },
	{ "HEAD /chunked HTTP/1.1\r\n" HOST "\r\nGET /b HTTP/1.1\r\n" HOST
	  "\r\n",
	    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" OK(
		"7", "GET /b ") },
	{ "GET /field HTTP/1.1\r\n" HOST "\r\n",
	    "HTTP/1.1 204 No Content\r\nX: a  Y: b\r\n\r\n" },
	{ "GET /nothing HTTP/1.1\r\n" HOST "\r\n",
	    REFUSED("500 Internal Server Error", "22",
		"Internal Server Error") },
	{ "GET /a HTTP/1.1\r\n\r\n",
	    REFUSED("400 Bad Request", "12", "Bad Request") },
	{ "GET /a HTTP/3.0\r\n\r\n",
	    REFUSED("505 HTTP Version Not Supported", "27",
		"HTTP Version Not Supported") },
	{ "POST /a HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip\r\n\r\n",
	    REFUSED("501 Not Implemented", "16", "Not Implemented") },
};

/* --- running them --- */

static const struct http_server server = { .handle = handle };

struct run {
	const char *in;
	bool slow;
	struct conn *client, *served;
	struct buf out;
};

static void
serve(void *arg)
{
	struct run *r = arg;

	http_serve(r->served, &server, r);
	conn_free(&r->served);
}

static void
read_all(void *arg)
{
	struct run *r = arg;
	struct slice piece;

	while (conn_peek(r->client, &piece) == 0) {
		buf_put_slice(&r->out, piece);
		conn_consume(r->client, piece.n);
	}
}

static void
run(void *arg)
{
	struct run *r = arg;
	struct co_group g = { .running = 0 };
	size_t n = strlen(r->in);

	assert_int_equal(conn_pair(&r->client, &r->served), 0);
	assert_int_equal(co_group_spawn(&g, serve, r), 0);
	assert_int_equal(co_group_spawn(&g, read_all, r), 0);
	for (size_t i = 0; r->slow && i < n; i++) {
		if (conn_write(r->client, slice(r->in + i, 1)) != 0 ||
		    conn_flush(r->client) != 0)
			break; /* it has heard enough */
		co_yield ();
	}
	if (!r->slow)
		conn_write(r->client, slice(r->in, n));
	conn_shutdown(r->client);
	co_group_join(&g);
	conn_free(&r->client);
}

static void
dialogues(void **state)
{
	(void)state;
	log_set_level(LOG_LEVEL_ERROR);
	for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		struct run r = { .in = cases[i / 2].in, .slow = i % 2 == 1 };

		assert_int_equal(co_run(run, &r), 0);
		if (strcmp(buf_str(&r.out), cases[i / 2].out) != 0)
			fail_msg("%s (%d)\ngot:\n%s", r.in, r.slow,
			    buf_str(&r.out));
		buf_clear(&r.out);
	}
}

static void
a_connection_has_an_end(void **state)
{
	struct buf in = BUF_INIT;
	struct run r = { .slow = false };

	(void)state;
	for (int i = 0; i < 1001; i++)
		buf_put_str(&in, "GET /a HTTP/1.1\r\n" HOST "\r\n");
	r.in = buf_str(&in);
	assert_int_equal(co_run(run, &r), 0);
	assert_int_equal(r.out.n,
	    999 * strlen(OK("7", "GET /a ")) + strlen(LAST("7", "GET /a ")));
	buf_clear(&in);
	buf_clear(&r.out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dialogues),
		cmocka_unit_test(a_connection_has_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
