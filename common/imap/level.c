/* SPDX-License-Identifier: ISC */
#include "common/imap/level.h"

#include <string.h>
#include <unistr.h>

static int
base64_digit(char c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijkl"
				     "mnopqrstuvwxyz0123456789+,";
	const char *at = c == '\0' ? NULL : strchr(digits, c);

	return at == NULL ? -1 : (int)(at - digits);
}

static void
put_char(struct buf *out, uint32_t c)
{
	uint8_t utf8[6];
	int n = c == '/' || c < ' ' || c == 0x7f
	    ? -1
	    : u8_uctomb(utf8, c, sizeof(utf8));

	/* What no name can have: a separator of ours, controls, half a pair. */
	if (n > 0)
		buf_put(out, utf8, (size_t)n);
	else
		buf_put_char(out, '_');
}

/* What stands between '&' and '-', of whoever's making: Courier writes so
 * also characters that need it not. */
static void
decode_shifted(struct buf *out, struct slice in)
{
	uint32_t bits = 0, high = 0, unit;
	unsigned n = 0;

	for (size_t i = 0; i < in.n; i++) {
		bits = bits << 6 | (uint32_t)base64_digit(in.p[i]);
		n += 6;
		if (n < 16)
			continue;
		n -= 16;
		unit = bits >> n & 0xffff;
		if (high != 0 && (unit & 0xfc00) == 0xdc00)
			unit =
			    0x10000 + ((high & 0x3ff) << 10 | (unit & 0x3ff));
		else if (high != 0)
			put_char(out, 0);
		high = (unit & 0xfffffc00) == 0xd800 ? unit : 0;
		if (high == 0)
			put_char(out, unit);
	}
	if (high != 0)
		put_char(out, 0);
}

/* Length of what is modified base64 up to '-', which stands there; or -1. */
static ssize_t
shifted_length(struct slice in)
{
	size_t i = 0;

	while (i < in.n && base64_digit(in.p[i]) >= 0)
		i++;
	return i < in.n && in.p[i] == '-' ? (ssize_t)i : -1;
}

bool
imap_level_decode(struct buf *out, struct slice in)
{
	bool utf8 = u8_check((const uint8_t *)in.p, in.n) == NULL;
	ssize_t n;

	while (in.n > 0) {
		char c = in.p[0];

		in = slice_from(in, 1);
		if (c == '&' && (n = shifted_length(in)) >= 0) {
			if (n == 0)
				buf_put_char(out, '&');
			decode_shifted(out, slice_head(in, (size_t)n));
			in = slice_from(in, (size_t)n + 1);
		} else if (utf8 && (c & 0x80) != 0) {
			buf_put_char(out, c); /* a server that writes UTF-8 */
		} else {
			put_char(out, (c & 0x80) != 0 ? 0 : (unsigned char)c);
		}
	}
	return !out->failed;
}

struct slice
imap_name_decode(
    struct arena *a, struct slice raw, struct slice prefix, char separator)
{
	struct buf name = BUF_INIT_MAX(4096);
	struct slice out, level;

	if (slice_eq_str_nocase(raw, "INBOX"))
		return SLICE_LIT("INBOX");
	if (prefix.n > 0 && raw.n > prefix.n &&
	    slice_eq(slice_head(raw, prefix.n), prefix))
		raw = slice_from(raw, prefix.n);
	while (raw.n > 0) {
		level = separator == '\0' ? raw : slice_split(&raw, separator);
		if (separator == '\0')
			raw = SLICE_EMPTY;
		if (level.n == 0)
			continue;
		if (name.n > 0)
			buf_put_char(&name, '/');
		imap_level_decode(&name, level);
	}
	out = name.failed ? slice(NULL, 0) : arena_dup(a, buf_slice(&name));
	buf_clear(&name);
	return out;
}
