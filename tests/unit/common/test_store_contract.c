/* SPDX-License-Identifier: ISC */
/*
 * The contract of store.h, sentence by sentence, beyond what test_store.c has.
 * An engine is trusted when it passes both files, and, where several processes
 * share it, what is run here on engines that are `shared` (test_engines).
 *
 *	keys compare as octets; partitions do not run into each other	keys
 *	a batch copies what it is given; operations in their order	batches
 *	an error sticks, and then nothing is done; caps at and over	caps
 *	UNKNOWN is all or nothing, with the blobs that are deleted	unknowns
 *	all rows of one scan are of one moment				moments
 *	pages while others write: what stays is seen once, in order	pages
 *	a drop beside other work; what is put after it stays		drops
 *	blobs: an id is one's; a failed batch deletes none; lists
 *	    while others come and go					blob_ids
 *	a lease has one holder at a time; fences only grow; who slept
 *	    over his lease writes nothing				one_holder, sleepers
 *	watches: all of a partition are told, also when one ends in a
 *	    call; lost notes cost nothing but time			watchers
 *	the same among processes					processes
 */
#include "tests/unit/common/store_test.h"

#include <event2/event.h>

#define TABLE(a) (sizeof(a) / sizeof((a)[0]))

/* --- keys and partitions --- */

static const struct slice odd_keys[] = { SLICE_LIT("\0"), SLICE_LIT("\0\0"),
	SLICE_LIT("\0\1"), SLICE_LIT("\1"), SLICE_LIT("a"), SLICE_LIT("a\0"),
	SLICE_LIT("a\0b"), SLICE_LIT("a\1"), SLICE_LIT("ab"), SLICE_LIT("\x7f"),
	SLICE_LIT("\x80"), SLICE_LIT("\xff"), SLICE_LIT("\xff\xfe"),
	SLICE_LIT("\377\377"), SLICE_LIT("\377\377dro"),
	SLICE_LIT("\377\377drop\0"), SLICE_LIT("\377\377e"),
	SLICE_LIT("\377\377\214") };

struct keys_seen {
	size_t n;
	bool back;
};

static int
odd_key(void *arg, struct slice key, struct slice val)
{
	struct keys_seen *s = arg;
	size_t i = s->back ? TABLE(odd_keys) - 1 - s->n : s->n;

	CHECK(s->n < TABLE(odd_keys) && slice_eq(key, odd_keys[i]));
	CHECK(slice_eq(val, odd_keys[i]));
	s->n++;
	return 0;
}

static void
keys(void)
{
	static const char *const near[] = { "p\001", "p\377", "o", "pp", "" };
	struct keys_seen s;
	struct store_batch *b;

	for (size_t i = TABLE(odd_keys); i-- > 0;) {
		b = store_batch_new(st, SLICE_LIT("p"));
		store_put(b, odd_keys[i], odd_keys[i]);
		CHECK_INT(test_commit(b), 0);
	}
	for (size_t i = 0; i < TABLE(near); i++)
		test_put(near[i], "k", "near");
	for (int back = 0; back < 2; back++) {
		s = (struct keys_seen){ 0, back };
		CHECK_INT(
		    store_scan(st, SLICE_LIT("p"), SLICE_EMPTY, SLICE_EMPTY,
			back ? STORE_SCAN_REVERSE : 0, odd_key, &s),
		    0);
		CHECK_INT(s.n, TABLE(odd_keys));
	}
	b = store_batch_new(st, SLICE_LIT("p"));
	store_del_range(b, SLICE_EMPTY, SLICE_EMPTY);
	CHECK_INT(test_commit(b), 0);
	s.n = 0;
	CHECK_INT(store_scan(st, SLICE_LIT("p"), SLICE_EMPTY, SLICE_EMPTY, 0,
		      odd_key, &s),
	    0);
	CHECK_INT(s.n, 0);
	for (size_t i = 0; i < TABLE(near); i++)
		CHECK(test_row_is(near[i], "k", "near"));
	CHECK_INT(store_partition_drop(st, SLICE_LIT("p")), 0);
	for (size_t i = 0; i < TABLE(near); i++)
		CHECK(test_row_is(near[i], "k", "near"));
}

