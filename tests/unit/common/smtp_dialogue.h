/* SPDX-License-Identifier: ISC */
/*
 * Dialogues with the server engine, in process: a script of lines against a
 * session on the other end of a socketpair, with a handler that decides by the
 * local part and records what it was given.
 *
 *	"C: text"  send a line             "R: octets"  send as they are
 *	"S: text"  expect a line; a final * stands for any rest
 *	"E:"       expect the end          "T:"         start TLS
 *	"N:"       send a NUL              "X:"         expect the end, after
 *	                                                anything
 *	"K:"       cancel the session
 *	"P: addr"  first of all: who the server takes us for (a Unix peer)
 *
 * What is sent can be cut at one place, or at all: each part is sent when the
 * server has taken what came before, so the cut is real and needs no clock.
 */
#ifndef TEST_SMTP_DIALOGUE_H
#define TEST_SMTP_DIALOGUE_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/co.h"
#include "common/base/log.h"
#include "common/smtp/server.h"

#define CUT_NOWHERE SIZE_MAX
#define CUT_EVERYWHERE (SIZE_MAX - 1)

#define SCRIPT(...)                                                            \
	(const char *const[])                                                  \
	{                                                                      \
		__VA_ARGS__, NULL                                              \
	}

/* --- the handler that records --- */

static struct buf record; /* events, one per line */
static size_t resets, disconnects;

static bool
local_is(const struct smtp_path *p, const char *local)
{
	return slice_eq_str(p->local, local);
}

static int
on_connect(struct smtp_session *s, struct smtp_reply *reply)
{
	const char *mood = smtp_session_server(s)->app;

	if (mood != NULL && strcmp(mood, "refuse") == 0)
		*reply = SMTP_REPLY(554, "5.7.1", "Not you");
	return mood != NULL && strcmp(mood, "broken") == 0 ? -EIO : 0;
}

static int
on_helo(struct smtp_session *s, struct smtp_reply *reply)
{
	if (slice_eq_str(smtp_session_helo(s), "refused.example"))
		*reply = SMTP_REPLY(550, "5.7.1", "Not you");
	return slice_eq_str(smtp_session_helo(s), "broken.example") ? -EIO : 0;
}

static int
on_command(struct smtp_session *s, struct slice verb, struct slice args,
    struct smtp_reply *reply)
{
	(void)s;
	if (!slice_eq_str_nocase(verb, "XTEST"))
		return -ENOSYS;
	if (args.n > 0)
		*reply = SMTP_REPLY(250, "2.0.0", "Tested");
	return args.n > 0 ? 0 : -EIO;
}

static int
on_mail(
    struct smtp_session *s, const struct smtp_mail *m, struct smtp_reply *reply)
{
	(void)s;
	if (local_is(&m->from, "mail550"))
		*reply = SMTP_REPLY(550, "5.7.1", "Not from you");
	if (local_is(&m->from, "mailbroken"))
		return -ECONNREFUSED;
	if (local_is(&m->from, "mailfull"))
		return -ENOSPC;
	return 0;
}

static int
on_rcpt(struct smtp_session *s, struct smtp_rcpt *r, struct smtp_reply *reply)
{
	(void)s;
	if (local_is(&r->to, "nobody"))
		*reply = SMTP_REPLY(550, "5.1.1", "No such mailbox");
	if (local_is(&r->to, "later"))
		*reply = SMTP_REPLY(450, "4.2.0", "Come back\nlater");
	if (local_is(&r->to, "broken"))
		return -EIO;
	if (local_is(&r->to, "moved"))
		*reply = SMTP_REPLY(251, "2.1.5", "<new@b.example>");
	if (local_is(&r->to, "moved-utf8"))
		*reply = SMTP_REPLY(251, "2.1.5", "<\xc3\xa4@b.example>");
	if (local_is(&r->to, "utf8"))
		*reply = SMTP_REPLY(550, "5.1.1", "No \xc3\xa4");
	return 0;
}

static int
on_verify(struct smtp_session *s, struct arena *a, const struct smtp_path *who,
    struct smtp_reply *reply)
{
	(void)s;
	if (local_is(who, "broken"))
		return -EIO;
	if (local_is(who, "later"))
		*reply = SMTP_REPLY(451, "4.3.0", "Not now");
	else if (local_is(who, "nobody"))
		*reply = SMTP_REPLY(550, "5.1.1", "No such mailbox");
	else
		*reply = smtp_reply_f(
		    a, 250, "2.1.5", "<%.*s>", (int)who->text.n, who->text.p);
	return 0;
}

