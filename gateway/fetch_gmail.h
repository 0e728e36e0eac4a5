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
	bool has_names;
	struct arena here; /* of the boxes, once they were asked for */
	struct here_box *boxes;
	size_t n_boxes;
	bool has_boxes;
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

/* Ids to messages, of a page of history: labels that changed, and those that are
 * gone. Waits. */
int gmail_follow(struct gmail_session *s, json_t *labels, json_t *gone);

#endif
