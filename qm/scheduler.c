/* SPDX-License-Identifier: ISC */
/* Windows, queues of destinations, and the coroutines of connections. */
#include "qm/scheduler.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/co.h"
#include "common/base/log.h"

#define BUCKETS 256
/* Jobs that a connection carries out before it gives its place to others. */
#define TURN_LENGTH 20
#define PURGE_MS 1000
#define NEAR_ALONE_MS 3000 /* what is ours comes back soon */

struct destination {
	struct destination *next;
	char *name;
	struct window window;
	struct scheduler_job *first, **last; /* waiting */
	int lowest;           /* no job that waits has less priority */
	size_t waiting, jobs; /* jobs: and those carried out */
	unsigned connections, starting; /* starting: will take a job */
	double job_ms;                  /* a job's time, lately */
	unsigned failures;
	int64_t alone_until; /* clock_mono_ms */
	struct scheduler_fault why;
	bool in_ring;
	struct destination *ring_next;
};

struct connection {
	struct scheduler *s;
	struct destination *d;
	struct co *co;
	void *handle;
	unsigned served;
	bool idle, leave;
	struct connection *next, **prev; /* all */
};

struct scheduler {
	struct scheduler_conf conf;
	const struct scheduler_ops *ops;
	void *arg;
	struct destination *buckets[BUCKETS];
	struct connection *connections;
	unsigned n_connections;
	size_t n_jobs;
	/* Destinations that wait for a place among connections_max. */
	struct destination *ring, **ring_last;
	int64_t purged_at;
	bool stopping;
	struct co *stopper;
};

/* --- the window --- */

void
window_init(struct window *w, unsigned start, unsigned max)
{
	w->max = max < 1 ? 1 : max;
	w->size = start < 1 ? 1 : start;
	if (w->size > w->max)
		w->size = w->max;
	w->threshold = w->max;
}

/* One more for each success below the threshold (so it doubles in a round),
 * one more for a whole round of successes above it. */
void
window_success(struct window *w)
{
	w->size += w->size < w->threshold ? 1 : 1 / w->size;
	if (w->size > w->max)
		w->size = w->max;
}

void
window_failure(struct window *w)
{
	w->size /= 2;
	if (w->size < 1)
		w->size = 1;
	w->threshold = w->size;
}

unsigned
window_connections(const struct window *w)
{
	return (unsigned)w->size;
}

/* --- destinations --- */

static struct destination **
bucket_of(const struct scheduler *s, const char *name)
{
	uint32_t h = 2166136261u; /* FNV-1a */

	for (const char *p = name; *p != '\0'; p++)
		h = (h ^ (unsigned char)*p) * 16777619u;
	return (struct destination **)&s->buckets[h % BUCKETS];
}

static bool
destination_is_idle(const struct destination *d)
{
	return d->jobs == 0 && d->connections == 0 && !d->in_ring &&
	    clock_mono_ms() >= d->alone_until;
}

static void
destination_free(struct destination *d)
{
	free(d->name);
	free(d);
}

/* Those of which nothing is left to remember. */
static void
purge(struct scheduler *s)
{
	int64_t now = clock_mono_ms();

	if (now - s->purged_at < PURGE_MS)
		return;
	s->purged_at = now;
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct destination **p = &s->buckets[i]; *p != NULL;) {
			struct destination *d = *p;

			if (destination_is_idle(d)) {
				*p = d->next;
				destination_free(d);
			} else {
				p = &d->next;
			}
		}
}

static struct destination *
destination_find(const struct scheduler *s, const char *name)
{
	struct destination *d = *bucket_of(s, name);

	while (d != NULL && strcmp(d->name, name) != 0)
		d = d->next;
	return d;
}

static bool
is_near(const struct scheduler *s, const char *name)
{
	return s->conf.near != NULL && strcmp(name, s->conf.near) == 0;
}

static struct destination *
destination_get(struct scheduler *s, const char *name)
{
	struct destination *d = destination_find(s, name), **bucket;

	if (d != NULL)
		return d;
	purge(s);
	if ((d = calloc(1, sizeof(*d))) == NULL)
		return NULL;
	if ((d->name = strdup(name)) == NULL) {
		free(d);
		return NULL;
	}
	window_init(&d->window,
	    is_near(s, name) ? s->conf.window_max : s->conf.window_start,
	    s->conf.window_max);
	d->last = &d->first;
	bucket = bucket_of(s, name);
	d->next = *bucket;
	*bucket = d;
	return d;
}

