/* SPDX-License-Identifier: ISC */
/* The life of a session: greeting, one command after the other, the end. */
#include "mailbox/imap/imap_session.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/auth/seal.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/trace.h"
#include "mailbox/imap/imap_commands.h"

#define DRAIN_AT ((size_t)32 << 10)  /* octets gathered before a write */
#define OUT_MAX ((size_t)8 << 20)    /* one response without a drain */
#define ARENA_MAX ((size_t)32 << 20) /* STORE 1:* of 4 million messages */
#define ARENA_PREAUTH ((size_t)256 << 10)
#define LINE_PREAUTH ((size_t)16 << 10) /* a stranger gets little memory */
#define LITERAL_PREAUTH ((size_t)8 << 10)
#define BAD_MAX 20
#define BAD_PREAUTH 5 /* a browser that was led here says more than that */
#define TAG_MAX 128
#define FAILED_LOGINS_MAX 5
#define LOGIN_MS ((int64_t)3 * 60 * 1000)
#define WAIT_MS ((int64_t)30 * 60 * 1000) /* RFC 3501 5.4: at least that */

static struct imap_env service_env;

/* --- the connection as the parser's input --- */

static int
input_line(void *arg, size_t max, struct slice *line)
{
	struct imap_session *s = arg;

	return conn_read_line(s->c, max, line, NULL);
}

static int
input_peek(void *arg, struct slice *out)
{
	struct imap_session *s = arg;

	return conn_peek(s->c, out);
}

static void
input_consume(void *arg, size_t n)
{
	struct imap_session *s = arg;

	conn_consume(s->c, n);
}

static int
input_go_ahead(void *arg)
{
	struct imap_session *s = arg;
	int rc;

	buf_put_str(&s->out, "+ OK\r\n");
	if ((rc = imap_drain_all(s)) != 0)
		return rc;
	return conn_flush(s->c);
}

static void
parser_prepare(struct imap_session *s, struct imap_input *in)
{
	*in = (struct imap_input){
		.line = input_line,
		.peek = input_peek,
		.consume = input_consume,
		.go_ahead = input_go_ahead,
		.arg = s,
	};
	imap_parser_init(&s->p, in, &s->a);
	if (s->state == IMAP_NOT_AUTHENTICATED) {
		s->p.line_max = LINE_PREAUTH;
		s->p.literal_max = LITERAL_PREAUTH;
		s->p.drain_max = LITERAL_PREAUTH;
	}
}

/* --- state --- */

void
imap_set_state(struct imap_session *s, enum imap_state state)
{
	static const char *const names[] = { [IMAP_NOT_AUTHENTICATED] = "new",
		[IMAP_AUTHENTICATED] = "authenticated",
		[IMAP_SELECTED] = "selected",
		[IMAP_LOGOUT] = "logout" };

	if (s->state != state)
		log_debug(
		    "state", "from=%s to=%s", names[s->state], names[state]);
	s->state = state;
}

int
imap_authenticated(
    struct imap_session *s, const char *account, const char *mechanism)
{
	char peer[128];

	if ((s->account = slice_strdup(slice_str(account))) == NULL)
		return -ENOMEM;
	net_addr_text(conn_peer(s->c), peer);
	log_info("login", "account=%s mechanism=%s peer=%s tls=%s",
	    log_qs(account), mechanism, peer, conn_tls_version(s->c));
	trace_write(&(struct trace_record){ .kind = TRACE_AUTH,
	    .code = 235,
	    .took_us =
		s->began_us > 0 ? clock_mono_us() - s->began_us : 0,
	    .field = { [TRACE_ACCOUNT] = slice_str(account),
		[TRACE_RULE] = slice_str(mechanism),
		[TRACE_TEXT] = SLICE_LIT("IMAP") } });
	s->a.max = ARENA_MAX;
	conn_set_deadline(s->c, -1);
	imap_set_state(s, IMAP_AUTHENTICATED);
	return 0;
}

void
imap_deselect(struct imap_session *s)
{
	int rc;

	if (s->view == NULL)
		return;
	if (!s->read_only && (rc = mails_view_claim_recent(s->view)) != 0)
		log_debug("recent not noted", "error=%s", strerror(-rc));
	mails_view_close(&s->view);
	s->read_only = false;
	imap_set_state(s, IMAP_AUTHENTICATED);
}

bool
imap_is_private(const struct imap_session *s)
{
	return s->env->plaintext_login || conn_is_tls(s->c) ||
	    net_addr_is_unix(conn_peer(s->c));
}

/* --- output --- */

int
imap_drain_all(struct imap_session *s)
{
	int rc;

	if (s->out.failed)
		return -ENOMEM;
	rc = conn_write(s->c, buf_slice(&s->out));
	buf_reset(&s->out);
	return rc;
}

int
imap_drain(struct imap_session *s)
{
	return s->out.n < DRAIN_AT && !s->out.failed ? 0 : imap_drain_all(s);
}

