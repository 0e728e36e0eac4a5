/* SPDX-License-Identifier: ISC */
/*
 * TLS on a conn: OpenSSL on our own non-blocking descriptor, one try at a
 * time. OpenSSL's error queue belongs to the thread, so it is emptied before
 * and after: what one connection left must not look like another's fault.
 */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "common/base/log.h"
#include "common/net/conn.h"
#include "common/net/conn_impl.h"
#include "common/net/tls.h"

/* Finished message: 12 octets in TLS 1.2, with room for any hash. */
#define FINISHED_MAX 64
#define EXPORTER_LEN 32 /* RFC 9266 2 */

/* The meaning of a return of SSL_*; `r` is at most 0. */
static ssize_t
tls_result(struct conn *c, int r)
{
	switch (SSL_get_error(c->ssl, r)) {
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_WANT_READ:
		c->want = EV_READ;
		c->ready &= ~EV_READ;
		return -EAGAIN;
	case SSL_ERROR_WANT_WRITE:
		c->want = EV_WRITE;
		c->ready &= ~EV_WRITE;
		return -EAGAIN;
	default:
		c->tls_broken = true;
		return -ECONNRESET;
	}
}

/* The same where nobody asks for the reason. */
static ssize_t
tls_result_only(struct conn *c, int r)
{
	ssize_t rc = tls_result(c, r);

	ERR_clear_error();
	return rc;
}

static int
clamp(size_t n)
{
	return n > INT32_MAX ? INT32_MAX : (int)n;
}

ssize_t
conn_tls_read(struct conn *c, void *p, size_t n)
{
	int r;

	if ((c->ready & EV_READ) == 0 && !SSL_has_pending(c->ssl)) {
		c->want = EV_READ;
		return -EAGAIN;
	}
	ERR_clear_error();
	r = SSL_read(c->ssl, p, clamp(n));
	return r > 0 ? r : tls_result_only(c, r);
}

ssize_t
conn_tls_write(struct conn *c, const void *p, size_t n)
{
	ssize_t rc;
	int r;

	ERR_clear_error();
	r = SSL_write(c->ssl, p, clamp(n));
	if (r > 0)
		return r;
	rc = tls_result_only(c, r);
	return rc == 0 ? -ECONNRESET : rc;
}

void
conn_tls_close_notify(struct conn *c)
{
	if (c->ssl == NULL || c->tls_broken || c->write_error != 0 ||
	    c->out.n > 0 || !SSL_is_init_finished(c->ssl))
		return;
	ERR_clear_error();
	if (SSL_shutdown(c->ssl) < 0)
		c->tls_broken = true;
	ERR_clear_error();
}

/* Why the handshake failed, in OpenSSL's words, or the kernel's. */
static const char *
failure_reason(const struct conn *c)
{
	long verdict = SSL_get_verify_result(c->ssl);
	unsigned long e = ERR_peek_last_error();

	if (e != 0 && ERR_GET_REASON(e) == SSL_R_CERTIFICATE_VERIFY_FAILED)
		return X509_verify_cert_error_string(verdict);
	if (e != 0 && ERR_reason_error_string(e) != NULL)
		return ERR_reason_error_string(e);
	return "connection closed";
}

/* The same for who is to do something about it; OpenSSL's words are for who
 * knows OpenSSL. */
