/* SPDX-License-Identifier: ISC */
/*
 * What a session leaves in the trace. Every reply passes by here, so no refusal
 * can be forgotten; of the good ones, those that a message's way consists of.
 * In LMTP, between our own programs, a good reply is only told where the hook
 * said what decided it: the sender of the message tells it otherwise.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "common/base/conf.h"
#include "common/base/log.h"
#include "common/mail/header.h"
#include "common/mail/message_id.h"
#include "common/smtp/session.h"

#define HEADER_LOOKED_AT ((size_t)64 << 10)
#define MESSAGE_ID_ARENA ((size_t)256 << 10)

void
session_name(struct smtp_session *s)
{
	struct trace_context *t = co_trace_context();
	const struct net_addr *peer = conn_peer(s->conn);
	char host[128] = "";

	co_log_context("conn=%s%s%s", conn_id(s->conn),
	    s->id[0] != '\0' ? " id=" : "", s->id);
	if (t == NULL)
		return;
	if (!net_addr_is_unix(peer))
		net_addr_host(peer, host);
	snprintf(t->conn, sizeof(t->conn), "%s", conn_id(s->conn));
	snprintf(t->peer, sizeof(t->peer), "%.45s", host);
	memcpy(t->id, s->id, sizeof(t->id));
}

void
session_at(struct smtp_session *s, enum trace_kind kind, const char *verb)
{
	s->at.kind = kind;
	s->at.verb = verb;
	s->at.began_us = clock_mono_us();
	s->at.recipient = (struct slice){ NULL, 0 };
	s->at.rule[0] = '\0';
}

/* --- what decided --- */

void
smtp_session_because(struct smtp_session *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s->at.rule, sizeof(s->at.rule), fmt, ap);
	va_end(ap);
}

void
session_setting(struct smtp_session *s, const char *name)
{
	char *rule = s->at.rule;

	snprintf(rule, sizeof(s->at.rule), "%s.%s", trace_program(), name);
	for (size_t i = 0; conf_settings[i].name != NULL; i++)
		if (strcmp(conf_settings[i].name, rule) == 0)
			return;
	/* The program's own, which nobody can set. */
	snprintf(rule, sizeof(s->at.rule), "%s", name);
}

/* --- replies --- */

static bool
is_told(const struct smtp_session *s, const struct smtp_reply *r)
{
	switch (s->at.kind) {
	case TRACE_NONE:
		return false;
	case TRACE_AUTH:
		/* Of a wrong password common/auth knows more. */
		if (r->code == 535)
			return false;
		break;
	case TRACE_MAIL:
	case TRACE_RCPT:
	case TRACE_MESSAGE:
		break;
	default:
		return r->code >= 400;
	}
	if (r->code >= 400)
		return true;
	return smtp_reply_is_positive(r) &&
	    (!session_is_lmtp(s) || s->at.rule[0] != '\0');
}

static struct slice
or_nothing(struct slice s)
{
	return s.n > 0 ? s : (struct slice){ NULL, 0 };
}

static void
tell_mail(const struct smtp_session *s, struct trace_record *t)
{
	t->octets = s->mail.size;
	if (s->mail.from.text.p != NULL)
		t->field[TRACE_SENDER] = s->mail.from.text;
	t->field[TRACE_ACCOUNT] = or_nothing(slice_str(s->account));
	/* A good reply to MAIL says nothing; who came does. */
	if (t->code < 400)
		t->field[TRACE_TEXT] = or_nothing(slice_str(s->helo));
}

