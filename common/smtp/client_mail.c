/* SPDX-License-Identifier: ISC */
/*
 * The envelope: MAIL and RCPT in one go where the server pipelines (RFC 2920).
 * Commands run ahead of replies by no more than a window that fits in any
 * socket buffer, so neither side ever waits for the other to read.
 */
#include <errno.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/smtp/client_impl.h"

#define WINDOW_OCTETS ((size_t)8 << 10)

/* One transaction's commands, as they are sent and answered. */
struct envelope {
	struct smtp_client *c;
	const struct smtp_client_mail *mail;
	struct smtp_client_rcpt *rcpts;
	size_t n;
	struct smtp_reply *mail_reply;
	size_t sent, answered; /* commands; see command_of */
	size_t in_flight;      /* octets sent and not answered, at most */
	bool has_reset, has_xforward, ends;
	bool mail_answered;
	int (*behind)(void *);
	void *arg;
};

/* RSET and XFORWARD come first, where they are needed; then MAIL, then the
 * recipients; then RSET, where nothing is to be sent. */
enum kind { RESET, XFORWARD, MAIL, RCPT };

static enum kind
command_of(const struct envelope *e, size_t i, size_t *rcpt)
{
	if (e->has_reset && i-- == 0)
		return RESET;
	if (e->has_xforward && i-- == 0)
		return XFORWARD;
	if (i-- == 0)
		return MAIL;
	if (i == e->n)
		return RESET;
	*rcpt = i;
	return RCPT;
}

static size_t
command_count(const struct envelope *e)
{
	return (size_t)e->has_reset + e->has_xforward + 1 + e->n + e->ends;
}

/* --- writing --- */

/* "for;3600" is HOLDFOR=3600. Said again as it was said to us: a moment later,
 * so never too early. */
static void
put_hold(struct slice hold, struct buf *b)
{
	struct slice value = hold, how = slice_split(&value, ';');

	if (hold.n == 0)
		return;
	buf_put_str(b, slice_eq_str(how, "for") ? " HOLDFOR=" : " HOLDUNTIL=");
	buf_put_slice(b, value);
}

/* Seconds until then, none too many; the next one may have less of them. */
static int64_t
by_left_s(const struct smtp_wishes *w)
{
	int64_t ms = w->by_ms - clock_wall_ms();

	return ms >= 0 ? ms / 1000 : -((999 - ms) / 1000);
}

static void
put_by(const struct smtp_wishes *w, struct buf *b)
{
	buf_printf(b, " BY=%lld;%c%s", (long long)by_left_s(w), w->by_mode,
	    w->by_trace ? "T" : "");
}

/* Our own on this machine: nothing crosses a wire. */
static bool
is_at_hand(const struct smtp_client *c)
{
	return c->conf.lmtp && net_addr_is_loopback(conn_peer(c->conn));
}

static bool
takes_requiretls(const struct smtp_client *c)
{
	return (c->ext & SMTP_EXT_REQUIRETLS) &&
	    (conn_is_tls(c->conn) || is_at_hand(c));
}

static void
put_mail(const struct smtp_client *c, const struct smtp_client_mail *m,
    struct buf *b)
{
	buf_put_str(b, "MAIL FROM:<");
	buf_put_slice(b, m->from);
	buf_put_char(b, '>');
	if (m->size > 0 && (c->ext & SMTP_EXT_SIZE))
		buf_printf(b, " SIZE=%llu", (unsigned long long)m->size);
	if (m->body == SMTP_BODY_BINARYMIME)
		buf_put_str(b, " BODY=BINARYMIME");
	else if (m->body == SMTP_BODY_8BITMIME && (c->ext & SMTP_EXT_8BITMIME))
		buf_put_str(b, " BODY=8BITMIME");
	if (m->smtputf8)
		buf_put_str(b, " SMTPUTF8");
	if (m->ret != SMTP_RET_UNSET && (c->ext & SMTP_EXT_DSN))
		buf_put_str(
		    b, m->ret == SMTP_RET_FULL ? " RET=FULL" : " RET=HDRS");
	if (m->envid.n > 0 && (c->ext & SMTP_EXT_DSN)) {
		buf_put_str(b, " ENVID=");
		smtp_xtext_encode(m->envid, b);
	}
	if (c->prdr)
		buf_put_str(b, " PRDR");
	put_hold(m->wishes.hold, b);
	if (m->wishes.requiretls && takes_requiretls(c))
		buf_put_str(b, " REQUIRETLS");
	if (m->wishes.by_mode != '\0' && (c->ext & SMTP_EXT_DELIVERBY))
		put_by(&m->wishes, b);
	/* RFC 6710 4.2: also the one that nobody has named. Our own know it. */
	if ((c->ext & SMTP_EXT_MT_PRIORITY) &&
	    (m->wishes.has_priority || !c->conf.lmtp))
		buf_printf(b, " MT-PRIORITY=%d", m->wishes.priority);
	if (m->trace.n > 0 && (c->ext & SMTP_EXT_XTRACE)) {
		buf_put_str(b, " XTRACE=");
		buf_put_slice(b, m->trace);
	}
	if (m->wishes.outside)
		buf_put_str(b, " XOUTSIDE");
	if (m->source.n > 0) {
		buf_put_str(b, " XSOURCE=");
		buf_put_slice(b, m->source);
	}
}

