/* SPDX-License-Identifier: ISC */
/*
 * The account directory, on the engine (design section 4a). All daemons read;
 * only mgmt writes. Records are JSON by kind:
 *
 *   domain      "example.org"  { "catch_all": ["owner@example.org"], ... }
 *   account     "alice@example.org"  { "name", "quota_octets", "disabled" ... }
 *   address     "sales@example.org"  { "targets": [...] } | { "blocked": true }
 *   credential  account + name  { "hash" | SCRAM keys, "scopes", ... }
 *
 * Names are canonical (address_canonical of common/mail: lower-case, A-label
 * domain, NFC). A change is seen by the next look-up, with no reload. Calls
 * may wait. Errors: -ENOENT, -EIO, -EAGAIN.
 */
#ifndef PNEU_AUTH_ACCOUNTS_H
#define PNEU_AUTH_ACCOUNTS_H

#include "common/auth/sent.h"
#include "common/base/arena.h"
#include "common/base/conf.h"

#define ACCOUNTS_TARGETS_MAX 1000 /* of an address or a catch-all */
#define ACCOUNTS_PASSWORD_MAX 500 /* octets; crypt(5) takes 511 */
#define ACCOUNTS_CREDENTIALS_MAX 32 /* of an account */

struct accounts;

/*
 * Readers open with `write` false, and may do so before there is a database:
 * until one appears every look-up answers -EAGAIN. The writer makes it.
 * 0, or -errno with the reason in `err`. `conf` need not outlive the call.
 */
int accounts_open(struct accounts **out, const struct conf *conf, bool write,
    struct buf *err);
void accounts_close(struct accounts **a);
/* False: there is no database yet. */
bool accounts_exist(struct accounts *a);
/* One in memory, with nothing in it: to look at where there is none. */
int accounts_open_empty(struct accounts **out, const struct conf *conf,
    struct buf *err);

/* --- who gets what is sent to an address --- */

enum accounts_fate {
	ACCOUNTS_DELIVER,   /* to `accounts[0]`, an account of ours */
	ACCOUNTS_FORWARD,   /* to `targets`, instead (alias, catch-all, forward) */
	ACCOUNTS_BLOCKED,   /* 550 5.1.1, as if unknown */
	ACCOUNTS_UNKNOWN,   /* domain is ours, address is not: 550 5.1.1 */
	ACCOUNTS_DISABLED,  /* the account or the domain: 550 5.2.1 */
	ACCOUNTS_NOT_LOCAL, /* domain is not ours */
};
struct accounts_resolution {
	enum accounts_fate fate;
	const char *account;	 /* DELIVER: canonical address of the account */
	struct slice detail;	 /* DELIVER: subaddress (bob+DETAIL@), or "" */
	const char *const *targets; /* FORWARD: n addresses, expanded: each is an
				   account of ours (maybe with a subaddress) or
				   an outside address */
	const bool *target_is_local;
	const char *const *target_accounts; /* the account, NULL if outside */
	size_t n_targets;
	bool catch_all;	  /* FORWARD: by the domain's catch-all */
	const char *rule; /* in plain words which record decided: "alias
			     sales@example.org", for logs */
};
/*
 * Order: exact address (account, alias, blocked), then without subaddress,
 * then the domain's catch-all; then, so that every domain has one (RFC 5321
 * 4.5.1), postmaster is the oldest admin, or the oldest account without any.
 * `<postmaster>` without domain is the one of the first domain. Aliases of
 * aliases are followed and loops cut; over 10 deep or 1,000 targets is
 * -E2BIG (logged; the admin's fault, so try later). Targets that are disabled,
 * blocked or unknown are left out where others remain.
 * `local` and `domain` as in a path (not canonical). 0 or an error.
 */
int accounts_resolve(struct accounts *a, struct arena *arena,
    struct slice local, struct slice domain, struct accounts_resolution *out);

/* --- records --- */

