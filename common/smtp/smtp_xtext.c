/* SPDX-License-Identifier: ISC */
/*
 * Values inside parameters: xtext (RFC 3461 4), and the two encodings of an
 * original recipient (RFC 3461 4.2; RFC 6533 3 for the type utf-8).
 */
#include "common/smtp/smtp.h"

#include <errno.h>
#include <stdio.h>

static int
hex_digit(char c)
{
	if (ascii_is_digit(c))
		return c - '0';
	c = ascii_upper(c);
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* xchar: printable, but for "+" and "=". */
static bool
is_xchar(char c)
{
	return c > ' ' && c < 0x7f && c != '+' && c != '=';
}

/* A failed decode leaves `out` as it was. */
static int
undo(struct buf *out, size_t n)
{
	int rc = out->failed ? -ENOMEM : -EINVAL;

	buf_truncate(out, n);
	return rc;
}

int
smtp_xtext_decode(struct slice in, struct buf *out)
{
	size_t start = out->n;

	for (size_t i = 0; i < in.n; i++) {
		int high = -1, low = -1;

		if (is_xchar(in.p[i])) {
			buf_put_char(out, in.p[i]);
			continue;
		}
		if (in.p[i] == '+' && in.n - i > 2) {
			high = hex_digit(in.p[i + 1]);
			low = hex_digit(in.p[i + 2]);
		}
		if (high < 0 || low < 0)
			return undo(out, start);
		buf_put_char(out, (char)(high << 4 | low));
		i += 2;
	}
	return out->failed ? undo(out, start) : 0;
}

bool
smtp_xtext_encode(struct slice in, struct buf *out)
{
	for (size_t i = 0; i < in.n; i++) {
		if (is_xchar(in.p[i]))
			buf_put_char(out, in.p[i]);
		else
			buf_printf(out, "+%02X", (unsigned char)in.p[i]);
	}
	return !out->failed;
}

/* --- RFC 6533 3 --- */

/* EmbeddedUnicodeChar "\x{HEX}" at the start of `in`: octets taken, or 0. */
static size_t
embedded_char(struct slice in, uint32_t *u)
{
	size_t i;

	if (!slice_starts(in, "\\x{"))
		return 0;
	*u = 0;
	for (i = 3; i < in.n && i < 9 && hex_digit(in.p[i]) >= 0; i++)
		*u = *u << 4 | (uint32_t)hex_digit(in.p[i]);
	if (i < 5 || i == in.n || in.p[i] != '}')
		return 0;
	if (*u > 0x10ffff || (*u >= 0xd800 && *u < 0xe000))
		return 0;
	return i + 1;
}

static int
utf8_address_decode(struct slice in, struct buf *out)
{
	size_t start = out->n, n;
	uint32_t u;

	while (in.n > 0) {
		n = 1;
		if (*in.p == '\\') {
			if ((n = embedded_char(in, &u)) == 0)
				return undo(out, start);
			buf_put_utf8(out, u);
		} else if (is_xchar(*in.p) || (unsigned char)*in.p >= 0x80) {
			buf_put_char(out, *in.p);
		} else {
			return undo(out, start);
		}
		in = slice_from(in, n);
	}
	return out->failed ? undo(out, start) : 0;
}

/* One character of valid UTF-8; a stray octet counts as itself. */
static uint32_t
next_char(struct slice *s)
{
	unsigned char c = (unsigned char)*s->p;
	size_t more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc0 ? 1 : 0;
	uint32_t u = more == 0 ? c : c & (0x3fU >> more);

	*s = slice_from(*s, 1);
	for (; more > 0 && s->n > 0; more--, *s = slice_from(*s, 1))
		u = u << 6 | ((unsigned char)*s->p & 0x3f);
	return u;
}

static void
utf8_address_encode(struct slice s, bool utf8, struct buf *out)
{
	while (s.n > 0) {
		const char *at = s.p;
		uint32_t u = next_char(&s);

		if (u < 0x80 ? is_xchar((char)u) && u != '\\' : utf8)
			buf_put(out, at, (size_t)(s.p - at));
		else
			buf_printf(out, "\\x{%02X}", (unsigned)u);
	}
}

/* --- ORCPT --- */

static bool
is_type(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_is_alpha(s.p[i]) && !ascii_is_digit(s.p[i]) &&
		    s.p[i] != '-')
			return false;
	return s.n > 0;
}

int
smtp_orcpt_decode(struct slice in, struct buf *out)
{
	size_t start = out->n;
	struct slice address = in, type = slice_split(&address, ';');
	int rc;

	if (!is_type(type) || type.n == in.n)
		return -EINVAL;
	buf_put_slice(out, type);
	buf_put_char(out, ';');
	if (slice_eq_str_nocase(type, "utf-8"))
		rc = utf8_address_decode(address, out);
	else
		rc = smtp_xtext_decode(address, out);
	if (rc != 0)
		buf_truncate(out, start);
	return rc;
}

bool
smtp_orcpt_encode(struct slice plain, bool utf8, struct buf *out)
{
	struct slice address = plain, type = slice_split(&address, ';');

	if (!is_type(type) || type.n == plain.n)
		return false;
	buf_put_slice(out, type);
	buf_put_char(out, ';');
	if (slice_eq_str_nocase(type, "utf-8"))
		utf8_address_encode(address, utf8, out);
	else
		smtp_xtext_encode(address, out);
	return !out->failed;
}
