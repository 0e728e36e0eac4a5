/* SPDX-License-Identifier: ISC */
/*
 * SASL on libgsasl, for SMTP, IMAP and POP3: PLAIN, LOGIN, SCRAM-SHA-256 and
 * -PLUS, EXTERNAL, ... A session steps it with what the client sent (base64
 * already undone) until it says OK or not.
 */
#ifndef PNEU_AUTH_SASL_H
#define PNEU_AUTH_SASL_H

#include "common/auth/accounts.h"
#include "common/net/conn.h"
#include "common/smtp/client.h"

struct sasl_server;

/* For those that need more than accounts: OAUTHBEARER and XOAUTH2 by settings
 * auth.oauth_*. In a worker, in a coroutine; stop before accounts_close. 0, or
 * -errno with the reason in `err`. */
int sasl_server_start(
    struct accounts *a, const struct conf *conf, struct buf *err);
void sasl_server_stop(struct accounts *a);

/*
 * Mechanisms to offer on this connection, best first, space-separated, static
 * or in the arena. "": none, so say nothing of authentication; that is so
 * without TLS, unless the peer is a Unix socket or `plaintext_ok`.
 */
const char *sasl_server_mechanisms(struct accounts *a, struct arena *arena,
    const struct conn *c, bool plaintext_ok);

/* 0; -ENOSYS: not a mechanism that is offered here. */
int sasl_server_new(struct sasl_server **out, struct accounts *a,
    struct conn *c, struct slice mechanism, enum accounts_scope scope,
    bool plaintext_ok);
void sasl_server_free(struct sasl_server **s);

enum sasl_step {
	SASL_MORE, /* send `out` as a challenge, step with the answer */
	SASL_OK,   /* authenticated; `out` may hold final server data */
};
/*
 * `in` is the client's message; in.p NULL: none yet (no initial response).
 * Returns an enum sasl_step, or -EACCES (wrong), -EBADMSG (malformed), -EAGAIN
 * (try later). May wait.
 */
int sasl_server_step(struct sasl_server *s, struct slice in, struct buf *out);
/* After SASL_OK: the canonical account, and the mechanism used. */
const char *sasl_server_account(const struct sasl_server *s);
const char *sasl_server_mechanism(const struct sasl_server *s);
/* And the account's private key, with its reference, where the scope is one of
 * reading mail and the mechanism shows a secret that opens it (not EXTERNAL,
 * OAUTHBEARER, XOAUTH2); else NULL. */
struct seal_key *sasl_server_take_key(struct sasl_server *s);

/* --- client, for smarthosts and outside accounts --- */

struct sasl_client;
/*
 * Picks the best of `offered` (space-separated). -ENOTSUP: none fits; without
 * TLS that includes PLAIN and LOGIN, but to a peer on this machine or where
 * `plaintext_ok` says that this is wanted.
 */
int sasl_client_new(struct sasl_client **out, struct slice offered,
    struct conn *c, const char *user, const char *password, const char *service,
    const char *host, bool plaintext_ok);
/* By a token of OAuth: OAUTHBEARER (RFC 7628) or XOAUTH2, else as above. */
int sasl_client_new_token(struct sasl_client **out, struct slice offered,
    struct conn *c, const char *user, const char *token, const char *host,
    bool plaintext_ok);
void sasl_client_free(struct sasl_client **s);
const char *sasl_client_mechanism(const struct sasl_client *s);
/*
 * The first step, with in.p NULL, gives the initial response; none (send the
 * command without, not with "=") when `out` stays empty. Then each challenge
 * gives an answer. SASL_MORE, SASL_OK (nothing more is expected of us but
 * `out`), or -EACCES (the server failed to prove that it knows the password),
 * -EBADMSG (malformed, or an iteration count out of 4096 to 600,000), -EAGAIN.
 * May wait.
 */
int sasl_client_step(struct sasl_client *s, struct slice in, struct buf *out);
/* To be asked when the server says success: true when our side agrees. SCRAM
 * does only once the server's proof has been stepped (RFC 5802 3). */
bool sasl_client_is_done(const struct sasl_client *s);

/* All of this for smtp_client_conf.sasl. */
extern const struct smtp_client_sasl sasl_smtp_client;
/* The same where sasl_password is an access token. */
extern const struct smtp_client_sasl sasl_smtp_client_token;

#endif
