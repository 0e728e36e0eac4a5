/* SPDX-License-Identifier: ISC */
/*
 * What the files of Mails share. Rows, all numbers big-endian:
 *
 * Partition "a<account>", changed under a guard on its row "v":
 *   v              changes made, UIDVALIDITY given last
 *   n/<name>, N<digest>  mailbox: id, attributes (name_rows.h)
 *   d/<id>         a mailbox being deleted, until all its rows are gone
 *   g/<name>NUL<id>, G<digest><id>  one that was deleted and is kept
 *                  (kept_names.c)
 *   q              key of the search index (index_key.c)
 *
 * Partition "m<id, 16 hex digits>", changed under a guard on its row "h":
 *   h              header; without it the mailbox does not exist
 *   k              keyword names, NUL behind each
 *   o              the account, for check
 *   g              key of URLs into the mailbox (urlkeys.c)
 *   q              state of the search index (index.h)
 *   t<uid><row>    a block of it, from that UID on
 *   w, w<uid>      the list of messages as it was (snapshot.h)
 *   u<uid>         message
 *   s<uid>         its summary
 *   e<number>      a message that was here and is kept (kept.c)
 *   c<modseq><uid> change: flags (one per message, the last) or expunge
 *   i<key>         UID that was delivered under this key, and a note (keys.c)
 *   x<token>...    moves out of here that are under way (copy.c)
 *   y<token>       moves and copies into here (copy.c)
 *   z              a copy into here that is under way (copy_journal.h)
 *   n<modseq><uid> mail that arrived and somebody is to be told of (arrivals.h)
 *
 * Partition "w<account>": for which addresses its mail came in (origins.c).
 *
 * Partition "n", a row for each account that has such (arrivals.h).
 *
 * Partition "s", row "k": which server's key is in use (sealing.c).
 *
 * Partition "r<first octet of the blob id>": who shares a blob (refs.c).
 * Partitions "i...": what is at an IPFS node (mailbox/ipfs/rows.h).
 *
 * A message row without a token is its blob's only one: row and blob go in
 * one batch. With a token, the blob has a list of such tokens. A kept row owns
 * its blob in the same way, unless the message moved away.
 */
#ifndef PNEU_MAILBOX_MAILS_IMPL_H
#define PNEU_MAILBOX_MAILS_IMPL_H

#include "mailbox/mails/frames.h"
#include "mailbox/mails/mails.h"
#include "mailbox/mails/roll.h"
#include "mailbox/mails/wrap.h"

/* --- rows (codec.c) --- */

struct header {
	uint32_t uidvalidity, uidnext;
	uint64_t modseq; /* HIGHESTMODSEQ */
	uint32_t messages, unseen, deleted;
	uint64_t octets;
	uint64_t changes;       /* batches that changed the mailbox */
	uint64_t expunge_floor; /* expunges up to here are forgotten */
	uint32_t expunged;      /* change rows of expunges */
	uint32_t moved_in;      /* batches that moved messages in */
	uint32_t recent_uid;    /* UIDs from here on are recent */
	uint32_t keywords;      /* names in row "k" */
	uint32_t kept_next;     /* number of the next kept row; 0: none was */
};
#define HEADER_ROW_MAX 73 /* without kept_next, 69 */

struct row {
	struct mails_flags flags;
	uint64_t modseq;
	int64_t internaldate, savedate;
	uint64_t size;
	struct store_blob_id blob;
	uint64_t token; /* 0: the blob is this row's alone */
	bool framed; /* how its octets lie in the blob: frames.h; else as is */
	struct wrap wrap; /* the key that they are sealed with */
};
#define MESSAGE_ROW 69 /* not sealed */
#define MESSAGE_ROW_MAX (MESSAGE_ROW + SEAL_BOX_LEN)

enum change_kind { CHANGE_FLAGS = 1, CHANGE_EXPUNGE = 2 };

