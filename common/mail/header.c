/* SPDX-License-Identifier: ISC */
/*
 * One classification of lines, header_line_kind, decides for all functions
 * here and for the MIME reader what is header.
 */
#include "common/mail/header.h"

#include <errno.h>

#include "common/mail/lex.h"

#define LINE_MAX_SMTP 998 /* RFC 5322 2.1.1 */
#define LINE_WANTED 76

/* RFC 5322 3.6.8 ftext: printable ASCII but the colon. */
static bool
is_ftext(char c)
{
	return c > ' ' && c < 127 && c != ':';
}

/* Octets of the first line with its LF; s.n when there is no LF. */
static size_t
line_size(struct slice s)
{
	const char *lf = s.n == 0 ? NULL : memchr(s.p, '\n', s.n);

	return lf == NULL ? s.n : (size_t)(lf - s.p) + 1;
}

static bool
is_field(struct slice line)
{
	size_t i = 0;

	while (i < line.n && is_ftext(line.p[i]))
		i++;
	while (i < line.n && lex_is_wsp(line.p[i]))
		i++;
	return i < line.n && line.p[i] == ':';
}

enum header_line
header_line_kind(struct slice line, bool after_field)
{
	size_t n = line.n;

	if (n > 0 && line.p[n - 1] == '\n')
		n--;
	if (n > 0 && line.p[n - 1] == '\r')
		n--;
	if (n == 0)
		return HEADER_LINE_BLANK;
	line.n = n;
	if (lex_is_wsp(line.p[0]))
		return after_field ? HEADER_LINE_FOLDED : HEADER_LINE_BODY;
	if (is_field(line))
		return HEADER_LINE_FIELD;
	if (slice_starts(line, "From ") || slice_starts(line, ">From "))
		return HEADER_LINE_MBOX;
	return HEADER_LINE_BODY;
}

/*
 * Scan lines from *at on. True when the header ends, at *at; else *at is the
 * start of a line that is not complete yet. `ended`: nothing follows `s`.
 */
static bool
scan(struct slice s, bool ended, bool *after_field, size_t *at)
{
	while (*at < s.n) {
		struct slice line = slice_from(s, *at);
		enum header_line kind;

		line.n = line_size(line);
		if (*at + line.n > HEADER_MAX)
			return true;
		if (line.p[line.n - 1] != '\n' && !ended)
			return false;
		kind = header_line_kind(line, *after_field);
		if (kind == HEADER_LINE_BODY)
			return true;
		*at += line.n;
		if (kind == HEADER_LINE_BLANK)
			return true;
		*after_field = kind != HEADER_LINE_MBOX;
	}
	return ended;
}

size_t
header_size(struct slice message)
{
	bool after_field = false;
	size_t at = 0;

	scan(message, true, &after_field, &at);
	return at;
}

static struct slice
without_line_end(struct slice s)
{
	if (s.n > 0 && s.p[s.n - 1] == '\n')
		s.n--;
	if (s.n > 0 && s.p[s.n - 1] == '\r')
		s.n--;
	return s;
}

static void
cut_field(struct slice raw, struct header_field *out)
{
	size_t colon = (size_t)slice_find(raw, ':');
	struct slice name = slice_head(raw, colon);

	while (name.n > 0 && lex_is_wsp(name.p[name.n - 1]))
		name.n--;
	out->name = name;
	out->raw = raw;
	out->value = without_line_end(slice_from(raw, colon + 1));
}

bool
header_next(struct slice *rest, struct header_field *out)
{
	while (rest->n > 0) {
		size_t n = line_size(*rest);
		enum header_line kind =
		    header_line_kind(slice_head(*rest, n), false);

		if (kind == HEADER_LINE_BODY)
			return false;
		if (kind == HEADER_LINE_FIELD)
			break;
		*rest = slice_from(*rest, n);
		if (kind == HEADER_LINE_BLANK)
			return false;
	}
	if (rest->n == 0)
		return false;

	struct slice raw = slice_head(*rest, line_size(*rest));

	while (raw.n < rest->n && lex_is_wsp(rest->p[raw.n])) {
		struct slice line = slice_from(*rest, raw.n);

		raw.n += line_size(line);
	}
	*rest = slice_from(*rest, raw.n);
	cut_field(raw, out);
	return true;
}

bool
header_find(struct slice message, const char *name, struct header_field *out)
{
	struct slice rest = slice_head(message, header_size(message));
	struct header_field f;

	while (header_next(&rest, &f)) {
		if (!slice_eq_str_nocase(f.name, name))
			continue;
		*out = f;
		return true;
	}
	return false;
}

size_t
header_count(struct slice message, const char *name)
{
	struct slice rest = slice_head(message, header_size(message));
	struct header_field f;
	size_t n = 0;

	while (header_next(&rest, &f))
		n += slice_eq_str_nocase(f.name, name);
	return n;
}

/* --- values --- */

