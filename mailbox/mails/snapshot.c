/* SPDX-License-Identifier: ISC */
#include "mailbox/mails/snapshot.h"

#include "common/base/clock.h"

#define HEAD 22
#define VERSION 1
#define LEAST 4096u  /* messages: with fewer, rows are read fast enough */
#define BEHIND 4096u /* changes, until it is written anew */
#define PAGE 16      /* rows between two turns of the loop */
#define BATCH_OCTETS ((size_t)512 << 10)
#define BATCH_ROWS 100
#define KEY_HEAD SLICE_LIT("w")

/* An entry is an octet: system flags, and what follows it. */
#define SYSTEM 0x1f
#define HAS_KEYWORDS 0x20
#define HAS_MODSEQ 0x40 /* else it is the one before plus 1 */
#define HAS_STEP 0x80   /* else its UID is the one before plus 1 */

struct head {
	bool complete;
	uint64_t token; /* of who writes it: its guard */
	uint64_t modseq;
	uint32_t uidnext;
};

static void
head_encode(char out[static HEAD], const struct head *h)
{
	out[0] = VERSION;
	out[1] = h->complete;
	put_be64(out + 2, h->token);
	put_be64(out + 10, h->modseq);
	put_be32(out + 18, h->uidnext);
}

/* -ENOENT: none. `row` as it is, for guards. */
static int
head_read(struct box *x, struct head *h, struct buf *row)
{
	int rc = store_get(x->m->s, box_part(x), KEY_HEAD, row);

	*h = (struct head){ .uidnext = 1 };
	if (rc != 0)
		return rc;
	if (row->n != HEAD || row->p[0] != VERSION)
		return -ENOENT;
	h->complete = row->p[1] != 0;
	h->token = get_be64(row->p + 2);
	h->modseq = get_be64(row->p + 10);
	h->uidnext = get_be32(row->p + 18);
	return h->complete ? 0 : -ENOENT;
}

/* --- a row --- */

static void
put_varint(struct buf *b, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		buf_put_char(b, (char)(v | 0x80));
	buf_put_char(b, (char)v);
}

/* False: it is not there. */
static bool
get_varint(struct slice *in, uint64_t *v)
{
	*v = 0;
	for (unsigned shift = 0; shift < 64; shift += 7) {
		unsigned char c;

		if (in->n == 0)
			return false;
		c = (unsigned char)*in->p++;
		in->n--;
		*v |= (uint64_t)(c & 0x7f) << shift;
		if (c < 0x80)
			return true;
	}
	return false;
}

void
snapshot_row_encode(
    uint32_t base, const struct roll *r, uint32_t *i, struct buf *row)
{
	uint64_t modseq = 0;
	uint32_t uid = base - 1;

	for (; *i < r->n; ++*i) {
		const struct entry *e = roll_at(r, *i);
		unsigned head = e->system & SYSTEM;

		if (e->uid - base >= SNAPSHOT_UIDS)
			break;
		head |= e->uid != uid + 1 ? HAS_STEP : 0;
		head |= e->modseq != modseq + 1 ? HAS_MODSEQ : 0;
		head |= e->keywords != 0 ? HAS_KEYWORDS : 0;
		buf_put_char(row, (char)head);
		if (head & HAS_STEP)
			put_varint(row, e->uid - uid);
		if (head & HAS_MODSEQ)
			put_varint(row, e->modseq);
		if (head & HAS_KEYWORDS)
			put_varint(row, e->keywords);
		uid = e->uid;
		modseq = e->modseq;
	}
}

static bool
get_entry(struct slice *in, struct entry *e)
{
	unsigned head = (unsigned char)*in->p;
	uint64_t step = 1, modseq = e->modseq + 1, keywords = 0;

	*in = slice_from(*in, 1);
	if (((head & HAS_STEP) && !get_varint(in, &step)) ||
	    ((head & HAS_MODSEQ) && !get_varint(in, &modseq)) ||
	    ((head & HAS_KEYWORDS) && !get_varint(in, &keywords)) ||
	    step == 0 || step > SNAPSHOT_UIDS)
		return false;
	*e = (struct entry){ .uid = e->uid + (uint32_t)step,
		.system = head & SYSTEM,
		.keywords = keywords,
		.modseq = modseq };
	return true;
}

/* Those below UID `end`. */
static int
row_decode_until(
    uint32_t base, uint32_t end, struct slice row, struct roll *out)
{
	struct entry e = { .uid = base - 1 };
	int rc = 0;

	while (row.n > 0 && rc == 0) {
		if (!get_entry(&row, &e) || e.uid - base >= SNAPSHOT_UIDS)
			return -EBADMSG;
		if (e.uid >= end)
			break;
		rc = roll_append(out, &e);
	}
	return rc;
}

int
snapshot_row_decode(uint32_t base, struct slice row, struct roll *out)
{
	return row_decode_until(base, UINT32_MAX, row, out);
}

/* --- reading --- */

struct load {
	struct mails_view *v;
	uint32_t uidnext, next; /* where to go on */
	unsigned n;
};

static int
on_row(void *arg, struct slice key, struct slice val)
{
	struct load *l = arg;
	uint32_t base;
	int rc;

	if (key.n != 5)
		return -EBADMSG;
	base = get_be32(key.p + 1);
	l->next = base + SNAPSHOT_UIDS;
	rc = base % SNAPSHOT_UIDS != 0
	    ? -EBADMSG
	    : row_decode_until(base, l->uidnext, val, &l->v->roll);
	return rc != 0 ? rc : ++l->n == PAGE;
}

