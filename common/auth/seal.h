/* SPDX-License-Identifier: ISC */
/*
 * What sealed mail is sealed with (docs/sealing.md): X25519 key pairs
 * (RFC 7748), HKDF-SHA-256 (RFC 5869), AES-256-GCM. Here is no policy and no
 * waiting: who has which key is accounts.h, what is sealed is mailbox/mails.
 *
 * A message has a key of its own, which is in a box for whoever may read it:
 *
 *	seal_to		anybody who has the public key makes the box,
 *	seal_open	only who has the private key opens it.
 *
 * Where writer and reader have the same key there are, cheaper, seal_wrap and
 * seal_unwrap. The context is what the box belongs to (the account, the blob):
 * it is not in the box, and opened for anything else it is -EBADMSG.
 */
#ifndef PNEU_AUTH_SEAL_H
#define PNEU_AUTH_SEAL_H

#include "common/base/slice.h"

#define SEAL_KEY_LEN 32	   /* of private keys, and of AES-256 */
#define SEAL_PUBLIC_LEN 32 /* X25519 */
#define SEAL_SECRET_LEN 32 /* what is in a box */
#define SEAL_TAG_LEN 16
#define SEAL_NONCE_LEN 12
/* A box of seal_to: ephemeral public key, the secret, tag. */
#define SEAL_BOX_LEN (SEAL_PUBLIC_LEN + SEAL_SECRET_LEN + SEAL_TAG_LEN)
/* A box of seal_wrap: nonce, the secret, tag. */
#define SEAL_WRAP_LEN (SEAL_NONCE_LEN + SEAL_SECRET_LEN + SEAL_TAG_LEN)

/*
 * An unlocked private key, counted: of an account while it is signed in, or of
 * the server. It lies in memory that is not swapped and not in core dumps,
 * where the system allows that, and is wiped when the last reference goes.
 * Count in the loop's thread only; others may use a key that is held for them.
 */
struct seal_key;

/* The private key in `octets` becomes a key with one reference; the caller
 * wipes its own. 0, -ENOMEM, -EIO. */
int seal_key_new(
    struct seal_key **out, const unsigned char octets[static SEAL_KEY_LEN]);
/* A new pair. 0, -ENOMEM, -EIO. */
int seal_key_make(struct seal_key **out);
/*
 * The server's key: 32 octets in a file that only its owner reads (secret.h);
 * `make` it where it is missing. 0, -ENOENT, -EINVAL (not a key), -errno.
 */
int seal_key_load(struct seal_key **out, const char *path, bool make);
/* NULL is fine, and gives NULL. */
struct seal_key *seal_key_ref(struct seal_key *k);
/* *k becomes NULL; NULL is fine. */
void seal_key_unref(struct seal_key **k);

/* SEAL_PUBLIC_LEN octets, valid as long as the key. */
const unsigned char *seal_key_public(const struct seal_key *k);
/* SEAL_KEY_LEN octets: for nobody but who wraps this key. */
const unsigned char *seal_key_private(const struct seal_key *k);
/* Keys that are alive in this process, for tests. */
size_t seal_key_count(void);

/* Another key made from it, by a label: the same each time, and of no use to
 * find the first one. 0 or -EIO. Wipe it. */
int seal_key_subkey(const struct seal_key *k, const char *label,
    unsigned char out[static SEAL_KEY_LEN]);
/* The same of any secret. */
int seal_subkey(struct slice secret, const char *label,
    unsigned char out[static SEAL_KEY_LEN]);

/* 0; -EINVAL: not a public key (one of low order); -EIO. */
int seal_to(const unsigned char public[static SEAL_PUBLIC_LEN],
    const unsigned char secret[static SEAL_SECRET_LEN], struct slice context,
    unsigned char out[static SEAL_BOX_LEN]);
/* 0; -EBADMSG: not for this key, not of this context, or changed; -EIO. On
 * error `secret` is zeros. */
int seal_open(const struct seal_key *k,
    const unsigned char in[static SEAL_BOX_LEN], struct slice context,
    unsigned char secret[static SEAL_SECRET_LEN]);

/* By the same key on both sides; same errors. */
int seal_wrap(const unsigned char key[static SEAL_KEY_LEN],
    const unsigned char secret[static SEAL_SECRET_LEN], struct slice context,
    unsigned char out[static SEAL_WRAP_LEN]);
int seal_unwrap(const unsigned char key[static SEAL_KEY_LEN],
    const unsigned char in[static SEAL_WRAP_LEN], struct slice context,
    unsigned char secret[static SEAL_SECRET_LEN]);

/* --- keys in use, by account --- */

/*
 * All sessions of an account in this process share one key; the table holds no
 * reference of its own, so that it goes with the last of them.
 */
struct seal_table;
struct seal_table *seal_table_new(void); /* NULL: out of memory */
/* Keys that are still held outlive it. */
void seal_table_free(struct seal_table **t);
/* The key in use whose public half is this, with a reference; NULL: none. */
struct seal_key *seal_table_find(struct seal_table *t,
    const unsigned char public[static SEAL_PUBLIC_LEN]);
/* A new key with its reference; *k becomes the one in use, if there is. */
void seal_table_share(struct seal_table *t, struct seal_key **k);

#endif
