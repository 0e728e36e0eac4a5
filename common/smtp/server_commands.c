/* SPDX-License-Identifier: ISC */
/*
 * The table of commands, which says where each is allowed, and those that
 * need no file of their own.
 */
#include <errno.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/mail/date.h"
#include "common/smtp/session.h"

static int cmd_ehlo(struct smtp_session *s, struct slice args);
static int cmd_helo(struct smtp_session *s, struct slice args);
static int cmd_rset(struct smtp_session *s, struct slice args);
static int cmd_noop(struct smtp_session *s, struct slice args);
static int cmd_expn(struct smtp_session *s, struct slice args);
static int cmd_help(struct smtp_session *s, struct slice args);
static int cmd_quit(struct smtp_session *s, struct slice args);
static int cmd_not_mail(struct smtp_session *s, struct slice args);

#define GREETED (STATE_ANY & ~STATE_START)
#define HELLO (CMD_SYNC | CMD_OPEN | CMD_JUNK)

/* RFC 5321 4.1.4 for the order. BDAT is let in everywhere, because its octets
 * must be read in any case; it looks at the state itself. */
static const struct session_command commands[] = {
	/* verb      allowed in   flags                  handler  brought by */
	{ "MAIL", STATE_READY, 0, cmd_mail, 0 },
	{ "RCPT", STATE_MAIL | STATE_RCPT, 0, cmd_rcpt, 0 },
	{ "DATA", GREETED, CMD_SYNC | CMD_NO_ARGS, cmd_data, 0 },
	{ "BDAT", STATE_ANY, CMD_OPEN, cmd_bdat, SMTP_EXT_CHUNKING },
	{ "BURL", STATE_ANY, 0, cmd_burl, SMTP_EXT_BURL },
	{ "RSET", STATE_ANY, CMD_OPEN | CMD_NO_ARGS | CMD_JUNK, cmd_rset, 0 },
	{ "QUIT", STATE_ANY, CMD_OPEN | CMD_NO_ARGS, cmd_quit, 0 },
	{ "EHLO", STATE_ANY, HELLO | CMD_ESMTP, cmd_ehlo, 0 },
	{ "HELO", STATE_ANY, HELLO | CMD_ESMTP, cmd_helo, 0 },
	{ "LHLO", STATE_ANY, HELLO | CMD_LMTP, cmd_ehlo, 0 },
	{ "NOOP", STATE_ANY, CMD_OPEN | CMD_JUNK, cmd_noop, 0 },
	{ "STARTTLS", STATE_START | STATE_READY,
	    CMD_SYNC | CMD_OPEN | CMD_NO_ARGS, cmd_starttls,
	    SMTP_EXT_STARTTLS },
	{ "AUTH", STATE_READY, CMD_SYNC | CMD_OPEN, cmd_auth, SMTP_EXT_AUTH },
	{ "ETRN", STATE_READY, CMD_JUNK, cmd_etrn, SMTP_EXT_ETRN },
	{ "XFORWARD", STATE_READY, CMD_OPEN, cmd_xforward,
	    SMTP_EXT_XFORWARD },
	{ "XCLIENT", STATE_START | STATE_READY, CMD_SYNC | CMD_OPEN,
	    cmd_xclient, SMTP_EXT_XCLIENT },
	{ "VRFY", STATE_ANY, CMD_JUNK, cmd_vrfy, 0 },
	{ "EXPN", STATE_ANY, CMD_JUNK, cmd_expn, 0 },
	{ "HELP", STATE_ANY, CMD_OPEN | CMD_JUNK, cmd_help, 0 },
	/* Browsers that were sent here: each line of theirs is an attempt. */
	{ "GET", STATE_ANY, CMD_OPEN, cmd_not_mail, 0 },
	{ "POST", STATE_ANY, CMD_OPEN, cmd_not_mail, 0 },
	{ "PUT", STATE_ANY, CMD_OPEN, cmd_not_mail, 0 },
	{ "CONNECT", STATE_ANY, CMD_OPEN, cmd_not_mail, 0 },
	{ "OPTIONS", STATE_ANY, CMD_OPEN, cmd_not_mail, 0 },
};

