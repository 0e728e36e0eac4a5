/* SPDX-License-Identifier: ISC */
/*
 * A client connection: opened, greeted, secured and signed in. Transactions
 * are in client_mail.c, the message in client_send.c.
 */
#include "common/smtp/client.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "common/mail/charset.h"
#include "common/mail/transfer.h"
#include "common/smtp/client_impl.h"

#define CONNECTION_ARENA ((size_t)256 << 10)
#define TRANSACTION_ARENA ((size_t)32 << 20)

/* --- commands and replies --- */

int
client_put(struct smtp_client *c, const char *fmt, ...)
{
	struct buf line = BUF_INIT;
	va_list ap;
	int rc;

	va_start(ap, fmt);
	buf_vprintf(&line, fmt, ap);
	va_end(ap);
	buf_put_str(&line, "\r\n");
	rc = line.failed ? -ENOMEM : conn_write(c->conn, buf_slice(&line));
	buf_clear(&line);
	return rc;
}

int
client_read_reply(
    struct smtp_client *c, struct arena *a, struct smtp_reply *reply)
{
	struct slice line;
	int rc;

	c->reader.arena = a;
	do {
		rc = conn_read_line(c->conn, SMTP_REPLY_LINE_MAX, &line, NULL);
		if (rc == 0)
			rc = smtp_reply_read(&c->reader, line, reply);
	} while (rc == 0);
	if (rc == 1) {
		/* 421 may come to any command, and is the last. */
		if (reply->code == 421)
			c->out_of_step = true;
		return 0;
	}
	c->out_of_step = true;
	return rc == -EPIPE ? -ECONNRESET : rc == -EMSGSIZE ? -EPROTO : rc;
}

int
client_ask(
    struct smtp_client *c, struct smtp_reply *reply, const char *fmt, ...)
{
	struct buf line = BUF_INIT;
	va_list ap;
	int rc;

	va_start(ap, fmt);
	buf_vprintf(&line, fmt, ap);
	va_end(ap);
	rc = line.failed ? -ENOMEM : client_put(c, "%s", buf_str(&line));
	buf_clear(&line);
	if (rc == 0)
		rc = client_read_reply(c, &c->tx, reply);
	if (rc != 0)
		c->out_of_step = true;
	return rc;
}

/* --- EHLO --- */

static const struct {
	const char *keyword;
	unsigned ext;
} keywords[] = {
	{ "PIPELINING", SMTP_EXT_PIPELINING },
	{ "SIZE", SMTP_EXT_SIZE },
	{ "8BITMIME", SMTP_EXT_8BITMIME },
	{ "SMTPUTF8", SMTP_EXT_SMTPUTF8 },
	{ "ENHANCEDSTATUSCODES", SMTP_EXT_ENHANCED },
	{ "STARTTLS", SMTP_EXT_STARTTLS },
	{ "CHUNKING", SMTP_EXT_CHUNKING },
	{ "BINARYMIME", SMTP_EXT_BINARYMIME },
	{ "DSN", SMTP_EXT_DSN },
	{ "AUTH", SMTP_EXT_AUTH },
	{ "XFORWARD", SMTP_EXT_XFORWARD },
	{ "XTRACE", SMTP_EXT_XTRACE },
	{ "XSOURCE", SMTP_EXT_XSOURCE },
	{ "XOUTSIDE", SMTP_EXT_XOUTSIDE },
	{ "LIMITS", SMTP_EXT_LIMITS },
	{ "PRDR", SMTP_EXT_PRDR },
	{ "ETRN", SMTP_EXT_ETRN },
	{ "REQUIRETLS", SMTP_EXT_REQUIRETLS },
	{ "DELIVERBY", SMTP_EXT_DELIVERBY },
	{ "MT-PRIORITY", SMTP_EXT_MT_PRIORITY },
	{ "FUTURERELEASE", SMTP_EXT_FUTURERELEASE },
};

/* RFC 9422 4.1: what is not understood is passed over. */
static void
learn_limits(struct smtp_client *c, struct slice args)
{
	const struct {
		const char *name;
		size_t *value;
	} limits[] = {
		{ "MAILMAX", &c->mail_max },
		{ "RCPTMAX", &c->rcpt_max },
		{ "RCPTDOMAINMAX", &c->domain_max },
	};

	while (args.n > 0) {
		struct slice value = slice_split(&args, ' ');
		struct slice name = slice_split(&value, '=');
		uint64_t n;

		/* Six digits at most, and not 0. */
		if (slice_u64(value, 999999, &n) != 0 || n == 0)
			continue;
		for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++)
			if (slice_eq_str_nocase(name, limits[i].name))
				*limits[i].value = (size_t)n;
	}
}

