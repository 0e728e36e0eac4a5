/* SPDX-License-Identifier: ISC */
/*
 * Mails: mailboxes and messages, in the words of mail, on the engine. IMAP,
 * POP3, LMTP and the tools use nothing else. All calls may wait unless they
 * say otherwise.
 *
 * Rows. Partition "a<account>": one row per mailbox (name -> id, attributes).
 * Partition "m<mailbox id>": header row (UIDVALIDITY, UIDNEXT, HIGHESTMODSEQ,
 * counts, keyword names), message rows by UID, change rows by modseq. The
 * octets of a message are a blob, its summary a row. Order of a delivery:
 * blob, row, reply.
 *
 * Errors: -ENOENT no such mailbox or message, -EEXIST, -EINVAL bad name,
 * -ENOSPC disk full, -EDQUOT over quota, -EIO damaged, -EAGAIN try later,
 * -ENOTEMPTY, -EPERM (INBOX cannot be deleted), -EACCES (kept mail can only be
 * read), -ENOKEY (sealed, and what opens it is not here).
 */
#ifndef PNEU_MAILBOX_MAILS_MAILS_H
#define PNEU_MAILBOX_MAILS_MAILS_H

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/co.h"
#include "common/base/slice.h"
#include "common/store/store.h"

struct mails;
struct seal_key;

enum mails_sealing {
	MAILS_SEAL_NONE,
	MAILS_SEAL_SERVER,  /* with the server's key */
	MAILS_SEAL_ACCOUNT, /* to the account's public key */
};

struct mails_conf {
	struct store_conf store;
	/* Mailboxes that a new account gets: Drafts, Sent, Trash, Junk,
	 * Archive, each with its special use, all subscribed. */
	bool no_default_mailboxes;
	/* Level of zstd for what comes in; 0: none. */
	int compression;
	/* Seconds that expunged messages and deleted mailboxes are kept, see
	 * kept.h; 0: they go at once. */
	int64_t keep_s;
	/* Sealing (docs/sealing.md). How it is done where `sealing` is NULL or
	 * says -ENOENT. */
	enum mails_sealing seal;
	/* Opens what was sealed with it; NULL: none is there. */
	const struct seal_key *server_key; /* used in mails_open only */
	/*
	 * How mail of an account is sealed, and to which public key. -ENOENT: no
	 * such account; other errors: then nothing comes in. And the server's
	 * key, where another process has made it or (`make`) an account needs
	 * it for the first time; -ENOENT: there is none. Neither may wait; each
	 * may be NULL.
	 */
	int (*sealing)(void *arg, const char *account, enum mails_sealing *how,
	    unsigned char public[static 32]);
	int (*server_key_get)(void *arg, bool make, struct seal_key **out);
	void *sealing_arg;
};
/* -EKEYREJECTED: the store was sealed with another server's key. */
int mails_open(struct mails **out, const struct mails_conf *conf,
    struct buf *err);
void mails_close(struct mails **m);
struct store *mails_store(struct mails *m);
/* Was anything ever sealed with the server's key here? */
bool mails_has_sealed(struct mails *m);

/* --- mailboxes --- */

enum mails_attr {
	MAILS_SUBSCRIBED = 1 << 0,
	MAILS_NOSELECT = 1 << 1, /* a name in the hierarchy only */
	MAILS_ARCHIVE = 1 << 2,	 /* special uses, RFC 6154 2 */
	MAILS_DRAFTS = 1 << 3,
	MAILS_JUNK = 1 << 4,
	MAILS_SENT = 1 << 5,
	MAILS_TRASH = 1 << 6,
	MAILS_FLAGGED = 1 << 7,
	MAILS_ALL = 1 << 8,
	MAILS_IMPORTANT = 1 << 9,
};
#define MAILS_SPECIAL_USES 0x3fc

#define MAILS_SEPARATOR '/'
#define MAILS_NAME_MAX 255 /* octets; also at most 32 levels */

struct mails_info {
	const char *name; /* UTF-8, NFC; "INBOX" for every spelling of it */
	uint64_t id;	  /* never used again (RFC 8474 MAILBOXID) */
	unsigned attrs;	  /* enum mails_attr */
};
/*
 * All mailboxes of the account (its canonical address), sorted by name, INBOX
 * first; a new account gets its defaults at the first touch. A name that is
 * subscribed but does not exist has id 0 and MAILS_NOSELECT.
 */
