/* SPDX-License-Identifier: ISC */
/*
 * Damage: an octet of a segment, of a large blob's file or of a backup's rows
 * is another. It is found, it costs the message that has it, and no other.
 */
#include "tests/unit/mailbox/mails_test.h"

#include <signal.h>

#include "common/base/clock.h"
#include "mailbox/mails/check.h"

#define MESSAGES 24
#if defined(__SANITIZE_ADDRESS__)
#define FLIPS 60
#else
#define FLIPS 400
#endif

static char path[256]; /* of the file that is damaged */
static int faults;

static void
here(void (*body)(void))
{
	test_engine = &test_engines[2];
	co_run(mails_test_body, &body);
}

static void
text_of(struct buf *out, unsigned number)
{
	size_t n = number == 7 ? 300000 : number % 5 == 1 ? 3000 : 100;

	buf_reset(out);
	buf_printf(out, "Subject: %u\r\n\r\n", number);
	for (unsigned i = 0; n < 300000 && out->n < n; i++)
		buf_printf(out, "Line %u of number %u.\r\n", i, number);
	/* What does not pack, so that the blob is a large one. */
	for (uint32_t x = number; out->n < n; x = x * 1664525 + 1013904223)
		buf_put_char(out, (char)(1 + (x >> 24) % 255));
}

static void
fill(void)
{
	struct arena a = ARENA_INIT_MAX(1 << 16);
	struct buf text = BUF_INIT;
	struct mails_copied out;
	struct mails_view *v;
	uint32_t some[] = { 3, 4 };

	for (unsigned i = 0; i < MESSAGES; i++) {
		text_of(&text, i);
		CHECK_INT(deliver_to(ALICE, "INBOX", 0, buf_str(&text)), i + 1);
	}
	v = view_of(ALICE, "INBOX");
	CHECK_INT(
	    mails_copy(v, some, 2, SLICE_LIT("Archive"), NULL, &a, &out), 0);
	mails_view_close(&v);
	buf_clear(&text);
	arena_reset(&a);
}

static void
on_fault(void *arg, const struct mails_fault *f)
{
	(void)arg;
	faults++;
	CHECK(f->what[0] != '\0');
}

/* Of all messages, at most one is not as it was, and says so. */
static void
damaged_body(void)
{
	struct mails_view *v = view_of(ALICE, "INBOX");
	struct buf text = BUF_INIT;
	char *got = malloc(400000);
	unsigned bad = 0;
	size_t n;
	int rc;

	CHECK_INT(mails_view_count(v), MESSAGES);
	for (unsigned i = 0; i < MESSAGES; i++) {
		rc = mails_read(v, i + 1, 0, got, 400000, &n);
		text_of(&text, i);
		CHECK(rc == -EIO ||
		    (rc == 0 && slice_eq(slice(got, n), buf_slice(&text))));
		bad += rc != 0;
	}
	CHECK_INT(bad, 1);
	CHECK(mails_check(mm, true, on_fault, NULL, NULL) > 0);
	CHECK(faults > 0);
	mails_view_close(&v);
	buf_clear(&text);
	free(got);
}

/* In a child, for it must not crash. */
static void
in_child(void (*body)(void), const char *what, uint64_t at)
{
	pid_t pid;
	int status;

	fflush(NULL);
	if ((pid = fork()) == 0) {
		signal(SIGBUS, SIG_DFL);
		signal(SIGSEGV, SIG_DFL);
		signal(SIGABRT, SIG_DFL);
		(void)!freopen("/dev/null", "w", stderr);
		here(body);
		if (store_test_failure[0] != '\0')
			print_message("%s\n", store_test_failure);
		fflush(NULL);
		_exit(store_test_failure[0] != '\0');
	}
	waitpid(pid, &status, 0);
	if (status != 0)
		fail_msg("%s, octet %llu: status %x", what,
		    (unsigned long long)at, status);
}

static void
flip(uint64_t at, int mask)
{
	int fd = open(path, O_RDWR);
	char c = 0;

	assert_int_equal(pread(fd, &c, 1, (off_t)at), 1);
	c = (char)(c ^ mask);
	assert_int_equal(pwrite(fd, &c, 1, (off_t)at), 1);
	close(fd);
}

static uint64_t
size_of(const char *name)
{
	struct stat s;

	assert_int_equal(stat(name, &s), 0);
	return (uint64_t)s.st_size;
}

