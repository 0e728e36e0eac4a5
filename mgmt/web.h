/* SPDX-License-Identifier: ISC */
/* The web page (mgmt/web), which is part of the program. */
#ifndef PNEU_MGMT_WEB_H
#define PNEU_MGMT_WEB_H

#include "common/net/http_server.h"

/* Replies when the path is one of the page's. */
bool web_get(struct http_exchange *x);

#endif
