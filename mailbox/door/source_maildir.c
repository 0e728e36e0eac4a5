/* SPDX-License-Identifier: ISC */
/*
 * A Maildir on disk: Maildir++ (".A.B" beside cur), folders in folders (Dovecot's
 * LAYOUT=fs, mutt), and both at once. It may be in use meanwhile.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "common/base/log.h"
#include "common/imap/level.h"
#include "mailbox/door/source.h"

#define DEPTH_MAX 32
#define BUSY_TRIES 3

struct reader {
	const struct source *s;
	struct maildir_index *ix;
	int dir; /* of the folder under way */
	gzFile file;
};

/* --- one message --- */

static const char *
subdir(bool is_new)
{
	return is_new ? "new" : "cur";
}

/* The server has given it other flags since: the same message, by its base. */
static int
find_again(int dir, struct slice name, char out[static MAILDIR_NAME_MAX + 1])
{
	struct maildir_name want, have;
	struct dirent *e;
	int fd = openat(dir, "cur", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd == -1 ? NULL : fdopendir(fd);
	int rc = -ENOENT;

	if (d == NULL)
		return -errno;
	maildir_name_parse(name, &want);
	while (rc != 0 && (e = readdir(d)) != NULL) {
		maildir_name_parse(slice_str(e->d_name), &have);
		if (slice_eq(want.id, have.id)) {
			snprintf(out, MAILDIR_NAME_MAX + 1, "%s", e->d_name);
			rc = 0;
		}
	}
	closedir(d);
	return rc;
}

static int
open_in(int dir, bool is_new, const char *name)
{
	int sub =
		openat(dir, subdir(is_new), O_RDONLY | O_DIRECTORY | O_CLOEXEC),
	    fd;

	if (sub == -1)
		return -errno;
	fd = openat(sub, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd == -1)
		fd = -errno;
	close(sub);
	return fd;
}

static int
message_open(void *arg, struct slice name, uint64_t cookie, int64_t *mtime)
{
	struct reader *r = arg;
	char path[MAILDIR_NAME_MAX + 1];
	struct stat st;
	int fd;

	memcpy(path, name.p, name.n);
	path[name.n] = '\0';
	fd = open_in(r->dir, cookie != 0, path);
	for (int i = 0; fd == -ENOENT && i < BUSY_TRIES; i++)
		if (find_again(r->dir, name, path) == 0)
			fd = open_in(r->dir, false, path);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode)) {
		close(fd);
		return -EINVAL;
	}
	*mtime = st.st_mtime;
	/* What is not compressed (Dovecot's zlib plugin) is read as it is. */
	if ((r->file = gzdopen(fd, "rb")) == NULL) {
		close(fd);
		return -ENOMEM;
	}
	return 0;
}

static ssize_t
message_read(void *arg, void *p, size_t n)
{
	struct reader *r = arg;
	int got = gzread(r->file, p, (unsigned)n);

	return got < 0 ? -EIO : got;
}

static void
message_close(void *arg)
{
	struct reader *r = arg;

	gzclose_r(r->file);
	r->file = NULL;
}

static const struct maildir_ops ops = { message_open, message_read,
	message_close };

/* --- one folder --- */

/* A stream of a small file beside the messages; 0 with *in NULL: none. */
static int
list_open(const struct reader *r, int dir, const char *name, int *fd,
    struct input **in)
{
	*in = NULL;
	*fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (*fd == -1)
		return errno == ENOENT || errno == ELOOP || errno == ENOTDIR
		    ? 0
		    : -errno;
	return input_new(in, *fd, r->s->dir);
}

static void
list_close(int fd, struct input **in)
{
	input_free(in);
	if (fd >= 0)
		close(fd);
}

static int
read_lists(struct reader *r)
{
	const struct maildir_list_name *l = maildir_lists;
	struct input *in;
	int fd, rc = 0;

	for (; l->name != NULL && rc == 0; l++) {
		rc = list_open(r, r->dir, l->name, &fd, &in);
		if (rc == 0 && in != NULL)
			rc = maildir_index_list(r->ix, l->kind, in);
		list_close(fd, &in);
		if (rc != 0 && rc != -ENOMEM) {
			door_warn(
			    r->s->report, "%s: %s", l->name, strerror(-rc));
			rc = 0;
		}
	}
	return rc;
}

