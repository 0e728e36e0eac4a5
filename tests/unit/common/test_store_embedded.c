/* SPDX-License-Identifier: ISC */
/*
 * The embedded engine where it differs from others: files, several processes,
 * crashes, failing disks.
 */
#include "tests/unit/common/embedded_test.h"

/* --- crashes --- */

/* What a child tells of a commit that was answered. */
struct told {
	struct store_blob_id id;
	unsigned who, seq, size;
};

#define WRITERS 6

static unsigned
size_of(unsigned who, unsigned seq)
{
	static const unsigned sizes[] = { 0, 17, 4096, 70000, 300000, 1000 };

	return sizes[(who + seq) % 6];
}

static void
crash_writer(void *arg)
{
	struct told t = { .who = (unsigned)(uintptr_t)arg };
	char part[8], key[16];
	struct store_blob_writer *w;
	struct store_batch *b;

	snprintf(part, sizeof(part), "w%u", t.who % 100);
	for (t.seq = 0; t.seq < 100000; t.seq++) {
		t.size = size_of(t.who, t.seq);
		snprintf(key, sizeof(key), "%08u", t.seq);
		w = test_blob(&t.id, t.size, t.seq);
		b = store_batch_new(st, slice_str(part));
		store_put(
		    b, slice_str(key), slice(t.id.octets, sizeof(t.id.octets)));
		store_put(b, SLICE_LIT("last"), slice_str(key));
		store_batch_need(b, w);
		CHECK_INT(store_commit_one(st, b), 0);
		store_batch_free(&b);
		store_blob_writer_free(&w);
		if (write(told_fd[1], &t, sizeof(t)) != sizeof(t))
			return;
	}
}

static void
crash_child(void)
{
	struct co_group g = { 0 };

	for (uintptr_t i = 0; i < WRITERS; i++)
		co_group_spawn(&g, crash_writer, (void *)i);
	co_group_join(&g);
}

static struct told *told;
static size_t n_told;

static void
crash_verify(void)
{
	struct buf row = BUF_INIT;
	char part[8], key[16];

	for (size_t i = 0; i < n_told; i++) {
		snprintf(part, sizeof(part), "w%u", told[i].who % 100);
		snprintf(key, sizeof(key), "%08u", told[i].seq);
		buf_reset(&row);
		CHECK_INT(
		    store_get(st, slice_str(part), slice_str(key), &row), 0);
		CHECK(slice_eq(buf_slice(&row),
		    slice(told[i].id.octets, sizeof(told[i].id.octets))));
		CHECK_INT(
		    test_blob_compare(&told[i].id, told[i].size, told[i].seq),
		    0);
	}
	buf_clear(&row);
	CHECK_INT(faults(), 0);
}

/* Start, let it commit for a while, kill it in the middle. */
static void
crash_once(unsigned commits)
{
	struct told t;
	pid_t pid;

	assert_int_equal(pipe(told_fd), 0);
	n_told = 0;
	pid = child(crash_child);
	close(told_fd[1]);
	while (read(told_fd[0], &t, sizeof(t)) == sizeof(t)) {
		told = realloc(told, (n_told + 1) * sizeof(*told));
		told[n_told++] = t;
		if (n_told == commits)
			kill(pid, SIGKILL);
	}
	close(told_fd[0]);
	waitpid(pid, NULL, 0);
	CHECK(n_told >= commits);
	here(crash_verify);
}

static void
nothing_acknowledged_is_lost_by_sigkill(void **state)
{
	(void)state;
	test_dir_in_memory = true;
	begin();
	test_dir_in_memory = false;
	for (unsigned i = 0; i < 30; i++)
		crash_once(1 + random_below(60));
	free(told);
	told = NULL;
	end();
}

/* --- several processes --- */