static void
learn_extension(struct smtp_client *c, struct slice line)
{
	struct slice args = line, word = slice_split(&args, ' ');
	unsigned ext = 0;

	for (size_t i = 0; i < sizeof(keywords) / sizeof(*keywords); i++)
		if (slice_eq_str_nocase(word, keywords[i].keyword))
			ext = keywords[i].ext;
	c->ext |= ext;
	if (ext == SMTP_EXT_SIZE)
		slice_u64(slice_trim(args), UINT64_MAX, &c->max_size);
	if (ext == SMTP_EXT_DELIVERBY)
		slice_u64(slice_trim(args), 999999999, &c->by_min_s);
	if (ext == SMTP_EXT_LIMITS)
		learn_limits(c, args);
	if (ext == SMTP_EXT_AUTH)
		c->mechanisms = arena_dup(&c->arena, args);
}

static void
learn_extensions(struct smtp_client *c, struct slice text)
{
	c->ext = 0;
	c->max_size = c->by_min_s = 0;
	c->mail_max = c->rcpt_max = c->domain_max = 0;
	c->mechanisms = SLICE_EMPTY;
	slice_split(&text, '\n'); /* the name */
	while (text.n > 0)
		learn_extension(c, slice_split(&text, '\n'));
	if (!(c->ext & SMTP_EXT_CHUNKING))
		c->ext &= ~(unsigned)SMTP_EXT_BINARYMIME;
}

/* 0, or an error; -EPROTO with *reply when refused. */
static int
say_hello(struct smtp_client *c, struct smtp_reply *reply)
{
	const char *name = c->conf.hostname;
	int rc;

	c->reader.plain = true;
	rc =
	    client_ask(c, reply, "%s %s", c->conf.lmtp ? "LHLO" : "EHLO", name);
	c->reader.plain = false;
	if (rc != 0)
		return rc;
	if (reply->code == 250) {
		learn_extensions(c, reply->text);
		return 0;
	}
	if (c->conf.lmtp || reply->code < 500)
		return -EPROTO;
	/* RFC 5321 3.2: a server of the old kind. */
	learn_extensions(c, SLICE_EMPTY);
	if ((rc = client_ask(c, reply, "HELO %s", name)) != 0)
		return rc;
	return reply->code == 250 ? 0 : -EPROTO;
}

/* --- TLS --- */

static int
secure(struct smtp_client *c)
{
	int rc = c->conf.dane != NULL
	    ? conn_starttls_dane(c->conn, c->conf.tls, c->conf.dane)
	    : conn_starttls_client(c->conn, c->conf.tls, c->conf.tls_name);

	c->tls_failed = rc == -EPROTO || rc == -ECONNRESET;
	if (c->tls_failed && c->conf.tls_why != NULL)
		*c->conf.tls_why = conn_tls_failure(c->conn);
	if (rc != 0)
		c->out_of_step = true;
	return rc == -EPROTO ? -ECONNRESET : rc;
}

static int
start_tls(struct smtp_client *c, struct smtp_reply *reply)
{
	bool must = c->conf.tls_mode == SMTP_TLS_STARTTLS;
	int rc;

	if (!(c->ext & SMTP_EXT_STARTTLS)) {
		*reply = SMTP_REPLY(454, "4.7.4",
		    "TLS is required here and the server offers none");
		return must ? -EPROTO : 0;
	}
	if ((rc = client_ask(c, reply, "STARTTLS")) != 0)
		return rc;
	if (reply->code != 220)
		return must ? -EPROTO : 0;
	/* What stands behind the reply did not come from who holds the key. */
	if (conn_buffered(c->conn) > 0) {
		log_warning("starttls injection", "peer=%s", c->remote);
		c->out_of_step = true;
		return -EPROTO;
	}
	if ((rc = secure(c)) != 0)
		return rc;
	/* RFC 3207 4.2: all that was learnt in the clear is forgotten. */
	return say_hello(c, reply);
}

/* --- opening --- */

static int
greet(struct smtp_client *c, struct smtp_reply *reply)
{
	enum smtp_client_tls mode = c->conf.tls_mode;
	int rc;

	c->tls_failed = false;
	if (mode == SMTP_TLS_IMPLICIT && (rc = secure(c)) != 0)
		return rc;
	c->reader.plain = true;
	rc = client_read_reply(c, &c->tx, reply);
	c->reader.plain = false;
	if (rc != 0)
		return rc;
	if (reply->code != 220)
		return -EPROTO;
	c->banner = arena_dup(&c->arena, reply->text);
	if ((rc = say_hello(c, reply)) != 0)
		return rc;
	if ((mode == SMTP_TLS_MAY || mode == SMTP_TLS_STARTTLS) &&
	    c->conf.tls != NULL && (rc = start_tls(c, reply)) != 0)
		return rc;
	if (mode == SMTP_TLS_STARTTLS && c->conf.tls == NULL)
		return -EPROTO;
	if (c->conf.sasl_user != NULL && (rc = client_sign_in(c, reply)) != 0)
		return rc;
	return 0;
}

