/* SPDX-License-Identifier: ISC */
/*
 * Asking the search index. Blocks are read in the order of their UIDs, some at
 * a time; what no block covers are candidates all the same: messages that came
 * since, and where a block is damaged or was just merged with others.
 */
#include <stdlib.h>

#include "common/base/clock.h"
#include "mailbox/mails/index_impl.h"

#define STATE_VERSION 1
#define TOKENS_MAX 64  /* of a text that are asked for */
#define PAGE_BLOCKS 64 /* read between two turns of the loop */

/* --- rows --- */

void
index_state_encode(char out[static INDEX_STATE], const struct index_state *s)
{
	out[0] = STATE_VERSION;
	put_be64(out + 1, s->key);
	put_be32(out + 9, s->next);
	put_be32(out + 13, s->blocks);
	put_be64(out + 17, s->messages);
	put_be64(out + 25, s->octets);
}

int
index_state_read(struct box *x, struct index_state *s, struct buf *row)
{
	int rc;

	*s = (struct index_state){ .next = 1 };
	buf_reset(row);
	if ((rc = store_get(x->m->s, box_part(x), KEY_INDEX, row)) != 0)
		return rc;
	if (row->n != INDEX_STATE || row->p[0] != STATE_VERSION)
		return -ENOENT;
	s->key = get_be64(row->p + 1);
	s->next = get_be32(row->p + 9);
	s->blocks = get_be32(row->p + 13);
	s->messages = get_be64(row->p + 17);
	s->octets = get_be64(row->p + 25);
	return 0;
}

struct key
index_block_key(uint32_t first, unsigned chunk)
{
	struct key k = key_uid('t', first);

	k.octets[k.n++] = (char)chunk;
	return k;
}

int
index_owner(struct box *x, struct buf *account)
{
	return store_get(x->m->s, box_part(x), KEY_OWNER, account);
}

/* --- a question --- */

struct text {
	uint16_t tokens[TOKENS_MAX];
	unsigned n;           /* 0: too short, all may have it */
	struct index_set set; /* of the block that is being read */
	uint64_t *may;
};

struct question {
	struct mails_view *v;
	struct text *texts;
	size_t n;
	uint32_t covered; /* messages below this UID are answered for */
	unsigned blocks;  /* of this page */
	/* The block that is being read: */
	uint32_t first, end;
	unsigned messages, chunks, next_chunk;
	struct buf uids; /* as they stand in its row 0 */
	struct index_key key;
	struct buf row; /* the one that was opened */
	struct index_set always;
};

static void
add_token(void *arg, uint16_t token)
{
	struct text *t = arg;

	for (unsigned i = 0; i < t->n; i++)
		if (t->tokens[i] == token)
			return;
	if (t->n < TOKENS_MAX)
		t->tokens[t->n++] = token;
}

/* -ENOENT: no index, or not by this key. */
static int
question_tokens(struct question *q, const struct slice *texts)
{
	struct index_tokens *tokens = NULL;
	struct buf row = BUF_INIT, account = BUF_INIT;
	struct index_state state;
	int rc;

	if ((rc = index_state_read(q->v->x, &state, &row)) == 0 &&
	    (rc = index_owner(q->v->x, &account)) == 0 &&
	    (rc = index_key_get(q->v->m, buf_str(&account), q->v->key,
		 &q->key)) == 0 &&
	    (rc = index_tokens_new(&tokens, q->key.octets)) == 0 &&
	    index_tokens_check(tokens) != state.key)
		rc = -ENOENT;
	for (size_t i = 0; rc == 0 && i < q->n; i++)
		index_tokens_of(
		    tokens, texts[i], true, add_token, &q->texts[i]);
	index_tokens_free(&tokens);
	buf_clear(&row);
	buf_clear(&account);
	return rc;
}

