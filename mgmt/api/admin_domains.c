/* SPDX-License-Identifier: ISC */
/* /admin/domains and /admin/addresses (aliases, blocked addresses). */
#include <errno.h>

#include "mgmt/api/manage_impl.h"
#include "mgmt/directory.h"

#define TEXT_MAX 255

/* --- domains --- */

static int
get(struct manage_call *c, struct accounts_domain *v)
{
	int rc = accounts_domain_get(c->env->accounts, c->a, c->param[0], v);

	return manage_errno(c, rc == -EINVAL ? -ENOENT : rc, "no-such-domain");
}

static json_t *
counted_json(struct manage_call *c, const struct accounts_domain *v)
{
	struct accounts_account *a;
	struct accounts_address *o;
	size_t accounts = 0, addresses = 0;

	(void)accounts_account_list(
	    c->env->accounts, c->a, slice_str(v->name), &a, &accounts);
	(void)accounts_address_list(
	    c->env->accounts, c->a, slice_str(v->name), &o, &addresses);
	return domain_json(v, accounts, addresses);
}

int
admin_domains_get(struct manage_call *c)
{
	struct accounts_domain *v = NULL;
	json_t *list;
	size_t n = 0;
	int rc = manage_errno(c,
	    accounts_domain_list(c->env->accounts, c->a, &v, &n),
	    "no-such-domain");

	if (rc != 0)
		return rc;
	list = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, counted_json(c, &v[i]));
	return manage_json(c, 200, json_pack("{s:o}", "domains", list));
}

int
admin_domain_get(struct manage_call *c)
{
	struct accounts_domain v;
	int rc = get(c, &v);

	return rc != 0 ? rc : manage_json(c, 200, counted_json(c, &v));
}

#define SETTINGS "catch_all", "disabled", "quota_octets", "quota_messages", NULL

static void
domain_in(struct manage_call *c, struct accounts_domain *v)
{
	static const int64_t none = 0;
	int64_t octets = (int64_t)v->quota_octets;
	int64_t messages = (int64_t)v->quota_messages;

	manage_strs(c, "catch_all", ACCOUNTS_TARGETS_MAX, &v->catch_all,
	    &v->n_catch_all);
	manage_bool(c, "disabled", &v->disabled);
	manage_int(c, "quota_octets", 0, INT64_MAX, &none, &octets);
	manage_int(c, "quota_messages", 0, INT64_MAX, &none, &messages);
	v->quota_octets = (uint64_t)octets;
	v->quota_messages = (uint64_t)messages;
}

int
admin_domains_post(struct manage_call *c)
{
	static const char *const names[] = { "name", SETTINGS };
	struct accounts_domain v = { 0 };
	int rc;

	manage_only(c, names);
	v.name = manage_need(c, "name", TEXT_MAX);
	domain_in(c, &v);
	if (c->failed)
		return MANAGE_REPLIED;
	rc = accounts_domain_put(c->env->accounts, &v, true, &c->err);
	if (rc == 0)
		rc = accounts_domain_get(
		    c->env->accounts, c->a, slice_str(v.name), &v);
	rc = manage_errno(c, rc, "no-such-domain");
	return rc != 0 ? rc : manage_json(c, 201, counted_json(c, &v));
}

int
admin_domain_patch(struct manage_call *c)
{
	static const char *const names[] = { SETTINGS };
	struct accounts_domain v;
	int rc = get(c, &v);

	if (rc != 0)
		return rc;
	manage_only(c, names);
	domain_in(c, &v);
	if (c->failed)
		return MANAGE_REPLIED;
	rc = manage_errno(c,
	    accounts_domain_put(c->env->accounts, &v, false, &c->err),
	    "no-such-domain");
	return rc != 0 ? rc : admin_domain_get(c);
}

int
admin_domain_delete(struct manage_call *c)
{
	int rc = accounts_domain_remove(c->env->accounts, c->param[0], &c->err);

	if (rc == 0)
		return manage_no_content(c);
	return manage_errno(c, rc == -EINVAL ? -ENOENT : rc, "no-such-domain");
}

/* --- addresses --- */

static int
get_address(struct manage_call *c, struct slice name, int status)
{
	struct accounts_address v;
	int rc = accounts_address_get(c->env->accounts, c->a, name, &v);

	rc = manage_errno(c, rc == -EINVAL ? -ENOENT : rc, "no-such-address");
	return rc != 0 ? rc : manage_json(c, status, address_json(&v));
}

int
admin_addresses_get(struct manage_call *c)
{
	struct slice domain = SLICE_EMPTY;
	struct accounts_address *v = NULL;
	json_t *list;
	size_t n = 0;
	int rc;

	if (!http_head_query(&c->x->head, "domain", &domain))
		return manage_problem(c, "bad-value", NULL);
	rc = manage_errno(c,
	    accounts_address_list(c->env->accounts, c->a,
		domain.p != NULL ? domain : SLICE_EMPTY, &v, &n),
	    "no-such-domain");
	if (rc != 0)
		return rc;
	list = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, address_json(&v[i]));
	return manage_json(c, 200, json_pack("{s:o}", "addresses", list));
}

static int
address_in(struct manage_call *c, struct accounts_address *v)
{
	manage_strs(
	    c, "targets", ACCOUNTS_TARGETS_MAX, &v->targets, &v->n_targets);
	manage_bool(c, "blocked", &v->blocked);
	if (c->failed)
		return MANAGE_REPLIED;
	if (v->blocked == (v->n_targets > 0))
		return manage_problem(
		    c, "bad-value", "either targets, or blocked");
	return 0;
}

int
admin_addresses_post(struct manage_call *c)
{
	static const char *const names[] = { "address", "targets", "blocked",
		NULL };
	struct accounts_account account;
	struct accounts_address v = { 0 };
	int rc;

	manage_only(c, names);
	v.address = manage_need(c, "address", TEXT_MAX);
	if ((rc = address_in(c, &v)) != 0)
		return rc;
	if (accounts_account_get(
		c->env->accounts, c->a, slice_str(v.address), &account) == 0)
		return manage_problem(c, "exists", "It is an account");
	rc = manage_errno(c,
	    accounts_address_put(c->env->accounts, &v, true, &c->err),
	    "no-such-domain");
	return rc != 0 ? rc : get_address(c, slice_str(v.address), 201);
}

int
admin_address_get(struct manage_call *c)
{
	return get_address(c, c->param[0], 200);
}

int
admin_address_put(struct manage_call *c)
{
	static const char *const names[] = { "targets", "blocked", NULL };
	struct accounts_address v = { .address = manage_param(c, 0) };
	int rc;

	manage_only(c, names);
	if ((rc = address_in(c, &v)) != 0)
		return rc;
	rc = accounts_address_put(c->env->accounts, &v, false, &c->err);
	rc = manage_errno(c, rc, "no-such-address");
	return rc != 0 ? rc : get_address(c, c->param[0], 200);
}

int
admin_address_delete(struct manage_call *c)
{
	int rc =
	    accounts_address_remove(c->env->accounts, c->param[0], &c->err);

	if (rc == 0)
		return manage_no_content(c);
	return manage_errno(c, rc == -EINVAL ? -ENOENT : rc, "no-such-address");
}