/* --- batches --- */

static void
batches(void)
{
	char key[] = "key", val[] = "value";
	struct store_batch *b = store_batch_new(st, slice_str(key));

	store_put(b, slice_str(key), slice_str(val));
	memset(key, 'x', 3);
	memset(val, 'x', 5);
	CHECK_INT(test_commit(b), 0);
	CHECK(test_row_is("key", "key", "value"));
	test_put("p", "a", "1");
	test_put("p", "b", "1");
	b = store_batch_new(st, SLICE_LIT("p"));
	store_put(b, SLICE_LIT("c"), SLICE_LIT("goes"));
	store_put(b, SLICE_LIT("a"), SLICE_LIT("2"));
	store_del_range(b, SLICE_LIT("b"), SLICE_LIT("d"));
	store_put(b, SLICE_LIT("b"), SLICE_LIT("2"));
	store_put(b, SLICE_LIT("d"), SLICE_LIT("1"));
	store_del(b, SLICE_LIT("d"));
	store_put(b, SLICE_LIT("a"), SLICE_LIT("3"));
	CHECK_INT(test_commit(b), 0);
	CHECK(test_row_is("p", "a", "3"));
	CHECK(test_row_is("p", "b", "2"));
	CHECK(test_row_is("p", "c", NULL));
	CHECK(test_row_is("p", "d", NULL));
	/* One without operations, and one of guards alone. */
	CHECK_INT(test_commit(store_batch_new(st, SLICE_LIT("p"))), 0);
	b = store_batch_new(st, SLICE_LIT("p"));
	store_guard(b, SLICE_LIT("a"), SLICE_LIT("3"));
	store_guard_absent(b, SLICE_LIT("c"));
	CHECK_INT(test_commit(b), 0);
}

/* A batch of n operations, of which each takes so many octets of value. */
static struct store_batch *
batch_of(size_t n, size_t octets)
{
	static char val[STORE_VALUE_MAX];
	struct store_batch *b = store_batch_new(st, SLICE_LIT("caps"));
	char key[24]; /* any size_t */

	for (size_t i = 0; i < n; i++) {
		snprintf(key, sizeof(key), "%06zu", i);
		store_put(b, slice_str(key), slice(val, octets));
	}
	return b;
}

static void
caps(void)
{
	struct store_caps c;
	struct store_batch *b;

	store_caps(st, &c);
	CHECK_INT(c.key_max, STORE_KEY_MAX);
	CHECK_INT(c.value_max, STORE_VALUE_MAX);
	CHECK_INT(c.batch_ops, STORE_BATCH_OPS);
	CHECK_INT(c.batch_octets, STORE_BATCH_OCTETS);
	CHECK(c.blob_chunk > 0);
	/* An error sticks. */
	b = batch_of(STORE_BATCH_OPS + 1, 0);
	CHECK_INT(store_commit_one(st, b), -E2BIG);
	store_put(b, SLICE_LIT("k"), SLICE_LIT("v"));
	CHECK_INT(store_commit_one(st, b), -E2BIG);
	store_batch_free(&b);
	b = batch_of(17, STORE_VALUE_MAX);
	CHECK_INT(store_commit_one(st, b), -E2BIG);
	store_batch_free(&b);
	CHECK(test_row_is("caps", "000000", NULL));
	CHECK(test_row_is("caps", "k", NULL));
	CHECK_INT(test_commit(batch_of(STORE_BATCH_OPS, 1)), 0);
	CHECK_INT(test_commit(batch_of(15, STORE_VALUE_MAX)), 0);
	CHECK_INT(test_commit(batch_of(STORE_BATCH_OPS, 2000)), 0);
	CHECK(test_row_is("caps", "000499", NULL) == false);
}

/* --- outcomes that are not known --- */

