/* SPDX-License-Identifier: ISC */
/* What the files for Gmail share: one look. */
#ifndef PNEU_GATEWAY_FETCH_GMAIL_H
#define PNEU_GATEWAY_FETCH_GMAIL_H

#include "gateway/gmail_labels.h"
#include "gateway/gmail_login.h"
#include "gateway/here.h"
#include "gateway/state_gmail.h"

struct gmail_session {
	struct fetch *f;
	struct gmail_login login;
	uint64_t source; /* of fetch_message */
	struct gmail_position pos;
	struct co_mutex naming, putting;
	json_t *names; /* id to name, of the user's labels */
	json_t *words; /* gmail_words_of them */
	bool has_names;
	/* to be taken: */
	struct gmail_failed *v;
	size_t n, at;
	int stop;        /* what ends it all */
	size_t n_failed; /* messages that could not be had */
};

/* Of a page of history: ids to messages. */
struct gmail_changes {
	json_t *added, *labels, *gone;
	uint64_t last; /* id */
};

/* Where a message with these labels goes. */
int gmail_session_place(
    struct gmail_session *s, struct slice labels, struct gmail_place *out);

/* The name that a mailbox of theirs goes by, with `into`; `room` may hold it. */
struct slice gmail_session_mailbox(
    const struct gmail_session *s, struct slice mailbox, struct buf *room);
/* Rows; what goes wrong is told. */
int gmail_session_row_get(
    struct gmail_session *s, const char *id, struct gmail_row *out);
int gmail_session_row_put(struct gmail_session *s, const struct gmail_row *row);

int gmail_session_note(struct gmail_session *s); /* s->pos */
/* Once a look. */
int gmail_session_names(struct gmail_session *s);
/* The id of the label with this name, which is made where there is none; NULL: it
 * cannot be. */
int gmail_session_label(
    struct gmail_session *s, struct slice name, const char **id);

/* "labelIds" of a message, each followed by a space. */
void gmail_labels_text(const json_t *message, struct buf *out);

/*
 * What changed: ids to messages whose labels changed there (without "labelIds",
 * they are asked for), and to those that are gone; with `here` also what changed
 * here (OUTSIDE_MIRROR). Waits.
 */
int
gmail_mirror(struct gmail_session *s, json_t *labels, json_t *gone, bool here);
/* So many at once are not believed to be gone. */
bool gmail_mirror_doubts(size_t gone, size_t total);

/* --- gmail_compare.c --- */

/* All is to be compared; s->pos is not noted yet. */
int gmail_compare_begin(struct gmail_session *s);
/* Where that is so: these messages (objects with "id") have this label; "": they are
 * there. */
int gmail_compare_listed(
    struct gmail_session *s, const json_t *messages, const char *label);
/* Once all were listed. Goes on where it was; 0, also when there is nothing to
 * compare. */
int gmail_compare(struct gmail_session *s);
/* So that messages are found by where they are here: of those that were fetched
 * when that was not noted. */
int gmail_compare_index(struct gmail_session *s);

#endif
