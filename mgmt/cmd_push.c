/* SPDX-License-Identifier: ISC */
/* pneu outside push: what comes for an account here is put into an outside
 * account, too (common/auth/outside.h). */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <sysexits.h>

#include "common/auth/outside.h"
#include "mgmt/commands.h"
#include "mgmt/directory.h"

struct push_args {
	const char *address, *account;
	bool only, stop;
};

static int
push(struct directory *d, void *arg)
{
	const struct push_args *in = arg;
	const char *account = in->account;
	struct outside o;
	int rc;

	rc = outside_get(d->a, &d->arena, slice_str(in->address), &o);
	if (rc == -ENOENT) {
		complain("no outside account %s; `pneu outside list` lists "
			 "them",
		    in->address);
		return 1;
	}
	if (rc != 0)
		return directory_failed(d, rc);
	if (account == NULL)
		account = o.account;
	rc = outside_push_put(d->a, slice_str(account), slice_str(in->address),
	    !in->stop, in->only, &d->err);
	if (rc != 0)
		return directory_failed(d, rc);
	if (in->only && outside_push_comes_back(&o))
		fprintf(stderr,
		    "note: %s is fetched as well, so what is put there comes "
		    "here from there; `pneu outside pause` ends that\n",
		    o.address);
	return EX_OK;
}

int
cmd_outside_push(const struct conf *conf, int argc, char **argv)
{
	static const struct option options[] = {
		{ "only", no_argument, NULL, 'o' },
		{ "stop", no_argument, NULL, 's' },
		{ NULL, 0, NULL, 0 },
	};
	struct push_args in = { 0 };
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (c == 'o')
			in.only = true;
		else if (c == 's')
			in.stop = true;
		else
			return command_usage();
	if (argc - optind < 1 || argc - optind > 2 || (in.only && in.stop))
		return command_usage();
	in.address = argv[optind];
	in.account = argc - optind > 1 ? argv[optind + 1] : NULL;
	return directory_run(conf, true, push, &in);
}
