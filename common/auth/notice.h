/* SPDX-License-Identifier: ISC */
/*
 * Who is told of an account's new mail: one record per subscription, in the
 * directory; its secret is sealed with the key of outside passwords, which
 * pneu-gateway reads, who sends the notices. How they go is the gateway's to
 * know (notice_ask.h). docs/notices.md.
 *
 * Writing: mgmt only. Errors as of accounts.h.
 */
#ifndef PNEU_AUTH_NOTICE_H
#define PNEU_AUTH_NOTICE_H

#include "common/auth/accounts.h"

#define NOTICE_ID_LEN 16
#define NOTICE_PER_ACCOUNT 32
#define NOTICE_FILTERS_MAX 50 /* mailboxes, and senders */
#define NOTICE_SECRET_MIN 16  /* octets, of a webhook */
#define NOTICE_SECRET_MAX 512

enum notice_kind {
	NOTICE_WEBHOOK,
	NOTICE_WEBPUSH,     /* RFC 8030, of a browser: with keys */
	NOTICE_UNIFIEDPUSH, /* the same for apps; keys may be missing */
	NOTICE_NTFY,
	NOTICE_KINDS
};
/* What a notice tells of the message. */
enum notice_content {
	NOTICE_NOTHING,  /* that there is new mail */
	NOTICE_ENVELOPE, /* sender and subject */
	NOTICE_PREVIEW,  /* and how its text begins */
	NOTICE_CONTENTS
};
/* "webhook", "webpush", "unifiedpush", "ntfy"; "nothing", "envelope",
 * "preview". */
extern const char *const notice_kinds[NOTICE_KINDS];
extern const char *const notice_contents[NOTICE_CONTENTS];

struct notice {
	const char *id;      /* small letters and digits */
	const char *account; /* canonical */
	enum notice_kind kind;
	enum notice_content content;
	const char
	    *url; /* it may well be all that one needs: not to be logged */
	const char *name; /* for people; "" */
	/* Web Push: the receiver's P-256 point, base64url without padding; ""
	 * for kinds without keys. Its auth secret is the sealed secret. */
	const char *p256dh;
	/* The HMAC key of a webhook, as it stands; the token of ntfy; the 16
	 * octets of auth, base64url; "": none. */
	struct slice sealed;
	/* Only mail in one of these; none: INBOX and all others but Sent,
	 * Drafts, Trash and Junk. "*": all. */
	const char *const *mailboxes;
	size_t n_mailboxes;
	/* Only from one of these: "name@domain" or "@domain"; none: all. */
	const char *const *senders;
	size_t n_senders;
	uint64_t min_size, max_size; /* octets; 0: no limit */
	bool paused;
	int64_t created_s;
	uint64_t version; /* another one after each change */
};

int notice_get(struct accounts *a, struct arena *arena, struct slice id,
    struct notice *out);
/* All, by account and time of making; `account` empty: of all accounts. */
int notice_list(struct accounts *a, struct arena *arena, struct slice account,
    struct notice **out, size_t *n);
/* Is anybody to be told of the account's mail (its canonical address)? 1, 0, or
 * an error. */
int notice_wanted(struct accounts *a, struct slice account);
/* Changes with each put and remove; *out is 0 while there was none. */
int notice_generation(struct accounts *a, uint64_t *out);

/*
 * Add (n->id is then made, in the arena) or change (not the account and the
 * kind). With `secret` (.p not NULL) that is sealed and kept, else n->sealed
 * stays what it is. A webhook that is added without a secret gets one, into
 * `made` (wipe it), where that is not NULL. -ENOENT (no such subscription or
 * account), -ENOSPC (too many), -EINVAL: with the reason in `err`.
 */
int notice_add(struct accounts *a, struct arena *arena, struct notice *n,
    struct slice secret, struct buf *made, struct buf *err);
int notice_set(struct accounts *a, const struct notice *n, struct slice secret,
    struct buf *err);
/* -ENOENT also where it is another account's; `account` empty: anybody's. */
int notice_remove(
    struct accounts *a, struct slice account, struct slice id, struct buf *err);
/* Those of an account that goes. */
int
notice_remove_all(struct accounts *a, struct slice account, struct buf *err);

/* The secret in plain; wipe `out`. Errors as of outside_secret. */
int notice_secret(struct accounts *a, const struct notice *n, struct buf *out);

#endif