static const char *
failure_advice(const struct conn *c)
{
	static const char other_name[] =
	    "its certificate is for another name: connect to it by a name "
	    "that the certificate has";
	static const char nobody[] =
	    "its certificate was issued by nobody who is trusted here: where "
	    "it is the right one, put its issuer into the file of tls.ca";
	static const struct {
		long verdict;
		const char *text;
	} verdicts[] = {
		{ X509_V_ERR_HOSTNAME_MISMATCH, other_name },
		{ X509_V_ERR_IP_ADDRESS_MISMATCH, other_name },
		{ X509_V_ERR_CERT_HAS_EXPIRED,
		    "its certificate has expired: whoever runs it has to "
		    "renew that" },
		{ X509_V_ERR_CERT_NOT_YET_VALID,
		    "its certificate is not valid yet: is the clock right "
		    "here?" },
		{ X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT,
		    "its certificate is self-signed: where it is the right "
		    "one, put it into the file of tls.ca" },
		{ X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, nobody },
		{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, nobody },
		{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, nobody },
		{ X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, nobody },
	};
	unsigned long e = ERR_peek_last_error();
	long verdict = SSL_get_verify_result(c->ssl);

	if (e == 0)
		return "";
	switch (ERR_GET_REASON(e)) {
	case SSL_R_CERTIFICATE_VERIFY_FAILED:
		for (size_t i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]);
		     i++)
			if (verdicts[i].verdict == verdict)
				return verdicts[i].text;
		break;
	case SSL_R_WRONG_VERSION_NUMBER:
	case SSL_R_PACKET_LENGTH_TOO_LONG:
		return "it does not speak TLS at this port: is it one for "
		       "STARTTLS?";
	case SSL_R_UNSUPPORTED_PROTOCOL:
	case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
		return "it has only versions of TLS from before 1.2, which "
		       "are not safe";
	default:
		break;
	}
	return failure_reason(c);
}

static int
handshake(struct conn *c)
{
	int64_t until = CONN_UNTIL_UNSET;
	bool got_reply;
	int r, rc;

	for (;;) {
		ERR_clear_error();
		if ((r = SSL_do_handshake(c->ssl)) == 1)
			return 0;
		if (tls_result(c, r) != -EAGAIN)
			break;
		if ((rc = conn_wait(c, &until)) != 0) {
			c->tls_broken = true;
			return rc;
		}
	}
	c->tls_broken = true;
	got_reply = ERR_peek_last_error() != 0;
	log_info(
	    "tls handshake failed", "reason=\"%s\"", log_qs(failure_reason(c)));
	c->tls_failure = failure_advice(c);
	ERR_clear_error();
	return got_reply ? -EPROTO : -ECONNRESET;
}

/* What came before TLS was not said by the peer that TLS proves: whoever was
 * in between could have put it there (CVE-2011-0411). Our own last reply in
 * plain text goes out only after that is gone. */
static int
starttls(struct conn *c, SSL *ssl)
{
	size_t dropped = conn_discard_input(c);
	int rc;

	if (dropped > 0)
		log_info("tls input dropped", "octets=%zu", dropped);
	if (ssl == NULL)
		return -ENOMEM;
	if ((rc = conn_flush(c)) != 0 || c->ssl != NULL) {
		SSL_free(ssl);
		return rc != 0 ? rc : -EALREADY;
	}
	if (SSL_set_rfd(ssl, c->rfd) != 1 || SSL_set_wfd(ssl, c->wfd) != 1) {
		SSL_free(ssl);
		return -ENOMEM;
	}
	c->ssl = ssl;
	if ((rc = handshake(c)) != 0)
		c->read_error = c->write_error = rc;
	return rc;
}

int
conn_starttls_server(struct conn *c, struct tls_server *t)
{
	SSL *ssl = tls_server_ssl(t);

	if (ssl != NULL)
		SSL_set_accept_state(ssl);
	return starttls(c, ssl);
}

static int
starttls_client(struct conn *c, SSL *ssl)
{
	if (ssl != NULL)
		SSL_set_connect_state(ssl);
	return starttls(c, ssl);
}

int
conn_starttls_client(struct conn *c, struct tls_client *t, const char *name)
{
	return starttls_client(c, tls_client_ssl(t, name));
}

int
conn_starttls_dane(
    struct conn *c, struct tls_client *t, const struct tls_dane *dane)
{
	return starttls_client(c, tls_client_ssl_dane(t, dane));
}

const char *
conn_tls_failure(const struct conn *c)
{
	return c->tls_failure != NULL ? c->tls_failure : "";
}

