/* SPDX-License-Identifier: ISC */
/* The client's AUTH: RFC 4954. The mechanisms themselves come from above. */
#include <errno.h>

#include "common/base/log.h"
#include "common/mail/transfer.h"
#include "common/smtp/client_impl.h"

#define CHALLENGE_MAX ((size_t)12288) /* RFC 4954 4 */

static int
refuse(struct smtp_reply *reply, const char *text)
{
	*reply = SMTP_REPLY(454, "4.7.0", text);
	return -EPROTO;
}

/* AUTH with the first message, where the mechanism begins with one. */
static int
begin(struct smtp_client *c, const char *mechanism, const struct buf *first,
    struct smtp_reply *reply)
{
	struct buf line = BUF_INIT_MAX(CHALLENGE_MAX * 2);
	int rc;

	base64_encode(&line, buf_slice(first));
	rc = line.failed ? -ENOMEM
	    : first->n > 0
	    ? client_ask(c, reply, "AUTH %s %s", mechanism, buf_str(&line))
	    : client_ask(c, reply, "AUTH %s", mechanism);
	buf_wipe(&line);
	return rc;
}

/* Send the answer to a challenge; "*" gives up (RFC 4954 4). */
static int
answer(struct smtp_client *c, const struct buf *out, bool give_up,
    struct smtp_reply *reply)
{
	struct buf line = BUF_INIT_MAX(CHALLENGE_MAX * 2);
	int rc;

	if (give_up)
		buf_put_char(&line, '*');
	else
		base64_encode(&line, buf_slice(out));
	rc = line.failed ? -ENOMEM : client_ask(c, reply, "%s", buf_str(&line));
	buf_wipe(&line);
	return rc;
}

static int
exchange(struct smtp_client *c, void *state, const char *mechanism,
    struct smtp_reply *reply)
{
	const struct smtp_client_sasl *sasl = c->conf.sasl;
	struct buf in = BUF_INIT_MAX(CHALLENGE_MAX), out = in;
	int rc = sasl->step(state, slice(NULL, 0), &out), trouble = 0;

	if (rc >= 0)
		rc = begin(c, mechanism, &out, reply);
	while (rc == 0 && reply->code == 334 && trouble == 0) {
		buf_reset(&in);
		buf_wipe(&out);
		if (base64_decode(&in, reply->text) != 0)
			trouble = -EBADMSG;
		else if ((rc = sasl->step(state, buf_slice(&in), &out)) < 0)
			trouble = rc;
		rc = answer(c, &out, trouble != 0, reply);
	}
	buf_wipe(&in);
	buf_wipe(&out);
	if (trouble == -EACCES)
		return refuse(reply, "The server does not know the password");
	if (trouble != 0)
		return refuse(reply, "The server's challenge makes no sense");
	return rc;
}

int
client_sign_in(struct smtp_client *c, struct smtp_reply *reply)
{
	const struct smtp_client_sasl *sasl = c->conf.sasl;
	bool plain_ok = c->conf.tls_mode == SMTP_TLS_NONE;
	const char *mechanism;
	void *state = NULL;
	int rc;

	/* Where TLS was wanted, a password is not sent without. */
	if (!conn_is_tls(c->conn) && !plain_ok)
		return refuse(reply, "No TLS, so the password is not sent");
	rc = sasl->begin(&state, c->conn, c->mechanisms, c->conf.sasl_user,
	    c->conf.sasl_password, c->conf.tls_name, plain_ok, &mechanism);
	if (rc == -ENOTSUP)
		return refuse(
		    reply, "The server offers no way to sign in that we know");
	if (rc != 0)
		return rc;
	rc = exchange(c, state, mechanism, reply);
	/* "235" alone may come from anybody. */
	if (rc == 0 && reply->code == 235 && !sasl->is_done(state))
		rc = refuse(reply, "The server did not prove who it is");
	else if (rc == 0 && reply->code != 235)
		rc = -EPROTO;
	sasl->end(&state);
	return rc;
}
