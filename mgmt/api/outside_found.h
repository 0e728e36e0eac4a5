/* SPDX-License-Identifier: ISC */
/* Finding the servers of an address, for outside_api.c. */
#ifndef PNEU_MGMT_API_OUTSIDE_FOUND_H
#define PNEU_MGMT_API_OUTSIDE_FOUND_H

#include "common/auth/outside_find.h"
#include "mgmt/api/manage_impl.h"

/* As outside_find_online, and -EBUSY: the account looks for too many just now.
 * `protocol` NULL: any. Waits. */
int outside_find_for(struct manage_call *c, const char *address,
    const char *protocol, struct outside *o, const char **hint);
/* What that says to who asked; returns MANAGE_REPLIED. */
int outside_find_problem(
    struct manage_call *c, int rc, const struct outside *o);
/* May what the caller names be at this machine and its neighbours? */
bool outside_may_be_private(const struct manage_call *c);
json_t *outside_server_json(const struct outside_server *s);

#endif
