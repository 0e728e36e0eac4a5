/* SPDX-License-Identifier: ISC */
/* Mails as the configuration and the accounts want it sealed. */
#ifndef PNEU_MAILBOX_SEALING_CONF_H
#define PNEU_MAILBOX_SEALING_CONF_H

#include "common/base/conf.h"
#include "mailbox/mails/mails.h"

struct accounts;

/* The file of the server's key, in the arena. NULL: no memory. */
const char *sealing_key_path(const struct conf *conf, struct arena *a);
/*
 * mails_open with what concerns sealing in *mc filled in. The server's key is
 * read where it is. `accounts`: for who puts mail in; they say how it is sealed,
 * and a key that is needed for the first time is made; they are closed later
 * than Mails. NULL, for tools that only read: nothing is made, and a key that is
 * not the store's is left aside.
 */
int sealing_mails_open(struct mails **out, const struct conf *conf,
    struct mails_conf *mc, struct accounts *accounts, struct buf *err);

#endif