static void
job_insert(
    struct destination *d, struct scheduler_job **at, struct scheduler_job *job)
{
	job->next = *at;
	if (*at == NULL)
		d->last = &job->next;
	*at = job;
	d->waiting++;
	if (job->priority < d->lowest)
		d->lowest = job->priority;
}

/* Behind those of its priority (RFC 6710 5.1); most have the same. */
static void
job_push(struct destination *d, struct scheduler_job *job)
{
	struct scheduler_job **at = d->last;

	if (d->first == NULL)
		d->lowest = job->priority;
	if (job->priority > d->lowest)
		for (at = &d->first;
		     *at != NULL && (*at)->priority >= job->priority;
		     at = &(*at)->next)
			;
	job_insert(d, at, job);
}

static void
job_push_front(struct destination *d, struct scheduler_job *job)
{
	struct scheduler_job **at = &d->first;

	if (d->first == NULL)
		d->lowest = job->priority;
	while (*at != NULL && (*at)->priority > job->priority)
		at = &(*at)->next;
	job_insert(d, at, job);
}

static struct scheduler_job *
job_pop(struct destination *d)
{
	struct scheduler_job *job = d->first;

	if (job == NULL)
		return NULL;
	d->first = job->next;
	if (d->first == NULL)
		d->last = &d->first;
	d->waiting--;
	return job;
}

static void
job_done(struct scheduler *s, struct destination *d, struct scheduler_job *job)
{
	d->jobs--;
	s->n_jobs--;
	job->done(job);
}

static void
job_fail(struct scheduler *s, struct destination *d, struct scheduler_job *job,
    const struct scheduler_fault *why)
{
	s->ops->fail(s->arg, job, why);
	job_done(s, d, job);
}

/* --- places among all connections, in turns --- */

static void
ring_push(struct scheduler *s, struct destination *d)
{
	if (d->in_ring)
		return;
	d->in_ring = true;
	d->ring_next = NULL;
	*s->ring_last = d;
	s->ring_last = &d->ring_next;
}

static struct destination *
ring_pop(struct scheduler *s)
{
	struct destination *d = s->ring;

	if (d == NULL)
		return NULL;
	s->ring = d->ring_next;
	if (s->ring == NULL)
		s->ring_last = &s->ring;
	d->in_ring = false;
	return d;
}

/* A place is wanted: whoever is idle goes. */
static void
idle_dismiss(struct scheduler *s)
{
	for (struct connection *c = s->connections; c != NULL; c = c->next)
		if (c->idle) {
			c->idle = false;
			c->leave = true;
			co_wake(c->co);
			return;
		}
}

static bool
idle_wake(struct scheduler *s, struct destination *d)
{
	for (struct connection *c = s->connections; c != NULL; c = c->next)
		if (c->d == d && c->idle) {
			c->idle = false;
			d->starting++;
			co_wake(c->co);
			return true;
		}
	return false;
}

static void connection_main(void *arg);

static bool
connection_spawn(struct scheduler *s, struct destination *d)
{
	struct connection *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return false;
	c->s = s;
	c->d = d;
	if ((c->co = co_spawn(connection_main, c)) == NULL) {
		free(c);
		return false;
	}
	c->next = s->connections;
	c->prev = &s->connections;
	if (c->next != NULL)
		c->next->prev = &c->next;
	s->connections = c;
	s->n_connections++;
	d->connections++;
	d->starting++;
	return true;
}

/* Give the destination connections for what waits, as far as its window and
 * the bound on all allow. */
static void
pump(struct scheduler *s, struct destination *d)
{
	while (!s->stopping && d->waiting > d->starting) {
		if (idle_wake(s, d))
			continue;
		if (d->connections >= window_connections(&d->window))
			return;
		if (s->n_connections >= s->conf.connections_max) {
			ring_push(s, d);
			idle_dismiss(s);
			return;
		}
		if (!connection_spawn(s, d)) {
			if (d->connections == 0)
				ring_push(s, d); /* when memory is back */
			return;
		}
	}
}

/* --- connections --- */

