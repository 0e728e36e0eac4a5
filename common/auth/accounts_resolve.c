/* SPDX-License-Identifier: ISC */
/*
 * Who gets what is sent to an address. A look-up costs two point reads (the
 * domain and the address), one more for a subaddress; each target of an alias
 * costs the same again.
 */
#include "common/auth/accounts_impl.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/log.h"

#define DEPTH_MAX 10

/* What one address is, before aliases are followed. */
struct found {
	enum {
		FOUND_NONE,
		FOUND_NOT_LOCAL,
		FOUND_DISABLED,
		FOUND_BLOCKED,
		FOUND_ACCOUNT,
		FOUND_LIST
	} what;
	const char *account;
	struct slice detail;
	const char *const *list;
	size_t n_list;
	bool catch_all;
	const char *rule;
};

/* An address as it came. `local` is canonical; `raw` keeps its case, for the
 * detail. */
struct query {
	struct slice local, raw, domain;
};

/* --- one address --- */

static int
found_name(struct arena *arena, const struct name_record *r, struct found *f)
{
	const char *address = r->alias.address;

	switch (r->kind) {
	case KIND_ACCOUNT:
		f->what = r->account.disabled ? FOUND_DISABLED : FOUND_ACCOUNT;
		f->account = address;
		f->rule = arena_printf(arena, "%saccount %s",
		    r->account.disabled ? "disabled " : "", address);
		break;
	case KIND_ALIAS:
		f->what = FOUND_LIST;
		f->list = r->alias.targets;
		f->n_list = r->alias.n_targets;
		f->rule = arena_printf(arena, "alias %s", address);
		break;
	case KIND_BLOCKED:
		f->what = FOUND_BLOCKED;
		f->rule = arena_printf(arena, "blocked address %s", address);
		break;
	}
	return f->rule == NULL ? -ENOMEM : 0;
}

/* The record of a local part. 0 with f->what, or -ENOENT. */
static int
find_local(struct accounts *a, struct arena *arena, struct slice domain,
    struct slice local, struct found *f)
{
	struct name_record r;
	int rc = accounts_name_row(a, arena, domain, local, &r);

	return rc == 0 ? found_name(arena, &r, f) : rc;
}

/* Of "bob+x": look for "bob". */
static int
find_base(struct accounts *a, struct arena *arena, const struct query *q,
    struct found *f)
{
	struct slice sep = slice_str(a->subaddress), base;
	ssize_t at = sep.n == 0 ? -1 : slice_find_slice(q->raw, sep);
	int rc;

	if (at <= 0)
		return -ENOENT;
	rc = address_canonical_local(
	    arena, slice_head(q->raw, (size_t)at), &base);
	if (rc != 0)
		return rc == -EINVAL ? -ENOENT : rc;
	if ((rc = find_local(a, arena, q->domain, base, f)) != 0)
		return rc;
	f->detail = arena_dup(arena, slice_from(q->raw, (size_t)at + sep.n));
	return f->detail.p == NULL ? -ENOMEM : 0;
}

static int
find_catch_all(
    struct arena *arena, const struct accounts_domain *d, struct found *f)
{
	if (d->n_catch_all == 0)
		return -ENOENT;
	f->what = FOUND_LIST;
	f->catch_all = true;
	f->list = d->catch_all;
	f->n_list = d->n_catch_all;
	f->rule = arena_printf(arena, "catch-all of %s", d->name);
	return f->rule == NULL ? -ENOMEM : 0;
}

/* RFC 5321 4.5.1: every domain that takes mail has a postmaster. */
static int
find_postmaster(struct accounts *a, struct arena *arena, struct slice local,
    struct found *f)
{
	struct accounts_name name;
	struct slice address;
	int rc;

	if (!slice_eq_str(local, "postmaster"))
		return -ENOENT;
	rc = accounts_meta(a, arena, "postmaster", &address);
	if (rc == 0)
		rc = accounts_name(arena, address, &name);
	if (rc == 0)
		rc = find_local(a, arena, name.domain, name.local, f);
	if (rc == 0 &&
	    (f->rule = arena_printf(arena,
		 "postmaster, as nobody "
		 "else is: %s",
		 f->rule)) == NULL)
		rc = -ENOMEM;
	return rc == -EINVAL ? -ENOENT : rc;
}

static int
find(struct accounts *a, struct arena *arena, const struct query *q,
    struct found *f)
{
	struct accounts_domain d;
	int rc;

