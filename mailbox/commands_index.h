/* SPDX-License-Identifier: ISC */
/* `pneu mail index`: the search index of an account. */
#ifndef PNEU_MAILBOX_COMMANDS_INDEX_H
#define PNEU_MAILBOX_COMMANDS_INDEX_H

#include "common/base/conf.h"

/* Arguments (argv[0] is its name); the exit status. */
int run_index(const struct conf *conf, int argc, char **argv);

#endif