int mails_list(struct mails *m, const char *account, struct arena *a,
    struct mails_info **out, size_t *n);
/* Missing parents are made too (RFC 3501 6.3.3). `special`: one use or 0; or
 * MAILS_NOSELECT, which makes a name in the hierarchy only (for import: a
 * mailbox may come to be there later). */
int mails_create(struct mails *m, const char *account, struct slice name,
    unsigned special, uint64_t *id);
/* -ENOTEMPTY never: with children it becomes NOSELECT (RFC 3501 6.3.4). */
int mails_delete(struct mails *m, const char *account, struct slice name);
/* With all children; of INBOX: moves its mail (RFC 3501 6.3.5). */
int mails_rename(struct mails *m, const char *account, struct slice from,
    struct slice to);
int mails_subscribe(struct mails *m, const char *account, struct slice name,
    bool subscribed);
/* Everything of an account, at its removal. */
int mails_account_drop(struct mails *m, const char *account);
/* Accounts that have mail. */
int mails_accounts(struct mails *m, struct arena *a, const char ***out,
    size_t *n);

struct mails_status {
	uint32_t uidvalidity, uidnext;
	uint32_t messages, unseen, deleted;
	uint64_t octets, highestmodseq;
};
int mails_status(struct mails *m, const char *account, struct slice name,
    struct mails_status *out);
/* Messages that no session has been told of (\Recent). Counted, so to be asked
 * for only where it is wanted. */
int mails_recent(
    struct mails *m, const char *account, struct slice name, uint32_t *n);
/* Sum over all mailboxes of the account: for quota. Kept, not counted. */
int mails_usage(struct mails *m, const char *account, uint64_t *octets,
    uint64_t *messages);

/* --- flags --- */

enum mails_flag {
	MAILS_SEEN = 1 << 0,
	MAILS_ANSWERED = 1 << 1,
	MAILS_FLAGGED_FLAG = 1 << 2,
	MAILS_DELETED = 1 << 3,
	MAILS_DRAFT = 1 << 4,
};
/* Their names, as IMAP has them (RFC 3501 2.3.2). */
#define MAILS_FLAGS 5
extern const struct mails_flag_name {
	const char *name;
	uint32_t flag;
} mails_flag_names[MAILS_FLAGS];
/* By the name, case ignored; 0: there is no such flag. */
uint32_t mails_flag_find(struct slice name);
/* Can it be a keyword? An atom (RFC 3501 9), at most 255 octets. */
bool mails_keyword_is_valid(struct slice name);
#define MAILS_KEYWORDS_MAX 64 /* names per mailbox; more: -E2BIG */

/* System flags, and keywords as bits of the mailbox's keyword table. */
struct mails_flags {
	uint32_t system;   /* enum mails_flag */
	uint64_t keywords; /* bit i: mails_view_keyword(v, i) */
};

/* --- putting messages in --- */

struct mails_message; /* octets being taken in, or taken in */

/* Begin; octets follow in any chunks. Line endings must be CRLF. */
int mails_message_begin(struct mails *m, struct mails_message **out);
/*
 * Before the octets, for each account that it will be delivered to: it is
 * sealed when mail of one of them is. Where this was not said, or an account
 * comes to have its mail sealed in between, a delivery answers -ESTALE rather
 * than keep in the clear what is to be sealed. May be any number of times. 0,
 * or an error as of mails_conf.sealing.
 */
int mails_message_for(struct mails_message *msg, const char *account);
int mails_message_write(struct mails_message *msg, struct slice octets);
/* No more octets: the summary is made. */
int mails_message_end(struct mails_message *msg);
uint64_t mails_message_size(const struct mails_message *msg);
void mails_message_free(struct mails_message **msg);

#define MAILS_KEY_DAYS 10 /* longer than qm.max_age */
#define MAILS_NOTE_MAX 32 /* octets */

/* What an account, and all accounts of its domain together, may have; 0: any
 * number. Exact, however many deliver at once from whatever process. */
struct mails_quota {
	uint64_t octets, messages;
	uint64_t domain_octets, domain_messages;
};
/* Would a message of so many octets go in now? 0, -EDQUOT, or an error. */
int mails_room(struct mails *m, const char *account,
    const struct mails_quota *quota, uint64_t octets);