static void
disconnect(struct smtp_client *c)
{
	conn_free(&c->conn);
	smtp_reply_reader_clear(&c->reader);
	arena_reset(&c->arena);
	arena_reset(&c->tx);
	c->banner = c->mechanisms = SLICE_EMPTY;
	c->out_of_step = c->needs_reset = c->reused = false;
	c->n_mails = 0;
}

static int
connect_once(struct smtp_client *c, struct smtp_reply *reply)
{
	int rc;

	disconnect(c);
	rc = conn_connect(&c->conn, &c->to, NULL, c->conf.connect_timeout_ms);
	if (rc != 0)
		return rc;
	conn_set_timeout(c->conn, c->conf.timeout_ms);
	return greet(c, reply);
}

int
client_connect(struct smtp_client *c, struct smtp_reply *reply)
{
	enum smtp_client_tls mode = c->conf.tls_mode;
	int rc = connect_once(c, reply);

	/* Opportunistic: broken TLS there must not keep mail from them. */
	if (rc != 0 && mode == SMTP_TLS_MAY && c->tls_failed) {
		log_warning("tls failed", "peer=%s trying=plain", c->remote);
		c->conf.tls_mode = SMTP_TLS_NONE;
		rc = connect_once(c, reply);
		c->conf.tls_mode = mode;
	}
	return rc;
}

static int
client_new(struct smtp_client **out, const struct smtp_client_conf *conf)
{
	struct smtp_client *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return -ENOMEM;
	c->conf = *conf;
	if (c->conf.timeout_ms == 0)
		c->conf.timeout_ms = (int64_t)5 * 60 * 1000;
	if (c->conf.connect_timeout_ms == 0)
		c->conf.connect_timeout_ms = (int64_t)30 * 1000;
	c->arena.max = CONNECTION_ARENA;
	c->tx.max = TRANSACTION_ARENA;
	*out = c;
	return 0;
}

/* What was said goes to the caller; the client goes. */
static int
give_up(struct smtp_client *c, const struct smtp_client_conf *conf, int rc,
    struct smtp_reply *reply)
{
	struct slice text = { NULL, 0 };

	if (rc != -EPROTO)
		*reply = (struct smtp_reply){ 0 };
	else if (conf->reply_arena != NULL)
		text = arena_dup(conf->reply_arena, reply->text);
	reply->text = text.p != NULL ? text : SLICE_EMPTY;
	smtp_client_free(&c);
	return rc;
}

int
smtp_client_open(struct smtp_client **out, const struct net_addr *to,
    const struct smtp_client_conf *conf, struct smtp_reply *reply)
{
	struct smtp_client *c;
	int rc;

	*out = NULL;
	*reply = (struct smtp_reply){ 0 };
	if ((rc = client_new(&c, conf)) != 0)
		return rc;
	c->to = *to;
	net_addr_text(to, c->remote);
	if ((rc = client_connect(c, reply)) != 0)
		return give_up(c, conf, rc, reply);
	*out = c;
	return 0;
}

int
smtp_client_open_conn(struct smtp_client **out, struct conn *conn,
    const struct smtp_client_conf *conf, struct smtp_reply *reply)
{
	struct smtp_client *c;
	int rc;

	*out = NULL;
	*reply = (struct smtp_reply){ 0 };
	if ((rc = client_new(&c, conf)) != 0) {
		conn_free(&conn);
		return rc;
	}
	c->conn = conn;
	net_addr_text(conn_peer(conn), c->remote);
	conn_set_timeout(conn, c->conf.timeout_ms);
	if ((rc = greet(c, reply)) != 0)
		return give_up(c, conf, rc, reply);
	*out = c;
	return 0;
}

void
smtp_client_free(struct smtp_client **client)
{
	struct smtp_client *c = *client;

	if (c == NULL)
		return;
	*client = NULL;
	if (c->conn != NULL && !c->out_of_step)
		conn_puts(c->conn, "QUIT\r\n");
	disconnect(c);
	free(c);
}

/* --- between transactions --- */

int
smtp_client_reset(struct smtp_client *c)
{
	struct smtp_reply reply;
	int rc;

	if (c->out_of_step)
		return -ECONNRESET;
	arena_reset(&c->tx);
	if ((rc = client_ask(c, &reply, "RSET")) != 0)
		return rc;
	c->needs_reset = false;
	return reply.code == 250 ? 0 : -EPROTO;
}

