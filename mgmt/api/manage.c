/* SPDX-License-Identifier: ISC */
#include "mgmt/api/manage.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "mgmt/api/manage_impl.h"
#include "mgmt/api/stats.h"
#include "mgmt/commands.h"
#include "mgmt/health.h"
#include "mgmt/service.h"

#define API_ROOT "/api/v1"
#define MEMORY ((size_t)64 << 20) /* of one request: lists of accounts */
#define FINDER_CONNECTIONS 64

static struct {
	struct accounts *accounts;
	struct dns *dns;
	struct http_client *http, *finder;
} opened;

/* --- who asks --- */

static bool
token_may(const struct manage_call *c, const char *scope)
{
	json_t *v;
	size_t i;

	json_array_foreach(json_object_get(c->session, "scopes"), i,
	    v) if (json_is_string(v) &&
	    strcmp(json_string_value(v), scope) == 0) return true;
	return false;
}

/* What mailbox says of the token; its problems are ours. */
static int
know_token(struct manage_call *c)
{
	int status = manage_ask(c, "/session", true, &c->session);
	const char *code =
	    json_string_value(json_object_get(c->session, "code"));

	if (status == 401)
		return manage_problem(c,
		    code != NULL && strcmp(code, "not-signed-in") == 0
			? "not-signed-in"
			: "bad-token",
		    NULL);
	if (status == 429)
		return manage_problem(c, "too-many-requests", NULL);
	c->account = json_string_value(json_object_get(c->session, "account"));
	if (status != 200 || c->account == NULL)
		return manage_problem(c, "try-later", NULL);
	c->by_cookie = json_object_get(c->session, "csrf") != NULL;
	return 0;
}

/* The account's own record is looked at here, whatever a token once was: who is
 * no admin any more is none. */
static int
know_account(struct manage_call *c)
{
	struct accounts_account who;
	int rc = accounts_account_get(
	    c->env->accounts, c->a, slice_str(c->account), &who);

	if (rc != 0 || who.disabled)
		return rc == -ENOENT || rc == 0
		    ? manage_problem(c, "bad-token", NULL)
		    : manage_errno(c, rc, "no-such-account");
	c->admin = who.admin && token_may(c, "admin");
	return 0;
}

static int
authorize(struct manage_call *c)
{
	int rc;

	if (c->route->scope == MANAGE_OPEN)
		return 0;
	if ((rc = know_token(c)) != 0 || (rc = know_account(c)) != 0)
		return rc;
	if (c->route->scope == MANAGE_ADMIN ? !c->admin
					    : !token_may(c, "account"))
		return manage_problem(c, "bad-scope", NULL);
	if (c->by_cookie &&
	    !http_api_csrf(c->x,
		json_string_value(json_object_get(c->session, "csrf"))))
		return manage_problem(c, "bad-csrf", NULL);
	return 0;
}

int
manage_check_password(
    struct manage_call *c, const char *password, struct seal_key **key)
{
	const char *account = NULL;
	char peer[64];
	int rc;

	if (!c->is_private)
		return manage_problem(c, "not-private", NULL);
	net_addr_prefix(conn_peer(c->x->c), peer);
	rc = accounts_authenticate_key(c->env->accounts, c->a,
	    slice_str(c->account), slice_str(password), ACCOUNTS_API, peer,
	    &account, key);
	if (rc == -EACCES)
		return manage_problem(c, "wrong-password", NULL);
	return manage_errno(c, rc, "no-such-account");
}

/* --- dispatch --- */

static const struct manage_route *
find_route(struct manage_call *c, struct http_match *m)
{
	const struct manage_route *found;

	for (const struct manage_route *r = manage_routes; r->path; r++)
		http_match_offer(m, r->method, r->path, r);
	found = http_match_end(m, c->a);
	if (found != NULL)
		memcpy(c->param, m->param, sizeof(c->param));
	return found;
}

static void
run(struct manage_call *c)
{
	int rc;

	/* By address before, and by account after it is known. */
	if ((rc = authorize(c)) == 0 &&
	    (rc = http_api_rate(c->x, manage_problems, c->account,
		 conf_int(c->env->conf, "manage.http_rate"))) == 0 &&
	    c->route->json)
		rc = http_api_body(
		    c->x, manage_problems, MANAGE_JSON_MAX, &c->in);
	if (rc == 0)
		rc = c->route->run(c);
	/* Gone, or shutting down: there is nobody to tell. */
	if (rc != 0 && c->x->rc == 0 && !c->x->begun)
		manage_errno(c, rc, "failed");
}