int
snapshot_load(struct mails_view *v, const struct header *now)
{
	struct buf row = BUF_INIT;
	struct load l = { .v = v };
	struct head h;
	struct key from;
	int rc = head_read(v->x, &h, &row);

	buf_clear(&row);
	/* What was expunged before the floor is told by nobody any more. */
	if (rc == 0 && h.modseq < now->expunge_floor)
		rc = -ENOENT;
	if (rc != 0)
		return rc;
	l.uidnext = h.uidnext;
	do {
		l.n = 0;
		from = key_uid('w', l.next);
		rc = store_scan(v->m->s, box_part(v->x), key_slice(&from),
		    SLICE_LIT("x"), 0, on_row, &l);
		if (rc == 1)
			(void)co_yield ();
	} while (rc == 1);
	if (rc == 0) {
		v->h.modseq = h.modseq;
		v->h.uidnext = h.uidnext;
	} else {
		roll_clear(&v->roll);
	}
	return rc == -EBADMSG ? -ENOENT : rc;
}

/* --- writing --- */

struct writing {
	struct box *x;
	struct store_batch *b;
	struct buf owner, guard; /* rows as they must be */
	size_t octets, rows;     /* in the batch */
};

/* A batch that fails when the mailbox, or the head, is not what it was. */
static int
writing_begin(struct writing *w)
{
	if ((w->b = store_batch_new(w->x->m->s, box_part(w->x))) == NULL)
		return -ENOMEM;
	store_guard(w->b, KEY_OWNER, buf_slice(&w->owner));
	if (w->guard.n > 0)
		store_guard(w->b, KEY_HEAD, buf_slice(&w->guard));
	else
		store_guard_absent(w->b, KEY_HEAD);
	w->octets = w->rows = 0;
	return 0;
}

static int
writing_commit(struct writing *w)
{
	int rc = store_commit_one(w->x->m->s, w->b);

	store_batch_free(&w->b);
	return rc;
}

static int
write_head(struct writing *w, const struct head *h)
{
	char row[HEAD];
	int rc = writing_begin(w);

	if (rc != 0)
		return rc;
	head_encode(row, h);
	store_put(w->b, KEY_HEAD, slice(row, sizeof(row)));
	rc = writing_commit(w);
	buf_reset(&w->guard);
	buf_put(&w->guard, row, sizeof(row));
	return w->guard.failed ? -ENOMEM : rc;
}

/* One row, where it is not so already. */
static int
write_row(struct writing *w, uint32_t base, const struct buf *row)
{
	struct key k = key_uid('w', base);
	struct buf old = BUF_INIT;
	int rc = store_get(w->x->m->s, box_part(w->x), key_slice(&k), &old);
	bool same = rc == -ENOENT ? row->n == 0
				  : slice_eq(buf_slice(&old), buf_slice(row));

	buf_clear(&old);
	if (rc != 0 && rc != -ENOENT)
		return rc;
	if (same)
		return 0;
	if (row->failed || row->n > STORE_VALUE_MAX)
		return -E2BIG;
	if (w->octets + row->n > BATCH_OCTETS || w->rows == BATCH_ROWS)
		if ((rc = writing_commit(w)) != 0 ||
		    (rc = writing_begin(w)) != 0)
			return rc;
	w->octets += row->n;
	w->rows++;
	if (row->n == 0)
		store_del(w->b, key_slice(&k));
	else
		store_put(w->b, key_slice(&k), buf_slice(row));
	return 0;
}

static int
write_rows(struct writing *w, const struct mails_view *v)
{
	struct buf row = BUF_INIT;
	uint32_t i = 0, base = 0;
	int rc = writing_begin(w);

	for (; rc == 0 && base < v->h.uidnext; base += SNAPSHOT_UIDS) {
		buf_reset(&row);
		snapshot_row_encode(base, &v->roll, &i, &row);
		rc = write_row(w, base, &row);
		if (rc == 0)
			rc = co_yield ();
		if (base + SNAPSHOT_UIDS < base)
			break;
	}
	if (rc == 0)
		rc = writing_commit(w);
	store_batch_free(&w->b);
	buf_clear(&row);
	return rc;
}

/* Head with another token, rows, head with the new modseq: two that write at
 * once do not mix, for one finds another's token. */
static int
snapshot_write(struct writing *w, struct head *h, const struct mails_view *v)
{
	int rc;

	random_octets(&h->token, sizeof(h->token));
	if ((rc = write_head(w, h)) != 0 || (rc = write_rows(w, v)) != 0)
		return rc;
	h->complete = true;
	h->modseq = v->h.modseq;
	h->uidnext = v->h.uidnext;
	return write_head(w, h);
}

static bool
is_behind(const struct head *h, const struct header *now)
{
	return now->messages >= LEAST &&
	    (!h->complete || h->modseq < now->expunge_floor ||
		now->modseq - h->modseq >= BEHIND);
}

int
snapshot_keep(struct box *x)
{
	struct writing w = { .x = x };
	struct mails_view *v = NULL;
	struct header now;
	struct head h;
	int rc;

	if ((rc = box_read(x, &now)) != 0)
		return rc;
	rc = head_read(x, &h, &w.guard);
	if ((rc == 0 || rc == -ENOENT) && is_behind(&h, &now)) {
		rc = store_get(x->m->s, box_part(x), KEY_OWNER, &w.owner);
		if (rc == 0 && (rc = view_list_open(x, &v)) == 0)
			rc = snapshot_write(&w, &h, v);
		mails_view_close(&v);
	}
	buf_clear(&w.owner);
	buf_clear(&w.guard);
	/* None yet, or another was at it: no harm. */
	return rc == -ENOENT || rc == STORE_ECONFLICT ? 0 : rc;
}
