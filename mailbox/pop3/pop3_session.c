/* SPDX-License-Identifier: ISC */
/* The life of a POP3 session, and the table of its commands. */
#include "mailbox/pop3/pop3_session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/auth/seal.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/trace.h"

#define LINE_MAX_POP3 ((size_t)1024) /* RFC 2449 4: at least 255 */
#define DRAIN_AT ((size_t)32 << 10)
#define ARENA_MAX ((size_t)1 << 20)
#define BAD_MAX 20
#define BAD_PREAUTH 5
#define FAILED_LOGINS_MAX 5
#define LOGIN_MS ((int64_t)3 * 60 * 1000)
#define WAIT_MS ((int64_t)10 * 60 * 1000) /* RFC 1939 3: at least that */

static struct pop3_env service_env;

#define AUTH POP3_AUTHORIZATION
#define TRANS POP3_TRANSACTION

static const struct pop3_command commands[] = {
	{ "STAT", TRANS, pop3_stat }, { "LIST", TRANS, pop3_list },
	{ "UIDL", TRANS, pop3_uidl }, { "RETR", TRANS, pop3_retr },
	{ "TOP", TRANS, pop3_top }, { "DELE", TRANS, pop3_dele },
	{ "RSET", TRANS, pop3_rset }, { "NOOP", TRANS, pop3_noop },
	{ "QUIT", AUTH | TRANS, pop3_quit },
	{ "CAPA", AUTH | TRANS, pop3_capa }, /* RFC 2449 5 */
	{ "USER", AUTH, pop3_user }, { "PASS", AUTH, pop3_pass },
	{ "APOP", AUTH, pop3_apop },
	{ "AUTH", AUTH, pop3_auth }, /* RFC 5034 4 */
	{ "STLS", AUTH, pop3_stls }, /* RFC 2595 4 */
};

const struct pop3_command *
pop3_command_find(struct slice verb)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (slice_eq_str_nocase(verb, commands[i].verb))
			return &commands[i];
	return NULL;
}

/* --- replies --- */

int
pop3_drain_all(struct pop3_session *s)
{
	int rc = s->out.failed ? -ENOMEM : conn_write(s->c, buf_slice(&s->out));

	buf_reset(&s->out);
	return rc;
}

int
pop3_drain(struct pop3_session *s)
{
	return s->out.n < DRAIN_AT && !s->out.failed ? 0 : pop3_drain_all(s);
}

static int
put_line(struct pop3_session *s, const char *status, const char *text)
{
	buf_put_str(&s->out, status);
	buf_put_str(&s->out, text);
	buf_put_str(&s->out, "\r\n");
	return pop3_drain(s);
}

int
pop3_ok(struct pop3_session *s, const char *text)
{
	s->bad = 0;
	return put_line(s, "+OK ", text);
}

int
pop3_err(struct pop3_session *s, const char *text)
{
	return put_line(s, "-ERR ", text);
}

int
pop3_bad(struct pop3_session *s, const char *text)
{
	if (++s->bad >=
	    (s->state == POP3_AUTHORIZATION ? BAD_PREAUTH : BAD_MAX))
		s->state = POP3_END;
	return put_line(s, "-ERR ", text);
}

int
pop3_err_trouble(struct pop3_session *s, int rc, const char *text)
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
	return pop3_err(s, with_reference);
}

/* RFC 2449 8, RFC 3206 */
int
pop3_err_errno(struct pop3_session *s, int rc)
{
	if (rc == -ECANCELED)
		return rc;
	if (rc == -EACCES)
		return pop3_err(s, "[AUTH] Authentication failed");
	if (rc == -ENOENT)
		return pop3_err(s, "No such message any more");
	if (rc == -ENOKEY)
		return pop3_err(s,
		    "[SYS/PERM] This mail is sealed, and this sign-in brings "
		    "no key");
	log_error("store failed", "account=%s error=\"%s\"", log_qs(s->account),
	    strerror(-rc));
	return pop3_err_trouble(s, rc, "[SYS/TEMP] Try again later");
}

bool
pop3_is_private(const struct pop3_session *s)
{
	return s->env->plaintext_login || conn_is_tls(s->c) ||
	    net_addr_is_unix(conn_peer(s->c));
}

/* --- the maildrop --- */

static int
read_sizes(struct pop3_session *s)
{
	uint32_t n = mails_view_count(s->view);
	struct mails_row row;
	int rc;

	s->sizes = calloc((size_t)n + 1, sizeof(*s->sizes));
	s->deleted = calloc((size_t)n + 1, sizeof(*s->deleted));
	if (s->sizes == NULL || s->deleted == NULL)
		return -ENOMEM;
	for (uint32_t seq = 1; seq <= n; seq++) {
		if ((rc = mails_row(s->view, seq, &row)) == 0)
			s->sizes[seq] = row.size;
		else if (rc != -ENOENT && rc != -EIO)
			return rc;
		s->octets += s->sizes[seq];
		/* Rows that are in memory cost no wait: let others run. */
		if (seq % 1024 == 0 && (rc = co_yield ()) != 0)
			return rc;
	}
	return 0;
}

static void
close_maildrop(struct pop3_session *s)
{
	mails_view_close(&s->view);
	free(s->sizes);
	free(s->deleted);
	s->sizes = NULL;
	s->deleted = NULL;
	s->octets = 0;
}

static int
open_maildrop(struct pop3_session *s)
{
	/* As EXAMINE: a look by POP3 takes nothing from IMAP's \Recent. */
	int rc = mails_view_examine(
	    s->env->mails, s->account, SLICE_LIT("INBOX"), &s->view);

	if (rc == 0) {
		mails_view_unlock(s->view, s->key);
		rc = read_sizes(s);
	}
	if (rc != 0)
		close_maildrop(s);
	return rc;
}

