/* SPDX-License-Identifier: ISC */
/*
 * mbox files: one, or a folder of them with folders in it. "A.mbox" is A, a
 * folder "A.sbd" (Thunderbird) or "A.mbox" (Apple, with a file "mbox" in it)
 * is A as well.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/imap/level.h"
#include "mailbox/door/source.h"

#define DEPTH_MAX 32

static int
take_message(const struct source *s, struct mbox *m)
{
	struct slice part;
	uint64_t octets = 0;
	int rc = take_begin(s->take);

	while (rc == 0 && (rc = mbox_read(m, &part)) == 0 && part.n > 0) {
		octets += part.n;
		rc = take_octets(s->take, part);
	}
	if (rc != 0 || mbox_is_internal(m) || octets == 0) {
		take_drop(s->take);
		s->report->skipped += rc == 0;
		return rc;
	}
	return take_end(s->take, mbox_meta(m), NULL);
}

/* To the mailbox that take is at. */
static int
take_file(const struct source *s, struct input *in, const char *path)
{
	struct mbox *m;
	int rc = mbox_new(&m, in, s->mbox);

	if (rc != 0)
		return rc;
	while ((rc = mbox_next(m)) == 1)
		if ((rc = take_message(s, m)) != 0)
			break;
	if (rc == -EBADMSG) {
		door_warn(
		    s->report, "%s: is no mbox; passed over", log_qs(path));
		s->report->skipped++;
		rc = 0;
	}
	mbox_free(&m);
	return rc;
}

int
source_mbox(const struct source *s)
{
	struct source_stream *stream;
	struct input *in = NULL;
	int rc = source_stream_open(&stream, s->path);

	if (rc != 0) {
		door_warn(s->report, "%s: %s", s->path, strerror(-rc));
		return rc;
	}
	rc = input_new_fn(&in, source_stream_read, stream, s->dir);
	if (rc == 0 && (rc = take_mailbox(s->take, SLICE_LIT("INBOX"), 0)) == 1)
		rc = take_file(s, in, s->path);
	input_free(&in);
	source_stream_close(&stream);
	return rc;
}

/* --- folders --- */

static bool
has_end(const char *name, const char *end)
{
	return slice_ends_nocase(slice_str(name), end) &&
	    strlen(name) > strlen(end);
}

/* Indexes and settings of mail programs, that stand beside their mail. */
static bool
is_other(const char *name)
{
	static const char *const ends[] = { ".msf", ".dat", ".html", ".json",
		".sqlite", ".lock", ".plist", ".pneu-part", NULL };

	for (size_t i = 0; ends[i] != NULL; i++)
		if (has_end(name, ends[i]))
			return true;
	return name[0] == '.' || strcmp(name, "subscriptions") == 0;
}

static void
put_level(struct buf *name, struct slice above, const char *entry)
{
	struct slice level = slice_str(entry);

	buf_put_slice(name, above);
	if (above.n > 0 && strcmp(entry, "mbox") == 0)
		return; /* Apple's */
	if (above.n > 0)
		buf_put_char(name, MAILS_SEPARATOR);
	if (has_end(entry, ".mbox"))
		level.n -= 5;
	else if (has_end(entry, ".sbd"))
		level.n -= 4;
	imap_level_decode(name, level);
}

static int
walk_file(const struct source *s, int fd, struct slice name, const char *entry)
{
	struct input *in = NULL;
	struct slice head;
	int rc = input_new(&in, fd, s->dir);

	if (rc == 0)
		rc = input_peek(in, 5, &head);
	if (rc == 0 && head.n > 0 && !slice_starts(head, "From ")) {
		door_warn(
		    s->report, "%s: is no mbox; passed over", log_qs(entry));
		s->report->skipped++;
	} else if (rc == 0 && (rc = take_mailbox(s->take, name, 0)) == 1) {
		rc = take_file(s, in, entry);
	}
	input_free(&in);
	return rc;
}

static int walk(const struct source *s, int dir, struct slice above, int depth);

static int
walk_entry(const struct source *s, int dir, struct slice above,
    const char *entry, int depth)
{
	int fd =
	    openat(dir, entry, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct buf name = BUF_INIT_MAX(4096);
	struct stat st;
	int rc = 0;

	put_level(&name, above, entry);
	if (fd == -1 || fstat(fd, &st) == -1 || name.failed) {
		door_warn(s->report, "%s: %s", log_qs(entry),
		    name.failed ? "name too long" : strerror(errno));
		s->report->failed++;
	} else if (S_ISDIR(st.st_mode)) {
		rc = walk(s, fd, buf_slice(&name), depth + 1);
	} else if (S_ISREG(st.st_mode) && !is_other(entry)) {
		rc = walk_file(s, fd, buf_slice(&name), entry);
	}
	if (fd != -1)
		close(fd);
	buf_clear(&name);
	return rc;
}

static int
by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int
walk(const struct source *s, int dir, struct slice above, int depth)
{
	struct dirent **list = NULL;
	int n = scandirat(dir, ".", &list, NULL, by_name), rc = 0;

	if (n == -1 || depth > DEPTH_MAX) {
		door_warn(s->report, "%s: %s", log_q(above),
		    n == -1 ? strerror(errno) : "too deep");
		s->report->failed++;
		n = n == -1 ? 0 : n;
	}
	for (int i = 0; i < n; i++) {
		if (rc == 0 && depth <= DEPTH_MAX && list[i]->d_name[0] != '.')
			rc = walk_entry(s, dir, above, list[i]->d_name, depth);
		free(list[i]);
	}
	free(list);
	return rc;
}

static int
read_subscriptions(const struct source *s, int dir)
{
	int fd = openat(dir, "subscriptions",
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct input *in = NULL;
	int rc = fd == -1 ? 0 : input_new(&in, fd, s->dir);

	if (in != NULL)
		rc = maildir_subscriptions_read(s, MAILDIR_DOVECOT_1, in);
	input_free(&in);
	if (fd != -1)
		close(fd);
	return rc;
}

int
source_mboxes(const struct source *s)
{
	int dir = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc;

	if (dir == -1) {
		rc = -errno;
		door_warn(s->report, "%s: %s", s->path, strerror(errno));
		return rc;
	}
	rc = walk(s, dir, SLICE_EMPTY, 0);
	if (rc == 0)
		rc = read_subscriptions(s, dir);
	close(dir);
	return rc;
}
