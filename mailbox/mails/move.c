/* SPDX-License-Identifier: ISC */
/*
 * MOVE: each message exactly once, at any crash. A step of some messages is
 *
 *   1. in the source, one batch: the rows go (as if expunged), and an intent
 *      x<token> comes with all that they were;
 *   2. in the target, one batch: the rows, and y<token>, which must be absent;
 *   3. in the source: the intent goes.
 *
 * Opening the source does 2 and 3 for intents that it finds: a crash is behind
 * them, or another session is at it now, and y<token> says who was first. That
 * row stays for a day, longer than anybody can be between 1 and 2. A target
 * that is gone by then is replaced by the source itself.
 *
 * A blob is owned as before: the row that moves takes its token along, or is
 * its only one.
 */
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "mailbox/mails/copy_journal.h"
#include "mailbox/mails/room.h"

#define MOVE_STEP 64  /* messages: 7 operations each */
#define INTENT_MAX 80 /* there may be old ones of more */
#define STEP_OCTETS ((size_t)700 << 10)
#define DONE_KEPT_S (24 * 3600)
#define DONE_ROW 24

struct moving {
	uint32_t uid;
	struct row row;
	struct buf summary;
	uint64_t keywords; /* in the target */
	bool there;
};

/* What y<token> says. */
struct moved {
	uint32_t first_uid, n, uidvalidity;
};

/* --- 1: out of the source --- */

static struct key
intent_key(uint64_t token, uint16_t index)
{
	struct key k = key_token('x', token);

	k.octets[9] = (char)(index >> 8);
	k.octets[10] = (char)index;
	k.n = 11;
	return k;
}

/* x<token>0000 is the head: target, count; from 1 on the messages. */
static void
intent_put(struct store_batch *b, uint64_t token, uint64_t target,
    const struct moving *ms, size_t n)
{
	struct key k = intent_key(token, 0);
	struct buf val = BUF_INIT;
	char row[MESSAGE_ROW_MAX];
	uint16_t index = 0;
	size_t row_n;

	for (size_t i = 0; i < n; i++)
		index = (uint16_t)(index + ms[i].there);
	buf_put_be64(&val, target);
	buf_put_be32(&val, index);
	store_put(b, key_slice(&k), buf_slice(&val));
	index = 0;
	for (size_t i = 0; i < n; i++) {
		if (!ms[i].there)
			continue;
		k = intent_key(token, ++index);
		row_n = row_encode(row, &ms[i].row);
		buf_reset(&val);
		buf_put(&val, row, row_n);
		/* A summary that does not fit is made again when asked for. */
		if (ms[i].summary.n + row_n <= STORE_VALUE_MAX)
			buf_put_slice(&val, buf_slice(&ms[i].summary));
		store_put(b, key_slice(&k), buf_slice(&val));
	}
	buf_clear(&val);
}

static int
intent_exists(struct box *x, uint64_t token)
{
	struct key k = intent_key(token, 0);
	struct buf val = BUF_INIT;
	int rc = store_get(x->m->s, box_part(x), key_slice(&k), &val);

	buf_clear(&val);
	return rc;
}

static int
moving_read(struct box *x, struct moving *ms, size_t n, size_t *there)
{
	struct key k;
	int rc;

	*there = 0;
	for (size_t i = 0; i < n; i++) {
		rc = row_get(x, ms[i].uid, &ms[i].row);
		ms[i].there = rc == 0;
		*there += rc == 0;
		if (rc != 0 && rc != -ENOENT)
			return rc;
		k = key_uid('s', ms[i].uid);
		buf_reset(&ms[i].summary);
		rc = store_get(
		    x->m->s, box_part(x), key_slice(&k), &ms[i].summary);
		if (rc != 0 && rc != -ENOENT)
			return rc;
	}
	return 0;
}

static int
intent_attempt(
    struct box *x, uint64_t token, uint64_t target, struct moving *ms, size_t n)
{
	struct change c;
	size_t there;
	int rc;

