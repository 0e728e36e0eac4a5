/* SPDX-License-Identifier: ISC */
/*
 * An IMAP client: connect, secure, sign in, then one command after the other.
 * For copying mail from other servers, and for gateways. All calls wait.
 *
 * Errors are those of conn.h, after which the client is of no use but for
 * imap_client_free; or what a handler returned, the same. IMAP_REFUSED (NO, BAD)
 * leaves it as it was.
 */
#ifndef PNEU_IMAP_CLIENT_H
#define PNEU_IMAP_CLIENT_H

#include "common/imap/response.h"
#include "common/net/conn.h"
#include "common/net/tls.h"
#include "common/smtp/spool.h"

struct imap_client;

#define IMAP_REFUSED 1

enum imap_client_tls {
	IMAP_TLS_MAY,      /* STARTTLS where offered, else in plain text */
	IMAP_TLS_STARTTLS, /* or fail */
	IMAP_TLS_IMPLICIT,
};

struct imap_client_conf {
	enum imap_client_tls tls_mode;
	struct tls_client *tls;
	const char *host; /* SNI, verification, SASL */
	const char *user, *password;
	const char *token; /* in place of a password: OAUTHBEARER, XOAUTH2 */
	int64_t connect_timeout_ms, timeout_ms; /* 0: 30 s; 5 minutes */
};

/*
 * Connect, greeting, TLS, sign in. 0; -EACCES: refused to sign us in, -EBUSY:
 * the same, but only for now (RFC 5530), -EPROTO: does not speak IMAP or has no
 * TLS where it must, -ENOTSUP: no way to sign in that both have; with what was
 * said in `why` (may be empty), escaped.
 */
int imap_client_open(struct imap_client **out, const struct net_addr *to,
    const struct imap_client_conf *conf, struct buf *why);
/* On a connection that exists; takes it over, on failure too. */
int imap_client_open_conn(struct imap_client **out, struct conn *c,
    const struct imap_client_conf *conf, struct buf *why);
/* LOGOUT, not waited for. NULL is fine. */
void imap_client_free(struct imap_client **c);

/* Is it among the server's capabilities? */
bool imap_client_has(const struct imap_client *c, const char *capability);
bool imap_client_is_tls(const struct imap_client *c);

/* What comes before the reply to a command. All may be NULL. What is negative
 * ends the command, and the connection with it. */
struct imap_handler {
	int (*untagged)(void *arg, const struct imap_response *r);
	struct imap_sink sink; /* of literals */
	void *arg;             /* of `untagged` */
};
/* A command without its tag and CRLF. 0, IMAP_REFUSED, or an error. */
int imap_client_run(struct imap_client *c, const struct imap_handler *h,
    const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Where APPEND has put it: 0 where the server does not say (RFC 4315). */
struct imap_append {
	uint32_t uidvalidity, uid;
	bool sent; /* octets went out: after an error it may be there */
};
/* APPEND of `header` and `body` to a mailbox, as on the wire, with `flags`
 * ("\\Seen x"). 0, IMAP_REFUSED, or an error. */
int imap_client_append(struct imap_client *c, struct slice mailbox,
    const char *flags, struct slice header, struct spool *body,
    struct imap_append *out);
/*
 * IDLE (RFC 2177), where the server has it: until `h->untagged` returns 1,
 * `also` (may be NULL) is set, or the time is over, which is less than half an
 * hour. 0 for each of these, IMAP_REFUSED, or an error. For those who wait long:
 * it holds no buffers meanwhile.
 */
int imap_client_idle(struct imap_client *c, const struct imap_handler *h,
    struct co_event *also, int64_t timeout_ms);
/* It refused for what may be otherwise later: RFC 5530 3, RFC 9208 4.3. */
bool imap_client_not_now(const struct imap_client *c);
/* The code of the last command's reply, "" for none: "COPYUID 7 1 2". */
struct slice imap_client_code(const struct imap_client *c);
/* What the server said to the last command: escaped, "" for nothing. */
const char *imap_client_said(const struct imap_client *c);

#endif
