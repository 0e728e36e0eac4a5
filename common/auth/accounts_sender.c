/* SPDX-License-Identifier: ISC */
/* Whom an account may send as: addresses whose mail comes to it, and those that
 * it was granted. */
#include "common/auth/accounts_impl.h"
#include "common/auth/outside.h"

#include <errno.h>

static bool
is_account(const char *address, struct slice account)
{
	return address != NULL && slice_eq_str(account, address);
}

/* "bob+x" without "+x"; itself where there is none. Canonical. */
static struct slice
without_detail(const struct accounts *a, struct slice local)
{
	struct slice sep = slice_str(a->subaddress);
	ssize_t at = sep.n == 0 ? -1 : slice_find_slice(local, sep);

	return at <= 0 ? local : slice_head(local, (size_t)at);
}

/* "local@domain", or "@domain". */
static bool
is_grant_of(const char *grant, struct slice local, struct slice domain)
{
	struct slice g = slice_str(grant);
	ssize_t at = slice_rfind(g, '@');

	return at >= 0 && slice_eq(slice_from(g, (size_t)at + 1), domain) &&
	    (at == 0 || slice_eq(slice_head(g, (size_t)at), local));
}

/* 1, 0 or an error. */
static int
is_granted(struct accounts *a, struct arena *arena,
    const struct accounts_name *account, struct slice local,
    struct slice domain)
{
	struct accounts_account record;
	struct slice canonical, base;
	int rc = accounts_account_get(a, arena, account->address, &record);

	if (rc != 0 || record.n_send_as == 0)
		return rc == -ENOENT ? 0 : rc;
	rc = accounts_local(arena, local, &canonical);
	if (rc == 0)
		rc = domain_canonical(arena, domain, &domain);
	if (rc != 0)
		return rc == -EINVAL ? 0 : rc;
	base = without_detail(a, canonical);
	for (size_t i = 0; i < record.n_send_as; i++)
		if (is_grant_of(record.send_as[i], canonical, domain) ||
		    is_grant_of(record.send_as[i], base, domain))
			return 1;
	return 0;
}

/* Does its mail come to the account, and, where asked for, by a catch-all? 1,
 * 0 or an error. */
static int
is_reached(struct accounts *a, struct arena *arena,
    const struct accounts_name *account, struct slice local,
    struct slice domain, bool by_catch_all)
{
	struct accounts_resolution r;
	bool reached;
	int rc = accounts_resolve(a, arena, local, domain, &r);

	if (rc != 0 || (by_catch_all && !r.catch_all))
		return rc;
	reached = r.fate == ACCOUNTS_DELIVER &&
	    is_account(r.account, account->address);
	for (size_t i = 0; i < r.n_targets && !reached; i++)
		reached = is_account(r.target_accounts[i], account->address);
	return reached;
}

/* That of an outside account. Of a domain of ours an address is whose it is
 * here: a server that takes his password shows nothing of who he is. 1, 0 or an
 * error. */
static int
is_outside(struct accounts *a, struct arena *arena,
    const struct accounts_name *account, struct slice local,
    struct slice domain)
{
	struct accounts_resolution r;
	int rc = accounts_resolve(a, arena, local, domain, &r);

	if (rc != 0 || r.fate != ACCOUNTS_NOT_LOCAL)
		return rc;
	return outside_sends(a, account->address, local, domain);
}

int
accounts_may_send_as(struct accounts *a, struct slice account,
    struct slice local, struct slice domain)
{
	struct arena arena = ARENA_INIT_MAX((size_t)4 << 20);
	struct accounts_name name;
	int rc = accounts_name(&arena, account, &name);

	if (rc == 0)
		rc = is_reached(a, &arena, &name, local, domain, false);
	if (rc == 0 && name.address.n > 0 && domain.n > 0)
		rc = is_granted(a, &arena, &name, local, domain);
	if (rc == 0 && name.address.n > 0 && domain.n > 0)
		rc = is_outside(a, &arena, &name, local, domain);
	arena_reset(&arena);
	return rc == -EINVAL ? 0 : rc;
}

/* --- catch-all domains --- */

int
accounts_is_caught(struct accounts *a, struct slice account,
    struct slice local, struct slice domain)
{
	struct arena arena = ARENA_INIT_MAX((size_t)4 << 20);
	struct accounts_name name;
	int rc = accounts_name(&arena, account, &name);

	if (rc == 0)
		rc = is_reached(a, &arena, &name, local, domain, true);
	arena_reset(&arena);
	return rc == -EINVAL ? 0 : rc;
}

/* 1, 0 or an error. */
static int
catches_all(struct accounts *a, const struct accounts_domain *d,
    const struct accounts_name *account)
{
	struct arena arena = ARENA_INIT_MAX((size_t)4 << 20);
	int rc = 0;

	for (size_t i = 0; i < d->n_catch_all && !d->disabled && rc == 0; i++) {
		struct accounts_name target;

		rc = accounts_name(
		    &arena, slice_str(d->catch_all[i]), &target);
		if (rc == 0)
			rc = is_reached(a, &arena, account, target.local,
			    target.domain, false);
		if (rc == -EINVAL)
			rc = 0;
	}
	arena_reset(&arena);
	return rc;
}

static int
oldest_catch_all(struct accounts *a, struct arena *arena,
    const struct accounts_name *account, const char **domain)
{
	const struct accounts_domain *best = NULL;
	struct accounts_domain *v;
	size_t n;
	int rc = accounts_domain_list(a, arena, &v, &n);

	for (size_t i = 0; i < n && rc == 0; i++) {
		if (best != NULL && v[i].created_s >= best->created_s)
			continue;
		if ((rc = catches_all(a, &v[i], account)) == 1)
			best = &v[i];
		rc = rc == 1 ? 0 : rc;
	}
	if (rc == 0 && best != NULL)
		*domain = best->name;
	return rc == 0 && best == NULL ? -ENOENT : rc;
}

int
accounts_catch_all_of(struct accounts *a, struct arena *arena,
    struct slice account, struct slice prefer, const char **domain)
{
	struct accounts_domain d;
	struct accounts_name name;
	int rc = accounts_name(arena, account, &name);

	if (rc == 0)
		rc = accounts_ready(a);
	if (rc != 0)
		return rc == -EINVAL ? -ENOENT : rc;
	rc = accounts_domain_get(a, arena, prefer, &d);
	if (rc == 0 && (rc = catches_all(a, &d, &name)) == 1) {
		*domain = d.name;
		return 0;
	}
	if (rc != 0 && rc != -ENOENT && rc != -EINVAL)
		return rc;
	return oldest_catch_all(a, arena, &name, domain);
}
