/* SPDX-License-Identifier: ISC */
/* The table of commands. */
#include "mgmt/commands.h"

const struct command commands[] = {
	{ "queue", "COMMAND ...", "Look after the queue: pneu-qm's commands",
	    cmd_queue, true },
	{ "mail", "COMMAND ...",
	    "Look after the mail store: pneu-mailbox's commands", cmd_mail,
	    true },
	{ "config check", "", "Check the configuration file", cmd_config_check,
	    false },
	{ "config show", "[--json]",
	    "All settings with their values and where these come from",
	    cmd_config_show, false },
	{ "version", "", "Print the version", cmd_version, true },
	{ "help", "[COMMAND]", "List the commands", cmd_help, true },
	{ "completion", "bash|zsh|fish", "Print a completion script",
	    cmd_completion, true },
	{ NULL, NULL, NULL, NULL, false },
};
