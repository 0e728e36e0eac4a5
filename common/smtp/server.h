/* SPDX-License-Identifier: ISC */
/*
 * The one SMTP server engine: ESMTP for mta, submission for msa, LMTP for
 * guard, mailbox and qm. The engine knows the protocol (order of commands,
 * syntax, limits, pipelining, STARTTLS, DATA and BDAT); the program's handler
 * decides about connection, sender, each recipient and the message. A handler
 * runs in the session's coroutine and may wait.
 */
#ifndef PNEU_SMTP_SERVER_H
#define PNEU_SMTP_SERVER_H

#include "common/net/conn.h"
#include "common/net/tls.h"
#include "common/smtp/smtp.h"
#include "common/smtp/spool.h"

enum smtp_server_kind {
	SMTP_SERVER_ESMTP,
	SMTP_SERVER_LMTP,
	SMTP_SERVER_SUBMISSION
};

struct smtp_session;

/*
 * Each hook may be NULL: the engine's default is said with it. A hook that
 * returns a negative errno means that something of ours is down: the engine
 * replies 451 4.3.0 (452 4.3.1 for -ENOSPC) and logs it.
 */
struct smtp_handler {
	/* Before the banner. A reply of 4xx or 5xx is sent in its place and
	 * ends the session. Default: 220. */
	int (*connect)(struct smtp_session *s, struct smtp_reply *reply);
	/* After EHLO, HELO, LHLO (name in smtp_session_helo). Default: 250. */
	int (*helo)(struct smtp_session *s, struct smtp_reply *reply);
	/* Default: 250 2.1.0. */
	int (*mail)(struct smtp_session *s, const struct smtp_mail *m,
	    struct smtp_reply *reply);
	/* `r` may be kept until reset; r->data is the handler's. A positive
	 * reply accepts the recipient. No default. */
	int (*rcpt)(struct smtp_session *s, struct smtp_rcpt *r,
	    struct smtp_reply *reply);
	/* Optional, just before 354: the last chance to refuse. */
	int (*data)(struct smtp_session *s, struct smtp_reply *reply);
	/*
	 * The message is complete. ESMTP: one reply. LMTP, and ESMTP with PRDR
	 * in use: n replies, one per accepted recipient in order
	 * (smtp_session_rcpts). No default.
	 */
	int (*message)(struct smtp_session *s, struct spool *body,
	    struct smtp_reply *replies, size_t n);
	/*
	 * The client is going to be waited for, who may take minutes: give
	 * back what others need (connections of a pool). Said when all commands
	 * that have come are answered, and when so many replies are unsent that
	 * they may not fit.
	 */
	void (*quiet)(struct smtp_session *s);
	/* The transaction has ended, one way or the other: free what `data`
	 * pointers own. */
	void (*reset)(struct smtp_session *s);
	/* The session has ended. */
	void (*disconnect)(struct smtp_session *s);
	/*
	 * BURL: give the octets that the URL means to take(arg), until they
	 * end or it does not return 0 (then return that). A reply of 4xx or
	 * 5xx refuses the message. The URL is what stood there, no more.
	 */
	int (*burl)(struct smtp_session *s, struct slice url,
	    int (*take)(void *arg, struct slice octets), void *arg,
	    struct smtp_reply *reply);
	/*
	 * AUTH (submission): run the SASL exchange by smtp_session_challenge;
	 * the reply is the final one, 235 for success (smtp_session_set_
	 * authenticated before that). `mechanism` is upper-case and one that is
	 * offered, `initial` is decoded. Not offered when NULL.
	 */
	int (*auth)(struct smtp_session *s, struct slice mechanism,
	    struct slice initial, bool has_initial, struct smtp_reply *reply);
	/* Mechanisms to offer now, space-separated ("" or NULL: no AUTH).
	 * Not asked without TLS, unless auth_without_tls or a Unix peer. */
	const char *(*auth_mechanisms)(struct smtp_session *s);
	/* VRFY (RFC 5321 3.5): 250 with the address in brackets, 550, or 252
	 * where it cannot be told, as for any error; the text may be in `a`.
	 * Default: 252. */
	int (*verify)(struct smtp_session *s, struct arena *a,
	    const struct smtp_path *who, struct smtp_reply *reply);
	/* ETRN (RFC 1985): 250 to 253, 458 or 459; the text may be in `a`.
	 * `subdomains`: of the node too. Not offered when NULL. */
	int (*flush)(struct smtp_session *s, struct arena *a, struct slice node,
	    bool subdomains, struct smtp_reply *reply);
	/*
	 * Programs' own verbs (XFORWARD, ...). Return -ENOSYS: unknown, 500.
	 */
	int (*command)(struct smtp_session *s, struct slice verb,
	    struct slice args, struct smtp_reply *reply);
};

