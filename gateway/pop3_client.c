/* SPDX-License-Identifier: ISC */
#include "gateway/pop3_client.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "common/auth/sasl.h"
#include "common/base/log.h"
#include "common/mail/transfer.h"
#include "gateway/pop3_parse.h"

#define LINE_MAX_OCTETS ((size_t)12288) /* of a challenge; else 512 */
#define COMMAND_MAX 255                 /* RFC 2449 4, with CRLF */
#define CONNECT_MS (30 * 1000)
#define WAIT_MS (300 * 1000)
#define CAPABILITIES_MAX 200 /* lines */
#define MESSAGES_MAX 2000000

struct pop3_client {
	struct pop3_client_conf conf;
	struct conn *conn;
	struct buf said, timestamp, mechanisms;
	bool has_stls, broken;
};

/* --- lines --- */

static int
end_of(struct pop3_client *c, int rc)
{
	c->broken = true;
	return rc == -EPIPE ? -ECONNRESET : rc == -EMSGSIZE ? -EPROTO : rc;
}

static void
say(struct pop3_client *c, const char *text)
{
	buf_reset(&c->said);
	buf_put_str(&c->said, text);
}

/* The first line of a response. 0, POP3_REFUSED, or an error; *text is valid
 * until the next read. POP3_CHALLENGE only where one is asked for. */
#define POP3_CHALLENGE 2
static int
read_status(struct pop3_client *c, struct slice *text)
{
	struct slice line;
	int rc = conn_read_line(c->conn, LINE_MAX_OCTETS, &line, NULL);

	if (rc != 0)
		return end_of(c, rc);
	switch (pop3_status_parse(line, text)) {
	case POP3_OK:
		say(c, log_q(*text));
		return 0;
	case POP3_ERR:
		say(c, log_q(*text));
		return POP3_REFUSED;
	case POP3_MORE:
		return POP3_CHALLENGE;
	default:
		say(c, log_q(slice_head(line, 80)));
		return end_of(c, -EPROTO);
	}
}

static int
command(struct pop3_client *c, const char *fmt, ...)
{
	struct buf line = BUF_INIT;
	struct slice text;
	va_list ap;
	int rc;

	if (c->broken)
		return -ECONNRESET;
	va_start(ap, fmt);
	buf_vprintf(&line, fmt, ap);
	va_end(ap);
	buf_put_str(&line, "\r\n");
	rc = line.failed ? -ENOMEM : conn_write(c->conn, buf_slice(&line));
	buf_wipe(&line);
	if (rc != 0)
		return end_of(c, rc);
	rc = read_status(c, &text);
	return rc == POP3_CHALLENGE ? end_of(c, -EPROTO) : rc;
}

/* The rest of a multi-line response. */
static int
read_lines(struct pop3_client *c, size_t max,
    int (*each)(void *arg, struct slice line), void *arg)
{
	struct slice line;
	int rc = 0;

	for (size_t i = 0; i < max && rc == 0; i++) {
		rc = conn_read_line(c->conn, LINE_MAX_OCTETS, &line, NULL);
		if (rc != 0)
			return end_of(c, rc);
		if (pop3_line_is_last(&line))
			return 0;
		rc = each(arg, line);
	}
	return end_of(c, rc != 0 ? rc : -EPROTO);
}

const char *
pop3_client_said(const struct pop3_client *c)
{
	return buf_str(&c->said);
}

/* --- opening --- */

static int
learn(void *arg, struct slice line)
{
	struct pop3_client *c = arg;
	struct slice word = slice_split(&line, ' ');

	if (slice_eq_str_nocase(word, "STLS"))
		c->has_stls = true;
	if (slice_eq_str_nocase(word, "SASL")) {
		buf_reset(&c->mechanisms);
		buf_put_slice(&c->mechanisms, line);
	}
	return 0;
}

/* Servers from before RFC 2449 refuse it, and then there is nothing. */
static int
capabilities(struct pop3_client *c)
{
	int rc = command(c, "CAPA");

	c->has_stls = false;
	buf_reset(&c->mechanisms);
	if (rc != 0)
		return rc == POP3_REFUSED ? 0 : rc;
	return read_lines(c, CAPABILITIES_MAX, learn, c);
}

static int
secure(struct pop3_client *c)
{
	int rc = conn_secure(c->conn, c->conf.tls, c->conf.host, &c->said);

	return rc == 0 ? 0 : end_of(c, rc);
}

static int
start_tls(struct pop3_client *c)
{
	int rc = capabilities(c);

	if (rc != 0)
		return rc;
	if (!c->has_stls) {
		say(c, "the server has no STLS");
		return end_of(c, -EPROTO);
	}
	if ((rc = command(c, "STLS")) != 0)
		return rc == POP3_REFUSED ? end_of(c, -EPROTO) : rc;
	/* What stands behind the reply did not come from who holds the key. */
	if (conn_buffered(c->conn) > 0) {
		say(c, "octets in plain text behind the reply to STLS");
		return end_of(c, -EPROTO);
	}
	return secure(c);
}