static void
two_add(void)
{
	struct buf old = BUF_INIT;
	struct store_blob_id id;
	struct store_batch *b;
	char new[24];
	uint64_t n;
	int rc;

	for (unsigned i = 0; i < 60; i++) {
		do {
			buf_reset(&old);
			CHECK_INT(
			    store_get(st, SLICE_LIT("p"), SLICE_LIT("n"), &old),
			    0);
			slice_u64(buf_slice(&old), UINT64_MAX, &n);
			snprintf(new, sizeof(new), "%llu",
			    (unsigned long long)n + 1);
			b = store_batch_new(st, SLICE_LIT("p"));
			store_guard(b, SLICE_LIT("n"), buf_slice(&old));
			store_put(b, SLICE_LIT("n"), slice_str(new));
			rc = store_commit_one(st, b);
			store_batch_free(&b);
		} while (rc == STORE_ECONFLICT);
		CHECK_INT(rc, 0);
		CHECK_INT(test_blob_store(&id, 3000, i), 0);
		CHECK_INT(test_blob_compare(&id, 3000, i), 0);
	}
	buf_clear(&old);
}

static void
two_begin(void)
{
	test_put("p", "n", "0");
}

static int
count_blob(
    void *arg, const struct store_blob_id *id, uint64_t size, int64_t written_s)
{
	(void)id, (void)size, (void)written_s;
	++*(int *)arg;
	return 0;
}

static void
two_verify(void)
{
	int n = 0;

	CHECK(test_row_is("p", "n", "180"));
	CHECK_INT(store_blob_list(st, count_blob, &n), 0);
	CHECK_INT(n, 180);
	CHECK_INT(faults(), 0);
}

static void
processes_share_a_store(void **state)
{
	pid_t pid[3];

	(void)state;
	begin();
	here(two_begin);
	for (int i = 0; i < 3; i++)
		pid[i] = child(two_add);
	for (int i = 0; i < 3; i++)
		child_end(pid[i]);
	here(two_verify);
	CHECK(files_with(".seg") <= 3);
	end();
}

static struct {
	struct store_watch w;
	struct co_event event;
	int count;
} watcher, other;

static void
on_watch(void *arg)
{
	(void)arg;
	watcher.count++;
	co_event_set(&watcher.event);
}

static void
on_other(void *arg)
{
	(void)arg;
	other.count++;
	co_event_set(&other.event);
}

static void
watch_child(void)
{
	char c;

	watcher.w.fn = on_watch;
	other.w.fn = on_other;
	store_watch(st, SLICE_LIT("box"), &watcher.w);
	store_watch(st, SLICE_LIT("other"), &other.w);
	CHECK_INT(write(told_fd[1], "", 1), 1); /* ready */
	CHECK_INT(co_event_wait(&watcher.event, 250000), 0);
	CHECK_INT(other.count, 0);
	CHECK_INT(write(told_fd[1], "", 1), 1);
	/* Blocked while more notes come than the socket holds: the note of
	 * "other" is lost, and yet it is told. */
	CHECK_INT(read(go_fd[0], &c, 1), 1);
	CHECK_INT(co_event_wait(&other.event, 250000), 0);
	store_unwatch(st, &watcher.w);
	store_unwatch(st, &other.w);
}

static void
watch_parent(void)
{
	char name[16], c;

	CHECK_INT(read(told_fd[0], &c, 1), 1);
	store_notify(st, SLICE_LIT("nobody's"));
	store_notify(st, SLICE_LIT("box"));
	CHECK_INT(co_wait_fd(told_fd[0], EV_READ, 250000), 0);
	CHECK_INT(read(told_fd[0], &c, 1), 1);
	for (int i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "n%d", i % 1000);
		store_notify(st, slice_str(name));
		co_yield ();
	}
	store_notify(st, SLICE_LIT("other"));
	co_yield ();
	co_yield ();
	say_go();
}

static void
notes_reach_other_processes(void **state)
{
	pid_t pid;

	(void)state;
	begin();
	assert_int_equal(pipe(told_fd), 0);
	assert_int_equal(pipe(go_fd), 0);
	here(two_begin);
	pid = child(watch_child);
	here(watch_parent);
	child_end(pid);
	end();
}

static void
lease_child(void)
{
	uint64_t fence = 0;

	CHECK_INT(
	    store_lease_acquire(st, SLICE_LIT("slice"), 3600000, &fence), 0);
	CHECK_INT(write(told_fd[1], &fence, sizeof(fence)), sizeof(fence));
	wait_go();
}

