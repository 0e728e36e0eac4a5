/* SPDX-License-Identifier: ISC */
/* Mailboxes in use in this process, and guarded changes of them. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "mailbox/mails/index_impl.h"

#define ATTEMPTS_MAX 200
#define ATTEMPTS_AT_ONCE 4 /* then with growing pauses */

struct box *
box_get(struct mails *m, uint64_t id)
{
	struct box **bucket = &m->boxes[id % BOXES], *x = *bucket;

	while (x != NULL && x->id != id)
		x = x->next;
	if (x == NULL) {
		if ((x = calloc(1, sizeof(*x))) == NULL)
			return NULL;
		x->m = m;
		x->id = id;
		snprintf(x->part, sizeof(x->part), "m%016llx",
		    (unsigned long long)id);
		x->next = *bucket;
		*bucket = x;
	}
	x->users++;
	return x;
}

void
box_put(struct box **out)
{
	struct box *x = *out, **at;

	*out = NULL;
	if (x == NULL || --x->users > 0)
		return;
	for (at = &x->m->boxes[x->id % BOXES]; *at != x; at = &(*at)->next)
		;
	*at = x->next;
	free(x->account);
	free(x);
}

int
box_read(struct box *x, struct header *h)
{
	struct buf row = BUF_INIT;
	int rc = store_get(x->m->s, box_part(x), KEY_HEADER, &row);

	if (rc == 0)
		rc = header_decode(buf_slice(&row), h);
	buf_clear(&row);
	return rc;
}

int
box_know(struct box *x)
{
	struct header h;
	int rc;

	if (x->known)
		return 0;
	if ((rc = box_read(x, &h)) != 0)
		return rc;
	/* While we waited, another may have read it, and gone on. */
	if (!x->known) {
		x->h = h;
		x->known = true;
	}
	return 0;
}

int
box_account(struct box *x, const char **out)
{
	struct buf name = BUF_INIT;
	int rc = 0;

	if (x->account == NULL)
		rc = store_get(x->m->s, box_part(x), KEY_OWNER, &name);
	/* While we waited, another may have read it. */
	if (rc == 0 && x->account == NULL &&
	    (x->account = slice_strdup(buf_slice(&name))) == NULL)
		rc = -ENOMEM;
	*out = x->account;
	buf_clear(&name);
	return rc;
}

int
change_begin(struct change *c, struct box *x)
{
	int rc;

	*c = (struct change){ .x = x };
	if ((rc = box_know(x)) != 0)
		return rc;
	if ((c->b = store_batch_new(x->m->s, box_part(x))) == NULL)
		return -ENOMEM;
	c->h = c->old = x->h;
	return 0;
}

void
change_seal(struct change *c)
{
	char row[HEADER_ROW_MAX];
	size_t n;

	assert(c->x->known && c->old.changes == c->x->h.changes);
	n = header_encode(row, &c->old);
	store_guard(c->b, KEY_HEADER, slice(row, n));
	c->h.changes++;
	n = header_encode(row, &c->h);
	store_put(c->b, KEY_HEADER, slice(row, n));
	c->x->h = c->h;
}

int
change_end(struct change *c, int rc)
{
	store_batch_free(&c->b);
	/* In doubt it may be done, and nobody may tell later. */
	if (rc == 0 || rc == STORE_EUNKNOWN)
		store_notify(c->x->m->s, box_part(c->x));
	if (rc == 0) {
		index_note(c->x, &c->old, &c->h);
	} else {
		c->x->known = false;
	}
	return rc;
}

void
change_abort(struct change *c)
{
	store_batch_free(&c->b);
}

int
change_commit(struct change *c)
{
	change_seal(c);
	return change_end(c, store_commit_one(c->x->m->s, c->b));
}

int
box_conflict(struct box *x)
{
	x->known = false;
	return STORE_ECONFLICT;
}

bool
try_again(int rc, unsigned *attempts)
{
	unsigned over;

	if (rc != STORE_ECONFLICT && rc != STORE_EUNKNOWN)
		return false;
	if (++*attempts > ATTEMPTS_MAX)
		return false;
	if (*attempts > ATTEMPTS_AT_ONCE) {
		over = *attempts - ATTEMPTS_AT_ONCE;
		(void)co_sleep(1 + random_below(1u << (over < 6 ? over : 6)));
	}
	return true;
}

int
mails_error(int rc)
{
	return rc == STORE_EUNKNOWN || rc == -EROFS ? -EAGAIN : rc;
}

/* --- rows --- */

int
row_get(struct box *x, uint32_t uid, struct row *r)
{
	struct key k = key_uid('u', uid);
	struct buf row = BUF_INIT;
	int rc = store_get(x->m->s, box_part(x), key_slice(&k), &row);

	if (rc == 0)
		rc = row_decode(buf_slice(&row), r);
	buf_clear(&row);
	return rc;
}

void
put_row(struct store_batch *b, uint32_t uid, const struct row *r)
{
	struct key k = key_uid('u', uid);
	char row[MESSAGE_ROW_MAX];
	size_t n = row_encode(row, r);

	store_put(b, key_slice(&k), slice(row, n));
}

void
guard_row(struct store_batch *b, uint32_t uid, const struct row *r)
{
	struct key k = key_uid('u', uid);
	char row[MESSAGE_ROW_MAX];
	size_t n = row_encode(row, r);

	store_guard(b, key_slice(&k), slice(row, n));
}

void
box_count(struct header *h, const struct row *r, int by)
{
	uint32_t one = (uint32_t)by;

	h->messages += one;
	if ((r->flags.system & MAILS_SEEN) == 0)
		h->unseen += one;
	if (r->flags.system & MAILS_DELETED)
		h->deleted += one;
	h->octets += by > 0 ? r->size : -r->size;
}