/* --- signing in --- */

/* In the code's words, or of what the server said. */
static int
refusal(const struct pop3_client *c)
{
	struct slice code = pop3_code(slice_str(buf_str(&c->said)));

	if (slice_eq_str_nocase(code, "IN-USE") ||
	    slice_eq_str_nocase(code, "LOGIN-DELAY") ||
	    slice_starts_nocase(code, "SYS"))
		return -EBUSY;
	return -EACCES;
}

static int
send_base64(struct pop3_client *c, const struct buf *octets)
{
	struct buf line = BUF_INIT;
	int rc;

	base64_encode(&line, buf_slice(octets));
	buf_put_str(&line, "\r\n");
	rc = line.failed ? -ENOMEM : conn_write(c->conn, buf_slice(&line));
	buf_wipe(&line);
	return rc == 0 ? 0 : end_of(c, rc);
}

/* AUTH, with the first message where it fits in the line (RFC 5034 4). */
static int
auth_begin(struct pop3_client *c, const char *mechanism,
    const struct buf *first, bool *sent)
{
	struct buf line = BUF_INIT;
	int rc;

	buf_printf(&line, "AUTH %s", mechanism);
	*sent = first->n > 0 && line.n + first->n * 4 / 3 + 8 <= COMMAND_MAX;
	if (*sent) {
		buf_put_char(&line, ' ');
		base64_encode(&line, buf_slice(first));
	}
	buf_put_str(&line, "\r\n");
	rc = line.failed ? -ENOMEM : conn_write(c->conn, buf_slice(&line));
	buf_wipe(&line);
	return rc == 0 ? 0 : end_of(c, rc);
}

/* One challenge, and its answer; *trouble is why we give up. */
static int
auth_answer(struct pop3_client *c, struct sasl_client *s, struct slice text,
    bool first, struct buf *out, int *trouble)
{
	struct buf in = BUF_INIT;
	int rc = 0;

	if (!first) {
		buf_wipe(out);
		rc = base64_decode(&in, text) != 0
		    ? -EBADMSG
		    : sasl_client_step(s, buf_slice(&in), out);
	}
	buf_wipe(&in);
	if (rc < 0)
		*trouble = rc;
	if (*trouble == 0)
		return send_base64(c, out);
	rc = conn_puts(c->conn, "*\r\n");
	return rc == 0 ? 0 : end_of(c, rc);
}

static int
auth(struct pop3_client *c, struct sasl_client *s)
{
	struct buf out = BUF_INIT;
	int rc = sasl_client_step(s, slice(NULL, 0), &out), trouble = 0;
	bool sent = false, first;
	struct slice text;

	if (rc >= 0)
		rc = auth_begin(c, sasl_client_mechanism(s), &out, &sent);
	first = !sent && out.n > 0;
	while (rc == 0 && (rc = read_status(c, &text)) == POP3_CHALLENGE) {
		rc = auth_answer(c, s, text, first, &out, &trouble);
		first = false; /* what did not fit in the command has gone */
	}
	buf_wipe(&out);
	/* "+OK" alone may come from anybody. */
	if (rc == 0 && (trouble != 0 || !sasl_client_is_done(s)))
		rc = -EPROTO;
	if (rc == -EPROTO || trouble == -EACCES)
		say(c, "the server did not prove that it knows the password");
	return rc == POP3_REFUSED ? refusal(c) : rc;
}

/* RFC 1939 7 */
static int
apop(struct pop3_client *c)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char md[EVP_MAX_MD_SIZE];
	struct buf in = BUF_INIT;
	char hex[33];
	int rc = -ENOMEM;

	buf_put_slice(&in, buf_slice(&c->timestamp));
	buf_put_str(&in, c->conf.password);
	if (!in.failed &&
	    EVP_Digest(in.p, in.n, md, NULL, EVP_md5(), NULL) == 1) {
		for (size_t i = 0; i < 16; i++) {
			hex[2 * i] = digits[md[i] >> 4];
			hex[2 * i + 1] = digits[md[i] & 15];
		}
		hex[32] = '\0';
		rc = command(c, "APOP %s %s", c->conf.user, hex);
	}
	buf_wipe(&in);
	return rc == POP3_REFUSED ? refusal(c) : rc;
}

static bool
is_one_line(const char *text)
{
	return strpbrk(text, "\r\n") == NULL;
}

static int
user_pass(struct pop3_client *c)
{
	bool open = conn_is_tls(c->conn) || c->conf.tls_mode == POP3_TLS_NONE;
	int rc;

	if (!is_one_line(c->conf.user) || !is_one_line(c->conf.password))
		return -EINVAL;
	/* Only where the password would be seen by others, which was asked
	 * for, is the digest better than the password. */
	if (!conn_is_tls(c->conn) && c->timestamp.n > 0)
		return apop(c);
	if (!open)
		return -ENOTSUP;
	if ((rc = command(c, "USER %s", c->conf.user)) == 0)
		rc = command(c, "PASS %s", c->conf.password);
	return rc == POP3_REFUSED ? refusal(c) : rc;
}

