/* SPDX-License-Identifier: ISC */
#include "gateway/roster.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/mail/address.h"

#define NOT_BEFORE_MAX_S INT64_C(86400) /* as a server says */
#define LOOK_MS 1000                    /* for accounts that have changed */
#define HOSTS 1024                      /* slots of a table */
#define START_STEP_MS 5    /* between two first looks, where there are many */
#define IDLE_GOOD_MS 60000 /* a wait for news that was worth while */

struct host {
	struct host *next; /* in the slot */
	size_t running, jobs;
	struct job *first, **last; /* due, and there is no room */
	struct host *ready_next;   /* there is, and it is the host's turn */
	bool ready;
	unsigned fails;
	int64_t not_before_ms;
	char name[];
};

/* Who waits for the end of a look. */
struct waiter {
	struct waiter *next;
	uint64_t ticket; /* the look that counts, by its number */
	bool done, gone;
	struct co_event event;
	struct roster_result *result;
};

struct job {
	struct job *next; /* by address */
	struct host *host;
	struct job *behind; /* in the host's queue */
	bool queued;
	struct co *co;        /* while it is looked at, or waits for news */
	struct co_event kick; /* its wait for news is over */
	struct co_event turn; /* where it waits in the queue */
	bool has_turn;
	struct roster *roster;
	int64_t due_ms;
	int64_t interval_ms; /* its own, or 0 */
	size_t at; /* in the heap; NOWHERE while it is looked at, or paused */
	uint64_t looks;            /* begun */
	uint64_t print, print_all; /* of what signing in depends on; of all */
	uint64_t row;              /* of the record, as it was read last */
	struct waiter *waiters;
	uint32_t fails;
	uint32_t idle_breaks; /* one after the other */
	bool idle;            /* it waits for news */
	bool reopen;          /* its record has changed meanwhile */
	bool paused, gone, listed;
	char address[];
};
#define NOWHERE SIZE_MAX

struct roster {
	struct gateway *g;
	struct roster_conf conf;
	struct host *hosts[HOSTS];
	struct host *ready, **ready_last; /* have room and a queue, in turn */
	size_t n_queued;
	struct job **table; /* by hash of the address */
	size_t n_table, n_jobs;
	struct job **heap; /* the one that is due first at the top */
	size_t n_heap, cap_heap;
	size_t running, idle; /* that look; that wait for news */
	size_t jobs_alive;    /* coroutines of both */
	uint64_t generation;
	struct co_mutex looking; /* at the accounts */
	bool stopping;
	struct co *co;
	struct co_event changed; /* something is due earlier, or has ended */
	struct co_event ended;   /* the same for who waits for the end of all */
};

static unsigned
chance(void)
{
	return random_below(0x10000);
}

/* --- the heap --- */

static void
heap_set(struct roster *r, size_t at, struct job *j)
{
	r->heap[at] = j;
	j->at = at;
}

static void
heap_up(struct roster *r, struct job *j)
{
	size_t at = j->at, up;

	for (; at > 0; at = up) {
		up = (at - 1) / 2;
		if (r->heap[up]->due_ms <= j->due_ms)
			break;
		heap_set(r, at, r->heap[up]);
	}
	heap_set(r, at, j);
}

static void
heap_down(struct roster *r, struct job *j)
{
	size_t at = j->at, down;

	while ((down = 2 * at + 1) < r->n_heap) {
		if (down + 1 < r->n_heap &&
		    r->heap[down + 1]->due_ms < r->heap[down]->due_ms)
			down++;
		if (r->heap[down]->due_ms >= j->due_ms)
			break;
		heap_set(r, at, r->heap[down]);
		at = down;
	}
	heap_set(r, at, j);
}

static void
heap_remove(struct roster *r, struct job *j)
{
	struct job *last;

	if (j->at == NOWHERE)
		return;
	last = r->heap[--r->n_heap];
	if (last != j) {
		heap_set(r, j->at, last);
		heap_up(r, last);
		heap_down(r, last);
	}
	j->at = NOWHERE;
}

