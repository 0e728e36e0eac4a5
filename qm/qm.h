/* SPDX-License-Identifier: ISC */
/*
 * The queue manager of one worker: messages in memory ("active"), each with a
 * coroutine that makes one pass over it: ask guard, hand jobs to the
 * scheduler, write down what became of them, report, set the next attempt.
 * What is not active rests on disk.
 */
#ifndef PNEU_QM_QM_H
#define PNEU_QM_QM_H

#include "common/base/conf.h"
#include "common/net/service.h"
#include "common/smtp/client.h"
#include "qm/deliver.h"
#include "qm/queue/queue.h"
#include "qm/report.h"
#include "qm/retry.h"
#include "qm/scheduler.h"

#define QM_BUCKETS 1024

struct pass;

struct qm {
	struct queue *queue;
	struct scheduler *scheduler;
	struct smtp_pool *guard;
	struct deliver deliver;
	struct retry_conf retry;
	struct report_conf report;
	bool smarthost; /* one is configured */
	size_t active_max, rcpts_max;
	/* Messages in memory, by id. */
	struct pass *passes[QM_BUCKETS];
	size_t n_active, n_rcpts;
	struct co *walker;
	struct co_event look; /* something may be due, or there is room */
	bool full;            /* the walker had to stop for want of room */
	bool flushing;        /* qm_flush is under way */
	bool stopping;
	struct co *stopper;
};

/* --- etrn.c --- */

/*
 * Try now what waits for the domain (and, `subdomains`, those below it), as
 * `pneu queue retry` does; *n messages. 0, the queue's errors, or -EBUSY: one
 * at a time.
 */
int qm_flush(struct qm *qm, struct slice node, bool subdomains, size_t *n);
/* Is the address in that domain? In any case, and as A-label or U-label. */
bool qm_domain_matches(
    struct slice address, struct slice node, bool subdomains);

/* --- active.c --- */

/* Start to walk what is due. `share` slices at once (queue_hold_start). */
int qm_active_start(struct qm *qm, unsigned share);
/* No new pass; those under way have `patience_ms`, then their connections are
 * cancelled; returns when all have ended. The scheduler is freed. */
void qm_active_stop(struct qm *qm, int64_t patience_ms);
/*
 * A message that has just been put: attempt it now if it is in a slice of ours
 * and there is room. Takes it over (*m becomes NULL). Does not wait.
 */
void qm_offer(struct qm *qm, struct queue_message **m);

/* --- pass.c --- */

struct pass {
	struct pass *next; /* in its bucket */
	struct qm *qm;
	char id[QUEUE_ID_LEN + 1];
	int64_t due_ms;          /* where it was found; -1: just put */
	struct queue_message *m; /* NULL until loaded */
	struct co *co;
	size_t counted; /* of qm->n_rcpts */
	/* Of the attempt: */
	bool at_once;
	bool started;   /* its deliveries are under way: never cancelled */
	bool busy;      /* a destination had no room for more */
	bool ours_away; /* guard or mailbox could not be reached */
	size_t jobs;    /* not done */
	bool attempted; /* at least one job was carried out */
};
/* The coroutine of a pass; calls qm_pass_ended as its last. */
void qm_pass_main(void *pass);
/* active.c: it is over; look at its slice again at `again_ms` (INT64_MAX:
 * there is nothing to come back to). */
void qm_pass_ended(struct pass *p, int64_t again_ms);

/* --- ask.c --- */

/*
 * Ask guard about the n recipients: replies in rcpts[i].reply, their texts in
 * `a`. 0, or an error: guard cannot be asked now.
 */
int qm_ask_guard(struct qm *qm, struct arena *a,
    const struct smtp_client_mail *mail, struct smtp_client_rcpt *rcpts,
    size_t n);

#endif
