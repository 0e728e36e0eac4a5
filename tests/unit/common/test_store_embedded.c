/* SPDX-License-Identifier: ISC */
/*
 * The embedded engine where it differs from others: files, several processes,
 * crashes, failing disks.
 */
#include "tests/unit/common/store_test.h"

#include <poll.h>
#include <signal.h>
#include <event2/event.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "common/store/store_io.h"

#define EMBEDDED (&test_engines[2])

/* Run `body` on the store in test_dir, in this process. */
static void
here(void (*body)(void))
{
	test_engine = EMBEDDED;
	co_run(test_body_run, &body);
}

static void
begin(void)
{
	test_engine = EMBEDDED;
	store_test_failure[0] = '\0';
	test_dir_new();
}

static void
end(void)
{
	test_dir_remove();
	if (store_test_failure[0] != '\0')
		fail_msg("%s", store_test_failure);
}

/* A child that runs `body`; its failures come back by its exit status. */
static pid_t
child(void (*body)(void))
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	alarm(500);
	here(body);
	if (store_test_failure[0] != '\0')
		print_error("child: %s\n", store_test_failure);
	_exit(store_test_failure[0] != '\0');
}

static void
child_end(pid_t pid)
{
	int status = -1;

	waitpid(pid, &status, 0);
	CHECK_INT(status, 0);
}

static void
no_fault(void *arg, const struct store_blob_id *blob, const char *what)
{
	(void)blob;
	print_message("check: %s\n", what);
	++*(int *)arg;
}

static int
faults(void)
{
	int n = 0, rc = store_check(st, no_fault, &n);

	CHECK_INT(rc, n);
	return n;
}

static size_t
files_with(const char *suffix)
{
	char path[128];
	struct dirent *e;
	size_t n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "%s/blobs", test_dir);
	if ((d = opendir(path)) == NULL)
		return 0;
	while ((e = readdir(d)) != NULL)
		n += strstr(e->d_name, suffix) != NULL;
	closedir(d);
	return n;
}

/* --- crashes --- */

/* What a child tells of a commit that was answered. */
struct told {
	struct store_blob_id id;
	unsigned who, seq, size;
};

static int told_fd[2];
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

static int go_fd[2];

/* Wait for the parent without a coroutine's loop standing still. */
static void
wait_go(void)
{
	char c;

	CHECK_INT(co_wait_fd(go_fd[0], EV_READ, 250000), 0);
	CHECK_INT(read(go_fd[0], &c, 1), 1);
}