struct mails_was {
	uint32_t uid;
	int64_t savedate;
};

struct mails_target {
	const char *account;
	struct slice mailbox; /* must exist; LMTP says "INBOX" */
	uint32_t flags;	      /* enum mails_flag */
	const char *const *keywords; /* NULL, or NULL-terminated */
	int64_t internaldate; /* seconds; INT64_MIN: now */
	const struct mails_quota *quota; /* NULL: none; else -EDQUOT */
	/*
	 * Empty, or a key of this delivery (at most 64 octets: the trace id):
	 * when a message was delivered to this mailbox under the same key, it is
	 * not put in again, and the result is that of the first time. So who had
	 * no reply (qm, after a crash of mailbox) can ask again and nothing
	 * appears twice. Kept as row "i<key>" in the mailbox's partition, guarded
	 * absent in the batch of the delivery. Trace ids begin with the time
	 * (clock.h), so rows older than MAILS_KEY_DAYS go by a range delete in
	 * some later delivery's batch. A key that begins with a small letter
	 * (which no trace id does) stays as long as the mailbox: so an import
	 * knows for ever what it has brought in.
	 */
	struct slice key;
	struct slice note; /* kept with the key, at most MAILS_NOTE_MAX octets */
	/* NULL, or what a message had in the mailbox that this one is made again
	 * from (restore.h): its UID, if that is not yet given, and its date. */
	const struct mails_was *was;
	bool tell; /* it is new mail, and somebody is to be told: arrivals.h */
	/* results: */
	int rc;
	uint32_t uidvalidity, uid;
	bool again; /* it was there already, under its key */
};
/*
 * Put the message into n mailboxes; it is stored once. Durable for each target
 * whose rc is 0 (promise 1). Returns 0 when all are, else the first error.
 */
int mails_deliver(struct mails_message *msg, struct mails_target *targets,
    size_t n);
/*
 * n messages, each to its own target, in one group commit: for import. Those to
 * one mailbox get ascending UIDs. Results as of mails_deliver.
 */
int mails_deliver_each(struct mails_message *const *msgs,
    struct mails_target *targets, size_t n);
/*
 * What was put into the mailbox under `key`: its UID (that message may be
 * expunged by now), and its note, appended to `note`. -ENOENT: nothing was.
 */
int mails_key_get(struct mails *m, const char *account, struct slice mailbox,
    struct slice key, uint32_t *uid, struct buf *note);
/* Another note; -ENOENT as above. */
int mails_key_note(struct mails *m, const char *account, struct slice mailbox,
    struct slice key, struct slice note);
/* Keys that no delivery has put, in one commit, new or in place of old ones;
 * at most MAILS_KEYS_PUT. For keys that stay only (a small letter first). */
struct mails_key {
	struct slice key;
	uint32_t uid;
	struct slice note;
};
#define MAILS_KEYS_PUT 256
int mails_keys_put(struct mails *m, const char *account, struct slice mailbox,
    const struct mails_key *keys, size_t n);

/*
 * Mailbox access keys (RFC 4467): one per mailbox, random; made where missing
 * if `make`. -ENOENT: no such mailbox, or no key. reset gives it another one;
 * remove takes those of all mailboxes of the account. They go with their
 * mailbox.
 */
#define MAILS_URLKEY 32
int mails_urlkey_get(struct mails *m, const char *account, struct slice name,
    bool make, unsigned char key[static MAILS_URLKEY]);
int mails_urlkey_reset(
    struct mails *m, const char *account, struct slice name);
int mails_urlkeys_remove(struct mails *m, const char *account);

/*
 * For which address a message came in, for accounts that reply as it: kept by
 * the Message-ID (canonical, without brackets), at most so long, and of very
 * many the latest. -ENOENT: not known.
 */
#define MAILS_ORIGIN_DAYS 365
int mails_origin_put(struct mails *m, const char *account,
    struct slice message_id, struct slice address, int64_t now_s);
int mails_origin_get(struct mails *m, const char *account,
    struct slice message_id, int64_t now_s, struct buf *address);

/* --- what changed, for who keeps a copy elsewhere (changes.c) --- */

