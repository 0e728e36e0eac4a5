/* SPDX-License-Identifier: ISC */
/*
 * The embedded engine's own header: one LMDB environment and files of blobs.
 *
 *	DIR/data.mdb, lock.mdb	rows; index of the blobs; table of the segments
 *	DIR/blobs/NNNNNNNN.seg	small blobs, record behind record
 *	DIR/blobs/XX..XX.blob	a large blob alone, named by its id
 *	DIR/watch/XX..XX.sock	the processes
 *	DIR/removal.lock	held while a backup copies: no file goes then
 *
 * A segment is written by the process that holds its flock. How far it is
 * good stands in the table, written in the same transaction as the index of
 * its blobs; what lies behind is nobody's, and the next owner cuts it off. A
 * segment is `full` when nobody may append any more.
 *
 * Threads. The loop's thread reads, and builds the records of blobs. Only the
 * writer thread writes segments and commits to LMDB, for whole groups of
 * batches: blobs, fdatasync, one transaction, answers. So the order «blob
 * before row» is the order of one thread's calls.
 */
#ifndef PNEU_STORE_EMBEDDED_H
#define PNEU_STORE_EMBEDDED_H

#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>

#include "common/store/engine.h"
#include "common/store/record.h"

#define SEGMENT_OWN_FILE UINT32_MAX /* «segment» of the large blobs */
#define SEGMENT_COUNTER 0           /* row of the number given last */

/* Where a blob is: a row of the index. */
struct location {
	uint32_t segment;
	uint64_t at;     /* of the record */
	uint64_t length; /* of the blob */
	int64_t written_s;
};

struct segment_row {
	uint64_t committed; /* octets that are good */
	uint64_t live;      /* of these, in records that the index knows */
	bool full;
};

enum blob_state {
	BLOB_OPEN,
	BLOB_SEALED,  /* complete; not on the medium */
	BLOB_WRITTEN, /* in its segment, not synced */
	BLOB_SYNCED,  /* on the medium, not in the index */
	BLOB_INDEXED,
	BLOB_LOST, /* the medium failed; see writer_sync_large */
};

/*
 * A blob on its way in. The loop's thread has it until it is sealed; from then
 * on `state`, `location` and `rc` are the writer thread's, while a commit that
 * needs it is under way.
 */
struct emb_writer {
	struct store_blob_writer w;
	struct buf record; /* small: all of it; large: what is not written */
	size_t chunk_at;   /* in `record`: where the open chunk begins */
	uint64_t chunk_number;
	uint64_t file_n; /* large: octets written to the file */
	int fd;          /* large: its own file; else -1 */
	enum blob_state state;
	struct location location;
	int rc;         /* of this group */
	uint64_t group; /* the group that has seen it last */
	bool settled;   /* indexed, as the loop's thread knows */
	bool doubtful;  /* a commit that needed it is of unknown outcome */
	struct emb_writer *next;         /* in emb.sealed */
	struct emb_writer *next_written; /* in emb.written */
};

/* Work for the writer thread, on the stack of the coroutine that waits. */
struct emb;
struct request {
	struct request *next;
	struct co_remote remote;
	/* NULL: a commit, of which many share one group. */
	void (*run)(struct emb *e, struct request *r);
	struct store_batch *const *b;
	size_t n;
	int *rc;
};

/* A file of blobs, open for reading. */
struct blob_file {
	uint32_t segment;
	struct store_blob_id id; /* with SEGMENT_OWN_FILE */
	int fd;
	unsigned users; /* reads under way */
	uint64_t used;  /* clock of the cache */
};
#define BLOB_FILES 16

struct chunk {
	struct store_blob_id id;
	uint64_t number;
	bool valid;
	size_t at, n; /* the blob's octets in `octets` */
	char octets[RECORD_HEADER + RECORD_CHUNK + RECORD_CRC];
};

struct emb {
	struct store *s;
	char *dir;
	int dir_fd, blobs_fd;
	bool readonly, group;
	dev_t dev; /* of `dir`: opened once in a process */
	ino_t ino;
	struct emb *next; /* of all that are open */

