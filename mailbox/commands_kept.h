/* SPDX-License-Identifier: ISC */
/* `pneu mail undelete` and `purge`: mail that was expunged and is kept. */
#ifndef PNEU_MAILBOX_COMMANDS_KEPT_H
#define PNEU_MAILBOX_COMMANDS_KEPT_H

#include "common/base/conf.h"

#define KEPT_UNDELETE_ARGS                                                     \
	"[--list [--json]] [--uid UID,...] [--since TIME] ACCOUNT [MAILBOX]"
#define KEPT_PURGE_ARGS "--yes ACCOUNT"

/* Arguments (argv[0] is the name); the exit status. */
int run_undelete(const struct conf *conf, int argc, char **argv);
int run_purge(const struct conf *conf, int argc, char **argv);

#endif