	if ((rc = moving_read(x, ms, n, &there)) != 0 || there == 0)
		return rc;
	if ((rc = change_begin(&c, x)) != 0)
		return rc;
	c.h.modseq++;
	for (size_t i = 0; i < n; i++)
		if (ms[i].there)
			row_expunge(&c, ms[i].uid, &ms[i].row, ROW_MOVED);
	intent_put(c.b, token, target, ms, n);
	return change_commit(&c);
}

/* 0 with *any false: none of the messages was there any more. */
static int
intent_make(struct box *x, uint64_t token, uint64_t target, struct moving *ms,
    size_t n, bool *any)
{
	unsigned attempts = 0;
	bool unknown = false;
	int rc;

	do {
		if (unknown && intent_exists(x, token) == 0) {
			*any = true; /* `ms` is as that attempt had it */
			return 0;
		}
		rc = intent_attempt(x, token, target, ms, n);
		unknown = rc == STORE_EUNKNOWN;
	} while (try_again(rc, &attempts));
	*any = false;
	for (size_t i = 0; i < n; i++)
		*any |= ms[i].there;
	return rc;
}

/* --- 2: into the target --- */

struct intent {
	uint64_t target;
	uint32_t n;
	struct moving *ms;
	uint32_t have;
	struct keywords from, to;
	size_t to_were;
};

static void
intent_clear(struct intent *in)
{
	for (uint32_t i = 0; i < in->have; i++)
		buf_clear(&in->ms[i].summary);
	free(in->ms);
	keywords_clear(&in->from);
	keywords_clear(&in->to);
}

static int
intent_row(void *arg, struct slice key, struct slice val)
{
	struct intent *in = arg;
	struct moving *ms;
	size_t used;

	if (key.n != 11)
		return -EIO;
	if (key.p[9] == 0 && key.p[10] == 0) {
		if (val.n != 12)
			return -EIO;
		in->target = get_be64(val.p);
		in->n = get_be32(val.p + 8);
		if (in->n > INTENT_MAX)
			return -EIO;
		in->ms = calloc(in->n + 1, sizeof(*in->ms));
		return in->ms == NULL ? -ENOMEM : 0;
	}
	if (in->ms == NULL || in->have == in->n)
		return -EIO;
	ms = &in->ms[in->have++];
	if (row_decode_head(val, &ms->row, &used) != 0)
		return -EIO;
	return buf_put_slice(&ms->summary, slice_from(val, used)) ? 0 : -ENOMEM;
}

/* -ENOENT: somebody has finished it. */
static int
intent_read(struct box *x, uint64_t token, struct intent *in)
{
	struct key from = intent_key(token, 0), to = intent_key(token, 0xffff);
	int rc;

	*in = (struct intent){ .ms = NULL };
	rc = store_scan(x->m->s, box_part(x), key_slice(&from), key_slice(&to),
	    0, intent_row, in);
	if (rc == 0 && in->ms == NULL)
		rc = -ENOENT;
	if (rc == 0 && in->have != in->n)
		rc = -EIO;
	return rc == 0 ? keywords_read(x, &in->from) : rc;
}

static int
done_read(struct box *y, uint64_t token, struct moved *out)
{
	struct key k = key_token('y', token);
	struct buf val = BUF_INIT;
	int rc = store_get(y->m->s, box_part(y), key_slice(&k), &val);

	if (rc == 0 && val.n != DONE_ROW)
		rc = -EIO;
	if (rc == 0) {
		out->first_uid = get_be32(val.p);
		out->n = get_be32(val.p + 4);
		out->uidvalidity = get_be32(val.p + 8);
	}
	buf_clear(&val);
	return rc;
}

