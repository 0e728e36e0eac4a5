/* SPDX-License-Identifier: ISC */
#include "gateway/backoff.h"

int64_t
backoff_interval(int64_t interval_ms, unsigned chance)
{
	int64_t tenth = interval_ms / 10;

	return interval_ms - tenth +
	    2 * tenth * (int64_t)(chance & 0xffff) / 0xffff;
}

int64_t
backoff_retry(const struct backoff_conf *c, unsigned fails, unsigned chance)
{
	int64_t wait = c->first_ms;

	while (fails-- > 1 && wait < c->max_ms)
		wait = wait > c->max_ms / 2 ? c->max_ms : wait * 2;
	if (wait > c->max_ms)
		wait = c->max_ms;
	wait -= wait / 4 * (int64_t)(chance & 0xffff) / 0xffff;
	return wait < 1 ? 1 : wait;
}
