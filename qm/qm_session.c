/* SPDX-License-Identifier: ISC */
/*
 * An LMTP session of mta or msa. A recipient is asked of guard at RCPT, so
 * that one who does not exist is refused while the sender is still there; with
 * guard away it is taken, and asked about when it is attempted. After the dot:
 * blob and rows in one group commit, then 250 for each recipient.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/mail/date.h"
#include "common/mail/header.h"
#include "common/smtp/server.h"
#include "qm/qm_session.h"
#include "qm/queue_ask.h"
#include "qm/tell.h"
#include "qm/verdict.h"

/* msa has the limit that counts; the parameter has nine digits. */
#define HOLD_MAX_S 999999999
#define HEAD_MAX ((size_t)64 << 10)

/* Of one recipient, from RCPT to the end of the message: guard's answer. */
struct answer {
	bool known; /* else guard was away, or cannot tell now */
	struct smtp_reply reply;
};

/* Of the connection; the transaction's part is emptied by on_reset. */
struct session {
	struct smtp_client *guard; /* its transaction runs beside ours */
	bool guard_failed;
	size_t targets; /* recipients so far, aliases put in */
};

static struct qm *
qm_of(const struct smtp_session *s)
{
	return smtp_session_server(s)->app;
}

static int
on_connect(struct smtp_session *s, struct smtp_reply *reply)
{
	struct session *q = arena_alloc(smtp_session_arena(s), sizeof(*q));

	(void)reply;
	if (q == NULL)
		return -ENOMEM;
	smtp_session_set_data(s, q);
	return 0;
}

static void
guard_release(struct qm *qm, struct session *q, bool good)
{
	if (q->guard != NULL)
		smtp_pool_put(qm->guard, q->guard, good);
	q->guard = NULL;
}

static void
on_reset(struct smtp_session *s)
{
	struct session *q = smtp_session_data(s);

	if (q == NULL)
		return;
	if (q->guard != NULL)
		guard_release(qm_of(s), q, smtp_client_reset(q->guard) == 0);
	q->guard_failed = false;
	q->targets = 0;
}

/* --- recipients --- */

/* The first recipient opens the transaction with guard. */
static int
ask(struct smtp_session *s, struct session *q, struct smtp_client_rcpt *rcpt)
{
	const struct smtp_mail *m = smtp_session_mail(s);
	struct smtp_client_mail mail = { .from = m->from.text,
		.smtputf8 = m->smtputf8,
		.trace = slice_str(smtp_session_id(s)) };
	struct smtp_reply whole;
	int rc;

	if (q->guard_failed)
		return -ECONNRESET;
	if (q->guard != NULL)
		return smtp_client_rcpt(q->guard, rcpt);
	if ((rc = smtp_pool_get(qm_of(s)->guard, &q->guard)) != 0) {
		q->guard = NULL;
		return rc;
	}
	rc = smtp_client_mail(q->guard, &mail, rcpt, 1, &whole);
	if (rc == 0 && !smtp_reply_is_positive(&whole))
		rcpt->reply = whole;
	return rc;
}

/* Guard's answer, kept for the transaction. */
static struct answer *
answer_of(struct smtp_session *s, struct session *q, struct slice address)
{
	struct smtp_client_rcpt rcpt = { .address = address };
	struct answer *a = arena_alloc(smtp_session_tx_arena(s), sizeof(*a));

	if (a == NULL)
		return NULL;
	if (ask(s, q, &rcpt) != 0) {
		guard_release(qm_of(s), q, false);
		q->guard_failed = true;
		return a;
	}
	a->known = verdict_of(&rcpt.reply) != VERDICT_LATER;
	a->reply = rcpt.reply;
	a->reply.text = arena_dup(smtp_session_tx_arena(s), rcpt.reply.text);
	return a->reply.text.p == NULL ? NULL : a;
}

static int
on_verify(struct smtp_session *s, struct arena *a, const struct smtp_path *who,
    struct smtp_reply *reply)
{
	return smtp_pool_verify(qm_of(s)->guard, a, who->text, reply);
}

/* RFC 1985 5.3 */
static int
on_flush(struct smtp_session *s, struct arena *a, struct slice node,
    bool subdomains, struct smtp_reply *reply)
{
	size_t n;
	int rc = qm_flush(qm_of(s), node, subdomains, &n);

	if (rc == -EBUSY) {
		*reply = SMTP_REPLY(458, "4.3.2", "another is under way");
		return 0;
	}
	if (rc != 0)
		return rc;
	*reply = n == 0
	    ? smtp_reply_f(a, 251, "2.0.0", "no messages waiting for node %.*s",
		  (int)node.n, node.p)
	    : smtp_reply_f(a, 253, "2.0.0",
		  "%zu pending messages for node %.*s started", n, (int)node.n,
		  node.p);
	return 0;
}

static size_t
lines(struct slice text)
{
	size_t n = 1;

	for (size_t i = 0; i < text.n; i++)
		n += text.p[i] == '\n';
	return n;
}