void
session_tell(struct smtp_session *s, const struct smtp_reply *r)
{
	struct trace_record t = { .kind = s->at.kind, .code = r->code };

	if (!trace_is_on() || !is_told(s, r))
		return;
	t.took_us = clock_mono_us() - s->at.began_us;
	memcpy(t.enhanced, r->enhanced, sizeof(t.enhanced));
	t.field[TRACE_TEXT] = or_nothing(r->text);
	t.field[TRACE_RULE] = or_nothing(slice_str(s->at.rule));
	t.field[TRACE_RECIPIENT] = s->at.recipient;
	if (t.kind == TRACE_MAIL)
		tell_mail(s, &t);
	else if (t.kind == TRACE_MESSAGE) {
		t.octets = s->octets;
		t.field[TRACE_MESSAGE_ID] = or_nothing(s->message_id);
	} else if (t.kind == TRACE_AUTH) {
		t.field[TRACE_ACCOUNT] = or_nothing(slice_str(s->account));
	} else if (t.kind == TRACE_COMMAND && t.field[TRACE_RULE].p == NULL) {
		t.field[TRACE_RULE] = or_nothing(slice_str(s->at.verb));
	}
	trace_write(&t);
}

/* --- the message --- */

void
session_find_message_id(struct smtp_session *s)
{
	struct arena a = ARENA_INIT_MAX(MESSAGE_ID_ARENA);
	struct header_field f;
	struct slice head, id;

	if (!trace_is_on() || s->body == NULL || s->message_id.p != NULL ||
	    spool_head(s->body, HEADER_LOOKED_AT, &head) != 0 ||
	    !header_find(head, "Message-ID", &f))
		return;
	id = message_id_first(&a, f.value);
	s->message_id = slice_head(id, TRACE_TEXT_MAX);
	if (id.n > 0)
		s->message_id = arena_dup(&s->tx, s->message_id);
	arena_reset(&a);
}

struct slice
smtp_session_message_id(const struct smtp_session *s)
{
	return or_nothing(s->message_id);
}

/* --- ends --- */

static const char *
end_in_words(const struct smtp_session *s)
{
	switch (s->end_rc) {
	case 0:
		return s->at.verb != NULL ? s->at.verb : "closed";
	case -EPIPE:
	case -ECONNRESET:
		return "the client has gone";
	case -ETIMEDOUT:
		return "the client was silent for too long";
	case -ECANCELED:
		return "shutting down";
	default:
		return strerror(-s->end_rc);
	}
}

/* Our programs ask one another and give up what they asked for: no news. */
void
session_tell_abort(struct smtp_session *s)
{
	struct trace_record t = { .kind = TRACE_ABORT, .octets = s->octets };
	char text[TRACE_TEXT_MAX];

	if (!trace_is_on() || (session_is_lmtp(s) && s->end_rc == 0))
		return;
	/* All were refused: that has been told. */
	if (s->n_rcpts == 0 && s->n_refused > 0 && s->end_rc == 0)
		return;
	snprintf(text, sizeof(text), "%s, after %zu recipients%s",
	    end_in_words(s), s->n_rcpts,
	    s->body == NULL ? "" : " and a part of the message");
	t.field[TRACE_SENDER] = s->mail.from.text;
	t.field[TRACE_TEXT] = slice_str(text);
	t.field[TRACE_RULE] = or_nothing(slice_str(s->at.rule));
	trace_write(&t);
}

void
session_tell_end(struct smtp_session *s)
{
	struct trace_record t = { .kind = TRACE_SESSION };
	const char *tls = conn_tls_version(s->conn);
	char text[512];

	if (!trace_is_on() || session_is_lmtp(s))
		return;
	t.took_us = (clock_mono_ms() - s->started_ms) * 1000;
	snprintf(text, sizeof(text), "%s%s%s%s%u messages, %u recipients: %s",
	    s->helo, s->helo[0] != '\0' ? ", " : "", tls,
	    tls[0] != '\0' ? ", " : "", s->n_messages, s->n_recipients,
	    end_in_words(s));
	t.field[TRACE_ACCOUNT] = or_nothing(slice_str(s->account));
	t.field[TRACE_TEXT] = slice_str(text);
	t.field[TRACE_RULE] = or_nothing(slice_str(s->at.rule));
	trace_write(&t);
}
