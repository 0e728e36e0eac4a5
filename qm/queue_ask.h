/* SPDX-License-Identifier: ISC */
/*
 * The queue for pneu manage, on Unix sockets; what `pneu queue` does, of the
 * running daemon:
 *
 *   XQUEUE LIST [after]   {"total", "messages": the next 50 by id}
 *   XQUEUE SHOW id        one message with its recipients, at most 100
 *   XQUEUE RETRY|HOLD|RELEASE|DELETE id
 *   XQUEUE COUNT          {"total", "held"}
 */
#ifndef PNEU_QM_QUEUE_ASK_H
#define PNEU_QM_QUEUE_ASK_H

#include "common/smtp/server.h"
#include "qm/queue/queue.h"

/* 0 with a reply; -ENOSYS: another verb. Waits. */
int queue_ask(struct queue *q, struct smtp_session *s, struct slice verb,
    struct slice args, struct smtp_reply *reply);

#endif
