/* SPDX-License-Identifier: ISC */
#include "common/auth/accounts_change.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistr.h>

#include "common/base/clock.h"

#define ATTEMPTS 100 /* then somebody changes the domain all the time */
#define GENERATION_LEN 16

/* --- one change --- */

int
change_fail(struct change *c, int rc, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(c->err, fmt, ap);
	va_end(ap);
	return rc;
}

/* What the generation is now: "" when there is none. */
static int
generation_get(struct accounts *a, struct slice part, struct buf *out)
{
	int rc;

	buf_reset(out);
	rc = store_get(a->store, part, SLICE_LIT("g"), out);
	return rc == -ENOENT ? 0 : rc;
}

/* Outside accounts stand together, whatever their domain (outside.c). */
static struct slice
part_of(struct arena *arena, struct slice domain)
{
	return domain.n == 0 ? SLICE_LIT("o")
			     : accounts_partition(arena, domain);
}

static int
change_attempt(struct change *c, change_fn *fill, const void *arg,
    const struct buf *before, struct slice after)
{
	int rc;

	if ((c->part = part_of(&c->arena, c->domain)).p == NULL ||
	    (c->b = store_batch_new(c->a->store, c->part)) == NULL)
		return -ENOMEM;
	if (before->n == 0)
		store_guard_absent(c->b, SLICE_LIT("g"));
	else
		store_guard(c->b, SLICE_LIT("g"), buf_slice(before));
	store_put(c->b, SLICE_LIT("g"), after);
	/* -EAGAIN of fill would look like a conflict, and is one: try again. */
	if ((rc = fill(c, arg)) == 0)
		rc = store_commit_one(c->a->store, c->b);
	return rc;
}

/* UNKNOWN: done if the generation is the one that we wanted to put. */
static int
change_outcome(struct change *c, struct slice after)
{
	struct buf now = BUF_INIT_MAX(64);
	int rc = generation_get(c->a, c->part, &now);

	if (rc == 0 && !slice_eq(buf_slice(&now), after))
		rc = STORE_ECONFLICT;
	buf_clear(&now);
	return rc;
}

int
accounts_change(struct accounts *a, struct slice domain, change_fn *fill,
    const void *arg, struct buf *err)
{
	struct change c = { .a = a, .domain = domain, .err = err };
	struct buf before = BUF_INIT_MAX(64);
	char after[GENERATION_LEN];
	int rc = accounts_ready(a);

	for (int i = 0; i < ATTEMPTS && rc == 0; i++) {
		struct slice part = part_of(&c.arena, domain);

		rc =
		    part.p == NULL ? -ENOMEM : generation_get(a, part, &before);
		random_octets(after, sizeof(after));
		if (rc == 0)
			rc = change_attempt(&c, fill, arg, &before,
			    slice(after, sizeof(after)));
		if (rc == STORE_EUNKNOWN)
			rc = change_outcome(&c, slice(after, sizeof(after)));
		store_batch_free(&c.b);
		arena_reset(&c.arena);
		if (rc != STORE_ECONFLICT)
			break;
		buf_reset(err);
		rc = i + 1 < ATTEMPTS ? 0 : -EAGAIN;
	}
	buf_clear(&before);
	if (rc != 0 && err->n == 0)
		buf_printf(err, "accounts: %s", strerror(-rc));
	return rc;
}

/* Put an encoded record, or say why not. */
int
change_put(struct change *c, struct slice key, int rc, struct buf *json)
{
	if (key.p == NULL)
		rc = -ENOMEM;
	if (rc == 0)
		store_put(c->b, key, buf_slice(json));
	else if (rc == -E2BIG)
		rc = change_fail(c, -EINVAL,
		    "too much for one record; "
		    "split the targets over several addresses");
	else if (rc == -EIO)
		change_fail(c, rc,
		    "the record in place is damaged; "
		    "remove it and add it again");
	buf_clear(json);
	return rc;
}

/* --- what may be written --- */

int
check_text(const char *what, struct slice s, size_t max, struct buf *err)
{
	if (s.n > max) {
		buf_printf(err, "%s: longer than %zu octets", what, max);
		return -EINVAL;
	}
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f) {
			buf_printf(err, "%s: has a control character", what);
			return -EINVAL;
		}
	if (u8_check((const uint8_t *)s.p, s.n) != NULL) {
		buf_printf(err, "%s: not UTF-8", what);
		return -EINVAL;
	}
	return 0;
}

int
check_domain(
    struct arena *arena, struct slice in, struct slice *out, struct buf *err)
{
	int rc = domain_canonical(arena, in, out);

	if (rc == 0 && (out->p[0] == '[' || out->n > 253))
		rc = -EINVAL;
	if (rc == -EINVAL)
		buf_printf(err, "%.*s: not a domain name",
		    (int)(in.n > 255 ? 255 : in.n), in.p);
	return rc;
}

int
check_address(struct arena *arena, struct slice in, struct accounts_name *out,
    struct buf *err)
{
	int rc = accounts_name(arena, in, out);

	if (rc == -EINVAL)
		buf_printf(err, "%.*s: not an address (name@domain)",
		    (int)(in.n > 255 ? 255 : in.n), in.p);
	return rc;
}

/* An address or, where `domains`, "@domain": canonical, in the arena. */
static int
check_target(struct arena *arena, struct slice in, bool domains,
    const char **out, struct buf *err)
{
	struct accounts_name name;
	struct slice domain;
	int rc;

	if (domains && in.n > 0 && in.p[0] == '@') {
		rc = check_domain(arena, slice_from(in, 1), &domain, err);
		if (rc == 0)
			*out = arena_printf(
			    arena, "@%.*s", (int)domain.n, domain.p);
	} else {
		rc = check_address(arena, in, &name, err);
		if (rc == 0)
			*out = arena_strdup(arena, name.address);
	}
	return rc == 0 && *out == NULL ? -ENOMEM : rc;
}

static int
check_list(struct arena *arena, const char *const *in, size_t n, bool domains,
    const char *const **out, size_t *n_out, struct buf *err)
{
	const char **list;
	int rc;

	if (n > ACCOUNTS_TARGETS_MAX) {
		buf_printf(
		    err, "%zu targets; at most %d", n, ACCOUNTS_TARGETS_MAX);
		return -EINVAL;
	}
	if ((list = arena_array(arena, n + 1, sizeof(*list))) == NULL)
		return -ENOMEM;
	*n_out = 0;
	for (size_t i = 0; i < n; i++) {
		const char *target = NULL;
		size_t j = 0;

		rc = check_target(
		    arena, slice_str(in[i]), domains, &target, err);
		if (rc != 0)
			return rc;
		while (j < *n_out && strcmp(list[j], target) != 0)
			j++;
		if (j == *n_out)
			list[(*n_out)++] = target;
	}
	*out = list;
	return 0;
}

int
check_targets(struct arena *arena, const char *const *in, size_t n,
    const char *const **out, size_t *n_out, struct buf *err)
{
	return check_list(arena, in, n, false, out, n_out, err);
}

int
check_grants(struct arena *arena, const char *const *in, size_t n,
    const char *const **out, size_t *n_out, struct buf *err)
{
	return check_list(arena, in, n, true, out, n_out, err);
}
