/* SPDX-License-Identifier: ISC */
/* A program with a database carries that database's commands itself; `pneu`
 * hands over to it, as git does. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "mgmt/commands.h"

/* "/usr/bin/pneu-qm" for "pneu-qm"; empty when it cannot be known. */
static void
path_beside(const char *program, struct buf *out)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self));
	ssize_t slash;

	if (n <= 0 || (size_t)n >= sizeof(self))
		return;
	slash = slice_rfind(slice(self, (size_t)n), '/');
	buf_printf(out, "%.*s%s", (int)slash + 1, self, program);
}

int
exec_beside(const char *program, char **argv)
{
	struct buf path = BUF_INIT;
	char *name = strdup(program);
	int rc;

	if (name == NULL)
		return -ENOMEM;
	argv[0] = name;
	path_beside(program, &path);
	if (path.n > 0)
		execv(path.p, argv);
	if (path.n == 0 || errno == ENOENT)
		execvp(program, argv);
	rc = -errno;
	complain("%s: %s", program, strerror(-rc));
	buf_clear(&path);
	free(name);
	return rc;
}

/* "pneu -c FILE queue list ARGS" becomes "pneu-qm -c FILE list ARGS": what
 * stands behind argv[0]. */
static int
hand_over(const char *program, int argc, char **argv)
{
	static char option[] = "-c";
	char **args, *path;
	int n = 0;

	if (argc < 2)
		return command_usage();
	args = calloc((size_t)argc + 3, sizeof(*args));
	path = strdup(command_conf_path() != NULL ? command_conf_path() : "");
	if (args != NULL && path != NULL) {
		n++;
		if (path[0] != '\0') {
			args[n++] = option;
			args[n++] = path;
		}
		for (int i = 1; i < argc; i++)
			args[n++] = argv[i];
		exec_beside(program, args);
	}
	free(args);
	free(path);
	return EX_UNAVAILABLE;
}

int
hand_over_mail(const char *verb, const char *word)
{
	char name[] = "mail", *v = strdup(verb), *w = strdup(word);
	char *argv[] = { name, v, w, NULL };
	int status = EX_UNAVAILABLE;

	if (v != NULL && w != NULL)
		status = hand_over("pneu-mailbox", 3, argv);
	free(v);
	free(w);
	return status;
}

int
cmd_queue(const struct conf *conf, int argc, char **argv)
{
	(void)conf;
	return hand_over("pneu-qm", argc, argv);
}

int
cmd_mail_store(const struct conf *conf, int argc, char **argv)
{
	(void)conf;
	return hand_over("pneu-mailbox", argc, argv);
}

/* "pneu outside list ARGS" becomes "pneu-gateway list ARGS". */
int
cmd_outside(const struct conf *conf, int argc, char **argv)
{
	(void)conf;
	return hand_over("pneu-gateway", argc + 1, argv - 1);
}
