/* SPDX-License-Identifier: ISC */
/*
 * Coroutines as in QEMU's util/coroutine-ucontext.c: ucontext makes a stack,
 * sigsetjmp/siglongjmp switch without a system call. Built without
 * _FORTIFY_SOURCE, whose longjmp check rejects a jump to another stack.
 *
 * Everything that becomes ready goes to one FIFO, `ready`, so nothing runs
 * inside the call that woke it. A turn of the loop asks the kernel once, and
 * then runs what stands in the FIFO. (Not from an event of libevent's: one that
 * makes itself active again would be run again before sockets are looked at.)
 */
#include "common/base/co.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/loop_memory.h"
#include "common/base/trace.h"

#if defined(__SANITIZE_ADDRESS__)
#define CO_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CO_ASAN 1
#endif
#endif
#ifdef CO_ASAN
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#endif

#define STACK_SIZE ((size_t)128 << 10)
#define STACK_POOL 64                /* stacks kept for reuse */
#define STACK_WARM ((size_t)8 << 10) /* stays resident in a pooled stack */
#define TRIM_TICK_MS 200
#define WORK_QUEUE_MAX 1024
#define LAST_TURNS 100 /* for what co_run's coroutine left behind */

struct co {
	sigjmp_buf env;
	char *stack;     /* mapping: guard page, then STACK_SIZE */
	struct co *next; /* in `ready`, or in the pool */
	void (*fn)(void *);
	void *arg;
	struct event *timer; /* made at the first wait with a deadline */
	bool queued;         /* stands in `ready` */
	bool parked;
	bool woken; /* a wake that no park has used yet */
	bool canceled;
	bool timed_out;
	bool ended;
	void *fake_stack; /* ASan's */
	/* In `untrimmed` while it waits long and its stack is as it was. */
	struct co *trim_next, **trim_at;
	const char *trim_below;
	unsigned trim_tick;
	char log_context[80];
	struct trace_context trace_context;
};

static struct event_base *base;
static struct event *remote_event, *trim_event;
static bool stopping;
static struct co *ready_first, **ready_last = &ready_first;
static struct co *running;
static struct co *untrimmed, **untrimmed_last = &untrimmed;
static unsigned trim_tick;
static struct co *pool;
static size_t pool_count, co_live;
static sigjmp_buf loop_env;
static size_t page_size;

/* Finished by other threads: a list under a lock and an eventfd. */
static pthread_mutex_t remote_lock = PTHREAD_MUTEX_INITIALIZER;
static struct co_remote *remote_first, **remote_last = &remote_first;
static int remote_fd = -1;

#ifdef CO_ASAN
static const void *loop_stack_bottom;
static size_t loop_stack_size;
#endif

static void
switch_begin(void **fake, const void *bottom, size_t size)
{
#ifdef CO_ASAN
	__sanitizer_start_switch_fiber(fake, bottom, size);
#else
	(void)fake, (void)bottom, (void)size;
#endif
}

static void
switch_end(void *fake, const void **bottom, size_t *size)
{
#ifdef CO_ASAN
	__sanitizer_finish_switch_fiber(fake, bottom, size);
#else
	(void)fake, (void)bottom, (void)size;
#endif
}

static char *
stack_bottom(const struct co *c)
{
	return c->stack + page_size;
}

/* --- switching --- */

/* From a coroutine back to the loop. */
static void
switch_to_loop(struct co *c)
{
#ifdef CO_ASAN
	switch_begin(c->ended ? NULL : &c->fake_stack, loop_stack_bottom,
	    loop_stack_size);
#endif
	if (sigsetjmp(c->env, 0) == 0)
		siglongjmp(loop_env, 1);
#ifdef CO_ASAN
	switch_end(c->fake_stack, &loop_stack_bottom, &loop_stack_size);
#endif
}

