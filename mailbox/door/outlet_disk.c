/* SPDX-License-Identifier: ISC */
/*
 * A Maildir in a folder. Where we wrote one before, it is brought up to date:
 * what is there stays, other flags are another name, and what we wrote of
 * messages that are gone goes. Files of others are left alone.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mailbox/door/give.h"
#include "mailbox/door/maildir.h"

/* A file of ours in cur. */
struct have {
	uint64_t base, name; /* fingerprints */
	bool wanted;
};

struct disk {
	const char *path;
	int root, folder; /* the folder that is under way */
	struct have *have;
	size_t n, cap;
	int fd;              /* the message */
	struct buf tmp, cur; /* its names */
	int64_t mtime;
};

/* --- what is there --- */

static uint64_t
fingerprint(struct slice s)
{
	return door_fingerprint(&s, 1);
}

static struct slice
base_of(struct slice name)
{
	struct maildir_name parsed;

	maildir_name_parse(name, &parsed);
	return parsed.base;
}

static int
have_cmp(const void *a, const void *b)
{
	const struct have *x = a, *y = b;

	return (x->base > y->base) - (x->base < y->base);
}

static int
have_add(struct disk *d, struct slice name)
{
	size_t cap = d->cap == 0 ? 256 : d->cap * 2;
	struct have *v;

	if (d->n == d->cap) {
		if ((v = reallocarray(d->have, cap, sizeof(*v))) == NULL)
			return -ENOMEM;
		d->have = v;
		d->cap = cap;
	}
	d->have[d->n++] = (struct have){ fingerprint(base_of(name)),
		fingerprint(name), false };
	return 0;
}

static struct have *
have_get(const struct disk *d, struct slice base)
{
	struct have key = { .base = fingerprint(base) };

	return d->n == 0 ? NULL
			 : bsearch(&key, d->have, d->n, sizeof(key), have_cmp);
}

