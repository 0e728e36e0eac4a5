/* SPDX-License-Identifier: ISC */
/*
 * Blobs that more than one message refers to. Such a message has a token, and
 * the row <blob id> of partition "r<first octet>" lists the tokens, each with
 * the second it was added in. The order, at any crash:
 *
 *   a ref is durable before the message row with its token is;
 *   a message row is gone before its ref goes;
 *   the blob goes in the batch that removes the last ref.
 *
 * So a crash may leave a ref without a row (check finds it), never a row
 * whose blob is gone. Adding and removing are guarded on the whole row, and
 * can be repeated.
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "mailbox/mails/impl.h"

#define REF MAILS_REF
#define REFS_MAX (STORE_VALUE_MAX / REF)

uint64_t
token_new(void)
{
	uint64_t token;

	do
		random_octets(&token, sizeof(token));
	while (token == 0);
	return token;
}

enum refs_what {
	REFS_ADD,
	REFS_REMOVE,
	REFS_FORGET, /* remove; the blob stays, a row has it alone */
};

static struct slice
blob_key(const struct store_blob_id *id)
{
	return slice(id->octets, sizeof(id->octets));
}

static bool
same_blob(const struct ref *a, const struct ref *b)
{
	return memcmp(&a->blob, &b->blob, sizeof(a->blob)) == 0;
}

static void
ref_encode(char out[static REF], const struct ref *r)
{
	put_be64(out, r->token);
	put_be32(out + 8, (uint32_t)clock_wall_s());
}

/* Where the ref stands in the row; row->n when it does not. */
static size_t
ref_find(const struct buf *row, const char ref[static REF])
{
	size_t at = 0;

	while (at + REF <= row->n && memcmp(row->p + at, ref, 8) != 0)
		at += REF;
	return at + REF <= row->n ? at : row->n;
}

static int
row_add(struct buf *row, struct ref *r)
{
	const struct ref beside = { .token = r->beside };
	char ref[REF];

	ref_encode(ref, &beside);
	r->refused = r->beside != 0 && ref_find(row, ref) == row->n;
	if (r->refused)
		return 0;
	ref_encode(ref, r);
	if (ref_find(row, ref) < row->n)
		return 0;
	if (row->n / REF >= REFS_MAX)
		return -E2BIG;
	return buf_put(row, ref, sizeof(ref)) ? 0 : -ENOMEM;
}

static void
row_remove(struct buf *row, const struct ref *r)
{
	char ref[REF];
	size_t at;

	ref_encode(ref, r);
	if ((at = ref_find(row, ref)) == row->n)
		return;
	memmove(row->p + at, row->p + at + REF, row->n - at - REF);
	buf_truncate(row, row->n - REF);
}

/* The change of one blob's row: refs[0..n) are all of one blob. 1: nothing to
 * do. */
static int
blob_batch(struct mails *m, struct ref *refs, size_t n, enum refs_what what,
    struct store_batch *b)
{
	struct buf old = BUF_INIT, new = BUF_INIT;
	struct slice key = blob_key(&refs->blob);
	char part[4];
	int rc;

	snprintf(part, sizeof(part), "r%02x", refs->blob.octets[0]);
	rc = store_get(m->s, slice(part, 3), key, &old);
	if (rc == -ENOENT && what != REFS_ADD)
		return 1; /* they went before, and the blob with them */
	if (rc == 0)
		store_guard(b, key, buf_slice(&old));
	else if (rc == -ENOENT)
		store_guard_absent(b, key);
	buf_put_slice(&new, buf_slice(&old));
	rc = rc == -ENOENT ? 0 : rc;
	for (size_t i = 0; i < n && rc == 0; i++)
		if (what == REFS_ADD)
			rc = row_add(&new, &refs[i]);
		else
			row_remove(&new, &refs[i]);
	if (rc == 0 && new.n > 0) {
		store_put(b, key, buf_slice(&new));
	} else if (rc == 0 && what == REFS_ADD) {
		rc = 1; /* all refused */
	} else if (rc == 0) {
		store_del(b, key);
		if (what == REFS_REMOVE)
			store_batch_blob_del(b, &refs->blob);
	}
	if (new.failed)
		rc = -ENOMEM;
	buf_clear(&old);
	buf_clear(&new);
	return rc;
}

static int
blob_change(struct mails *m, struct ref *refs, size_t n, enum refs_what what,
    struct store_blob_writer *w)
{
	struct store_batch *b;
	unsigned attempts = 0;
	char part[4];
	int rc;

	snprintf(part, sizeof(part), "r%02x", refs->blob.octets[0]);
	do {
		if ((b = store_batch_new(m->s, slice(part, 3))) == NULL)
			return -ENOMEM;
		if ((rc = blob_batch(m, refs, n, what, b)) == 0) {
			if (w != NULL)
				store_batch_need(b, w);
			rc = store_commit_one(m->s, b);
		}
		store_batch_free(&b);
	} while (try_again(rc, &attempts));
	return rc > 0 ? 0 : rc;
}

/* Each run of one blob is a change; many run at once, to share commits. */
struct refs_job {
	struct mails *m;
	struct ref *refs;
	size_t n;
	enum refs_what what;
	struct store_blob_writer *w;
	int rc;
};

static void
refs_job(void *arg)
{
	struct refs_job *j = arg;

	j->rc = blob_change(j->m, j->refs, j->n, j->what, j->w);
}

#define JOBS 64

/* Up to JOBS runs, from *at on. */
static int
refs_some(struct mails *m, struct ref *refs, size_t n, size_t *at,
    enum refs_what what, struct store_blob_writer *w)
{
	struct refs_job *jobs = calloc(JOBS, sizeof(*jobs));
	struct co_group g = { 0 };
	size_t n_jobs = 0, end;
	int rc = 0;

	if (jobs == NULL)
		return -ENOMEM;
	for (; *at < n && n_jobs < JOBS; n_jobs++, *at = end) {
		for (end = *at + 1;
		     end < n && same_blob(&refs[*at], &refs[end]); end++)
			;
		jobs[n_jobs] =
		    (struct refs_job){ m, refs + *at, end - *at, what, w, 0 };
		/* A single one, or without memory: here. */
		if ((n_jobs == 0 && end == n) ||
		    co_group_spawn(&g, refs_job, &jobs[n_jobs]) != 0)
			refs_job(&jobs[n_jobs]);
	}
	(void)co_group_join(&g);
	for (size_t i = 0; i < n_jobs && rc == 0; i++)
		rc = jobs[i].rc;
	free(jobs);
	return rc;
}

static int
refs_change(struct mails *m, struct ref *refs, size_t n, enum refs_what what,
    struct store_blob_writer *w)
{
	size_t at = 0;
	int rc = 0;

	while (at < n && rc == 0)
		rc = refs_some(m, refs, n, &at, what, w);
	return rc;
}

int
refs_add(
    struct mails *m, struct ref *refs, size_t n, struct store_blob_writer *w)
{
	return refs_change(m, refs, n, REFS_ADD, w);
}

int
refs_remove(struct mails *m, struct ref *refs, size_t n)
{
	return refs_change(m, refs, n, REFS_REMOVE, NULL);
}

int
refs_forget(struct mails *m, struct ref *refs, size_t n)
{
	return refs_change(m, refs, n, REFS_FORGET, NULL);
}
