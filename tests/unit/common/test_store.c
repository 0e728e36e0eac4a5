/* SPDX-License-Identifier: ISC */
/* The conformance suite of the engine: every test runs on every kind. */
#include "tests/unit/common/store_test.h"

#include "common/base/crc32c.h"

/* --- rows --- */

static void
rows(void)
{
	struct store_batch *b;

	CHECK(test_row_is("p", "a", NULL));
	test_put("p", "a", "1");
	test_put("p", "b", "");
	test_put("q", "a", "other");
	CHECK(test_row_is("p", "a", "1"));
	CHECK(test_row_is("p", "b", ""));
	CHECK(test_row_is("q", "a", "other"));
	CHECK(test_row_is("", "a", NULL));
	b = store_batch_new(st, SLICE_LIT("p"));
	store_put(b, SLICE_LIT("a"), SLICE_LIT("2"));
	store_del(b, SLICE_LIT("b"));
	store_del(b, SLICE_LIT("never there"));
	CHECK_INT(test_commit(b), 0);
	CHECK(test_row_is("p", "a", "2"));
	CHECK(test_row_is("p", "b", NULL));
}

/* What a scan gives, as "key=value;". */
static int
scan_row(void *arg, struct slice key, struct slice val)
{
	buf_printf(arg, "%.*s=%.*s;", (int)key.n, key.p, (int)val.n, val.p);
	return 0;
}

static bool
scan_is(const char *part, const char *from, const char *to, unsigned flags,
    const char *want)
{
	struct buf b = BUF_INIT;
	bool is;

	CHECK_INT(store_scan(st, slice_str(part), slice_str(from),
		      slice_str(to), flags, scan_row, &b),
	    0);
	is = strcmp(buf_str(&b), want) == 0;
	if (!is)
		print_message("scan gives %s\n", buf_str(&b));
	buf_clear(&b);
	return is;
}

static int
stop_at_b(void *arg, struct slice key, struct slice val)
{
	(void)arg, (void)val;
	return key.p[0] == 'b' ? 42 : 0;
}

static void
scans(void)
{
	for (const char *k = "dbca"; *k != '\0'; k++)
		test_put("p", (char[]){ *k, '\0' }, "v");
	test_put("o", "z", "before");
	test_put("p\001", "a", "near");
	test_put("pp", "a", "behind");
	CHECK(scan_is("p", "", "", 0, "a=v;b=v;c=v;d=v;"));
	CHECK(scan_is("p", "b", "d", 0, "b=v;c=v;"));
	CHECK(scan_is("p", "b", "", STORE_SCAN_REVERSE, "d=v;c=v;b=v;"));
	CHECK(scan_is("p", "", "c", STORE_SCAN_REVERSE, "b=v;a=v;"));
	CHECK(scan_is("p", "aa", "bb", STORE_SCAN_KEYS, "b=;"));
	CHECK(scan_is("p", "c", "b", 0, ""));
	CHECK(scan_is("p", "x", "", 0, ""));
	CHECK(scan_is("p", "x", "", STORE_SCAN_REVERSE, ""));
	CHECK(scan_is("nothing", "", "", 0, ""));
	CHECK(scan_is("pp", "", "", STORE_SCAN_REVERSE, "a=behind;"));
	CHECK_INT(store_scan(st, SLICE_LIT("p"), SLICE_EMPTY, SLICE_EMPTY, 0,
		      stop_at_b, NULL),
	    42);
}

static void
ranges(void)
{
	struct store_batch *b;

	for (const char *k = "abcde"; *k != '\0'; k++)
		test_put("p", (char[]){ *k, '\0' }, "v");
	test_put("pp", "a", "w");
	b = store_batch_new(st, SLICE_LIT("p"));
	store_del_range(b, SLICE_LIT("b"), SLICE_LIT("d"));
	CHECK_INT(test_commit(b), 0);
	CHECK(scan_is("p", "", "", 0, "a=v;d=v;e=v;"));
	b = store_batch_new(st, SLICE_LIT("p"));
	store_del_range(b, SLICE_LIT("d"), SLICE_EMPTY);
	store_put(b, SLICE_LIT("x"), SLICE_LIT("after the range"));
	CHECK_INT(test_commit(b), 0);
	CHECK(scan_is("p", "", "", 0, "a=v;x=after the range;"));
	CHECK(scan_is("pp", "", "", 0, "a=w;"));
}

static int
name_put(void *arg, struct slice name)
{
	buf_printf(arg, "%.*s;", (int)name.n, name.p);
	return 0;
}