/* There is room: jobs and heap grow together. */
static void
heap_put(struct roster *r, struct job *j, int64_t due_ms)
{
	heap_remove(r, j);
	j->due_ms = due_ms;
	heap_set(r, r->n_heap++, j);
	heap_up(r, j);
	co_event_set(&r->changed);
}

static int
heap_reserve(struct roster *r)
{
	size_t cap = r->cap_heap == 0 ? 64 : r->cap_heap * 2;
	struct job **heap;

	if (r->n_jobs < r->cap_heap)
		return 0;
	if ((heap = reallocarray(r->heap, cap, sizeof(*heap))) == NULL)
		return -ENOMEM;
	r->heap = heap;
	r->cap_heap = cap;
	return 0;
}

/* --- hosts --- */

#define FNV_1A 14695981039346656037u

static uint64_t
hash(uint64_t h, struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		h = (h ^ (unsigned char)s.p[i]) * 1099511628211u;
	return h;
}

static struct host **
host_slot(struct roster *r, const char *name)
{
	uint64_t h = FNV_1A;

	for (; *name != '\0'; name++)
		h = (h ^ (unsigned char)ascii_lower(*name)) * 1099511628211u;
	return &r->hosts[h % HOSTS];
}

static struct host *
host_get(struct roster *r, const char *name)
{
	struct host **slot = host_slot(r, name), *h = *slot;
	size_t n = strlen(name) + 1;

	while (h != NULL && strcasecmp(h->name, name) != 0)
		h = h->next;
	if (h != NULL)
		return h;
	if ((h = calloc(1, sizeof(*h) + n)) == NULL)
		return NULL;
	memcpy(h->name, name, n);
	h->last = &h->first;
	h->next = *slot;
	*slot = h;
	return h;
}

/* It has room and somebody who waits for it: its turn comes. */
static void
host_ready(struct roster *r, struct host *h)
{
	if (h->ready || h->first == NULL || h->running >= r->conf.max_per_host)
		return;
	h->ready = true;
	h->ready_next = NULL;
	*r->ready_last = h;
	r->ready_last = &h->ready_next;
}

static struct host *
host_next(struct roster *r)
{
	struct host *h = r->ready;

	r->ready = h->ready_next;
	if (r->ready == NULL)
		r->ready_last = &r->ready;
	h->ready = false;
	return h;
}

static void
host_leave(struct roster *r, struct host *h)
{
	struct host **at;

	if (h == NULL || --h->jobs > 0)
		return;
	for (at = &r->ready; h->ready && *at != NULL;)
		if (*at == h) {
			*at = h->ready_next;
			h->ready = false;
		} else {
			at = &(*at)->ready_next;
		}
	for (r->ready_last = &r->ready; *r->ready_last != NULL;)
		r->ready_last = &(*r->ready_last)->ready_next;
	at = host_slot(r, h->name);
	while (*at != h)
		at = &(*at)->next;
	*at = h->next;
	free(h);
}

/* --- who waits for room --- */

/* Whom somebody waits for comes first. */
static void
queue_put(struct roster *r, struct job *j)
{
	struct host *h = j->host;

	j->queued = true;
	r->n_queued++;
	if (j->waiters != NULL) {
		j->behind = h->first;
		h->first = j;
		if (j->behind == NULL)
			h->last = &j->behind;
	} else {
		j->behind = NULL;
		*h->last = j;
		h->last = &j->behind;
	}
	host_ready(r, h);
	r->g->others_wait = true;
	co_event_set(&r->changed);
}

static void
queue_remove(struct roster *r, struct job *j)
{
	struct job **at;

	if (!j->queued)
		return;
	at = &j->host->first;
	while (*at != j)
		at = &(*at)->behind;
	*at = j->behind;
	if (j->behind == NULL)
		j->host->last = at;
	j->queued = false;
	r->n_queued--;
}

