/* SPDX-License-Identifier: ISC */
/* Getting an account's private key from a person, for the commands that need
 * it. */
#ifndef PNEU_MGMT_SEAL_H
#define PNEU_MGMT_SEAL_H

#include "mgmt/directory.h"

struct seal_key;

/*
 * Ask for a password that opens the account's sealed mail, or for its recovery
 * key; from standard input it is the first line. EX_OK with a reference, or the
 * exit status after telling why not.
 */
int seal_key_ask(struct directory *d, const char *account, bool recovery,
    struct seal_key **key);

#endif