/* How mail is sealed (docs/sealing.md). */
enum accounts_encryption {
	ACCOUNTS_ENCRYPTION_DEFAULT, /* as mailbox.encryption says */
	ACCOUNTS_ENCRYPTION_NONE,
	ACCOUNTS_ENCRYPTION_SERVER,
	ACCOUNTS_ENCRYPTION_ACCOUNT,
};

struct accounts_account {
	const char *address; /* canonical */
	const char *name;    /* display name, or "" */
	bool disabled;
	bool admin;
	/* Passwords set from now on are kept, sealed, for CRAM-MD5 and APOP;
	 * switched off, what was kept is gone. */
	bool cram_md5;
	/* A reply to what came in for an address of its catch-all goes out from
	 * that address. */
	bool reply_as;
	uint64_t quota_octets, quota_messages; /* 0: none */
	/* What it may send as beside addresses whose mail comes to it:
	 * addresses, ours or not, and "@example.org" for all of a domain. */
	const char *const *send_as;
	size_t n_send_as;
	/* Outside accounts (outside.h) that what comes for it is put into, too;
	 * with push_only, not here then. */
	const char *const *push;
	size_t n_push;
	bool push_only;
	/* What it may send (sent.h), where not as the settings say (0). */
	uint32_t sent_limits[SENT_LIMITS];
	enum accounts_encryption encryption;
	/* It has a key pair, and a recovery key; put changes neither. */
	bool has_key, has_recovery;
	int64_t created_s;
};
struct accounts_domain {
	const char *name; /* A-label */
	const char *const *catch_all; /* targets, or none */
	size_t n_catch_all;
	bool disabled;
	/* Of all its accounts together; 0: none. */
	uint64_t quota_octets, quota_messages;
	int64_t created_s;
};
struct accounts_address {
	const char *address;
	const char *const *targets;
	size_t n_targets;
	bool blocked;
};
struct accounts_credential {
	const char *name; /* "password", "phone" */
	unsigned scopes;  /* enum accounts_scope; 0: all */
	int64_t created_s;
	int64_t used_s; /* to the minute; 0: never, or very long ago */
	bool opens;	/* the account's private key */
};
enum accounts_scope {
	ACCOUNTS_IMAP = 1,
	ACCOUNTS_POP3 = 2,
	ACCOUNTS_SUBMISSION = 4,
	ACCOUNTS_API = 8,
};
#define ACCOUNTS_READING (ACCOUNTS_IMAP | ACCOUNTS_POP3 | ACCOUNTS_API)
/* May passwords of these scopes read mail, and so open what is sealed? */
bool accounts_scopes_may_read(unsigned scopes);

int accounts_account_get(struct accounts *a, struct arena *arena,
    struct slice address, struct accounts_account *out);
/* The canonical address of the account that a user name means ("alice" is of
 * the first domain). 0, -ENOENT (there is none), or an error. */
int accounts_account_name(struct accounts *a, struct arena *arena,
    struct slice user, const char **account);
int accounts_domain_get(struct accounts *a, struct arena *arena,
    struct slice name, struct accounts_domain *out);
int accounts_address_get(struct accounts *a, struct arena *arena,
    struct slice address, struct accounts_address *out);
/* What the account may have, and all of its domain together; 0: no limit. */
struct accounts_quota {
	uint64_t octets, messages;
	uint64_t domain_octets, domain_messages;
};
int accounts_quota_get(struct accounts *a, struct arena *arena,
    struct slice account, struct accounts_quota *out);
/* All, sorted; `domain` empty: of all domains. */
int accounts_account_list(struct accounts *a, struct arena *arena,
    struct slice domain, struct accounts_account **out, size_t *n);
int accounts_domain_list(struct accounts *a, struct arena *arena,
    struct accounts_domain **out, size_t *n);
int accounts_address_list(struct accounts *a, struct arena *arena,
    struct slice domain, struct accounts_address **out, size_t *n);
int accounts_credential_list(struct accounts *a, struct arena *arena,
    struct slice account, struct accounts_credential **out, size_t *n);
/* What stands for the account's passwords as they are now: another value once
 * one of them is set, added or removed. 0, or -ENOENT: there is no such account,
 * or it is disabled. */
