/* SPDX-License-Identifier: ISC */
/*
 * Blobs of the embedded engine, on the loop's thread.
 *
 * Writing: the record is built in memory. A blob of up to store_io.blob_small stays
 * there until a commit that needs it has put it into the segment, so blobs of
 * many writers never mix, and whatever happens to a segment it can be written
 * again. A larger one goes to a file of its own, named by its id, as it comes
 * in; the file is locked while its writer lives, so that compaction can tell
 * what a crash has left.
 *
 * Reading: by chunks, each verified. What is not in the page cache is read by
 * the thread pool.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/store/embedded.h"
#include "common/store/store_io.h"

#define LIST_PAGE 256
#define ROOM_FOR_ROWS ((uint64_t)32 << 20)

static struct emb_writer *
sealed_find(const struct emb *e, const struct store_blob_id *id)
{
	struct emb_writer *w = e->sealed;

	while (w != NULL && memcmp(&w->w.id, id, sizeof(*id)) != 0)
		w = w->next;
	return w;
}

static int
locate(struct emb *e, const struct store_blob_id *id, struct location *l)
{
	int rc = emb_read_begin(e);

	if (rc != 0)
		return rc;
	rc = emb_fault(e, "index", location_get(e, e->read_txn, id, l));
	emb_read_end(e);
	if (rc == -EIO)
		emb_fault_log(e);
	return rc;
}

/* --- writing --- */

/*
 * Deleting needs room too: LMDB writes pages anew before the old ones are
 * free. So the last of a disk is kept for rows; else what fills it could never
 * be removed from it.
 */
static bool
has_room(struct emb *e)
{
	struct statvfs v;
	uint64_t reserve;

	if (store_io.fstatvfs(e->dir_fd, &v) == -1)
		return true;
	reserve = (uint64_t)v.f_blocks * v.f_frsize / 16;
	if (reserve > ROOM_FOR_ROWS)
		reserve = ROOM_FOR_ROWS;
	return (uint64_t)v.f_bavail * v.f_frsize >= reserve;
}

int
emb_blob_begin(struct store *s, const struct store_blob_id *id,
    struct store_blob_writer **out)
{
	struct emb *e = s->e;
	struct emb_writer *w;
	struct location l;
	int rc;

	if (sealed_find(e, id) != NULL)
		return -EEXIST;
	if ((rc = locate(e, id, &l)) != -ENOENT)
		return rc == 0 ? -EEXIST : rc;
	if (!has_room(e))
		return -ENOSPC;
	if ((w = calloc(1, sizeof(*w))) == NULL)
		return -ENOMEM;
	w->fd = -1;
	if (!buf_reserve(&w->record, RECORD_HEADER)) {
		free(w);
		return -ENOMEM;
	}
	memset(w->record.p, 0, RECORD_HEADER);
	w->record.n = w->chunk_at = RECORD_HEADER;
	*out = &w->w;
	return 0;
}

static int
file_begin(struct emb *e, struct emb_writer *w)
{
	char name[BLOB_NAME_MAX];

	blob_file_name(name, SEGMENT_OWN_FILE, &w->w.id);
	w->fd = openat(e->blobs_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC,
	    e->group ? 0660 : 0600);
	if (w->fd == -1)
		return emb_fault(e, "new blob", errno);
	/* Nobody else can have the lock but a collector that goes away. */
	if (flock(w->fd, LOCK_EX) == -1)
		return emb_fault(e, "lock of a blob", errno);
	if (e->group)
		(void)!fchmod(w->fd, 0660);
	return 0;
}

struct file_write {
	struct emb_writer *w;
	int rc;
};

static void
file_write(void *arg)
{
	struct file_write *f = arg;
	struct iovec iov = { f->w->record.p, f->w->record.n };

	f->rc = store_io_write(f->w->fd, &iov, 1, (off_t)f->w->file_n);
}

/* All complete chunks to the blob's own file. */
static int
file_flush(struct emb *e, struct emb_writer *w)
{
	struct file_write f = { w, 0 };
	int rc;

	if (w->fd == -1 && (rc = file_begin(e, w)) != 0)
		return rc;
	if (co_self() == NULL || co_work(file_write, &f) != 0)
		file_write(&f);
	if (f.rc != 0)
		return emb_fault(e, "write of a blob", -f.rc);
	w->file_n += w->record.n;
	w->chunk_at = 0;
	buf_reset(&w->record);
	return 0;
}

/* End the open chunk with its sum. */
static int
chunk_end(struct emb_writer *w)
{
	struct slice octets = slice_from(buf_slice(&w->record), w->chunk_at);
	uint32_t crc = record_crc(&w->w.id, w->chunk_number, octets);

	if (!buf_put_be32(&w->record, crc))
		return -ENOMEM;
	w->chunk_number++;
	w->chunk_at = w->record.n;
	return 0;
}

