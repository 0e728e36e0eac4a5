/* SPDX-License-Identifier: ISC */
/* The LMTP side: how messages come into the queue. */
#ifndef PNEU_QM_QM_SESSION_H
#define PNEU_QM_QM_SESSION_H

#include "common/smtp/server.h"
#include "qm/qm.h"

/* What smtp_serve needs; `server->app` is the struct qm. */
void qm_session_server(
    struct smtp_server *out, struct qm *qm, const struct conf *conf);

#endif
