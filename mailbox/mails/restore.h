/* SPDX-License-Identifier: ISC */
/*
 * A mailbox that is to be again what it was elsewhere, so that clients find what
 * they know: UIDVALIDITY, UIDs, no smaller HIGHESTMODSEQ.
 */
#ifndef PNEU_MAILBOX_MAILS_RESTORE_H
#define PNEU_MAILBOX_MAILS_RESTORE_H

#include "mailbox/mails/mails.h"

struct mails_restored {
	uint32_t uidvalidity, uidnext;
	uint64_t modseq;
};
/*
 * Before its messages: where nothing ever was in the mailbox, which exists, it
 * becomes that one. *same: it is, now or by an earlier call.
 */
int mails_restore_begin(struct mails *m, const char *account, struct slice name,
    const struct mails_restored *was, bool *same);
/* After them: no UID is given that was given. */
int mails_restore_end(struct mails *m, const char *account, struct slice name,
    const struct mails_restored *was);
/* Has the account anything yet, be it a default mailbox? Does not make it. */
int mails_is_untouched(struct mails *m, const char *account, bool *out);

#endif
