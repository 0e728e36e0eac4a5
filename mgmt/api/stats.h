/* SPDX-License-Identifier: ISC */
/*
 * What happened in each minute of the last day, for graphs: counted from the
 * trace of all programs (so it outlives us, as far as the rings go back), with
 * the length of the queue as it was asked for each minute.
 */
#ifndef PNEU_MGMT_API_STATS_H
#define PNEU_MGMT_API_STATS_H

#include <jansson.h>

#include "common/base/conf.h"

/* Start to look, each 30 seconds; in a coroutine. 0 or -errno. */
int stats_start(const struct conf *conf);
void stats_stop(void);
/*
 * The last `minutes` (1440 at most) in steps of `step` minutes, the oldest
 * first: {"step_seconds", "from", "series": {"received": [...], ...}}; null
 * where nothing is known. Waits. NULL: out of memory, or cancelled.
 */
json_t *stats_json(int minutes, int step);

#endif
