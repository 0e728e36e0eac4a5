/* SPDX-License-Identifier: ISC */
/* A Maildir as a tar, on standard output or in a file. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "mailbox/door/give.h"
#include "mailbox/door/tar.h"

#define ENOUGH ((size_t)256 << 10)

struct tar_out {
	int fd;
	struct buf out, path;
	uint64_t size; /* of the member */
};

static int
pass_on(struct tar_out *t, size_t keep)
{
	int rc = t->out.failed ? -ENOMEM : 0;

	if (rc == 0 && t->out.n > keep) {
		rc = give_write(t->fd, buf_slice(&t->out));
		buf_reset(&t->out);
	}
	return rc;
}

static const char *
path_of(
    struct tar_out *t, const char *folder, const char *sub, const char *name)
{
	buf_reset(&t->path);
	buf_printf(&t->path, "%s%s%s%s", folder, *folder ? "/" : "", sub, name);
	return buf_str(&t->path);
}

static int
put_head(struct tar_out *t, enum tar_type type, const char *path, uint64_t size,
    int64_t mtime)
{
	struct tar_entry e = { .type = type,
		.path = slice_str(path),
		.size = size,
		.mtime = mtime };

	t->size = size;
	tar_put_header(&t->out, &e);
	return pass_on(t, ENOUGH);
}

static int
on_folder(void *arg, const char *folder)
{
	static const char *const parts[] = { "", "cur/", "new/", "tmp/" };
	struct tar_out *t = arg;
	int rc = 0;

	for (size_t i = *folder ? 0 : 1; i < 4 && rc == 0; i++)
		rc = put_head(
		    t, TAR_FOLDER, path_of(t, folder, parts[i], ""), 0, 0);
	if (rc == 0 && *folder != '\0')
		rc = put_head(
		    t, TAR_FILE, path_of(t, folder, "maildirfolder", ""), 0, 0);
	return rc;
}

static int
on_put(void *arg, struct slice octets)
{
	struct tar_out *t = arg;

	buf_put_slice(&t->out, octets);
	return pass_on(t, ENOUGH);
}

static int
on_end(void *arg)
{
	struct tar_out *t = arg;

	tar_put_padding(&t->out, t->size);
	return pass_on(t, ENOUGH);
}

static int
on_file(void *arg, const char *folder, const char *name, struct slice text)
{
	struct tar_out *t = arg;
	int rc = put_head(t, TAR_FILE, path_of(t, folder, "", name), text.n, 0);

	if (rc == 0)
		rc = on_put(t, text);
	return rc == 0 ? on_end(t) : rc;
}

static int
on_begin(void *arg, const char *folder, const char *name, uint64_t size,
    int64_t mtime)
{
	struct tar_out *t = arg;
	int rc = put_head(
	    t, TAR_FILE, path_of(t, folder, "cur/", name), size, mtime);

	return rc == 0 ? 1 : rc;
}

static int
on_folder_end(void *arg, const char *folder)
{
	(void)arg, (void)folder;
	return 0;
}

static int
on_finish(void *arg)
{
	struct tar_out *t = arg;

	tar_put_end(&t->out);
	return pass_on(t, 0);
}

int
give_tar(const struct give_conf *conf, const char *path)
{
	static const struct outlet outlet = { on_folder, on_file, on_begin,
		on_put, on_end, on_folder_end, on_finish };
	bool on_stdout = strcmp(path, "-") == 0;
	struct tar_out t = { .fd = STDOUT_FILENO };
	int rc = 0;

	if (!on_stdout && !conf->report->dry_run)
		t.fd =
		    open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (t.fd == -1) {
		rc = -errno;
		door_warn(conf->report, "%s: %s", path, strerror(errno));
		return rc;
	}
	rc = give_maildir_to(conf, &outlet, &t);
	buf_clear(&t.out);
	buf_clear(&t.path);
	if (!on_stdout && t.fd != STDOUT_FILENO) {
		if (rc == 0 && fsync(t.fd) == -1)
			rc = -errno;
		if (close(t.fd) == -1 && rc == 0)
			rc = -errno;
		if (rc != 0)
			unlink(path); /* half a tar is of no use */
	}
	return rc;
}
