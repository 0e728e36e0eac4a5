/* SPDX-License-Identifier: ISC */
/* Connections and transactions for the scheduler. */
#include "qm/deliver.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/mail/seven_bit.h"
#include "qm/link.h"
#include "qm/tell.h"
#include "qm/verdict.h"

/* --- outcomes --- */

void
deliver_status(const struct smtp_reply *reply, char out[static 12])
{
	char class = reply->code >= 500 && reply->code < 600 ? '5'
	    : smtp_reply_is_positive(reply)                  ? '2'
							     : '4';

	if (reply->enhanced[0] == '\0')
		memcpy(out, "x.0.0", 6);
	else
		memcpy(out, reply->enhanced, sizeof(reply->enhanced));
	out[0] = class;
}

/* RFC 2852 4.1.4, 4.1.4.2: the sender hears of each hop if he wants to, and of
 * the one where his time limit ends. */
static bool
is_to_be_told(const struct queue_message *m, const struct queue_rcpt *r,
    const struct deliver_peer *peer)
{
	const struct smtp_wishes *w = &m->wishes;

	if (w->by_mode == '\0' || (r->notify & SMTP_NOTIFY_NEVER))
		return false;
	return w->by_trace ||
	    (w->by_mode == 'N' && !peer->by && clock_wall_ms() < w->by_ms);
}

static enum queue_rcpt_state
state_of(const struct queue_message *m, const struct queue_rcpt *r,
    const struct smtp_reply *reply, const struct deliver_peer *peer)
{
	if (smtp_reply_is_positive(reply)) {
		if (!peer->final && is_to_be_told(m, r, peer))
			return QUEUE_RELAYED;
		if ((r->notify & SMTP_NOTIFY_SUCCESS) == 0)
			return QUEUE_DONE;
		if (peer->final)
			return QUEUE_DELIVERED;
		return peer->dsn ? QUEUE_DONE : QUEUE_RELAYED;
	}
	return reply->code >= 500 && reply->code < 600 ? QUEUE_FAILED
						       : QUEUE_PENDING;
}

void
deliver_outcome(struct queue_message *m, struct queue_rcpt *r,
    const struct smtp_reply *reply, const struct deliver_peer *peer)
{
	static const char *const words[] = { "deferred", "bounced", "sent" };
	enum queue_rcpt_state state = state_of(m, r, reply, peer);
	struct buf said = BUF_INIT_MAX(2048);
	char status[12];
	int64_t ms = clock_wall_ms() - m->arrival_ms;
	unsigned word = state == QUEUE_PENDING ? 0
	    : state == QUEUE_FAILED            ? 1
					       : 2;

	deliver_status(reply, status);
	buf_printf(&said, "%d%s%s ", reply->code,
	    reply->enhanced[0] != '\0' ? " " : "", reply->enhanced);
	buf_put_slice(&said, slice_head(reply->text, 1000));
	queue_rcpt_set(
	    m, r, state, status, buf_slice(&said), slice_str(peer->host));
	log_info("delivery",
	    "qid=%s id=%s to=<%s> from=<%s> relay=%s tls=%s%s%s "
	    "delay=%lld.%03lld "
	    "dsn=%s status=%s reply=\"%s\"",
	    m->id, log_q(m->trace), log_q(r->address), log_q(m->from),
	    log_qs(peer->relay), peer->tls[0] != '\0' ? peer->tls : "none",
	    peer->policy != NULL ? " policy=" : "",
	    peer->policy != NULL ? peer->policy : "",
	    (long long)(ms / 1000), (long long)(ms < 0 ? 0 : ms % 1000), status,
	    words[word], log_q(buf_slice(&said)));
	buf_clear(&said);
	tell_outcome(m, r, reply, peer);
}

static void
outcome_all(struct deliver_job *j, const struct smtp_reply *reply,
    const struct deliver_peer *peer)
{
	for (size_t i = 0; i < j->n; i++)
		deliver_outcome(j->m, j->rcpts[i], reply, peer);
}