static void
unknowns(void)
{
	struct store_blob_id id;
	struct store_batch *b;
	bool done, blob;
	char val[8];
	int rc;

	for (unsigned i = 0; i < 40; i++) {
		CHECK_INT(test_blob_store(&id, 100, i), 0);
		test_put("p", "a", "0");
		test_put("q", "b", "0");
		b = store_batch_new(st, SLICE_LIT("p"));
		snprintf(val, sizeof(val), "%u", i + 1);
		store_put(b, SLICE_LIT("a"), slice_str(val));
		store_put(b, SLICE_LIT("b"), slice_str(val));
		store_batch_blob_del(b, &id);
		rc = store_commit_one(st, b);
		store_batch_free(&b);
		done = test_row_is("p", "a", val);
		blob = test_blob_compare(&id, 100, i) == 0;
		CHECK(done == test_row_is("p", "b", val));
		CHECK(done != blob);
		CHECK(rc == 0 ? done : is_doubt(rc));
		CHECK(rc != STORE_ECONFLICT || !done);
		CHECK(test_engine->lies || rc == 0);
	}
}

/* --- scans while others write --- */

#define STABLE 60
static bool writer_ends;

static void
key_of(char out[static 8], unsigned i)
{
	snprintf(out, 8, "%05u", i);
}

/* Two rows that always change together, and others that come and go between
 * those that stay (even numbers stay). */
static void
pair_writer(void *arg)
{
	struct store_batch *b;
	unsigned n = 0;
	char val[16], key[8];
	int rc;

	(void)arg;
	while (!writer_ends) {
		snprintf(val, sizeof(val), "%u", ++n);
		key_of(key, 2 * (n * 7 % STABLE) + 1);
		b = store_batch_new(st, SLICE_LIT("p"));
		store_put(b, SLICE_LIT("!first"), slice_str(val));
		store_put(b, SLICE_LIT("z last"), slice_str(val));
		if (n % 3 == 0)
			store_del_range(b, slice_str(key), SLICE_LIT("00100"));
		else
			store_put(b, slice_str(key), slice_str(val));
		for (unsigned i = 0; i < STABLE && n % 3 == 0; i++) {
			key_of(key, 2 * i);
			store_put(b, slice_str(key), SLICE_LIT("stays"));
		}
		rc = store_commit_one(st, b);
		CHECK(rc == 0 || (test_engine->lies && is_doubt(rc)));
		store_batch_free(&b);
		co_yield ();
	}
}

struct moment {
	struct buf first, last;
	unsigned stable;
};

static int
moment_row(void *arg, struct slice key, struct slice val)
{
	struct moment *m = arg;

	if (slice_eq_str(key, "!first"))
		buf_put_slice(&m->first, val);
	else if (slice_eq_str(key, "z last"))
		buf_put_slice(&m->last, val);
	else
		m->stable += slice_eq_str(val, "stays");
	return 0;
}

static void
stable_fill(void)
{
	char key[8];

	for (unsigned i = 0; i < STABLE; i++) {
		key_of(key, 2 * i);
		test_put("p", key, "stays");
	}
	writer_ends = false;
}

static void
moments(void)
{
	struct co_group g = { 0 };
	struct moment m;

	stable_fill();
	CHECK_INT(co_group_spawn(&g, pair_writer, NULL), 0);
	for (unsigned i = 0; i < 200; i++) {
		m = (struct moment){ .stable = 0 };
		CHECK_INT(
		    store_scan(st, SLICE_LIT("p"), SLICE_EMPTY, SLICE_EMPTY,
			i % 2 ? STORE_SCAN_REVERSE : 0, moment_row, &m),
		    0);
		CHECK_INT(m.stable, STABLE);
		CHECK(slice_eq(buf_slice(&m.first), buf_slice(&m.last)));
		buf_clear(&m.first);
		buf_clear(&m.last);
		co_yield ();
	}
	writer_ends = true;
	co_group_join(&g);
}

struct page {
	char next[16];
	unsigned n, stable, expected;
	bool ordered;
};

static int
page_row(void *arg, struct slice key, struct slice val)
{
	struct page *p = arg;
	char stable[8];

	CHECK(slice_cmp(key, slice_str(p->next)) >= 0);
	snprintf(p->next, sizeof(p->next), "%.*s!", (int)key.n, key.p);
	key_of(stable, 2 * p->expected);
	if (slice_eq_str(val, "stays") && slice_eq_str(key, stable))
		p->expected++;
	return ++p->n % 7 == 0;
}

