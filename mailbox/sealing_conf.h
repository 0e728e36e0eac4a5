/* SPDX-License-Identifier: ISC */
/* Mails as the configuration wants it sealed. */
#ifndef PNEU_MAILBOX_SEALING_CONF_H
#define PNEU_MAILBOX_SEALING_CONF_H

#include "common/base/conf.h"
#include "mailbox/mails/mails.h"

/* The file of the server's key, in the arena. NULL: no memory. */
const char *sealing_key_path(const struct conf *conf, struct arena *a);
/*
 * mails_open with what concerns sealing in *mc filled in. The server's key is
 * read where it is, and made where it is needed for the first time. For tools
 * that put nothing in, `reads` is enough: then nothing is made, and a key that is not
 * the store's is left aside.
 */
int sealing_mails_open(struct mails **out, const struct conf *conf,
    struct mails_conf *mc, bool reads, struct buf *err);

#endif
