/* SPDX-License-Identifier: ISC */
/*
 * The queue on the engine (design section 6). One partition "q.XX" for each of
 * the 256 slices; in it
 *
 *   f                       the fence of the slice's holder
 *   m<queue id>             a message: envelope, blob, next attempt, flags
 *   r<queue id><index>      a recipient that is not done with
 *   d<due ms><queue id>     when the message is to be tried; value empty
 *
 * The octets of the message are one blob. A queue id is a new trace id and
 * two hex digits for the slice, so that one look finds it. States and what a
 * crash leaves are in qm/README.md.
 *
 * Who holds a slice (a lease) attempts its messages; every batch of a holder
 * guards on `f`, so one that slept past its lease can write nothing. Anybody
 * may add messages to any slice, and change one by a guard on its row.
 *
 * All functions may wait unless they say otherwise. Errors are the store's;
 * and -ENOENT (message is gone: an admin deleted it) and -ESTALE (the slice
 * is not ours any more): then leave the message alone.
 */
#ifndef PNEU_QM_QUEUE_QUEUE_H
#define PNEU_QM_QUEUE_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/smtp/smtp.h"
#include "common/store/store.h"

#define QUEUE_SLICES 256
#define QUEUE_ID_LEN (ID_LEN + 2)
/* Of one message, after aliases and forwards have been put in. */
#define QUEUE_RCPTS_MAX 10000
/* A report takes at most so many recipients off a message that stays: one
 * batch must hold them (STORE_BATCH_OPS). */
#define QUEUE_REPORT_MAX 150

struct queue;

enum queue_flag {
	QUEUE_HELD = 1 << 0,       /* an admin stopped it: no due row */
	QUEUE_DELAY_TOLD = 1 << 1, /* the delay notice has been sent */
	QUEUE_UTF8 = 1 << 2,       /* SMTPUTF8 (RFC 6531) */
	QUEUE_8BIT = 1 << 3,       /* has octets of 128 and more */
	QUEUE_AT_ONCE = 1 << 4,    /* an admin asked: try even where the
				      destination is known to be down */
	QUEUE_BY_TOLD = 1 << 5, /* the sender knows that it is late */
	QUEUE_TLS_ANY = 1 << 6, /* TLS-Required: No (RFC 8689 3) */
};

enum queue_rcpt_state {
	QUEUE_PENDING,
	/* Over, but the sender is to be told: */
	QUEUE_FAILED,
	QUEUE_DELIVERED,
	QUEUE_RELAYED,
	QUEUE_EXPANDED, /* became several (RFC 3461 5.2.7.3) */
	QUEUE_DONE,     /* over; its row goes with the next update */
};

struct queue_rcpt {
	uint32_t index;
	enum queue_rcpt_state state;
	unsigned notify;      /* enum smtp_notify */
	unsigned expansions;  /* how many aliases led here */
	struct slice address; /* local@domain, as on the wire */
	struct slice orcpt;   /* "rfc822;addr", decoded, or "" */
	/* Of the last attempt: */
	int64_t attempted_s;
	char status[12];         /* "4.4.1", or "" before the first */
	struct slice diagnostic; /* "450 4.2.1 busy", one line */
	struct slice remote;     /* host that said so, or "" */
	/* In memory only: */
	unsigned changes; /* counted up by queue_rcpt_touch */
	unsigned stored;  /* `changes` when last written */
	bool in_store;
	const char *route; /* where it goes; NULL: not known yet */
};

struct queue_message {
	char id[QUEUE_ID_LEN + 1];
	unsigned slice;
	unsigned flags; /* enum queue_flag */
	unsigned body;  /* enum smtp_body */
	unsigned ret;   /* enum smtp_ret */
	unsigned attempts;
	int64_t arrival_ms, due_ms;
	uint64_t size;
	struct store_blob_id blob;
	uint32_t next_index; /* recipients from here on do not count */
	struct slice from;   /* local@domain, or "" for <> */
	struct slice envid;  /* decoded, or "" */
	struct slice trace;  /* id from the first hop on */
	struct smtp_wishes wishes;
	struct queue_rcpt **rcpts;
	size_t n_rcpts, cap_rcpts;
	struct arena arena; /* of all the slices above */
	/* The row as it is in the store: what updates guard on. */
	struct buf row;
	unsigned row_flags;
	int64_t row_due_ms;
};

/* --- one message (does not wait) --- */

/* Empty, arrived now, due now. NULL when out of memory. */
struct queue_message *queue_message_new(void);
void queue_message_free(struct queue_message **m);
/* All slices are copied. NULL: too many, or out of memory. */
struct queue_rcpt *queue_message_add(struct queue_message *m,
    struct slice address, unsigned notify, struct slice orcpt);
