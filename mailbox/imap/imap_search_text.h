/* SPDX-License-Identifier: ISC */
/*
 * BODY and TEXT of SEARCH: all needles at once in one reading of a message,
 * piece by piece. Text parts, messages and all headers are read; other parts
 * are not (RFC 3501 6.4.4 allows that).
 */
#ifndef PNEU_MAILBOX_IMAP_SEARCH_TEXT_H
#define PNEU_MAILBOX_IMAP_SEARCH_TEXT_H

#include "mailbox/imap/imap_search.h"
#include "mailbox/mails/search_text.h"

/* The buffers, kept from message to message. Zero-initialise. */
struct imap_text_search {
	struct search_text text;
	struct buf window;
};
void imap_text_search_clear(struct imap_text_search *t);

/* Does a header have a field `name` with the (mapped) needle in it? */
bool imap_text_field_has(struct imap_text_search *t, struct slice header,
    struct slice name, struct slice needle);
/* Is the (mapped) needle in this header text, after decoding? */
bool imap_text_has(
    struct imap_text_search *t, struct slice text, struct slice needle);

/*
 * *found: bit i for the query's texts[i]. 0 or an error of Mails. May take its
 * time; yields.
 */
int imap_text_search(struct imap_text_search *t, const struct imap_search *q,
    struct mails_view *v, uint32_t seq, const struct mails_summary *sum,
    uint64_t *found);

#endif
