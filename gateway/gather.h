/* SPDX-License-Identifier: ISC */
/* What fetch.c and gather.c have from each other. */
#ifndef PNEU_GATEWAY_GATHER_H
#define PNEU_GATEWAY_GATHER_H

#include "gateway/fetch.h"

/* As fetch_deposit; -ENOSYS: mailbox cannot do that. */
int fetch_gather_put(struct fetch *f, const struct fetch_message *m,
    const struct smtp_client_mail *mail);
/* Nothing of it counts. */
void fetch_gather_drop(struct fetch *f);
/* What a reply means for a message: 0, 1, or -EAGAIN, told. */
int fetch_judge(struct fetch *f, const struct fetch_message *m,
    const struct smtp_reply *reply);
/* "delivered|known <uidvalidity> <uid>" */
void fetch_take_place(struct fetch *f, struct slice text);

#endif
