/* SPDX-License-Identifier: ISC */
/* What there is: the commands, made from their table, and the version. */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "common/net/service.h"
#include "mgmt/commands.h"

int
cmd_version(const struct conf *conf, int argc, char **argv)
{
	(void)conf;
	(void)argv;
	if (argc != 1)
		return command_usage();
	puts("pneu " PNEU_VERSION);
	return EX_OK;
}

/* Does the line of the table begin with this word? */
static bool
has_noun(const struct command *c, const char *noun)
{
	size_t n = strlen(noun);

	return strncmp(c->name, noun, n) == 0 &&
	    (c->name[n] == '\0' || c->name[n] == ' ');
}

int
cmd_help(const struct conf *conf, int argc, char **argv)
{
	const char *noun = argc > 1 ? argv[1] : NULL;
	bool any = false;

	(void)conf;
	if (noun == NULL)
		puts("usage: pneu [-c FILE] COMMAND ...\n");
	for (const struct command *c = commands; c->name != NULL; c++) {
		if (noun != NULL && !has_noun(c, noun))
			continue;
		printf("  %s%s%s\n\t%s\n", c->name,
		    c->args[0] != '\0' ? " " : "", c->args, c->help);
		any = true;
	}
	if (noun == NULL)
		puts("\nThe configuration is FILE, $PNEU_CONF "
		     "or " PNEU_CONF_DEFAULT ".");
	if (any)
		return EX_OK;
	complain("%s: unknown command", noun);
	return EX_USAGE;
}
