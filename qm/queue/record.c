/* SPDX-License-Identifier: ISC */
/* Rows of the queue as octets. */
#include "qm/queue/record.h"

#include <string.h>

#include "qm/queue/internal.h"

/* The first has nothing behind the texts, the second wishes. */
#define MESSAGE_VERSION 1
#define MESSAGE_VERSION_WISHES 2
#define RCPT_VERSION 1

/* --- keys --- */

static void
key_put(struct record_key *k, const void *p, size_t n)
{
	memcpy(k->octets + k->n, p, n);
	k->n += n;
}

struct record_key
record_part(unsigned slice)
{
	static const char hex[] = "0123456789ABCDEF";
	struct record_key k = { .octets = "q.", .n = 2 };

	k.octets[k.n++] = hex[slice >> 4 & 15];
	k.octets[k.n++] = hex[slice & 15];
	return k;
}

struct record_key
record_message_key(const char *id)
{
	struct record_key k = { .octets = "m", .n = 1 };

	key_put(&k, id, QUEUE_ID_LEN);
	return k;
}

struct record_key
record_rcpt_key(const char *id, uint32_t index)
{
	struct record_key k = { .octets = "r", .n = 1 };

	key_put(&k, id, QUEUE_ID_LEN);
	put_be32(k.octets + k.n, index);
	k.n += 4;
	return k;
}

struct record_key
record_rcpt_end(const char *id)
{
	struct record_key k = record_rcpt_key(id, UINT32_MAX);

	k.octets[k.n++] = '\0';
	return k;
}

struct record_key
record_due_key(int64_t due_ms, const char *id)
{
	struct record_key k = { .octets = "d", .n = 1 };

	put_be64(k.octets + k.n, due_ms < 0 ? 0 : (uint64_t)due_ms);
	k.n += 8;
	key_put(&k, id, QUEUE_ID_LEN);
	return k;
}

struct record_key
record_due_end(int64_t due_ms)
{
	struct record_key k = { .octets = "d", .n = 1 };

	put_be64(k.octets + k.n, (uint64_t)due_ms + 1);
	k.n += 8;
	return k;
}

bool
record_due_parse(
    struct slice key, int64_t *due_ms, char id[static QUEUE_ID_LEN + 1])
{
	if (key.n != RECORD_DUE_LEN || key.p[0] != 'd')
		return false;
	*due_ms = (int64_t)get_be64(key.p + 1);
	memcpy(id, key.p + 9, QUEUE_ID_LEN);
	id[QUEUE_ID_LEN] = '\0';
	return true;
}

bool
record_message_parse(struct slice key, char id[static QUEUE_ID_LEN + 1])
{
	if (key.n != RECORD_MESSAGE_LEN || key.p[0] != 'm')
		return false;
	memcpy(id, key.p + 1, QUEUE_ID_LEN);
	id[QUEUE_ID_LEN] = '\0';
	return true;
}

/* --- texts and numbers --- */

static void
put_u8(struct buf *b, unsigned v)
{
	buf_put_char(b, (char)(unsigned char)v);
}

static void
put_text(struct buf *b, struct slice s)
{
	s = slice_head(s, UINT16_MAX);
	put_u8(b, (unsigned)(s.n >> 8));
	put_u8(b, (unsigned)(s.n & 255));
	buf_put_slice(b, s);
}

/* What is left of a row; `bad` once it was too short. */
struct reader {
	struct slice rest;
	bool bad, nomem;
};

static const char *
take(struct reader *r, size_t n)
{
	static const char zero[16];
	const char *p = r->rest.p;

	if (r->rest.n < n) {
		r->bad = true;
		return zero;
	}
	r->rest = slice_from(r->rest, n);
	return p;
}

static unsigned
take_u8(struct reader *r)
{
	return *(const unsigned char *)take(r, 1);
}

