/* SPDX-License-Identifier: ISC */
/*
 * ENVELOPE, BODY and BODYSTRUCTURE of IMAP (RFC 3501 7.4.2) as texts ready to
 * send: NIL, quoted strings, and literals for what has octets of 128 and more.
 * CR, LF and NUL never come out but as the CRLF of a literal.
 */
#ifndef PNEU_MAIL_ENVELOPE_H
#define PNEU_MAIL_ENVELOPE_H

#include <stdbool.h>

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/slice.h"
#include "common/mail/mime.h"

/*
 * "(date subject from sender reply-to to cc bcc in-reply-to message-id)".
 * 0, or -ENOMEM (also: b is full).
 */
int envelope_put(struct buf *b, const struct mime_envelope *e);
/* Of the root (or any part): BODY without, BODYSTRUCTURE with extension data.
 * 0, or -ENOMEM. */
int
envelope_put_body(struct buf *b, const struct mime_part *part, bool extended);

/* An IMAP nstring: NIL (.p NULL), quoted, or a literal. */
bool envelope_put_nstring(struct buf *b, struct slice s);

/*
 * The base subject (RFC 5256 2.1) in UTF-8, of a raw subject value; *is_reply
 * (when not NULL) says whether there was a Re: or Fwd:. .p NULL when the
 * arena is full.
 */
struct slice
envelope_base_subject(struct arena *a, struct slice subject, bool *is_reply);

/* The sent date (RFC 5256 2.2) in seconds since 1970; false when there is no
 * Date that can be understood: then INTERNALDATE is to be used. */
bool envelope_sent_date(const struct mime_envelope *e, int64_t *seconds);

#endif
