/* SPDX-License-Identifier: ISC */
/* What the files for Gmail share: one look. */
#ifndef PNEU_GATEWAY_FETCH_GMAIL_H
#define PNEU_GATEWAY_FETCH_GMAIL_H

#include "gateway/gmail_labels.h"
#include "gateway/gmail_login.h"
#include "gateway/state_gmail.h"

struct gmail_session {
	struct fetch *f;
	struct gmail_login login;
	uint64_t source; /* of fetch_message */
	struct gmail_position pos;
	struct co_mutex naming;
	json_t *names; /* id to name, of the user's labels */
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

#endif