static void
say_go(void)
{
	CHECK_INT(write(go_fd[1], "", 1), 1);
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

/* --- damage --- */

static struct store_blob_id damage_id[4];
static const size_t damage_size[4] = { 5000, 200000, 5000, 400000 };

static void
damage_make(void)
{
	for (unsigned i = 0; i < 4; i++)
		CHECK_INT(test_blob_store(&damage_id[i], damage_size[i], i), 0);
}

/* Flip an octet of the only file that ends so. */
static void
flip(const char *suffix, off_t at)
{
	char path[400], c = 0;
	struct dirent *e;
	DIR *d;
	int fd;

	snprintf(path, sizeof(path), "%s/blobs", test_dir);
	if ((d = opendir(path)) == NULL)
		return;
	while ((e = readdir(d)) != NULL)
		if (strstr(e->d_name, suffix) != NULL) {
			snprintf(path, sizeof(path), "%s/blobs/%s", test_dir,
			    e->d_name);
			fd = open(path, O_RDWR);
			CHECK_INT(pread(fd, &c, 1, at), 1);
			c ^= 0x40;
			CHECK_INT(pwrite(fd, &c, 1, at), 1);
			close(fd);
		}
	closedir(d);
}

static void
damage_verify(void)
{
	char got[100];
	size_t n;

	CHECK_INT(test_blob_compare(&damage_id[0], 5000, 0), 0);
	CHECK_INT(test_blob_compare(&damage_id[1], 200000, 1), -EIO);
	CHECK_INT(test_blob_compare(&damage_id[2], 5000, 2), 0);
	CHECK_INT(test_blob_compare(&damage_id[3], 400000, 3), -EIO);
	/* A range that the damage does not touch can be read. */
	CHECK_INT(store_blob_read(st, &damage_id[1], 0, got, 100, &n), 0);
	CHECK_INT(n, 100);
	CHECK_INT(
	    store_blob_read(st, &damage_id[1], 131000, got, 100, &n), -EIO);
	CHECK_INT(faults(), 2);
}

static void
damage_header(void)
{
	CHECK_INT(test_blob_compare(&damage_id[0], 5000, 0), -EIO);
	CHECK_INT(test_blob_compare(&damage_id[2], 5000, 2), 0);
	CHECK_INT(faults(), 3);
}

static void
damage_costs_one_blob(void **state)
{
	(void)state;
	begin();
	here(damage_make);
	flip(".seg", 5000 + 44 + 130000);
	flip(".blob", 399999);
	here(damage_verify);
	flip(".seg", 26); /* length in the first header */
	here(damage_header);
	end();
}

/* What a dying process left behind the good octets does not matter. */
static void
torn_more(void)
{
	struct store_blob_id id;

	CHECK_INT(test_blob_store(&id, 7000, 9), 0);
	CHECK_INT(test_blob_compare(&id, 7000, 9), 0);
	for (unsigned i = 0; i < 4; i++)
		CHECK_INT(
		    test_blob_compare(&damage_id[i], damage_size[i], i), 0);
	CHECK_INT(faults(), 0);
}

static void
a_torn_tail_is_cut(void **state)
{
	char path[400], junk[5000];
	int fd;

	(void)state;
	begin();
	here(damage_make);
	snprintf(path, sizeof(path), "%s/blobs/00000001.seg", test_dir);
	memset(junk, 'P', sizeof(junk));
	fd = open(path, O_WRONLY | O_APPEND);
	assert_int_equal(write(fd, junk, sizeof(junk)), sizeof(junk));
	close(fd);
	here(torn_more);
	CHECK_INT(files_with(".seg"), 1);
	end();
}

/* --- upkeep --- */

#define MANY 200
static struct store_blob_id many[MANY];

static void
compact_fill(void)
{
	for (unsigned i = 0; i < MANY; i++)
		CHECK_INT(test_blob_store(&many[i], 20000 + i, i), 0);
}

static void
compact_run(void)
{
	struct store_stats before, after;
	struct store_blob_id id;
	bool more = true;

	/* The segment it was filled into is not ours any more after a reopen
	 * in which nothing was written, and this one takes it over: so leave
	 * it behind by filling it. */
	for (unsigned i = 0; i < MANY; i++)
		if (i % 5 != 0)
			CHECK_INT(store_blob_del(st, &many[i]), 0);
	CHECK_INT(store_stats(st, &before), 0);
	CHECK(before.blob_dead_octets > 3000000);
	while (more)
		CHECK_INT(store_compact(st, &more), 0);
	CHECK_INT(store_stats(st, &after), 0);
	CHECK_INT(after.blob_octets, before.blob_octets);
	CHECK(after.blob_dead_octets < 100000);
	for (unsigned i = 0; i < MANY; i++)
		CHECK_INT(test_blob_compare(&many[i], 20000 + i, i),
		    i % 5 != 0 ? -ENOENT : 0);
	CHECK_INT(faults(), 0);
	CHECK_INT(test_blob_store(&id, 100, 1), 0);
}

/* --- what a step of compaction costs who waits behind it --- */

static struct {
	uint64_t octets, zeros; /* these are ahead of both files */
	unsigned syncs, commits;
} work;

static ssize_t
work_pwritev(int fd, const struct iovec *iov, int n, off_t at)
{
	ssize_t done = pwritev(fd, iov, n, at);

	if (done > 0 && *(char *)iov->iov_base == '\0')
		work.zeros += (uint64_t)done;
	else if (done > 0)
		work.octets += (uint64_t)done;
	return done;
}

static int
work_fdatasync(int fd)
{
	work.syncs++;
	return fdatasync(fd);
}

static int
work_commit(MDB_txn *txn)
{
	work.commits++;
	return mdb_txn_commit(txn);
}

#define STEP_MAX ((uint64_t)512 << 10) /* octets: 256 KiB and one record */

static void
compact_work(void)
{
	uint64_t octets = 0;
	unsigned steps = 0;
	bool more = true;

	for (unsigned i = 0; i < MANY; i++)
		if (i % 3 != 0)
			CHECK_INT(store_blob_del(st, &many[i]), 0);
	store_io.pwritev = work_pwritev;
	store_io.fdatasync = work_fdatasync;
	store_io.txn_commit = work_commit;
	for (; more; steps++) {
		memset(&work, 0, sizeof(work));
		CHECK_INT(store_compact(st, &more), 0);
		CHECK(work.octets <= STEP_MAX);
		/* Rows, segment, and the one before it. */
		CHECK(work.zeros <= 4 * store_io.ahead);
		CHECK(work.syncs <= 2); /* two segments at most */
		CHECK(
		    work.commits <= 3); /* of another segment, rows, its end */
		octets += work.octets;
	}
	store_io.pwritev = pwritev;
	store_io.fdatasync = fdatasync;
	store_io.txn_commit = mdb_txn_commit;
	/* What lives, once, and no more. */
	CHECK(octets >= MANY / 3 * 20000 && octets < (MANY / 3 + 2) * 21000);
	CHECK(steps >= octets / STEP_MAX);
	CHECK_INT(faults(), 0);
}

static void
compaction_goes_by_small_steps(void **state)
{
	(void)state;
	begin();
	here(compact_fill);
	here(compact_work);
	CHECK_INT(files_with(".seg"), 1);
	end();
}

static void
compact_reader(void)
{
	struct pollfd go = { go_fd[0], POLLIN, 0 };

	CHECK_INT(write(told_fd[1], "", 1), 1);
	/* Reads all the time that the other compacts. */
	while (poll(&go, 1, 0) == 0)
		for (unsigned i = 0; i < MANY; i += 5) {
			CHECK_INT(test_blob_compare(&many[i], 20000 + i, i), 0);
			co_yield ();
		}
}

static void
compaction_moves_what_lives(void **state)
{
	pid_t pid;
	char c;

	(void)state;
	begin();
	assert_int_equal(pipe(told_fd), 0);
	assert_int_equal(pipe(go_fd), 0);
	here(compact_fill);
	pid = child(compact_reader);
	assert_int_equal(read(told_fd[0], &c, 1), 1);
	here(compact_run);
	say_go();
	child_end(pid);
	CHECK_INT(files_with(".seg"), 1);
	end();
}

/* --- a segment that is left in the middle of a group --- */

/* Another process that compacts all it can, whenever it is told to. */
static void
rival_run(void)
{
	bool more = true;

	wait_go();
	while (more)
		CHECK_INT(store_compact(st, &more), 0);
	CHECK_INT(write(told_fd[1], "", 1), 1);
}

static int left_fd;

/* At the first write to the segment behind the one that was left, so before
 * the rows of what was written to that. On the writer thread. */
static ssize_t
left_pwritev(int fd, const struct iovec *iov, int n, off_t at)
{
	char c;

	if (left_fd >= 0 && fd != left_fd) {
		say_go();
		CHECK_INT(read(told_fd[0], &c, 1), 1);
		left_fd = -2;
	} else if (left_fd == -1) {
		left_fd = fd;
	}
	return pwritev(fd, iov, n, at);
}

static void
left_watch(bool on)
{
	if (on)
		left_fd = -1;
	store_io.pwritev = on ? left_pwritev : pwritev;
}

#define LEFT 14
static struct store_blob_id left_ids[LEFT];

static void
left_compare(unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++)
		CHECK_INT(test_blob_compare(&left_ids[i], 1000, i), 0);
	CHECK_INT(faults(), 0);
	CHECK_INT(left_fd, -2); /* it did come to that */
}

