/* SPDX-License-Identifier: ISC */
/*
 * When to try again (RFC 5321 4.5.4.1): the wait doubles from `first` to
 * `max`, with jitter so that what failed together does not come back
 * together. Pure functions.
 */
#ifndef PNEU_QM_RETRY_H
#define PNEU_QM_RETRY_H

#include <stdbool.h>
#include <stdint.h>

struct retry_conf {
	int64_t first_ms, max_ms;
	int64_t max_age_ms;      /* then the message goes back */
	int64_t delay_notice_ms; /* 0: never */
};

/*
 * The next attempt after `attempts` (1 or more) of a message that arrived at
 * `arrival_ms`. `chance` is 0 .. 65535. The wait is three quarters to the
 * whole of the doubled time, but the last attempt is at the end of the age.
 */
int64_t retry_next_ms(const struct retry_conf *c, unsigned attempts,
    int64_t arrival_ms, int64_t now_ms, unsigned chance);
/* No attempt is left after one made now. */
bool
retry_is_over(const struct retry_conf *c, int64_t arrival_ms, int64_t now_ms);
/* The sender should hear by now that the message waits. */
bool retry_is_delayed(
    const struct retry_conf *c, int64_t arrival_ms, int64_t now_ms);

#endif