/* A header encodes as it was stored. Octets used. */
size_t header_encode(char out[static HEADER_ROW_MAX], const struct header *h);
int header_decode(struct slice in, struct header *h); /* 0, -EIO */
/* Octets used. */
size_t row_encode(char out[static MESSAGE_ROW_MAX], const struct row *r);
int row_decode(struct slice in, struct row *r);
/* The same, more may follow: *used says where. */
int row_decode_head(struct slice in, struct row *r, size_t *used);

/* Keys are built in place; a slice of the struct is the key. */
struct key {
	char octets[32];
	size_t n;
};
struct key key_uid(char kind, uint32_t uid);
struct key key_change(uint64_t modseq, uint32_t uid);
struct key key_token(char kind, uint64_t token);
static inline struct slice
key_slice(const struct key *k)
{
	return slice(k->octets, k->n);
}
#define KEY_HEADER SLICE_LIT("h")
#define KEY_KEYWORDS SLICE_LIT("k")
#define KEY_OWNER SLICE_LIT("o")

/* --- mailboxes of this process (box.c) --- */

/*
 * A mailbox that is in use. `h` is the header as the batch handed over last
 * leaves it: so many deliveries can stand in one group commit, each guarding
 * on the header of the one before. When one fails, all behind it fail, and
 * each reads again.
 */
struct box {
	struct box *next;
	struct mails *m;
	uint64_t id;
	unsigned users;
	bool known; /* h is right, as far as this process can know */
	struct header h;
	/* Views of clients, opened ones and those being so; with the first comes
	 * one that nothing is told of, whose roll the others share (view.c). */
	unsigned views;
	struct mails_view *master;
	struct box *next_warm; /* in mails.warm: without views */
	struct co_mutex opening;
	char part[17 + 1];
	char *account; /* whose it is, once it was asked for */
};

#define BOXES 64
struct mails {
	struct store *s;
	bool no_default_mailboxes;
	int64_t keep_s; /* of mails_conf */
	struct box *boxes[BOXES];
	struct box *warm; /* warm.c; the last that was used first */
	struct indexer *indexer; /* index_upkeep.c; NULL: none */
	struct rooms *rooms;     /* room.c */
	struct packer *packer;
	struct frame_cache *frames;  /* octets.c; NULL: nothing in it yet */
	struct purger *purger;       /* kept_upkeep.c; NULL: none */
	struct mails_view *unlocked; /* that have a key: sealing.c */
	struct opened_keys *opened_keys; /* opened_keys.c; NULL: none yet */
	bool sealing; /* there may be sealed mail that can be read */
	bool readonly;
	bool has_server_key;
	unsigned char server_key[SEAL_KEY_LEN]; /* Mails' own, made of it */
	unsigned char names_key[SEAL_KEY_LEN];  /* another: name_seal.h */
	enum mails_sealing seal; /* this and the rest: of mails_conf */
	int (*account_sealing)(void *arg, const char *account,
	    enum mails_sealing *how, unsigned char *public);
	int (*server_key_get)(void *arg, bool make, struct seal_key **out);
	void *sealing_arg;
};

static inline struct slice
box_part(const struct box *x)
{
	return slice(x->part, 17);
}
struct box *box_get(struct mails *m, uint64_t id); /* NULL: no memory */
void box_put(struct box **x);
/* The header as it is committed. 0, -ENOENT, -EIO. */
int box_read(struct box *x, struct header *h);
/* Make `known` true. May wait. */
int box_know(struct box *x);
/* The account, valid as long as x. May wait. 0, -ENOENT. */
int box_account(struct box *x, const char **out);

/*
 * One guarded change of a mailbox. Between change_begin (which may wait) and
 * change_seal nothing may wait: change c.h, put operations into c.b. Then
 * commit c.b, alone or with others, and tell the result to change_end.
 */
struct change {
	struct box *x;
	struct store_batch *b;
	struct header h, old;
};
int change_begin(struct change *c, struct box *x);
void change_seal(struct change *c);
/* Frees the batch; notifies on success. Returns rc. */
int change_end(struct change *c, int rc);
/* Not to be made after all; not sealed yet. */
void change_abort(struct change *c);
/* seal, commit, end. */
int change_commit(struct change *c);

