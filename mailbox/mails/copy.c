/* SPDX-License-Identifier: ISC */
/*
 * COPY. The blobs come to be shared: refs for source and targets first, then
 * the source rows that had a blob alone get their token, then the rows of the
 * target. Should it fail in between, what is in the target already goes again
 * (RFC 3501 6.4.7: all or none); up to COPY_STEP messages are one batch, more
 * are kept track of by copy_journal.h, so that a crash undoes them too.
 */
#include <stdlib.h>

#include "common/base/clock.h"
#include "mailbox/mails/copy_journal.h"
#include "mailbox/mails/kept_impl.h"
#include "mailbox/mails/room.h"

#define COPY_STEP 200                   /* messages: 2 operations each */
#define STEP_OCTETS ((size_t)800 << 10) /* of rows and summaries */
#define SHARE_STEP 200

struct item {
	uint32_t from, to; /* UIDs */
	struct row row;    /* of the source */
	uint64_t share;    /* token for a source row that has none */
	uint64_t token;    /* of the target's row */
	uint64_t keywords; /* in the target */
	struct buf summary;
	bool gone; /* from the source, meanwhile */
};

struct copy {
	struct mails *m;
	struct box *source, *target;
	struct keywords source_keywords, keywords; /* of the target */
	size_t keywords_were;
	struct item *items;
	size_t n, done;              /* of these in the target */
	struct copy_journal journal; /* of more than one batch */
	bool doubtful; /* whether those behind `done` are is not known */
};

/* --- what is to be copied --- */

static int
items_read(
    struct copy *c, const struct mails_view *v, const uint32_t *seqs, size_t n)
{
	struct item *i;
	int rc;

	if ((c->items = calloc(n + 1, sizeof(*c->items))) == NULL)
		return -ENOMEM;
	for (size_t k = 0; k < n; k++) {
		if (view_entry(v, seqs[k])->gone)
			continue;
		i = &c->items[c->n];
		i->from = mails_view_uid(v, seqs[k]);
		if ((rc = row_get(c->source, i->from, &i->row)) == -ENOENT)
			continue;
		if (rc != 0)
			return rc;
		i->token = token_new();
		i->share = i->row.token == 0 ? token_new() : 0;
		c->n++;
	}
	return 0;
}

static int
items_room(struct copy *c, const char *account, const struct mails_quota *quota,
    struct room *out)
{
	uint64_t octets = 0;

	for (size_t i = 0; i < c->n; i++)
		octets += c->items[i].row.size;
	return room_take(c->m, account, quota, octets, c->n, out);
}

/* --- sharing --- */

/*
 * Refs of all items. A target's ref goes beside its source's: where that is
 * gone, the blob may be too. A source row that has its blob alone gets a ref
 * as well, for the token that it is about to have.
 */
static int
refs_share(struct copy *c)
{
	struct ref *refs = calloc(2 * c->n + 1, sizeof(*refs));
	struct item *i;
	size_t n = 0;
	int rc;

	if (refs == NULL)
		return -ENOMEM;
	for (i = c->items; i < c->items + c->n; i++) {
		refs[n++] =
		    (struct ref){ i->row.blob, i->token, i->row.token, false };
		if (i->share != 0)
			refs[n++] =
			    (struct ref){ i->row.blob, i->share, 0, false };
	}
	rc = refs_add(c->m, refs, n, NULL);
	n = 0;
	for (i = c->items; i < c->items + c->n; i++) {
		i->gone = refs[n].refused;
		n += i->share != 0 ? 2 : 1;
	}
	free(refs);
	return rc;
}

/*
 * Take back the refs of items[from..) that are not used: of the targets (all,
 * or where the source is gone), and for source rows that another copy has
 * given its token. But the ref made for a source row that is gone stays:
 * should the row have moved away, its blob is its alone still, and must not go
 * with the last ref. Collect removes it.
 */
static int
refs_unshare(struct copy *c, size_t from, bool all)
{
	struct ref *refs = calloc(2 * c->n + 1, sizeof(*refs));
	const struct item *i;
	size_t n = 0;
	int rc;

	if (refs == NULL)
		return -ENOMEM;
	for (i = c->items + from; i < c->items + c->n; i++) {
		if (all || i->gone)
			refs[n++] = (struct ref){ .blob = i->row.blob,
				.token = i->token };
		else if (i->share != 0 && i->row.token != i->share)
			refs[n++] = (struct ref){ .blob = i->row.blob,
				.token = i->share };
	}
	rc = refs_remove(c->m, refs, n);
	free(refs);
	return rc;
}

