/* SPDX-License-Identifier: ISC */
/*
 * The key of what only the gateway may open: passwords of outside accounts,
 * secrets of subscriptions. For the files of common/auth.
 */
#ifndef PNEU_AUTH_OUTSIDE_KEY_H
#define PNEU_AUTH_OUTSIDE_KEY_H

#include "common/auth/accounts.h"

/*
 * Sealed for `what` of `owner` and nothing else, into the arena; the key is made
 * where there is none. 0, or -errno with the reason in `err`.
 */
int
outside_key_seal(struct accounts *a, struct arena *arena, struct slice owner,
    struct slice what, struct slice secret, struct slice *out, struct buf *err);
/* Wipe `out`. 0, -ENOENT (there is none), -EBADMSG (another key, or for
 * something else), or -errno of the key's file. */
int outside_key_open(struct accounts *a, struct slice owner, struct slice what,
    struct slice sealed, struct buf *out);

#endif
