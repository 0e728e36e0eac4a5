/* SPDX-License-Identifier: ISC */
#include "mailbox/mails/arrivals.h"

#include "common/base/clock.h"
#include "mailbox/mails/arrivals_impl.h"

#define PART SLICE_LIT("n")
#define MARK_LEN 8
#define KEY_LEN 13 /* "n", MODSEQ, UID */

/* --- at the delivery --- */

static struct slice
arrival_key(uint64_t modseq, uint32_t uid, char room[static KEY_LEN])
{
	room[0] = 'n';
	put_be64(room + 1, modseq);
	put_be32(room + 9, uid);
	return slice(room, KEY_LEN);
}

void
arrival_put(struct store_batch *b, uint64_t modseq, uint32_t uid)
{
	char room[KEY_LEN];

	store_put(b, arrival_key(modseq, uid, room), SLICE_EMPTY);
}

struct store_batch *
arrival_mark(struct mails *m, const char *account)
{
	struct store_batch *b = store_batch_new(m->s, PART);
	char mark[MARK_LEN];

	/* Another one each time: who clears it sees that it is not the one that
	 * stood there when he looked. */
	random_octets(mark, sizeof(mark));
	if (b != NULL)
		store_put(b, slice_str(account), slice(mark, sizeof(mark)));
	return b;
}

void
arrival_notify(struct mails *m)
{
	store_notify(m->s, PART);
}

/* A batch that depends on nothing is tried again. */
static int
commit(struct mails *m, struct store_batch **b)
{
	unsigned attempts = 0;
	int rc;

	if (*b == NULL)
		return -ENOMEM;
	do
		rc = store_commit_one(m->s, *b);
	while (try_again(rc, &attempts));
	store_batch_free(b);
	return rc;
}

int
arrivals_drop(struct mails *m, const char *account)
{
	struct store_batch *b = store_batch_new(m->s, PART);

	if (b != NULL)
		store_del(b, slice_str(account));
	return commit(m, &b);
}

/* --- accounts --- */

struct first {
	struct arena *a;
	const char *account;
};

static int
first_row(void *arg, struct slice key, struct slice val)
{
	struct first *f = arg;

	(void)val;
	f->account = arena_strdup(f->a, key);
	return f->account == NULL ? -ENOMEM : 1;
}

int
mails_arrived(
    struct mails *m, struct arena *a, const char *after, const char **account)
{
	struct first f = { .a = a };
	struct buf from = BUF_INIT_MAX(STORE_KEY_MAX);
	int rc;

	buf_put_str(&from, after);
	if (*after != '\0')
		buf_put_char(&from, '\0'); /* just behind it */
	rc = from.failed ? -EINVAL
			 : store_scan(m->s, PART, buf_slice(&from), SLICE_EMPTY,
			       STORE_SCAN_KEYS, first_row, &f);
	buf_clear(&from);
	*account = f.account;
	return rc == 1 ? 0 : rc == 0 ? -ENOENT : mails_error(rc);
}

void
mails_arrived_watch(struct mails *m, struct store_watch *w)
{
	(void)store_watch(m->s, PART, w);
}

void
mails_arrived_unwatch(struct mails *m, struct store_watch *w)
{
	store_unwatch(m->s, w);
}

/* --- what has arrived --- */

struct listing {
	struct mails_arrival *v;
	size_t n, max;
	const struct mails_info *box;
};

static int
arrival_row(void *arg, struct slice key, struct slice val)
{
	struct listing *l = arg;

	(void)val;
	if (key.n != KEY_LEN)
		return 0;
	l->v[l->n++] = (struct mails_arrival){ .mailbox = l->box->id,
		.name = l->box->name,
		.attrs = l->box->attrs,
		.modseq = get_be64(key.p + 1),
		.uid = get_be32(key.p + 9) };
	return l->n == l->max;
}

/* The rest of it, from the message's row. */
static int
arrival_fill(struct box *x, const struct header *h, struct mails_arrival *out)
{
	struct row r;
	int rc = row_get(x, out->uid, &r);

	out->uidvalidity = h->uidvalidity;
	out->gone = rc == -ENOENT;
	if (rc == 0) {
		out->size = r.size;
		out->internaldate = r.internaldate;
		out->savedate = r.savedate;
	}
	return rc == -ENOENT ? 0 : rc;
}