static int
on_rcpt(struct smtp_session *s, struct smtp_rcpt *r, struct smtp_reply *reply)
{
	struct session *q = smtp_session_data(s);
	struct answer *a = answer_of(s, q, r->to.text);
	size_t targets;

	if (a == NULL)
		return -ENOMEM;
	if (a->known && verdict_of(&a->reply) == VERDICT_REFUSED) {
		smtp_session_because(s, "guard");
		*reply = a->reply;
		return 0;
	}
	targets = a->known && verdict_of(&a->reply) == VERDICT_EXPAND
	    ? lines(a->reply.text)
	    : 1;
	if (q->targets + targets > QUEUE_RCPTS_MAX) {
		*reply = SMTP_REPLY(452, "4.5.3", "too many recipients");
		return 0;
	}
	q->targets += targets;
	r->data = a;
	*reply = SMTP_REPLY(250, "2.1.5", "recipient ok");
	return 0;
}

/* --- the message --- */

static bool
is_alias(const struct smtp_rcpt *r)
{
	const struct answer *a = r->data;

	return a->known && verdict_of(&a->reply) == VERDICT_EXPAND;
}

/* One recipient of the session, or what it stands for. */
static int
add_rcpt(struct qm *qm, struct queue_message *m, const struct smtp_rcpt *r)
{
	const struct answer *a = r->data;
	enum verdict v = a->known ? verdict_of(&a->reply) : VERDICT_LATER;
	struct queue_rcpt *added,
	    from = { .notify = r->notify,
		    .address = r->to.text,
		    .orcpt = r->orcpt };
	int n = v == VERDICT_EXPAND
	    ? verdict_expand(m, &from, a->reply.text, qm->smarthost)
	    : 0;

	if (n < 0)
		return n;
	/* One that became several reports that from a row of its own. */
	if (n == 1 || (n > 1 && (r->notify & SMTP_NOTIFY_SUCCESS) == 0))
		return 0;
	added = queue_message_add(m, r->to.text, r->notify, r->orcpt);
	if (added == NULL)
		return -ENOMEM;
	if (n > 1)
		queue_rcpt_set(m, added, QUEUE_EXPANDED, "2.1.5", SLICE_EMPTY,
		    SLICE_EMPTY);
	else if (v == VERDICT_LOCAL || v == VERDICT_REMOTE)
		verdict_route(m, added, v == VERDICT_LOCAL, qm->smarthost);
	return 0;
}

/* RFC 5321 4.4, of who brought no id: then it is no program of ours, which
 * would have written one. */
static int
put_received(struct smtp_session *s, struct buf *out)
{
	if (smtp_session_mail(s)->trace.n > 0)
		return 0;
	buf_put_str(out, "Received: from ");
	buf_put_slice(out, smtp_session_helo(s));
	buf_printf(out, "\r\n\tby %s with %s\r\n\tid %s;\r\n\t",
	    smtp_session_server(s)->hostname, smtp_session_with(s),
	    smtp_session_id(s));
	date_put(out, (struct date){ clock_wall_s(), 0 });
	buf_put_str(out, "\r\n");
	return out->failed ? -ENOMEM : 0;
}

/* RFC 8689 3, where MAIL did not say otherwise. */
static int
is_any_tls(struct smtp_session *s, struct spool *body, bool *is)
{
	struct slice head, value;
	int rc = spool_head(body, HEAD_MAX, &head);

	if (rc != 0)
		return rc;
	value = header_value(smtp_session_tx_arena(s), head, "TLS-Required");
	*is = value.p != NULL && slice_eq_str_nocase(value, "No") &&
	    !smtp_session_mail(s)->wishes.requiretls;
	return 0;
}

static int
fill_message(
    struct smtp_session *s, struct spool *body, struct queue_message *m)
{
	const struct smtp_mail *mail = smtp_session_mail(s);
	size_t n;
	struct smtp_rcpt *const *rcpts = smtp_session_rcpts(s, &n);
	bool any_tls = false;
	int rc = is_any_tls(s, body, &any_tls);

	m->from = arena_dup(&m->arena, mail->from.text);
	m->envid = arena_dup(&m->arena, mail->envid);
	m->trace = arena_dup(&m->arena, slice_str(smtp_session_id(s)));
	if (m->from.p == NULL || m->envid.p == NULL || m->trace.p == NULL)
		return -ENOMEM;
	m->wishes = mail->wishes;
	m->wishes.hold = arena_dup(&m->arena, mail->wishes.hold);
	if (m->wishes.hold.p == NULL)
		return -ENOMEM;
	if (m->due_ms < m->wishes.release_ms)
		m->due_ms = m->wishes.release_ms;
	m->ret = mail->ret;
	m->body = mail->body;
	m->size = spool_size(body);
	if (mail->smtputf8)
		m->flags |= QUEUE_UTF8;
	if (any_tls)
		m->flags |= QUEUE_TLS_ANY;
	if (spool_is_8bit(body)) {
		m->flags |= QUEUE_8BIT;
		if (m->body == SMTP_BODY_7BIT)
			m->body = SMTP_BODY_8BITMIME;
	}
	/* Aliases last: they leave out who is a recipient anyway. */
	for (size_t i = 0; i < n && rc == 0; i++)
		if (!is_alias(rcpts[i]))
			rc = add_rcpt(qm_of(s), m, rcpts[i]);
	for (size_t i = 0; i < n && rc == 0; i++)
		if (is_alias(rcpts[i]))
			rc = add_rcpt(qm_of(s), m, rcpts[i]);
	return rc;
}

