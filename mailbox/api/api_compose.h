/* SPDX-License-Identifier: ISC */
/* A message from the JSON of /send (RFC 5322, 2045 ...). */
#ifndef PNEU_MAILBOX_API_API_COMPOSE_H
#define PNEU_MAILBOX_API_API_COMPOSE_H

#include "mailbox/api/api_impl.h"

#define API_RCPTS_MAX 1000
#define API_COMPOSED_MAX ((size_t)32 << 20) /* octets */

struct api_outgoing {
	struct slice from; /* reverse-path, as on the wire */
	struct slice *rcpts;
	size_t n_rcpts;
	bool smtputf8;
	struct slice message_id; /* with its brackets */
	/* What it answers, to be marked: mailbox 0 means nothing. */
	struct mails_info answered_box;
	uint32_t answered_uid;
	struct buf message; /* composed; empty where it came raw */
};
/* Of c->in. 0, API_REPLIED, or an error; out->message is to be cleared. */
int api_compose(struct api_call *c, struct api_outgoing *out);
/* Sender and recipients of a raw message, from its header. */
int api_compose_raw(
    struct api_call *c, struct slice header, struct api_outgoing *out);

#endif
