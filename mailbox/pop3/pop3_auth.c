/* SPDX-License-Identifier: ISC */
/* The AUTHORIZATION state: CAPA, STLS, USER, PASS, AUTH. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/auth/sasl.h"
#include "common/base/log.h"
#include "common/mail/transfer.h"
#include "mailbox/pop3/pop3_session.h"

#define RESPONSE_MAX ((size_t)16 << 10) /* octets of a SASL line */

int
pop3_capa(struct pop3_session *s, struct slice args)
{
	const char *mechanisms = sasl_server_mechanisms(
	    s->env->accounts, &s->a, s->c, pop3_is_private(s));
	int rc;

	(void)args;
	if ((rc = pop3_ok(s, "Capabilities follow")) != 0)
		return rc;
	buf_put_str(&s->out,
	    "TOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\n"
	    "PIPELINING\r\nEXPIRE NEVER\r\n"
	    "IMPLEMENTATION pneu\r\n");
	if (pop3_is_private(s))
		buf_put_str(&s->out, "USER\r\n");
	if (mechanisms != NULL && mechanisms[0] != '\0') {
		buf_put_str(&s->out, "SASL ");
		buf_put_str(&s->out, mechanisms);
		buf_put_str(&s->out, "\r\n");
	}
	if (s->env->tls != NULL && !conn_is_tls(s->c) &&
	    s->state == POP3_AUTHORIZATION)
		buf_put_str(&s->out, "STLS\r\n");
	buf_put_str(&s->out, ".\r\n");
	return pop3_drain(s);
}

int
pop3_stls(struct pop3_session *s, struct slice args)
{
	int rc;

	if (args.n > 0)
		return pop3_bad(s, "STLS has no argument");
	if (conn_is_tls(s->c))
		return pop3_err(s, "TLS is active already");
	if (s->env->tls == NULL)
		return pop3_err(s, "TLS is not available");
	/* What came after the command in plain text is not the client's word
	 * (CVE-2011-0411), and who sent it is not to be talked to. */
	if (conn_discard_input(s->c) > 0) {
		log_warning("input before TLS dropped", "protocol=pop3");
		s->state = POP3_END;
		return pop3_err(s, "You sent more before the reply to STLS");
	}
	/* Nor is a USER from before. */
	free(s->user);
	s->user = NULL;
	if ((rc = pop3_ok(s, "Begin TLS negotiation now")) != 0 ||
	    (rc = pop3_drain_all(s)) != 0 || (rc = conn_flush(s->c)) != 0)
		return rc;
	return conn_starttls_server(s->c, s->env->tls);
}

static int
reply_failed(struct pop3_session *s, int rc)
{
	if (rc == -EACCES || rc == -EBADMSG)
		s->failed_logins++;
	if (rc == -EBADMSG)
		return pop3_err(s, "Invalid SASL response");
	return pop3_err_errno(s, rc);
}

int
pop3_user(struct pop3_session *s, struct slice args)
{
	if (!pop3_is_private(s))
		return pop3_err(s, "[AUTH] Use STLS first");
	if (args.n == 0)
		return pop3_bad(s, "Name expected");
	free(s->user);
	if ((s->user = slice_strdup(args)) == NULL)
		return -ENOMEM;
	return pop3_ok(s, "Send PASS");
}

int
pop3_pass(struct pop3_session *s, struct slice args)
{
	const char *account;
	char peer[64], *user = s->user;
	int rc;

	if (user == NULL)
		return pop3_bad(s, "Send USER first");
	/* Spaces belong to the password (RFC 1939 7). */
	s->user = NULL;
	net_addr_prefix(conn_peer(s->c), peer);
	rc = accounts_authenticate_key(s->env->accounts, &s->a,
	    slice_str(user), args, ACCOUNTS_POP3, peer, &account, &s->key);
	slice_wipe(args);
	free(user);
	return rc != 0 ? reply_failed(s, rc) : pop3_login(s, account, "USER");
}