const struct session_command *
session_command_find(struct slice verb)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (slice_eq_str_nocase(verb, commands[i].verb))
			return &commands[i];
	return NULL;
}

/* --- EHLO, HELO, LHLO --- */

static const struct {
	unsigned ext;
	const char *line;
} ehlo_lines[] = {
	{ SMTP_EXT_PIPELINING, "PIPELINING" },
	{ SMTP_EXT_8BITMIME, "8BITMIME" },
	{ SMTP_EXT_SMTPUTF8, "SMTPUTF8" },
	{ SMTP_EXT_ENHANCED, "ENHANCEDSTATUSCODES" },
	{ SMTP_EXT_STARTTLS, "STARTTLS" },
	{ SMTP_EXT_CHUNKING, "CHUNKING" },
	{ SMTP_EXT_BINARYMIME, "BINARYMIME" },
	{ SMTP_EXT_DSN, "DSN" },
	{ SMTP_EXT_PRDR, "PRDR" },
	/* The default policy, by name: its levels are among our 19. */
	{ SMTP_EXT_MT_PRIORITY, "MT-PRIORITY MIXER" },
	{ SMTP_EXT_REQUIRETLS, "REQUIRETLS" },
	{ SMTP_EXT_ETRN, "ETRN" },
	{ SMTP_EXT_XFORWARD,
	    "XFORWARD NAME ADDR PORT PROTO HELO SOURCE IDENT" },
	{ SMTP_EXT_XTRACE, "XTRACE" },
	{ SMTP_EXT_XSOURCE, "XSOURCE" },
	{ SMTP_EXT_XOUTSIDE, "XOUTSIDE" },
	{ SMTP_EXT_XCLIENT, "XCLIENT NAME ADDR PORT PROTO HELO LOGIN" },
};

/* RFC 9422 4 */
static void
put_limits(const struct smtp_server *srv, struct buf *b)
{
	buf_put_str(b, "\nLIMITS");
	if (srv->max_mails > 0 && srv->max_mails < 1000000)
		buf_printf(b, " MAILMAX=%u", srv->max_mails);
	/* At most six digits. */
	if (srv->max_recipients < 1000000)
		buf_printf(b, " RCPTMAX=%zu", srv->max_recipients);
	if (srv->max_domains > 0 && srv->max_domains < 1000000)
		buf_printf(b, " RCPTDOMAINMAX=%u", srv->max_domains);
}

/* RFC 4865 3 */
static void
put_future_release(const struct smtp_server *srv, struct buf *b)
{
	buf_printf(b, "\nFUTURERELEASE %lld ", (long long)srv->hold_max_s);
	date_put_iso(b, clock_wall_s() + srv->hold_max_s);
}

/* RFC 2852 2 */
static void
put_deliver_by(const struct smtp_server *srv, struct buf *b)
{
	buf_put_str(b, "\nDELIVERBY");
	if (srv->by_min_s > 0)
		buf_printf(b, " %lld", (long long)srv->by_min_s);
}

static void
put_ehlo_lines(struct smtp_session *s, struct buf *b)
{
	unsigned ext = session_offered(s);
	const char *const *extra = s->srv->extra_ehlo;

	if (ext & SMTP_EXT_SIZE)
		buf_printf(
		    b, "\nSIZE %llu", (unsigned long long)s->srv->max_size);
	for (size_t i = 0; i < sizeof(ehlo_lines) / sizeof(*ehlo_lines); i++)
		if (ext & ehlo_lines[i].ext)
			buf_printf(b, "\n%s", ehlo_lines[i].line);
	if (ext & SMTP_EXT_LIMITS)
		put_limits(s->srv, b);
	if (ext & SMTP_EXT_DELIVERBY)
		put_deliver_by(s->srv, b);
	if (ext & SMTP_EXT_FUTURERELEASE)
		put_future_release(s->srv, b);
	/* RFC 4468 3.1: without "imap" one has to sign in first. */
	if (ext & SMTP_EXT_BURL)
		buf_printf(b, "\nBURL%s", s->account != NULL ? " imap" : "");
	if (ext & SMTP_EXT_AUTH)
		buf_printf(b, "\nAUTH %s", s->srv->handler->auth_mechanisms(s));
	for (; extra != NULL && *extra != NULL; extra++)
		buf_printf(b, "\n%s", *extra);
	buf_put_str(b, "\nVRFY\nHELP");
}

