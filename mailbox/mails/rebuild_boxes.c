/* SPDX-License-Identifier: ISC */
/*
 * Mailboxes whose header or name is gone, or whose sums are wrong: their rows
 * say what they were.
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "mailbox/mails/census.h"
#include "mailbox/mails/rebuild_impl.h"

#define PAGE 100 /* rows: two deletes and a guard each, at most */
#define NAMES_TRIED 100

/* --- counting the rows of one mailbox --- */

struct tally {
	struct box *x;
	struct header sum; /* of the messages */
	uint32_t uid_max;
	uint64_t modseq_max;
	struct store_batch *b; /* deletes what is damaged */
	unsigned n, damaged;
	struct key next;
};

static int
tally_row(void *arg, struct slice key, struct slice val)
{
	struct tally *t = arg;
	struct key summary;
	struct row r;

	if (key.n + 1 > sizeof(t->next.octets))
		return -EIO;
	memcpy(t->next.octets, key.p, key.n);
	t->next.octets[key.n] = '\0'; /* just behind it */
	t->next.n = key.n + 1;
	if (key.n == 5 && row_decode(val, &r) == 0) {
		box_count(&t->sum, &r, 1);
		t->uid_max = get_be32(key.p + 1);
		if (r.modseq > t->modseq_max)
			t->modseq_max = r.modseq;
	} else {
		store_guard(t->b, key, val);
		store_del(t->b, key);
		if (key.n == 5) {
			summary = key_uid('s', get_be32(key.p + 1));
			store_del(t->b, key_slice(&summary));
		}
		t->damaged++;
	}
	return ++t->n == PAGE;
}

/* One page. 1: there are more. */
static int
tally_page(struct tally *t, uint64_t *removed)
{
	int more, rc = 0;

	t->n = t->damaged = 0;
	if ((t->b = store_batch_new(t->x->m->s, box_part(t->x))) == NULL)
		return -ENOMEM;
	more = store_scan(t->x->m->s, box_part(t->x), key_slice(&t->next),
	    SLICE_LIT("v"), 0, tally_row, t);
	if (more >= 0 && t->damaged > 0)
		rc = store_commit_one(t->x->m->s, t->b);
	if (rc == 0)
		*removed += t->damaged;
	store_batch_free(&t->b);
	return rc != 0 ? rc : more;
}

static int
last_note(void *arg, struct slice key, struct slice val)
{
	(void)val;
	return buf_put_slice(arg, key) ? 1 : -ENOMEM;
}

/* The last key of a kind; empty: none. */
static int
last_key(struct box *x, const char *kind, const char *next, struct buf *out)
{
	int rc;

	buf_reset(out);
	rc = store_scan(x->m->s, box_part(x), slice_str(kind), slice_str(next),
	    STORE_SCAN_REVERSE | STORE_SCAN_KEYS, last_note, out);
	return rc > 0 ? 0 : rc;
}

static int
tally_all(struct tally *t, struct box *x, uint64_t *removed)
{
	struct buf key = BUF_INIT;
	int rc = 1;

	*t = (struct tally){ .x = x, .next = { "u", 1 } };
	while (rc == 1) {
		rc = tally_page(t, removed);
		(void)co_yield ();
	}
	/* Changes of messages that are gone have modseqs too. */
	if (rc == 0 && (rc = last_key(x, "c", "d", &key)) == 0 && key.n == 13 &&
	    get_be64(key.p + 1) > t->modseq_max)
		t->modseq_max = get_be64(key.p + 1);
	if (rc == 0 && (rc = last_key(x, "e", "f", &key)) == 0 && key.n == 5)
		t->sum.kept_next = get_be32(key.p + 1) + 1;
	buf_clear(&key);
	return rc;
}

/* --- its header --- */

/* A header of the rows, for one that is not there or cannot be read. Clients
 * are told by the UIDVALIDITY that they know nothing. */
static int
header_new(const struct tally *t, struct header *h)
{
	struct keywords k = { .n = 0 };
	int rc = keywords_read(t->x, &k);

	*h = t->sum;
	h->uidvalidity = (uint32_t)clock_wall_s();
	h->uidnext = t->uid_max + 1;
	h->recent_uid = h->uidnext;
	h->modseq = h->expunge_floor = t->modseq_max + 1;
	h->keywords = (uint32_t)k.n;
	keywords_clear(&k);
	return rc;
}

/* Sums as they are, in a header that is sound. False: there is nothing to do. */
static bool
header_correct(const struct tally *t, struct header *h)
{
	if (h->messages == t->sum.messages && h->unseen == t->sum.unseen &&
	    h->deleted == t->sum.deleted && h->octets == t->sum.octets &&
	    h->uidnext > t->uid_max && h->modseq >= t->modseq_max)
		return false;
	h->messages = t->sum.messages;
	h->unseen = t->sum.unseen;
	h->deleted = t->sum.deleted;
	h->octets = t->sum.octets;
	if (h->uidnext <= t->uid_max)
		h->uidnext = t->uid_max + 1;
	if (h->modseq < t->modseq_max)
		h->modseq = t->modseq_max;
	h->changes++;
	return true;
}

static int
header_put(struct box *x, struct slice old, const struct header *h,
    const char *account)
{
	struct store_batch *b = store_batch_new(x->m->s, box_part(x));
	char row[HEADER_ROW_MAX];
	size_t n = header_encode(row, h);
	int rc;

	if (b == NULL)
		return -ENOMEM;
	if (old.n > 0)
		store_guard(b, KEY_HEADER, old);
	else
		store_guard_absent(b, KEY_HEADER);
	store_put(b, KEY_HEADER, slice(row, n));
	store_put(b, KEY_OWNER, slice_str(account));
	rc = store_commit_one(x->m->s, b);
	store_batch_free(&b);
	x->known = false;
	store_notify(x->m->s, box_part(x));
	return rc;
}

