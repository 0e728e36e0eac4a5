/* SPDX-License-Identifier: ISC */
/*
 * The structure of a message (RFC 2045, 2046): fed in chunks of any size, the
 * body never held, the result a tree of parts in an arena with the offsets of
 * each header and body. Whole or octet by octet: the same tree.
 *
 * Decisions. A delimiter line is "--", the boundary, and white space only, so
 * that boundaries which begin with one another work; the innermost open
 * multipart is asked first; the line end before it belongs to it
 * (RFC 2046 5.1.1). LF alone is a line end. A multipart without a usable
 * boundary, and whatever is beyond a limit, is an opaque leaf: it keeps its
 * type and its octets.
 */
#ifndef PNEU_MAIL_MIME_H
#define PNEU_MAIL_MIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/slice.h"
#include "common/mail/param.h"
#include "common/mail/transfer.h"

#define MIME_DEPTH_MAX 32   /* parts inside one another */
#define MIME_PARTS_MAX 1000 /* of a message, nested messages included */
/* Of the arena; only the last header may go over it. Give an arena 8 MiB. */
#define MIME_TREE_MAX ((size_t)2 << 20)

enum mime_kind {
	MIME_LEAF,
	MIME_MULTIPART, /* `children` are its parts */
	MIME_MESSAGE,   /* message/rfc822: `children` is the one message */
};

/* The fields of a message that ENVELOPE and threading want: unfolded values,
 * .p NULL where absent. Address fields that stand more than once are joined
 * by ", ", of the others the first counts. */
struct mime_envelope {
	struct slice date, subject, from, sender, reply_to, to, cc, bcc;
	struct slice in_reply_to, message_id, references;
};

/* Slices are in the arena, unfolded, .p NULL where the field is absent. */
struct mime_part {
	enum mime_kind kind;
	struct slice type, subtype; /* lower-case, never NULL: defaults filled
				       in (RFC 2045 5.2, RFC 2046 5.1.5) */
	bool type_given; /* there was a Content-Type that could be parsed */
	struct params params; /* of Content-Type */
	enum transfer_encoding encoding;
	struct slice encoding_name; /* lower-case, comments out */
	struct slice id, description, md5, location;
	struct slice disposition; /* lower-case */
	struct params disposition_params;
	struct slice language; /* the whole list */

	/* Octets from the start of the message. The header has the blank
	 * line in it (RFC 3501 6.4.5), header_at + header_size == body_at. */
	uint64_t header_at, header_size;
	uint64_t body_at, body_size;
	uint64_t header_lines, body_lines; /* line ends in it */

	/* Of the root and of the child of a MIME_MESSAGE, else NULL. */
	struct mime_envelope *envelope;

	struct mime_part *parent; /* NULL: the root */
	struct mime_part *children, *last_child;
	struct mime_part *next; /* the next child of the same parent */
	uint32_t number;        /* 1.. within the parent; 0 for the root */
	uint32_t n_children;
	uint32_t index; /* 0.. in the order of the message */
};

struct mime_parser;

/*
 * The tree goes into `a`. When keep_text is not 0, the parser keeps that many
 * raw octets of the first text/plain and text/html bodies, for a preview
 * without a second reading. -ENOMEM, or 0.
 */
int
mime_parser_new(struct mime_parser **out, struct arena *a, size_t keep_text);
/* 0, or -ENOMEM: sticky. Never suspends. */
int mime_parser_feed(struct mime_parser *p, struct slice chunk);
/* The message ends. There is always a root; an empty message is an empty
 * text/plain. 0, or -ENOMEM. */
int mime_parser_end(struct mime_parser *p, struct mime_part **root);
/* After the end: the raw octets kept of the part that text_part_find(root)
 * names (see text.h); empty when none. Valid until _free. */
struct slice
mime_parser_text(const struct mime_parser *p, const struct mime_part *part);
void mime_parser_free(struct mime_parser **p);

/* All in one for a message in memory. */
int mime_parse(struct arena *a, struct slice message, struct mime_part **root);

/*
 * The part that an IMAP section names by numbers (RFC 3501 6.4.5), NULL when
 * there is none. With n 0 the root. Of the part found:
 *   BODY[p]       its body_at, body_size
 *   BODY[p.MIME]  its header_at, header_size
 *   BODY[p.HEADER], BODY[p.TEXT]  header and body of mime_part_message(part)
 */
const struct mime_part *
mime_part_find(const struct mime_part *root, const uint32_t *path, size_t n);
/* The message that HEADER and TEXT speak of: the root itself for the root
 * found by n 0, the nested message of a MIME_MESSAGE, else NULL. */
const struct mime_part *
mime_part_message(const struct mime_part *part, size_t n);

/* The part after this one in the order of the message (a walk without
 * recursion: for (p = root; p; p = mime_part_next(p))). */
const struct mime_part *mime_part_next(const struct mime_part *part);
/* Types are lower-case. */
bool mime_part_is(
    const struct mime_part *part, const char *type, const char *subtype);

/* text/subtype, and not an attachment. */
bool mime_part_is_shown(const struct mime_part *part, const char *subtype);
/* More in the body than an empty line. */
bool mime_part_has_text(const struct mime_part *part);

#endif