#define ACCOUNTS_DIGEST_LEN 32
int accounts_passwords_digest(struct accounts *a, struct arena *arena,
    struct slice account, unsigned char out[static ACCOUNTS_DIGEST_LEN]);

/*
 * Writing: mgmt only. 0, -EEXIST (add), -ENOENT (set, remove), -EINVAL with
 * the reason in `err`. Removing a domain needs it empty (-ENOTEMPTY).
 */
int accounts_domain_put(struct accounts *a, const struct accounts_domain *d,
    bool add, struct buf *err);
int accounts_domain_remove(struct accounts *a, struct slice name,
    struct buf *err);
int accounts_account_put(struct accounts *a, const struct accounts_account *c,
    bool add, struct buf *err);
/*
 * A part of the record that is there: who writes all of it as he has read it
 * undoes what another has changed since, and for people that may be an admin who
 * shuts them out. `fn` may be called more than once, with the record as it is
 * then; what it puts in is checked by the caller, or in that arena; its error
 * ends the change.
 */
typedef int accounts_change_fn(void *arg, struct arena *arena,
    struct accounts_account *r, struct buf *err);
int accounts_account_change(struct accounts *a, struct slice address,
    accounts_change_fn *fn, void *arg, struct buf *err);
int accounts_account_remove(struct accounts *a, struct slice address,
    struct buf *err);
int accounts_address_put(struct accounts *a, const struct accounts_address *d,
    bool add, struct buf *err);
int accounts_address_remove(struct accounts *a, struct slice address,
    struct buf *err);
/*
 * The credential `name` ("password" for the main one) with this password, new
 * or in place of its old one: stored as a yescrypt hash and, where
 * accounts.scram is on, as SCRAM-SHA-256 keys. -ENOENT: no such account.
 * -ENOKEY: the account has a key pair, which this password would not open; see
 * accounts_password_change.
 */
int accounts_password_set(struct accounts *a, struct slice account,
    const char *name, struct slice password, unsigned scopes, struct buf *err);
/* -ENOKEY: it is the last that opens the account's private key. */
int accounts_credential_remove(struct accounts *a, struct slice account,
    const char *name, struct buf *err);

/* --- sealed mail (docs/sealing.md) --- */

struct seal_key;

struct accounts_sealing {
	enum accounts_encryption how; /* of what comes in; not DEFAULT */
	bool has_key; /* with _ACCOUNT, false: until a password is set */
	unsigned char public[32]; /* SEAL_PUBLIC_LEN, if has_key */
};
/* What a delivery must know. 0, -ENOENT (no such account), or an error. */
int accounts_sealing_get(struct accounts *a, struct slice account,
    struct accounts_sealing *out);

/*
 * Writing, for mgmt. Who sets a password needs the private key, to wrap it once
 * more: whoever knows one of the passwords, or the recovery key, has it by
 * accounts_key_open. 0 with a reference to the key; -EACCES: it is none that
 * opens it; -ENOENT: no such account; -ENOKEY: it has no key pair.
 */
int accounts_key_open(struct accounts *a, struct slice account,
    struct slice password, struct seal_key **out, struct buf *err);
int accounts_key_recover(struct accounts *a, struct slice account,
    struct slice recovery, struct seal_key **out, struct buf *err);
/*
 * Make the pair, to be opened by this password, which is one of the account's.
 * -EACCES: it is not, or not one that may read mail. -EEXIST: it has a pair.
 */
int accounts_key_make(struct accounts *a, struct slice account,
    struct slice password, struct buf *err);

/* As accounts_password_set. */
struct accounts_password_change {
	const char *name;
	struct slice password;
	unsigned scopes;
	/* What the account's key pair, if it has one, is opened by this password
	 * with; NULL: -ENOKEY, unless the password is not for reading mail. */
	const struct seal_key *key;
	/* Nobody has that: a new pair takes its place, and what was sealed with
	 * the old one is lost. */
	bool lose_sealed;
	/* There is no pair: make one, whatever mailbox.encryption says. */
	bool make_key;
	int64_t created_s; /* 0: now */
};
int accounts_password_change(struct accounts *a, struct slice account,
    const struct accounts_password_change *in, struct buf *err);