/* Where every stack starts; a pooled stack comes back here for its next fn. */
static void
co_main(unsigned lo, unsigned hi)
{
	struct co *c = (struct co *)((uintptr_t)lo | (uintptr_t)hi << 16 << 16);

	/* The creator may be the loop or a coroutine. */
	const void *creator_bottom = NULL;
	size_t creator_size = 0;

	switch_end(NULL, &creator_bottom, &creator_size);
	if (sigsetjmp(c->env, 0) == 0) {
		switch_begin(&c->fake_stack, creator_bottom, creator_size);
		siglongjmp(loop_env, 1);
	}
	for (;;) {
#ifdef CO_ASAN
		switch_end(c->fake_stack, &loop_stack_bottom, &loop_stack_size);
#endif
		c->fn(c->arg);
		c->ended = true;
		if (sigsetjmp(c->env, 0) == 0) {
#ifdef CO_ASAN
			switch_begin(
			    &c->fake_stack, loop_stack_bottom, loop_stack_size);
#endif
			siglongjmp(loop_env, 1);
		}
	}
}

static void
co_destroy(struct co *c)
{
	if (c->timer != NULL)
		event_free(c->timer);
	if (c->stack != NULL) {
#ifdef CO_ASAN
		__lsan_unregister_root_region(stack_bottom(c), STACK_SIZE);
#endif
		munmap(c->stack, page_size + STACK_SIZE);
	}
	free(c);
}

/* Run co_main up to its first sigsetjmp; a jump comes back here. Apart from
 * co_new, so that none of its locals live across the jump. */
static __attribute__((noinline)) void
co_start(struct co *c)
{
	void *volatile fake = NULL;
	ucontext_t fresh, here;
	sigjmp_buf saved;

	getcontext(&fresh); /* cannot fail on Linux with a valid pointer */
	fresh.uc_link = &here;
	fresh.uc_stack.ss_sp = stack_bottom(c);
	fresh.uc_stack.ss_size = STACK_SIZE;
	makecontext(&fresh, (void (*)(void))co_main, 2, (unsigned)(uintptr_t)c,
	    (unsigned)((uintptr_t)c >> 16 >> 16));
	memcpy(&saved, &loop_env, sizeof(saved));
	if (sigsetjmp(loop_env, 0) == 0) {
		switch_begin(
		    (void **)(uintptr_t)&fake, stack_bottom(c), STACK_SIZE);
		swapcontext(&here, &fresh);
	}
	switch_end(fake, NULL, NULL);
	memcpy(&loop_env, &saved, sizeof(saved));
}

