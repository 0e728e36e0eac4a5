/* SPDX-License-Identifier: ISC */
/*
 * Reading an ENVELOPE text (RFC 3501 7.4.2) as summaries hold it: for SEARCH,
 * which so need not open messages. It comes from our own encoder, but is
 * checked all the same.
 */
#ifndef PNEU_MAILBOX_IMAP_ENVELOPE_H
#define PNEU_MAILBOX_IMAP_ENVELOPE_H

#include <stdbool.h>

#include "common/base/arena.h"
#include "common/base/slice.h"

enum {
	IMAP_ENV_DATE,
	IMAP_ENV_SUBJECT,
	IMAP_ENV_FROM,
	IMAP_ENV_SENDER,
	IMAP_ENV_REPLY_TO,
	IMAP_ENV_TO,
	IMAP_ENV_CC,
	IMAP_ENV_BCC,
	IMAP_ENV_IN_REPLY_TO,
	IMAP_ENV_MESSAGE_ID,
	IMAP_ENV_FIELDS
};

/* The ten fields as they are written. -EINVAL, or 0. */
int imap_envelope_split(
    struct slice envelope, struct slice fields[IMAP_ENV_FIELDS]);

/* The value of an nstring; .p NULL for NIL. -EINVAL, -ENOMEM, or 0. */
int
imap_envelope_string(struct arena *a, struct slice field, struct slice *out);

/*
 * The next address of a field as "name <mailbox@host>", the name still in
 * encoded words; a group's name alone. `rest` is the field at first. 1, 0 at
 * the end (and for NIL), -EINVAL, -ENOMEM.
 */
int
imap_envelope_address(struct arena *a, struct slice *rest, struct slice *out);

#endif
