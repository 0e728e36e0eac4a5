/* SPDX-License-Identifier: ISC */
/*
 * The outer side of the door, coming in: readers of files that tell `take`
 * what they find. Links are not followed below the source: who may write to a
 * mail folder shall not read other files through an import.
 *
 * All return 0, or -errno for what ends it (said already where the text says
 * more); what is damaged is told and passed over.
 */
#ifndef PNEU_MAILBOX_DOOR_SOURCE_H
#define PNEU_MAILBOX_DOOR_SOURCE_H

#include "mailbox/door/input.h"
#include "mailbox/door/maildir.h"
#include "mailbox/door/mbox.h"
#include "mailbox/door/take.h"

struct source {
	const char *path; /* "-": standard input */
	const char *dir;  /* for files without a name */
	enum mbox_format mbox;
	struct take *take;
	struct door_report *report;
};

enum source_format { SOURCE_MAILDIR, SOURCE_MBOX, SOURCE_MBOXES, SOURCE_TAR };

/* What is it? -EINVAL: nothing that we know. */
int source_detect(const struct source *s);

int source_maildir(const struct source *s);
/* One file, or all below a folder. */
int source_mbox(const struct source *s);
int source_mboxes(const struct source *s);
/* Of a Maildir, also compressed by gzip. */
int source_tar(const struct source *s);

/* A stream for a file or "-", through gzip where it is compressed so. */
struct source_stream;
int source_stream_open(struct source_stream **out, const char *path);
input_read_fn source_stream_read; /* arg: the stream */
void source_stream_close(struct source_stream **s);

/* --- the messages of a Maildir, in order (maildir_index.c) --- */

enum maildir_list { LIST_DOVECOT_KEYWORDS, LIST_COURIER_KEYWORDS, LIST_UIDS };
struct maildir_list_name {
	const char *name;
	enum maildir_list kind;
};
extern const struct maildir_list_name maildir_lists[]; /* a NULL ends it */

struct maildir_index;

/* Open a message: `cookie` as it was given. Then octets of it, 0 at the end;
 * the last call is close. */
struct maildir_ops {
	int (*open)(
	    void *arg, struct slice name, uint64_t cookie, int64_t *mtime);
	ssize_t (*read)(void *arg, void *p, size_t n);
	void (*close)(void *arg);
};

int maildir_index_new(struct maildir_index **out, const struct source *s,
    const struct maildir_ops *ops, void *arg);
void maildir_index_free(struct maildir_index **ix);
/* For one folder: its lists first, then names, then run. */
void maildir_index_begin(struct maildir_index *ix);
int maildir_index_list(
    struct maildir_index *ix, enum maildir_list kind, struct input *in);
int
maildir_index_add(struct maildir_index *ix, struct slice name, uint64_t cookie);
/* All messages to the mailbox that `take` is at. */
int maildir_index_run(struct maildir_index *ix);

/* A subscriptions file. */
int maildir_subscriptions_read(
    const struct source *s, enum maildir_subscriptions kind, struct input *in);

#endif
