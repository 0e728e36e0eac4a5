/* SPDX-License-Identifier: ISC */
/* Is everything in the queue that its rows say is there? */
#ifndef PNEU_QM_CHECK_H
#define PNEU_QM_CHECK_H

#include "qm/queue/queue.h"

/*
 * Verify every checksum of the queue's store, and that each message has its
 * octets. Changes nothing, may run beside the daemon; prints a line for each
 * fault and a summary, or JSON. `q` may be NULL: nothing was ever queued.
 * Number of faults, or -errno.
 */
int queue_check(struct queue *q, bool json);

#endif