static int
on_flush(struct smtp_session *s, struct arena *a, struct slice node,
    bool subdomains, struct smtp_reply *reply)
{
	(void)s;
	if (slice_eq_str(node, "broken"))
		return -EIO;
	if (slice_eq_str(node, "later"))
		*reply = SMTP_REPLY(451, "4.3.0", "Not now");
	else if (slice_eq_str(node, "forbidden"))
		*reply = SMTP_REPLY(459, "4.7.1", "Not for you");
	else
		*reply = smtp_reply_f(a, 253, "2.0.0", "%s%.*s",
		    subdomains ? "below " : "", (int)node.n, node.p);
	return 0;
}

static int
on_data(struct smtp_session *s, struct smtp_reply *reply)
{
	if (local_is(&smtp_session_mail(s)->from, "nodata"))
		*reply = SMTP_REPLY(550, "5.7.1", "No data from you");
	return 0;
}

/* What MAIL asked for beyond delivery; times as whole seconds from now. */
static void
record_wishes(const struct smtp_wishes *w)
{
	if (w->hold.n > 0)
		buf_printf(&record, "hold %.*s until now+%lld\n",
		    (int)w->hold.n, w->hold.p,
		    (long long)((w->release_ms - clock_wall_ms() + 500) /
			1000));
	if (w->has_priority)
		buf_printf(&record, "priority %d\n", w->priority);
	if (w->by_mode != '\0')
		buf_printf(&record, "by now%+lld;%c%s\n",
		    (long long)(w->by_ms - clock_wall_ms() + 1000000500) /
			    1000 - 1000000,
		    w->by_mode, w->by_trace ? "T" : "");
	if (w->requiretls)
		buf_put_str(&record, "requiretls\n");
}

static void
record_message(struct smtp_session *s, struct spool *body)
{
	const struct smtp_mail *m = smtp_session_mail(s);
	struct smtp_rcpt *const *rcpts;
	struct slice part;
	size_t n;

	const struct smtp_xforward *x = smtp_session_xforward(s);

	rcpts = smtp_session_rcpts(s, &n);
	if (x->name.n > 0 || x->helo.n > 0)
		buf_printf(&record,
		    "for name=%.*s addr=%.*s helo=%.*s "
		    "proto=%.*s\n",
		    (int)x->name.n, x->name.p, (int)x->addr.n, x->addr.p,
		    (int)x->helo.n, x->helo.p, (int)x->proto.n, x->proto.p);
	buf_printf(&record,
	    "message with=%s from=%.*s size=%llu body=%d "
	    "utf8=%d ret=%d envid=%.*s auth=%.*s 8bit=%d\n",
	    smtp_session_with(s), (int)m->from.text.n, m->from.text.p,
	    (unsigned long long)m->size, m->body, m->smtputf8, m->ret,
	    (int)m->envid.n, m->envid.p, (int)m->auth.n, m->auth.p,
	    spool_is_8bit(body));
	record_wishes(&m->wishes);
	for (size_t i = 0; i < n; i++)
		buf_printf(&record, "rcpt %.*s notify=%u orcpt=%.*s\n",
		    (int)rcpts[i]->to.text.n, rcpts[i]->to.text.p,
		    rcpts[i]->notify, (int)rcpts[i]->orcpt.n,
		    rcpts[i]->orcpt.p);
	for (uint64_t at = 0; at < spool_size(body); at += part.n) {
		if (spool_view(body, at, &part) != 0)
			abort();
		buf_put_slice(&record, part);
	}
	buf_put_str(&record, "--\n");
}

static int
on_message(struct smtp_session *s, struct spool *body,
    struct smtp_reply *replies, size_t n)
{
	struct smtp_rcpt *const *rcpts;
	size_t n_rcpts;

	record_message(s, body);
	rcpts = smtp_session_rcpts(s, &n_rcpts);
	for (size_t i = 0; i < n; i++) {
		replies[i] = SMTP_REPLY(250, "2.0.0", "Stored");
		if (local_is(&rcpts[i]->to, "full"))
			replies[i] = SMTP_REPLY(452, "4.2.2", "Full");
		if (local_is(&rcpts[i]->to, "silent"))
			replies[i] = (struct smtp_reply){ 0 };
	}
	if (local_is(&smtp_session_mail(s)->from, "diskfull"))
		return -ENOSPC;
	return 0;
}

static void
on_reset(struct smtp_session *s)
{
	(void)s;
	resets++;
}

static void
on_disconnect(struct smtp_session *s)
{
	(void)s;
	disconnects++;
}

static int
auth_login(struct smtp_session *s, bool *good)
{
	struct slice r;
	int rc;

	rc = smtp_session_challenge(s, SLICE_LIT("Username:"), &r);
	if (rc != 0)
		return rc;
	*good = slice_eq_str(r, "alice");
	rc = smtp_session_challenge(s, SLICE_LIT("Password:"), &r);
	*good = *good && rc == 0 && slice_eq_str(r, "secret");
	return rc;
}