static int
put_tagged(struct imap_session *s, const char *condition, const char *code,
    const char *text)
{
	struct buf *b = &s->out;

	buf_put_slice(b, s->tag);
	buf_put_str(b, condition);
	if (code != NULL) {
		buf_put_char(b, '[');
		buf_put_str(b, code);
		buf_put_str(b, "] ");
	}
	buf_put_str(b, text);
	buf_put_str(b, "\r\n");
	return imap_drain(s);
}

/* What has changed goes out before the tagged reply. */
static int
put_reply(struct imap_session *s, const char *condition, const char *code,
    const char *text)
{
	unsigned flags = s->command == NULL ? 0 : s->command->flags;
	int rc = 0;

	if (s->view != NULL && (flags & (IMAP_SYNC | IMAP_SYNC_KEEP)) != 0)
		rc = imap_sync(s, (flags & IMAP_SYNC) != 0 || s->uid);
	if (rc != 0)
		return rc;
	s->bad = 0;
	return put_tagged(s, condition, code, text);
}

int
imap_ok(struct imap_session *s, const char *code, const char *text)
{
	return put_reply(s, " OK ", code, text);
}

int
imap_no(struct imap_session *s, const char *code, const char *text)
{
	return put_reply(s, " NO ", code, text);
}

int
imap_no_trouble(struct imap_session *s, int rc, const char *text)
{
	char with_reference[256];

	trace_write(&(struct trace_record){ .kind = TRACE_COMMAND,
	    .code = 451,
	    .took_us = clock_mono_us() - s->began_us,
	    .field = { [TRACE_ACCOUNT] = slice_str(s->account),
		[TRACE_RULE] = slice_str(strerror(-rc)),
		[TRACE_TEXT] = slice_str(text) } });
	snprintf(with_reference, sizeof(with_reference), "%s [ref %s]", text,
	    conn_id(s->c));
	return imap_no(s, "UNAVAILABLE", with_reference);
}

int
imap_bad(struct imap_session *s, const char *why)
{
	return imap_parser_bad(&s->p, why);
}

void
imap_bye(struct imap_session *s, const char *text)
{
	buf_put_str(&s->out, "* BYE ");
	buf_put_str(&s->out, text);
	buf_put_str(&s->out, "\r\n");
	imap_set_state(s, IMAP_LOGOUT);
}

int
imap_no_errno(struct imap_session *s, int rc)
{
	switch (rc) {
	case -ECANCELED:
		return rc;
	case -ENOENT:
		return imap_no(s, "NONEXISTENT", "No such mailbox");
	case -EEXIST:
		return imap_no(s, "ALREADYEXISTS", "Mailbox exists already");
	case -EINVAL:
		return imap_no(s, "CANNOT", "Not possible with that name");
	case -EPERM:
		return imap_no(s, "CANNOT", "Not possible with INBOX");
	case -EACCES: /* RFC 5530 3 */
		return imap_no(s, "NOPERM", "What is kept can only be read");
	case -ENOKEY:
		return imap_no(s, "NOPERM",
		    "This mail is sealed, and this sign-in brings no key");
	case -ENOTEMPTY:
		return imap_no(s, "CANNOT", "Name has inferior names");
	case -EDQUOT:
		return imap_no(s, "OVERQUOTA", "Quota is used up");
	case -E2BIG:
		return imap_no(s, "LIMIT", "Too many keywords or messages");
	case -ENOMEM:
		return imap_no(s, "LIMIT", "Not enough memory for that");
	case -ENOSPC:
		log_error("disk full", "command=%s", s->command->verb);
		return imap_no(s, "LIMIT", "Disk is full");
	default:
		log_error("store failed", "command=%s account=%s error=%s",
		    s->command->verb, log_qs(s->account), strerror(-rc));
		return imap_no_trouble(s, rc, "Try again later");
	}
}

/* --- one command --- */

/* The parser's complaint, with the tag if there is one. */
static int
reply_bad(struct imap_session *s)
{
	int rc;

	if (s->tag.n == 0)
		s->tag = SLICE_LIT("*");
	if ((rc = put_tagged(s, " BAD ", NULL, s->p.why)) != 0)
		return rc;
	if (++s->bad >=
	    (s->state == IMAP_NOT_AUTHENTICATED ? BAD_PREAUTH : BAD_MAX))
		imap_bye(s, "Too many bad commands");
	return 0;
}

static int
parse_and_run(struct imap_session *s)
{
	const struct imap_command *command;
	struct slice tag, verb;
	int rc;

	s->tag = SLICE_EMPTY;
	s->command = NULL;
	s->uid = false;
	if ((rc = imap_parser_begin(&s->p)) != 0 ||
	    (rc = imap_parse_tag(&s->p, &tag)) != 0)
		return rc;
	if (tag.n > TAG_MAX)
		return imap_bad(s, "[LIMIT] Tag is too long");
	s->tag = tag;
	if ((rc = imap_parse_sp(&s->p)) != 0 ||
	    (rc = imap_parse_atom(&s->p, &verb)) != 0)
		return rc;
	if ((command = imap_command_find(verb)) == NULL)
		return imap_bad(s, "Unknown command");
	return imap_command_run(s, command);
}

