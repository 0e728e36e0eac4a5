/* SPDX-License-Identifier: ISC */
#include "gateway/relay.h"

#include <errno.h>
#include <stdlib.h>

#include "common/auth/sasl.h"
#include "common/base/log.h"
#include "common/mail/header.h"
#include "common/mail/message_id.h"
#include "gateway/gmail_login.h"
#include "gateway/gmail_envelope.h"
#include "gateway/push.h"

/* One message on its way. */
struct relay {
	struct gateway *g;
	struct smtp_session *s;
	struct arena a;
	struct outside o;
	struct buf secret;
	struct smtp_client *c;
	struct smtp_client_rcpt *rcpts;
	size_t n;
	struct smtp_reply all; /* of all recipients; code 0: each has its own */
	const char *tls_why;   /* there was none; "" */
};

int
relay_rcpt(
    struct smtp_session *s, struct smtp_rcpt *r, struct smtp_reply *reply)
{
	struct slice address;

	if (outside_push_is(r->to.text, &address))
		return push_rcpt(
		    smtp_session_server(s)->app, s, address, reply);
	*reply = smtp_session_mail(s)->wishes.outside
	    ? SMTP_REPLY(250, "2.1.5", "recipient ok")
	    : SMTP_REPLY(
		  550, "5.7.1", "the gateway sends for outside accounts only");
	return 0;
}

/* Words and all, for as long as the session needs them. */
static struct smtp_reply
kept(struct smtp_session *s, struct smtp_reply reply)
{
	reply.text = arena_dup(smtp_session_tx_arena(s), reply.text);
	if (reply.text.p == NULL)
		return SMTP_REPLY(451, "4.3.1", "out of memory");
	return reply;
}

static int
fail(struct relay *r, int code, const char *enhanced, const char *what,
    const char *why)
{
	r->all = smtp_reply_f(
	    smtp_session_tx_arena(r->s), code, enhanced, "%s: %s", what, why);
	return -EIO;
}

/* --- the account --- */

static int
find_account(struct relay *r)
{
	struct slice from = smtp_session_mail(r->s)->from.text;
	int rc = outside_get(r->g->accounts, &r->a, from, &r->o);

	if (rc == -ENOENT ||
	    (rc == 0 && *r->o.smtp.host == '\0' &&
		r->o.protocol != OUTSIDE_GMAIL))
		return fail(r, 550, "5.7.1", log_q(from),
		    "no outside account that sends");
	if (rc != 0)
		return fail(r, 451, "4.3.0", log_q(from), strerror(-rc));
	return 0;
}

/* `refused`: a token that the server has just not taken, or NULL. What the user
 * has to mend waits in the queue. */
static int
find_secret(struct relay *r, const char *refused)
{
	struct slice from = smtp_session_mail(r->s)->from.text;
	struct buf secret = BUF_INIT_MAX(OUTSIDE_SECRET_MAX + 2);
	struct buf why = BUF_INIT_MAX(1000);
	int rc;

	if (r->o.sign_in == OUTSIDE_OAUTH)
		rc = token_get(r->g->tokens, &r->o, refused, &secret, &why);
	else
		rc = outside_secret(r->g->accounts, &r->o, &secret);
	if (rc == 0 && !buf_put_char(&secret, '\0'))
		rc = -ENOMEM;
	buf_wipe(&r->secret);
	r->secret = secret;
	if (rc != 0)
		rc =
		    fail(r, 451, rc == -EACCES ? "4.7.8" : "4.3.0", log_q(from),
			why.n > 0 ? log_q(buf_slice(&why)) : strerror(-rc));
	buf_clear(&why);
	return rc;
}

static int
find_server(struct relay *r, struct net_addr **out, size_t *n)
{
	const char *host = r->o.smtp.host;
	int rc = gateway_addresses(r->g, &r->a, &r->o, &r->o.smtp, out, n);

	return rc == 0 ? 0
		       : fail(r, 451, "4.4.3", host,
			     rc == -EAGAIN ? "DNS gives no answer"
					   : "no such host (no address)");
}

/* A password that is wrong now is the user's to mend: the queue waits. */
static int
cannot_open(struct relay *r, int rc, const struct smtp_reply *said)
{
	const char *host = r->o.smtp.host;
	struct buf text = BUF_INIT_MAX(1000);

	if (*r->tls_why != '\0')
		return fail(r, 451, "4.7.5", host, r->tls_why);
	if (rc != -EPROTO || said->code < 400)
		return fail(r, 451, "4.4.1", host, fetch_words(rc));
	buf_put_slice(&text, said->text);
	fetch_conceal(&text, r->o.user, r->secret.p);
	r->all = smtp_reply_f(smtp_session_tx_arena(r->s), 451,
	    said->code == 535 ? "4.7.8" : "4.4.0", "%s says %d %s", host,
	    said->code, log_q(buf_slice(&text)));
	buf_clear(&text);
	return -EIO;
}

