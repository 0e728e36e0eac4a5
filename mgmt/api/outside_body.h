/* SPDX-License-Identifier: ISC */
/* The body of POST and PATCH of /outside, for outside_api.c. */
#ifndef PNEU_MGMT_API_OUTSIDE_BODY_H
#define PNEU_MGMT_API_OUTSIDE_BODY_H

#include "mgmt/api/manage_impl.h"

#define OUTSIDE_TEXT_MAX 255

/* Over what `o` has; what is wrong is replied, and c->failed set. */
void outside_body_in(struct manage_call *c, struct outside *o);
/* .p NULL: none is said. */
struct slice outside_password_in(struct manage_call *c);

/* Is what comes for the owner here put into it, and nowhere else? */
struct outside_push {
	bool on, only, changed;
};
int outside_push_get(
    struct manage_call *c, const struct outside *o, struct outside_push *out);
/* The same over what it is now. */
void outside_push_in(
    struct manage_call *c, const struct outside *o, struct outside_push *p);
/* Where it is another than before; after outside_put. Errors as of that. */
int outside_push_apply(struct manage_call *c, const struct outside *o,
    const struct outside_push *p);

#endif
