/* SPDX-License-Identifier: ISC */
/*
 * i;unicode-casemap (RFC 5051 2): the form of text in which searching
 * compares. Titlecase, then full decomposition, character by character, so
 * that text may be mapped in pieces that end between characters.
 */
#ifndef PNEU_MAIL_CASEMAP_H
#define PNEU_MAIL_CASEMAP_H

#include "common/base/buf.h"
#include "common/base/slice.h"

/* Append the mapped text; what is not UTF-8 is appended as it is. At most 36
 * octets come of one character. False when out has failed. */
bool casemap_put(struct buf *out, struct slice utf8);

#endif
