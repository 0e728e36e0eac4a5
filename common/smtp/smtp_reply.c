/* SPDX-License-Identifier: ISC */
/*
 * Replies: written by the server, read line by line by the client (RFC 5321
 * 4.2; enhanced codes of RFC 2034 and 3463).
 */
#include "common/smtp/smtp.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#define LINE_MAX_OCTETS 512 /* RFC 5321 4.5.3.1.5, with code and CRLF */

struct smtp_reply
smtp_reply_f(
    struct arena *a, int code, const char *enhanced, const char *fmt, ...)
{
	struct smtp_reply r = { .code = code };
	char text[2048];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0)
		n = 0;
	snprintf(r.enhanced, sizeof(r.enhanced), "%s", enhanced);
	r.text = arena_dup(a,
	    slice(
		text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1));
	if (r.text.p == NULL)
		r.text = SLICE_EMPTY;
	return r;
}

static char
clean(char c)
{
	return ((unsigned char)c < 0x20 && c != '\t') || c == 0x7f ? ' ' : c;
}

/* How much of `s` fits in one line of `max`: up to a space where there is one
 * in its second half, and never inside a UTF-8 character. */
static size_t
fold_at(struct slice s, size_t max)
{
	size_t n = max;

	if (s.n <= max)
		return s.n;
	while (n > max / 2 && s.p[n] != ' ' && s.p[n] != '\t')
		n--;
	if (n > max / 2)
		return n;
	n = max;
	while (n > max - 4 && ((unsigned char)s.p[n] & 0xc0) == 0x80)
		n--;
	return n;
}

static void
put_line(
    struct buf *b, const struct smtp_reply *r, struct slice text, bool last)
{
	char code[16];
	int n =
	    snprintf(code, sizeof(code), "%03d%c", r->code, last ? ' ' : '-');

	buf_put(b, code, (size_t)n);
	if (r->enhanced[0] != '\0') {
		buf_put_str(b, r->enhanced);
		buf_put_char(b, ' ');
	}
	if (buf_reserve(b, text.n)) {
		for (size_t i = 0; i < text.n; i++)
			b->p[b->n + i] = clean(text.p[i]);
		b->n += text.n;
		b->p[b->n] = '\0';
	}
	buf_put_str(b, "\r\n");
}

bool
smtp_reply_write(struct buf *b, const struct smtp_reply *r)
{
	size_t start = b->n;
	size_t max = LINE_MAX_OCTETS - 6 - strlen(r->enhanced) - 1;
	struct slice rest = r->text;

	do {
		struct slice line = slice_split(&rest, '\n');

		while (line.n > max) {
			size_t n = fold_at(line, max);

			put_line(b, r, slice_head(line, n), false);
			line = slice_from(line, n);
		}
		put_line(b, r, line, rest.n == 0);
	} while (rest.n > 0);
	if (b->failed)
		buf_truncate(b, start);
	return !b->failed;
}

/* --- reading --- */

/* class "." subject "." detail at the start of `s`, agreeing with the code
 * (RFC 2034 4): its length, or 0. */
static size_t
enhanced_length(struct slice s, int code)
{
	size_t i = 1;

	if (s.n == 0 || s.p[0] != '0' + code / 100 ||
	    (s.p[0] != '2' && s.p[0] != '4' && s.p[0] != '5'))
		return 0;
	for (int part = 0; part < 2; part++) {
		size_t digits = 0;

		if (i == s.n || s.p[i++] != '.')
			return 0;
		while (i < s.n && ascii_is_digit(s.p[i])) {
			digits++;
			i++;
		}
		if (digits < 1 || digits > 3)
			return 0;
	}
	return i == s.n || s.p[i] == ' ' ? i : 0;
}

/* Each line of a reply carries the same enhanced code; the first one says
 * which, and it is cut from all. */
static struct slice
cut_enhanced(struct smtp_reply_reader *r, struct slice text)
{
	size_t n = r->plain ? 0 : enhanced_length(text, r->code);

	if (n == 0)
		return text;
	if (r->lines == 0) {
		memcpy(r->enhanced, text.p, n);
		r->enhanced[n] = '\0';
	} else if (!slice_eq_str(slice_head(text, n), r->enhanced)) {
		return text;
	}
	return slice_from(text, n + 1);
}

/* Reply-code = %x32-35 %x30-35 %x30-39 (RFC 5321 4.2); others, as the third
 * digit may be, are for the first digit to say. */
static int
code_of(struct slice line)
{
	if (line.n < 3 || line.p[0] < '2' || line.p[0] > '5' ||
	    !ascii_is_digit(line.p[1]) || !ascii_is_digit(line.p[2]))
		return -1;
	return (line.p[0] - '0') * 100 + (line.p[1] - '0') * 10 + line.p[2] -
	    '0';
}

static void
reader_reset(struct smtp_reply_reader *r)
{
	r->code = 0;
	r->lines = 0;
	r->enhanced[0] = '\0';
	buf_reset(&r->text);
}

static int
reader_finish(struct smtp_reply_reader *r, struct smtp_reply *out)
{
	*out = (struct smtp_reply){ .code = r->code };
	memcpy(out->enhanced, r->enhanced, sizeof(out->enhanced));
	out->text = arena_dup(r->arena, buf_slice(&r->text));
	reader_reset(r);
	return out->text.p == NULL ? -ENOMEM : 1;
}

int
smtp_reply_read(
    struct smtp_reply_reader *r, struct slice line, struct smtp_reply *out)
{
	int code = code_of(line);
	bool more = line.n > 3 && line.p[3] == '-';
	struct slice text;

	if (code < 0 || (r->lines > 0 && code != r->code) ||
	    (line.n > 3 && !more && line.p[3] != ' '))
		return -EPROTO;
	if (r->lines == SMTP_REPLY_LINES_MAX)
		return -EPROTO;
	r->code = code;
	r->text.max = SMTP_REPLY_TEXT_MAX;
	text = cut_enhanced(r, slice_from(line, 4));
	if (r->lines++ > 0)
		buf_put_char(&r->text, '\n');
	for (size_t i = 0; i < text.n; i++)
		buf_put_char(&r->text, clean(text.p[i]));
	if (r->text.failed)
		return -EPROTO;
	return more ? 0 : reader_finish(r, out);
}

void
smtp_reply_reader_clear(struct smtp_reply_reader *r)
{
	buf_clear(&r->text);
	reader_reset(r);
}