static void
pages(void)
{
	struct co_group g = { 0 };
	struct page p;
	int rc;

	stable_fill();
	CHECK_INT(co_group_spawn(&g, pair_writer, NULL), 0);
	for (unsigned i = 0; i < 10; i++) {
		p = (struct page){ .next = "" };
		do {
			rc = store_scan(st, SLICE_LIT("p"), slice_str(p.next),
			    SLICE_EMPTY, 0, page_row, &p);
			CHECK(rc == 0 || rc == 1);
			co_yield ();
		} while (rc == 1);
		CHECK_INT(p.expected, STABLE);
	}
	writer_ends = true;
	co_group_join(&g);
}

/* --- drops --- */

static void
many_rows(const char *part)
{
	struct store_batch *b;
	char key[8];

	for (unsigned i = 0; i < 3; i++) {
		b = store_batch_new(st, slice_str(part));
		for (unsigned k = 0; k < STORE_BATCH_OPS; k++) {
			key_of(key, i * STORE_BATCH_OPS + k);
			store_put(b, slice_str(key), SLICE_LIT("row"));
		}
		CHECK_INT(test_commit(b), 0);
	}
}

static void
drop_main(void *arg)
{
	(void)arg;
	CHECK_INT(store_partition_drop(st, SLICE_LIT("p")), 0);
	writer_ends = true;
}

static int
count_row(void *arg, struct slice key, struct slice val)
{
	(void)key, (void)val;
	++*(unsigned *)arg;
	return 0;
}

static void
drops(void)
{
	struct co_group g = { 0 };
	unsigned n = 0, last = 3 * STORE_BATCH_OPS;

	many_rows("p");
	many_rows("pp");
	writer_ends = false;
	CHECK_INT(co_group_spawn(&g, drop_main, NULL), 0);
	/* Rows go, and none comes again. */
	while (!writer_ends) {
		n = 0;
		CHECK_INT(store_scan(st, SLICE_LIT("p"), SLICE_EMPTY,
			      SLICE_EMPTY, STORE_SCAN_KEYS, count_row, &n),
		    0);
		CHECK(n <= last);
		last = n;
		test_put("pp", "beside", "1");
		co_yield ();
	}
	co_group_join(&g);
	test_put("p", "after", "1");
	n = 0;
	CHECK_INT(store_scan(st, SLICE_LIT("p"), SLICE_EMPTY, SLICE_EMPTY, 0,
		      count_row, &n),
	    0);
	CHECK_INT(n, 1);
	n = 0;
	CHECK_INT(store_scan(st, SLICE_LIT("pp"), SLICE_EMPTY, SLICE_EMPTY, 0,
		      count_row, &n),
	    0);
	CHECK_INT(n, 3 * STORE_BATCH_OPS + 1);
}

/* --- blobs --- */

#define KEPT_BLOBS 30
static struct store_blob_id kept_blobs[KEPT_BLOBS];

static void
blobs_come_and_go(void *arg)
{
	struct store_blob_id id;

	(void)arg;
	for (unsigned i = 0; !writer_ends; i++) {
		CHECK_INT(test_blob_store(&id, 50, i), 0);
		while (is_doubt(store_blob_del(st, &id)))
			CHECK(test_engine->lies);
		co_yield ();
	}
}

static int
blob_seen(
    void *arg, const struct store_blob_id *id, uint64_t size, int64_t written_s)
{
	unsigned *seen = arg;

	CHECK(written_s > 1600000000);
	for (unsigned i = 0; i < KEPT_BLOBS; i++)
		if (memcmp(id, &kept_blobs[i], sizeof(*id)) == 0) {
			CHECK_INT(size, 100 + i);
			seen[i]++;
		}
	return 0;
}

static int
blob_stop(
    void *arg, const struct store_blob_id *id, uint64_t size, int64_t written_s)
{
	(void)arg, (void)id, (void)size, (void)written_s;
	return 7;
}