static bool
partitions_are(const char *prefix, const char *want)
{
	struct buf b = BUF_INIT;
	bool is;

	CHECK_INT(store_partitions(st, slice_str(prefix), name_put, &b), 0);
	is = strcmp(buf_str(&b), want) == 0;
	if (!is)
		print_message("partitions are %s\n", buf_str(&b));
	buf_clear(&b);
	return is;
}

static void
partitions(void)
{
	test_put("m1", "a", "");
	test_put("m1", "b", "");
	test_put("m10", "a", "");
	test_put("a", "a", "");
	test_put("n", "a", "");
	CHECK(partitions_are("m", "m1;m10;"));
	CHECK(partitions_are("", "a;m1;m10;n;"));
	CHECK(partitions_are("m1", "m1;m10;"));
	CHECK(partitions_are("z", ""));
	for (int i = 0; i < 1000; i++) {
		char key[16];

		snprintf(key, sizeof(key), "%d", i);
		test_put("m1", key, "row");
	}
	CHECK_INT(store_partition_drop(st, SLICE_LIT("m1")), 0);
	CHECK(partitions_are("", "a;m10;n;"));
	CHECK_INT(store_partition_drop(st, SLICE_LIT("m1")), 0);
	test_put("m1", "again", "1");
	CHECK(scan_is("m1", "", "", 0, "again=1;"));
}

/* --- guards --- */

static int
guarded(const char *key, const char *old, const char *new)
{
	struct store_batch *b = store_batch_new(st, SLICE_LIT("p"));
	int rc;

	if (old == NULL)
		store_guard_absent(b, slice_str(key));
	else
		store_guard(b, slice_str(key), slice_str(old));
	store_put(b, SLICE_LIT("k"), slice_str(new));
	rc = store_commit_one(st, b);
	store_batch_free(&b);
	return rc;
}

static void
guards(void)
{
	int rc;

	test_put("p", "g", "now");
	test_put("p", "k", "old");
	CHECK(is_doubt(guarded("g", "then", "x")));
	CHECK(is_doubt(guarded("g", NULL, "x")));
	CHECK(is_doubt(guarded("g", "", "x")));
	CHECK(is_doubt(guarded("g", "now and then", "x")));
	CHECK(is_doubt(guarded("none", "", "x")));
	CHECK(test_row_is("p", "k", "old"));
	do
		rc = guarded("g", "now", "1");
	while (test_engine->lies && is_doubt(rc));
	CHECK_INT(rc, 0);
	CHECK(test_row_is("p", "k", "1"));
	do
		rc = guarded("none", NULL, "2");
	while (test_engine->lies && is_doubt(rc));
	CHECK_INT(rc, 0);
	CHECK(test_row_is("p", "k", "2"));
}

/* Each adds one to a counter; a lie or a lost race means to read again. An
 * UNKNOWN that was done counts too: so the sum is at least, and where nothing
 * lies exactly, the number of rounds. */
#define ADDERS 8
#define ROUNDS 25

static void
adder(void *arg)
{
	struct buf old = BUF_INIT;
	struct store_batch *b;
	char new[24];
	uint64_t n;
	int rc;

	(void)arg;
	for (int i = 0; i < ROUNDS; i++)
		do {
			buf_reset(&old);
			rc =
			    store_get(st, SLICE_LIT("p"), SLICE_LIT("n"), &old);
			CHECK_INT(rc, 0);
			slice_u64(buf_slice(&old), UINT64_MAX, &n);
			snprintf(new, sizeof(new), "%llu",
			    (unsigned long long)n + 1);
			b = store_batch_new(st, SLICE_LIT("p"));
			store_guard(b, SLICE_LIT("n"), buf_slice(&old));
			store_put(b, SLICE_LIT("n"), slice_str(new));
			rc = store_commit_one(st, b);
			store_batch_free(&b);
		} while (is_doubt(rc));
	buf_clear(&old);
}

static void
counters(void)
{
	struct co_group g = { 0 };
	struct buf sum = BUF_INIT;
	uint64_t n = 0;

	test_put("p", "n", "0");
	for (int i = 0; i < ADDERS; i++)
		CHECK_INT(co_group_spawn(&g, adder, NULL), 0);
	co_group_join(&g);
	CHECK_INT(store_get(st, SLICE_LIT("p"), SLICE_LIT("n"), &sum), 0);
	slice_u64(buf_slice(&sum), UINT64_MAX, &n);
	if (test_engine->lies)
		CHECK(n >= ADDERS * ROUNDS);
	else
		CHECK_INT(n, ADDERS * ROUNDS);
	buf_clear(&sum);
}

