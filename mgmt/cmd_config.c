/* SPDX-License-Identifier: ISC */
/* The configuration as it is in force. That it is read and checked at all is
 * the dispatcher's work. */
#include <getopt.h>
#include <stdio.h>
#include <sysexits.h>

#include "mgmt/commands.h"

/* The faults have been told when the file was loaded. */
int
cmd_config_check(const struct conf *conf, int argc, char **argv)
{
	(void)argv;
	if (argc != 1)
		return command_usage();
	if (conf_path(conf) != NULL)
		printf("%s: fine\n", conf_path(conf));
	else
		puts("no " PNEU_CONF_DEFAULT ": all settings are defaults");
	return EX_OK;
}

int
cmd_config_show(const struct conf *conf, int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ NULL, 0, NULL, 0 },
	};
	struct buf out = BUF_INIT;
	bool json = false;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c != 'j')
			return command_usage();
		json = true;
	}
	if (optind != argc)
		return command_usage();
	conf_show(conf, json, &out);
	fputs(buf_str(&out), stdout);
	buf_clear(&out);
	return EX_OK;
}
