/* SPDX-License-Identifier: ISC */
/*
 * The engine under every database (design section 4): partitions of ordered
 * rows, atomic guarded batches, immutable blobs, leases, watches. It sees
 * octets; everything that knows about mail stands above it.
 *
 * Two engines: "embedded" (LMDB and segment files, for production) and
 * "memory" (for tests: answers late, returns CONFLICT and UNKNOWN at random).
 * Calls may wait (suspend the coroutine) unless they say otherwise, so an
 * engine across a network fits too. One process may open a store once; several
 * processes may open the same embedded store.
 *
 * Partition names and keys together are at most STORE_KEY_MAX octets; keys
 * compare as octets (numbers big-endian). Values are at most STORE_VALUE_MAX.
 * A partition's name has no NUL. Names that begin with 0x01 are the engine's
 * own, and so is one key, 0xff 0xff "drop".
 *
 * Errors, all negative:
 *   -ENOENT           no such row, blob or partition
 *   STORE_ECONFLICT   a guard failed: re-read and retry
 *   -ENOSPC           disk full; nothing of the batch was done
 *   -EIO              the medium failed or a checksum is wrong
 *   STORE_EUNKNOWN    the outcome is not known: re-read
 *   -E2BIG            over a limit of store_caps
 *   -ENOMEM           out of memory; nothing was done
 *   -EROFS            a change in a store that was opened to read
 */
#ifndef PNEU_STORE_STORE_H
#define PNEU_STORE_STORE_H

#include <errno.h>

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/co.h"
#include "common/base/slice.h"

#define STORE_ECONFLICT (-EAGAIN)
#define STORE_EUNKNOWN (-EINPROGRESS)

#define STORE_KEY_MAX 400
#define STORE_VALUE_MAX ((size_t)64 << 10)
#define STORE_BATCH_OPS 500
#define STORE_BATCH_OCTETS ((size_t)1 << 20)
#define STORE_BLOB_ID_LEN 16

struct store;

struct store_conf {
	const char *engine; /* "embedded" or "memory" */
	const char *dir;    /* embedded: its folder, made when missing (0700) */
	bool readonly;	    /* no commits; for programs that only look */
	bool group;	    /* make files 0660: other users' programs read */
	/* memory only: */
	unsigned seed;		/* of its chance */
	unsigned conflict_pct;	/* commits answered CONFLICT though fine */
	unsigned unknown_pct;	/* commits answered UNKNOWN, done or not */
	unsigned late_pct;	/* answers that come a few turns later */
};

/*
 * Open in this process, after loop_init (in a tool: inside co_run), and after
 * fork. 0 or -errno with the reason in `err`: -EBUSY when this process has it
 * open already, -ENOENT when there is nothing to read yet. A sandbox must
 * leave the folder readable and writable, reading programs included (LMDB
 * keeps its table of readers there).
 */
int store_open(struct store **out, const struct store_conf *conf,
    struct buf *err);
/* Waits until all that was begun is done. NULL is fine. */
void store_close(struct store **s);

struct store_caps {
	size_t key_max, value_max, batch_ops, batch_octets, blob_chunk;
};
void store_caps(const struct store *s, struct store_caps *out);

/* --- reading rows --- */

/* The value is appended to `val`. 0, -ENOENT, -EIO. */
int store_get(struct store *s, struct slice part, struct slice key,
    struct buf *val);

enum {
	STORE_SCAN_REVERSE = 1, /* from `to` down to `from` */
	STORE_SCAN_KEYS = 2,	/* values are not read (empty slices) */
};
/*
 * Rows with from <= key < to in order (`to` empty: to the end of the
 * partition). `row` must not wait; key and value are valid during its call
 * only; a non-zero return ends the scan, which then returns it. All rows of
 * one call are of one moment; a long scan should page: a scan that stays
 * open keeps old pages from being reused.
 */
int store_scan(struct store *s, struct slice part, struct slice from,
    struct slice to, unsigned flags,
    int (*row)(void *arg, struct slice key, struct slice val), void *arg);

/* Names of partitions that begin with `prefix`, in order; as store_scan. */
int store_partitions(struct store *s, struct slice prefix,
    int (*part)(void *arg, struct slice name), void *arg);

/* --- writing rows --- */

struct store_batch;
struct store_blob_writer;

/*
 * A batch on one partition. It copies what it is given; an error (too big,
 * out of memory) sticks and is returned by commit.
 */
struct store_batch *store_batch_new(struct store *s, struct slice part);
void store_batch_free(struct store_batch **b);
/* Commit fails with CONFLICT unless the row has exactly this value (does not
 * exist). Guards see the state before the batch's own puts. */
void store_guard(struct store_batch *b, struct slice key, struct slice val);
void store_guard_absent(struct store_batch *b, struct slice key);
void store_put(struct store_batch *b, struct slice key, struct slice val);
void store_del(struct store_batch *b, struct slice key); /* fine if absent */
/* All rows with from <= key < to (`to` empty: to the end). */
void store_del_range(struct store_batch *b, struct slice from, struct slice to);
/*
 * The sealed blob `w` shall be durable before the rows of this batch are; the
 * writer stays the caller's and must live until the commit has returned. Many
 * batches may need one blob.
 */
void store_batch_need(struct store_batch *b, struct store_blob_writer *w);

/*
 * Commit n batches, each atomic by itself, in this order; results in rc[0..n).
 * Returns 0 when all went well, else the first error. All that is ready in a
 * process at a time shares one sync. Not cancelled: it waits for the end.
 *
 * A later batch may guard on what an earlier one, committed by anybody in this
 * process and not yet answered, puts: they are carried out in the order of the
 * calls. So a chain of writers needs no lock, only the order.
 */