/* RFC 1939 7: MD5 of the greeting's timestamp and the password. */
int
pop3_apop(struct pop3_session *s, struct slice args)
{
	ssize_t space = slice_rfind(args, ' ');
	const char *account;
	char peer[64];
	int rc;

	if (s->challenge == NULL)
		return pop3_bad(s, "APOP is not available");
	if (!pop3_is_private(s))
		return pop3_err(s, "[AUTH] Use STLS first");
	if (space < 1)
		return pop3_bad(s, "Name and digest expected");
	net_addr_prefix(conn_peer(s->c), peer);
	rc = accounts_authenticate_digest(s->env->accounts, &s->a,
	    slice_head(args, (size_t)space), ACCOUNTS_APOP,
	    slice_str(s->challenge), slice_from(args, (size_t)space + 1),
	    ACCOUNTS_POP3, peer, &account, &s->key);
	return rc != 0 ? reply_failed(s, rc) : pop3_login(s, account, "APOP");
}

/* --- AUTH --- */

/* Send a challenge, read the answer into `in`, decoded. -EPROTO: "*". */
static int
challenge(struct pop3_session *s, const struct buf *out, struct buf *in)
{
	struct slice line;
	int rc;

	buf_put_str(&s->out, "+ ");
	base64_encode(&s->out, buf_slice(out));
	buf_put_str(&s->out, "\r\n");
	if ((rc = pop3_drain_all(s)) != 0 ||
	    (rc = conn_read_line(s->c, RESPONSE_MAX, &line, NULL)) != 0)
		return rc == -EMSGSIZE ? -EBADMSG : rc;
	if (slice_eq_str(line, "*"))
		return -EPROTO;
	buf_reset(in);
	rc = base64_decode(in, line);
	slice_wipe(line); /* it may be a password */
	return rc == 0 ? 0 : -EBADMSG;
}

static int
exchange(struct pop3_session *s, struct sasl_server *sasl,
    struct slice response, struct buf *in, struct buf *out)
{
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
		/* Final data has no other place (RFC 5034 4). */
		if (step == SASL_OK)
			return in->n == 0 ? 0 : -EBADMSG;
		response = buf_slice(in);
	}
}

static int
run_sasl(
    struct pop3_session *s, struct sasl_server *sasl, struct slice response)
{
	struct buf in = BUF_INIT_MAX(RESPONSE_MAX);
	struct buf out = BUF_INIT_MAX(RESPONSE_MAX);
	int rc = exchange(s, sasl, response, &in, &out);

	buf_wipe(&in);
	buf_clear(&out);
	switch (rc) {
	case 0:
		s->key = sasl_server_take_key(sasl);
		return pop3_login(
		    s, sasl_server_account(sasl), sasl_server_mechanism(sasl));
	case -EPROTO:
		return pop3_err(s, "Authentication cancelled");
	case -EPIPE:
	case -ECONNRESET:
	case -ETIMEDOUT:
		return rc;
	default:
		return reply_failed(s, rc);
	}
}

/* AUTH without a mechanism asks for their list, as many clients do. */
static int
list_mechanisms(struct pop3_session *s)
{
	struct slice list = slice_str(sasl_server_mechanisms(
	    s->env->accounts, &s->a, s->c, pop3_is_private(s)));
	int rc = pop3_ok(s, "Mechanisms follow");

	while (rc == 0 && list.n > 0) {
		buf_put_slice(&s->out, slice_split(&list, ' '));
		buf_put_str(&s->out, "\r\n");
	}
	buf_put_str(&s->out, ".\r\n");
	return rc != 0 ? rc : pop3_drain(s);
}

int
pop3_auth(struct pop3_session *s, struct slice args)
{
	struct slice name = slice_split(&args, ' ');
	struct slice first = slice(NULL, 0);
	struct buf initial = BUF_INIT_MAX(RESPONSE_MAX);
	struct sasl_server *sasl;
	int rc;

	if (name.n == 0)
		return list_mechanisms(s);
	if (args.n > 0) {
		if (slice_eq_str(args, "="))
			args = SLICE_EMPTY;
		rc = base64_decode(&initial, args);
		first = arena_dup(&s->a, buf_slice(&initial));
		buf_wipe(&initial);
		if (rc != 0 || first.p == NULL)
			return pop3_bad(s, "Invalid base64");
	}
	rc = sasl_server_new(&sasl, s->env->accounts, s->c, name, ACCOUNTS_POP3,
	    pop3_is_private(s));
	if (rc == -ENOSYS)
		return pop3_err(s, "Mechanism is not available");
	if (rc != 0)
		return pop3_err_errno(s, rc);
	rc = run_sasl(s, sasl, first);
	slice_wipe(first);
	sasl_server_free(&sasl);
	return rc;
}
