/* SPDX-License-Identifier: ISC */
/* What main() hands to the service skeleton. */
#ifndef PNEU_QM_QM_SERVICE_H
#define PNEU_QM_QM_SERVICE_H

#include "common/net/service.h"

int qm_start(const struct conf *conf);
void qm_reload(const struct conf *conf);
void qm_stop(void);
size_t qm_paths(const struct conf *conf, struct service_path *out, size_t max);
void qm_serve(struct conn *c, const struct service_protocol *p);

/* list, show, retry, hold, release, delete, flush; ends with a NULL name. */
extern const struct service_command qm_commands[];

#endif