static int
list_box(struct mails *m, struct listing *l)
{
	struct box *x = box_get(m, l->box->id);
	size_t from = l->n;
	struct header h;
	int rc = x == NULL ? -ENOMEM : box_read(x, &h);

	if (rc == 0)
		rc = store_scan(m->s, box_part(x), SLICE_LIT("n"),
		    SLICE_LIT("o"), STORE_SCAN_KEYS, arrival_row, l);
	for (rc = rc > 0 ? 0 : rc; from < l->n && rc == 0; from++)
		rc = arrival_fill(x, &h, &l->v[from]);
	box_put(&x);
	return rc == -ENOENT ? 0 : rc; /* it is being deleted */
}

/* There was nothing when we looked: the mark of before that goes, unless there
 * is another one by now. */
static int
mark_clear(struct mails *m, const char *account, struct slice mark)
{
	struct store_batch *b = store_batch_new(m->s, PART);
	int rc = b == NULL ? -ENOMEM : 0;

	if (rc == 0) {
		store_guard(b, slice_str(account), mark);
		store_del(b, slice_str(account));
		rc = store_commit_one(m->s, b);
	}
	store_batch_free(&b);
	return rc == STORE_ECONFLICT || rc == STORE_EUNKNOWN ? 0 : rc;
}

int
mails_arrivals(struct mails *m, const char *account, struct arena *a,
    size_t max, struct mails_arrival **out, size_t *n)
{
	struct listing l = { .max = max };
	struct buf mark = BUF_INIT_MAX(64);
	struct mails_info *boxes = NULL;
	size_t n_boxes = 0;
	int rc = store_get(m->s, PART, slice_str(account), &mark);
	bool marked = rc == 0;

	l.v = arena_array(a, max, sizeof(*l.v));
	if (rc == -ENOENT)
		rc = 0;
	if (rc == 0)
		rc = l.v == NULL ? -ENOMEM
				 : mails_list(m, account, a, &boxes, &n_boxes);
	for (size_t i = 0; i < n_boxes && rc == 0 && l.n < max; i++) {
		l.box = &boxes[i];
		if (l.box->id != 0)
			rc = list_box(m, &l);
	}
	if (rc == 0 && l.n == 0 && marked)
		rc = mark_clear(m, account, buf_slice(&mark));
	buf_clear(&mark);
	*out = l.v;
	*n = rc == 0 ? l.n : 0;
	return mails_error(rc);
}

/* A mailbox of the account, to be put back. */
static int
box_of(struct mails *m, const char *account, uint64_t id, struct box **out)
{
	const char *owner;
	int rc;

	if ((*out = box_get(m, id)) == NULL)
		return -ENOMEM;
	rc = box_account(*out, &owner);
	if (rc == 0 && strcmp(owner, account) != 0)
		rc = -ENOENT;
	if (rc != 0)
		box_put(out);
	return rc;
}

int
mails_arrivals_done(
    struct mails *m, const char *account, uint64_t mailbox, uint64_t modseq)
{
	struct store_batch *b;
	char room[KEY_LEN];
	struct box *x;
	int rc = box_of(m, account, mailbox, &x);

	if (rc != 0)
		return mails_error(rc);
	if ((b = store_batch_new(m->s, box_part(x))) != NULL)
		store_del_range(
		    b, SLICE_LIT("n"), arrival_key(modseq + 1, 0, room));
	rc = commit(m, &b);
	box_put(&x);
	return mails_error(rc);
}

int
mails_arrival_open(struct mails *m, const char *account, uint64_t mailbox,
    uint32_t uid, struct mails_view **out)
{
	struct box *x;
	int rc = box_of(m, account, mailbox, &x);

	*out = NULL;
	if (rc == 0)
		rc = view_part_open(x, uid, uid + 1, 1, out);
	if (rc > 0)
		rc = 0;
	if (rc == 0 && mails_view_count(*out) == 0) {
		mails_view_close(out);
		rc = -ENOENT;
	}
	box_put(&x);
	return mails_error(rc);
}