static void
put_notify(unsigned notify, struct buf *b)
{
	static const struct {
		unsigned bit;
		const char *word;
	} words[] = {
		{ SMTP_NOTIFY_NEVER, "NEVER" },
		{ SMTP_NOTIFY_SUCCESS, "SUCCESS" },
		{ SMTP_NOTIFY_FAILURE, "FAILURE" },
		{ SMTP_NOTIFY_DELAY, "DELAY" },
	};
	const char *before = " NOTIFY=";

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (notify & words[i].bit) {
			buf_put_str(b, before);
			buf_put_str(b, words[i].word);
			before = ",";
		}
}

static void
put_rcpt(const struct smtp_client *c, const struct smtp_client_rcpt *r,
    bool utf8, struct buf *b)
{
	buf_put_str(b, "RCPT TO:<");
	buf_put_slice(b, r->address);
	buf_put_char(b, '>');
	if (!(c->ext & SMTP_EXT_DSN))
		return;
	put_notify(r->notify, b);
	if (r->orcpt.n > 0) {
		size_t start = b->n;

		buf_put_str(b, " ORCPT=");
		if (!smtp_orcpt_encode(r->orcpt, utf8, b))
			buf_truncate(b, start);
	}
}

static int
send_next(struct envelope *e)
{
	struct buf line = BUF_INIT;
	size_t rcpt;
	int rc;

	switch (command_of(e, e->sent, &rcpt)) {
	case RESET:
		buf_put_str(&line, "RSET");
		break;
	case XFORWARD:
		buf_printf(&line, "XFORWARD %s", e->mail->xforward);
		break;
	case MAIL:
		put_mail(e->c, e->mail, &line);
		break;
	case RCPT:
		put_rcpt(e->c, &e->rcpts[rcpt], e->mail->smtputf8, &line);
		break;
	}
	buf_put_str(&line, "\r\n");
	rc = line.failed ? -ENOMEM : conn_write(e->c->conn, buf_slice(&line));
	e->in_flight += line.n;
	e->sent++;
	buf_clear(&line);
	return rc;
}

/* --- reading --- */

static void
take_rcpt_reply(struct smtp_client_rcpt *r, const struct smtp_reply *reply)
{
	r->reply = *reply;
	r->accepted = smtp_reply_is_positive(reply);
}

static int
read_next(struct envelope *e)
{
	struct smtp_reply reply;
	size_t rcpt;
	int rc;

	if ((rc = client_read_reply(e->c, &e->c->tx, &reply)) != 0)
		return rc;
	if (reply.code >= 300 && reply.code < 400)
		return -EPROTO;
	switch (command_of(e, e->answered++, &rcpt)) {
	case RESET:
		e->c->needs_reset = false;
		if (e->mail_answered && !smtp_reply_is_positive(&reply))
			e->c->out_of_step = true; /* not to be used again */
		break;
	case XFORWARD:
		if (!smtp_reply_is_positive(&reply))
			log_info("xforward refused", "peer=%s code=%d",
			    e->c->remote, reply.code);
		break;
	case MAIL:
		*e->mail_reply = reply;
		e->mail_answered = true;
		e->c->needs_reset = smtp_reply_is_positive(&reply);
		break;
	case RCPT:
		take_rcpt_reply(&e->rcpts[rcpt], &reply);
		break;
	}
	return 0;
}