/* One group that fills more than one segment. */
static void
left_by_commit(void)
{
	struct store_blob_writer *w[LEFT];
	struct store_batch *b[LEFT];
	int rc[LEFT];

	for (unsigned i = 0; i < LEFT; i++) {
		w[i] = test_blob(&left_ids[i], 1000, i);
		b[i] = store_batch_new(st, SLICE_LIT("p"));
		store_put(b[i], SLICE_LIT("k"), SLICE_LIT("v"));
		store_batch_need(b[i], w[i]);
	}
	left_watch(true);
	CHECK_INT(store_commit(st, b, LEFT, rc), 0);
	left_watch(false);
	for (unsigned i = 0; i < LEFT; i++) {
		store_batch_free(&b[i]);
		store_blob_writer_free(&w[i]);
	}
	left_compare(0, LEFT);
}

/* A step whose records go to two segments, of which the first is dead but for
 * them. */
static void
left_by_compaction(void)
{
	bool more = true;

	for (unsigned i = 0; i < LEFT - 1; i++)
		CHECK_INT(test_blob_store(&left_ids[i], 1000, i), 0);
	for (unsigned i = 0; i < LEFT - 1; i++)
		if (i < 4 || i >= 7)
			CHECK_INT(store_blob_del(st, &left_ids[i]), 0);
	left_watch(true);
	while (more)
		CHECK_INT(store_compact(st, &more), 0);
	left_watch(false);
	left_compare(4, 7);
}

