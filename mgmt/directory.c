/* SPDX-License-Identifier: ISC */
#include "mgmt/directory.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <sysexits.h>

#include "common/base/co.h"
#include "common/base/log.h"
#include "common/mail/address.h"
#include "mgmt/commands.h"
#include "mgmt/nearest.h"

#define EXIT_NOT_THERE 1 /* or there already */
#define EXIT_REFUSED 1	 /* not the password that it needs */

/* --- opening --- */

struct run {
	const struct conf *conf;
	bool write;
	int (*fn)(struct directory *, void *);
	void *arg;
	int status;
};

static int
cannot_open(const struct run *r, int rc, const struct buf *err)
{
	const char *reason = err->n > 0 ? buf_str(err) : strerror(-rc);

	if (rc == -EACCES || rc == -EPERM || rc == -EROFS)
		complain("%s (run this as root or as the owner of %s)", reason,
		    conf_file(r->conf, "accounts.dir"));
	else
		complain("%s", reason);
	return rc == -EACCES || rc == -EPERM ? EX_NOPERM : EX_IOERR;
}

/* A reader that finds no database looks at an empty one. */
static int
open_any(struct directory *d, const struct run *r)
{
	int rc = accounts_open(&d->a, r->conf, r->write, &d->err);

	if (rc != 0 || accounts_exist(d->a))
		return rc;
	accounts_close(&d->a);
	return accounts_open_empty(&d->a, r->conf, &d->err);
}

static void
run_main(void *arg)
{
	struct run *r = arg;
	struct directory d = { .arena = ARENA_INIT_MAX((size_t)1 << 30),
		.err = BUF_INIT };
	int rc = open_any(&d, r);

	if (rc != 0) {
		r->status = cannot_open(r, rc, &d.err);
	} else {
		buf_reset(&d.err);
		r->status = r->fn(&d, r->arg);
	}
	accounts_close(&d.a);
	buf_clear(&d.err);
	arena_reset(&d.arena);
}

int
directory_run(const struct conf *conf, bool write,
    int (*fn)(struct directory *d, void *arg), void *arg)
{
	struct run r = { conf, write, fn, arg, EX_SOFTWARE };

	log_open("pneu", LOG_LEVEL_ERROR);
	if (co_run(run_main, &r) != 0) {
		complain("out of memory");
		return EX_OSERR;
	}
	return r.status;
}

/* --- failures --- */

int
directory_failed(struct directory *d, int rc)
{
	complain("%s", d->err.n > 0 ? buf_str(&d->err) : strerror(-rc));
	buf_reset(&d->err);
	switch (rc) {
	case -EINVAL:
		return EX_USAGE;
	case -ENOENT:
	case -EEXIST:
	case -ENOTEMPTY:
	case -ENOKEY: /* what would be lost is to be given up by name */
		return EXIT_NOT_THERE;
	case -EACCES: /* a database that may not be read is told by run_main */
		return EXIT_REFUSED;
	case -EAGAIN:
		return EX_TEMPFAIL;
	default:
		return EX_IOERR;
	}
}

static void
tell_nearest(const char *what, const char *name, const struct nearest *near)
{
	if (near->found != NULL)
		complain("no %s %s; did you mean %s?", what, name, near->found);
	else
		complain("no %s %s", what, name);
}

static bool
domain_exists(struct directory *d, struct slice domain)
{
	struct accounts_domain record;

	return accounts_domain_get(d->a, &d->arena, domain, &record) != -ENOENT;
}

int
no_such_domain(struct directory *d, const char *name)
{
	struct nearest near = nearest_to(name);
	struct accounts_domain *v = NULL;
	size_t n = 0;

	accounts_domain_list(d->a, &d->arena, &v, &n);
	for (size_t i = 0; i < n; i++)
		nearest_try(&near, v[i].name);
	tell_nearest("domain", name, &near);
	if (n == 0)
		complain("there are no domains yet; add one with: "
			 "pneu domain add %s",
		    name);
	else
		fprintf(stderr,
		    "      `pneu domain list` lists them; to add "
		    "it: pneu domain add %s\n",
		    name);
	return EXIT_NOT_THERE;
}

