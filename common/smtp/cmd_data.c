/* SPDX-License-Identifier: ISC */
/*
 * DATA (RFC 5321 4.1.1.4, 4.5.2), and what it shares with BDAT: taking in the
 * message within its limits, and the final replies (one, or in LMTP one for
 * each recipient: RFC 2033 4.2).
 */
#include <errno.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/smtp/session.h"

/* Beyond its limit and this much a message is not read to its end. */
#define ABSURD_OCTETS ((uint64_t)64 << 20)
#define SLOWEST_OCTETS_PER_S 100 /* of a message; see struct pace */

/* --- taking it in --- */

void
body_fail(struct smtp_session *s, struct smtp_reply why)
{
	if (s->body_error.code != 0)
		return;
	s->body_error = why;
	if (s->at.rule[0] != '\0')
		s->body_rule = arena_strdup(&s->tx, slice_str(s->at.rule));
	session_find_message_id(s);
	/* What cannot be accepted is not kept. */
	spool_free(&s->body);
}

static void
body_fail_size(struct smtp_session *s)
{
	session_setting(s, "max_size");
	body_fail(s, SMTP_REPLY(552, "5.3.4", "Message too big"));
}

int
body_take(void *session, struct slice octets)
{
	struct smtp_session *s = session;
	int rc;

	s->octets += octets.n;
	if (s->srv->max_size > 0 && s->octets > s->srv->max_size)
		body_fail_size(s);
	if (s->body_error.code != 0)
		return 0;
	if ((rc = spool_write(s->body, octets)) != 0)
		body_fail(s, session_trouble(s, "spool", rc));
	return 0;
}

void
body_begin(struct smtp_session *s)
{
	struct smtp_reply reply = { 0 };
	int rc = 0;

	if (s->srv->handler->data != NULL)
		rc = s->srv->handler->data(s, &reply);
	if (rc == 0 && reply.code < 400)
		rc = spool_new(&s->body, s->srv->spool_dir);
	if (rc != 0)
		reply = session_trouble(s, "data", rc);
	if (reply.code >= 400)
		body_fail(s, reply);
}

struct pace
pace_begin(const struct smtp_session *s)
{
	return (struct pace){ clock_mono_ms() + s->srv->timeout_ms };
}

int
pace_check(struct pace *p, size_t octets)
{
	p->until_ms += (int64_t)octets * 1000 / SLOWEST_OCTETS_PER_S;
	return clock_mono_ms() > p->until_ms ? -ETIMEDOUT : 0;
}

bool
body_is_absurd(const struct smtp_session *s)
{
	uint64_t max = s->srv->max_size;

	return max > 0 && s->octets > max &&
	    s->octets - max > max + ABSURD_OCTETS;
}

/* --- the final replies --- */

static void
check_faults(struct smtp_session *s)
{
	unsigned faults = s->decoder.faults;

	if (s->mail.body == SMTP_BODY_BINARYMIME)
		return;
	if (faults & (SMTP_DATA_BARE_CR | SMTP_DATA_BARE_LF)) {
		s->n_errors++;
		body_fail(s,
		    SMTP_REPLY(550, "5.6.0",
			"A line of the message does not end with CR LF"));
	} else if (faults & SMTP_DATA_NUL) {
		s->n_errors++;
		body_fail(s,
		    SMTP_REPLY(550, "5.6.0",
			"The message holds a NUL and is not BINARYMIME"));
	}
}

/* The next reply is about that one of n. */
static void
about_recipient(struct smtp_session *s, size_t i, size_t n)
{
	if (session_is_lmtp(s) || n > 1)
		s->at.recipient = s->rcpts[i]->to.text;
}

static int
reply_to_all(struct smtp_session *s, const struct smtp_reply *r)
{
	size_t n = session_is_lmtp(s) ? s->n_rcpts : 1;
	int rc = 0;

	s->final_code = r->code;
	for (size_t i = 0; rc == 0 && i < n; i++) {
		about_recipient(s, i, n);
		rc = session_reply(s, r);
	}
	return rc;
}

/* A reply for each recipient: LMTP (RFC 2033 4.2); PRDR, but for a single
 * recipient, whose reply is that of the message. */
static size_t
reply_count(const struct smtp_session *s)
{
	if (session_is_lmtp(s) || s->mail.prdr)
		return s->n_rcpts;
	return 1;
}

/* The last word of PRDR, about the message as a whole. */
static int
reply_to_whole(struct smtp_session *s, unsigned accepted, size_t n)
{
	struct smtp_reply r;

	s->at.recipient = (struct slice){ NULL, 0 };
	if (accepted == 0)
		return session_say(
		    s, 550, "5.0.0", "Nobody has taken the message");
	r = smtp_reply_f(&s->tx, 250, "2.0.0",
	    "Message %s taken for %u of %zu recipients", s->id, accepted, n);
	return session_reply(s, &r);
}

