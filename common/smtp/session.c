/* SPDX-License-Identifier: ISC */
/* State and replies of a session, and what hooks ask about it. */
#include "common/smtp/session.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "common/mail/charset.h"

#define REPLY_MAX ((size_t)128 << 10)
#define UNSENT_MAX ((size_t)16 << 10)

/* --- state --- */

void
session_set_state(struct smtp_session *s, enum session_state state)
{
	if (s->state == state)
		return;
	log_debug("smtp state", "from=0x%x to=0x%x", s->state, state);
	s->state = state;
}

bool
session_is_lmtp(const struct smtp_session *s)
{
	return s->srv->kind == SMTP_SERVER_LMTP;
}

static bool
auth_is_offered(struct smtp_session *s)
{
	const char *mechanisms;

	if (s->srv->handler->auth == NULL ||
	    s->srv->handler->auth_mechanisms == NULL)
		return false;
	if (!conn_is_tls(s->conn) && !s->srv->auth_without_tls)
		return false;
	mechanisms = s->srv->handler->auth_mechanisms(s);
	return mechanisms != NULL && mechanisms[0] != '\0';
}

static bool
is_our_own(const struct smtp_session *s)
{
	return session_is_lmtp(s) && net_addr_is_loopback(conn_peer(s->conn));
}

/* RFC 4865 4.2 2: submission only; and from msa to the queue. */
static bool
may_hold(const struct smtp_session *s)
{
	if (s->srv->hold_max_s == 0)
		return false;
	return s->srv->kind == SMTP_SERVER_SUBMISSION ||
	    (session_is_lmtp(s) && net_addr_is_loopback(conn_peer(s->conn)));
}

unsigned
session_offered(struct smtp_session *s)
{
	unsigned ext = s->srv->extensions & ~(unsigned)SMTP_EXT_AUTH;

	if (auth_is_offered(s))
		ext |= SMTP_EXT_AUTH;
	if (s->srv->tls == NULL || conn_is_tls(s->conn))
		ext &= ~(unsigned)SMTP_EXT_STARTTLS;
	/* RFC 3030 3: only together. */
	if (!(ext & SMTP_EXT_CHUNKING))
		ext &= ~(unsigned)SMTP_EXT_BINARYMIME;
	/* In LMTP every recipient has a reply anyway. */
	if (session_is_lmtp(s))
		ext &= ~(unsigned)SMTP_EXT_PRDR;
	/* RFC 4468 3.1: for submission only. */
	if (s->srv->kind != SMTP_SERVER_SUBMISSION ||
	    s->srv->handler->burl == NULL)
		ext &= ~(unsigned)SMTP_EXT_BURL;
	if (!s->may_xclient)
		ext &= ~(unsigned)SMTP_EXT_XCLIENT;
	/* Our own programs speak for others; who is listed may say for whom. */
	if (!is_our_own(s))
		ext &= ~(unsigned)(SMTP_EXT_XTRACE | SMTP_EXT_XSOURCE |
		    SMTP_EXT_XOUTSIDE);
	if (!is_our_own(s) && !s->may_xforward)
		ext &= ~(unsigned)SMTP_EXT_XFORWARD;
	/* RFC 8689 2; to our own on this machine there is no wire. */
	if (!conn_is_tls(s->conn) &&
	    !(session_is_lmtp(s) && net_addr_is_loopback(conn_peer(s->conn))))
		ext &= ~(unsigned)SMTP_EXT_REQUIRETLS;
	if (s->srv->handler->flush == NULL ||
	    (session_is_lmtp(s) && !net_addr_is_loopback(conn_peer(s->conn))))
		ext &= ~(unsigned)SMTP_EXT_ETRN;
	if (!may_hold(s))
		ext &= ~(unsigned)SMTP_EXT_FUTURERELEASE;
	return ext;
}

static void
transaction_log(struct smtp_session *s)
{
	log_info("transaction",
	    "from=<%s> nrcpt=%zu refused=%zu size=%llu code=%d priority=%d",
	    log_q(s->mail.from.text), s->n_rcpts, s->n_refused,
	    (unsigned long long)s->octets, s->final_code,
	    s->mail.wishes.priority);
}