/* What was written to it is in no row yet, and looks dead to others. */
static void
a_segment_is_kept_until_its_rows_are_there(void **state)
{
	static void (*const bodies[])(
	    void) = { left_by_commit, left_by_compaction };
	const struct store_io was = store_io;
	pid_t pid;

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		begin();
		store_io.segment_max = 8000;
		store_io.dead_min = 512;
		assert_int_equal(pipe(told_fd), 0);
		assert_int_equal(pipe(go_fd), 0);
		pid = child(rival_run);
		here(bodies[i]);
		child_end(pid);
		store_io = was;
		end();
	}
}

static void
orphan_make(void)
{
	struct store_blob_id id;
	struct store_blob_writer *w = test_blob(&id, 600000, 1);

	(void)w; /* the process dies with it */
	_exit(0);
}

static void
orphan_compact(void)
{
	bool more = true;

	while (more)
		CHECK_INT(store_compact(st, &more), 0);
}

static void
files_of_the_dead_are_collected(void **state)
{
	const struct timespec old[2] = { { 1000, 0 }, { 1000, 0 } };
	char path[400];
	struct dirent *e;
	DIR *d;

	(void)state;
	begin();
	child_end(child(orphan_make));
	CHECK_INT(files_with(".blob"), 1);
	here(orphan_compact);
	CHECK_INT(files_with(".blob"), 1); /* too young */
	snprintf(path, sizeof(path), "%s/blobs", test_dir);
	d = opendir(path);
	while ((e = readdir(d)) != NULL)
		utimensat(dirfd(d), e->d_name, old, 0);
	closedir(d);
	here(orphan_compact);
	CHECK_INT(files_with(".blob"), 0);
	end();
}

/* --- a database that is lost --- */

#define LOST 40
static struct store_blob_id lost_ids[LOST];

static size_t
lost_size(unsigned i)
{
	return i % 10 == 9 ? 400000 : i * 700;
}

/* Small ones in several segments, large ones, and some that were deleted, and
 * copies that compaction has made. */
static void
lost_fill(void)
{
	bool more = true;

	for (unsigned i = 0; i < LOST; i++)
		CHECK_INT(test_blob_store(&lost_ids[i], lost_size(i), i), 0);
	for (unsigned i = 0; i < LOST / 2; i += 2)
		CHECK_INT(store_blob_del(st, &lost_ids[i]), 0);
	while (more)
		CHECK_INT(store_compact(st, &more), 0);
}

static void
database_end(const char *octets)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/data.mdb", test_dir);
	CHECK_INT(unlink(path), 0);
	if (octets == NULL)
		return;
	CHECK((f = fopen(path, "w")) != NULL);
	for (int i = 0; f != NULL && i < 1000; i++)
		fputs(octets, f);
	if (f != NULL)
		fclose(f);
}

static int lost_rc;

static void
lost_open(void *arg)
{
	struct store_conf conf = test_conf();
	struct buf err = BUF_INIT;

	conf.readonly = *(bool *)arg;
	lost_rc = store_open(&st, &conf, &err);
	CHECK(lost_rc == 0 || err.n > 0);
	store_close(&st);
	buf_clear(&err);
}

static struct store_reindexed lost_found;

static void
lost_reindex(void *arg)
{
	struct store_conf conf = test_conf();
	struct buf err = BUF_INIT;

	(void)arg;
	lost_rc = store_reindex(&conf, &lost_found, &err);
	buf_clear(&err);
}

static void
lost_look(void)
{
	struct store_blob_id id;
	bool more = true;

	for (unsigned i = 1; i < LOST; i += i < LOST / 2 ? 2 : 1)
		CHECK_INT(test_blob_compare(&lost_ids[i], lost_size(i), i), 0);
	CHECK_INT(faults(), 0);
	/* And it goes on. */
	CHECK_INT(test_blob_store(&id, 3000, 77), 0);
	for (unsigned i = LOST / 2; i < LOST; i++)
		CHECK_INT(store_blob_del(st, &lost_ids[i]), 0);
	while (more)
		CHECK_INT(store_compact(st, &more), 0);
	CHECK_INT(test_blob_compare(&id, 3000, 77), 0);
	CHECK_INT(faults(), 0);
}

