/* SPDX-License-Identifier: ISC */
/*
 * tar: written as ustar (POSIX.1-1988), with pax headers (POSIX.1-2001) for
 * what does not fit; read as ustar, pax, GNU and the old one, whatever comes.
 */
#ifndef PNEU_MAILBOX_DOOR_TAR_H
#define PNEU_MAILBOX_DOOR_TAR_H

#include <stdint.h>

#include "common/base/buf.h"
#include "mailbox/door/input.h"

#define TAR_BLOCK 512
#define TAR_PATH_MAX 4096
#define TAR_PAX_MAX ((size_t)1 << 20) /* of one extended header */

enum tar_type { TAR_FILE, TAR_FOLDER, TAR_HARD_LINK, TAR_OTHER };

struct tar_entry {
	enum tar_type type;
	struct slice path; /* as it stands there; "./" and "//" too */
	struct slice link; /* HARD_LINK: the path of the member that it is */
	uint64_t size;     /* of the octets that follow */
	int64_t mtime;
};

/* --- writing --- */

/* The header, in front of the octets. False: out has failed. */
bool tar_put_header(struct buf *out, const struct tar_entry *e);
/* What follows `size` octets, to the next block. */
bool tar_put_padding(struct buf *out, uint64_t size);
bool tar_put_end(struct buf *out);

/* --- reading --- */

struct tar_reader;

int tar_reader_new(struct tar_reader **out, struct input *in);
void tar_reader_free(struct tar_reader **r);
/*
 * The next member; what of the one before was not read is passed over. 1, 0:
 * the end, -EBADMSG: not a tar, or cut off in the middle; -errno. The slices
 * are good until the next call.
 */
int tar_next(struct tar_reader *r, struct tar_entry *out);
/* Some octets of the member; none: its end. 0, -EBADMSG, -errno. */
int tar_read(struct tar_reader *r, struct slice *out);
/* After the end: no end mark was there. A stream that broke off between two
 * members looks so. */
bool tar_is_cut(const struct tar_reader *r);

#endif