/* Messages with from <= UID < to may have anything. */
static void
all_may(struct question *q, uint32_t from, uint32_t to)
{
	uint32_t seq = mails_view_seq(q->v, from - 1, NULL);
	uint32_t end = mails_view_seq(q->v, to - 1, NULL);

	for (; seq < end; seq++)
		for (size_t i = 0; i < q->n; i++)
			q->texts[i].may[seq / 64] |= UINT64_C(1) << seq % 64;
}

static bool
some_left(const struct question *q)
{
	for (size_t i = 0; i < q->n; i++)
		if (q->texts[i].n == 0 || !index_set_is_empty(&q->texts[i].set))
			return true;
	return false;
}

static bool
text_may(const struct question *q, size_t i, unsigned message)
{
	return q->texts[i].n == 0 || index_set_has(&q->texts[i].set, message) ||
	    index_set_has(&q->always, message);
}

/* All rows of the block were read. False: damaged. */
static bool
block_end(struct question *q)
{
	struct index_chunk c = { .first = q->first,
		.end = q->end,
		.n = q->messages,
		.uids = buf_slice(&q->uids) };
	uint32_t uids[INDEX_BLOCK], seq;
	bool exact;

	if (!some_left(q) && index_set_is_empty(&q->always))
		return true;
	if (index_chunk_uids(&c, uids) != 0)
		return false;
	for (unsigned k = 0; k < c.n; k++) {
		seq = 0;
		for (size_t i = 0; i < q->n; i++) {
			if (!text_may(q, i, k))
				continue;
			if (seq == 0)
				seq = mails_view_seq(q->v, uids[k], &exact);
			if (seq == 0 || !exact)
				break; /* the view does not have it */
			q->texts[i].may[(seq - 1) / 64] |= UINT64_C(1)
			    << (seq - 1) % 64;
		}
	}
	return true;
}

static bool
block_begin(struct question *q, const struct index_chunk *c)
{
	q->first = c->first;
	q->end = c->end;
	q->messages = c->n;
	q->chunks = c->chunks;
	q->next_chunk = 0;
	buf_reset(&q->uids);
	buf_put_slice(&q->uids, c->uids);
	q->always = (struct index_set){ { 0 } };
	for (size_t i = 0; i < q->n; i++)
		index_set_fill(&q->texts[i].set, c->n);
	return !q->uids.failed && index_chunk_always(c, &q->always) == 0;
}

static bool
is_next(const struct question *q, const struct index_chunk *c)
{
	return c->i == q->next_chunk && c->first == q->first &&
	    c->end == q->end && c->n == q->messages && c->chunks == q->chunks;
}

static bool
chunk_take(struct question *q, const struct index_chunk *c)
{
	for (size_t i = 0; i < q->n; i++) {
		struct text *t = &q->texts[i];

		for (unsigned k = 0; k < t->n; k++)
			if (index_chunk_has(c, t->tokens[k]) &&
			    !index_set_is_empty(&t->set) &&
			    index_chunk_and(c, t->tokens[k], &t->set) != 0)
				return false;
	}
	return true;
}

/* A row of a block. What is damaged is passed over, and so not covered. */
static int
on_chunk(void *arg, struct slice key, struct slice val)
{
	struct question *q = arg;
	struct index_chunk c;

	if (index_row_open(&q->key, q->v->x, key, &val, &q->row) != 0 ||
	    index_chunk_read(val, &c) != 0 || key.n != 6 ||
	    get_be32(key.p + 1) != c.first || c.first < q->covered)
		return 0;
	if (c.i == 0 && !block_begin(q, &c))
		return 0;
	if (!is_next(q, &c) || !chunk_take(q, &c)) {
		q->chunks = 0;
		return 0;
	}
	if (++q->next_chunk < q->chunks)
		return 0;
	q->chunks = 0;
	if (!block_end(q))
		return 0;
	all_may(q, q->covered, c.first);
	q->covered = c.end;
	return ++q->blocks == PAGE_BLOCKS;
}

