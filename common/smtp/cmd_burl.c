/* SPDX-License-Identifier: ISC */
/*
 * BURL (RFC 4468): a chunk of the message, or all of it, that the server
 * fetches by a URL. Alone, or between chunks of BDAT, whose states it shares.
 */
#include <errno.h>

#include "common/smtp/session.h"

static bool
parse(struct slice args, struct slice *url, bool *last)
{
	*url = slice_split(&args, ' ');
	args = slice_trim(args);
	*last = args.n > 0;
	return url->n > 0 && (!*last || slice_eq_str_nocase(args, "LAST"));
}

/* Octets for the message; -EFBIG: no more of them, it is refused already. */
static int
take(void *session, struct slice octets)
{
	struct smtp_session *s = session;
	size_t used;

	s->decoder.chunked = true;
	smtp_decode(&s->decoder, octets, &used, body_take, s);
	return s->body_error.code != 0 ? -EFBIG : 0;
}

static void
fetch(struct smtp_session *s, struct slice url)
{
	struct smtp_reply reply = { 0 };
	int rc = s->srv->handler->burl(s, url, take, s, &reply);

	if (s->body_error.code != 0)
		return; /* what was taken is refused */
	if (rc != 0)
		reply = session_trouble(s, "burl", rc);
	if (reply.code >= 400)
		body_fail(s, reply);
}

int
cmd_burl(struct smtp_session *s, struct slice args)
{
	struct slice url;
	bool last;

	s->at.kind = TRACE_MESSAGE;
	if (!(session_offered(s) & SMTP_EXT_BURL))
		return session_refuse(s, 502, "5.5.1", "No BURL here");
	if (!parse(args, &url, &last))
		return session_refuse(
		    s, 501, "5.5.4", "Syntax: BURL URL [LAST]");
	if (s->state == STATE_MAIL)
		return session_refuse_order(s, 554, "No valid recipients");
	if ((s->state & (STATE_RCPT | STATE_BDAT)) == 0)
		return session_refuse_order(s, 503, "BURL is not for here");
	if (s->state == STATE_RCPT)
		body_begin(s);
	if (s->body_error.code == 0)
		fetch(s, url);
	if (last)
		return body_finish_chunks(s);
	session_set_state(s, STATE_BDAT);
	if (s->body_error.code != 0) {
		session_set_state(s, STATE_BDAT_FAILED);
		return session_reply(s, &s->body_error);
	}
	return session_say(
	    s, 250, "2.5.0", "Waiting for additional BURL or BDAT commands");
}
