/* SPDX-License-Identifier: ISC */
/*
 * STARTTLS: RFC 3207. The table lets it in only with nothing behind it in the
 * buffer (CVE-2011-0411); what still waits in the kernel the handshake takes
 * for its own, and fails.
 */
#include <errno.h>

#include "common/base/log.h"
#include "common/smtp/session.h"

/* RFC 3207 4.2: what was learnt in the clear is forgotten. */
static void
forget(struct smtp_session *s)
{
	session_reset(s);
	s->helo[0] = '\0';
	s->is_esmtp = false;
	s->account = NULL;
	session_set_state(s, STATE_START);
}

int
cmd_starttls(struct smtp_session *s, struct slice args)
{
	int rc;

	(void)args;
	if (conn_is_tls(s->conn))
		return session_refuse(s, 503, "5.5.1", "TLS is on already");
	if (!(session_offered(s) & SMTP_EXT_STARTTLS))
		return session_refuse(s, 502, "5.5.1", "No TLS here");
	if ((rc = session_say(s, 220, "2.0.0", "Go ahead")) != 0 ||
	    (rc = conn_flush(s->conn)) != 0)
		return rc;
	if ((rc = conn_starttls_server(s->conn, s->srv->tls)) != 0)
		return rc;
	forget(s);
	return 0;
}
