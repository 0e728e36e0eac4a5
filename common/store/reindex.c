/* SPDX-License-Identifier: ISC */
/*
 * The index of the blobs made anew from their files, for a store that has lost
 * its database. Each record has its id, length and sums, so a file is walked
 * from record to record; behind a broken header the next whole one is looked
 * for. A record whose header is whole is passed over as a whole, so that no
 * octets of a message are taken for a record.
 *
 * All segments become full: behind what is known nobody appends.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/store/embedded.h"

struct reindex {
	struct emb *e;
	MDB_txn *txn;
	struct store_reindexed *out;
	char *chunk;   /* RECORD_CHUNK + RECORD_CRC */
	uint32_t last; /* the greatest number of a segment */
};

static bool
read_exactly(int fd, void *p, size_t n, uint64_t at)
{
	return pread(fd, p, n, (off_t)at) == (ssize_t)n;
}

static bool
chunks_are_good(struct reindex *x, int fd, uint64_t at, const struct record *r)
{
	uint64_t n = (r->length + RECORD_CHUNK - 1) / RECORD_CHUNK;
	size_t octets;

	for (uint64_t i = 0; i < n; i++) {
		octets = record_chunk_n(r->length, i);
		if (!read_exactly(fd, x->chunk, octets + RECORD_CRC,
			at + record_chunk_at(i)) ||
		    get_be32(x->chunk + octets) !=
			record_crc(&r->id, i, slice(x->chunk, octets)))
			return false;
	}
	return true;
}

/* A whole record, unless another copy of it is known. */
static int
record_index(
    struct reindex *x, const struct record *r, uint32_t segment, uint64_t at)
{
	struct location l = { segment, at, r->length, r->written_s }, other;
	int rc = location_get(x->e, x->txn, &r->id, &other);

	if (rc != MDB_NOTFOUND)
		return rc;
	if ((rc = segment_live(x->e, x->txn, &l, true)) != 0)
		return rc;
	x->out->blobs++;
	x->out->octets += r->length;
	return location_put(x->e, x->txn, &r->id, &l);
}

/* --- segments --- */

static bool
header_at(int fd, uint64_t at, uint64_t end, struct record *r)
{
	char header[RECORD_HEADER];

	return end - at >= RECORD_HEADER &&
	    read_exactly(fd, header, sizeof(header), at) &&
	    record_decode(header, r) && r->length <= end &&
	    record_size(r->length) <= end - at;
}

/* The next whole header behind `at`; `end`: there is none. */
static uint64_t
header_find(struct reindex *x, int fd, uint64_t at, uint64_t end)
{
	struct record r;
	const char *p;
	ssize_t n;

	for (at++; at < end; at += (uint64_t)n) {
		n = pread(fd, x->chunk, RECORD_CHUNK, (off_t)at);
		if (n <= 0)
			return end;
		for (p = x->chunk; p < x->chunk + n; p++) {
			p = memchr(p, 'P', (size_t)(x->chunk + n - p));
			if (p == NULL)
				break;
			if (header_at(
				fd, at + (uint64_t)(p - x->chunk), end, &r))
				return at + (uint64_t)(p - x->chunk);
		}
	}
	return end;
}

/* Whoever wrote it keeps zeros ahead (store_io_ahead), which are no damage. */
static bool
zeros_only(struct reindex *x, int fd, uint64_t at, uint64_t end)
{
	size_t n;

	for (; at < end; at += n) {
		n = end - at < RECORD_CHUNK ? (size_t)(end - at) : RECORD_CHUNK;
		if (!read_exactly(fd, x->chunk, n, at) || x->chunk[0] != '\0' ||
		    memcmp(x->chunk, x->chunk + 1, n - 1) != 0)
			return false;
	}
	return true;
}

/* *to: the end of the file, and then of what is in it. */
static int
segment_walk(struct reindex *x, uint32_t number, int fd, uint64_t *to)
{
	struct record r;
	uint64_t at = 0, end = *to;
	int rc = 0;

	while (at < end && rc == 0) {
		if (!header_at(fd, at, end, &r)) {
			if (zeros_only(x, fd, at, end))
				break;
			x->out->damaged++;
			at = header_find(x, fd, at, end);
			continue;
		}
		if (chunks_are_good(x, fd, at, &r))
			rc = record_index(x, &r, number, at);
		else
			x->out->damaged++;
		at += record_size(r.length);
	}
	*to = at;
	return rc;
}

/* Its row first: what is counted live needs it. One in which nothing is whole
 * is left alone for ever. */
