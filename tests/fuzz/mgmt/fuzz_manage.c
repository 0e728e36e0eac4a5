/* SPDX-License-Identifier: ISC */
/*
 * The HTTP API of `pneu manage` as a whole, on a small directory: records
 * (http_framed.h) after an octet that says who asks. A thread plays pneu-mailbox,
 * which knows whose a token is. @O is an account elsewhere, @N a subscription,
 * @A and @U admin's and user's token.
 *
 * Whatever comes, replies are HTTP and JSON, problems are those that the
 * OpenAPI document has for the path, and nothing is our fault (5xx) but where
 * a program is asked that is not there. What would go out into the world is
 * left out: servers by DNS, and the state of the machine's programs.
 */
#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/auth/accounts_impl.h"
#include "common/auth/notice.h"
#include "common/base/co.h"
#include "common/base/log.h"
#include "mgmt/api/manage_impl.h"
#include "tests/fuzz/http_answers.h"
#include "tests/fuzz/http_framed.h"
#include "tests/fuzz/json_kept.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

#define INPUT_MAX 8000
#define REQUESTS_MAX 40

static struct manage_env env;
static struct answers seen;
static struct slice input;
static uint8_t how;
static struct conn *client, *server;
static char dir[64], notice[40];

static const struct framed_name names[] = { { 'A', "admin" }, { 'U', "user" },
	{ 'O', "o@else.test" }, { 'N', notice }, { 0 } };

/* --- pneu-mailbox --- */

static const char *
session_of(const char *head)
{
	if (strstr(head, "Bearer admin\r") != NULL)
		return "200 OK\r\n\r\n{\"account\":\"a@x.test\",\"scopes\":"
		       "[\"account\",\"admin\"]}";
	if (strstr(head, "Bearer user\r") != NULL)
		return "200 OK\r\n\r\n{\"account\":\"u@x.test\",\"scopes\":"
		       "[\"account\"]}";
	if (strstr(head, "Bearer reader\r") != NULL)
		return "200 OK\r\n\r\n{\"account\":\"u@x.test\",\"scopes\":"
		       "[\"read\"]}";
	if (strstr(head, "pneu=user\r") != NULL)
		return "200 OK\r\n\r\n{\"account\":\"u@x.test\",\"scopes\":"
		       "[\"account\"],\"csrf\":\"csrf\"}";
	return "401 Unauthorized\r\n\r\n{\"code\":\"bad-token\"}";
}

static void
answer(int fd)
{
	char head[70000];
	size_t n = 0;
	ssize_t got;
	const char *text;

	while (n < sizeof(head) - 1 &&
	    (got = read(fd, head + n, sizeof(head) - 1 - n)) > 0) {
		n += (size_t)got;
		head[n] = '\0';
		if (strstr(head, "\r\n\r\n") == NULL)
			continue;
		text = session_of(head);
		if (write(fd, "HTTP/1.0 ", 9) == 9 &&
		    write(fd, text, strlen(text)) > 0)
			break;
	}
	close(fd);
}

static void *
mailbox(void *arg)
{
	int listener = *(int *)arg, fd;

	while ((fd = accept(listener, NULL, NULL)) >= 0)
		answer(fd);
	return NULL;
}

static void
clean_up(void)
{
	char command[100];

	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	(void)!system(command);
}

static void
start_mailbox(void)
{
	static int listener;
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	pthread_t thread;

	snprintf(dir, sizeof(dir), "/tmp/pneu-fuzz-XXXXXX");
	need(mkdtemp(dir) != NULL);
	atexit(clean_up);
	snprintf(at.sun_path, sizeof(at.sun_path), "%s/mailbox.http", dir);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	need(bind(listener, (struct sockaddr *)&at, sizeof(at)) == 0 &&
	    listen(listener, 16) == 0);
	need(pthread_create(&thread, NULL, mailbox, &listener) == 0);
	pthread_detach(thread);
}

/* --- what is there --- */

static void
fill(struct arena *a, struct buf *err)
{
	struct accounts *accounts = env.accounts;
	struct outside o = { .address = "o@else.test",
		.account = "u@x.test",
		.user = "o",
		.into = "",
		.delete_days = -1,
		.server = { "imap.else.test", 993, OUTSIDE_TLS },
		.smtp = { .host = "" },
		.oauth = { "", "", "", "", "", "", SLICE_EMPTY } };
	struct notice n = { .id = "",
		.account = "u@x.test",
		.url = "https://push.test/x",
		.name = "",
		.p256dh = "" };
	static const char *const targets[] = { "u@x.test" };

	need(
	    accounts_domain_put(accounts,
		&(struct accounts_domain){ .name = "x.test" }, true, err) == 0);
	need(accounts_account_put(accounts,
		 &(struct accounts_account){
		     .address = "u@x.test", .name = "U" },
		 true, err) == 0);
	need(accounts_account_put(accounts,
		 &(struct accounts_account){
		     .address = "a@x.test", .name = "", .admin = true },
		 true, err) == 0);
	need(
	    accounts_address_put(accounts,
		&(struct accounts_address){
		    .address = "l@x.test", .targets = targets, .n_targets = 1 },
		true, err) == 0);
	need(outside_put(accounts, &o, true, SLICE_LIT("secret"), err) == 0);
	need(notice_add(accounts, a, &n, SLICE_LIT("0123456789abcdef"), NULL,
		 err) == 0);
	snprintf(notice, sizeof(notice), "%s", n.id);
	/* A hash takes longer than all the rest. */
	if (framed_has(input, "current"))
		need(accounts_password_set(accounts, SLICE_LIT("u@x.test"),
			 "password", SLICE_LIT("password"), 0, err) == 0);
}

