/* SPDX-License-Identifier: ISC */
/*
 * For which address a message came in, by its Message-ID: an account that
 * answers as the address that was written to asks for it.
 *
 * Partition "w<account>", one row per bucket of the hash:
 *   w<2 octets>    entries, oldest first: 8 octets of the hash, seconds (4),
 *                  length of what follows (4), the address
 *   W<2 octets>    where mail of the account is sealed: a keyed digest of the
 *                  hash in its place; tag, address and an octet, sealed
 *                  (name_seal.h)
 *
 * The tag is the first 10 octets of the Message-ID's SHA-256, 2 of them for the
 * bucket. A bucket holds BUCKET_MAX entries, and those that are too old go when
 * it is changed; so it is bounded without anybody who tidies up.
 */
#include <openssl/evp.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "mailbox/mails/impl.h"
#include "mailbox/mails/name_seal.h"

#define BUCKET_MAX 4
#define ENTRY_HEAD 16
#define ADDRESS_OCTETS_MAX 320
#define TAG 10
#define KEY 3
#define HASH (TAG - 2)
#define ABOUT (KEY + 12)
#define CONVERT_STEP 64 /* rows that are looked at at a time */

/* An account's. */
struct origins {
	struct mails *m;
	struct buf part;
	struct name_sealer sealer;
};

/* Where an entry stands, in one of the forms. */
struct place {
	bool sealed;
	char key[KEY];
	char hash[HASH];
};

struct origin {
	char tag[TAG];
	int64_t time_s;
	struct slice address;
};

struct entry_at {
	size_t at, n; /* in the row */
	int64_t time_s;
	struct slice hash, text;
};

static int
origins_init(struct origins *o, struct mails *m, const char *account)
{
	*o = (struct origins){ .m = m, .part = BUF_INIT_MAX(512) };
	buf_put_char(&o->part, 'w');
	buf_put_str(&o->part, account);
	return o->part.failed ? -EINVAL
			      : name_sealer_init(&o->sealer, m, account);
}

static void
origins_clear(struct origins *o)
{
	name_sealer_wipe(&o->sealer);
	buf_clear(&o->part);
}

static int
tag_make(char tag[static TAG], struct slice message_id)
{
	unsigned char md[EVP_MAX_MD_SIZE];

	if (EVP_Digest(
		message_id.p, message_id.n, md, NULL, EVP_sha256(), NULL) != 1)
		return -ENOMEM;
	memcpy(tag, md, TAG);
	return 0;
}

static int
place_make(const struct origins *o, const char tag[static TAG], bool sealed,
    struct place *p)
{
	unsigned char digest[NAME_DIGEST];
	char name[1 + TAG] = { '\1' }; /* no mailbox has such a name */
	int rc;

	memcpy(name + 1, tag, TAG);
	p->sealed = sealed;
	p->key[0] = sealed ? 'W' : 'w';
	memcpy(p->key + 1, tag, TAG - HASH);
	memcpy(p->hash, tag + TAG - HASH, HASH);
	if (!sealed)
		return 0;
	if ((rc = name_digest(&o->sealer, slice(name, sizeof(name)), digest)) !=
	    0)
		return rc;
	memcpy(p->key + 1, digest, TAG - HASH);
	memcpy(p->hash, digest + TAG - HASH, HASH);
	return 0;
}

/* --- entries --- */

/* The entry at `at`; false at the end, and where the row is damaged. */
static bool
entry_get(struct slice row, size_t at, struct entry_at *out)
{
	const char *p = row.p + at;
	size_t n;

	if (at + ENTRY_HEAD > row.n)
		return false;
	n = get_be32(p + 12);
	if (n > row.n - at - ENTRY_HEAD)
		return false;
	*out = (struct entry_at){ .at = at,
		.n = ENTRY_HEAD + n,
		.time_s = get_be32(p + 8),
		.hash = slice(p, HASH),
		.text = slice(p + ENTRY_HEAD, n) };
	return true;
}

static bool
is_old(const struct entry_at *e, int64_t now_s)
{
	return now_s - e->time_s > (int64_t)MAILS_ORIGIN_DAYS * 86400;
}

static struct slice
about_make(char out[static ABOUT], const char *key, const char *head)
{
	memcpy(out, key, KEY);
	memcpy(out + KEY, head, 12);
	return slice(out, ABOUT);
}

static int
put_entry(struct buf *out, struct origins *o, const struct place *p,
    const struct origin *new)
{
	struct buf plain = BUF_INIT, text = BUF_INIT;
	char head[ENTRY_HEAD], about[ABOUT];
	int rc = 0;

	memcpy(head, p->hash, HASH);
	put_be32(head + 8, (uint32_t) new->time_s);
	if (p->sealed) {
		buf_put(&plain, new->tag, TAG);
		buf_put_slice(&plain, new->address);
		buf_put_char(&plain, '\1'); /* so that it ends with no NUL */
		rc = plain.failed
		    ? -ENOMEM
		    : name_seal(&o->sealer, about_make(about, p->key, head),
			  buf_slice(&plain), &text);
	} else {
		buf_put_slice(&text, new->address);
	}
	put_be32(head + 12, (uint32_t)text.n);
	buf_put(out, head, sizeof(head));
	buf_put_slice(out, buf_slice(&text));
	buf_clear(&plain);
	buf_clear(&text);
	return rc == 0 && out->failed ? -ENOMEM : rc;
}

