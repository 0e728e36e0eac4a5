/* SPDX-License-Identifier: ISC */
#include "mailbox/mails/birth.h"

#include <errno.h>

#define MAGIC "\x8ePNB"
#define LONG 255

/* --- writing --- */

static void
octets_put(struct buf *out, size_t n)
{
	if (n < LONG) {
		buf_put_char(out, (char)n);
		return;
	}
	buf_put_char(out, (char)LONG);
	buf_put_char(out, (char)(n >> 8));
	buf_put_char(out, (char)n);
}

/* One that is too long is none that any row could have. */
static void
field_put(struct buf *out, char kind, struct slice value)
{
	if (value.n > UINT16_MAX)
		return;
	buf_put_char(out, kind);
	octets_put(out, value.n);
	buf_put_slice(out, value);
}

static void
date_field_put(struct buf *out, int64_t date)
{
	char octets[8];
	size_t skip = 0;

	put_be64(octets, (uint64_t)date);
	/* Not those that only repeat the sign. */
	while (skip < 7 && octets[skip] == (date < 0 ? '\xff' : '\0') &&
	    ((octets[skip + 1] & 0x80) != 0) == (date < 0))
		skip++;
	field_put(out, 'd', slice(octets + skip, 8 - skip));
}

static void
fields_put(struct buf *out, const struct birth *b)
{
	char flags[4];

	field_put(out, 'a', b->account);
	if (b->sealed.n > 0)
		field_put(out, 's', b->sealed);
	else if (b->mailbox.n > 0 && !slice_eq(b->mailbox, SLICE_LIT("INBOX")))
		field_put(out, 'm', b->mailbox);
	date_field_put(out, b->internaldate);
	put_be32(flags, b->flags);
	if (b->flags != 0)
		field_put(out, 'f', slice(flags, 4));
	for (size_t i = 0; i < b->n_keywords && b->sealed.n == 0; i++)
		field_put(out, 'k', b->keywords[i]);
	if (b->wrap.n > 0)
		field_put(out, 'w', b->wrap);
}

bool
birth_put(struct buf *out, const struct birth *b)
{
	struct buf fields = BUF_INIT;
	size_t at = out->n;

	fields_put(&fields, b);
	if (fields.failed)
		out->failed = true;
	if (fields.n <= UINT16_MAX) {
		octets_put(out, fields.n);
		buf_put_slice(out, buf_slice(&fields));
	}
	buf_clear(&fields);
	if (out->n + BIRTH_TAIL > BIRTH_MAX)
		buf_truncate(out, at);
	return !out->failed;
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
take_octets(struct slice *rest, size_t *n)
{
	struct slice s;

	if (!take(rest, 1, &s))
		return false;
	*n = (unsigned char)s.p[0];
	if (*n < LONG)
		return true;
	if (!take(rest, 2, &s))
		return false;
	*n = (size_t)(unsigned char)s.p[0] << 8 | (unsigned char)s.p[1];
	return true;
}

static bool
date_of(struct slice value, int64_t *out)
{
	char octets[8];

	if (value.n == 0 || value.n > sizeof(octets))
		return false;
	memset(octets, (value.p[0] & 0x80) != 0 ? 0xff : 0, sizeof(octets));
	memcpy(octets + sizeof(octets) - value.n, value.p, value.n);
	*out = (int64_t)get_be64(octets);
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
		return date_of(value, &b->internaldate);
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
	case 's':
		b->sealed = value;
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
	if (!take_octets(rest, &n) || !take(rest, n, &fields))
		return -EBADMSG;
	while (fields.n > 0)
		if (!take(&fields, 1, &kind) || !take_octets(&fields, &n) ||
		    !take(&fields, n, &value) ||
		    !field_take(out, kind.p[0], value))
			return -EBADMSG;
	/* Names are sealed or in the clear: of both neither is to be believed. */
	if (out->sealed.n > 0 &&
	    (out->n_keywords > 0 ||
		!slice_eq(out->mailbox, SLICE_LIT("INBOX"))))
		return -EBADMSG;
	return out->account.n == 0 ? -EBADMSG : 1;
}
