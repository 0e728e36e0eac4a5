/* SPDX-License-Identifier: ISC */
/* What the files of the queue share; nobody else includes it. */
#ifndef PNEU_QM_QUEUE_INTERNAL_H
#define PNEU_QM_QUEUE_INTERNAL_H

#include "qm/queue/queue.h"
#include "qm/queue/record.h"

/* One of the 256, as this worker sees it. */
struct queue_slice {
	struct queue *q;
	bool held;   /* the lease is ours */
	bool fenced; /* and row `f` says so: needed before anything is read */
	bool taking; /* being acquired */
	uint64_t fence;
	int64_t lease_until; /* clock_mono_ms */
	int64_t next_due_ms; /* look again then; INT64_MAX: nothing there */
	struct store_watch watch;
};

struct queue {
	struct store *store;
	struct queue_slice slices[QUEUE_SLICES];
	unsigned n_held;
	unsigned turn; /* slice where queue_due goes on */
	/* Where new messages go: one slice for a run of them, so that a group
	 * commit touches few pages. */
	unsigned current, current_left;
	struct co *keeper; /* renews leases, takes free ones */
	bool stopping;
	struct co *stopper;
	unsigned share;
	void (*wake)(void *arg);
	void *wake_arg;
};

/* A recipient without index or content. NULL when out of memory or too many. */
struct queue_rcpt *queue_message_slot(struct queue_message *m);

/* The slice that a new message is to go to. Does not wait. */
unsigned queue_slice_pick(struct queue *q);
/*
 * Write our fence into the slice, if that has not been done. 0, -ESTALE (not
 * ours any more), or the store's.
 */
int queue_slice_fence(struct queue *q, struct queue_slice *sl);
/* Prolong all leases; also those that have lapsed, where nobody took them. */
void queue_renew(struct queue *q);
/* Somebody else has it: forget it. */
void queue_slice_lost(struct queue *q, struct queue_slice *sl);

/* Guard the batch with our fence where we hold the slice. */
void queue_guard_fence(struct store_batch *b, const struct queue_slice *sl);

#endif
