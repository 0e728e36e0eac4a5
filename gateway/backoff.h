/* SPDX-License-Identifier: ISC */
/* When to look again. Pure. */
#ifndef PNEU_GATEWAY_BACKOFF_H
#define PNEU_GATEWAY_BACKOFF_H

#include <stdint.h>

struct backoff_conf {
	int64_t first_ms, max_ms; /* after the first failure; at most */
};

/* After a success: the interval, a tenth more or less, so that accounts do not
 * all come at once. `chance`: 16 random bits. */
int64_t backoff_interval(int64_t interval_ms, unsigned chance);
/* After `fails` (1 ..) failures, one after the other: doubled each time, up to a
 * quarter less. */
int64_t
backoff_retry(const struct backoff_conf *c, unsigned fails, unsigned chance);

#endif