int
conn_secure(struct conn *c, struct tls_client *t, const char *name,
    struct buf *said)
{
	int rc = conn_starttls_client(c, t, name);

	if (rc != 0) {
		buf_reset(said);
		buf_printf(said, "no TLS: %s",
		    *conn_tls_failure(c) != '\0' ? conn_tls_failure(c)
						 : strerror(-rc));
	}
	return rc;
}

bool
conn_is_tls(const struct conn *c)
{
	return c->ssl != NULL;
}

const char *
conn_tls_version(const struct conn *c)
{
	if (c->ssl == NULL)
		return "";
	return SSL_version(c->ssl) == TLS1_3_VERSION ? "TLS1.3" : "TLS1.2";
}

const char *
conn_tls_cipher(const struct conn *c)
{
	return c->ssl == NULL ? "" : SSL_get_cipher_name(c->ssl);
}

/* RFC 5929 3.1: the first Finished message of the handshake; in a full one the
 * client's, in a resumed one the server's. Unique only with the extended
 * master secret (RFC 7627). */
static int
tls_unique(const struct conn *c, struct buf *out)
{
	char finished[FINISHED_MAX];
	bool ours =
	    (SSL_is_server(c->ssl) != 0) == (SSL_session_reused(c->ssl) != 0);
	size_t n;

	if (SSL_get_extms_support(c->ssl) != 1)
		return -ENOTSUP;
	n = ours ? SSL_get_finished(c->ssl, finished, sizeof(finished))
		 : SSL_get_peer_finished(c->ssl, finished, sizeof(finished));
	if (n == 0 || n > sizeof(finished))
		return -ENOTSUP;
	return buf_put(out, finished, n) ? 0 : -ENOMEM;
}

int
conn_tls_binding(const struct conn *c, const char *type, struct buf *out)
{
	static const char label[] = "EXPORTER-Channel-Binding";
	unsigned char key[EXPORTER_LEN];
	bool v13;

	if (c->ssl == NULL)
		return -ENOTSUP;
	v13 = SSL_version(c->ssl) == TLS1_3_VERSION;
	if (strcmp(type, "tls-unique") == 0 && !v13)
		return tls_unique(c, out);
	if (strcmp(type, "tls-exporter") != 0 || !v13)
		return -ENOTSUP;
	if (SSL_export_keying_material(c->ssl, key, sizeof(key), label,
		sizeof(label) - 1, (const unsigned char *)"", 0, 1) != 1)
		return -ENOTSUP;
	return buf_put(out, key, sizeof(key)) ? 0 : -ENOMEM;
}

struct ssl_st *
conn_ssl(const struct conn *c)
{
	return c->ssl;
}

/* --- who the client is --- */

#define CLIENT_MAILS_MAX 16

int
conn_tls_client_mails(
    const struct conn *c, struct arena *a, struct slice **out, size_t *n)
{
	X509 *x = c->ssl != NULL ? SSL_get0_peer_certificate(c->ssl) : NULL;
	GENERAL_NAMES *names;

	*n = 0;
	/* Without a certificate the verdict is good, too. */
	if (x == NULL || !SSL_is_server(c->ssl) ||
	    SSL_get_verify_result(c->ssl) != X509_V_OK)
		return -ENOENT;
	*out = arena_array(a, CLIENT_MAILS_MAX, sizeof(**out));
	names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	for (int i = 0; *out != NULL && i < sk_GENERAL_NAME_num(names) &&
	     *n < CLIENT_MAILS_MAX;
	     i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);
		struct slice mail;

		if (g->type != GEN_EMAIL)
			continue;
		mail = slice(ASN1_STRING_get0_data(g->d.rfc822Name),
		    (size_t)ASN1_STRING_length(g->d.rfc822Name));
		if (slice_find(mail, '\0') >= 0)
			continue;
		mail = arena_dup(a, mail);
		if (mail.p != NULL)
			(*out)[(*n)++] = mail;
	}
	GENERAL_NAMES_free(names);
	return *n > 0 ? 0 : -ENOENT;
}
