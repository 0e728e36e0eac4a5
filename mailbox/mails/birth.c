/* SPDX-License-Identifier: ISC */
#include "mailbox/mails/birth.h"

#include <errno.h>

#define MAGIC "\x8ePNB"

/* --- writing --- */

/* One that is too long is none that any row could have. */
static void
field_put(struct buf *out, char kind, struct slice value)
{
	if (value.n > UINT16_MAX)
		return;
	buf_put_char(out, kind);
	buf_put_char(out, (char)(value.n >> 8));
	buf_put_char(out, (char)value.n);
	buf_put_slice(out, value);
}

static void
fields_put(struct buf *out, const struct birth *b)
{
	char number[8];

	field_put(out, 'a', b->account);
	if (b->mailbox.n > 0 && !slice_eq(b->mailbox, SLICE_LIT("INBOX")))
		field_put(out, 'm', b->mailbox);
	put_be64(number, (uint64_t)b->internaldate);
	field_put(out, 'd', slice(number, 8));
	put_be32(number, b->flags);
	if (b->flags != 0)
		field_put(out, 'f', slice(number, 4));
	for (size_t i = 0; i < b->n_keywords; i++)
		field_put(out, 'k', b->keywords[i]);
	if (b->wrap.n > 0)
		field_put(out, 'w', b->wrap);
}

bool
birth_put(struct buf *out, const struct birth *b)
{
	size_t at = out->n, n;

	buf_put(out, "\0", 2);
	fields_put(out, b);
	if (out->failed)
		return false;
	n = out->n - at - 2;
	if (n > UINT16_MAX || out->n + BIRTH_TAIL > BIRTH_MAX) {
		buf_truncate(out, at);
		return true;
	}
	out->p[at] = (char)(n >> 8);
	out->p[at + 1] = (char)n;
	return true;
}

bool
birth_end(struct buf *out)
{
	if (out->n == 0)
		return true;
	buf_put(out, MAGIC, 4);
	return buf_put_be32(out, (uint32_t)out->n + 4);
}

/* --- reading --- */

size_t
birth_octets(const char tail[static BIRTH_TAIL], uint64_t stored)
{
	uint32_t n = get_be32(tail + 4);

	if (memcmp(tail, MAGIC, 4) != 0 || n <= BIRTH_TAIL || n > BIRTH_MAX ||
	    n > stored)
		return 0;
	return n;
}

/* Up to n octets off the front; false: there are fewer. */
static bool
take(struct slice *rest, size_t n, struct slice *out)
{
	*out = slice_head(*rest, n);
	*rest = slice_from(*rest, n);
	return out->n == n;
}

static bool
take_be16(struct slice *rest, size_t *n)
{
	struct slice s;

	if (!take(rest, 2, &s))
		return false;
	*n = (size_t)(unsigned char)s.p[0] << 8 | (unsigned char)s.p[1];
	return true;
}

static bool
field_take(struct birth *b, char kind, struct slice value)
{
	switch (kind) {
	case 'a':
		b->account = value;
		return value.n > 0;
	case 'm':
		b->mailbox = value;
		return value.n > 0;
	case 'd':
		if (value.n != 8)
			return false;
		b->internaldate = (int64_t)get_be64(value.p);
		return true;
	case 'f':
		if (value.n != 4)
			return false;
		b->flags = get_be32(value.p);
		return true;
	case 'k':
		if (b->n_keywords < BIRTH_KEYWORDS)
			b->keywords[b->n_keywords++] = value;
		return true;
	case 'w':
		b->wrap = value;
		return true;
	default:
		return true; /* of later */
	}
}

int
birth_next(struct slice *rest, struct birth *out)
{
	struct slice fields, kind, value;
	size_t n;

	*out = (struct birth){ .mailbox = SLICE_LIT("INBOX") };
	if (rest->n == 0)
		return 0;
	if (!take_be16(rest, &n) || !take(rest, n, &fields))
		return -EBADMSG;
	while (fields.n > 0)
		if (!take(&fields, 1, &kind) || !take_be16(&fields, &n) ||
		    !take(&fields, n, &value) ||
		    !field_take(out, kind.p[0], value))
			return -EBADMSG;
	return out->account.n == 0 ? -EBADMSG : 1;
}
