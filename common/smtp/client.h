/* SPDX-License-Identifier: ISC */
/*
 * The one SMTP and LMTP client, with pipelining and pooled connections: mta,
 * msa and qm to our own programs, qm and gateway to other servers. All calls
 * wait.
 *
 * Errors: -ETIMEDOUT, -ECONNRESET, -ECONNREFUSED ..., -EPROTO (the other side
 * does not speak the protocol), -ECANCELED. After an error the connection is
 * of no use but for smtp_client_free. What the other side replied is in struct
 * smtp_reply (in the client's arena, valid until the next transaction).
 */
#ifndef PNEU_SMTP_CLIENT_H
#define PNEU_SMTP_CLIENT_H

#include "common/net/conn.h"
#include "common/net/tls.h"
#include "common/smtp/smtp.h"
#include "common/smtp/spool.h"

struct smtp_client;
struct smtp_client_rcpt;

enum smtp_client_tls {
	SMTP_TLS_NONE,
	SMTP_TLS_MAY,	   /* STARTTLS when offered; plain when it fails */
	SMTP_TLS_STARTTLS, /* STARTTLS or fail */
	SMTP_TLS_IMPLICIT,
};

/*
 * How to sign in: the mechanisms, which belong to a layer above
 * (sasl_smtp_client of common/auth).
 */
struct smtp_client_sasl {
	/* Picks one of `offered`, its name to *mechanism. 0, or -ENOTSUP. */
	int (*begin)(void **state, struct conn *c, struct slice offered,
	    const char *user, const char *password, const char *host,
	    bool plaintext_ok, const char **mechanism);
	/* in.p NULL: the initial response, if any. Negative: give up;
	 * -EACCES: it is not the server that we mean. */
	int (*step)(void *state, struct slice in, struct buf *out);
	/* At the server's success: is it one for our side too? */
	bool (*is_done)(const void *state);
	void (*end)(void **state);
};

struct smtp_client_conf {
	bool lmtp;
	/* The other side delivers: what is asked of relays is said to it where
	 * it offers that, but not insisted on. */
	bool final;
	const char *hostname; /* our name for EHLO */
	enum smtp_client_tls tls_mode;
	struct tls_client *tls;
	const char *tls_name; /* the server's name: SNI, verification */
	/* Or what its certificate must fit; `tls` is of TLS_VERIFY_DANE then.
	 * It must stay as long as the client may connect. */
	const struct tls_dane *dane;
	const char *sasl_user, *sasl_password; /* AUTH after TLS, or NULL */
	const struct smtp_client_sasl *sasl;   /* needed with a user */
	int64_t connect_timeout_ms, timeout_ms; /* 0: 30 s; 5 minutes */
	int64_t idle_ms; /* how long a pool keeps an idle one; 0: 30 s */
	/* Where the text of *reply goes when opening is refused, since nothing
	 * is left of the client then; NULL: codes only. */
	struct arena *reply_arena;
	/* Where set: why there is no TLS, as of conn_tls_failure. */
	const char **tls_why;
};

/*
 * Connect, read the banner, EHLO (HELO when refused; LHLO), STARTTLS, AUTH.
 * When a step is refused: -EPROTO with *reply being what was said (or what we
 * have to say: no TLS where it must be). On any error *out is NULL.
 */
int smtp_client_open(struct smtp_client **out, const struct net_addr *to,
    const struct smtp_client_conf *conf, struct smtp_reply *reply);
/* On a connection that exists (tests, gateway). Takes it over. */
int smtp_client_open_conn(struct smtp_client **out, struct conn *c,
    const struct smtp_client_conf *conf, struct smtp_reply *reply);
/* QUIT when idle (not waited for), close. NULL is fine. */
void smtp_client_free(struct smtp_client **c);

/* Between transactions: the other side has not gone meanwhile, as far as can
 * be seen without asking, and takes one more (MAILMAX of RFC 9422). */
bool smtp_client_is_alive(struct smtp_client *c);

unsigned smtp_client_extensions(const struct smtp_client *c);
uint64_t smtp_client_max_size(const struct smtp_client *c); /* 0: not said */
/* How many of these, from the first on, the other side takes in a transaction
 * (LIMITS, RFC 9422); at least one. */
size_t smtp_client_fit(const struct smtp_client *c,
    const struct smtp_client_rcpt *rcpts, size_t n);
struct slice smtp_client_banner(const struct smtp_client *c);
bool smtp_client_is_tls(const struct smtp_client *c);
const char *smtp_client_tls_version(const struct smtp_client *c); /* or "" */
const char *smtp_client_remote(const struct smtp_client *c); /* "addr:port" */

/* One recipient of a transaction, with its fate. */
struct smtp_client_rcpt {
	struct slice address; /* local@domain as on the wire, no brackets */
	unsigned notify;
	struct slice orcpt; /* plain; the client encodes */
	struct smtp_reply reply; /* to RCPT; after the message its final one */
	bool accepted;		 /* at RCPT */
};

struct smtp_client_mail {
	struct slice from; /* on the wire, no brackets; "" for <> */
	uint64_t size;	   /* 0: not said */
	enum smtp_body body;
	bool smtputf8;
	enum smtp_ret ret;
	struct slice envid;
	struct slice trace; /* XTRACE=, sent where offered */
	/* XSOURCE=, or empty. Not offered: 554 5.3.3 without asking, since the
	 * message might come to be there twice. */
	struct slice source;
	struct smtp_wishes wishes;
	/* XFORWARD before MAIL, sent where offered; NULL: none. Names are
	 * "NAME=.. ADDR=.." already encoded. */
	const char *xforward;
	/* Only the replies are wanted: RSET goes out behind the recipients, and
	 * no transaction is open when the call has returned 0. */
	bool ask_only;
};

