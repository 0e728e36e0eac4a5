/* SPDX-License-Identifier: ISC */
/*
 * What the files of common/auth share; nobody else includes it, but for unit
 * tests.
 *
 * Where records are. A domain is a partition, so that all rules about its
 * records (an address is one thing only; an account has a domain) are kept by
 * one atomic batch:
 *
 *	d/example.org	d		the domain
 *			g		generation: changes with every batch
 *			n/LOCAL		account, alias or blocked address
 *			c/LOCAL NUL NAME	credential
 *	o		a/ADDRESS	outside account (outside.c)
 *			g		generation, as above
 *	m		schema, secret, domain (the first one), postmaster
 *
 * "m" only holds what can be made again from the rest (and the secret).
 */
#ifndef PNEU_AUTH_ACCOUNTS_IMPL_H
#define PNEU_AUTH_ACCOUNTS_IMPL_H

#include "common/auth/accounts.h"
#include "common/auth/password.h"
#include "common/auth/seal.h"
#include "common/auth/throttle.h"
#include "common/auth/unlock.h"
#include "common/mail/address.h"
#include "common/store/store.h"

#define ACCOUNTS_SCHEMA 1
#define ACCOUNTS_HASHES_MAX 128 /* that wait or run, in one process */

struct accounts {
	struct store *store; /* NULL: no database yet */
	struct store_conf store_conf;
	char *dir;
	struct co_mutex opening;
	bool complained; /* about a database that cannot be opened */

	char *subaddress;
	struct password_policy policy;
	bool scram[SCRAM_DIGESTS]; /* offered, and kept of new passwords */
	unsigned char secret[32];      /* of the database: for fake salts */
	char dummy[PASSWORD_HASH_MAX]; /* what unknown users are checked with */

	struct throttle *throttle;
	struct auth_cache *cache;
	char *hostname; /* in challenges */
	char *key_path, *outside_key_path;
	bool has_key, key_complained;
	unsigned char key[32]; /* of sealed passwords (secret.h) */
	enum accounts_encryption encryption; /* mailbox.encryption */
	struct seal_table *keys; /* private keys in use */
	struct oauth *oauth; /* NULL: no tokens; sasl_server_start's */
	size_t hashes; /* that wait or run */
	bool flooded;  /* said so, until none does */
	struct co_semaphore hashers;
};

/* As accounts_open, on any engine. */
int accounts_open_store(struct accounts **out, const struct conf *conf,
    const struct store_conf *sc, struct buf *err);

/* 0, or -EAGAIN without a database. May wait. */
int accounts_ready(struct accounts *a);

/* --- keys --- */

/* "local@domain", canonical, and its parts. */
struct accounts_name {
	struct slice address, local, domain;
};
/* 0, -EINVAL, -ENOMEM; accounts_user lets the domain be left out, for the
 * first one. */
int accounts_name(
    struct arena *arena, struct slice address, struct accounts_name *out);
int accounts_user(struct accounts *a, struct arena *arena, struct slice user,
    struct accounts_name *out);

/* The canonical form of a local part as paths have it, without the quotes that
 * it may need, or with them. 0, -EINVAL, -ENOMEM. */
int accounts_local(
    struct arena *arena, struct slice local, struct slice *out);

/* Slices in the arena; .p NULL when it is full. */
struct slice accounts_partition(struct arena *arena, struct slice domain);
struct slice
accounts_key(struct arena *arena, const char *kind, struct slice local);
struct slice accounts_credential_key(
    struct arena *arena, struct slice local, struct slice name);

/* A row's value in the arena. 0, -ENOENT, -EAGAIN, -EIO, -ENOMEM. */
int accounts_row(struct accounts *a, struct arena *arena, struct slice part,
    struct slice key, struct slice *val);
/* Of partition "m". */
int accounts_meta(struct accounts *a, struct arena *arena, const char *key,
    struct slice *val);

/* --- records (accounts_record.c) --- */

enum accounts_kind { KIND_ACCOUNT, KIND_ALIAS, KIND_BLOCKED };

/* The key pair of an account, in its record. */
struct seal_record {
	bool has_key, has_recovery;
	unsigned char public[SEAL_PUBLIC_LEN];
	unsigned char recovery[SEAL_WRAP_LEN]; /* the private key */
};

struct name_record {
	enum accounts_kind kind;
	struct accounts_account account; /* address not set */
	struct seal_record seal;
	struct accounts_address alias;   /* address not set */
};
struct credential_record {
	struct accounts_credential public; /* name not set */
	const char *hash;                  /* crypt(5) */
	bool has_scram[SCRAM_DIGESTS];
	struct scram_keys scram[SCRAM_DIGESTS];
	struct slice sealed; /* the password (secret.h), or "" */
	struct unlock unlock;
	struct slice raw; /* the row, for the cache */
};

/* 0, -EIO (damaged) or -ENOMEM; all memory is the arena's. */
int record_domain_decode(
    struct arena *arena, struct slice json, struct accounts_domain *out);
int record_name_decode(
    struct arena *arena, struct slice json, struct name_record *out);
int record_credential_decode(
    struct arena *arena, struct slice json, struct credential_record *out);

