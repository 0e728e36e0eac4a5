/* SPDX-License-Identifier: ISC */
/*
 * What msa does in a submission session (common/smtp/server.h runs the
 * protocol): sign in by SASL, check that the sender is the account's, open the
 * transaction at qm as recipients come, complete the header, and answer what
 * qm answered: it keeps the message as a whole or not at all.
 */
#include "msa/msa.h"

#include <errno.h>
#include <stdlib.h>

#include "common/auth/sasl.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/mail/date.h"
#include "common/mail/header.h"

#define QM_CONNECTIONS 256
#define RCPTS_STEP 16

static struct {
	struct smtp_server server;
	struct smtp_client_conf lmtp;
	struct smtp_pool *qm;
	struct accounts *accounts;
	bool plaintext_login;
	bool verifies; /* VRFY is answered truly */
} msa;

/* Of the connection; the transaction's part is emptied by on_reset. */
struct session {
	struct smtp_client *qm;
	bool qm_failed;
	struct smtp_client_rcpt *rcpts; /* those that qm has accepted */
	size_t n_rcpts, max_rcpts;
};

static int
on_connect(struct smtp_session *s, struct smtp_reply *reply)
{
	struct session *m = arena_alloc(smtp_session_arena(s), sizeof(*m));

	(void)reply;
	smtp_session_set_data(s, m);
	return m == NULL ? -ENOMEM : 0;
}

/* --- signing in --- */

static bool
plaintext_ok(struct smtp_session *s)
{
	return msa.plaintext_login ||
	    net_addr_is_unix(conn_peer(smtp_session_conn(s)));
}

static const char *
auth_mechanisms(struct smtp_session *s)
{
	return sasl_server_mechanisms(msa.accounts, smtp_session_arena(s),
	    smtp_session_conn(s), plaintext_ok(s));
}

/* Challenges and responses until the exchange has ended; the final server
 * data of SCRAM is one more challenge with an empty answer (RFC 4954 4). */
static int
exchange(struct smtp_session *s, struct sasl_server *sasl, struct slice in)
{
	struct buf out = BUF_INIT_MAX(16384);
	int step, rc = 0;

	while ((step = sasl_server_step(sasl, in, &out)) == SASL_MORE) {
		rc = smtp_session_challenge(s, buf_slice(&out), &in);
		if (rc != 0)
			break;
		buf_reset(&out);
	}
	if (rc == 0 && step == SASL_OK && out.n > 0)
		rc = smtp_session_challenge(s, buf_slice(&out), &in);
	buf_clear(&out);
	return rc != 0 ? rc : step;
}

/* RFC 4954 6 */
static struct smtp_reply
auth_reply(int rc)
{
	switch (rc) {
	case SASL_OK:
		return SMTP_REPLY(235, "2.7.0", "signed in");
	case -EACCES:
		return SMTP_REPLY(535, "5.7.8", "wrong user name or password");
	case -EBADMSG:
		return SMTP_REPLY(501, "5.5.2", "cannot understand that");
	case -ECANCELED:
		return SMTP_REPLY(501, "5.7.0", "cancelled");
	case -ENOSYS:
		return SMTP_REPLY(504, "5.5.4", "mechanism is not offered");
	default:
		return SMTP_REPLY(454, "4.7.0",
		    "cannot check the password now, try again later");
	}
}

static int
on_auth(struct smtp_session *s, struct slice mechanism, struct slice initial,
    bool has_initial, struct smtp_reply *reply)
{
	struct sasl_server *sasl = NULL;
	int rc = sasl_server_new(&sasl, msa.accounts, smtp_session_conn(s),
	    mechanism, ACCOUNTS_SUBMISSION, plaintext_ok(s));

	if (rc == 0)
		rc = exchange(
		    s, sasl, has_initial ? initial : (struct slice){ NULL, 0 });
	*reply = auth_reply(rc);
	if (rc == SASL_OK && sasl != NULL) {
		smtp_session_set_authenticated(s, sasl_server_account(sasl));
		log_info("signed in", "account=%s mechanism=%s",
		    log_qs(sasl_server_account(sasl)),
		    sasl_server_mechanism(sasl));
	}
	sasl_server_free(&sasl);
	return rc == -ECONNRESET || rc == -EPIPE || rc == -ETIMEDOUT ? rc : 0;
}

/* --- the envelope --- */

