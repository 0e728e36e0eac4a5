/* SPDX-License-Identifier: ISC */
/* The admin's commands on Mails: `pneu-mailbox list ...`, `pneu mail list ...`. */
#ifndef PNEU_MAILBOX_COMMANDS_H
#define PNEU_MAILBOX_COMMANDS_H

#include "common/net/service.h"

/* Ends with a NULL name. */
extern const struct service_command mailbox_commands[];

#endif