static void
blob_ids(void)
{
	struct co_group g = { 0 };
	struct store_blob_writer *w = NULL, *other = NULL;
	struct store_blob_id id;
	struct store_batch *b;
	unsigned seen[KEPT_BLOBS];
	char c = 'x';
	size_t got = 9;

	for (unsigned i = 0; i < KEPT_BLOBS; i++)
		CHECK_INT(test_blob_store(&kept_blobs[i], 100 + i, i), 0);
	/* Nothing at the end, and nothing where nothing is asked. */
	CHECK_INT(store_blob_read(st, &kept_blobs[0], 100, &c, 1, &got), 0);
	CHECK_INT(got, 0);
	CHECK_INT(store_blob_read(st, &kept_blobs[0], 0, &c, 0, &got), 0);
	CHECK_INT(got, 0);
	CHECK_INT(c, 'x');
	/* A batch that fails deletes nothing. */
	b = store_batch_new(st, SLICE_LIT("p"));
	store_guard(b, SLICE_LIT("none"), SLICE_LIT("x"));
	store_batch_blob_del(b, &kept_blobs[0]);
	CHECK(is_doubt(store_commit_one(st, b)));
	store_batch_free(&b);
	CHECK_INT(test_blob_compare(&kept_blobs[0], 100, 0), 0);
	/* An id is that of one blob; free again when that is gone. */
	w = test_blob(&id, 10, 1);
	CHECK_INT(store_blob_begin(st, &id, &other), -EEXIST);
	store_blob_writer_free(&w);
	CHECK_INT(store_blob_begin(st, &id, &other), 0);
	store_blob_writer_free(&other);
	while (is_doubt(store_blob_del(st, &id))) /* fine if absent */
		CHECK(test_engine->lies);
	CHECK_INT(store_blob_list(st, blob_stop, NULL), 7);
	writer_ends = false;
	CHECK_INT(co_group_spawn(&g, blobs_come_and_go, NULL), 0);
	for (unsigned i = 0; i < 20; i++) {
		memset(seen, 0, sizeof(seen));
		CHECK_INT(store_blob_list(st, blob_seen, seen), 0);
		for (unsigned k = 0; k < KEPT_BLOBS; k++)
			CHECK_INT(seen[k], 1);
		co_yield ();
	}
	writer_ends = true;
	co_group_join(&g);
}

/* --- leases --- */

static unsigned holders, held;
static uint64_t fence_last;

static void
holder_main(void *arg)
{
	uint64_t fence = 0;
	int rc;

	(void)arg;
	for (int i = 0; i < 5; i++) {
		while ((rc = store_lease_acquire(
			    st, SLICE_LIT("one"), 60000, &fence)) == -EBUSY)
			(void)co_sleep(1);
		CHECK_INT(rc, 0);
		CHECK_INT(holders++, 0);
		CHECK(fence > fence_last);
		fence_last = fence;
		held++;
		for (int k = 0; k < 3; k++)
			co_yield ();
		CHECK_INT(
		    store_lease_renew(st, SLICE_LIT("one"), fence, 60000), 0);
		holders--;
		CHECK_INT(store_lease_release(st, SLICE_LIT("one"), fence), 0);
	}
}

static void
one_holder(void)
{
	struct co_group g = { 0 };

	holders = held = 0;
	fence_last = 0;
	for (int i = 0; i < 6; i++)
		CHECK_INT(co_group_spawn(&g, holder_main, NULL), 0);
	co_group_join(&g);
	CHECK_INT(held, 30);
}

static int
fenced_put(uint64_t fence, const char *val)
{
	struct store_batch *b = store_batch_new(st, SLICE_LIT("p"));
	char row[24];
	int rc;

	snprintf(row, sizeof(row), "%llu", (unsigned long long)fence);
	store_guard(b, SLICE_LIT("fence"), slice_str(row));
	store_put(b, SLICE_LIT("k"), slice_str(val));
	rc = store_commit_one(st, b);
	store_batch_free(&b);
	return rc;
}

static void
fence_put(uint64_t fence)
{
	char row[24];

	snprintf(row, sizeof(row), "%llu", (unsigned long long)fence);
	test_put("p", "fence", row);
}

