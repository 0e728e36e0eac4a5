/* SPDX-License-Identifier: ISC */
/* Writing domains, accounts and addresses, for mgmt. */
#include <errno.h>

#include "common/auth/accounts_change.h"
#include "common/auth/notice.h"
#include "common/auth/outside.h"
#include "common/base/clock.h"

/* --- domains --- */

struct domain_change {
	struct accounts_domain d; /* checked */
	bool add;
};

static int
domain_fill(struct change *c, const void *arg)
{
	const struct domain_change *in = arg;
	struct accounts_domain d = in->d, old;
	struct slice row = SLICE_EMPTY;
	struct buf json = BUF_INIT;
	int rc = accounts_row(c->a, &c->arena, c->part, SLICE_LIT("d"), &row);

	if (rc == 0 && in->add)
		return change_fail(c, -EEXIST, "domain %s exists", d.name);
	if (rc == -ENOENT && !in->add)
		return change_fail(c, rc, "no domain %s", d.name);
	if (rc != 0 && rc != -ENOENT)
		return rc;
	if (in->add)
		d.created_s = clock_wall_s();
	else if (record_domain_decode(&c->arena, row, &old) == 0)
		d.created_s = old.created_s;
	rc = record_domain_encode(row, &d, &json);
	return change_put(c, SLICE_LIT("d"), rc, &json);
}

static int
scan_stop(void *arg, struct slice key, struct slice val)
{
	(void)arg, (void)key, (void)val;
	return 1;
}

static int
domain_unfill(struct change *c, const void *arg)
{
	struct slice row;
	int rc = accounts_row(c->a, &c->arena, c->part, SLICE_LIT("d"), &row);

	(void)arg;
	if (rc == -ENOENT)
		change_fail(
		    c, rc, "no domain %.*s", (int)c->domain.n, c->domain.p);
	if (rc != 0)
		return rc;
	rc = store_scan(c->a->store, c->part, SLICE_LIT("n/"), SLICE_LIT("n0"),
	    STORE_SCAN_KEYS, scan_stop, NULL);
	if (rc > 0)
		return change_fail(c, -ENOTEMPTY,
		    "domain %.*s has accounts or addresses", (int)c->domain.n,
		    c->domain.p);
	/* The generation stays: who still holds the old one must not find a
	 * domain of the same name, added anew, unchanged. */
	store_del(c->b, SLICE_LIT("d"));
	return rc;
}

int
accounts_domain_put(struct accounts *a, const struct accounts_domain *d,
    bool add, struct buf *err)
{
	struct arena arena = { 0 };
	struct domain_change in = { *d, add };
	struct slice domain;
	int rc = check_domain(&arena, slice_str(d->name), &domain, err);

	if (rc == 0 && (in.d.name = arena_strdup(&arena, domain)) == NULL)
		rc = -ENOMEM;
	if (rc == 0)
		rc = check_targets(&arena, d->catch_all, d->n_catch_all,
		    &in.d.catch_all, &in.d.n_catch_all, err);
	if (rc == 0)
		rc = accounts_change(a, domain, domain_fill, &in, err);
	if (rc == 0 && add)
		accounts_meta_domain(a);
	arena_reset(&arena);
	return rc;
}

int
accounts_domain_remove(struct accounts *a, struct slice name, struct buf *err)
{
	struct arena arena = { 0 };
	struct slice domain;
	int rc = check_domain(&arena, name, &domain, err);

	if (rc == 0)
		rc = accounts_change(a, domain, domain_unfill, NULL, err);
	if (rc == 0)
		accounts_meta_domain(a);
	arena_reset(&arena);
	return rc;
}

/* --- accounts and addresses --- */

struct name_change {
	struct accounts_name name;
	struct name_record r; /* checked */
	bool add;
	accounts_change_fn *fn; /* or NULL: changes the record that is there */
	void *arg;
};

static const char *
kind_words(enum accounts_kind kind)
{
	return kind == KIND_ACCOUNT ? "an account"
	    : kind == KIND_ALIAS    ? "an alias"
				    : "a blocked address";
}