static void
holder(void)
{
	CHECK_INT(write(told_fd[1], "", 1), 1);
	wait_go();
}

static void
blobs_are_found_without_a_database(void **state)
{
	static const char *const ends[] = { NULL, "", "nonsense" };
	const struct store_io was = store_io;
	bool readonly[2] = { false, true };
	pid_t pid;
	char c;

	(void)state;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		begin();
		store_io.segment_max = 30000;
		store_io.blob_small = 1;
		store_io.dead_min = 512;
		assert_int_equal(pipe(told_fd), 0);
		assert_int_equal(pipe(go_fd), 0);
		here(lost_fill);
		/* Not under somebody who uses it. */
		pid = child(holder);
		CHECK_INT(read(told_fd[0], &c, 1), 1);
		co_run(lost_reindex, NULL);
		CHECK_INT(lost_rc, -EBUSY);
		say_go();
		child_end(pid);
		database_end(ends[i]);
		/* A new one in its place would be the end of all blobs. */
		for (size_t k = 0; k < 2; k++) {
			co_run(lost_open, &readonly[k]);
			CHECK_INT(lost_rc, -ENOTRECOVERABLE);
		}
		co_run(lost_reindex, NULL);
		CHECK_INT(lost_rc, 0);
		CHECK(lost_found.blobs >= LOST - LOST / 4);
		CHECK_INT(lost_found.damaged, 0);
		here(lost_look);
		store_io = was;
		end();
	}
}

/* A header costs that blob, as chunks do; what stands behind is found. */
static void
reindex_passes_over_damage(void **state)
{
	const struct store_io was = store_io;
	char path[128];
	FILE *f;

	(void)state;
	begin();
	here(lost_fill);
	snprintf(path, sizeof(path), "%s/blobs/00000001.seg", test_dir);
	f = fopen(path, "r+");
	assert_non_null(f);
	fputs("XXXX", f);
	fclose(f);
	database_end(NULL);
	co_run(lost_reindex, NULL);
	CHECK_INT(lost_rc, 0);
	CHECK_INT(lost_found.damaged, 1);
	CHECK_INT(lost_found.blobs, LOST - 1);
	store_io = was;
	end();
}

/* --- zeros ahead of what is written --- */

static int64_t
file_size(const char *name)
{
	char path[160];
	struct stat info;

	snprintf(path, sizeof(path), "%s/%s", test_dir, name);
	return stat(path, &info) == 0 ? (int64_t)info.st_size : -1;
}

#define AHEAD_SEGMENT "blobs/00000001.seg"
static const int64_t ahead_used = 400 * (40 + 2000 + 4);
#define ONE_MORE (40 + 100 + 4)

/* The files grow by steps, not with each message; and whoever ends in good
 * order leaves no zeros in a segment. */
static void
ahead_fill(void)
{
	int64_t sizes[2] = { 0, 0 }, now;
	unsigned grown[2] = { 0, 0 };
	char key[16];

	for (unsigned i = 0; i < 400; i++) {
		snprintf(key, sizeof(key), "%u", i);
		CHECK_INT(test_blob_store(&many[i % MANY], 2000, i), 0);
		test_put("p", key, "a row");
		for (size_t k = 0; k < 2; k++) {
			now = file_size(k == 0 ? AHEAD_SEGMENT : "data.mdb");
			CHECK(now >= sizes[k]);
			grown[k] += now > sizes[k];
			sizes[k] = now;
		}
	}
	CHECK(sizes[0] >= ahead_used);
	CHECK(sizes[0] <= ahead_used + (int64_t)store_io.ahead);
	/* Twice as long each time, then by 128 KiB. */
	CHECK(grown[0] >= 6 && grown[0] <= 16);
	CHECK(grown[1] <= 100);
}

static void
ahead_killed(void)
{
	ahead_fill();
	raise(SIGKILL);
}

static void
ahead_look(void)
{
	struct store_blob_id id;

	CHECK_INT(faults(), 0);
	CHECK(test_row_is("p", "399", "a row"));
	CHECK_INT(test_blob_store(&id, 100, 1), 0);
	CHECK_INT(test_blob_compare(&id, 100, 1), 0);
	CHECK_INT(faults(), 0);
}

