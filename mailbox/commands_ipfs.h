/* SPDX-License-Identifier: ISC */
/* `pneu mail export --ipfs`, `import --ipfs` and `ipfs` (docs/ipfs.md). Each
 * takes its arguments (argv[0] is its name) and returns the exit status. */
#ifndef PNEU_MAILBOX_COMMANDS_IPFS_H
#define PNEU_MAILBOX_COMMANDS_IPFS_H

#include <stdbool.h>

#include "common/base/conf.h"

#define IPFS_EXPORT_ARGS "--ipfs [--node ADDRESS] [--json] ACCOUNT"
#define IPFS_IMPORT_ARGS                                                       \
	"--ipfs [--node ADDRESS] [--key FILE] [--password-file FILE] "         \
	"[--ignore-quota] [--json] CID [ACCOUNT]"
#define IPFS_STATUS_ARGS "[--json]"

/* Does the command line say --ipfs? */
bool ipfs_is_meant(int argc, char **argv);
int run_ipfs_export(const struct conf *conf, int argc, char **argv);
int run_ipfs_import(const struct conf *conf, int argc, char **argv);
int run_ipfs_status(const struct conf *conf, int argc, char **argv);

#endif