/* The row in place, when it may be replaced by one of this kind. */
static int
name_present(struct change *c, const struct name_change *in, struct slice *row,
    struct name_record *old)
{
	bool account = in->r.kind == KIND_ACCOUNT;
	const char *address = in->name.address.p;
	int n = (int)in->name.address.n, rc;

	rc = accounts_row(c->a, &c->arena, c->part,
	    accounts_key(&c->arena, "n/", in->name.local), row);
	if (rc == 0)
		rc = record_name_decode(&c->arena, *row, old);
	if (rc == -EIO)
		return change_fail(
		    c, rc, "the record of %.*s is damaged", n, address);
	if (rc == 0 && in->add)
		return change_fail(c, -EEXIST, "%.*s exists: it is %s", n,
		    address, kind_words(old->kind));
	if (rc == -ENOENT && !in->add)
		return change_fail(c, rc, "no %s %.*s",
		    account ? "account" : "address", n, address);
	if (rc == 0 && account != (old->kind == KIND_ACCOUNT))
		return change_fail(c, -ENOENT, "%.*s is %s", n, address,
		    kind_words(old->kind));
	return rc;
}

/* Nothing of the passwords in plain text stays. */
static int
forget_secrets(struct change *c, const struct accounts_name *name)
{
	struct accounts_login l;
	int rc = accounts_login_load(c->a, &c->arena, name->address, &l);

	for (size_t i = 0; i < l.n && rc == 0; i++) {
		struct buf json = BUF_INIT;

		l.credentials[i].sealed = SLICE_EMPTY;
		rc = record_credential_encode(&l.credentials[i], &json);
		rc = change_put(c,
		    accounts_credential_key(&c->arena, name->local,
			slice_str(l.credentials[i].public.name)),
		    rc, &json);
	}
	return rc;
}

static int
name_fill(struct change *c, const void *arg)
{
	const struct name_change *in = arg;
	struct name_record r = in->r, old;
	struct accounts_domain d;
	struct slice row = SLICE_EMPTY;
	struct buf json = BUF_INIT;
	int rc = accounts_domain_row(c->a, &c->arena, c->domain, &d);

	if (rc == -ENOENT)
		return change_fail(
		    c, rc, "no domain %.*s", (int)c->domain.n, c->domain.p);
	if (rc != 0)
		return rc;
	rc = name_present(c, in, &row, &old);
	if (rc != 0 && rc != -ENOENT)
		return rc;
	if (rc == -ENOENT && !in->add)
		return rc;
	if (in->fn != NULL) {
		r.account = old.account;
		rc = in->fn(in->arg, &c->arena, &r.account, c->err);
		if (rc != 0)
			return rc;
	}
	if (!in->add && old.account.cram_md5 && !r.account.cram_md5 &&
	    (rc = forget_secrets(c, &in->name)) != 0)
		return rc;
	r.account.created_s = in->add ? clock_wall_s() : old.account.created_s;
	rc = record_name_encode(row, &r, &json);
	return change_put(
	    c, accounts_key(&c->arena, "n/", in->name.local), rc, &json);
}

static int
name_unfill(struct change *c, const void *arg)
{
	const struct name_change *in = arg;
	struct slice from, row;
	struct name_record old;
	int rc = name_present(c, in, &row, &old);
	char *to;

	if (rc != 0)
		return rc;
	from = accounts_credential_key(&c->arena, in->name.local, SLICE_EMPTY);
	to = from.p == NULL ? NULL : arena_strdup(&c->arena, from);
	if (to == NULL)
		return -ENOMEM;
	to[from.n - 1] = 1; /* behind the NUL that ends the local part */
	store_del(c->b, accounts_key(&c->arena, "n/", in->name.local));
	store_del_range(c->b, from, slice(to, from.n));
	return 0;
}