/*
 * Note the outcome of an attempt. `diagnostic` becomes one printable line, cut
 * at 400 octets. False when out of memory: the state is set all the same.
 */
bool queue_rcpt_set(struct queue_message *m, struct queue_rcpt *r,
    enum queue_rcpt_state state, const char *status, struct slice diagnostic,
    struct slice remote);
void queue_rcpt_touch(struct queue_rcpt *r);
/* The store has it otherwise. */
bool queue_rcpt_is_dirty(const struct queue_rcpt *r);
size_t
queue_message_count(const struct queue_message *m, enum queue_rcpt_state state);
/* When its time began to run: at its arrival, or at its release (RFC 4865). */
int64_t queue_message_since_ms(const struct queue_message *m);

/* --- the queue --- */

int
queue_open(struct queue **out, const struct store_conf *conf, struct buf *err);
void queue_close(struct queue **q);
struct store *queue_store(struct queue *q);

/*
 * Add a message whose blob `w` is sealed; gives it its id and slice. Durable
 * when it returns 0. When it fails nothing of it is left but the blob, which
 * is the caller's to delete.
 */
int queue_put(
    struct queue *q, struct queue_message *m, struct store_blob_writer *w);

/*
 * The message with all its recipients. -ENOENT. `due_ms`: where it was found
 * to be due, or -1; a due row that the message does not go by is removed, and
 * so is a message of which a crash let only a part be added: -ENOENT.
 */
int queue_load(struct queue *q, const char *id, int64_t due_ms,
    struct queue_message **out);

/*
 * Write what has changed: recipients, flags, due, attempts. A message of which
 * every recipient is done is removed with its blob; *gone says so. `report`
 * (may be NULL), with its sealed blob, is added in the same batch as the last
 * change; recipients that it takes off must be QUEUE_REPORT_MAX at most unless
 * all are done.
 *
 * When an admin has changed the row meanwhile, his hold, release or retry is
 * taken over into `m`, and the update goes on.
 */
int queue_update(struct queue *q, struct queue_message *m,
    struct queue_message *report, struct store_blob_writer *w, bool *gone);

/* Blob of the message: up to n octets from `at`. */
int queue_read(struct queue *q, const struct queue_message *m, uint64_t at,
    void *p, size_t n, size_t *got);

/* --- slices: what a worker of the daemon does --- */

/*
 * Begin to hold slices: `share` of them at once, later also those that nobody
 * holds. `wake(arg)` is called (must not wait) when there may be something
 * newly due. 0 or -errno.
 */
int queue_hold_start(
    struct queue *q, unsigned share, void (*wake)(void *arg), void *arg);
/* Give all back. */
void queue_hold_stop(struct queue *q);
/* Does not wait. */
bool queue_holds(const struct queue *q, unsigned slice);
/* Make sure of the slice before a message of it is attempted: 0 or -ESTALE
 * (or the store's). Costs nothing when it has been done. */
int queue_claim(struct queue *q, unsigned slice);

/*
 * Go through what is due now in the slices held, oldest first in each, in
 * turns between them: due() must not wait; it returns 1 to stop (no room),
 * else 0. *next_ms: when to come again (INT64_MAX: when woken).
 */
int queue_due(struct queue *q, int64_t now_ms,
    int (*due)(void *arg, const char *id, int64_t due_ms), void *arg,
    int64_t *next_ms);
/* The message was put to rest until its due time: look then. No wait. */
void queue_note(struct queue *q, unsigned slice, int64_t due_ms);

/* --- admin, also from another process --- */

struct queue_info {
	char id[QUEUE_ID_LEN + 1];
	unsigned flags, attempts;
	int64_t arrival_ms, due_ms;
	int64_t release_ms; /* FUTURERELEASE; 0: none */
	uint64_t size;
	struct slice from, trace;
	uint32_t recipients; /* that it came with */
};
/* Each message, slice by slice; `each` must not wait; non-zero ends it. */
int queue_list(struct queue *q,
    int (*each)(void *arg, const struct queue_info *info), void *arg);

enum queue_order {
	QUEUE_ORDER_HOLD,
	QUEUE_ORDER_RELEASE, /* due now, if it was held */
	QUEUE_ORDER_RETRY,   /* due now, unless held */
	QUEUE_ORDER_DELETE,
};
/* 0, -ENOENT, or the store's. The holder of the slice is notified. */
int queue_order(struct queue *q, const char *id, enum queue_order order);

/* The slice in an id; -1: not an id. */
int queue_id_slice(struct slice id);

#endif
