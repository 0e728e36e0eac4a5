/* SPDX-License-Identifier: ISC */
/*
 * Messages coming in. The order is promise 1: the blob is on the medium before
 * the row that names it, and the row before the reply.
 *
 * All targets of a delivery, and all deliveries that are ready together, go
 * into one group commit: each guards on the mailbox's header as the one before
 * it leaves it, and none waits for another.
 */
#include <assert.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/memory.h"
#include "mailbox/mails/arrivals_impl.h"
#include "mailbox/mails/birth.h"
#include "mailbox/mails/name_seal.h"
#include "mailbox/mails/room.h"

/* --- octets --- */

static int
blob_put(void *arg, struct slice octets)
{
	struct mails_message *msg = arg;

	return store_blob_write(msg->w, octets);
}

int
mails_message_begin(struct mails *m, struct mails_message **out)
{
	struct mails_message *msg = calloc(1, sizeof(*msg));
	int rc;

	*out = NULL;
	if (msg == NULL || memory_is_full()) {
		free(msg);
		return -ENOMEM;
	}
	msg->m = m;
	store_blob_id_new(&msg->blob);
	frames_writer_init(&msg->frames, m->packer, blob_put, msg);
	if ((rc = store_blob_begin(m->s, &msg->blob, &msg->w)) == 0)
		rc = summary_maker_new(&msg->maker);
	if (rc != 0)
		mails_message_free(&msg);
	*out = msg;
	return mails_error(rc);
}

int
mails_message_for(struct mails_message *msg, const char *account)
{
	unsigned char public[SEAL_PUBLIC_LEN];
	enum mails_sealing how;
	int rc = sealing_of(msg->m, account, &how, public);

	assert(msg->size == 0);
	if (rc != 0 || how == MAILS_SEAL_NONE || msg->sealed)
		return rc;
	msg->sealed = true;
	random_octets(msg->seal.key, sizeof(msg->seal.key));
	memcpy(msg->seal.id, msg->blob.octets, FRAMES_ID);
	msg->frames.seal = &msg->seal;
	return 0;
}

int
mails_message_write(struct mails_message *msg, struct slice octets)
{
	if (msg->rc == 0)
		msg->rc = mails_error(frames_write(&msg->frames, octets));
	if (msg->rc != 0)
		return msg->rc;
	msg->size += octets.n;
	/* Without memory for a summary, the message is taken all the same. */
	if (msg->maker != NULL && summary_maker_feed(msg->maker, octets) != 0)
		summary_maker_free(&msg->maker);
	return 0;
}

int
mails_message_end(struct mails_message *msg)
{
	if (msg->rc == 0)
		msg->rc = mails_error(frames_end(&msg->frames));
	frames_writer_clear(&msg->frames);
	if (msg->rc == 0 && msg->maker != NULL)
		msg->rc = summary_maker_end(msg->maker, msg->m->packer,
		    msg->frames.seal, &msg->summary);
	summary_maker_free(&msg->maker);
	msg->ended = msg->rc == 0;
	return msg->rc;
}

uint64_t
mails_message_size(const struct mails_message *msg)
{
	return msg->size;
}

void
mails_message_free(struct mails_message **out)
{
	struct mails_message *msg = *out;

	*out = NULL;
	if (msg == NULL)
		return;
	summary_maker_free(&msg->maker);
	frames_writer_clear(&msg->frames);
	store_blob_writer_free(&msg->w);
	buf_clear(&msg->summary);
	explicit_bzero(&msg->seal, sizeof(msg->seal));
	free(msg);
}

/* --- delivery --- */

/* What a target needs besides what its caller sees. */
struct delivery {
	struct mails_target *t;
	struct mails_message *msg;
	struct box *x;
	struct row row;
	struct keywords keywords;
	size_t keywords_were; /* before this message's new ones */
	struct room room;
	struct change c;
	bool sealed;        /* c is in this round's commit */
	bool again;         /* it was delivered before, under its key */
	struct buf old;     /* key rows from "i" up to here are past use */
	uint32_t uid_tried; /* by a commit of unknown outcome; 0: none */
};