/* Octets of the line end at s.p[i], 0 when there is none or a bare CR. */
static size_t
line_end_at(struct slice s, size_t i)
{
	if (s.p[i] == '\n')
		return 1;
	if (s.p[i] == '\r' && i + 1 < s.n && s.p[i + 1] == '\n')
		return 2;
	return 0;
}

/* Into `out`, which has room for s.n octets; returns how many. */
static size_t
unfold_into(struct slice s, char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		size_t end = line_end_at(s, i);

		if (end != 0) {
			i += end - 1;
			if (i + 1 < s.n && lex_is_wsp(s.p[i + 1]))
				continue;
			out[n++] = ' ';
		} else if (s.p[i] == '\r') {
			out[n++] = ' ';
		} else if (s.p[i] != '\0') {
			out[n++] = s.p[i];
		}
	}
	return n;
}

struct slice
header_unfold(struct arena *a, struct slice value)
{
	struct slice s = slice_trim(value);
	char *p = arena_alloc(a, s.n + 1);

	if (p == NULL)
		return slice(NULL, 0);
	return slice_trim(slice(p, unfold_into(s, p)));
}

struct slice
header_value(struct arena *a, struct slice message, const char *name)
{
	struct header_field f;

	if (!header_find(message, name, &f))
		return slice(NULL, 0);
	return header_unfold(a, f.value);
}

bool
header_name_is_valid(struct slice name)
{
	if (name.n == 0 || name.n > LINE_WANTED)
		return false;
	for (size_t i = 0; i < name.n; i++)
		if (!is_ftext(name.p[i]))
			return false;
	return true;
}

/* --- writing --- */

/* The next word of *rest, with the white space before it. */
static struct slice
take_word(struct slice *rest, size_t *n_space)
{
	struct slice s = *rest;
	size_t i = 0;

	while (i < s.n && ascii_is_space(s.p[i]))
		i++;
	*n_space = i;
	while (i < s.n && !ascii_is_space(s.p[i]))
		i++;
	*rest = slice_from(s, i);
	return slice(s.p + *n_space, i - *n_space);
}

static void
put_word(struct buf *b, struct slice word, size_t *column)
{
	/* Only a word that no line can hold is cut. */
	while (*column + word.n > LINE_MAX_SMTP) {
		struct slice part = slice_head(word, LINE_MAX_SMTP - *column);

		buf_put_slice(b, part);
		buf_put_str(b, "\r\n ");
		word = slice_from(word, part.n);
		*column = 1;
	}
	for (size_t i = 0; i < word.n; i++)
		buf_put_char(b, word.p[i] == '\0' ? ' ' : word.p[i]);
	*column += word.n;
}

static void
put_space(struct buf *b, const char *space, size_t n)
{
	/* No line of nothing but white space, however much there is. */
	if (n > LINE_WANTED)
		n = 1;
	for (size_t i = 0; i < n; i++) {
		size_t end = line_end_at(slice(space, n), i);

		if (end != 0 && i + end < n && lex_is_wsp(space[i + end])) {
			i += end - 1;
			continue;
		}
		i += end > 1;
		buf_put_char(b, space[i] == '\t' ? '\t' : ' ');
	}
}

bool
header_put(struct buf *b, const char *name, struct slice value)
{
	struct slice rest = slice_trim(value);
	size_t column = strlen(name) + 1, n_space;

	buf_put_str(b, name);
	buf_put_char(b, ':');
	for (bool first = true; rest.n > 0; first = false) {
		const char *space = rest.p;
		struct slice word = take_word(&rest, &n_space);

		if (!first && column + n_space + word.n > LINE_WANTED) {
			buf_put_str(b, "\r\n");
			column = 0;
		}
		if (first)
			buf_put_char(b, ' ');
		put_space(b, space, n_space);
		column += n_space + first;
		put_word(b, word, &column);
	}
	return buf_put_str(b, "\r\n");
}

/* --- reading in chunks --- */

void
header_reader_init(struct header_reader *r)
{
	*r = (struct header_reader){ .held = BUF_INIT };
}

int
header_reader_feed(struct header_reader *r, struct slice chunk)
{
	if (!buf_put_slice(&r->held, chunk))
		return -ENOMEM;
	/* A line that comes octet by octet is looked at when it is complete. */
	if (!r->done &&
	    (slice_find(chunk, '\n') >= 0 || r->held.n > HEADER_MAX))
		r->done =
		    scan(buf_slice(&r->held), false, &r->after_field, &r->end);
	return 0;
}

void
header_reader_end(struct header_reader *r)
{
	if (!r->done)
		scan(buf_slice(&r->held), true, &r->after_field, &r->end);
	r->done = true;
}

struct slice
header_reader_header(const struct header_reader *r)
{
	return slice_head(buf_slice(&r->held), r->end);
}

struct slice
header_reader_body(const struct header_reader *r)
{
	return slice_from(buf_slice(&r->held), r->end);
}

void
header_reader_clear(struct header_reader *r)
{
	buf_clear(&r->held);
	header_reader_init(r);
}
