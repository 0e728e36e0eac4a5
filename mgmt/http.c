/* SPDX-License-Identifier: ISC */
/*
 * `pneu http`: the one address that people and programs use. The web page, the
 * status page, /health and /version are its own; the API is handed on, of mail
 * to pneu-mailbox, all else to pneu manage. It is a service as the daemons are,
 * so that it has their limits, their sandbox and their ways to start.
 */
#include <errno.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "common/net/http_server.h"
#include "common/net/service.h"
#include "mgmt/api/manage.h"
#include "mgmt/commands.h"
#include "mgmt/health.h"
#include "mgmt/http_page.h"
#include "mgmt/http_pass.h"
#include "mgmt/service.h"
#include "mgmt/web.h"

#define API_ROOT "/api/v1"
#define LINE_MAX ((size_t)4096)
#define IDLE_MS (10 * 1000)

/* --- what there is --- */

static void
reply_status(struct http_exchange *x, int status)
{
	char line[64];

	snprintf(line, sizeof(line), "%s\n", http_reason(status));
	http_reply(x, status, "text/plain", slice_str(line));
}

static void
reply_json(struct http_exchange *x, int status, json_t *j)
{
	char *text = json_dumps(j, JSON_INDENT(2));
	struct buf b = BUF_INIT;

	json_decref(j);
	if (text != NULL && buf_put_str(&b, text) && buf_put_char(&b, '\n'))
		http_reply(x, status, "application/json", buf_slice(&b));
	else
		reply_status(x, 500);
	buf_clear(&b);
	free(text);
}

static void
get_page(struct http_exchange *x)
{
	const struct health *h = health_now(service_conf());
	struct buf b = BUF_INIT;

	if (h == NULL) {
		reply_status(x, 503);
		return;
	}
	http_page(h, service_hostname(), &b);
	if (b.failed)
		reply_status(x, 500);
	else
		http_reply(x, 200, "text/html; charset=utf-8", buf_slice(&b));
	buf_clear(&b);
}

static void
get_health(struct http_exchange *x)
{
	const struct health *h = health_now(service_conf());

	if (h == NULL)
		reply_status(x, 503);
	else
		reply_json(x, h->ok ? 200 : 503, health_json(h));
}

static void
get_version(struct http_exchange *x)
{
	reply_json(x, 200,
	    json_pack("{s:s, s:s}", "name", "pneu", "version", PNEU_VERSION));
}

static const struct {
	const char *path;
	void (*get)(struct http_exchange *x);
} resources[] = {
	{ "/status", get_page },
	{ "/health", get_health },
	{ "/version", get_version },
};

static void
own(struct http_exchange *x)
{
	if ((x->head.method == HTTP_GET || x->head.method == HTTP_HEAD) &&
	    !http_head_has_body(&x->head) && web_get(x))
		return;
	http_reply_field(x, "Cache-Control", SLICE_LIT("no-store"));
	http_reply_field(x, "Content-Security-Policy",
	    SLICE_LIT("default-src 'none'; style-src 'unsafe-inline'; "
		      "frame-ancestors 'none'"));
	if (x->head.method != HTTP_GET && x->head.method != HTTP_HEAD) {
		http_reply_field(x, "Allow", SLICE_LIT("GET, HEAD"));
		reply_status(x, 405);
		return;
	}
	if (http_head_has_body(&x->head)) {
		reply_status(x, 413);
		return;
	}
	for (size_t i = 0; i < sizeof(resources) / sizeof(resources[0]); i++)
		if (slice_eq_str(x->head.path, resources[i].path)) {
			resources[i].get(x);
			return;
		}
	reply_status(x, 404);
}

/* --- what others have --- */

static void
pass(struct http_exchange *x)
{
	const struct conf *conf = service_conf();
	struct slice path = slice_from(x->head.path, strlen(API_ROOT));
	const char *setting =
	    manage_has_path(path) ? "manage.http" : "mailbox.http";
	struct net_addr to;
	size_t n;
	const char *const *at = conf_list(conf, setting, &n);

	if (n == 0 ||
	    net_addr_parse(&to, at[0], conf_file(conf, "run_dir")) != 0)
		reply_status(x, 404);
	else
		http_pass(x, &to);
}

static void
handle(struct http_exchange *x)
{
	if (slice_starts(x->head.path, API_ROOT "/"))
		pass(x);
	else
		own(x);
	log_info("http", "path=%s status=%d", log_q(x->head.path), x->status);
}

static const struct http_server server = {
	.handle = handle,
	.fields = "X-Content-Type-Options: nosniff\r\n"
		  "Referrer-Policy: no-referrer\r\n",
	.line_max = LINE_MAX,
	.idle_ms = IDLE_MS,
};

static void
http_session(struct conn *c, const struct service_protocol *p)
{
	(void)p;
	http_serve(c, &server, NULL);
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
	{ .name = "https",
	    .setting = "mgmt.https",
	    .port = 443,
	    .tls = true,
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
	.tls_if_served = true,
	.proxy_from = "mgmt.proxy_from",
	.without_trace = true,
};

int
cmd_http(const struct conf *conf, int argc, char **argv)
{
	(void)conf;
	return command_service(&service, argc, argv);
}
