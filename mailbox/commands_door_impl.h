/* SPDX-License-Identifier: ISC */
/* What the commands of the door share. */
#ifndef PNEU_MAILBOX_COMMANDS_DOOR_IMPL_H
#define PNEU_MAILBOX_COMMANDS_DOOR_IMPL_H

#include "common/auth/accounts.h"
#include "mailbox/commands_door.h"
#include "mailbox/door/take.h"
#include "mailbox/quota.h"

#define DOOR_NAMES_MAX 256 /* of --mailbox and --except */

/* One run of one command. */
struct door {
	const struct conf *conf;
	const char *name, *args;   /* for the usage */
	int (*fn)(struct door *d); /* 0 or -errno */
	const char *format, *into;
	const char *only[DOOR_NAMES_MAX + 1], *not [DOOR_NAMES_MAX + 1];
	size_t n_only, n_not;
	bool ignore_quota;
	bool ipfs;                      /* takes --ipfs, which is said */
	int operands_min, operands_max; /* 0: two */
	const char *node, *key_file;
	const char *password_file, *token_file, *ca;
	bool insecure;
	uint64_t timeout_s;
	bool stdout_is_taken;
	struct door_report report;
	const char *operands[2];
	/* opened: */
	struct mails *mails;
	struct accounts *accounts;
	struct arena a;
	struct accounts_account account;
	struct mails_quota quota;
	int status;
};

/* Parse, open, run d->fn in a coroutine, report. The exit status. */
int door_run(struct door *d, int argc, char **argv);
/* The account, as the command means it, into d->account; with_mail: also one
 * that was removed and whose mail is still there. 0 or -errno, said. */
int door_account(struct door *d, const char *address, bool with_mail);
/* A password: of the option's file, of standard input, or typed. 0, or an error,
 * said. Wipe it. */
int door_secret(struct door *d, const char *prompt, char *out, size_t max);
/* Where files without a name go. */
const char *door_spool_dir(const struct door *d);
/* What take is told of the options and the account. */
struct take_conf door_take_conf(struct door *d);

#endif
