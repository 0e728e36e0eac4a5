/* SPDX-License-Identifier: ISC */
/*
 * Slices and their leases. A worker takes its share at once; later, every few
 * seconds, also what nobody holds (a worker has died). The store frees the
 * leases of a process that has died, so the time to live only matters for one
 * that hangs, or for a machine that is gone.
 */
#include <errno.h>
#include <string.h>

#include "common/base/log.h"
#include "qm/queue/internal.h"

#define LEASE_MS (5 * 60 * 1000)
#define RENEW_MS (LEASE_MS / 3)
#define TAKE_OVER_MS 10000
/* A holder stops using a slice so long before its lease ends. */
#define MARGIN_MS 10000
/* Leases are rows: so many at once share a commit. */
#define AT_ONCE 32
#define RUN_LENGTH 64 /* new messages into the same slice */
#define FAULT_MS 10000

static struct slice
lease_name(const struct record_key *k)
{
	return record_slice(k);
}

static unsigned
slice_number(const struct queue_slice *sl)
{
	return (unsigned)(sl - sl->q->slices);
}

/* --- state (no waits) --- */

bool
queue_holds(const struct queue *q, unsigned slice)
{
	const struct queue_slice *sl = &q->slices[slice];

	return sl->held && clock_mono_ms() < sl->lease_until - MARGIN_MS;
}

static void
on_notify(void *arg)
{
	struct queue_slice *sl = arg;

	sl->next_due_ms = 0;
	if (sl->q->wake != NULL)
		sl->q->wake(sl->q->wake_arg);
}

void
queue_note(struct queue *q, unsigned slice, int64_t due_ms)
{
	struct queue_slice *sl = &q->slices[slice];

	if (!sl->held) { /* whoever holds it shall look */
		struct record_key part = record_part(slice);

		store_notify(q->store, record_slice(&part));
		return;
	}
	if (due_ms < sl->next_due_ms) {
		sl->next_due_ms = due_ms;
		if (q->wake != NULL)
			q->wake(q->wake_arg);
	}
}

static void
slice_gained(struct queue_slice *sl, uint64_t fence)
{
	struct record_key part = record_part(slice_number(sl));

	sl->held = true;
	sl->fenced = false;
	sl->fence = fence;
	sl->lease_until = clock_mono_ms() + LEASE_MS;
	sl->next_due_ms = 0;
	sl->q->n_held++;
	sl->watch = (struct store_watch){ .fn = on_notify, .arg = sl };
	store_watch(sl->q->store, record_slice(&part), &sl->watch);
}

static void
slice_dropped(struct queue_slice *sl)
{
	if (!sl->held)
		return;
	sl->held = sl->fenced = false;
	sl->q->n_held--;
	store_unwatch(sl->q->store, &sl->watch);
}

void
queue_slice_lost(struct queue *q, struct queue_slice *sl)
{
	(void)q;
	if (sl->held)
		log_warning("slice lost", "slice=%02X fence=%llu",
		    slice_number(sl), (unsigned long long)sl->fence);
	slice_dropped(sl);
}

unsigned
queue_slice_pick(struct queue *q)
{
	if (q->n_held == 0)
		return random_below(QUEUE_SLICES);
	if (q->current_left > 0 && queue_holds(q, q->current)) {
		q->current_left--;
		return q->current;
	}
	for (unsigned i = 1; i <= QUEUE_SLICES; i++) {
		unsigned n = (q->current + i) % QUEUE_SLICES;

		if (!queue_holds(q, n))
			continue;
		q->current = n;
		q->current_left = RUN_LENGTH;
		return n;
	}
	return random_below(QUEUE_SLICES);
}

/* --- the fence row --- */

#define FENCE_KEY SLICE_LIT("f")

void
queue_guard_fence(struct store_batch *b, const struct queue_slice *sl)
{
	char row[8];

	if (!sl->fenced)
		return;
	put_be64(row, sl->fence);
	store_guard(b, FENCE_KEY, slice(row, sizeof(row)));
}

/* Put our fence where `old` stands. */
static int
fence_write(struct queue_slice *sl, struct slice old)
{
	struct record_key part = record_part(slice_number(sl));
	struct store_batch *b =
	    store_batch_new(sl->q->store, record_slice(&part));
	char row[8];
	int rc;

	if (b == NULL)
		return -ENOMEM;
	put_be64(row, sl->fence);
	if (old.n == 0)
		store_guard_absent(b, FENCE_KEY);
	else
		store_guard(b, FENCE_KEY, old);
	store_put(b, FENCE_KEY, slice(row, sizeof(row)));
	rc = store_commit_one(sl->q->store, b);
	store_batch_free(&b);
	return rc;
}