static void
sleepers(void)
{
	uint64_t a = 0, b = 0;
	int rc;

	CHECK_INT(store_lease_acquire(st, SLICE_LIT("l"), 1, &a), 0);
	fence_put(a);
	while (
	    (rc = store_lease_acquire(st, SLICE_LIT("l"), 60000, &b)) == -EBUSY)
		(void)co_sleep(1);
	CHECK_INT(rc, 0);
	fence_put(b);
	do
		rc = fenced_put(b, "new holder");
	while (test_engine->lies && is_doubt(rc));
	CHECK_INT(rc, 0);
	for (int i = 0; i < 5; i++)
		CHECK(is_doubt(fenced_put(a, "old holder")));
	CHECK(test_row_is("p", "k", "new holder"));
	CHECK_INT(store_lease_renew(st, SLICE_LIT("l"), a, 1000), -EBUSY);
	CHECK_INT(store_lease_release(st, SLICE_LIT("l"), a), -EBUSY);
	CHECK_INT(store_lease_renew(st, SLICE_LIT("l"), b, 1000), 0);
}

/* --- watches --- */

struct watcher {
	struct store_watch w;
	struct store_watch *ends; /* another that it ends when it is told */
	unsigned told;
};

static void
watcher_told(void *arg)
{
	struct watcher *w = arg;

	w->told++;
	if (w->ends != NULL)
		store_unwatch(st, w->ends);
}

static void
turns(unsigned n)
{
	while (n-- > 0)
		(void)co_sleep(1);
}

static void
watchers(void)
{
	struct watcher w[4] = { 0 };

	for (size_t i = 0; i < 4; i++) {
		w[i].w.fn = watcher_told;
		w[i].w.arg = &w[i];
		CHECK_INT(store_watch(st, SLICE_LIT("box"), &w[i].w), 0);
	}
	store_notify(st, SLICE_LIT("box"));
	store_notify(st, SLICE_LIT("another"));
	turns(20);
	for (size_t i = 0; i < 4; i++)
		CHECK_INT(w[i].told, 1);
	/* Each ends itself and, first, its neighbour. */
	for (size_t i = 0; i < 4; i++)
		w[i].ends = &w[i ^ 1].w;
	store_notify(st, SLICE_LIT("box"));
	turns(20);
	CHECK_INT(w[0].told + w[1].told, 3);
	CHECK_INT(w[2].told + w[3].told, 3);
	for (size_t i = 0; i < 4; i++) {
		w[i].ends = &w[i].w;
		if (w[i].told == 1)
			store_watch(st, SLICE_LIT("box"), &w[i].w);
	}
	store_notify(st, SLICE_LIT("box"));
	turns(20);
	store_notify(st, SLICE_LIT("box"));
	turns(20);
	for (size_t i = 0; i < 4; i++) {
		CHECK(w[i].told == 2 || w[i].told == 3);
		store_unwatch(st, &w[i].w);
	}
}

/* --- several processes --- */

#define PROCESSES 3
#define ADDED 40
static int say[2], hear[2];

/* Under a lease, by a fence, and without one: both counters are exact. */
static void
add_one(const char *key, bool leased)
{
	struct buf old = BUF_INIT;
	struct store_batch *b;
	uint64_t fence = 0, n = 0;
	char new[24];
	int rc;

	while (leased &&
	    store_lease_acquire(st, SLICE_LIT("add"), 60000, &fence) == -EBUSY)
		(void)co_sleep(1);
	do {
		buf_reset(&old);
		rc = store_get(st, SLICE_LIT("p"), slice_str(key), &old);
		CHECK_INT(rc, 0);
		slice_u64(buf_slice(&old), UINT64_MAX, &n);
		snprintf(new, sizeof(new), "%llu", (unsigned long long)n + 1);
		b = store_batch_new(st, SLICE_LIT("p"));
		if (!leased)
			store_guard(b, slice_str(key), buf_slice(&old));
		store_put(b, slice_str(key), slice_str(new));
		rc = store_commit_one(st, b);
		store_batch_free(&b);
	} while (rc == STORE_ECONFLICT && !leased);
	CHECK_INT(rc, 0);
	if (leased)
		CHECK_INT(store_lease_release(st, SLICE_LIT("add"), fence), 0);
	buf_clear(&old);
}