static int
job_at_host(struct roster *r, struct job *j, const char *name)
{
	struct host *h;

	if (j->host != NULL && strcasecmp(j->host->name, name) == 0)
		return 0;
	queue_remove(r, j);
	/* One that is looked at stays with the host that it has begun at. */
	if (j->co != NULL)
		return 0;
	if ((h = host_get(r, name)) == NULL)
		return -ENOMEM;
	h->jobs++;
	host_leave(r, j->host);
	j->host = h;
	return 0;
}

/* --- jobs by address --- */

static size_t
slot_of(const struct roster *r, struct slice address)
{
	return (size_t)(hash(FNV_1A, address) % r->n_table);
}

static struct job *
job_find(const struct roster *r, struct slice address)
{
	struct job *j;

	if (r->n_table == 0)
		return NULL;
	j = r->table[slot_of(r, address)];
	while (j != NULL && !slice_eq_str(address, j->address))
		j = j->next;
	return j;
}

static int
table_grow(struct roster *r)
{
	size_t n = r->n_table == 0 ? 64 : r->n_table * 2, old_n = r->n_table;
	struct job **old = r->table, **table, *j;

	if (r->n_jobs < r->n_table)
		return 0;
	if ((table = calloc(n, sizeof(*table))) == NULL)
		return -ENOMEM;
	r->table = table;
	r->n_table = n;
	for (size_t i = 0; i < old_n; i++)
		while ((j = old[i]) != NULL) {
			size_t slot = slot_of(r, slice_str(j->address));

			old[i] = j->next;
			j->next = table[slot];
			table[slot] = j;
		}
	free(old);
	return 0;
}

static struct job *
job_new(struct roster *r, const char *address)
{
	size_t n = strlen(address) + 1, slot;
	struct job *j;

	if (table_grow(r) != 0 || heap_reserve(r) != 0 ||
	    (j = calloc(1, sizeof(*j) + n)) == NULL)
		return NULL;
	memcpy(j->address, address, n);
	j->roster = r;
	j->at = NOWHERE;
	slot = slot_of(r, slice_str(address));
	j->next = r->table[slot];
	r->table[slot] = j;
	r->n_jobs++;
	return j;
}

/* Neither looked at nor waited for. */
static void
job_free(struct roster *r, struct job *j)
{
	struct job **at = &r->table[slot_of(r, slice_str(j->address))];

	heap_remove(r, j);
	queue_remove(r, j);
	while (*at != j)
		at = &(*at)->next;
	*at = j->next;
	host_leave(r, j->host);
	r->n_jobs--;
	free(j);
}

/* --- waiters --- */

static void
waiters_tell(struct job *j, const struct fetch *f, enum fetch_end end)
{
	struct waiter **at = &j->waiters, *w;

	while ((w = *at) != NULL) {
		if (f != NULL && w->ticket > j->looks) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		w->done = true;
		w->gone = f == NULL;
		if (f != NULL) {
			w->result->end = end;
			w->result->messages = f->messages;
			w->result->octets = f->octets;
			buf_put_slice(&w->result->why, buf_slice(&f->why));
		}
		co_event_set(&w->event);
	}
}

/* Neither is it looked at, nor will it be. */
static void
job_forget(struct roster *r, struct job *j)
{
	waiters_tell(j, NULL, FETCH_GONE);
	job_free(r, j);
}

/* --- after a look --- */

static void
host_ended(struct roster *r, struct host *h, enum fetch_end end)
{
	h->running--;
	host_ready(r, h);
	if (end == FETCH_HOST) {
		h->not_before_ms = clock_mono_ms() +
		    backoff_retry(&r->conf.retry, ++h->fails, chance());
	} else {
		h->fails = 0;
		h->not_before_ms = 0;
	}
}

