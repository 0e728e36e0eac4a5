/* SPDX-License-Identifier: ISC */
/*
 * The server's side of SCRAM-SHA-256, SCRAM-SHA-1 and -PLUS (RFC 5802, 7677), without any
 * look-up or waiting: messages in, messages out.
 *
 * libgsasl, which the client's side uses, checks a proof against one key. Here
 * an account has several (app passwords), the client does not say which one it
 * uses, and clients prefer SCRAM where it is offered: so a proof is checked
 * against all of them.
 */
#ifndef PNEU_AUTH_SCRAM_H
#define PNEU_AUTH_SCRAM_H

#include "common/auth/password.h"
#include "common/base/arena.h"
#include "common/base/buf.h"

/* What may be bound to: data of the channel by type; "" where it has none. */
struct scram_channel {
	struct slice exporter; /* "tls-exporter" (RFC 9266) */
	struct slice unique;   /* "tls-unique" (RFC 5929) */
};

struct scram {
	struct arena *arena; /* of all that follows */
	enum scram_digest digest;
	bool plus; /* the mechanism is -PLUS */
	struct scram_channel channel;
	struct slice gs2_header, client_first_bare, server_first, nonce;
	struct slice binding; /* the channel data that the client chose */
	struct slice user;    /* as the client wrote it, =2C and =3D undone */
	struct slice authzid; /* "" for none */
	struct slice auth_message;
	unsigned char proof[SCRAM_KEY_LEN];
};

void scram_init(struct scram *s, struct arena *arena, enum scram_digest digest,
    bool plus, const struct scram_channel *channel);

/* A saslname (RFC 5802 7): "=2C" and "=3D" undone. 0, -EBADMSG, -ENOMEM. */
int scram_name_decode(
    struct arena *arena, struct slice in, struct slice *out);
/* The client's first message; then s->user and s->authzid are set. 0,
 * -EBADMSG, -EACCES (channel binding of the wrong kind, RFC 5802 6), -ENOMEM. */
int scram_client_first(struct scram *s, struct slice in);
/* Make the answer, all keys being of s->digest, from salt and iterations of `k`. 0 or -ENOMEM. */
int scram_server_first(
    struct scram *s, const struct scram_keys *k, struct buf *out);
/* The client's final message: form, nonce and channel binding. 0, -EBADMSG,
 * -EACCES, -ENOMEM. */
int scram_client_final(struct scram *s, struct slice in);
/* Does the proof show one of these? Takes the same time for any of the n.
 * Its index, or -1. */
ssize_t scram_verify(
    const struct scram *s, const struct scram_keys *const *k, size_t n);
/* ClientKey (RFC 5802 3) of the one that it shows: with it one could sign in,
 * so wipe it. False on failure of the library. */
bool scram_client_key(const struct scram *s, const struct scram_keys *k,
    unsigned char out[static SCRAM_KEY_LEN]);
/* The server's final message, which proves that we have the key. */
int scram_server_final(
    const struct scram *s, const struct scram_keys *k, struct buf *out);

/*
 * The salt of one who does not exist (or has no keys): the same at each
 * question, as if it were stored. By out->digest.
 */
void scram_fake_salt(const unsigned char secret[static 32],
    struct slice account, struct scram_keys *out);

#endif
