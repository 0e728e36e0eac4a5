/* SPDX-License-Identifier: ISC */
/* pneu account grant|revoke: what an account may send as beside the addresses
 * whose mail comes to it. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "common/mail/address.h"
#include "mgmt/commands.h"
#include "mgmt/directory.h"

struct grant_args {
	const char *account;
	const char *const *addresses;
	size_t n;
};

static bool
parse(struct grant_args *in, int argc, char **argv)
{
	bool json;

	if (!options_json(argc, argv, 2, 1 + ACCOUNTS_TARGETS_MAX, &json) ||
	    json)
		return false;
	in->account = argv[optind];
	in->addresses = (const char *const *)&argv[optind + 1];
	in->n = (size_t)(argc - optind - 1);
	return true;
}

/* As records have it: an address or "@domain"; NULL when it is neither. */
static const char *
canonical(struct directory *d, const char *text)
{
	struct slice in = slice_str(text), out;
	bool domain = text[0] == '@';
	int rc = domain
	    ? domain_canonical(&d->arena, slice_from(in, 1), &out)
	    : address_canonical(&d->arena, in, &out);

	if (rc != 0)
		return NULL;
	return arena_printf(&d->arena, "%s%.*s", domain ? "@" : "", (int)out.n,
	    out.p);
}

static bool
has(const char *const *list, size_t n, const char *text)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i], text) == 0)
			return true;
	return false;
}

/* 0 with the account's record; or the exit status, told. */
static int
get(struct directory *d, const struct grant_args *in,
    struct accounts_account *out)
{
	int rc = accounts_account_get(
	    d->a, &d->arena, slice_str(in->account), out);

	if (rc == -ENOENT)
		return no_such_account(d, in->account);
	return rc == 0 ? 0 : directory_failed(d, rc);
}

static int
put(struct directory *d, struct accounts_account *v, const char **list,
    size_t n)
{
	int rc;

	v->send_as = list;
	v->n_send_as = n;
	rc = accounts_account_put(d->a, v, false, &d->err);
	return rc == 0 ? EX_OK : directory_failed(d, rc);
}

/* Others may take mail from a domain that is not ours for forged. */
static void
warn_of_foreign(struct directory *d, const char *grant)
{
	const char *domain = strrchr(grant, '@') + 1;
	struct accounts_domain record;

	if (accounts_domain_get(
		d->a, &d->arena, slice_str(domain), &record) == -ENOENT)
		fprintf(stderr,
		    "note: %s is not a domain of ours; its SPF and DMARC "
		    "records must let us send for it\n",
		    domain);
}

static int
grant(struct directory *d, void *arg)
{
	const struct grant_args *in = arg;
	struct accounts_account v;
	const char **list;
	size_t n = 0;
	int status = get(d, in, &v);

	if (status != 0)
		return status;
	list = arena_array(&d->arena, v.n_send_as + in->n, sizeof(*list));
	if (list == NULL)
		return directory_failed(d, -ENOMEM);
	for (size_t i = 0; i < v.n_send_as; i++)
		list[n++] = v.send_as[i];
	for (size_t i = 0; i < in->n; i++) {
		const char *g = canonical(d, in->addresses[i]);

		if (g == NULL) {
			complain("%s: not an address (name@domain), nor "
				 "@domain",
			    in->addresses[i]);
			return EX_USAGE;
		}
		if (has(list, n, g))
			continue;
		list[n++] = g;
		warn_of_foreign(d, g);
	}
	return put(d, &v, list, n);
}

static int
revoke(struct directory *d, void *arg)
{
	const struct grant_args *in = arg;
	const char **gone, **list;
	struct accounts_account v;
	size_t n = 0;
	int status = get(d, in, &v);

	if (status != 0)
		return status;
	gone = arena_array(&d->arena, in->n, sizeof(*gone));
	list = arena_array(&d->arena, v.n_send_as + 1, sizeof(*list));
	if (gone == NULL || list == NULL)
		return directory_failed(d, -ENOMEM);
	for (size_t i = 0; i < in->n; i++) {
		gone[i] = canonical(d, in->addresses[i]);
		if (gone[i] == NULL || !has(v.send_as, v.n_send_as, gone[i])) {
			complain("%s was not granted %s", v.address,
			    in->addresses[i]);
			return 1;
		}
	}
	for (size_t i = 0; i < v.n_send_as; i++)
		if (!has(gone, in->n, v.send_as[i]))
			list[n++] = v.send_as[i];
	return put(d, &v, list, n);
}

int
cmd_account_grant(const struct conf *conf, int argc, char **argv)
{
	struct grant_args in = { 0 };

	if (!parse(&in, argc, argv))
		return command_usage();
	return directory_run(conf, true, grant, &in);
}

int
cmd_account_revoke(const struct conf *conf, int argc, char **argv)
{
	struct grant_args in = { 0 };

	if (!parse(&in, argc, argv))
		return command_usage();
	return directory_run(conf, true, revoke, &in);
}
