/* SPDX-License-Identifier: ISC */
#include "common/mail/transfer.h"

#include <errno.h>

#include "common/mail/lex.h"

#define LINE_LENGTH 76 /* RFC 2045 6.7 (5), 6.8 */

enum transfer_encoding
transfer_encoding_of(struct slice name)
{
	static const struct {
		const char *name;
		enum transfer_encoding encoding;
	} names[] = {
		{ "", TRANSFER_7BIT },
		{ "7bit", TRANSFER_7BIT },
		{ "8bit", TRANSFER_8BIT },
		{ "binary", TRANSFER_BINARY },
		{ "quoted-printable", TRANSFER_QP },
		{ "base64", TRANSFER_BASE64 },
		/* Not standard, and meant so. */
		{ "7-bit", TRANSFER_7BIT },
		{ "8-bit", TRANSFER_8BIT },
	};

	name = slice_trim(name);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (slice_eq_str_nocase(name, names[i].name))
			return names[i].encoding;
	return TRANSFER_OTHER;
}

static const char base64_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int
base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* --- decoding --- */

void
transfer_decoder_init(
    struct transfer_decoder *d, enum transfer_encoding encoding)
{
	*d = (struct transfer_decoder){ .encoding = encoding };
}

static bool
decode_base64(struct transfer_decoder *d, struct slice in, struct buf *out)
{
	char room[768];
	size_t n = 0;

	for (size_t i = 0; i < in.n && !d->ended; i++) {
		int digit = base64_digit(in.p[i]);

		if (digit < 0) {
			/* Padding in its place is the end (RFC 2045 6.8): what
			 * follows was added by somebody on the way. */
			d->ended =
			    in.p[i] == '=' && d->n_bits != 0 && d->n_bits != 6;
			continue;
		}
		d->bits = d->bits << 6 | (uint32_t)digit;
		d->n_bits += 6;
		if (d->n_bits < 24)
			continue;
		room[n++] = (char)(d->bits >> 16);
		room[n++] = (char)(d->bits >> 8);
		room[n++] = (char)d->bits;
		d->bits = d->n_bits = 0;
		if (n == sizeof(room)) {
			buf_put(out, room, n);
			n = 0;
		}
	}
	return buf_put(out, room, n);
}

static void
end_base64(struct transfer_decoder *d, struct buf *out)
{
	if (d->n_bits >= 12)
		buf_put_char(out, (char)(d->bits >> (d->n_bits - 8)));
	if (d->n_bits == 18)
		buf_put_char(out, (char)(d->bits >> 2));
}

/* White space turned out not to stand at the end of a line. */
static void
flush_space(struct transfer_decoder *d, struct buf *out)
{
	buf_put(out, d->space, d->n_space);
	d->n_space = 0;
}

static void
hold_space(struct transfer_decoder *d, char c, struct buf *out)
{
	if (d->n_space == sizeof(d->space))
		flush_space(d, out);
	d->space[d->n_space++] = c;
}

/* What was held is not what it could have been: it stands for itself. */
static void
flush_hold(struct transfer_decoder *d, struct buf *out)
{
	bool is_cr = d->hold[0] == '\r';

	if (is_cr)
		flush_space(d, out);
	buf_put(out, d->hold, d->n_hold);
	d->n_hold = 0;
	if (!is_cr)
		flush_space(d, out);
}

/* One octet after a "=" or CR is held. False: it does not go on from there,
 * and is still to be looked at. */
static bool
continue_hold(struct transfer_decoder *d, char c, struct buf *out)
{
	if (d->hold[0] == '\r') {
		if (c != '\n')
			return false;
		d->n_space = d->n_hold = 0;
		buf_put_str(out, "\r\n");
		return true;
	}
	if (c == '\n' && (d->n_hold == 1 || d->hold[1] == '\r')) {
		d->n_space = d->n_hold = 0; /* a soft line break */
		return true;
	}
	if (d->n_hold == 1) {
		if ((c == ' ' || c == '\t') && d->n_space < sizeof(d->space)) {
			d->space[d->n_space++] = c;
			return true;
		}
		if (c == '\r' || (lex_hex_digit(c) >= 0 && d->n_space == 0)) {
			d->hold[d->n_hold++] = c;
			return true;
		}
		return false;
	}
	if (d->hold[1] == '\r' || lex_hex_digit(c) < 0)
		return false;
	d->n_hold = 0;
	buf_put_char(
	    out, (char)(lex_hex_digit(d->hold[1]) << 4 | lex_hex_digit(c)));
	return true;
}