static int
fence_once(struct queue_slice *sl)
{
	struct record_key part = record_part(slice_number(sl));
	struct buf old = BUF_INIT;
	uint64_t there = 0;
	int rc = store_get(sl->q->store, record_slice(&part), FENCE_KEY, &old);

	if (rc == 0 && old.n == 8)
		there = get_be64(old.p);
	if (rc == -ENOENT)
		rc = 0;
	if (rc == 0 && there > sl->fence)
		rc = -ESTALE;
	else if (rc == 0 && (there != sl->fence || old.n != 8))
		rc = fence_write(sl, buf_slice(&old));
	buf_clear(&old);
	return rc;
}

int
queue_slice_fence(struct queue *q, struct queue_slice *sl)
{
	uint64_t fence = sl->fence;
	int rc;

	if (!sl->held)
		return -ESTALE;
	if (sl->fenced)
		return 0;
	do
		rc = fence_once(sl);
	while (rc == STORE_ECONFLICT || rc == STORE_EUNKNOWN);
	/* While that waited the lease may have been lost, and won again. */
	if (rc == 0 && (!sl->held || sl->fence != fence))
		return -ESTALE;
	if (rc == 0)
		sl->fenced = true;
	else if (rc == -ESTALE)
		queue_slice_lost(q, sl);
	return rc;
}

int
queue_claim(struct queue *q, unsigned slice)
{
	struct queue_slice *sl = &q->slices[slice];

	if (!queue_holds(q, slice))
		return -ESTALE;
	return sl->fenced ? 0 : queue_slice_fence(q, sl);
}

/* --- taking and renewing --- */

static void
slice_take(struct queue *q, struct queue_slice *sl)
{
	struct record_key name = record_part(slice_number(sl));
	uint64_t fence;
	int rc;

	sl->taking = true;
	rc = store_lease_acquire(q->store, lease_name(&name), LEASE_MS, &fence);
	sl->taking = false;
	if (rc == 0)
		slice_gained(sl, fence);
	else if (rc != -EBUSY && rc != -ECANCELED)
		log_warning("lease", "slice=%02X error=%s", slice_number(sl),
		    strerror(-rc));
}

/* Several coroutines work through the slices together. */
struct sweep {
	struct queue *q;
	unsigned at, left; /* slices to look at from `at` on */
	unsigned room;     /* how many more may be taken */
	void (*one)(struct sweep *s, struct queue_slice *sl);
};

static void
sweep_take(struct sweep *s, struct queue_slice *sl)
{
	if (sl->held || sl->taking || s->room == 0 || s->q->stopping)
		return;
	s->room--;
	slice_take(s->q, sl);
	if (!sl->held)
		s->room++;
}

static void
sweep_renew(struct sweep *s, struct queue_slice *sl)
{
	struct record_key name = record_part(slice_number(sl));
	bool lapsed = !queue_holds(s->q, slice_number(sl));
	int rc;

	if (!sl->held)
		return;
	rc = store_lease_renew(
	    s->q->store, lease_name(&name), sl->fence, LEASE_MS);
	if (rc == 0) {
		sl->lease_until = clock_mono_ms() + LEASE_MS;
		/* Passes were broken off, and nothing was looked for. */
		if (lapsed)
			on_notify(sl);
	} else if (rc == -EBUSY)
		queue_slice_lost(s->q, sl);
	else
		log_warning("lease", "slice=%02X error=%s", slice_number(sl),
		    strerror(-rc));
}

static void
sweep_release(struct sweep *s, struct queue_slice *sl)
{
	struct record_key name = record_part(slice_number(sl));

	if (!sl->held)
		return;
	slice_dropped(sl);
	store_lease_release(s->q->store, lease_name(&name), sl->fence);
}

static void
sweep_main(void *arg)
{
	struct sweep *s = arg;

	while (s->left > 0) {
		struct queue_slice *sl = &s->q->slices[s->at % QUEUE_SLICES];

		s->at++;
		s->left--;
		s->one(s, sl);
	}
}

static void
sweep(struct queue *q, unsigned room,
    void (*one)(struct sweep *s, struct queue_slice *sl))
{
	struct sweep s = { .q = q,
		.at = random_below(QUEUE_SLICES),
		.left = QUEUE_SLICES,
		.room = room,
		.one = one };
	struct co_group g = { 0 };

	for (unsigned i = 1; i < AT_ONCE; i++)
		if (co_group_spawn(&g, sweep_main, &s) != 0)
			break;
	sweep_main(&s);
	co_group_join(&g);
}