/* A chain of batches, each guarding on what the one before puts, handed over
 * without waiting in between. */
#define CHAIN 50

struct link {
	int i, rc;
};

static void
link_commit(void *arg)
{
	struct link *l = arg;
	struct store_batch *b = store_batch_new(st, SLICE_LIT("p"));
	char old[16], new[16];

	snprintf(old, sizeof(old), "%d", l->i);
	snprintf(new, sizeof(new), "%d", l->i + 1);
	store_guard(b, SLICE_LIT("c"), slice_str(old));
	store_put(b, SLICE_LIT("c"), slice_str(new));
	l->rc = store_commit_one(st, b);
	store_batch_free(&b);
}

static void
chains(void)
{
	struct co_group g = { 0 };
	struct link links[CHAIN];
	struct buf end = BUF_INIT;
	uint64_t n = 0, good = 0, unknown = 0;

	test_put("p", "c", "0");
	for (int i = 0; i < CHAIN; i++) {
		links[i] = (struct link){ i, 1 };
		CHECK_INT(co_group_spawn(&g, link_commit, &links[i]), 0);
	}
	co_group_join(&g);
	CHECK_INT(store_get(st, SLICE_LIT("p"), SLICE_LIT("c"), &end), 0);
	slice_u64(buf_slice(&end), UINT64_MAX, &n);
	/* A chain holds up to its first break, and not beyond. */
	for (size_t i = 0; i < CHAIN; i++) {
		good += links[i].rc == 0;
		unknown += links[i].rc == STORE_EUNKNOWN;
		if (links[i].rc == 0)
			CHECK(i < n);
	}
	CHECK(n <= good + unknown);
	if (!test_engine->lies)
		CHECK_INT(n, CHAIN);
	buf_clear(&end);
}

/* Batches of one call: in order, each alone. */
static void
orders(void)
{
	struct store_batch *b[3];
	int rc[3];

	if (test_engine->lies)
		return;
	for (size_t i = 0; i < 3; i++)
		b[i] = store_batch_new(st, SLICE_LIT("p"));
	store_guard_absent(b[0], SLICE_LIT("k"));
	store_put(b[0], SLICE_LIT("k"), SLICE_LIT("first"));
	store_guard_absent(b[1], SLICE_LIT("k")); /* no more */
	store_put(b[1], SLICE_LIT("k"), SLICE_LIT("second"));
	store_put(b[1], SLICE_LIT("l"), SLICE_LIT("second"));
	store_guard(b[2], SLICE_LIT("k"), SLICE_LIT("first"));
	store_put(b[2], SLICE_LIT("k"), SLICE_LIT("third"));
	CHECK_INT(store_commit(st, b, 3, rc), STORE_ECONFLICT);
	CHECK_INT(rc[0], 0);
	CHECK_INT(rc[1], STORE_ECONFLICT);
	CHECK_INT(rc[2], 0);
	CHECK(test_row_is("p", "k", "third"));
	CHECK(test_row_is("p", "l", NULL));
	/* Guards see what was before the batch's own puts. */
	CHECK_INT(store_commit_one(st, b[2]), STORE_ECONFLICT);
	for (size_t i = 0; i < 3; i++)
		store_batch_free(&b[i]);
}