static void
decode_qp_octet(struct transfer_decoder *d, char c, struct buf *out)
{
	if (d->n_hold > 0) {
		if (continue_hold(d, c, out))
			return;
		flush_hold(d, out);
	}
	if (c == ' ' || c == '\t') {
		hold_space(d, c, out);
	} else if (c == '\r') {
		d->hold[d->n_hold++] = c;
	} else if (c == '\n') {
		d->n_space = 0;
		buf_put_char(out, c);
	} else {
		flush_space(d, out);
		if (c == '=')
			d->hold[d->n_hold++] = c;
		else
			buf_put_char(out, c);
	}
}

static bool
decode_qp(struct transfer_decoder *d, struct slice in, struct buf *out)
{
	for (size_t i = 0; i < in.n && !out->failed;) {
		size_t from = i;

		while (d->n_hold == 0 && i < in.n && in.p[i] != '=' &&
		    !ascii_is_space(in.p[i]))
			i++;
		if (i > from) {
			flush_space(d, out);
			buf_put(out, in.p + from, i - from);
		} else {
			decode_qp_octet(d, in.p[i++], out);
		}
	}
	return !out->failed;
}

bool
transfer_decode(struct transfer_decoder *d, struct slice in, struct buf *out)
{
	if (d->encoding == TRANSFER_BASE64)
		return decode_base64(d, in, out);
	if (d->encoding == TRANSFER_QP)
		return decode_qp(d, in, out);
	return buf_put_slice(out, in);
}

bool
transfer_decoder_end(struct transfer_decoder *d, struct buf *out)
{
	if (d->encoding == TRANSFER_BASE64)
		end_base64(d, out);
	else if (d->n_hold > 1 && d->hold[1] != '\r')
		buf_put(out, d->hold, d->n_hold);
	else if (d->n_hold > 0 && d->hold[0] == '\r')
		flush_hold(d, out);
	transfer_decoder_init(d, d->encoding);
	return !out->failed;
}

/* --- encoding --- */

void
transfer_encoder_init(
    struct transfer_encoder *e, enum transfer_encoding encoding)
{
	*e = (struct transfer_encoder){ .encoding = encoding };
}

/* Of 1 to 3 octets. */
static void
put_group(struct buf *out, const unsigned char *o, size_t n)
{
	uint32_t bits = (uint32_t)o[0] << 16 |
	    (n > 1 ? (uint32_t)o[1] << 8 : 0) | (n > 2 ? o[2] : 0);
	char four[4] = { base64_alphabet[bits >> 18],
		base64_alphabet[bits >> 12 & 63], '=', '=' };

	if (n > 1)
		four[2] = base64_alphabet[bits >> 6 & 63];
	if (n > 2)
		four[3] = base64_alphabet[bits & 63];
	buf_put(out, four, sizeof(four));
}

static void
encode_base64_line(struct transfer_encoder *e, struct buf *out)
{
	if (e->column == LINE_LENGTH) {
		buf_put_str(out, "\r\n");
		e->column = 0;
	}
	put_group(out, e->hold, e->n_hold);
	e->column += 4;
	e->n_hold = 0;
}

/* Write `token` so that the line keeps room for the "=" of a soft break. */
static void
put_qp(struct transfer_encoder *e, struct buf *out, const char *token)
{
	size_t n = strlen(token);

	if (e->column + n > LINE_LENGTH - 1) {
		buf_put_str(out, "=\r\n");
		e->column = 0;
	}
	buf_put(out, token, n);
	e->column += n;
}

static void
put_qp_octet(
    struct transfer_encoder *e, struct buf *out, unsigned char c, bool plain)
{
	static const char hex[] = "0123456789ABCDEF";

	if (plain)
		put_qp(e, out, (char[]){ (char)c, '\0' });
	else
		put_qp(e, out, (char[]){ '=', hex[c >> 4], hex[c & 15], 0 });
}

/* White space is held until it is known whether the line ends after it, CR
 * until it is known whether LF follows. */
static void
flush_qp(struct transfer_encoder *e, struct buf *out, bool line_ends)
{
	for (size_t i = 0; i < e->n_hold; i++) {
		bool last = i + 1 == e->n_hold;

		put_qp_octet(e, out, e->hold[i],
		    e->hold[i] != '\r' && !(line_ends && last));
	}
	e->n_hold = 0;
}

