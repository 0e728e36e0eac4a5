/* SPDX-License-Identifier: ISC */
#include "gateway/gmail_scan.h"

#include <errno.h>

#include "common/mail/transfer.h"

enum {
	ST_VALUE,     /* one must come */
	ST_FIRST,     /* one, or the end of the array */
	ST_KEY_FIRST, /* a key, or the end of the object */
	ST_KEY,
	ST_COLON,
	ST_NEXT, /* a comma, or the end */
	ST_STRING,
	ST_WORD,
	/* of a number: */
	ST_MINUS,
	ST_ZERO,
	ST_INT,
	ST_POINT,
	ST_FRACTION,
	ST_E,
	ST_E_SIGN,
	ST_E_DIGITS,
	ST_DONE,
};

enum { F_OTHER, F_KEY, F_ID, F_LABELS, F_DATE, F_RAW };

static const struct {
	const char *name;
	unsigned field;
} fields[] = { { "id", F_ID }, { "labelIds", F_LABELS },
	{ "internalDate", F_DATE }, { "raw", F_RAW } };

static const char *const words[] = { "true", "false", "null" };

void
gmail_scan_init(
    struct gmail_scan *s, int (*raw)(void *arg, struct slice octets), void *arg)
{
	*s = (struct gmail_scan){ .raw = raw,
		.arg = arg,
		.internaldate_ms = INT64_MIN,
		.labels = BUF_INIT_MAX(GMAIL_LABELS_MAX) };
}

void
gmail_scan_clear(struct gmail_scan *s)
{
	buf_clear(&s->labels);
}

bool
gmail_id_is_valid(struct slice id)
{
	for (size_t i = 0; i < id.n; i++)
		if (!ascii_is_alpha(id.p[i]) && !ascii_is_digit(id.p[i]) &&
		    id.p[i] != '_' && id.p[i] != '-')
			return false;
	return id.n > 0 && id.n <= GMAIL_ID_MAX;
}

/* --- the message in it --- */

static int
flush(struct gmail_scan *s)
{
	int rc = s->n_out == 0 ? 0 : s->raw(s->arg, slice(s->out, s->n_out));

	s->n_out = 0;
	return rc;
}

static void
put_bits(struct gmail_scan *s, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		s->out[s->n_out++] = (char)(s->bits >> (16 - 8 * i));
	s->bits = 0;
	s->n_digits = s->n_pads = 0;
}

static int
raw_octet(struct gmail_scan *s, char c)
{
	int v = c == '-' ? 62 : c == '_' ? 63 : base64_digit(c);

	if (s->n_pads > 0 || c == '=') {
		/* "xx==" and "xxx=", at the end. */
		if (c != '=' || s->n_digits < 2 ||
		    s->n_digits + ++s->n_pads > 4)
			return -EPROTO;
		return 0;
	}
	if (v < 0 || c == '+' || c == '/')
		return -EPROTO;
	s->bits |= (uint32_t)v << (18 - 6 * s->n_digits);
	if (++s->n_digits < 4)
		return 0;
	put_bits(s, 3);
	return s->n_out + 3 > sizeof(s->out) ? flush(s) : 0;
}

/* Without padding it may end, but not with a lone digit, nor with bits that
 * would be lost. */
static int
raw_end(struct gmail_scan *s)
{
	uint32_t lost = s->n_digits == 2 ? 0xffff : 0xff;

	if (s->n_digits == 1 ||
	    (s->n_pads > 0 && s->n_digits + s->n_pads != 4) ||
	    (s->n_digits > 1 && (s->bits & lost) != 0))
		return -EPROTO;
	if (s->n_digits > 1)
		put_bits(s, s->n_digits - 1);
	return flush(s);
}

/* --- strings --- */

static int
text_octet(struct gmail_scan *s, char c)
{
	if (s->field == F_RAW)
		return raw_octet(s, c);
	if (s->field == F_OTHER)
		return 0;
	if (s->n_text == GMAIL_ID_MAX)
		s->text_long = true;
	else
		s->text[s->n_text++] = c;
	return 0;
}

