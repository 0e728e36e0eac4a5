/* SPDX-License-Identifier: ISC */
/*
 * What has been delivered leaves dead octets in the store's segments; they are
 * given back a bounded step at a time, by the one worker that holds the first
 * slice.
 */
#include <errno.h>
#include <string.h>

#include "common/base/log.h"
#include "qm/queue/internal.h"

#define LOOK_MS 60000
#define STEP_MS 20 /* between steps: deliveries come first */

static int
compact(struct queue *q)
{
	bool more = true;
	int rc = 0;

	while (rc == 0 && more && queue_holds(q, 0)) {
		rc = store_compact(q->store, &more);
		if (rc == 0 && more)
			rc = co_sleep(STEP_MS);
	}
	return rc;
}

void
queue_upkeep_main(void *arg)
{
	struct queue *q = arg;
	int rc;

	while (co_sleep(LOOK_MS) == 0) {
		rc = compact(q);
		if (rc == -ECANCELED)
			break;
		if (rc != 0)
			log_warning("compaction", "error=%s", strerror(-rc));
	}
	q->upkeep = NULL;
	co_wake(q->stopper);
}
