/* SPDX-License-Identifier: ISC */
#include "common/imap/client.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/imap/client_impl.h"

#define CAPABILITIES_MAX ((size_t)8192)
#define CODE_MAX ((size_t)1000)
#define CONNECT_MS (30 * 1000)
#define WAIT_MS (300 * 1000)

/* --- reading --- */

static int
end_of(struct imap_client *c, int rc)
{
	c->broken = true;
	return rc == -EPIPE ? -ECONNRESET : rc;
}

static void
learn(struct imap_client *c, struct slice words)
{
	buf_reset(&c->capabilities);
	buf_put_slice(&c->capabilities, words);
}

/* It is not our fault, and may work later: RFC 5530 3. */
static bool
is_not_now(struct slice code)
{
	static const char *const codes[] = { "UNAVAILABLE", "INUSE", "LIMIT",
		"SERVERBUG", "OVERQUOTA" };

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (slice_eq_str_nocase(code, codes[i]))
			return true;
	return false;
}

/* What is to be remembered of any response. */
static void
note(struct imap_client *c, const struct imap_response *r)
{
	struct slice code = r->code;

	if (r->kind == IMAP_CAPABILITY)
		learn(c, r->text);
	else if (slice_eq_str_nocase(slice_split(&code, ' '), "CAPABILITY"))
		learn(c, code);
	c->bye |= r->kind == IMAP_BYE;
	if (r->kind == IMAP_BYE || r->tag.n > 0) {
		buf_reset(&c->said);
		buf_put_str(&c->said, log_q(r->text));
		buf_reset(&c->code);
		buf_put_slice(&c->code, slice_head(r->code, CODE_MAX));
		c->not_now = is_not_now(r->code);
	}
}

int
client_read(struct imap_client *c, const struct imap_sink *sink,
    struct imap_response *r)
{
	struct slice in;
	size_t used;
	int rc;

	imap_assembler_reset(&c->in);
	arena_reset(&c->a);
	do {
		if ((rc = conn_peek(c->conn, &in)) != 0)
			return end_of(c, rc);
		if ((rc = imap_assembler_feed(&c->in, in, sink, &used)) < 0)
			return end_of(c, rc);
		conn_consume(c->conn, used);
	} while (rc == 0);
	rc = imap_response_parse(&c->a, buf_slice(&c->in.text), r);
	if (rc == 0)
		note(c, r);
	return rc == 0 ? 0 : end_of(c, rc);
}

/* --- commands --- */

int
client_send(struct imap_client *c, struct slice command)
{
	int rc = conn_printf(c->conn, "A%u ", ++c->commands);

	if (rc == 0)
		rc = conn_write(c->conn, command);
	if (rc == 0)
		rc = conn_puts(c->conn, "\r\n");
	return rc == 0 ? 0 : end_of(c, rc);
}

static bool
is_reply(const struct imap_client *c, const struct imap_response *r)
{
	uint64_t n;

	return r->tag.n > 1 && r->tag.p[0] == 'A' &&
	    slice_u64(slice_from(r->tag, 1), UINT32_MAX, &n) == 0 &&
	    n == c->commands;
}

static bool
is_untagged(const struct imap_response *r)
{
	return r->tag.n == 0 && r->kind != IMAP_CONTINUE &&
	    r->kind != IMAP_OTHER;
}

int
client_wait(struct imap_client *c, const struct imap_handler *h, bool more,
    struct imap_response *r)
{
	const struct imap_sink *sink =
	    h != NULL && h->sink.begin != NULL ? &h->sink : NULL;
	int rc;

	for (;;) {
		if ((rc = client_read(c, sink, r)) != 0)
			return rc;
		if (is_reply(c, r) && r->kind != IMAP_OTHER)
			return r->kind == IMAP_OK ? 0 : IMAP_REFUSED;
		if (more && r->kind == IMAP_CONTINUE)
			return IMAP_MORE;
		if (h != NULL && h->untagged != NULL && is_untagged(r) &&
		    (rc = h->untagged(h->arg, r)) < 0)
			return end_of(c, rc);
	}
}