/* As accounts_credential_remove, though nothing opens the key then: the account
 * has none any more, and what was sealed with it is lost. */
int accounts_credential_remove_lose(struct accounts *a, struct slice account,
    const char *name, struct buf *err);

/* A new recovery key, in place of the one there was, to `text` (wipe it):
 * RECOVERY_TEXT_LEN of unlock.h. */
int accounts_recovery_make(struct accounts *a, struct slice account,
    const struct seal_key *key, char text[static 40], struct buf *err);
/*
 * For a copy of the account's mail elsewhere: its private key as the recovery
 * key wraps it (SEAL_WRAP_LEN), -ENOENT: it has none; and, there, what opens
 * it: -EACCES: not this recovery key.
 */
int accounts_recovery_get(
    struct accounts *a, struct slice account, unsigned char wrapped[static 60]);
int accounts_recovery_open(struct slice account,
    const unsigned char public[static 32],
    const unsigned char wrapped[static 60], struct slice recovery,
    struct seal_key **out);
int accounts_recovery_remove(
    struct accounts *a, struct slice account, struct buf *err);

/* --- signing in --- */

/*
 * Check a password, off the loop. 0 with the canonical account (arena); -EACCES
 * wrong, unknown, disabled or out of scope (always at the same cost, and after
 * a delay that grows with failures); -EAGAIN cannot tell now (454, NO
 * [UNAVAILABLE]). `peer`: the client's prefix (net_addr_prefix), for counting.
 */
int accounts_authenticate(struct accounts *a, struct arena *arena,
    struct slice user, struct slice password, enum accounts_scope scope,
    const char *peer, const char **account);
/*
 * The same for who is going to read mail: with a reference to the account's
 * private key. NULL: it has none, or this password does not open it.
 */
int accounts_authenticate_key(struct accounts *a, struct arena *arena,
    struct slice user, struct slice password, enum accounts_scope scope,
    const char *peer, const char **account, struct seal_key **key);

/*
 * The same for CRAM-MD5 (RFC 2195) and APOP (RFC 1939 7), which only passwords
 * of accounts with `cram_md5` can do: `digest` is what the client made of the
 * challenge, in hexadecimal.
 */
enum accounts_digest { ACCOUNTS_CRAM_MD5, ACCOUNTS_APOP };
int accounts_authenticate_digest(struct accounts *a, struct arena *arena,
    struct slice user, enum accounts_digest kind, struct slice challenge,
    struct slice digest, enum accounts_scope scope, const char *peer,
    const char **account, struct seal_key **key);
/* Is there any such password? Else neither is offered. */
bool accounts_have_secrets(struct accounts *a);
/* "<...@host>", another each time; NULL: out of memory. */
char *accounts_challenge(struct accounts *a, struct arena *arena);

/* The table of failed sign-ins (common/auth/throttle.h), for the admin. */
struct throttle;
struct throttle *accounts_throttle(struct accounts *a);

/* --- sending --- */

/* May `account` send as this address: its own, subaddresses of it, an alias
 * that has it among its targets, any address of a domain whose catch-all it
 * is and that is nobody else's; in one word, an address whose mail comes to
 * it; or one that it was granted (send_as), subaddresses of that included; or
 * one of an outside account of its own that sends (outside.h).
 * 1 yes, 0 no, or an error. */
int accounts_may_send_as(struct accounts *a, struct slice account,
    struct slice local, struct slice domain);

/* Did mail for this address come to the account by a catch-all? 1, 0 or an
 * error. */
int accounts_is_caught(struct accounts *a, struct slice account,
    struct slice local, struct slice domain);

/*
 * A domain whose catch-all leads to the account: `prefer`, if it is one, else
 * the oldest. In the arena. -ENOENT: there is none.
 */
int accounts_catch_all_of(struct accounts *a, struct arena *arena,
    struct slice account, struct slice prefer, const char **domain);

#endif
