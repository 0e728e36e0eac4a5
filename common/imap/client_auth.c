/* SPDX-License-Identifier: ISC */
/* Signing in: AUTHENTICATE (RFC 3501 6.2.2, SASL-IR of RFC 4959), else LOGIN. */
#include <errno.h>

#include "common/auth/sasl.h"
#include "common/base/log.h"
#include "common/imap/client_impl.h"
#include "common/mail/transfer.h"

#define CHALLENGE_MAX ((size_t)12288)

/* Of all capabilities the mechanisms: "AUTH=PLAIN" as "PLAIN". */
static void
mechanisms(const struct imap_client *c, struct buf *out)
{
	struct slice rest = buf_slice(&c->capabilities), word;

	while (rest.n > 0) {
		word = slice_split(&rest, ' ');
		if (!slice_starts_nocase(word, "AUTH="))
			continue;
		buf_put_slice(out, slice_from(word, 5));
		buf_put_char(out, ' ');
	}
}

static int
send_line(struct imap_client *c, const struct buf *octets, bool give_up)
{
	struct buf line = BUF_INIT_MAX(CHALLENGE_MAX * 2);
	int rc;

	if (give_up)
		buf_put_char(&line, '*');
	else
		base64_encode(&line, buf_slice(octets));
	buf_put_str(&line, "\r\n");
	rc = line.failed ? -ENOMEM : conn_write(c->conn, buf_slice(&line));
	buf_wipe(&line);
	return rc;
}

/* AUTHENTICATE with the first message, where the server takes one so. */
static int
begin(struct imap_client *c, const char *mechanism, const struct buf *first,
    bool *sent)
{
	struct buf line = BUF_INIT_MAX(CHALLENGE_MAX * 2);
	int rc;

	*sent = first->n > 0 && imap_client_has(c, "SASL-IR");
	buf_printf(&line, "AUTHENTICATE %s", mechanism);
	if (*sent) {
		buf_put_char(&line, ' ');
		base64_encode(&line, buf_slice(first));
	}
	rc = line.failed ? -ENOMEM : client_send(c, buf_slice(&line));
	buf_wipe(&line);
	return rc;
}

/* One challenge, and its answer. */
static int
answer(struct imap_client *c, struct sasl_client *s,
    const struct imap_response *r, bool *first, struct buf *out, int *trouble)
{
	struct buf in = BUF_INIT_MAX(CHALLENGE_MAX);
	int rc = 0;

	if (!*first) {
		buf_wipe(out);
		if (base64_decode(&in, r->text) != 0)
			rc = -EBADMSG;
		else
			rc = sasl_client_step(s, buf_slice(&in), out);
	}
	*first = false; /* what was not sent with the command goes now */
	if (rc < 0)
		*trouble = rc;
	rc = send_line(c, out, *trouble != 0);
	buf_wipe(&in);
	return rc;
}

static int
exchange(struct imap_client *c, struct sasl_client *s)
{
	struct buf out = BUF_INIT_MAX(CHALLENGE_MAX);
	int rc = sasl_client_step(s, slice(NULL, 0), &out), trouble = 0;
	struct imap_response r;
	bool sent = false, first;

	if (rc >= 0)
		rc = begin(c, sasl_client_mechanism(s), &out, &sent);
	first = !sent && out.n > 0;
	while (rc == 0 && (rc = client_wait(c, NULL, true, &r)) == IMAP_MORE)
		rc = answer(c, s, &r, &first, &out, &trouble);
	buf_wipe(&out);
	/* "OK" alone may come from anybody. */
	if (rc == 0 && (trouble != 0 || !sasl_client_is_done(s)))
		rc = -EACCES;
	if (rc == -EACCES || trouble == -EACCES) {
		buf_reset(&c->said);
		buf_put_str(&c->said,
		    "the server did not prove that it knows the password");
	}
	return rc;
}

static bool
may_reveal(const struct imap_client *c)
{
	return conn_is_tls(c->conn) || c->conf.tls_mode == IMAP_TLS_MAY ||
	    net_addr_is_loopback(conn_peer(c->conn));
}

static int
login(struct imap_client *c)
{
	struct buf line = BUF_INIT_MAX(CHALLENGE_MAX);
	struct imap_response r;
	int rc;

	if (imap_client_has(c, "LOGINDISABLED") || !may_reveal(c) ||
	    c->conf.password == NULL)
		return -ENOTSUP;
	buf_put_str(&line, "LOGIN ");
	rc = imap_put_quoted(&line, slice_str(c->conf.user)) &&
		buf_put_char(&line, ' ') &&
		imap_put_quoted(&line, slice_str(c->conf.password))
	    ? client_send(c, buf_slice(&line))
	    : -EINVAL;
	buf_wipe(&line);
	return rc == 0 ? client_wait(c, NULL, false, &r) : rc;
}

int
imap_client_sign_in(struct imap_client *c)
{
	const struct imap_client_conf *conf = &c->conf;
	bool plain_ok = conf->tls_mode == IMAP_TLS_MAY;
	struct buf offered = BUF_INIT;
	struct sasl_client *s = NULL;
	int rc;

	mechanisms(c, &offered);
	rc = conf->token != NULL
	    ? sasl_client_new_token(&s, buf_slice(&offered), c->conn,
		  conf->user, conf->token, conf->host, plain_ok)
	    : sasl_client_new(&s, buf_slice(&offered), c->conn, conf->user,
		  conf->password, "imap", conf->host, plain_ok);
	buf_clear(&offered);
	/* What was offered before says nothing of afterwards. */
	if (rc == 0) {
		buf_reset(&c->said);
		rc = exchange(c, s);
	} else if (rc == -ENOTSUP && conf->token == NULL) {
		rc = login(c);
	}
	sasl_client_free(&s);
	if (rc == 0)
		buf_reset(&c->capabilities);
	return rc;
}
