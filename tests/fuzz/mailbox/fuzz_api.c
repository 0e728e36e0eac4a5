/* SPDX-License-Identifier: ISC */
/*
 * The HTTP API as a whole, on a small store. The first octet says how it is set
 * up, and how the rest is read: as it stands ('~'), or as records
 * (http_framed.h). @T is a token, @C its CSRF value, @I the INBOX's id, @D that
 * of Drafts.
 *
 * Whatever comes, replies are HTTP and JSON, problems are those that the
 * OpenAPI document has for the path, and nothing is our fault (5xx).
 */
#include "common/auth/accounts_impl.h"
#include "common/base/co.h"
#include "common/base/log.h"
#include "mailbox/api/api_inbucket.h"
#include "tests/fuzz/http_answers.h"
#include "tests/fuzz/http_framed.h"
#include "tests/fuzz/json_kept.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

#define INPUT_MAX 8000
#define REQUESTS_MAX 40
#define ACCOUNT "u@x.test"

static struct api_env env = { .session_s = 3600,
	.max_size = 100000,
	.msa = "nobody.sock",
	.run_dir = "/nonexistent",
	.spool_dir = "/tmp" };
static struct answers seen;
static struct slice input;
static uint8_t how;
static struct conn *client, *server;
static char token[API_TOKEN_LEN + 1], csrf[API_TOKEN_LEN + 1];
static char inbox[24], drafts[24];

static const char message[] =
    "From: =?utf-8?q?J=C3=BCrgen?= <j@else.test>\r\nTo: u@x.test, B "
    "<b@x.test>\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"
    "Message-ID: <m1@else.test>\r\nReferences: <m0@else.test>\r\n"
    "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n"
    "Content-Type: text/html\r\n\r\n<p onclick=1>hi<img src=cid:1>\r\n"
    "--x\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\n"
    "needle\r\n--x\r\nContent-Transfer-Encoding: base64\r\nContent-"
    "Disposition: attachment; filename=a.bin\r\n\r\nbmVlZGxl\r\n--x--\r\n";

/* --- what is there --- */

static void
deliver(struct mails *m)
{
	struct mails_target t = { .account = ACCOUNT,
		.mailbox = SLICE_LIT("INBOX"),
		.internaldate = 761000000 };

	for (int i = 0; i < 3; i++) {
		struct mails_message *msg = NULL;
		struct slice text = slice(message, sizeof(message) - 1);

		need(mails_message_begin(m, &msg) == 0);
		if (i == 1)
			text = SLICE_LIT("Subject: \xff\r\n\r\n\xff\r\n");
		need(mails_message_write(msg, text) == 0);
		need(mails_message_end(msg) == 0 &&
		    mails_deliver(msg, &t, 1) == 0);
		mails_message_free(&msg);
	}
}

/* One is gone, and kept. */
static void
expunge_one(struct mails *m)
{
	struct mails_view *v = NULL;
	uint32_t seq = 3;

	need(mails_view_open(m, ACCOUNT, SLICE_LIT("INBOX"), &v) == 0);
	need(mails_expunge(v, &seq, 1, true) == 0);
	mails_view_close(&v);
}

static void
learn_ids(struct mails *m)
{
	struct arena a = ARENA_INIT_MAX(1 << 20);
	struct mails_info *list;
	size_t n;

	need(mails_list(m, ACCOUNT, &a, &list, &n) == 0);
	for (size_t i = 0; i < n; i++) {
		char *to = strcmp(list[i].name, "INBOX") == 0 ? inbox
		    : list[i].attrs & MAILS_DRAFTS            ? drafts
							      : NULL;

		if (to != NULL)
			snprintf(to, sizeof(inbox), "%llu",
			    (unsigned long long)list[i].id);
	}
	arena_reset(&a);
}

static void
open_accounts(const struct conf *conf)
{
	struct store_conf sc = { .engine = "memory" };
	struct accounts_domain d = { .name = "x.test" };
	struct accounts_account u = { .address = ACCOUNT, .name = "U" };
	struct buf err = BUF_INIT;

	need(accounts_open_store(&env.accounts, conf, &sc, &err) == 0);
	need(accounts_domain_put(env.accounts, &d, true, &err) == 0);
	need(accounts_account_put(env.accounts, &u, true, &err) == 0);
	/* A hash takes longer than all the rest. */
	if (framed_has(input, "password"))
		need(accounts_password_set(env.accounts, slice_str(ACCOUNT),
			 "password", SLICE_LIT("pw"), 0, &err) == 0);
	buf_clear(&err);
}

