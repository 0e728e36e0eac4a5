/* SPDX-License-Identifier: ISC */
/* XCLIENT, as Postfix documents it (XCLIENT_README): a listed peer says whom
 * it speaks for, and the session begins anew as if he had connected. */
#include <errno.h>

#include "common/base/log.h"
#include "common/smtp/session.h"

#define VALUE_MAX 255

/* 0, -EINVAL, or the error of memory. */
static int
set_attribute(
    struct smtp_session *s, struct slice name, struct slice value, bool known)
{
	struct net_addr peer = *conn_peer(s->conn);
	uint64_t port;

	if (slice_eq_str_nocase(name, "ADDR")) {
		if (!known)
			return 0;
		if (slice_starts_nocase(value, "IPV6:"))
			value = slice_from(value, 5);
		if (net_addr_parse_host(&peer, value, net_addr_port(&peer)))
			return -EINVAL;
		conn_set_peer(s->conn, &peer);
	} else if (slice_eq_str_nocase(name, "PORT")) {
		if (known && slice_u64(value, 65535, &port) != 0)
			return -EINVAL;
		if (known)
			net_addr_set_port(&peer, (uint16_t)port);
		conn_set_peer(s->conn, &peer);
	} else if (slice_eq_str_nocase(name, "HELO")) {
		s->xclient_helo[0] = '\0';
		if (known && !session_take_name(value, s->xclient_helo))
			return -EINVAL;
	} else if (slice_eq_str_nocase(name, "LOGIN")) {
		s->account = NULL;
		if (known)
			s->account = arena_strdup(&s->arena, value);
		if (known && s->account == NULL)
			return -ENOMEM;
	} else if (!slice_eq_str_nocase(name, "NAME") &&
	    !slice_eq_str_nocase(name, "PROTO")) {
		return -EINVAL;
	}
	return 0;
}

static bool
is_safe(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] <= ' ' || s.p[i] == 0x7f)
			return false;
	return true;
}

static int
set(struct smtp_session *s, struct slice word)
{
	struct slice value = word, name = slice_split(&value, '=');
	struct buf b = BUF_INIT_MAX(VALUE_MAX + 1);
	bool known;
	int rc;

	if (name.n == word.n || value.n > VALUE_MAX)
		return -EINVAL;
	rc = smtp_xtext_decode(value, &b);
	if (rc == 0 && !is_safe(buf_slice(&b)))
		rc = -EINVAL;
	known = !slice_eq_str_nocase(buf_slice(&b), "[UNAVAILABLE]") &&
	    !slice_eq_str_nocase(buf_slice(&b), "[TEMPUNAVAIL]");
	if (rc == 0)
		rc = set_attribute(s, name, buf_slice(&b), known);
	buf_clear(&b);
	return rc;
}

/* As a new connection, by the program's hooks too: they count it. */
static int
begin_anew(struct smtp_session *s)
{
	struct smtp_reply reply = { .code = 220 };
	struct buf text = BUF_INIT;
	int rc = 0;

	session_reset(s);
	if (s->srv->handler->disconnect != NULL)
		s->srv->handler->disconnect(s);
	s->data = NULL;
	s->helo[0] = '\0';
	s->is_esmtp = false;
	session_set_state(s, STATE_START);
	session_name(s);
	if (s->srv->handler->connect != NULL)
		rc = s->srv->handler->connect(s, &reply);
	if (rc != 0) {
		reply = session_trouble(s, "connect", rc);
		reply.code = 421;
	}
	if (reply.code >= 400) {
		session_set_state(s, STATE_CLOSING);
		return session_reply(s, &reply);
	}
	buf_printf(&text, "%s %s pneu", s->srv->hostname,
	    session_is_lmtp(s) ? "LMTP" : "ESMTP");
	rc = session_say(s, 220, "", buf_str(&text));
	buf_clear(&text);
	return rc;
}

int
cmd_xclient(struct smtp_session *s, struct slice args)
{
	char peer[128];
	int rc = args.n == 0 ? -EINVAL : 0;

	if (!(session_offered(s) & SMTP_EXT_XCLIENT))
		return session_refuse(s, 550, "5.7.1", "Not from you");
	while (rc == 0 && args.n > 0)
		rc = set(s, slice_split(&args, ' '));
	if (rc == -ENOMEM)
		return session_say(s, 452, "4.3.1", "Out of memory");
	if (rc != 0)
		return session_refuse(s, 501, "5.5.4", "Bad attribute");
	net_addr_text(conn_peer(s->conn), peer);
	log_info("xclient", "peer=%s account=%s", peer, log_qs(s->account));
	return begin_anew(s);
}