static int
delivery_find(struct mails *m, struct delivery *d)
{
	uint64_t id;
	int rc = names_find(m, d->t->account, d->t->mailbox, &id);

	if (rc == 0 && (d->x = box_get(m, id)) == NULL)
		rc = -ENOMEM;
	return rc;
}

static void
delivery_row(struct delivery *d, bool shared)
{
	const struct mails_message *msg = d->msg;
	int64_t now = clock_wall_s();

	d->row = (struct row){
		.flags.system = d->t->flags,
		.internaldate =
		    d->t->internaldate == INT64_MIN ? now : d->t->internaldate,
		.savedate = d->t->was != NULL ? d->t->was->savedate : now,
		.size = msg->size,
		.blob = msg->blob,
		.token = shared ? token_new() : 0,
		.framed = true,
	};
}

/* Bits of the message's keywords, and the table with new names. */
static int
delivery_keywords(struct delivery *d)
{
	bool grown = false;
	int rc;

	if (d->t->keywords == NULL || *d->t->keywords == NULL)
		return 0;
	if ((rc = keywords_read(d->x, &d->keywords)) != 0)
		return rc;
	d->keywords_were = d->keywords.n;
	return keywords_bits(
	    &d->keywords, d->t->keywords, &d->row.flags.keywords, &grown);
}

/* Has an attempt of unknown outcome done it? STORE_ECONFLICT: no. */
static int
delivery_was_done(struct delivery *d)
{
	struct row r;
	int rc = d->uid_tried == 0 ? -ENOENT : row_get(d->x, d->uid_tried, &r);

	if (rc != 0)
		return rc == -ENOENT ? STORE_ECONFLICT : rc;
	if (memcmp(&r.blob, &d->row.blob, sizeof(r.blob)) != 0 ||
	    r.token != d->row.token)
		return STORE_ECONFLICT;
	d->t->uid = d->uid_tried;
	return 0;
}

/* --- keys: what was delivered under one is not delivered again --- */

#define KEY_OCTETS 64
#define OLD_KEYS_EVERY 64 /* deliveries */
#define OLD_KEYS_AT_ONCE 256

static struct slice
delivery_key(const struct delivery *d, char room[static KEY_OCTETS + 1])
{
	struct slice key = slice_head(d->t->key, KEY_OCTETS);

	room[0] = 'i';
	memcpy(room + 1, key.p, key.n);
	return slice(room, key.n + 1);
}

/* 0: it was, the result is that of then. STORE_ECONFLICT: it was not. */
static int
delivery_was_made(struct mails *m, struct delivery *d)
{
	char room[KEY_OCTETS + 1];
	struct buf uid = BUF_INIT;
	int rc = d->t->key.n == 0
	    ? -ENOENT
	    : store_get(m->s, box_part(d->x), delivery_key(d, room), &uid);

	if (rc == 0 && uid.n < 4)
		rc = -EIO;
	if (rc == 0) {
		d->again = d->t->again = true;
		d->t->uid = get_be32(uid.p);
		d->t->uidvalidity = d->x->h.uidvalidity;
	}
	buf_clear(&uid);
	return rc == -ENOENT ? STORE_ECONFLICT : rc;
}

struct old_keys {
	struct buf *last;
	int n;
};

static int
old_key(void *arg, struct slice key, struct slice val)
{
	struct old_keys *o = arg;

	(void)val;
	buf_reset(o->last);
	buf_put_slice(o->last, key);
	buf_put_char(o->last, '\0'); /* just behind it */
	return ++o->n == OLD_KEYS_AT_ONCE;
}

/* Now and then some keys of long ago go in a delivery's batch. Trace ids
 * begin with their time, so the old ones stand first; keys that begin with a
 * small letter stand behind them all, and stay. */
