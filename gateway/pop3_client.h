/* SPDX-License-Identifier: ISC */
/*
 * A POP3 client (RFC 1939; CAPA of 2449, STLS of 2595, AUTH of 5034): connect,
 * secure, sign in, then one command after the other. All calls wait.
 *
 * Errors are those of conn.h, and -EPROTO; after one the client is of no use but
 * for pop3_client_free. POP3_REFUSED (-ERR) leaves it as it was.
 */
#ifndef PNEU_GATEWAY_POP3_CLIENT_H
#define PNEU_GATEWAY_POP3_CLIENT_H

#include "common/net/conn.h"
#include "common/net/tls.h"

struct pop3_client;

#define POP3_REFUSED 1

enum pop3_client_tls {
	POP3_TLS_NONE, /* in plain text, password included */
	POP3_TLS_STLS, /* or fail */
	POP3_TLS_IMPLICIT,
};

struct pop3_client_conf {
	enum pop3_client_tls tls_mode;
	struct tls_client *tls;
	const char *host; /* SNI, verification, SASL */
	const char *user, *password;
	const char *token; /* in place of a password: OAUTHBEARER, XOAUTH2 */
	int64_t connect_timeout_ms, timeout_ms; /* 0: 30 s; 5 minutes */
};

/*
 * 0; -EACCES: refused to sign us in, -EBUSY: not now (RFC 2449 8.1.1 IN-USE and
 * LOGIN-DELAY, RFC 3206 SYS/TEMP), -ENOTSUP: no way to sign in that both have,
 * -EPROTO: does not speak POP3 or has no TLS where it must; with what was said
 * in `why` (may be empty), escaped.
 */
int pop3_client_open(struct pop3_client **out, const struct net_addr *to,
    const struct pop3_client_conf *conf, struct buf *why);
/* On a connection that exists; takes it over, on failure too. */
int pop3_client_open_conn(struct pop3_client **out, struct conn *c,
    const struct pop3_client_conf *conf, struct buf *why);
/* Without QUIT: what was marked to be deleted stays. NULL is fine. */
void pop3_client_free(struct pop3_client **c);

/* Each message's number and unique-id; `each` must not wait, and ends it by
 * what is not 0. */
int pop3_client_uidl(struct pop3_client *c,
    int (*each)(void *arg, uint32_t number, struct slice uid), void *arg);
/* The octets of a message, which `octets` may wait with. What that returns, if
 * it is negative, ends it, and the connection with it. */
int pop3_client_retr(struct pop3_client *c, uint32_t number,
    int (*octets)(void *arg, struct slice octets), void *arg);
int pop3_client_dele(struct pop3_client *c, uint32_t number);
/* 0: what was marked is deleted (RFC 1939 6). */
int pop3_client_quit(struct pop3_client *c);

/* What the server said to the last command, escaped; "" for nothing. */
const char *pop3_client_said(const struct pop3_client *c);

#endif
