/* SPDX-License-Identifier: ISC */
/*
 * Names of what is kept of expunged mail, for LIST: "#deleted/INBOX",
 * "#time/2026-11-20/INBOX". NAMESPACE tells of them (RFC 2342), and a pattern
 * that begins with "#" finds them; "*" does not, or who copies all mail would
 * copy what was deleted too.
 */
#ifndef PNEU_MAILBOX_IMAP_KEPT_H
#define PNEU_MAILBOX_IMAP_KEPT_H

#include "mailbox/mails/kept.h"

/* Add to `all` (of mails_list, *n of them) the names that a pattern may want;
 * a new array in the arena. An error of Mails. */
int imap_kept_add(struct arena *a, struct mails *m, const char *account,
    const struct slice *patterns, size_t n_patterns, struct mails_info **all,
    size_t *n);

#endif