int
emb_blob_write(struct store_blob_writer *writer, struct slice octets)
{
	struct emb_writer *w = (struct emb_writer *)writer;
	struct emb *e = writer->s->e;
	struct slice part;
	int rc = 0;

	while (octets.n > 0 && rc == 0) {
		part = slice_head(
		    octets, RECORD_CHUNK - (w->record.n - w->chunk_at));
		if (!buf_put_slice(&w->record, part))
			return -ENOMEM;
		octets = slice_from(octets, part.n);
		if (w->record.n - w->chunk_at < RECORD_CHUNK)
			break;
		if ((rc = chunk_end(w)) == 0 &&
		    w->record.n >= store_io.blob_small)
			rc = file_flush(e, w);
	}
	emb_fault_log(e);
	return rc;
}

int
emb_blob_seal(struct store_blob_writer *writer)
{
	struct emb_writer *w = (struct emb_writer *)writer;
	struct emb *e = writer->s->e;
	const struct record r = { writer->id, writer->size, writer->written_s };
	char header[RECORD_HEADER];
	struct iovec iov = { header, sizeof(header) };
	int rc;

	if (w->record.n > w->chunk_at && (rc = chunk_end(w)) != 0)
		return rc;
	record_encode(header, &r);
	if (w->fd == -1) {
		memcpy(w->record.p, header, sizeof(header));
	} else {
		if (w->record.n > 0 && (rc = file_flush(e, w)) != 0)
			return rc;
		if ((rc = store_io_write(w->fd, &iov, 1, 0)) != 0)
			return emb_fault(e, "write of a blob", -rc);
		buf_clear(&w->record);
	}
	w->location.length = writer->size;
	w->location.written_s = writer->written_s;
	w->state = BLOB_SEALED;
	w->next = e->sealed;
	e->sealed = w;
	return 0;
}

static void
sealed_forget(struct emb *e, struct emb_writer *w)
{
	struct emb_writer **at = &e->sealed;

	while (*at != NULL && *at != w)
		at = &(*at)->next;
	if (*at != NULL)
		*at = w->next;
}

void
emb_blob_answered(struct emb *e, struct emb_writer *w, int rc)
{
	if (rc == STORE_EUNKNOWN)
		w->doubtful = true;
	if (rc != 0 || w->settled)
		return;
	w->settled = true;
	sealed_forget(e, w);
	buf_clear(&w->record);
}

void
emb_blob_writer_free(struct store_blob_writer *writer)
{
	struct emb_writer *w = (struct emb_writer *)writer;
	struct emb *e = writer->s->e;
	char name[BLOB_NAME_MAX];

	sealed_forget(e, w);
	if (w->fd != -1 && !w->settled && !w->doubtful) {
		blob_file_name(name, SEGMENT_OWN_FILE, &writer->id);
		(void)unlinkat(e->blobs_fd, name, 0);
	}
	if (w->fd != -1)
		close(w->fd);
	buf_clear(&w->record);
	free(w);
}

/* --- files --- */

static bool
file_is(const struct blob_file *f, const struct location *l,
    const struct store_blob_id *id)
{
	return f->fd != -1 && f->segment == l->segment &&
	    (l->segment != SEGMENT_OWN_FILE ||
		memcmp(&f->id, id, sizeof(*id)) == 0);
}

/* The slot of the file, or the one that was not used for longest. */
static struct blob_file *
file_slot(
    struct emb *e, const struct location *l, const struct store_blob_id *id)
{
	struct blob_file *best = NULL;

	for (size_t i = 0; i < BLOB_FILES; i++) {
		if (file_is(&e->files[i], l, id))
			return &e->files[i];
		if (e->files[i].users == 0 &&
		    (best == NULL || e->files[i].used < best->used))
			best = &e->files[i];
	}
	return best;
}

/* -ENOENT: moved or deleted. -EAGAIN: too many reads at once. */
static int
file_get(struct emb *e, const struct location *l,
    const struct store_blob_id *id, struct blob_file **out)
{
	struct blob_file *f = file_slot(e, l, id);
	char name[BLOB_NAME_MAX];

	if (f == NULL)
		return -EAGAIN;
	if (!file_is(f, l, id)) {
		if (f->fd != -1)
			close(f->fd);
		blob_file_name(name, l->segment, id);
		f->fd = openat(e->blobs_fd, name, O_RDONLY | O_CLOEXEC);
		if (f->fd == -1)
			return errno == ENOENT ? -ENOENT
					       : emb_fault(e, "open", errno);
		f->segment = l->segment;
		f->id = *id;
	}
	f->used = ++e->files_clock;
	f->users++;
	*out = f;
	return 0;
}

