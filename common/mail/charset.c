/* SPDX-License-Identifier: ISC */
/*
 * UTF-8 (also what is labelled US-ASCII or not at all) is checked here, UTF-7
 * has a decoder of its own; the rest goes through iconv, with what it calls
 * incomplete kept for the next chunk.
 */
#include "common/mail/charset.h"

#include <errno.h>

enum { KIND_UTF8, KIND_UTF7, KIND_ICONV };

#define REPLACEMENT "\xef\xbf\xbd"

/*
 * What mail calls it, and what iconv does. Labels of a subset that is often
 * wrong name the superset, as browsers do it (WHATWG Encoding 4.2).
 */
static const struct charset {
	const char *label, *iconv_name;
} charsets[] = {
	{ "utf-8", NULL },
	{ "utf8", NULL },
	{ "us-ascii", NULL },
	{ "ascii", NULL },
	{ "ansi_x3.4-1968", NULL },
	{ "iso-8859-1", "CP1252" },
	{ "iso8859-1", "CP1252" },
	{ "iso_8859-1", "CP1252" },
	{ "latin1", "CP1252" },
	{ "windows-1252", "CP1252" },
	{ "cp1252", "CP1252" },
	{ "iso-8859-2", "ISO-8859-2" },
	{ "latin2", "ISO-8859-2" },
	{ "iso-8859-3", "ISO-8859-3" },
	{ "iso-8859-4", "ISO-8859-4" },
	{ "iso-8859-5", "ISO-8859-5" },
	{ "iso-8859-6", "ISO-8859-6" },
	{ "iso-8859-7", "ISO-8859-7" },
	{ "iso-8859-8", "ISO-8859-8" },
	{ "iso-8859-8-i", "ISO-8859-8" },
	{ "iso-8859-9", "CP1254" },
	{ "iso-8859-10", "ISO-8859-10" },
	{ "iso-8859-11", "CP874" },
	{ "iso-8859-13", "ISO-8859-13" },
	{ "iso-8859-14", "ISO-8859-14" },
	{ "iso-8859-15", "ISO-8859-15" },
	{ "iso8859-15", "ISO-8859-15" },
	{ "latin9", "ISO-8859-15" },
	{ "iso-8859-16", "ISO-8859-16" },
	{ "windows-874", "CP874" },
	{ "tis-620", "CP874" },
	{ "windows-1250", "CP1250" },
	{ "cp1250", "CP1250" },
	{ "windows-1251", "CP1251" },
	{ "cp1251", "CP1251" },
	{ "windows-1253", "CP1253" },
	{ "windows-1254", "CP1254" },
	{ "windows-1255", "CP1255" },
	{ "windows-1256", "CP1256" },
	{ "windows-1257", "CP1257" },
	{ "windows-1258", "CP1258" },
	{ "koi8-r", "KOI8-R" },
	{ "koi8-u", "KOI8-U" },
	{ "ibm437", "IBM437" },
	{ "cp437", "IBM437" },
	{ "ibm850", "IBM850" },
	{ "cp850", "IBM850" },
	{ "ibm852", "IBM852" },
	{ "ibm866", "IBM866" },
	{ "cp866", "IBM866" },
	{ "macintosh", "MACINTOSH" },
	{ "gb2312", "GB18030" },
	{ "eucgb2312_cn", "GB18030" }, /* as Python has it */
	{ "gbk", "GB18030" },
	{ "gb18030", "GB18030" },
	{ "big5", "BIG5-HKSCS" },
	{ "big5-hkscs", "BIG5-HKSCS" },
	{ "iso-2022-jp", "ISO-2022-JP-2" },
	{ "iso-2022-jp-1", "ISO-2022-JP-2" },
	{ "iso-2022-jp-2", "ISO-2022-JP-2" },
	{ "euc-jp", "EUC-JP" },
	{ "shift_jis", "CP932" },
	{ "shift-jis", "CP932" },
	{ "sjis", "CP932" },
	{ "windows-31j", "CP932" },
	{ "cp932", "CP932" },
	{ "euc-kr", "CP949" },
	{ "ks_c_5601-1987", "CP949" },
	{ "cp949", "CP949" },
	{ "iso-2022-kr", "ISO-2022-KR" },
	{ "utf-16", "UTF-16" },
	{ "utf-16le", "UTF-16LE" },
	{ "utf-16be", "UTF-16BE" },
	{ "utf-32", "UTF-32" },
	{ "utf-7", "UTF-7" },
	{ "unicode-1-1-utf-7", "UTF-7" },
};