static int
refuse_sender(struct smtp_session *s, struct slice local, struct slice domain,
    struct smtp_reply *reply)
{
	*reply = smtp_reply_f(smtp_session_tx_arena(s), 550, "5.7.1",
	    "%s may not send as <%.*s%s%.*s>", smtp_session_authenticated(s),
	    local.n > 64 ? 64 : (int)local.n, local.p, domain.n > 0 ? "@" : "",
	    domain.n > 255 ? 255 : (int)domain.n, domain.p);
	return 0;
}

static int
on_mail(
    struct smtp_session *s, const struct smtp_mail *m, struct smtp_reply *reply)
{
	int rc;

	/* Disposition notifications come from <> (RFC 8098 4). */
	if (m->from.text.n == 0)
		return 0;
	rc = accounts_may_send_as(msa.accounts,
	    slice_str(smtp_session_authenticated(s)), m->from.local,
	    m->from.domain);
	if (rc < 0)
		return rc;
	return rc == 1 ? 0
		       : refuse_sender(s, m->from.local, m->from.domain, reply);
}

static struct smtp_client_rcpt *
rcpts_room(struct smtp_session *s, struct session *m)
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

/* qm's answer about a recipient; the first opens the transaction there. */
static int
ask_qm(struct smtp_session *s, struct session *m, struct smtp_client_rcpt *rcpt)
{
	const struct smtp_mail *mail = smtp_session_mail(s);
	struct smtp_client_mail ask = { .from = mail->from.text,
		.size = mail->size,
		.body = mail->body,
		.smtputf8 = mail->smtputf8,
		.ret = mail->ret,
		.envid = mail->envid,
		.trace = slice_str(smtp_session_id(s)) };
	struct smtp_reply said;
	int rc;

	if (m->qm_failed)
		return -ECONNRESET;
	if (m->qm != NULL)
		return smtp_client_rcpt(m->qm, rcpt);
	if ((rc = smtp_pool_get(msa.qm, &m->qm)) != 0) {
		m->qm = NULL;
		return rc;
	}
	rc = smtp_client_mail(m->qm, &ask, rcpt, 1, &said);
	if (rc == 0 && !smtp_reply_is_positive(&said)) {
		/* The transaction is not open: the next RCPT asks anew. */
		rcpt->reply = said;
		smtp_pool_put(msa.qm, m->qm, true);
		m->qm = NULL;
	}
	return rc;
}

static void
qm_release(struct session *m, bool good)
{
	if (m->qm != NULL)
		smtp_pool_put(msa.qm, m->qm, good);
	m->qm = NULL;
}

