/* SPDX-License-Identifier: ISC */
/*
 * `pneu manage`: the part of the HTTP API that is not about mail. It writes
 * Accounts, so it is a process of its own that listens on a Unix socket only;
 * pneu http, which faces the network, hands requests on to it and has no rights
 * itself. Whose a token is, and what it may do, is asked of pneu-mailbox for
 * each request.
 */
#ifndef PNEU_MGMT_API_MANAGE_H
#define PNEU_MGMT_API_MANAGE_H

#include "common/base/conf.h"
#include "common/base/slice.h"

/* Is it manage that answers this path (below /api/v1)? */
bool manage_has_path(struct slice path);

int cmd_manage(const struct conf *conf, int argc, char **argv);

#endif
