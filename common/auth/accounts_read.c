/* SPDX-License-Identifier: ISC */
/* Records by name, and lists of them. */
#include "common/auth/accounts_impl.h"

#include <errno.h>
#include <openssl/sha.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/trace.h"

/* --- one record --- */

int
accounts_domain_row(struct accounts *a, struct arena *arena,
    struct slice domain, struct accounts_domain *out)
{
	struct slice part = accounts_partition(arena, domain), row;
	int rc = accounts_row(a, arena, part, SLICE_LIT("d"), &row);

	if (rc == 0)
		rc = record_domain_decode(arena, row, out);
	if (rc == 0 && (out->name = arena_strdup(arena, domain)) == NULL)
		rc = -ENOMEM;
	if (rc == -EIO)
		log_error(
		    "account record is damaged", "domain=%s", log_q(domain));
	return rc;
}

int
accounts_name_row(struct accounts *a, struct arena *arena, struct slice domain,
    struct slice local, struct name_record *out)
{
	struct slice part = accounts_partition(arena, domain), row;
	struct slice key = accounts_key(arena, "n/", local);
	const char *address = NULL;
	int rc = accounts_row(a, arena, part, key, &row);

	if (rc == 0)
		rc = record_name_decode(arena, row, out);
	if (rc == 0 &&
	    (address = arena_printf(arena, "%.*s@%.*s", (int)local.n, local.p,
		 (int)domain.n, domain.p)) == NULL)
		rc = -ENOMEM;
	if (rc == 0)
		out->account.address = out->alias.address = address;
	if (rc == -EIO)
		log_error("account record is damaged", "address=%s@%s",
		    log_q(local), log_q(domain));
	return rc;
}

static int
name_get(struct accounts *a, struct arena *arena, struct slice address,
    struct name_record *out)
{
	struct accounts_name name;
	int rc = accounts_name(arena, address, &name);

	if (rc != 0)
		return rc == -EINVAL ? -ENOENT : rc;
	return accounts_name_row(a, arena, name.domain, name.local, out);
}

int
accounts_account_get(struct accounts *a, struct arena *arena,
    struct slice address, struct accounts_account *out)
{
	struct name_record r;
	int rc = name_get(a, arena, address, &r);

	if (rc == 0 && r.kind != KIND_ACCOUNT)
		rc = -ENOENT;
	if (rc == 0)
		*out = r.account;
	return rc;
}

int
accounts_address_get(struct accounts *a, struct arena *arena,
    struct slice address, struct accounts_address *out)
{
	struct name_record r;
	int rc = name_get(a, arena, address, &r);

	if (rc == 0 && r.kind == KIND_ACCOUNT)
		rc = -ENOENT;
	if (rc == 0)
		*out = r.alias;
	return rc;
}

int
accounts_account_name(struct accounts *a, struct arena *arena,
    struct slice user, const char **account)
{
	struct accounts_account record;
	struct accounts_name name;
	int rc = accounts_user(a, arena, user, &name);

	if (rc == 0)
		rc = accounts_account_get(a, arena, name.address, &record);
	if (rc == 0 && (*account = arena_strdup(arena, name.address)) == NULL)
		rc = -ENOMEM;
	return rc == -EINVAL ? -ENOENT : rc;
}

int
accounts_domain_get(struct accounts *a, struct arena *arena, struct slice name,
    struct accounts_domain *out)
{
	struct slice domain;
	int rc = domain_canonical(arena, name, &domain);

	if (rc != 0)
		return rc == -EINVAL ? -ENOENT : rc;
	return accounts_domain_row(a, arena, domain, out);
}

int
accounts_quota_get(struct accounts *a, struct arena *arena,
    struct slice account, struct accounts_quota *out)
{
	struct accounts_account of_it;
	struct accounts_domain of_all;
	struct slice domain = account;
	int rc = accounts_account_get(a, arena, account, &of_it);