static void
handle(struct http_exchange *x)
{
	struct manage_call c = {
		.x = x, .a = &x->a, .env = x->arg, .err = BUF_INIT_MAX(4096)
	};
	struct http_match m = { .method = x->head.method };
	struct slice path = x->head.path;
	int64_t began_us = clock_mono_us();

	http_take_forwarded(x, &c.is_tls);
	c.is_private = c.is_tls || net_addr_is_loopback(conn_peer(x->c)) ||
	    net_addr_is_unix(conn_peer(x->c)) ||
	    conf_bool(c.env->conf, "mailbox.plaintext_login");
	m.path = slice_from(path, strlen(API_ROOT));
	if (slice_starts(path, API_ROOT "/"))
		c.route = find_route(&c, &m);
	if (c.route != NULL)
		run(&c);
	else
		http_match_refuse(x, manage_problems, &m);
	http_api_log(
	    x, c.route != NULL ? c.route->id : NULL, c.account, began_us);
	json_decref(c.session);
	json_decref(c.in);
	buf_clear(&c.err);
}

static void
refuse(struct http_exchange *x, int status)
{
	http_api_refuse(x, manage_problems, status);
}

const struct http_server manage_server = {
	.handle = handle,
	.refuse = refuse,
	.fields = HTTP_API_FIELDS,
	.memory = MEMORY,
};

static void
session(struct conn *c, const struct service_protocol *p)
{
	/* Its configuration lives as long as sessions that began under it. */
	struct manage_env env = { service_conf(), opened.accounts, opened.dns,
		opened.http, opened.finder };

	(void)p;
	http_serve(c, &manage_server, &env);
}

/* --- the service --- */

static int
start(const struct conf *conf)
{
	struct buf err = BUF_INIT;
	int rc = accounts_open(&opened.accounts, conf, true, &err);

	if (rc == 0)
		rc = dns_new(&opened.dns, conf, &err);
	if (rc == 0)
		rc = http_client_new(&opened.http, conf, &err);
	if (rc == 0)
		rc = http_client_new(&opened.finder, conf, &err);
	if (rc == 0)
		http_client_limit(opened.finder, FINDER_CONNECTIONS, 4);
	if (rc == 0)
		rc = health_open();
	if (rc == 0)
		rc = stats_start(conf);
	if (rc != 0)
		log_error("start", "error=\"%s\" reason=\"%s\"", strerror(-rc),
		    log_q(buf_slice(&err)));
	buf_clear(&err);
	return rc;
}

static void
stop(void)
{
	stats_stop();
	logins_free();
	health_close();
	http_client_free(&opened.finder);
	http_client_free(&opened.http);
	dns_free(&opened.dns);
	accounts_close(&opened.accounts);
}

/* The key of outside passwords is made here where it is missing. */
static size_t
paths(const struct conf *conf, struct service_path *out, size_t max)
{
	static char key[PATH_MAX];

	if (max < 3)
		return 0;
	snprintf(
	    key, sizeof(key), "%s", conf_file(conf, "accounts.outside_key"));
	out[0] = (struct service_path){ conf_file(conf, "accounts.dir"), true };
	out[1] = (struct service_path){ dirname(key), true };
	out[2] = (struct service_path){ conf_file(conf, "trace.dir"), true };
	return 3;
}

static const struct service_protocol protocols[] = {
	{ .name = "http",
	    .setting = "manage.http",
	    .port = 0,
	    .session = session },
	{ 0 },
};

static const struct service service = {
	.name = "manage",
	.summary = "serves the HTTP API of accounts, outside accounts and the "
		   "system",
	.protocols = protocols,
	.start = start,
	.stop = stop,
	.paths = paths,
	.connects_out = true, /* DNS, and the other programs' TCP ports */
	.without_tls = true,
	.signs_in = true,
	.asks_for_tokens = true, /* for logins at providers */
	.one_worker = true,
	.without_trace = true,
};

int
cmd_manage(const struct conf *conf, int argc, char **argv)
{
	(void)conf;
	return command_service(&service, argc, argv);
}
