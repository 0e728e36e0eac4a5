/* SPDX-License-Identifier: ISC */
/* Rows and keys of a mailbox: fixed places, big-endian. */
#include "mailbox/mails/impl.h"

#define HEADER_VERSION 1
#define HEADER_ROW 69
#define HEADER_VERSION_KEPT 2 /* with kept_next, once it is not 0 */
#define ROW_VERSION 1
#define ROW_FRAMED 2 /* the same, the blob in frames */
#define ROW_SERVER 3 /* and sealed, the key behind it: wrap.h */
#define ROW_ACCOUNT 4
#define ROW_CLEAR 5

/* Writing and reading in turn. */
struct cursor {
	char *out;
	const char *in;
};

static void
w32(struct cursor *c, uint32_t v)
{
	put_be32(c->out, v);
	c->out += 4;
}

static void
w64(struct cursor *c, uint64_t v)
{
	put_be64(c->out, v);
	c->out += 8;
}

static uint32_t
r32(struct cursor *c)
{
	c->in += 4;
	return get_be32(c->in - 4);
}

static uint64_t
r64(struct cursor *c)
{
	c->in += 8;
	return get_be64(c->in - 8);
}

size_t
header_encode(char out[static HEADER_ROW_MAX], const struct header *h)
{
	struct cursor c = { .out = out + 1 };

	out[0] = h->kept_next == 0 ? HEADER_VERSION : HEADER_VERSION_KEPT;
	w32(&c, h->uidvalidity);
	w32(&c, h->uidnext);
	w64(&c, h->modseq);
	w32(&c, h->messages);
	w32(&c, h->unseen);
	w32(&c, h->deleted);
	w64(&c, h->octets);
	w64(&c, h->changes);
	w64(&c, h->expunge_floor);
	w32(&c, h->expunged);
	w32(&c, h->moved_in);
	w32(&c, h->recent_uid);
	w32(&c, h->keywords);
	if (h->kept_next != 0)
		w32(&c, h->kept_next);
	return (size_t)(c.out - out);
}

int
header_decode(struct slice in, struct header *h)
{
	struct cursor c = { .in = in.p + 1 };

	if (!(in.n == HEADER_ROW && in.p[0] == HEADER_VERSION) &&
	    !(in.n == HEADER_ROW_MAX && in.p[0] == HEADER_VERSION_KEPT))
		return -EIO;
	h->uidvalidity = r32(&c);
	h->uidnext = r32(&c);
	h->modseq = r64(&c);
	h->messages = r32(&c);
	h->unseen = r32(&c);
	h->deleted = r32(&c);
	h->octets = r64(&c);
	h->changes = r64(&c);
	h->expunge_floor = r64(&c);
	h->expunged = r32(&c);
	h->moved_in = r32(&c);
	h->recent_uid = r32(&c);
	h->keywords = r32(&c);
	h->kept_next = in.p[0] == HEADER_VERSION ? 0 : r32(&c);
	return 0;
}

static const enum wrap_kind row_wraps[] = { [ROW_VERSION] = WRAP_NONE,
	[ROW_FRAMED] = WRAP_NONE,
	[ROW_SERVER] = WRAP_SERVER,
	[ROW_ACCOUNT] = WRAP_ACCOUNT,
	[ROW_CLEAR] = WRAP_CLEAR };

static char
row_version(const struct row *r)
{
	return r->wrap.kind == WRAP_SERVER   ? ROW_SERVER
	    : r->wrap.kind == WRAP_ACCOUNT   ? ROW_ACCOUNT
	    : r->wrap.kind == WRAP_CLEAR     ? ROW_CLEAR
	    : r->framed                      ? ROW_FRAMED
					     : ROW_VERSION;
}

size_t
row_encode(char out[static MESSAGE_ROW_MAX], const struct row *r)
{
	struct cursor c = { .out = out + 1 };
	size_t n = wrap_octets(r->wrap.kind);

	out[0] = row_version(r);
	w32(&c, r->flags.system);
	w64(&c, r->flags.keywords);
	w64(&c, r->modseq);
	w64(&c, (uint64_t)r->internaldate);
	w64(&c, (uint64_t)r->savedate);
	w64(&c, r->size);
	memcpy(c.out, r->blob.octets, sizeof(r->blob.octets));
	c.out += sizeof(r->blob.octets);
	w64(&c, r->token);
	memcpy(c.out, r->wrap.octets, n);
	return MESSAGE_ROW + n;
}

int
row_decode_head(struct slice in, struct row *r, size_t *used)
{
	struct cursor c = { .in = in.p + 1 };
	size_t n;

	if (in.n < MESSAGE_ROW || in.p[0] < ROW_VERSION ||
	    in.p[0] > ROW_CLEAR)
		return -EIO;
	r->framed = in.p[0] != ROW_VERSION;
	r->wrap = (struct wrap){ .kind = row_wraps[(int)in.p[0]] };
	n = wrap_octets(r->wrap.kind);
	if (in.n < MESSAGE_ROW + n)
		return -EIO;
	r->flags.system = r32(&c);
	r->flags.keywords = r64(&c);
	r->modseq = r64(&c);
	r->internaldate = (int64_t)r64(&c);
	r->savedate = (int64_t)r64(&c);
	r->size = r64(&c);
	memcpy(r->blob.octets, c.in, sizeof(r->blob.octets));
	c.in += sizeof(r->blob.octets);
	r->token = r64(&c);
	memcpy(r->wrap.octets, c.in, n);
	*used = MESSAGE_ROW + n;
	return 0;
}

int
row_decode(struct slice in, struct row *r)
{
	size_t used;
	int rc = row_decode_head(in, r, &used);

	return rc == 0 && used != in.n ? -EIO : rc;
}

struct key
key_uid(char kind, uint32_t uid)
{
	struct key k = { .n = 5 };

	k.octets[0] = kind;
	put_be32(k.octets + 1, uid);
	return k;
}

struct key
key_change(uint64_t modseq, uint32_t uid)
{
	struct key k = { .n = 13 };

	k.octets[0] = 'c';
	put_be64(k.octets + 1, modseq);
	put_be32(k.octets + 9, uid);
	return k;
}

struct key
key_token(char kind, uint64_t token)
{
	struct key k = { .n = 9 };

	k.octets[0] = kind;
	put_be64(k.octets + 1, token);
	return k;
}