static int
question_run(struct question *q)
{
	struct key from;
	int rc = 1;

	q->covered = 1;
	while (rc == 1) {
		q->blocks = q->chunks = 0;
		from = index_block_key(q->covered, 0);
		rc = store_scan(q->v->m->s, box_part(q->v->x), key_slice(&from),
		    SLICE_LIT("u"), 0, on_chunk, q);
		if (rc == 1 && co_yield () != 0)
			rc = -ECANCELED;
	}
	if (rc == 0)
		all_may(q, q->covered, UINT32_MAX);
	return rc;
}

static int
question_init(struct question *q, struct mails_view *v,
    const struct slice *texts, size_t n, uint64_t **may)
{
	size_t words = v->roll.n / 64 + 1;

	*q = (struct question){ .v = v, .n = n };
	q->texts = calloc(n, sizeof(*q->texts));
	may[0] = calloc(n * words, sizeof(**may));
	if (q->texts == NULL || may[0] == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		may[i] = may[0] + i * words;
		q->texts[i].may = may[i];
	}
	return question_tokens(q, texts);
}

int
mails_index_ask(
    struct mails_view *v, const struct slice *texts, size_t n, uint64_t **may)
{
	struct question q;
	bool helps = false;
	int rc;

	may[0] = NULL;
	for (size_t i = 0; i < n; i++)
		helps |= texts[i].n >= MAILS_INDEX_LEAST;
	/* It is of the messages that are there, by their UIDs. */
	if (!helps || n > MAILS_INDEX_NEEDLES || v->kind == VIEW_KEPT ||
	    v->kind == VIEW_PAST)
		return 0;
	if ((rc = question_init(&q, v, texts, n, may)) == 0)
		rc = question_run(&q);
	free(q.texts);
	buf_clear(&q.uids);
	buf_wipe(&q.row);
	index_key_wipe(&q.key);
	if (rc != 0) {
		free(may[0]);
		may[0] = NULL;
	}
	/* None, or none that can be read. */
	return rc == -ENOENT || rc == -ENOKEY || rc == -EBADMSG
	    ? 0
	    : mails_error(rc);
}

/* --- status --- */

struct counted {
	uint32_t n, page, next;
};

static int
count_key(void *arg, struct slice key, struct slice val)
{
	struct counted *c = arg;

	(void)val;
	if (key.n != 5)
		return -EIO;
	c->n++;
	c->next = get_be32(key.p + 1) + 1;
	return ++c->page == 1000;
}

int
index_count(
    struct box *x, uint32_t from, uint32_t to, uint32_t max, uint32_t *n)
{
	struct counted c = { .next = from };
	struct key first, end = key_uid('u', to);
	int rc = 1;

	while (rc == 1 && c.next < to && c.n < max) {
		c.page = 0;
		first = key_uid('u', c.next);
		rc = store_scan(x->m->s, box_part(x), key_slice(&first),
		    key_slice(&end), STORE_SCAN_KEYS, count_key, &c);
		if (rc == 1 && co_yield () != 0)
			return -ECANCELED;
	}
	*n = c.n;
	return rc > 0 ? 0 : rc;
}

int
mails_index_status(
    struct mails *m, uint64_t mailbox, struct mails_index_status *out)
{
	struct box *x = box_get(m, mailbox);
	struct buf row = BUF_INIT;
	struct index_state s;
	struct header h;
	uint32_t rest = 0;
	int rc;

	if (x == NULL)
		return -ENOMEM;
	if ((rc = box_read(x, &h)) == 0) {
		rc = index_state_read(x, &s, &row);
		if (rc == 0 || rc == -ENOENT)
			rc = index_count(
			    x, s.next, h.uidnext, UINT32_MAX, &rest);
	}
	if (rc == 0)
		*out = (struct mails_index_status){
			.messages = h.messages,
			.indexed = h.messages > rest ? h.messages - rest : 0,
			.blocks = s.blocks,
			.octets = s.octets,
		};
	buf_clear(&row);
	box_put(&x);
	return mails_error(rc);
}
