/* SPDX-License-Identifier: ISC */
/* pneu: the command of the admin. The commands are in commands.c. */
#include "mgmt/dispatch.h"

int
main(int argc, char **argv)
{
	const struct command *c;

	if (dispatch_options(&argc, &argv) != 0)
		return dispatch_help();
	if ((c = dispatch_find(&argc, &argv)) == NULL)
		return dispatch_unknown(argv[0]);
	return dispatch_run(c, argc, argv);
}
