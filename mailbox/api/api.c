/* SPDX-License-Identifier: ISC */
/* Connections, who asks, and which handler answers. */
#include "mailbox/api/api.h"

#include <errno.h>

#include "common/base/clock.h"
#include "mailbox/api/api_impl.h"
#include "mailbox/api/api_inbucket.h"

#define MEMORY ((size_t)16 << 20) /* of one request */

static struct api_env service_env;

/* --- who asks --- */

static void
know_peer(struct api_call *c)
{
	http_take_forwarded(c->x, &c->is_tls);
	if (c->is_tls || net_addr_is_loopback(conn_peer(c->x->c)) ||
	    c->env->plaintext_login)
		c->is_private = true;
}

/* The value of our cookie. */
static struct slice
cookie_token(const struct http_head *h)
{
	for (size_t i = 0; i < h->n_fields; i++) {
		struct slice rest = h->fields[i].value;

		if (!slice_eq_str_nocase(h->fields[i].name, "Cookie"))
			continue;
		while (rest.n > 0) {
			struct slice v = slice_trim(slice_split(&rest, ';'));

			if (slice_eq_str(slice_split(&v, '='), "pneu"))
				return v;
		}
	}
	return SLICE_EMPTY;
}

static void
find_token(struct api_call *c)
{
	struct slice v = http_head_get(&c->x->head, "Authorization");

	c->token_text = SLICE_EMPTY;
	if (slice_starts_nocase(v, "Bearer ")) {
		c->token_text = slice_trim(slice_from(v, 7));
	} else if (v.p == NULL) {
		c->token_text = cookie_token(&c->x->head);
		c->by_cookie = c->token_text.n > 0;
	}
}

/* 0 or API_REPLIED. */
static int
authorize(struct api_call *c)
{
	char csrf[API_TOKEN_LEN + 1] = "";
	int rc;

	if (c->route->scope == 0)
		return 0;
	if (c->token_text.n == 0) {
		api_problem(c, "not-signed-in", NULL);
		return API_REPLIED;
	}
	rc = api_token_find(c->env, c->a, c->token_text, &c->token);
	if (c->by_cookie)
		api_token_csrf(c->token_text, csrf);
	if (rc == -ENOENT)
		api_problem(c, "bad-token", NULL);
	else if (rc != 0)
		api_errno(c, rc);
	else if ((c->token.scopes & c->route->scope) == 0)
		api_problem(c, "bad-scope", NULL);
	else if (c->by_cookie && !http_api_csrf(c->x, csrf))
		api_problem(c, "bad-csrf", NULL);
	else {
		c->account = c->token.account;
		return 0;
	}
	return API_REPLIED;
}

/* --- CORS --- */

bool
api_origin_is_allowed(const struct api_env *env, struct slice origin)
{
	for (const char *const *o = env->origins; o && *o != NULL; o++)
		if (slice_eq_str(origin, *o))
			return true;
	return false;
}

/* Off, but for origins of the configuration; true: this was a preflight
 * (Fetch 3.2), which needs no more. */
static bool
answer_cors(struct api_call *c)
{
	struct slice origin = http_head_get(&c->x->head, "Origin");

	if (origin.p == NULL || !api_origin_is_allowed(c->env, origin))
		return false;
	http_reply_field(c->x, "Access-Control-Allow-Origin", origin);
	http_reply_field(c->x, "Vary", SLICE_LIT("Origin"));
	http_reply_field(c->x, "Access-Control-Expose-Headers",
	    SLICE_LIT("Content-Range, Retry-After"));
	if (c->x->head.method != HTTP_OPTIONS)
		return false;
	http_reply_field(c->x, "Access-Control-Allow-Methods",
	    SLICE_LIT("GET, HEAD, POST, PUT, PATCH, DELETE"));
	http_reply_field(c->x, "Access-Control-Allow-Headers",
	    SLICE_LIT("Authorization, Content-Type, Range, Last-Event-ID"));
	http_reply_field(c->x, "Access-Control-Max-Age", SLICE_LIT("600"));
	api_no_content(c);
	return true;
}

/* --- the body --- */

int
api_read_json(struct api_call *c, size_t max)
{
	return http_api_body(c->x, api_problems, max, &c->in);
}

/* --- dispatch --- */

static void
run(struct api_call *c)
{
	int rc;

	/* By address before, and by account after it is known. */
	if ((rc = authorize(c)) == 0 &&
	    (rc = http_api_rate(
		 c->x, api_problems, c->account, c->env->rate)) == 0 &&
	    c->route->json)
		rc = api_read_json(c, API_JSON_MAX);
	if (rc == 0)
		rc = c->route->run(c);
	/* Gone, or shutting down: there is nobody to tell. */
	if (rc != 0 && rc != API_REPLIED && c->x->rc == 0 && !c->x->begun)
		api_errno(c, rc);
}

static const struct api_route *
find_route(struct api_call *c, struct http_match *m)
{
	const struct api_route *r =
	    api_route_find(api_routes, m, c->a, c->param);

	if (r != NULL || m->allow != 0 || !c->env->test_inbox)
		return r;
	return api_route_find(api_inbucket_routes, m, c->a, c->param);
}

static void
handle(struct http_exchange *x)
{
	struct api_call c = { .x = x, .a = &x->a, .env = x->arg };
	struct http_match m = { .method = x->head.method };
	struct slice path = x->head.path;
	int64_t began_us = clock_mono_us();

	know_peer(&c);
	find_token(&c);
	if (!answer_cors(&c)) {
		m.path = slice_from(path, strlen(API_ROOT));
		if (slice_starts(path, API_ROOT "/"))
			c.route = find_route(&c, &m);
		if (c.route == NULL)
			http_match_refuse(x, api_problems, &m);
		else
			run(&c);
	}
	seal_key_unref(&c.token.key);
	json_decref(c.in);
	http_api_log(
	    x, c.route != NULL ? c.route->id : NULL, c.account, began_us);
}

static void
refuse(struct http_exchange *x, int status)
{
	http_api_refuse(x, api_problems, status);
}

const struct http_server api_server = {
	.handle = handle,
	.refuse = refuse,
	.fields = HTTP_API_FIELDS,
	.memory = MEMORY,
};

int
api_start(
    const struct conf *conf, struct mails *mails, struct accounts *accounts)
{
	size_t n;

	service_env = (struct api_env){
		.mails = mails,
		.accounts = accounts,
		.plaintext_login = conf_bool(conf, "mailbox.plaintext_login"),
		.test_inbox = conf_bool(conf, "mailbox.test_inbox"),
		.rate = conf_int(conf, "mailbox.http_rate"),
		.session_s =
		    conf_duration_ms(conf, "mailbox.http_session") / 1000,
		.msa = conf_str(conf, "mailbox.msa"),
		.run_dir = conf_file(conf, "run_dir"),
		.spool_dir = conf_file(conf, "mailbox.spool_dir"),
		.max_size = conf_size(conf, "mailbox.max_size"),
		.origins = conf_list(conf, "mailbox.http_origins", &n),
	};
	return 0;
}

void
api_session(struct conn *c, const struct service_protocol *p)
{
	/* The configuration may be replaced while requests run; its strings
	 * live as long as sessions that began under it. */
	struct api_env env = service_env;

	(void)p;
	http_serve(c, &api_server, &env);
}