void
queue_renew(struct queue *q)
{
	sweep(q, 0, sweep_renew);
}

static void
keeper_main(void *arg)
{
	struct queue *q = arg;
	int64_t renew_at = clock_mono_ms() + RENEW_MS;

	sweep(q, q->share, sweep_take);
	if (q->wake != NULL)
		q->wake(q->wake_arg);
	while (!q->stopping) {
		if (co_park(TAKE_OVER_MS + random_below(1000)) == -ECANCELED)
			break;
		if (q->stopping)
			break;
		if (clock_mono_ms() >= renew_at) {
			queue_renew(q);
			renew_at = clock_mono_ms() + RENEW_MS;
		}
		if (q->n_held < QUEUE_SLICES) {
			sweep(q, QUEUE_SLICES, sweep_take);
			if (q->wake != NULL)
				q->wake(q->wake_arg);
		}
	}
	q->keeper = NULL;
	co_wake(q->stopper);
}

int
queue_hold_start(
    struct queue *q, unsigned share, void (*wake)(void *arg), void *arg)
{
	q->share = share;
	q->wake = wake;
	q->wake_arg = arg;
	q->current = random_below(QUEUE_SLICES);
	q->keeper = co_spawn(keeper_main, q);
	return q->keeper == NULL ? -ENOMEM : 0;
}

void
queue_hold_stop(struct queue *q)
{
	q->stopping = true;
	co_wake(q->keeper);
	while (q->keeper != NULL) {
		q->stopper = co_self();
		co_park_uncancelable();
	}
	if (q->n_held > 0)
		sweep(q, 0, sweep_release);
}

/* --- what is due --- */

struct due_scan {
	struct queue_slice *sl;
	int64_t now_ms, next_ms;
	bool stopped;
	int (*due)(void *arg, const char *id, int64_t due_ms);
	void *arg;
};

/* The first row after now ends the scan: it says when to come again. */
static int
due_row(void *arg, struct slice key, struct slice val)
{
	struct due_scan *s = arg;
	char id[QUEUE_ID_LEN + 1];
	int64_t due_ms;

	(void)val;
	if (!record_due_parse(key, &due_ms, id))
		return 0;
	if (due_ms > s->now_ms) {
		s->next_ms = due_ms;
		return 1;
	}
	if (s->due(s->arg, id, due_ms) != 0) {
		s->stopped = true;
		s->next_ms = due_ms;
		return 1;
	}
	return 0;
}

/* 1: stopped for want of room. */
static int
slice_due(struct queue *q, struct queue_slice *sl, struct due_scan *s)
{
	struct record_key part = record_part(slice_number(sl));
	int rc;

	if ((rc = queue_claim(q, slice_number(sl))) != 0)
		return rc;
	s->next_ms = sl->next_due_ms = INT64_MAX;
	rc = store_scan(q->store, record_slice(&part), SLICE_LIT("d"),
	    SLICE_LIT("e"), STORE_SCAN_KEYS, due_row, s);
	/* A note may have come while the scan waited. */
	if (rc >= 0 && s->next_ms < sl->next_due_ms)
		sl->next_due_ms = s->next_ms;
	return rc < 0 ? rc : s->stopped;
}

int
queue_due(struct queue *q, int64_t now_ms,
    int (*due)(void *arg, const char *id, int64_t due_ms), void *arg,
    int64_t *next_ms)
{
	struct due_scan s = { .now_ms = now_ms, .due = due, .arg = arg };
	int rc = 0;

	*next_ms = INT64_MAX;
	for (unsigned i = 0; i < QUEUE_SLICES && !s.stopped; i++) {
		struct queue_slice *sl =
		    &q->slices[(q->turn + i) % QUEUE_SLICES];

		if (!queue_holds(q, slice_number(sl)) ||
		    sl->next_due_ms > now_ms)
			continue;
		rc = slice_due(q, sl, &s);
		if (rc == -ECANCELED)
			return rc;
		if (rc < 0 && rc != -ESTALE) {
			log_error("queue", "slice=%02X error=%s",
			    slice_number(sl), strerror(-rc));
			sl->next_due_ms = now_ms + FAULT_MS;
		}
	}
	q->turn = (q->turn + 1) % QUEUE_SLICES;
	for (unsigned i = 0; i < QUEUE_SLICES; i++)
		if (queue_holds(q, i) && q->slices[i].next_due_ms < *next_ms)
			*next_ms = q->slices[i].next_due_ms;
	return 0;
}
