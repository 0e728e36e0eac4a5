/* SPDX-License-Identifier: ISC */
/*
 * What msa does in a submission session (common/smtp/server.h runs the
 * protocol), and its service. Signing in is in msa_auth.c, who may send as whom
 * in msa_sender.c, the end of data in msa_message.c; here the transaction at
 * qm is opened as recipients come.
 */
#include "msa/msa.h"

#include <errno.h>
#include <stdio.h>

#include "common/auth/outside.h"
#include "common/auth/sasl.h"
#include "common/base/log.h"
#include "common/mail/address.h"

#define QM_CONNECTIONS 256
#define MAILBOX_CONNECTIONS 16
#define RCPTS_STEP 16

static struct msa msa;

static int
on_connect(struct smtp_session *s, struct smtp_reply *reply)
{
	struct msa_session *m = arena_alloc(smtp_session_arena(s), sizeof(*m));
	int rc;

	if (m == NULL)
		return -ENOMEM;
	smtp_session_set_data(s, m);
	rc = clients_enter(
	    msa.clients, conn_peer(smtp_session_conn(s)), &m->prefix);
	if (rc != -EBUSY)
		return rc;
	smtp_session_because(s, "msa.max_per_address");
	*reply =
	    SMTP_REPLY(421, "4.7.0", "too many connections from your address");
	return 0;
}

static void
on_disconnect(struct smtp_session *s)
{
	struct msa_session *m = smtp_session_data(s);

	if (m != NULL)
		clients_leave(msa.clients, &m->prefix);
}

/* --- the envelope --- */

static struct smtp_client_rcpt *
rcpts_room(struct smtp_session *s, struct msa_session *m)
{
	size_t max = m->max_rcpts == 0 ? RCPTS_STEP : m->max_rcpts * 2;
	struct smtp_client_rcpt *grown;

	if (m->n_rcpts < m->max_rcpts)
		return m->rcpts;
	grown = arena_array(smtp_session_tx_arena(s), max, sizeof(*grown));
	if (grown == NULL)
		return NULL;
	if (m->n_rcpts > 0)
		memcpy(grown, m->rcpts, m->n_rcpts * sizeof(*grown));
	m->max_rcpts = max;
	return m->rcpts = grown;
}

/* Is it to go out through an outside account of the user? 0 or an error. */
static int
look_outside(struct smtp_session *s, struct slice from, bool *outside)
{
	struct slice local, domain;
	int rc;

	*outside = false;
	if (address_split(from, &local, &domain) != 0)
		return 0; /* <> */
	rc = outside_sends(msa.accounts,
	    slice_str(smtp_session_authenticated(s)), local, domain);
	*outside = rc == 1;
	return rc < 0 ? rc : 0;
}

static int
envelope(
    struct smtp_session *s, struct slice from, struct smtp_client_mail *out)
{
	const struct smtp_mail *mail = smtp_session_mail(s);
	bool outside;
	int rc = look_outside(s, from, &outside);

	*out = (struct smtp_client_mail){ .from = from,
		.size = mail->size,
		.body = mail->body,
		.smtputf8 = mail->smtputf8,
		.ret = mail->ret,
		.envid = mail->envid,
		.wishes = mail->wishes,
		.trace = slice_str(smtp_session_id(s)) };
	out->wishes.outside = outside;
	return rc;
}

/* qm's answer about a recipient; the first opens the transaction there. */
static int
ask_qm(struct smtp_session *s, struct msa_session *m,
    struct smtp_client_rcpt *rcpt)
{
	struct smtp_client_mail ask;
	struct smtp_reply said;
	int rc;

	if (m->qm_failed)
		return -ECONNRESET;
	if (m->qm != NULL)
		return smtp_client_rcpt(m->qm, rcpt);
	rc = envelope(s, smtp_session_mail(s)->from.text, &ask);
	if (rc != 0)
		return rc;
	if ((rc = smtp_pool_get(msa.qm, &m->qm)) != 0) {
		m->qm = NULL;
		return rc;
	}
	rc = smtp_client_mail(m->qm, &ask, rcpt, 1, &said);
	if (rc == 0 && !smtp_reply_is_positive(&said)) {
		/* The transaction is not open: the next RCPT asks anew. What
		 * was said must outlive the client, which the pool may free. */
		rcpt->reply = said;
		rcpt->reply.text =
		    arena_dup(smtp_session_tx_arena(s), said.text);
		smtp_pool_put(msa.qm, m->qm, true);
		m->qm = NULL;
		if (rcpt->reply.text.p == NULL)
			rc = -ENOMEM;
	}
	return rc;
}