/* Read again the rows that are to be shared. */
static int
share_look(struct copy *c, size_t at, size_t n, size_t *left)
{
	struct store_blob_id blob;
	struct item *i;
	int rc;

	*left = 0;
	for (i = c->items + at; i < c->items + at + n; i++) {
		if (i->share == 0 || i->gone)
			continue;
		blob = i->row.blob;
		rc = row_get(c->source, i->from, &i->row);
		if (rc == -ENOENT)
			i->gone = true;
		else if (rc != 0)
			return rc;
		/* Sealed into another blob just now: the refs are of that no
		 * row has any more. Collect finds them. */
		else if (memcmp(&blob, &i->row.blob, sizeof(blob)) != 0)
			return -EAGAIN;
		else
			*left += i->row.token == 0;
	}
	return 0;
}

/* Give source rows their tokens. No flag changes, so no modseq either. */
static int
share_step(struct copy *c, size_t at, size_t n)
{
	struct change change;
	unsigned attempts = 0;
	struct row row;
	size_t left;
	int rc;

	do {
		if ((rc = share_look(c, at, n, &left)) != 0 || left == 0)
			return rc;
		if ((rc = change_begin(&change, c->source)) != 0)
			return rc;
		for (size_t k = at; k < at + n; k++) {
			if (c->items[k].gone || c->items[k].share == 0 ||
			    c->items[k].row.token != 0)
				continue;
			row = c->items[k].row;
			guard_row(change.b, c->items[k].from, &row);
			row.token = c->items[k].share;
			put_row(change.b, c->items[k].from, &row);
		}
		rc = change_commit(&change);
	} while (try_again(rc, &attempts));
	/* The rows as they are now: with our token, or another copy's. */
	return rc == 0 ? share_look(c, at, n, &left) : rc;
}

/* Its share went, and it did not: it was sealed into another blob just now. */
static int
gone_look(struct copy *c)
{
	struct row r;
	int rc = 0;

	for (size_t i = 0; i < c->n && rc == 0; i++)
		if (c->items[i].gone &&
		    (rc = row_get(c->source, c->items[i].from, &r)) != -ENOENT)
			rc = rc == 0 ? -EAGAIN : rc;
		else
			rc = 0;
	return rc;
}

static int
share_all(struct copy *c)
{
	size_t step;
	int rc = refs_share(c);

	if (rc == 0)
		rc = gone_look(c);

	for (size_t at = 0; at < c->n && rc == 0; at += step) {
		step = c->n - at < SHARE_STEP ? c->n - at : SHARE_STEP;
		rc = share_step(c, at, step);
	}
	return rc;
}

/* Leave out what went away while it was shared. */
static void
items_drop_gone(struct copy *c)
{
	size_t kept = 0;

	for (size_t i = 0; i < c->n; i++)
		if (!c->items[i].gone)
			c->items[kept++] = c->items[i];
	c->n = kept;
}

/* --- the target --- */

/* The summaries of a step; how many messages it takes. */
static int
step_load(struct copy *c, size_t at, size_t *n)
{
	struct item *i;
	struct key k;
	size_t octets = 0;
	int rc;

	for (*n = 0; at + *n < c->n && *n < COPY_STEP && octets < STEP_OCTETS;
	     ++*n) {
		i = &c->items[at + *n];
		k = key_uid('s', i->from);
		rc = store_get(
		    c->m->s, box_part(c->source), key_slice(&k), &i->summary);
		if (rc != 0 && rc != -ENOENT)
			return rc;
		octets += i->summary.n + MESSAGE_ROW_MAX;
	}
	return 0;
}

static int
step_keywords(struct copy *c, size_t at, size_t n)
{
	int rc = keywords_read(c->target, &c->keywords);

	c->keywords_were = c->keywords.n;
	for (size_t i = at; i < at + n && rc == 0; i++)
		rc = keywords_translate(&c->source_keywords,
		    c->items[i].row.flags.keywords, &c->keywords,
		    &c->items[i].keywords);
	return rc;
}

static void
item_put(struct change *change, struct item *i)
{
	struct row row = i->row;
	struct key k;

	i->to = change->h.uidnext++;
	row.flags.keywords = i->keywords;
	row.modseq = change->h.modseq;
	row.savedate = clock_wall_s();
	row.token = i->token;
	put_row(change->b, i->to, &row);
	k = key_uid('s', i->to);
	if (i->summary.n > 0)
		store_put(change->b, key_slice(&k), buf_slice(&i->summary));
	box_count(&change->h, &row, 1);
}

/* Has an attempt of unknown outcome put the first of them? -ENOENT: no. */
static int
step_was_done(struct copy *c, size_t at)
{
	const struct item *i = &c->items[at];
	struct row r;
	int rc = c->doubtful ? row_get(c->target, i->to, &r) : -ENOENT;

	return rc == 0 && r.token != i->token ? -ENOENT : rc;
}

