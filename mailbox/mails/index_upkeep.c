/* SPDX-License-Identifier: ISC */
/*
 * Keeping the search index up to date: what is done next for a mailbox, and a
 * coroutine that does it in the background.
 *
 * Each step makes one block and commits it with the state row, guarded on the
 * state as it was read and on the mailbox being there: two that index the same
 * mailbox lose work, never rows. A message is read when it is put in a small
 * block, and again when small blocks become a full one; and when half of a
 * block's messages are gone.
 */
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "mailbox/mails/envelope_read.h"
#include "mailbox/mails/index_impl.h"
#include "mailbox/mails/snapshot.h"

#define SMALL 128u /* messages: a block of fewer is not worth its room */
#define MERGE_BLOCKS 8u
#define MERGE_MESSAGES (INDEX_BLOCK * 3 / 4)
#define LEASE_MS 120000
#define WALK_LEASE_MS 600000
#define TURN_MS 2
#define SUMMARY_MAX ((size_t)8 << 20)
#define QUEUE 64
#define SNAPSHOT_EVERY 2048u /* changes */
#define DROP_ROWS 256u
#define START_MS 5000
#define QUIET_MS 1000
#define PATIENCE_MS 30000

/* --- one message's tokens --- */

struct reader {
	struct index_tokens *tokens;
	struct index_key key;
	struct seal_key *private; /* of the account, while it is signed in */
	struct index_maker *maker;
	struct search_text text;
	struct arena arena;
};

static void
take_token(void *arg, uint16_t token)
{
	index_maker_token(arg, token);
}

static int
take_piece(
    void *arg, enum search_text_kind kind, struct slice mapped, bool begins)
{
	struct reader *r = arg;

	(void)kind;
	index_tokens_of(r->tokens, mapped, begins, take_token, r->maker);
	return 0;
}

static void
take_text(struct reader *r, struct slice text)
{
	if (text.p != NULL)
		(void)take_piece(
		    r, SEARCH_OWN_VALUE, search_text_map(&r->text, text), true);
}

/* SUBJECT, FROM and so on look in the ENVELOPE, which quotes otherwise. */
static int
take_envelope(struct reader *r, struct slice envelope)
{
	static const int fields[] = { ENVELOPE_FROM, ENVELOPE_TO, ENVELOPE_CC,
		ENVELOPE_BCC };
	struct slice f[ENVELOPE_FIELDS], text;
	int rc;

	if (envelope_read_split(envelope, f) != 0)
		return -EIO;
	rc = envelope_read_string(&r->arena, f[ENVELOPE_SUBJECT], &text);
	if (rc == 0)
		take_text(r, text);
	for (size_t i = 0; i < 4 && rc >= 0; i++)
		while ((rc = envelope_read_address(
			    &r->arena, &f[fields[i]], &text)) == 1)
			take_text(r, text);
	return rc;
}

static int
take_message(struct reader *r, struct mails_view *v, uint32_t seq)
{
	struct mails_summary sum;
	int rc;

	r->arena.max = SUMMARY_MAX;
	rc = mails_summary(v, seq, &r->arena, &sum);
	if (rc == 0)
		rc = take_envelope(r, sum.envelope);
	if (rc == 0)
		rc = search_text_walk(&r->text, v, seq, &sum,
		    SEARCH_OWN_HEADER | SEARCH_OWN_VALUE | SEARCH_PART_HEADER |
			SEARCH_BODY,
		    take_piece, r);
	arena_reset(&r->arena);
	if (rc == -ECANCELED)
		return rc;
	/* Expunged just now: nobody finds it any more, whatever it has. */
	return index_maker_message(r->maker, mails_view_uid(v, seq), rc != 0);
}

/* --- forgetting --- */

struct last_key {
	char octets[8];
	size_t n, rows;
};

static int
on_old_row(void *arg, struct slice key, struct slice val)
{
	struct last_key *last = arg;

	(void)val;
	last->n = key.n < sizeof(last->octets) - 1 ? key.n : 0;
	memcpy(last->octets, key.p, last->n);
	last->octets[last->n++] = '\0'; /* just behind it */
	return ++last->rows == DROP_ROWS;
}

/* The state first, then blocks, some at a time. 1: there are more. */
static int
drop_step(struct box *x)
{
	struct store_batch *b = store_batch_new(x->m->s, box_part(x));
	struct last_key last = { .n = 0 };
	int more, rc;

	more = b == NULL
	    ? -ENOMEM
	    : store_scan(x->m->s, box_part(x), SLICE_LIT("t"), SLICE_LIT("u"),
		  STORE_SCAN_KEYS, on_old_row, &last);
	if ((rc = more) >= 0) {
		store_del(b, KEY_INDEX);
		if (last.rows > 0)
			store_del_range(b, SLICE_LIT("t"),
			    more == 1 ? slice(last.octets, last.n)
				      : SLICE_LIT("u"));
		rc = store_commit_one(x->m->s, b);
	}
	store_batch_free(&b);
	return rc < 0 ? rc : more;
}

