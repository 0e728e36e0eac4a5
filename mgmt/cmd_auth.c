/* SPDX-License-Identifier: ISC */
/* pneu auth list|clear: who has failed to sign in, and pardon. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <sysexits.h>

#include "common/auth/throttle.h"
#include "common/base/clock.h"
#include "mgmt/commands.h"
#include "mgmt/directory.h"

struct auth_args {
	const char *who;
	bool json, all;
};

/* --- list --- */

struct auth_list {
	struct arena *arena;
	struct table t;
	json_t *addresses, *accounts;
	size_t n_accounts;
	int64_t now_ms;
};

static const char *
span_text(struct arena *a, int64_t ms)
{
	int64_t s = (ms + 999) / 1000;

	if (ms <= 0)
		return "-";
	if (s < 120)
		return arena_printf(a, "%llds", (long long)s);
	return arena_printf(a, "%lldm", (long long)((s + 59) / 60));
}

static void
list_add(struct auth_list *l, json_t *to, const char *who,
    const struct throttle_state *st)
{
	table_row(&l->t,
	    (const char *const[]){ who, count_text(l->arena, st->failed),
		span_text(l->arena, st->delay_ms),
		span_text(l->arena, st->blocked_ms),
		span_text(l->arena, st->free_ms) });
	json_array_append_new(to,
	    json_pack("{s:s, s:I, s:I, s:I, s:I}", "who", who, "failed",
		(json_int_t)st->failed, "delay_ms", (json_int_t)st->delay_ms,
		"blocked_ms", (json_int_t)st->blocked_ms, "free_ms",
		(json_int_t)st->free_ms));
}

/* In the table accounts are only known by a hash, so each is asked for. */
static int
list_accounts(struct directory *d, struct auth_list *l, struct throttle *t)
{
	struct accounts_account *v = NULL;
	struct throttle_state st;
	size_t n = 0;
	int rc = accounts_account_list(d->a, &d->arena, SLICE_EMPTY, &v, &n);

	for (size_t i = 0; rc == 0 && i < n; i++) {
		if (!throttle_account(
			t, slice_str(v[i].address), l->now_ms, &st))
			continue;
		list_add(l, l->accounts, v[i].address, &st);
		l->n_accounts++;
	}
	return rc;
}

static void
list_addresses(struct directory *d, struct auth_list *l, struct throttle *t)
{
	char peer[THROTTLE_PEER_MAX];
	struct throttle_state st;
	size_t i = 0;

	while (throttle_next_address(t, &i, l->now_ms, peer, &st))
		list_add(l, l->addresses,
		    arena_strdup(&d->arena, slice_str(peer)), &st);
}

static int
list(struct directory *d, void *arg)
{
	static const char *const head[] = { "WHO", "FAILED", "DELAY", "BLOCKED",
		"FORGOTTEN IN" };
	const struct auth_args *in = arg;
	struct throttle *t = accounts_throttle(d->a);
	struct auth_list l = { .arena = &d->arena,
		.addresses = json_array(),
		.accounts = json_array(),
		.now_ms = clock_wall_ms() };
	size_t others;
	int rc;

	table_init(&l.t, &d->arena, 5, head);
	list_addresses(d, &l, t);
	rc = list_accounts(d, &l, t);
	others = throttle_names(t, l.now_ms);
	others -= others < l.n_accounts ? others : l.n_accounts;
	if (rc == 0 && in->json)
		return json_print(json_pack("{s:o, s:o, s:I}", "addresses",
		    l.addresses, "accounts", l.accounts, "unknown_names",
		    (json_int_t)others));
	if (rc == 0 && json_array_size(l.addresses) + l.n_accounts > 0)
		table_print(&l.t);
	else if (rc == 0)
		fprintf(stderr, "nobody has failed to sign in lately\n");
	if (rc == 0 && others > 0)
		fprintf(stderr, "and %zu names that are no accounts\n", others);
	json_decref(l.addresses);
	json_decref(l.accounts);
	return rc == 0 ? EX_OK : directory_failed(d, rc);
}

int
cmd_auth_list(const struct conf *conf, int argc, char **argv)
{
	struct auth_args in = { 0 };

	if (!options_json(argc, argv, 0, 0, &in.json))
		return command_usage();
	return directory_run(conf, false, list, &in);
}

/* --- clear --- */

static bool
clear_parse(struct auth_args *in, int argc, char **argv)
{
	static const struct option options[] = {
		{ "all", no_argument, NULL, 'a' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c != 'a')
			return false;
		in->all = true;
	}
	in->who = argv[optind];
	return argc - optind == (in->all ? 0 : 1);
}

static int
clear(struct directory *d, void *arg)
{
	const struct auth_args *in = arg;
	struct throttle *t = accounts_throttle(d->a);
	struct accounts_account v;
	int rc;

	if (in->all) {
		throttle_clear_all(t);
		return EX_OK;
	}
	rc = throttle_clear_address(t, in->who);
	if (rc == -EINVAL) {
		rc = accounts_account_get(
		    d->a, &d->arena, slice_str(in->who), &v);
		if (rc == -ENOENT || rc == -EINVAL)
			return no_such_account(d, in->who);
		if (rc != 0)
			return directory_failed(d, rc);
		rc = throttle_clear_account(t, slice_str(v.address));
	}
	/* What was to be is so. */
	if (rc == -ENOENT)
		fprintf(stderr, "nothing was known of %s\n", in->who);
	return EX_OK;
}

int
cmd_auth_clear(const struct conf *conf, int argc, char **argv)
{
	struct auth_args in = { 0 };

	if (!clear_parse(&in, argc, argv))
		return command_usage();
	return directory_run(conf, false, clear, &in);
}