/* 1: something was to be done, and is. */
static int
mend_attempt(struct rebuild *r, struct box *x, const char *account)
{
	struct buf old = BUF_INIT;
	struct header h;
	struct tally t;
	int rc = store_get(x->m->s, box_part(x), KEY_HEADER, &old);

	if (rc == 0 || rc == -ENOENT)
		rc = tally_all(&t, x, &r->out->rows);
	if (rc == 0 && header_decode(buf_slice(&old), &h) != 0)
		rc = header_new(&t, &h) == 0 ? 1 : -EIO;
	else if (rc == 0)
		rc = header_correct(&t, &h);
	if (rc == 1) {
		rc = header_put(x, buf_slice(&old), &h, account);
		rc = rc == 0 ? 1 : rc;
	}
	buf_clear(&old);
	return rc;
}

static void
tell(struct rebuild *r, const char *account, const char *name, uint64_t id,
    const char *what)
{
	r->told(r->arg,
	    &(struct mails_fault){ .account = account,
		.mailbox = name,
		.mailbox_id = id,
		.what = what });
}

static int
mend(struct rebuild *r, const char *account, const char *name, uint64_t id)
{
	struct box *x = box_get(r->m, id);
	unsigned attempts = 0;
	int rc = x == NULL ? -ENOMEM : 0;

	if (rc == 0)
		do
			rc = mend_attempt(r, x, account);
		while (try_again(rc, &attempts));
	if (rc == 1) {
		r->out->mailboxes++;
		tell(r, account, name, id, "counted anew by its messages");
		rc = moves_replay(x);
	}
	if (rc == 0 && (rc = keywords_mend(x)) == 1) {
		tell(r, account, name, id,
		    "the names of its keywords are lost: lost-1, lost-2, ...");
		rc = 0;
	}
	box_put(&x);
	return rc;
}

/* --- all of them --- */

static int
mend_account(struct rebuild *r, const char *account)
{
	struct arena a = ARENA_INIT_MAX((size_t)4 << 20);
	struct mails_info *infos;
	size_t n = 0;
	uint64_t inbox;
	int rc = names_mend(r->m, account, &r->out->rows);

	/* An account without one has lost its name; deliveries need one. */
	if (rc == 0)
		rc = names_find(r->m, account, SLICE_LIT("INBOX"), &inbox);
	if (rc == -ENOENT)
		rc = mails_create(r->m, account, SLICE_LIT("INBOX"), 0, &inbox);
	if (rc == 0)
		rc = mails_list(r->m, account, &a, &infos, &n);

	for (size_t i = 0; i < n && rc == 0; i++)
		if (infos[i].id != 0 && (infos[i].attrs & MAILS_NOSELECT) == 0)
			rc = mend(r, account, infos[i].name, infos[i].id);
	arena_reset(&a);
	return rc;
}

/* A name for one that has none: the first that is free. */
static int
adopt(struct rebuild *r, uint64_t id, const char *account)
{
	struct kept_box k = { .id = id, .attrs = MAILS_SUBSCRIBED };
	char name[40];
	int rc = -EEXIST;

	for (unsigned i = 1; i <= NAMES_TRIED && rc == -EEXIST; i++) {
		snprintf(name, sizeof(name), MAILS_RECOVERED "/%u", i);
		k.name = slice_str(name);
		rc = names_revive(r->m, account, &k);
	}
	if (rc == 0) {
		r->out->mailboxes++;
		tell(r, account, name, id, "had no name, and has this one now");
		rc = mend(r, account, name, id);
	}
	return rc;
}

static int
has_message(void *arg, struct slice key, struct slice val)
{
	(void)arg, (void)key, (void)val;
	return 1;
}

/* One that is empty may be on its way to a name, or to its end. */
static int
nameless(struct rebuild *r, uint64_t id)
{
	struct box *x = box_get(r->m, id);
	struct buf owner = BUF_INIT;
	int rc = x == NULL
	    ? -ENOMEM
	    : store_scan(r->m->s, box_part(x), SLICE_LIT("u"), SLICE_LIT("v"),
		  STORE_SCAN_KEYS, has_message, NULL);

	if (rc == 1) {
		rc = store_get(r->m->s, box_part(x), KEY_OWNER, &owner);
		if (rc == 0) {
			rc = adopt(r, id, buf_str(&owner));
		} else if (rc == -ENOENT) {
			tell(r, NULL, NULL, id, "nothing says whose it is");
			rc = 0;
		}
	} else if (rc == 0 && (rc = keywords_mend(x)) == 1) {
		rc = 0;
	}
	buf_clear(&owner);
	box_put(&x);
	return rc;
}

int
rebuild_boxes(struct rebuild *r)
{
	struct arena a = ARENA_INIT_MAX((size_t)256 << 20);
	struct census c = { .m = r->m };
	const char **accounts;
	size_t n;
	int rc = mails_accounts(r->m, &a, &accounts, &n);

	for (size_t i = 0; i < n && rc == 0; i++)
		rc = mend_account(r, accounts[i]);
	if (rc == 0)
		rc = census_take(&c);
	for (size_t i = 0; i < c.n_boxes && rc == 0; i++)
		if (!c.boxes[i].named)
			rc = nameless(r, c.boxes[i].id);
	census_clear(&c);
	arena_reset(&a);
	return rc;
}