static int
index_drop(struct box *x)
{
	unsigned attempts = 0;
	int rc;

	do
		rc = drop_step(x);
	while (rc == 1 || try_again(rc, &attempts));
	return rc;
}

/* --- one step --- */

/* What of a mailbox is to be put in one block. */
struct step {
	struct box *x;
	struct index_state state, new;
	struct buf row; /* the state's, as it was read */
	struct header h;
	struct buf account;
	uint32_t from, to;   /* UIDs of the block to make */
	uint32_t old_blocks; /* that it replaces */
	uint64_t old_messages, old_octets;
};

struct block {
	uint32_t first, end;
	unsigned n, live;
	uint64_t octets;
};

struct blocks {
	const struct index_key *key;
	const struct box *x;
	struct buf row;
	struct block *v;
	size_t n, cap;
};

static int
on_block(void *arg, struct slice key, struct slice val)
{
	struct blocks *b = arg;
	size_t cap = b->cap == 0 ? 64 : b->cap * 2;
	struct index_chunk c;
	struct block *v;

	if (index_row_open(b->key, b->x, key, &val, &b->row) != 0 ||
	    key.n != 6 || index_chunk_read(val, &c) != 0)
		return 0;
	if (c.i > 0) {
		if (b->n > 0 && b->v[b->n - 1].first == c.first)
			b->v[b->n - 1].octets += val.n;
		return 0;
	}
	if (b->n == b->cap) {
		if ((v = realloc(b->v, cap * sizeof(*v))) == NULL)
			return -ENOMEM;
		b->v = v;
		b->cap = cap;
	}
	b->v[b->n++] = (struct block){ c.first, c.end, c.n, c.n, val.n };
	return 0;
}

static int
blocks_read(struct box *x, struct blocks *b)
{
	int rc = store_scan(x->m->s, box_part(x), SLICE_LIT("t"), SLICE_LIT("u"),
	    0, on_block, b);

	buf_wipe(&b->row);
	return rc;
}

/* These become one. */
static int
step_merge(struct step *s, const struct blocks *b, size_t from, size_t to)
{
	s->from = b->v[from].first;
	s->to = b->v[to - 1].end;
	for (size_t i = from; i < to; i++) {
		s->old_blocks++;
		s->old_messages += b->v[i].n;
		s->old_octets += b->v[i].octets;
	}
	return 1;
}

/* Small blocks at the end, when they make a full one, or are many. */
static int
step_merge_last(struct step *s, const struct blocks *b)
{
	size_t from = b->n;
	unsigned n = 0;

	while (from > 0 && n + b->v[from - 1].n <= INDEX_BLOCK &&
	    (from == b->n || b->v[from - 1].end == b->v[from].first))
		n += b->v[--from].n;
	if (b->n - from < 2 ||
	    (n < MERGE_MESSAGES && b->n - from < MERGE_BLOCKS))
		return 0;
	return step_merge(s, b, from, b->n);
}

/* A block of which more than half is gone, with those beside it. */
static int
step_merge_sparse(struct step *s, struct blocks *b)
{
	size_t from, to;
	unsigned live;
	int rc;

	for (size_t i = 0; i < b->n; i++) {
		rc = index_count(s->x, b->v[i].first, b->v[i].end, INDEX_BLOCK,
		    &b->v[i].live);
		if (rc != 0)
			return rc;
	}
	for (from = 0; from < b->n; from++)
		if (b->v[from].live * 2 < b->v[from].n)
			break;
	if (from == b->n)
		return 0;
	live = b->v[from].live;
	for (to = from + 1; to < b->n && live + b->v[to].live <= INDEX_BLOCK &&
	     b->v[to].first == b->v[to - 1].end;
	     to++)
		live += b->v[to].live;
	for (; from > 0 && live + b->v[from - 1].live <= INDEX_BLOCK &&
	     b->v[from - 1].end == b->v[from].first;
	     from--)
		live += b->v[from - 1].live;
	return step_merge(s, b, from, to);
}

