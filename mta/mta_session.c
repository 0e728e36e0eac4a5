/* SPDX-License-Identifier: ISC */
/*
 * What mta does in an ESMTP session (common/smtp/server.h runs the protocol):
 * count the client's connections, ask guard about each recipient, and at the
 * end of data put Received on top and deliver.
 */
#include "mta/mta.h"

#include <errno.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/mail/date.h"
#include "common/mail/header.h"

#define GUARD_CONNECTIONS 256
#define PEER_CONNECTIONS 64
#define TARGETS_MAX 10000 /* forward-paths of one transaction */
#define TARGETS_STEP 16

static struct {
	struct smtp_server server;
	struct smtp_client_conf lmtp, mailbox;
	struct mta_peers peers;
	struct clients *clients;
	size_t max_hops;
	const char *const *etrn_from; /* networks */
	bool verifies;                /* VRFY is answered truly */
} mta;

/* One per connection; the transaction's part is emptied by on_reset. */
struct session {
	struct client_prefix prefix;
	struct smtp_client *guard; /* held for a group of recipients */
	bool guard_failed, guard_done; /* its transaction is over already */
	const char *xforward; /* what guard hears of the client; tx arena */
	struct mta_target *targets; /* tx arena */
	size_t n_targets, max_targets;
};

/* --- connections --- */

static int
on_connect(struct smtp_session *s, struct smtp_reply *reply)
{
	struct session *m = arena_alloc(smtp_session_arena(s), sizeof(*m));
	int rc;

	if (m == NULL)
		return -ENOMEM;
	smtp_session_set_data(s, m);
	rc = clients_enter(
	    mta.clients, conn_peer(smtp_session_conn(s)), &m->prefix);
	if (rc != -EBUSY)
		return rc;
	smtp_session_because(s, "mta.max_per_address");
	*reply =
	    SMTP_REPLY(421, "4.7.0", "too many connections from your address");
	return 0;
}

static void
on_disconnect(struct smtp_session *s)
{
	struct session *m = smtp_session_data(s);

	if (m != NULL)
		clients_leave(mta.clients, &m->prefix);
}

/* --- recipients --- */

/*
 * A session holds one of guard's connections while it has recipients to ask
 * about, and never while it waits for its client: else some hundred clients
 * that fall silent after RCPT would keep all others from being served. The
 * pool resets guard's transaction; the next recipient begins another.
 */
static void
guard_release(struct session *m, bool good)
{
	if (m->guard != NULL)
		smtp_pool_put(mta.peers.guard, m->guard, good);
	m->guard = NULL;
}

static void
on_quiet(struct smtp_session *s)
{
	struct session *m = smtp_session_data(s);

	if (m != NULL)
		guard_release(m, true);
}


static void
put_own_client(struct smtp_session *s, struct buf *b)
{
	char host[128];

	net_addr_host(conn_peer(smtp_session_conn(s)), host);
	buf_printf(b, " ADDR=%s%s PROTO=%s HELO=",
	    strchr(host, ':') != NULL ? "IPV6:" : "", host,
	    smtp_session_is_esmtp(s) ? "ESMTP" : "SMTP");
	smtp_xtext_encode(smtp_session_helo(s), b);
}

/* What a listed peer said of its client, all of it. */
static void
put_their_client(const struct smtp_xforward *x, struct buf *b)
{
	const struct {
		const char *name;
		struct slice value;
	} all[] = {
		{ "NAME", x->name },
		{ "ADDR", x->addr },
		{ "PORT", x->port },
		{ "PROTO", x->proto },
		{ "HELO", x->helo },
		{ "SOURCE", x->source },
		{ "IDENT", x->ident },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		if (all[i].value.n == 0)
			continue;
		buf_printf(b, " %s=", all[i].name);
		smtp_xtext_encode(all[i].value, b);
	}
}