/* What an entry says, in `room`. */
static int
entry_open(struct origins *o, const char key[static KEY],
    const struct entry_at *e, struct origin *out, struct buf *room)
{
	char about[ABOUT], head[12];
	int rc;

	out->time_s = e->time_s;
	buf_reset(room);
	if (key[0] == 'w') {
		memcpy(out->tag, key + 1, TAG - HASH);
		memcpy(out->tag + TAG - HASH, e->hash.p, HASH);
		buf_put_slice(room, e->text);
		out->address = buf_slice(room);
		return room->failed ? -ENOMEM : 0;
	}
	memcpy(head, e->hash.p, HASH);
	put_be32(head + 8, (uint32_t)e->time_s);
	rc = name_open(&o->sealer, about_make(about, key, head), e->text, room);
	if (rc == 0 && room->n < TAG + 1)
		rc = -EBADMSG;
	if (rc == 0) {
		memcpy(out->tag, room->p, TAG);
		out->address = slice(room->p + TAG, room->n - TAG - 1);
	}
	return rc;
}

/* What stays of the row, and the new entry behind it. 1: it is there, and not
 * older. */
static int
row_with(struct slice row, struct origins *o, const struct place *p,
    const struct origin *new, int64_t now_s, struct buf *out)
{
	struct entry_at e, keep[BUCKET_MAX];
	size_t n = 0;

	for (size_t at = 0; entry_get(row, at, &e); at += e.n) {
		bool same = slice_eq(e.hash, slice(p->hash, HASH));

		if (same && e.time_s > new->time_s)
			return 1;
		if (is_old(&e, now_s) || same)
			continue;
		if (n == BUCKET_MAX - 1) {
			memmove(keep, keep + 1, (n - 1) * sizeof(keep[0]));
			n--;
		}
		keep[n++] = e;
	}
	for (size_t i = 0; i < n; i++)
		buf_put(out, row.p + keep[i].at, keep[i].n);
	return put_entry(out, o, p, new);
}

/* --- putting and getting --- */

static int
put_attempt(struct origins *o, const struct place *p, const struct origin *new,
    int64_t now_s)
{
	struct slice part = buf_slice(&o->part), key = slice(p->key, KEY);
	struct buf old = BUF_INIT, row = BUF_INIT;
	struct store_batch *b = store_batch_new(o->m->s, part);
	int rc = b == NULL ? -ENOMEM : store_get(o->m->s, part, key, &old);

	if (rc == 0)
		store_guard(b, key, buf_slice(&old));
	else if (rc == -ENOENT)
		store_guard_absent(b, key);
	if (rc == 0 || rc == -ENOENT)
		rc = row_with(buf_slice(&old), o, p, new, now_s, &row);
	if (rc == 0) {
		store_put(b, key, buf_slice(&row));
		rc = store_commit_one(o->m->s, b);
	}
	store_batch_free(&b);
	buf_clear(&old);
	buf_clear(&row);
	return rc == 1 ? 0 : rc;
}

/* In the form that is to be. */
static int
origin_put(struct origins *o, const struct origin *new, int64_t now_s)
{
	unsigned attempts = 0;
	struct place p;
	int rc = o->sealer.write_rc;

	if (rc == 0)
		rc = place_make(o, new->tag, o->sealer.seals, &p);
	while (rc == 0) {
		rc = put_attempt(o, &p, new, now_s);
		if (!try_again(rc, &attempts))
			break;
		rc = 0;
	}
	return rc;
}

int
mails_origin_put(struct mails *m, const char *account, struct slice message_id,
    struct slice address, int64_t now_s)
{
	struct origin new = { .time_s = now_s, .address = address };
	struct origins o;
	int rc = origins_init(&o, m, account);

	if (rc == 0 && address.n > ADDRESS_OCTETS_MAX)
		rc = -EINVAL;
	if (rc == 0 && (rc = tag_make(new.tag, message_id)) == 0)
		rc = origin_put(&o, &new, now_s);
	origins_clear(&o);
	return mails_error(rc);
}