/* 1: s->from and s->to say what to do next. 0: nothing is. */
static int
step_plan(struct step *s, const struct index_key *key)
{
	struct blocks b = { .key = key, .x = s->x };
	uint32_t rest;
	uint64_t live;
	int rc;

	rc = index_count(s->x, s->state.next, s->h.uidnext, INDEX_BLOCK, &rest);
	if (rc != 0)
		return rc;
	if (rest >= SMALL) {
		s->from = s->state.next;
		s->to = s->h.uidnext;
		return 1;
	}
	live = s->h.messages > rest ? s->h.messages - rest : 0;
	if (s->state.blocks < 2 && live * 2 >= s->state.messages)
		return 0;
	if ((rc = blocks_read(s->x, &b)) == 0 &&
	    (rc = step_merge_last(s, &b)) == 0 && live * 2 < s->state.messages)
		rc = step_merge_sparse(s, &b);
	free(b.v);
	return rc;
}

/* Read the messages; s->to becomes where that ended. */
static int
step_fill(struct step *s, struct reader *r)
{
	struct mails_view *v;
	int rc = view_part_open(s->x, s->from, s->to, INDEX_BLOCK, &v);
	bool merge = s->old_blocks > 0;

	if (rc == 0)
		mails_view_unlock(v, r->private);
	for (uint32_t seq = 1; rc == 0 && seq <= v->roll.n; seq++) {
		if (r->private != NULL && !unlocked_is(s->x->m, r->private)) {
			rc = -ENOKEY; /* the last session has ended */
			break;
		}
		if ((rc = take_message(r, v, seq)) != 0)
			break;
		rc = search_text_turn(&r->text);
		/* What is merged has room, by the count of its messages. */
		if (!merge && index_maker_is_full(r->maker)) {
			s->to = mails_view_uid(v, seq) + 1;
			break;
		}
	}
	mails_view_close(&v);
	return rc;
}

/* The rows of the block, into the batch. */
static int
step_put_block(struct step *s, struct reader *r, struct store_batch *b)
{
	struct buf row = BUF_INIT;
	struct key k;
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < index_maker_chunks(r->maker); i++) {
		buf_reset(&row);
		rc = index_maker_chunk(r->maker, i, s->from, s->to, &row);
		k = index_block_key(s->from, i);
		if (rc == 0)
			rc = index_row_seal(&r->key, s->x, key_slice(&k), &row);
		store_put(b, key_slice(&k), buf_slice(&row));
		s->new.octets += row.n;
		if (rc == 0)
			rc = search_text_turn(&r->text);
	}
	s->new.blocks++;
	s->new.messages += index_maker_count(r->maker);
	buf_clear(&row);
	return rc;
}

static int
step_put(struct step *s, struct reader *r, struct store_batch *b)
{
	struct key first = index_block_key(s->from, 0);
	struct key end = index_block_key(s->to, 0);
	char row[INDEX_STATE];
	bool last = s->to >= s->state.next;
	int rc = 0;

	s->new = s->state;
	s->new.blocks -= s->old_blocks;
	s->new.messages -= s->old_messages;
	s->new.octets -= s->old_octets;
	s->new.key = index_tokens_check(r->tokens);
	if (last)
		s->new.next = s->to;
	store_guard(b, KEY_OWNER, buf_slice(&s->account));
	if (s->row.n > 0)
		store_guard(b, KEY_INDEX, buf_slice(&s->row));
	else
		store_guard_absent(b, KEY_INDEX);
	store_del_range(b, key_slice(&first), key_slice(&end));
	/* A few at the end are looked at directly, as if they had just come. */
	if (index_maker_count(r->maker) >= SMALL || !last)
		rc = index_maker_count(r->maker) == 0 ? 0
						      : step_put_block(s, r, b);
	else
		s->new.next = s->from;
	index_state_encode(row, &s->new);
	store_put(b, KEY_INDEX, slice(row, sizeof(row)));
	return rc;
}

static int
step_commit(struct step *s, struct reader *r)
{
	struct store_batch *b = store_batch_new(s->x->m->s, box_part(s->x));
	int rc = b == NULL ? -ENOMEM : step_put(s, r, b);

	if (rc == 0)
		rc = store_commit_one(s->x->m->s, b);
	store_batch_free(&b);
	return rc;
}

/* The state, and whether it is of the account's key as it is now. */
static int
step_begin(struct step *s, struct reader *r)
{
	int rc;

	if ((rc = box_read(s->x, &s->h)) != 0 ||
	    (rc = index_owner(s->x, &s->account)) != 0 ||
	    (rc = index_key_make(s->x->m, buf_str(&s->account), r->private,
		 &r->key)) != 0)
		return rc;
	if (r->tokens == NULL)
		rc = index_tokens_new(&r->tokens, r->key.octets);
	if (rc != 0)
		return rc;
	rc = index_state_read(s->x, &s->state, &s->row);
	if (rc == 0 && s->state.key != index_tokens_check(r->tokens))
		rc = -ENOENT;
	/* Blocks of another key or version are of no use. */
	if (rc == -ENOENT && (rc = index_drop(s->x)) == 0) {
		s->state = (struct index_state){ .next = 1 };
		buf_reset(&s->row);
	}
	return rc;
}

