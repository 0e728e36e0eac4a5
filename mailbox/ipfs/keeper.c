/* SPDX-License-Identifier: ISC */
#include "mailbox/ipfs/keeper.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/store/store.h"
#include "mailbox/ipfs/manifest_rows.h"
#include "mailbox/ipfs/put.h"
#include "mailbox/mails/impl.h"

#define HINTS 1024
#define PAGE 256
#define JOBS 3 /* blobs at a time; each has a block in memory */
#define OCTETS_A_SECOND ((uint64_t)8 << 20)
#define START_MS 500
#define GATHER_MS 20   /* what is committed together is told together */
#define EVERY_MS 60000 /* between walks; doubles while they find nothing */
#define EVERY_MAX_MS 3600000
#define DUTY 20
#define AWAY_MS 1000 /* doubles while the node is away */
#define AWAY_MAX_MS 15000
#define BUSY_MS 1000 /* another process walks */
#define LEASE SLICE_LIT("ipfs")
#define LEASE_MS 120000
#define RENEW_MS 30000
#define NOTES SLICE_LIT("i")

struct ipfs {
	struct mails *m;
	struct store *s;
	struct ipfs_node node;
	struct ipfs_conf conf;
	struct co *co, *stopper;
	struct co_event event;
	struct store_watch watch;
	/* Blobs that came or went, a ring; what finds no room is for a walk. */
	struct store_blob_id hints[HINTS];
	size_t first, n;
	bool wished; /* a walk, as soon as may be */
	int64_t walk_ms, every_ms, rest_until_ms; /* of clock_mono_ms() */
	int64_t away_ms; /* how long it waits for the node; 0: it is there */
	bool away_told;
	/* the walk that is under way */
	uint64_t fence;
	int64_t renewed_ms;
	uint64_t changed;
	struct store_blob_id page[PAGE];
	size_t n_page;
	bool failed_one;
};

/* --- a few blobs at a time --- */

struct job {
	struct ipfs *k;
	struct ipfs_node node; /* its own words */
	struct store_blob_id id;
	uint64_t octets;
	int rc;
};

/* It is put, or unpinned, whatever it takes; *rc as of put.h. */
static void
settle(void *arg)
{
	struct job *j = arg;
	struct buf raw = BUF_INIT;
	struct ipfs_row row;

	j->rc =
	    ipfs_blob_put(j->k->s, &j->node, &j->id, &raw, &row, &j->octets);
	if (j->rc == -ENOENT)
		j->rc = ipfs_blob_leave(j->k->s, &j->node, &j->id);
	buf_wipe(&raw);
}

static void
tell_failure(struct ipfs *k, const struct job *j)
{
	char hex[2 * STORE_BLOB_ID_LEN + 1];

	for (size_t i = 0; i < STORE_BLOB_ID_LEN; i++)
		snprintf(hex + 2 * i, 3, "%02x", j->id.octets[i]);
	log_warning("ipfs: not put", "blob=%s error=\"%s\"", hex,
	    j->rc == -E2BIG ? "over 1.5 GiB" : strerror(-j->rc));
	k->failed_one = true;
}

/* 0, or the first error that is the node's. */
static int
settle_all(struct ipfs *k, const struct store_blob_id *ids, size_t n)
{
	struct job *jobs = calloc(n + 1, sizeof(*jobs));
	struct co_group g = { 0 };
	uint64_t octets = 0;
	int rc = 0;

	if (jobs == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		jobs[i] = (struct job){ .k = k, .node = k->node, .id = ids[i] };
		if (co_group_spawn(&g, settle, &jobs[i]) != 0)
			jobs[i].rc = -ENOMEM;
	}
	(void)co_group_join(&g);
	for (size_t i = 0; i < n; i++) {
		octets += jobs[i].octets;
		if (jobs[i].rc == -E2BIG || jobs[i].rc == -EIO) {
			tell_failure(k, &jobs[i]);
		} else if (jobs[i].rc != 0 && rc == 0) {
			rc = jobs[i].rc;
			memcpy(
			    k->node.why, jobs[i].node.why, sizeof(k->node.why));
		}
	}
	free(jobs);
	if (rc == 0 && octets > 0)
		rc = co_sleep((int64_t)(octets * 1000 / OCTETS_A_SECOND));
	return rc;
}

/* --- hints --- */

static void
on_blob(void *arg, const struct store_blob_id *id)
{
	struct ipfs *k = arg;

	if (k->away_ms > 0 || k->n == HINTS) {
		k->wished = true;
		return;
	}
	k->hints[(k->first + k->n++) % HINTS] = *id;
	co_event_set(&k->event);
}

