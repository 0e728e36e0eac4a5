/* SPDX-License-Identifier: ISC */
/* For deliver.c and names.c: what a delivery leaves for arrivals.h. */
#ifndef PNEU_MAILBOX_MAILS_ARRIVALS_IMPL_H
#define PNEU_MAILBOX_MAILS_ARRIVALS_IMPL_H

#include "mailbox/mails/impl.h"

/* Into the batch of the delivery. */
void arrival_put(struct store_batch *b, uint64_t modseq, uint32_t uid);
/* To be committed behind it, in the same call; NULL: no memory. Without it the
 * arrival is only found when the next one comes. */
struct store_batch *arrival_mark(struct mails *m, const char *account);
/* Then wakes who watches. */
void arrival_notify(struct mails *m);
/* The mark of an account that goes. */
int arrivals_drop(struct mails *m, const char *account);

#endif