	/* Opened anew by the writer thread when LMDB has shut it; other
	 * threads hold env_lock shared while they use it. NULL: not there. */
	MDB_env *env;
	MDB_dbi rows, blobs, segments;
	pthread_rwlock_t env_lock;

	/* The loop's thread: one read transaction, kept and renewed. */
	MDB_txn *read_txn;
	unsigned read_depth;
	/* Where values were read that may still be mapped, and how much. */
	const char *mapped_from, *mapped_to;
	size_t mapped_octets;
	struct event *minute;
	unsigned minutes;
	struct emb_writer *sealed; /* sealed and not yet in the index */
	struct blob_file files[BLOB_FILES];
	uint64_t files_clock;
	struct chunk *chunk; /* verified last, or NULL */
	bool no_nowait;      /* the file system has no RWF_NOWAIT */
	int64_t orphans_next_ms;
	bool compacting;       /* a segment is half done */
	uint32_t compact_next; /* what the next step is to copy, or 0 */
	uint64_t compact_next_at;

	/* The queue to the writer thread. */
	pthread_mutex_t lock;
	pthread_cond_t wanted;
	struct request *first, **last;
	size_t queued;    /* in it */
	size_t taken;     /* by the last group */
	size_t expected;  /* for the next */
	int64_t group_ns; /* how long the last group took */
	bool started, stop;
	bool env_asked; /* somebody found the environment shut */
	pthread_t thread;
	const char *fault; /* what failed, not yet logged */
	int fault_rc;

	/* The writer thread. */
	int turn_fd;         /* see turn_wait */
	uint64_t rows_begun; /* octets of data.mdb in use when it began */
	struct {
		int fd; /* -1: none */
		uint32_t number;
		uint64_t begun; /* here, when this process took it */
		uint64_t end;   /* the next record goes here */
		uint64_t room;  /* zeros up to here, or not beyond `end` */
		bool dirty;
		bool poisoned; /* fdatasync failed: never again */
	} segment;
	int *left; /* of segments that this group has left: see writer.c */
	size_t n_left, cap_left;
	struct emb_writer *written; /* not synced yet */
	uint64_t group_number;
	struct store_blob_id *unlinks; /* large blobs deleted by this txn */
	size_t n_unlinks, cap_unlinks;
	struct {
		uint32_t segment; /* under compaction; 0: none */
		int fd;
		uint64_t at, committed;
		uint32_t last; /* segments up to here were looked at */
	} compact;

	_Atomic uint64_t commits, batches, syncs;
};

/* --- rows of the tables --- */
void location_encode(char out[static 28], const struct location *l);
bool location_decode(MDB_val v, struct location *l);
int location_get(struct emb *e, MDB_txn *txn, const struct store_blob_id *id,
    struct location *l); /* 0 or an LMDB error */
int location_put(struct emb *e, MDB_txn *txn, const struct store_blob_id *id,
    const struct location *l);
int segment_row_get(
    struct emb *e, MDB_txn *txn, uint32_t number, struct segment_row *out);
int segment_row_put(struct emb *e, MDB_txn *txn, uint32_t number,
    const struct segment_row *row);
bool segment_row_decode(MDB_val v, struct segment_row *out);
/* Count a record of `l` as live (or no more). */
int
segment_live(struct emb *e, MDB_txn *txn, const struct location *l, bool live);

#define BLOB_NAME_MAX 40
/* Name of the file in DIR/blobs. */
void blob_file_name(char out[static BLOB_NAME_MAX], uint32_t segment,
    const struct store_blob_id *id);

static inline MDB_val
mdb_slice(struct slice s)
{
	return (MDB_val){ s.n, (void *)(uintptr_t)s.p };
}
/* An LMDB error, or a positive errno, as an error of store.h. */
int emb_error(int rc);
/* Note a fault of the medium, from any thread; the loop's thread logs it. */
int emb_fault(struct emb *e, const char *what, int rc);
void emb_fault_log(struct emb *e);

