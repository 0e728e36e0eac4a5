/* SPDX-License-Identifier: ISC */
#include "common/mail/encoded.h"

#include <errno.h>

#include "common/mail/charset.h"
#include "common/mail/header.h"
#include "common/mail/lex.h"
#include "common/mail/transfer.h"

#define WORD_MAX 75 /* RFC 2047 2 */
#define LINE_WANTED 76

/* --- decoding --- */

struct encoded_word {
	struct slice charset;
	char encoding; /* 'Q' or 'B' */
	struct slice text;
	size_t n; /* octets of the whole word */
};

/*
 * An encoded word at the start of s: "=?" charset ["*" language] "?" encoding
 * "?" text "?=" (RFC 2047 2, RFC 2231 5). The text may hold spaces, which
 * should not be, but is sent.
 */
static bool
parse_word(struct slice s, struct encoded_word *out)
{
	struct slice rest = slice_from(s, 2), charset;
	ssize_t end;

	if (!slice_starts(s, "=?"))
		return false;
	charset = slice_split(&rest, '?');
	out->charset = slice_split(&charset, '*');
	if (rest.n < 2 || rest.p[1] != '?')
		return false;
	out->encoding = ascii_upper(rest.p[0]);
	if (out->encoding != 'Q' && out->encoding != 'B')
		return false;
	rest = slice_from(rest, 2);
	end = slice_find(rest, '?');
	if (end < 0 || (size_t)end + 1 >= rest.n || rest.p[end + 1] != '=')
		return false;
	out->text = slice_head(rest, (size_t)end);
	out->n = (size_t)(out->text.p - s.p) + out->text.n + 2;
	return charset_is_known(out->charset);
}

/* RFC 2047 4.2: "_" is a space. */
static void
decode_q(struct slice text, struct buf *out)
{
	struct transfer_decoder d;

	transfer_decoder_init(&d, TRANSFER_QP);
	while (text.n > 0) {
		struct slice part = text;
		ssize_t at = slice_find(text, '_');

		if (at < 0)
			at = (ssize_t)text.n;
		part.n = (size_t)at;
		transfer_decode(&d, part, out);
		if (part.n < text.n)
			transfer_decode(&d, SLICE_LIT("=20"), out);
		text = slice_from(text, part.n + 1);
	}
	transfer_decoder_end(&d, out);
}

static void
decode_b(struct slice text, struct buf *out)
{
	struct transfer_decoder d;

	transfer_decoder_init(&d, TRANSFER_BASE64);
	transfer_decode(&d, text, out);
	transfer_decoder_end(&d, out);
}

/* Decodes a run of adjacent words; the decoder is open over words of the same
 * charset, so that a character may be split over two of them. */
struct run {
	struct charset_decoder decoder;
	struct slice charset;
	bool open;
	struct buf octets; /* scratch */
	struct buf *out;
};

static void
run_close(struct run *r)
{
	if (r->open)
		charset_decoder_end(&r->decoder, r->out);
	r->open = false;
}

static int
run_word(struct run *r, const struct encoded_word *w)
{
	int rc;

	if (r->open && !slice_eq_nocase(r->charset, w->charset))
		run_close(r);
	if (!r->open) {
		if ((rc = charset_decoder_init(&r->decoder, w->charset)) != 0)
			return rc;
		r->charset = w->charset;
		r->open = true;
	}
	buf_reset(&r->octets);
	if (w->encoding == 'Q')
		decode_q(w->text, &r->octets);
	else
		decode_b(w->text, &r->octets);
	charset_decode(&r->decoder, buf_slice(&r->octets), r->out);
	return r->octets.failed || r->out->failed ? -ENOMEM : 0;
}

/* Octets up to where the next encoded word could begin (1 at least). */
static size_t
plain_length(struct slice s)
{
	ssize_t at = slice_find_slice(slice_from(s, 1), SLICE_LIT("=?"));

	return at < 0 ? s.n : (size_t)at + 1;
}