/* Postfix's XFORWARD attributes (XFORWARD_README), xtext where needed. */
static const char *
xforward(struct smtp_session *s)
{
	struct buf b = BUF_INIT_MAX(8192);
	struct slice text;

	put_their_client(smtp_session_xforward(s), &b);
	if (b.n == 0)
		put_own_client(s, &b);
	text = b.failed ? SLICE_EMPTY
			: arena_dup(smtp_session_tx_arena(s),
			      slice_from(buf_slice(&b), 1));
	buf_clear(&b);
	return text.n == 0 ? NULL : text.p;
}

/* Guard's answer about one recipient. The first of a group opens the
 * transaction there: MAIL and RCPT in one write, and RSET too where it is the
 * last as well. */
static int
ask_guard(
    struct smtp_session *s, struct session *m, struct smtp_client_rcpt *rcpt)
{
	const struct smtp_mail *mail = smtp_session_mail(s);
	struct smtp_client_mail ask = { .from = mail->from.text,
		.size = mail->size,
		.body = mail->body,
		.smtputf8 = mail->smtputf8,
		.trace = slice_str(smtp_session_id(s)) };
	struct smtp_reply said;
	int rc;

	if (m->guard_failed)
		return -ECONNRESET;
	if (m->guard != NULL && !m->guard_done)
		return smtp_client_rcpt(m->guard, rcpt);
	if (m->guard == NULL &&
	    (rc = smtp_pool_get(mta.peers.guard, &m->guard)) != 0) {
		m->guard = NULL;
		return rc;
	}
	if (m->xforward == NULL)
		m->xforward = xforward(s);
	ask.xforward = m->xforward;
	ask.ask_only = m->guard_done = !smtp_session_has_line(s);
	rc = smtp_client_mail(m->guard, &ask, rcpt, 1, &said);
	if (rc == 0 && !smtp_reply_is_positive(&said))
		rcpt->reply = said;
	return rc;
}

static struct mta_target *
targets_room(struct smtp_session *s, struct session *m, size_t n)
{
	size_t max = m->max_targets == 0 ? TARGETS_STEP : m->max_targets;
	struct mta_target *grown;

	if (m->n_targets + n <= m->max_targets)
		return m->targets;
	if (m->n_targets + n > TARGETS_MAX)
		return NULL;
	while (max < m->n_targets + n)
		max *= 2;
	grown = arena_array(smtp_session_tx_arena(s), max, sizeof(*grown));
	if (grown == NULL)
		return NULL;
	if (m->n_targets > 0)
		memcpy(grown, m->targets, m->n_targets * sizeof(*grown));
	m->targets = grown;
	m->max_targets = max;
	return grown;
}

/* The ORCPT that is passed on: the client's, else the address it said, so that
 * mailbox knows what the recipient was before aliases. */
static struct slice
original(struct smtp_session *s, const struct smtp_rcpt *r)
{
	const char *text;

	if (r->orcpt.n > 0)
		return r->orcpt;
	text = arena_printf(smtp_session_tx_arena(s), "%s;%.*s",
	    r->to.utf8 ? "utf-8" : "rfc822", (int)r->to.text.n, r->to.text.p);
	return slice_str(text);
}

/*
 * Who wants to hear of success is served by qm, which makes reports; with an
 * alias as it is, because what it became is to be reported too (RFC 3461
 * 5.2.7.3).
 */
static bool
is_for_qm(struct smtp_session *s, const struct smtp_rcpt *r)
{
	return (r->notify & SMTP_NOTIFY_SUCCESS) != 0 &&
	    smtp_session_mail(s)->from.text.n > 0;
}