/* After CONFLICT and UNKNOWN: may it be tried again? Waits a little, more
 * with each attempt. */
/* STORE_ECONFLICT, for what was read of the mailbox and its header do not go
 * together: another process has gone on, and the header is read anew. */
int box_conflict(struct box *x);
bool try_again(int rc, unsigned *attempts);
/* What is told to callers: our own codes do not leave Mails. */
int mails_error(int rc);

/* Read one row. */
int row_get(struct box *x, uint32_t uid, struct row *r);
void put_row(struct store_batch *b, uint32_t uid, const struct row *r);
void guard_row(struct store_batch *b, uint32_t uid, const struct row *r);
/* Count a message in (by 1) or out (by -1) of the header. */
void box_count(struct header *h, const struct row *r, int by);

/* --- accounts and names (names.c) --- */

#define MAILBOXES_MAX 2000
/* The canonical name: NFC, INBOX; in the arena. -EINVAL. */
int name_canonical(struct arena *a, struct slice name, struct slice *out);
/* The mailbox of that name, the account made when new. -ENOENT. */
int names_find(
    struct mails *m, const char *account, struct slice name, uint64_t *id);
/* Ids of all mailboxes. */
int names_ids(struct mails *m, const char *account, struct arena *a,
    uint64_t **ids, size_t *n);
/* The same, and how many rows of names besides are damaged. Needs no key. */
int names_ids_count(struct mails *m, const char *account, struct arena *a,
    uint64_t **ids, size_t *n, unsigned *damaged);
int account_part(struct buf *out, const char *account);
/* Rows of names, stored in the form that is to be (name_rows.h). Again is never
 * wrong. */
int names_convert(struct mails *m, const char *account);
/* Remove rows of names that are damaged; *removed counts. */
int names_mend(struct mails *m, const char *account, uint64_t *removed);
/* What origins.c keeps of it. */
int origins_drop(struct mails *m, const char *account);
int origins_convert(struct mails *m, const char *account);

/* --- keywords (keywords.c) --- */

struct keywords {
	size_t n;
	char *names[MAILS_KEYWORDS_MAX]; /* each malloc'd */
	bool sealed;                     /* how they are stored */
	bool damaged;                    /* they do not open, and are made up */
	bool lost;                       /* and will not with the key either */
};
void keywords_clear(struct keywords *k);
int keywords_read(struct box *x, struct keywords *k);
/* Bits of `names` (NULL-terminated), new ones added; *grown when any was.
 * -E2BIG: the table is full. -EINVAL: not a keyword. */
int keywords_bits(
    struct keywords *k, const char *const *names, uint64_t *bits, bool *grown);
/* Put the table into a change, of a box that it was read from; does not wait. */
int keywords_put(struct change *c, const struct keywords *k);
/* Store them in the form that is to be. 1: they were not in it. */
int keywords_convert(struct box *x);
/* Where the names are lost, made-up ones for good. 1: they were. */
int keywords_mend(struct box *x);

/* Bits of one mailbox's table as bits of another's, which grows; what finds
 * no room there is left out. */
int keywords_translate(const struct keywords *from, uint64_t bits,
    struct keywords *to, uint64_t *out);

/* --- shared blobs (refs.c) --- */

struct ref {
	struct store_blob_id blob;
	uint64_t token;
	uint64_t beside; /* add it only where this one is; 0: anyhow */
	bool refused;    /* that one was not there: its row went */
};
/* Add all refs; done before a row that has such a token is committed. `w`:
 * the blob's writer when it is not stored yet, else NULL. */
int refs_add(
    struct mails *m, struct ref *refs, size_t n, struct store_blob_writer *w);
/* Remove refs whose rows are gone; the blob goes with the last. */
int refs_remove(struct mails *m, struct ref *refs, size_t n);
/* The same, but the blob stays: some row has it alone. */
int refs_forget(struct mails *m, struct ref *refs, size_t n);
#define MAILS_REF 12 /* octets of a ref in its row: token, seconds */
uint64_t token_new(void);

/* --- summaries (summary.c) --- */