/* The address, if it is there in this form and not older than *time_s. */
static int
get_as(struct origins *o, const char tag[static TAG], bool sealed,
    int64_t now_s, int64_t *time_s, struct buf *address)
{
	struct buf row = BUF_INIT, room = BUF_INIT;
	struct origin got;
	struct entry_at e;
	struct place p;
	int rc = place_make(o, tag, sealed, &p);

	if (rc == 0)
		rc = store_get(
		    o->m->s, buf_slice(&o->part), slice(p.key, KEY), &row);
	for (size_t at = 0; rc == 0 && entry_get(buf_slice(&row), at, &e);
	     at += e.n) {
		if (!slice_eq(e.hash, slice(p.hash, HASH)) ||
		    is_old(&e, now_s) || e.time_s < *time_s ||
		    entry_open(o, p.key, &e, &got, &room) != 0)
			continue;
		*time_s = e.time_s;
		buf_reset(address);
		if (!buf_put_slice(address, got.address))
			rc = -ENOMEM;
	}
	buf_clear(&room);
	buf_clear(&row);
	return rc == -ENOENT ? 0 : rc;
}

int
mails_origin_get(struct mails *m, const char *account, struct slice message_id,
    int64_t now_s, struct buf *address)
{
	struct buf found = BUF_INIT;
	int64_t time_s = -1;
	struct origins o;
	char tag[TAG];
	int rc = origins_init(&o, m, account);

	if (rc == 0)
		rc = tag_make(tag, message_id);
	if (rc == 0)
		rc = get_as(&o, tag, false, now_s, &time_s, &found);
	if (rc == 0 && o.sealer.opens)
		rc = get_as(&o, tag, true, now_s, &time_s, &found);
	if (rc == 0 && time_s < 0)
		rc = -ENOENT;
	if (rc == 0 && !buf_put_slice(address, buf_slice(&found)))
		rc = -ENOMEM;
	buf_clear(&found);
	origins_clear(&o);
	return mails_error(rc);
}

int
origins_drop(struct mails *m, const char *account)
{
	struct buf part = BUF_INIT_MAX(512);
	int rc;

	buf_put_char(&part, 'w');
	buf_put_str(&part, account);
	rc = part.failed ? -EINVAL
			 : store_partition_drop(m->s, buf_slice(&part));
	buf_clear(&part);
	return rc;
}

/* --- in which form they are stored --- */

struct wrong_rows {
	bool seals;
	size_t n;
	struct {
		char key[KEY];
		struct buf row;
	} v[CONVERT_STEP];
};

static int
wrong_row(void *arg, struct slice key, struct slice val)
{
	struct wrong_rows *w = arg;

	if (key.n != KEY || (key.p[0] == 'W') == w->seals)
		return 0;
	memcpy(w->v[w->n].key, key.p, KEY);
	if (!buf_put_slice(&w->v[w->n++].row, val))
		return -ENOMEM;
	return w->n == CONVERT_STEP;
}

static int
row_remove(struct origins *o, struct slice key, struct slice was)
{
	struct store_batch *b = store_batch_new(o->m->s, buf_slice(&o->part));
	int rc = b == NULL ? -ENOMEM : 0;

	if (rc == 0) {
		store_guard(b, key, was);
		store_del(b, key);
		rc = store_commit_one(o->m->s, b);
	}
	store_batch_free(&b);
	/* Changed meanwhile: in the next round. */
	return rc == STORE_ECONFLICT || rc == STORE_EUNKNOWN ? 0 : rc;
}

/* Its entries to where they are to be, then the row goes. What is too old or
 * does not open goes with it. */
static int
row_convert(struct origins *o, const char key[static KEY], struct slice row,
    int64_t now)
{
	struct buf room = BUF_INIT;
	struct origin got;
	struct entry_at e;
	int rc = 0;

	for (size_t at = 0; rc == 0 && entry_get(row, at, &e); at += e.n) {
		if (is_old(&e, now))
			continue;
		rc = entry_open(o, key, &e, &got, &room);
		if (rc == 0)
			rc = origin_put(o, &got, now);
		else if (rc == -EBADMSG)
			rc = 0;
	}
	buf_clear(&room);
	return rc == 0 ? row_remove(o, slice(key, KEY), row) : rc;
}

int
origins_convert(struct mails *m, const char *account)
{
	struct wrong_rows *w = calloc(1, sizeof(*w));
	struct origins o;
	int rc = origins_init(&o, m, account);

	if (rc == 0)
		rc = w == NULL ? -ENOMEM : o.sealer.write_rc;
	do {
		if (rc != 0)
			break;
		w->seals = o.sealer.seals;
		w->n = 0;
		rc = store_scan(m->s, buf_slice(&o.part), SLICE_EMPTY,
		    SLICE_EMPTY, 0, wrong_row, w);
		rc = rc > 0 ? 0 : rc;
		for (size_t i = 0; i < w->n; i++) {
			if (rc == 0)
				rc = row_convert(&o, w->v[i].key,
				    buf_slice(&w->v[i].row), clock_wall_s());
			buf_clear(&w->v[i].row);
		}
	} while (rc == 0 && w->n > 0);
	free(w);
	origins_clear(&o);
	return rc;
}
