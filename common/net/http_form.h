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

#endif