	if (rc != 0)
		return rc;
	slice_split(&domain, '@');
	rc = accounts_domain_get(a, arena, domain, &of_all);
	if (rc == 0)
		*out = (struct accounts_quota){ of_it.quota_octets,
			of_it.quota_messages, of_all.quota_octets,
			of_all.quota_messages };
	return rc;
}

/* --- lists --- */

/* Rows of a scan, copied to the arena. */
struct rows {
	struct arena *arena;
	struct row {
		struct slice key, val;
	} * v;
	size_t n, cap;
};

static int
rows_add(void *arg, struct slice key, struct slice val)
{
	struct rows *r = arg;
	struct row *v;

	if (r->n == r->cap) {
		r->cap = r->cap == 0 ? 32 : r->cap * 2;
		v = arena_array(r->arena, r->cap, sizeof(*v));
		if (v == NULL)
			return -ENOMEM;
		if (r->n > 0)
			memcpy(v, r->v, r->n * sizeof(*v));
		r->v = v;
	}
	r->v[r->n].key = arena_dup(r->arena, key);
	r->v[r->n].val = arena_dup(r->arena, val);
	if (r->v[r->n].key.p == NULL || r->v[r->n].val.p == NULL)
		return -ENOMEM;
	r->n++;
	return 0;
}

static int
rows_add_name(void *arg, struct slice name)
{
	return rows_add(arg, name, SLICE_EMPTY);
}

/* Keys that begin with `prefix`, whose last octet is not 0xff. */
static int
rows_scan(
    struct accounts *a, struct slice part, struct slice prefix, struct rows *r)
{
	char *to = arena_strdup(r->arena, prefix);
	int rc;

	if (to == NULL || part.p == NULL)
		return -ENOMEM;
	if ((rc = accounts_ready(a)) != 0)
		return rc;
	to[prefix.n - 1]++;
	return store_scan(
	    a->store, part, prefix, slice(to, prefix.n), 0, rows_add, r);
}

/* Canonical names of all domains, or of the one that is asked for. */
static int
domains(struct accounts *a, struct slice only, struct rows *r)
{
	struct accounts_domain d;
	struct slice name;
	int rc;

	if (only.n == 0) {
		if ((rc = accounts_ready(a)) != 0)
			return rc;
		rc = store_partitions(
		    a->store, SLICE_LIT("d/"), rows_add_name, r);
		for (size_t i = 0; rc == 0 && i < r->n; i++)
			r->v[i].key = slice_from(r->v[i].key, 2);
		return rc;
	}
	rc = domain_canonical(r->arena, only, &name);
	if (rc == 0)
		rc = accounts_domain_row(a, r->arena, name, &d);
	if (rc == 0)
		rc = rows_add(r, name, SLICE_EMPTY);
	return rc == -EINVAL ? -ENOENT : rc;
}

struct name_list {
	struct arena *arena;
	struct name_record *v;
	size_t n, cap;
};

static int
name_list_add(struct name_list *l, struct slice domain, const struct row *row)
{
	struct slice local = slice_from(row->key, 2); /* "n/" */
	struct name_record r, *v;
	char *address;
	int rc = record_name_decode(l->arena, row->val, &r);

	address = arena_printf(l->arena, "%.*s@%.*s", (int)local.n, local.p,
	    (int)domain.n, domain.p);
	if (rc == -ENOMEM || address == NULL)
		return -ENOMEM;
	if (rc != 0) {
		log_error(
		    "account record is damaged", "address=%s", log_qs(address));
		return 0; /* it costs itself, not the list */
	}
	if (l->n == l->cap) {
		l->cap = l->cap == 0 ? 32 : l->cap * 2;
		if ((v = arena_array(l->arena, l->cap, sizeof(*v))) == NULL)
			return -ENOMEM;
		if (l->n > 0)
			memcpy(v, l->v, l->n * sizeof(*v));
		l->v = v;
	}
	r.account.address = r.alias.address = address;
	l->v[l->n++] = r;
	return 0;
}