static void
done_put(struct store_batch *b, uint64_t token, const struct moved *m)
{
	struct key k = key_token('y', token);
	char val[DONE_ROW] = { 0 };

	put_be32(val, m->first_uid);
	put_be32(val + 4, m->n);
	put_be32(val + 8, m->uidvalidity);
	put_be64(val + 16, (uint64_t)clock_wall_s());
	store_guard_absent(b, key_slice(&k));
	store_put(b, key_slice(&k), slice(val, sizeof(val)));
}

static int
intent_keywords(struct box *y, struct intent *in)
{
	int rc = keywords_read(y, &in->to);

	in->to_were = in->to.n;
	for (uint32_t i = 0; i < in->have && rc == 0; i++)
		rc = keywords_translate(&in->from, in->ms[i].row.flags.keywords,
		    &in->to, &in->ms[i].keywords);
	return rc;
}

static void
moving_put(struct change *c, const struct moving *ms)
{
	uint32_t uid = c->h.uidnext++;
	struct row row = ms->row;
	struct key k = key_uid('s', uid);

	row.flags.keywords = ms->keywords;
	row.modseq = c->h.modseq;
	row.savedate = clock_wall_s();
	put_row(c->b, uid, &row);
	if (ms->summary.n > 0)
		store_put(c->b, key_slice(&k), buf_slice(&ms->summary));
	box_count(&c->h, &row, 1);
}

/* Only while the intent is there: somebody may have finished it before the
 * target went, and all that was in it. */
static void
intent_guard(struct store_batch *b, uint64_t token, const struct intent *in)
{
	struct key k = intent_key(token, 0);
	char head[12];

	put_be64(head, in->target);
	put_be32(head + 8, in->n);
	store_guard(b, key_slice(&k), slice(head, sizeof(head)));
}

/* `back`: y is the source itself. */
static int
put_attempt(struct box *y, bool back, uint64_t token, struct intent *in,
    struct moved *moved)
{
	struct change c;
	int rc = done_read(y, token, moved);

	if (rc != -ENOENT)
		return rc;
	if (back && (rc = intent_exists(y, token)) != 0) {
		*moved = (struct moved){ .n = 0 };
		return rc == -ENOENT ? 0 : rc;
	}
	if ((rc = intent_keywords(y, in)) != 0 ||
	    (rc = change_begin(&c, y)) != 0)
		return rc;
	if (in->to.n > in->to_were && c.h.keywords != in->to_were)
		rc = box_conflict(y);
	else if (c.h.uidnext > UINT32_MAX - in->have)
		rc = -ENOSPC;
	else if (in->to.n > in->to_were)
		rc = keywords_put(&c, &in->to);
	if (rc != 0) {
		change_abort(&c);
		return rc;
	}
	if (back)
		intent_guard(c.b, token, in);
	*moved = (struct moved){ c.h.uidnext, in->have, c.h.uidvalidity };
	done_put(c.b, token, moved);
	c.h.modseq++;
	c.h.moved_in++;
	for (uint32_t i = 0; i < in->have; i++)
		moving_put(&c, &in->ms[i]);
	return change_commit(&c);
}

/* --- 3 --- */

static int
intent_remove(struct box *x, uint64_t token)
{
	struct key from = intent_key(token, 0), to = intent_key(token, 0xffff);
	struct store_batch *b;
	unsigned attempts = 0;
	int rc;

	do {
		b = store_batch_new(x->m->s, box_part(x));
		if (b != NULL)
			store_del_range(b, key_slice(&from), key_slice(&to));
		rc = store_commit_one(x->m->s, b);
		store_batch_free(&b);
	} while (try_again(rc, &attempts));
	return rc;
}

