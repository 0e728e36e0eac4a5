/* SPDX-License-Identifier: ISC */
/* pneu outside login: the token of an outside account that signs in by OAuth. */
#include <errno.h>
#include <getopt.h>
#include <string.h>
#include <sysexits.h>

#include "common/auth/outside.h"
#include "common/auth/secret.h"
#include "mgmt/commands.h"
#include "mgmt/directory.h"

struct login_args {
	const struct conf *conf;
	const char *address;
	bool token;
};

static int
get(struct directory *d, const char *address, struct outside *o)
{
	int rc = outside_get(d->a, &d->arena, slice_str(address), o);

	if (rc == -ENOENT) {
		complain("no outside account %s; `pneu outside list` lists "
			 "them",
		    address);
		return 1;
	}
	if (rc != 0)
		return directory_failed(d, rc);
	if (o->sign_in == OUTSIDE_OAUTH)
		return 0;
	complain("%s signs in by password; to have it use OAuth: "
		 "pneu outside set --oauth %s",
	    o->address, o->address);
	return 1;
}

/* A token that somebody has from elsewhere, from standard input. */
static int
take_token(struct directory *d, const struct outside *o)
{
	struct buf token = BUF_INIT_MAX(OUTSIDE_SECRET_MAX);
	int rc = secret_line_read("/dev/stdin", &token, &d->err);

	if (rc == 0 && token.n == 0) {
		complain("no token on standard input");
		return EX_USAGE;
	}
	if (rc == 0)
		rc = outside_put(d->a, o, false, buf_slice(&token), &d->err);
	buf_wipe(&token);
	return rc == 0 ? EX_OK : directory_failed(d, rc);
}

static int
login(struct directory *d, void *arg)
{
	const struct login_args *in = arg;
	struct outside o;
	int status = get(d, in->address, &o);

	return status != 0 ? status : take_token(d, &o);
}

int
cmd_outside_login(const struct conf *conf, int argc, char **argv)
{
	static const struct option options[] = {
		{ "token", no_argument, NULL, 't' },
		{ NULL, 0, NULL, 0 },
	};
	struct login_args in = { .conf = conf };
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (c == 't')
			in.token = true;
		else
			return command_usage();
	if (argc - optind != 1 || !in.token)
		return command_usage();
	in.address = argv[optind];
	return directory_run(conf, true, login, &in);
}
