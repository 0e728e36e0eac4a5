/* SPDX-License-Identifier: ISC */
/* The options of `pneu run`, and the order of what it does (run.h). */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "mgmt/commands.h"
#include "mgmt/run.h"

#define READY_TIMEOUT_S 60

/* "name=value"; the reason on standard error when it is wrong. */
static int
set_one(struct conf *conf, const char *text)
{
	struct slice value = slice_str(text);
	struct slice name = slice_split(&value, '=');
	struct buf err = BUF_INIT;
	char *copy = slice_strdup(name);
	int rc = -EINVAL;

	if (copy == NULL || name.n == strlen(text))
		complain("--set %s: expected name=value", text);
	else if ((rc = conf_set(conf, copy, value.p, &err)) != 0)
		complain("--set %.*s", (int)slice_trim(buf_slice(&err)).n,
		    buf_str(&err));
	free(copy);
	buf_clear(&err);
	return rc;
}

static int
number(const char *option, const char *text, uint64_t max, uint64_t *out)
{
	if (slice_u64(slice_str(text), max, out) == 0)
		return 0;
	complain("%s %s: expected a number", option, text);
	return -EINVAL;
}

static int
parse_option(struct run *r, int c, uint64_t *timeout_s)
{
	uint64_t n;

	switch (c) {
	case 's':
		r->set[r->n_set++] = optarg;
		return set_one(r->conf, optarg);
	case 'r':
		if (number("--ready-fd", optarg, 65535, &n) != 0)
			return -EINVAL;
		r->ready_fd = (int)n;
		if (fcntl((int)n, F_SETFD, FD_CLOEXEC) == 0)
			return 0;
		complain("--ready-fd %s: %s", optarg, strerror(errno));
		return -EINVAL;
	case 't':
		return number("--ready-timeout", optarg, 86400, timeout_s);
	default:
		return -EINVAL;
	}
}

/* 0 or an exit status. */
static int
parse_options(struct run *r, int argc, char **argv)
{
	static const struct option options[] = {
		{ "set", required_argument, NULL, 's' },
		{ "ready-fd", required_argument, NULL, 'r' },
		{ "ready-timeout", required_argument, NULL, 't' },
		{ NULL, 0, NULL, 0 },
	};
	uint64_t timeout_s = READY_TIMEOUT_S;
	int c;

	r->ready_fd = STDOUT_FILENO;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == '?')
			return command_usage();
		if (parse_option(r, c, &timeout_s) != 0)
			return c == 's' ? EX_CONFIG : EX_USAGE;
	}
	r->ready_by_ms = clock_mono_ms() + (int64_t)timeout_s * 1000;
	return optind == argc ? 0 : command_usage();
}

int
cmd_run(const struct conf *conf, int argc, char **argv)
{
	struct run r = { .n = 0 };
	int status;

	(void)conf;
	while (programs[r.n].name != NULL)
		r.n++;
	r.children = calloc(r.n, sizeof(*r.children));
	r.set = calloc((size_t)argc, sizeof(*r.set));
	r.conf = command_conf_load();
	status = r.conf == NULL ? EX_CONFIG : EX_OSERR;
	if (r.conf != NULL && r.children != NULL && r.set != NULL &&
	    (status = parse_options(&r, argc, argv)) == 0) {
		r.path = command_conf_path() != NULL
		    ? strdup(command_conf_path())
		    : NULL;
		log_open("run", (enum log_level)conf_enum(r.conf, "log_level"));
		if ((status = run_sockets_open(&r)) == 0)
			status = run_loop(&r);
		run_sockets_close(&r);
	}
	free(r.path);
	free(r.set);
	free(r.children);
	conf_free(&r.conf);
	return status;
}
