/* SPDX-License-Identifier: ISC */
/* Files and standard input as streams, and what is in them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "mailbox/door/source.h"
#include "mailbox/door/tar.h"

/* --- streams --- */

struct source_stream {
	gzFile file;
};

int
source_stream_open(struct source_stream **out, const char *path)
{
	struct source_stream *s = calloc(1, sizeof(*s));
	int fd = strcmp(path, "-") == 0
	    ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
	    : open(path, O_RDONLY | O_CLOEXEC);
	int rc = fd == -1 ? -errno : 0;

	*out = NULL;
	/* Transparent: what is not compressed is given as it is. */
	if (rc == 0 && s != NULL && (s->file = gzdopen(fd, "rb")) != NULL) {
		gzbuffer(s->file, 1 << 16);
		*out = s;
		return 0;
	}
	if (fd != -1)
		close(fd);
	free(s);
	return rc == 0 ? -ENOMEM : rc;
}

ssize_t
source_stream_read(void *arg, void *p, size_t n)
{
	struct source_stream *s = arg;
	int got = gzread(s->file, p, (unsigned)n);

	return got < 0 ? -EIO : got;
}

void
source_stream_close(struct source_stream **s)
{
	if (*s == NULL)
		return;
	gzclose_r((*s)->file);
	free(*s);
	*s = NULL;
}

/* --- what it is --- */

static bool
has_folder(int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, 0) == 0 && S_ISDIR(st.st_mode);
}

/* A Maildir, or is one in it? */
static bool
holds_maildir(int at, const char *name, int depth)
{
	int fd = openat(at, name,
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC | (depth > 0 ? O_NOFOLLOW : 0));
	bool found =
	    fd != -1 && (has_folder(fd, "cur") || has_folder(fd, "new"));
	DIR *d = fd == -1 ? NULL : fdopendir(fd);
	struct dirent *e;

	while (d != NULL && !found && depth < 4 && (e = readdir(d)) != NULL)
		if (e->d_type != DT_REG && strcmp(e->d_name, ".") != 0 &&
		    strcmp(e->d_name, "..") != 0)
			found = holds_maildir(dirfd(d), e->d_name, depth + 1);
	if (d != NULL)
		closedir(d);
	return found;
}

static int
detect_file(const char *path)
{
	struct source_stream *s;
	char head[TAR_BLOCK];
	size_t n = 0;
	ssize_t got = 1;
	int rc = source_stream_open(&s, path);

	if (rc != 0)
		return rc;
	while (n < sizeof(head) && got > 0)
		if ((got = source_stream_read(s, head + n, sizeof(head) - n)) >
		    0)
			n += (size_t)got;
	source_stream_close(&s);
	if (n == 0 || slice_starts(slice(head, n), "From "))
		return SOURCE_MBOX;
	return n == sizeof(head) && memcmp(head + 257, "ustar", 5) == 0
	    ? SOURCE_TAR
	    : -EINVAL;
}

int
source_detect(const struct source *s)
{
	struct stat st;

	if (strcmp(s->path, "-") == 0)
		return SOURCE_TAR;
	if (stat(s->path, &st) == -1)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		return detect_file(s->path);
	return holds_maildir(AT_FDCWD, s->path, 0) ? SOURCE_MAILDIR
						   : SOURCE_MBOXES;
}
