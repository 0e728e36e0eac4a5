/* SPDX-License-Identifier: ISC */
/*
 * The header of a message (RFC 5322 2.2): finding its end, its fields, and
 * their values. Tolerant of what real mail has: bare LF as a line end, a space
 * before the colon, 8-bit values, lines of any length, an mbox "From " (or
 * ">From ") line at the top, a missing blank line.
 *
 * What ends the header: the blank line; else the first line that is neither
 * a field nor folded, which is then the first of the body; else HEADER_MAX,
 * and then it ends after the last line that ends within it.
 */
#ifndef PNEU_MAIL_HEADER_H
#define PNEU_MAIL_HEADER_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/slice.h"

#define HEADER_MAX ((size_t)256 << 10) /* octets */

struct header_field {
	struct slice name;  /* as written; empty for a line ": x" */
	struct slice value; /* after the colon, folding kept, last line end
			       not included */
	struct slice raw;   /* the whole field with all its line ends */
};

/* Octets of the header, the blank line (if there is one) included: where the
 * body begins. */
size_t header_size(struct slice message);

/* Go through the fields of a message or of its header:
 *   struct slice rest = message; while (header_next(&rest, &f)) ...
 * mbox lines are passed over. False at the end of the header; then `rest` is
 * the body. HEADER_MAX is not looked at: give it the header_size octets when
 * the message may be a stranger's. */
bool header_next(struct slice *rest, struct header_field *out);

enum header_line {
	HEADER_LINE_FIELD,
	HEADER_LINE_FOLDED, /* belongs to the field before */
	HEADER_LINE_MBOX,   /* passed over */
	HEADER_LINE_BLANK,  /* the last of the header */
	HEADER_LINE_BODY,   /* not of the header any more */
};
/* What a line is, in a header. after_field: the line before was a field or
 * folded. For readers that have their own lines. */
enum header_line header_line_kind(struct slice line, bool after_field);

/* The first field of that name (ASCII case ignored). *out is untouched when
 * there is none. */
bool
header_find(struct slice message, const char *name, struct header_field *out);
/* How many fields have that name: Received, for loops (RFC 5321 6.3). */
size_t header_count(struct slice message, const char *name);

/*
 * The value without folding and without white space around it: line ends and
 * NULs removed, white space after a fold kept (RFC 5322 2.2.3), a bare CR or
 * LF made a space. Any octets of 128 and more are left. In the arena; .p is
 * NULL when that is full. Also good to clean text for one line.
 */
struct slice header_unfold(struct arena *a, struct slice value);
/* header_find and header_unfold; .p is NULL when there is no such field (or
 * the arena is full), and not NULL when the value is empty. */
struct slice
header_value(struct arena *a, struct slice message, const char *name);

/* 1*ftext (RFC 5322 2.2), at most 76 octets. */
bool header_name_is_valid(struct slice name);

/*
 * Write "Name: value" CRLF, folded at white space so that lines have at most
 * 76 octets where that is possible. CR, LF and NUL in the value become
 * spaces: no value can make a second field. A word of more than 998 octets is
 * cut in lines.
 */
bool header_put(struct buf *b, const char *name, struct slice value);

/*
 * The same scan for a message that comes in chunks: whole or octet by octet
 * gives the same header. Holds at most HEADER_MAX octets and one chunk.
 */
struct header_reader {
	struct buf held;
	size_t end; /* for the reader itself */
	bool after_field;
	bool done; /* the header is complete: ask _header and _body */
};

void header_reader_init(struct header_reader *r);
/*
 * Take a chunk; nothing of it may be fed again. Once `done`, feed no more: the
 * caller passes what it gets later to where the body goes. -ENOMEM, or 0.
 */
int header_reader_feed(struct header_reader *r, struct slice chunk);
/* The message ends here; done is true after it. */
void header_reader_end(struct header_reader *r);
/* When done: the header, blank line included, and the octets of the body that
 * have been fed so far. Valid until _clear. */
struct slice header_reader_header(const struct header_reader *r);
struct slice header_reader_body(const struct header_reader *r);
void header_reader_clear(struct header_reader *r);

#endif
