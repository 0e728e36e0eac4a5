/* SPDX-License-Identifier: ISC */
/*
 * Line endings. Mails has CRLF only; files of Unix have LF. Going in, an LF
 * that has no CR before it gets one. Going out, CRLF becomes LF, unless coming
 * in again would then make another message of it (line_census).
 */
#ifndef PNEU_MAILBOX_DOOR_LINES_H
#define PNEU_MAILBOX_DOOR_LINES_H

#include "common/base/buf.h"
#include "common/base/slice.h"

/* Zero-initialise; octets in any chunks. The result is appended to `out`:
 * false when that has failed. */
struct crlf_maker {
	bool after_cr;
};
bool crlf_make(struct crlf_maker *c, struct slice in, struct buf *out);

struct lf_maker {
	bool cr_held; /* it may belong to a CRLF: lf_make_end lets it go */
};
bool lf_make(struct lf_maker *l, struct slice in, struct buf *out);
bool lf_make_end(struct lf_maker *l, struct buf *out);

/* What a message looks like, to be known before it is given out. */
struct line_census {
	uint64_t octets, crlfs;
	bool
	    other; /* an LF without CR, or CR CR LF: keep the octets as they are */
	unsigned char before, last; /* the last two octets */
};
void line_census_feed(struct line_census *c, struct slice in);
/* It can be written with LF, and comes in again as it was. */
static inline bool
line_census_is_plain(const struct line_census *c)
{
	return !c->other;
}
static inline uint64_t
line_census_lf_octets(const struct line_census *c)
{
	return c->octets - c->crlfs;
}

#endif
