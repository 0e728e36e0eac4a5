/* SPDX-License-Identifier: ISC */
/* What the files of the client share; nobody else includes it. */
#ifndef PNEU_SMTP_CLIENT_IMPL_H
#define PNEU_SMTP_CLIENT_IMPL_H

#include "common/base/arena.h"
#include "common/smtp/client.h"

struct smtp_client {
	struct conn *conn;
	struct smtp_client_conf conf;
	struct net_addr to; /* len 0: made of a conn, cannot be opened again */
	char remote[128];
	struct arena arena; /* of the connection: banner, mechanisms */
	struct arena tx;    /* replies, until the next transaction */
	struct smtp_reply_reader reader;
	struct slice banner, mechanisms;
	unsigned ext;
	uint64_t max_size;
	uint64_t by_min_s; /* DELIVERBY; 0: none */
	/* LIMITS; 0: not said. */
	size_t mail_max, rcpt_max, domain_max;
	size_t n_mails; /* since the connection was opened */
	bool prdr;	/* of the transaction */
	enum smtp_body body; /* of the transaction */
	/* Something is under way, or has gone wrong: whatever comes next would
	 * be taken for something else. */
	bool out_of_step;
	bool tls_failed;  /* the handshake, so that plain text may be tried */
	bool needs_reset; /* a transaction is open, or failed half-way */
	bool reused;	  /* given out by the pool a second time or more */
	/* In the pool. */
	struct smtp_client *next;
	int64_t idle_since_ms;
};

/* Connect (again) and go through the greeting, with what `c` has of the
 * address and settings. *reply as for smtp_client_open, in c's arena. */
int client_connect(struct smtp_client *c, struct smtp_reply *reply);

/*
 * MAIL and RCPT as smtp_client_mail has it. `behind` (may be NULL) writes what
 * goes out behind them without waiting for their replies; it is called again
 * when the connection had died unseen, and not at all when nothing is sent.
 */
int client_envelope(struct smtp_client *c, const struct smtp_client_mail *m,
    struct smtp_client_rcpt *rcpts, size_t n, struct smtp_reply *mail_reply,
    int (*behind)(void *), void *arg);

/* Write one command; nothing is waited for but a full buffer. */
int client_put(struct smtp_client *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* The next reply, its text in `a`. The end of input is -ECONNRESET. */
int client_read_reply(struct smtp_client *c, struct arena *a,
    struct smtp_reply *reply);
/* A command and its reply. */
int client_ask(struct smtp_client *c, struct smtp_reply *reply,
    const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* AUTH (client_auth.c). 0, or -EPROTO with *reply saying why not. */
int client_sign_in(struct smtp_client *c, struct smtp_reply *reply);

#endif
