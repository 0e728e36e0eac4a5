/* SPDX-License-Identifier: ISC */
/* RCPT: RFC 5321 4.1.1.3, DSN parameters of RFC 3461. */
#include "common/base/log.h"
#include "common/smtp/session.h"

/* Room for one more. In the arena, so growing leaves the old array behind. */
static bool
rcpts_reserve(struct smtp_session *s)
{
	size_t cap = s->cap_rcpts == 0 ? 8 : s->cap_rcpts * 2;
	struct smtp_rcpt **more;

	if (s->n_rcpts < s->cap_rcpts)
		return true;
	if ((more = arena_array(&s->tx, cap, sizeof(*more))) == NULL)
		return false;
	if (s->n_rcpts > 0)
		memcpy(more, s->rcpts, s->n_rcpts * sizeof(*more));
	s->rcpts = more;
	s->cap_rcpts = cap;
	return true;
}

/* Has no recipient had it so far? Only asked where domains are counted. */
static bool
is_new_domain(const struct smtp_session *s, struct slice domain)
{
	/* <Postmaster> has none, and is always taken (RFC 5321 4.5.1). */
	if (s->srv->max_domains == 0 || domain.n == 0)
		return false;
	for (size_t i = 0; i < s->n_rcpts; i++)
		if (slice_eq_nocase(s->rcpts[i]->to.domain, domain))
			return false;
	return true;
}

static int
ask_handler(struct smtp_session *s, struct smtp_rcpt *r)
{
	struct smtp_reply reply = SMTP_REPLY(250, "2.1.5", "Recipient OK");
	int rc = s->srv->handler->rcpt(s, r, &reply);

	if (rc != 0)
		reply = session_trouble(s, "rcpt", rc);
	if (smtp_reply_is_positive(&reply)) {
		s->n_domains += is_new_domain(s, r->to.domain);
		s->rcpts[s->n_rcpts++] = r;
		session_set_state(s, STATE_RCPT);
		return session_reply(s, &reply);
	}
	log_info("rcpt rejected", "from=<%s> rcpt=<%s> code=%d enhanced=%s",
	    log_q(s->mail.from.text), log_q(r->to.text), reply.code,
	    reply.enhanced);
	s->n_refused++;
	s->n_rejects++;
	return session_reply(s, &reply);
}

static int
refuse(struct smtp_session *s, struct smtp_reply error)
{
	if (error.code >= 500)
		s->n_errors++;
	return session_reply(s, &error);
}

int
cmd_rcpt(struct smtp_session *s, struct slice args)
{
	struct smtp_rcpt *r;
	struct smtp_reply error;
	struct slice params;
	int rc;

	s->at.kind = TRACE_RCPT;
	s->at.recipient = args; /* for want of better */
	/* First, so that a flood of them costs nothing. */
	if (s->n_rcpts >= s->srv->max_recipients) {
		session_setting(s, "max_recipients");
		return session_say(s, 452, "4.5.3", "Too many recipients");
	}
	if (!rcpts_reserve(s) || (r = arena_alloc(&s->tx, sizeof(*r))) == NULL)
		return session_say(s, 452, "4.3.1", "Out of memory");
	rc = session_path(s, args, "TO:", &r->to, &params);
	if (rc == 0 && r->to.local.n == 0)
		rc = SMTP_PATH_SYNTAX; /* <> is for MAIL */
	if (rc != 0)
		return refuse(s, session_path_error(rc, "5.1.3"));
	s->at.recipient = r->to.text;
	if (r->to.utf8 && !s->mail.smtputf8)
		return refuse(s,
		    SMTP_REPLY(553, "5.6.7",
			"Address is not ASCII, and SMTPUTF8 was not asked "
			"for"));
	if (!smtp_rcpt_params_parse(
		&s->tx, params, session_offered(s), r, &error))
		return refuse(s, error);
	/* RFC 9422 4.3 */
	if (s->n_domains >= s->srv->max_domains &&
	    is_new_domain(s, r->to.domain)) {
		session_setting(s, "max_domains");
		return session_say(s, 452, "4.5.3", "Too many domains");
	}
	return ask_handler(s, r);
}