struct summary_maker;
int summary_maker_new(struct summary_maker **out);
int summary_maker_feed(struct summary_maker *s, struct slice octets);
/* The row's octets, into `row` (emptied first); sealed if `seal`. */
int summary_maker_end(struct summary_maker *s, struct packer *p,
    const struct frames_seal *seal, struct buf *row);
void summary_maker_free(struct summary_maker **s);
/* -EBADMSG: damaged, or not by `seal`, or too large for a row: make it from the
 * blob. */
int summary_decode(struct packer *p, const struct frames_seal *seal,
    struct slice row, struct arena *a, struct mails_summary *out);
bool summary_is_sealed(struct slice row);
/* By reading the whole message. */
int summary_compute(struct mails *m, const struct row *r,
    const struct frames_seal *seal, struct buf *row);

/* --- octets (octets.c, sealing.c) --- */

/* At the open: the keys of conf, and whether they are those of the store. */
int
sealing_open(struct mails *m, const struct mails_conf *conf, struct buf *err);
/* How mail of the account is sealed, as it is now. */
int sealing_of(struct mails *m, const char *account, enum mails_sealing *how,
    unsigned char public[static SEAL_PUBLIC_LEN]);
/* Where there is no server's key yet, it is made. May wait. -ENOKEY: it cannot
 * be. */
int server_key_need(struct mails *m);
/* Another process may have made it since the open. May wait. */
void server_key_look(struct mails *m);
/* What the message that was read last is sealed with. */
struct opened {
	struct wrap wrap; /* kind NONE: there is none */
	struct frames_seal seal;
};
/*
 * What the message of a row is sealed with, into `o`, where *out points; NULL
 * when it is not sealed. `k`: the account's private key, or NULL. May wait. 0,
 * -ENOKEY, -EBADMSG.
 */
int row_unseal(struct box *x, const struct row *r, const struct seal_key *k,
    struct opened *o, const struct frames_seal **out);
void opened_wipe(struct opened *o);
/* As store_blob_read, of the message's own octets. `seal`: what it is sealed
 * with; NULL: not. */
int octets_read(struct mails *m, const struct row *r,
    const struct frames_seal *seal, uint64_t at, void *p, size_t n,
    size_t *got);
/*
 * Is what the blob says of itself what the row says? -EBADMSG: no. Unpacks
 * nothing, but of what is sealed, where `seal` says with what, every octet is
 * verified; without it (-ENOKEY) only what can be seen.
 */
int octets_check(
    struct mails *m, const struct row *r, const struct frames_seal *seal);
/* What a blob is without a row, and its birth (appended, without the tail;
 * nothing: it has none). May be damaged all the same where it is not looked at:
 * -EBADMSG, -EIO. */
struct blob_look {
	uint64_t size; /* of the message */
	bool framed, sealed;
};
int octets_look(struct mails *m, const struct store_blob_id *id,
    struct blob_look *out, struct buf *birth);
void octets_cache_free(struct mails *m);
/* Wipe what is in it of sealed messages. */
void octets_cache_wipe(struct mails *m);

/* --- messages (deliver.c, flags.c, copy.c) --- */

struct mails_message {
	struct mails *m;
	struct store_blob_writer *w;
	struct store_blob_id blob;
	struct frames_writer frames;
	bool sealed;
	struct frames_seal seal;
	struct summary_maker *maker;
	struct buf summary; /* the row */
	bool ended, delivered;
	bool closed; /* the blob is complete; w NULL: and it is stored */
	uint64_t size;
	int rc; /* what went wrong while it came in */
};

/* Messages whose blobs are stored, put back with these rows (rebuild.c): as
 * mails_deliver_each. */
int deliver_stored(struct mails_message *const *msgs,
    struct mails_target *targets, const struct row *rows, size_t n);

/* Sum over the account's mailboxes, as they are committed. */
int usage_read(
    struct mails *m, const char *account, uint64_t *octets, uint64_t *messages);
