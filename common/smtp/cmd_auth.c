/* SPDX-License-Identifier: ISC */
/* AUTH: RFC 4954. The exchange itself is the handler's. */
#include <errno.h>

#include "common/base/log.h"
#include "common/mail/transfer.h"
#include "common/smtp/session.h"

#define MECHANISM_MAX 20 /* RFC 4422 3.1 */

/* Base64 of a line to s->response. What it is not is the client's fault. */
static int
decode(struct smtp_session *s, struct slice in)
{
	int rc;

	s->response.max = AUTH_LINE_MAX;
	buf_reset(&s->response);
	rc = base64_decode(&s->response, in);
	slice_wipe(in); /* it may be a password */
	if (rc == 0)
		return 0;
	s->auth_error = SMTP_REPLY(501, "5.5.2", "This is not base64");
	return -EBADMSG;
}

static int
read_response(struct smtp_session *s)
{
	struct slice line;
	bool bare_lf;
	int rc;

	rc = conn_read_line(s->conn, AUTH_LINE_MAX, &line, &bare_lf);
	if ((rc == 0 || rc == -EMSGSIZE) && bare_lf && !s->normalises) {
		s->auth_bare_lf = true;
		return -EBADMSG;
	}
	if (rc == -EMSGSIZE) {
		s->auth_error = SMTP_REPLY(500, "5.5.6", "Line too long");
		return -EBADMSG;
	}
	if (rc != 0)
		return s->auth_rc = rc;
	if (slice_eq_str(line, "*")) {
		s->auth_error = SMTP_REPLY(501, "5.7.0", "Cancelled");
		return -ECANCELED;
	}
	return decode(s, line);
}

int
smtp_session_challenge(
    struct smtp_session *s, struct slice challenge, struct slice *response)
{
	struct buf line = BUF_INIT_MAX(AUTH_LINE_MAX + 16);
	int rc;

	if (s->auth_rc != 0 || s->auth_error.code != 0 || s->auth_bare_lf)
		return s->auth_rc != 0 ? s->auth_rc : -EBADMSG;
	buf_put_str(&line, "334 ");
	base64_encode(&line, challenge);
	buf_put_str(&line, "\r\n");
	rc = line.failed ? -ENOMEM : conn_write(s->conn, buf_slice(&line));
	buf_clear(&line);
	if (rc != 0)
		return s->auth_rc = rc;
	if ((rc = read_response(s)) == 0)
		*response = buf_slice(&s->response);
	return rc;
}

/* Upper-case in `out`, and one that is offered. */
static bool
pick_mechanism(struct smtp_session *s, struct slice name,
    char out[static MECHANISM_MAX + 1])
{
	struct slice offered = slice_str(s->srv->handler->auth_mechanisms(s));

	if (name.n == 0 || name.n > MECHANISM_MAX)
		return false;
	while (offered.n > 0)
		if (slice_eq_nocase(slice_split(&offered, ' '), name)) {
			for (size_t i = 0; i < name.n; i++)
				out[i] = ascii_upper(name.p[i]);
			out[name.n] = '\0';
			return true;
		}
	return false;
}

static int
finish(struct smtp_session *s, int rc, struct smtp_reply *reply)
{
	buf_wipe(&s->response);
	if (s->auth_rc != 0)
		return s->auth_rc;
	if (s->auth_bare_lf)
		return session_end_bare_lf(s);
	if (s->auth_error.code != 0)
		*reply = s->auth_error;
	else if (rc != 0)
		*reply = session_trouble(s, "auth", rc);
	if (reply->code >= 500)
		s->n_errors++;
	return session_reply(s, reply);
}

int
cmd_auth(struct smtp_session *s, struct slice args)
{
	struct slice initial = args, name = slice_split(&initial, ' ');
	bool has_initial = name.n < args.n;
	char mechanism[MECHANISM_MAX + 1];
	struct buf copy = BUF_INIT_MAX(AUTH_LINE_MAX);
	struct smtp_reply reply =
	    SMTP_REPLY(535, "5.7.8", "Authentication failed");
	int rc = 0;

	s->at.kind = TRACE_AUTH;
	if (!(session_offered(s) & SMTP_EXT_AUTH))
		return s->srv->handler->auth != NULL && !conn_is_tls(s->conn)
		    ? session_refuse(s, 538, "5.7.11", "Use STARTTLS first")
		    : session_refuse(s, 502, "5.5.1", "No AUTH here");
	if (s->account != NULL)
		return session_refuse(s, 503, "5.5.1", "Once is enough");
	if (args.n == 0)
		return session_refuse(s, 501, "5.5.4", "Which mechanism?");
	if (!pick_mechanism(s, name, mechanism))
		return session_refuse(s, 504, "5.5.4", "No such mechanism");
	smtp_session_because(s, "%s", mechanism);
	s->auth_error = (struct smtp_reply){ 0 };
	s->auth_rc = 0;
	/* RFC 4954 4: "=" is an initial response of no octets. Copied, because
	 * challenges use s->response. */
	if (has_initial && !slice_eq_str(initial, "="))
		rc = decode(s, initial);
	if (rc == 0) {
		buf_put_slice(&copy, buf_slice(&s->response));
		rc = s->srv->handler->auth(s, slice_str(mechanism),
		    buf_slice(&copy), has_initial, &reply);
	}
	buf_wipe(&copy);
	return finish(s, rc, &reply);
}
