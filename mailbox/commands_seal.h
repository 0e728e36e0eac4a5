/* SPDX-License-Identifier: ISC */
#ifndef PNEU_MAILBOX_COMMANDS_SEAL_H
#define PNEU_MAILBOX_COMMANDS_SEAL_H

#include "common/base/conf.h"

#define SEAL_ARGS "[--json] ACCOUNT"
#define UNSEAL_ARGS "[--password-file FILE] [--json] ACCOUNT"

int run_seal(const struct conf *conf, int argc, char **argv);
int run_unseal(const struct conf *conf, int argc, char **argv);

#endif
