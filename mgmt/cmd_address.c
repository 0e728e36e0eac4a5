/* SPDX-License-Identifier: ISC */
/* pneu address add|list|show|set|remove: aliases and blocked addresses; and
 * what becomes of mail for any address. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <sysexits.h>

#include "common/mail/address.h"
#include "mgmt/commands.h"
#include "mgmt/directory.h"

struct address_args {
	const char *address; /* list: the domain, or "" */
	const char *const *targets;
	size_t n_targets;
	bool blocked, json;
};

/* --- what becomes of mail --- */

static int
resolve(
    struct directory *d, const char *address, struct accounts_resolution *out)
{
	struct slice local, domain;

	if (address_split(slice_str(address), &local, &domain) != 0)
		return -EINVAL;
	return accounts_resolve(d->a, &d->arena, local, domain, out);
}

void
warn_of_target(struct directory *d, const char *target)
{
	struct accounts_resolution r;

	if (resolve(d, target, &r) != 0)
		return;
	if (r.fate == ACCOUNTS_UNKNOWN)
		fprintf(stderr,
		    "note: there is no %s yet; mail for it is "
		    "refused\n",
		    target);
	else if (r.fate == ACCOUNTS_DISABLED || r.fate == ACCOUNTS_BLOCKED)
		fprintf(stderr, "note: mail for %s is refused: %s\n", target,
		    r.rule);
}

static const char *
fate_text(const struct accounts_resolution *r)
{
	switch (r->fate) {
	case ACCOUNTS_DELIVER:
		return "delivered";
	case ACCOUNTS_FORWARD:
		return "forwarded";
	case ACCOUNTS_BLOCKED:
		return "refused: blocked";
	case ACCOUNTS_UNKNOWN:
		return "refused: unknown";
	case ACCOUNTS_DISABLED:
		return "refused: disabled";
	case ACCOUNTS_NOT_LOCAL:
		break;
	}
	return "not ours";
}

/* --- add and set --- */

static bool
parse(struct address_args *in, int argc, char **argv)
{
	static const struct option options[] = {
		{ "blocked", no_argument, NULL, 'b' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c != 'b')
			return false;
		in->blocked = true;
	}
	if (optind == argc)
		return false;
	in->address = argv[optind];
	in->targets = (const char *const *)&argv[optind + 1];
	in->n_targets = (size_t)(argc - optind - 1);
	return in->blocked == (in->n_targets == 0);
}

static int
put(struct directory *d, const struct address_args *in, bool adding)
{
	struct accounts_address v = { in->address, in->targets, in->n_targets,
		in->blocked };
	int status = domain_of_must_exist(d, in->address), rc;

	if (status != 0)
		return status;
	rc = accounts_address_put(d->a, &v, adding, &d->err);
	if (rc == -ENOENT)
		return no_such_address(d, in->address);
	if (rc == -EEXIST) {
		complain("%s; to change it: pneu address set %s ...",
		    buf_str(&d->err), in->address);
		return 1;
	}
	if (rc != 0)
		return directory_failed(d, rc);
	for (size_t i = 0; i < in->n_targets; i++)
		warn_of_target(d, in->targets[i]);
	return EX_OK;
}

static int
add(struct directory *d, void *arg)
{
	const struct address_args *in = arg;
	struct accounts_account account;

	if (accounts_account_get(
		d->a, &d->arena, slice_str(in->address), &account) == 0) {
		complain("%s is an account; an address is one or the other",
		    in->address);
		return 1;
	}
	return put(d, in, true);
}

static int
set(struct directory *d, void *arg)
{
	return put(d, arg, false);
}

int
cmd_address_add(const struct conf *conf, int argc, char **argv)
{
	struct address_args in = { 0 };

	if (!parse(&in, argc, argv))
		return command_usage();
	return directory_run(conf, true, add, &in);
}

int
cmd_address_set(const struct conf *conf, int argc, char **argv)
{
	struct address_args in = { 0 };

	if (!parse(&in, argc, argv))
		return command_usage();
	return directory_run(conf, true, set, &in);
}

/* --- list and show --- */

json_t *
address_json(const struct accounts_address *v)
{
	return json_pack("{s:s, s:b, s:o}", "address", v->address, "blocked",
	    v->blocked, "targets", json_texts(v->targets, v->n_targets));
}