/* A domain or an address literal, it should be (RFC 5321 4.1.1.1). Wrong names
 * are too common to insist; what is not safe in a header field becomes "?".
 * What follows a space is dropped (RFC 5321 4.1.1.1 last paragraph). */
bool
session_take_name(struct slice args, char out[static 256])
{
	struct slice name = slice_split(&args, ' ');

	if (name.n == 0 || name.n > SMTP_DOMAIN_MAX)
		return false;
	for (size_t i = 0; i < name.n; i++)
		out[i] = (unsigned char)name.p[i] <= ' ' ||
			(unsigned char)name.p[i] >= 0x7f ||
			strchr("()<>\"\\;,@", name.p[i]) != NULL
		    ? '?'
		    : name.p[i];
	out[name.n] = '\0';
	return true;
}

static int
hello(struct smtp_session *s, struct slice args, bool esmtp)
{
	struct smtp_reply reply = { .code = 250 };
	char name[256];
	struct buf text = BUF_INIT;
	int rc = 0;

	if (!session_take_name(args, name))
		return session_refuse(s, 501, "5.5.4", "Your name, please");
	/* RFC 5321 4.1.4: as RSET. */
	session_reset(s);
	s->mail_refused = false;
	memcpy(s->helo, s->xclient_helo[0] != '\0' ? s->xclient_helo : name,
	    sizeof(name));
	s->is_esmtp = esmtp;
	if (s->srv->handler->helo != NULL)
		rc = s->srv->handler->helo(s, &reply);
	if (rc != 0)
		reply = session_trouble(s, "helo", rc);
	if (reply.code >= 400)
		return session_reply(s, &reply);
	session_set_state(s, STATE_READY);
	buf_put_str(&text, s->srv->hostname);
	if (esmtp)
		put_ehlo_lines(s, &text);
	rc = session_say(s, 250, "", buf_str(&text));
	buf_clear(&text);
	return rc;
}

static int
cmd_ehlo(struct smtp_session *s, struct slice args)
{
	return hello(s, args, true);
}

static int
cmd_helo(struct smtp_session *s, struct slice args)
{
	return hello(s, args, false);
}

/* --- the small ones --- */

static int
cmd_rset(struct smtp_session *s, struct slice args)
{
	(void)args;
	session_reset(s);
	s->mail_refused = false;
	return session_say(s, 250, "2.0.0", "Forgotten");
}

static int
cmd_noop(struct smtp_session *s, struct slice args)
{
	(void)args;
	return session_say(s, 250, "2.0.0", "OK");
}

static int
cmd_expn(struct smtp_session *s, struct slice args)
{
	(void)args;
	return session_refuse(s, 502, "5.5.1", "Lists are not expanded");
}

/* Is it of use in this session? Browsers' verbs are not to be advertised. */
static bool
is_helpful(struct smtp_session *s, const struct session_command *c)
{
	unsigned ext = session_offered(s);

	if (c->flags & (session_is_lmtp(s) ? CMD_ESMTP : CMD_LMTP))
		return false;
	if (c->run == cmd_not_mail || c->run == cmd_expn)
		return false;
	return c->ext == 0 || (c->ext & ext);
}

static int
cmd_help(struct smtp_session *s, struct slice args)
{
	struct buf text = BUF_INIT;
	int rc;

	(void)args;
	buf_put_str(&text, session_is_lmtp(s) ? "RFC 2033:" : "RFC 5321:");
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (is_helpful(s, &commands[i]))
			buf_printf(&text, " %s", commands[i].verb);
	rc = session_say(s, 214, "2.0.0", buf_str(&text));
	buf_clear(&text);
	return rc;
}

static int
cmd_quit(struct smtp_session *s, struct slice args)
{
	(void)args;
	return session_close(s, 221, "2.0.0", "Goodbye");
}

static int
cmd_not_mail(struct smtp_session *s, struct slice args)
{
	(void)args;
	log_info("not a mail client", "octets=%zu", conn_buffered(s->conn));
	conn_discard_input(s->conn);
	return session_close(s, 554, "5.5.1", "This is a mail server");
}