static pid_t lease_pid;

static void
lease_parent(void)
{
	uint64_t theirs = 0, ours = 0;

	CHECK_INT(read(told_fd[0], &theirs, sizeof(theirs)), sizeof(theirs));
	CHECK_INT(
	    store_lease_acquire(st, SLICE_LIT("slice"), 1000, &ours), -EBUSY);
	kill(lease_pid, SIGKILL);
	waitpid(lease_pid, NULL, 0);
	CHECK_INT(store_lease_acquire(st, SLICE_LIT("slice"), 1000, &ours), 0);
	CHECK(ours > theirs);
}

static void
a_dead_process_holds_no_lease(void **state)
{
	(void)state;
	begin();
	assert_int_equal(pipe(told_fd), 0);
	assert_int_equal(pipe(go_fd), 0);
	here(two_begin);
	lease_pid = child(lease_child);
	here(lease_parent);
	end();
}

static void
opened_twice(void)
{
	struct store_conf conf = test_conf();
	struct store *again = NULL, *reader = NULL;
	struct buf err = BUF_INIT;

	CHECK_INT(store_open(&again, &conf, &err), -EBUSY);
	CHECK(err.n > 0);
	CHECK(again == NULL);
	conf.readonly = true;
	CHECK_INT(store_open(&reader, &conf, &err), -EBUSY);
	buf_clear(&err);
}

static void
reader_main(void *arg)
{
	struct store_conf conf = {
		.engine = "embedded", .dir = test_dir, .readonly = true
	};
	struct store_batch *b;
	struct buf err = BUF_INIT;

	CHECK_INT(store_open(&st, &conf, &err), *(int *)arg);
	if (st != NULL) {
		CHECK(test_row_is("p", "n", "0"));
		b = store_batch_new(st, SLICE_LIT("p"));
		store_put(b, SLICE_LIT("n"), SLICE_LIT("1"));
		CHECK_INT(store_commit_one(st, b), -EROFS);
		store_batch_free(&b);
		CHECK(test_row_is("p", "n", "0"));
	}
	buf_clear(&err);
	store_close(&st);
}

static void
opening(void **state)
{
	int rc = -ENOENT;

	(void)state;
	begin();
	co_run(reader_main, &rc);
	here(two_begin);
	here(opened_twice);
	rc = 0;
	co_run(reader_main, &rc);
	end();
}

/* --- a failing disk --- */

static int calls, fail_at, fail_errno;
static enum { FAIL_WRITE, FAIL_SYNC, FAIL_COMMIT } fail_what;

static bool
fails(int what)
{
	if (what != (int)fail_what || ++calls != fail_at)
		return false;
	errno = fail_errno;
	return true;
}

static ssize_t
test_pwritev(int fd, const struct iovec *iov, int n, off_t at)
{
	if (fails(FAIL_WRITE))
		return -1;
	/* Short now and then: the rest must follow. */
	if (n > 1 && calls % 3 == 1)
		n = 1;
	return pwritev(fd, iov, n, at);
}

static int
test_fdatasync(int fd)
{
	return fails(FAIL_SYNC) ? -1 : fdatasync(fd);
}

static int
test_txn_commit(MDB_txn *txn)
{
	if (!fails(FAIL_COMMIT))
		return mdb_txn_commit(txn);
	mdb_txn_abort(txn);
	return fail_errno;
}

#define FAULT_ROUNDS 12

static struct {
	struct store_blob_id id;
	unsigned size;
	int rc;
} rounds[FAULT_ROUNDS];

