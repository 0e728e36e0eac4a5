/* SPDX-License-Identifier: ISC */
/*
 * BDAT: RFC 3030 2, in LMTP RFC 2033 4.3. The octets of a chunk are read
 * whatever the state is: taken for commands, they would be a way to smuggle
 * some in.
 */
#include <errno.h>

#include "common/base/log.h"
#include "common/smtp/session.h"

struct chunk {
	uint64_t left;
	bool last;
};

static bool
parse(struct slice args, struct chunk *c)
{
	struct slice size = slice_split(&args, ' ');

	c->last = args.n > 0;
	if (c->last && !slice_eq_str_nocase(slice_trim(args), "LAST"))
		return false;
	return slice_u64(size, (uint64_t)1 << 62, &c->left) == 0;
}

/* Where the chunk has no business: its octets go nowhere. */
static bool
is_out_of_place(const struct smtp_session *s)
{
	return (s->state & (STATE_RCPT | STATE_BDAT)) == 0 ||
	    (s->srv->extensions & SMTP_EXT_CHUNKING) == 0;
}

static void
take(struct smtp_session *s, struct slice octets)
{
	size_t used;

	if (is_out_of_place(s)) {
		s->octets += octets.n;
		return;
	}
	s->decoder.chunked = true;
	smtp_decode(&s->decoder, octets, &used, body_take, s);
}

static int
read_chunk(struct smtp_session *s, struct chunk *c)
{
	struct pace pace = pace_begin(s);
	struct slice in;
	int rc = 0;

	while (rc == 0 && c->left > 0) {
		if (body_is_absurd(s)) {
			conn_discard_input(s->conn);
			session_setting(s, "max_size");
			return session_close(
			    s, 552, "5.3.4", "Message too big");
		}
		if ((rc = conn_peek(s->conn, &in)) != 0)
			break;
		in = slice_head(in, c->left < in.n ? (size_t)c->left : in.n);
		take(s, in);
		conn_consume(s->conn, in.n);
		c->left -= in.n;
		rc = pace_check(&pace, in.n);
	}
	return rc;
}

static int
refuse_out_of_place(struct smtp_session *s, const struct chunk *c)
{
	/* RFC 2033 4.3: as many replies as recipients, and that is none. */
	if (session_is_lmtp(s) && s->state == STATE_MAIL && c->last) {
		session_reset(s);
		return 0;
	}
	/* The client sent on, not knowing yet: it counts on as many. */
	if (s->state == STATE_BDAT_FAILED && session_is_lmtp(s) && c->last)
		return body_finish(s);
	if (s->state == STATE_MAIL)
		return session_refuse_order(
		    s, session_is_lmtp(s) ? 503 : 554, "No valid recipients");
	return session_refuse_order(s, 503, "BDAT is not for here");
}

int
body_finish_chunks(struct smtp_session *s)
{
	/* What we keep and pass on is lines. */
	if (s->mail.body != SMTP_BODY_BINARYMIME &&
	    smtp_decode_end(&s->decoder) && s->octets > 0)
		body_take(s, SLICE_LIT("\r\n"));
	return body_finish(s);
}

int
cmd_bdat(struct smtp_session *s, struct slice args)
{
	struct chunk c = { 0 };
	int rc;

	s->at.kind = TRACE_MESSAGE;
	if (!parse(args, &c)) {
		/* Where the octets end is not known. */
		conn_discard_input(s->conn);
		return session_close(
		    s, 501, "5.5.4", "Syntax: BDAT size [LAST]");
	}
	if (s->state == STATE_RCPT && !is_out_of_place(s))
		body_begin(s);
	if ((rc = read_chunk(s, &c)) != 0 || s->state == STATE_CLOSING)
		return rc;
	if (is_out_of_place(s))
		return refuse_out_of_place(s, &c);
	if (c.last)
		return body_finish_chunks(s);
	session_set_state(s, STATE_BDAT);
	if (s->body_error.code != 0) {
		session_set_state(s, STATE_BDAT_FAILED);
		return session_reply(s, &s->body_error);
	}
	return session_say(s, 250, "2.0.0", "Chunk taken");
}
