/* SPDX-License-Identifier: ISC */
/*
 * The commands of the two-way door: import, export, copy. Each takes its
 * arguments (argv[0] is its name) and returns the exit status: 0; 1 when
 * something was passed over or it ended early; EX_USAGE; EX_TEMPFAIL.
 */
#ifndef PNEU_MAILBOX_COMMANDS_DOOR_H
#define PNEU_MAILBOX_COMMANDS_DOOR_H

#include "common/base/conf.h"

#define DOOR_IMPORT_ARGS                                                       \
	"[--format FORMAT] [--mailbox NAME] [--except NAME] [--into NAME] "    \
	"[--ignore-quota] [--dry-run] [--json] ACCOUNT SOURCE|-"
#define DOOR_EXPORT_ARGS                                                       \
	"[--format FORMAT] [--mailbox NAME] [--except NAME] "                  \
	"[--password-file FILE] [--dry-run] [--json] ACCOUNT DEST|-"
#define DOOR_COPY_ARGS                                                         \
	"[--mailbox NAME] [--except NAME] [--into NAME] "                      \
	"[--password-file FILE] [--token-file FILE] [--ca FILE] [--insecure] " \
	"[--timeout SECONDS] [--ignore-quota] [--dry-run] [--json] "           \
	"imap[s]://USER@HOST[:PORT] ACCOUNT"

int run_import(const struct conf *conf, int argc, char **argv);
int run_export(const struct conf *conf, int argc, char **argv);
int run_copy(const struct conf *conf, int argc, char **argv);

#endif
