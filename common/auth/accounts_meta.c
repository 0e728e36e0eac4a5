/* SPDX-License-Identifier: ISC */
/*
 * Partition "m": what would cost a look over everything to find out at each
 * message. It can be made again from the rest at any time.
 */
#include <errno.h>

#include "common/auth/accounts_change.h"

#define ATTEMPTS 100

static int
meta_put(struct accounts *a, const char *key, struct slice val)
{
	struct store_batch *b = store_batch_new(a->store, SLICE_LIT("m"));
	int rc;

	if (b == NULL)
		return -ENOMEM;
	if (val.n == 0)
		store_del(b, slice_str(key));
	else
		store_put(b, slice_str(key), val);
	rc = store_commit_one(a->store, b);
	store_batch_free(&b);
	return rc;
}

/* Who of two is before the other where nobody was named; `present` before
 * others of the same second. */
static int
choose_domain(struct accounts *a, struct arena *arena, struct slice present,
    struct slice *out)
{
	struct accounts_domain *v = NULL;
	size_t n = 0, first = 0;
	int rc = accounts_domain_list(a, arena, &v, &n);

	*out = SLICE_EMPTY;
	for (size_t i = 0; i < n; i++) {
		if (slice_eq_str(present, v[i].name)) {
			first = i;
			break;
		}
		if (v[i].created_s < v[first].created_s)
			first = i;
	}
	if (rc == 0 && n > 0)
		*out = slice_str(v[first].name);
	return rc;
}

static bool
is_sooner_postmaster(const struct accounts_account *a,
    const struct accounts_account *b, struct slice present)
{
	if (a->disabled != b->disabled)
		return b->disabled;
	if (a->admin != b->admin)
		return a->admin;
	if (a->created_s != b->created_s)
		return a->created_s < b->created_s;
	return slice_eq_str(present, a->address);
}

static int
choose_postmaster(struct accounts *a, struct arena *arena, struct slice present,
    struct slice *out)
{
	struct accounts_account *v = NULL;
	size_t n = 0, first = 0;
	int rc = accounts_account_list(a, arena, SLICE_EMPTY, &v, &n);

	*out = SLICE_EMPTY;
	for (size_t i = 1; i < n; i++)
		if (is_sooner_postmaster(&v[i], &v[first], present))
			first = i;
	if (rc == 0 && n > 0)
		*out = slice_str(v[first].address);
	return rc;
}

/*
 * The change that calls for it is done by then, so a failure here is none of
 * it: the next change comes by again.
 */
static void
refresh(struct accounts *a, const char *key,
    int (*choose)(
	struct accounts *, struct arena *, struct slice, struct slice *))
{
	struct arena arena = { 0 };
	struct slice present, val;
	int rc;

	for (int i = 0; i < ATTEMPTS; i++) {
		arena_reset(&arena);
		rc = accounts_meta(a, &arena, key, &present);
		if (rc == -ENOENT)
			present = SLICE_EMPTY;
		else if (rc != 0)
			break;
		if (choose(a, &arena, present, &val) != 0 ||
		    slice_eq(present, val))
			break;
		rc = meta_put(a, key, val);
		if (rc != 0 && rc != STORE_ECONFLICT && rc != STORE_EUNKNOWN)
			break;
	}
	arena_reset(&arena);
}

void
accounts_meta_domain(struct accounts *a)
{
	refresh(a, "domain", choose_domain);
}

static bool
has_secret(struct accounts *a, struct arena *arena, const char *address)
{
	struct accounts_login l;

	if (accounts_login_load(a, arena, slice_str(address), &l) != 0)
		return false;
	for (size_t i = 0; i < l.n; i++)
		if (l.credentials[i].sealed.n > 0)
			return true;
	return false;
}

static int
choose_secrets(struct accounts *a, struct arena *arena, struct slice present,
    struct slice *out)
{
	struct accounts_account *v = NULL;
	size_t n = 0;
	int rc = accounts_account_list(a, arena, SLICE_EMPTY, &v, &n);

	(void)present;
	*out = SLICE_EMPTY;
	for (size_t i = 0; i < n && out->n == 0; i++)
		if (v[i].cram_md5 && has_secret(a, arena, v[i].address))
			*out = SLICE_LIT("yes");
	return rc;
}

void
accounts_meta_secrets(struct accounts *a)
{
	refresh(a, "secrets", choose_secrets);
}

/* Adding the thousandth account is not worth a look over all of them. */
static bool
may_change_postmaster(struct accounts *a, const struct accounts_account *c)
{
	struct arena arena = ARENA_INIT_MAX((size_t)1 << 20);
	struct accounts_account present;
	struct slice address;
	bool may = true;

	if (accounts_meta(a, &arena, "postmaster", &address) == 0 &&
	    accounts_account_get(a, &arena, address, &present) == 0)
		may = slice_eq_str(address, c->address) ||
		    is_sooner_postmaster(c, &present, address);
	arena_reset(&arena);
	return may;
}

void
accounts_meta_postmaster(
    struct accounts *a, const struct accounts_account *account)
{
	if (account == NULL || may_change_postmaster(a, account))
		refresh(a, "postmaster", choose_postmaster);
}
