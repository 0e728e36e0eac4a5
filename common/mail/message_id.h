/* SPDX-License-Identifier: ISC */
/* Message identifiers (RFC 5322 3.6.4): making one, reading lists of them. */
#ifndef PNEU_MAIL_MESSAGE_ID_H
#define PNEU_MAIL_MESSAGE_ID_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/slice.h"

#define MESSAGE_IDS_MAX 1000 /* of one field; the rest is left out */

/* "<unique@domain>", the angle brackets included. An empty domain, or one that
 * is not fit, gives "localhost". */
bool message_id_put(struct buf *b, struct slice domain);

/*
 * The msg-ids of Message-ID, References or In-Reply-To, without angle
 * brackets, in canonical form (comments and white space out, quotes that are
 * not needed removed: RFC 5256 "references" step 1). Words between them, as old
 * In-Reply-To has, are passed over. 0 or -ENOMEM.
 */
int message_id_list(
    struct arena *a, struct slice value, struct slice **out, size_t *n);
/* The first of them; .p NULL when there is none. */
struct slice message_id_first(struct arena *a, struct slice value);

#endif