static void
fault_round(void *arg)
{
	size_t i = (size_t)(uintptr_t)arg;
	struct store_blob_writer *w = NULL;
	struct store_batch *b;
	struct buf octets = BUF_INIT;
	char key[8];
	int rc;

	rounds[i].size = size_of((unsigned)i, 0);
	test_octets(&octets, rounds[i].size, (unsigned)i);
	store_blob_id_new(&rounds[i].id);
	rc = store_blob_begin(st, &rounds[i].id, &w);
	if (rc == 0)
		rc = store_blob_write(w, buf_slice(&octets));
	if (rc == 0)
		rc = store_blob_seal(w);
	if (rc == 0) {
		snprintf(key, sizeof(key), "%zu", i % 100);
		b = store_batch_new(st, SLICE_LIT("p"));
		store_put(b, slice_str(key), SLICE_LIT("there"));
		store_batch_need(b, w);
		rc = store_commit_one(st, b);
		/* A second try with the same blob, once the fault is over. */
		if (rc == -ENOSPC || (rc == -EIO && rounds[i].size < 262144)) {
			CHECK(!test_row_is("p", key, "there"));
			CHECK_INT(store_commit_one(st, b), 0);
			rc = 0;
		}
		store_batch_free(&b);
	}
	store_blob_writer_free(&w);
	rounds[i].rc = rc;
	buf_clear(&octets);
}

static void
fault_run(void)
{
	struct co_group g = { 0 };

	for (uintptr_t i = 0; i < FAULT_ROUNDS; i++)
		co_group_spawn(&g, fault_round, (void *)i);
	co_group_join(&g);
}

static size_t fault_failures;

static void
fault_verify(void)
{
	char key[8];

	for (size_t i = 0; i < FAULT_ROUNDS; i++) {
		snprintf(key, sizeof(key), "%zu", i % 100);
		CHECK(rounds[i].rc == 0 || rounds[i].rc == -fail_errno);
		CHECK(test_row_is("p", key, rounds[i].rc ? NULL : "there"));
		CHECK_INT(test_blob_compare(
			      &rounds[i].id, rounds[i].size, (unsigned)i),
		    rounds[i].rc ? -ENOENT : 0);
		fault_failures += rounds[i].rc != 0;
	}
	CHECK_INT(faults(), 0);
}

static void
a_failing_disk_costs_what_failed(void **state)
{
	static const int errors[] = { ENOSPC, EIO };
	const struct store_io real = store_io;

	(void)state;
	test_dir_in_memory = true;
	for (int what = FAIL_WRITE; what <= FAIL_COMMIT; what++)
		for (size_t e = 0; e < 2; e++)
			/* Large blobs are synced by others, in any order. */
			for (int at = 1; at <= (what == FAIL_SYNC ? 24 : 5);
			     at++) {
				begin();
				fail_what = what;
				fail_errno = errors[e];
				if (what == FAIL_SYNC)
					fail_errno = EIO;
				fail_at = at;
				calls = 0;
				store_io.pwritev = test_pwritev;
				store_io.fdatasync = test_fdatasync;
				store_io.txn_commit = test_txn_commit;
				here(fault_run);
				store_io = real;
				here(fault_verify);
				end();
			}
	test_dir_in_memory = false;
	assert_true(fault_failures > 0); /* of large blobs */
}

/* The kernel refuses: every file ends at a limit. */
static void
full_run(void)
{
	struct rlimit limit = { 400000, RLIM_INFINITY };
	static char val[20000];
	struct store_batch *b;
	char key[16];
	int good = 0, rc = 0;

	signal(SIGXFSZ, SIG_IGN);
	CHECK_INT(setrlimit(RLIMIT_FSIZE, &limit), 0);
	for (int i = 0; i < 100 && rc == 0; i++) {
		snprintf(key, sizeof(key), "%d", i);
		b = store_batch_new(st, SLICE_LIT("full"));
		store_put(b, slice_str(key), slice(val, sizeof(val)));
		rc = store_commit_one(st, b);
		good += rc == 0;
		store_batch_free(&b);
	}
	CHECK_INT(rc, -ENOSPC);
	CHECK(good > 3);
	for (int i = 0; i < good; i++) {
		snprintf(key, sizeof(key), "%d", i);
		CHECK(!test_row_is("full", key, NULL));
	}
	limit.rlim_cur = RLIM_INFINITY;
	CHECK_INT(setrlimit(RLIMIT_FSIZE, &limit), 0);
	test_put("full", "again", "room");
	CHECK(test_row_is("full", "again", "room"));
}

static void
a_full_disk_is_enospc(void **state)
{
	(void)state;
	begin();
	child_end(child(full_run));
	end();
}