static struct co *
co_new(void)
{
	struct co *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	if (page_size == 0)
		page_size = (size_t)sysconf(_SC_PAGESIZE);
	c->stack = mmap(NULL, page_size + STACK_SIZE, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	if (c->stack == MAP_FAILED) {
		c->stack = NULL;
		co_destroy(c);
		return NULL;
	}
#ifdef CO_ASAN
	__lsan_register_root_region(stack_bottom(c), STACK_SIZE);
#endif
	if (mprotect(c->stack, page_size, PROT_NONE) == -1) {
		co_destroy(c);
		return NULL;
	}
	co_start(c);
	return c;
}

static void
resume(struct co *c)
{
	void *volatile fake = NULL;

	running = c;
	if (sigsetjmp(loop_env, 0) == 0) {
		switch_begin(
		    (void **)(uintptr_t)&fake, stack_bottom(c), STACK_SIZE);
		siglongjmp(c->env, 1);
	}
	switch_end(fake, NULL, NULL);
	running = NULL;
}

/* Give back what an idle stack does not need, below what it uses now. */
static void
stack_trim(struct co *c, const char *in_use)
{
	uintptr_t from = (uintptr_t)stack_bottom(c);
	uintptr_t to = (uintptr_t)in_use / page_size * page_size;

#ifndef CO_ASAN
	if (to > from + page_size)
		madvise((void *)from, to - from - page_size, MADV_DONTNEED);
#else
	(void)from, (void)to;
#endif
}

/*
 * A stack is trimmed when its coroutine has waited for a tick or two. Not when
 * the wait begins: under load the next command is there in no time, and every
 * fourth system call would be this one, with page faults to follow.
 */
static void
trim_later(struct co *c, const char *in_use)
{
	static const struct timeval tick = { 0, TRIM_TICK_MS * 1000 };

	if (untrimmed == NULL)
		event_add(trim_event, &tick); /* fails: not trimmed, no harm */
	c->trim_below = in_use;
	c->trim_tick = trim_tick;
	c->trim_next = NULL;
	c->trim_at = untrimmed_last;
	*untrimmed_last = c;
	untrimmed_last = &c->trim_next;
}

static void
trim_cancel(struct co *c)
{
	if (c->trim_at == NULL)
		return;
	if ((*c->trim_at = c->trim_next) != NULL)
		c->trim_next->trim_at = c->trim_at;
	else
		untrimmed_last = c->trim_at;
	c->trim_at = NULL;
}

static void
on_trim(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval tick = { 0, TRIM_TICK_MS * 1000 };
	struct co *c;

	(void)fd, (void)what, (void)arg;
	while ((c = untrimmed) != NULL && c->trim_tick != trim_tick) {
		trim_cancel(c);
		stack_trim(c, c->trim_below);
	}
	trim_tick++;
	if (untrimmed != NULL)
		event_add(trim_event, &tick);
}

static void
co_end(struct co *c)
{
	co_live--;
	if (c->timer != NULL)
		event_del(c->timer);
	if (pool_count >= STACK_POOL) {
		co_destroy(c);
		return;
	}
	if (pool_count >= STACK_POOL / 4)
		stack_trim(c, stack_bottom(c) + STACK_SIZE - STACK_WARM);
	c->next = pool;
	pool = c;
	pool_count++;
}

/* --- the loop --- */

static void
make_ready(struct co *c)
{
	if (c->queued || c->ended)
		return;
	c->queued = true;
	c->next = NULL;
	*ready_last = c;
	ready_last = &c->next;
}

/* Runs what was ready when the turn began; the rest waits for the next, so
 * that a chatty pair of coroutines cannot starve the sockets. */
static void
run_ready(void)
{
	struct co *c, *batch = ready_first;

	ready_first = NULL;
	ready_last = &ready_first;
	while ((c = batch) != NULL) {
		batch = c->next;
		c->queued = false;
		resume(c);
		if (c->ended)
			co_end(c);
	}
}

static void
on_remote(evutil_socket_t fd, short what, void *arg)
{
	struct co_remote *r, *next;
	uint64_t count;

	(void)what, (void)arg;
	if (read(fd, &count, sizeof(count)) == -1 && errno != EAGAIN)
		log_error("eventfd", "error=%s", strerror(errno));
	pthread_mutex_lock(&remote_lock);
	r = remote_first;
	remote_first = NULL;
	remote_last = &remote_first;
	pthread_mutex_unlock(&remote_lock);
	for (; r != NULL; r = next) {
		next = r->next; /* r is its owner's again after the wake */
		r->done = true;
		co_wake(r->c);
	}
}

static const char *
log_context(void)
{
	return running ? running->log_context : NULL;
}

int
loop_init(void)
{
	struct event_config *config;

	if (base != NULL)
		return 0;
	page_size = (size_t)sysconf(_SC_PAGESIZE);
	loop_memory_init();
	if ((config = event_config_new()) == NULL)
		return -ENOMEM;
	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
	base = event_base_new_with_config(config);
	event_config_free(config);
	if (base == NULL)
		return -ENOMEM;
	remote_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	remote_event =
	    event_new(base, remote_fd, EV_READ | EV_PERSIST, on_remote, NULL);
	trim_event = event_new(base, -1, 0, on_trim, NULL);
	if (remote_fd == -1 || remote_event == NULL || trim_event == NULL ||
	    event_add(remote_event, NULL) == -1) {
		loop_free();
		return -ENOMEM;
	}
	log_set_context(log_context);
	trace_set_context(co_trace_context);
	return 0;
}

struct event_base *
loop_base(void)
{
	return base;
}

static void
turn(int flags)
{
	event_base_loop(base, flags);
	run_ready();
}

void
loop_run(void)
{
	stopping = false;
	while (!stopping)
		turn(ready_first != NULL ? EVLOOP_NONBLOCK : EVLOOP_ONCE);
}

void
loop_stop(void)
{
	stopping = true;
	event_base_loopbreak(base); /* where an event of libevent's asks */
}

void
loop_free(void)
{
	struct co *c;

	while ((c = pool) != NULL) {
		pool = c->next;
		co_destroy(c);
	}
	pool_count = 0;
	if (remote_event != NULL)
		event_free(remote_event);
	if (trim_event != NULL)
		event_free(trim_event);
	if (remote_fd != -1)
		close(remote_fd);
	if (base != NULL)
		event_base_free(base);
	remote_event = trim_event = NULL;
	remote_fd = -1;
	base = NULL;
	ready_first = NULL;
	ready_last = &ready_first;
	untrimmed = NULL;
	untrimmed_last = &untrimmed;
	co_live = 0;
}

/* --- coroutines --- */

struct co *
co_spawn(void (*fn)(void *), void *arg)
{
	struct co *c = pool;

	if (c != NULL) {
		pool = c->next;
		pool_count--;
	} else if ((c = co_new()) == NULL) {
		return NULL;
	}
	c->fn = fn;
	c->arg = arg;
	c->parked = c->woken = c->canceled = c->timed_out = c->ended = false;
	memcpy(c->log_context, running ? running->log_context : "",
	    running ? sizeof(c->log_context) : 1);
	c->trace_context =
	    running ? running->trace_context : (struct trace_context){ 0 };
	co_live++;
	make_ready(c);
	return c;
}

struct co *
co_self(void)
{
	return running;
}

size_t
co_count(void)
{
	return co_live;
}

bool
co_is_canceled(const struct co *c)
{
	return c->canceled;
}

void
co_cancel(struct co *c)
{
	if (c == NULL || c->canceled)
		return;
	c->canceled = true;
	co_wake(c);
}

void
co_log_context(const char *fmt, ...)
{
	va_list ap;

	if (running == NULL)
		return;
	va_start(ap, fmt);
	vsnprintf(running->log_context, sizeof(running->log_context), fmt, ap);
	va_end(ap);
}

struct trace_context *
co_trace_context(void)
{
	return running != NULL ? &running->trace_context : NULL;
}

struct co_run_state {
	void (*fn)(void *);
	void *arg;
	bool done;
};

static void
co_run_main(void *arg)
{
	struct co_run_state *s = arg;

	s->fn(s->arg);
	s->done = true;
	loop_stop();
}

int
co_run(void (*fn)(void *), void *arg)
{
	struct co_run_state s = { fn, arg, false };
	bool own = base == NULL;
	int rc;

	if (own && (rc = loop_init()) != 0)
		return rc;
	if (co_spawn(co_run_main, &s) == NULL)
		return -ENOMEM;
	while (!s.done)
		loop_run();
	/* Coroutines that fn cancelled just before it ended. */
	for (int i = 0; i < LAST_TURNS && ready_first != NULL; i++)
		turn(EVLOOP_NONBLOCK);
	if (own)
		loop_free();
	return 0;
}

/* --- waiting --- */

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct co *c = arg;

	(void)fd, (void)what;
	c->timed_out = true;
	make_ready(c);
}