int
accounts_account_put(struct accounts *a, const struct accounts_account *in,
    bool add, struct buf *err)
{
	struct arena arena = { 0 };
	struct name_change ch = { .add = add };
	int rc;

	ch.r = (struct name_record){ .kind = KIND_ACCOUNT, .account = *in };
	if (ch.r.account.name == NULL)
		ch.r.account.name = "";
	rc = check_address(&arena, slice_str(in->address), &ch.name, err);
	if (rc == 0)
		rc = check_text("name", slice_str(in->name), 256, err);
	if (rc == 0 &&
	    (in->quota_octets > INT64_MAX || in->quota_messages > INT64_MAX)) {
		buf_put_str(err, "quota: too large");
		rc = -EINVAL;
	}
	if (rc == 0)
		rc = check_grants(&arena, in->send_as, in->n_send_as,
		    &ch.r.account.send_as, &ch.r.account.n_send_as, err);
	if (rc == 0)
		rc = accounts_change(a, ch.name.domain, name_fill, &ch, err);
	ch.r.account.address = ch.name.address.p;
	ch.r.account.created_s = clock_wall_s();
	if (rc == 0)
		accounts_meta_postmaster(a, &ch.r.account);
	if (rc == 0 && !add && !in->cram_md5 && accounts_have_secrets(a))
		accounts_meta_secrets(a);
	arena_reset(&arena);
	return rc;
}

int
accounts_account_change(struct accounts *a, struct slice address,
    accounts_change_fn *fn, void *arg, struct buf *err)
{
	struct arena arena = { 0 };
	struct name_change ch = { .r = { .kind = KIND_ACCOUNT },
		.fn = fn,
		.arg = arg };
	int rc = check_address(&arena, address, &ch.name, err);

	if (rc == 0)
		rc = accounts_change(a, ch.name.domain, name_fill, &ch, err);
	arena_reset(&arena);
	return rc;
}

int
accounts_account_remove(
    struct accounts *a, struct slice address, struct buf *err)
{
	struct arena arena = { 0 };
	struct name_change ch = { .r = { .kind = KIND_ACCOUNT } };
	int rc = check_address(&arena, address, &ch.name, err);

	/* Who has the address next gets neither mail of who had it before, nor
	 * is he watched by him. */
	if (rc == 0)
		rc = outside_remove_all(a, ch.name.address, err);
	if (rc == 0)
		rc = notice_remove_all(a, ch.name.address, err);
	if (rc == 0)
		rc = accounts_change(a, ch.name.domain, name_unfill, &ch, err);
	if (rc == 0)
		accounts_meta_postmaster(a, NULL);
	if (rc == 0 && accounts_have_secrets(a))
		accounts_meta_secrets(a);
	arena_reset(&arena);
	return rc;
}

int
accounts_address_put(struct accounts *a, const struct accounts_address *in,
    bool add, struct buf *err)
{
	struct arena arena = { 0 };
	struct name_change ch = { .add = add };
	int rc;

	ch.r = (struct name_record){ .alias = *in };
	ch.r.kind = in->blocked ? KIND_BLOCKED : KIND_ALIAS;
	rc = check_address(&arena, slice_str(in->address), &ch.name, err);
	if (rc == 0 && in->blocked == (in->n_targets > 0)) {
		buf_put_str(err,
		    in->blocked
			? "a blocked address has no targets"
			: "an address needs a target, or to be blocked");
		rc = -EINVAL;
	}
	if (rc == 0)
		rc = check_targets(&arena, in->targets, in->n_targets,
		    &ch.r.alias.targets, &ch.r.alias.n_targets, err);
	if (rc == 0)
		rc = accounts_change(a, ch.name.domain, name_fill, &ch, err);
	arena_reset(&arena);
	return rc;
}

int
accounts_address_remove(
    struct accounts *a, struct slice address, struct buf *err)
{
	struct arena arena = { 0 };
	struct name_change ch = { .r = { .kind = KIND_ALIAS } };
	int rc = check_address(&arena, address, &ch.name, err);

	if (rc == 0)
		rc = accounts_change(a, ch.name.domain, name_unfill, &ch, err);
	arena_reset(&arena);
	return rc;
}