static void
adder_process(void)
{
	struct watcher w = { .told = 0 };
	char c;

	w.w.fn = watcher_told;
	w.w.arg = &w;
	store_watch(st, SLICE_LIT("go"), &w.w);
	CHECK_INT(write(say[1], "", 1), 1);
	while (w.told == 0 && store_test_failure[0] == '\0')
		(void)co_sleep(1);
	store_unwatch(st, &w.w);
	for (int i = 0; i < ADDED; i++) {
		add_one("guarded", false);
		add_one("leased", true);
	}
	CHECK_INT(write(say[1], "", 1), 1);
	CHECK_INT(co_wait_fd(hear[0], EV_READ, 250000), 0);
	CHECK_INT(read(hear[0], &c, 1), 1);
}

static void
counters_begin(void)
{
	test_put("p", "guarded", "0");
	test_put("p", "leased", "0");
}

static void
adders_hear(void)
{
	char c;

	for (int i = 0; i < PROCESSES; i++)
		CHECK_INT(read(say[0], &c, 1), 1);
}

static void
counters_end(void)
{
	char sum[8];

	/* A note may be lost. */
	do
		store_notify(st, SLICE_LIT("go"));
	while (co_wait_fd(say[0], EV_READ, 20) == -ETIMEDOUT);
	adders_hear();
	snprintf(sum, sizeof(sum), "%d", PROCESSES * ADDED);
	CHECK(test_row_is("p", "guarded", sum));
	CHECK(test_row_is("p", "leased", sum));
	for (int i = 0; i < PROCESSES; i++)
		CHECK_INT(write(hear[1], "", 1), 1);
}

static void
on_engine(const struct test_engine *engine, void (*body)(void))
{
	test_engine = engine;
	co_run(test_body_run, &body);
}

static void
processes_on(const struct test_engine *engine)
{
	pid_t pid[PROCESSES];
	int status = -1;

	store_test_failure[0] = '\0';
	test_dir_new();
	assert_int_equal(pipe(say), 0);
	assert_int_equal(pipe(hear), 0);
	on_engine(engine, counters_begin);
	for (int i = 0; i < PROCESSES; i++)
		if ((pid[i] = fork()) == 0) {
			alarm(500);
			on_engine(engine, adder_process);
			if (store_test_failure[0] != '\0')
				print_error("child: %s\n", store_test_failure);
			_exit(store_test_failure[0] != '\0');
		}
	adders_hear(); /* they are there */
	on_engine(engine, counters_end);
	for (int i = 0; i < PROCESSES; i++) {
		waitpid(pid[i], &status, 0);
		CHECK_INT(status, 0);
	}
	test_dir_remove();
	if (store_test_failure[0] != '\0')
		fail_msg("%s: %s", engine->name, store_test_failure);
}

static void
processes(void **state)
{
	(void)state;
	for (size_t i = 0; i < TEST_ENGINES; i++)
		if (test_engines[i].shared)
			processes_on(&test_engines[i]);
}

#define ON_ALL(body)                                                           \
	static void on_all_##body(void **state)                                \
	{                                                                      \
		(void)state;                                                   \
		test_run_on_all(body);                                         \
	}
ON_ALL(keys)
ON_ALL(batches)
ON_ALL(caps)
ON_ALL(unknowns)
ON_ALL(moments)
ON_ALL(pages)
ON_ALL(drops)
ON_ALL(blob_ids)
ON_ALL(one_holder)
ON_ALL(sleepers)
ON_ALL(watchers)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(on_all_keys),
		cmocka_unit_test(on_all_batches),
		cmocka_unit_test(on_all_caps),
		cmocka_unit_test(on_all_unknowns),
		cmocka_unit_test(on_all_moments),
		cmocka_unit_test(on_all_pages),
		cmocka_unit_test(on_all_drops),
		cmocka_unit_test(on_all_blob_ids),
		cmocka_unit_test(on_all_one_holder),
		cmocka_unit_test(on_all_sleepers),
		cmocka_unit_test(on_all_watchers),
		cmocka_unit_test(processes),
	};

	test_dir_in_memory = true;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