static int
list(struct directory *d, void *arg)
{
	static const char *const head[] = { "ADDRESS", "GOES TO" };
	const struct address_args *in = arg;
	struct accounts_address *v = NULL;
	json_t *j;
	struct table t;
	size_t n = 0;
	int rc = accounts_address_list(
	    d->a, &d->arena, slice_str(in->address), &v, &n);

	if (rc == -ENOENT)
		return no_such_domain(d, in->address);
	if (rc != 0)
		return directory_failed(d, rc);
	if (in->json) {
		j = json_array();
		for (size_t i = 0; i < n; i++)
			json_array_append_new(j, address_json(&v[i]));
		return json_print(j);
	}
	if (n == 0) {
		fputs("no addresses beside the accounts; add one with: pneu "
		      "address add ADDRESS TARGET\n",
		    stderr);
		return EX_OK;
	}
	table_init(&t, &d->arena, 2, head);
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k == 0 || k < v[i].n_targets; k++)
			table_row(&t,
			    (const char *const[]){ k == 0 ? v[i].address : " ",
				v[i].blocked ? "(blocked)" : v[i].targets[k] });
	table_print(&t);
	return EX_OK;
}

static int
show_json(const struct address_args *in, const struct accounts_resolution *r)
{
	json_t *targets = json_array();

	for (size_t i = 0; i < r->n_targets; i++)
		json_array_append_new(targets,
		    json_pack("{s:s, s:s?}", "address", r->targets[i],
			"account", r->target_accounts[i]));
	return json_print(json_pack("{s:s, s:s, s:s, s:s?, s:s%, s:o}",
	    "address", in->address, "fate", fate_text(r), "rule", r->rule,
	    "account", r->fate == ACCOUNTS_DELIVER ? r->account : NULL,
	    "detail", r->detail.p, r->detail.n, "goes_to", targets));
}

static int
show(struct directory *d, void *arg)
{
	const struct address_args *in = arg;
	struct accounts_address record;
	struct accounts_resolution r;
	int rc = resolve(d, in->address, &r);

	if (rc == -EINVAL) {
		complain("%s: not an address (name@domain)", in->address);
		return EX_USAGE;
	}
	if (rc != 0)
		return directory_failed(d, rc);
	if (r.fate == ACCOUNTS_NOT_LOCAL)
		return domain_of_must_exist(d, in->address);
	if (r.fate == ACCOUNTS_UNKNOWN &&
	    accounts_address_get(
		d->a, &d->arena, slice_str(in->address), &record) == -ENOENT)
		return no_such_address(d, in->address);
	if (in->json)
		return show_json(in, &r);
	show_line("address", in->address);
	show_line("mail is", fate_text(&r));
	show_line("by", r.rule);
	if (r.fate == ACCOUNTS_DELIVER)
		show_line("to", r.account);
	for (size_t i = 0; i < r.n_targets; i++)
		show_line(i == 0 ? "to" : "", r.targets[i]);
	return EX_OK;
}

int
cmd_address_list(const struct conf *conf, int argc, char **argv)
{
	struct address_args in = { 0 };

	if (!options_json(argc, argv, 0, 1, &in.json))
		return command_usage();
	in.address = optind < argc ? argv[optind] : "";
	return directory_run(conf, false, list, &in);
}

int
cmd_address_show(const struct conf *conf, int argc, char **argv)
{
	struct address_args in = { 0 };

	if (!options_json(argc, argv, 1, 1, &in.json))
		return command_usage();
	in.address = argv[optind];
	return directory_run(conf, false, show, &in);
}

/* --- remove --- */

static int
remove_it(struct directory *d, void *arg)
{
	const struct address_args *in = arg;
	int rc = accounts_address_remove(d->a, slice_str(in->address), &d->err);

	if (rc == -ENOENT)
		return no_such_address(d, in->address);
	return rc == 0 ? EX_OK : directory_failed(d, rc);
}

int
cmd_address_remove(const struct conf *conf, int argc, char **argv)
{
	struct address_args in = { 0 };

	if (!options_json(argc, argv, 1, 1, &in.json) || in.json)
		return command_usage();
	in.address = argv[optind];
	return directory_run(conf, true, remove_it, &in);
}
