/* SPDX-License-Identifier: ISC */
/* Forms and queries: application/x-www-form-urlencoded. Pure. */
#ifndef PNEU_NET_HTTP_FORM_H
#define PNEU_NET_HTTP_FORM_H

#include "common/base/buf.h"

/* All but the unreserved characters of RFC 3986 2.3 as %XX: for values of forms,
 * of queries, and for segments of paths. */
bool http_percent_put(struct buf *b, struct slice s);
/* "name=value", after "&" unless `b` is empty or ends with '?'. */
bool http_form_put(struct buf *b, const char *name, struct slice value);
/*
 * Take the next pair from *form, decoded into the two ("+" is a space). 1: there
 * was one; 0: the end; -EINVAL: "%" without two digits, or a NUL.
 */
int http_form_next(struct slice *form, struct buf *name, struct buf *value);

#endif
