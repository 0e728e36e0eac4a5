/* SPDX-License-Identifier: ISC */
#include "gateway/gateway.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/auth/program_ask.h"
#include "common/auth/scram_salted.h"
#include "common/base/log.h"
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
ask_notices(struct smtp_session *s, struct slice args, struct smtp_reply *reply)
{
	json_t *j = NULL;
	int rc = notices_ask(gateway.notices, args, &j);

	switch (rc) {
	case 0:
		program_answer(smtp_session_arena(s), j, reply);
		return 0;
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
	if (!net_addr_is_unix(conn_peer(smtp_session_conn(s))))
		return -ENOSYS;
	if (ask_command(&gateway.g, gateway.roster, s, verb, args, reply))
		return 0;
	if (slice_eq_str_nocase(verb, "XNOTICE"))
		return ask_notices(s, args, reply);
	return -ENOSYS;
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
		 conf_file(conf, "run_dir"), &client,
		 MAILBOX_CONNECTIONS +
		     (size_t)conf_int(conf, "gateway.max_fetches"))) != 0)
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

/* Each connection is a descriptor, and who fetches has one to mailbox, too. */
#define DESCRIPTORS_ELSE 300

/* As many may wait for news as there are descriptors for. */
static size_t
max_idle(const struct conf *conf)
{
	size_t wanted = (size_t)conf_int(conf, "gateway.max_idle");
	size_t other = 3 * (size_t)conf_int(conf, "gateway.max_fetches") +
	    DESCRIPTORS_ELSE;
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == -1 || r.rlim_cur == RLIM_INFINITY ||
	    r.rlim_cur >= wanted + other)
		return wanted;
	log_warning("few descriptors",
	    "limit=%llu wanted=%zu; at most %llu accounts wait for news, the "
	    "others are looked at in turns: raise LimitNOFILE= of "
	    "pneu-gateway.service (systemctl edit), or ulimit -n",
	    (unsigned long long)r.rlim_cur, wanted + other,
	    (unsigned long long)(r.rlim_cur > other ? r.rlim_cur - other : 0));
	return r.rlim_cur > other ? (size_t)r.rlim_cur - other : 0;
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
		.max_idle = max_idle(conf),
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

/* A sandbox does not grow: said at once, and not when a token has run out. */
static void
check_secrets(const struct conf *conf)
{
	struct arena a = ARENA_INIT_MAX((size_t)1 << 20);
	const char *const *names, *file;
	size_t n;
	int fd;

	names = conf_map_keys(conf, "gateway.oauth_secrets", &n);
	for (size_t i = 0; i < n; i++) {
		file = conf_resolve(conf, &a,
		    conf_map(conf, "gateway.oauth_secrets", names[i]));
		fd = file == NULL ? -1 : open(file, O_RDONLY | O_CLOEXEC);
		if (fd != -1)
			close(fd);
		else
			log_error("oauth secret",
			    "provider=%s file=%s error=\"%s\" %s",
			    log_qs(names[i]), log_qs(file), strerror(errno),
			    errno == EACCES
				? "is it for us to read? If so, restart "
				  "pneu-gateway: what was named after its start "
				  "is outside of its sandbox, but for the folder "
				  "of the configuration"
				: "");
	}
	arena_reset(&a);
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
	check_secrets(conf);
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
	check_secrets(conf);
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