void
session_reset(struct smtp_session *s)
{
	bool begun = s->id[0] != '\0';

	if (begun) {
		transaction_log(s);
		if (s->final_code == 0)
			session_tell_abort(s);
		if (s->asked && s->srv->handler->reset != NULL)
			s->srv->handler->reset(s);
	}
	spool_free(&s->body);
	s->id[0] = '\0';
	if (begun)
		session_name(s);
	s->asked = false;
	s->message_id = (struct slice){ NULL, 0 };
	s->body_rule = NULL;
	s->at.recipient = (struct slice){ NULL, 0 };
	s->mail = (struct smtp_mail){ 0 };
	s->rcpts = NULL;
	s->n_rcpts = s->cap_rcpts = s->n_refused = 0;
	s->n_domains = 0;
	s->octets = 0;
	s->decoder = (struct smtp_decoder){ .normalise = s->normalises };
	s->body_error = (struct smtp_reply){ 0 };
	s->final_code = 0;
	s->xforward = (struct smtp_xforward){ 0 };
	arena_reset(&s->tx);
	if (s->state &
	    (STATE_MAIL | STATE_RCPT | STATE_BDAT | STATE_BDAT_FAILED))
		session_set_state(s, STATE_READY);
}

/* --- replies --- */

/* A refusal names the id of its transaction (or connection), by which an admin
 * finds the rest (`pneu why`); one that a program behind us has named already
 * is left. */
static bool
has_reference(struct slice text)
{
	ssize_t at = slice_rfind(text, '[');
	struct slice ref;

	if (at < 0 || text.p[text.n - 1] != ']')
		return false;
	ref = slice_from(text, (size_t)at);
	if (!slice_starts(ref, "[ref "))
		return false;
	/* Of a transaction or a connection. */
	return ref.n == sizeof("[ref ]") - 1 + ID_LEN ||
	    ref.n == sizeof("[ref ]") - 1 + 8;
}

static struct slice
text_with_reference(
    struct smtp_session *s, const struct smtp_reply *r, struct buf *room)
{
	if (r->code < 400 || has_reference(r->text))
		return r->text;
	buf_put_slice(room, r->text);
	buf_printf(
	    room, " [ref %s]", s->id[0] != '\0' ? s->id : conn_id(s->conn));
	return room->failed ? r->text : buf_slice(room);
}

/*
 * RFC 6531 3.7.4: what is not ASCII goes only to who asked for SMTPUTF8, and an
 * address that would be mangled is left out. LMTP is between programs that
 * always understand it.
 */
static void
downgrade(struct smtp_session *s, struct smtp_reply *r, struct buf *room)
{
	if (session_is_lmtp(s) || s->mail.smtputf8 || ascii_is_all(r->text))
		return;
	if (r->code == 251 || r->code == 551) {
		r->code--;
		r->text = SLICE_LIT("Forwarding address is not ASCII");
		return;
	}
	buf_reset(room);
	for (size_t i = 0; i < r->text.n; i++)
		buf_put_char(room,
		    (unsigned char)r->text.p[i] < 0x80 ? r->text.p[i] : '?');
	r->text = buf_slice(room);
}

int
session_reply(struct smtp_session *s, const struct smtp_reply *r)
{
	struct buf plain = BUF_INIT_MAX(REPLY_MAX);
	struct buf text = BUF_INIT_MAX(REPLY_MAX);
	struct smtp_reply named = *r;
	int rc;

	session_tell(s, r);
	named.text = text_with_reference(s, r, &text);
	downgrade(s, &named, &plain);
	s->out.max = REPLY_MAX;
	buf_reset(&s->out);
	smtp_reply_write(&s->out, &named);
	buf_clear(&text);
	buf_clear(&plain);
	if (s->out.failed)
		return -ENOMEM;
	/* A client that sends and sends and does not read is waited for too. */
	if (s->srv->handler->quiet != NULL &&
	    conn_unsent(s->conn) + s->out.n > UNSENT_MAX)
		s->srv->handler->quiet(s);
	rc = conn_write(s->conn, buf_slice(&s->out));
	if (s->out.cap > 4096)
		buf_clear(&s->out);
	return rc;
}