/* 421 ends a session: those that had no reply yet have this one. */
static int
take_421(struct envelope *e)
{
	size_t rcpt = 0;

	if (!e->mail_answered)
		return -ECONNRESET;
	for (; e->answered < command_count(e); e->answered++)
		if (command_of(e, e->answered, &rcpt) == RCPT)
			take_rcpt_reply(&e->rcpts[rcpt],
			    &SMTP_REPLY(
				421, "4.4.2", "The server ended the session"));
	return 0;
}

static int
exchange(struct envelope *e)
{
	bool ahead = (e->c->ext & SMTP_EXT_PIPELINING) != 0;
	size_t count = command_count(e);
	int rc = 0;

	while (rc == 0 && e->answered < count) {
		if (e->c->out_of_step)
			return take_421(e);
		/* Without pipelining a refused MAIL needs no recipients. */
		if (e->mail_answered && e->sent == e->answered &&
		    !smtp_reply_is_positive(e->mail_reply))
			break;
		if (e->sent < count &&
		    (e->sent == e->answered ||
			(ahead && e->in_flight < WINDOW_OCTETS))) {
			rc = send_next(e);
			continue;
		}
		if (e->sent == count && e->behind != NULL) {
			rc = e->behind(e->arg);
			e->behind = NULL;
			continue;
		}
		if ((rc = read_next(e)) == 0 && e->sent == e->answered)
			e->in_flight = 0;
	}
	return rc;
}

/* --- the calls --- */

/* What comes from outside has been through the parser; this stops what did
 * not, before it can bring a line of its own. */
static bool
is_safe(struct slice path)
{
	for (size_t i = 0; i < path.n; i++)
		if ((unsigned char)path.p[i] < ' ' || path.p[i] == 0x7f)
			return false;
	return true;
}

/* RFC 2852 4.1.4.1: relayed to who can keep it, or not at all. */
static bool
refuse_by(const struct smtp_client *c, const struct smtp_wishes *w,
    struct smtp_reply *reply)
{
	int64_t left = by_left_s(w);

	if (c->conf.final && !(c->ext & SMTP_EXT_DELIVERBY))
		return false;
	if (left <= 0)
		*reply = SMTP_REPLY(554, "5.4.7", "Delivery time expired");
	else if (!(c->ext & SMTP_EXT_DELIVERBY))
		*reply = SMTP_REPLY(554, "5.3.3",
		    "The next server does not take delivery times");
	else if ((uint64_t)left < c->by_min_s)
		*reply = SMTP_REPLY(554, "5.4.7",
		    "The next server needs more time than is left");
	else
		return false;
	return true;
}

/* RFC 8689 4.2.1; where mail is delivered on this machine it is at its end. */
static bool
refuse_tls(const struct smtp_client *c, struct smtp_reply *reply)
{
	if (takes_requiretls(c) || (c->conf.final && is_at_hand(c)))
		return false;
	if (conn_is_tls(c->conn) || is_at_hand(c))
		*reply = SMTP_REPLY(550, "5.7.30",
		    "REQUIRETLS is not supported by the next server");
	else
		*reply = SMTP_REPLY(
		    550, "5.7.10", "REQUIRETLS, and no TLS to the next server");
	return true;
}

