/* SPDX-License-Identifier: ISC */
/* MAIL: RFC 5321 4.1.1.2, with SIZE (RFC 1870), SMTPUTF8 (RFC 6531) and the
 * parameters of smtp_params.c. */
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/smtp/session.h"

/* The id comes with the message from our own programs, else it is born here. */
static void
name_transaction(struct smtp_session *s)
{
	if (s->mail.trace.n == ID_LEN)
		memcpy(s->id, s->mail.trace.p, ID_LEN);
	else
		id_new(s->id);
	s->id[ID_LEN] = '\0';
	session_name(s);
}

static bool
may_hurry(struct smtp_session *s)
{
	const struct net_addr *peer = conn_peer(s->conn);

	if (session_is_lmtp(s) && net_addr_is_loopback(peer))
		return true;
	return s->srv->priority_from != NULL &&
	    net_addr_is_listed(peer, s->srv->priority_from);
}

/* RFC 6710 4.1: no higher than he may, and he is told. */
static void
settle_priority(struct smtp_session *s, struct smtp_reply *reply)
{
	struct smtp_wishes *w = &s->mail.wishes;

	if (w->priority <= s->srv->priority_max || may_hurry(s))
		return;
	w->priority = s->srv->priority_max;
	*reply = smtp_reply_f(
	    &s->tx, 250, "2.3.6", "%d is the new priority", w->priority);
}

static int
ask_handler(struct smtp_session *s)
{
	struct smtp_reply reply = SMTP_REPLY(250, "2.1.0", "Sender OK");
	int rc = 0;

	settle_priority(s, &reply);

	s->asked = true;
	if (s->srv->handler->mail != NULL)
		rc = s->srv->handler->mail(s, &s->mail, &reply);
	if (rc != 0)
		reply = session_trouble(s, "mail", rc);
	if (smtp_reply_is_positive(&reply)) {
		session_set_state(s, STATE_MAIL);
		s->mail_refused = false;
		/* A pooled connection of our own, which may never send a
		 * message (guard): only faults in a row count. */
		if (session_is_lmtp(s))
			s->n_errors = 0;
		return session_reply(s, &reply);
	}
	s->mail_refused = true;
	s->final_code = reply.code;
	rc = session_reply(s, &reply);
	session_reset(s);
	return rc;
}

/* Refused before the handler was asked. It has an id all the same, to be asked
 * for by. */
static int
refuse(struct smtp_session *s, struct smtp_reply error)
{
	int rc;

	s->mail_refused = true;
	if (error.code >= 500)
		s->n_errors++;
	name_transaction(s);
	s->final_code = error.code;
	rc = session_reply(s, &error);
	session_reset(s);
	return rc;
}

/* What the parameters mean together, and within our limits. False, and what to
 * reply in *error. */
static bool
check_wishes(struct smtp_session *s, struct smtp_reply *error)
{
	const struct smtp_wishes *w = &s->mail.wishes;
	int64_t now_ms = clock_wall_ms();

	/* RFC 4865 4.2 7 and 8. */
	if (w->hold.n > 0 &&
	    w->release_ms - now_ms > s->srv->hold_max_s * 1000) {
		*error = SMTP_REPLY(
		    501, "5.5.4", "Held for longer than is possible here");
		return false;
	}
	/* RFC 4865 5.2.2 */
	if (w->hold.n > 0 && w->by_mode != '\0' && w->release_ms > w->by_ms) {
		*error = SMTP_REPLY(
		    501, "5.5.4", "Held until after it is to be delivered");
		return false;
	}
	/* RFC 2852 2; half a second for the clock to turn. */
	if (w->by_mode == 'R' &&
	    w->by_ms + 500 < now_ms + s->srv->by_min_s * 1000) {
		*error = smtp_reply_f(&s->tx, 555, "5.5.4",
		    "Cannot promise delivery in less than %lld seconds",
		    (long long)s->srv->by_min_s);
		return false;
	}
	return true;
}

int
cmd_mail(struct smtp_session *s, struct slice args)
{
	struct smtp_reply error;
	struct slice params;
	int rc;

	s->at.kind = TRACE_MAIL;
	if (s->srv->max_mails > 0 && s->n_mails++ >= s->srv->max_mails) {
		session_setting(s, "max_mails");
		return session_close(s, 421, "4.7.0",
		    "Too many transactions, please connect again");
	}
	if (memory_is_full()) {
		session_setting(s, "max_memory");
		return refuse(s, SMTP_REPLY(452, "4.3.1",
		    "Too much to do, please try again later"));
	}
	rc = session_path(s, args, "FROM:", &s->mail.from, &params);
	/* A sender without domain could not be answered. */
	if (rc == 0 && s->mail.from.local.n > 0 && s->mail.from.domain.n == 0)
		rc = SMTP_PATH_SYNTAX;
	if (rc != 0)
		return refuse(s, session_path_error(rc, "5.1.7"));
	if (!smtp_mail_params_parse(
		&s->tx, params, session_offered(s), &s->mail, &error))
		return refuse(s, error);
	if (!check_wishes(s, &error))
		return refuse(s, error);
	if (s->mail.from.utf8 && !s->mail.smtputf8)
		return refuse(s,
		    SMTP_REPLY(550, "5.6.7",
			"Address is not ASCII, and SMTPUTF8 was not asked "
			"for"));
	if (s->srv->max_size > 0 && s->mail.size > s->srv->max_size) {
		session_setting(s, "max_size");
		return refuse(s, SMTP_REPLY(552, "5.3.4", "Message too big"));
	}
	name_transaction(s);
	return ask_handler(s);
}
