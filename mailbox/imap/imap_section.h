/* SPDX-License-Identifier: ISC */
/*
 * BODY[section]<partial> (RFC 3501 6.4.5): which octets of a message a section
 * means. No I/O here.
 */
#ifndef PNEU_MAILBOX_IMAP_SECTION_H
#define PNEU_MAILBOX_IMAP_SECTION_H

#include "mailbox/imap/imap_parser.h"
#include "mailbox/mails/mails.h"

#define IMAP_SECTION_DEPTH 40 /* numbers in a part specifier */

enum imap_section_what {
	IMAP_SECTION_ALL, /* the message, or the body of a part */
	IMAP_SECTION_HEADER,
	IMAP_SECTION_FIELDS,
	IMAP_SECTION_FIELDS_NOT,
	IMAP_SECTION_TEXT,
	IMAP_SECTION_MIME,
};

struct imap_section {
	struct imap_section *next;
	enum imap_section_what what;
	const uint32_t *path; /* part numbers, outermost first */
	size_t n_path;
	const struct slice *fields;
	size_t n_fields;
	bool partial;
	uint64_t from, max; /* octets, with partial */
	struct slice label; /* as the answer names it: "BODY[1.MIME]<0>" */
};

/* "[...]" with "<...>", which must stand here. As the parser. */
int imap_section_parse(struct imap_parser *p, struct imap_section *out);

struct imap_octets {
	uint64_t at, size;
};
/*
 * Where the section is in the message; of FIELDS the header that they are
 * taken from. False when the message has no such section. `sum` is needed
 * unless imap_section_is_whole.
 */
bool imap_section_find(const struct imap_section *s,
    const struct mails_summary *sum, uint64_t size, struct imap_octets *out);
bool imap_section_is_whole(const struct imap_section *s);

/* Append the fields of a header that FIELDS or FIELDS_NOT choose. */
void imap_section_filter(
    const struct imap_section *s, struct slice header, struct buf *out);

#endif