/*
 * The session keeps a copy; what pointers point to must live as long as it.
 * 0 takes a default for max_recipients (1,000), max_errors (10) and timeout_ms
 * (5 minutes), and no limit for max_size.
 *
 * What the engine decides by itself (RFC 5321 unless said):
 *  - Data ends by CRLF.CRLF only; bare CR or LF, and NUL but in BINARYMIME,
 *    is refused with 550 5.6.0 after the end (SMTP smuggling).
 *  - Input behind a command that must be waited for (DATA, EHLO, STARTTLS,
 *    AUTH), or before the banner (ESMTP), ends the session with 554 5.5.0.
 *  - A message that is to be returned by now (DELIVERBY) is refused with 554
 *    5.4.7 at its end.
 *  - Too many faults of the peer end it with 421 4.7.0; they are counted from
 *    the last message that was accepted. Not counted in LMTP: refused
 *    recipients.
 *  - REQUIRETLS is offered under TLS only, and in LMTP where nothing crosses a
 *    wire.
 *  - XFORWARD, XTRACE= and, in LMTP, FUTURERELEASE and ETRN are taken from loopback and
 *    Unix peers only, XFORWARD from those of xforward_from too; FUTURERELEASE
 *    not at all in ESMTP (RFC 4865 4.2 2).
 *  - 4xx and 5xx get " [ref ID]" where it lacks one: the transaction's id, or
 *    outside of any the connection's.
 */
struct smtp_server {
	enum smtp_server_kind kind;
	const struct smtp_handler *handler;
	const char *hostname;
	unsigned extensions; /* enum smtp_ext, of those that it may offer */
	const char *const *extra_ehlo; /* more EHLO lines, NULL-terminated */
	struct tls_server *tls;        /* NULL: STARTTLS is not offered */
	bool auth_without_tls;         /* by configuration, or a Unix socket */
	bool auth_required;            /* 530 5.7.0 to MAIL before AUTH */
	uint64_t max_size;
	size_t max_recipients;
	unsigned max_domains; /* of the recipients together; 0: no limit */
	int64_t hold_max_s; /* FUTURERELEASE: at most; 0: not offered */
	/* MT-PRIORITY: who asks for more gets this (RFC 6710 4.1), but for
	 * networks in priority_from, and in LMTP our own. NULL: none. */
	int priority_max;
	const char *const *priority_from;
	int64_t by_min_s; /* DELIVERBY: less is refused; 0: no minimum */
	unsigned max_mails; /* MAIL commands in a session; 0: no limit */
	unsigned max_errors;
	int64_t timeout_ms;     /* for a command; for progress of a message */
	int64_t session_ms;     /* whole session; 0: no limit */
	int64_t greet_pause_ms; /* before the banner, for early talkers */
	/* Peers that may speak for others by XCLIENT, those that may say by
	 * XFORWARD whose mail it is, and those whose bare LF counts as CRLF:
	 * networks as net_addr_is_listed takes them; NULL: none. */
	const char *const *xclient_from, *const *xforward_from;
	const char *const *normalise_from;
	const char *spool_dir;
	void *app; /* the program's */
};

/* Serve one connection until its end; the conn stays the caller's. */
void smtp_serve(const struct smtp_server *srv, struct conn *c);

/* --- for hooks --- */

const struct smtp_server *smtp_session_server(const struct smtp_session *s);
struct conn *smtp_session_conn(struct smtp_session *s);
/* Arena of the connection; of the transaction (reset after it). */
struct arena *smtp_session_arena(struct smtp_session *s);
struct arena *smtp_session_tx_arena(struct smtp_session *s);
/* Of smtp_handler.command: until its reply is out. */
struct arena *smtp_session_command_arena(struct smtp_session *s);
void smtp_session_set_data(struct smtp_session *s, void *data);
void *smtp_session_data(const struct smtp_session *s);
struct slice smtp_session_helo(const struct smtp_session *s);
bool smtp_session_is_esmtp(const struct smtp_session *s); /* EHLO or LHLO */
/* "SMTP", "ESMTP", "ESMTPS", "ESMTPSA", "LMTP", "UTF8SMTPS" ...: RFC 3848,
 * RFC 6531 4.3 */
const char *smtp_session_with(const struct smtp_session *s);
/* NULL before MAIL. */
const struct smtp_mail *smtp_session_mail(const struct smtp_session *s);
/* Accepted recipients, in order. */
struct smtp_rcpt *const *
smtp_session_rcpts(const struct smtp_session *s, size_t *n);
/* The transaction's trace id: MAIL's XTRACE from our own, else a new one. Set
 * from MAIL on. */
const char *smtp_session_id(const struct smtp_session *s);
/* Has the next command come already? Half a line is none: who sends it and no
 * more is waited for too. */
bool smtp_session_has_line(struct smtp_session *s);
/* Account after AUTH; the engine shows it in smtp_session_with. */
void
smtp_session_set_authenticated(struct smtp_session *s, const char *account);
const char *smtp_session_authenticated(const struct smtp_session *s);
/* The client's own say about where the mail came from, by XFORWARD (guard,
 * mailbox, qm take it from peers on Unix sockets): empty slices when unset. */
struct smtp_xforward {
	struct slice name, addr, port, proto, helo, source, ident;
};
const struct smtp_xforward *smtp_session_xforward(const struct smtp_session *s);
/*
 * What decides the reply that the running hook gives: a setting, a record, what
 * another program said. For the trace; cut at TRACE_TEXT_MAX. In LMTP a good
 * reply is only traced where this was said.
 */
void smtp_session_because(struct smtp_session *s, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Of the message, without brackets, for records of the message hook; .p NULL
 * when it has none, or there is no trace. */
struct slice smtp_session_message_id(const struct smtp_session *s);
/*
 * For auth: send "334 <base64 of challenge>", wait for the answer, give it
 * decoded (valid until the next call). 0; -ECANCELED for "*"; -EBADMSG for
 * bad base64 or a line too long; a connection error. On an error just return
 * it, or anything: the engine knows the reply.
 */
int smtp_session_challenge(
    struct smtp_session *s, struct slice challenge, struct slice *response);

#endif