	*f = (struct found){ .detail = SLICE_EMPTY, .account = "" };
	rc = accounts_domain_row(a, arena, q->domain, &d);
	if (rc == -ENOENT) {
		f->what = FOUND_NOT_LOCAL;
		f->rule = "no domain of ours";
		return 0;
	}
	if (rc == 0 && d.disabled) {
		f->what = FOUND_DISABLED;
		f->rule = arena_printf(arena, "disabled domain %s", d.name);
		return f->rule == NULL ? -ENOMEM : 0;
	}
	if (rc == 0)
		rc = find_local(a, arena, q->domain, q->local, f);
	if (rc == -ENOENT)
		rc = find_base(a, arena, q, f);
	if (rc == -ENOENT)
		rc = find_catch_all(arena, &d, f);
	if (rc == -ENOENT)
		rc = find_postmaster(a, arena, q->local, f);
	if (rc == -ENOENT) {
		f->what = FOUND_NONE;
		f->rule = "no such address";
		return 0;
	}
	return rc;
}

/* --- aliases of aliases --- */

struct walk {
	struct accounts *a;
	struct arena *arena;
	const char **seen; /* every address that was looked at */
	size_t n_seen;
	const char **targets, **accounts;
	bool *is_local;
	size_t n;
	bool any_disabled;
};

static int
walk_init(struct walk *w, struct accounts *a, struct arena *arena)
{
	size_t max = ACCOUNTS_TARGETS_MAX;

	*w = (struct walk){ .a = a, .arena = arena };
	w->seen = arena_array(arena, max, sizeof(*w->seen));
	w->targets = arena_array(arena, max, sizeof(*w->targets));
	w->accounts = arena_array(arena, max, sizeof(*w->accounts));
	w->is_local = arena_array(arena, max, sizeof(*w->is_local));
	return w->seen == NULL || w->targets == NULL || w->accounts == NULL ||
		w->is_local == NULL
	    ? -ENOMEM
	    : 0;
}

/* 1: new; 0: seen before (a loop, or twice on the way); -E2BIG. */
static int
walk_see(struct walk *w, const char *address)
{
	for (size_t i = 0; i < w->n_seen; i++)
		if (strcmp(w->seen[i], address) == 0)
			return 0;
	if (w->n_seen == ACCOUNTS_TARGETS_MAX)
		return -E2BIG;
	w->seen[w->n_seen++] = address;
	return 1;
}

static void
walk_take(struct walk *w, const char *target, const char *account)
{
	/* n <= n_seen: there is room. */
	w->targets[w->n] = target;
	w->accounts[w->n] = account;
	w->is_local[w->n] = account != NULL;
	w->n++;
}

static int walk_list(struct walk *w, const struct found *f, int depth);

static int
walk_target(struct walk *w, const char *target, const char *rule, int depth)
{
	struct accounts_name name;
	struct found f;
	int rc = accounts_name(w->arena, slice_str(target), &name);

	if (rc != 0)
		return rc == -EINVAL ? -EIO : rc;
	rc = find(w->a, w->arena,
	    &(struct query){ name.local, name.local, name.domain }, &f);
	if (rc != 0)
		return rc;
	switch (f.what) {
	case FOUND_NOT_LOCAL:
		walk_take(w, target, NULL);
		return 0;
	case FOUND_ACCOUNT:
		walk_take(w, target, f.account);
		return 0;
	case FOUND_LIST:
		return walk_list(w, &f, depth + 1);
	case FOUND_DISABLED:
		w->any_disabled = true;
		break;
	case FOUND_BLOCKED:
	case FOUND_NONE:
		break;
	}
	log_info("target gets nothing", "rule=%s target=%s because=%s",
	    log_qs(rule), log_qs(target), log_qs(f.rule));
	return 0;
}

