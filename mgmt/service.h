/* SPDX-License-Identifier: ISC */
/* Commands of pneu that are services as the daemons are, so that they have their
 * limits, their sandbox and their ways to start. */
#ifndef PNEU_MGMT_SERVICE_H
#define PNEU_MGMT_SERVICE_H

#include "common/net/service.h"

/* One process will do; what `pneu -c` says and the options are handed on. The
 * exit status. */
int command_service(const struct service *s, int argc, char **argv);

#endif
