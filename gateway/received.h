/* SPDX-License-Identifier: ISC */
/* When a server got a message, by what the message says: POP3 does not. */
#ifndef PNEU_GATEWAY_RECEIVED_H
#define PNEU_GATEWAY_RECEIVED_H

#include "common/smtp/spool.h"

/*
 * Seconds since 1970 of the topmost Received field (RFC 5321 4.4), which the
 * server there put on itself; where there is none, of Date. INT64_MIN: neither
 * has a date, or it is after `now_s`.
 */
int64_t received_at(struct spool *body, int64_t now_s);

#endif