static struct smtp_reply
fixed(int code, const char *enhanced, const char *text)
{
	struct smtp_reply r = { .code = code, .text = slice_str(text) };

	for (size_t i = 0; enhanced[i] != '\0' && i + 1 < sizeof(r.enhanced);
	     i++)
		r.enhanced[i] = enhanced[i];
	return r;
}

int
session_say(
    struct smtp_session *s, int code, const char *enhanced, const char *text)
{
	struct smtp_reply r = fixed(code, enhanced, text);

	return session_reply(s, &r);
}

int
session_refuse(
    struct smtp_session *s, int code, const char *enhanced, const char *text)
{
	s->n_errors++;
	return session_say(s, code, enhanced, text);
}

int
session_refuse_order(struct smtp_session *s, int code, const char *text)
{
	if (!s->mail_refused && s->n_refused == 0)
		s->n_errors++;
	return session_say(s, code, "5.5.1", text);
}

int
session_close(
    struct smtp_session *s, int code, const char *enhanced, const char *text)
{
	session_set_state(s, STATE_CLOSING);
	return session_say(s, code, enhanced, text);
}

int
session_end_bare_lf(struct smtp_session *s)
{
	log_info("bare LF in a command", "octets=%zu", conn_buffered(s->conn));
	conn_discard_input(s->conn);
	return session_close(
	    s, 500, "5.5.2", "A line ends with CR LF, not with LF alone");
}

struct smtp_reply
session_trouble(struct smtp_session *s, const char *hook, int rc)
{
	if (rc == -ECANCELED) {
		session_set_state(s, STATE_CLOSING);
		return SMTP_REPLY(421, "4.3.2", "Shutting down, try again");
	}
	log_warning(
	    "smtp hook failed", "hook=%s error=%s", hook, strerror(-rc));
	if (s->at.rule[0] == '\0')
		smtp_session_because(s, "%s: %s", hook, strerror(-rc));
	if (rc == -ENOSPC || rc == -EDQUOT)
		return SMTP_REPLY(452, "4.3.1", "Out of storage, try later");
	return SMTP_REPLY(451, "4.3.0", "Something here is down, try later");
}

/* --- paths, for MAIL and RCPT --- */

struct smtp_reply
session_path_error(int rc, const char *enhanced)
{
	if (rc == SMTP_PATH_NOMEM)
		return fixed(452, "4.3.1", "Out of memory");
	return fixed(501, enhanced,
	    rc == SMTP_PATH_TOO_LONG ? "Address too long"
				     : "Syntax error in address");
}

typedef int path_parser(
    struct arena *a, struct slice in, struct smtp_path *out, size_t *used);

/* Who sends may have a long name (VERP, SRS); and so may who gets the report
 * about that, for which guard and the queue are asked over LMTP. */
static path_parser *
parser_for(const struct smtp_session *s, const char *what)
{
	return session_is_lmtp(s) || strcmp(what, "FROM:") == 0
	    ? smtp_long_path_parse
	    : smtp_path_parse;
}

/* a@b instead of <a@b>: printers, scripts. What it is then ends at a space. */
static int
parse_bare_path(path_parser *parse, struct arena *a, struct slice in,
    struct smtp_path *path, size_t *used)
{
	struct slice rest = in, word = slice_split(&rest, ' ');
	struct buf b = BUF_INIT_MAX(COMMAND_LINE_MAX + 2);
	int rc = SMTP_PATH_NOMEM;

	if (word.n == 0 || *word.p == '"' || *word.p == '@')
		return SMTP_PATH_SYNTAX;
	buf_put_char(&b, '<');
	buf_put_slice(&b, word);
	buf_put_char(&b, '>');
	if (!b.failed)
		rc = parse(a, buf_slice(&b), path, used);
	if (rc == SMTP_PATH_OK && *used != b.n)
		rc = SMTP_PATH_SYNTAX;
	buf_clear(&b);
	*used = word.n;
	return rc;
}

