/* SPDX-License-Identifier: ISC */
/* For dsn.c: what a notification says to a person. ASCII, CRLF lines. */
#ifndef PNEU_MAIL_DSN_WORDS_H
#define PNEU_MAIL_DSN_WORDS_H

#include "common/mail/dsn.h"

struct slice dsn_words_subject(const struct dsn *d);
/* What happened, and why, below the address. */
void dsn_words_put_recipient(struct buf *b, const struct dsn_recipient *r);
/* What to do, at the end. */
void dsn_words_put_advice(struct buf *b, const struct dsn *d);

#endif
