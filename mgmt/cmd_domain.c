/* SPDX-License-Identifier: ISC */
/* pneu domain add|list|show|set|remove */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <sysexits.h>

#include "common/mail/address.h"
#include "mgmt/commands.h"
#include "mgmt/directory.h"

struct domain_args {
	const char *name;
	const char *catch_all[ACCOUNTS_TARGETS_MAX];
	size_t n_catch_all;
	bool no_catch_all, enable, disable, json;
	struct quota_option quota;
};

/* --- the command line --- */

static bool
parse(struct domain_args *in, int argc, char **argv)
{
	static const struct option options[] = {
		{ "catch-all", required_argument, NULL, 'c' },
		{ "no-catch-all", no_argument, NULL, 'C' },
		{ "enable", no_argument, NULL, 'e' },
		{ "disable", no_argument, NULL, 'd' },
		{ "quota", required_argument, NULL, 'q' },
		{ "quota-messages", required_argument, NULL, 'm' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'c' && in->n_catch_all < ACCOUNTS_TARGETS_MAX)
			in->catch_all[in->n_catch_all++] = optarg;
		else if (c == 'C')
			in->no_catch_all = true;
		else if (c == 'e')
			in->enable = true;
		else if (c == 'd')
			in->disable = true;
		else if (c != '?' && quota_option(optarg, c == 'q', &in->quota))
			continue;
		else
			return false;
	}
	if (argc - optind != 1 || (in->enable && in->disable) ||
	    (in->no_catch_all && in->n_catch_all > 0))
		return false;
	in->name = argv[optind];
	return true;
}

/* A target of ours that does not exist is no error (it may come later), but
 * hardly ever meant. */
static void
warn_of_targets(struct directory *d, const struct domain_args *in)
{
	for (size_t i = 0; i < in->n_catch_all; i++)
		warn_of_target(d, in->catch_all[i]);
}

/* --- add and set --- */

static int
add(struct directory *d, void *arg)
{
	const struct domain_args *in = arg;
	struct accounts_domain record = { .name = in->name,
		.catch_all = in->catch_all,
		.n_catch_all = in->n_catch_all,
		.quota_octets = in->quota.octets,
		.quota_messages = in->quota.messages,
		.disabled = in->disable };
	int rc = accounts_domain_put(d->a, &record, true, &d->err);

	if (rc != 0)
		return directory_failed(d, rc);
	warn_of_targets(d, in);
	return EX_OK;
}

static int
set(struct directory *d, void *arg)
{
	const struct domain_args *in = arg;
	struct accounts_domain record;
	int rc =
	    accounts_domain_get(d->a, &d->arena, slice_str(in->name), &record);

	if (rc == -ENOENT)
		return no_such_domain(d, in->name);
	if (rc != 0)
		return directory_failed(d, rc);
	if (in->n_catch_all > 0 || in->no_catch_all) {
		record.catch_all = in->catch_all;
		record.n_catch_all = in->n_catch_all;
	}
	if (in->enable || in->disable)
		record.disabled = in->disable;
	if (in->quota.has_octets)
		record.quota_octets = in->quota.octets;
	if (in->quota.has_messages)
		record.quota_messages = in->quota.messages;
	rc = accounts_domain_put(d->a, &record, false, &d->err);
	if (rc != 0)
		return directory_failed(d, rc);
	warn_of_targets(d, in);
	return EX_OK;
}

int
cmd_domain_add(const struct conf *conf, int argc, char **argv)
{
	struct domain_args in = { 0 };

	if (!parse(&in, argc, argv) || in.no_catch_all || in.enable)
		return command_usage();
	return directory_run(conf, true, add, &in);
}

int
cmd_domain_set(const struct conf *conf, int argc, char **argv)
{
	struct domain_args in = { 0 };

	if (!parse(&in, argc, argv) ||
	    (in.n_catch_all == 0 && !in.no_catch_all && !in.enable &&
		!in.disable && !in.quota.has_octets && !in.quota.has_messages))
		return command_usage();
	return directory_run(conf, true, set, &in);
}

/* --- list and show --- */

json_t *
domain_json(const struct accounts_domain *v, size_t accounts, size_t addresses)
{
	return json_pack("{s:s, s:b, s:o, s:I, s:I, s:I, s:I, s:o}", "name",
	    v->name, "disabled", v->disabled, "catch_all",
	    json_texts(v->catch_all, v->n_catch_all), "accounts",
	    (json_int_t)accounts, "addresses", (json_int_t)addresses,
	    "quota_octets", (json_int_t)v->quota_octets, "quota_messages",
	    (json_int_t)v->quota_messages, "created", json_time(v->created_s));
}