static int
name_list_of(struct accounts *a, struct arena *arena, struct slice only,
    struct name_list *l)
{
	struct rows doms = { .arena = arena };
	int rc = domains(a, only, &doms);

	l->arena = arena;
	for (size_t i = 0; rc == 0 && i < doms.n; i++) {
		struct rows rows = { .arena = arena };

		rc = rows_scan(a, accounts_partition(arena, doms.v[i].key),
		    SLICE_LIT("n/"), &rows);
		for (size_t j = 0; rc == 0 && j < rows.n; j++)
			rc = name_list_add(l, doms.v[i].key, &rows.v[j]);
	}
	return rc;
}

int
accounts_account_list(struct accounts *a, struct arena *arena,
    struct slice domain, struct accounts_account **out, size_t *n)
{
	struct name_list l = { 0 };
	int rc = name_list_of(a, arena, domain, &l);

	*n = 0;
	if (rc != 0)
		return rc;
	if ((*out = arena_array(arena, l.n + 1, sizeof(**out))) == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < l.n; i++)
		if (l.v[i].kind == KIND_ACCOUNT)
			(*out)[(*n)++] = l.v[i].account;
	return 0;
}

int
accounts_address_list(struct accounts *a, struct arena *arena,
    struct slice domain, struct accounts_address **out, size_t *n)
{
	struct name_list l = { 0 };
	int rc = name_list_of(a, arena, domain, &l);

	*n = 0;
	if (rc != 0)
		return rc;
	if ((*out = arena_array(arena, l.n + 1, sizeof(**out))) == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < l.n; i++)
		if (l.v[i].kind != KIND_ACCOUNT)
			(*out)[(*n)++] = l.v[i].alias;
	return 0;
}

int
accounts_domain_list(struct accounts *a, struct arena *arena,
    struct accounts_domain **out, size_t *n)
{
	struct rows doms = { .arena = arena };
	int rc = domains(a, SLICE_EMPTY, &doms);

	*n = 0;
	*out = arena_array(arena, doms.n + 1, sizeof(**out));
	if (rc == 0 && *out == NULL)
		rc = -ENOMEM;
	for (size_t i = 0; rc == 0 && i < doms.n; i++) {
		rc = accounts_domain_row(a, arena, doms.v[i].key, &(*out)[*n]);
		if (rc == 0)
			(*n)++;
		else if (rc == -ENOENT || rc == -EIO)
			rc = 0; /* just removed; or damaged, and logged */
	}
	return rc;
}

/* --- credentials --- */

static int
credentials(struct accounts *a, struct arena *arena,
    const struct accounts_name *name, struct credential_record **out, size_t *n)
{
	struct slice prefix =
	    accounts_credential_key(arena, name->local, SLICE_EMPTY);
	struct rows rows = { .arena = arena };
	struct credential_record *v;
	int rc;

	*n = 0;
	if (prefix.p == NULL)
		return -ENOMEM;
	rc = rows_scan(
	    a, accounts_partition(arena, name->domain), prefix, &rows);
	if (rc != 0)
		return rc;
	if ((v = arena_array(arena, rows.n + 1, sizeof(*v))) == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < rows.n; i++) {
		rc = record_credential_decode(arena, rows.v[i].val, &v[*n]);
		v[*n].public.name =
		    arena_strdup(arena, slice_from(rows.v[i].key, prefix.n));
		if (rc == -EIO)
			log_error("credential is damaged", "account=%s",
			    log_q(name->address));
		else if (rc != 0 || v[*n].public.name == NULL)
			return -ENOMEM;
		else
			(*n)++;
	}
	*out = v;
	return 0;
}

int
accounts_credential_list(struct accounts *a, struct arena *arena,
    struct slice account, struct accounts_credential **out, size_t *n)
{
	struct accounts_login l = { .credentials = NULL };
	struct credential_record *v = NULL;
	struct accounts_name name;
	int rc;