int
session_path(struct smtp_session *s, struct slice args, const char *what,
    struct smtp_path *path, struct slice *params)
{
	return session_path_in(s, &s->tx, args, what, path, params);
}

int
session_path_in(struct smtp_session *s, struct arena *a, struct slice args,
    const char *what, struct smtp_path *path, struct slice *params)
{
	path_parser *parse = parser_for(s, what);
	size_t used = 0;
	int rc;

	if (!slice_starts_nocase(args, what))
		return SMTP_PATH_SYNTAX;
	args = slice_from(args, strlen(what));
	/* Not in the grammar, but common. */
	while (args.n > 0 && *args.p == ' ')
		args = slice_from(args, 1);
	/* VRFY has it so by its grammar (RFC 5321 4.1.1.6). */
	if (args.n > 0 && *args.p != '<' &&
	    (!session_is_lmtp(s) || *what == '\0'))
		rc = parse_bare_path(parse, a, args, path, &used);
	else
		rc = parse(a, args, path, &used);
	if (rc == SMTP_PATH_OK)
		*params = slice_from(args, used);
	return rc;
}

/* --- for hooks --- */

const struct smtp_server *
smtp_session_server(const struct smtp_session *s)
{
	return s->srv;
}

struct conn *
smtp_session_conn(struct smtp_session *s)
{
	return s->conn;
}

struct arena *
smtp_session_arena(struct smtp_session *s)
{
	return &s->arena;
}

struct arena *
smtp_session_command_arena(struct smtp_session *s)
{
	return &s->command;
}

struct arena *
smtp_session_tx_arena(struct smtp_session *s)
{
	return &s->tx;
}

void
smtp_session_set_data(struct smtp_session *s, void *data)
{
	s->data = data;
}

void *
smtp_session_data(const struct smtp_session *s)
{
	return s->data;
}

struct slice
smtp_session_helo(const struct smtp_session *s)
{
	return slice_str(s->helo);
}

bool
smtp_session_is_esmtp(const struct smtp_session *s)
{
	return s->is_esmtp;
}

const char *
smtp_session_with(const struct smtp_session *s)
{
	/* RFC 3848, RFC 6531 4.3; second index: 1 TLS, 2 AUTH. */
	static const char *const names[4][4] = {
		{ "ESMTP", "ESMTPS", "ESMTPA", "ESMTPSA" },
		{ "UTF8SMTP", "UTF8SMTPS", "UTF8SMTPA", "UTF8SMTPSA" },
		{ "LMTP", "LMTPS", "LMTPA", "LMTPSA" },
		{ "UTF8LMTP", "UTF8LMTPS", "UTF8LMTPA", "UTF8LMTPSA" },
	};

	if (!s->is_esmtp)
		return "SMTP";
	return names[session_is_lmtp(s) * 2 + s->mail.smtputf8]
		    [conn_is_tls(s->conn) + (s->account != NULL) * 2];
}

const struct smtp_mail *
smtp_session_mail(const struct smtp_session *s)
{
	return s->id[0] != '\0' ? &s->mail : NULL;
}

struct smtp_rcpt *const *
smtp_session_rcpts(const struct smtp_session *s, size_t *n)
{
	*n = s->n_rcpts;
	return s->rcpts;
}

const char *
smtp_session_id(const struct smtp_session *s)
{
	return s->id;
}

void
smtp_session_set_authenticated(struct smtp_session *s, const char *account)
{
	/* Once in a session (RFC 4954 4): the arena does not grow with it. */
	s->account = arena_strdup(&s->arena, slice_str(account));
}

const char *
smtp_session_authenticated(const struct smtp_session *s)
{
	return s->account;
}

const struct smtp_xforward *
smtp_session_xforward(const struct smtp_session *s)
{
	return &s->xforward;
}