static int
add_targets(struct smtp_session *s, struct session *m,
    const struct smtp_rcpt *r, const struct smtp_reply *said)
{
	size_t lines = 1, before = m->n_targets, owner;
	int rc;

	smtp_session_rcpts(s, &owner); /* the index that it is to have */
	for (size_t i = 0; i < said->text.n && said->code == 251; i++)
		lines += said->text.p[i] == '\n';
	if (targets_room(s, m, lines) == NULL)
		return -E2BIG;
	if (said->code == 251 && !is_for_qm(s, r)) {
		rc = mta_targets_of_251(smtp_session_tx_arena(s), said,
		    original(s, r), r->notify, m->targets, &m->n_targets,
		    m->max_targets);
		if (rc != 0) /* all or none */
			m->n_targets = before;
		for (size_t i = before; i < m->n_targets; i++)
			m->targets[i].owner = owner;
		return rc;
	}
	m->targets[m->n_targets++] = (struct mta_target){
		.address = r->to.text,
		.orcpt = r->orcpt,
		.notify = r->notify,
		.owner = owner,
		.relay = is_for_qm(s, r),
	};
	return 0;
}

static int
on_rcpt(struct smtp_session *s, struct smtp_rcpt *r, struct smtp_reply *reply)
{
	struct session *m = smtp_session_data(s);
	struct smtp_client_rcpt ask = {
		.address = r->to.text, .notify = r->notify, .orcpt = r->orcpt
	};
	int rc = ask_guard(s, m, &ask);

	if (rc != 0) { /* doubt means try later (promise 2) */
		log_warning(
		    "guard does not answer", "error=\"%s\"", strerror(-rc));
		smtp_session_because(
		    s, "guard does not answer: %s", strerror(-rc));
		guard_release(m, false);
		m->guard_failed = true;
		*reply = SMTP_REPLY(451, "4.3.0",
		    "recipient cannot be checked now, try again later");
		return 0;
	}
	smtp_session_because(s, "guard");
	if (!smtp_reply_is_positive(&ask.reply)) {
		*reply = ask.reply;
		reply->text =
		    arena_dup(smtp_session_tx_arena(s), ask.reply.text);
		return reply->text.p == NULL ? -ENOMEM : 0;
	}
	if ((rc = add_targets(s, m, r, &ask.reply)) == -E2BIG) {
		smtp_session_because(s, "too many addresses for one message");
		*reply = SMTP_REPLY(452, "4.5.3", "too many recipients");
		return 0;
	}
	if (rc == 0)
		*reply = SMTP_REPLY(250, "2.1.5", "recipient ok");
	return rc;
}

static int
on_verify(struct smtp_session *s, struct arena *a, const struct smtp_path *who,
    struct smtp_reply *reply)
{
	on_quiet(s); /* nobody waits for a second one with one in hand */
	return mta.verifies
	    ? smtp_pool_verify(mta.peers.guard, a, who->text, reply)
	    : 0;
}

/* ETRN: qm has what waits. */
static int
on_flush(struct smtp_session *s, struct arena *a, struct slice node,
    bool subdomains, struct smtp_reply *reply)
{
	if (!net_addr_is_listed(
		conn_peer(smtp_session_conn(s)), mta.etrn_from)) {
		*reply = SMTP_REPLY(459, "4.7.1", "not for you");
		return 0;
	}
	return smtp_pool_flush(mta.peers.qm, a, node, subdomains, reply);
}

static void
on_reset(struct smtp_session *s)
{
	struct session *m = smtp_session_data(s);

	if (m == NULL)
		return;
	guard_release(m, true);
	m->guard_failed = false;
	m->xforward = NULL;
	m->targets = NULL;
	m->n_targets = m->max_targets = 0;
}

/* --- the message --- */

/* Before it is waited for, which may take long. */
static int
on_data(struct smtp_session *s, struct smtp_reply *reply)
{
	(void)reply;
	on_quiet(s);
	return 0;
}

/*
 * RFC 5321 4.4, RFC 3848: from what the client called itself and its address;
 * the recipient only where there is one, so that nobody learns of the others.
 */
