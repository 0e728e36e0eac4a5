/* SPDX-License-Identifier: ISC */
/* A small client of pneu-mailbox's API, which keeps the tokens: what a request
 * brought to say who it is goes on to there, and nothing is kept here. */
#include <errno.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "mgmt/api/manage_impl.h"

#define ASK_MS 15000
#define ANSWER_MAX ((size_t)2 << 20)

static void
put_field(struct buf *b, const struct http_head *h, const char *name)
{
	for (size_t i = 0; i < h->n_fields; i++)
		if (slice_eq_str_nocase(h->fields[i].name, name)) {
			buf_printf(b, "%s: ", name);
			buf_put_slice(b, h->fields[i].value);
			buf_put_str(b, "\r\n");
		}
}

static int
put_request(
    struct manage_call *c, struct conn *to, const char *path, bool with_token)
{
	struct buf b = BUF_INIT_MAX(2 * HTTP_HEAD_MAX);
	char peer[128];
	int rc;

	buf_printf(&b, "GET /api/v1%s HTTP/1.0\r\nHost: localhost\r\n", path);
	if (with_token) {
		put_field(&b, &c->x->head, "Authorization");
		put_field(&b, &c->x->head, "Cookie");
		net_addr_text(conn_peer(c->x->c), peer);
		if (!net_addr_is_unix(conn_peer(c->x->c)))
			buf_printf(&b, "Forwarded: for=\"%s\";proto=%s\r\n",
			    peer, c->is_tls ? "https" : "http");
	}
	buf_put_str(&b, "\r\n");
	rc = b.failed ? -EMSGSIZE : conn_write(to, buf_slice(&b));
	buf_wipe(&b);
	return rc == 0 ? conn_flush(to) : rc;
}

/* The status, and up to the empty line. HTTP/1.0 was asked for: the body ends
 * with the connection. */
static int
read_head(struct conn *from)
{
	struct slice line;
	uint64_t status;
	int rc = conn_read_line(from, HTTP_LINE_MAX, &line, NULL);

	if (rc != 0)
		return rc;
	if (!slice_starts(line, "HTTP/1.") || line.n < 12 ||
	    slice_u64(slice(line.p + 9, 3), 599, &status) != 0)
		return -EPROTO;
	for (size_t i = 0; i < HTTP_FIELDS_MAX; i++) {
		if ((rc = conn_read_line(from, HTTP_LINE_MAX, &line, NULL)) !=
		    0)
			return rc;
		if (line.n == 0)
			return (int)status;
	}
	return -EPROTO;
}

static int
read_body(struct conn *from, json_t **out)
{
	struct buf b = BUF_INIT_MAX(ANSWER_MAX), why = BUF_INIT_MAX(200);
	struct slice piece;
	int rc;

	while ((rc = conn_peek(from, &piece)) == 0) {
		if (!buf_put_slice(&b, piece)) {
			rc = -EMSGSIZE;
			break;
		}
		conn_consume(from, piece.n);
	}
	if (rc == -EPIPE) /* the end */
		rc = 0;
	if (rc == 0)
		rc = http_json_load(buf_slice(&b), out, &why);
	buf_wipe(&b);
	buf_clear(&why);
	return rc;
}

int
manage_ask(
    struct manage_call *c, const char *path, bool with_token, json_t **out)
{
	const struct conf *conf = c->env->conf;
	struct conn *to = NULL;
	struct net_addr at;
	int rc = -EDESTADDRREQ, status;
	size_t n;
	const char *const *list = conf_list(conf, "mailbox.http", &n);

	*out = NULL;
	if (n > 0 &&
	    net_addr_parse(&at, list[0], conf_file(conf, "run_dir")) == 0)
		rc = conn_connect(&to, &at, NULL, ASK_MS);
	if (rc == 0) {
		conn_set_deadline(to, clock_mono_ms() + ASK_MS);
		rc = put_request(c, to, path, with_token);
	}
	status = rc == 0 ? read_head(to) : rc;
	if (status > 0 && (rc = read_body(to, out)) != 0)
		status = rc;
	conn_free(&to);
	if (status < 0)
		log_warning(
		    "mailbox not asked", "error=\"%s\"", strerror(-status));
	return status;
}
