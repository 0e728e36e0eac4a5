/* SPDX-License-Identifier: ISC */
/* A level of a mailbox's name as others write it. */
#ifndef PNEU_IMAP_LEVEL_H
#define PNEU_IMAP_LEVEL_H

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/slice.h"

/*
 * Append a level in modified UTF-7 (RFC 3501 5.1.3), of whoever's making, or in
 * UTF-8, as UTF-8. What no level here can have ('/', controls, what is
 * ill-formed) becomes '_'. False: `out` has failed.
 */
bool imap_level_decode(struct buf *out, struct slice level);

/*
 * The name that a mailbox of another server has here: without `prefix`, where
 * it begins so, levels decoded and joined by '/'. `separator` NUL: one level.
 * In the arena, or its p is NULL: no memory, or over 4,096 octets.
 */
struct slice imap_name_decode(
    struct arena *a, struct slice raw, struct slice prefix, char separator);

#endif
