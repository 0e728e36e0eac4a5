/* SPDX-License-Identifier: ISC */
/*
 * The embedded engine's files over time: damage, compaction, what the dead left, a
 * database that is lost, backup.
 */
#include "tests/unit/common/embedded_test.h"

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

int
main(void)
{
	const struct CMUnitTest tests[] = {
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