static const struct charset *
find(struct slice name)
{
	for (size_t i = 0; i < sizeof(charsets) / sizeof(*charsets); i++)
		if (slice_eq_str_nocase(name, charsets[i].label))
			return &charsets[i];
	return NULL;
}

bool
charset_is_known(struct slice name)
{
	return find(name) != NULL;
}

int
charset_decoder_init(struct charset_decoder *d, struct slice name)
{
	const struct charset *c = find(name);

	*d = (struct charset_decoder){ .kind = KIND_UTF8 };
	if (c == NULL || c->iconv_name == NULL)
		return 0;
	if (slice_eq_str(slice_str(c->iconv_name), "UTF-7")) {
		d->kind = KIND_UTF7;
		return 0;
	}
	d->unit = slice_starts(slice_str(c->iconv_name), "UTF-16") ? 2
	    : slice_starts(slice_str(c->iconv_name), "UTF-32")     ? 4
								   : 1;
	d->cd = iconv_open("UTF-8", c->iconv_name);
	if (d->cd != (iconv_t)-1)
		d->kind = KIND_ICONV;
	else if (errno == ENOMEM)
		return -ENOMEM;
	return 0;
}

/* --- UTF-8 --- */

enum { UTF8_INVALID = 0, UTF8_INCOMPLETE = -1 };

/*
 * Length of the character at the start of s (n > 0), UTF8_INVALID with *bad
 * octets to replace by one U+FFFD (the maximal subpart, Unicode 3.9), or
 * UTF8_INCOMPLETE when s ends within what may be one. RFC 3629 4.
 */
static int
utf8_char(const unsigned char *s, size_t n, size_t *bad)
{
	unsigned char lo = 0x80, hi = 0xbf;
	size_t len;

	*bad = 1;
	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return UTF8_INVALID;
	len = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	if (s[0] == 0xe0)
		lo = 0xa0;
	else if (s[0] == 0xed)
		hi = 0x9f;
	else if (s[0] == 0xf0)
		lo = 0x90;
	else if (s[0] == 0xf4)
		hi = 0x8f;
	for (size_t i = 1; i < len; i++, lo = 0x80, hi = 0xbf) {
		*bad = i;
		if (i == n)
			return UTF8_INCOMPLETE;
		if (s[i] < lo || s[i] > hi)
			return UTF8_INVALID;
	}
	return (int)len;
}

bool
utf8_is_valid(struct slice s)
{
	const unsigned char *p = (const unsigned char *)s.p;
	size_t bad;
	int n;

	for (size_t i = 0; i < s.n; i += (size_t)n) {
		n = p[i] < 0x80 ? 1 : utf8_char(p + i, s.n - i, &bad);
		if (n <= 0)
			return false;
	}
	return true;
}

size_t
utf8_prefix(struct slice s, size_t chars)
{
	size_t i = 0;

	/* A character begins at each octet that is not 10xxxxxx. */
	for (; i < s.n; i++)
		if (((unsigned char)s.p[i] & 0xc0) != 0x80 && chars-- == 0)
			break;
	return i;
}

bool
ascii_is_all(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] >= 128)
			return false;
	return true;
}

/* Text that is valid, without its NULs. */
static void
put_text(struct buf *out, const char *p, size_t n)
{
	const char *nul;

	while (n > 0 && (nul = memchr(p, '\0', n)) != NULL) {
		buf_put(out, p, (size_t)(nul - p));
		n -= (size_t)(nul + 1 - p);
		p = nul + 1;
	}
	buf_put(out, p, n);
}

/* How many octets of ASCII s begins with, but for the last seven. */
static size_t
ascii_run(struct slice s)
{
	size_t n = 0;
	uint64_t eight;

	for (; n + sizeof(eight) <= s.n; n += sizeof(eight)) {
		memcpy(&eight, s.p + n, sizeof(eight));
		if (eight & 0x8080808080808080)
			break;
	}
	return n;
}