static void
open_all(struct conf **conf)
{
	struct store_conf sc = { .engine = "memory" };
	struct arena a = ARENA_INIT_MAX(1 << 20);
	struct buf err = BUF_INIT;
	char text[600];

	snprintf(text, sizeof(text),
	    "{\"run_dir\":\"%s\",\"hostname\":\"x.test\","
	    "\"mailbox\":{\"http\":\"unix:mailbox.http\"},"
	    "\"manage\":{\"url\":\"https://m.test\",\"http_rate\":0},"
	    "\"trace\":{\"dir\":\"%s/trace\"},"
	    "\"accounts\":{\"hash_cost\":1,\"scram_iterations\":4096,"
	    "\"outside_key\":\"%s/key\"}}",
	    dir, dir, dir);
	*conf = conf_parse("fuzz", slice_str(text), &err);
	need(*conf != NULL &&
	    accounts_open_store(&env.accounts, *conf, &sc, &err) == 0);
	env.conf = *conf;
	fill(&a, &err);
	arena_reset(&a);
	buf_clear(&err);
}

/* --- the client --- */

/* A new account elsewhere whose servers must be found. */
static bool
must_be_found(struct slice record)
{
	const char *gap = memmem(record.p, record.n, "\n\n", 2);
	size_t n = gap == NULL ? record.n : (size_t)(gap + 2 - record.p);
	struct buf body = BUF_INIT;
	json_t *j;
	bool found;

	framed_put(&body, slice_from(record, n), names);
	j = body.n > 0
	    ? json_loadb(body.p, body.n, JSON_REJECT_DUPLICATES, NULL)
	    : NULL;
	found = json_object_get(j, "host") == NULL;
	json_decref(j);
	buf_clear(&body);
	return found;
}

/* Would ask DNS, a provider, or programs of the machine. */
static bool
goes_out(struct slice record)
{
	struct slice rest = record, line = slice_split(&rest, '\n');

	if (framed_has(line, "/outside/find") || framed_has(line, "/status"))
		return true;
	if (!framed_has(line, "/outside") || !framed_has(line, "POST"))
		return false;
	if (framed_has(line, "/outside/"))
		return !framed_has(line, "/outside/login") &&
		    framed_has(line, "/login") &&
		    !framed_has(rest, "{\"flow\":\"code\"}");
	return must_be_found(record);
}

static void
send_all(void *arg)
{
	static const char *const tokens[] = { "admin", "user", "admin", "user",
		"reader", "none" };
	struct buf out = BUF_INIT;

	(void)arg;
	while (input.n > 0) {
		struct slice record = slice_split(&input, RS);

		if (!goes_out(record))
			framed_request(&out, record, tokens[how % 6], names);
	}
	if (conn_write(client, buf_slice(&out)) == 0)
		conn_flush(client);
	conn_shutdown(client);
	buf_clear(&out);
}

/* --- the server --- */

static const struct manage_route *
route_of(const struct http_head *h)
{
	enum http_method as = h->method == HTTP_HEAD ? HTTP_GET : h->method;
	struct slice got[HTTP_PARAMS];

	if (slice_starts(h->path, "/api/v1/"))
		for (const struct manage_route *r = manage_routes; r->path; r++)
			if (r->method == as &&
			    http_path_fits(
				r->path, slice_from(h->path, 7), got))
				return r;
	return NULL;
}

static bool
decodes(struct http_exchange *x, const struct manage_route *r)
{
	struct slice got[HTTP_PARAMS] = { { 0 } };

	http_path_fits(r->path, slice_from(x->head.path, 7), got);
	return http_params_decode(&x->a, got);
}

static void
handle(struct http_exchange *x)
{
	const struct manage_route *r = route_of(&x->head);

	if (r != NULL && !decodes(x, r))
		r = NULL;
	answers_asked(
	    &seen, r == NULL ? NULL : r->id, x->head.method == HTTP_HEAD);
	manage_server.handle(x);
	need(x->rc != 0 || x->begun);
}

static void
refuse(struct http_exchange *x, int status)
{
	answers_asked(&seen, NULL, x->head.method == HTTP_HEAD);
	manage_server.refuse(x, status);
}

static void
serve(void *arg)
{
	struct http_server s = manage_server;

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
	logins_free();
	accounts_close(&env.accounts);
	conf_free(&conf);
}

/* The queue, the gateway. */
static bool
may_be_down(const char *operation)
{
	static const char *const asks[] = { "listQueue", "getQueued",
		"removeQueued", "retryQueued", "holdQueued", "releaseQueued",
		"testOutside", "fetchOutside", "getPushKey", "getNoticeEvents",
		"testNotice", "listDeadNotices", "retryNotices",
		"replayNotices", "getDescription" };

	for (size_t i = 0; i < sizeof(asks) / sizeof(asks[0]); i++)
		if (strcmp(operation, asks[i]) == 0)
			return true;
	return false;
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static json_t *doc;

	if (n < 1 || n > INPUT_MAX)
		return 0;
	json_kept_start();
	if (doc == NULL) {
		doc = answers_document(manage_openapi());
		start_mailbox();
	}
	log_set_level(LOG_LEVEL_ERROR);
	seen = (struct answers){ .document = doc,
		.problems = manage_problems,
		.may_be_down = may_be_down };
	how = p[0];
	input = slice(p + 1, n - 1);
	need(co_run(run, NULL) == 0);
	answers_check(&seen);
	buf_clear(&seen.got);
	json_kept_check();
	return 0;
}