static int64_t
wait_after(struct job *j, const struct fetch *f, enum fetch_end end)
{
	const struct roster_conf *c = &j->roster->conf;
	int64_t wait_ms;

	if (end == FETCH_OK) {
		j->fails = 0;
		return f->more
		    ? 0
		    : backoff_interval(
			  j->interval_ms > 0 ? j->interval_ms : c->interval_ms,
			  chance());
	}
	j->fails++;
	wait_ms = backoff_retry(
	    end == FETCH_LOGIN ? &c->login : &c->retry, j->fails, chance());
	if (f->not_before_s > NOT_BEFORE_MAX_S)
		return NOT_BEFORE_MAX_S * 1000;
	return wait_ms < f->not_before_s * 1000 ? f->not_before_s * 1000
						: wait_ms;
}

static void
write_status(
    struct job *j, const struct fetch *f, enum fetch_end end, int64_t wait_ms)
{
	static const enum state_kind kinds[] = { STATE_OK, STATE_RETRY,
		STATE_RETRY, STATE_LOGIN };
	static const struct state_progress none;
	struct arena a = ARENA_INIT_MAX(16384);
	struct state_status st;
	int rc = state_status_get(j->roster->g->state, &a, j->address, &st);

	if (rc == 0 || rc == -ENOENT || rc == -EIO) {
		st.kind = kinds[end];
		st.error = end == FETCH_OK ? "" : buf_str(&f->why);
		st.looked_s = clock_wall_s();
		if (end == FETCH_OK)
			st.good_s = st.looked_s;
		st.next_s = st.looked_s + wait_ms / 1000;
		st.fails = j->fails;
		st.messages += f->messages;
		st.octets += f->octets;
		st.refused += f->refused;
		rc = state_status_put(j->roster->g->state, j->address, &st);
		if (rc == 0 && f->told)
			rc = state_progress_put(
			    j->roster->g->state, j->address, &none);
	}
	if (rc != 0)
		log_error("state is not kept", "outside=%s error=\"%s\"",
		    log_qs(j->address), strerror(-rc));
	arena_reset(&a);
}

static void
tell(const struct job *j, const struct fetch *f, enum fetch_end end,
    int64_t took_ms)
{
	if (end == FETCH_OK)
		log_info("fetched",
		    "account=%s messages=%llu octets=%llu "
		    "refused=%llu more=%d took_ms=%lld",
		    log_qs(f->o.account), (unsigned long long)f->messages,
		    (unsigned long long)f->octets,
		    (unsigned long long)f->refused, f->more,
		    (long long)took_ms);
	else
		log_warning("not fetched",
		    "messages=%llu fails=%u reason=\"%s\"",
		    (unsigned long long)f->messages, j->fails + 1,
		    log_q(buf_slice(&f->why)));
}

/* After each look; *wait_ms until the next one. */
static void
job_looked(struct job *j, struct fetch *f, enum fetch_end end, int64_t *wait_ms)
{
	struct roster *r = j->roster;

	*wait_ms = 0;
	host_ended(r, j->host, end);
	r->running--;
	co_event_set(&r->changed);
	if (end == FETCH_GONE || r->stopping || j->gone)
		return;
	*wait_ms = wait_after(j, f, end);
	write_status(j, f, end, *wait_ms);
	waiters_tell(j, f, end);
	/* Somebody has asked for one more since. */
	if (j->waiters != NULL)
		*wait_ms = 0;
}

static void
job_ended(struct job *j, enum fetch_end end, int64_t wait_ms)
{
	struct roster *r = j->roster;

	j->co = NULL;
	r->jobs_alive--;
	/* It was for a record that is another one by now. */
	if (j->reopen)
		wait_ms = 0;
	if (end == FETCH_GONE || r->stopping || j->gone)
		job_forget(r, j);
	else if (!j->paused)
		heap_put(r, j, clock_mono_ms() + wait_ms);
	co_event_set(&r->changed);
	co_event_set(&r->ended);
}

/* --- waiting for news --- */