static int
on_auth(struct smtp_session *s, struct slice mechanism, struct slice initial,
    bool has_initial, struct smtp_reply *reply)
{
	bool good = false;
	int rc = 0;

	if (slice_eq_str(mechanism, "LOGIN")) {
		rc = auth_login(s, &good);
	} else {
		if (!has_initial)
			rc = smtp_session_challenge(s, SLICE_EMPTY, &initial);
		good =
		    rc == 0 && slice_eq(initial, SLICE_LIT("\0alice\0secret"));
	}
	if (good) {
		smtp_session_set_authenticated(s, "alice");
		*reply = SMTP_REPLY(235, "2.7.0", "Welcome");
	}
	return rc;
}

static const char *offered_mechanisms = "PLAIN LOGIN";

static const char *
on_mechanisms(struct smtp_session *s)
{
	(void)s;
	return offered_mechanisms;
}

static const struct smtp_handler recording = {
	.connect = on_connect,
	.helo = on_helo,
	.command = on_command,
	.mail = on_mail,
	.rcpt = on_rcpt,
	.verify = on_verify,
	.flush = on_flush,
	.data = on_data,
	.message = on_message,
	.reset = on_reset,
	.disconnect = on_disconnect,
};
static const struct smtp_handler recording_auth = {
	.mail = on_mail,
	.rcpt = on_rcpt,
	.data = on_data,
	.message = on_message,
	.reset = on_reset,
	.disconnect = on_disconnect,
	.auth = on_auth,
	.auth_mechanisms = on_mechanisms,
};

#define ALL_EXTENSIONS 0xffffffffU

static const struct smtp_server esmtp = {
	.kind = SMTP_SERVER_ESMTP,
	.handler = &recording,
	.hostname = "mx.test",
	.extensions = ALL_EXTENSIONS,
	.max_size = 1000,
	.max_recipients = 4,
	.max_errors = 5,
	.timeout_ms = 60000,
	.spool_dir = "/tmp",
};
static const struct smtp_server lmtp = {
	.kind = SMTP_SERVER_LMTP,
	.handler = &recording,
	.hostname = "mx.test",
	.extensions = ALL_EXTENSIONS,
	.max_size = 1000,
	.max_recipients = 4,
	.max_errors = 5,
	.timeout_ms = 60000,
	.spool_dir = "/tmp",
};

/* --- the two ends --- */

struct dialogue {
	const struct smtp_server *server;
	const char *const *script;
	size_t cut;
	struct tls_client *tls;

	int fds[2];
	struct conn *client;
	struct co *server_co;
	size_t sent;
	size_t line; /* of the script */
	const char *peer;
	char error[1024];
};

static void
dialogue_server(void *arg)
{
	struct dialogue *d = arg;
	struct conn *c;

	d->server_co = co_self();
	if (conn_new(&c, d->fds[1], d->fds[1]) != 0)
		abort();
	if (d->peer != NULL) {
		struct net_addr peer;

		if (net_addr_parse(&peer, d->peer, "") != 0)
			abort();
		conn_set_peer(c, &peer);
	}
	smtp_serve(d->server, c);
	conn_free(&c);
	d->fds[1] = -1;
}

/* Until the server has read all (or is gone). */
static void
settle(struct dialogue *d)
{
	int waiting;

	conn_flush(d->client);
	for (int i = 0; i < 10000; i++) {
		co_yield ();
		if (d->fds[1] == -1 ||
		    (ioctl(d->fds[1], FIONREAD, &waiting) == 0 && waiting == 0))
			break;
	}
	co_yield ();
}

static void
dialogue_send(struct dialogue *d, struct slice s)
{
	if (d->cut == CUT_EVERYWHERE) {
		for (size_t i = 0; i < s.n; i++) {
			conn_write(d->client, slice(s.p + i, 1));
			settle(d);
		}
		return;
	}
	if (d->cut > d->sent && d->cut - d->sent < s.n) {
		size_t n = d->cut - d->sent;

		conn_write(d->client, slice_head(s, n));
		settle(d);
		conn_write(d->client, slice_from(s, n));
	} else {
		conn_write(d->client, s);
	}
	d->sent += s.n;
}

static void
dialogue_fail(struct dialogue *d, const char *got)
{
	snprintf(d->error, sizeof(d->error),
	    "line %zu: want \"%.300s\" got \"%.500s\"", d->line,
	    d->script[d->line], got);
}

static bool
matches(const char *want, const char *got)
{
	size_t n = strlen(want);

	if (n > 0 && want[n - 1] == '*')
		return strncmp(want, got, n - 1) == 0;
	return strcmp(want, got) == 0;
}

