/* SPDX-License-Identifier: ISC */
/*
 * AES-256-GCM, as Mails seals with it. Who calls sees to it that a nonce is
 * used once with a key. Nothing here waits.
 */
#ifndef PNEU_MAILBOX_MAILS_AEAD_H
#define PNEU_MAILBOX_MAILS_AEAD_H

#include "common/base/slice.h"

#define AEAD_KEY 32
#define AEAD_NONCE 12
#define AEAD_TAG 16

struct aead_nonce {
	unsigned char octets[AEAD_NONCE];
};

/*
 * `about` is authenticated, not kept. `out` gets plain.n octets and the tag; it
 * may be where `plain` is. 0, -ENOMEM.
 */
int aead_seal(const unsigned char key[static AEAD_KEY],
    const struct aead_nonce *nonce, struct slice about, struct slice plain,
    char *out);
/*
 * The opposite: `out` gets sealed.n - AEAD_TAG octets. 0; -EBADMSG: not what was
 * sealed, and `out` is wiped; -ENOMEM.
 */
int aead_open(const unsigned char key[static AEAD_KEY],
    const struct aead_nonce *nonce, struct slice about, struct slice sealed,
    char *out);

/* A nonce by chance; its first bit is set, so that it is none of those that
 * are counted. */
struct aead_nonce aead_nonce_new(void);

#endif