static bool
may_idle(const struct job *j, const struct fetch *f, enum fetch_end end)
{
	const struct roster *r = j->roster;

	return end == FETCH_OK && f->can_idle && !j->paused && !j->gone &&
	    !j->reopen && !r->stopping && r->idle < r->conf.max_idle &&
	    j->waiters == NULL;
}

/* A server that ends it at once each time is asked less and less often. */
static void
idle_broke(struct job *j, int64_t lasted_ms, int64_t *wait_ms)
{
	if (lasted_ms >= IDLE_GOOD_MS)
		j->idle_breaks = 0;
	else if (j->idle_breaks < 1000)
		j->idle_breaks++;
	*wait_ms = j->idle_breaks == 0
	    ? 0
	    : backoff_retry(&j->roster->conf.retry, j->idle_breaks, chance());
}

/* Its turn among those that look, given by dispatch. */
static int
take_turn(struct job *j)
{
	struct roster *r = j->roster;
	int rc = 0;

	j->turn.set = j->has_turn = false;
	queue_put(r, j);
	while (rc == 0 && !j->has_turn)
		rc = co_event_wait(&j->turn, -1);
	if (rc == 0)
		return 0;
	if (j->has_turn) {
		r->running--;
		j->host->running--;
		host_ready(r, j->host);
		co_event_set(&r->changed);
	}
	queue_remove(r, j);
	return rc;
}

/* True: look again, with the same connection. */
static bool
job_idle(struct job *j, struct fetch *f, int64_t *wait_ms)
{
	struct roster *r = j->roster;
	int64_t began_ms = clock_mono_ms();
	int rc;

	r->idle++;
	j->idle = true;
	j->kick.set = false;
	rc = fetch_idle(f, &j->kick, *wait_ms);
	j->idle = false;
	r->idle--;
	*wait_ms = 0;
	if (rc == -ECANCELED || j->gone || j->paused || j->reopen)
		return false;
	if (rc != 0) {
		log_debug("idle ended", "error=\"%s\"", strerror(-rc));
		idle_broke(j, clock_mono_ms() - began_ms, wait_ms);
		return false;
	}
	j->idle_breaks = 0;
	return take_turn(j) == 0;
}

static bool
goes_on(struct job *j, struct fetch *f, enum fetch_end end, int64_t *wait_ms)
{
	if (end == FETCH_OK && f->more && f->imap != NULL && !j->paused &&
	    !j->gone && !j->reopen && !j->roster->stopping)
		return take_turn(j) == 0;
	return may_idle(j, f, end) && job_idle(j, f, wait_ms);
}

static void
job_main(void *arg)
{
	struct job *j = arg;
	struct fetch f = { .g = j->roster->g };
	enum fetch_end end;
	int64_t began_ms, wait_ms;

	co_log_context("outside=%s", log_qs(j->address));
	do {
		began_ms = clock_mono_ms();
		end = fetch_run(&f, j->address);
		tell(j, &f, end, clock_mono_ms() - began_ms);
		job_looked(j, &f, end, &wait_ms);
	} while (goes_on(j, &f, end, &wait_ms));
	fetch_clear(&f);
	job_ended(j, end, wait_ms);
}

/* --- beginning --- */

/* A host that cannot be reached is left alone for a while. */
static bool
host_rests(const struct job *j, int64_t now_ms)
{
	return j->waiters == NULL && j->host->not_before_ms > now_ms;
}

static void
job_rest(struct roster *r, struct job *j)
{
	heap_put(r, j, j->host->not_before_ms + (int64_t)(chance() >> 6));
}

static void
job_begin(struct roster *r, struct job *j)
{
	j->reopen = false;
	if (j->co == NULL) {
		j->co = co_spawn(job_main, j);
		if (j->co == NULL) {
			heap_put(r, j, clock_mono_ms() + LOOK_MS);
			return;
		}
		r->jobs_alive++;
	}
	j->looks++;
	j->host->running++;
	r->running++;
	j->has_turn = true;
	co_event_set(&j->turn);
}

