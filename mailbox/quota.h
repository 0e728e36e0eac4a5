/* SPDX-License-Identifier: ISC */
/* What the directory says an account may have, for Mails. */
#ifndef PNEU_MAILBOX_QUOTA_H
#define PNEU_MAILBOX_QUOTA_H

#include "common/auth/accounts.h"
#include "mailbox/mails/mails.h"

/* 0, -ENOENT: there is no such account, or an error of Accounts. May wait. */
int quota_get(struct accounts *a, struct arena *arena, const char *account,
    struct mails_quota *out);

#endif