static struct slice
received(struct smtp_session *s)
{
	const struct conn *c = smtp_session_conn(s);
	struct buf b = BUF_INIT_MAX(8192);
	struct smtp_rcpt *const *rcpts;
	char host[128];
	struct slice text;
	size_t n;

	rcpts = smtp_session_rcpts(s, &n);
	net_addr_host(conn_peer(c), host);
	buf_put_str(&b, "Received: from ");
	buf_put_slice(&b, smtp_session_helo(s));
	if (net_addr_is_unix(conn_peer(c)))
		buf_put_str(&b, " (local socket)");
	else
		buf_printf(&b, " ([%s%s])",
		    strchr(host, ':') != NULL ? "IPv6:" : "", host);
	buf_printf(&b, "\r\n\tby %s with %s", smtp_session_server(s)->hostname,
	    smtp_session_with(s));
	if (conn_is_tls(c))
		buf_printf(
		    &b, " (%s %s)", conn_tls_version(c), conn_tls_cipher(c));
	buf_printf(&b, "\r\n\tid %s", smtp_session_id(s));
	if (n == 1) {
		buf_put_str(&b, "\r\n\tfor <");
		buf_put_slice(&b, rcpts[0]->to.text);
		buf_put_char(&b, '>');
	}
	if (smtp_session_mail(s)->wishes.has_priority)
		buf_printf(&b, "\r\n\tPRIORITY %d", /* RFC 6710 4.1 2 */
		    smtp_session_mail(s)->wishes.priority);
	buf_put_str(&b, ";\r\n\t");
	date_put(&b, (struct date){ clock_wall_s(), 0 });
	buf_put_str(&b, "\r\n");
	text = b.failed ? (struct slice){ NULL, 0 }
			: arena_dup(smtp_session_tx_arena(s), buf_slice(&b));
	buf_clear(&b);
	return text;
}

static int
is_looping(struct spool *body, bool *looping)
{
	struct slice head;
	int rc = spool_head(body, 65536, &head);

	*looping = rc == 0 && header_count(head, "Received") > mta.max_hops;
	return rc;
}

static int
on_message(struct smtp_session *s, struct spool *body,
    struct smtp_reply *replies, size_t n)
{
	struct session *m = smtp_session_data(s);
	struct slice prefix;
	bool looping;
	int rc;

	if ((rc = is_looping(body, &looping)) != 0)
		return rc;
	if (looping) {
		smtp_session_because(s, "mta.max_hops");
		for (size_t i = 0; i < n; i++)
			replies[i] = SMTP_REPLY(554, "5.4.6",
			    "too many hops, the message is looping");
		return 0;
	}
	prefix = received(s);
	if (prefix.p == NULL)
		return -ENOMEM;
	mta_deliver(
	    &mta.peers, s, prefix, body, m->targets, m->n_targets, replies, n);
	return 0;
}

static const struct smtp_handler handler = {
	.connect = on_connect,
	.rcpt = on_rcpt,
	.verify = on_verify,
	.flush = on_flush,
	.data = on_data,
	.message = on_message,
	.quiet = on_quiet,
	.reset = on_reset,
	.disconnect = on_disconnect,
};

/* --- the service --- */

static int
peers_open(const struct conf *conf)
{
	const char *run_dir = conf_file(conf, "run_dir");
	int rc;

	mta.lmtp = (struct smtp_client_conf){ .lmtp = true,
		.hostname = service_hostname(),
		.connect_timeout_ms = 10000,
		.timeout_ms = conf_duration_ms(conf, "mta.timeout") };
	mta.mailbox = mta.lmtp;
	mta.mailbox.final = true;
	rc = smtp_pool_new(&mta.peers.guard, conf_str(conf, "mta.guard"),
	    run_dir, &mta.lmtp, GUARD_CONNECTIONS);
	if (rc == 0)
		rc = smtp_pool_new(&mta.peers.mailbox,
		    conf_str(conf, "mta.mailbox"), run_dir, &mta.mailbox,
		    PEER_CONNECTIONS);
	if (rc == 0)
		rc = smtp_pool_new(&mta.peers.qm, conf_str(conf, "mta.qm"),
		    run_dir, &mta.lmtp, PEER_CONNECTIONS);
	if (rc != 0)
		log_error("start",
		    "error=\"%s\" setting=\"mta.guard, "
		    "mta.mailbox or mta.qm\"",
		    strerror(-rc));
	return rc;
}

