/* SPDX-License-Identifier: ISC */
#include "gateway/gateway.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/auth/scram_salted.h"
#include "common/base/log.h"
#include "common/mail/transfer.h"
#include "common/smtp/server.h"
#include "gateway/ask.h"
#include "gateway/notices.h"
#include "gateway/push.h"
#include "gateway/relay.h"
#include "gateway/roster.h"

static struct {
	struct gateway g;
	struct roster *roster;
	struct notices *notices;
	struct smtp_server server;
} gateway;

/* --- what is asked of it --- */

static int
fetch_now(
    struct smtp_session *s, struct slice address, struct smtp_reply *reply)
{
	struct roster_result result = { .why = BUF_INIT_MAX(1000) };
	int rc = roster_fetch(gateway.roster, address, &result);

	if (rc == -ENOENT)
		*reply = SMTP_REPLY(550, "5.1.1", "no such outside account");
	else if (rc == -EPERM)
		*reply = SMTP_REPLY(450, "4.2.1", "it is paused");
	else if (rc == 0 && result.end == FETCH_OK)
		*reply = smtp_reply_f(smtp_session_command_arena(s), 250,
		    "2.0.0", "%llu messages, %llu octets",
		    (unsigned long long)result.messages,
		    (unsigned long long)result.octets);
	else if (rc == 0)
		*reply = smtp_reply_f(smtp_session_command_arena(s), 451,
		    result.end == FETCH_LOGIN ? "4.7.0" : "4.4.0", "%s",
		    log_q(buf_slice(&result.why)));
	buf_clear(&result.why);
	return rc == -ENOENT || rc == -EPERM ? 0 : rc;
}

/* Where it signs in by OAuth nobody but us may try: a refresh token may be good
 * for one use. */
static int
test_now(struct smtp_session *s, struct slice address, struct smtp_reply *reply)
{
	const char *name = arena_strdup(smtp_session_arena(s), address);
	struct fetch f = { .g = &gateway.g, .probe = true };
	enum fetch_end end;

	if (name == NULL)
		return -ENOMEM;
	end = fetch_run(&f, name);
	*reply = end == FETCH_OK
	    ? smtp_reply_f(smtp_session_arena(s), 250, "2.0.0",
		  "signed in at %s", f.o.server.host)
	    : smtp_reply_f(smtp_session_arena(s), end == FETCH_GONE ? 550 : 451,
		  end == FETCH_LOGIN ? "4.7.0" : "4.4.0", "%s",
		  log_q(buf_slice(&f.why)));
	fetch_clear(&f);
	return 0;
}

static int
answer_json(struct smtp_session *s, json_t *j, struct smtp_reply *reply)
{
	char *dump = json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY);
	struct buf text = BUF_INIT_MAX((size_t)64 << 10);
	int rc = -ENOMEM;

	if (dump != NULL && base64_encode(&text, slice_str(dump))) {
		*reply = SMTP_REPLY(250, "2.0.0", "");
		reply->text =
		    arena_dup(smtp_session_arena(s), buf_slice(&text));
		rc = reply->text.p == NULL ? -ENOMEM : 0;
	}
	buf_clear(&text);
	free(dump);
	return rc;
}

static int
ask_notices(struct smtp_session *s, struct slice args, struct smtp_reply *reply)
{
	json_t *j = NULL;
	int rc = notices_ask(gateway.notices, args, &j);

	if (rc == 0)
		rc = answer_json(s, j, reply);
	json_decref(j);
	switch (rc) {
	case -ENOENT:
		*reply = SMTP_REPLY(550, "5.1.1", "no such subscription");
		return 0;
	case -ERANGE:
		*reply = SMTP_REPLY(550, "5.1.1", "that event is not kept");
		return 0;
	case -EPERM:
		*reply = SMTP_REPLY(450, "4.2.1", "it is paused");
		return 0;
	case -EINVAL:
		*reply = SMTP_REPLY(501, "5.5.4", "XNOTICE what, please");
		return 0;
	default:
		return rc;
	}
}

static int
on_command(struct smtp_session *s, struct slice verb, struct slice args,
    struct smtp_reply *reply)
{
	bool only_test = false;

	if (!net_addr_is_unix(conn_peer(smtp_session_conn(s))))
		return -ENOSYS;
	if (ask_command(&gateway.g, gateway.roster, s, verb, args, reply))
		return 0;
	if (slice_eq_str_nocase(verb, "XNOTICE"))
		return ask_notices(s, args, reply);
	if (!slice_eq_str_nocase(verb, "XFETCH"))
		return -ENOSYS;
	if (slice_ends_nocase(args, "> TEST")) {
		args = slice_head(args, args.n - 5);
		only_test = true;
	}
	if (args.n < 3 || args.p[0] != '<' || args.p[args.n - 1] != '>') {
		*reply = SMTP_REPLY(501, "5.5.4", "XFETCH <address>, please");
		return 0;
	}
	return (only_test ? test_now : fetch_now)(
	    s, slice_from(slice_head(args, args.n - 1), 1), reply);
}

static const struct smtp_handler handler = {
	.rcpt = relay_rcpt,
	.message = relay_message,
	.command = on_command,
};

void
gateway_session(struct conn *c, const struct service_protocol *p)
{
	(void)p;
	smtp_serve(&gateway.server, c);
}

/* --- from start to end --- */

#define MAILBOX_CONNECTIONS 32
/* All of Gmail's are to one host; tokens come from a few providers. */
#define API_CONNECTIONS 128
#define TOKEN_CONNECTIONS 16
#define HTTP_CONNECTIONS 1024

int
gateway_open(
    struct gateway *g, const struct conf *conf, bool readonly, struct buf *err)
{
	static struct smtp_client_conf client;
	int rc;

