/* SPDX-License-Identifier: ISC */
/* Transfer encoding, then charset, then lines or HTML: each with its own
 * state, so that a body of any size goes through in pieces. */
#include "common/mail/text.h"

#include <errno.h>
#include <stdlib.h>

#include "common/mail/charset.h"
#include "common/mail/html_text.h"
#include "common/mail/transfer.h"

#define PIECE 4096

struct text_reader {
	struct transfer_decoder transfer;
	struct charset_decoder charset;
	bool is_html;
	struct html_text html;
	bool after_cr;
	struct buf octets, utf8; /* scratch of one piece */
};

const struct mime_part *
text_part_find(const struct mime_part *root)
{
	const struct mime_part *p, *html = NULL;

	for (p = root; p != NULL; p = mime_part_next(p)) {
		if (!mime_part_has_text(p))
			continue;
		if (mime_part_is_shown(p, "plain"))
			return p;
		if (html == NULL && mime_part_is_shown(p, "html"))
			html = p;
	}
	return html;
}

bool
text_part_is_text(const struct mime_part *part)
{
	return part->kind == MIME_LEAF && slice_eq_str(part->type, "text");
}

int
text_reader_new(struct text_reader **out, const struct mime_part *part)
{
	struct text_reader *t = calloc(1, sizeof(*t));
	struct slice charset = param_raw(&part->params, "charset");
	int rc;

	if (t == NULL)
		return -ENOMEM;
	if (charset.p == NULL)
		charset = SLICE_EMPTY;
	if ((rc = charset_decoder_init(&t->charset, charset)) != 0) {
		free(t);
		return rc;
	}
	transfer_decoder_init(&t->transfer, part->encoding);
	t->is_html = slice_eq_str(part->subtype, "html");
	*out = t;
	return 0;
}

/* As much of s as `out` takes, at a character's end; then it is full. */
static void
put_bounded(struct buf *out, struct slice s)
{
	size_t max = out->max == 0 ? BUF_MAX : out->max;
	size_t room = max - out->n;

	if (out->failed)
		return;
	if (s.n <= room) {
		buf_put_slice(out, s);
		return;
	}
	while (room > 0 && ((unsigned char)s.p[room] & 0xc0) == 0x80)
		room--;
	buf_put(out, s.p, room);
	out->failed = true;
}

/* Lines end in LF: CRLF and CR become that. */
static void
put_plain(struct text_reader *t, struct slice s, struct buf *out)
{
	while (s.n > 0 && !out->failed) {
		ssize_t cr;
		size_t n;

		if (t->after_cr && *s.p == '\n')
			s = slice_from(s, 1);
		cr = slice_find(s, '\r');
		n = cr < 0 ? s.n : (size_t)cr;
		put_bounded(out, slice_head(s, n));
		t->after_cr = n < s.n;
		if (t->after_cr)
			put_bounded(out, SLICE_LIT("\n"));
		s = slice_from(s, n + 1);
	}
}

/* HTML comes out octet by octet, and may have been cut within a character. */
static void
drop_half_character(struct buf *out)
{
	size_t n = out->n;

	while (n > 0 && ((unsigned char)out->p[n - 1] & 0xc0) == 0x80)
		n--;
	n -= n > 0;
	if (!utf8_is_valid(slice_from(buf_slice(out), n)))
		buf_truncate(out, n);
}

static void
put_text(struct text_reader *t, struct buf *out)
{
	struct slice s = buf_slice(&t->utf8);

	if (t->is_html) {
		html_text_feed(&t->html, s, out);
		if (out->failed)
			drop_half_character(out);
	} else {
		put_plain(t, s, out);
	}
	buf_reset(&t->utf8);
}

bool
text_reader_feed(struct text_reader *t, struct slice raw, struct buf *out)
{
	while (raw.n > 0 && !out->failed) {
		struct slice piece = slice_head(raw, PIECE);

		transfer_decode(&t->transfer, piece, &t->octets);
		charset_decode(&t->charset, buf_slice(&t->octets), &t->utf8);
		buf_reset(&t->octets);
		put_text(t, out);
		raw = slice_from(raw, piece.n);
	}
	return !out->failed;
}

bool
text_reader_end(struct text_reader *t, struct buf *out)
{
	transfer_decoder_end(&t->transfer, &t->octets);
	charset_decode(&t->charset, buf_slice(&t->octets), &t->utf8);
	charset_decoder_end(&t->charset, &t->utf8);
	put_text(t, out);
	if (t->is_html && !out->failed)
		html_text_end(&t->html, out);
	return !out->failed;
}

void
text_reader_free(struct text_reader **tp)
{
	struct text_reader *t = *tp;

	if (t == NULL)
		return;
	charset_decoder_end(&t->charset, &t->utf8);
	buf_clear(&t->octets);
	buf_clear(&t->utf8);
	free(t);
	*tp = NULL;
}

int
text_decode(const struct mime_part *part, struct slice raw, struct buf *out)
{
	struct text_reader *t = NULL;
	int rc = text_reader_new(&t, part);

	if (rc != 0)
		return rc;
	text_reader_feed(t, raw, out);
	text_reader_end(t, out);
	out->failed = false; /* full is enough */
	text_reader_free(&t);
	return 0;
}

/* --- preview --- */

/* A line that says nothing by itself: quoted, or drawn. */
static bool
is_passed_over(struct slice line)
{
	line = slice_trim(line);
	if (line.n > 0 && *line.p == '>')
		return true;
	for (size_t i = 0; i < line.n; i++)
		if (memchr("-_=*~#+ ", line.p[i], 8) == NULL)
			return false;
	return true;
}

/* Characters that show nothing: controls, and the invisible ones of U+200B to
 * U+200F, U+FEFF, U+00AD, U+034F. `c` is one character. */
static bool
is_invisible(struct slice c)
{
	if (c.n == 1)
		return (unsigned char)*c.p < ' ' || *c.p == 127;
	return slice_eq_str(c, "\xc2\xad") || slice_eq_str(c, "\xcd\x8f") ||
	    slice_eq_str(c, "\xef\xbb\xbf") ||
	    (c.n == 3 && memcmp(c.p, "\xe2\x80", 2) == 0 &&
		(unsigned char)c.p[2] >= 0x8b &&
		(unsigned char)c.p[2] <= 0x8f) ||
	    (c.n == 2 && *c.p == '\xc2' && (unsigned char)c.p[1] < 0xa0);
}

static bool
is_space(struct slice c)
{
	return ascii_is_space(*c.p) || slice_eq_str(c, "\xc2\xa0");
}

bool
text_preview(struct slice text, struct buf *out)
{
	size_t left = TEXT_PREVIEW_CHARS;
	bool space = false, begun = false;

	while (text.n > 0 && left > 0) {
		struct slice line = slice_split(&text, '\n');

		space = true;
		if (is_passed_over(line))
			continue;
		while (line.n > 0 && left > 0) {
			struct slice c = slice_head(line, utf8_prefix(line, 1));

			line = slice_from(line, c.n);
			if (is_space(c)) {
				space = true;
				continue;
			}
			if (is_invisible(c))
				continue;
			if (space && begun && left == 1)
				return !out->failed;
			if (space && begun) {
				buf_put_char(out, ' ');
				left--;
			}
			buf_put_slice(out, c);
			left--;
			begun = true;
			space = false;
		}
	}
	return !out->failed;
}
