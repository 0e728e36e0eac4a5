/* SPDX-License-Identifier: ISC */
/* What comes for an account of ours, and is put into outside accounts. */
#include <errno.h>
#include <strings.h>

#include "common/auth/accounts_impl.h"
#include "common/auth/outside.h"
#include "common/mail/address.h"

#define PUSH_MAX 10 /* of an account */

bool
outside_push_is(struct slice forward_path, struct slice *out)
{
	struct slice suffix = SLICE_LIT(OUTSIDE_PUSH_DOMAIN), local, domain;

	if (forward_path.n <= suffix.n)
		return false;
	*out = slice_head(forward_path, forward_path.n - suffix.n);
	return slice_eq_nocase(slice_from(forward_path, out->n), suffix) &&
	    address_split(*out, &local, &domain) == 0;
}

/* The list of `r` with the address, or without it. */
static int
change_list(struct accounts_account *r, struct arena *arena,
    const char *address, bool add, struct buf *err)
{
	const char **list;
	size_t n = 0;

	list = arena_array(arena, r->n_push + 1, sizeof(*list));
	if (list == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < r->n_push; i++)
		if (strcmp(r->push[i], address) != 0)
			list[n++] = r->push[i];
	if (!add && n == r->n_push) {
		buf_printf(err, "%s is not pushed to %s", r->address, address);
		return -ENOENT;
	}
	if (add && n == PUSH_MAX) {
		buf_printf(err, "%s is pushed to %d accounts already",
		    r->address, PUSH_MAX);
		return -EINVAL;
	}
	if (add)
		list[n++] = address;
	r->push = list;
	r->n_push = n;
	return 0;
}

bool
outside_push_comes_back(const struct outside *o)
{
	if (o->paused || o->protocol == OUTSIDE_POP3)
		return false;
	for (size_t i = 0; i < o->n_folders; i++)
		if (strcasecmp(o->folders[i], "INBOX") == 0)
			return true;
	return o->n_folders == 0;
}

/* Before the outside account goes, nothing is to be put into it any more: what
 * came for it would be reported to its senders. */
int
outside_push_forget(struct accounts *a, struct slice address, struct buf *err)
{
	struct arena arena = ARENA_INIT_MAX((size_t)256 << 20);
	struct accounts_account *v = NULL;
	struct accounts_name name;
	size_t n = 0;
	int rc = accounts_name(&arena, address, &name);

	if (rc == 0)
		rc = accounts_account_list(a, &arena, SLICE_EMPTY, &v, &n);
	for (size_t i = 0; i < n && rc == 0; i++)
		for (size_t k = 0; k < v[i].n_push && rc == 0; k++)
			if (slice_eq_str(name.address, v[i].push[k])) {
				rc =
				    outside_push_put(a, slice_str(v[i].address),
					name.address, false, false, err);
				break;
			}
	arena_reset(&arena);
	/* What cannot be an address is nobody's. */
	return rc == -ENOENT || rc == -EINVAL || rc == -EAGAIN ? 0 : rc;
}

struct change_of_push {
	const char *address;
	bool add, only;
};

static int
change_push(void *arg, struct arena *arena, struct accounts_account *r,
    struct buf *err)
{
	const struct change_of_push *p = arg;
	int rc = change_list(r, arena, p->address, p->add, err);

	r->push_only = p->add ? p->only : r->n_push > 0 && r->push_only;
	return rc;
}

int
outside_push_put(struct accounts *a, struct slice account, struct slice address,
    bool add, bool only, struct buf *err)
{
	struct arena arena = ARENA_INIT_MAX((size_t)1 << 20);
	struct accounts_account r;
	struct outside o = { .address = NULL };
	struct change_of_push p;
	int rc = accounts_account_get(a, &arena, account, &r);

	if (rc == -ENOENT)
		buf_printf(err, "no account %.*s", (int)account.n, account.p);
	if (rc == 0 && (rc = outside_get(a, &arena, address, &o)) == -ENOENT)
		buf_printf(
		    err, "no outside account %.*s", (int)address.n, address.p);
	if (rc == 0 && add && o.protocol == OUTSIDE_POP3) {
		buf_printf(err, "%s: nothing can be put in by POP3", o.address);
		rc = -EINVAL;
	}
	if (rc == 0) {
		p = (struct change_of_push){ o.address, add, only };
		rc = accounts_account_change(
		    a, slice_str(r.address), change_push, &p, err);
	}
	arena_reset(&arena);
	return rc;
}
