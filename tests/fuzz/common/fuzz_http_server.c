/* SPDX-License-Identifier: ISC */
/*
 * The HTTP server engine as a whole. The first octet chooses what the handler
 * does with bodies; then the input comes whole, and once more octet by octet:
 * the handler must see the same requests and the client the same replies.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/co.h"
#include "common/base/log.h"
#include "common/net/http_server.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

#define INPUT_MAX 20000
#define BODY_MAX 1000

struct run {
	struct slice in;
	uint8_t mode;
	bool slow;
	struct buf seen; /* by the handler */
	struct buf out;  /* by the client */
	struct conn *client, *server;
};

static void
require(bool good)
{
	if (!good)
		abort();
}

static void
handle(struct http_exchange *x)
{
	struct run *r = x->arg;
	const struct http_head *h = &x->head;
	struct slice piece, value;
	int rc = 0;

	require(h->method == HTTP_OPTIONS || h->method == HTTP_OTHER ||
	    (h->path.n > 0 && h->path.p[0] == '/'));
	for (size_t i = 0; i < h->path.n; i++)
		require(h->path.p[i] > ' ' && h->path.p[i] != '?');
	require(h->has_host && !(h->chunked && h->has_length));
	require(h->n_fields <= HTTP_FIELDS_MAX);
	if (http_head_query(h, "q", &value))
		buf_put_slice(&r->seen, value.p ? value : SLICE_EMPTY);
	buf_put_slice(&r->seen, h->path);
	while ((r->mode & 1) != 0 &&
	    (rc = http_body_read(x, BODY_MAX, &piece)) == 0 && piece.n > 0)
		buf_put_slice(&r->seen, piece);
	require(x->body_got <= BODY_MAX);
	if (x->rc != 0)
		return;
	http_reply_field(x, "X", slice_head(h->path, 50));
	if (rc != 0)
		http_reply(x, rc == -EMSGSIZE ? 413 : 400, NULL, SLICE_EMPTY);
	else if ((r->mode & 2) == 0)
		http_reply(x, 200, "text/plain", h->path);
	else if (http_reply_begin(x, 200, NULL, -1) == 0)
		http_reply_write(x, h->path);
}

static const struct http_server server = { .handle = handle };

static void
serve(void *arg)
{
	struct run *r = arg;

	http_serve(r->server, &server, r);
	conn_free(&r->server);
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

	require(conn_pair(&r->client, &r->server) == 0);
	require(co_group_spawn(&g, serve, r) == 0);
	require(co_group_spawn(&g, read_all, r) == 0);
	for (size_t i = 0; i < r->in.n && r->slow; i++) {
		if (conn_write(r->client, slice(r->in.p + i, 1)) != 0 ||
		    conn_flush(r->client) != 0)
			break;
		co_yield ();
	}
	if (!r->slow)
		conn_write(r->client, r->in);
	conn_shutdown(r->client);
	co_group_join(&g);
	conn_free(&r->client);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct run whole = { .slow = false }, slow = { .slow = true };

	if (n < 1 || n > INPUT_MAX)
		return 0;
	whole.mode = slow.mode = p[0];
	whole.in = slow.in = slice(p + 1, n - 1);
	log_set_level(LOG_LEVEL_ERROR);
	require(co_run(run, &whole) == 0);
	require(co_run(run, &slow) == 0);
	require(slice_eq(buf_slice(&whole.seen), buf_slice(&slow.seen)));
	require(slice_eq(buf_slice(&whole.out), buf_slice(&slow.out)));
	buf_clear(&whole.seen);
	buf_clear(&whole.out);
	buf_clear(&slow.seen);
	buf_clear(&slow.out);
	return 0;
}