static void
qm_release(struct msa_session *m, bool good)
{
	if (m->qm != NULL)
		smtp_pool_put(msa.qm, m->qm, good);
	m->qm = NULL;
}

int
msa_reopen(struct smtp_session *s, struct msa_session *m, struct slice from,
    struct smtp_reply *reply)
{
	struct smtp_client_mail ask;
	int rc = envelope(s, from, &ask);

	if (rc == 0)
		rc = smtp_client_mail(m->qm, &ask, m->rcpts, m->n_rcpts, reply);

	for (size_t i = 0;
	     rc == 0 && smtp_reply_is_positive(reply) && i < m->n_rcpts; i++)
		*reply = m->rcpts[i].reply;
	if (rc != 0) {
		qm_release(m, false);
		return rc;
	}
	if (smtp_reply_is_positive(reply))
		return 0;
	reply->text = arena_dup(smtp_session_tx_arena(s), reply->text);
	return reply->text.p == NULL ? -ENOMEM : 1;
}

/* RFC 6409 4.2: "bob@sales" is taken where we have a domain of that name, and
 * never guessed at. */
static int
check_domain(struct smtp_session *s, const struct smtp_path *to,
    struct smtp_reply *reply)
{
	struct accounts_domain d;
	int rc;

	if (to->domain.n == 0 || to->domain.p[0] == '[' ||
	    slice_find(to->domain, '.') >= 0)
		return 0;
	rc = accounts_domain_get(
	    msa.accounts, smtp_session_tx_arena(s), to->domain, &d);
	if (rc != -ENOENT && rc != -EINVAL)
		return rc;
	smtp_session_because(s, "a domain in one word");
	*reply = SMTP_REPLY(554, "5.1.2",
	    "the domain is not fully qualified, write it in full");
	return 1;
}

static int
on_rcpt(struct smtp_session *s, struct smtp_rcpt *r, struct smtp_reply *reply)
{
	struct msa_session *m = smtp_session_data(s);
	struct smtp_client_rcpt ask = {
		.address = r->to.text, .notify = r->notify, .orcpt = r->orcpt
	};
	int rc;

	if ((rc = check_domain(s, &r->to, reply)) != 0)
		return rc < 0 ? rc : 0;
	if ((rc = msa_limits_check(s, m->n_rcpts + 1, reply)) != 0)
		return rc < 0 ? rc : 0;
	if (rcpts_room(s, m) == NULL)
		return -ENOMEM;
	rc = ask_qm(s, m, &ask);
	if (rc != 0) { /* doubt means try later (promise 2) */
		smtp_session_because(
		    s, "qm does not answer: %s", strerror(-rc));
		qm_release(m, false);
		m->qm_failed = true;
		*reply = SMTP_REPLY(451, "4.3.0",
		    "the queue cannot be reached now, try again later");
		return 0;
	}
	smtp_session_because(s, "qm");
	*reply = ask.reply;
	reply->text = arena_dup(smtp_session_tx_arena(s), ask.reply.text);
	if (reply->text.p == NULL)
		return -ENOMEM;
	if (smtp_reply_is_positive(reply))
		m->rcpts[m->n_rcpts++] = ask;
	return 0;
}

/* By qm, which asks guard. */
static int
on_verify(struct smtp_session *s, struct arena *a, const struct smtp_path *who,
    struct smtp_reply *reply)
{
	(void)s;
	return msa.verifies ? smtp_pool_verify(msa.qm, a, who->text, reply) : 0;
}