static int
open_once(struct relay *r, const struct net_addr *addrs, size_t n,
    struct smtp_reply *said)
{
	static const enum smtp_client_tls modes[] = { SMTP_TLS_IMPLICIT,
		SMTP_TLS_STARTTLS, SMTP_TLS_NONE };
	const struct smtp_client_conf conf = {
		.hostname = smtp_session_server(r->s)->hostname,
		.tls_mode = modes[r->o.smtp.security],
		.tls = r->g->tls,
		.tls_name = r->o.smtp.host,
		.sasl_user = r->o.user,
		.sasl_password = r->secret.p,
		.sasl = r->o.sign_in == OUTSIDE_OAUTH ? &sasl_smtp_client_token
						      : &sasl_smtp_client,
		.reply_arena = &r->a,
		.tls_why = &r->tls_why,
	};
	int rc = -EHOSTUNREACH;

	r->tls_why = "";

	for (size_t i = 0; i < n; i++) {
		*said = (struct smtp_reply){ 0 };
		rc = smtp_client_open(&r->c, &addrs[i], &conf, said);
		if (rc == 0 || rc == -EPROTO || rc == -ECANCELED)
			break;
	}
	return rc;
}

/* A token may have been revoked before its time: one more try. */
static int
open_server(struct relay *r)
{
	struct smtp_reply said = { 0 };
	struct net_addr *addrs;
	size_t n;
	int rc = find_server(r, &addrs, &n);

	if (rc != 0)
		return rc;
	rc = open_once(r, addrs, n, &said);
	if (rc == -EPROTO && said.code == 535 &&
	    r->o.sign_in == OUTSIDE_OAUTH) {
		char *refused = strdup(buf_str(&r->secret));

		rc = refused == NULL
		    ? fail(r, 451, "4.3.1", "gateway", "out of memory")
		    : find_secret(r, refused);
		free(refused);
		if (rc != 0)
			return rc;
		rc = open_once(r, addrs, n, &said);
	}
	return rc == 0 ? 0 : cannot_open(r, rc, &said);
}

/* --- the message --- */

static int
recipients(struct relay *r)
{
	struct smtp_rcpt *const *v = smtp_session_rcpts(r->s, &r->n);

	r->rcpts = arena_array(&r->a, r->n + 1, sizeof(*r->rcpts));
	if (r->rcpts == NULL)
		return fail(r, 451, "4.3.1", "gateway", "out of memory");
	for (size_t i = 0; i < r->n; i++)
		r->rcpts[i] =
		    (struct smtp_client_rcpt){ .address = v[i]->to.text,
			    .notify = v[i]->notify,
			    .orcpt = v[i]->orcpt };
	return 0;
}

static int
exchange(struct relay *r, struct spool *body)
{
	const struct smtp_mail *m = smtp_session_mail(r->s);
	const struct smtp_client_mail mail = { .from = m->from.text,
		.size = spool_size(body),
		.body = m->body,
		.smtputf8 = m->smtputf8,
		.ret = m->ret,
		.envid = m->envid };
	struct smtp_reply whole = { 0 }, final = { 0 };
	int rc = smtp_client_deliver(
	    r->c, &mail, r->rcpts, r->n, SLICE_EMPTY, body, &whole, &final);

	if (rc != 0)
		return fail(
		    r, 451, "4.4.2", r->o.smtp.host, "the connection was lost");
	if (!smtp_reply_is_positive(&whole)) {
		r->all = kept(r->s, whole);
		return -EIO;
	}
	return 0;
}

/* --- Gmail's API --- */

#define BY_SMTP 1
#define HEADER_SEEN ((size_t)64 << 10)

static int
renew(void *arg, const char *refused)
{
	return find_secret(arg, refused);
}

/* The answer was lost: has it gone out? */
static bool
has_gone(struct relay *r, struct gmail *g, struct spool *body)
{
	char there[GMAIL_ID_MAX + 1];
	struct slice head, id;

	if (spool_head(body, HEADER_SEEN, &head) != 0)
		return false;
	id = header_value(&r->a, head, "Message-ID");
	id = id.n == 0 ? id : message_id_first(&r->a, id);
	return id.p != NULL && id.n > 0 && gmail_find(g, id, true, there) == 0;
}

static int
sent_or_not(struct relay *r, int rc, const char *said)
{
	const char *host = r->o.server.host;

	switch (rc) {
	case 0:
		r->all = SMTP_REPLY(250, "2.0.0", "sent by Gmail's API");
		return 0;
	case -EINVAL:
		return fail(r, 550, "5.6.0", host, said);
	case -E2BIG:
		return fail(r, 552, "5.3.4", host, said);
	case -EACCES:
		/* A reason of ours is there already. */
		return r->all.code != 0 ? -EIO
					: fail(r, 451, "4.7.8", host, said);
	case -EPERM:
		return fail(r, 451, "4.7.8", host, said);
	case -EBUSY:
		return fail(r, 451, "4.3.2", host, said);
	case -EHOSTUNREACH:
		return fail(r, 451, "4.4.1", host, said);
	case -ECONNRESET:
		return fail(r, 451, "4.4.2", host, said);
	default:
		return fail(r, 451, "4.3.0", host,
		    *said != '\0' ? said : strerror(-rc));
	}
}

