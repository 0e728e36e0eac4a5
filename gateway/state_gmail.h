/* SPDX-License-Identifier: ISC */
/*
 * Of Gmail accounts, besides the rows of state.h:
 *
 *   G          how far their history was followed, and the listing (JSON)
 *   g<16>      a message, by half a SHA-256 of its id: what became of it
 *   h<16>      one that could not be had; tries, id
 *   r<4><4>    the other way round: UIDVALIDITY and UID here, to the id. May be
 *              out of date: the message's own row counts
 *   c<16><8>   all is being compared: a message has that label (a part of a SHA-256
 *              of its id; of "": it is there)
 *   N          names of labels, as last seen (JSON)
 *
 * Losing them costs fetches (state.h).
 */
#ifndef PNEU_GATEWAY_STATE_GMAIL_H
#define PNEU_GATEWAY_STATE_GMAIL_H

#include <jansson.h>

#include "gateway/gmail_scan.h"
#include "gateway/state.h"

enum gmail_compare_state {
	GMAIL_COMPARE_NONE,
	GMAIL_COMPARE_LABELS, /* what has them is being listed */
	GMAIL_COMPARE_JOIN,   /* with what is known */
};

struct gmail_position {
	uint64_t history; /* changes up to this id were dealt with; 0: none */
	bool listing;     /* all are being looked through */
	bool mirror;      /* it was, in the last look */
	enum gmail_compare_state compare;
	bool first; /* it is the first comparison: what is gone is not missed */
	bool doubt; /* so much is gone that it is not believed */
	char label[GMAIL_ID_MAX + 1];   /* that is being listed */
	unsigned char joined[STATE_ID]; /* up to that row */
	int64_t labels_s;               /* when their names were looked at */
	struct buf page; /* of that, the next page's token; "": the first */
	int64_t of_s;    /* when the record was made that all is of */
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
	bool has_labels;
	struct slice labels; /* ids there, as last seen; the same way */
	uint64_t print;      /* what it is known by here; 0: not known yet */
	struct buf text;
};
/* Into Trash or Junk, or a draft: that such a one goes is the rule. */
bool gmail_row_is_thrown_away(const struct gmail_row *row);
/* 0, also where there is none. Clear in any case. */
int gmail_row_get(struct state *s, const char *address, const char *id,
    struct gmail_row *out);
/* The message that is here; as above. */
int gmail_row_find(struct state *s, const char *address, uint32_t uidvalidity,
    uint32_t uid, struct gmail_row *out);
int gmail_row_put(
    struct state *s, const char *address, const struct gmail_row *row);
/* At most `max` rows in the order of their keys, from that one on; each to be
 * cleared, and free(*out). `key` is then where to go on. */
int gmail_rows(struct state *s, const char *address,
    unsigned char key[static STATE_ID], size_t max, struct gmail_row **out,
    size_t *n);

/* Many of them, in as few commits as the engine takes; an error sticks. */
struct gmail_writer {
	struct state *s;
	const char *address;
	struct store_batch *b;
	size_t n, octets;
	int rc;
};
void gmail_write(struct gmail_writer *w, const struct gmail_row *row);
/* 0, or what went wrong since the last one. */
int gmail_write_end(struct gmail_writer *w);

/* --- a comparison --- */

#define GMAIL_LISTED 24 /* octets: message, label */
void gmail_listed_id(
    const char *id, const char *label, char out[static GMAIL_LISTED]);
/* n of them, one after the other. */
int
gmail_listed_put(struct state *s, const char *address, const char *v, size_t n);
/* Those of messages from <= message < to, in order; free(*out). */
int gmail_listed_get(struct state *s, const char *address,
    const unsigned char from[static STATE_ID],
    const unsigned char to[static STATE_ID], char **out, size_t *n);
int gmail_listed_forget(struct state *s, const char *address);

/* *changed: one has another name now, or has gone. */
int gmail_names_check(
    struct state *s, const char *address, const json_t *names, bool *changed);
int gmail_names_put(struct state *s, const char *address, const json_t *names);

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
