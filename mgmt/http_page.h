/* SPDX-License-Identifier: ISC */
/* The status page. */
#ifndef PNEU_MGMT_HTTP_PAGE_H
#define PNEU_MGMT_HTTP_PAGE_H

#include "mgmt/health.h"

void http_page(const struct health *h, const char *hostname, struct buf *out);

#endif
