/* SPDX-License-Identifier: ISC */
/*
 * A session from connection to end: read a command, look it up, run it; and
 * what commands and hooks need. The verbs are in server_commands.c and
 * cmd_*.c.
 */
#include "common/smtp/server.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "common/smtp/session.h"

#define CONNECTION_ARENA ((size_t)64 << 10)
#define COMMAND_ARENA ((size_t)2 << 20)
#define TRANSACTION_ARENA ((size_t)1 << 20)
#define RECIPIENT_ROOM ((size_t)2 << 10) /* of it, for each recipient */
#define JUNK_PER_ERROR 10
#define REJECTS_PER_ERROR 10

/* --- the dialogue --- */

static bool
has_control(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
			return true;
	return false;
}

static int
run_unknown(struct smtp_session *s, struct slice verb, struct slice args)
{
	struct smtp_reply reply = SMTP_REPLY(250, "2.0.0", "OK");
	int rc = -ENOSYS;

	if (s->srv->handler->command != NULL)
		rc = s->srv->handler->command(s, verb, args, &reply);
	if (rc == -ENOSYS)
		return session_refuse(s, 500, "5.5.2", "Command not known");
	if (rc != 0)
		reply = session_trouble(s, "command", rc);
	rc = session_reply(s, &reply);
	arena_reset(&s->command);
	return rc;
}

/*
 * What stands behind a command that the client must wait for was not sent by
 * a mail client in its senses: a proxy, a browser, somebody who injects. It is
 * never looked at.
 */
static int
end_out_of_step(struct smtp_session *s, const char *verb)
{
	log_info("client out of step", "verb=%s octets=%zu", verb,
	    conn_buffered(s->conn));
	conn_discard_input(s->conn);
	return session_close(
	    s, 554, "5.5.0", "You sent more before the reply to this command");
}

/* After HELO nothing was said of PIPELINING: the envelope goes step by step.
 * (QUIT behind a message is too common to be refused.) */
static bool
must_be_last(const struct smtp_session *s, const struct session_command *c)
{
	return (c->flags & CMD_SYNC) ||
	    (s->state != STATE_START && !s->is_esmtp &&
		(c->run == cmd_mail || c->run == cmd_rcpt));
}

static int
run_command(
    struct smtp_session *s, const struct session_command *c, struct slice args)
{
	if (must_be_last(s, c) && conn_buffered(s->conn) > 0)
		return end_out_of_step(s, c->verb);
	if (!(c->flags & CMD_OPEN) && s->srv->auth_required &&
	    s->account == NULL)
		return session_refuse(
		    s, 530, "5.7.0", "Authentication required");
	if ((c->flags & CMD_NO_ARGS) && args.n > 0)
		return session_refuse(
		    s, 501, "5.5.4", "This command takes no argument");
	if (!(c->states & s->state))
		return session_refuse_order(s, 503,
		    s->state == STATE_START ? "Say hello first"
					    : "Not at this point");
	if ((c->flags & CMD_JUNK) && !session_is_lmtp(s) &&
	    ++s->n_junk % JUNK_PER_ERROR == 0)
		s->n_errors++;
	return c->run(s, args);
}

static int
dispatch(struct smtp_session *s, struct slice line)
{
	struct slice args = line, verb = slice_split(&args, ' ');
	const struct session_command *c;

	if (has_control(line))
		return session_refuse(
		    s, 500, "5.5.2", "Control characters in a command");
	args = slice_trim(args);
	c = session_command_find(verb);
	if (c != NULL)
		s->at.verb = c->verb;
	if (line.n > COMMAND_LINE_MAX && (c == NULL || c->run != cmd_auth))
		return session_refuse(s, 500, "5.5.2", "Line too long");
	if (c == NULL ||
	    (c->flags & (session_is_lmtp(s) ? CMD_ESMTP : CMD_LMTP)))
		return run_unknown(s, verb, args);
	return run_command(s, c, args);
}