/* Nobody answers there: all that waits goes back with the reason. */
static void
leave_alone(struct scheduler *s, struct destination *d)
{
	int64_t wait = s->conf.leave_alone_ms;
	struct scheduler_job *job;

	for (unsigned i = 1; i < d->failures; i++)
		if (wait < s->conf.leave_alone_max_ms)
			wait *= 2;
	if (wait > s->conf.leave_alone_max_ms)
		wait = s->conf.leave_alone_max_ms;
	if (wait > NEAR_ALONE_MS && is_near(s, d->name))
		wait = NEAR_ALONE_MS;
	d->alone_until = clock_mono_ms() + wait;
	log_info("left alone", "seconds=%lld reply=\"%s\"",
	    (long long)(wait / 1000), log_q(d->why.reply.text));
	while ((job = job_pop(d)) != NULL)
		job_fail(s, d, job, &d->why);
}

/* Keep the words of the fault, which may be in the memory of a connection. */
static void
fault_keep(struct destination *d, const struct scheduler_fault *why)
{
	size_t n = why->reply.text.n;

	if (n > sizeof(d->why.text))
		n = sizeof(d->why.text);
	d->why.reply = why->reply;
	memmove(d->why.text, why->reply.text.p, n);
	d->why.reply.text = slice(d->why.text, n);
	memcpy(d->why.remote, why->remote, sizeof(d->why.remote));
}

/* Where other connections stand, the server only wants no more of them. */
static void
open_failed(struct connection *c, struct scheduler_job *job,
    const struct scheduler_fault *why)
{
	struct scheduler *s = c->s;
	struct destination *d = c->d;

	c->leave = true;
	if (!smtp_reply_is_temporary(&why->reply)) {
		c->leave = false; /* the next job may be told the same */
		job_fail(s, d, job, why);
		return;
	}
	window_failure(&d->window);
	if (s->stopping) {
		job_fail(s, d, job, why);
	} else if (d->connections > 1) {
		job_push_front(d, job);
	} else {
		d->failures++;
		fault_keep(d, why);
		job_fail(s, d, job, why);
		leave_alone(s, d);
	}
}

static void
connection_close(struct connection *c)
{
	if (c->handle != NULL)
		c->s->ops->close(c->s->arg, c->handle);
	c->handle = NULL;
}

/* It had gone while nobody used it: once more on a new one. */
static void
stale(struct connection *c, struct scheduler_job *job)
{
	struct scheduler_fault why = { .reply = SMTP_REPLY(
					   451, "4.4.2", "connection lost") };

	connection_close(c);
	if (job->tries++ == 0)
		job_push_front(c->d, job);
	else
		job_fail(c->s, c->d, job, &why);
}

static void
carry_out(struct connection *c, struct scheduler_job *job)
{
	struct scheduler *s = c->s;
	struct destination *d = c->d;
	struct scheduler_fault why = { .reply = { 0 } };
	enum scheduler_run run;
	int64_t began;

	if (c->handle == NULL &&
	    s->ops->open(s->arg, d->name, &c->handle, &why) != 0) {
		c->handle = NULL;
		open_failed(c, job, &why);
		return;
	}
	began = clock_mono_ms();
	run = s->ops->run(s->arg, c->handle, job);
	if (run == SCHEDULER_STALE) {
		stale(c, job);
		return;
	}
	d->job_ms += ((double)(clock_mono_ms() - began) - d->job_ms) / 8;
	if (run == SCHEDULER_BROKEN) {
		window_failure(&d->window);
	} else {
		window_success(&d->window);
		d->failures = 0;
		d->alone_until = 0;
	}
	if (run != SCHEDULER_GOOD)
		connection_close(c);
	c->served++;
	job_done(s, d, job);
	pump(s, d);
}

/* Wait for work with an open connection. */
static void
connection_idle(struct connection *c)
{
	int64_t until = clock_mono_ms() + c->s->conf.idle_ms;

	c->idle = true;
	while (c->idle && !c->s->stopping) {
		int64_t left = until - clock_mono_ms();
		int rc = left <= 0 ? -ETIMEDOUT : co_park(left);

		/* Who woke it has made idle false and counted it. */
		if (rc != 0 && c->idle) {
			c->idle = false;
			c->leave = true;
		}
	}
	c->idle = false;
}

static bool
connection_must_go(const struct connection *c)
{
	const struct scheduler *s = c->s;

	if (c->leave || s->stopping)
		return true;
	if (c->d->connections > window_connections(&c->d->window))
		return true;
	return s->ring != NULL && c->served >= TURN_LENGTH;
}

