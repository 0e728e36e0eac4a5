/* SPDX-License-Identifier: ISC */
/*
 * The text of HTML as a person would read it: tags out, entities decoded,
 * white space collapsed, block elements on lines of their own, script and
 * style left out. A filter of UTF-8 octets with the state of one tag; takes
 * anything, and is never wrong but in taste.
 */
#ifndef PNEU_MAIL_HTML_TEXT_H
#define PNEU_MAIL_HTML_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/buf.h"
#include "common/base/slice.h"

struct html_text {
	int state;
	char quote; /* within an attribute's value: its quote */
	bool after_equals;
	bool closing;  /* the tag is "</..." */
	char word[16]; /* the tag's name, or the entity's, so far */
	size_t n_word;
	const char *raw; /* name of the element whose content is left out */
	size_t n_dashes; /* in a comment */
	char pending;    /* white space before the next text: 0, ' ', '\n' */
	bool begun;      /* text has come out */
};

/* All zero is its start. */
void html_text_feed(struct html_text *h, struct slice in, struct buf *out);
void html_text_end(struct html_text *h, struct buf *out);

#endif
