/* SPDX-License-Identifier: ISC */
/*
 * mboxrd: one file, or a file for each mailbox, "A.mbox" and, for A/B,
 * "A/B.mbox". A name is in UTF-8, but for '.' and '&', which are as in Maildir:
 * so no two mailboxes have one file, and none is above its folder.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mailbox/door/give.h"
#include "mailbox/door/mbox.h"

#define ENOUGH ((size_t)256 << 10)
#define PART ".pneu-part"

struct mbox_out {
	const char *path;
	bool folder; /* a file for each mailbox */
	struct buf name, part;
	int fd;
	struct buf out, text;
	bool plain, noeol;
	struct lf_maker lf;
	struct mbox_quoter quoter;
};

static int
pass_on(struct mbox_out *o, size_t keep)
{
	int rc = o->out.failed ? -ENOMEM : 0;

	if (rc == 0 && o->out.n > keep) {
		rc = give_write(o->fd, buf_slice(&o->out));
		buf_reset(&o->out);
	}
	return rc;
}

/* --- files --- */

static void
put_path(struct mbox_out *o, const char *mailbox)
{
	buf_reset(&o->name);
	buf_put_str(&o->name, o->path);
	if (!o->folder)
		return;
	buf_put_char(&o->name, '/');
	for (; *mailbox != '\0'; mailbox++) {
		if (*mailbox == '.')
			buf_put_str(&o->name, "&AC4-");
		else if (*mailbox == '&')
			buf_put_str(&o->name, "&-");
		else
			buf_put_char(&o->name, *mailbox);
	}
	buf_put_str(&o->name, ".mbox");
}

/* Folders between ours and the file. */
static int
make_folders(struct mbox_out *o)
{
	size_t from = strlen(o->path) + 1;

	for (size_t i = from; o->folder && i < o->name.n; i++) {
		int rc;

		if (o->name.p[i] != '/')
			continue;
		o->name.p[i] = '\0';
		rc = mkdir(o->name.p, 0700);
		o->name.p[i] = '/';
		if (rc == -1 && errno != EEXIST)
			return -errno;
	}
	return 0;
}

/* A file that we did not write is not ours to replace. */
static int
check_file(const char *path)
{
	char line[512];
	int64_t date;
	int ours = 1;
	FILE *f = fopen(path, "re");

	if (f == NULL)
		return errno == ENOENT ? 0 : -errno;
	if (fgets(line, sizeof(line), f) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (!mbox_from_parse(slice_str(line), &date, &ours))
			ours = 0;
	}
	fclose(f);
	return ours != 0 ? 0 : -EEXIST;
}

static int
on_mailbox(void *arg, const struct give_mailbox *b)
{
	struct mbox_out *o = arg;
	int rc;

	put_path(o, b->name);
	buf_reset(&o->part);
	buf_printf(&o->part, "%s" PART, buf_str(&o->name));
	if (o->name.failed || o->part.failed)
		return -ENOMEM;
	if ((rc = make_folders(o)) != 0)
		return rc;
	if (o->fd != -1)
		return 0; /* one file for all */
	if ((rc = check_file(buf_str(&o->name))) != 0)
		return rc;
	o->fd = open(buf_str(&o->part),
	    O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	return o->fd == -1 ? -errno : 0;
}

static int
close_file(struct mbox_out *o)
{
	int rc = pass_on(o, 0);

	if (rc == 0 && fsync(o->fd) == -1)
		rc = -errno;
	if (close(o->fd) == -1 && rc == 0)
		rc = -errno;
	o->fd = -1;
	if (rc == 0 && rename(buf_str(&o->part), buf_str(&o->name)) == -1)
		rc = -errno;
	return rc;
}

static int
on_mailbox_end(void *arg)
{
	struct mbox_out *o = arg;

	return o->folder ? close_file(o) : pass_on(o, 0);
}

/* --- messages --- */

static int
on_begin(void *arg, const struct give_message *m)
{
	struct mbox_out *o = arg;

	o->plain = line_census_is_plain(&m->census);
	o->noeol = m->census.octets == 0 || m->census.last != '\n';
	o->lf = (struct lf_maker){ 0 };
	o->quoter = (struct mbox_quoter){ 0 };
	mbox_put_head(&o->out, &m->meta, o->noeol);
	return o->out.failed ? -ENOMEM : 1;
}

static int
on_put(void *arg, struct slice octets)
{
	struct mbox_out *o = arg;

	buf_reset(&o->text);
	if (o->plain)
		lf_make(&o->lf, octets, &o->text);
	else
		buf_put_slice(&o->text, octets);
	if (o->text.failed)
		return -ENOMEM;
	mbox_quote(&o->quoter, buf_slice(&o->text), &o->out);
	return pass_on(o, ENOUGH);
}

static int
on_end(void *arg)
{
	struct mbox_out *o = arg;

	buf_reset(&o->text);
	lf_make_end(&o->lf, &o->text);
	if (o->text.n > 0)
		mbox_quote(&o->quoter, buf_slice(&o->text), &o->out);
	mbox_quote_end(&o->quoter, &o->out);
	buf_put_str(&o->out, o->noeol ? "\n\n" : "\n");
	return pass_on(o, ENOUGH);
}

static int
on_finish(void *arg, const char *const *subscribed, size_t n)
{
	struct mbox_out *o = arg;

	(void)subscribed, (void)n;
	return o->fd != -1 ? close_file(o) : 0;
}

static int
run(const struct give_conf *conf, struct mbox_out *o)
{
	static const struct give_format format = { on_mailbox, on_begin, on_put,
		on_end, on_mailbox_end, on_finish };
	int rc = give(conf, &format, o);

	if (o->fd != -1) {
		close(o->fd);
		unlink(buf_str(&o->part));
	}
	if (rc == -EEXIST)
		door_warn(conf->report,
		    "%s: is there and not of our making; nothing is written "
		    "over it",
		    buf_str(&o->name));
	buf_clear(&o->name);
	buf_clear(&o->part);
	buf_clear(&o->out);
	buf_clear(&o->text);
	return rc;
}

int
give_mbox(const struct give_conf *conf, const char *path)
{
	struct mbox_out o = { .path = path, .fd = -1 };

	return run(conf, &o);
}

int
give_mboxes(const struct give_conf *conf, const char *path)
{
	struct mbox_out o = { .path = path, .folder = true, .fd = -1 };

	if (!conf->report->dry_run && mkdir(path, 0700) == -1 &&
	    errno != EEXIST) {
		int rc = -errno;

		door_warn(conf->report, "%s: %s", path, strerror(-rc));
		return rc;
	}
	return run(conf, &o);
}