int
imap_client_run(
    struct imap_client *c, const struct imap_handler *h, const char *fmt, ...)
{
	struct buf line = BUF_INIT;
	struct imap_response r;
	va_list ap;
	int rc;

	if (c->broken)
		return -ECONNRESET;
	va_start(ap, fmt);
	buf_vprintf(&line, fmt, ap);
	va_end(ap);
	rc = line.failed ? -ENOMEM : client_send(c, buf_slice(&line));
	buf_clear(&line);
	return rc == 0 ? client_wait(c, h, false, &r) : rc;
}

/* What may be said before the server has said "+". */
struct early {
	const struct imap_handler *h;
	bool enough;
};

static int
on_early(void *arg, const struct imap_response *r)
{
	struct early *e = arg;
	int rc = e->h->untagged(e->h->arg, r);

	e->enough |= rc > 0;
	return rc;
}

/* What comes by itself, until there is enough of it. 0, or an error. */
static int
idle_wait(struct imap_client *c, const struct imap_handler *h,
    struct co_event *also, int64_t timeout_ms)
{
	int64_t end = clock_mono_ms() + timeout_ms, left;
	struct imap_response r;
	int rc;

	for (;;) {
		imap_assembler_clear(&c->in);
		arena_reset(&c->a);
		left = end - clock_mono_ms();
		rc = conn_wait_input(c->conn, also, left > 0 ? left : 0);
		if (rc == 2 || rc == -ETIMEDOUT)
			return 0;
		if (rc < 0)
			return end_of(c, rc);
		if ((rc = client_read(c, NULL, &r)) != 0)
			return rc;
		/* BYE, or a reply that nobody has asked for. */
		if (c->bye || r.tag.n > 0)
			return end_of(c, -ECONNRESET);
		rc = is_untagged(&r) ? h->untagged(h->arg, &r) : 0;
		if (rc != 0)
			return rc < 0 ? end_of(c, rc) : 0;
	}
}

int
imap_client_idle(struct imap_client *c, const struct imap_handler *h,
    struct co_event *also, int64_t timeout_ms)
{
	struct early early = { h, false };
	const struct imap_handler first = { .untagged = on_early,
		.arg = &early };
	struct imap_response r;
	int rc;

	if (c->broken)
		return -ECONNRESET;
	if ((rc = client_send(c, SLICE_LIT("IDLE"))) != 0)
		return rc;
	rc = client_wait(c, &first, true, &r);
	if (rc != IMAP_MORE)
		return rc == 0 ? end_of(c, -EPROTO) : rc;
	if (!early.enough && (rc = idle_wait(c, h, also, timeout_ms)) != 0)
		return rc;
	if ((rc = conn_puts(c->conn, "DONE\r\n")) != 0)
		return end_of(c, rc);
	return client_wait(c, h, false, &r);
}

bool
imap_client_not_now(const struct imap_client *c)
{
	return c->not_now;
}

struct slice
imap_client_code(const struct imap_client *c)
{
	return buf_slice(&c->code);
}

const char *
imap_client_said(const struct imap_client *c)
{
	return buf_str(&c->said);
}

bool
imap_client_has(const struct imap_client *c, const char *capability)
{
	struct slice rest = buf_slice(&c->capabilities);

	while (rest.n > 0)
		if (slice_eq_str_nocase(slice_split(&rest, ' '), capability))
			return true;
	return false;
}

bool
imap_client_is_tls(const struct imap_client *c)
{
	return conn_is_tls(c->conn);
}

/* --- opening --- */

static int
secure(struct imap_client *c)
{
	int rc = conn_secure(c->conn, c->conf.tls, c->conf.host, &c->said);

	return rc == 0 ? 0 : end_of(c, rc);
}

static int
ask_capabilities(struct imap_client *c)
{
	int rc =
	    c->capabilities.n > 0 ? 0 : imap_client_run(c, NULL, "CAPABILITY");

	return rc == IMAP_REFUSED ? -EPROTO : rc;
}