/* 2 and 3 of one intent. *moved.n stays 0 when it had been finished. */
static int
intent_finish(struct box *x, uint64_t token, struct moved *moved)
{
	struct box *y;
	struct intent in;
	unsigned attempts = 0;
	int rc = intent_read(x, token, &in);

	*moved = (struct moved){ .n = 0 };
	if (rc == 0 && (y = box_get(x->m, in.target)) == NULL)
		rc = -ENOMEM;
	if (rc != 0) {
		intent_clear(&in);
		return rc == -ENOENT ? 0 : rc;
	}
	do {
		rc = put_attempt(
		    y, y == x && in.target != x->id, token, &in, moved);
		if (rc == -ENOENT && y != x) {
			box_put(&y);
			y = box_get(x->m, x->id); /* back where it was */
			rc = STORE_ECONFLICT;
		}
	} while (try_again(rc, &attempts));
	box_put(&y);
	intent_clear(&in);
	return rc == 0 ? intent_remove(x, token) : rc;
}

/* --- moving --- */

static int
moved_by_other(
    struct box *x, uint64_t target, uint64_t token, struct moved *moved)
{
	struct box *y = box_get(x->m, target);
	int rc = y == NULL ? -ENOMEM : done_read(y, token, moved);

	box_put(&y);
	return rc == -ENOENT ? done_read(x, token, moved) : rc;
}

/* Of one step: the UIDs that moved, in order, and where they are now. */
static int
move_step(struct box *x, uint64_t target, struct moving *ms, size_t n,
    struct moved *moved)
{
	uint64_t token = token_new();
	bool any;
	int rc = intent_make(x, token, target, ms, n, &any);

	*moved = (struct moved){ .n = 0 };
	if (rc == 0 && any)
		rc = intent_finish(x, token, moved);
	/* A session that opened the mailbox was faster. */
	if (rc == 0 && any && moved->n == 0)
		rc = moved_by_other(x, target, token, moved);
	return rc;
}

/* As many as fit one batch by their summaries. */
static size_t
step_size(struct box *x, struct moving *ms, size_t n)
{
	size_t octets = 0, i;
	struct key k;

	for (i = 0; i < n && i < MOVE_STEP && octets < STEP_OCTETS; i++) {
		k = key_uid('s', ms[i].uid);
		buf_reset(&ms[i].summary);
		(void)store_get(
		    x->m->s, box_part(x), key_slice(&k), &ms[i].summary);
		octets += ms[i].summary.n + MESSAGE_ROW_MAX;
	}
	return i;
}

struct pairs {
	uint32_t *from, *to, uidvalidity;
	size_t n;
};

static int
box_move(struct box *x, uint64_t target, const uint32_t *uids, size_t n,
    struct pairs *out)
{
	struct moving *ms = calloc(n + 1, sizeof(*ms));
	struct moved moved;
	size_t step = 0;
	int rc = ms == NULL ? -ENOMEM : 0;

	for (size_t i = 0; i < n && rc == 0; i++)
		ms[i].uid = uids[i];
	for (size_t at = 0; at < n && rc == 0; at += step) {
		step = step_size(x, ms + at, n - at);
		rc = move_step(x, target, ms + at, step, &moved);
		for (size_t i = at; i < at + step; i++) {
			if (out != NULL && rc == 0 && ms[i].there &&
			    moved.n > 0) {
				out->from[out->n] = ms[i].uid;
				out->to[out->n++] = moved.first_uid++;
				out->uidvalidity = moved.uidvalidity;
			}
			buf_clear(&ms[i].summary);
		}
	}
	free(ms);
	return rc;
}

int
mails_move(struct mails_view *v, const uint32_t *seqs, size_t n,
    struct slice target, struct arena *a, struct mails_copied *out)
{
	uint32_t *uids = arena_array(a, n + 1, sizeof(*uids));
	struct pairs p = {
		.from = arena_array(a, n + 1, sizeof(*p.from)),
		.to = arena_array(a, n + 1, sizeof(*p.to)),
	};
	struct room room;
	size_t k = 0;
	uint64_t id;
	int rc;