void
co_wake(struct co *c)
{
	if (c == NULL)
		return;
	c->woken = true;
	if (c->parked)
		make_ready(c);
}

void
co_remote_begin(struct co_remote *r)
{
	*r = (struct co_remote){ NULL, running, false };
}

void
co_remote_done(struct co_remote *r)
{
	uint64_t one = 1;
	bool first;

	pthread_mutex_lock(&remote_lock);
	first = remote_first == NULL;
	r->next = NULL;
	*remote_last = r;
	remote_last = &r->next;
	pthread_mutex_unlock(&remote_lock);
	/* Fails only when the counter is full, and then the loop wakes too. */
	if (first && write(remote_fd, &one, sizeof(one)) == -1)
		return;
}

void
co_remote_wait(struct co_remote *r)
{
	while (!r->done)
		co_park_uncancelable();
}

static int
timer_start(struct co *c, int64_t ms)
{
	struct timeval tv = { ms / 1000, (suseconds_t)(ms % 1000) * 1000 };

	if (c->timer == NULL &&
	    (c->timer = event_new(base, -1, 0, on_timer, c)) == NULL)
		return -ENOMEM;
	return event_add(c->timer, &tv) == -1 ? -ENOMEM : 0;
}

int
co_park(int64_t timeout_ms)
{
	struct co *c = running;
	int rc;

	if (c->canceled)
		return -ECANCELED;
	if (c->woken) {
		c->woken = false;
		return 0;
	}
	if (timeout_ms == 0)
		return -ETIMEDOUT;
	c->timed_out = false;
	if (timeout_ms > 0 && (rc = timer_start(c, timeout_ms)) != 0)
		return rc;
	if (timeout_ms < 0 || timeout_ms > 1000)
		trim_later(c, (const char *)__builtin_frame_address(0) - 2048);
	c->parked = true;
	switch_to_loop(c);
	c->parked = false;
	trim_cancel(c);
	if (timeout_ms > 0 && !c->timed_out)
		event_del(c->timer);
	if (c->canceled)
		return -ECANCELED;
	if (c->woken) {
		c->woken = false;
		return 0;
	}
	return c->timed_out ? -ETIMEDOUT : 0;
}