static void
job_fail(
    void *arg, struct scheduler_job *job, const struct scheduler_fault *why)
{
	struct deliver_peer peer = { .host = why->remote,
		.relay = why->remote[0] != '\0' ? why->remote : "none",
		.tls = "" };

	(void)arg;
	((struct deliver_job *)job)->not_reached = true;
	outcome_all((struct deliver_job *)job, &why->reply, &peer);
}

/* --- a transaction --- */

struct source {
	struct queue *queue;
	const struct queue_message *m;
	uint64_t at;
	struct seven_bit *converted; /* or NULL: read that */
	int rc;
};

static ssize_t
source_read(void *arg, void *p, size_t n)
{
	struct source *s = arg;
	size_t got;

	s->rc = queue_read(s->queue, s->m, s->at, p, n, &got);
	if (s->rc != 0)
		return s->rc;
	s->at += got;
	return (ssize_t)got;
}

struct transaction {
	struct deliver *d;
	struct link *l;
	struct deliver_job *j;
	struct queue_rcpt **rcpts; /* those of the job that are left */
	size_t n;
	struct smtp_client_rcpt *wire; /* the same, on the wire */
	size_t n_wire;  /* how many of them the server takes at once */
	bool delivered; /* at least one was accepted to the end */
	struct seven_bit *converted; /* what is sent in its place, or NULL */
};

/* RFC 2852 4.1.4.2: who cannot keep the time is to tell at least that it takes
 * longer. */
static unsigned
notify_of(const struct transaction *t, const struct queue_rcpt *r)
{
	const struct smtp_wishes *w = &t->j->m->wishes;

	if (w->by_mode != 'N' || t->l->peer.by || clock_wall_ms() >= w->by_ms ||
	    (r->notify & SMTP_NOTIFY_NEVER))
		return r->notify;
	if (r->notify == SMTP_NOTIFY_UNSET)
		return SMTP_NOTIFY_FAILURE | SMTP_NOTIFY_DELAY;
	return r->notify | SMTP_NOTIFY_DELAY;
}

static void
wire_set(struct transaction *t)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct queue_rcpt *r = t->rcpts[i];

		/* Reports of final delivery are ours to make. */
		t->wire[i] = (struct smtp_client_rcpt){ .address = r->address,
			.notify =
			    t->l->local ? SMTP_NOTIFY_UNSET : notify_of(t, r),
			.orcpt = r->orcpt };
	}
	t->n_wire = smtp_client_fit(t->l->client, t->wire, t->n);
}

/*
 * Some servers take fewer recipients at once than others, and say so at the
 * one that is too many: 452, or 552 from old ones (RFC 5321 4.5.3.1.10). It
 * goes into the next transaction.
 */
static bool
is_one_too_many(const struct smtp_client_rcpt *w)
{
	return !w->accepted && (w->reply.code == 452 || w->reply.code == 552);
}

/* Outcomes of those that are done with; the others move to the front. */
static size_t
settle(struct transaction *t)
{
	size_t left = 0;

	for (size_t i = 0; i < t->n; i++) {
		if (i >= t->n_wire ||
		    (t->delivered && is_one_too_many(&t->wire[i])))
			t->rcpts[left++] = t->rcpts[i];
		else
			deliver_outcome(t->j->m, t->rcpts[i], &t->wire[i].reply,
			    &t->l->peer);
	}
	return left;
}

/* What is ours to keep is kept when it comes to this; REQUIRETLS is only said
 * where it holds. */
static struct smtp_wishes
wishes_of(const struct link *l, const struct queue_message *m)
{
	struct smtp_wishes w = m->wishes;

	w.requiretls = w.requiretls && (l->verified || l->local);

	w.release_ms = 0;
	w.hold = SLICE_EMPTY;
	/* What comes to accounts of ours needs nobody else. */
	w.outside = w.outside && !l->local;
	return w;
}