int
pop3_login(struct pop3_session *s, const char *account, const char *mechanism)
{
	char peer[128];
	int rc;

	if ((s->account = slice_strdup(slice_str(account))) == NULL)
		return -ENOMEM;
	if ((rc = open_maildrop(s)) != 0) {
		rc = pop3_err_errno(s, rc == -ENOENT ? -EAGAIN : rc);
		free(s->account);
		s->account = NULL;
		seal_key_unref(&s->key);
		return rc;
	}
	net_addr_text(conn_peer(s->c), peer);
	log_info("login", "account=%s mechanism=%s peer=%s tls=%s",
	    log_qs(account), mechanism, peer, conn_tls_version(s->c));
	trace_write(&(struct trace_record){ .kind = TRACE_AUTH,
	    .code = 235,
	    .took_us =
		s->began_us > 0 ? clock_mono_us() - s->began_us : 0,
	    .field = { [TRACE_ACCOUNT] = slice_str(account),
		[TRACE_RULE] = slice_str(mechanism),
		[TRACE_TEXT] = SLICE_LIT("POP3") } });
	conn_set_deadline(s->c, -1);
	s->state = POP3_TRANSACTION;
	return pop3_ok(s, "Logged in");
}

/* --- one command --- */

static int
serve_command(struct pop3_session *s)
{
	const struct pop3_command *command;
	struct slice line, verb;
	int rc;

	rc = conn_read_line(s->c, LINE_MAX_POP3, &line, NULL);
	if (rc == -EMSGSIZE)
		return pop3_bad(s, "Line is too long");
	if (rc != 0)
		return rc;
	/* The connection's memory lasts until the next read only. */
	if ((line = arena_dup(&s->a, line)).p == NULL)
		return -ENOMEM;
	s->began_us = clock_mono_us();
	verb = slice_split(&line, ' ');
	if ((command = pop3_command_find(verb)) == NULL)
		return pop3_bad(s, "Unknown command");
	if ((command->states & s->state) == 0)
		return pop3_bad(s,
		    s->state == POP3_AUTHORIZATION ? "Log in first"
						   : "Logged in already");
	return command->run(s, line);
}

static int
wait_command(struct pop3_session *s)
{
	int rc;

	if ((rc = pop3_drain_all(s)) != 0)
		return rc;
	arena_reset(&s->a);
	/* The connection's deadline ends a wait; who never lets us wait has
	 * as long. */
	if (s->state == POP3_AUTHORIZATION && clock_mono_ms() >= s->login_until_ms)
		return -ETIMEDOUT;
	if (conn_buffered(s->c) > 0)
		return 0;
	buf_clear(&s->out);
	rc = conn_wait_input(s->c, NULL, WAIT_MS);
	return rc > 0 ? 0 : rc;
}

/* With a timestamp where some password can do APOP (RFC 1939 7). */
static int
greet(struct pop3_session *s)
{
	struct accounts *accounts = s->env->accounts;
	const char *text;

	if (accounts == NULL || !accounts_have_secrets(accounts))
		return pop3_ok(s, "pneu ready");
	text = accounts_challenge(accounts, &s->a);
	s->challenge = text == NULL ? NULL : strdup(text);
	if (s->challenge == NULL)
		return -ENOMEM;
	text = arena_printf(&s->a, "pneu ready %s", s->challenge);
	return text == NULL ? -ENOMEM : pop3_ok(s, text);
}

void
pop3_serve(const struct pop3_env *env, struct conn *c)
{
	struct pop3_session s = {
		.env = env,
		.c = c,
		.state = POP3_AUTHORIZATION,
		.a = ARENA_INIT_MAX(ARENA_MAX),
		.out = BUF_INIT,
	};
	int rc;

	s.login_until_ms = clock_mono_ms() +
	    (env->login_ms > 0 ? env->login_ms : LOGIN_MS);
	conn_set_deadline(c, s.login_until_ms);
	rc = env->preauth == NULL ? greet(&s)
				  : pop3_login(&s, env->preauth, "none");
	while (rc == 0 && s.state != POP3_END) {
		if ((rc = wait_command(&s)) == 0)
			rc = serve_command(&s);
		if (s.failed_logins >= FAILED_LOGINS_MAX)
			s.state = POP3_END;
		if (rc == 0 && service_is_draining())
			rc = -ECANCELED;
	}
	/* After a timeout nothing is said (RFC 1939 3). */
	if (rc == -ECANCELED)
		put_line(&s, "-ERR ", "[SYS/TEMP] Server is shutting down");
	pop3_drain_all(&s);
	log_info("pop3 session ended", "account=%s reason=\"%s\"",
	    log_qs(s.account), rc == 0 ? "quit" : strerror(-rc));
	close_maildrop(&s);
	free(s.challenge);
	free(s.user);
	free(s.account);
	seal_key_unref(&s.key);
	buf_clear(&s.out);
	arena_reset(&s.a);
}

int
pop3_start(
    const struct conf *conf, struct mails *mails, struct accounts *accounts)
{
	service_env = (struct pop3_env){
		.mails = mails,
		.accounts = accounts,
		.tls = service_tls(),
		.plaintext_login = conf_bool(conf, "mailbox.plaintext_login"),
		.login_ms = conf_duration_ms(conf, "mailbox.login_timeout"),
	};
	return 0;
}

void
pop3_session(struct conn *c, const struct service_protocol *p)
{
	(void)p;
	pop3_serve(&service_env, c);
}