static uint64_t room_mib;

static int
test_fstatvfs(int fd, struct statvfs *out)
{
	(void)fd;
	*out = (struct statvfs){
		.f_frsize = 1 << 20, .f_blocks = 100000, .f_bavail = room_mib
	};
	return 0;
}

/* The last of a disk is for rows, so that what fills it can be deleted. */
static void
room_run(void)
{
	struct store_blob_writer *w = NULL;
	struct store_blob_id kept, refused;

	store_io.fstatvfs = test_fstatvfs;
	room_mib = 40;
	CHECK_INT(test_blob_store(&kept, 5000, 1), 0);
	room_mib = 10;
	store_blob_id_new(&refused);
	CHECK_INT(store_blob_begin(st, &refused, &w), -ENOSPC);
	test_put("room", "row", "still");
	CHECK(test_row_is("room", "row", "still"));
	CHECK_INT(store_blob_del(st, &kept), 0);
	room_mib = 40;
	CHECK_INT(test_blob_store(&kept, 5000, 1), 0);
	store_io.fstatvfs = fstatvfs;
}

static void
rows_have_room_when_blobs_have_none(void **state)
{
	(void)state;
	begin();
	here(room_run);
	end();
}

/* --- a drop that a crash has cut short --- */

static void
drop_half(void)
{
	test_put("gone", "a", "1");
	test_put("gone", "b", "2");
	test_put("kept", "a", "1");
	/* As store_partition_drop leaves it after its first two steps. */
	test_put("\001drops", "gone", "");
	test_put("gone", "\377\377drop", "0123456789abcdef");
	/* An intent whose drop was finished, and the partition made anew. */
	test_put("\001drops", "kept", "");
}

static void
drop_verify(void)
{
	CHECK(test_row_is("gone", "a", NULL));
	CHECK(test_row_is("gone", "\377\377drop", NULL));
	CHECK(test_row_is("kept", "a", "1"));
	CHECK(test_row_is("\001drops", "gone", NULL));
	CHECK(test_row_is("\001drops", "kept", NULL));
}

static void
a_drop_is_finished_at_open(void **state)
{
	(void)state;
	begin();
	here(drop_half);
	here(drop_verify);
	end();
}

/* --- folders for a group --- */

static void
group_store_open(void *arg)
{
	struct store_conf sc = {
		.engine = "embedded", .dir = arg, .group = true
	};
	struct buf err = BUF_INIT;
	struct store *s = NULL;

	CHECK(store_open(&s, &sc, &err) == 0);
	store_close(&s);
	buf_clear(&err);
}

static mode_t
folder_mode(const char *name)
{
	char path[256];
	struct stat info = { 0 };

	snprintf(path, sizeof(path), "%s/store%s", test_dir, name);
	return stat(path, &info) == 0 ? info.st_mode & 07777 : 0;
}

/* What an admin's 2770 says of the folder holds for those made in it. */
static void
folders_stay_of_the_group(void **state)
{
	static const char *const names[] = { "/blobs", "/watch" };
	mode_t mask = umask(077), found[2];
	char path[256];

	(void)state;
	begin();
	snprintf(path, sizeof(path), "%s/store", test_dir);
	mkdir(path, 0700);
	chmod(path, 02770);
	co_run(group_store_open, path);
	umask(mask);
	for (int i = 0; i < 2; i++)
		found[i] = folder_mode(names[i]);
	end();
	for (int i = 0; i < 2; i++)
		assert_int_equal(found[i], 02770);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(opening),
		cmocka_unit_test(nothing_acknowledged_is_lost_by_sigkill),
		cmocka_unit_test(processes_share_a_store),
		cmocka_unit_test(notes_reach_other_processes),
		cmocka_unit_test(a_dead_process_holds_no_lease),
		cmocka_unit_test(a_failing_disk_costs_what_failed),
		cmocka_unit_test(a_full_disk_is_enospc),
		cmocka_unit_test(rows_have_room_when_blobs_have_none),
		cmocka_unit_test(a_drop_is_finished_at_open),
		cmocka_unit_test(folders_stay_of_the_group),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
