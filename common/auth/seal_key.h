/* SPDX-License-Identifier: ISC */
/* Between seal.c and seal_key.c. */
#ifndef PNEU_AUTH_SEAL_KEY_H
#define PNEU_AUTH_SEAL_KEY_H

#include <openssl/types.h>

/* An X25519 pair for OpenSSL; `public` NULL: made from the private key, which
 * is the dearer half of the work. NULL on failure. */
EVP_PKEY *seal_key_pkey(
    const unsigned char *private, const unsigned char *public);

#endif