/* Only ASCII counts in what we read. */
static int
text_unit(struct gmail_scan *s, unsigned unit)
{
	return text_octet(s, unit > 0 && unit < 0x80 ? (char)unit : '\x7f');
}

static int
key_end(struct gmail_scan *s, struct slice text)
{
	s->key = F_OTHER;
	if (s->depth > 1)
		return 0;
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (!s->text_long && slice_eq_str(text, fields[i].name))
			s->key = fields[i].field;
	return 0;
}

static int
field_end(struct gmail_scan *s, struct slice text)
{
	uint64_t n;

	switch (s->field) {
	case F_KEY:
		return key_end(s, text);
	case F_RAW:
		return raw_end(s);
	case F_ID:
		if (s->text_long || !gmail_id_is_valid(text) ||
		    s->id[0] != '\0')
			return -EPROTO;
		memcpy(s->id, text.p, text.n);
		return 0;
	case F_LABELS:
		if (s->text_long || !gmail_id_is_valid(text))
			return -EPROTO;
		buf_put_slice(&s->labels, text);
		return buf_put_char(&s->labels, ' ') ? 0 : -E2BIG;
	case F_DATE:
		if (slice_u64(text, INT64_MAX, &n) != 0)
			return -EPROTO;
		s->internaldate_ms = (int64_t)n;
		return 0;
	}
	return 0;
}

static int
string_begin(struct gmail_scan *s, unsigned field, unsigned then)
{
	if (field == F_RAW) {
		if (s->has_raw)
			return -EPROTO;
		s->has_raw = true;
	}
	s->field = field;
	s->then = then;
	s->state = ST_STRING;
	s->n_text = 0;
	s->text_long = false;
	s->escape = 0;
	return 0;
}

static int
hex_octet(struct gmail_scan *s, char c)
{
	char l = ascii_lower(c);

	if (!ascii_is_digit(c) && (l < 'a' || l > 'f'))
		return -EPROTO;
	s->unit = s->unit << 4 |
	    (unsigned)(ascii_is_digit(c) ? c - '0' : l - 'a' + 10);
	return --s->escape == 1 ? (s->escape = 0, text_unit(s, s->unit)) : 0;
}

/* escape: 0 none, 1 after "\", 5 .. 2 digits to come and one. */
static int
string_octet(struct gmail_scan *s, char c)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *at;
	int rc;

	if ((unsigned char)c < 0x20)
		return -EPROTO;
	if (s->escape > 1)
		return hex_octet(s, c);
	if (s->escape == 1) {
		s->unit = 0;
		s->escape = c == 'u' ? 5 : 0;
		if (c == 'u')
			return 0;
		at = strchr(from, c);
		return at == NULL ? -EPROTO : text_octet(s, to[at - from]);
	}
	if (c == '\\') {
		s->escape = 1;
		return 0;
	}
	if (c != '"')
		return text_octet(s, c);
	rc = field_end(s, slice(s->text, s->n_text));
	s->state = s->then;
	return rc;
}

/* --- the rest of JSON --- */

static bool
in_array(const struct gmail_scan *s)
{
	return s->depth > 0 && (s->arrays >> s->depth & 1) != 0;
}

static void
value_ended(struct gmail_scan *s)
{
	s->state = s->depth == 0 ? ST_DONE : ST_NEXT;
}

static int
open_level(struct gmail_scan *s, bool array)
{
	if (s->depth == GMAIL_DEPTH_MAX || (s->depth == 0 && array))
		return -EPROTO;
	s->depth++;
	s->arrays &= ~((uint64_t)1 << s->depth);
	if (array)
		s->arrays |= (uint64_t)1 << s->depth;
	s->state = array ? ST_FIRST : ST_KEY_FIRST;
	return 0;
}

static int
close_level(struct gmail_scan *s, char c)
{
	if (s->depth == 0 || in_array(s) != (c == ']'))
		return -EPROTO;
	s->depth--;
	value_ended(s);
	return 0;
}

/* Which string this is, by where it stands. */
static unsigned
field_here(const struct gmail_scan *s)
{
	if (s->key == F_LABELS)
		return s->depth == 2 && in_array(s) ? F_LABELS : F_OTHER;
	return s->depth == 1 ? s->key : F_OTHER;
}