static void
delivery_old_keys(struct mails *m, struct delivery *d)
{
	struct old_keys o = { &d->old, 0 };
	char to[ID_TIME_LEN + 2];

	buf_reset(&d->old);
	if (d->t->key.n == 0 || d->x->h.uidnext % OLD_KEYS_EVERY != 0)
		return;
	to[0] = 'i';
	id_time(clock_wall_ms() - MAILS_KEY_DAYS * INT64_C(86400000), to + 1);
	(void)store_scan(m->s, box_part(d->x), SLICE_LIT("i"), slice_str(to),
	    STORE_SCAN_KEYS, old_key, &o);
}

static void
delivery_put_key(struct delivery *d)
{
	char room[KEY_OCTETS + 1], val[4 + MAILS_NOTE_MAX];
	struct slice key, note = slice_head(d->t->note, MAILS_NOTE_MAX);

	if (d->t->key.n == 0)
		return;
	key = delivery_key(d, room);
	put_be32(val, d->t->uid);
	memcpy(val + 4, note.p == NULL ? "" : note.p, note.n);
	store_guard_absent(d->c.b, key);
	store_put(d->c.b, key, slice(val, 4 + note.n));
	if (d->old.n > 0)
		store_del_range(d->c.b, SLICE_LIT("i"), buf_slice(&d->old));
}

/* All that may wait, before the change is made. STORE_ECONFLICT: go on. */
static int
delivery_prepare(struct mails *m, struct delivery *d)
{
	int rc;

	if ((rc = delivery_was_done(d)) != STORE_ECONFLICT)
		return rc;
	if ((rc = delivery_keywords(d)) != 0 || (rc = box_know(d->x)) != 0)
		return rc;
	delivery_old_keys(m, d);
	return delivery_was_made(m, d);
}

/* Why the message cannot go into the mailbox as it is now; 0: it can. */
static int
delivery_refuse(const struct delivery *d)
{
	const struct header *h = &d->x->h;

	if (!d->x->known)
		return STORE_ECONFLICT;
	if (h->uidnext == UINT32_MAX)
		return -ENOSPC; /* RFC 3501 2.3.1.1: UIDs have 32 bits */
	/* New names are added to the table that is in force, or not now. */
	if (d->keywords.n > d->keywords_were && h->keywords != d->keywords_were)
		return box_conflict(d->x);
	return 0;
}

/* Nothing here waits: what the header is now it still is at the seal. */
static int
delivery_build(struct delivery *d)
{
	const struct mails_message *msg = d->msg;
	struct change *c = &d->c;
	struct key k;
	int rc;

	if ((rc = delivery_refuse(d)) != 0 || (rc = change_begin(c, d->x)) != 0)
		return rc;
	if (d->t->was != NULL && d->t->was->uid > c->h.uidnext)
		c->h.uidnext = d->t->was->uid;
	d->t->uid = c->h.uidnext++;
	d->t->uidvalidity = c->h.uidvalidity;
	d->row.modseq = ++c->h.modseq;
	box_count(&c->h, &d->row, 1);
	put_row(c->b, d->t->uid, &d->row);
	k = key_uid('s', d->t->uid);
	if (msg->summary.n > 0)
		store_put(c->b, key_slice(&k), buf_slice(&msg->summary));
	if (msg->w != NULL)
		store_batch_need(c->b, msg->w);
	delivery_put_key(d);
	if (d->t->tell)
		arrival_put(c->b, d->row.modseq, d->t->uid);
	if (d->keywords.n > d->keywords_were &&
	    (rc = keywords_put(c, &d->keywords)) != 0) {
		change_abort(c);
		return rc;
	}
	change_seal(c);
	d->sealed = true;
	return STORE_ECONFLICT;
}

/* Who is to be told, once each (those of one account stand together). */
static size_t
deliveries_mark(struct mails *m, const struct delivery *d, size_t n,
    struct store_batch **marks)
{
	const char *last = "";
	size_t k = 0;

	for (size_t i = 0; i < n; i++) {
		if (!d[i].sealed || !d[i].t->tell ||
		    strcmp(d[i].t->account, last) == 0)
			continue;
		last = d[i].t->account;
		if ((marks[k] = arrival_mark(m, last)) != NULL)
			k++;
	}
	return k;
}