/* `s` is unfolded. */
static int
decode_runs(struct slice s, struct run *r)
{
	struct encoded_word w;
	int rc;

	while (s.n > 0) {
		size_t space = lex_wsp_size(s), n;

		if (parse_word(slice_from(s, space), &w)) {
			if (!r->open)
				buf_put(r->out, s.p, space);
			if ((rc = run_word(r, &w)) != 0)
				return rc;
			s = slice_from(s, space + w.n);
			continue;
		}
		run_close(r);
		n = space < s.n ? plain_length(slice_from(s, space)) : 0;
		/* Leave the space before a word to the next turn. */
		for (n += space; n > space + 1 && lex_is_wsp(s.p[n - 1]); n--)
			;
		rc = charset_to_utf8(
		    SLICE_LIT("utf-8"), slice_head(s, n), r->out);
		if (rc != 0)
			return rc;
		s = slice_from(s, n);
	}
	run_close(r);
	return 0;
}

/* What decoding brought in must not end the line it will stand in. */
static void
clean(struct buf *b)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->p[i] == '\r' || b->p[i] == '\n')
			b->p[i] = ' ';
}

struct slice
encoded_decode(struct arena *a, struct slice text)
{
	struct buf out = BUF_INIT;
	struct run r = { .octets = BUF_INIT, .out = &out };
	struct slice s = header_unfold(a, text), result = { NULL, 0 };

	if (s.p == NULL)
		return s;
	if (slice_find_slice(s, SLICE_LIT("=?")) < 0 && utf8_is_valid(s))
		return s;
	if (decode_runs(s, &r) == 0 && !out.failed) {
		clean(&out);
		result = arena_dup(a, buf_slice(&out));
	}
	run_close(&r);
	buf_clear(&r.octets);
	buf_clear(&out);
	return result;
}

/* --- encoding --- */

/* Writes words into lines. */
struct writer {
	struct buf *b;
	size_t column;
	bool phrase; /* the narrow alphabet */
};

/* Octets that a Q word may have as they are: RFC 2047 4.2 (3), 5 (3). */
static bool
q_plain(const struct writer *w, unsigned char c)
{
	if (ascii_is_alpha((char)c) || ascii_is_digit((char)c))
		return true;
	if (w->phrase)
		return memchr("!*+-/", c, 5) != NULL;
	return c > ' ' && c < 127 && c != '=' && c != '?' && c != '_';
}

static size_t
q_size(const struct writer *w, struct slice s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++)
		n += s.p[i] == ' ' || q_plain(w, (unsigned char)s.p[i]) ? 1 : 3;
	return n;
}

static void
put_q(struct writer *w, struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == ' ')
			buf_put_char(w->b, '_');
		else if (q_plain(w, c))
			buf_put_char(w->b, (char)c);
		else
			buf_printf(w->b, "=%02X", c);
	}
}

#define WORD_FRAME 12 /* octets of "=?utf-8?q?" and of what ends it */

static size_t
encoded_size(const struct writer *w, struct slice s, bool q)
{
	return WORD_FRAME + (q ? q_size(w, s) : (s.n + 2) / 3 * 4);
}

/* The most characters of s whose encoded word has at most `room` octets. */
static struct slice
fit(const struct writer *w, struct slice s, bool q, size_t room)
{
	size_t best = 0, chars = 1, n;

	while (best < s.n) {
		n = utf8_prefix(slice_from(s, best), chars) + best;
		if (encoded_size(w, slice_head(s, n), q) > room)
			break;
		best = n;
	}
	return slice_head(s, best);
}

static void
fold(struct writer *w)
{
	buf_put_str(w->b, "\r\n ");
	w->column = 1;
}

/* `s` is valid UTF-8. */
static void
put_encoded(struct writer *w, struct slice s)
{
	/* Latin text stays readable in its source, at a small price. */
	bool q = q_size(w, s) * 4 <= s.n * 9;

	while (s.n > 0) {
		size_t room =
		    w->column < LINE_WANTED ? LINE_WANTED - w->column : 0;
		struct slice part =
		    fit(w, s, q, room < WORD_MAX ? room : WORD_MAX);

		if (part.n == 0) {
			fold(w);
			continue;
		}
		buf_put_str(w->b, q ? "=?utf-8?q?" : "=?utf-8?b?");
		if (q)
			put_q(w, part);
		else
			base64_encode(w->b, part);
		buf_put_str(w->b, "?=");
		w->column += encoded_size(w, part, q);
		s = slice_from(s, part.n);
	}
}