static struct scheduler_job *
next_job(struct connection *c)
{
	struct scheduler_job *job;

	if (connection_must_go(c))
		return NULL;
	if ((job = job_pop(c->d)) != NULL || c->handle == NULL)
		return job;
	if (c->s->ring != NULL)
		return NULL;
	connection_idle(c);
	if (!c->leave && !c->s->stopping)
		c->d->starting--;
	return connection_must_go(c) ? NULL : job_pop(c->d);
}

static void
connection_end(struct connection *c)
{
	struct scheduler *s = c->s;
	struct destination *d = c->d, *waiting;

	connection_close(c); /* may wait */
	*c->prev = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	free(c);
	s->n_connections--;
	d->connections--;
	if (s->stopping) {
		if (s->n_connections == 0)
			co_wake(s->stopper);
		return;
	}
	/* Those that wait for a place come first. */
	while (s->n_connections < s->conf.connections_max &&
	    (waiting = ring_pop(s)) != NULL)
		pump(s, waiting);
	pump(s, d);
}

static void
connection_main(void *arg)
{
	struct connection *c = arg;
	struct scheduler_job *job;

	/* Not the message's that happened to need the first connection. */
	co_log_context("destination=%s", c->d->name);
	c->d->starting--;
	while ((job = next_job(c)) != NULL)
		carry_out(c, job);
	connection_end(c);
}

/* --- the interface --- */

int
scheduler_new(struct scheduler **out, const struct scheduler_conf *conf,
    const struct scheduler_ops *ops, void *arg)
{
	struct scheduler *s = calloc(1, sizeof(*s));

	*out = NULL;
	if (s == NULL)
		return -ENOMEM;
	s->conf = *conf;
	s->ops = ops;
	s->arg = arg;
	s->ring_last = &s->ring;
	*out = s;
	return 0;
}

void
scheduler_configure(struct scheduler *s, const struct scheduler_conf *conf)
{
	s->conf = *conf;
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct destination *d = s->buckets[i]; d != NULL;
		     d = d->next) {
			d->window.max = conf->window_max;
			if (d->window.size > d->window.max)
				d->window.size = d->window.max;
		}
}

bool
scheduler_submit(struct scheduler *s, struct scheduler_job *job)
{
	struct destination *d = destination_get(s, job->destination);
	size_t others, room;

	if (d == NULL || s->stopping)
		return false;
	if (job->at_once)
		d->alone_until = 0;
	others = s->n_jobs - d->jobs;
	room = others < s->conf.jobs_max ? (s->conf.jobs_max - others) / 2 : 0;
	/* Half of what the others leave: so there is always some left. */
	if (d->jobs > 0 && d->jobs >= room)
		return false;
	job->tries = 0;
	d->jobs++;
	s->n_jobs++;
	if (clock_mono_ms() < d->alone_until) {
		job_fail(s, d, job, &d->why);
		return true;
	}
	job_push(d, job);
	pump(s, d);
	return true;
}

int64_t
scheduler_wait_ms(const struct scheduler *s, const char *destination)
{
	const struct destination *d = destination_find(s, destination);

	if (d == NULL)
		return 0;
	return (int64_t)((double)d->jobs / 2 * d->job_ms / d->window.size);
}

size_t
scheduler_jobs(const struct scheduler *s)
{
	return s->n_jobs;
}

unsigned
scheduler_window(const struct scheduler *s, const char *destination)
{
	const struct destination *d = destination_find(s, destination);

	return d == NULL ? 0 : window_connections(&d->window);
}

static void
fail_all(struct scheduler *s, struct destination *d)
{
	const struct scheduler_fault why = {
		.reply = SMTP_REPLY(451, "4.3.2", "the queue is being stopped")
	};
	struct scheduler_job *job;

	while ((job = job_pop(d)) != NULL)
		job_fail(s, d, job, &why);
}

void
scheduler_free(struct scheduler **out)
{
	struct scheduler *s = *out;

	if (s == NULL)
		return;
	*out = NULL;
	s->stopping = true;
	for (struct connection *c = s->connections; c != NULL; c = c->next)
		co_cancel(c->co);
	while (s->n_connections > 0) {
		s->stopper = co_self();
		co_park_uncancelable();
	}
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct destination *d = s->buckets[i], *next; d != NULL;
		     d = next) {
			next = d->next;
			fail_all(s, d);
			destination_free(d);
		}
	free(s);
}
