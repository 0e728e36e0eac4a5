/* SPDX-License-Identifier: ISC */
#include "mgmt/service.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "mgmt/commands.h"

int
command_service(const struct service *s, int argc, char **argv)
{
	static char config[] = "-c", workers[] = "--workers=1";
	char **args = calloc((size_t)argc + 4, sizeof(*args));
	const char *given = command_conf_path();
	char *path = given != NULL ? strdup(given) : NULL;
	int n = 0, status = EX_OSERR;

	if (args != NULL && (given == NULL || path != NULL)) {
		args[n++] = argv[0];
		args[n++] = workers;
		if (path != NULL) {
			args[n++] = config;
			args[n++] = path;
		}
		for (int i = 1; i < argc; i++)
			args[n++] = argv[i];
		status = service_main(s, n, args);
	}
	free(path);
	free(args);
	return status;
}
