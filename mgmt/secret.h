/* SPDX-License-Identifier: ISC */
/*
 * A password from the person at the terminal, or from standard input; never
 * from an argument, where other users and the shell's history see it.
 */
#ifndef PNEU_MGMT_SECRET_H
#define PNEU_MGMT_SECRET_H

#include "common/auth/accounts.h"

struct secret {
	size_t n;
	char
	    text[ACCOUNTS_PASSWORD_MAX + 2]; /* room to see that it is longer */
};

/*
 * From a terminal: asked for twice, without echo. Else the first line of
 * standard input. True, or false after telling why. Wipe in any case.
 */
bool secret_read(struct secret *s, const char *account);
/* One that is there already: asked for once, with these words. */
bool secret_read_once(struct secret *s, const char *prompt_text);
void secret_wipe(struct secret *s);

#endif