/* Room goes round the hosts, and at each to who has waited longest. */
static void
dispatch(struct roster *r)
{
	int64_t now = clock_mono_ms();
	struct host *h;
	struct job *j;

	while (r->ready != NULL && r->running < r->conf.max_fetches) {
		h = host_next(r);
		if ((j = h->first) == NULL ||
		    h->running >= r->conf.max_per_host)
			continue;
		queue_remove(r, j);
		if (j->co == NULL && host_rests(j, now))
			job_rest(r, j);
		else
			job_begin(r, j);
		host_ready(r, h);
	}
	r->g->others_wait = r->n_queued > 0;
}

/* Begin what is due; returns when the next one is. */
static int64_t
begin_due(struct roster *r)
{
	int64_t now = clock_mono_ms(), next = now + LOOK_MS;
	struct job *j;

	while (r->n_heap > 0 && (j = r->heap[0])->due_ms <= now) {
		heap_remove(r, j);
		if (host_rests(j, now))
			job_rest(r, j);
		else
			queue_put(r, j);
	}
	dispatch(r);
	return r->n_heap > 0 && r->heap[0]->due_ms < next ? r->heap[0]->due_ms
							  : next;
}

/* --- accounts come and go --- */

/* The first look after our start: as it stood when we stopped, which is spread over
 * the interval; but who waits for news should not wait so long for that. */
static int64_t
first_due_ms(struct roster *r, struct job *j, const struct outside *o, size_t n)
{
	struct arena a = ARENA_INIT_MAX(16384);
	int64_t now_s = clock_wall_s(), wait_ms = 0;
	int64_t soon_ms = random_below((uint32_t)(n * START_STEP_MS + 1));
	struct state_status st;

	if (state_status_get(r->g->state, &a, j->address, &st) == 0) {
		j->fails = st.fails;
		if (st.next_s > now_s && st.looked_s <= now_s)
			wait_ms = (st.next_s - now_s) * 1000;
	}
	if (o->protocol == OUTSIDE_IMAP && r->conf.max_idle > 0 &&
	    j->fails == 0 && wait_ms > soon_ms)
		wait_ms = soon_ms;
	arena_reset(&a);
	return clock_mono_ms() + wait_ms;
}

static uint64_t
print_of(const struct outside *o)
{
	uint64_t h = hash(FNV_1A, o->sealed);

	h = hash(h, slice_str(o->server.host));
	h = hash(h, slice_str(o->user));
	h = hash(h, slice_str(o->oauth.provider));
	h = hash(h, slice_str(o->oauth.client));
	h = hash(h, slice_str(o->oauth.token_url));
	h = hash(h, o->oauth.sealed);
	return h ^ (uint64_t)o->sign_in << 6 ^ (uint64_t)o->server.port << 8 ^
	    (uint64_t)o->server.security << 4 ^ (uint64_t)o->protocol;
}

/* The same of all that a look depends on. */
static uint64_t
print_all(const struct outside *o)
{
	uint64_t h = hash(print_of(o), slice_str(o->into));

	for (size_t i = 0; i < o->n_folders; i++)
		h = hash(h + 1, slice_str(o->folders[i]));
	h = hash(h + 1, slice_str(o->account));
	h = hash(h + 1, slice_str(o->id));
	return h ^ (uint64_t)o->interval_s << 20 ^ (uint64_t)o->labels << 50 ^
	    (uint64_t)o->delete_days << 1 ^ (uint64_t)o->sync << 60 ^ o->paused;
}

/* What failed before may work now. */
static bool
job_is_changed(struct job *j, const struct outside *o)
{
	uint64_t print = print_of(o), all = print_all(o);
	bool changed = j->print_all != all;

	if (j->print != print && j->print != 0)
		j->fails = 0;
	j->print = print;
	j->print_all = all;
	return changed;
}

/* A record that was not seen so before; of `n` in all at our start, else 0. */
struct changed {
	struct outside o;
	uint64_t row;
};