static struct smtp_client_mail
mail_of(const struct link *l, const struct queue_message *m)
{
	return (struct smtp_client_mail){ .from = m->from,
		.size = m->size,
		.body = (enum smtp_body)m->body,
		.smtputf8 = (m->flags & QUEUE_UTF8) != 0,
		.ret = (enum smtp_ret)m->ret,
		.envid = m->envid,
		.wishes = wishes_of(l, m),
		.trace = m->trace };
}

/* What is wrong on our side of it. (An admin may have deleted it, too.) */
static struct smtp_reply
source_fault(const struct queue_message *m, int rc)
{
	if (rc != -ENOENT)
		log_error("message cannot be read", "qid=%s error=%s", m->id,
		    strerror(-rc));
	return SMTP_REPLY(
	    451, "4.3.0", "the message cannot be read from the queue");
}

/* No message was sent: a recipient's 250 is worth nothing. */
static void
not_sent(struct transaction *t, const struct smtp_reply *reply, bool all)
{
	for (size_t i = 0; i < t->n_wire; i++)
		if (all || t->wire[i].accepted || t->wire[i].reply.code == 0)
			t->wire[i].reply = *reply;
}

/* --- for servers that take less (RFC 6152 3, RFC 3030 4) --- */

static int
converted_source(void *arg, uint64_t at, void *p, size_t n, size_t *got)
{
	struct transaction *t = arg;

	return queue_read(t->d->queue, t->j->m, at, p, n, got);
}

static bool
is_too_much(const struct link *l, const struct queue_message *m)
{
	unsigned ext = smtp_client_extensions(l->client);

	if (m->body == SMTP_BODY_BINARYMIME)
		return !(ext & SMTP_EXT_BINARYMIME);
	return (m->flags & QUEUE_8BIT) != 0 && !(ext & SMTP_EXT_8BITMIME);
}

/*
 * Make it 7-bit where the server takes no more. What it then is, *mail says;
 * how long, nobody knows before. False: *whole has the refusal.
 */
static bool
convert(struct transaction *t, struct smtp_client_mail *mail,
    struct smtp_reply *whole)
{
	int rc;

	if (!is_too_much(t->l, t->j->m))
		return true;
	rc = seven_bit_new(&t->converted, converted_source, t);
	if (rc == -ENOTSUP)
		*whole = SMTP_REPLY(554, "5.6.3",
		    "The next server takes 7-bit mail, and this cannot be "
		    "made that");
	else if (rc != 0)
		*whole = source_fault(t->j->m, rc);
	mail->body = SMTP_BODY_7BIT;
	mail->size = 0;
	return rc == 0;
}

static ssize_t
converted_read(void *arg, void *p, size_t n)
{
	struct source *s = arg;
	ssize_t got = seven_bit_read(s->converted, p, n);

	if (got < 0)
		s->rc = (int)got;
	return got;
}

static int
send_body(struct transaction *t, struct smtp_reply *whole)
{
	struct source s = {
		.queue = t->d->queue, .m = t->j->m, .converted = t->converted
	};
	int rc = smtp_client_send_from(t->l->client, SLICE_EMPTY,
	    t->converted != NULL ? converted_read : source_read, &s,
	    t->j->m->size, t->wire, t->n_wire, whole);

	if (s.rc != 0) {
		*whole = source_fault(t->j->m, s.rc);
		not_sent(t, whole, false);
		return 0;
	}
	for (size_t i = 0; i < t->n_wire; i++)
		if (t->wire[i].accepted &&
		    smtp_reply_is_positive(&t->wire[i].reply))
			t->delivered = true;
	return rc;
}

/*
 * Every recipient has its reply in wire[] after it; an error is one of the
 * connection, and `lost` is the reply of those that had none.
 */