static void
deliveries_commit(struct mails *m, struct delivery *d, size_t n)
{
	struct store_batch **b = calloc(2 * n, sizeof(*b));
	int *rc = calloc(2 * n, sizeof(*rc));
	size_t k = 0, n_marks = 0;

	for (size_t i = 0; i < n; i++)
		if (d[i].sealed && b != NULL)
			b[k++] = d[i].c.b;
	if (k > 0 && rc != NULL) {
		n_marks = deliveries_mark(m, d, n, b + k);
		(void)store_commit(m->s, b, k + n_marks, rc);
	}
	for (size_t i = 0; i < n_marks; i++)
		store_batch_free(&b[k + i]);
	k = 0;
	for (size_t i = 0; i < n; i++) {
		if (!d[i].sealed)
			continue;
		d[i].sealed = false;
		d[i].t->rc = change_end(
		    &d[i].c, b == NULL || rc == NULL ? -ENOMEM : rc[k++]);
		if (d[i].t->rc == STORE_EUNKNOWN)
			d[i].uid_tried = d[i].t->uid;
	}
	if (n_marks > 0)
		arrival_notify(m);
	free(b);
	free(rc);
}

static bool
is_pending(const struct delivery *d)
{
	return d->t->rc == STORE_ECONFLICT || d->t->rc == STORE_EUNKNOWN;
}

/*
 * One attempt for all that are not done; true when some are left. `in_order`:
 * what stands behind one that must wait for the next round waits too.
 */
static bool
deliveries_round(struct mails *m, struct delivery *d, size_t n, bool in_order)
{
	bool left = false, wait = false;

	for (size_t i = 0; i < n; i++)
		if (is_pending(&d[i]))
			d[i].t->rc = delivery_prepare(m, &d[i]);
	for (size_t i = 0; i < n && !wait; i++) {
		if (is_pending(&d[i]))
			d[i].t->rc = delivery_build(&d[i]);
		wait = in_order && is_pending(&d[i]) && !d[i].sealed;
	}
	deliveries_commit(m, d, n);
	for (size_t i = 0; i < n; i++)
		left |= is_pending(&d[i]);
	return left;
}

/* Tokens of all; or, to be taken away, of those that made no row: whether an
 * attempt of unknown outcome made one is not sure, so its ref stays, and is
 * collected should there be no row. */
static int
deliveries_refs(
    struct mails_message *msg, const struct delivery *d, size_t n, bool add)
{
	struct ref *refs = calloc(n, sizeof(*refs));
	size_t k = 0;
	int rc = 0;