/* --- the environment (environment.c) --- */
/* Open it, and make what is missing; the reason goes to `err`. */
int emb_env_open(struct emb *e, struct buf *err);
void emb_env_close(struct emb *e);
/*
 * Did LMDB shut the environment? It does so when it could write neither the
 * page that makes a commit valid nor what stood there before. Then it is
 * opened anew, if that can be done now; true in either case. For the writer
 * thread.
 */
bool emb_env_revive(struct emb *e);
/* Of the writer thread; LMDB's errors. A commit that fails has revived the
 * environment where it must be; *unknown (may be NULL): nobody can tell any
 * more whether it was done. */
int emb_txn_begin(struct emb *e, unsigned flags, MDB_txn **txn);
int emb_txn_commit(struct emb *e, MDB_txn *txn, bool *unknown);

/* A new database with what `fill` puts in, in transactions of its own; the old
 * one is kept. Errors of LMDB. */
int
emb_env_remake(struct emb *e, int (*fill)(struct emb *e, void *arg), void *arg);

/* --- opening (embedded.c) --- */
/* The folders, before anything is done with them; s->e, also after an error,
 * is for emb_close. */
int emb_begin(struct store *s, const struct store_conf *conf, struct buf *err);
void emb_close(struct store *s);

/* --- reading (embedded.c) --- */
/* The loop's read transaction; may be nested; never across a wait. */
int emb_read_begin(struct emb *e);
void emb_read_end(struct emb *e);

/* --- the writer thread (writer.c) --- */
/* Waits until the thread has done it. -ENOMEM: there is no thread. */
int emb_submit(struct emb *e, struct request *r);
void emb_writer_stop(struct emb *e);
/* From any thread: the environment is shut, let the writer look. */
void emb_writer_ask_env(struct emb *e);
/* Open and lock; -EBUSY: another process has it. */
int segment_open(struct emb *e, uint32_t number, int flags);
/* For requests that append themselves: room in the current segment. */
int segment_reserve(struct emb *e, uint64_t n);
int segment_sync(struct emb *e);
/* Cut off what was not used of it. */
void segment_trim(struct emb *e);
/* The rows of all that was written are there. */
void segments_let_go(struct emb *e);
void emb_unlink_later(struct emb *e, const struct store_blob_id *id);
/* After a commit (or, `done` false, an abort). */
void emb_unlink_now(struct emb *e, bool done);
/* Removals of files hold it shared, a backup alone. -1: not to be had. */
int emb_removal_lock(struct emb *e, int how);

/* --- blobs (blob.c) --- */
int emb_blob_begin(struct store *s, const struct store_blob_id *id,
    struct store_blob_writer **out);
int emb_blob_write(struct store_blob_writer *w, struct slice octets);
int emb_blob_seal(struct store_blob_writer *w);
void emb_blob_writer_free(struct store_blob_writer *w);
/* A commit that needed it has returned `rc`. */
void emb_blob_answered(struct emb *e, struct emb_writer *w, int rc);
int
emb_blob_size(struct store *s, const struct store_blob_id *id, uint64_t *size);
int emb_blob_read(struct store *s, const struct store_blob_id *id, uint64_t at,
    void *p, size_t n, size_t *got);
int emb_blob_list(struct store *s, const struct store_blob_id *after,
    store_blob_fn *blob, void *arg);
/* Verify all of it: 0, -EIO, -ENOENT. */
int emb_blob_verify(struct emb *e, const struct store_blob_id *id);
/* Close what is not in use; `all`, or only files that were removed. */
void emb_files_close(struct emb *e, bool all);

/* --- upkeep (upkeep.c, backup.c) --- */
int emb_stats(struct store *s, struct store_stats *out);
int emb_check(struct store *s, store_fault_fn *fault, void *arg);
int emb_compact(struct store *s, bool *more);
int emb_backup(struct store *s, const char *dir);
/* A backup is about to be a store that changes. 0, -errno. */
int emb_sum_remove(struct emb *e);

#endif
