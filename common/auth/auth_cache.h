/* SPDX-License-Identifier: ISC */
/*
 * Which passwords were right less than a minute ago, so that a mail program
 * that opens ten connections costs one hash. An entry is an HMAC with a key of
 * this process over account, stored record and password: it tells nothing, and
 * a changed record (new password, revoked) is another entry. The account's
 * private key, where it has one, is there under a mask made like that: only who
 * has the password again can take it off.
 */
#ifndef PNEU_AUTH_AUTH_CACHE_H
#define PNEU_AUTH_AUTH_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/slice.h"

#define AUTH_CACHE_MS 60000
#define AUTH_CACHE_MAC_LEN 32
#define AUTH_CACHE_KEY_LEN 32

struct auth_cache;

struct auth_cache *auth_cache_new(void); /* NULL: out of memory */
void auth_cache_free(struct auth_cache **c);

/* False on failure of the library: then do without. */
bool
auth_cache_mac(struct auth_cache *c, struct slice account, struct slice record,
    struct slice password, unsigned char out[static AUTH_CACHE_MAC_LEN]);
/* Of the same: what masks the key. */
bool
auth_cache_mask(struct auth_cache *c, struct slice account, struct slice record,
    struct slice password, unsigned char out[static AUTH_CACHE_KEY_LEN]);
bool auth_cache_has(const struct auth_cache *c,
    const unsigned char mac[static AUTH_CACHE_MAC_LEN], int64_t now_ms);
/* The masked key, or NULL; valid until the next put. */
const unsigned char *auth_cache_key(const struct auth_cache *c,
    const unsigned char mac[static AUTH_CACHE_MAC_LEN], int64_t now_ms);
/* `masked`: AUTH_CACHE_KEY_LEN octets, or NULL. */
void auth_cache_put(struct auth_cache *c,
    const unsigned char mac[static AUTH_CACHE_MAC_LEN],
    const unsigned char *masked, int64_t now_ms);

#endif