static void
encode_qp_octet(struct transfer_encoder *e, unsigned char c, struct buf *out)
{
	if (c == '\n') {
		if (e->n_hold > 0 && e->hold[e->n_hold - 1] == '\r')
			e->n_hold--;
		flush_qp(e, out, true);
		buf_put_str(out, "\r\n");
		e->column = 0;
		return;
	}
	if (c == '\r' && e->n_hold == 1 && e->hold[0] != '\r') {
		e->hold[e->n_hold++] = c;
		return;
	}
	flush_qp(e, out, false);
	if (c == ' ' || c == '\t' || c == '\r')
		e->hold[e->n_hold++] = c;
	else
		put_qp_octet(e, out, c, c > ' ' && c < 127 && c != '=');
}

bool
transfer_encode(struct transfer_encoder *e, struct slice in, struct buf *out)
{
	for (size_t i = 0; i < in.n && !out->failed; i++) {
		if (e->encoding == TRANSFER_QP) {
			encode_qp_octet(e, (unsigned char)in.p[i], out);
			continue;
		}
		e->hold[e->n_hold++] = (unsigned char)in.p[i];
		if (e->n_hold == 3)
			encode_base64_line(e, out);
	}
	return !out->failed;
}

bool
transfer_encoder_end(struct transfer_encoder *e, struct buf *out)
{
	if (e->encoding == TRANSFER_QP) {
		flush_qp(e, out, true);
		if (e->column > 0)
			buf_put_str(out, "=\r\n");
	} else {
		if (e->n_hold > 0)
			encode_base64_line(e, out);
		if (e->column > 0)
			buf_put_str(out, "\r\n");
	}
	transfer_encoder_init(e, e->encoding);
	return !out->failed;
}

/* --- one token --- */

bool
base64_encode(struct buf *out, struct slice in)
{
	const unsigned char *p = (const unsigned char *)in.p;

	for (size_t i = 0; i < in.n; i += 3)
		put_group(out, p + i, in.n - i < 3 ? in.n - i : 3);
	return !out->failed;
}

int
base64_decode(struct buf *out, struct slice in)
{
	struct transfer_decoder d;
	size_t digits = in.n, before = out->n;

	if (in.n % 4 != 0)
		return -EINVAL;
	while (digits > 0 && in.n - digits < 2 && in.p[digits - 1] == '=')
		digits--;
	for (size_t i = 0; i < digits; i++)
		if (base64_digit(in.p[i]) < 0)
			return -EINVAL;
	transfer_decoder_init(&d, TRANSFER_BASE64);
	transfer_decode(&d, slice_head(in, digits), out);
	/* Bits that no octet uses must be 0 (RFC 4648 3.5). */
	if ((d.n_bits == 12 && (d.bits & 15) != 0) ||
	    (d.n_bits == 18 && (d.bits & 3) != 0)) {
		buf_truncate(out, before);
		return -EINVAL;
	}
	if (transfer_decoder_end(&d, out))
		return 0;
	buf_truncate(out, before);
	return -ENOMEM;
}

bool
base64url_encode(struct buf *out, struct slice in)
{
	size_t at = out->n;

	if (!base64_encode(out, in))
		return false;
	while (out->n > at && out->p[out->n - 1] == '=')
		buf_truncate(out, out->n - 1);
	for (; at < out->n; at++)
		out->p[at] = out->p[at] == '+' ? '-'
		    : out->p[at] == '/'        ? '_'
					       : out->p[at];
	return true;
}

int
base64url_decode(struct buf *out, struct slice in)
{
	struct buf b = BUF_INIT_MAX(in.n + 8);
	int rc = 0;

	if (in.n % 4 == 0)
		for (int i = 0; i < 2 && in.n > 0 && in.p[in.n - 1] == '='; i++)
			in.n--;
	for (size_t i = 0; i < in.n && rc == 0; i++) {
		char c = in.p[i];

		if (c == '+' || c == '/' || c == '=')
			rc = -EINVAL;
		buf_put_char(&b, c == '-' ? '+' : c == '_' ? '/' : c);
	}
	while (b.n % 4 != 0 && !b.failed)
		buf_put_char(&b, '=');
	if (rc == 0)
		rc = b.failed ? -ENOMEM : base64_decode(out, buf_slice(&b));
	buf_wipe(&b);
	return rc;
}