void
emb_files_close(struct emb *e, bool all)
{
	struct stat st;

	for (struct blob_file *f = e->files; f < e->files + BLOB_FILES; f++) {
		if (f->fd == -1 || f->users > 0)
			continue;
		if (!all && fstat(f->fd, &st) == 0 && st.st_nlink > 0)
			continue;
		close(f->fd);
		f->fd = -1;
	}
}

/* --- reading --- */

struct file_read {
	int fd;
	char *p;
	size_t n;
	off_t at;
	int rc;
};

/* May block: for the thread pool. */
static void
file_read(void *arg)
{
	struct file_read *r = arg;
	ssize_t n;

	while (r->n > 0) {
		n = pread(r->fd, r->p, r->n, r->at);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0) {
			r->rc = -EIO;
			return;
		}
		r->p += n;
		r->at += n;
		r->n -= (size_t)n;
	}
}

/* From the page cache at once, else by a thread of the pool. */
static int
read_all(struct emb *e, struct file_read *r)
{
	struct iovec iov = { r->p, r->n };
	ssize_t n = -1;

	if (!e->no_nowait) {
		n = preadv2(r->fd, &iov, 1, r->at, RWF_NOWAIT);
		if (n == -1 && (errno == EOPNOTSUPP || errno == ENOSYS))
			e->no_nowait = true;
	}
	if (n > 0) {
		r->p += n;
		r->at += n;
		r->n -= (size_t)n;
	}
	if (r->n > 0 &&
	    (e->no_nowait || co_self() == NULL || co_work(file_read, r) != 0))
		file_read(r);
	return r->rc;
}

/* The first chunk comes with the header, and both are verified. */
static bool
chunk_is_good(const struct chunk *c, const struct location *l)
{
	struct record r;

	if (c->number == 0 &&
	    (!record_decode(c->octets, &r) || r.length != l->length ||
		memcmp(&r.id, &c->id, sizeof(r.id)) != 0))
		return false;
	return c->n == 0 ||
	    get_be32(c->octets + c->at + c->n) ==
	    record_crc(&c->id, c->number, slice(c->octets + c->at, c->n));
}

static int
chunk_load(struct emb *e, struct chunk *c, struct blob_file *f,
    const struct location *l, const struct store_blob_id *id, uint64_t number)
{
	struct file_read r = { .fd = f->fd, .p = c->octets };
	int rc;

	if (c->valid && c->number == number &&
	    memcmp(&c->id, id, sizeof(*id)) == 0)
		return 0;
	c->valid = false;
	c->id = *id;
	c->number = number;
	c->at = number == 0 ? RECORD_HEADER : 0;
	c->n = record_chunk_n(l->length, number);
	r.at = (off_t)(l->at + record_chunk_at(number) - c->at);
	r.n = c->at + c->n + (c->n > 0 ? RECORD_CRC : 0);
	if ((rc = read_all(e, &r)) != 0)
		return rc;
	c->valid = chunk_is_good(c, l);
	return c->valid ? 0 : -EIO;
}

static int
located_read(struct emb *e, struct chunk *c, struct blob_file *f,
    const struct location *l, const struct store_blob_id *id, uint64_t at,
    struct slice *room, size_t *got)
{
	uint64_t number = at / RECORD_CHUNK;
	size_t within = (size_t)(at % RECORD_CHUNK);
	struct slice part;
	int rc;

	if ((rc = chunk_load(e, c, f, l, id, number)) != 0)
		return rc;
	part = slice_from(slice(c->octets + c->at, c->n), within);
	part = slice_head(part, room->n);
	if (part.n > 0)
		memcpy((char *)(uintptr_t)room->p, part.p, part.n);
	*room = slice_from(*room, part.n);
	*got += part.n;
	return 0;
}

/* All of the range; the chunk is ours while we may wait. */
static int
range_read(struct emb *e, const struct location *l,
    const struct store_blob_id *id, uint64_t at, void *p, size_t n, size_t *got)
{
	struct slice room = slice(p, n);
	struct chunk *c = e->chunk;
	struct blob_file *f = NULL;
	int rc;

	while ((rc = file_get(e, l, id, &f)) == -EAGAIN && co_self() != NULL)
		(void)co_yield ();
	if (rc != 0)
		return rc;
	e->chunk = NULL;
	if (c == NULL && (c = malloc(sizeof(*c))) != NULL)
		c->valid = false;
	*got = 0;
	rc = c == NULL ? -ENOMEM : 0;
	/* An empty blob has a header to verify all the same. */
	if (rc == 0 && l->length == 0)
		rc = located_read(e, c, f, l, id, 0, &room, got);
	while (rc == 0 && room.n > 0 && at + *got < l->length)
		rc = located_read(e, c, f, l, id, at + *got, &room, got);
	f->users--;
	if (e->chunk == NULL)
		e->chunk = c;
	else
		free(c);
	return rc;
}