static struct slice
take_text(struct reader *r, struct arena *a)
{
	size_t n = (size_t)take_u8(r) << 8;
	struct slice s;

	n |= take_u8(r);
	if (r->bad || r->rest.n < n) {
		r->bad = true;
		return SLICE_EMPTY;
	}
	s = arena_dup(a, slice_head(r->rest, n));
	r->rest = slice_from(r->rest, n);
	if (s.p == NULL) {
		r->nomem = true;
		return SLICE_EMPTY;
	}
	return s;
}

static int
reader_end(const struct reader *r)
{
	if (r->nomem)
		return -ENOMEM;
	return r->bad || r->rest.n > 0 ? -EIO : 0;
}

/*
 * --- wishes ---
 *
 * Each a tag, two octets of length and a value; tags ascend, and what was not
 * wished is not there, so that a row can be written in one way only. A tag
 * that is not known is a row of a newer program, which had better not be
 * guessed at: it may forbid just what we would do.
 */
enum wish { WISH_HOLD = 1, WISH_PRIORITY = 2, WISH_BY = 3, WISH_TLS = 4,
	WISH_OUTSIDE = 5 };

static bool
has_wishes(const struct smtp_wishes *w)
{
	return w->hold.n > 0 || w->has_priority || w->by_mode != '\0' ||
	    w->requiretls || w->outside;
}

static void
put_wishes(struct buf *b, const struct smtp_wishes *w)
{
	if (w->hold.n > 0) {
		put_u8(b, WISH_HOLD);
		put_u8(b, 0);
		put_u8(b, (unsigned)(8 + w->hold.n));
		buf_put_be64(b, (uint64_t)w->release_ms);
		buf_put_slice(b, w->hold);
	}
	if (w->has_priority) {
		put_u8(b, WISH_PRIORITY);
		put_u8(b, 0);
		put_u8(b, 1);
		put_u8(b, (unsigned)(w->priority + 9));
	}
	if (w->by_mode != '\0') {
		put_u8(b, WISH_BY);
		put_u8(b, 0);
		put_u8(b, 10);
		buf_put_be64(b, (uint64_t)w->by_ms);
		put_u8(b, (unsigned)w->by_mode);
		put_u8(b, w->by_trace);
	}
	if (w->requiretls) {
		put_u8(b, WISH_TLS);
		put_u8(b, 0);
		put_u8(b, 0);
	}
	if (w->outside) {
		put_u8(b, WISH_OUTSIDE);
		put_u8(b, 0);
		put_u8(b, 0);
	}
}

static bool
take_wish(unsigned tag, struct slice value, struct smtp_wishes *w)
{
	struct reader r = { .rest = value };
	unsigned trace;

	switch (tag) {
	case WISH_HOLD:
		w->release_ms = (int64_t)get_be64(take(&r, 8));
		w->hold = r.rest;
		return !r.bad && w->hold.n > 0 && value.n < 256;
	case WISH_PRIORITY:
		w->priority = (int)take_u8(&r) - 9;
		w->has_priority = true;
		return !r.bad && r.rest.n == 0 && w->priority <= 9;
	case WISH_BY:
		w->by_ms = (int64_t)get_be64(take(&r, 8));
		w->by_mode = (char)take_u8(&r);
		trace = take_u8(&r);
		w->by_trace = trace == 1;
		return !r.bad && r.rest.n == 0 && trace <= 1 &&
		    (w->by_mode == 'R' || w->by_mode == 'N');
	case WISH_TLS:
		w->requiretls = true;
		return value.n == 0;
	case WISH_OUTSIDE:
		w->outside = true;
		return value.n == 0;
	default:
		return false;
	}
}

static void
take_wishes(struct reader *r, struct arena *a, struct smtp_wishes *w)
{
	unsigned last = 0;

	do {
		unsigned tag = take_u8(r);
		struct slice value = take_text(r, a);

		if (r->bad || r->nomem)
			return;
		r->bad = tag <= last || !take_wish(tag, value, w);
		last = tag;
	} while (!r->bad && r->rest.n > 0);
}