/* 1: a block was made. 0: there is nothing to do. */
static int
step_run(struct box *x, struct reader *r)
{
	struct step s = { .x = x };
	int rc;

	if ((rc = step_begin(&s, r)) == 0 && (rc = step_plan(&s, &r->key)) == 1) {
		if ((r->maker = index_maker_new()) == NULL)
			rc = -ENOMEM;
		else if ((rc = step_fill(&s, r)) == 0 &&
		    (rc = step_commit(&s, r)) == 0)
			rc = 1;
		index_maker_free(&r->maker);
	}
	buf_clear(&s.row);
	buf_clear(&s.account);
	return rc;
}

/* --- a mailbox, until nothing is left to do --- */

static void
reader_lock(struct reader *r)
{
	seal_key_unref(&r->private);
	index_key_wipe(&r->key);
}

static int
lease_name(struct box *x, struct buf *out)
{
	buf_put_str(out, "index ");
	return index_owner(x, out);
}

/* Only then is a lease worth its price. */
static int
is_needed(struct box *x)
{
	struct step s = { .x = x };
	uint32_t rest;
	int rc;

	if ((rc = box_read(x, &s.h)) != 0)
		return rc;
	rc = index_state_read(x, &s.state, &s.row);
	if (rc == 0 || rc == -ENOENT)
		rc = index_count(x, s.state.next, s.h.uidnext, SMALL, &rest);
	if (rc == 0)
		rc = rest >= SMALL ||
		    (uint64_t)s.h.messages * 2 < s.state.messages;
	buf_clear(&s.row);
	return rc;
}

/* The key of the index can be had, or -ENOKEY: nobody of the account is signed
 * in here, with what opens it. */
static int
reader_unlock(struct reader *r, struct box *x)
{
	const char *account;
	int rc = box_account(x, &account);

	if (rc == 0) {
		r->private = unlocked_find(x->m, account);
		rc = index_key_make(x->m, account, r->private, &r->key);
	}
	if (rc != 0)
		reader_lock(r);
	return rc;
}

static int
build(struct box *x, int64_t rest_ms, void (*progress)(void *arg), void *arg)
{
	struct reader r = { .text = {
				.turn_ms = TURN_MS, .rest_ms = rest_ms } };
	struct buf lease = BUF_INIT;
	unsigned attempts = 0;
	uint64_t fence;
	int rc, end;

	if ((rc = snapshot_keep(x)) != 0 || (rc = is_needed(x)) != 1 ||
	    (rc = reader_unlock(&r, x)) != 0)
		return rc;
	if ((rc = lease_name(x, &lease)) == 0)
		rc = store_lease_acquire(
		    x->m->s, buf_slice(&lease), LEASE_MS, &fence);
	if (rc != 0) {
		reader_lock(&r);
		buf_clear(&lease);
		return rc;
	}
	do {
		if ((rc = step_run(x, &r)) == 1 && progress != NULL)
			progress(arg);
		if (rc == 1)
			rc = store_lease_renew(x->m->s, buf_slice(&lease),
				 fence, LEASE_MS) != 0
			    ? -EBUSY
			    : 1;
	} while (rc == 1 || try_again(rc, &attempts));
	end = store_lease_release(x->m->s, buf_slice(&lease), fence);
	index_tokens_free(&r.tokens);
	reader_lock(&r);
	search_text_clear(&r.text);
	arena_reset(&r.arena);
	buf_clear(&lease);
	return rc != 0 ? rc : end;
}

int
mails_index_build(
    struct mails *m, uint64_t mailbox, void (*progress)(void *arg), void *arg)
{
	struct box *x = box_get(m, mailbox);
	int rc = x == NULL ? -ENOMEM : build(x, 0, progress, arg);

	box_put(&x);
	return mails_error(rc);
}

int
mails_index_drop(struct mails *m, uint64_t mailbox)
{
	struct box *x = box_get(m, mailbox);
	int rc = x == NULL ? -ENOMEM : index_drop(x);

	box_put(&x);
	return mails_error(rc);
}

/* --- in the background --- */

struct indexer {
	struct mails *m;
	struct co *co;
	struct co *stopper;
	struct co_event wanted;
	uint64_t queue[QUEUE];
	size_t n;
	int64_t changed_ms; /* when a mailbox was changed last */
};