/*
 * MAIL and all RCPT, pipelined where offered. *mail_reply is the reply to
 * MAIL; when positive each rcpts[i] has its reply. The transaction is then
 * open: go on with _send or _reset. More recipients may follow by _rcpt.
 * Parameters that the other side does not offer are left out; SMTPUTF8 that
 * is needed and not offered makes *mail_reply 553 5.6.7 without asking,
 * BINARYMIME likewise 554 5.6.3, a size over the server's limit 552 5.3.4, a
 * hold or a DELIVERBY in mode R that it cannot keep 554 5.3.3 (5.4.7 when the
 * time is over, or too short for it), REQUIRETLS 550 5.7.30 (5.7.10 without
 * TLS), but for mail from <>, which is not lost for that (RFC 8689 5). Whether
 * the server has been verified is the caller's to know.
 * -EINVAL: an address or a value holds control characters.
 * A transaction that was not sent need not be reset: the next one sees to it.
 */
int smtp_client_mail(struct smtp_client *c, const struct smtp_client_mail *m,
    struct smtp_client_rcpt *rcpts, size_t n, struct smtp_reply *mail_reply);
/* One more RCPT (mta asks guard and mailbox as recipients come). */
int smtp_client_rcpt(struct smtp_client *c, struct smtp_client_rcpt *rcpt);
/*
 * The message: `prefix` (header fields to put on top, each with CRLF) and the
 * body, by BDAT where offered, else DATA with dot-stuffing. Then the final
 * replies: LMTP one for each accepted recipient, in `rcpts` (the same array,
 * in order, as given to mail/rcpt), as does SMTP where the server has PRDR and
 * there are several; else one for all. *reply: that of DATA when
 * it was refused, else the (first) final one. At least one recipient must have
 * been accepted (-EINVAL). Bare CR and LF go out as CRLF, but for BINARYMIME.
 * On an error the replies that came stand in `rcpts`, and the other accepted
 * ones have 451 4.4.2. After 0 the transaction has ended.
 */
int smtp_client_send(struct smtp_client *c, struct slice prefix,
    struct spool *body, struct smtp_client_rcpt *rcpts, size_t n,
    struct smtp_reply *reply);
/* As above, the octets given by `read` (0 at the end, negative: abort: the
 * connection is dropped so that nothing partial is accepted). */
int smtp_client_send_from(struct smtp_client *c, struct slice prefix,
    ssize_t (*read)(void *arg, void *p, size_t n), void *arg, uint64_t size,
    struct smtp_client_rcpt *rcpts, size_t n, struct smtp_reply *reply);
/*
 * The whole transaction, as _mail and _send have it; to one of our own programs
 * in a single round trip. *reply has code 0 when nothing was sent, because MAIL
 * or all recipients were refused. Recipients that were accepted at first have
 * their final reply in `rcpts`.
 */
int smtp_client_deliver(struct smtp_client *c,
    const struct smtp_client_mail *m, struct smtp_client_rcpt *rcpts, size_t n,
    struct slice prefix, struct spool *body, struct smtp_reply *mail_reply,
    struct smtp_reply *reply);
int smtp_client_reset(struct smtp_client *c); /* RSET */
int smtp_client_noop(struct smtp_client *c);
/* VRFY of local@domain, between transactions or within one. */
int smtp_client_verify(struct smtp_client *c, struct slice address,
    struct smtp_reply *reply);
/* ETRN (RFC 1985), between transactions. Not asked where it is not offered:
 * 502. */
int smtp_client_flush(struct smtp_client *c, struct slice node,
    bool subdomains, struct smtp_reply *reply);

/* XWHO of our mailbox: for which address a message came to the account; its
 * Message-ID without brackets. 250 <address>, 252: not known. */
int smtp_client_who(struct smtp_client *c, struct slice account,
    struct slice message_id, struct smtp_reply *reply);

/*
 * Any other verb of our own programs, with what stands behind it. The reply's
 * text is the client's until the next command; `joined` strings its lines
 * together, as they were before they were cut (smtp_reply_write), for what has
 * no spaces.
 */
int smtp_client_own(struct smtp_client *c, struct slice line,
    struct smtp_reply *reply, struct buf *joined);

/* --- pool: idle connections to a few fixed addresses (our own programs) --- */

struct smtp_pool;

/* `address` as net_addr_parse takes it. At most `max` connections; callers
 * beyond wait their turn. At most half of them are kept when idle, for a
 * while (idle_ms). */
int smtp_pool_new(struct smtp_pool **out, const char *address,
    const char *run_dir, const struct smtp_client_conf *conf, size_t max);
void smtp_pool_free(struct smtp_pool **p);
/*
 * A connection ready for MAIL: an idle one that still lives, or a new one.
 * On failure the error names the peer in the log ("peer down peer=guard ...").
 */
int smtp_pool_get(struct smtp_pool *p, struct smtp_client **out);
/* Give it back; `good` false (an error happened): it is closed. A transaction
 * that is still open is reset, which waits. */
void smtp_pool_put(struct smtp_pool *p, struct smtp_client *c, bool good);
/* ETRN, VRFY on a connection of the pool, the text of the reply in `a`. */
int smtp_pool_flush(struct smtp_pool *p, struct arena *a, struct slice node,
    bool subdomains, struct smtp_reply *reply);
int smtp_pool_verify(struct smtp_pool *p, struct arena *a, struct slice address,
    struct smtp_reply *reply);

#endif