static void
files_grow_ahead_of_what_is_written(void **state)
{
	int status = 0;
	pid_t pid;

	(void)state;
	begin();
	here(ahead_fill);
	CHECK_INT(file_size(AHEAD_SEGMENT), ahead_used);
	here(ahead_look);
	CHECK_INT(file_size(AHEAD_SEGMENT), ahead_used + ONE_MORE);
	end();
	/* A crash leaves them, and they are neither records nor damage. */
	begin();
	pid = child(ahead_killed);
	waitpid(pid, &status, 0);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	CHECK(file_size(AHEAD_SEGMENT) > ahead_used);
	here(ahead_look); /* cuts them off, and goes on from there */
	CHECK_INT(file_size(AHEAD_SEGMENT), ahead_used + ONE_MORE);
	end();
	begin();
	pid = child(ahead_killed);
	waitpid(pid, &status, 0);
	database_end(NULL);
	co_run(lost_reindex, NULL);
	CHECK_INT(lost_rc, 0);
	CHECK_INT(lost_found.blobs, 400);
	CHECK_INT(lost_found.damaged, 0);
	end();
}

static char backup_dir[96];

static void
backup_run(void)
{
	damage_make();
	test_put("p", "n", "1");
	CHECK_INT(store_backup(st, backup_dir), 0);
	test_put("p", "n", "2");
	test_put("p", "m", "new");
	CHECK_INT(test_blob_store(&many[0], 1000, 0), 0);
}

/* A segment keeps its size while it has room, and a file system's clock stands
 * still for some ms: what was written in these is copied the next time. */
static void
backup_at_once(void)
{
	char key[16];

	for (unsigned i = 0; i < 40; i++) {
		snprintf(key, sizeof(key), "once%u", i);
		CHECK_INT(test_blob_store(&many[i], 1000, i), 0);
		test_put("p", key, "1");
		CHECK_INT(store_backup(st, backup_dir), 0);
	}
}

static void
backup_at_once_look(void)
{
	CHECK(test_row_is("p", "once39", "1"));
	for (unsigned i = 0; i < 40; i++)
		CHECK_INT(test_blob_compare(&many[i], 1000, i), 0);
	CHECK_INT(faults(), 0);
}

static void
backup_again(void)
{
	CHECK_INT(store_backup(st, backup_dir), 0);
	test_put("p", "n", "3");
}

static void
backup_first(void)
{
	CHECK(test_row_is("p", "n", "1"));
	CHECK(test_row_is("p", "m", NULL));
	for (unsigned i = 0; i < 4; i++)
		CHECK_INT(
		    test_blob_compare(&damage_id[i], damage_size[i], i), 0);
	CHECK_INT(faults(), 0);
}

static void
backup_second(void)
{
	CHECK(test_row_is("p", "n", "2"));
	CHECK(test_row_is("p", "m", "new"));
	CHECK_INT(test_blob_compare(&many[0], 1000, 0), 0);
	CHECK_INT(faults(), 0);
}

/* Look into the backup with `body`. */
static void
in_backup(void (*body)(void))
{
	char dir[sizeof(test_dir)];

	memcpy(dir, test_dir, sizeof(dir));
	snprintf(test_dir, sizeof(test_dir), "%.60s", backup_dir);
	here(body);
	memcpy(test_dir, dir, sizeof(dir));
}

static void
backup_is_a_store(void **state)
{
	(void)state;
	begin();
	snprintf(backup_dir, sizeof(backup_dir), "%s/backup", test_dir);
	here(backup_run);
	in_backup(backup_first);
	here(backup_again);
	in_backup(backup_second);
	here(backup_at_once);
	in_backup(backup_at_once_look);
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
		cmocka_unit_test(damage_costs_one_blob),
		cmocka_unit_test(a_torn_tail_is_cut),
		cmocka_unit_test(compaction_moves_what_lives),
		cmocka_unit_test(compaction_goes_by_small_steps),
		cmocka_unit_test(a_segment_is_kept_until_its_rows_are_there),
		cmocka_unit_test(files_of_the_dead_are_collected),
		cmocka_unit_test(blobs_are_found_without_a_database),
		cmocka_unit_test(reindex_passes_over_damage),
		cmocka_unit_test(files_grow_ahead_of_what_is_written),
		cmocka_unit_test(backup_is_a_store),
		cmocka_unit_test(a_drop_is_finished_at_open),
		cmocka_unit_test(folders_stay_of_the_group),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
