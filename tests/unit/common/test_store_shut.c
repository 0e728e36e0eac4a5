/* SPDX-License-Identifier: ISC */
/*
 * LMDB shuts an environment for good when it could write neither the page that
 * makes a commit valid nor what stood there before. The embedded engine opens
 * it anew: a disk that failed for a moment costs no restart.
 */
#include "tests/unit/common/store_test.h"

#include <sys/syscall.h>

#define META_END 8192 /* LMDB's two pages of that kind */

static int meta_faults; /* writes of them that fail, from now on */

/* LMDB calls this one. */
ssize_t
pwrite(int fd, const void *p, size_t n, off_t at)
{
	if (at >= META_END || meta_faults == 0)
		return syscall(SYS_pwrite64, fd, p, n, at);
	meta_faults--;
	errno = EIO;
	return -1;
}

static int
put(const char *key)
{
	struct store_batch *b = store_batch_new(st, SLICE_LIT("p"));
	int rc;

	store_put(b, slice_str(key), SLICE_LIT("there"));
	rc = store_commit_one(st, b);
	store_batch_free(&b);
	return rc;
}

static bool
is_there(const char *key)
{
	struct buf val = BUF_INIT;
	int rc = store_get(st, SLICE_LIT("p"), slice_str(key), &val);

	buf_clear(&val);
	CHECK(rc == 0 || rc == -ENOENT);
	return rc == 0;
}

static void
shut_and_opened(void)
{
	struct store_blob_id id;
	char key[16];
	int good = 0, rc;

	CHECK_INT(put("before"), 0);
	for (int i = 0; i < 20; i++) {
		snprintf(key, sizeof(key), "%d", i);
		/* One is not enough to shut it. */
		meta_faults = i % 4 == 1 ? 2 : i % 4 == 2;
		rc = put(key);
		good += rc == 0;
		CHECK_INT(rc, i % 4 == 1 || i % 4 == 2 ? -EIO : 0);
		CHECK(is_there(key) == (rc == 0));
		CHECK(is_there("before"));
	}
	CHECK_INT(good, 10);
	CHECK_INT(test_blob_store(&id, 7000, 9), 0);
	CHECK_INT(test_blob_compare(&id, 7000, 9), 0);
}

static void
a_shut_environment_is_opened_anew(void **state)
{
	void (*body)(void) = shut_and_opened;

	(void)state;
	test_engine = &test_engines[2];
	test_dir_new();
	co_run(test_body_run, &body);
	test_dir_remove();
	if (store_test_failure[0] != '\0')
		fail_msg("%s", store_test_failure);
}

/* A segment is left, and one made: commits that no batch waits for. */
static void
shut_by_the_first_blob(void)
{
	struct store_blob_id id;

	meta_faults = 2;
	CHECK(test_blob_store(&id, 100, 1) != 0);
	CHECK_INT(test_blob_store(&id, 7000, 9), 0);
	CHECK_INT(test_blob_compare(&id, 7000, 9), 0);
	CHECK_INT(put("x"), 0);
	CHECK(is_there("x"));
}

static void
any_commit_may_shut_it(void **state)
{
	void (*body)(void) = shut_by_the_first_blob;

	(void)state;
	test_engine = &test_engines[2];
	test_dir_new();
	co_run(test_body_run, &body);
	test_dir_remove();
	if (store_test_failure[0] != '\0')
		fail_msg("%s", store_test_failure);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_shut_environment_is_opened_anew),
		cmocka_unit_test(any_commit_may_shut_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