static int
start_tls(struct imap_client *c)
{
	bool must = c->conf.tls_mode == IMAP_TLS_STARTTLS;
	int rc = ask_capabilities(c);

	if (rc != 0)
		return rc;
	if (!imap_client_has(c, "STARTTLS")) {
		buf_reset(&c->said);
		buf_put_str(&c->said, "the server has no STARTTLS");
		return must ? -EPROTO : 0;
	}
	rc = imap_client_run(c, NULL, "STARTTLS");
	if (rc != 0)
		return rc != IMAP_REFUSED ? rc : must ? -EPROTO : 0;
	/* What stands behind the reply did not come from who holds the key. */
	if (conn_buffered(c->conn) > 0) {
		log_warning("starttls injection", "host=%s", c->conf.host);
		return -EPROTO;
	}
	if ((rc = secure(c)) != 0)
		return rc;
	/* RFC 3501 6.2.1: all that was learnt in the clear is forgotten. */
	buf_reset(&c->capabilities);
	return 0;
}

static int
greet(struct imap_client *c)
{
	struct imap_response r;
	int rc = 0;

	if (c->conf.tls_mode == IMAP_TLS_IMPLICIT)
		rc = secure(c);
	if (rc != 0 || (rc = client_read(c, NULL, &r)) != 0)
		return rc;
	if (r.tag.n > 0 || (r.kind != IMAP_OK && r.kind != IMAP_PREAUTH))
		return -EPROTO;
	c->preauth = r.kind == IMAP_PREAUTH;
	/* RFC 3501 11.1: with PREAUTH there is no STARTTLS any more, and who is
	 * in between could have said it. */
	if (c->preauth && c->conf.tls_mode == IMAP_TLS_STARTTLS)
		return -EPROTO;
	if (c->conf.tls_mode != IMAP_TLS_IMPLICIT && !c->preauth &&
	    c->conf.tls != NULL && (rc = start_tls(c)) != 0)
		return rc;
	if ((rc = ask_capabilities(c)) != 0 || c->preauth)
		return rc;
	if ((rc = imap_client_sign_in(c)) != 0)
		return rc != IMAP_REFUSED ? rc : c->not_now ? -EBUSY : -EACCES;
	/* Others are offered now; many servers say so by themselves. */
	return ask_capabilities(c);
}

int
imap_client_open_conn(struct imap_client **out, struct conn *conn,
    const struct imap_client_conf *conf, struct buf *why)
{
	struct imap_client *c = calloc(1, sizeof(*c));
	int rc;

	*out = c;
	if (c == NULL) {
		conn_free(&conn);
		return -ENOMEM;
	}
	c->conf = *conf;
	c->conn = conn;
	c->a = ARENA_INIT_MAX(2 * IMAP_RESPONSE_MAX);
	c->capabilities.max = CAPABILITIES_MAX;
	conn_set_timeout(
	    conn, conf->timeout_ms > 0 ? conf->timeout_ms : WAIT_MS);
	if ((rc = greet(c)) == 0)
		return 0;
	buf_put_str(why, imap_client_said(c));
	c->broken = true;
	imap_client_free(out);
	return rc;
}

int
imap_client_open(struct imap_client **out, const struct net_addr *to,
    const struct imap_client_conf *conf, struct buf *why)
{
	struct conn *conn;
	int rc = conn_connect(&conn, to, NULL,
	    conf->connect_timeout_ms > 0 ? conf->connect_timeout_ms
					 : CONNECT_MS);

	*out = NULL;
	return rc != 0 ? rc : imap_client_open_conn(out, conn, conf, why);
}

void
imap_client_free(struct imap_client **out)
{
	struct imap_client *c = *out;

	*out = NULL;
	if (c == NULL)
		return;
	if (!c->broken && !c->bye)
		(void)client_send(c, SLICE_LIT("LOGOUT"));
	conn_free(&c->conn);
	imap_assembler_clear(&c->in);
	arena_reset(&c->a);
	buf_clear(&c->capabilities);
	buf_clear(&c->said);
	buf_clear(&c->code);
	free(c);
}
