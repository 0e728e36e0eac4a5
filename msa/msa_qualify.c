/* SPDX-License-Identifier: ISC */
/*
 * Addresses without a domain in the fields of recipients (RFC 6409 8). Only
 * two plain forms are known, "bob" and "Bob <bob>"; all that is more than
 * that, or less clear, stays as it is. A pure function on octets.
 */
#include "msa/msa.h"

#include "common/mail/address.h"
#include "common/mail/charset.h"
#include "common/mail/header.h"
#include "common/mail/lex.h"

#define COMPLETED_MAX 1000 /* of a field; each is looked up */
#define LINE_FULL 800	   /* octets: fold then (RFC 5322 2.1.1) */

struct scan {
	const struct msa_fixup *f;
	struct buf *out;
	const char *from;  /* not yet written from here on */
	struct slice word; /* of the element, or inside "<>"; .p NULL: none */
	bool other;	   /* there is more than that one word */
	bool angle;	   /* inside "<>" */
	size_t n;	   /* completed so far */
};

static void
begin(struct scan *s, bool other)
{
	s->word = (struct slice){ NULL, 0 };
	s->other = other;
}

static bool
is_plain(struct slice word)
{
	/* Encoded words are atoms too (RFC 2047 2), and no names. */
	return word.n <= ADDRESS_LOCAL_MAX && lex_is_dot_atom(word) &&
	    ascii_is_all(word) && !slice_starts(word, "=?");
}

/* An element or "<>" ends: was it one word, which wants its domain? */
static bool
settle(struct scan *s)
{
	if (s->word.p == NULL || s->other || s->n >= COMPLETED_MAX ||
	    !is_plain(s->word) ||
	    (s->f->is_known != NULL && !s->f->is_known(s->f->arg, s->word)))
		return false;
	buf_put(s->out, s->from, (size_t)(s->word.p + s->word.n - s->from));
	buf_put_char(s->out, '@');
	buf_put_slice(s->out, s->f->domain);
	s->from = s->word.p + s->word.n;
	s->n++;
	return true;
}

/* Behind the comma at `p`, where a line has become long. */
static void
fold(struct scan *s, const char *p)
{
	struct slice written = buf_slice(s->out);
	size_t line = written.n - (size_t)(slice_rfind(written, '\n') + 1);

	if (line <= LINE_FULL)
		return;
	buf_put(s->out, s->from, (size_t)(p + 1 - s->from));
	buf_put_str(s->out, "\r\n\t");
	s->from = p + 1;
}

/* What is neither a word nor to be skipped. */
static void
take_special(struct scan *s, const char *p)
{
	switch (*p) {
	case ' ':
	case '\t':
	case '\r':
	case '\n':
		break;
	case '<':
		begin(s, s->angle);
		s->angle = true;
		break;
	case '>':
		if (s->angle)
			settle(s);
		s->angle = false;
		begin(s, true); /* the rest of the element is no address */
		break;
	case ':':
		begin(s, s->angle); /* the name of a group, or a route */
		break;
	case ',':
	case ';':
		if (s->angle)
			s->other = true;
		else if (settle(s) && *p == ',')
			fold(s, p);
		if (!s->angle)
			begin(s, false);
		break;
	default: /* "@" above all */
		s->other = true;
		break;
	}
}

static bool
is_word_char(char c)
{
	return c == '.' || lex_is_atext(c);
}

/* Octets of what begins `rest`; it is taken in. */
static size_t
take(struct scan *s, struct slice rest)
{
	size_t n = 1;

	if (*rest.p == '(')
		return lex_comment_size(rest);
	if (*rest.p == '"') {
		s->other = true;
		return lex_quoted_size(rest);
	}
	if (!is_word_char(*rest.p)) {
		take_special(s, rest.p);
		return 1;
	}
	while (n < rest.n && is_word_char(rest.p[n]))
		n++;
	s->other |= s->word.p != NULL;
	s->word = slice_head(rest, n);
	return n;
}

bool
msa_qualify(struct slice value, const struct msa_fixup *f, struct buf *out)
{
	struct scan s = { .f = f, .out = out, .from = value.p };
	struct slice rest = value;

	while (rest.n > 0)
		rest = slice_from(rest, take(&s, rest));
	if (!s.angle)
		settle(&s);
	buf_put(out, s.from, (size_t)(value.p + value.n - s.from));
	return s.n > 0;
}

bool
msa_names_recipients(struct slice field)
{
	static const char *const names[] = { "To", "Cc", "Bcc", "Reply-To",
		"Resent-To", "Resent-Cc", "Resent-Bcc" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (slice_eq_str_nocase(field, names[i]))
			return true;
	return false;
}
