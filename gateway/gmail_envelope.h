/* SPDX-License-Identifier: ISC */
/* Gmail's API has no envelope: what the header says, it does. Pure. */
#ifndef PNEU_GATEWAY_GMAIL_ENVELOPE_H
#define PNEU_GATEWAY_GMAIL_ENVELOPE_H

#include "common/base/arena.h"
#include "common/base/buf.h"

/*
 * Of a message (its beginning, with the header) and the recipients that are to
 * get it: *bcc is a field for those whom To, Cc and Bcc do not name, with its
 * line end, or nothing. *others: these name somebody else as well, or it cannot
 * be told. 0, -ENOMEM.
 */
int gmail_envelope(struct arena *a, struct slice message,
    const struct slice *to, size_t n, struct buf *bcc, bool *others);

#endif