int
smtp_client_noop(struct smtp_client *c)
{
	struct smtp_reply reply;
	int rc;

	if (c->out_of_step)
		return -ECONNRESET;
	arena_reset(&c->tx);
	rc = client_ask(c, &reply, "NOOP");
	return rc != 0 ? rc : reply.code == 250 ? 0 : -EPROTO;
}

static bool
has_control(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
			return true;
	return false;
}

int
smtp_client_flush(struct smtp_client *c, struct slice node, bool subdomains,
    struct smtp_reply *reply)
{
	if (c->out_of_step)
		return -ECONNRESET;
	if (has_control(node))
		return -EINVAL;
	if (!(c->ext & SMTP_EXT_ETRN)) {
		*reply = SMTP_REPLY(502, "5.5.1", "No ETRN there");
		return 0;
	}
	return client_ask(c, reply, "ETRN %s%.*s", subdomains ? "@" : "",
	    (int)node.n, node.p);
}

int
smtp_client_verify(
    struct smtp_client *c, struct slice address, struct smtp_reply *reply)
{
	bool utf8 = !ascii_is_all(address);

	if (c->out_of_step)
		return -ECONNRESET;
	if (has_control(address))
		return -EINVAL;
	return client_ask(c, reply, "VRFY <%.*s>%s", (int)address.n, address.p,
	    utf8 ? " SMTPUTF8" : "");
}

/* May it stand in brackets in a line? */
static bool
is_word(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] <= ' ' || s.p[i] == 0x7f)
			return false;
	return s.n < 256;
}

int
smtp_client_who(struct smtp_client *c, struct slice account,
    struct slice message_id, struct smtp_reply *reply)
{
	struct buf id = BUF_INIT_MAX(1800); /* a line's length */
	int rc = -EINVAL;

	if (c->out_of_step)
		return -ECONNRESET;
	if (is_word(account) && smtp_xtext_encode(message_id, &id))
		rc = client_ask(c, reply, "XWHO <%.*s> %s", (int)account.n,
		    account.p, buf_str(&id));
	buf_clear(&id);
	return rc;
}

int
smtp_client_own(struct smtp_client *c, struct slice line,
    struct smtp_reply *reply, struct buf *joined)
{
	struct slice rest;
	int rc;

	if (c->out_of_step)
		return -ECONNRESET;
	for (size_t i = 0; i < line.n; i++)
		if ((unsigned char)line.p[i] < ' ')
			return -EINVAL;
	arena_reset(&c->tx);
	rc = client_ask(c, reply, "%.*s", (int)line.n, line.p);
	rest = rc == 0 ? reply->text : SLICE_EMPTY;
	while (rest.n > 0 && rc == 0)
		if (!buf_put_slice(joined, slice_split(&rest, '\n')))
			rc = -ENOMEM;
	return rc;
}

/* What is idle has nothing to say but that it ends. */
bool
smtp_client_is_alive(struct smtp_client *c)
{
	return !c->out_of_step &&
	    (c->mail_max == 0 || c->n_mails < c->mail_max) &&
	    conn_wait_input(c->conn, NULL, 0) == -ETIMEDOUT;
}

static struct slice
domain_of(struct slice address)
{
	ssize_t at = slice_rfind(address, '@');

	return at < 0 ? SLICE_EMPTY : slice_from(address, (size_t)at + 1);
}

static bool
is_new_domain(const struct smtp_client_rcpt *rcpts, size_t i)
{
	struct slice domain = domain_of(rcpts[i].address);

	for (size_t j = 0; j < i; j++)
		if (slice_eq_nocase(domain_of(rcpts[j].address), domain))
			return false;
	return true;
}

size_t
smtp_client_fit(
    const struct smtp_client *c, const struct smtp_client_rcpt *rcpts, size_t n)
{
	size_t domains = 0;

	if (c->rcpt_max > 0 && n > c->rcpt_max)
		n = c->rcpt_max;
	for (size_t i = 0; i < n && c->domain_max > 0; i++)
		if (is_new_domain(rcpts, i) && ++domains > c->domain_max)
			return i;
	return n;
}

unsigned
smtp_client_extensions(const struct smtp_client *c)
{
	return c->ext;
}

uint64_t
smtp_client_max_size(const struct smtp_client *c)
{
	return c->max_size;
}

struct slice
smtp_client_banner(const struct smtp_client *c)
{
	return c->banner;
}

bool
smtp_client_is_tls(const struct smtp_client *c)
{
	return conn_is_tls(c->conn);
}

const char *
smtp_client_tls_version(const struct smtp_client *c)
{
	return conn_tls_version(c->conn);
}

const char *
smtp_client_remote(const struct smtp_client *c)
{
	return c->remote;
}