/* Every refusal ends with what to ask the admin for. */
static bool
has_reference(const char *line)
{
	const char *at = strstr(line, " [ref ");

	if ((line[0] != '4' && line[0] != '5') || line[3] != ' ')
		return true;
	return at != NULL && strchr(at, ']') == line + strlen(line) - 1;
}

static void
dialogue_expect(struct dialogue *d, const char *want)
{
	struct slice line;
	char got[600];
	bool bare_lf;
	int rc = conn_read_line(d->client, sizeof(got) - 1, &line, &bare_lf);

	if (rc != 0) {
		dialogue_fail(d, strerror(-rc));
		return;
	}
	memcpy(got, line.p, line.n);
	got[line.n] = '\0';
	if (bare_lf || !matches(want, got) || !has_reference(got))
		dialogue_fail(d, got);
}

static void
dialogue_expect_end(struct dialogue *d)
{
	struct slice rest;
	char got[600];
	int rc = conn_peek(d->client, &rest);

	if (rc == -EPIPE || rc == -ECONNRESET)
		return;
	snprintf(got, sizeof(got), "%.*s", rc == 0 ? (int)rest.n : 0,
	    rc == 0 ? rest.p : "");
	dialogue_fail(d, got);
}

static void
dialogue_step(struct dialogue *d, const char *step)
{
	const char *text = step[1] == ':' && step[2] == ' ' ? step + 3 : "";

	if (*step == 'C') {
		dialogue_send(d, slice_str(text));
		dialogue_send(d, SLICE_LIT("\r\n"));
	} else if (*step == 'R') {
		dialogue_send(d, slice_str(text));
	} else if (*step == 'N') {
		dialogue_send(d, slice("", 1));
	} else if (*step == 'S') {
		dialogue_expect(d, text);
	} else if (*step == 'E') {
		dialogue_expect_end(d);
	} else if (*step == 'X') {
		while (conn_peek(d->client, &(struct slice){ 0 }) == 0)
			conn_discard_input(d->client);
	} else if (*step == 'K') {
		settle(d);
		co_cancel(d->server_co);
	} else if (*step == 'T') {
		if (conn_starttls_client(d->client, d->tls, "mx.test") != 0)
			dialogue_fail(d, "handshake failed");
	} else {
		abort();
	}
}

static void
dialogue_client(void *arg)
{
	struct dialogue *d = arg;
	struct co_group g = { 0 };

	if (conn_new(&d->client, d->fds[0], d->fds[0]) != 0)
		abort();
	conn_set_timeout(d->client, 20000);
	d->peer = NULL;
	if (*d->script[d->line] == 'P')
		d->peer = d->script[d->line++] + 3;
	/* The greeting is waited for, so that only those who want to are early
	 * talkers. */
	if (*d->script[d->line] != 'S')
		dialogue_step(d, d->script[d->line++]);
	co_group_spawn(&g, dialogue_server, d);
	for (; d->error[0] == '\0' && d->script[d->line] != NULL; d->line++)
		dialogue_step(d, d->script[d->line]);
	conn_free(&d->client);
	co_group_join(&g);
}

/* A key and a certificate of it for mx.test, both in one PEM file, which the
 * caller unlinks. */
static void __attribute__((unused)) make_certificate(char path[static 32])
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	X509_NAME *name = X509_get_subject_name(x);
	FILE *f;
	int fd;

	snprintf(path, 32, "/tmp/pneu-cert.XXXXXX");
	if ((fd = mkstemp(path)) == -1 || (f = fdopen(fd, "w")) == NULL)
		abort();
	X509_set_version(x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -60);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
	    (const unsigned char *)"mx.test", -1, -1, 0);
	X509_set_issuer_name(x, name);
	if (X509_sign(x, key, EVP_sha256()) == 0 ||
	    PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 0 ||
	    PEM_write_X509(f, x) == 0)
		abort();
	fclose(f);
	X509_free(x);
	EVP_PKEY_free(key);
}

/* "" when all went as written. What was recorded is in `record`. */
__attribute__((unused)) static const char *
dialogue_run(struct dialogue *d)
{
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, d->fds) != 0)
		abort();
	buf_reset(&record);
	resets = disconnects = 0;
	d->sent = d->line = 0;
	d->error[0] = '\0';
	co_run(dialogue_client, d);
	return d->error;
}

/* Octets that the script sends. */
static size_t __attribute__((unused)) dialogue_octets(const char *const *script)
{
	size_t n = 0;

	for (; *script != NULL; script++)
		if (**script == 'C' || **script == 'R')
			n += strlen(*script) - 3 + (**script == 'C' ? 2 : 0);
	return n;
}

#endif
