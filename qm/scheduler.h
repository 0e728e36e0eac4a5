/* SPDX-License-Identifier: ISC */
/*
 * Who may connect where, and when. Work for a destination (a domain, the
 * mailbox, a smarthost) waits in its queue; each destination has a window, the
 * number of connections it may have at once: it starts small, grows while
 * things go well, halves when they do not (as TCP's does). A destination that
 * cannot be reached at all is left alone for a while, and what waits for it
 * goes back to disk with the reason. All destinations together share a bound
 * on connections and take turns at it.
 *
 * What a connection is, the scheduler does not know: it is given three
 * functions, so that tests can stand in for the network.
 */
#ifndef PNEU_QM_SCHEDULER_H
#define PNEU_QM_SCHEDULER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"
#include "common/smtp/smtp.h"

struct scheduler;

/* --- the window (pure) --- */

struct window {
	double size;      /* connections; at least 1 */
	double threshold; /* below it the window grows fast */
	double max;
};
void window_init(struct window *w, unsigned start, unsigned max);
void window_success(struct window *w);
void window_failure(struct window *w);
unsigned window_connections(const struct window *w);

/* --- work --- */

/* Why nothing can be done for a job: a reply of the other side, or one of our
 * own in its form ("451 4.4.1 connection timed out"). */
struct scheduler_fault {
	struct smtp_reply reply; /* its text in `text`, or static */
	char text[400];
	char remote[512]; /* who said so, or who was not reached */
};

struct scheduler_job {
	const char *destination;
	int priority; /* those with more go first to the same destination */
	bool at_once; /* even when the destination is being left alone */
	/* Done with, after `run` or `fail`; must not wait; may free the job. */
	void (*done)(struct scheduler_job *job);
	struct scheduler_job *next; /* the scheduler's, as is: */
	unsigned tries;
};

enum scheduler_run {
	SCHEDULER_GOOD,   /* the connection can take another job */
	SCHEDULER_CLOSE,  /* carried out, but close it; not a failure */
	SCHEDULER_BROKEN, /* the destination is in trouble: slow down */
	SCHEDULER_STALE,  /* an idle connection had gone: nothing was done */
};

struct scheduler_ops {
	/* All may wait. Open a connection; -errno with *why set. */
	int (*open)(void *arg, const char *destination, void **connection,
	    struct scheduler_fault *why);
	enum scheduler_run (*run)(
	    void *arg, void *connection, struct scheduler_job *job);
	void (*close)(void *arg, void *connection);
	/* The job was not carried out; must not wait. */
	void (*fail)(void *arg, struct scheduler_job *job,
	    const struct scheduler_fault *why);
};

struct scheduler_conf {
	unsigned window_start, window_max; /* of each destination */
	const char *near;         /* one that is ours: begins with window_max */
	unsigned connections_max; /* of all together */
	size_t jobs_max;          /* that wait or run */
	int64_t leave_alone_ms, leave_alone_max_ms;
	int64_t idle_ms; /* keep a connection that has nothing to do */
};

int scheduler_new(struct scheduler **out, const struct scheduler_conf *conf,
    const struct scheduler_ops *ops, void *arg);
/* From now on. */
void
scheduler_configure(struct scheduler *s, const struct scheduler_conf *conf);
/* Cancels all connections and waits for their end; each job is failed. */
void scheduler_free(struct scheduler **s);

/*
 * Queue a job. False: this destination has its part of jobs_max already; come
 * again after scheduler_wait_ms, or put the message back to disk. Does not wait. A destination that
 * is left alone fails the job at once, before this returns (true).
 */
bool scheduler_submit(struct scheduler *s, struct scheduler_job *job);
/* How long the destination is likely to need for half of what it has. */
int64_t scheduler_wait_ms(const struct scheduler *s, const char *destination);
/* Jobs that wait or run. */
size_t scheduler_jobs(const struct scheduler *s);
/* The destination's window as it is now; 0: nothing is known of it. */
unsigned scheduler_window(const struct scheduler *s, const char *destination);

#endif