static void
on_note(void *arg)
{
	struct ipfs *k = arg;

	k->wished = true;
	co_event_set(&k->event);
}

static int
hints_do(struct ipfs *k)
{
	struct store_blob_id ids[JOBS];
	size_t n;
	int rc = co_sleep(GATHER_MS);

	while (rc == 0 && k->n > 0) {
		for (n = 0; n < JOBS && k->n > 0; n++, k->n--) {
			ids[n] = k->hints[k->first];
			k->first = (k->first + 1) % HINTS;
		}
		rc = settle_all(k, ids, n);
	}
	return rc;
}

/* --- the walk --- */

static int
lease_keep(struct ipfs *k)
{
	if (clock_mono_ms() - k->renewed_ms < RENEW_MS)
		return 0;
	k->renewed_ms = clock_mono_ms();
	return store_lease_renew(k->s, LEASE, k->fence, LEASE_MS) == 0 ? 0
								       : -EBUSY;
}

static int
page_blob(
    void *arg, const struct store_blob_id *id, uint64_t size, int64_t written_s)
{
	struct ipfs *k = arg;

	(void)size;
	(void)written_s;
	k->page[k->n_page++] = *id;
	return k->n_page == PAGE;
}

static int
page_row(void *arg, struct slice key, struct slice val)
{
	struct ipfs *k = arg;

	(void)val;
	if (key.n == STORE_BLOB_ID_LEN)
		memcpy(k->page[k->n_page++].octets, key.p, key.n);
	return k->n_page == PAGE;
}

/* Is there nothing to do about it? */
static bool
is_settled(struct ipfs *k, const struct store_blob_id *id, struct buf *raw)
{
	struct ipfs_row row;
	uint64_t size;
	int rc = ipfs_row_get(k->s, id, raw, &row);

	if (rc == 0 && row.state == IPFS_PUT)
		return store_blob_size(k->s, id, &size) == 0;
	return false;
}

/* What of the page is not settled. */
static int
page_do(struct ipfs *k)
{
	struct store_blob_id ids[JOBS];
	struct buf raw = BUF_INIT;
	size_t n = 0;
	int rc = lease_keep(k);

	for (size_t i = 0; i < k->n_page && rc == 0; i++) {
		if (!is_settled(k, &k->page[i], &raw))
			ids[n++] = k->page[i];
		if (n == JOBS) {
			k->changed += n;
			rc = settle_all(k, ids, n);
			n = 0;
			if (rc == 0)
				rc = lease_keep(k);
		}
	}
	k->changed += n;
	if (rc == 0)
		rc = settle_all(k, ids, n);
	buf_wipe(&raw);
	return rc == 0 ? co_yield () : rc;
}

static int
walk_blobs(struct ipfs *k)
{
	const struct store_blob_id *after = NULL;
	struct store_blob_id last;
	int more = 1, rc = 0;

	while (more == 1 && rc == 0) {
		k->n_page = 0;
		more = store_blob_list_after(k->s, after, page_blob, k);
		if (more < 0)
			return more;
		if (k->n_page > 0) {
			last = k->page[k->n_page - 1];
			after = &last;
		}
		rc = page_do(k);
	}
	return rc;
}

static int
walk_rows(struct ipfs *k, unsigned char first)
{
	struct store_blob_id id = { { first } };
	char part[IPFS_PART + 1], from[STORE_BLOB_ID_LEN + 1] = "";
	size_t n_from = 0;
	int more = 1, rc = 0;

	while (more == 1 && rc == 0) {
		k->n_page = 0;
		more =
		    store_scan(k->s, ipfs_part(&id, part), slice(from, n_from),
			SLICE_EMPTY, STORE_SCAN_KEYS, page_row, k);
		if (more < 0)
			return more;
		if (k->n_page > 0) {
			memcpy(from, k->page[k->n_page - 1].octets,
			    STORE_BLOB_ID_LEN);
			n_from = sizeof(from); /* just behind it */
		}
		rc = page_do(k);
	}
	return rc;
}

static int
walk(struct ipfs *k)
{
	int64_t begun = clock_mono_ms(), now;
	int rc = store_lease_acquire(k->s, LEASE, LEASE_MS, &k->fence);

	if (rc != 0)
		return rc;
	k->renewed_ms = begun;
	k->wished = k->failed_one = false;
	k->changed = 0;
	rc = walk_blobs(k);
	for (unsigned i = 0; i < 256 && rc == 0; i++)
		rc = walk_rows(k, (unsigned char)i);
	if (rc == 0)
		rc = ipfs_manifests_reap(k->m, &k->node);
	(void)store_lease_release(k->s, LEASE, k->fence);
	now = clock_mono_ms();
	k->walk_ms = now;
	k->rest_until_ms = now + k->conf.duty * (now - begun);
	if (k->changed > 0 || k->every_ms == 0)
		k->every_ms = EVERY_MS;
	else if (k->every_ms < EVERY_MAX_MS)
		k->every_ms *= 2;
	return rc;
}

