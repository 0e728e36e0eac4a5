/* SPDX-License-Identifier: ISC */
/*
 * One change of the directory: a batch on the domain's partition that guards
 * its generation. Whatever was read for the change is then still so, or the
 * change is tried again from the start.
 */
#ifndef PNEU_AUTH_ACCOUNTS_CHANGE_H
#define PNEU_AUTH_ACCOUNTS_CHANGE_H

#include "common/auth/accounts_impl.h"

struct change {
	struct accounts *a;
	struct arena arena; /* of one attempt */
	struct slice domain, part;
	struct store_batch *b;
	struct buf *err;
};

/* Reads, judges, and fills the batch; may run more than once. 0, or the error
 * of the whole change. */
typedef int change_fn(struct change *c, const void *arg);

/* `domain` is canonical, or empty for outside accounts. 0, or an error with the reason in `err`. */
int accounts_change(struct accounts *a, struct slice domain, change_fn *fill,
    const void *arg, struct buf *err);

/* For change_fn. Write the reason, return rc. */
int change_fail(struct change *c, int rc, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Put an encoded record (its encoder returned `rc`), or say why not. Clears
 * `json`. */
int change_put(struct change *c, struct slice key, int rc, struct buf *json);

/* Put the account's record with this key pair, or with none. */
int accounts_seal_put(struct change *c, const struct accounts_name *name,
    const struct seal_record *seal);

/* What may be written: 0, -EINVAL with the reason in `err`, or -ENOMEM. */
int check_text(const char *what, struct slice s, size_t max, struct buf *err);
int check_domain(
    struct arena *arena, struct slice in, struct slice *out, struct buf *err);
int check_address(struct arena *arena, struct slice in,
    struct accounts_name *out, struct buf *err);
/* In canonical form, each once. */
int check_targets(struct arena *arena, const char *const *in, size_t n,
    const char *const **out, size_t *n_out, struct buf *err);
/* The same of what may be granted: "@domain" too. */
int check_grants(struct arena *arena, const char *const *in, size_t n,
    const char *const **out, size_t *n_out, struct buf *err);

/* Bring what partition "m" repeats up to date, after a change that may matter
 * for it; `account` may be NULL: look at all of them. */
void accounts_meta_domain(struct accounts *a);
void accounts_meta_secrets(struct accounts *a);
void accounts_meta_postmaster(
    struct accounts *a, const struct accounts_account *account);

#endif