/* ETRN: qm has what waits. */
static int
on_flush(struct smtp_session *s, struct arena *a, struct slice node,
    bool subdomains, struct smtp_reply *reply)
{
	if (!net_addr_is_listed(
		conn_peer(smtp_session_conn(s)), msa.etrn_from)) {
		*reply = SMTP_REPLY(459, "4.7.1", "not for you");
		return 0;
	}
	return smtp_pool_flush(msa.qm, a, node, subdomains, reply);
}

static void
on_reset(struct smtp_session *s)
{
	struct msa_session *m = smtp_session_data(s);

	if (m == NULL)
		return;
	if (m->qm != NULL)
		qm_release(m, smtp_client_reset(m->qm) == 0);
	m->qm_failed = false;
	m->rcpts = NULL;
	m->n_rcpts = m->max_rcpts = 0;
}

static const struct smtp_handler handler = {
	.connect = on_connect,
	.disconnect = on_disconnect,
	.mail = msa_mail,
	.rcpt = on_rcpt,
	.verify = on_verify,
	.flush = on_flush,
	.burl = msa_burl,
	.message = msa_message,
	.reset = on_reset,
	.auth = msa_auth,
	.auth_mechanisms = msa_auth_mechanisms,
};

/* --- the service --- */

static void
limits_read(const struct conf *conf)
{
	char setting[64];

	for (size_t i = 0; i < SENT_LIMITS; i++) {
		snprintf(setting, sizeof(setting), "msa.%s",
		    sent_limit_names[i].key);
		msa.limits[i] = (uint32_t)conf_int(conf, setting);
	}
}

static unsigned
fixes_wanted(const struct conf *conf)
{
	static const struct {
		const char *setting;
		enum msa_fix fix;
	} fixes[] = {
		{ "msa.add_date", MSA_FIX_DATE },
		{ "msa.add_message_id", MSA_FIX_MESSAGE_ID },
		{ "msa.add_from", MSA_FIX_FROM },
		{ "msa.remove_bcc", MSA_FIX_BCC },
	};
	/* never, many, always */
	static const unsigned senders[] = { 0, MSA_FIX_SENDER,
		MSA_FIX_SENDER_ALWAYS };
	/* never, known, always */
	static const unsigned domains[] = { 0, MSA_FIX_QUALIFY,
		MSA_FIX_QUALIFY | MSA_FIX_QUALIFY_ALWAYS };
	unsigned wanted = senders[conf_enum(conf, "msa.add_sender")] |
	    domains[conf_enum(conf, "msa.add_domain")];

	for (size_t i = 0; i < sizeof(fixes) / sizeof(fixes[0]); i++)
		if (conf_bool(conf, fixes[i].setting))
			wanted |= fixes[i].fix;
	return wanted;
}

/* For sessions from now on. */
void
msa_reload(const struct conf *conf)
{
	size_t n_networks;

	clients_configure(msa.clients, conf, "msa");
	msa.etrn_from = conf_list(conf, "msa.etrn_from", &n_networks);
	msa.verifies = conf_bool(conf, "msa.vrfy");
	limits_read(conf);
	msa.accounts_dir = conf_file(conf, "accounts.dir");
	msa.send_as = conf_bool(conf, "msa.send_as");
	msa.fixes = fixes_wanted(conf);
	msa.received_client = conf_bool(conf, "msa.received_client");
	msa.plaintext_login = conf_bool(conf, "msa.plaintext_login");
	msa.server = (struct smtp_server){
		.kind = SMTP_SERVER_SUBMISSION,
		.handler = &handler,
		.hostname = service_hostname(),
		.extensions = SMTP_EXT_PIPELINING | SMTP_EXT_SIZE |
		    SMTP_EXT_8BITMIME | SMTP_EXT_SMTPUTF8 | SMTP_EXT_ENHANCED |
		    SMTP_EXT_STARTTLS | SMTP_EXT_CHUNKING |
		    SMTP_EXT_BINARYMIME | SMTP_EXT_DSN | SMTP_EXT_AUTH |
		    SMTP_EXT_LIMITS | SMTP_EXT_XCLIENT | SMTP_EXT_XFORWARD |
		    SMTP_EXT_FUTURERELEASE | SMTP_EXT_MT_PRIORITY |
		    SMTP_EXT_DELIVERBY | SMTP_EXT_REQUIRETLS | SMTP_EXT_ETRN |
		    SMTP_EXT_BURL,
		.tls = service_tls(),
		.auth_without_tls = msa.plaintext_login,
		.auth_required = true,
		.max_size = conf_size(conf, "msa.max_size"),
		.xclient_from =
		    conf_list(conf, "msa.xclient_from", &n_networks),
		.xforward_from =
		    conf_list(conf, "msa.xforward_from", &n_networks),
		.max_recipients = (size_t)conf_int(conf, "msa.max_recipients"),
		.max_mails = (unsigned)conf_int(conf, "msa.max_mails"),
		.max_domains = (unsigned)conf_int(conf, "msa.max_domains"),
		.by_min_s = conf_duration_ms(conf, "msa.deliverby_min") / 1000,
		.priority_max = (int)conf_int(conf, "msa.max_priority"),
		.hold_max_s =
		    conf_duration_ms(conf, "msa.future_release") / 1000,
		.max_errors = 20,
		.timeout_ms = 300000,
		.session_ms = conf_duration_ms(conf, "msa.max_session"),
		.spool_dir = conf_file(conf, "msa.spool_dir"),
		.app = &msa,
	};
}