/* --- the coroutine --- */

/* How long it may sleep; 0: a walk is due. */
static int64_t
until_walk(const struct ipfs *k)
{
	int64_t now = clock_mono_ms(), at = k->walk_ms + k->every_ms;

	if (k->wished)
		at = now;
	if (at < k->rest_until_ms)
		at = k->rest_until_ms;
	return at > now ? at - now : 0;
}

static void
went_away(struct ipfs *k, int rc)
{
	if (!k->away_told)
		log_warning("ipfs: the node takes nothing", "why=%s",
		    log_qs(
			k->node.why[0] != '\0' ? k->node.why : strerror(-rc)));
	k->away_told = true;
	k->n = 0; /* the walk finds them */
	k->wished = true;
	k->away_ms = k->away_ms == 0 ? k->conf.away_ms : k->away_ms * 2;
	if (k->away_ms > k->conf.away_max_ms)
		k->away_ms = k->conf.away_max_ms;
}

/* Wait for something to do, and do it. */
static int
turn(struct ipfs *k)
{
	int64_t wait = until_walk(k);
	char node[128];
	int rc = 0;

	if (k->n == 0 && wait > 0) {
		k->event.set = false;
		rc = co_event_wait(&k->event, wait);
		return rc == -ETIMEDOUT ? 0 : rc;
	}
	rc = k->n > 0 ? hints_do(k) : walk(k);
	if (rc == -EBUSY) { /* another process walks */
		k->rest_until_ms = clock_mono_ms() + BUSY_MS;
		return 0;
	}
	if (rc == 0 && k->away_told) {
		net_addr_text(&k->node.addr, node);
		log_info("ipfs: the node is back", "node=%s", node);
		k->away_told = false;
	}
	if (rc == 0)
		k->away_ms = 0;
	return rc;
}

static void
keeper_main(void *arg)
{
	struct ipfs *k = arg;
	int rc = co_sleep(k->conf.start_ms);

	while (rc != -ECANCELED) {
		if ((rc = turn(k)) != 0 && rc != -ECANCELED) {
			went_away(k, rc);
			rc = co_sleep(k->away_ms * 3 / 4 +
			    random_below((uint32_t)k->away_ms / 2));
		}
	}
	k->co = NULL;
	if (k->stopper != NULL)
		co_wake(k->stopper);
}

int
ipfs_start(struct ipfs **out, struct mails *m, const struct ipfs_conf *conf)
{
	struct ipfs *k;
	int rc;

	*out = NULL;
	if (*conf->addr == '\0')
		return 0;
	if ((k = calloc(1, sizeof(*k))) == NULL)
		return -ENOMEM;
	k->m = m;
	k->s = mails_store(m);
	k->conf = *conf;
	k->conf.addr = k->conf.run_dir = NULL; /* go with a reload */
	if (k->conf.start_ms == 0)
		k->conf.start_ms = START_MS;
	if (k->conf.duty == 0)
		k->conf.duty = DUTY;
	if (k->conf.away_ms == 0)
		k->conf.away_ms = AWAY_MS;
	if (k->conf.away_max_ms == 0)
		k->conf.away_max_ms = AWAY_MAX_MS;
	k->wished = true;
	k->watch = (struct store_watch){ .fn = on_note, .arg = k };
	rc = ipfs_node_init(&k->node, conf->addr, conf->run_dir);
	if (rc == 0)
		rc = store_watch(k->s, NOTES, &k->watch);
	if (rc != 0) {
		log_error("mailbox.ipfs", "address=%s error=\"%s\"",
		    log_qs(conf->addr), strerror(-rc));
		free(k);
		return rc;
	}
	if ((k->co = co_spawn(keeper_main, k)) == NULL) {
		store_unwatch(k->s, &k->watch);
		free(k);
		return -ENOMEM;
	}
	store_on_blobs(k->s, on_blob, k);
	*out = k;
	return 0;
}

void
ipfs_stop(struct ipfs **out)
{
	struct ipfs *k = *out;

	*out = NULL;
	if (k == NULL)
		return;
	store_on_blobs(k->s, NULL, NULL);
	store_unwatch(k->s, &k->watch);
	k->stopper = co_self();
	if (k->co != NULL)
		co_cancel(k->co);
	while (k->co != NULL)
		co_park_uncancelable();
	free(k);
}

void
ipfs_hint(struct mails *m)
{
	store_notify(mails_store(m), NOTES);
}
