/* SPDX-License-Identifier: ISC */
/*
 * Keys of Mails, wrapped for who may read what they seal: the key of a message
 * in its row, the key of an account's search index in its. With the server's
 * key, or in a box for the account's public key, which anybody can make and
 * only the account's private key opens.
 */
#ifndef PNEU_MAILBOX_MAILS_WRAP_H
#define PNEU_MAILBOX_MAILS_WRAP_H

#include "common/auth/seal.h"
#include "common/base/slice.h"

enum wrap_kind {
	WRAP_NONE,
	WRAP_SERVER,
	WRAP_ACCOUNT,
	WRAP_CLEAR, /* as it is: for who shares a message with others, and has
		     * mail not sealed */
};

struct wrap {
	enum wrap_kind kind;
	unsigned char octets[SEAL_BOX_LEN];
};
size_t wrap_octets(enum wrap_kind kind); /* of them in use; NONE: 0 */

struct mails;
/*
 * `about`: what the key is of, at most WRAP_ABOUT octets. It can be opened for
 * this alone, and as this account's. May wait, where the server's key is to be
 * made. 0, -ENOMEM, -EIO, -ENOKEY (no server's key), or why the account's public
 * key could not be read.
 */
#define WRAP_ABOUT 32
int wrap_make(struct mails *m, const char *account, struct slice about,
    const unsigned char secret[static SEAL_SECRET_LEN], struct wrap *out);
/*
 * `k`: the account's private key, or NULL. 0; -ENOKEY: what opens it is not
 * here; -EBADMSG: sealed for another key, or changed.
 */
int wrap_open(struct mails *m, const char *account, const struct seal_key *k,
    struct slice about, const struct wrap *w,
    unsigned char secret[static SEAL_SECRET_LEN]);
/* The same, of another store's mail: by its server's key (Mails' own, made of
 * it), or NULL. */
int wrap_open_by(const unsigned char *server_key, const char *account,
    const struct seal_key *k, struct slice about, const struct wrap *w,
    unsigned char secret[static SEAL_SECRET_LEN]);

#endif