/* Returns the octets dealt with; fewer than s.n when the rest is the start of
 * a character. */
static size_t
decode_utf8(struct slice s, struct buf *out)
{
	const unsigned char *p = (const unsigned char *)s.p;
	size_t from = 0, i = 0, bad;

	while (i < s.n) {
		int n;

		i += ascii_run(slice_from(s, i));
		if (i == s.n)
			break;
		n = p[i] < 0x80 ? 1 : utf8_char(p + i, s.n - i, &bad);
		if (n == UTF8_INCOMPLETE)
			break;
		if (n == UTF8_INVALID) {
			put_text(out, s.p + from, i - from);
			buf_put_str(out, REPLACEMENT);
			i += bad;
			from = i;
		} else {
			i += (size_t)n;
		}
	}
	put_text(out, s.p + from, i - from);
	return i;
}

/* --- iconv --- */

static size_t
decode_iconv(struct charset_decoder *d, struct slice s, struct buf *out)
{
	char *in = (char *)(uintptr_t)s.p;
	size_t left = s.n;

	while (left > 0 && !out->failed) {
		char room[1024], *to = room;
		size_t n_room = sizeof(room);
		size_t rc = iconv(d->cd, &in, &left, &to, &n_room);
		int error = rc == (size_t)-1 ? errno : 0;

		put_text(out, room, sizeof(room) - n_room);
		if (error == EINVAL)
			break;
		if (error == EILSEQ) {
			size_t skip = left < d->unit ? left : d->unit;

			buf_put_str(out, REPLACEMENT);
			in += skip;
			left -= skip;
		}
	}
	return s.n - left;
}

static size_t
decode_some(struct charset_decoder *d, struct slice s, struct buf *out)
{
	if (d->kind == KIND_UTF8)
		return decode_utf8(s, out);
	if (d->kind == KIND_UTF7) {
		utf7_decode(&d->utf7, s, out);
		return s.n;
	}
	return decode_iconv(d, s, out);
}

bool
charset_decode(struct charset_decoder *d, struct slice in, struct buf *out)
{
	while (d->n_pending > 0 && in.n > 0 && !out->failed) {
		size_t used;

		d->pending[d->n_pending++] = *in.p;
		in = slice_from(in, 1);
		used = decode_some(d, slice(d->pending, d->n_pending), out);
		if (used == 0 && d->n_pending == sizeof(d->pending)) {
			/* No charset has characters this long. */
			buf_put_str(out, REPLACEMENT);
			used = 1;
		}
		d->n_pending -= used;
		memmove(d->pending, d->pending + used, d->n_pending);
	}
	while (in.n > 0 && !out->failed) {
		in = slice_from(in, decode_some(d, in, out));
		if (in.n < sizeof(d->pending)) {
			memcpy(d->pending, in.p, in.n);
			d->n_pending = in.n;
			break;
		}
		buf_put_str(out, REPLACEMENT);
		in = slice_from(in, 1);
	}
	return !out->failed;
}

bool
charset_decoder_end(struct charset_decoder *d, struct buf *out)
{
	if (d->n_pending > 0)
		buf_put_str(out, REPLACEMENT);
	if (d->kind == KIND_UTF7)
		utf7_decoder_end(&d->utf7, out);
	if (d->kind == KIND_ICONV) {
		char room[64], *to = room;
		size_t n_room = sizeof(room);

		/* Some keep a character for what may combine with it. */
		iconv(d->cd, NULL, NULL, &to, &n_room);
		put_text(out, room, sizeof(room) - n_room);
		iconv_close(d->cd);
	}
	*d = (struct charset_decoder){ .kind = KIND_UTF8 };
	return !out->failed;
}

int
charset_to_utf8(struct slice name, struct slice in, struct buf *out)
{
	struct charset_decoder d;
	int rc = charset_decoder_init(&d, name);

	if (rc != 0)
		return rc;
	charset_decode(&d, in, out);
	return charset_decoder_end(&d, out) ? 0 : -ENOMEM;
}