bool
smtp_session_has_line(struct smtp_session *s)
{
	struct slice in;

	return conn_buffered(s->conn) > 0 && conn_peek(s->conn, &in) == 0 &&
	    slice_find(in, '\n') >= 0;
}

static int
serve_command(struct smtp_session *s)
{
	struct slice line;
	bool bare_lf;
	int rc;

	if (s->srv->handler->quiet != NULL && !smtp_session_has_line(s))
		s->srv->handler->quiet(s);
	/* Between transactions the session is idle: it may be ended then. */
	if (s->state & (STATE_START | STATE_READY)) {
		rc = conn_wait_input(s->conn, NULL, s->srv->timeout_ms);
		if (rc < 0)
			return rc;
	}
	rc = conn_read_line(s->conn, AUTH_LINE_MAX, &line, &bare_lf);
	if (rc == 0 || rc == -EMSGSIZE)
		session_at(s, TRACE_COMMAND, NULL);
	if (rc != 0 && rc != -EMSGSIZE)
		return rc;
	if (bare_lf && !s->normalises)
		return session_end_bare_lf(s);
	if (rc == -EMSGSIZE)
		return session_refuse(s, 500, "5.5.2", "Line too long");
	return dispatch(s, line);
}

/* Too much of what leads nowhere. LMTP peers are our own programs, whose
 * recipients may all be wrong. */
static bool
is_nuisance(const struct smtp_session *s)
{
	if (s->n_errors >= s->srv->max_errors)
		return true;
	return !session_is_lmtp(s) &&
	    s->n_rejects >= s->srv->max_errors * REJECTS_PER_ERROR;
}

static bool
is_over(const struct smtp_session *s)
{
	return s->srv->session_ms > 0 &&
	    clock_mono_ms() >= s->started_ms + s->srv->session_ms;
}

static int
serve_commands(struct smtp_session *s)
{
	int rc = 0;

	while (rc == 0 && s->state != STATE_CLOSING) {
		/* The connection's deadline ends a wait; who never lets us
		 * wait has as long. */
		rc = is_over(s) ? -ETIMEDOUT : serve_command(s);
		if (rc == 0 && s->state != STATE_CLOSING && is_nuisance(s)) {
			session_at(s, TRACE_COMMAND, NULL);
			session_setting(s, "max_errors");
			rc = session_close(s, 421, "4.7.0", "Too many errors");
		}
	}
	return rc;
}

/* --- begin and end --- */

/* RFC 5321 4.3.1: a client waits for the greeting. Who does not is none. */
static int
check_early_talk(struct smtp_session *s)
{
	int rc;

	if (s->srv->kind != SMTP_SERVER_ESMTP)
		return 0;
	rc = conn_wait_input(s->conn, NULL, s->srv->greet_pause_ms);
	if (rc == -ETIMEDOUT)
		return 0;
	if (rc < 0)
		return rc;
	log_info("early talker", "octets=%zu", conn_buffered(s->conn));
	conn_discard_input(s->conn);
	return session_close(s, 554, "5.5.0", "You talk before the greeting");
}

static int
greet(struct smtp_session *s)
{
	struct smtp_reply reply = { .code = 220 };
	struct buf text = BUF_INIT;
	int rc = 0;

	session_at(s, TRACE_CONNECT, NULL);
	if (s->srv->handler->connect != NULL)
		rc = s->srv->handler->connect(s, &reply);
	if (rc != 0) {
		/* RFC 5321 3.8: the one temporary refusal for a greeting. */
		reply = session_trouble(s, "connect", rc);
		reply.code = 421;
	}
	if (reply.code >= 400) {
		session_set_state(s, STATE_CLOSING);
		return session_reply(s, &reply);
	}
	if ((rc = check_early_talk(s)) != 0 || s->state == STATE_CLOSING)
		return rc;
	buf_printf(&text, "%s %s pneu", s->srv->hostname,
	    session_is_lmtp(s) ? "LMTP" : "ESMTP");
	rc = session_say(s, 220, "", buf_str(&text));
	buf_clear(&text);
	return rc;
}