	if (refs == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		if (d[i].x != NULL &&
		    (add ||
			(d[i].uid_tried == 0 &&
			    (d[i].again ||
				(d[i].t->rc != 0 && !is_pending(&d[i]))))))
			refs[k++] = (struct ref){ .blob = msg->blob,
				.token = d[i].row.token };
	if (k > 0 && add)
		rc = refs_add(msg->m, refs, k, msg->w);
	else if (k > 0)
		rc = refs_remove(msg->m, refs, k);
	free(refs);
	return rc;
}

/* Room is yet to be taken, or could not be: apart from -EAGAIN, which is
 * STORE_ECONFLICT: to be done. */
#define NO_ROOM_YET (-EBUSY)

/* The key of the message, for this account. Once: every attempt has the same
 * row. */
static int
delivery_wrap(struct delivery *d)
{
	const struct mails_message *msg = d->msg;
	unsigned char public[SEAL_PUBLIC_LEN];
	enum mails_sealing how;
	int rc;

	if (msg->sealed)
		return wrap_make(msg->m, d->t->account,
		    slice(msg->blob.octets, sizeof(msg->blob.octets)),
		    msg->seal.key, &d->row.wrap);
	if (msg->w == NULL)
		return 0; /* it is put back as it was */
	/* Sealed mail is wanted, and this is in the clear: it was not said for
	 * whom it is, or the account has changed its mind meanwhile. */
	rc = sealing_of(msg->m, d->t->account, &how, public);
	return rc == 0 && how != MAILS_SEAL_NONE ? -ESTALE : rc;
}

static void
delivery_begin(struct delivery *d, bool shared)
{
	int rc;

	d->t->rc = delivery_find(d->msg->m, d);
	delivery_row(d, shared);
	if (d->t->rc != 0 && d->t->rc != -EAGAIN)
		return;
	rc = delivery_wrap(d);
	d->t->rc = rc == 0 ? NO_ROOM_YET : rc;
}

/* `hands_full`: room for others was taken, so there is no waiting for it. */
static void
delivery_take_room(struct delivery *d, bool hands_full)
{
	if (d->t->rc != NO_ROOM_YET || d->x == NULL)
		return;
	d->t->rc = (hands_full ? room_try : room_take)(
	    d->msg->m, d->t->account, d->t->quota, d->msg->size, 1, &d->room);
	if (d->t->rc == -EAGAIN)
		d->t->rc = NO_ROOM_YET;
	if (d->t->rc == 0)
		d->t->rc = STORE_ECONFLICT; /* to be done */
}

/* --- the end of the blob --- */

/* Names in it are sealed where the account's are. */
static int
birth_seal(const struct delivery *d, struct birth *b, struct buf *room)
{
	struct name_sealer s;
	int rc;

	if (b->n_keywords == 0 && slice_eq(b->mailbox, SLICE_LIT("INBOX")))
		return 0; /* as most are */
	if ((rc = name_sealer_init(&s, d->msg->m, d->t->account)) == 0)
		rc = s.write_rc;
	if (rc == 0 && s.seals)
		rc = birth_names_seal(&s, &d->msg->blob, b, room);
	name_sealer_wipe(&s);
	return rc;
}

static int
birth_of(const struct delivery *d, struct buf *out)
{
	struct birth b = { .account = slice_str(d->t->account),
		.mailbox = d->t->mailbox,
		.internaldate = d->row.internaldate,
		.flags = d->row.flags.system };
	const char *const *name = d->t->keywords;
	const struct wrap *wrap = &d->row.wrap;
	char room[1 + SEAL_BOX_LEN] = { (char)wrap->kind };
	struct buf names = BUF_INIT;
	int rc;

	/* A key as it is goes with its row, and not into the blob, which stays
	 * for the others. */
	memcpy(room + 1, wrap->octets, wrap_octets(wrap->kind));
	if (wrap->kind == WRAP_SERVER || wrap->kind == WRAP_ACCOUNT)
		b.wrap = slice(room, 1 + wrap_octets(wrap->kind));
	for (; name != NULL && *name != NULL; name++)
		if (b.n_keywords < BIRTH_KEYWORDS)
			b.keywords[b.n_keywords++] = slice_str(*name);
	rc = birth_seal(d, &b, &names);
	if (rc == 0 && !birth_put(out, &b))
		rc = -ENOMEM;
	buf_clear(&names);
	return rc;
}

/* Now that it is known where it goes, the blob says so, and is complete. */
static int
message_close(struct mails_message *msg, const struct delivery *d, size_t n)
{
	struct buf birth = BUF_INIT;
	int rc = 0;

	if (msg->closed)
		return 0;
	for (size_t i = 0; i < n && rc == 0; i++)
		if (d[i].t->rc == NO_ROOM_YET && d[i].x != NULL)
			rc = birth_of(&d[i], &birth);
	if (rc == 0 && !birth_end(&birth))
		rc = -ENOMEM;
	if (rc == 0)
		rc = store_blob_write(msg->w, buf_slice(&birth));
	if (rc == 0)
		rc = store_blob_seal(msg->w);
	msg->closed = rc == 0;
	buf_clear(&birth);
	return rc;
}

/*
 * As many as find room without a wait, at least one, done as far as can be:
 * counting waits until nobody holds room, and that is we ourselves too.
 */
static size_t
deliveries_some(struct delivery *d, size_t n, bool in_order)
{
	unsigned attempts = 0;
	size_t k = 0;

	do
		delivery_take_room(&d[k], k > 0);
	while ((d[k].t->rc != NO_ROOM_YET || d[k].x == NULL) && ++k < n);
	if (k == 0)
		k = 1; /* it has its answer */
	while (deliveries_round(d->msg->m, d, k, in_order) &&
	    try_again(STORE_ECONFLICT, &attempts))
		;
	for (size_t i = 0; i < k; i++)
		room_end(d[i].msg->m, d[i].t->account, &d[i].room,
		    is_pending(&d[i]) || (d[i].t->rc == 0 && !d[i].again));
	return k;
}

/* One message to all. */
static void
deliveries_run(struct mails_message *msg, struct delivery *d, size_t n)
{
	bool shared = n > 1;
	int rc = 0;

	for (size_t i = 0; i < n; i++) {
		d[i].msg = msg;
		delivery_begin(&d[i], shared);
	}
	rc = message_close(msg, d, n);
	if (shared && rc == 0)
		rc = deliveries_refs(msg, d, n, true);
	for (size_t i = 0; i < n && rc != 0; i++)
		if (d[i].t->rc == NO_ROOM_YET)
			d[i].t->rc = rc;
	for (size_t at = 0; at < n && rc == 0;)
		at += deliveries_some(d + at, n - at, false);
	if (shared && rc == 0)
		(void)deliveries_refs(msg, d, n, false);
}

static struct delivery *
deliveries_new(struct mails_target *targets, size_t n)
{
	struct delivery *d = calloc(n + 1, sizeof(*d));

	for (size_t i = 0; i < n; i++) {
		targets[i].rc = -ENOMEM;
		if (d != NULL)
			d[i].t = &targets[i];
	}
	return d;
}

static void
delivery_end(struct delivery *d)
{
	if (d->t->rc == 0)
		d->msg->delivered = true;
	/* Whoever put it there may have died before he could tell. */
	if (d->t->again && d->t->tell)
		arrival_notify(d->msg->m);
	d->t->rc = d->t->rc == NO_ROOM_YET ? -EAGAIN : mails_error(d->t->rc);
	keywords_clear(&d->keywords);
	buf_clear(&d->old);
	box_put(&d->x);
}

/* The first error of all, or 0. */
static int
deliveries_end(struct delivery *d, size_t n)
{
	int rc = 0;

	for (size_t i = 0; i < n; i++) {
		delivery_end(&d[i]);
		if (rc == 0)
			rc = d[i].t->rc;
	}
	return rc;
}

int
mails_deliver(struct mails_message *msg, struct mails_target *targets, size_t n)
{
	struct delivery *d = deliveries_new(targets, n);
	int rc;

	/* Without a token a blob belongs to one row: one delivery. */
	assert(msg->ended && !msg->delivered);
	if (d == NULL)
		return -ENOMEM;
	deliveries_run(msg, d, n);
	rc = deliveries_end(d, n);
	free(d);
	return rc;
}

static int
deliveries_each(struct delivery *d, size_t n)
{
	for (size_t at = 0; at < n;)
		at += deliveries_some(d + at, n - at, true);
	return deliveries_end(d, n);
}

int
mails_deliver_each(
    struct mails_message *const *msgs, struct mails_target *targets, size_t n)
{
	struct delivery *d = deliveries_new(targets, n);
	int rc;

	if (d == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		assert(msgs[i]->ended && !msgs[i]->delivered);
		d[i].msg = msgs[i];
		delivery_begin(&d[i], false);
		rc = message_close(msgs[i], &d[i], 1);
		if (rc != 0 && d[i].t->rc == NO_ROOM_YET)
			d[i].t->rc = rc;
	}
	rc = deliveries_each(d, n);
	free(d);
	return rc;
}

int
deliver_stored(struct mails_message *const *msgs, struct mails_target *targets,
    const struct row *rows, size_t n)
{
	struct delivery *d = deliveries_new(targets, n);
	int rc;

	if (d == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		d[i].msg = msgs[i];
		delivery_begin(&d[i], false);
		d[i].row = rows[i];
	}
	rc = deliveries_each(d, n);
	free(d);
	return rc;
}