	client = (struct smtp_client_conf){ .lmtp = true,
		.final = true,
		.hostname = service_hostname(),
		.connect_timeout_ms = 10000,
		.timeout_ms = 300000 };
	g->conf = conf;
	g->spool_dir = conf_file(conf, "gateway.spool_dir");
	g->compare_s = conf_duration_ms(conf, "gateway.compare") / 1000;
	if ((rc = accounts_open(&g->accounts, conf, false, err)) != 0 ||
	    (rc = tls_client_new(&g->tls, conf, TLS_VERIFY_NAMES, err)) != 0 ||
	    (rc = dns_new(&g->dns, conf, err)) != 0 ||
	    (rc = http_client_new(&g->http, conf, err)) != 0 ||
	    (rc = http_client_new(&g->api, conf, err)) != 0 ||
	    (!readonly && (rc = tokens_new(&g->tokens, g)) != 0) ||
	    (rc = smtp_pool_new(&g->mailbox, conf_str(conf, "gateway.mailbox"),
		 conf_file(conf, "run_dir"), &client, MAILBOX_CONNECTIONS)) !=
		0)
		return rc;
	http_client_limit(g->api, HTTP_CONNECTIONS, API_CONNECTIONS);
	http_client_limit(g->http, HTTP_CONNECTIONS, TOKEN_CONNECTIONS);
	rc = state_open(&g->state, conf, readonly, err);
	if (rc == -ENOENT && readonly) {
		buf_reset(err);
		rc = 0;
	}
	return rc;
}

void
gateway_close(struct gateway *g)
{
	tokens_free(&g->tokens);
	http_client_free(&g->api);
	http_client_free(&g->http);
	smtp_pool_free(&g->mailbox);
	state_close(&g->state);
	dns_free(&g->dns);
	tls_client_free(&g->tls);
	accounts_close(&g->accounts);
}

static struct roster_conf
settings(const struct conf *conf)
{
	return (struct roster_conf){
		.interval_ms = conf_duration_ms(conf, "gateway.interval"),
		.retry = { conf_duration_ms(conf, "gateway.retry_first"),
		    conf_duration_ms(conf, "gateway.retry_max") },
		/* Who is refused too often may be locked out for good. */
		.login = { 10 * conf_duration_ms(conf, "gateway.retry_first"),
		    6 * conf_duration_ms(conf, "gateway.retry_max") },
		.max_fetches = (size_t)conf_int(conf, "gateway.max_fetches"),
		.max_per_host = (size_t)conf_int(conf, "gateway.max_per_host"),
		.max_idle = (size_t)conf_int(conf, "gateway.max_idle"),
	};
}

/* For sessions from now on. */
static void
server_init(void)
{
	static const char *const ehlo[] = { "XFETCH", "XNOTICE", NULL };

	gateway.server = (struct smtp_server){
		.kind = SMTP_SERVER_LMTP,
		.handler = &handler,
		.hostname = service_hostname(),
		.extensions = SMTP_EXT_PIPELINING | SMTP_EXT_ENHANCED |
		    SMTP_EXT_SIZE | SMTP_EXT_8BITMIME | SMTP_EXT_SMTPUTF8 |
		    SMTP_EXT_CHUNKING | SMTP_EXT_XTRACE | SMTP_EXT_XOUTSIDE,
		.extra_ehlo = ehlo,
		.max_size = (uint64_t)1 << 40, /* msa's limit is the one */
		.max_recipients = 1000,
		.max_errors = 100,
		.timeout_ms = 3600000,
		.spool_dir = gateway.g.spool_dir,
		.app = &gateway.g,
	};
}

void
gateway_reload(const struct conf *conf)
{
	struct roster_conf rc = settings(conf);

	gateway.g.conf = conf;
	gateway.g.compare_s = conf_duration_ms(conf, "gateway.compare") / 1000;
	server_init();
	roster_configure(gateway.roster, &rc);
	notices_configure(gateway.notices, conf);
}

int
gateway_start(const struct conf *conf)
{
	struct roster_conf settings_now = settings(conf);
	struct buf err = BUF_INIT;
	int rc = gateway_open(&gateway.g, conf, false, &err);

	if (rc == 0)
		rc = notices_new(&gateway.notices, &gateway.g, conf, &err);
	if (rc == 0)
		rc = roster_new(&gateway.roster, &gateway.g, &settings_now);
	if (rc == 0)
		rc = push_start(&gateway.g);
	if (rc != 0)
		log_error("start", "error=\"%s\" reason=\"%s\"", strerror(-rc),
		    log_q(buf_slice(&err)));
	buf_clear(&err);
	server_init();
	return rc;
}

void
gateway_stop(void)
{
	push_stop();
	notices_free(&gateway.notices);
	roster_free(&gateway.roster);
	scram_salted_wipe();
	gateway_close(&gateway.g);
}

/* Read only, but where it is still to be made: what is not there when the
 * sandbox begins is never seen. */
static const char *
key_folder(const struct conf *conf, bool *make)
{
	static char path[PATH_MAX];
	char *folder;

	snprintf(
	    path, sizeof(path), "%s", conf_file(conf, "accounts.outside_key"));
	folder = dirname(path);
	*make = access(folder, F_OK) == -1;
	return folder;
}

size_t
gateway_paths(const struct conf *conf, struct service_path *out, size_t max)
{
	/* LMDB's reader table is written by readers too. */
	static const char *const names[] = { "gateway.dir", "gateway.spool_dir",
		"accounts.dir" };
	size_t n = 0;

	for (; n < sizeof(names) / sizeof(names[0]) && n < max; n++)
		out[n] =
		    (struct service_path){ conf_file(conf, names[n]), true };
	if (n < max) {
		out[n].path = key_folder(conf, &out[n].write);
		n++;
	}
	return n;
}