/*
 * `old` is the row in place ("" for none): fields of it that we do not know
 * are kept, and the key pair is (record_seal_put changes it). 0, -EIO (old is
 * damaged), -ENOMEM, -E2BIG.
 */
int record_domain_encode(
    struct slice old, const struct accounts_domain *d, struct buf *out);
int record_name_encode(
    struct slice old, const struct name_record *r, struct buf *out);
int
record_credential_encode(const struct credential_record *r, struct buf *out);
/* The record `old` of an account with this key pair. */
int record_seal_put(
    struct slice old, const struct seal_record *seal, struct buf *out);

/* Fields of records, for accounts_record.c: accounts_record_seal.c. False:
 * damaged; absent is fine, and *out zeros. */
struct json_t;
bool record_seal_read(const struct json_t *o, struct seal_record *out);
bool record_unlock_read(const struct json_t *o, struct unlock *out);
/* NULL: out of memory. */
struct json_t *record_unlock_json(const struct unlock *u);

/* An object, or NULL: nothing else, not too deep, no name twice. */
struct json_t;
struct json_t *record_load(struct slice json);

/* Scopes as text and back: "imap,pop3"; "" is all. */
extern const struct accounts_scope_name {
	const char *name;
	unsigned scope;
} accounts_scope_names[];

/* --- reading --- */

int accounts_domain_row(struct accounts *a, struct arena *arena,
    struct slice domain, struct accounts_domain *out);
int accounts_name_row(struct accounts *a, struct arena *arena,
    struct slice domain, struct slice local, struct name_record *out);

/* All that is needed to check who an account says it is. */
struct accounts_login {
	struct accounts_name name; /* address "" when it cannot be one */
	bool enabled; /* it exists, and neither it nor the domain is disabled */
	bool domain_is_ours, is_account;
	bool keeps_secrets; /* accounts_account.cram_md5 */
	enum accounts_encryption encryption;
	struct seal_record seal;
	struct credential_record *credentials;
	size_t n;
};
/* Unknown users give one without credentials. 0, -EAGAIN, -EIO, -ENOMEM. */
int accounts_login_load(struct accounts *a, struct arena *arena,
    struct slice user, struct accounts_login *out);
/* Only those credentials that have this scope remain. */
void accounts_login_scope(struct accounts_login *l, unsigned scope);
/*
 * Around each check: begin waits for as long as failures cost (0, or -EAGAIN
 * and there is no check), `key` being the name in canonical form as far as it
 * has one. End counts and logs how it went: `rc` 0 with `why` NULL for right
 * (by `match`, if a credential was it), or words; it returns 0, -EACCES, or
 * -EAGAIN where rc is an error.
 */
struct accounts_attempt {
	struct slice key;
	const char *peer, *mechanism;
	int64_t began_us; /* set by accounts_check_begin */
};
int accounts_check_begin(struct accounts *a, struct accounts_attempt *at);
int accounts_check_end(struct accounts *a, const struct accounts_attempt *at,
    const struct accounts_login *l, const struct credential_record *match,
    int rc, const char *why);
struct slice accounts_attempt_key(
    struct accounts *a, struct arena *arena, struct slice user);
/* The key of sealed passwords, in a->key: 0 or -errno, logged once. */
int accounts_secret_key(struct accounts *a, bool make);
struct slice accounts_secret_about(
    struct arena *arena, struct slice address, struct slice credential);
/* Run what takes long on the thread pool, in turn. 0, or -EAGAIN: too many wait.
 */
int accounts_work(struct accounts *a, void (*fn)(void *), void *arg);

/* --- the private key at a sign-in (accounts_unlock.c) --- */

/* What a wrapping of this account's key is about (unlock.h). */
struct slice accounts_unlock_about(struct arena *arena,
    const struct accounts_login *l, struct slice credential);
/* Does this credential open the account's key? */
bool accounts_opens(
    const struct accounts_login *l, const struct credential_record *r);
/* Does any credential but `except` (NULL: none) open it? */
bool accounts_is_opened(const struct accounts_login *l, const char *except);
/* The key, if somebody has it in use already. */
struct seal_key *accounts_unlock_live(
    struct accounts *a, const struct accounts_login *l);
/* The key of an account from octets that were unwrapped; NULL, logged: it is
 * not the account's. */
struct seal_key *accounts_unlock_take(struct accounts *a,
    const struct accounts_login *l,
    const unsigned char octets[static SEAL_KEY_LEN]);
/*
 * By a password or ClientKey that was right, of a credential that opens it. 0,
 * with *key NULL (logged) where it does not after all; -EAGAIN, -ENOMEM.
 */
int accounts_unlock_password(struct accounts *a, struct arena *arena,
    const struct accounts_login *l, const struct credential_record *r,
    const struct password *password, struct seal_key **key);
int accounts_unlock_client_key(struct accounts *a, struct arena *arena,
    const struct accounts_login *l, const struct credential_record *r,
    enum scram_digest digest, const unsigned char *client_key,
    struct seal_key **key);

/* Log and trace a refusal; names nobody who is not ours. */
void accounts_log_refused(const struct accounts_login *l,
    const struct accounts_attempt *at, const char *why);

#endif
