/* SPDX-License-Identifier: ISC */
/* One connection to an IMAP server, for the files that look at it: new mail
 * (fetch_imap.c), what changed in the rest (imap_follow.c), and doing on each
 * side what was done on the other (imap_mirror.c). */
#ifndef PNEU_GATEWAY_IMAP_SESSION_H
#define PNEU_GATEWAY_IMAP_SESSION_H

#include "common/imap/client.h"
#include "gateway/fetch.h"
#include "gateway/pairs.h"

#define BATCH 200 /* messages of one command */
#define FOLDERS_MAX 10000

struct known;
struct here_box;

/* A message of ours there that is not as it was. */
struct there_change {
	struct pair pair;
	bool gone;
	struct merge_flags flags;
};

/* A folder there. */
struct folder {
	struct slice raw;  /* its name on the wire */
	struct slice name; /* in UTF-8, levels by '/' */
	const char *use;   /* "Sent" of \Sent, or NULL */
	bool selectable, has_status;
	uint32_t uidvalidity, uidnext, messages; /* as STATUS has it */
	uint64_t modseq;
	struct pair_folder id;
	struct slice objectid; /* MAILBOXID, or empty */
	struct known *known;   /* NULL: it is new */
	uint32_t made_for;     /* that mailbox here, in this look */
	bool orphan;           /* its mailbox was deleted here */
	/* of this look: */
	struct there_change *v;
	size_t n, cap;
	bool counted;    /* what is new in it, which is */
	uint64_t coming; /* that many, about */
	bool looked;     /* `next` is to be noted once `v` was dealt with */
	struct state_folder next;
};

/* A message of the batch that was handed to mailbox, and is not safe there
 * yet. */
struct pending {
	uint32_t uid;
	size_t index; /* in the batch */
	struct merge_flags agreed;
};
struct batch {
	bool got[BATCH];
	struct pending pending[BATCH];
	size_t n_pending;
};

struct seen_flags {
	uint32_t uid;
	struct merge_flags flags;
};
struct uid_range {
	uint32_t from, to;
};

struct imap_session {
	struct fetch *f;
	struct imap_client *c;
	struct arena a; /* of the list */
	struct folder *folders;
	size_t n, cap;
	struct slice prefix; /* of all names there: "INBOX." */
	char separator;      /* of levels there; '\0': there are none */
	struct arena known_a;
	struct known *known; /* known.h, by key */
	size_t n_known;
	bool qresync; /* enabled */
	struct pairs pairs;
	struct pair_keywords keywords;
	/* of the folder that is selected: */
	struct folder *folder;
	uint64_t source;
	struct state_folder state;
	uint32_t uidvalidity, uidnext, exists;
	uint64_t highest;             /* HIGHESTMODSEQ; 0: it has none */
	bool by_qresync;              /* what vanished was told by the open */
	bool keywords_any;            /* PERMANENTFLAGS has \* */
	struct merge_flags permanent; /* and which others */
	uint32_t *uids;               /* to be fetched, ascending */
	size_t n_uids, cap_uids, at;
	uint32_t from; /* UIDs that may be new are from here on */
	/* what is said of known ones: */
	struct seen_flags *seen;
	size_t n_seen, cap_seen;
	struct uid_range *gone;
	size_t n_gone, cap_gone;
	/* of the batch: */
	size_t n_batch;
	struct batch *batch; /* NULL: nothing was fetched */
	int64_t noted_ms;    /* when it was last noted how far it is */
	struct spool *body;
	int rc;        /* what went wrong on our side: it ends all */
	bool news;     /* came while it was idle */
	bool watching; /* the folder that is watched is open still */
	bool hurried;  /* the last look was because of a difference */
	/* what was here when the last look ended, for who waits: */
	uint64_t here_print;
};

/* --- fetch_imap.c --- */

/* Folders as they are now, in s->folders. 0, IMAP_REFUSED, or an error. */
int session_list(struct imap_session *s);
/* How one stands, which the list has not told. */
int session_status(struct imap_session *s, struct folder *b);
/* What was opened for reading is so no more. */
int session_unselect(struct imap_session *s);
/* Open for reading, or (`write`) for changes. 0, IMAP_REFUSED, or an error. */
int session_select(
    struct imap_session *s, struct folder *b, bool write, const char *how);
/* What went wrong with our database: told; returns rc. */
int session_state_failed(struct imap_session *s, int rc);
bool session_wants(const struct imap_session *s, const struct folder *b);

/* --- imap_follow.c --- */

/* FETCH with FLAGS, and VANISHED, of any command. */
int follow_note(struct imap_session *s, const struct imap_response *r);
void follow_forget(struct imap_session *s);
/* How the folder is to be opened: "(QRESYNC (...))". */
void follow_how(const struct imap_session *s, struct buf *out);
/* After the open: what else is to be asked, before anything is fetched. */
int follow_ask(struct imap_session *s);
/* After all that is new was fetched, `came` messages, `late` of them after the
 * folder was opened: what is not as it was goes into b->v, and b->next is
 * set. */
int
follow_end(struct imap_session *s, struct folder *b, size_t came, size_t late);
/* Of UIDs that are new: those that we have moved there ourselves. Takes them
 * out of s->uids. */
int follow_moved(struct imap_session *s, struct folder *b);
/* What messages are known by there: fn for each of the UIDs that is there. */
int follow_prints(struct imap_session *s, const uint32_t *uids, size_t n,
    void (*fn)(void *arg, uint32_t uid, const unsigned char *id), void *arg);

/* --- imap_mirror.c --- */

/* All that changed on either side is done on the other, and then noted. */
int mirror_all(struct imap_session *s);
/* How far a mailbox here was followed; -ENOENT: not yet. */
int session_cursor_get(struct imap_session *s, const struct here_box *box,
    struct pair_cursor *out);
/* Has anything changed here since? For who waits. 1, 0, or an error. */
int mirror_is_due(struct imap_session *s);
/* `--delete-after`. */
int mirror_delete_old(struct imap_session *s, struct folder *b);

#endif