static int
send_api(struct relay *r, struct slice bcc, struct spool *body)
{
	struct buf base = BUF_INIT_MAX(600);
	char id[GMAIL_ID_MAX + 1];
	struct gmail g;
	int rc;

	gmail_base_put(&base, &r->o.server);
	gmail_init(&g, r->g->api, buf_str(&base), &r->secret);
	g.global_only = r->o.public_only;
	g.renew = renew;
	g.arg = r;
	r->all = (struct smtp_reply){ 0 };
	rc = gmail_send(&g, bcc, body, id);
	if (rc == -ECONNRESET && has_gone(r, &g, body))
		rc = 0;
	rc = sent_or_not(r, rc, buf_str(&g.said));
	gmail_clear(&g);
	buf_clear(&base);
	return rc;
}

/*
 * Gmail sends to whom the header names, and nobody else. Who is of the envelope
 * only goes into a Bcc, which Gmail takes out; where the header names others, who
 * are not to get it from us, only SMTP can do it. BY_SMTP, 0, or it has failed.
 */
static int
by_api(struct relay *r, struct spool *body)
{
	struct buf bcc = BUF_INIT_MAX((size_t)1 << 20);
	struct slice head, *to;
	bool others = true;
	int rc;

	if (r->o.protocol != OUTSIDE_GMAIL)
		return BY_SMTP;
	to = arena_array(&r->a, r->n + 1, sizeof(*to));
	rc = to == NULL ? -ENOMEM : spool_head(body, HEADER_SEEN, &head);
	for (size_t i = 0; rc == 0 && i < r->n; i++)
		to[i] = r->rcpts[i].address;
	if (rc == 0)
		rc = gmail_envelope(&r->a, head, to, r->n, &bcc, &others);
	if (rc != 0)
		rc = fail(r, 451, "4.3.0", "gateway", strerror(-rc));
	else if (!others)
		rc = send_api(r, buf_slice(&bcc), body);
	else if (*r->o.smtp.host != '\0')
		rc = BY_SMTP;
	else
		rc = fail(r, 550, "5.3.3", r->o.server.host,
		    "its header names others than are to get it from here, and "
		    "there is no server for SMTP");
	buf_clear(&bcc);
	return rc;
}

static void
tell(const struct relay *r, const struct smtp_reply *replies)
{
	for (size_t i = 0; i < r->n; i++)
		log_info("sent outside",
		    "from=<%s> to=<%s> relay=%s code=%d reply=\"%s\"",
		    log_q(smtp_session_mail(r->s)->from.text),
		    log_q(r->rcpts[i].address),
		    log_qs(r->c != NULL ? r->o.smtp.host : r->o.server.host),
		    replies[i].code, log_q(replies[i].text));
}

static int
relay_all(struct smtp_session *s, struct spool *body,
    struct smtp_reply *replies, size_t n)
{
	struct relay r = { .g = smtp_session_server(s)->app,
		.s = s,
		.a = ARENA_INIT_MAX((size_t)4 << 20),
		.secret = BUF_INIT_MAX(OUTSIDE_SECRET_MAX + 2),
		.tls_why = "" };
	int rc = recipients(&r);

	if (rc == 0 && (rc = find_account(&r)) == 0 &&
	    (rc = find_secret(&r, NULL)) == 0)
		rc = by_api(&r, body);
	if (rc == BY_SMTP && (rc = open_server(&r)) == 0)
		rc = exchange(&r, body);
	for (size_t i = 0; i < n; i++)
		replies[i] =
		    rc == 0 && r.c != NULL ? kept(s, r.rcpts[i].reply) : r.all;
	tell(&r, replies);
	smtp_client_free(&r.c);
	buf_wipe(&r.secret);
	arena_reset(&r.a);
	return 0;
}

/* All that qm hands over at once goes one way; what goes the other is sent
 * back. */
static bool
is_push(struct smtp_session *s)
{
	struct slice address;
	size_t n;
	struct smtp_rcpt *const *v = smtp_session_rcpts(s, &n);

	return n > 0 && outside_push_is(v[0]->to.text, &address);
}

static void
push_all(struct smtp_session *s, struct spool *body, struct smtp_reply *replies)
{
	struct slice address;
	size_t n;
	struct smtp_rcpt *const *v = smtp_session_rcpts(s, &n);

	for (size_t i = 0; i < n; i++)
		replies[i] = outside_push_is(v[i]->to.text, &address)
		    ? push_message(
			  smtp_session_server(s)->app, s, address, body)
		    : SMTP_REPLY(451, "4.5.3", "by itself, please");
}

int
relay_message(struct smtp_session *s, struct spool *body,
    struct smtp_reply *replies, size_t n)
{
	if (is_push(s)) {
		push_all(s, body, replies);
		return 0;
	}
	return relay_all(s, body, replies, n);
}
