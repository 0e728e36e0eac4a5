/* SPDX-License-Identifier: ISC */
/*
 * What opens an account's private key (docs/sealing.md): the key, wrapped once
 * for each credential, by its password and, where SCRAM can sign in with it, by
 * ClientKey (RFC 5802 3), which a successful exchange shows and nobody stores;
 * and once by the recovery key. `about` is account, NUL, credential, NUL and
 * public key: a wrapping is of no use anywhere else. Functions marked «slow»
 * are for co_work.
 */
#ifndef PNEU_AUTH_UNLOCK_H
#define PNEU_AUTH_UNLOCK_H

#include "common/auth/password.h"
#include "common/auth/seal.h"

#define UNLOCK_SALT_LEN 16
#define UNLOCK_MEMORY_MAX ((uint64_t)128 << 20) /* octets, of one scrypt */

/* How a password becomes a key (RFC 7914). */
struct unlock_scrypt {
	uint64_t n;
	uint32_t r, p;
	unsigned char salt[UNLOCK_SALT_LEN];
};
struct unlock {
	bool any; /* else nothing of the rest is set */
	unsigned char public[SEAL_PUBLIC_LEN]; /* of the key that it opens */
	struct unlock_scrypt scrypt;
	unsigned char by_password[SEAL_WRAP_LEN];
	bool has_scram[SCRAM_DIGESTS];
	unsigned char by_scram[SCRAM_DIGESTS][SEAL_WRAP_LEN];
};

/* About as dear as the password's hash, by accounts.hash_cost; with a salt. */
void unlock_scrypt_choose(unsigned cost, struct unlock_scrypt *out);
/* Are these numbers that we would work with, for what is in a record? */
bool unlock_scrypt_is_fit(const struct unlock_scrypt *s);

/*
 * Slow. Wrap `private`, u->public and u->scrypt being set, also for those
 * SCRAM keys (all SCRAM_DIGESTS of them) that `has_scram` says. 0 or -EIO.
 */
int unlock_make(struct unlock *u,
    const unsigned char private[static SEAL_KEY_LEN], struct slice about,
    const struct password *password, const struct scram_keys *keys,
    const bool *has_scram);
/* Slow. 0; -EBADMSG: not this password, or damaged; -EIO. */
int unlock_by_password(const struct unlock *u, struct slice about,
    const struct password *password,
    unsigned char private[static SEAL_KEY_LEN]);
/* 0; -EBADMSG; -ENOENT: not wrapped for that. */
int unlock_by_client_key(const struct unlock *u, struct slice about,
    enum scram_digest digest,
    const unsigned char client_key[static SCRAM_KEY_LEN],
    unsigned char private[static SEAL_KEY_LEN]);

/* --- the recovery key, which a person keeps on paper --- */

/* 144 bits of chance and 16 to find slips of the pen, in Crockford's base 32:
 * "a7km-...", eight groups of four. */
#define RECOVERY_TEXT_LEN 39
void recovery_make(char out[static RECOVERY_TEXT_LEN + 1]);
/* As a person types it: in any case, with any spaces and dashes, o for 0, i
 * and l for 1. The key that it wraps with; -EINVAL: mistyped. */
int recovery_read(struct slice text, unsigned char key[static SEAL_KEY_LEN]);

#endif