	*out = (struct mails_copied){ .n = 0 };
	if (v->kind != VIEW_LIVE)
		return -EACCES;
	if (uids == NULL || p.from == NULL || p.to == NULL)
		return -ENOMEM;
	if ((rc = names_find(v->m, v->account, target, &id)) != 0)
		return mails_error(rc);
	for (size_t i = 0; i < n; i++)
		if (!view_entry(v, seqs[i])->gone)
			uids[k++] = mails_view_uid(v, seqs[i]);
	if ((rc = room_hold(v->m, v->account, &room)) != 0)
		return mails_error(rc);
	rc = box_move(v->x, id, uids, k, &p);
	room_end(v->m, v->account, &room, false);
	/* What has moved is told, also when the rest could not. */
	*out = (struct mails_copied){ p.uidvalidity, p.from, p.to, p.n };
	return mails_error(rc);
}

struct uids {
	uint32_t v[MOVE_STEP];
	size_t n;
};

static int
uid_note(void *arg, struct slice key, struct slice val)
{
	struct uids *u = arg;

	(void)val;
	if (key.n != 5)
		return -EIO;
	u->v[u->n++] = get_be32(key.p + 1);
	return u->n == MOVE_STEP;
}

int
box_move_all(struct mails *m, uint64_t from, uint64_t to)
{
	struct box *x = box_get(m, from);
	struct uids u;
	int rc = x == NULL ? -ENOMEM : 1;

	while (rc == 1) {
		u.n = 0;
		rc = store_scan(m->s, box_part(x), SLICE_LIT("u"),
		    SLICE_LIT("v"), STORE_SCAN_KEYS, uid_note, &u);
		if (rc >= 0 && u.n > 0) {
			rc = box_move(x, to, u.v, u.n, NULL);
			rc = rc == 0 ? 1 : rc;
		}
	}
	box_put(&x);
	return rc;
}

/* --- what a crash has left --- */

struct replay {
	uint64_t tokens[16]; /* of intents, or of old y rows */
	size_t n;
	int64_t before;
};

static int
intent_note(void *arg, struct slice key, struct slice val)
{
	struct replay *r = arg;

	(void)val;
	if (key.n == 11 && key.p[9] == 0 && key.p[10] == 0)
		r->tokens[r->n++] = get_be64(key.p + 1);
	return r->n == 16;
}

static int
done_note(void *arg, struct slice key, struct slice val)
{
	struct replay *r = arg;

	if (key.n == 9 && val.n == DONE_ROW &&
	    (int64_t)get_be64(val.p + 16) < r->before)
		r->tokens[r->n++] = get_be64(key.p + 1);
	return r->n == 16;
}

static void
done_forget(struct box *x)
{
	struct replay r = { .before = clock_wall_s() - DONE_KEPT_S };
	struct store_batch *b;
	struct key k;

	if (store_scan(x->m->s, box_part(x), SLICE_LIT("y"), SLICE_LIT("z"), 0,
		done_note, &r) < 0 ||
	    r.n == 0 || (b = store_batch_new(x->m->s, box_part(x))) == NULL)
		return;
	for (size_t i = 0; i < r.n; i++) {
		k = key_token('y', r.tokens[i]);
		store_del(b, key_slice(&k));
	}
	(void)store_commit_one(x->m->s, b);
	store_batch_free(&b);
}

int
moves_replay(struct box *x)
{
	struct replay r;
	struct moved moved;
	int rc = 1;

	while (rc == 1) {
		r.n = 0;
		rc = store_scan(x->m->s, box_part(x), SLICE_LIT("x"),
		    SLICE_LIT("y"), STORE_SCAN_KEYS, intent_note, &r);
		for (size_t i = 0; i < r.n && rc >= 0; i++) {
			int done = intent_finish(x, r.tokens[i], &moved);

			if (moved.n > 0)
				log_info("finished a move",
				    "mailbox=%s messages=%u", x->part, moved.n);
			if (done != 0)
				rc = done;
		}
	}
	if (rc == 0)
		done_forget(x);
	return rc == 0 ? copies_replay(x) : rc;
}