static void
limits(void)
{
	static char big[STORE_VALUE_MAX + 1];
	struct store_batch *b = store_batch_new(st, SLICE_LIT("p"));
	struct buf got = BUF_INIT;

	memset(big, 'x', sizeof(big));
	store_put(b, slice(big, STORE_KEY_MAX), SLICE_LIT("key too long"));
	store_put(b, SLICE_LIT("k"), SLICE_LIT("fine"));
	CHECK_INT(store_commit_one(st, b), -E2BIG);
	store_batch_free(&b);
	b = store_batch_new(st, SLICE_LIT("p"));
	store_put(b, SLICE_LIT("k"), slice(big, sizeof(big)));
	CHECK_INT(store_commit_one(st, b), -E2BIG);
	store_batch_free(&b);
	b = store_batch_new(st, SLICE_LIT("p"));
	for (int i = 0; i <= STORE_BATCH_OPS; i++)
		store_put(b, SLICE_LIT("k"), SLICE_LIT("v"));
	CHECK_INT(store_commit_one(st, b), -E2BIG);
	store_batch_free(&b);
	b = store_batch_new(st, SLICE_LIT("p"));
	for (int i = 0; i < 20; i++)
		store_put(b, SLICE_LIT("k"), slice(big, STORE_VALUE_MAX));
	CHECK_INT(store_commit_one(st, b), -E2BIG);
	store_batch_free(&b);
	CHECK(test_row_is("p", "k", NULL));
	b = store_batch_new(st, SLICE_LIT("p"));
	store_put(
	    b, slice(big, STORE_KEY_MAX - 1), slice(big, STORE_VALUE_MAX));
	CHECK_INT(test_commit(b), 0);
	CHECK_INT(
	    store_get(st, SLICE_LIT("p"), slice(big, STORE_KEY_MAX - 1), &got),
	    0);
	CHECK_INT(got.n, STORE_VALUE_MAX);
	CHECK_INT(
	    store_get(st, SLICE_LIT("p"), slice(big, STORE_KEY_MAX), &got),
	    -E2BIG);
	buf_clear(&got);
}

/* --- blobs --- */

static const size_t blob_sizes[] = { 0, 1, 1000, 65535, 65536, 65537, 131072,
	262143, 262144, 300000, 1000000 };
#define BLOB_SIZES (sizeof(blob_sizes) / sizeof(blob_sizes[0]))

static void
blob_ranges(const struct store_blob_id *id, size_t n, unsigned seed)
{
	const size_t at[] = { 0, 1, 65530, 65536, n / 2, n - 1, n, n + 5 };
	struct buf want = BUF_INIT;
	char got[200];
	size_t r, expect;

	test_octets(&want, n, seed);
	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		if (at[i] > n + 5)
			continue;
		CHECK_INT(
		    store_blob_read(st, id, at[i], got, sizeof(got), &r), 0);
		expect =
		    slice_head(slice_from(buf_slice(&want), at[i]), sizeof(got))
			.n;
		CHECK_INT(r, expect);
		CHECK(r != expect || r == 0 ||
		    memcmp(got, want.p + at[i], r) == 0);
	}
	buf_clear(&want);
}

static int
blob_count(
    void *arg, const struct store_blob_id *id, uint64_t size, int64_t written_s)
{
	size_t *n = arg;

	(void)id, (void)size;
	CHECK(written_s > 1600000000);
	++*n;
	return 0;
}

static void
blobs(void)
{
	struct store_blob_id id[BLOB_SIZES];
	struct store_blob_writer *w;
	uint64_t size;
	size_t n = 0;

	for (size_t i = 0; i < BLOB_SIZES; i++)
		CHECK_INT(
		    test_blob_store(&id[i], blob_sizes[i], (unsigned)i), 0);
	for (size_t i = 0; i < BLOB_SIZES; i++) {
		CHECK_INT(store_blob_size(st, &id[i], &size), 0);
		CHECK_INT(size, blob_sizes[i]);
		CHECK_INT(test_blob_compare(&id[i], size, (unsigned)i), 0);
		blob_ranges(&id[i], size, (unsigned)i);
	}
	CHECK_INT(store_blob_begin(st, &id[2], &w), -EEXIST);
	CHECK_INT(store_blob_list(st, blob_count, &n), 0);
	CHECK_INT(n, BLOB_SIZES);
	for (size_t i = 0; i < BLOB_SIZES; i += 2)
		while (is_doubt(store_blob_del(st, &id[i])))
			CHECK(test_engine->lies);
	for (size_t i = 0; i < BLOB_SIZES; i++)
		CHECK_INT(test_blob_compare(&id[i], blob_sizes[i], (unsigned)i),
		    i % 2 == 0 ? -ENOENT : 0);
	CHECK_INT(store_blob_size(st, &id[0], &size), -ENOENT);
	CHECK_INT(store_check(st, NULL, NULL), 0);
}

/* What becomes of a blob that is sealed and not committed, or not sealed. */
static void
blobs_unfinished(void)
{
	const size_t sizes[] = { 5000, 700000 };
	struct store_blob_writer *w, *open;
	struct store_blob_id id, open_id;
	size_t n = 0;

	for (size_t i = 0; i < 2; i++) {
		store_blob_id_new(&open_id);
		CHECK_INT(store_blob_begin(st, &open_id, &open), 0);
		CHECK_INT(store_blob_write(open, SLICE_LIT("half")), 0);
		CHECK_INT(test_blob_compare(&open_id, 4, 0), -ENOENT);
		w = test_blob(&id, sizes[i], 3);
		CHECK_INT(test_blob_compare(&id, sizes[i], 3), 0);
		blob_ranges(&id, sizes[i], 3);
		store_blob_writer_free(&w);
		store_blob_writer_free(&open);
		CHECK_INT(test_blob_compare(&id, sizes[i], 3), -ENOENT);
	}
	CHECK_INT(store_blob_list(st, blob_count, &n), 0);
	CHECK_INT(n, 0);
}

