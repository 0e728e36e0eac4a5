/* SPDX-License-Identifier: ISC */
/*
 * The readable text of a message, in UTF-8: for previews (RFC 8970) and for
 * search. HTML becomes its text. Streaming; memory is that of the decoder.
 */
#ifndef PNEU_MAIL_TEXT_H
#define PNEU_MAIL_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/buf.h"
#include "common/base/slice.h"
#include "common/mail/mime.h"

#define TEXT_PREVIEW_CHARS 200 /* RFC 8970 3.1 */

/* The part whose text a reader would see first: the first text/plain that is
 * not an attachment, else the first text/html, else NULL. */
const struct mime_part *text_part_find(const struct mime_part *root);
/* A text part: its decoded text can be searched. */
bool text_part_is_text(const struct mime_part *part);

struct text_reader;

/* Reads the body of one text part. -ENOMEM, or 0. */
int text_reader_new(struct text_reader **out, const struct mime_part *part);
/*
 * Feed raw octets of the body; text is appended to `out` (lines end in LF;
 * HTML: white space collapsed, script and style left out, entities decoded).
 * False when out has failed: it is full, and that is enough text.
 */
bool text_reader_feed(struct text_reader *t, struct slice raw, struct buf *out);
bool text_reader_end(struct text_reader *t, struct buf *out);
void text_reader_free(struct text_reader **t);

/* All in one, of a raw body (or the first octets of one); `out` may get full.
 * -ENOMEM for memory only. */
int
text_decode(const struct mime_part *part, struct slice raw, struct buf *out);

/* At most TEXT_PREVIEW_CHARS characters of the text on one line: white space
 * collapsed, no control characters, quoted lines and rulers passed over. */
bool text_preview(struct slice text, struct buf *out);

#endif