static bool
refuse_here(const struct smtp_client *c, const struct smtp_client_mail *m,
    struct smtp_reply *reply)
{
	if (m->smtputf8 && !(c->ext & SMTP_EXT_SMTPUTF8)) {
		*reply = SMTP_REPLY(553, "5.6.7",
		    "The next server does not take internationalized mail");
		return true;
	}
	if (m->body == SMTP_BODY_BINARYMIME &&
	    !(c->ext & SMTP_EXT_BINARYMIME)) {
		*reply = SMTP_REPLY(
		    554, "5.6.3", "The next server does not take binary mail");
		return true;
	}
	if (m->wishes.requiretls && m->from.n > 0 && refuse_tls(c, reply))
		return true;
	if (m->wishes.by_mode == 'R' && refuse_by(c, &m->wishes, reply))
		return true;
	/* By another way it would be taken for forged. */
	if (m->wishes.outside && !(c->ext & SMTP_EXT_XOUTSIDE)) {
		*reply = SMTP_REPLY(554, "5.3.3",
		    "The next server does not send for outside accounts");
		return true;
	}
	if (m->source.n > 0 && !(c->ext & SMTP_EXT_XSOURCE)) {
		*reply = SMTP_REPLY(554, "5.3.3",
		    "The next server does not know where mail comes from");
		return true;
	}
	if (m->wishes.hold.n > 0 && !(c->ext & SMTP_EXT_FUTURERELEASE)) {
		*reply = SMTP_REPLY(
		    554, "5.3.3", "The next server cannot hold mail for later");
		return true;
	}
	if (m->size > 0 && c->max_size > 0 && m->size > c->max_size) {
		/* RFC 1870 6: asking would only cost a round trip. */
		*reply = SMTP_REPLY(
		    552, "5.3.4", "Bigger than the next server takes");
		return true;
	}
	return false;
}

static int
envelope_once(struct envelope *e)
{
	struct smtp_client *c = e->c;
	int rc;

	if (c->out_of_step)
		return -ECONNRESET;
	arena_reset(&c->tx);
	if (refuse_here(c, e->mail, e->mail_reply))
		return 0;
	c->body = e->mail->body;
	c->n_mails++;
	/* One recipient's reply is that of the message. */
	c->prdr = (c->ext & SMTP_EXT_PRDR) && !c->conf.lmtp && e->n > 1;
	e->has_reset = c->needs_reset;
	e->ends = e->mail->ask_only;
	e->has_xforward =
	    e->mail->xforward != NULL && (c->ext & SMTP_EXT_XFORWARD);
	if ((rc = exchange(e)) != 0)
		c->out_of_step = true;
	return rc;
}

int
client_envelope(struct smtp_client *c, const struct smtp_client_mail *m,
    struct smtp_client_rcpt *rcpts, size_t n, struct smtp_reply *mail_reply,
    int (*behind)(void *), void *arg)
{
	struct envelope begin = { .c = c,
		.mail = m,
		.rcpts = rcpts,
		.n = n,
		.mail_reply = mail_reply,
		.behind = behind,
		.arg = arg };
	struct envelope e = begin;
	int rc;

	*mail_reply = (struct smtp_reply){ 0 };
	if (!is_safe(m->from) || !is_safe(m->trace) || !is_safe(m->source) ||
	    !is_safe(m->wishes.hold) ||
	    (m->xforward != NULL && !is_safe(slice_str(m->xforward))))
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		if (!is_safe(rcpts[i].address))
			return -EINVAL;
		rcpts[i].reply = (struct smtp_reply){ 0 };
		rcpts[i].accepted = false;
	}
	rc = envelope_once(&e);
	/* An idle connection may die unseen: nothing was said, so say it again
	 * on a new one. */
	if (rc == -ECONNRESET && !e.mail_answered && c->reused &&
	    c->to.len > 0) {
		log_debug("pooled connection was dead", "peer=%s", c->remote);
		e = begin;
		if ((rc = client_connect(c, mail_reply)) == 0)
			rc = envelope_once(&e);
	}
	return rc;
}

int
smtp_client_mail(struct smtp_client *c, const struct smtp_client_mail *m,
    struct smtp_client_rcpt *rcpts, size_t n, struct smtp_reply *mail_reply)
{
	return client_envelope(c, m, rcpts, n, mail_reply, NULL, NULL);
}

int
smtp_client_rcpt(struct smtp_client *c, struct smtp_client_rcpt *rcpt)
{
	struct buf line = BUF_INIT;
	struct smtp_reply reply;
	int rc;

	if (!is_safe(rcpt->address))
		return -EINVAL;
	if (c->out_of_step)
		return -ECONNRESET;
	put_rcpt(c, rcpt, true, &line);
	rc =
	    line.failed ? -ENOMEM : client_ask(c, &reply, "%s", buf_str(&line));
	buf_clear(&line);
	if (rc == 0)
		take_rcpt_reply(rcpt, &reply);
	return rc;
}