/* Many batches need one blob; one of them fails; all in one group. */
static void
blobs_needed(void)
{
	struct store_blob_writer *w;
	struct store_blob_id id, gone;
	struct store_batch *b[3];
	int rc[3];

	CHECK_INT(test_blob_store(&gone, 100, 9), 0);
	w = test_blob(&id, 10000, 5);
	for (size_t i = 0; i < 3; i++) {
		b[i] = store_batch_new(st, SLICE_LIT("p"));
		store_put(b[i], SLICE_LIT("blob"), SLICE_LIT("id"));
		store_batch_need(b[i], w);
	}
	store_guard(b[0], SLICE_LIT("none"), SLICE_LIT("x"));
	store_batch_blob_del(b[2], &gone);
	store_commit(st, b, 3, rc);
	CHECK(is_doubt(rc[0]));
	if (!test_engine->lies)
		CHECK(rc[1] == 0 && rc[2] == 0);
	while (is_doubt(store_commit_one(st, b[2])))
		CHECK(test_engine->lies);
	CHECK_INT(test_blob_compare(&id, 10000, 5), 0);
	CHECK_INT(test_blob_compare(&gone, 100, 9), -ENOENT);
	store_blob_writer_free(&w);
	CHECK_INT(test_blob_compare(&id, 10000, 5), 0);
	CHECK(test_row_is("p", "blob", "id"));
	for (size_t i = 0; i < 3; i++)
		store_batch_free(&b[i]);
}

/* Writers whose octets come in turns. */
static void
blob_writer_main(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;
	size_t n = seed * 30000;
	struct store_blob_writer *w = NULL;
	struct store_blob_id id;
	struct buf b = BUF_INIT;
	int rc;

	test_octets(&b, n, seed);
	store_blob_id_new(&id);
	CHECK_INT(store_blob_begin(st, &id, &w), 0);
	for (size_t at = 0; at < n; at += 7001) {
		CHECK_INT(store_blob_write(w,
			      slice_head(slice_from(buf_slice(&b), at), 7001)),
		    0);
		co_yield ();
	}
	CHECK_INT(store_blob_seal(w), 0);
	do
		rc = store_blob_sync(w);
	while (is_doubt(rc));
	store_blob_writer_free(&w);
	CHECK_INT(rc, 0);
	CHECK_INT(test_blob_compare(&id, n, seed), 0);
	buf_clear(&b);
}

static void
blobs_at_once(void)
{
	struct co_group g = { 0 };

	for (uintptr_t i = 1; i <= 20; i++)
		CHECK_INT(co_group_spawn(&g, blob_writer_main, (void *)i), 0);
	co_group_join(&g);
}

/* --- leases, watches --- */

static void
leases(void)
{
	uint64_t a = 0, b = 0, c = 0;

	CHECK_INT(store_lease_acquire(st, SLICE_LIT("l"), 60000, &a), 0);
	CHECK(a > 0);
	CHECK_INT(store_lease_acquire(st, SLICE_LIT("l"), 60000, &b), -EBUSY);
	CHECK_INT(store_lease_acquire(st, SLICE_LIT("other"), 60000, &b), 0);
	CHECK_INT(store_lease_renew(st, SLICE_LIT("l"), a, 60000), 0);
	CHECK_INT(store_lease_renew(st, SLICE_LIT("l"), a + 1, 60000), -EBUSY);
	CHECK_INT(store_lease_renew(st, SLICE_LIT("never"), 1, 60000), -EBUSY);
	CHECK_INT(store_lease_release(st, SLICE_LIT("l"), a), 0);
	CHECK_INT(store_lease_acquire(st, SLICE_LIT("l"), 1, &b), 0);
	CHECK(b > a);
	do /* it ends by itself */
		co_sleep(1);
	while (store_lease_acquire(st, SLICE_LIT("l"), 60000, &c) == -EBUSY);
	CHECK(c > b);
	CHECK_INT(store_lease_release(st, SLICE_LIT("l"), b), -EBUSY);
}

