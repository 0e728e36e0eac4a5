/* SPDX-License-Identifier: ISC */
/* From the command line to a line of the table. */
#ifndef PNEU_MGMT_DISPATCH_H
#define PNEU_MGMT_DISPATCH_H

#include "mgmt/commands.h"

/* Take the options before the command off the line. 0, or -EINVAL when they
 * are wrong or ask for help, or no command follows. */
int dispatch_options(int *argc, char ***argv);
/* The status for a line like that, with the help printed. */
int dispatch_help(void);
/* The command that the words name, which are taken off but for the last; or
 * NULL. */
const struct command *dispatch_find(int *argc, char ***argv);
int dispatch_unknown(const char *word);
/* Load the configuration and run. */
int dispatch_run(const struct command *c, int argc, char **argv);

#endif
