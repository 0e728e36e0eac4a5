/* SPDX-License-Identifier: ISC */
/*
 * mbox (RFC 4155 and all that came before). Four ways to tell messages apart:
 *
 *   mboxo    "From " at the start of a line; in a message it has become
 *            ">From ", and so it stays ambiguous
 *   mboxrd   as before, but every ">*From " has got one '>' more
 *   mboxcl   Content-Length says how long the body is; quoted as mboxo
 *   mboxcl2  Content-Length, and nothing is quoted
 *
 * Read without being told which: a Content-Length counts when a "From " line
 * or the end stands where it says, and then the body is taken as it is
 * (mboxcl2); else a line counts as the start of a message when a date is in it,
 * and quoting is undone as of mboxrd, which undoes that of mboxo too.
 *
 * We write mboxrd, and say so in the "From " line; what we wrote comes in again
 * octet by octet. Flags and keywords are in Status, X-Status and X-Keywords on
 * top of the header, as c-client, mutt and Dovecot have them.
 */
#ifndef PNEU_MAILBOX_DOOR_MBOX_H
#define PNEU_MAILBOX_DOOR_MBOX_H

#include "mailbox/door/door.h"
#include "mailbox/door/input.h"

enum mbox_format { MBOX_ANY, MBOX_O, MBOX_RD, MBOX_CL, MBOX_CL2 };

/* --- quoting, in any chunks --- */

struct mbox_quoter {
	bool unquote;  /* take one '>' away instead of adding one */
	bool only_one; /* mboxo, mboxcl: ">>From " is not ours to change */
	/* the rest is its own; zero-initialise */
	bool in_line;   /* behind what could be quoted */
	size_t arrows;  /* '>' at the start of the line so far */
	size_t matched; /* octets of "From " behind them, held back */
};
bool mbox_quote(struct mbox_quoter *q, struct slice in, struct buf *out);
/* What was held back. */
bool mbox_quote_end(struct mbox_quoter *q, struct buf *out);

/* --- writing --- */

/*
 * The "From " line and our own fields; lines end with LF. `ends_in_line`: the
 * message has no line end at its end, so the writer gives it one.
 */
bool
mbox_put_head(struct buf *out, const struct door_meta *meta, bool ends_in_line);

/* --- reading --- */

struct mbox;

/* 0 or -ENOMEM. */
int mbox_new(struct mbox **out, struct input *in, enum mbox_format format);
void mbox_free(struct mbox **m);
/* Go to the next message. 1; 0: the end; -EBADMSG: it does not begin with a
 * "From " line, so it is no mbox; -errno. */
int mbox_next(struct mbox *m);
/* Some octets of the message, without the fields that are not its own; none:
 * its end. Line endings are those of the file. 0 or -errno. */
int mbox_read(struct mbox *m, struct slice *out);
/* What is known of it; complete after its end. Good until the next message. */
const struct door_meta *mbox_meta(const struct mbox *m);
/* It is none: a note of a mail program to itself, or one that is expunged. */
bool mbox_is_internal(const struct mbox *m);

/* The "From " line, without its end: is it one, with which date (INT64_MIN:
 * none)? `ours`: and did we write it: 1, or 2: it ends in the line. */
bool mbox_from_parse(struct slice line, int64_t *date, int *ours);

#endif