static int
count_names(struct directory *d, const char *domain, size_t *accounts,
    size_t *addresses)
{
	struct accounts_account *a;
	struct accounts_address *o;
	int rc = accounts_account_list(
	    d->a, &d->arena, slice_str(domain), &a, accounts);

	if (rc == 0)
		rc = accounts_address_list(
		    d->a, &d->arena, slice_str(domain), &o, addresses);
	return rc;
}

static const char *
joined(struct arena *a, const char *const *v, size_t n)
{
	struct buf b = BUF_INIT;
	const char *s;

	for (size_t i = 0; i < n; i++)
		buf_printf(&b, "%s%s", i > 0 ? ", " : "", v[i]);
	s = arena_strdup(a, buf_slice(&b));
	buf_clear(&b);
	return s;
}

static const char *
number(struct arena *a, size_t n)
{
	return arena_printf(a, "%zu", n);
}

/* As people write it. */
static const char *
display(struct arena *a, const char *domain)
{
	return arena_strdup(a, domain_display(a, slice_str(domain)));
}

static int
list(struct directory *d, void *arg)
{
	static const char *const head[] = { "DOMAIN", "ACCOUNTS", "ADDRESSES",
		"CATCH-ALL", "STATE" };
	const struct domain_args *in = arg;
	struct accounts_domain *v = NULL;
	json_t *j = json_array();
	struct table t;
	size_t n = 0, accounts, addresses;
	int rc = accounts_domain_list(d->a, &d->arena, &v, &n);

	table_init(&t, &d->arena, 5, head);
	for (size_t i = 0; i < n && rc == 0; i++) {
		rc = count_names(d, v[i].name, &accounts, &addresses);
		json_array_append_new(
		    j, domain_json(&v[i], accounts, addresses));
		table_row(&t,
		    (const char *const[]){ display(&d->arena, v[i].name),
			number(&d->arena, accounts),
			number(&d->arena, addresses),
			joined(&d->arena, v[i].catch_all, v[i].n_catch_all),
			v[i].disabled ? "disabled" : "active" });
	}
	if (rc != 0) {
		json_decref(j);
		return directory_failed(d, rc);
	}
	if (in->json)
		return json_print(j);
	json_decref(j);
	if (n == 0)
		fputs("no domains yet; add one with: pneu domain add "
		      "example.org\n",
		    stderr);
	else
		table_print(&t);
	return EX_OK;
}

static int
show(struct directory *d, void *arg)
{
	const struct domain_args *in = arg;
	struct accounts_domain v;
	size_t accounts = 0, addresses = 0;
	int rc = accounts_domain_get(d->a, &d->arena, slice_str(in->name), &v);

	if (rc == -ENOENT)
		return no_such_domain(d, in->name);
	if (rc == 0)
		rc = count_names(d, v.name, &accounts, &addresses);
	if (rc != 0)
		return directory_failed(d, rc);
	if (in->json)
		return json_print(domain_json(&v, accounts, addresses));
	show_line("domain", display(&d->arena, v.name));
	if (strcmp(display(&d->arena, v.name), v.name) != 0)
		show_line("in DNS", v.name);
	show_line("state", v.disabled ? "disabled" : "active");
	show_line("catch-all", joined(&d->arena, v.catch_all, v.n_catch_all));
	show_line("accounts", number(&d->arena, accounts));
	show_line("addresses", number(&d->arena, addresses));
	show_line("quota", size_text(&d->arena, v.quota_octets));
	show_line("messages", count_text(&d->arena, v.quota_messages));
	show_line("created", time_text(&d->arena, v.created_s));
	return EX_OK;
}

int
cmd_domain_list(const struct conf *conf, int argc, char **argv)
{
	struct domain_args in = { 0 };

	if (!options_json(argc, argv, 0, 0, &in.json))
		return command_usage();
	return directory_run(conf, false, list, &in);
}

int
cmd_domain_show(const struct conf *conf, int argc, char **argv)
{
	struct domain_args in = { 0 };

	if (!options_json(argc, argv, 1, 1, &in.json))
		return command_usage();
	in.name = argv[optind];
	return directory_run(conf, false, show, &in);
}

/* --- remove --- */

static int
remove_it(struct directory *d, void *arg)
{
	const struct domain_args *in = arg;
	int rc = accounts_domain_remove(d->a, slice_str(in->name), &d->err);

	if (rc == -ENOENT)
		return no_such_domain(d, in->name);
	if (rc == -ENOTEMPTY) {
		complain("%s; remove these first: `pneu account list %s`, "
			 "`pneu address list %s`",
		    buf_str(&d->err), in->name, in->name);
		return 1;
	}
	return rc == 0 ? EX_OK : directory_failed(d, rc);
}

int
cmd_domain_remove(const struct conf *conf, int argc, char **argv)
{
	struct domain_args in = { 0 };

	if (!options_json(argc, argv, 1, 1, &in.json) || in.json)
		return command_usage();
	in.name = argv[optind];
	return directory_run(conf, true, remove_it, &in);
}