struct noted {
	struct store_watch w;
	int count;
	struct co_event event;
};

static void
on_note(void *arg)
{
	struct noted *n = arg;

	n->count++;
	co_event_set(&n->event);
}

static void
watches(void)
{
	struct noted a = { .count = 0 }, b = { .count = 0 };

	a.w.fn = b.w.fn = on_note;
	a.w.arg = &a;
	b.w.arg = &b;
	CHECK_INT(store_watch(st, SLICE_LIT("a"), &a.w), 0);
	CHECK_INT(store_watch(st, SLICE_LIT("b"), &b.w), 0);
	store_notify(st, SLICE_LIT("a"));
	store_notify(st, SLICE_LIT("a"));
	CHECK_INT(a.count, 0); /* never inside the call */
	CHECK_INT(co_event_wait(&a.event, 60000), 0);
	CHECK_INT(a.count, 1); /* merged */
	CHECK_INT(b.count, 0);
	store_unwatch(st, &a.w);
	a.event.set = false;
	for (int i = 0; i < 100; i++) { /* more than it keeps apart */
		char name[16];

		snprintf(name, sizeof(name), "n%d", i);
		store_notify(st, slice_str(name));
	}
	store_notify(st, SLICE_LIT("b"));
	CHECK_INT(co_event_wait(&b.event, 60000), 0);
	CHECK_INT(b.count, 1);
	CHECK_INT(a.count, 1);
	store_unwatch(st, &b.w);
	store_unwatch(st, &b.w);
}

static void
figures(void)
{
	struct store_stats stats;
	struct store_blob_id id;
	bool more = true;

	test_put("p", "k", "v");
	CHECK_INT(test_blob_store(&id, 100000, 1), 0);
	CHECK_INT(store_stats(st, &stats), 0);
	CHECK(stats.rows_octets > 0);
	CHECK(stats.blob_octets >= 100000);
	CHECK(stats.commits >= 2 && stats.batches >= 2);
	while (more)
		CHECK_INT(store_compact(st, &more), 0);
	CHECK_INT(test_blob_compare(&id, 100000, 1), 0);
}

static void
checksums(void **state)
{
	/* RFC 3720 B.4 */
	unsigned char z[32];

	(void)state;
	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
	memset(z, 0, sizeof(z));
	assert_int_equal(crc32c(0, z, sizeof(z)), 0x8a9136aa);
	memset(z, 0xff, sizeof(z));
	assert_int_equal(crc32c(0, z, sizeof(z)), 0x62a8ab43);
	for (size_t i = 0; i < sizeof(z); i++)
		z[i] = (unsigned char)i;
	for (size_t n = 0; n <= sizeof(z); n++) {
		assert_int_equal(crc32c(0, z, n), crc32c_portable(0, z, n));
		assert_int_equal(
		    crc32c(crc32c(0, z, n), z + n, sizeof(z) - n), 0x46dd794e);
	}
}

#define ON_ALL(body)                                                           \
	static void on_all_##body(void **state)                                \
	{                                                                      \
		(void)state;                                                   \
		test_run_on_all(body);                                         \
	}
ON_ALL(rows)
ON_ALL(scans)
ON_ALL(ranges)
ON_ALL(partitions)
ON_ALL(guards)
ON_ALL(counters)
ON_ALL(chains)
ON_ALL(orders)
ON_ALL(limits)
ON_ALL(blobs)
ON_ALL(blobs_unfinished)
ON_ALL(blobs_needed)
ON_ALL(blobs_at_once)
ON_ALL(leases)
ON_ALL(watches)
ON_ALL(figures)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(checksums),
		cmocka_unit_test(on_all_rows),
		cmocka_unit_test(on_all_scans),
		cmocka_unit_test(on_all_ranges),
		cmocka_unit_test(on_all_partitions),
		cmocka_unit_test(on_all_guards),
		cmocka_unit_test(on_all_counters),
		cmocka_unit_test(on_all_chains),
		cmocka_unit_test(on_all_orders),
		cmocka_unit_test(on_all_limits),
		cmocka_unit_test(on_all_blobs),
		cmocka_unit_test(on_all_blobs_unfinished),
		cmocka_unit_test(on_all_blobs_needed),
		cmocka_unit_test(on_all_blobs_at_once),
		cmocka_unit_test(on_all_leases),
		cmocka_unit_test(on_all_watches),
		cmocka_unit_test(on_all_figures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
