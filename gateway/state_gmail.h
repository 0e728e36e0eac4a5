/* SPDX-License-Identifier: ISC */
/*
 * Of Gmail accounts, besides the rows of state.h:
 *
 *   G          how far their history was followed, and the listing (JSON)
 *   g<16>      a message, by half a SHA-256 of its id: what became of it
 *   h<16>      one that could not be had; tries, id
 *
 * Losing them costs fetches (state.h).
 */
#ifndef PNEU_GATEWAY_STATE_GMAIL_H
#define PNEU_GATEWAY_STATE_GMAIL_H

#include "gateway/gmail_scan.h"
#include "gateway/state.h"

struct gmail_position {
	uint64_t history; /* changes up to this id were dealt with; 0: none */
	bool listing;     /* all are being looked through */
	struct buf page;  /* of that, the next page's token; "": the first */
	int64_t of_s;     /* when the record was made that all is of */
};
/* All zero where nothing is known. Clear `page` in any case. */
int gmail_position_get(
    struct state *s, const char *address, struct gmail_position *out);
/* All of it is another record's, which has gone. */
int gmail_state_forget(struct state *s, const char *address);
int gmail_position_put(
    struct state *s, const char *address, const struct gmail_position *p);

enum gmail_row_kind {
	GMAIL_ROW_NONE,
	GMAIL_ROW_GOING = 'w', /* into that mailbox, and perhaps there */
	GMAIL_ROW_DONE = 'd',
	GMAIL_ROW_PASSED = 'x', /* not to be had, or not wanted */
};

/* Where a message goes is noted before it goes: one whose labels change while a
 * delivery is not certain would else be in two mailboxes. */
struct gmail_row {
	enum gmail_row_kind kind;
	char id[GMAIL_ID_MAX + 1];
	uint32_t uidvalidity, uid; /* here; 0: not told */
	/* Slices of `text`. */
	struct slice use;     /* "Sent", or "" */
	struct slice mailbox; /* as the source's name (fetch_message) */
	struct slice flags;   /* as last agreed, each followed by a space */
	struct buf text;
};
/* 0, also where there is none. Clear in any case. */
int gmail_row_get(struct state *s, const char *address, const char *id,
    struct gmail_row *out);
int gmail_row_put(
    struct state *s, const char *address, const struct gmail_row *row);

struct gmail_failed {
	char id[GMAIL_ID_MAX + 1];
	unsigned tries;
};
/* At most `max`; free(*out). */
int gmail_failed_load(struct state *s, const char *address, size_t max,
    struct gmail_failed **out, size_t *n);
/* tries 0: it is none any more. */
int gmail_failed_put(
    struct state *s, const char *address, const struct gmail_failed *f);

/* As mailbox is told where it is there. */
void gmail_place_numbers(const char *id, uint32_t *uidvalidity, uint32_t *uid);

#endif