static int
walk_list(struct walk *w, const struct found *f, int depth)
{
	if (depth > DEPTH_MAX)
		return -E2BIG;
	for (size_t i = 0; i < f->n_list; i++) {
		int rc = walk_see(w, f->list[i]);

		if (rc == 1)
			rc = walk_target(w, f->list[i], f->rule, depth);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* --- the answer --- */

static int
resolve_list(struct accounts *a, struct arena *arena, const struct found *f,
    struct accounts_resolution *out)
{
	struct walk w;
	int rc = walk_init(&w, a, arena);

	if (rc == 0)
		rc = walk_list(&w, f, 1);
	if (rc == -E2BIG)
		log_error("aliases go too far", "rule=%s depth=%d targets=%d",
		    log_qs(f->rule), DEPTH_MAX, ACCOUNTS_TARGETS_MAX);
	if (rc != 0)
		return rc;
	out->fate = w.n > 0  ? ACCOUNTS_FORWARD
	    : w.any_disabled ? ACCOUNTS_DISABLED
			     : ACCOUNTS_UNKNOWN;
	out->targets = w.targets;
	out->target_is_local = w.is_local;
	out->target_accounts = w.accounts;
	out->n_targets = w.n;
	return 0;
}

/* Where `<postmaster>` without domain belongs. */
static int
query_domain(struct accounts *a, struct arena *arena, struct slice local,
    struct slice domain, struct slice *out)
{
	if (domain.n == 0 && slice_eq_str(local, "postmaster"))
		return accounts_meta(a, arena, "domain", out);
	return domain_canonical(arena, domain, out);
}

/* A local part that cannot be: only the domain decides. */
static int
resolve_impossible(struct accounts *a, struct arena *arena, struct slice domain,
    struct accounts_resolution *out)
{
	struct accounts_domain d;
	int rc = accounts_domain_get(a, arena, domain, &d);

	out->fate = rc == 0 ? ACCOUNTS_UNKNOWN : ACCOUNTS_NOT_LOCAL;
	out->rule = "no address that can be ours";
	return rc == -ENOENT ? 0 : rc;
}

static int
resolve(struct accounts *a, struct arena *arena, struct slice local,
    struct slice domain, struct accounts_resolution *out)
{
	static const enum accounts_fate fates[] = {
		[FOUND_NONE] = ACCOUNTS_UNKNOWN,
		[FOUND_NOT_LOCAL] = ACCOUNTS_NOT_LOCAL,
		[FOUND_DISABLED] = ACCOUNTS_DISABLED,
		[FOUND_BLOCKED] = ACCOUNTS_BLOCKED,
		[FOUND_ACCOUNT] = ACCOUNTS_DELIVER,
		[FOUND_LIST] = ACCOUNTS_FORWARD,
	};
	struct query q = { .raw = local };
	struct found f;
	int rc = accounts_local(arena, local, &q.local);

	if (rc == 0)
		rc = query_domain(a, arena, q.local, domain, &q.domain);
	if (rc == -EINVAL || rc == -ENOENT)
		return resolve_impossible(a, arena, domain, out);
	if (rc != 0 || (rc = find(a, arena, &q, &f)) != 0)
		return rc;
	out->fate = fates[f.what];
	out->account = f.account;
	out->detail = f.what == FOUND_ACCOUNT ? f.detail : SLICE_EMPTY;
	out->rule = f.rule;
	out->catch_all = f.catch_all;
	return f.what == FOUND_LIST ? resolve_list(a, arena, &f, out) : 0;
}

/* Only the answer goes to the caller's arena; what was read on the way does
 * not stay. */
static int
answer_copy(struct arena *arena, const struct accounts_resolution *r,
    struct accounts_resolution *out)
{
	const char **targets, **accounts;
	bool *is_local;

	*out = *r;
	targets = arena_array(arena, r->n_targets + 1, sizeof(*targets));
	accounts = arena_array(arena, r->n_targets + 1, sizeof(*accounts));
	is_local = arena_array(arena, r->n_targets + 1, sizeof(*is_local));
	out->account = arena_strdup(arena, slice_str(r->account));
	out->rule = arena_strdup(arena, slice_str(r->rule));
	out->detail = arena_dup(arena, r->detail);
	if (targets == NULL || accounts == NULL || is_local == NULL ||
	    out->account == NULL || out->rule == NULL || out->detail.p == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < r->n_targets; i++) {
		struct slice account = slice_str(r->target_accounts[i]);

		is_local[i] = r->target_is_local[i];
		targets[i] = arena_strdup(arena, slice_str(r->targets[i]));
		if (targets[i] == NULL)
			return -ENOMEM;
		if (is_local[i] &&
		    (accounts[i] = arena_strdup(arena, account)) == NULL)
			return -ENOMEM;
	}
	out->targets = targets;
	out->target_accounts = accounts;
	out->target_is_local = is_local;
	return 0;
}

int
accounts_resolve(struct accounts *a, struct arena *arena, struct slice local,
    struct slice domain, struct accounts_resolution *out)
{
	struct arena scratch = ARENA_INIT_MAX((size_t)16 << 20);
	struct accounts_resolution r = { .detail = SLICE_EMPTY };
	int rc = accounts_ready(a);

	if (rc == 0)
		rc = resolve(a, &scratch, local, domain, &r);
	if (rc == 0)
		rc = answer_copy(arena, &r, out);
	arena_reset(&scratch);
	return rc;
}