/* All of a mailbox up to here is known: messages below `uid`, changes up to
 * `modseq` and, of those that have that one, up to message `modseq_uid`. */
struct mails_cursor {
	uint32_t uidvalidity, uid;
	uint64_t modseq;
	uint32_t modseq_uid;
};
struct mails_change {
	uint32_t uid;
	bool gone; /* expunged, or moved away; no more is known */
	struct mails_flags flags;
	/* The same wherever it is moved or copied to; the upper half also after
	 * it was sealed anew, but others that are alike may have that as well. */
	uint64_t print;
};
struct mails_changed {
	struct mails_change *v;
	size_t n;
	bool more;             /* ask again with the new cursor */
	const char **keywords; /* names of bits, n_keywords of them */
	size_t n_keywords;
};
/*
 * What came, changed or went since *c, which is moved on; in the arena, at most
 * `max`. A message may be named twice. One that has been moved away is in the
 * other mailbox when this returns. -ESTALE: what went since is not known any
 * more, or the cursor is of another mailbox; *c is all up to now.
 */
int mails_changes(struct mails *m, const char *account, struct slice name,
    struct mails_cursor *c, size_t max, struct arena *a,
    struct mails_changed *out);

/* --- an opened mailbox --- */

/*
 * A client's view: the messages as this client knows them, by sequence number.
 * It changes only in mails_view_sync, so numbers are stable in between.
 */
struct mails_view;

int mails_view_open(struct mails *m, const char *account, struct slice name,
    struct mails_view **out);
/* The same, but the messages stay recent for the next session: EXAMINE,
 * RFC 3501 6.3.2. */
int mails_view_examine(struct mails *m, const char *account, struct slice name,
    struct mails_view **out);
void mails_view_close(struct mails_view **v);
/*
 * The account's private key, for mail that is sealed to the account; NULL:
 * none any more. The view holds a reference until it is closed. Does not wait.
 */
void mails_view_unlock(struct mails_view *v, struct seal_key *k);
/* Of what is kept ("#deleted/INBOX", see kept.h): changes give -EACCES. */
bool mails_view_is_read_only(const struct mails_view *v);
const char *mails_view_name(const struct mails_view *v);
uint64_t mails_view_mailbox_id(const struct mails_view *v);
uint32_t mails_view_uidvalidity(const struct mails_view *v);
uint32_t mails_view_uidnext(const struct mails_view *v);
uint64_t mails_view_highestmodseq(const struct mails_view *v);
/* First UID that no session before this one was told of as recent. */
uint32_t mails_view_recent_from(const struct mails_view *v);
/*
 * Messages that came since the open have been told to the client too: no
 * session after this one shall have them as recent (RFC 3501 2.3.2).
 * recent_from of this view stays. Called before the close, but not after
 * mails_view_examine. May wait; commits only where there is something new to
 * note. An error costs nothing but that they are recent once more.
 */
int mails_view_claim_recent(struct mails_view *v);

/* Messages 1 .. n of the view. None of these waits. */
uint32_t mails_view_count(const struct mails_view *v);
uint32_t mails_view_uid(const struct mails_view *v, uint32_t seq);
/* The greatest seq with a UID <= uid (0: none); exact says UID == uid. */
uint32_t mails_view_seq(const struct mails_view *v, uint32_t uid, bool *exact);
struct mails_flags mails_view_flags(const struct mails_view *v, uint32_t seq);
uint64_t mails_view_modseq(const struct mails_view *v, uint32_t seq);
/* Name of keyword bit i, or NULL. */
const char *mails_view_keyword(const struct mails_view *v, unsigned i);
/* First unseen, 0 for none. */
uint32_t mails_view_first_unseen(const struct mails_view *v);

/*
 * Bring the view up to date and tell what changed, in this order: expunges
 * (each with its number at that moment, as EXPUNGE wants them; only when
 * `expunge` allows, else those messages stay in the view, gone()=true), then
 * new messages, then changed flags. Callbacks must not wait: note and write
 * later.
 */
struct mails_changes {
	void (*expunged)(void *arg, uint32_t seq, uint32_t uid);
	void (*exists)(void *arg, uint32_t count);
	void (*flags)(void *arg, uint32_t seq, uint32_t uid);
	void (*keywords)(void *arg); /* the keyword table has grown */
	void *arg;
};
int mails_view_sync(struct mails_view *v, bool expunge,
    const struct mails_changes *changes);