/* --- messages --- */

bool
record_message_put(struct buf *b, const struct queue_message *m)
{
	put_u8(b,
	    has_wishes(&m->wishes) ? MESSAGE_VERSION_WISHES : MESSAGE_VERSION);
	put_u8(b, m->flags);
	put_u8(b, m->body);
	put_u8(b, m->ret);
	buf_put_be64(b, (uint64_t)m->arrival_ms);
	buf_put_be64(b, (uint64_t)m->due_ms);
	buf_put_be64(b, m->size);
	buf_put(b, m->blob.octets, sizeof(m->blob.octets));
	buf_put_be32(b, m->attempts);
	buf_put_be32(b, m->next_index);
	put_text(b, m->from);
	put_text(b, m->envid);
	put_text(b, m->trace);
	put_wishes(b, &m->wishes);
	return !b->failed;
}

int
record_message_get(struct queue_message *m, struct slice row)
{
	struct reader r = { .rest = row };
	unsigned version = take_u8(&r);

	if (version != MESSAGE_VERSION && version != MESSAGE_VERSION_WISHES)
		return -EIO;
	m->flags = take_u8(&r);
	m->body = take_u8(&r);
	m->ret = take_u8(&r);
	m->arrival_ms = (int64_t)get_be64(take(&r, 8));
	m->due_ms = (int64_t)get_be64(take(&r, 8));
	m->size = get_be64(take(&r, 8));
	memcpy(m->blob.octets, take(&r, sizeof(m->blob.octets)),
	    sizeof(m->blob.octets));
	m->attempts = get_be32(take(&r, 4));
	m->next_index = get_be32(take(&r, 4));
	m->from = take_text(&r, &m->arena);
	m->envid = take_text(&r, &m->arena);
	m->trace = take_text(&r, &m->arena);
	if (version == MESSAGE_VERSION_WISHES)
		take_wishes(&r, &m->arena, &m->wishes);
	return reader_end(&r);
}

/* --- recipients --- */

bool
record_rcpt_put(struct buf *b, const struct queue_rcpt *r)
{
	put_u8(b, RCPT_VERSION);
	put_u8(b, r->state);
	put_u8(b, r->notify);
	put_u8(b, r->expansions);
	buf_put_be64(b, (uint64_t)r->attempted_s);
	put_text(b, r->address);
	put_text(b, r->orcpt);
	put_text(b, slice_str(r->status));
	put_text(b, r->diagnostic);
	put_text(b, r->remote);
	return !b->failed;
}

int
record_rcpt_get(struct queue_message *m, struct slice key, struct slice row)
{
	struct reader in = { .rest = row };
	struct queue_rcpt r = { .in_store = true }, *added;
	struct slice status;
	unsigned state;

	if (key.n != RECORD_RCPT_LEN || take_u8(&in) != RCPT_VERSION)
		return -EIO;
	r.index = get_be32(key.p + 1 + QUEUE_ID_LEN);
	state = take_u8(&in);
	r.notify = take_u8(&in);
	r.expansions = take_u8(&in);
	r.attempted_s = (int64_t)get_be64(take(&in, 8));
	r.address = take_text(&in, &m->arena);
	r.orcpt = take_text(&in, &m->arena);
	status = take_text(&in, &m->arena);
	r.diagnostic = take_text(&in, &m->arena);
	r.remote = take_text(&in, &m->arena);
	if (reader_end(&in) != 0)
		return reader_end(&in);
	if (state >= QUEUE_DONE || status.n >= sizeof(r.status))
		return -EIO;
	r.state = (enum queue_rcpt_state)state;
	memcpy(r.status, status.p, status.n);
	if ((added = queue_message_slot(m)) == NULL)
		return -ENOMEM;
	*added = r;
	return 0;
}
