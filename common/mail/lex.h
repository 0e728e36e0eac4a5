/* SPDX-License-Identifier: ISC */
/*
 * The small words of header syntax (RFC 5322 3.2), for the parsers beside it.
 * Lenient in one way all over: a comment or quoted string that never ends takes
 * all that is left; so no input is scanned twice for an end that it lacks.
 */
#ifndef PNEU_MAIL_LEX_H
#define PNEU_MAIL_LEX_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/buf.h"
#include "common/base/slice.h"

static inline bool
lex_is_wsp(char c)
{
	return c == ' ' || c == '\t';
}

/* RFC 5322 3.2.3, with octets of 128 and more (RFC 6532 3.2). */
bool lex_is_atext(char c);
/* 1*atext *("." 1*atext) */
bool lex_is_dot_atom(struct slice s);

/* 0 .. 15 or -1. */
int lex_hex_digit(char c);

/* Octets of white space at the start of s. */
size_t lex_wsp_size(struct slice s);
/* Octets of the comment (s begins with "("), nested ones in it. */
size_t lex_comment_size(struct slice s);
/* Octets of the quoted string (s begins with "\""), its quotes included. */
size_t lex_quoted_size(struct slice s);
/* s without white space and comments at its start. */
struct slice lex_skip_cfws(struct slice s);

/* The inside of a quoted string (quoted as lex_quoted_size gave it) without
 * its backslashes, into p, which has room for it; returns the octets. */
size_t lex_unquote(struct slice quoted, char *p);
/* Write s as a quoted string. */
bool lex_put_quoted(struct buf *b, struct slice s);

#endif
