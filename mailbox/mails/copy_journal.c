/* SPDX-License-Identifier: ISC */
#include "mailbox/mails/copy_journal.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"

#define KEY_JOURNAL SLICE_LIT("z")
#define LEASE_MS 60000
#define PATIENCE_MS 20000 /* while another one copies */
#define POLL_MS 20
#define RANGE 8 /* octets: first UID, how many */

/* --- the lease --- */

static void
lease_name(struct buf *name, const struct box *x)
{
	buf_printf(name, "copy:%s", x->part);
}

static int
lease_take(struct copy_journal *j, bool wait)
{
	int64_t end = clock_mono_ms() + PATIENCE_MS;
	struct buf name = BUF_INIT;
	int rc;

	lease_name(&name, j->x);
	while ((rc = store_lease_acquire(j->x->m->s, buf_slice(&name), LEASE_MS,
		    &j->fence)) == -EBUSY &&
	    wait && clock_mono_ms() < end && (rc = co_sleep(POLL_MS)) == 0)
		;
	buf_clear(&name);
	return rc;
}

static void
lease_give(struct copy_journal *j)
{
	struct buf name = BUF_INIT;

	lease_name(&name, j->x);
	(void)store_lease_release(j->x->m->s, buf_slice(&name), j->fence);
	buf_clear(&name);
}

/* A copier that slept over its lease fails by the guard on the row. */
static void
lease_renew(struct copy_journal *j)
{
	struct buf name = BUF_INIT;

	lease_name(&name, j->x);
	(void)store_lease_renew(
	    j->x->m->s, buf_slice(&name), j->fence, LEASE_MS);
	buf_clear(&name);
}

/* --- the row --- */

static int
journal_read(struct box *x, struct buf *out)
{
	int rc;

	buf_reset(out);
	rc = store_get(x->m->s, box_part(x), KEY_JOURNAL, out);
	if (rc == 0 && (out->n == 0 || out->n % RANGE != 0))
		rc = -EIO;
	return rc;
}

/* Under a guard on what it was, so that it goes once. */
static int
journal_remove(struct copy_journal *j)
{
	struct store_batch *b = store_batch_new(j->x->m->s, box_part(j->x));
	int rc;

	if (b == NULL)
		return -ENOMEM;
	store_guard(b, KEY_JOURNAL, buf_slice(&j->was));
	store_del(b, KEY_JOURNAL);
	rc = store_commit_one(j->x->m->s, b);
	store_batch_free(&b);
	return rc;
}

/* The messages of all ranges; those that are gone meanwhile are no fault. */
static int
ranges_expunge(struct copy_journal *j)
{
	uint32_t *uids = NULL, first, n;
	size_t have = 0, total = 0;
	int rc;

	for (size_t at = 0; at < j->was.n; at += RANGE)
		total += get_be32(j->was.p + at + 4);
	if ((uids = calloc(total + 1, sizeof(*uids))) == NULL)
		return -ENOMEM;
	for (size_t at = 0; at < j->was.n; at += RANGE) {
		first = get_be32(j->was.p + at);
		n = get_be32(j->was.p + at + 4);
		for (uint32_t i = 0; i < n && have < total; i++)
			uids[have++] = first + i;
	}
	rc = box_expunge(j->x, uids, have, true, false);
	if (rc == 0)
		log_info("undid a copy that was cut short",
		    "mailbox=%s messages=%zu", j->x->part, have);
	free(uids);
	return rc;
}

int
copy_journal_undo(struct copy_journal *j)
{
	int rc = journal_read(j->x, &j->was);

	if (rc == -ENOENT)
		return 1;
	if (rc == 0)
		rc = ranges_expunge(j);
	return rc == 0 ? journal_remove(j) : rc;
}

int
copy_journal_begin(struct copy_journal *j, struct box *x)
{
	int rc;

	*j = (struct copy_journal){ .x = x };
	if ((rc = lease_take(j, true)) != 0) {
		j->x = NULL;
		return rc == -EBUSY ? -EAGAIN : rc;
	}
	if ((rc = copy_journal_undo(j)) < 0)
		copy_journal_end(j);
	buf_reset(&j->was);
	return rc < 0 ? rc : 0;
}

bool
copy_journal_put(struct copy_journal *j, struct store_batch *b, uint32_t first,
    uint32_t n, bool last)
{
	char *end = j->was.n == 0 ? NULL : j->was.p + j->was.n - RANGE;

	lease_renew(j);
	if (j->was.n == 0)
		store_guard_absent(b, KEY_JOURNAL);
	else
		store_guard(b, KEY_JOURNAL, buf_slice(&j->was));
	buf_reset(&j->next);
	if (last) {
		store_del(b, KEY_JOURNAL);
		return true;
	}
	buf_put_slice(&j->next, buf_slice(&j->was));
	if (end != NULL && get_be32(end) + get_be32(end + 4) == first) {
		put_be32(j->next.p + j->next.n - 4, get_be32(end + 4) + n);
	} else {
		buf_put_be32(&j->next, first);
		buf_put_be32(&j->next, n);
	}
	store_put(b, KEY_JOURNAL, buf_slice(&j->next));
	return !j->next.failed && j->next.n <= STORE_VALUE_MAX;
}

void
copy_journal_done(struct copy_journal *j)
{
	struct buf was = j->was;

	j->was = j->next;
	j->next = was;
}

void
copy_journal_end(struct copy_journal *j)
{
	if (j->x != NULL)
		lease_give(j);
	j->x = NULL;
	buf_clear(&j->was);
	buf_clear(&j->next);
}

int
copies_replay(struct box *x)
{
	struct copy_journal j = { .x = x };
	int rc = journal_read(x, &j.was);

	if (rc == -ENOENT) {
		buf_clear(&j.was);
		return 0;
	}
	if (rc == 0 && (rc = lease_take(&j, false)) != 0)
		j.x = NULL;
	if (rc == 0)
		rc = copy_journal_undo(&j);
	copy_journal_end(&j);
	/* Somebody is at it, or may; or the store is only read. */
	return rc == -EBUSY || rc == -EROFS || rc == 1 ? 0 : rc;
}