static int
exchange(struct transaction *t, struct smtp_reply *whole,
    const struct smtp_reply *lost)
{
	struct smtp_client_mail mail = mail_of(t->l, t->j->m);
	bool any = false;
	int rc;

	*whole = (struct smtp_reply){ 0 };
	if (!convert(t, &mail, whole)) {
		not_sent(t, whole, true);
		return 0;
	}
	rc = smtp_client_mail(t->l->client, &mail, t->wire, t->n_wire, whole);
	if (rc != 0) {
		not_sent(t, lost, false);
		return rc;
	}
	if (!smtp_reply_is_positive(whole)) {
		not_sent(t, whole, true);
		return 0;
	}
	for (size_t i = 0; i < t->n_wire; i++)
		any = any || t->wire[i].accepted;
	return any ? send_body(t, whole) : 0;
}

/* The connection, or the server as a whole, is in trouble. */
static bool
is_trouble(const struct transaction *t, const struct smtp_reply *whole)
{
	if (whole->code == 421)
		return true;
	for (size_t i = 0; i < t->n_wire; i++)
		if (t->wire[i].reply.code == 421)
			return true;
	return false;
}

static enum scheduler_run
transaction(struct transaction *t)
{
	struct smtp_reply whole;
	struct smtp_reply lost =
	    SMTP_REPLY(451, "4.4.2", "the connection was lost");
	bool trouble;
	int rc;

	/* Also because what it said in its EHLO may hold no more. */
	if (t->l->uses > 0 && !smtp_client_is_alive(t->l->client))
		return SCHEDULER_STALE;
	t->delivered = false;
	t->l->peer.began_us = clock_mono_us();
	wire_set(t);
	rc = exchange(t, &whole, &lost);
	seven_bit_free(&t->converted);
	if (rc == -ECONNRESET && whole.code == 0 && t->l->uses > 0)
		return SCHEDULER_STALE; /* nothing was said */
	trouble = rc != 0 || is_trouble(t, &whole);
	t->n = settle(t);
	t->l->uses++;
	if (rc == -ECANCELED)
		return SCHEDULER_CLOSE;
	if (trouble)
		return SCHEDULER_BROKEN;
	if (!t->delivered && smtp_client_reset(t->l->client) != 0)
		return SCHEDULER_CLOSE;
	return SCHEDULER_GOOD;
}

static enum scheduler_run
transactions(struct transaction *t)
{
	enum scheduler_run run = transaction(t);

	if (run == SCHEDULER_STALE)
		return run; /* the whole job, on a new connection */
	while (run == SCHEDULER_GOOD && t->n > 0)
		run = transaction(t);
	for (size_t i = 0; i < t->n; i++)
		deliver_outcome(t->j->m, t->rcpts[i],
		    &SMTP_REPLY(451, "4.4.2", "the connection was lost"),
		    &t->l->peer);
	return run == SCHEDULER_STALE ? SCHEDULER_CLOSE : run;
}

static enum scheduler_run
link_run(void *arg, void *connection, struct scheduler_job *job)
{
	static const struct deliver_peer nobody = { "", "none", "", false,
		false, false, 0, NULL };
	struct transaction t = {
		.d = arg, .l = connection, .j = (struct deliver_job *)job
	};
	enum scheduler_run run;

	t.rcpts = t.j->rcpts;
	t.n = t.j->n;
	if (!queue_holds(t.d->queue, t.j->m->slice)) {
		outcome_all(t.j,
		    &SMTP_REPLY(451, "4.3.2", "another worker has taken over"),
		    &nobody);
		return SCHEDULER_GOOD;
	}
	if ((t.wire = calloc(t.n, sizeof(*t.wire))) == NULL) {
		outcome_all(
		    t.j, &SMTP_REPLY(451, "4.3.0", "out of memory"), &nobody);
		return SCHEDULER_GOOD;
	}
	run = transactions(&t);
	free(t.wire);
	return run;
}

const struct scheduler_ops deliver_ops = {
	.open = link_open,
	.run = link_run,
	.close = link_close,
	.fail = job_fail,
};