static int
job_take(struct roster *r, const struct changed *c, size_t n)
{
	const struct outside *o = &c->o;
	struct job *j = job_find(r, slice_str(o->address));
	bool is_new = j == NULL, changed;

	if (is_new && (j = job_new(r, o->address)) == NULL)
		return -ENOMEM;
	j->listed = true;
	j->gone = false;
	j->paused = o->paused;
	j->interval_ms = o->interval_s * 1000;
	changed = job_is_changed(j, o);
	if (job_at_host(r, j, o->server.host) != 0)
		return -ENOMEM;
	j->row = c->row;
	if (o->paused) {
		heap_remove(r, j);
		if (j->co == NULL)
			queue_remove(r, j);
	} else if (is_new && n > 0) {
		heap_put(r, j, first_due_ms(r, j, o, n));
	} else if (j->co == NULL && !j->queued &&
	    (j->at == NOWHERE || changed)) {
		heap_put(r, j, clock_mono_ms());
	}
	/* Who waits for news does so by the record of before. */
	if (j->co != NULL && changed) {
		j->reopen = true;
		co_event_set(&j->kick);
	}
	return 0;
}

static void
job_leave(struct roster *r, struct job *j)
{
	char *address = strdup(j->address);
	int rc = -ENOMEM;

	j->gone = true;
	heap_remove(r, j);
	if (j->co == NULL)
		queue_remove(r, j);
	token_forget(r->g->tokens, j->address);
	if (j->co != NULL)
		co_cancel(j->co);
	else
		job_forget(r, j);
	/* It may end, and be no more, while this waits. */
	if (address != NULL)
		rc = state_drop(r->g->state, address);
	if (rc != 0 && rc != -ENOENT)
		log_warning("state of a removed account stays",
		    "outside=%s error=\"%s\"",
		    address != NULL ? log_qs(address) : "", strerror(-rc));
	free(address);
}

/* A job may go while state_drop waits: one at a time, from the start. */
static struct job *
unlisted(const struct roster *r)
{
	for (size_t i = 0; i < r->n_table; i++)
		for (struct job *j = r->table[i]; j != NULL; j = j->next)
			if (!j->listed && !j->gone)
				return j;
	return NULL;
}

/* What has changed in the directory since the last look at it. */
struct news {
	struct roster *r;
	struct arena a;
	struct changed *v;
	size_t n, cap, all;
};

static struct changed *
news_room(struct news *c)
{
	size_t cap = c->cap == 0 ? 64 : c->cap * 2;
	struct changed *v;

	if (c->n == c->cap) {
		if ((v = arena_array(&c->a, cap, sizeof(*v))) == NULL)
			return NULL;
		if (c->n > 0)
			memcpy(v, c->v, c->n * sizeof(*v));
		c->v = v;
		c->cap = cap;
	}
	return &c->v[c->n];
}

/* Of ten thousand records few change: the others are not even decoded. */
static int
on_record(void *arg, struct slice address, struct slice record)
{
	struct news *c = arg;
	struct job *j = job_find(c->r, address);
	uint64_t row = hash(FNV_1A, record);
	struct changed *v;
	int rc;

	c->all++;
	if (j != NULL && !j->gone && j->row == row) {
		j->listed = true;
		return 0;
	}
	if ((v = news_room(c)) == NULL)
		return -ENOMEM;
	rc = outside_decode(&c->a, address, record, &v->o);
	v->row = row;
	c->n += rc == 0;
	return rc == -EIO ? 0 : rc; /* it costs itself, and is told */
}

static int
take_news(struct roster *r, struct news *c)
{
	struct job *j;
	int rc;

	for (size_t i = 0; i < r->n_table; i++)
		for (j = r->table[i]; j != NULL; j = j->next)
			j->listed = false;
	rc = outside_each(r->g->accounts, on_record, c);
	for (size_t i = 0; i < c->n && rc == 0; i++)
		rc = job_take(r, &c->v[i], r->generation == 0 ? c->all : 0);
	while (rc == 0 && (j = unlisted(r)) != NULL)
		job_leave(r, j);
	return rc;
}