static int
read_names(struct reader *r, bool is_new)
{
	int fd =
	    openat(r->dir, subdir(is_new), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd == -1 ? NULL : fdopendir(fd);
	struct dirent *e;
	int rc = 0;

	if (d == NULL)
		return errno == ENOENT ? 0 : -errno;
	while (rc == 0 && (errno = 0, e = readdir(d)) != NULL)
		if (e->d_name[0] != '.')
			rc = maildir_index_add(
			    r->ix, slice_str(e->d_name), is_new);
	if (rc == 0 && errno != 0)
		rc = -errno;
	closedir(d);
	return rc;
}

/* Takes `dir` over. What cannot be read is told, and the rest goes on. */
static int
read_folder(struct reader *r, int dir, struct slice name)
{
	int rc = take_mailbox(r->s->take, name, 0);

	r->dir = dir;
	if (rc == 1) {
		maildir_index_begin(r->ix);
		if ((rc = read_lists(r)) == 0 &&
		    ((rc = read_names(r, true)) != 0 ||
			(rc = read_names(r, false)) != 0) &&
		    rc != -ENOMEM) {
			door_warn(
			    r->s->report, "%s: %s", log_q(name), strerror(-rc));
			r->s->report->failed++;
			rc = 0;
		}
		if (rc == 0)
			rc = maildir_index_run(r->ix);
	}
	close(dir);
	return rc;
}

/* --- all folders --- */

static bool
is_maildir(int dir)
{
	struct stat st;

	return (fstatat(dir, "cur", &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		   S_ISDIR(st.st_mode)) ||
	    (fstatat(dir, "new", &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		S_ISDIR(st.st_mode));
}

static bool
is_part(const char *name)
{
	static const char *const parts[] = { ".", "..", "cur", "new", "tmp",
		"courierimapkeywords", "courierimaphieracl", NULL };

	for (size_t i = 0; parts[i] != NULL; i++)
		if (strcmp(name, parts[i]) == 0)
			return true;
	return false;
}

static int
by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int walk(struct reader *r, int dir, struct slice above, int depth);

/* A folder in another one, with all in it. */
static int
walk_into(
    struct reader *r, int dir, struct slice above, const char *entry, int depth)
{
	int sub = openat(
		dir, entry, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC),
	    copy;
	struct buf name = BUF_INIT_MAX(4096);
	int rc = 0;

	if (sub == -1)
		return errno == ENOTDIR || errno == ELOOP || errno == ENOENT
		    ? 0
		    : -errno;
	buf_put_slice(&name, above);
	if (above.n > 0)
		buf_put_char(&name, MAILS_SEPARATOR);
	if (entry[0] == '.')
		maildir_folder_decode(&name, slice_str(entry + 1));
	else
		imap_level_decode(&name, slice_str(entry));
	if (!name.failed && (entry[0] != '.' || is_maildir(sub))) {
		if (is_maildir(sub) && name.n > above.n + (above.n > 0)) {
			copy = fcntl(sub, F_DUPFD_CLOEXEC, 3);
			rc = copy == -1
			    ? -errno
			    : read_folder(r, copy, buf_slice(&name));
		}
		if (rc == 0)
			rc = walk(r, sub, buf_slice(&name), depth + 1);
	}
	buf_clear(&name);
	close(sub);
	return rc;
}

static int
walk(struct reader *r, int dir, struct slice above, int depth)
{
	struct dirent **list = NULL;
	int n = scandirat(dir, ".", &list, NULL, by_name), rc = 0;

	if (n == -1 || depth > DEPTH_MAX) {
		door_warn(r->s->report, "%s: %s", log_q(above),
		    n == -1 ? strerror(errno) : "too deep");
		r->s->report->failed++;
		n = n == -1 ? 0 : n;
	}
	for (int i = 0; i < n; i++) {
		if (rc == 0 && !is_part(list[i]->d_name) &&
		    depth <= DEPTH_MAX && list[i]->d_type != DT_REG)
			rc = walk_into(r, dir, above, list[i]->d_name, depth);
		free(list[i]);
	}
	free(list);
	return rc;
}

static int
read_subscriptions(struct reader *r, int dir)
{
	static const struct {
		const char *name;
		enum maildir_subscriptions kind;
	} files[] = { { "subscriptions", MAILDIR_DOVECOT_1 },
		{ "courierimapsubscribed", MAILDIR_COURIER } };
	struct input *in;
	int fd, rc = 0;

	for (size_t i = 0; i < 2 && rc == 0; i++) {
		rc = list_open(r, dir, files[i].name, &fd, &in);
		if (rc == 0 && in != NULL)
			rc =
			    maildir_subscriptions_read(r->s, files[i].kind, in);
		list_close(fd, &in);
	}
	return rc;
}

static int
read_all(struct reader *r, int dir)
{
	int copy, rc = 0;

	if (is_maildir(dir)) {
		copy = fcntl(dir, F_DUPFD_CLOEXEC, 3);
		rc = copy == -1 ? -errno
				: read_folder(r, copy, SLICE_LIT("INBOX"));
	}
	if (rc == 0)
		rc = walk(r, dir, SLICE_EMPTY, 0);
	if (rc == 0)
		rc = read_subscriptions(r, dir);
	return rc;
}

int
source_maildir(const struct source *s)
{
	struct reader r = { .s = s };
	int dir = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc;

	if (dir == -1) {
		rc = -errno;
		door_warn(s->report, "%s: %s", s->path, strerror(errno));
		return rc;
	}
	if ((rc = maildir_index_new(&r.ix, s, &ops, &r)) == 0)
		rc = read_all(&r, dir);
	maildir_index_free(&r.ix);
	close(dir);
	return rc;
}