/* m->size becomes that of both. */
static int
write_blob(struct store *store, struct slice received, struct spool *body,
    struct queue_message *m, struct store_blob_writer **w)
{
	uint64_t at = 0, size = m->size;
	int rc;

	store_blob_id_new(&m->blob);
	if ((rc = store_blob_begin(store, &m->blob, w)) != 0)
		return rc;
	if (received.n > 0)
		rc = store_blob_write(*w, received);
	m->size += received.n;
	while (rc == 0 && at < size) {
		struct slice part;

		if ((rc = spool_view(body, at, &part)) == 0)
			rc = store_blob_write(*w, part);
		at += part.n;
	}
	return rc == 0 ? store_blob_seal(*w) : rc;
}

/* Durable, or nothing of it is left. */
static int
enqueue(struct qm *qm, struct slice received, struct spool *body,
    struct queue_message *m)
{
	struct store *store = queue_store(qm->queue);
	struct store_blob_writer *w = NULL;
	int rc = write_blob(store, received, body, m, &w);
	bool sealed = rc == 0;

	if (rc == 0)
		rc = queue_put(qm->queue, m, w);
	store_blob_writer_free(&w);
	if (rc != 0 && sealed)
		store_blob_del(store, &m->blob);
	return rc;
}

static int
on_message(struct smtp_session *s, struct spool *body,
    struct smtp_reply *replies, size_t n)
{
	struct qm *qm = qm_of(s);
	struct queue_message *m = queue_message_new();
	struct buf received = BUF_INIT_MAX(4096);
	int64_t began_us = clock_mono_us();
	struct smtp_reply queued;
	int rc;

	if (m == NULL)
		return -ENOMEM;
	if ((rc = fill_message(s, body, m)) == 0)
		rc = put_received(s, &received);
	if (rc == 0)
		rc = enqueue(qm, buf_slice(&received), body, m);
	buf_clear(&received);
	if (rc != 0) {
		queue_message_free(&m);
		return rc;
	}
	queued = smtp_reply_f(
	    smtp_session_tx_arena(s), 250, "2.0.0", "queued as %s", m->id);
	for (size_t i = 0; i < n; i++)
		replies[i] = queued;
	log_info("queued", "qid=%s from=<%s> size=%llu recipients=%zu", m->id,
	    log_q(m->from), (unsigned long long)m->size, m->n_rcpts);
	tell_queued(
	    m, smtp_session_message_id(s), NULL, clock_mono_us() - began_us);
	qm_offer(qm, &m);
	return 0;
}

static int
on_command(struct smtp_session *s, struct slice verb, struct slice args,
    struct smtp_reply *reply)
{
	return queue_ask(qm_of(s)->queue, s, verb, args, reply);
}

static const struct smtp_handler handler = {
	.command = on_command,
	.connect = on_connect,
	.rcpt = on_rcpt,
	.verify = on_verify,
	.flush = on_flush,
	.message = on_message,
	.reset = on_reset,
};

void
qm_session_server(
    struct smtp_server *out, struct qm *qm, const struct conf *conf)
{
	size_t n_networks;

	*out = (struct smtp_server){
		.kind = SMTP_SERVER_LMTP,
		.handler = &handler,
		.hostname = service_hostname(),
		.extensions = SMTP_EXT_PIPELINING | SMTP_EXT_SIZE |
		    SMTP_EXT_8BITMIME | SMTP_EXT_SMTPUTF8 | SMTP_EXT_ENHANCED |
		    SMTP_EXT_STARTTLS | SMTP_EXT_CHUNKING |
		    SMTP_EXT_BINARYMIME | SMTP_EXT_DSN | SMTP_EXT_XFORWARD |
		    SMTP_EXT_XTRACE | SMTP_EXT_LIMITS | SMTP_EXT_XCLIENT |
		    SMTP_EXT_FUTURERELEASE | SMTP_EXT_MT_PRIORITY |
		    SMTP_EXT_DELIVERBY | SMTP_EXT_REQUIRETLS | SMTP_EXT_ETRN |
		    SMTP_EXT_XOUTSIDE,
		.hold_max_s = HOLD_MAX_S,
		.max_size = conf_size(conf, "qm.max_size"),
		.tls = service_tls(),
		.xclient_from = conf_list(conf, "qm.xclient_from", &n_networks),
		.max_recipients = (size_t)conf_int(conf, "qm.max_recipients"),
		.max_errors = 100,
		.timeout_ms = 3600000, /* peers keep idle connections */
		.spool_dir = conf_file(conf, "qm.spool_dir"),
		.app = qm,
	};
}
