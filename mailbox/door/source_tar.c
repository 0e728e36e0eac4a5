/* SPDX-License-Identifier: ISC */
/*
 * A tar of a Maildir. Members come in any order, and the list that says what
 * the letters in their names mean may be the last one: so all is looked through
 * first, and read in order then. What cannot be read twice, a pipe or a
 * compressed file, is kept in a file without a name meanwhile.
 *
 * In memory are 32 octets for each message.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/imap/level.h"
#include "mailbox/door/source.h"
#include "mailbox/door/spill.h"
#include "mailbox/door/tar.h"

#define FOLDERS_MAX 4096
#define LISTS_MAX (4 * FOLDERS_MAX)

struct place {
	uint64_t at, size;
};

struct folder {
	const char *path; /* in the archive, without cur */
	struct folder *next;
	bool used;
};

struct beside {
	const struct folder *folder;
	int kind; /* enum maildir_list, or -1 - enum maildir_subscriptions */
	struct place place;
	struct beside *next;
};

struct member {
	const struct folder *folder;
	uint64_t at; /* of the record in `names` */
};
struct path_mark {
	uint64_t fingerprint, at;
};

/* A record: the place, mtime, and the file's name. Of a hard link the size is
 * the fingerprint of what it links to. */
#define RECORD_HEAD 25
#define IS_LINK UINT64_MAX
struct record {
	struct place place;
	int64_t mtime;
	size_t n;
	char name[MAILDIR_NAME_MAX];
};

struct reader {
	const struct source *s;
	struct maildir_index *ix;
	struct source_stream *stream; /* of what is read once */
	int fd;                       /* of what can be read again */
	uint64_t base, copied;
	struct arena a;
	struct folder *folders, *last;
	struct beside *beside;
	size_t n_folders, n_beside;
	struct spill names;
	struct member *members;
	struct path_mark *paths;
	size_t n, cap;
	uint64_t at, left; /* of the member that is being read */
};

/* --- what is read once is kept --- */

static ssize_t
read_and_keep(void *arg, void *p, size_t n)
{
	struct reader *r = arg;
	ssize_t got = source_stream_read(r->stream, p, n), done = 0, w;

	while (done < got) {
		w = pwrite(r->fd, (char *)p + done, (size_t)(got - done),
		    (off_t)r->copied);
		if (w == -1 && errno != EINTR)
			return -errno;
		if (w > 0) {
			done += w;
			r->copied += (uint64_t)w;
		}
	}
	return got;
}

static bool
is_plain_file(int fd, uint64_t *base)
{
	unsigned char magic[2];
	struct stat st;
	off_t at;

	if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode) ||
	    (at = lseek(fd, 0, SEEK_CUR)) == -1)
		return false;
	*base = (uint64_t)at;
	return pread(fd, magic, 2, at) != 2 || magic[0] != 0x1f ||
	    magic[1] != 0x8b;
}

