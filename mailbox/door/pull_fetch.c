/* SPDX-License-Identifier: ISC */
/* The messages themselves: each goes to take as it comes. */
#include <errno.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "common/imap/set.h"
#include "mailbox/door/pull_impl.h"

/* --- flags and dates --- */

void
pull_meta(struct pull *p, const struct imap_response *r, struct door_meta *meta,
    struct arena *a)
{
	(void)p;
	*meta =
	    (struct door_meta){ .internaldate =
				    r->has_date ? r->internaldate : INT64_MIN };
	for (size_t i = 0; i < r->flags.n; i++) {
		meta->flags |= mails_flag_find(r->flags.v[i]);
		/* Not a keyword: \Recent and others that we do not have. */
		if (!slice_starts(r->flags.v[i], "\\"))
			(void)door_keyword_add(meta, a, r->flags.v[i]);
	}
}

/* --- messages --- */

static int
on_literal(void *arg, struct slice so_far, uint64_t size)
{
	struct pull *p = arg;

	(void)size;
	if (!slice_ends_nocase(so_far, "BODY[] ") &&
	    !slice_ends_nocase(so_far, "BODY[] ~"))
		return 0;
	if ((p->rc = take_begin(p->take)) != 0)
		return p->rc;
	return 1;
}

static int
on_octets(void *arg, struct slice octets)
{
	struct pull *p = arg;

	return p->rc = take_octets(p->take, octets);
}

/* Which of the batch it is, or -1. */
static ssize_t
batch_index(const struct pull *p, uint32_t uid)
{
	if (uid == 0 && p->n_batch == 1)
		return 0; /* a server that does not say */
	for (size_t i = 0; i < p->n_batch; i++)
		if (p->batch[i] == uid)
			return (ssize_t)i;
	return -1;
}

static int
take_inside(struct pull *p, struct slice body)
{
	int rc = take_begin(p->take);

	return rc != 0 ? rc : take_octets(p->take, body);
}

static int
on_fetch(void *arg, const struct imap_response *r)
{
	struct arena a = ARENA_INIT_MAX((size_t)32 << 10);
	struct pull *p = arg;
	struct take_origin origin = { p->source, p->now.uidvalidity, 0 };
	struct door_meta meta;
	ssize_t i;

	if (r->kind != IMAP_FETCH || !r->has_body)
		return 0;
	i = batch_index(p, r->uid);
	if (i < 0 || p->got[i]) {
		take_drop(p->take);
		return 0;
	}
	if (!r->body_streamed)
		p->rc = take_inside(p, r->body);
	if (p->rc == 0) {
		origin.uid = p->batch[i];
		pull_meta(p, r, &meta, &a);
		p->rc = take_end(p->take, &meta, &origin);
		p->got[i] = true;
		p->n_got++;
	}
	arena_reset(&a);
	return p->rc;
}

static int
fetch_batch(struct pull *p)
{
	const struct imap_handler h = { .untagged = on_fetch,
		.sink = { on_literal, on_octets, p },
		.arg = p };
	struct buf set = BUF_INIT;
	int rc;

	imap_set_put(&set, p->batch, p->n_batch);
	rc = set.failed ? (p->rc = -ENOMEM)
			: imap_client_run(p->c, &h,
			      "UID FETCH %s (UID FLAGS INTERNALDATE "
			      "BODY.PEEK[])",
			      buf_str(&set));
	buf_clear(&set);
	/* Broken off in the middle: it is none. */
	take_drop(p->take);
	return rc;
}

/* Forget those that have come. With `all` the others are gone there. */
static void
drop_got(struct pull *p, bool all)
{
	size_t kept = 0, n = p->n_batch;

	for (size_t i = 0; i < n; i++)
		if (!all && !p->got[i])
			p->uids[kept++] = p->uids[i];
	memmove(
	    p->uids + kept, p->uids + n, (p->n_uids - n) * sizeof(*p->uids));
	p->n_uids -= n - kept;
}

int
pull_fetch(struct pull *p, size_t batch_max, bool *progress)
{
	int rc = 0;

	while (p->n_uids > 0 && rc >= 0) {
		p->batch = p->uids;
		p->n_batch = p->n_uids < batch_max ? p->n_uids : batch_max;
		p->n_got = 0;
		if ((p->got = calloc(p->n_batch, sizeof(*p->got))) == NULL)
			return p->rc = -ENOMEM;
		rc = fetch_batch(p);
		*progress |= p->n_got > 0 || rc == 0;
		if (rc == IMAP_REFUSED && p->n_batch == 1 && !p->got[0]) {
			door_warn(p->report, "%s, UID %u: %s; passed over",
			    log_q(p->box->name), p->batch[0],
			    imap_client_said(p->c));
			p->report->failed++;
			p->failed = true;
			rc = 0;
		}
		/* One of them: each by itself then, and all that is behind. */
		if (rc == IMAP_REFUSED)
			batch_max = 1;
		drop_got(p, rc == 0);
		free(p->got);
		p->got = NULL;
	}
	return rc < 0 ? rc : 0;
}
