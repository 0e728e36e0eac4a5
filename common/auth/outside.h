/* SPDX-License-Identifier: ISC */
/*
 * Outside accounts: what people have at other providers, and pneu-gateway
 * fetches for them. One record per outside address, in the directory; the
 * password is sealed (secret.h) with a key of its own, so that neither a copy of
 * the database tells it nor the programs that need not know it.
 *
 * Writing: mgmt only. Errors as of accounts.h.
 */
#ifndef PNEU_AUTH_OUTSIDE_H
#define PNEU_AUTH_OUTSIDE_H

#include "common/auth/accounts.h"

#define OUTSIDE_FOLDERS_MAX 200
#define OUTSIDE_SECRET_MAX ((size_t)8192) /* octets: tokens are long */

enum outside_protocol {
	OUTSIDE_POP3,
	OUTSIDE_IMAP,
	OUTSIDE_GMAIL, /* its HTTP API */
	OUTSIDE_PROTOCOLS
};
/* What Gmail's labels are here, besides its own. */
enum outside_labels {
	OUTSIDE_LABELS_KEYWORDS,
	OUTSIDE_LABELS_FOLDERS,
	OUTSIDE_LABELS
};
extern const char *const outside_label_words[OUTSIDE_LABELS];
enum outside_security {
	OUTSIDE_TLS,
	OUTSIDE_STARTTLS,
	OUTSIDE_PLAIN,
	OUTSIDE_SECURITIES
};
/* What becomes of a message of IMAP after it was fetched. */
enum outside_sync {
	OUTSIDE_FOLLOW, /* flags that change there change here */
	OUTSIDE_MIRROR, /* both are kept alike, deletions and moves too */
	OUTSIDE_APART,  /* nothing */
	OUTSIDE_SYNCS
};
extern const char *const outside_syncs[OUTSIDE_SYNCS]; /* "follow", ... */
enum outside_sign_in { OUTSIDE_PASSWORD, OUTSIDE_OAUTH, OUTSIDE_SIGN_INS };
/* "pop3", "imap", "gmail"; "tls", "starttls", "none"; "password", "oauth". */
extern const char *const outside_protocols[OUTSIDE_PROTOCOLS];
extern const char *const outside_securities[OUTSIDE_SECURITIES];
extern const char *const outside_sign_ins[OUTSIDE_SIGN_INS];

struct outside_server {
	const char *host; /* "": none */
	uint16_t port;
	enum outside_security security;
};

/* Of OUTSIDE_OAUTH; what is "" is as the provider's row of oauth_provider.c and
 * the settings gateway.oauth_* say. No string is NULL. */
struct outside_oauth {
	const char *provider; /* "google", or "" */
	const char *client, *scope;
	const char *auth_url, *token_url, *device_url;
	struct slice sealed; /* the client's secret, "": none of its own */
};

struct outside {
	const char *address; /* canonical; there is one record for each */
	const char *account; /* whose mail it is here, canonical */
	enum outside_protocol protocol;
	struct outside_server server;
	struct outside_server
	    smtp;         /* what it sends through; host "": nothing */
	const char *user; /* to sign in there */
	enum outside_sign_in sign_in;
	struct outside_oauth oauth;
	struct slice sealed; /* password or refresh token; "": none yet */
	/* Where mail goes: of POP3 a mailbox (INBOX), of IMAP the one that all
	 * folders go below ("": each has its own name here). */
	const char *into;
	const char *const *folders; /* IMAP: only these; none: all */
	size_t n_folders;
	int64_t interval_s; /* between two looks; 0: as the setting says */
	enum outside_labels labels;
	int64_t delete_days; /* at the origin, after so many; -1: never */
	enum outside_sync sync; /* IMAP, Gmail */
	bool paused;
	/* Only if its servers have addresses that the whole world can have: they
	 * were named by a user, who shall not reach this machine and its
	 * neighbours through us. */
	bool public_only;
	int64_t created_s;
	/* Which one it is, of those that may come and go by this address; "" of
	 * records that are older than that. */
	const char *id;
};

/* A slice or string of what is found is in the arena. */
int outside_get(struct accounts *a, struct arena *arena, struct slice address,
    struct outside *out);
/* All, sorted by address; `account` empty: of all accounts. */
int outside_list(struct accounts *a, struct arena *arena, struct slice account,
    struct outside **out, size_t *n);
/* The same record by record, as they are kept: each(arg, address, record), which
 * must not wait; what it returns but 0 ends it. */
int outside_each(struct accounts *a,
    int (*each)(void *arg, struct slice address, struct slice record),
    void *arg);
/* -EIO: it is damaged, and that is logged. */
int outside_decode(struct arena *arena, struct slice address,
    struct slice record, struct outside *out);
/* Changes with each put and remove; *out is 0 while there was none. */
int outside_generation(struct accounts *a, uint64_t *out);

/*
 * Add or change. With `secret` (.p not NULL) that is sealed and kept, else
 * o->sealed stays what it is, unless the way to sign in is another one now: no
 * password ever goes where tokens are asked for. -EEXIST, -ENOENT (no such outside account, or no
 * such account of ours), -EINVAL with the reason in `err`.
 */
int outside_put(struct accounts *a, const struct outside *o, bool add,
    struct slice secret, struct buf *err);
int outside_remove(struct accounts *a, struct slice address, struct buf *err);
/* Those of an account that goes. */
int
outside_remove_all(struct accounts *a, struct slice account, struct buf *err);

/* Does mail of the account from this address, in a path's parts, go out through
 * an outside account of its own? 1, 0 or an error. */
int outside_sends(struct accounts *a, struct slice account, struct slice local,
    struct slice domain);

/*
 * Pushing: what comes for an account of ours is put into an outside account.
 * Inside pneu that is a forward-path, the outside address and a domain behind it
 * that is nobody's (RFC 6761 6.4): <you@gmail.com.outside.invalid>, which qm
 * hands to the gateway.
 */
#define OUTSIDE_PUSH_DOMAIN ".outside.invalid"
/* Is it one? Then the outside address is in *out. */
bool outside_push_is(struct slice forward_path, struct slice *out);
/* Let `account` be pushed to the outside address, or (add false) no more; `only`:
 * then nothing stays here, for all of the account's. -ENOENT with the reason. */
int outside_push_put(struct accounts *a, struct slice account,
    struct slice address, bool add, bool only, struct buf *err);
/* Is what is put into its INBOX fetched from there? */
bool outside_push_comes_back(const struct outside *o);
/* Into the outside address nothing is put any more, whoever's. */
int outside_push_forget(
    struct accounts *a, struct slice address, struct buf *err);

/* The client's secret of o->oauth, sealed into that, in the arena; it is kept by
 * the next outside_put. `secret` empty: none of its own. */
int outside_seal_client(struct accounts *a, struct arena *arena,
    struct outside *o, struct slice secret, struct buf *err);

/* The password or refresh token in plain; wipe `out`. 0, -ENOENT (none), -EBADMSG
 * (sealed with another key), or -errno of the key's file. */
int
outside_secret(struct accounts *a, const struct outside *o, struct buf *out);
/* The same of the client's secret. */
int outside_client_secret(
    struct accounts *a, const struct outside *o, struct buf *out);
/* A refresh token that came in place of the record's, which only mgmt may write:
 * for who keeps it elsewhere. Errors as above; *out is in the arena. */
int outside_token_seal(struct accounts *a, struct arena *arena,
    const struct outside *o, struct slice token, struct slice *out,
    struct buf *err);
int outside_token_open(struct accounts *a, const struct outside *o,
    struct slice sealed, struct buf *out);

#endif