static int
step_attempt(struct copy *c, size_t at, size_t n)
{
	struct change change;
	int rc;

	if ((rc = step_was_done(c, at)) != -ENOENT)
		return rc;
	c->doubtful = false;
	if ((rc = step_keywords(c, at, n)) != 0 ||
	    (rc = change_begin(&change, c->target)) != 0)
		return rc;
	if (change.h.uidnext > UINT32_MAX - n) {
		change_abort(&change);
		return -ENOSPC;
	}
	if (c->keywords.n > c->keywords_were) {
		rc = change.h.keywords != c->keywords_were
		    ? box_conflict(c->target)
		    : keywords_put(&change, &c->keywords);
		if (rc != 0) {
			change_abort(&change);
			return rc;
		}
	}
	change.h.modseq++;
	if (c->journal.x != NULL &&
	    !copy_journal_put(&c->journal, change.b, change.h.uidnext,
		(uint32_t)n, at + n == c->n)) {
		change_abort(&change);
		return -ENOMEM;
	}
	for (size_t i = at; i < at + n; i++)
		item_put(&change, &c->items[i]);
	rc = change_commit(&change);
	c->doubtful = rc == STORE_EUNKNOWN;
	return rc;
}

static int
target_put(struct copy *c)
{
	unsigned attempts;
	size_t n;
	int rc = 0;

	while (c->done < c->n && rc == 0) {
		attempts = 0;
		if ((rc = step_load(c, c->done, &n)) != 0 ||
		    (n < c->n && c->journal.x == NULL &&
			(rc = copy_journal_begin(&c->journal, c->target)) != 0))
			break;
		do
			rc = step_attempt(c, c->done, n);
		while (try_again(rc, &attempts));
		for (size_t i = c->done; i < c->done + n; i++)
			buf_clear(&c->items[i].summary);
		if (rc == 0) {
			copy_journal_done(&c->journal);
			c->done += n;
		}
	}
	return rc;
}

/* None, when it cannot be all. */
static void
target_undo(struct copy *c)
{
	uint32_t *uids = calloc(c->done + 1, sizeof(*uids));

	if (uids == NULL)
		return;
	for (size_t i = 0; i < c->done; i++)
		uids[i] = c->items[i].to;
	(void)box_expunge(c->target, uids, c->done, true, false);
	free(uids);
	(void)refs_unshare(c, c->done, true);
}

static int
copied_fill(const struct copy *c, struct arena *a, struct mails_copied *out)
{
	uint32_t *from = arena_array(a, c->n + 1, sizeof(*from));
	uint32_t *to = arena_array(a, c->n + 1, sizeof(*to));

	if (from == NULL || to == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < c->n; i++) {
		from[i] = c->items[i].from;
		to[i] = c->items[i].to;
	}
	out->from = from;
	out->to = to;
	out->n = c->n;
	return 0;
}

static int
copy_run(struct copy *c)
{
	int rc = share_all(c);

	/* A ref that stays after an error is found by check. */
	if (rc != 0)
		return rc;
	(void)refs_unshare(c, 0, false);
	items_drop_gone(c);
	rc = target_put(c);
	if (rc != 0 && !c->doubtful)
		target_undo(c);
	/* What is in doubt is undone too, now or, when it cannot be now, by who
	 * opens the mailbox next; unless it was the last batch, and is there. */
	if (rc != 0 && c->journal.x != NULL &&
	    copy_journal_undo(&c->journal) == 1 && c->doubtful &&
	    step_was_done(c, c->done) == 0)
		rc = 0;
	copy_journal_end(&c->journal);
	return rc;
}

static void
copy_clear(struct copy *c)
{
	keywords_clear(&c->keywords);
	keywords_clear(&c->source_keywords);
	for (size_t i = 0; i < c->n; i++)
		buf_clear(&c->items[i].summary);
	free(c->items);
	box_put(&c->target);
}

int
mails_copy(struct mails_view *v, const uint32_t *seqs, size_t n,
    struct slice target, const struct mails_quota *quota, struct arena *a,
    struct mails_copied *out)
{
	struct copy c = { .m = v->m, .source = v->x };
	struct room room = { 0 };
	struct header h;
	uint64_t id;
	int rc;

	*out = (struct mails_copied){ .n = 0 };
	if (v->kind != VIEW_LIVE)
		return kept_copy(v, seqs, n, target, quota, a, out);
	if ((rc = names_find(v->m, v->account, target, &id)) != 0)
		return mails_error(rc);
	if ((c.target = box_get(v->m, id)) == NULL)
		return -ENOMEM;
	if ((rc = box_read(c.target, &h)) == 0 &&
	    (rc = items_read(&c, v, seqs, n)) == 0 &&
	    (rc = items_room(&c, v->account, quota, &room)) == 0 &&
	    (rc = keywords_read(v->x, &c.source_keywords)) == 0 && c.n > 0 &&
	    (rc = copy_run(&c)) == 0)
		rc = copied_fill(&c, a, out);
	room_end(v->m, v->account, &room, rc == 0 || rc == STORE_EUNKNOWN);
	out->uidvalidity = rc == 0 ? h.uidvalidity : 0;
	copy_clear(&c);
	return mails_error(rc);
}
