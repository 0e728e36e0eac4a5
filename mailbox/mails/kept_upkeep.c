/* SPDX-License-Identifier: ISC */
/* Kept mail goes when its time is over, or when somebody wants it to. */
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "mailbox/mails/kept_impl.h"

#define FIRST_MS 20000
#define EVERY_MS ((int64_t)3600 * 1000)
#define LEASE_MS ((int64_t)600 * 1000)

static int
box_purge(struct mails *m, uint64_t id, int64_t before_s, uint64_t *removed)
{
	struct box *x = box_get(m, id);
	int rc = x == NULL ? -ENOMEM : kept_purge(x, before_s, removed);

	box_put(&x);
	return rc;
}

static uint64_t
box_messages(struct mails *m, uint64_t id)
{
	struct box *x = box_get(m, id);
	struct header h = { 0 };

	if (x != NULL && box_read(x, &h) != 0)
		h.messages = 0;
	box_put(&x);
	return h.messages;
}

static int
account_purge(
    struct mails *m, const char *account, int64_t before_s, uint64_t *removed)
{
	struct arena a = ARENA_INIT_MAX((size_t)4 << 20);
	struct kept_box *kept;
	uint64_t *ids, messages;
	size_t n, n_kept = 0;
	int rc = names_ids(m, account, &a, &ids, &n);

	for (size_t i = 0; i < n && rc == 0; i++)
		if ((rc = box_purge(m, ids[i], before_s, removed)) == 0)
			rc = co_yield ();
	if (rc == 0)
		rc = kept_boxes(m, account, &a, &kept, &n_kept);
	for (size_t i = 0; i < n_kept && rc == 0; i++) {
		if (kept[i].deleted_s >= before_s) {
			rc = box_purge(m, kept[i].id, before_s, removed);
			continue;
		}
		messages = box_messages(m, kept[i].id);
		if ((rc = names_destroy_kept(m, account, &kept[i])) == 0)
			*removed += messages;
	}
	arena_reset(&a);
	return rc;
}

int
mails_purge(
    struct mails *m, const char *account, int64_t before_s, uint64_t *removed)
{
	struct arena a = ARENA_INIT_MAX((size_t)64 << 20);
	const char **all;
	size_t n = 0;
	int rc = 0;

	*removed = 0;
	if (account != NULL)
		rc = account_purge(m, account, before_s, removed);
	else
		rc = mails_accounts(m, &a, &all, &n);
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = account_purge(m, all[i], before_s, removed);
	arena_reset(&a);
	return mails_error(rc);
}

int64_t
mails_keep_s(const struct mails *m)
{
	return m->keep_s;
}

/* --- in the background --- */

struct purger {
	struct mails *m;
	struct co *co, *stopper;
};

/* One process of all does it. */
static void
purge_now(struct mails *m)
{
	uint64_t fence, removed;
	int rc;

	if (store_lease_acquire(m->s, SLICE_LIT("purge"), LEASE_MS, &fence) !=
	    0)
		return;
	rc = mails_purge(m, NULL, clock_wall_s() - m->keep_s, &removed);
	if (rc != 0 && rc != -ECANCELED)
		log_warning(
		    "kept mail not removed", "error=\"%s\"", strerror(-rc));
	else if (removed > 0)
		log_info("kept mail removed", "messages=%llu",
		    (unsigned long long)removed);
	(void)store_lease_release(m->s, SLICE_LIT("purge"), fence);
}

static void
purger_main(void *arg)
{
	struct purger *p = arg;
	int rc = co_sleep(FIRST_MS);

	while (rc == 0) {
		purge_now(p->m);
		rc = co_sleep(EVERY_MS);
	}
	p->co = NULL;
	if (p->stopper != NULL)
		co_wake(p->stopper);
}

int
mails_purge_start(struct mails *m)
{
	struct purger *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return -ENOMEM;
	p->m = m;
	if ((p->co = co_spawn(purger_main, p)) == NULL) {
		free(p);
		return -ENOMEM;
	}
	m->purger = p;
	return 0;
}

void
purge_stop(struct mails *m)
{
	struct purger *p = m->purger;

	if (p == NULL)
		return;
	p->stopper = co_self();
	if (p->co != NULL)
		co_cancel(p->co);
	while (p->co != NULL)
		co_park_uncancelable();
	m->purger = NULL;
	free(p);
}
