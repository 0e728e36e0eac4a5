/* SPDX-License-Identifier: ISC */
/*
 * What compaction costs a delivery: some writers put messages of 4 KiB with
 * three rows each into a store, each durable before its next, while there is no
 * compaction, while there is one that rests between its steps as a daemon's
 * does, and while there is one that does not rest. These three take turns, so
 * that a disk that others use is the same for all.
 *
 * usage: bench-compaction DIR [MIB] [WRITERS] [ROUNDS]
 * (a new folder; 384 MiB of segments of which half is dead, 4, 6)
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/co.h"
#include "common/store/store.h"
#include "common/store/store_io.h"

#define MESSAGE 4096
#define FILLER 20000
#define SEGMENT ((uint64_t)16 << 20)
#define PHASE_MS 3000
#define REST_MS 100 /* as store.c has it */
#define SAMPLES ((size_t)1 << 20)

enum mode { IDLE, RESTING, BUSY, MODES };

struct samples {
	size_t n;
	int64_t *us;
};

static struct {
	struct store *store;
	const char *dir;
	uint64_t mib, writers, rounds;
	enum mode mode;
	struct samples took[MODES], step[MODES];
	int64_t until_ms;
	unsigned failed;
	bool more; /* to compact */
	char text[FILLER];
} bench = { .mib = 384, .writers = 4, .rounds = 6, .more = true };

static int64_t
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

static void
sample(struct samples *s, int64_t us)
{
	if (s->us == NULL && (s->us = calloc(SAMPLES, sizeof(*s->us))) == NULL)
		abort();
	if (s->n < SAMPLES)
		s->us[s->n++] = us;
}

/* --- the load --- */

static void
put_message(const char *part, size_t n, struct store_blob_id *id)
{
	static uint64_t number;
	struct store_blob_writer *w;
	struct store_batch *b = store_batch_new(bench.store, slice_str(part));
	char key[24];
	int rc;

	store_blob_id_new(id);
	if (b == NULL || store_blob_begin(bench.store, id, &w) != 0)
		abort();
	rc = store_blob_write(w, slice(bench.text, n));
	if (rc == 0)
		rc = store_blob_seal(w);
	number++;
	for (int i = 0; i < 3; i++) {
		snprintf(key, sizeof(key), "%d%012llx", i,
		    (unsigned long long)number);
		store_put(b, slice_str(key), slice(bench.text, i * 150 + 16));
	}
	store_batch_need(b, w);
	if (rc == 0)
		rc = store_commit_one(bench.store, b);
	bench.failed += rc != 0;
	store_batch_free(&b);
	store_blob_writer_free(&w);
}

static void
writer(void *arg)
{
	struct store_blob_id id;
	char part[24];
	int64_t from;

	snprintf(part, sizeof(part), "box%u", (unsigned)(uintptr_t)arg);
	while (clock_mono_ms() < bench.until_ms) {
		from = now_us();
		put_message(part, MESSAGE, &id);
		sample(&bench.took[bench.mode], now_us() - from);
	}
}

static void
compactor(void *arg)
{
	int64_t from;

	(void)arg;
	while (clock_mono_ms() < bench.until_ms && bench.more) {
		from = now_us();
		bench.failed += store_compact(bench.store, &bench.more) != 0;
		sample(&bench.step[bench.mode], now_us() - from);
		if (bench.mode == RESTING)
			(void)co_sleep(REST_MS);
	}
}

static void
phase(enum mode mode)
{
	struct co_group g = { 0 };

	bench.mode = mode;
	bench.until_ms = clock_mono_ms() + PHASE_MS;
	for (uintptr_t i = 0; i < bench.writers; i++)
		(void)co_group_spawn(&g, writer, (void *)i);
	if (mode != IDLE)
		(void)co_group_spawn(&g, compactor, NULL);
	(void)co_group_join(&g);
}

/* --- segments of which half is dead --- */

static struct {
	struct store_blob_id *ids;
	size_t n, next;
} fill;

static void
filler(void *arg)
{
	(void)arg;
	while (fill.next < fill.n)
		put_message("fill", FILLER, &fill.ids[fill.next++]);
}

static void
deleter(void *arg)
{
	(void)arg;
	while (fill.next < fill.n) {
		bench.failed +=
		    store_blob_del(bench.store, &fill.ids[fill.next]) != 0;
		fill.next += 2;
	}
}

static void
by_many(void (*fn)(void *))
{
	struct co_group g = { 0 };

	fill.next = 0;
	for (unsigned i = 0; i < 64; i++)
		(void)co_group_spawn(&g, fn, NULL);
	(void)co_group_join(&g);
}

/* --- the table --- */

static int
by_size(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double
quantile_ms(const struct samples *s, double q)
{
	return s->n == 0
	    ? 0
	    : (double)s->us[(size_t)(q * (double)(s->n - 1))] / 1e3;
}

static void
report(const char *what, struct samples *s)
{
	if (s->n == 0)
		return;
	qsort(s->us, s->n, sizeof(*s->us), by_size);
	printf("%s\t%zu\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\n", what, s->n,
	    quantile_ms(s, 0.5), quantile_ms(s, 0.9), quantile_ms(s, 0.99),
	    quantile_ms(s, 0.999), quantile_ms(s, 1));
}

static void
run(void *arg)
{
	const struct store_conf conf = { .engine = "embedded",
		.dir = bench.dir };
	struct buf err = BUF_INIT;

	(void)arg;
	store_io.segment_max = SEGMENT;
	fill.n = (size_t)((bench.mib << 20) / FILLER);
	fill.ids = calloc(fill.n, sizeof(*fill.ids));
	if (fill.ids == NULL || store_open(&bench.store, &conf, &err) != 0) {
		fprintf(stderr, "bench-compaction: %s\n", buf_str(&err));
		exit(1);
	}
	for (size_t i = 0; i < FILLER; i++)
		bench.text[i] = (char)('a' + i % 26);
	by_many(filler);
	by_many(deleter);
	for (uint64_t i = 0; i < bench.rounds; i++)
		for (int mode = 0; mode < MODES; mode++)
			phase((enum mode)mode);
	report("no compaction", &bench.took[IDLE]);
	report("steps with rests", &bench.took[RESTING]);
	report("step after step", &bench.took[BUSY]);
	report("a step, with rests", &bench.step[RESTING]);
	report("a step, step after step", &bench.step[BUSY]);
	if (!bench.more)
		printf(
		    "nothing was left to compact: more MIB or less ROUNDS\n");
	store_close(&bench.store);
	for (int mode = 0; mode < MODES; mode++) {
		free(bench.took[mode].us);
		free(bench.step[mode].us);
	}
	free(fill.ids);
}

int
main(int argc, char **argv)
{
	uint64_t *const numbers[] = { &bench.mib, &bench.writers,
		&bench.rounds };

	for (int i = 2; i < argc && i < 5; i++)
		if (slice_u64(slice_str(argv[i]), 10000, numbers[i - 2]) != 0)
			argc = 0;
	if (argc < 2 || argc > 5) {
		fprintf(stderr,
		    "usage: bench-compaction DIR [MIB] [WRITERS] [ROUNDS]\n");
		return 2;
	}
	bench.dir = argv[1];
	return co_run(run, NULL) == 0 && bench.failed == 0 ? 0 : 1;
}