static void
look_at_accounts(struct roster *r)
{
	struct news c = { .r = r, .a = ARENA_INIT_MAX((size_t)256 << 20) };
	uint64_t generation;
	int rc = co_mutex_lock(&r->looking, -1);

	if (rc != 0)
		return;
	rc = outside_generation(r->g->accounts, &generation);
	if (rc == 0 && generation != r->generation) {
		rc = take_news(r, &c);
		if (rc == 0)
			r->generation = generation;
	}
	/* -EAGAIN: there is no directory yet. */
	if (rc != 0 && rc != -EAGAIN)
		log_error("accounts", "error=\"%s\"", strerror(-rc));
	co_mutex_unlock(&r->looking);
	arena_reset(&c.a);
}

static void
roster_main(void *arg)
{
	struct roster *r = arg;
	int64_t look_ms = 0, next_ms, now;

	while (!r->stopping) {
		r->changed.set = false;
		if ((now = clock_mono_ms()) >= look_ms) {
			look_at_accounts(r);
			look_ms = clock_mono_ms() + LOOK_MS;
		}
		next_ms = begin_due(r);
		if (next_ms > look_ms)
			next_ms = look_ms;
		now = clock_mono_ms();
		if (co_event_wait(&r->changed,
			next_ms > now ? next_ms - now : 0) == -ECANCELED)
			break;
	}
	r->co = NULL;
	co_event_set(&r->ended);
}

/* --- from outside --- */

int
roster_new(
    struct roster **out, struct gateway *g, const struct roster_conf *conf)
{
	struct roster *r = calloc(1, sizeof(*r));

	*out = r;
	if (r == NULL)
		return -ENOMEM;
	r->g = g;
	r->conf = *conf;
	r->ready_last = &r->ready;
	if ((r->co = co_spawn(roster_main, r)) == NULL) {
		free(r);
		*out = NULL;
		return -ENOMEM;
	}
	return 0;
}

void
roster_configure(struct roster *r, const struct roster_conf *conf)
{
	r->conf = *conf;
}

void
roster_free(struct roster **out)
{
	struct roster *r = *out;

	*out = NULL;
	if (r == NULL)
		return;
	r->stopping = true;
	if (r->co != NULL)
		co_cancel(r->co);
	for (size_t i = 0; i < r->n_table; i++)
		for (struct job *j = r->table[i]; j != NULL; j = j->next)
			if (j->co != NULL)
				co_cancel(j->co);
	while (r->co != NULL || r->jobs_alive > 0) {
		r->ended.set = false;
		if (co_event_wait(&r->ended, -1) == -ECANCELED)
			return; /* what runs uses it */
	}
	for (size_t i = 0; i < r->n_table; i++)
		while (r->table[i] != NULL)
			job_forget(r, r->table[i]);
	free(r->table);
	free(r->heap);
	free(r);
}

int
roster_fetch(struct roster *r, struct slice address, struct roster_result *out)
{
	struct waiter w = { .result = out };
	struct job *j;
	int rc = 0;

	look_at_accounts(r);
	if (r->stopping || (j = job_find(r, address)) == NULL || j->gone)
		return -ENOENT;
	if (j->paused)
		return -EPERM;
	w.ticket = j->looks + 1;
	w.next = j->waiters;
	j->waiters = &w;
	if (j->queued) {
		queue_remove(r, j); /* to the front */
		queue_put(r, j);
	} else if (j->co == NULL) {
		heap_put(r, j, clock_mono_ms());
	} else {
		co_event_set(&j->kick);
	}
	while (!w.done && rc == 0)
		rc = co_event_wait(&w.event, -1);
	if (!w.done) {
		struct waiter **at = &j->waiters;

		while (*at != &w)
			at = &(*at)->next;
		*at = w.next;
		return rc;
	}
	return w.gone ? -ENOENT : 0;
}