/* Of a blob that no commit has needed yet; by this process, a moment ago, so
 * its octets are in memory or in the page cache. */
static int
sealed_read(struct emb_writer *w, uint64_t at, struct slice room, size_t *got)
{
	uint64_t number, from;
	size_t within, n;

	while (room.n > 0 && at < w->w.size) {
		number = at / RECORD_CHUNK;
		within = (size_t)(at % RECORD_CHUNK);
		from = record_chunk_at(number) + within;
		n = record_chunk_n(w->w.size, number) - within;
		n = n < room.n ? n : room.n;
		if (w->fd == -1)
			memcpy(
			    (char *)(uintptr_t)room.p, w->record.p + from, n);
		else if (pread(w->fd, (char *)(uintptr_t)room.p, n,
			     (off_t)from) != (ssize_t)n)
			return -EIO;
		room = slice_from(room, n);
		at += n;
		*got += n;
	}
	return 0;
}

int
emb_blob_read(struct store *s, const struct store_blob_id *id, uint64_t at,
    void *p, size_t n, size_t *got)
{
	struct emb *e = s->e;
	struct emb_writer *w = sealed_find(e, id);
	struct location l;
	int rc;

	if (w != NULL)
		return sealed_read(w, at, slice(p, n), got);
	/* Compaction may move it between the look and the open. */
	for (int attempt = 0; attempt < 5; attempt++) {
		if ((rc = locate(e, id, &l)) != 0)
			return rc;
		rc = range_read(e, &l, id, at, p, n, got);
		if (rc != -ENOENT)
			break;
	}
	emb_fault_log(e);
	return rc == -ENOENT ? -EIO : rc;
}

int
emb_blob_size(struct store *s, const struct store_blob_id *id, uint64_t *size)
{
	struct emb_writer *w = sealed_find(s->e, id);
	struct location l;
	int rc;

	if (w != NULL) {
		*size = w->w.size;
		return 0;
	}
	if ((rc = locate(s->e, id, &l)) == 0)
		*size = l.length;
	return rc;
}

int
emb_blob_verify(struct emb *e, const struct store_blob_id *id)
{
	uint64_t at = 0;
	size_t got;
	int rc;
	char *p = malloc(RECORD_CHUNK);

	if (p == NULL)
		return -ENOMEM;
	do {
		rc = emb_blob_read(e->s, id, at, p, RECORD_CHUNK, &got);
		at += got;
	} while (rc == 0 && got == RECORD_CHUNK);
	free(p);
	return rc;
}

/* --- listing --- */

struct listed {
	struct store_blob_id id;
	struct location l;
};

/* The next page behind `last` (NULL: the first). */
static int
list_page(struct emb *e, const struct store_blob_id *last, struct listed *out,
    size_t *n)
{
	char from[sizeof(*last) + 1] = { 0 };
	MDB_val k = { 0, from }, v;
	MDB_cursor *c;
	int rc, mdb_rc;

	*n = 0;
	if (last != NULL) {
		memcpy(from, last->octets, sizeof(*last));
		k.mv_size = sizeof(from); /* with a NUL: behind it */
	}
	if ((rc = emb_read_begin(e)) != 0)
		return rc;
	mdb_rc = mdb_cursor_open(e->read_txn, e->blobs, &c);
	if (mdb_rc == 0) {
		mdb_rc = mdb_cursor_get(
		    c, &k, &v, last == NULL ? MDB_FIRST : MDB_SET_RANGE);
		while (mdb_rc == 0 && *n < LIST_PAGE) {
			memcpy(&out[*n].id, k.mv_data, sizeof(out->id));
			if (location_decode(v, &out[*n].l))
				++*n;
			mdb_rc = mdb_cursor_get(c, &k, &v, MDB_NEXT);
		}
		mdb_cursor_close(c);
	}
	emb_read_end(e);
	return mdb_rc == MDB_NOTFOUND ? 0 : emb_fault(e, "list", mdb_rc);
}

int
emb_blob_list(struct store *s, const struct store_blob_id *after,
    store_blob_fn *blob, void *arg)
{
	struct listed *page = malloc(LIST_PAGE * sizeof(*page));
	const struct store_blob_id *last = after;
	struct store_blob_id behind;
	size_t n;
	int rc = page == NULL ? -ENOMEM : 0;

	while (
	    rc == 0 && (rc = list_page(s->e, last, page, &n)) == 0 && n > 0) {
		for (size_t i = 0; i < n && rc == 0; i++)
			rc = blob(arg, &page[i].id, page[i].l.length,
			    page[i].l.written_s);
		behind = page[n - 1].id;
		last = &behind;
		if (co_self() != NULL)
			(void)co_yield ();
	}
	free(page);
	return rc;
}