enum row_fate {
	ROW_DROPPED, /* its blob goes, where it is its alone */
	ROW_KEPT,    /* as long as mail is kept; else dropped */
	ROW_MOVED,   /* its blob belongs to another row now */
};
/* Take a row out, under a guard on it. c.h.modseq is the expunge's. */
void row_expunge(
    struct change *c, uint32_t uid, const struct row *r, enum row_fate fate);
/* Finish the moves that a crash left in the mailbox. */
int moves_replay(struct box *x);
/* All messages of `from` to `to`; for RENAME of INBOX. */
int box_move_all(struct mails *m, uint64_t from, uint64_t to);
/* Expunge those of the messages that are there and, unless `force`,
 * \Deleted. `keep`: as long as mail is kept. */
int box_expunge(
    struct box *x, const uint32_t *uids, size_t n, bool force, bool keep);
/* Remove a mailbox's rows, and the blobs that are its alone. */
int box_destroy(struct mails *m, uint64_t id);

/* --- views (view.c) --- */

enum view_kind {
	VIEW_LIVE,
	VIEW_KEPT,    /* what was expunged; UIDs are numbers of kept rows */
	VIEW_PAST,    /* as it was at a time */
	VIEW_DELETED, /* a deleted mailbox: as it is, and read only */
};

struct mails_view {
	struct mails *m;
	enum view_kind kind;
	int64_t past_s;      /* VIEW_PAST: at that time */
	uint32_t *past_kept; /* VIEW_PAST: kept rows of the entries; 0: none */
	struct box *x;
	char *account, *name;
	struct header h; /* as of the last sync */
	uint32_t recent_from;
	struct roll roll;
	uint32_t n_gone;
	bool tells;        /* some have `tell` */
	bool shares;       /* is counted in x->views */
	uint32_t part_max; /* of view_part_open */
	struct keywords keywords;
	struct store_watch watch;
	struct co_event *event;
	struct seal_key *key; /* of mails_view_unlock; or NULL */
	struct mails_view *next_unlocked;
	struct opened opened;
};

/* At most `max` messages, from <= UID < to, that nothing is told of: for
 * reading them (mails_row, mails_summary, mails_read). */
int view_part_open(struct box *x, uint32_t from, uint32_t to, uint32_t max,
    struct mails_view **out);

/* The list only, of now, shared with the others. */
int view_list_open(struct box *x, struct mails_view **out);

/* --- lists without views (warm.c) --- */

/* The last view of x has closed: its list may stay. May free x. */
void warm_keep(struct box *x);
/* The first view of x opens. */
void warm_take(struct box *x);
void warm_free(struct mails *m);

/* row_unseal for one of the view; wipe *o. */
int view_unseal(struct mails_view *v, const struct row *r, struct opened *o,
    const struct frames_seal **out);
/* The key and what was opened with it are forgotten. */
void view_unseal_end(struct mails_view *v);
/* The account's private key, while a view of it has it, with a reference; or
 * NULL. */
struct seal_key *unlocked_find(struct mails *m, const char *account);
/* --- keys of messages that were opened (opened_keys.c) --- */

/* The key of the row's message, if it was opened with k: WRAP_ACCOUNT only. */
bool opened_keys_find(const struct mails *m, const struct row *r,
    const struct seal_key *k, unsigned char secret[static SEAL_SECRET_LEN]);
/* Keep it, while a view has k. */
void opened_keys_note(struct mails *m, const struct row *r,
    const struct seal_key *k,
    const unsigned char secret[static SEAL_SECRET_LEN]);
/* No view has k any more. */
void opened_keys_wipe(struct mails *m, const struct seal_key *k);
void opened_keys_free(struct mails *m);

/* Has a client's view that key? */
bool unlocked_is(const struct mails *m, const struct seal_key *k);

static inline const struct entry *
view_entry(const struct mails_view *v, uint32_t seq)
{
	return roll_at(&v->roll, seq - 1);
}
/* To be changed; NULL: no memory. */
static inline struct entry *
view_edit(struct mails_view *v, uint32_t seq)
{
	return roll_edit(&v->roll, seq - 1);
}

#endif
