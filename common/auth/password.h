/* SPDX-License-Identifier: ISC */
/*
 * Passwords: prepared, hashed, made. Functions marked «slow» take milliseconds
 * and more: they are for co_work. What holds a password is wiped after use.
 */
#ifndef PNEU_AUTH_PASSWORD_H
#define PNEU_AUTH_PASSWORD_H

#include "common/auth/accounts.h"
#include "common/base/slice.h"

#define PASSWORD_HASH_MAX 192
#define SCRAM_KEY_LEN 32 /* the longest, of SHA-256 */
#define SCRAM_SALT_LEN 16
#define SCRAM_SALT_MAX 64
#define SCRAM_ITERATIONS_MIN 4096 /* RFC 7677 4 */
#define SCRAM_ITERATIONS_MAX 600000

struct password_policy {
	unsigned cost;
	unsigned scram_iterations;
};

/* NUL-terminated, prepared. */
struct password {
	size_t n;
	char text[ACCOUNTS_PASSWORD_MAX + 1];
};

/*
 * Prepare by SASLprep (RFC 4013), so that what two keyboards send for the same
 * characters is the same; `query` for one to be checked (unassigned code
 * points pass), else one to be stored. -EINVAL: empty, too long, NUL, not
 * UTF-8 or a character that SASLprep prohibits; -ENOMEM. Wipe in any case.
 */
int password_prepare(struct slice in, bool query, struct password *out);
void password_wipe(struct password *p);

/* The start of a crypt(5) hash: method, cost and a new salt. 0 or -EIO. */
int password_setting(
    const struct password_policy *policy, char out[static PASSWORD_HASH_MAX]);
/* Slow. `setting` may be a whole hash. 0, -EINVAL (a method that this machine
 * has not) or -ENOMEM. */
int password_hash(const struct password *p, const char *setting,
    char out[static PASSWORD_HASH_MAX]);
/* In the same time, wherever they differ. */
bool password_hash_eq(const char *a, const char *b);

enum scram_digest { SCRAM_SHA_256, SCRAM_SHA_1, SCRAM_DIGESTS };

/* What the server keeps of a password for SCRAM (RFC 5802 3, RFC 7677). */
struct scram_keys {
	enum scram_digest digest; /* says how long the keys are */
	uint32_t iterations;
	uint32_t salt_n;
	unsigned char salt[SCRAM_SALT_MAX];
	unsigned char stored_key[SCRAM_KEY_LEN];
	unsigned char server_key[SCRAM_KEY_LEN];
};
size_t scram_key_len(enum scram_digest digest);
/* Slow. From digest, salt and iterations, make the rest. 0 or -EIO. */
int scram_keys_derive(const struct password *p, struct scram_keys *k);
/* Slow. ClientKey, by which a client signs in: stored nowhere. Wipe it. 0 or
 * -EIO. */
int scram_client_key_derive(const struct password *p,
    const struct scram_keys *k, unsigned char out[static SCRAM_KEY_LEN]);

/* A password that nobody can guess and a person can type: 100 bits, as
 * "4kq7x-9mzfh-t2wcd-r8npb". */
#define PASSWORD_GENERATED_LEN 23
void password_generate(char out[static PASSWORD_GENERATED_LEN + 1]);

#endif