int
domain_of_must_exist(struct directory *d, const char *address)
{
	struct slice local, domain;

	if (address_split(slice_str(address), &local, &domain) != 0) {
		complain("%s: not an address (name@domain)", address);
		return EX_USAGE;
	}
	if (!domain_exists(d, domain))
		return no_such_domain(d, domain.p); /* ends the string */
	return 0;
}

/* All accounts, and other addresses where `all`. */
static struct nearest
nearest_name(
    struct directory *d, const char *address, bool accounts, bool others)
{
	struct nearest near = nearest_to(address);
	struct accounts_account *a = NULL;
	struct accounts_address *o = NULL;
	size_t n_a = 0, n_o = 0;

	if (accounts)
		accounts_account_list(d->a, &d->arena, SLICE_EMPTY, &a, &n_a);
	if (others)
		accounts_address_list(d->a, &d->arena, SLICE_EMPTY, &o, &n_o);
	for (size_t i = 0; i < n_a; i++)
		nearest_try(&near, a[i].address);
	for (size_t i = 0; i < n_o; i++)
		nearest_try(&near, o[i].address);
	return near;
}

int
no_such_account(struct directory *d, const char *address)
{
	struct accounts_address other;
	struct nearest near;
	int status = domain_of_must_exist(d, address);

	if (status != 0)
		return status;
	if (accounts_address_get(d->a, &d->arena, slice_str(address), &other) ==
	    0) {
		complain("%s is no account but %s; see: pneu address show %s",
		    address, other.blocked ? "blocked" : "an alias", address);
		return EXIT_NOT_THERE;
	}
	near = nearest_name(d, address, true, false);
	tell_nearest("account", address, &near);
	if (near.found == NULL)
		fprintf(stderr,
		    "      `pneu account list` lists them; to add "
		    "it: pneu account add %s\n",
		    address);
	return EXIT_NOT_THERE;
}

int
no_such_address(struct directory *d, const char *address)
{
	struct accounts_account account;
	struct nearest near;
	int status = domain_of_must_exist(d, address);

	if (status != 0)
		return status;
	if (accounts_account_get(
		d->a, &d->arena, slice_str(address), &account) == 0) {
		complain("%s is an account; see: pneu account show %s", address,
		    address);
		return EXIT_NOT_THERE;
	}
	near = nearest_name(d, address, false, true);
	tell_nearest("address", address, &near);
	return EXIT_NOT_THERE;
}

int
no_such_password(struct directory *d, const char *account, const char *name)
{
	struct nearest near = nearest_to(name);
	struct accounts_credential *v = NULL;
	size_t n = 0;

	accounts_credential_list(d->a, &d->arena, slice_str(account), &v, &n);
	for (size_t i = 0; i < n; i++)
		nearest_try(&near, v[i].name);
	if (near.found != NULL)
		complain("%s has no password \"%s\"; did you mean \"%s\"?",
		    account, name, near.found);
	else
		complain("%s has no password \"%s\"; see: "
			 "pneu password list %s",
		    account, name, account);
	return EXIT_NOT_THERE;
}

/* --- options --- */

bool
options_json(int argc, char **argv, int min, int max, bool *json)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	*json = false;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c != 'j')
			return false;
		*json = true;
	}
	return argc - optind >= min && argc - optind <= max;
}

bool
word_option(const char *what, const char *text, const char *const *words,
    int n, int *out)
{
	for (int i = 0; i < n; i++)
		if (strcmp(text, words[i]) == 0) {
			*out = i;
			return true;
		}
	complain("%s: not a %s", text, what);
	return false;
}

bool
quota_option(const char *text, bool octets, struct quota_option *out)
{
	uint64_t *n = octets ? &out->octets : &out->messages;
	int rc;

	if (octets || strcmp(text, "none") == 0)
		rc = size_parse(text, n);
	else
		rc = slice_u64(slice_str(text), INT64_MAX, n);
	if (rc != 0)
		complain("%s: not a %s", text,
		    octets ? "size, such as 2G, 500M or none"
			   : "number of messages, or none");
	*(octets ? &out->has_octets : &out->has_messages) = true;
	return rc == 0;
}
