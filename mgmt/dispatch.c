/* SPDX-License-Identifier: ISC */
/* The command line: options, the words that name a command, and the help when
 * they name none. */
#include "mgmt/dispatch.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

static const char *path_option;       /* -c */
static const struct command *running; /* for command_usage */
static bool help_wanted;

void
complain(const char *fmt, ...)
{
	va_list ap;

	fputs("pneu: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

const char *
command_conf_path(void)
{
	const char *env = getenv("PNEU_CONF");

	if (path_option != NULL)
		return path_option;
	if (env != NULL && env[0] != '\0')
		return env;
	return access(PNEU_CONF_DEFAULT, F_OK) == 0 ? PNEU_CONF_DEFAULT : NULL;
}

int
command_usage(void)
{
	fprintf(stderr, "usage: pneu [-c FILE] %s%s%s\n", running->name,
	    running->args[0] != '\0' ? " " : "", running->args);
	return EX_USAGE;
}

int
dispatch_options(int *argc, char ***argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	static char version[] = "version", *version_argv[] = { version, NULL };
	int c;

	while ((c = getopt_long(*argc, *argv, "+c:hV", options, NULL)) != -1) {
		if (c == 'c') {
			path_option = optarg;
		} else if (c == 'V') {
			*argc = 1;
			*argv = version_argv;
			return 0;
		} else {
			help_wanted = c == 'h';
			return -EINVAL;
		}
	}
	*argc -= optind;
	*argv += optind;
	return *argc > 0 ? 0 : -EINVAL;
}

int
dispatch_help(void)
{
	if (help_wanted)
		return cmd_help(NULL, 0, NULL);
	fputs("usage: pneu [-c FILE] COMMAND ...\n"
	      "       pneu help lists the commands\n",
	    stderr);
	return EX_USAGE;
}

/* How many of the words are the command's name; 0: another command. */
static int
words_of(const struct command *c, int argc, char **argv)
{
	const char *space = strchr(c->name, ' ');
	size_t n = space != NULL ? (size_t)(space - c->name) : strlen(c->name);

	if (strlen(argv[0]) != n || memcmp(argv[0], c->name, n) != 0)
		return 0;
	if (space == NULL)
		return 1;
	return argc > 1 && strcmp(argv[1], space + 1) == 0 ? 2 : 0;
}

const struct command *
dispatch_find(int *argc, char ***argv)
{
	int n;

	for (const struct command *c = commands; c->name != NULL; c++)
		if ((n = words_of(c, *argc, *argv)) != 0) {
			*argc -= n - 1;
			*argv += n - 1;
			return c;
		}
	return NULL;
}

/* A noun alone, "pneu account": its commands. */
static bool
list_noun(const char *noun)
{
	size_t n = strlen(noun);
	bool any = false;

	for (const struct command *c = commands; c->name != NULL; c++)
		if (strncmp(c->name, noun, n) == 0 && c->name[n] == ' ') {
			fprintf(stderr, "%s pneu %s %s\n",
			    any ? "      " : "usage:", c->name, c->args);
			any = true;
		}
	return any;
}

int
dispatch_unknown(const char *word)
{
	if (!list_noun(word))
		complain("%s: unknown command; `pneu help` lists them", word);
	return EX_USAGE;
}

struct conf *
command_conf_load(void)
{
	struct buf err = BUF_INIT;
	struct conf *conf = conf_load(command_conf_path(), &err);

	if (conf == NULL)
		fputs(buf_str(&err), stderr);
	buf_clear(&err);
	return conf;
}

int
dispatch_run(const struct command *c, int argc, char **argv)
{
	struct conf *conf = NULL;
	int status;

	running = c;
	optind = 0; /* getopt starts anew */
	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		command_usage();
		fprintf(stderr, "%s\n", c->help);
		return EX_OK;
	}
	if (!c->no_conf && (conf = command_conf_load()) == NULL)
		return EX_CONFIG;
	status = c->run(conf, argc, argv);
	conf_free(&conf);
	if (fflush(stdout) != 0) {
		complain("standard output: %s", strerror(errno));
		status = status == EX_OK ? EX_IOERR : status;
	}
	return status;
}
