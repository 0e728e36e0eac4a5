/* SPDX-License-Identifier: ISC */
/*
 * The loop and its coroutines. One process is one libevent loop on one
 * thread; each connection (and each piece of background work) is a coroutine
 * that runs until it waits. So protocol code is written straight, and what
 * would be a race elsewhere can only happen at a wait.
 *
 * The rules of waiting:
 *  - Every wait of this interface returns 0, or -ETIMEDOUT, or -ECANCELED, in
 *    time; the caller then unwinds by its ordinary error path.
 *  - Cancelling is sticky: after -ECANCELED every later wait of the coroutine
 *    returns it at once, but for the waits marked "not cancelled" below.
 *  - Nobody frees what a suspended coroutine still uses: who owns a coroutine
 *    cancels it and then waits until it has ended.
 *  - Stacks are 128 KiB: no deep recursion, no large arrays.
 *
 * A negative timeout means no limit. All functions are for the loop's thread,
 * but for co_remote_done.
 */
#ifndef PNEU_BASE_CO_H
#define PNEU_BASE_CO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;
struct co;

/* --- the loop --- */

/* Make the process's loop; after fork, never before. 0 or -errno. */
int loop_init(void);
struct event_base *loop_base(void);
/* Runs until loop_stop, or until nothing is left to wait for. */
void loop_run(void);
void loop_stop(void);
/* After loop_run; coroutines that have not ended are forgotten. */
void loop_free(void);

/* --- coroutines --- */

/*
 * Start `fn(arg)` as a coroutine; it first runs on the loop's next turn, never
 * inside this call. NULL when out of memory. The handle is valid until `fn`
 * returns.
 */
struct co *co_spawn(void (*fn)(void *), void *arg);
/* The running coroutine, or NULL outside of any. */
struct co *co_self(void);
/* Ask `c` to end: its wait, and all later ones, return -ECANCELED. */
void co_cancel(struct co *c);
bool co_is_canceled(const struct co *c);
/* Number of coroutines that have not ended. */
size_t co_count(void);

/*
 * For tools and tests: run the loop until fn(arg), as a coroutine, has ended.
 * Makes a loop for the time where there is none.
 */
int co_run(void (*fn)(void *), void *arg);

/* Text for each log line of this coroutine: "conn=.. id=.."; copied, cut at
 * 79 octets. Children made by co_spawn start with their parent's. */
void co_log_context(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* What its trace records have in common (trace.h), to be filled in; inherited
 * as above. NULL outside of any coroutine. */
struct trace_context *co_trace_context(void);

/* --- waiting --- */

/*
 * Sleep until co_wake. A wake that came before the park is not lost: the park
 * then returns 0 at once. It may also return 0 without cause, so wait in a
 * loop over the condition.
 */
int co_park(int64_t timeout_ms);
/* As co_park without limit, and not cancelled: for work that another thread
 * holds pointers of. */
void co_park_uncancelable(void);
/* Make `c` run on the loop's next turn. NULL is fine. */
void co_wake(struct co *c);

/*
 * Waiting for another thread. The struct stands in what both share; the
 * coroutine calls _begin before it hands that over and _wait (not cancelled)
 * after; the thread calls _done as the last thing it does with it.
 */
struct co_remote {
	struct co_remote *next;
	struct co *c;
	bool done; /* written and read by the loop's thread only */
};
void co_remote_begin(struct co_remote *r);
void co_remote_done(struct co_remote *r);
void co_remote_wait(struct co_remote *r);

int co_sleep(int64_t ms);
/* Let everything else that is ready run first. Yields 0 or -ECANCELED. */
int co_yield (void);
/* Until `fd` is readable (EV_READ) or writable (EV_WRITE). */
int co_wait_fd(int fd, short what, int64_t timeout_ms);

/*
 * Run fn(arg) on the thread pool (as many threads as CPUs, at least 2) and
 * wait for it, not cancelled: what may block or takes over a millisecond.
 * 0, or -EAGAIN when over 1,024 pieces of work are waiting: reply 454 or NO.
 */
int co_work(void (*fn)(void *), void *arg);

/*
 * A flag that one coroutine waits for and anybody sets; it stays set until
 * cleared. Zero-initialise.
 */
struct co_event {
	bool set;
	struct co *waiter;
};
void co_event_set(struct co_event *e);
/* Returns with the flag still set. */
int co_event_wait(struct co_event *e, int64_t timeout_ms);

/* A lock held across waits, given in order of asking. Zero-initialise. */
struct co_mutex {
	bool held;
	struct co_mutex_waiter *first, **last;
};
int co_mutex_lock(struct co_mutex *m, int64_t timeout_ms);
void co_mutex_unlock(struct co_mutex *m);

/* A bound on how many do something at once. Set `free` before use. */
struct co_semaphore {
	size_t free;
	struct co_mutex_waiter *first, **last;
};
int co_semaphore_take(struct co_semaphore *s, int64_t timeout_ms);
void co_semaphore_give(struct co_semaphore *s);

/*
 * Fan-out that is always joined: children run while the parent goes on, and
 * the parent must call co_group_join before the group goes out of scope. The
 * join cancels nothing by itself; when the parent is cancelled, so are the
 * children, and the join still waits for their end.
 */
struct co_group {
	size_t running;
	struct co *parent;
	struct co_group_child *children;
};
/* 0 or -ENOMEM. */
int co_group_spawn(struct co_group *g, void (*fn)(void *), void *arg);
/* 0, or -ECANCELED when the parent was cancelled. */
int co_group_join(struct co_group *g);

#endif
