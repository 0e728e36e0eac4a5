/* SPDX-License-Identifier: ISC */
/*
 * Leases as rows of one partition: fence, deadline on the clock that does not
 * jump, time to live, holder. A row stays when its lease ends, because fences
 * only grow. The lease of a process that died is free at once: its socket
 * among the watches refuses. After a reboot the clock begins anew: a deadline
 * farther away than the time to live is of an earlier boot.
 */
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/store/engine.h"

#define LEASES SLICE_LIT("\001leases")

struct lease {
	uint64_t fence;
	int64_t deadline_ms, ttl_ms;
	struct slice holder; /* WATCH_NAME_LEN octets, then chance */
};

#define HOLDER_CHANCE 8

static void
lease_encode(struct buf *out, const struct lease *l)
{
	buf_put_be64(out, l->fence);
	buf_put_be64(out, (uint64_t)l->deadline_ms);
	buf_put_be64(out, (uint64_t)l->ttl_ms);
	buf_put_slice(out, l->holder);
}

static int
lease_decode(struct slice in, struct lease *l)
{
	if (in.n < 24)
		return -EIO;
	l->fence = get_be64(in.p);
	l->deadline_ms = (int64_t)get_be64(in.p + 8);
	l->ttl_ms = (int64_t)get_be64(in.p + 16);
	l->holder = slice_from(in, 24);
	return 0;
}

static bool
lease_is_held(struct store *s, const struct lease *l)
{
	int64_t left = l->deadline_ms - clock_mono_ms();

	return left > 0 && left <= l->ttl_ms &&
	    watches_peer_alive(s, slice_head(l->holder, WATCH_NAME_LEN));
}

/* Put `l` where the row was `old` (empty: absent). */
static int
lease_write(
    struct store *s, struct slice name, struct slice old, const struct lease *l)
{
	struct store_batch *b = store_batch_new(s, LEASES);
	struct buf row = BUF_INIT;
	int rc;

	if (b == NULL)
		return -ENOMEM;
	if (old.n == 0)
		store_guard_absent(b, name);
	else
		store_guard(b, name, old);
	lease_encode(&row, l);
	store_put(b, name, buf_slice(&row));
	rc = row.failed ? -ENOMEM : store_commit_one(s, b);
	buf_clear(&row);
	store_batch_free(&b);
	return rc;
}

static int
lease_read(struct store *s, struct slice name, struct buf *row, struct lease *l)
{
	int rc;

	buf_reset(row);
	*l = (struct lease){ .fence = 0 };
	if ((rc = store_get(s, LEASES, name, row)) == 0)
		rc = lease_decode(buf_slice(row), l);
	return rc;
}

/* One attempt; `holder` is this holder's alone. */
static int
lease_take(struct store *s, struct slice name, int64_t ttl_ms,
    struct slice holder, struct buf *row, uint64_t *fence)
{
	struct lease l;
	int rc = lease_read(s, name, row, &l);

	if (rc != 0 && rc != -ENOENT)
		return rc;
	if (rc == 0 && slice_eq(l.holder, holder)) {
		*fence = l.fence; /* an attempt of unknown outcome went well */
		return 0;
	}
	if (rc == 0 && lease_is_held(s, &l))
		return -EBUSY;
	l.ttl_ms = ttl_ms;
	l.deadline_ms = clock_mono_ms() + ttl_ms;
	l.holder = holder;
	*fence = ++l.fence;
	return lease_write(s, name, buf_slice(row), &l);
}

int
store_lease_acquire(
    struct store *s, struct slice name, int64_t ttl_ms, uint64_t *fence)
{
	char holder[WATCH_NAME_LEN + HOLDER_CHANCE];
	struct buf row = BUF_INIT;
	int rc;

	memcpy(holder, s->watches.self, WATCH_NAME_LEN);
	random_octets(holder + WATCH_NAME_LEN, HOLDER_CHANCE);
	do
		rc = lease_take(s, name, ttl_ms, slice(holder, sizeof(holder)),
		    &row, fence);
	while (rc == STORE_ECONFLICT || rc == STORE_EUNKNOWN);
	buf_clear(&row);
	return rc;
}

/* Change the lease that we hold. */
static int
lease_change(struct store *s, struct slice name, uint64_t fence, int64_t ttl_ms)
{
	struct buf row = BUF_INIT;
	struct lease l;
	int rc;

	do {
		rc = lease_read(s, name, &row, &l);
		if (rc == -ENOENT || (rc == 0 && l.fence != fence))
			rc = -EBUSY;
		if (rc != 0)
			break;
		l.ttl_ms = ttl_ms;
		l.deadline_ms = ttl_ms == 0 ? 0 : clock_mono_ms() + ttl_ms;
		rc = lease_write(s, name, buf_slice(&row), &l);
	} while (rc == STORE_ECONFLICT || rc == STORE_EUNKNOWN);
	buf_clear(&row);
	return rc;
}

int
store_lease_renew(
    struct store *s, struct slice name, uint64_t fence, int64_t ttl_ms)
{
	return lease_change(s, name, fence, ttl_ms);
}

int
store_lease_release(struct store *s, struct slice name, uint64_t fence)
{
	return lease_change(s, name, fence, 0);
}
