/* SPDX-License-Identifier: ISC */
/*
 * What store.c and the engines share; nobody else includes it.
 *
 * Engines see full keys: partition, NUL, key. So a partition's name holds no
 * NUL, its rows lie together, and end before partition, 0x01.
 */
#ifndef PNEU_STORE_ENGINE_H
#define PNEU_STORE_ENGINE_H

#include <event2/event.h>
#include <time.h>

#include "common/store/store.h"

enum store_op_kind {
	OP_GUARD,
	OP_GUARD_ABSENT,
	OP_PUT,
	OP_DEL,
	OP_DEL_RANGE, /* key: from, value: to (both full keys) */
	OP_BLOB_DEL,  /* key: the blob's id */
};

struct store_op {
	enum store_op_kind kind;
	uint32_t key_at, key_n, val_at, val_n; /* in the batch's octets */
};

struct store_batch {
	struct store *s;
	struct buf octets; /* begins with the partition and NUL */
	size_t part_n;     /* of these two */
	struct store_op *ops;
	size_t n_ops, cap_ops;
	struct store_blob_writer **needs;
	size_t n_needs;
	int rc; /* what went wrong while it was built */
};

static inline struct slice
op_key(const struct store_batch *b, const struct store_op *op)
{
	return slice(b->octets.p + op->key_at, op->key_n);
}

static inline struct slice
op_val(const struct store_batch *b, const struct store_op *op)
{
	return slice(b->octets.p + op->val_at, op->val_n);
}

/* Engines put their own fields behind it. */
struct store_blob_writer {
	struct store *s;
	struct store_blob_id id;
	uint64_t size;
	int64_t written_s;
	bool sealed;
};

typedef int store_row_fn(void *arg, struct slice key, struct slice val);
typedef int store_blob_fn(void *arg, const struct store_blob_id *id,
    uint64_t size, int64_t written_s);

/* As the functions of store.h, but with full keys. */
struct store_engine {
	const char *name;
	int (*open)(
	    struct store *s, const struct store_conf *conf, struct buf *err);
	void (*close)(struct store *s);
	int (*get)(struct store *s, struct slice key, struct buf *val);
	/* `row` gets keys without their first `skip` octets. */
	int (*scan)(struct store *s, struct slice from, struct slice to,
	    size_t skip, unsigned flags, store_row_fn *row, void *arg);
	int (*partitions)(struct store *s, struct slice prefix,
	    int (*part)(void *arg, struct slice name), void *arg);
	/* Batches whose rc is not 0 already; an error for each. */
	void (*commit)(
	    struct store *s, struct store_batch *const *b, size_t n, int *rc);
	int (*blob_begin)(struct store *s, const struct store_blob_id *id,
	    struct store_blob_writer **out);
	int (*blob_write)(struct store_blob_writer *w, struct slice octets);
	int (*blob_seal)(struct store_blob_writer *w);
	void (*blob_writer_free)(struct store_blob_writer *w);
	int (*blob_size)(
	    struct store *s, const struct store_blob_id *id, uint64_t *size);
	int (*blob_read)(struct store *s, const struct store_blob_id *id,
	    uint64_t at, void *p, size_t n, size_t *got);
	/* `after`: from the next id on; NULL: all. */
	int (*blob_list)(struct store *s, const struct store_blob_id *after,
	    store_blob_fn *blob, void *arg);
	int (*stats)(struct store *s, struct store_stats *out);
	int (*check)(struct store *s, store_fault_fn *fault, void *arg);
	int (*compact)(struct store *s, bool *more);
	int (*backup)(struct store *s, const char *dir);
};
extern const struct store_engine store_engine_memory;
extern const struct store_engine store_engine_embedded;

#define WATCH_BUCKETS 64
#define WATCH_NOTES 32
#define WATCH_NAME_LEN 16

/* A process's watches, and its socket among the others' (watch.c). */
struct watches {
	struct store_watch *bucket[WATCH_BUCKETS];
	struct store_watch *next; /* of the one that is being called */
	struct event *flush, *readable;
	uint64_t notes[WATCH_NOTES]; /* hashes to tell at the next turn */
	size_t n_notes;
	bool all;                      /* more than fit: tell everything */
	char self[WATCH_NAME_LEN + 1]; /* this process among the others */
	int fd, dir_fd;                /* -1: nobody else to tell */
	char (*peers)[WATCH_NAME_LEN + 1];
	size_t n_peers;
	struct timespec peers_as_of;
	char *dir;
};

struct store {
	const struct store_engine *engine;
	void *e; /* the engine's state */
	bool readonly;
	struct watches watches;
	size_t busy;       /* calls under way */
	struct co *closer; /* waits until none is */
	struct co *keeper; /* compacts in the background, or NULL */
	void (*on_blob)(void *arg, const struct store_blob_id *id);
	void *on_blob_arg;
};

/* Calls that may wait stand between these two. */
void store_enter(struct store *s);
void store_leave(struct store *s);

/* dir: the store's folder, or NULL when it has one process only. */
int watches_open(struct store *s, const char *dir, bool group);
void watches_close(struct store *s);
/* Is the process that calls itself `name` there? True when in doubt. */
bool watches_peer_alive(struct store *s, struct slice name);
/* Has any process the store in that folder open? */
bool watches_anybody(const char *dir);

/* Compact in the background until there is nothing more to do, unless that is
 * going on already. For engines to call now and then. */
void store_keep(struct store *s);
/* Finish the drops that a crash has left. */
int store_drops_replay(struct store *s);

#endif
