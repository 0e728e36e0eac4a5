/* SPDX-License-Identifier: ISC */
/*
 * What of a message can be searched: all headers, and the text of text parts,
 * decoded (RFC 2045, 2047; HTML as its text) and mapped as IMAP compares
 * (casemap.h). One walk for the search itself and for its index, so that both
 * mean the same text.
 */
#ifndef PNEU_MAILBOX_MAILS_SEARCH_TEXT_H
#define PNEU_MAILBOX_MAILS_SEARCH_TEXT_H

#include "mailbox/mails/mails.h"

enum search_text_kind {
	SEARCH_OWN_HEADER = 1,  /* a field of the message, whole */
	SEARCH_OWN_VALUE = 2,   /* the same field without its name */
	SEARCH_PART_HEADER = 4, /* a field of a part, or of a message in it */
	SEARCH_BODY = 8,        /* a piece of a text part */
};

/* Buffers, kept from message to message. Zero-initialise. */
struct search_text {
	struct buf raw, decoded, utf8, text, mapped;
	struct arena field;
	int64_t turn_ms, turn_began_ms; /* work between two turns of the loop */
	int64_t rest_ms;                /* to sleep after each */
};
void search_text_clear(struct search_text *t);

/* Octets of a message into t->raw. 0 or an error of mails_read. */
int search_text_read(struct search_text *t, struct mails_view *v, uint32_t seq,
    uint64_t at, uint64_t n);
/* A header text, decoded and mapped; valid until the next call. */
struct slice search_text_map(struct search_text *t, struct slice text);
/* Let others have their turn, when it is time. 0 or -ECANCELED. */
int search_text_turn(struct search_text *t);

/*
 * Give each piece of the kinds asked for to `piece`, in order. It must not
 * wait. `begins`: no text that is found reaches back over here. A non-zero
 * return ends the walk, which then returns it. Errors of Mails.
 */
typedef int search_piece_fn(
    void *arg, enum search_text_kind kind, struct slice mapped, bool begins);
int search_text_walk(struct search_text *t, struct mails_view *v, uint32_t seq,
    const struct mails_summary *sum, unsigned kinds, search_piece_fn *piece,
    void *arg);

#endif