int
msa_start(const struct conf *conf)
{
	struct buf err = BUF_INIT;
	int rc;

	msa.lmtp = (struct smtp_client_conf){ .lmtp = true,
		.hostname = service_hostname(),
		.connect_timeout_ms = 10000,
		.timeout_ms = 300000 };
	msa.sent = sent_new();
	rc = msa.sent == NULL ? -ENOMEM : clients_new(&msa.clients);
	if (rc == 0)
		rc = accounts_open(&msa.accounts, conf, false, &err);
	if (rc == 0)
		rc = sasl_server_start(msa.accounts, conf, &err);
	if (rc == 0)
		rc = smtp_pool_new(&msa.qm, conf_str(conf, "msa.qm"),
		    conf_file(conf, "run_dir"), &msa.lmtp, QM_CONNECTIONS);
	if (rc == 0)
		rc = smtp_pool_new(&msa.mailbox, conf_str(conf, "msa.mailbox"),
		    conf_file(conf, "run_dir"), &msa.lmtp, MAILBOX_CONNECTIONS);
	if (rc == 0)
		rc = net_addr_parse(&msa.imap, conf_str(conf, "msa.imap"),
		    conf_file(conf, "run_dir"));
	if (rc != 0)
		log_error("start", "error=\"%s\" reason=\"%s\"", strerror(-rc),
		    log_q(buf_slice(&err)));
	buf_clear(&err);
	if (rc == 0)
		msa_reload(conf);
	return rc;
}

void
msa_stop(void)
{
	smtp_pool_free(&msa.qm);
	smtp_pool_free(&msa.mailbox);
	sasl_server_stop(msa.accounts);
	accounts_close(&msa.accounts);
	sent_free(&msa.sent);
	clients_free(&msa.clients);
}

size_t
msa_paths(const struct conf *conf, struct service_path *out, size_t max)
{
	if (max < 3)
		return 0;
	out[0] =
	    (struct service_path){ conf_file(conf, "msa.spool_dir"), true };
	out[1] = (struct service_path){ conf_file(conf, "run_dir"), true };
	/* LMDB's reader table is written by readers too. */
	out[2] = (struct service_path){ conf_file(conf, "accounts.dir"), true };
	return 3;
}

void
msa_session(struct conn *c, const struct service_protocol *p)
{
	(void)p;
	smtp_serve(&msa.server, c);
}

void
msa_api_session(struct conn *c, const struct service_protocol *p)
{
	static const char *const ours[] = { "unix", NULL };
	struct smtp_server server = msa.server;

	(void)p;
	server.xclient_from = ours;
	/* Nobody has a password to say here. */
	server.extensions &=
	    ~(unsigned)(SMTP_EXT_AUTH | SMTP_EXT_STARTTLS | SMTP_EXT_BURL);
	if (net_addr_is_unix(conn_peer(c)))
		smtp_serve(&server, c);
	else
		log_warning(
		    "msa.api is for Unix sockets only", "peer=%s", conn_id(c));
}