/* Also what would be taken for an encoded word, what would be lost in a
 * header (control characters), and what no line can hold. */
static bool
needs_encoding(struct slice word)
{
	if (word.n > 900 || slice_find_slice(word, SLICE_LIT("=?")) >= 0)
		return true;
	for (size_t i = 0; i < word.n; i++)
		if ((unsigned char)word.p[i] >= 127 ||
		    ((unsigned char)word.p[i] < ' ' && word.p[i] != '\t'))
			return true;
	return false;
}

/* The first word of s with the white space before it. */
static size_t
word_size(struct slice s)
{
	size_t n = lex_wsp_size(s);

	while (n < s.n && !lex_is_wsp(s.p[n]))
		n++;
	return n;
}

/*
 * Octets of s (which begins with a word that needs encoding, or with the white
 * space before it) up to the end of the last word of the run that need it too.
 */
static size_t
run_size(struct slice s)
{
	size_t n = 0;

	while (n < s.n) {
		struct slice rest = slice_from(s, n);
		size_t word = word_size(rest), space = lex_wsp_size(rest);

		if (!needs_encoding(slice(rest.p + space, word - space)))
			break;
		n += word;
	}
	return n;
}

/* `space`, on a new line when the word after it would not fit in this one. */
static void
put_space(struct writer *w, struct slice space, size_t word)
{
	if (space.n > LINE_WANTED)
		space.n = 1;
	if (w->column + space.n + word > LINE_WANTED) {
		buf_put_str(w->b, "\r\n");
		w->column = 0;
	}
	buf_put_slice(w->b, space);
	w->column += space.n;
}

static void
put_words(struct writer *w, struct slice s)
{
	while (s.n > 0) {
		size_t run = run_size(s), space = lex_wsp_size(s);
		size_t n = run > 0 ? run : word_size(s);
		struct slice word = slice(s.p + space, n - space);

		if (space > 0)
			put_space(w, slice_head(s, space),
			    run > 0 ? WORD_FRAME + 4 * 3 : word.n);
		if (run > 0) {
			put_encoded(w, word);
		} else {
			buf_put_slice(w->b, word);
			w->column += word.n;
		}
		s = slice_from(s, n);
	}
}

/* Line ends and invalid octets gone. False when memory is out. */
static bool
cleaned(struct slice text, struct buf *out)
{
	if (charset_to_utf8(SLICE_LIT("utf-8"), slice_trim(text), out) != 0)
		return false;
	clean(out);
	return true;
}

bool
encoded_put_text(struct buf *b, struct slice utf8, size_t column)
{
	struct writer w = { .b = b, .column = column };
	struct buf text = BUF_INIT;

	if (cleaned(utf8, &text))
		put_words(&w, buf_slice(&text));
	else
		b->failed = true;
	buf_clear(&text);
	return !b->failed;
}

static bool
is_atoms(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!lex_is_atext(s.p[i]) &&
		    (s.p[i] != ' ' || i == 0 || s.p[i - 1] == ' '))
			return false;
	return s.n > 0;
}

static void
put_phrase(struct writer *w, struct slice s)
{
	/* In a quoted string there are no encoded words (RFC 2047 5), so it is
	 * all of the phrase or nothing. */
	if (needs_encoding(s))
		put_encoded(w, s);
	else if (is_atoms(s))
		put_words(w, s);
	else
		lex_put_quoted(w->b, s);
}

bool
encoded_put_phrase(struct buf *b, struct slice utf8, size_t column)
{
	struct writer w = { .b = b, .column = column, .phrase = true };
	struct buf text = BUF_INIT;

	if (cleaned(utf8, &text))
		put_phrase(&w, buf_slice(&text));
	else
		b->failed = true;
	buf_clear(&text);
	return !b->failed;
}