void
index_note(struct box *x, const struct header *old, const struct header *now)
{
	struct indexer *ix = x->m->indexer;
	bool more = (now->uidnext - 1) / SMALL != (old->uidnext - 1) / SMALL;
	bool fewer = now->messages < old->messages &&
	    now->messages / INDEX_BLOCK != old->messages / INDEX_BLOCK;

	bool flags =
	    now->modseq / SNAPSHOT_EVERY != old->modseq / SNAPSHOT_EVERY;

	if (ix == NULL)
		return;
	ix->changed_ms = clock_mono_ms();
	if (more || fewer || flags)
		index_wish(x);
}

void
index_wish(struct box *x)
{
	struct indexer *ix = x->m->indexer;

	if (ix == NULL)
		return;
	for (size_t i = 0; i < ix->n; i++)
		if (ix->queue[i] == x->id)
			return;
	/* No room: then at its next time. */
	if (ix->n < QUEUE)
		ix->queue[ix->n++] = x->id;
	co_event_set(&ix->wanted);
}

static int
index_one(struct indexer *ix, uint64_t id)
{
	struct box *x = box_get(ix->m, id);
	int rc = x == NULL ? -ENOMEM : build(x, TURN_MS, NULL, NULL);

	if (rc != 0 && rc != -ECANCELED && rc != -EBUSY && rc != -ENOENT &&
	    rc != -ENOKEY)
		log_warning("mailbox not indexed", "mailbox=%s error=\"%s\"",
		    x == NULL ? "" : x->part, strerror(-rc));
	box_put(&x);
	return rc;
}

static int
index_account(struct indexer *ix, const char *account)
{
	struct arena a = ARENA_INIT_MAX((size_t)1 << 20);
	uint64_t *ids;
	size_t n;
	int rc = names_ids(ix->m, account, &a, &ids, &n);

	for (size_t i = 0; rc == 0 && i < n; i++) {
		if (index_one(ix, ids[i]) == -ECANCELED)
			rc = -ECANCELED;
		else
			rc = co_yield ();
	}
	arena_reset(&a);
	return rc == -ECANCELED ? rc : 0;
}

/* What was left when the program ended last; one process does it. */
static int
index_all(struct indexer *ix)
{
	struct arena a = ARENA_INIT_MAX((size_t)64 << 20);
	const char **accounts;
	uint64_t fence;
	size_t n;
	int rc;

	if (store_lease_acquire(
		ix->m->s, SLICE_LIT("index all"), WALK_LEASE_MS, &fence) != 0)
		return 0;
	rc = mails_accounts(ix->m, &a, &accounts, &n);
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = index_account(ix, accounts[i]);
	arena_reset(&a);
	return rc == -ECANCELED ? rc : 0;
}

/* Mail that is coming in goes first: until it pauses, or for some time. */
static int
wait_quiet(struct indexer *ix)
{
	int64_t now = clock_mono_ms(), until = now + PATIENCE_MS;
	int rc = 0;

	while (rc == 0 && now < until && now - ix->changed_ms < QUIET_MS) {
		rc = co_sleep(QUIET_MS / 4);
		now = clock_mono_ms();
	}
	return rc;
}

static void
indexer_main(void *arg)
{
	struct indexer *ix = arg;
	bool all = false;
	int rc = 0;

	while (rc == 0) {
		rc = co_event_wait(&ix->wanted, all ? -1 : START_MS);
		ix->wanted.set = false;
		while (rc == 0 && ix->n > 0 && (rc = wait_quiet(ix)) == 0)
			if (index_one(ix, ix->queue[--ix->n]) == -ECANCELED)
				rc = -ECANCELED;
		if (rc == -ETIMEDOUT) {
			all = true;
			rc = index_all(ix);
		}
	}
	ix->co = NULL;
	co_wake(ix->stopper);
}

int
mails_index_start(struct mails *m)
{
	struct indexer *ix = calloc(1, sizeof(*ix));

	if (ix == NULL)
		return -ENOMEM;
	ix->m = m;
	if ((ix->co = co_spawn(indexer_main, ix)) == NULL) {
		free(ix);
		return -ENOMEM;
	}
	m->indexer = ix;
	return 0;
}

void
index_stop(struct mails *m)
{
	struct indexer *ix = m->indexer;

	if (ix == NULL)
		return;
	ix->stopper = co_self();
	if (ix->co != NULL)
		co_cancel(ix->co);
	while (ix->co != NULL)
		co_park_uncancelable();
	m->indexer = NULL;
	free(ix);
}