/* 0 to go on, else the session's end. */
static int
serve_command(struct imap_session *s)
{
	struct imap_input in;
	int rc;

	parser_prepare(s, &in);
	rc = parse_and_run(s);
	if (rc == -EMSGSIZE) {
		/* Its tag is gone, and so is what a literal at its end would
		 * have said about what follows. */
		imap_bye(s, "[TOOBIG] Command line is too long");
		return 0;
	}
	if (rc == -EBADMSG || rc == -E2BIG)
		rc = reply_bad(s);
	else if (rc == -ENOMEM)
		rc = put_tagged(s, " NO ", "LIMIT", "Command is too large");
	else if (rc == -EINVAL)
		rc = put_tagged(s, " NO ", "CANNOT", "Invalid mailbox name");
	if (rc == 0 && s->state != IMAP_LOGOUT &&
	    (rc = imap_parser_finish(&s->p)) == -EFBIG) {
		imap_bye(s, "[TOOBIG] Literal is too long");
		return 0;
	}
	return rc;
}

/* Wait for the next command with as little memory as can be. */
static int
wait_command(struct imap_session *s)
{
	int rc;

	if ((rc = imap_drain_all(s)) != 0)
		return rc;
	arena_reset(&s->a);
	/* The connection's deadline ends a wait; who never lets us wait has
	 * as long. */
	if (s->state == IMAP_NOT_AUTHENTICATED && clock_mono_ms() >= s->login_until_ms)
		return -ETIMEDOUT;
	if (conn_buffered(s->c) > 0)
		return 0;
	buf_clear(&s->out);
	rc = conn_wait_input(s->c, NULL, WAIT_MS);
	return rc > 0 ? 0 : rc;
}

static void
greet(struct imap_session *s)
{
	const char *account = s->env->preauth;

	if (account != NULL && imap_authenticated(s, account, "none") == 0)
		buf_put_str(&s->out, "* PREAUTH [CAPABILITY ");
	else
		buf_put_str(&s->out, "* OK [CAPABILITY ");
	imap_put_capabilities(s);
	buf_put_str(&s->out, "] pneu ready\r\n");
}

static const char *
end_in_words(int rc)
{
	switch (rc) {
	case 0:
		return "logout";
	case -EPIPE:
	case -ECONNRESET:
		return "client has gone";
	case -ETIMEDOUT:
		return "timeout";
	case -ECANCELED:
		return "shutdown";
	default:
		return strerror(-rc);
	}
}

static void
say_bye(struct imap_session *s, int rc)
{
	if (rc == -ETIMEDOUT)
		imap_bye(s, "Autologout; idle for too long");
	else if (rc == -ECANCELED)
		imap_bye(s, "[UNAVAILABLE] Server is shutting down");
	else if (rc == -ENOMEM)
		imap_bye(s, "[UNAVAILABLE] Out of memory");
	imap_drain_all(s);
}

void
imap_serve(const struct imap_env *env, struct conn *c)
{
	struct imap_session s = {
		.env = env,
		.c = c,
		.state = IMAP_NOT_AUTHENTICATED,
		.a = ARENA_INIT_MAX(ARENA_PREAUTH),
		.out = BUF_INIT_MAX(OUT_MAX),
	};
	int rc = 0;

	s.login_until_ms = clock_mono_ms() +
	    (env->login_ms > 0 ? env->login_ms : LOGIN_MS);
	conn_set_deadline(c, s.login_until_ms);
	greet(&s);
	while (rc == 0 && s.state != IMAP_LOGOUT) {
		if ((rc = wait_command(&s)) == 0)
			rc = serve_command(&s);
		if (s.failed_logins >= FAILED_LOGINS_MAX)
			imap_bye(&s, "Too many failed logins");
		if (rc == 0 && service_is_draining())
			rc = -ECANCELED;
	}
	say_bye(&s, rc);
	imap_deselect(&s);
	log_info("imap session ended", "account=%s reason=\"%s\"",
	    log_qs(s.account), end_in_words(rc));
	free(s.account);
	seal_key_unref(&s.key);
	buf_clear(&s.out);
	arena_reset(&s.a);
}

int
imap_start(
    const struct conf *conf, struct mails *mails, struct accounts *accounts)
{
	service_env = (struct imap_env){
		.mails = mails,
		.accounts = accounts,
		.tls = service_tls(),
		.max_size = conf_size(conf, "mailbox.max_size"),
		.plaintext_login = conf_bool(conf, "mailbox.plaintext_login"),
		.login_ms = conf_duration_ms(conf, "mailbox.login_timeout"),
	};
	return 0;
}

void
imap_session(struct conn *c, const struct service_protocol *p)
{
	(void)p;
	imap_serve(&service_env, c);
}

void
imap_submit_session(struct conn *c, const struct service_protocol *p)
{
	struct imap_env env = service_env;

	(void)p;
	env.submit = true;
	env.preauth = "submit";
	if (net_addr_is_unix(conn_peer(c)))
		imap_serve(&env, c);
	else
		log_warning("mailbox.submit is for Unix sockets only",
		    "peer=%s", conn_id(c));
}