int store_commit(struct store *s, struct store_batch *const *b, size_t n,
    int *rc);
int store_commit_one(struct store *s, struct store_batch *b);

/* Remove a partition with all its rows; may take many internal steps, and is
 * finished by store_open after a crash. */
int store_partition_drop(struct store *s, struct slice part);

/* --- blobs: immutable octets --- */

struct store_blob_id {
	unsigned char octets[STORE_BLOB_ID_LEN];
};
void store_blob_id_new(struct store_blob_id *id); /* random */

/* Begin a blob. 0, -EEXIST, -ENOSPC, -EIO. */
int store_blob_begin(struct store *s, const struct store_blob_id *id,
    struct store_blob_writer **out);
int store_blob_write(struct store_blob_writer *w, struct slice octets);
/*
 * No more octets. The blob can be read by this process from now on; it is
 * durable when a commit that needs it has returned 0, or after
 * store_blob_sync.
 */
int store_blob_seal(struct store_blob_writer *w);
int store_blob_sync(struct store_blob_writer *w);
/* Frees the writer; a blob that was not sealed, or that no commit and no sync
 * has made durable, is forgotten. */
void store_blob_writer_free(struct store_blob_writer **w);

/* Size in octets. 0, -ENOENT, -EIO. */
int store_blob_size(struct store *s, const struct store_blob_id *id,
    uint64_t *size);
/*
 * Up to `n` octets from `at`; *got is less only at the end. Checksums are
 * verified: -EIO for a damaged blob.
 */
int store_blob_read(struct store *s, const struct store_blob_id *id,
    uint64_t at, void *p, size_t n, size_t *got);
/* Who deletes knows that no row refers to it any more. */
int store_blob_del(struct store *s, const struct store_blob_id *id);
/* Delete a blob together with a batch: done when the batch is done. */
void store_batch_blob_del(struct store_batch *b, const struct store_blob_id *id);
int store_blob_list(struct store *s,
    int (*blob)(void *arg, const struct store_blob_id *id, uint64_t size,
    int64_t written_s), void *arg);
/* The same, of those whose id is greater than `after`. */
int store_blob_list_after(struct store *s, const struct store_blob_id *after,
    int (*blob)(void *arg, const struct store_blob_id *id, uint64_t size,
    int64_t written_s), void *arg);
/*
 * `fn` is told of each blob that a commit of this process has brought in or
 * removed, after the commit; it must not wait, nor call the store. A hint, as
 * other processes have commits too, and one in doubt is not told. NULL: nobody.
 */
void store_on_blobs(struct store *s,
    void (*fn)(void *arg, const struct store_blob_id *id), void *arg);

/* --- leases, watches --- */

/*
 * Hold `name` for ttl_ms (renew before it ends). *fence grows with every new
 * holder: guard batches with it, so that a holder that slept cannot write.
 * 0, or -EBUSY with another holder.
 */
int store_lease_acquire(struct store *s, struct slice name, int64_t ttl_ms,
    uint64_t *fence);
int store_lease_renew(struct store *s, struct slice name, uint64_t fence,
    int64_t ttl_ms);
int store_lease_release(struct store *s, struct slice name, uint64_t fence);

/*
 * `fn` is called (on the loop, must not wait) after another coroutine or
 * process has notified the partition. Notes may be merged, and are lost when a
 * process dies: they say «look again», no more. One's own notes come too.
 */
struct store_watch {
	void (*fn)(void *arg);
	void *arg;
	struct store_watch *next, **prev; /* the store's */
	uint64_t hash;			  /* the store's */
};
int store_watch(struct store *s, struct slice part, struct store_watch *w);
void store_unwatch(struct store *s, struct store_watch *w);
void store_notify(struct store *s, struct slice part); /* does not wait */

/* --- upkeep --- */

struct store_stats {
	uint64_t rows_octets, blob_octets, blob_dead_octets, segments;
	uint64_t commits, batches, syncs; /* of this process */
};
int store_stats(struct store *s, struct store_stats *out);

/*
 * Verify every checksum and that every index entry finds its blob. Each fault
 * is one call of `fault`, which must not wait, in plain words; `blob` is the
 * one that is hurt, or NULL. Number of faults, or -errno.
 */
typedef void store_fault_fn(
    void *arg, const struct store_blob_id *blob, const char *what);
int store_check(struct store *s, store_fault_fn *fault, void *arg);

/* Rewrite segments of which much is dead, a step of bounded work; *more says
 * that there is more to do. An open store does so by itself, now and then and
 * slowly; this is for tools. */
int store_compact(struct store *s, bool *more);

/*
 * Of an embedded store whose rows are lost (-ENOTRECOVERABLE from store_open:
 * there are blobs, but the database is missing, or is none): make a new one, in
 * which all blobs are that the files still hold whole, and nothing else. Blobs
 * that were deleted are there again, unless compaction has taken them. What was
 * there of the old one is renamed to data.mdb.old. `damaged` counts places where
 * a blob may have been. 0; -EBUSY: somebody has the store open.
 */
struct store_reindexed {
	uint64_t blobs, octets, damaged;
};
int store_reindex(const struct store_conf *conf, struct store_reindexed *out,
    struct buf *err);

/* A consistent copy into `dir`, on a live store; what `dir` has is kept. */
int store_backup(struct store *s, const char *dir);
/* Are the rows of such a copy as they were written? 0, -EIO, or -errno. Blobs
 * have their own sums, which store_check verifies. */
int store_backup_check(const char *dir);

#endif