/* Expunged by somebody, not yet told to this client: FETCH gives NO or
 * nothing, STORE passes over it (RFC 2180). */
bool mails_view_is_gone(const struct mails_view *v, uint32_t seq);
/* `e` is set when there may be changes (own ones too). NULL ends it. */
void mails_view_watch(struct mails_view *v, struct co_event *e);

/* --- reading --- */

struct mails_row {
	uint32_t uid;
	struct mails_flags flags;
	uint64_t modseq;
	int64_t internaldate, savedate; /* seconds since 1970 */
	uint64_t size;			/* RFC822.SIZE */
	struct store_blob_id blob;
};
int mails_row(struct mails_view *v, uint32_t seq, struct mails_row *out);

/*
 * The summary of a message, made once at delivery: IMAP texts ready to send,
 * and where its parts are. In the arena.
 */
struct mails_part {
	uint32_t parent;	 /* index; 0 for the root (index 0) */
	uint32_t number;	 /* 1.. within the parent; 0 for the root */
	enum { MAILS_PART_LEAF, MAILS_PART_MULTI, MAILS_PART_MESSAGE } kind;
	uint64_t header_at, header_size; /* MIME header incl. blank line */
	uint64_t body_at, body_size;
	enum { MAILS_ENC_7BIT, MAILS_ENC_8BIT, MAILS_ENC_BINARY, MAILS_ENC_QP,
		MAILS_ENC_BASE64, MAILS_ENC_OTHER } encoding;
	struct slice type; /* "text/plain" lower-case */
	struct slice charset;
};
struct mails_summary {
	struct slice envelope;	    /* "(...)" RFC 3501 7.4.2 */
	struct slice body;	    /* BODY, without extension data */
	struct slice bodystructure; /* with */
	struct slice preview;	    /* UTF-8, <= 200 characters */
	struct slice message_id, references, base_subject;
	int64_t sent_date;
	uint32_t lines;
	uint64_t header_size;	    /* of the message header incl. blank line */
	const struct mails_part *parts; /* parts[0] is the message itself */
	size_t n_parts;
};
int mails_summary(struct mails_view *v, uint32_t seq, struct arena *a,
    struct mails_summary *out);
/* Octets of the message from `at`; *got < n only at the end. */
int mails_read(struct mails_view *v, uint32_t seq, uint64_t at, void *p,
    size_t n, size_t *got);

/* --- changing --- */

enum mails_store_mode { MAILS_FLAGS_SET, MAILS_FLAGS_ADD, MAILS_FLAGS_REMOVE };

/*
 * Change flags of n messages (sequence numbers). `keywords` are names, added
 * to the mailbox's table where new. With unchanged_since (0: no condition)
 * messages changed later are passed over and listed in *failed (RFC 7162
 * 3.1.3, in the arena). The view sees the new flags at once; other views, and
 * this one's `flags` callback, at their next sync unless `silent`.
 */
int mails_store_flags(struct mails_view *v, const uint32_t *seqs, size_t n,
    enum mails_store_mode mode, uint32_t flags, const char *const *keywords,
    uint64_t unchanged_since, bool silent, struct arena *a, uint32_t **failed,
    size_t *n_failed);

struct mails_copied {
	uint32_t uidvalidity;	      /* of the target */
	const uint32_t *from, *to;    /* UIDs, pairwise, n of them */
	size_t n;
};
/* All or none. -ENOENT: no such target ([TRYCREATE]). */
int mails_copy(struct mails_view *v, const uint32_t *seqs, size_t n,
    struct slice target, const struct mails_quota *quota, struct arena *a,
    struct mails_copied *out);
/* Each message exactly once at any crash; the source view still has them
 * until the next sync tells the expunges. */
int mails_move(struct mails_view *v, const uint32_t *seqs, size_t n,
    struct slice target, struct arena *a, struct mails_copied *out);
/* Remove those of the n messages that are \Deleted (seqs NULL: all that are;
 * `force`: whatever their flags, for POP3). */
int mails_expunge(struct mails_view *v, const uint32_t *seqs, size_t n,
    bool force);

#endif
