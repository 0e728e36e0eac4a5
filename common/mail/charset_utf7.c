/* SPDX-License-Identifier: ISC */
/* One octet at a time: UTF-7 is rare and short, so simple beats fast. */
#include "common/mail/charset_utf7.h"

#include "common/mail/transfer.h"

#define REPLACEMENT 0xfffd

/* NUL is dropped, as in all texts (charset.h). */
static void
put_char(struct buf *out, uint32_t c)
{
	if (c != 0)
		buf_put_utf8(out, c);
}

/* A unit of UTF-16 is complete (RFC 2152, rule 2). */
static void
put_unit(struct utf7_decoder *d, uint16_t unit, struct buf *out)
{
	bool low = unit >= 0xdc00 && unit <= 0xdfff;
	uint32_t high = d->high;

	d->high = 0;
	if (high != 0 && low) {
		put_char(out,
		    0x10000 + ((high - 0xd800) << 10) + (unit - 0xdc00u));
		return;
	}
	if (high != 0)
		put_char(out, REPLACEMENT);
	if (unit >= 0xd800 && unit <= 0xdbff)
		d->high = unit;
	else
		put_char(out, low ? REPLACEMENT : unit);
}

static void
put_digit(struct utf7_decoder *d, unsigned digit, struct buf *out)
{
	d->begun = true;
	d->bits = d->bits << 6 | digit;
	d->n_bits += 6;
	if (d->n_bits < 16)
		return;
	d->n_bits -= 16;
	put_unit(d, (uint16_t)(d->bits >> d->n_bits), out);
	d->bits &= (1u << d->n_bits) - 1;
}

/* What is left at the end of a shifted sequence: padding, all zero. */
static void
shift_out(struct utf7_decoder *d, struct buf *out)
{
	if (d->high != 0 || d->n_bits >= 6 || d->bits != 0 || !d->begun)
		put_char(out, REPLACEMENT);
	*d = (struct utf7_decoder){ 0 };
}

void
utf7_decode(struct utf7_decoder *d, struct slice in, struct buf *out)
{
	for (size_t i = 0; i < in.n; i++) {
		char c = in.p[i];
		int digit = d->shifted ? base64_digit(c) : -1;

		if (digit >= 0) {
			put_digit(d, (unsigned)digit, out);
			continue;
		}
		if (d->shifted && c == '-' && !d->begun) { /* "+-" is a + */
			put_char(out, '+');
			*d = (struct utf7_decoder){ 0 };
			continue;
		}
		if (d->shifted) {
			shift_out(d, out);
			if (c == '-')
				continue;
		}
		if (c == '+')
			d->shifted = true;
		else
			put_char(out,
			    (unsigned char)c < 0x80 ? (unsigned char)c
						    : REPLACEMENT);
	}
}

void
utf7_decoder_end(struct utf7_decoder *d, struct buf *out)
{
	if (d->shifted)
		shift_out(d, out);
}