/* The one file in the folder of blobs with that end. */
static void
path_find(const char *end)
{
	char dir[128];
	struct dirent *d;
	DIR *all;

	snprintf(dir, sizeof(dir), "%s/blobs", test_dir);
	path[0] = '\0';
	for (all = opendir(dir); (d = readdir(all)) != NULL;)
		if (strstr(d->d_name, end) != NULL)
			snprintf(path, sizeof(path), "%.100s/%.100s", dir,
			    d->d_name);
	closedir(all);
	assert_true(path[0] != '\0');
}

static void
each_octet_counts(const char *end, unsigned flips)
{
	uint64_t size, at;
	int mask;

	path_find(end);
	size = size_of(path);
	for (unsigned i = 0; i < flips; i++) {
		at = random_below((uint32_t)size);
		mask = 1 << random_below(8);
		flip(at, mask);
		in_child(damaged_body, end, at);
		flip(at, mask);
	}
}

static void
store_make(void)
{
	test_seal = (enum mails_sealing)random_below(3);
	test_dir_new();
	store_test_failure[0] = '\0';
	here(fill);
	assert_string_equal(store_test_failure, "");
}

static void
damage_of_segments_is_found(void **state)
{
	(void)state;
	store_make();
	each_octet_counts(".seg", FLIPS);
	test_dir_remove();
}

static void
damage_of_large_blobs_is_found(void **state)
{
	(void)state;
	store_make();
	each_octet_counts(".blob", FLIPS / 4);
	test_dir_remove();
}

static void
short_body(void)
{
	CHECK(mails_check(mm, true, on_fault, NULL, NULL) > 0);
}

static void
missing_files_are_found(void **state)
{
	static const char *const ends[] = { ".seg", ".blob" };

	(void)state;
	for (int i = 0; i < 4; i++) {
		store_make();
		path_find(ends[i % 2]);
		if (i < 2)
			assert_int_equal(
			    truncate(path, (off_t)size_of(path) / 2), 0);
		else
			assert_int_equal(unlink(path), 0);
		in_child(short_body, ends[i % 2], 0);
		test_dir_remove();
	}
}

static void
backup_body(void)
{
	char dir[128];

	snprintf(dir, sizeof(dir), "%s/copy", test_dir);
	CHECK_INT(store_backup(st, dir), 0);
	CHECK_INT(store_backup_check(dir), 0);
}

static void
damage_of_backups_is_found(void **state)
{
	char dir[128];
	uint64_t size, at;

	(void)state;
	store_make();
	here(backup_body);
	assert_string_equal(store_test_failure, "");
	snprintf(dir, sizeof(dir), "%s/copy", test_dir);
	snprintf(path, sizeof(path), "%s/data.mdb", dir);
	size = size_of(path);
	for (unsigned i = 0; i < FLIPS; i++) {
		at = random_below((uint32_t)size);
		flip(at, 4);
		assert_int_equal(store_backup_check(dir), -EIO);
		flip(at, 4);
	}
	for (at = 1; at < 40; at++) {
		assert_int_equal(truncate(path, (off_t)(size - at)), 0);
		if ((size - at) % 4096 != 0)
			assert_int_equal(store_backup_check(dir), -EIO);
	}
	test_dir_remove();
}

/* A backup that becomes a store loses its sum, and is one. */
static void
backup_becomes_store(void **state)
{
	char whole[64];

	(void)state;
	store_make();
	here(backup_body);
	snprintf(whole, sizeof(whole), "%s", test_dir);
	snprintf(test_dir, sizeof(test_dir), "%.50s/copy", whole);
	for (int i = 0; i < 2; i++) {
		here(fill);
		snprintf(path, sizeof(path), "%.100s/data.mdb", test_dir);
		assert_int_equal(size_of(path) % 4096, 0);
		assert_int_equal(store_backup_check(test_dir), 0);
		store_test_failure[0] = '\0'; /* fill counts from 1 */
	}
	snprintf(test_dir, sizeof(test_dir), "%s", whole);
	test_dir_remove();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(damage_of_segments_is_found),
		cmocka_unit_test(damage_of_large_blobs_is_found),
		cmocka_unit_test(missing_files_are_found),
		cmocka_unit_test(damage_of_backups_is_found),
		cmocka_unit_test(backup_becomes_store),
	};

	test_dir_in_memory = true;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
