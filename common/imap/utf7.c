/* SPDX-License-Identifier: ISC */
#include "common/imap/utf7.h"

#include <errno.h>

static const char digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

/* One character of UTF-8; its length, or 0 when it is not well-formed
 * (RFC 3629 4). */
static size_t
utf8_char(struct slice s, uint32_t *out)
{
	unsigned char c = (unsigned char)s.p[0];
	size_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint32_t v = n == 1 ? c : c & (0x7fU >> n);

	if ((c >= 0x80 && c < 0xc2) || c > 0xf4 || n > s.n)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if (((unsigned char)s.p[i] & 0xc0) != 0x80)
			return 0;
		v = v << 6 | ((unsigned char)s.p[i] & 0x3f);
	}
	if (v < least[n] || v > 0x10ffff || (v >= 0xd800 && v < 0xe000))
		return 0;
	*out = v;
	return n;
}

static bool
is_direct(uint32_t v)
{
	return v >= 0x20 && v <= 0x7e;
}

/* UTF-16 units go out in groups of 6 bits, between "&" and "-". */
struct shifted {
	uint32_t bits;
	unsigned n;
};

static void
put_unit(struct buf *b, struct shifted *s, uint32_t unit)
{
	s->bits = s->bits << 16 | unit;
	s->n += 16;
	while (s->n >= 6) {
		s->n -= 6;
		buf_put_char(b, digits[s->bits >> s->n & 63]);
	}
}

static void
put_shift_end(struct buf *b, struct shifted *s)
{
	if (s->n > 0)
		buf_put_char(b, digits[s->bits << (6 - s->n) & 63]);
	buf_put_char(b, '-');
	*s = (struct shifted){ 0 };
}

bool
imap_utf7_encode(struct buf *b, struct slice utf8)
{
	struct shifted s = { 0 };
	bool shifted = false;
	size_t before = b->n, n;
	uint32_t v;

	for (; utf8.n > 0; utf8 = slice_from(utf8, n)) {
		if ((n = utf8_char(utf8, &v)) == 0) {
			buf_truncate(b, before);
			return false;
		}
		if (shifted == is_direct(v)) {
			shifted = !shifted;
			if (shifted)
				buf_put_char(b, '&');
			else
				put_shift_end(b, &s);
		}
		if (!shifted) {
			buf_put_char(b, (char)v);
			if (v == '&')
				buf_put_char(b, '-');
		} else if (v >= 0x10000) {
			put_unit(b, &s, 0xd800 | (v - 0x10000) >> 10);
			put_unit(b, &s, 0xdc00 | (v & 0x3ff));
		} else {
			put_unit(b, &s, v);
		}
	}
	if (shifted)
		put_shift_end(b, &s);
	return !b->failed;
}

static int
digit_of(char c)
{
	const char *at = c == '\0' ? NULL : strchr(digits, c);

	return at == NULL ? -1 : (int)(at - digits);
}

/* What stands between "&" and "-", which is not empty. */
static int
decode_shifted(struct buf *b, struct slice in)
{
	uint32_t bits = 0, high = 0, unit;
	unsigned n = 0;

	for (size_t i = 0; i < in.n; i++) {
		int d = digit_of(in.p[i]);

		if (d < 0)
			return -EINVAL;
		bits = bits << 6 | (uint32_t)d;
		n += 6;
		if (n < 16)
			continue;
		n -= 16;
		unit = bits >> n & 0xffff;
		if ((high != 0) != ((unit & 0xfc00) == 0xdc00) ||
		    is_direct(unit))
			return -EINVAL;
		if ((unit & 0xfc00) == 0xd800) {
			high = unit;
		} else {
			buf_put_utf8(b,
			    high == 0 ? unit
				      : 0x10000 +
				    ((high & 0x3ff) << 10 | (unit & 0x3ff)));
			high = 0;
		}
	}
	/* Less than a digit of zero bits may be left over. */
	if (high != 0 || n >= 6 || (bits & ((1U << n) - 1)) != 0)
		return -EINVAL;
	return 0;
}

static int
decode(struct buf *b, struct slice in)
{
	bool after_shift = false;

	while (in.n > 0) {
		ssize_t end;

		if (!is_direct((unsigned char)in.p[0]))
			return -EINVAL;
		if (in.p[0] != '&') {
			buf_put_char(b, in.p[0]);
			in = slice_from(in, 1);
			after_shift = false;
			continue;
		}
		if ((end = slice_find(in, '-')) < 0)
			return -EINVAL;
		if (end == 1) {
			buf_put_char(b, '&');
			after_shift = false;
		} else if (after_shift ||
		    decode_shifted(b, slice(in.p + 1, (size_t)end - 1)) != 0) {
			return -EINVAL; /* "&..-&..-" has a needless shift */
		} else {
			after_shift = true;
		}
		in = slice_from(in, (size_t)end + 1);
	}
	return b->failed ? -ENOMEM : 0;
}

int
imap_utf7_decode(struct buf *b, struct slice utf7)
{
	size_t before = b->n;
	int rc = decode(b, utf7);

	if (rc != 0)
		buf_truncate(b, before);
	return rc;
}