	*n = 0;
	if ((rc = accounts_name(arena, account, &name)) != 0)
		return rc == -EINVAL ? -ENOENT : rc;
	if ((rc = accounts_login_load(a, arena, name.address, &l)) != 0)
		return rc;
	if (!l.is_account)
		return -ENOENT;
	v = l.credentials;
	*n = l.n;
	if ((*out = arena_array(arena, *n + 1, sizeof(**out))) == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < *n; i++) {
		(*out)[i] = v[i].public;
		(*out)[i].opens = accounts_opens(&l, &v[i]);
		(*out)[i].used_s = throttle_last_used(a->throttle, name.address,
		    v[i].public.name, v[i].public.created_s);
	}
	return 0;
}

/* Of the rows as they are stored: each has a salted hash. */
int
accounts_passwords_digest(struct accounts *a, struct arena *arena,
    struct slice account, unsigned char out[static ACCOUNTS_DIGEST_LEN])
{
	struct accounts_login l;
	struct buf b = BUF_INIT;
	int rc;

	if ((rc = accounts_login_load(a, arena, account, &l)) != 0)
		return rc;
	if (!l.enabled)
		return -ENOENT;
	for (size_t i = 0; i < l.n; i++) {
		buf_put_str(&b, l.credentials[i].public.name);
		buf_put_char(&b, '\0');
		buf_put_slice(&b, l.credentials[i].raw);
		buf_put_char(&b, '\0');
	}
	if (!b.failed)
		SHA256((const unsigned char *)b.p, b.n, out);
	rc = b.failed ? -ENOMEM : 0;
	buf_clear(&b);
	return rc;
}

int
accounts_login_load(struct accounts *a, struct arena *arena, struct slice user,
    struct accounts_login *out)
{
	struct accounts_domain domain;
	struct name_record record;
	int rc;

	memset(out, 0, sizeof(*out));
	out->name.address = out->name.local = out->name.domain = SLICE_EMPTY;
	rc = accounts_user(a, arena, user, &out->name);
	if (rc == -EINVAL) /* nobody can be called so */
		return 0;
	if (rc != 0)
		return rc;
	rc = accounts_domain_row(a, arena, out->name.domain, &domain);
	if (rc != 0)
		return rc == -ENOENT ? 0 : rc;
	out->domain_is_ours = true;
	rc = accounts_name_row(
	    a, arena, out->name.domain, out->name.local, &record);
	if (rc != 0)
		return rc == -ENOENT ? 0 : rc;
	if (record.kind != KIND_ACCOUNT)
		return 0;
	out->is_account = true;
	out->keeps_secrets = record.account.cram_md5;
	out->encryption = record.account.encryption;
	out->seal = record.seal;
	out->enabled = !domain.disabled && !record.account.disabled;
	return credentials(a, arena, &out->name, &out->credentials, &out->n);
}

void
accounts_login_scope(struct accounts_login *l, unsigned scope)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++) {
		unsigned scopes = l->credentials[i].public.scopes;

		if (scopes == 0 || (scopes & scope) != 0)
			l->credentials[n++] = l->credentials[i];
	}
	l->n = n;
}

void
accounts_log_refused(const struct accounts_login *l,
    const struct accounts_attempt *at, const char *why)
{
	/* People type passwords where names belong: what is no address of
	 * ours is not written down. */
	log_info("sign-in refused", "user=%s peer=%s mechanism=%s reason=%s",
	    l->domain_is_ours ? log_q(l->name.address) : "-",
	    log_qs(at->peer), at->mechanism, why);
	/* What is no account may be a password all the same. */
	trace_write(&(struct trace_record){ .kind = TRACE_AUTH,
	    .code = 535,
	    .enhanced = "5.7.8",
	    .took_us = clock_mono_us() - at->began_us,
	    .field = { [TRACE_ACCOUNT] = l->is_account
			? l->name.address
			: (struct slice){ NULL, 0 },
		[TRACE_RULE] = slice_str(at->mechanism),
		[TRACE_TEXT] = slice_str(why) } });
}