static int
sign_in(struct pop3_client *c)
{
	const struct pop3_client_conf *conf = &c->conf;
	bool plain_ok = conf->tls_mode == POP3_TLS_NONE;
	struct sasl_client *s = NULL;
	int rc = capabilities(c);

	if (rc != 0)
		return rc;
	rc = conf->token != NULL
	    ? sasl_client_new_token(&s, buf_slice(&c->mechanisms), c->conn,
		  conf->user, conf->token, conf->host, plain_ok)
	    : sasl_client_new(&s, buf_slice(&c->mechanisms), c->conn,
		  conf->user, conf->password, "pop", conf->host, plain_ok);
	if (rc == 0)
		rc = auth(c, s);
	else if (rc == -ENOTSUP && conf->token == NULL)
		rc = user_pass(c);
	sasl_client_free(&s);
	return rc;
}

static int
greet(struct pop3_client *c)
{
	struct slice text;
	int rc = 0;

	if (c->conf.tls_mode == POP3_TLS_IMPLICIT)
		rc = secure(c);
	if (rc != 0 || (rc = read_status(c, &text)) != 0)
		return rc == POP3_REFUSED  ? -EBUSY
		    : rc == POP3_CHALLENGE ? -EPROTO
					   : rc;
	buf_put_slice(&c->timestamp, pop3_timestamp(text));
	if (c->conf.tls_mode == POP3_TLS_STLS && (rc = start_tls(c)) != 0)
		return rc;
	return sign_in(c);
}

int
pop3_client_open_conn(struct pop3_client **out, struct conn *conn,
    const struct pop3_client_conf *conf, struct buf *why)
{
	struct pop3_client *c = calloc(1, sizeof(*c));
	int rc;

	*out = c;
	if (c == NULL) {
		conn_free(&conn);
		return -ENOMEM;
	}
	c->conf = *conf;
	c->conn = conn;
	conn_set_timeout(
	    conn, conf->timeout_ms > 0 ? conf->timeout_ms : WAIT_MS);
	if ((rc = greet(c)) == 0)
		return 0;
	buf_put_str(why, pop3_client_said(c));
	pop3_client_free(out);
	return rc;
}

int
pop3_client_open(struct pop3_client **out, const struct net_addr *to,
    const struct pop3_client_conf *conf, struct buf *why)
{
	struct conn *conn;
	int rc = conn_connect(&conn, to, NULL,
	    conf->connect_timeout_ms > 0 ? conf->connect_timeout_ms
					 : CONNECT_MS);

	*out = NULL;
	return rc != 0 ? rc : pop3_client_open_conn(out, conn, conf, why);
}

void
pop3_client_free(struct pop3_client **out)
{
	struct pop3_client *c = *out;

	*out = NULL;
	if (c == NULL)
		return;
	conn_free(&c->conn);
	buf_clear(&c->said);
	buf_clear(&c->timestamp);
	buf_clear(&c->mechanisms);
	free(c);
}

/* --- messages --- */

struct uidl {
	int (*each)(void *arg, uint32_t number, struct slice uid);
	void *arg;
};

static int
uidl_line(void *arg, struct slice line)
{
	const struct uidl *u = arg;
	uint32_t number;
	struct slice uid;

	/* One that makes no sense costs that message. */
	if (pop3_uidl_parse(line, &number, &uid) != 0)
		return 0;
	return u->each(u->arg, number, uid);
}

int
pop3_client_uidl(struct pop3_client *c,
    int (*each)(void *arg, uint32_t number, struct slice uid), void *arg)
{
	struct uidl u = { each, arg };
	int rc = command(c, "UIDL");

	return rc != 0 ? rc : read_lines(c, MESSAGES_MAX, uidl_line, &u);
}

int
pop3_client_retr(struct pop3_client *c, uint32_t number,
    int (*octets)(void *arg, struct slice octets), void *arg)
{
	struct pop3_body body = { 0 };
	struct slice in;
	size_t used;
	int rc = command(c, "RETR %u", number);

	if (rc != 0)
		return rc;
	while (!body.ended) {
		if ((rc = conn_peek(c->conn, &in)) != 0 ||
		    (rc = pop3_body_feed(&body, in, octets, arg, &used)) != 0)
			return end_of(c, rc);
		conn_consume(c->conn, used);
	}
	return 0;
}

int
pop3_client_dele(struct pop3_client *c, uint32_t number)
{
	return command(c, "DELE %u", number);
}

int
pop3_client_quit(struct pop3_client *c)
{
	int rc = command(c, "QUIT");

	c->broken = true;
	return rc;
}