/* Each file of ours in cur. */
static int
each_of_ours(struct disk *d, int (*fn)(struct disk *d, const char *name))
{
	int fd = openat(d->folder, "cur", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
	    rc = 0;
	DIR *dir = fd == -1 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (dir == NULL)
		return -errno;
	while (rc == 0 && (e = readdir(dir)) != NULL)
		if (give_maildir_is_ours(slice_str(e->d_name)))
			rc = fn(d, e->d_name);
	closedir(dir);
	return rc;
}

static int
note_name(struct disk *d, const char *name)
{
	return have_add(d, slice_str(name));
}

static int
in_cur(struct buf *b, const char *name)
{
	buf_reset(b);
	buf_printf(b, "cur/%s", name);
	return b->failed ? -ENOMEM : 0;
}

/* It has other flags now: of the message that is under way. */
static int
rename_one(struct disk *d, const char *name)
{
	struct slice want = slice_from(buf_slice(&d->cur), 4);
	int rc;

	if (!slice_eq(base_of(slice_str(name)), base_of(want)))
		return 0;
	if ((rc = in_cur(&d->tmp, name)) != 0)
		return rc;
	return renameat(d->folder, buf_str(&d->tmp), d->folder,
		   buf_str(&d->cur)) == -1
	    ? -errno
	    : 1;
}

static int
remove_unwanted(struct disk *d, const char *name)
{
	const struct have *h = have_get(d, base_of(slice_str(name)));
	int rc;

	if (h == NULL || h->wanted)
		return 0;
	if ((rc = in_cur(&d->tmp, name)) != 0)
		return rc;
	return unlinkat(d->folder, buf_str(&d->tmp), 0) == -1 ? -errno : 0;
}

/* --- folders --- */

static int
make_dir(int at, const char *name)
{
	return mkdirat(at, name, 0700) == -1 && errno != EEXIST ? -errno : 0;
}

static int
on_folder(void *arg, const char *folder)
{
	static const char *const parts[] = { "cur", "new", "tmp" };
	const char *path = *folder ? folder : ".";
	struct disk *d = arg;
	int fd, rc = *folder ? make_dir(d->root, folder) : 0;

	if (rc != 0)
		return rc;
	if ((d->folder = openat(
		 d->root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1)
		return -errno;
	for (size_t i = 0; i < 3 && rc == 0; i++)
		rc = make_dir(d->folder, parts[i]);
	if (rc == 0 && *folder != '\0') {
		fd = openat(d->folder, "maildirfolder",
		    O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		rc = fd == -1 ? -errno : 0;
		if (fd != -1)
			close(fd);
	}
	d->n = 0;
	if (rc == 0)
		rc = each_of_ours(d, note_name);
	if (d->n > 0)
		qsort(d->have, d->n, sizeof(*d->have), have_cmp);
	return rc;
}

static int
on_folder_end(void *arg, const char *folder)
{
	struct disk *d = arg;
	int rc = each_of_ours(d, remove_unwanted);

	(void)folder;
	close(d->folder);
	d->folder = -1;
	return rc;
}

/* In one go, so that a reader has the old one or the new one. */
static int
replace_file(int dir, const char *name, struct slice text)
{
	static const char tmp[] = ".pneu-part";
	int fd = openat(
		dir, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600),
	    rc;

	if (fd == -1)
		return -errno;
	rc = give_write(fd, text);
	if (close(fd) == -1 && rc == 0)
		rc = -errno;
	if (rc == 0 && renameat(dir, tmp, dir, name) == -1)
		rc = -errno;
	return rc;
}

static int
on_file(void *arg, const char *folder, const char *name, struct slice text)
{
	const char *slash = strrchr(name, '/');
	struct disk *d = arg;
	struct buf path = BUF_INIT;
	int fd, rc = 0;

	buf_printf(&path, "./%s%s%.*s", folder, *folder ? "/" : "",
	    slash == NULL ? 0 : (int)(slash - name), name);
	if (slash != NULL)
		rc = make_dir(d->root, buf_str(&path));
	fd =
	    openat(d->root, buf_str(&path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (rc == 0 && fd == -1)
		rc = -errno;
	if (rc == 0)
		rc = replace_file(fd, slash == NULL ? name : slash + 1, text);
	if (fd != -1)
		close(fd);
	buf_clear(&path);
	return rc;
}

/* --- messages --- */

static int
on_begin(void *arg, const char *folder, const char *name, uint64_t size,
    int64_t mtime)
{
	struct disk *d = arg;
	struct have *h = have_get(d, base_of(slice_str(name)));
	int rc = in_cur(&d->cur, name);

	(void)folder, (void)size;
	if (rc != 0)
		return rc;
	if (h != NULL) {
		h->wanted = true;
		if (h->name == fingerprint(slice_str(name)))
			return 0;
		rc = each_of_ours(d, rename_one);
		return rc == 1 ? 0 : rc == 0 ? -EAGAIN : rc;
	}
	buf_reset(&d->tmp);
	buf_printf(&d->tmp, "tmp/%s", name);
	d->mtime = mtime;
	d->fd = openat(d->folder, buf_str(&d->tmp),
	    O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	return d->fd == -1 ? -errno : 1;
}

static int
on_put(void *arg, struct slice octets)
{
	struct disk *d = arg;

	return give_write(d->fd, octets);
}

static int
on_end(void *arg)
{
	struct disk *d = arg;
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
		{ .tv_sec = d->mtime } };
	int rc = futimens(d->fd, times) == -1 ? -errno : 0;

	if (close(d->fd) == -1 && rc == 0)
		rc = -errno;
	d->fd = -1;
	if (rc == 0 &&
	    renameat(
		d->folder, buf_str(&d->tmp), d->folder, buf_str(&d->cur)) == -1)
		rc = -errno;
	return rc;
}

static int
on_finish(void *arg)
{
	struct disk *d = arg;

	return syncfs(d->root) == -1 ? -errno : 0;
}

/* --- all --- */

static int
check_root(int root)
{
	int fd = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
	DIR *dir = fd == -1 ? NULL : fdopendir(fd);
	struct dirent *e;
	struct stat st;

	if (dir == NULL)
		return -errno;
	while ((e = readdir(dir)) != NULL)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			rc = -EEXIST;
	if (fstatat(root, "cur", &st, 0) == 0 ||
	    fstatat(root, "subscriptions", &st, 0) == 0)
		rc = 0;
	closedir(dir);
	return rc;
}

static int
open_root(struct disk *d)
{
	int rc;

	if (mkdir(d->path, 0700) == -1 && errno != EEXIST)
		return -errno;
	d->root = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d->root == -1)
		return -errno;
	rc = check_root(d->root);
	return rc;
}

int
give_maildir(const struct give_conf *conf, const char *path)
{
	static const struct outlet outlet = { on_folder, on_file, on_begin,
		on_put, on_end, on_folder_end, on_finish };
	struct disk d = { .path = path, .root = -1, .folder = -1, .fd = -1 };
	int rc = conf->report->dry_run ? 0 : open_root(&d);

	if (rc == -EEXIST)
		door_warn(conf->report,
		    "%s: is neither empty nor a Maildir; nothing is written",
		    path);
	else if (rc != 0)
		door_warn(conf->report, "%s: %s", path, strerror(-rc));
	if (rc == 0)
		rc = give_maildir_to(conf, &outlet, &d);
	if (d.fd != -1)
		close(d.fd);
	if (d.folder != -1)
		close(d.folder);
	if (d.root != -1)
		close(d.root);
	free(d.have);
	buf_clear(&d.tmp);
	buf_clear(&d.cur);
	return rc;
}
