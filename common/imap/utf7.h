/* SPDX-License-Identifier: ISC */
/* Modified UTF-7, the form of mailbox names in IMAP4rev1 (RFC 3501 5.1.3). */
#ifndef PNEU_IMAP_UTF7_H
#define PNEU_IMAP_UTF7_H

#include "common/base/buf.h"
#include "common/base/slice.h"

/* Append UTF-8 in modified UTF-7. False when b has failed, or (then with
 * nothing appended) the text is not UTF-8. */
bool imap_utf7_encode(struct buf *b, struct slice utf8);
/*
 * Append modified UTF-7 as UTF-8. Only the one form that encoding gives is
 * taken, so that no mailbox has two names. 0, -EINVAL (b as before), -ENOMEM.
 */
int imap_utf7_decode(struct buf *b, struct slice utf7);

#endif