static int
send_replies(struct smtp_session *s, struct smtp_reply *replies, size_t n)
{
	bool prdr = n > 1 && !session_is_lmtp(s);
	unsigned accepted = 0;
	int rc =
	    prdr ? session_say(s, 353, "", "A reply for each recipient") : 0;

	for (size_t i = 0; i < n; i++) {
		/* A handler that said nothing has not accepted. */
		if (replies[i].code == 0)
			replies[i] = session_trouble(s, "message", -EIO);
		if (smtp_reply_is_positive(&replies[i]))
			accepted++;
		if (i == 0 || replies[i].code > s->final_code)
			s->final_code = replies[i].code;
		about_recipient(s, i, n);
		if (rc == 0)
			rc = session_reply(s, &replies[i]);
	}
	if (rc == 0 && prdr)
		rc = reply_to_whole(s, accepted, n);
	if (accepted > 0) {
		s->n_messages++;
		s->n_recipients += n > 1 ? accepted : (unsigned)s->n_rcpts;
		s->n_errors = s->n_rejects = s->n_junk = 0;
	}
	return rc;
}

static int
ask_handler(struct smtp_session *s)
{
	size_t n = reply_count(s);
	struct smtp_reply *replies = arena_array(&s->tx, n, sizeof(*replies));
	struct smtp_reply trouble;
	int rc;

	if (replies == NULL) {
		trouble = session_trouble(s, "message", -ENOMEM);
		return reply_to_all(s, &trouble);
	}
	rc = s->srv->handler->message(s, s->body, replies, n);
	if (rc != 0) {
		trouble = session_trouble(s, "message", rc);
		return reply_to_all(s, &trouble);
	}
	return send_replies(s, replies, n);
}

/* RFC 2852 4.1.3: nothing more is done for what is to be returned by now. */
static void
check_time(struct smtp_session *s)
{
	const struct smtp_wishes *w = &s->mail.wishes;

	if (s->body_error.code == 0 && w->by_mode == 'R' &&
	    clock_wall_ms() >= w->by_ms)
		s->body_error =
		    SMTP_REPLY(554, "5.4.7", "Delivery time expired");
}

int
body_finish(struct smtp_session *s)
{
	int rc;

	s->at.kind = TRACE_MESSAGE;
	check_faults(s);
	check_time(s);
	session_find_message_id(s);
	if (s->body_rule != NULL)
		smtp_session_because(s, "%s", s->body_rule);
	if (s->body_error.code != 0)
		rc = reply_to_all(s, &s->body_error);
	else
		rc = ask_handler(s);
	session_reset(s);
	return rc;
}

/* --- DATA --- */

static int
refuse_early(struct smtp_session *s)
{
	if (s->state == STATE_MAIL)
		/* RFC 5321 3.3; RFC 2033 4.2: LMTP must say 503. */
		return session_refuse_order(
		    s, session_is_lmtp(s) ? 503 : 554, "No valid recipients");
	if (s->state != STATE_RCPT)
		return session_refuse_order(s, 503, "Not at this point");
	/* RFC 3030 3: the end of binary octets cannot be found. */
	return session_refuse(s, 503, "5.5.1", "BINARYMIME needs BDAT");
}

static int
read_message(struct smtp_session *s)
{
	struct pace pace = pace_begin(s);
	struct slice in;
	size_t used;
	int end = 0, rc = 0;

	while (rc == 0 && end == 0) {
		if ((rc = conn_peek(s->conn, &in)) != 0)
			break;
		end = smtp_decode(&s->decoder, in, &used, body_take, s);
		conn_consume(s->conn, used);
		if (end == 0 && body_is_absurd(s)) {
			body_fail_size(s);
			conn_discard_input(s->conn);
			session_set_state(s, STATE_CLOSING);
			break;
		}
		rc = pace_check(&pace, used);
	}
	return rc;
}

int
cmd_data(struct smtp_session *s, struct slice args)
{
	int rc;

	(void)args;
	s->at.kind = TRACE_MESSAGE;
	if (s->state != STATE_RCPT || s->mail.body == SMTP_BODY_BINARYMIME)
		return refuse_early(s);
	body_begin(s);
	if (s->body_error.code != 0) {
		s->final_code = s->body_error.code;
		rc = session_reply(s, &s->body_error);
		session_reset(s);
		return rc;
	}
	if ((rc = session_say(s, 354, "", "Go ahead; end with CRLF.CRLF")) != 0)
		return rc;
	if ((rc = read_message(s)) != 0)
		return rc;
	return body_finish(s);
}
