/* SPDX-License-Identifier: ISC */
/*
 * The admin's commands on the mail store as a whole. Each takes its arguments
 * (argv[0] is its name) and returns the exit status: 0; 1 with faults found or
 * work not done; EX_USAGE; EX_TEMPFAIL.
 */
#ifndef PNEU_MAILBOX_COMMANDS_STORE_H
#define PNEU_MAILBOX_COMMANDS_STORE_H

#include "common/base/conf.h"

int run_check(const struct conf *conf, int argc, char **argv);
int run_collect(const struct conf *conf, int argc, char **argv);
int run_stats(const struct conf *conf, int argc, char **argv);
int run_backup(const struct conf *conf, int argc, char **argv);
int run_verify(const struct conf *conf, int argc, char **argv);
int run_restore(const struct conf *conf, int argc, char **argv);

#endif
