/* SPDX-License-Identifier: ISC */
/*
 * The commands of `pneu`. The table in commands.c has a line for each; help
 * and shell completion are made from it.
 */
#ifndef PNEU_MGMT_COMMANDS_H
#define PNEU_MGMT_COMMANDS_H

#include "common/base/conf.h"

struct command {
	const char *name; /* "version", or with its noun: "account add" */
	const char *args; /* "[--json] ADDRESS", "" */
	const char *help; /* one line */
	/*
	 * Returns the exit status (sysexits). argv[0] is the last word of the
	 * name; options are the command's own business (getopt starts anew,
	 * but --help is answered before). What goes wrong is told on standard
	 * error as "pneu: ...".
	 */
	int (*run)(const struct conf *conf, int argc, char **argv);
	/* Runs without the configuration; `conf` is NULL. */
	bool no_conf;
};

/* In the order of the help; ends with a NULL name. */
extern const struct command commands[];

/* "usage: pneu account add ..." of the running command on standard error;
 * returns 64 (EX_USAGE). */
int command_usage(void);
/* "pneu: ..." on standard error. */
void complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The file of -c, of $PNEU_CONF, or the usual one; NULL when there is none of
 * these, and then the defaults hold. */
const char *command_conf_path(void);
#define PNEU_CONF_DEFAULT "/etc/pneu/pneu.conf"
/* For commands that change it: that file read; NULL when told why not. */
struct conf *command_conf_load(void);

/*
 * Become `program` (found beside this one, else in PATH) with the arguments;
 * argv ends with NULL and argv[0] is replaced. Returns only on error: -errno,
 * after telling it.
 */
int exec_beside(const char *program, char **argv);
/* Become "pneu-mailbox VERB WORD"; the exit status of who could not. */
int hand_over_mail(const char *verb, const char *word);

/* The commands, by file: cmd_NOUN.c. */
int cmd_account_add(const struct conf *conf, int argc, char **argv);
int cmd_account_grant(const struct conf *conf, int argc, char **argv);
int cmd_account_list(const struct conf *conf, int argc, char **argv);
int cmd_account_recovery(const struct conf *conf, int argc, char **argv);
int cmd_account_remove(const struct conf *conf, int argc, char **argv);
int cmd_account_revoke(const struct conf *conf, int argc, char **argv);
int cmd_account_seal(const struct conf *conf, int argc, char **argv);
int cmd_account_set(const struct conf *conf, int argc, char **argv);
int cmd_account_show(const struct conf *conf, int argc, char **argv);
int cmd_address_add(const struct conf *conf, int argc, char **argv);
int cmd_address_list(const struct conf *conf, int argc, char **argv);
int cmd_address_remove(const struct conf *conf, int argc, char **argv);
int cmd_address_set(const struct conf *conf, int argc, char **argv);
int cmd_address_show(const struct conf *conf, int argc, char **argv);
int cmd_auth_clear(const struct conf *conf, int argc, char **argv);
int cmd_auth_list(const struct conf *conf, int argc, char **argv);
int cmd_completion(const struct conf *conf, int argc, char **argv);
int cmd_config_check(const struct conf *conf, int argc, char **argv);
int cmd_config_show(const struct conf *conf, int argc, char **argv);
int cmd_domain_add(const struct conf *conf, int argc, char **argv);
int cmd_domain_list(const struct conf *conf, int argc, char **argv);
int cmd_domain_remove(const struct conf *conf, int argc, char **argv);
int cmd_domain_set(const struct conf *conf, int argc, char **argv);
int cmd_domain_show(const struct conf *conf, int argc, char **argv);
int cmd_help(const struct conf *conf, int argc, char **argv);
int cmd_http(const struct conf *conf, int argc, char **argv);
int cmd_mail_store(const struct conf *conf, int argc, char **argv);
int cmd_notice_add(const struct conf *conf, int argc, char **argv);
int cmd_notice_dead(const struct conf *conf, int argc, char **argv);
int cmd_notice_key(const struct conf *conf, int argc, char **argv);
int cmd_notice_list(const struct conf *conf, int argc, char **argv);
int cmd_notice_pause(const struct conf *conf, int argc, char **argv);
int cmd_notice_remove(const struct conf *conf, int argc, char **argv);
int cmd_notice_replay(const struct conf *conf, int argc, char **argv);
int cmd_notice_resume(const struct conf *conf, int argc, char **argv);
int cmd_notice_set(const struct conf *conf, int argc, char **argv);
int cmd_notice_show(const struct conf *conf, int argc, char **argv);
int cmd_notice_test(const struct conf *conf, int argc, char **argv);
int cmd_outside(const struct conf *conf, int argc, char **argv);
int cmd_outside_add(const struct conf *conf, int argc, char **argv);
int cmd_outside_login(const struct conf *conf, int argc, char **argv);
int cmd_outside_push(const struct conf *conf, int argc, char **argv);
int cmd_outside_pause(const struct conf *conf, int argc, char **argv);
int cmd_outside_remove(const struct conf *conf, int argc, char **argv);
int cmd_outside_resume(const struct conf *conf, int argc, char **argv);
int cmd_outside_set(const struct conf *conf, int argc, char **argv);
int cmd_password_list(const struct conf *conf, int argc, char **argv);
int cmd_password_remove(const struct conf *conf, int argc, char **argv);
int cmd_password_set(const struct conf *conf, int argc, char **argv);
int cmd_queue(const struct conf *conf, int argc, char **argv);
int cmd_run(const struct conf *conf, int argc, char **argv);
int cmd_version(const struct conf *conf, int argc, char **argv);
int cmd_why(const struct conf *conf, int argc, char **argv);

#endif