void
co_park_uncancelable(void)
{
	struct co *c = running;

	if (!c->woken) {
		c->parked = true;
		switch_to_loop(c);
		c->parked = false;
	}
	c->woken = false;
}

int co_yield (void)
{
	struct co *c = running;

	make_ready(c);
	switch_to_loop(c);
	return c->canceled ? -ECANCELED : 0;
}

int
co_sleep(int64_t ms)
{
	int64_t end = clock_mono_ms() + ms, left;
	int rc;

	while ((left = end - clock_mono_ms()) > 0)
		if ((rc = co_park(left)) == -ECANCELED)
			return rc;
	return 0;
}

struct fd_wait {
	struct co *c;
	bool ready;
};

static void
on_fd(evutil_socket_t fd, short what, void *arg)
{
	struct fd_wait *w = arg;

	(void)fd, (void)what;
	w->ready = true;
	co_wake(w->c);
}

int
co_wait_fd(int fd, short what, int64_t timeout_ms)
{
	struct fd_wait w = { running, false };
	struct event e;
	int rc = 0;

	event_assign(&e, base, fd, what, on_fd, &w);
	if (event_add(&e, NULL) == -1)
		return -errno;
	while (!w.ready && (rc = co_park(timeout_ms)) == 0)
		;
	event_del(&e);
	return w.ready ? 0 : rc;
}

/* --- the thread pool --- */

struct work {
	struct work *next;
	void (*fn)(void *);
	void *arg;
	struct co_remote remote;
};

static pthread_mutex_t work_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work_ready = PTHREAD_COND_INITIALIZER;
static struct work *work_first, **work_last = &work_first;
static size_t work_count, work_threads;
static pid_t work_pid;

static void *
work_main(void *arg)
{
	struct work *w;

	(void)arg;
	for (;;) {
		pthread_mutex_lock(&work_lock);
		while ((w = work_first) == NULL)
			pthread_cond_wait(&work_ready, &work_lock);
		if ((work_first = w->next) == NULL)
			work_last = &work_first;
		work_count--;
		pthread_mutex_unlock(&work_lock);
		w->fn(w->arg);
		co_remote_done(&w->remote);
	}
	return NULL;
}

/* Threads start at the first need, in the process that needs them. */
static int
work_start(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	size_t want = cpus < 2 ? 2 : (size_t)cpus;
	pthread_attr_t attr;
	pthread_t t;

	if (work_pid == getpid())
		return 0;
	if (work_pid != 0) {
		/* Forked from a process that had threads: what they waited on
		 * still counts them. */
		pthread_mutex_init(&work_lock, NULL);
		pthread_cond_init(&work_ready, NULL);
		work_first = NULL;
		work_last = &work_first;
		work_count = 0;
	}
	work_pid = getpid();
	work_threads = 0;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, (size_t)256 << 10);
	while (work_threads < want &&
	    pthread_create(&t, &attr, work_main, NULL) == 0)
		work_threads++;
	pthread_attr_destroy(&attr);
	if (work_threads == 0)
		work_pid = 0;
	return work_threads > 0 ? 0 : -EAGAIN;
}

int
co_work(void (*fn)(void *), void *arg)
{
	struct work w = { .fn = fn, .arg = arg };

	if (work_start() != 0)
		return -EAGAIN;
	pthread_mutex_lock(&work_lock);
	if (work_count >= WORK_QUEUE_MAX) {
		pthread_mutex_unlock(&work_lock);
		return -EAGAIN;
	}
	co_remote_begin(&w.remote);
	work_count++;
	*work_last = &w;
	work_last = &w.next;
	pthread_cond_signal(&work_ready);
	pthread_mutex_unlock(&work_lock);
	co_remote_wait(&w.remote);
	return 0;
}

