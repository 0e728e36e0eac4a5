/* SPDX-License-Identifier: ISC */
/*
 * Encoded words (RFC 2047): header text that is not ASCII. For parameters see
 * param.h, for bodies transfer.h, for charsets charset.h.
 */
#ifndef PNEU_MAIL_ENCODED_H
#define PNEU_MAIL_ENCODED_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/slice.h"

/*
 * Unstructured text or a phrase to UTF-8: encoded words decoded, white space
 * between adjacent ones dropped (RFC 2047 6.2), a character split over two
 * words of the same charset joined. A word that is broken or of an unknown
 * charset stays as written. Raw octets that are not UTF-8 become U+FFFD.
 * Folded input is unfolded. No CR, LF or NUL comes out. In the arena; .p NULL
 * when that is full.
 */
struct slice encoded_decode(struct arena *a, struct slice text);

/*
 * Write UTF-8 text for a header field: as it is when it is ASCII (and does not
 * look like an encoded word), else the words that need it as encoded words of
 * UTF-8, each at most 75 octets, folded so that lines have at most 76.
 * `column` is where the line is already ("Subject: " is 9).
 */
bool encoded_put_text(struct buf *b, struct slice utf8, size_t column);
/* The same for a phrase (display name): atoms, else a quoted string, else
 * encoded words of the narrow alphabet (RFC 2047 5 (3)). */
bool encoded_put_phrase(struct buf *b, struct slice utf8, size_t column);

#endif