static void
open_all(struct conf **conf)
{
	struct mails_conf mc = { .store = { .engine = "memory" },
		.keep_s = 1000 };
	struct api_token t = { .account = ACCOUNT,
		.name = "fuzz",
		.scopes = (how & 3) == 3 ? API_READ : API_SCOPES_ALL,
		.created_s = 1,
		.expires_s = INT64_C(1) << 40 };
	struct arena a = ARENA_INIT_MAX(1 << 20);
	struct buf err = BUF_INIT;

	*conf = conf_parse("fuzz",
	    SLICE_LIT("{\"accounts\":{\"hash_cost\":1,"
		      "\"scram_iterations\":4096}}"),
	    &err);
	need(*conf != NULL && mails_open(&env.mails, &mc, &err) == 0);
	open_accounts(*conf);
	deliver(env.mails);
	expunge_one(env.mails);
	learn_ids(env.mails);
	need(api_token_new(&env, &a, &t, token) == 0);
	api_token_csrf(slice_str(token), csrf);
	arena_reset(&a);
	buf_clear(&err);
}

/* --- the client --- */

static const struct framed_name names[] = { { 'T', token }, { 'C', csrf },
	{ 'I', inbox }, { 'D', drafts }, { 0 } };

static void
send_all(void *arg)
{
	struct buf out = BUF_INIT;

	(void)arg;
	if (how == '~')
		framed_put(&out, input, names);
	else
		while (input.n > 0)
			framed_request(
			    &out, slice_split(&input, RS), token, names);
	if (conn_write(client, buf_slice(&out)) == 0)
		conn_flush(client);
	conn_shutdown(client);
	buf_clear(&out);
}

/* --- the server --- */

static void
handle(struct http_exchange *x)
{
	struct slice param[API_PARAMS];
	struct http_match m = { .method = x->head.method };
	const struct api_route *r = NULL;

	if (slice_starts(x->head.path, API_ROOT "/")) {
		m.path = slice_from(x->head.path, strlen(API_ROOT));
		r = api_route_find(api_routes, &m, &x->a, param);
		if (r == NULL && m.allow == 0 && env.test_inbox)
			r = api_route_find(
			    api_inbucket_routes, &m, &x->a, param);
	}
	answers_asked(
	    &seen, r == NULL ? NULL : r->id, x->head.method == HTTP_HEAD);
	api_server.handle(x);
	need(x->rc != 0 || x->begun);
}

static void
refuse(struct http_exchange *x, int status)
{
	answers_asked(&seen, NULL, x->head.method == HTTP_HEAD);
	api_server.refuse(x, status);
}

static void
serve(void *arg)
{
	struct http_server s = api_server;

	(void)arg;
	s.handle = handle;
	s.refuse = refuse;
	s.requests = REQUESTS_MAX;
	http_serve(server, &s, &env);
	conn_free(&server);
}

static void
run(void *arg)
{
	struct conf *conf;
	struct slice piece;

	(void)arg;
	open_all(&conf);
	need(conn_pair(&server, &client) == 0);
	co_spawn(serve, NULL);
	co_spawn(send_all, NULL);
	while (conn_peek(client, &piece) == 0) {
		buf_put_slice(&seen.got, piece);
		conn_consume(client, piece.n);
	}
	while (co_count() > 1)
		need(co_yield () == 0);
	conn_free(&client);
	mails_close(&env.mails);
	accounts_close(&env.accounts);
	conf_free(&conf);
}

/* msa is not there. */
static bool
may_be_down(const char *operation)
{
	return strcmp(operation, "send") == 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static json_t *doc;

	if (n < 1 || n > INPUT_MAX)
		return 0;
	json_kept_start();
	if (doc == NULL)
		doc = answers_document(api_openapi());
	log_set_level(LOG_LEVEL_ERROR);
	seen = (struct answers){ .document = doc,
		.problems = api_problems,
		.may_be_down = may_be_down };
	how = p[0];
	input = slice(p + 1, n - 1);
	env.test_inbox = how != '~' && (how & 4) != 0;
	env.plaintext_login = (how & 8) == 0;
	need(co_run(run, NULL) == 0);
	answers_check(&seen);
	buf_clear(&seen.got);
	json_kept_check();
	return 0;
}
