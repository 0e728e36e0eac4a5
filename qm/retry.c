/* SPDX-License-Identifier: ISC */
/* When to try again. */
#include "qm/retry.h"

static int64_t
doubled(int64_t first_ms, int64_t max_ms, unsigned times)
{
	int64_t wait = first_ms;

	while (times-- > 0 && wait < max_ms)
		wait = wait > max_ms / 2 ? max_ms : wait * 2;
	return wait > max_ms ? max_ms : wait;
}

int64_t
retry_next_ms(const struct retry_conf *c, unsigned attempts, int64_t arrival_ms,
    int64_t now_ms, unsigned chance)
{
	unsigned times = attempts > 0 ? attempts - 1 : 0;
	int64_t wait = doubled(c->first_ms, c->max_ms, times);
	int64_t end_ms = arrival_ms + c->max_age_ms;
	int64_t next_ms;

	wait -= wait / 4 * (int64_t)(chance & 0xffff) / 0xffff;
	next_ms = now_ms + (wait < 1 ? 1 : wait);
	return next_ms > end_ms && now_ms < end_ms ? end_ms : next_ms;
}

bool
retry_is_over(const struct retry_conf *c, int64_t arrival_ms, int64_t now_ms)
{
	return now_ms - arrival_ms >= c->max_age_ms;
}

bool
retry_is_delayed(const struct retry_conf *c, int64_t arrival_ms, int64_t now_ms)
{
	return c->delay_notice_ms > 0 &&
	    now_ms - arrival_ms >= c->delay_notice_ms;
}
