/* SPDX-License-Identifier: ISC */
/*
 * `pneu http`: the status page, /health and /version. It is a service as the
 * daemons are, so that it has their limits, their sandbox and their ways to
 * start; libevent's evhttp has neither a limit of connections nor one for the
 * whole time of a request. One request per connection, and it takes no body.
 */
#include <errno.h>
#include <stdlib.h>
#include <sysexits.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/net/service.h"
#include "mgmt/commands.h"
#include "mgmt/health.h"
#include "mgmt/http_page.h"
#include "mgmt/http_request.h"

#define LINE_MAX ((size_t)4096)
#define FIELDS_MAX 100
#define REQUEST_MS (10 * 1000)
#define REPLY_MS (10 * 1000)
#define LINGER_MS 2000
#define LINGER_MAX ((size_t)65536)

struct reply {
	int status;
	const char *type;
	struct buf body;
};

/* --- what there is --- */

static void
put_json(struct reply *r, json_t *j)
{
	char *text = json_dumps(j, JSON_INDENT(2));

	r->type = "application/json";
	if (text == NULL || !buf_put_str(&r->body, text))
		r->status = 500;
	buf_put_char(&r->body, '\n');
	free(text);
	json_decref(j);
}

static void
get_page(struct reply *r)
{
	const struct health *h = health_now(service_conf());

	if (h == NULL) {
		r->status = 503;
		return;
	}
	r->type = "text/html; charset=utf-8";
	http_page(h, service_hostname(), &r->body);
}

static void
get_health(struct reply *r)
{
	const struct health *h = health_now(service_conf());

	r->status = h != NULL && h->ok ? 200 : 503;
	if (h != NULL)
		put_json(r, health_json(h));
}

static void
get_version(struct reply *r)
{
	put_json(r,
	    json_pack("{s:s, s:s}", "name", "pneu", "version", PNEU_VERSION));
}

static const struct {
	const char *path;
	void (*get)(struct reply *r);
} resources[] = {
	{ "/", get_page },
	{ "/health", get_health },
	{ "/version", get_version },
};

static void
find(const struct http_request *q, struct reply *r)
{
	if (q->method == HTTP_OTHER) {
		r->status = 405;
		return;
	}
	for (size_t i = 0; i < sizeof(resources) / sizeof(resources[0]); i++)
		if (slice_eq_str(q->path, resources[i].path)) {
			resources[i].get(r);
			return;
		}
	r->status = 404;
}

/* --- the connection --- */

static const char *
reason(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 400:
		return "Bad Request";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 408:
		return "Request Timeout";
	case 413:
		return "Content Too Large";
	case 431:
		return "Request Header Fields Too Large";
	case 503:
		return "Service Unavailable";
	case 505:
		return "HTTP Version Not Supported";
	default:
		return "Internal Server Error";
	}
}

static int
read_line(struct conn *c, struct slice *line)
{
	int rc = conn_read_line(c, LINE_MAX, line, NULL);

	return rc == -EMSGSIZE ? 431 : rc == -ETIMEDOUT ? 408 : rc;
}

/*
 * 0 with the request and a copy of its path in `a`; the status to answer with;
 * or a negative errno, and then nobody is there to answer.
 */
static int
read_request(struct conn *c, struct arena *a, struct http_request *q)
{
	struct slice line;
	int rc = read_line(c, &line);

	/* RFC 9112 2.2: an empty line before it is not to be minded. */
	if (rc == 0 && line.n == 0)
		rc = read_line(c, &line);
	if (rc == 0)
		rc = http_request_line(q, line);
	if (rc != 0)
		return rc;
	q->path = arena_dup(a, q->path);
	if (q->path.p == NULL)
		return 500;
	for (int i = 0; i < FIELDS_MAX; i++) {
		if ((rc = read_line(c, &line)) != 0)
			return rc;
		if (line.n == 0)
			return http_request_end(q);
		if ((rc = http_request_field(q, line)) != 0)
			return rc;
	}
	return 431;
}

static int
send_reply(struct conn *c, const struct http_request *q, struct reply *r)
{
	int rc;

	if (r->body.n == 0 || r->body.failed) {
		buf_reset(&r->body);
		r->type = "text/plain";
		buf_printf(&r->body, "%s\n", reason(r->status));
	}
	rc = conn_printf(c,
	    "HTTP/1.1 %d %s\r\n"
	    "Content-Type: %s\r\n"
	    "Content-Length: %zu\r\n"
	    "Cache-Control: no-store\r\n"
	    "Content-Security-Policy: default-src 'none'; "
	    "style-src 'unsafe-inline'; frame-ancestors 'none'\r\n"
	    "X-Content-Type-Options: nosniff\r\n"
	    "Referrer-Policy: no-referrer\r\n"
	    "%s"
	    "Connection: close\r\n\r\n",
	    r->status, reason(r->status), r->type, r->body.n,
	    r->status == 405 ? "Allow: GET, HEAD\r\n" : "");
	if (rc == 0 && q->method != HTTP_HEAD)
		rc = conn_write(c, buf_slice(&r->body));
	return rc == 0 ? conn_flush(c) : rc;
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
http_session(struct conn *c, const struct service_protocol *p)
{
	struct arena a = ARENA_INIT_MAX(2 * LINE_MAX);
	struct http_request q = { .method = HTTP_OTHER };
	struct reply r = { .status = 200 };
	int rc;

	(void)p;
	conn_set_timeout(c, REQUEST_MS);
	conn_set_deadline(c, clock_mono_ms() + REQUEST_MS);
	rc = read_request(c, &a, &q);
	if (rc >= 0) {
		if (rc > 0)
			r.status = rc;
		else
			find(&q, &r);
		conn_set_deadline(c, clock_mono_ms() + REPLY_MS);
		log_info("http", "path=%s status=%d", log_q(q.path), r.status);
		if (send_reply(c, &q, &r) == 0)
			linger(c);
	}
	buf_clear(&r.body);
	arena_reset(&a);
}

/* --- the command --- */

static int
start(const struct conf *conf)
{
	(void)conf;
	return health_open();
}

static const struct service_protocol protocols[] = {
	{ .name = "http",
	    .setting = "mgmt.http",
	    .port = 80,
	    .session = http_session },
	{ 0 },
};

static const struct service service = {
	.name = "mgmt",
	.summary = "serves the status page",
	.protocols = protocols,
	.start = start,
	.stop = health_close,
	.connects_out = true, /* to the other programs' TCP ports */
	.without_tls = true,
	.without_trace = true,
};

/* One process will do; what `pneu -c` says and the options are handed on. */
int
cmd_http(const struct conf *conf, int argc, char **argv)
{
	static char config[] = "-c", workers[] = "--workers=1";
	char **args = calloc((size_t)argc + 4, sizeof(*args));
	const char *given = command_conf_path();
	char *path = given != NULL ? strdup(given) : NULL;
	int n = 0, status = EX_OSERR;

	(void)conf;
	if (args != NULL && (given == NULL || path != NULL)) {
		args[n++] = argv[0];
		args[n++] = workers;
		if (path != NULL) {
			args[n++] = config;
			args[n++] = path;
		}
		for (int i = 1; i < argc; i++)
			args[n++] = argv[i];
		status = service_main(&service, n, args);
	}
	free(path);
	free(args);
	return status;
}