/* For sessions from now on. */
void
mta_reload(const struct conf *conf)
{
	size_t n_networks;

	clients_configure(mta.clients, conf, "mta");
	mta.etrn_from = conf_list(conf, "mta.etrn_from", &n_networks);
	mta.verifies = conf_bool(conf, "mta.vrfy");
	mta.max_hops = (size_t)conf_int(conf, "mta.max_hops");
	mta.server = (struct smtp_server){
		.kind = SMTP_SERVER_ESMTP,
		.handler = &handler,
		.hostname = service_hostname(),
		.extensions = SMTP_EXT_PIPELINING | SMTP_EXT_SIZE |
		    SMTP_EXT_8BITMIME | SMTP_EXT_SMTPUTF8 | SMTP_EXT_ENHANCED |
		    SMTP_EXT_STARTTLS | SMTP_EXT_CHUNKING |
		    SMTP_EXT_BINARYMIME | SMTP_EXT_DSN | SMTP_EXT_LIMITS |
		    SMTP_EXT_XCLIENT | SMTP_EXT_XFORWARD | SMTP_EXT_PRDR |
		    SMTP_EXT_MT_PRIORITY |
		    SMTP_EXT_DELIVERBY | SMTP_EXT_REQUIRETLS | SMTP_EXT_ETRN,
		.tls = service_tls(),
		.max_size = conf_size(conf, "mta.max_size"),
		.xclient_from =
		    conf_list(conf, "mta.xclient_from", &n_networks),
		.xforward_from =
		    conf_list(conf, "mta.xforward_from", &n_networks),
		.by_min_s = conf_duration_ms(conf, "mta.deliverby_min") / 1000,
		.priority_from =
		    conf_list(conf, "mta.priority_from", &n_networks),
		.max_recipients = (size_t)conf_int(conf, "mta.max_recipients"),
		.max_mails = (unsigned)conf_int(conf, "mta.max_mails"),
		.max_domains = (unsigned)conf_int(conf, "mta.max_domains"),
		.greet_pause_ms = conf_duration_ms(conf, "mta.greet_pause"),
		.max_errors = (unsigned)conf_int(conf, "mta.max_errors"),
		.timeout_ms = conf_duration_ms(conf, "mta.timeout"),
		.session_ms = conf_duration_ms(conf, "mta.max_session"),
		.normalise_from =
		    conf_list(conf, "mta.normalise_from", &n_networks),
		.spool_dir = conf_file(conf, "mta.spool_dir"),
	};
}

int
mta_start(const struct conf *conf)
{
	int rc;

	if ((rc = clients_new(&mta.clients)) != 0 ||
	    (rc = peers_open(conf)) != 0)
		return rc;
	mta_reload(conf);
	return 0;
}

void
mta_stop(void)
{
	smtp_pool_free(&mta.peers.guard);
	smtp_pool_free(&mta.peers.mailbox);
	smtp_pool_free(&mta.peers.qm);
	clients_free(&mta.clients);
}

size_t
mta_paths(const struct conf *conf, struct service_path *out, size_t max)
{
	if (max < 2)
		return 0;
	out[0] =
	    (struct service_path){ conf_file(conf, "mta.spool_dir"), true };
	out[1] = (struct service_path){ conf_file(conf, "run_dir"), true };
	return 2;
}

void
mta_session(struct conn *c, const struct service_protocol *p)
{
	(void)p;
	smtp_serve(&mta.server, c);
}