/* What ended the session, where a last word can still be said. It is not
 * waited for. */
static void
say_goodbye(struct smtp_session *s, int rc)
{
	s->at.kind = TRACE_NONE; /* the end itself is told */
	s->at.rule[0] = '\0';
	if (rc == -ETIMEDOUT)
		session_setting(s, is_over(s) ? "max_session" : "timeout");
	if (rc == -ETIMEDOUT && is_over(s))
		session_close(
		    s, 421, "4.4.2", "The session has lasted for too long");
	else if (rc == -ETIMEDOUT)
		session_close(s, 421, "4.4.2", "You were silent for too long");
	else if (rc == -ECANCELED)
		session_close(s, 421, "4.3.2", "Shutting down");
	else if (rc == -ENOMEM)
		session_close(s, 421, "4.3.0", "Out of memory");
}

static void
session_log(const struct smtp_session *s, int rc)
{
	char peer[128];

	net_addr_text(conn_peer(s->conn), peer);
	log_info("session",
	    "peer=%s helo=%s tls=%s account=%s messages=%u rcpts=%u ms=%lld "
	    "end=%s",
	    peer, log_qs(s->helo), conn_tls_version(s->conn),
	    log_qs(s->account), s->n_messages, s->n_recipients,
	    (long long)(clock_mono_ms() - s->started_ms),
	    rc == 0            ? "closed"
		: rc == -EPIPE ? "gone"
			       : strerror(-rc));
}

/* A copy, so that a reload cannot change the rules of a session; and what the
 * configuration left open. */
static void
settle(struct smtp_session *s, const struct smtp_server *srv)
{
	struct smtp_server *d = &s->settings;

	*d = *srv;
	if (d->max_errors == 0)
		d->max_errors = 10;
	if (d->max_recipients == 0)
		d->max_recipients = 1000;
	if (d->timeout_ms == 0)
		d->timeout_ms = (int64_t)5 * 60 * 1000; /* RFC 5321 4.5.3.2.7 */
	if (net_addr_is_unix(conn_peer(s->conn)))
		d->auth_without_tls = true;
	s->srv = d;
	s->arena.max = CONNECTION_ARENA;
	s->command.max = COMMAND_ARENA;
	s->tx.max = TRANSACTION_ARENA + d->max_recipients * RECIPIENT_ROOM;
	conn_set_timeout(s->conn, d->timeout_ms);
	if (d->session_ms > 0)
		conn_set_deadline(s->conn, s->started_ms + d->session_ms);
}

void
smtp_serve(const struct smtp_server *srv, struct conn *c)
{
	struct smtp_session *s = calloc(1, sizeof(*s));
	int rc;

	if (s == NULL) {
		conn_puts(c, "421 4.3.0 Out of memory\r\n");
		return;
	}
	s->conn = c;
	s->state = STATE_START;
	s->started_ms = clock_mono_ms();
	settle(s, srv);
	s->may_xforward = srv->xforward_from != NULL &&
	    net_addr_is_listed(conn_peer(c), srv->xforward_from);
	s->may_xclient = srv->xclient_from != NULL &&
	    net_addr_is_listed(conn_peer(c), srv->xclient_from);
	s->normalises = s->decoder.normalise = srv->normalise_from != NULL &&
	    net_addr_is_listed(conn_peer(c), srv->normalise_from);
	session_name(s);

	rc = greet(s);
	if (rc == 0)
		rc = serve_commands(s);
	s->end_rc = rc;
	if (rc != 0)
		say_goodbye(s, rc);
	session_reset(s);
	session_log(s, rc);
	session_tell_end(s);
	if (srv->handler->disconnect != NULL)
		srv->handler->disconnect(s);
	arena_reset(&s->tx);
	arena_reset(&s->arena);
	arena_reset(&s->command);
	buf_clear(&s->out);
	buf_clear(&s->response);
	free(s);
}
