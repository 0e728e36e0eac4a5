/* SPDX-License-Identifier: ISC */
/* Signing in (RFC 4954): the exchange of common/auth/sasl.h over SMTP. */
#include "msa/msa.h"

#include <errno.h>

#include "common/auth/sasl.h"
#include "common/base/log.h"

static bool
plaintext_ok(struct smtp_session *s)
{
	return msa_of(s)->plaintext_login ||
	    net_addr_is_unix(conn_peer(smtp_session_conn(s)));
}

const char *
msa_auth_mechanisms(struct smtp_session *s)
{
	return sasl_server_mechanisms(msa_of(s)->accounts, smtp_session_arena(s),
	    smtp_session_conn(s), plaintext_ok(s));
}

/* Challenges and responses until the exchange has ended; the final server
 * data of SCRAM is one more challenge with an empty answer (RFC 4954 4). */
static int
exchange(struct smtp_session *s, struct sasl_server *sasl, struct slice in)
{
	struct buf out = BUF_INIT_MAX(16384);
	int step, rc = 0;

	while ((step = sasl_server_step(sasl, in, &out)) == SASL_MORE) {
		rc = smtp_session_challenge(s, buf_slice(&out), &in);
		if (rc != 0)
			break;
		buf_reset(&out);
	}
	if (rc == 0 && step == SASL_OK && out.n > 0)
		rc = smtp_session_challenge(s, buf_slice(&out), &in);
	buf_clear(&out);
	return rc != 0 ? rc : step;
}

/* RFC 4954 6 */
static struct smtp_reply
auth_reply(int rc)
{
	switch (rc) {
	case SASL_OK:
		return SMTP_REPLY(235, "2.7.0", "signed in");
	case -EACCES:
		return SMTP_REPLY(535, "5.7.8", "wrong user name or password");
	case -EBADMSG:
		return SMTP_REPLY(501, "5.5.2", "cannot understand that");
	case -ECANCELED:
		return SMTP_REPLY(501, "5.7.0", "cancelled");
	case -ENOSYS:
		return SMTP_REPLY(504, "5.5.4", "mechanism is not offered");
	default:
		return SMTP_REPLY(454, "4.7.0",
		    "cannot check the password now, try again later");
	}
}

int
msa_auth(struct smtp_session *s, struct slice mechanism, struct slice initial,
    bool has_initial, struct smtp_reply *reply)
{
	struct sasl_server *sasl = NULL;
	int rc = sasl_server_new(&sasl, msa_of(s)->accounts,
	    smtp_session_conn(s), mechanism, ACCOUNTS_SUBMISSION, plaintext_ok(s));

	if (rc == 0)
		rc = exchange(
		    s, sasl, has_initial ? initial : (struct slice){ NULL, 0 });
	*reply = auth_reply(rc);
	if (rc == SASL_OK && sasl != NULL) {
		smtp_session_set_authenticated(s, sasl_server_account(sasl));
		log_info("signed in", "account=%s mechanism=%s",
		    log_qs(sasl_server_account(sasl)),
		    sasl_server_mechanism(sasl));
	}
	sasl_server_free(&sasl);
	return rc == -ECONNRESET || rc == -EPIPE || rc == -ETIMEDOUT ? rc : 0;
}