/* --- events, locks, groups --- */

void
co_event_set(struct co_event *e)
{
	e->set = true;
	co_wake(e->waiter);
}

int
co_event_wait(struct co_event *e, int64_t timeout_ms)
{
	int64_t end = clock_mono_ms() + timeout_ms, left = timeout_ms;
	int rc = 0;

	e->waiter = running;
	while (!e->set && rc == 0) {
		if (timeout_ms >= 0 && (left = end - clock_mono_ms()) < 0)
			left = 0;
		rc = co_park(left);
	}
	e->waiter = NULL;
	return e->set ? 0 : rc;
}

struct co_mutex_waiter {
	struct co_mutex_waiter *next;
	struct co *c;
	bool given;
};

/* Not inlined: the waiter is on the stack of a coroutine that stays suspended
 * while it is in the queue, which the compiler cannot know. */
static __attribute__((noinline)) void
queue_append(struct co_mutex_waiter **first, struct co_mutex_waiter ***last,
    struct co_mutex_waiter *w)
{
	if (*first == NULL)
		*last = first;
	**last = w;
	*last = &w->next;
}

/* Wait in the queue until somebody gives; leaves it on any error. */
static int
queue_wait(struct co_mutex_waiter **first, struct co_mutex_waiter ***last,
    int64_t timeout_ms)
{
	struct co_mutex_waiter w = { NULL, running, false }, **at;
	int rc = 0;

	queue_append(first, last, &w);
	while (!w.given && (rc = co_park(timeout_ms)) == 0)
		;
	if (w.given)
		return 0;
	for (at = first; *at != &w; at = &(*at)->next)
		;
	if ((*at = w.next) == NULL)
		*last = at;
	return rc;
}

static bool
queue_give(struct co_mutex_waiter **first)
{
	struct co_mutex_waiter *w = *first;

	if (w == NULL)
		return false;
	*first = w->next;
	w->given = true;
	co_wake(w->c);
	return true;
}

int
co_mutex_lock(struct co_mutex *m, int64_t timeout_ms)
{
	if (m->held)
		return queue_wait(&m->first, &m->last, timeout_ms);
	m->held = true;
	return 0;
}

void
co_mutex_unlock(struct co_mutex *m)
{
	m->held = queue_give(&m->first);
}

int
co_semaphore_take(struct co_semaphore *s, int64_t timeout_ms)
{
	if (s->free == 0)
		return queue_wait(&s->first, &s->last, timeout_ms);
	s->free--;
	return 0;
}

void
co_semaphore_give(struct co_semaphore *s)
{
	if (!queue_give(&s->first))
		s->free++;
}

struct co_group_child {
	struct co_group_child *next;
	struct co_group *group;
	struct co *c;
	void (*fn)(void *);
	void *arg;
};

static void
group_child_main(void *arg)
{
	struct co_group_child *child = arg, **at;
	struct co_group *g = child->group;

	child->fn(child->arg);
	for (at = &g->children; *at != child; at = &(*at)->next)
		;
	*at = child->next;
	free(child);
	g->running--;
	co_wake(g->parent);
}

int
co_group_spawn(struct co_group *g, void (*fn)(void *), void *arg)
{
	struct co_group_child *child = calloc(1, sizeof(*child));

	if (child == NULL)
		return -ENOMEM;
	*child = (struct co_group_child){ g->children, g, NULL, fn, arg };
	if ((child->c = co_spawn(group_child_main, child)) == NULL) {
		free(child);
		return -ENOMEM;
	}
	g->children = child;
	g->running++;
	return 0;
}

int
co_group_join(struct co_group *g)
{
	struct co_group_child *child;
	int rc = 0;

	g->parent = running;
	while (g->running > 0) {
		if (rc == 0)
			rc = co_park(-1);
		else
			co_park_uncancelable();
		if (rc != 0)
			for (child = g->children; child; child = child->next)
				co_cancel(child->c);
	}
	return rc;
}
