/* SPDX-License-Identifier: ISC */
/* Becoming somebody: STARTTLS, LOGIN, AUTHENTICATE (RFC 3501 6.2, 4959). */
#include <errno.h>

#include "common/auth/sasl.h"
#include "common/base/log.h"
#include "common/mail/transfer.h"
#include "mailbox/imap/imap_commands.h"

#define RESPONSE_MAX ((size_t)16 << 10) /* octets of a SASL line */

int
cmd_imap_starttls(struct imap_session *s)
{
	int rc;

	if ((rc = imap_parse_end(&s->p)) != 0)
		return rc;
	if (conn_is_tls(s->c))
		return imap_bad(s, "TLS is active already");
	if (s->env->tls == NULL)
		return imap_no(s, "UNAVAILABLE", "TLS is not available");
	/* What came after the command in plain text is not the client's word
	 * (CVE-2011-0411), and who sent it is not to be talked to. */
	if (conn_discard_input(s->c) > 0) {
		log_warning("input before TLS dropped", "protocol=imap");
		imap_bye(s, "You sent more before the reply to STARTTLS");
		return 0;
	}
	if ((rc = imap_ok(s, NULL, "Begin TLS negotiation now")) != 0 ||
	    (rc = imap_drain_all(s)) != 0 || (rc = conn_flush(s->c)) != 0)
		return rc;
	return conn_starttls_server(s->c, s->env->tls);
}

static int
reply_authenticated(
    struct imap_session *s, const char *account, const char *mechanism)
{
	size_t from = s->out.n;
	const char *code;
	int rc;

	if ((rc = imap_authenticated(s, account, mechanism)) != 0)
		return rc;
	buf_put_str(&s->out, "CAPABILITY ");
	imap_put_capabilities(s);
	code = arena_strdup(&s->a, slice_from(buf_slice(&s->out), from));
	buf_truncate(&s->out, from);
	return imap_ok(s, code, "Logged in");
}

static int
reply_failed(struct imap_session *s, int rc)
{
	switch (rc) {
	case -ECANCELED:
		return rc;
	case -EACCES:
		s->failed_logins++;
		return imap_no(
		    s, "AUTHENTICATIONFAILED", "Authentication failed");
	case -EBADMSG:
		s->failed_logins++;
		return imap_bad(s, "Invalid SASL response");
	default:
		return imap_no_trouble(s, rc, "Try again later");
	}
}

int
cmd_login(struct imap_session *s)
{
	struct slice user, password;
	const char *account;
	char peer[64];
	int rc;

	if (!imap_is_private(s))
		return imap_no(
		    s, "PRIVACYREQUIRED", "LOGIN is disabled without TLS");
	if ((rc = imap_parse_sp(&s->p)) != 0 ||
	    (rc = imap_parse_astring(&s->p, &user)) != 0 ||
	    (rc = imap_parse_sp(&s->p)) != 0 ||
	    (rc = imap_parse_astring(&s->p, &password)) != 0 ||
	    (rc = imap_parse_end(&s->p)) != 0)
		return rc;
	net_addr_prefix(conn_peer(s->c), peer);
	rc = accounts_authenticate_key(s->env->accounts, &s->a, user, password,
	    ACCOUNTS_IMAP, peer, &account, &s->key);
	slice_wipe(password);
	if (rc != 0)
		return reply_failed(s, rc);
	return reply_authenticated(s, account, "LOGIN");
}

/* --- AUTHENTICATE --- */

/* Send a challenge, read the answer into `in`, decoded. -EPROTO: "*". */
static int
challenge(struct imap_session *s, const struct buf *out, struct buf *in)
{
	struct slice line;
	int rc;

	buf_put_str(&s->out, "+ ");
	base64_encode(&s->out, buf_slice(out));
	buf_put_str(&s->out, "\r\n");
	if ((rc = imap_drain_all(s)) != 0 ||
	    (rc = conn_read_line(s->c, RESPONSE_MAX, &line, NULL)) != 0)
		return rc == -EMSGSIZE ? -EBADMSG : rc;
	if (slice_eq_str(line, "*"))
		return -EPROTO;
	buf_reset(in);
	rc = base64_decode(in, line);
	slice_wipe(line); /* it may be a password */
	return rc == 0 ? 0 : -EBADMSG;
}

/* Until the mechanism says yes (0) or no. */
static int
exchange(struct imap_session *s, struct sasl_server *sasl, struct slice first,
    struct buf *in, struct buf *out)
{
	struct slice response = first;
	int step, rc;

	for (;;) {
		buf_reset(out);
		step = sasl_server_step(sasl, response, out);
		if (step < 0)
			return step;
		if (step == SASL_OK && out->n == 0)
			return 0;
		if ((rc = challenge(s, out, in)) != 0)
			return rc;
		/* IMAP has no place for final data but one more challenge,
		 * answered by an empty line (RFC 4422 3.6). */
		if (step == SASL_OK)
			return in->n == 0 ? 0 : -EBADMSG;
		response = buf_slice(in);
	}
}

static int
run_sasl(struct imap_session *s, struct sasl_server *sasl, struct slice first)
{
	struct buf in = BUF_INIT_MAX(RESPONSE_MAX);
	struct buf out = BUF_INIT_MAX(RESPONSE_MAX);
	int rc = exchange(s, sasl, first, &in, &out);

	buf_wipe(&in);
	buf_clear(&out);
	switch (rc) {
	case 0:
		s->key = sasl_server_take_key(sasl);
		return reply_authenticated(
		    s, sasl_server_account(sasl), sasl_server_mechanism(sasl));
	case -EPROTO:
		return imap_bad(s, "Authentication cancelled");
	case -EPIPE:
	case -ECONNRESET:
	case -ETIMEDOUT:
		return rc;
	default:
		return reply_failed(s, rc);
	}
}

/* The initial response (RFC 4959 3): base64, or "=" for an empty one. */
static int
parse_initial(struct imap_session *s, struct slice *out)
{
	struct buf b = BUF_INIT_MAX(RESPONSE_MAX);
	struct slice text;
	int rc;

	*out = slice(NULL, 0);
	if (!imap_accept(&s->p, ' '))
		return 0;
	if ((rc = imap_parse_atom(&s->p, &text)) != 0)
		return rc;
	if (slice_eq_str(text, "="))
		text = SLICE_EMPTY;
	if (base64_decode(&b, text) != 0)
		rc = imap_bad(s, "Invalid base64");
	else if ((*out = arena_dup(&s->a, buf_slice(&b))).p == NULL)
		rc = -ENOMEM;
	buf_wipe(&b);
	return rc;
}

int
cmd_authenticate(struct imap_session *s)
{
	struct sasl_server *sasl;
	struct slice name, first;
	int rc;

	if ((rc = imap_parse_sp(&s->p)) != 0 ||
	    (rc = imap_parse_atom(&s->p, &name)) != 0 ||
	    (rc = parse_initial(s, &first)) != 0 ||
	    (rc = imap_parse_end(&s->p)) != 0)
		return rc;
	rc = sasl_server_new(&sasl, s->env->accounts, s->c, name, ACCOUNTS_IMAP,
	    imap_is_private(s));
	if (rc == -ENOSYS)
		return imap_no(s,
		    imap_is_private(s) ? "CANNOT" : "PRIVACYREQUIRED",
		    "Mechanism is not available");
	if (rc != 0)
		return imap_no_errno(s, rc);
	rc = run_sasl(s, sasl, first);
	slice_wipe(first);
	sasl_server_free(&sasl);
	return rc;
}
