/* SPDX-License-Identifier: ISC */
/*
 * A clock that a test moves: a library for LD_PRELOAD. The file $PNEU_CLOCK
 * holds how far ahead of the true time everything here is, in nanoseconds, 8
 * octets as the machine has them; a test writes it, and time has passed for
 * all programs that share the file.
 *
 * Who waits for a time sees that it has come within TICK_MS. Times that
 * threads wait until are handed to the C library as it knows them.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define TICK_MS 5
#define SECOND 1000000000

static const _Atomic int64_t *ahead;

static struct {
	int (*clock_gettime)(clockid_t, struct timespec *);
	int (*epoll_wait)(int, struct epoll_event *, int, int);
	int (*cond_timedwait)(
	    pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
	int (*timedwrlock)(pthread_rwlock_t *, const struct timespec *);
} real;

/* dlsym gives an object pointer; C has no cast from it to a function's. */
static void
find(void *to, const char *name)
{
	void *p = dlsym(RTLD_NEXT, name);

	memcpy(to, &p, sizeof(p));
}

__attribute__((constructor)) static void
begin(void)
{
	const char *path = getenv("PNEU_CLOCK");
	int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	void *p;

	find(&real.clock_gettime, "clock_gettime");
	find(&real.epoll_wait, "epoll_wait");
	find(&real.cond_timedwait, "pthread_cond_timedwait");
	find(&real.timedwrlock, "pthread_rwlock_timedwrlock");
	if (fd == -1)
		return;
	p = mmap(NULL, sizeof(*ahead), PROT_READ, MAP_SHARED, fd, 0);
	if (p != MAP_FAILED)
		ahead = p;
	close(fd);
}

static int64_t
ahead_ns(void)
{
	return ahead == NULL ? 0 : atomic_load(ahead);
}

static struct timespec
moved(const struct timespec *t, int64_t ns)
{
	struct timespec out = *t;

	out.tv_sec += ns / SECOND;
	out.tv_nsec += ns % SECOND;
	if (out.tv_nsec >= SECOND) {
		out.tv_sec++;
		out.tv_nsec -= SECOND;
	} else if (out.tv_nsec < 0) {
		out.tv_sec--;
		out.tv_nsec += SECOND;
	}
	return out;
}

int
clock_gettime(clockid_t id, struct timespec *t)
{
	bool ours = id == CLOCK_REALTIME || id == CLOCK_MONOTONIC ||
	    id == CLOCK_REALTIME_COARSE || id == CLOCK_MONOTONIC_COARSE;
	int rc;

	/* Other constructors may ask before ours has run. */
	if (real.clock_gettime == NULL)
		find(&real.clock_gettime, "clock_gettime");
	rc = real.clock_gettime(id, t);
	if (rc == 0 && ours)
		*t = moved(t, ahead_ns());
	return rc;
}

int
gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
	struct timespec t;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &t);
	tv->tv_sec = t.tv_sec;
	tv->tv_usec = t.tv_nsec / 1000;
	return 0;
}

time_t
time(time_t *out)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	if (out != NULL)
		*out = t.tv_sec;
	return t.tv_sec;
}

int
epoll_wait(int fd, struct epoll_event *events, int n, int timeout_ms)
{
	if (timeout_ms < 0 || timeout_ms > TICK_MS)
		timeout_ms = TICK_MS;
	return real.epoll_wait(fd, events, n, timeout_ms);
}

int
pthread_cond_timedwait(pthread_cond_t *restrict c, pthread_mutex_t *restrict m,
    const struct timespec *restrict until)
{
	struct timespec t = moved(until, -ahead_ns());

	return real.cond_timedwait(c, m, &t);
}

int
pthread_rwlock_timedwrlock(
    pthread_rwlock_t *restrict l, const struct timespec *restrict until)
{
	struct timespec t = moved(until, -ahead_ns());

	return real.timedwrlock(l, &t);
}