static int
open_stream(struct reader *r, struct input **in)
{
	const char *path = r->s->path;
	int rc;

	r->fd = strcmp(path, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
				       : open(path, O_RDONLY | O_CLOEXEC);
	if (r->fd == -1)
		return -errno;
	if (is_plain_file(r->fd, &r->base))
		return input_new(in, r->fd, r->s->dir);
	close(r->fd);
	r->base = 0;
	if ((r->fd = door_tempfile(r->s->dir)) < 0)
		return r->fd;
	if ((rc = source_stream_open(&r->stream, path)) != 0)
		return rc;
	return input_new_fn(in, read_and_keep, r, r->s->dir);
}

/* Octets of a place, as a stream. */
static ssize_t
read_place(void *arg, void *p, size_t n)
{
	struct reader *r = arg;
	ssize_t got;

	n = n < r->left ? n : (size_t)r->left;
	while ((got = pread(r->fd, p, n, (off_t)(r->base + r->at))) == -1 &&
	    errno == EINTR)
		;
	if (got == -1)
		return -errno;
	r->at += (uint64_t)got;
	r->left -= (uint64_t)got;
	return got;
}

/* --- looking through --- */

static struct folder *
folder_of(struct reader *r, struct slice path)
{
	struct folder *f = r->last;

	if (f != NULL && slice_eq_str(path, f->path))
		return f;
	for (f = r->folders; f != NULL; f = f->next)
		if (slice_eq_str(path, f->path))
			return r->last = f;
	if (r->n_folders++ == FOLDERS_MAX ||
	    (f = arena_alloc(&r->a, sizeof(*f))) == NULL ||
	    (f->path = arena_strdup(&r->a, path)) == NULL)
		return NULL;
	f->next = r->folders;
	return r->last = r->folders = f;
}

/* "./a//b/" as "a/b". */
static void
clean_path(struct slice path, struct buf *out)
{
	struct slice part;

	buf_reset(out);
	while (path.n > 0) {
		part = slice_split(&path, '/');
		if (part.n == 0 || slice_eq_str(part, "."))
			continue;
		if (out->n > 0)
			buf_put_char(out, '/');
		buf_put_slice(out, part);
	}
}

/* Cut the last part off. */
static struct slice
last_part(struct slice *path)
{
	ssize_t slash = slice_rfind(*path, '/');
	struct slice last = slice_from(*path, (size_t)(slash + 1));

	*path = slice_head(*path, slash < 0 ? 0 : (size_t)slash);
	return last;
}

static bool
is_messages(struct slice name)
{
	return slice_eq_str(name, "cur") || slice_eq_str(name, "new");
}

static int
members_grow(struct reader *r)
{
	size_t cap = r->cap == 0 ? 256 : r->cap * 2;
	struct member *m;
	struct path_mark *p;

	if (r->n < r->cap)
		return 0;
	if ((m = reallocarray(r->members, cap, sizeof(*m))) == NULL)
		return -ENOMEM;
	r->members = m;
	if ((p = reallocarray(r->paths, cap, sizeof(*p))) == NULL)
		return -ENOMEM;
	r->paths = p;
	r->cap = cap;
	return 0;
}

static int
add_member(struct reader *r, struct folder *f, struct slice path,
    struct slice name, const struct tar_entry *e, const struct place *place)
{
	char head[RECORD_HEAD];
	int rc = members_grow(r);

	if (rc != 0)
		return rc;
	f->used = true;
	r->members[r->n] = (struct member){ f, spill_end(&r->names) };
	r->paths[r->n++] = (struct path_mark){ door_fingerprint(&path, 1),
		spill_end(&r->names) };
	put_be64(head, place->at);
	put_be64(head + 8, place->size);
	put_be64(head + 16, (uint64_t)e->mtime);
	head[24] = (char)name.n;
	rc = spill_put(&r->names, slice(head, sizeof(head)));
	return rc != 0 ? rc : spill_put(&r->names, name);
}

static int
add_beside(
    struct reader *r, struct slice folder, int kind, const struct place *place)
{
	struct beside *b;

	if (r->n_beside++ == LISTS_MAX ||
	    (b = arena_alloc(&r->a, sizeof(*b))) == NULL ||
	    (b->folder = folder_of(r, folder)) == NULL)
		return -ENOMEM;
	b->kind = kind;
	b->place = *place;
	b->next = r->beside;
	r->beside = b;
	return 0;
}

/* A file that is no message: is it one of those beside them? */
static int
look_beside(struct reader *r, struct slice path, const struct place *place)
{
	const struct maildir_list_name *l = maildir_lists;
	struct slice folder = path, name = last_part(&folder);

	for (; l->name != NULL; l++) {
		struct slice want = slice_str(l->name);

		if (path.n < want.n ||
		    !slice_eq(slice_from(path, path.n - want.n), want) ||
		    (path.n > want.n && path.p[path.n - want.n - 1] != '/'))
			continue;
		folder = slice_head(path, path.n - want.n);
		folder.n -= folder.n > 0; /* the '/' */
		return add_beside(r, folder, (int)l->kind, place);
	}
	if (slice_eq_str(name, "subscriptions"))
		return add_beside(r, folder, -1 - MAILDIR_DOVECOT_1, place);
	if (slice_eq_str(name, "courierimapsubscribed"))
		return add_beside(r, folder, -1 - MAILDIR_COURIER, place);
	return 0;
}

static int
look_at(struct reader *r, const struct tar_entry *e, struct slice path,
    uint64_t at, struct buf *link)
{
	struct slice folder = path, name = last_part(&folder), above = folder;
	struct place place = { at, e->size };
	struct slice target;
	struct folder *f;

	if (e->type == TAR_FOLDER) {
		if (!is_messages(name))
			return 0;
		if ((f = folder_of(r, folder)) == NULL)
			return -ENOMEM;
		f->used = true;
		return 0;
	}
	if (e->type == TAR_OTHER)
		return 0;
	if (!is_messages(last_part(&above)))
		return e->type == TAR_FILE ? look_beside(r, path, &place) : 0;
	if (name.n > MAILDIR_NAME_MAX || name.p[0] == '.')
		return 0;
	if (e->type == TAR_HARD_LINK) {
		clean_path(e->link, link);
		target = buf_slice(link);
		place = (struct place){ IS_LINK, door_fingerprint(&target, 1) };
	}
	if ((f = folder_of(r, above)) == NULL)
		return -ENOMEM;
	return add_member(r, f, path, name, e, &place);
}

static void
tell_broken(struct reader *r, int rc)
{
	if (rc == -EBADMSG && r->n + r->n_folders == 0)
		door_warn(r->s->report, "%s: is no tar", r->s->path);
	else
		door_warn(r->s->report,
		    "%s: broken off; what came before that "
		    "is taken (%s)",
		    r->s->path, strerror(-rc));
	r->s->report->failed++;
}

static int
look_through(struct reader *r, struct input *in)
{
	struct buf path = BUF_INIT_MAX(TAR_PATH_MAX), link = path;
	struct tar_reader *t;
	struct tar_entry e;
	int rc = tar_reader_new(&t, in), next;

	if (rc != 0)
		return rc;
	while (rc == 0 && (next = tar_next(t, &e)) == 1) {
		clean_path(e.path, &path);
		if (path.n > 0)
			rc = look_at(
			    r, &e, buf_slice(&path), input_consumed(in), &link);
	}
	if (rc == 0 && next != 0)
		tell_broken(r, next);
	else if (rc == 0 && tar_is_cut(t))
		tell_broken(r, -EPIPE);
	tar_reader_free(&t);
	buf_clear(&path);
	buf_clear(&link);
	return rc;
}

/* --- reading --- */

static int
mark_cmp(const void *a, const void *b)
{
	const struct path_mark *x = a, *y = b;

	return (x->fingerprint > y->fingerprint) -
	    (x->fingerprint < y->fingerprint);
}

static int
record_read(struct reader *r, uint64_t at, struct record *out)
{
	char octets[RECORD_HEAD + MAILDIR_NAME_MAX];
	ssize_t n = spill_get(&r->names, at, octets, sizeof(octets));

	if (n < RECORD_HEAD || n < RECORD_HEAD + (unsigned char)octets[24])
		return n < 0 ? (int)n : -EIO;
	out->place = (struct place){ get_be64(octets), get_be64(octets + 8) };
	out->mtime = (int64_t)get_be64(octets + 16);
	out->n = (unsigned char)octets[24];
	memcpy(out->name, octets + RECORD_HEAD, out->n);
	return 0;
}

static int
member_open(void *arg, struct slice name, uint64_t cookie, int64_t *mtime)
{
	struct path_mark key, *found;
	struct reader *r = arg;
	struct record m;
	int rc = record_read(r, cookie, &m);

	(void)name;
	if (rc != 0)
		return rc;
	if (m.place.at == IS_LINK) {
		key.fingerprint = m.place.size;
		found =
		    bsearch(&key, r->paths, r->n, sizeof(*r->paths), mark_cmp);
		if (found == NULL || record_read(r, found->at, &m) != 0 ||
		    m.place.at == IS_LINK)
			return -ENOENT;
	}
	*mtime = m.mtime;
	r->at = m.place.at;
	r->left = m.place.size;
	return 0;
}

static ssize_t
member_read(void *arg, void *p, size_t n)
{
	struct reader *r = arg;
	ssize_t got = read_place(r, p, n);

	return got == 0 && r->left > 0 ? -EPIPE : got; /* cut off */
}

static void
member_close(void *arg)
{
	(void)arg;
}

static const struct maildir_ops ops = { member_open, member_read,
	member_close };

static int
read_beside(struct reader *r, const struct beside *b)
{
	struct input *in;
	int rc = input_new_fn(&in, read_place, r, r->s->dir);

	if (rc != 0)
		return rc;
	r->at = b->place.at;
	r->left = b->place.size;
	rc = b->kind < 0
	    ? maildir_subscriptions_read(
		  r->s, (enum maildir_subscriptions)(-1 - b->kind), in)
	    : maildir_index_list(r->ix, (enum maildir_list)b->kind, in);
	input_free(&in);
	return rc;
}

static int
read_folder(struct reader *r, const struct folder *f, struct slice name)
{
	struct record m;
	int rc = take_mailbox(r->s->take, name, 0);

	if (rc != 1)
		return rc;
	maildir_index_begin(r->ix);
	rc = 0;
	for (const struct beside *b = r->beside; b != NULL && rc == 0;
	     b = b->next)
		if (b->folder == f && b->kind >= 0)
			rc = read_beside(r, b);
	for (size_t i = 0; i < r->n && rc == 0; i++) {
		if (r->members[i].folder != f)
			continue;
		if ((rc = record_read(r, r->members[i].at, &m)) == 0)
			rc = maildir_index_add(
			    r->ix, slice(m.name, m.n), r->members[i].at);
	}
	return rc == 0 ? maildir_index_run(r->ix) : rc;
}

/* --- names --- */

static bool
is_at_or_below(const char *path, struct slice above)
{
	size_t n = above.n;

	return n == 0 ||
	    (strncmp(path, above.p, n) == 0 &&
		(path[n] == '/' || path[n] == '\0'));
}

/* The folder that all others are in: INBOX, or what stands above all. A
 * Maildir++ folder is in another one, also where that is not in the tar. */
static struct slice
root_of(const struct reader *r)
{
	struct slice root = SLICE_EMPTY, part;
	bool first = true;

	for (const struct folder *f = r->folders; f != NULL; f = f->next) {
		if (!f->used)
			continue;
		if (first)
			root = slice_str(f->path);
		first = false;
		while (!is_at_or_below(f->path, root))
			(void)last_part(&root);
	}
	part = root;
	part = last_part(&part);
	if (slice_starts(part, "."))
		(void)last_part(&root);
	return root;
}

static void
put_name(struct buf *name, const char *path, struct slice root)
{
	struct slice rest = slice_from(slice_str(path), root.n);

	buf_reset(name);
	while (rest.n > 0) {
		struct slice level = slice_split(&rest, '/');

		if (level.n == 0)
			continue;
		if (name->n > 0)
			buf_put_char(name, MAILS_SEPARATOR);
		if (level.p[0] == '.')
			maildir_folder_decode(name, slice_from(level, 1));
		else
			imap_level_decode(name, level);
	}
	if (name->n == 0)
		buf_put_str(name, "INBOX");
}

static int
folder_cmp(const void *a, const void *b)
{
	const struct folder *const *x = a, *const *y = b;

	return strcmp((*x)->path, (*y)->path);
}

static int
read_all(struct reader *r)
{
	struct folder **all = calloc(r->n_folders + 1, sizeof(struct folder *));
	struct slice root = root_of(r);
	struct buf name = BUF_INIT_MAX(4096);
	size_t n = 0;
	int rc = all == NULL ? -ENOMEM : 0;

	for (struct folder *f = r->folders; f != NULL && rc == 0; f = f->next)
		if (f->used)
			all[n++] = f;
	if (n > 0)
		qsort(all, n, sizeof(struct folder *), folder_cmp);
	if (r->n > 0)
		qsort(r->paths, r->n, sizeof(*r->paths), mark_cmp);
	for (size_t i = 0; i < n && rc == 0; i++) {
		put_name(&name, all[i]->path, root);
		rc = read_folder(r, all[i], buf_slice(&name));
	}
	for (struct beside *b = r->beside; b != NULL && rc == 0; b = b->next)
		if (b->kind < 0 && slice_eq_str(root, b->folder->path))
			rc = read_beside(r, b);
	buf_clear(&name);
	free(all);
	return rc;
}

int
source_tar(const struct source *s)
{
	struct reader r = {
		.s = s, .fd = -1, .a = ARENA_INIT_MAX((size_t)16 << 20)
	};
	struct input *in = NULL;
	int rc = spill_open(&r.names, s->dir);

	if (rc == 0 && (rc = open_stream(&r, &in)) != 0)
		door_warn(s->report, "%s: %s", s->path, strerror(-rc));
	if (rc == 0 && (rc = maildir_index_new(&r.ix, s, &ops, &r)) == 0)
		rc = look_through(&r, in);
	input_free(&in);
	if (rc == 0)
		rc = read_all(&r);
	maildir_index_free(&r.ix);
	source_stream_close(&r.stream);
	spill_close(&r.names);
	arena_reset(&r.a);
	free(r.members);
	free(r.paths);
	if (r.fd >= 0)
		close(r.fd);
	return rc;
}