static int
value_begin(struct gmail_scan *s, char c)
{
	if (c == '{' || c == '[')
		return open_level(s, c == '[');
	if (s->depth == 0) /* a message is an object */
		return -EPROTO;
	if (c == '"')
		return string_begin(s, field_here(s), ST_NEXT);
	s->n_text = 0;
	for (s->word = 0; s->word < 3; s->word++)
		if (c == words[s->word][0]) {
			s->n_text = 1;
			s->state = ST_WORD;
			return 0;
		}
	if (c != '-' && !ascii_is_digit(c))
		return -EPROTO;
	s->state = c == '-' ? ST_MINUS : c == '0' ? ST_ZERO : ST_INT;
	return 0;
}

static int
word_octet(struct gmail_scan *s, char c)
{
	const char *word = words[s->word];

	if (c != word[s->n_text])
		return -EPROTO;
	if (word[++s->n_text] == '\0')
		value_ended(s);
	return 0;
}

/* The state after `c`; 0 (ST_VALUE): it is not of the number. */
static unsigned
number_next(unsigned state, char c)
{
	bool digit = ascii_is_digit(c), e = c == 'e' || c == 'E';

	switch (state) {
	case ST_MINUS:
		return c == '0' ? ST_ZERO : digit ? ST_INT : 0;
	case ST_ZERO:
		return c == '.' ? ST_POINT : e ? ST_E : 0;
	case ST_INT:
		return digit ? ST_INT : c == '.' ? ST_POINT : e ? ST_E : 0;
	case ST_POINT:
		return digit ? ST_FRACTION : 0;
	case ST_FRACTION:
		return digit ? ST_FRACTION : e ? ST_E : 0;
	case ST_E:
		return digit               ? ST_E_DIGITS
		    : c == '+' || c == '-' ? ST_E_SIGN
					   : 0;
	case ST_E_SIGN:
	case ST_E_DIGITS:
		return digit ? ST_E_DIGITS : 0;
	}
	return 0;
}

static bool
number_may_end(unsigned state)
{
	return state == ST_ZERO || state == ST_INT || state == ST_FRACTION ||
	    state == ST_E_DIGITS;
}

static int
between(struct gmail_scan *s, char c)
{
	if (ascii_is_space(c))
		return 0;
	switch (s->state) {
	case ST_FIRST:
		if (c == ']')
			return close_level(s, c);
		return value_begin(s, c);
	case ST_VALUE:
		return value_begin(s, c);
	case ST_KEY_FIRST:
		if (c == '}')
			return close_level(s, c);
		/* fall through */
	case ST_KEY:
		return c == '"' ? string_begin(s, F_KEY, ST_COLON) : -EPROTO;
	case ST_COLON:
		s->state = ST_VALUE;
		return c == ':' ? 0 : -EPROTO;
	case ST_NEXT:
		if (c != ',')
			return c == '}' || c == ']' ? close_level(s, c)
						    : -EPROTO;
		s->state = in_array(s) ? ST_VALUE : ST_KEY;
		return 0;
	}
	return -EPROTO; /* after the end */
}

static int
octet(struct gmail_scan *s, char c)
{
	unsigned next;

	if (s->state == ST_STRING)
		return string_octet(s, c);
	if (s->state == ST_WORD)
		return word_octet(s, c);
	if (s->state >= ST_MINUS && s->state <= ST_E_DIGITS) {
		if ((next = number_next(s->state, c)) != 0) {
			s->state = next;
			return 0;
		}
		if (!number_may_end(s->state))
			return -EPROTO;
		value_ended(s);
	}
	return between(s, c);
}

int
gmail_scan_feed(struct gmail_scan *s, struct slice in)
{
	for (size_t i = 0; i < in.n && s->rc == 0; i++)
		s->rc = octet(s, in.p[i]);
	return s->rc;
}

int
gmail_scan_end(struct gmail_scan *s)
{
	if (s->rc == 0 &&
	    (s->state != ST_DONE || !s->has_raw || s->id[0] == '\0'))
		s->rc = -EPROTO;
	return s->rc;
}
