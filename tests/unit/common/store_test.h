/* SPDX-License-Identifier: ISC */
/*
 * For tests of what stands on the engine: a body runs as a coroutine on a
 * store of each kind; what it finds wrong is noted, and asserted outside
 * (cmocka leaves by longjmp, which must not cross stacks).
 */
#ifndef PNEU_TESTS_STORE_TEST_H
#define PNEU_TESTS_STORE_TEST_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/store/store.h"

static char store_test_failure[512];

#define CHECK(cond)                                                            \
	do {                                                                   \
		if (!(cond) && store_test_failure[0] == '\0')                  \
			snprintf(store_test_failure,                           \
			    sizeof(store_test_failure), "%s:%d: %s", __FILE__, \
			    __LINE__, #cond);                                  \
	} while (0)
#define CHECK_INT(a, b)                                                        \
	do {                                                                   \
		long long a_ = (long long)(a), b_ = (long long)(b);            \
		if (a_ != b_ && store_test_failure[0] == '\0')                 \
			snprintf(store_test_failure,                           \
			    sizeof(store_test_failure),                        \
			    "%s:%d: %s is %lld, not %lld", __FILE__, __LINE__, \
			    #a, a_, b_);                                       \
	} while (0)

struct test_engine {
	const char *name;
	struct store_conf conf;
	bool lies;
	bool shared; /* by several processes */
};
static const struct test_engine test_engines[] = {
	{ "memory", { .engine = "memory", .seed = 1 }, false, false },
	{ "lying",
	    { .engine = "memory",
		.seed = 7,
		.conflict_pct = 15,
		.unknown_pct = 15,
		.late_pct = 40 },
	    true, false },
	{ "embedded", { .engine = "embedded" }, false, true },
};
#define TEST_ENGINES (sizeof(test_engines) / sizeof(test_engines[0]))

static char test_dir[64];
/* For tests that kill processes often, and no machines: no disk is asked. */
static bool test_dir_in_memory;
static const struct test_engine *test_engine;
static struct store *st; /* the store under test */

static inline void
test_dir_remove_at(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY);
	DIR *d = fd == -1 ? NULL : fdopendir(fd);
	struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL)
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..") &&
		    unlinkat(fd, e->d_name, 0) == -1)
			test_dir_remove_at(fd, e->d_name);
	if (d != NULL)
		closedir(d);
	unlinkat(at, name, AT_REMOVEDIR);
}

static inline void
test_dir_new(void)
{
	snprintf(test_dir, sizeof(test_dir), "%s/pneu-test.XXXXXX",
	    test_dir_in_memory && access("/dev/shm", W_OK) == 0 ? "/dev/shm"
								: "/tmp");
	assert_non_null(mkdtemp(test_dir));
}

static inline void
test_dir_remove(void)
{
	test_dir_remove_at(AT_FDCWD, test_dir);
}

static inline struct store_conf
test_conf(void)
{
	struct store_conf conf = test_engine->conf;

	conf.dir = test_dir;
	return conf;
}

static inline void
test_store_open(void)
{
	struct store_conf conf = test_conf();
	struct buf err = BUF_INIT;

	CHECK_INT(store_open(&st, &conf, &err), 0);
	buf_clear(&err);
}

static inline void
test_body_run(void *arg)
{
	test_store_open();
	if (st != NULL)
		(*(void (**)(void))arg)();
	store_close(&st);
}

/* Run `body` in a fresh folder with one kind of store. */
static inline void
test_run_on(const struct test_engine *engine, void (*body)(void))
{
	test_engine = engine;
	store_test_failure[0] = '\0';
	test_dir_new();
	assert_int_equal(co_run(test_body_run, &body), 0);
	test_dir_remove();
	if (store_test_failure[0] != '\0')
		fail_msg("%s: %s", engine->name, store_test_failure);
}

static inline void
test_run_on_all(void (*body)(void))
{
	for (size_t i = 0; i < TEST_ENGINES; i++)
		test_run_on(&test_engines[i], body);
}

static inline bool
is_doubt(int rc)
{
	return rc == STORE_ECONFLICT || rc == STORE_EUNKNOWN;
}

/* Batches of the tests that bear repetition. */
static inline int
test_commit(struct store_batch *b)
{
	int rc;

	do
		rc = store_commit_one(st, b);
	while (test_engine->lies && is_doubt(rc));
	store_batch_free(&b);
	return rc;
}

static inline void
test_put(const char *part, const char *key, const char *val)
{
	struct store_batch *b = store_batch_new(st, slice_str(part));

	store_put(b, slice_str(key), slice_str(val));
	CHECK_INT(test_commit(b), 0);
}

/* The row is `val` (NULL: absent). */
static inline bool
test_row_is(const char *part, const char *key, const char *val)
{
	struct buf b = BUF_INIT;
	int rc = store_get(st, slice_str(part), slice_str(key), &b);
	bool is = val == NULL ? rc == -ENOENT
			      : rc == 0 && slice_eq_str(buf_slice(&b), val);

	buf_clear(&b);
	return is;
}

/* Octets that differ from place to place. */
static inline void
test_octets(struct buf *out, size_t n, unsigned seed)
{
	uint32_t x = seed * 2654435761u + 1;

	buf_reset(out);
	buf_reserve(out, n);
	for (size_t i = 0; i < n; i++) {
		x = x * 1664525 + 1013904223;
		buf_put_char(out, (char)(x >> 24));
	}
}

/* A sealed writer with such octets. */
static inline struct store_blob_writer *
test_blob(struct store_blob_id *id, size_t n, unsigned seed)
{
	struct store_blob_writer *w = NULL;
	struct buf b = BUF_INIT;

	test_octets(&b, n, seed);
	store_blob_id_new(id);
	CHECK_INT(store_blob_begin(st, id, &w), 0);
	CHECK_INT(store_blob_write(w, slice_head(buf_slice(&b), n / 3)), 0);
	CHECK_INT(store_blob_write(w, slice_from(buf_slice(&b), n / 3)), 0);
	CHECK_INT(store_blob_seal(w), 0);
	buf_clear(&b);
	return w;
}

/* 0 when the blob has exactly these octets. */
static inline int
test_blob_compare(const struct store_blob_id *id, size_t n, unsigned seed)
{
	struct buf want = BUF_INIT, got = BUF_INIT;
	size_t r = 0;
	int rc;

	test_octets(&want, n, seed);
	buf_reserve(&got, n + 10);
	rc = store_blob_read(st, id, 0, got.p, n + 10, &r);
	if (rc == 0 && (r != n || memcmp(got.p, want.p, n) != 0))
		rc = -EBADMSG;
	buf_clear(&want);
	buf_clear(&got);
	return rc;
}

static inline int
test_blob_store(struct store_blob_id *id, size_t n, unsigned seed)
{
	struct store_blob_writer *w = test_blob(id, n, seed);
	int rc;

	do
		rc = store_blob_sync(w);
	while (test_engine->lies && is_doubt(rc));
	store_blob_writer_free(&w);
	return rc;
}

#endif