static int
on_rcpt(struct smtp_session *s, struct smtp_rcpt *r, struct smtp_reply *reply)
{
	struct session *m = smtp_session_data(s);
	struct smtp_client_rcpt ask = {
		.address = r->to.text, .notify = r->notify, .orcpt = r->orcpt
	};
	int rc;

	if (rcpts_room(s, m) == NULL)
		return -ENOMEM;
	rc = ask_qm(s, m, &ask);
	if (rc != 0) { /* doubt means try later (promise 2) */
		qm_release(m, false);
		m->qm_failed = true;
		*reply = SMTP_REPLY(451, "4.3.0",
		    "the queue cannot be reached now, try again later");
		return 0;
	}
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

static void
on_reset(struct smtp_session *s)
{
	struct session *m = smtp_session_data(s);

	if (m == NULL)
		return;
	if (m->qm != NULL)
		qm_release(m, smtp_client_reset(m->qm) == 0);
	m->qm_failed = false;
	m->rcpts = NULL;
	m->n_rcpts = m->max_rcpts = 0;
}

/* --- the message --- */

struct from_check {
	struct smtp_session *session;
	struct smtp_reply *reply;
	size_t n; /* addresses seen */
};

static int
check_from(void *arg, struct slice local, struct slice domain)
{
	struct from_check *f = arg;
	int rc;

	f->n++;
	if (domain.p == NULL)
		domain = SLICE_EMPTY;
	rc = accounts_may_send_as(msa.accounts,
	    slice_str(smtp_session_authenticated(f->session)), local, domain);
	if (rc == 0)
		refuse_sender(f->session, local, domain, f->reply);
	return rc < 0 ? rc : !rc;
}

/*
 * The client's address is left out: it is the user's own business. Without a
 * from clause nothing untrue is said.
 */
static void
put_received(struct smtp_session *s, struct buf *out)
{
	const struct conn *c = smtp_session_conn(s);

	buf_printf(out, "Received: by %s with %s",
	    smtp_session_server(s)->hostname, smtp_session_with(s));
	if (conn_is_tls(c))
		buf_printf(
		    out, " (%s %s)", conn_tls_version(c), conn_tls_cipher(c));
	buf_printf(out, "\r\n\tid %s;\r\n\t", smtp_session_id(s));
	date_put(out, (struct date){ clock_wall_s(), 0 });
	buf_put_str(out, "\r\n");
}

static struct slice
domain_of(struct slice address)
{
	ssize_t at = slice_rfind(address, '@');

	return at < 0 ? SLICE_EMPTY : slice_from(address, (size_t)at + 1);
}

/* The octets behind the header, for smtp_client_send_from. */
struct rest {
	struct spool *body;
	uint64_t at;
};

static ssize_t
read_rest(void *arg, void *p, size_t n)
{
	struct rest *r = arg;
	size_t got;
	int rc = spool_read(r->body, r->at, p, n, &got);

	r->at += rc == 0 ? got : 0;
	return rc == 0 ? (ssize_t)got : rc;
}

/* qm keeps a message for all recipients or for none, so the first reply that
 * is not good stands for all. */
static struct smtp_reply
result_of(const struct smtp_client_rcpt *rcpts, size_t n,
    const struct smtp_reply *whole)
{
	for (size_t i = 0; i < n; i++)
		if (!smtp_reply_is_positive(&rcpts[i].reply))
			return rcpts[i].reply;
	return *whole;
}

static int
queue(struct smtp_session *s, struct session *m, struct spool *body,
    size_t header_n, struct buf *head, struct smtp_reply *reply)
{
	struct rest rest = { body, header_n };
	struct smtp_reply whole = { 0 };
	struct smtp_client *qm = m->qm;
	int rc;

	m->qm = NULL;
	rc = smtp_client_send_from(qm, buf_slice(head), read_rest, &rest,
	    spool_size(body) - header_n, m->rcpts, m->n_rcpts, &whole);
	if (rc == 0) {
		*reply = result_of(m->rcpts, m->n_rcpts, &whole);
		if (smtp_reply_is_positive(reply))
			*reply = smtp_reply_f(smtp_session_tx_arena(s), 250,
			    "2.0.0", "queued as %s", smtp_session_id(s));
		else
			reply->text =
			    arena_dup(smtp_session_tx_arena(s), reply->text);
	} else {
		log_warning("queueing failed", "peer=%s error=\"%s\"",
		    smtp_client_remote(qm), strerror(-rc));
		*reply = SMTP_REPLY(
		    451, "4.3.0", "the queue does not answer, try again later");
	}
	smtp_pool_put(msa.qm, qm, rc == 0);
	return reply->text.p == NULL ? -ENOMEM : 0;
}

static int
complete_header(struct smtp_session *s, struct slice header, struct buf *out)
{
	struct slice from = smtp_session_mail(s)->from.text;
	struct msa_fixup f;

	if (from.n == 0)
		from = slice_str(smtp_session_authenticated(s));
	f = (struct msa_fixup){ .from = from,
		.id_domain = domain_of(from),
		.now_s = clock_wall_s() };
	put_received(s, out);
	msa_fixup_header(header, &f, out);
	buf_put_str(out, "\r\n");
	return out->failed ? -ENOMEM : 0;
}

/* The first octets of the message in `room`. */
static int
read_head(struct spool *body, size_t n, struct buf *room, struct slice *out)
{
	size_t got;
	int rc;

	if (!buf_reserve(room, n))
		return -ENOMEM;
	if ((rc = spool_read(body, 0, room->p, n, &got)) != 0)
		return rc;
	room->n = got;
	*out = buf_slice(room);
	return 0;
}

/*
 * The header as an exact prefix of the body, in the spool or in `room`.
 * -EMSGSIZE: over MSA_HEADER_MAX.
 */
static int
find_header(struct spool *body, struct buf *room, struct slice *header)
{
	struct slice head;
	int rc = spool_head(body, 65536, &head);

	if (rc == 0 && !msa_header_measure(head, spool_size(body), header)) {
		rc = read_head(body, MSA_HEADER_MAX, room, &head);
		if (rc == 0 &&
		    !msa_header_measure(head, spool_size(body), header))
			rc = -EMSGSIZE;
	}
	return rc;
}

/* May the account use every address that From names? And it must name one,
 * where there is a From. *reply is set when not. */
static int
check_header(
    struct smtp_session *s, struct slice header, struct smtp_reply *reply)
{
	struct from_check check = { s, reply, 0 };
	struct header_field field;
	int rc =
	    msa_each_from(smtp_session_tx_arena(s), header, check_from, &check);

	if (rc == 0 && check.n == 0 && header_find(header, "From", &field)) {
		*reply =
		    SMTP_REPLY(554, "5.6.0", "the From field names nobody");
		return 1;
	}
	return rc;
}

static int
take_message(struct smtp_session *s, struct session *m, struct spool *body,
    struct buf *room, struct smtp_reply *reply)
{
	struct buf out = BUF_INIT_MAX(MSA_HEADER_MAX * 2);
	struct slice header;
	int rc = find_header(body, room, &header);

	if (rc == -EMSGSIZE) {
		*reply = SMTP_REPLY(554, "5.6.0", "the header is too large");
		return 0;
	}
	if (rc == 0)
		rc = check_header(s, header, reply);
	if (rc != 0)
		return rc < 0 ? rc : 0;
	/* spool_head's octets go with the next call of the spool. */
	rc = complete_header(s, header, &out);
	if (rc == 0)
		rc = queue(s, m, body, header.n, &out, reply);
	buf_clear(&out);
	return rc;
}

static int
on_message(struct smtp_session *s, struct spool *body,
    struct smtp_reply *replies, size_t n)
{
	struct session *m = smtp_session_data(s);
	struct buf room = BUF_INIT_MAX(MSA_HEADER_MAX);
	int rc;

	(void)n;
	if (m->qm == NULL)
		return -ECONNRESET;
	rc = take_message(s, m, body, &room, &replies[0]);
	buf_clear(&room);
	return rc;
}

static const struct smtp_handler handler = {
	.connect = on_connect,
	.mail = on_mail,
	.rcpt = on_rcpt,
	.verify = on_verify,
	.message = on_message,
	.reset = on_reset,
	.auth = on_auth,
	.auth_mechanisms = auth_mechanisms,
};

/* --- the service --- */

/* For sessions from now on. */
void
msa_reload(const struct conf *conf)
{
	size_t n_networks;

	msa.verifies = conf_bool(conf, "msa.vrfy");
	msa.plaintext_login = conf_bool(conf, "msa.plaintext_login");
	msa.server = (struct smtp_server){
		.kind = SMTP_SERVER_SUBMISSION,
		.handler = &handler,
		.hostname = service_hostname(),
		.extensions = SMTP_EXT_PIPELINING | SMTP_EXT_SIZE |
		    SMTP_EXT_8BITMIME | SMTP_EXT_SMTPUTF8 | SMTP_EXT_ENHANCED |
		    SMTP_EXT_STARTTLS | SMTP_EXT_CHUNKING |
		    SMTP_EXT_BINARYMIME | SMTP_EXT_DSN | SMTP_EXT_AUTH |
		    SMTP_EXT_LIMITS | SMTP_EXT_XCLIENT,
		.tls = service_tls(),
		.auth_without_tls = msa.plaintext_login,
		.auth_required = true,
		.max_size = conf_size(conf, "msa.max_size"),
		.xclient_from =
		    conf_list(conf, "msa.xclient_from", &n_networks),
		.max_recipients = (size_t)conf_int(conf, "msa.max_recipients"),
		.max_mails = (unsigned)conf_int(conf, "msa.max_mails"),
		.max_errors = 20,
		.timeout_ms = 300000,
		.spool_dir = conf_file(conf, "msa.spool_dir"),
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
	rc = accounts_open(&msa.accounts, conf, false, &err);
	if (rc == 0)
		rc = sasl_server_start(msa.accounts, conf, &err);
	if (rc == 0)
		rc = smtp_pool_new(&msa.qm, conf_str(conf, "msa.qm"),
		    conf_file(conf, "run_dir"), &msa.lmtp, QM_CONNECTIONS);
	if (rc != 0)
		log_error("start", "error=\"%s\" reason=\"%s\"", strerror(-rc),
		    log_q(buf_slice(&err)));
	buf_clear(&err);
	msa_reload(conf);
	return rc;
}

void
msa_stop(void)
{
	smtp_pool_free(&msa.qm);
	sasl_server_stop(msa.accounts);
	accounts_close(&msa.accounts);
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
