/* SPDX-License-Identifier: ISC */
/* Messages and their parts, for those files of the API that show them. */
#ifndef PNEU_MAILBOX_API_API_MESSAGES_H
#define PNEU_MAILBOX_API_API_MESSAGES_H

#include <jansson.h>

#include "common/mail/param.h"
#include "common/mail/transfer.h"
#include "mailbox/api/api_impl.h"

/* The flag of that name in the API ("seen"); 0: it is a keyword. */
uint32_t api_flag(const char *name);

/* A header text, encoded words undone. */
json_t *api_header_text(struct arena *a, struct slice text);

json_t *api_flags_json(const struct mails_view *v, struct mails_flags f);
/* What a list shows of a message. */
int api_summary_json(
    struct mails_view *v, uint32_t seq, struct arena *a, json_t **out);

/* What the header of a part says; .p NULL where it says nothing. */
struct api_part {
	struct slice filename, disposition, content_id;
	struct params params; /* of Content-Type */
};
int api_part_info(struct mails_view *v, uint32_t seq, struct arena *a,
    const struct mails_part *part, struct api_part *out);

/* The octets of a part, with its transfer encoding undone. */
struct api_reader {
	struct mails_view *v;
	uint32_t seq;
	uint64_t at, left;
	struct transfer_decoder decoder;
	bool ended;
	struct buf raw, out;
};
int api_reader_init(struct api_reader *r, struct mails_view *v, uint32_t seq,
    const struct mails_part *part);
/* The next octets, valid until the next call; empty at the end. May wait. */
int api_reader_next(struct api_reader *r, struct slice *piece);
void api_reader_clear(struct api_reader *r);

/* All of what getMessage tells. */
int api_message_json(
    struct api_call *c, struct mails_view *v, uint32_t seq, json_t **out);
/* Replies with the message, or the part of the path. */
int api_send_raw(struct api_call *c, struct mails_view *v, uint32_t seq,
    const char *type);
int api_send_part(struct api_call *c, struct mails_view *v, uint32_t seq);
/* The octets of a part, decoded. -E2BIG: `out` is full. */
int api_part_octets(struct mails_view *v, uint32_t seq,
    const struct mails_part *part, struct buf *out);

/* A text part in UTF-8, appended; *cut: `out` was full before its end. */
int api_part_text(struct mails_view *v, uint32_t seq,
    const struct mails_part *part, struct buf *out, bool *cut);

#endif
