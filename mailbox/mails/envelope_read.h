/* SPDX-License-Identifier: ISC */
/*
 * Reading an ENVELOPE text (RFC 3501 7.4.2) as summaries hold it: for SEARCH,
 * which so need not open messages. It comes from our own encoder, but is
 * checked all the same.
 */
#ifndef PNEU_MAILBOX_MAILS_ENVELOPE_READ_H
#define PNEU_MAILBOX_MAILS_ENVELOPE_READ_H

#include <stdbool.h>

#include "common/base/arena.h"
#include "common/base/slice.h"

enum {
	ENVELOPE_DATE,
	ENVELOPE_SUBJECT,
	ENVELOPE_FROM,
	ENVELOPE_SENDER,
	ENVELOPE_REPLY_TO,
	ENVELOPE_TO,
	ENVELOPE_CC,
	ENVELOPE_BCC,
	ENVELOPE_IN_REPLY_TO,
	ENVELOPE_MESSAGE_ID,
	ENVELOPE_FIELDS
};

/* The ten fields as they are written. -EINVAL, or 0. */
int envelope_read_split(
    struct slice envelope, struct slice fields[ENVELOPE_FIELDS]);

/* The value of an nstring; .p NULL for NIL. -EINVAL, -ENOMEM, or 0. */
int
envelope_read_string(struct arena *a, struct slice field, struct slice *out);

/*
 * The next address of a field as "name <mailbox@host>", the name still in
 * encoded words; a group's name alone. `rest` is the field at first. 1, 0 at
 * the end (and for NIL), -EINVAL, -ENOMEM.
 */
int
envelope_read_address(struct arena *a, struct slice *rest, struct slice *out);

#endif