static int
segment_index(struct reindex *x, uint32_t number, int fd, uint64_t end)
{
	struct segment_row row = { .full = true };
	int rc = segment_row_put(x->e, x->txn, number, &row);

	if (rc == 0)
		rc = segment_walk(x, number, fd, &end);
	if (rc == 0)
		rc = segment_row_get(x->e, x->txn, number, &row);
	if (rc == 0 && row.live > 0) {
		row.committed = end;
		rc = segment_row_put(x->e, x->txn, number, &row);
	}
	if (number > x->last)
		x->last = number;
	return rc;
}

/* --- files --- */

static int
large_index(struct reindex *x, const char *name, int fd, uint64_t end)
{
	char is[BLOB_NAME_MAX];
	struct record r;

	if (!header_at(fd, 0, end, &r) || record_size(r.length) != end) {
		x->out->damaged++;
		return 0;
	}
	blob_file_name(is, SEGMENT_OWN_FILE, &r.id);
	if (strcmp(is, name) == 0 && chunks_are_good(x, fd, 0, &r))
		return record_index(x, &r, SEGMENT_OWN_FILE, 0);
	x->out->damaged++;
	return 0;
}

static int
file_index(struct reindex *x, const char *name)
{
	size_t n = strlen(name);
	struct stat st;
	unsigned number;
	int fd, rc = 0;

	if (n != 12 && n != 37)
		return 0;
	if ((fd = openat(x->e->blobs_fd, name, O_RDONLY | O_CLOEXEC)) == -1 ||
	    fstat(fd, &st) == -1)
		rc = errno;
	else if (flock(fd, LOCK_SH | LOCK_NB) == -1)
		rc = EBUSY;
	else if (n == 37)
		rc = large_index(x, name, fd, (uint64_t)st.st_size);
	else if (sscanf(name, "%8x.seg", &number) == 1 &&
	    number != SEGMENT_COUNTER && number != SEGMENT_OWN_FILE)
		rc = segment_index(x, number, fd, (uint64_t)st.st_size);
	if (fd != -1)
		close(fd);
	return rc;
}

/* A transaction for each file: a dirty page takes memory. */
static int
file_commit(struct reindex *x, const char *name)
{
	int rc = mdb_txn_begin(x->e->env, NULL, 0, &x->txn);

	if (rc != 0)
		return rc;
	if ((rc = file_index(x, name)) == 0)
		return mdb_txn_commit(x->txn);
	mdb_txn_abort(x->txn);
	return rc;
}

static int
counter_put(struct reindex *x)
{
	const struct segment_row row = { .committed = x->last, .full = true };
	int rc = mdb_txn_begin(x->e->env, NULL, 0, &x->txn);

	if (rc != 0)
		return rc;
	if ((rc = segment_row_put(x->e, x->txn, SEGMENT_COUNTER, &row)) == 0)
		return mdb_txn_commit(x->txn);
	mdb_txn_abort(x->txn);
	return rc;
}

/* Syncs at the end, not for each file. */
static int
fill(struct emb *e, void *arg)
{
	struct reindex *x = arg;
	struct dirent *d;
	int fd = openat(e->blobs_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd == -1 ? NULL : fdopendir(fd);
	int rc = dir == NULL ? errno : mdb_env_set_flags(e->env, MDB_NOSYNC, 1);

	while (rc == 0 && (d = readdir(dir)) != NULL)
		rc = file_commit(x, d->d_name);
	if (dir != NULL)
		closedir(dir);
	else if (fd != -1)
		close(fd);
	if (rc == 0)
		rc = counter_put(x);
	return rc == 0 ? mdb_env_sync(e->env, 1) : rc;
}

int
store_reindex(
    const struct store_conf *conf, struct store_reindexed *out, struct buf *err)
{
	struct store s = { .watches = { .fd = -1, .dir_fd = -1 } };
	struct reindex x = { .out = out };
	int rc = emb_begin(&s, conf, err);

	*out = (struct store_reindexed){ 0 };
	if (rc == 0 && watches_anybody(conf->dir)) {
		buf_printf(err, "%s: it is in use", conf->dir);
		rc = -EBUSY;
	}
	if (rc == 0 && (x.chunk = malloc(RECORD_CHUNK + RECORD_CRC)) == NULL)
		rc = -ENOMEM;
	if (rc == 0) {
		x.e = s.e;
		rc = emb_env_remake(x.e, fill, &x);
		if (rc != 0)
			buf_printf(err, "%s: %s", conf->dir, mdb_strerror(rc));
		rc = rc == EBUSY ? -EBUSY : emb_error(rc);
	}
	free(x.chunk);
	if (s.e != NULL)
		emb_close(&s);
	return rc;
}
