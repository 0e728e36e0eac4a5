/* SPDX-License-Identifier: ISC */
/* Inbucket's paths, with mailbox.test_inbox. */
#ifndef PNEU_MAILBOX_API_API_INBUCKET_H
#define PNEU_MAILBOX_API_API_INBUCKET_H

#include "mailbox/api/api_impl.h"

extern const struct api_route api_inbucket_routes[]; /* ends as api_routes */

/* What a list says of a message. */
int api_inbucket_header(struct mails_view *v, uint32_t seq,
    const char *account, struct arena *a, json_t **out);

/* The WebSocket that tells of messages as they arrive. */
int api_inbucket_monitor(struct api_call *c);

#endif
