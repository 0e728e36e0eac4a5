/* SPDX-License-Identifier: ISC */
#include "mailbox/imap/imap_parser.h"

#define LINE_MAX_DEFAULT ((size_t)64 << 10)
#define LITERAL_MAX_DEFAULT ((size_t)64 << 10)

/* Classes of octets (RFC 3501 9). */
enum {
	ATOM = 1,    /* ATOM-CHAR */
	ASTRING = 2, /* ASTRING-CHAR: atom and "]" */
	LIST = 4,    /* list-char: astring, "%" and "*" */
	TAG = 8,     /* astring without "+" */
	SET = 16,    /* digits, ":", ",", "*" */
	NAME = 32,   /* letters, digits, "." */
};

static unsigned
class_of(char c)
{
	unsigned char u = (unsigned char)c;
	unsigned k = 0;

	if (u <= 0x20 || u >= 0x7f)
		return 0;
	if (ascii_is_digit(c) || c == ':' || c == ',' || c == '*')
		k |= SET;
	if (ascii_is_digit(c) || ascii_is_alpha(c) || c == '.')
		k |= NAME;
	if (c == '(' || c == ')' || c == '{' || c == '"' || c == '\\')
		return k;
	k |= LIST;
	if (c == '%' || c == '*')
		return k;
	k |= ASTRING;
	if (c != '+')
		k |= TAG;
	if (c != ']')
		k |= ATOM;
	return k;
}

void
imap_parser_init(
    struct imap_parser *p, const struct imap_input *in, struct arena *a)
{
	*p = (struct imap_parser){
		.in = in,
		.a = a,
		.line_max = LINE_MAX_DEFAULT,
		.literal_max = LITERAL_MAX_DEFAULT,
		.drain_max = LITERAL_MAX_DEFAULT,
		.line = SLICE_EMPTY,
		.why = "",
	};
}

int
imap_parser_bad(struct imap_parser *p, const char *why)
{
	p->why = why;
	return -EBADMSG;
}

/* "{123}" or "{123+}" at the end of a line. Whatever stands before it: a
 * receiver must look at every line (RFC 7888 3). */
static struct imap_literal
literal_of(struct slice line)
{
	struct imap_literal l = { .sync = true };
	ssize_t open;
	struct slice digits;

	if (line.n < 3 || line.p[line.n - 1] != '}' ||
	    (open = slice_rfind(line, '{')) < 0)
		return (struct imap_literal){ 0 };
	digits = slice(line.p + open + 1, line.n - (size_t)open - 2);
	if (digits.n > 0 && digits.p[digits.n - 1] == '+') {
		digits.n--;
		l.sync = false;
	}
	switch (slice_u64(digits, INT64_MAX, &l.size)) {
	case 0:
		break;
	case -ERANGE:
		l.size = INT64_MAX; /* over every limit */
		break;
	default:
		return (struct imap_literal){ 0 };
	}
	l.pending = true;
	return l;
}

static int
read_line(struct imap_parser *p)
{
	struct slice line;
	int rc;

	if ((rc = p->in->line(p->in->arg, p->line_max, &line)) != 0)
		return rc;
	/* The connection's memory lasts until the next read only. */
	line = arena_dup(p->a, line);
	p->at = 0;
	if (line.p == NULL) {
		p->line = SLICE_EMPTY;
		p->literal = (struct imap_literal){ 0 };
		return -ENOMEM;
	}
	p->line = line;
	p->literal = literal_of(line);
	return 0;
}

int
imap_parser_begin(struct imap_parser *p)
{
	p->why = "";
	return read_line(p);
}

/* --- literals --- */

static void
literal_consume(struct imap_parser *p, size_t n)
{
	p->in->consume(p->in->arg, n);
	p->literal.size -= n;
}

/* Show octets of the literal, of which there are some left. */
static int
literal_peek(struct imap_parser *p, struct slice *out)
{
	int rc = p->in->peek(p->in->arg, out);

	if (rc != 0)
		*out = SLICE_EMPTY;
	if (out->n > p->literal.size)
		out->n = (size_t)p->literal.size;
	return rc;
}

static int
literal_drop(struct imap_parser *p)
{
	struct slice s;
	int rc;

	literal_consume(p, p->shown);
	p->shown = 0;
	while (p->literal.size > 0) {
		if ((rc = literal_peek(p, &s)) != 0)
			return rc;
		literal_consume(p, s.n);
	}
	p->literal.pending = false;
	return 0;
}

int
imap_parser_finish(struct imap_parser *p)
{
	uint64_t room = p->drain_max;
	struct slice line;
	int rc;

	/* A synchronizing literal that was not asked for does not come. */
	while (p->literal.pending && !p->literal.sync) {
		if (p->literal.size > room)
			return -EFBIG;
		room -= p->literal.size;
		if ((rc = literal_drop(p)) != 0)
			return rc;
		rc = p->in->line(p->in->arg, p->line_max, &line);
		if (rc != 0)
			return rc;
		if (line.n + 1 > room)
			return -EFBIG;
		room -= line.n + 1;
		p->literal = literal_of(line);
	}
	p->literal.pending = false;
	return 0;
}

int
imap_parse_literal(struct imap_parser *p, struct imap_literal *out)
{
	struct slice rest = slice_from(p->line, p->at);

	/* The announcement must be all that is left, and begin here. */
	if (!p->literal.pending || rest.n < 3 || rest.p[0] != '{' ||
	    slice_rfind(rest, '{') != 0)
		return imap_parser_bad(p, "Literal expected");
	*out = p->literal;
	return 0;
}

int
imap_literal_go(struct imap_parser *p)
{
	if (!p->literal.sync)
		return 0;
	p->literal.sync = false; /* from here on the octets do come */
	return p->in->go_ahead(p->in->arg);
}

int
imap_literal_read(struct imap_parser *p, struct slice *out)
{
	int rc;

	/* What was shown stays valid until this call. */
	literal_consume(p, p->shown);
	p->shown = 0;
	if (p->literal.size == 0) {
		p->literal.pending = false;
		*out = SLICE_EMPTY;
		return read_line(p);
	}
	rc = literal_peek(p, out);
	p->shown = out->n;
	return rc;
}

/* A literal argument, whole, and the line after it. */
static int
parse_literal_whole(struct imap_parser *p, struct slice *out)
{
	struct imap_literal l;
	struct slice s;
	size_t at = 0;
	char *to;
	int rc;

	if ((rc = imap_parse_literal(p, &l)) != 0)
		return rc;
	if (l.size > p->literal_max) {
		p->why = "[TOOBIG] Literal is too long";
		return -E2BIG;
	}
	if ((to = arena_alloc(p->a, (size_t)l.size + 1)) == NULL)
		return -ENOMEM;
	if ((rc = imap_literal_go(p)) != 0)
		return rc;
	while (p->literal.size > 0) {
		if ((rc = literal_peek(p, &s)) != 0)
			return rc;
		memcpy(to + at, s.p, s.n);
		at += s.n;
		literal_consume(p, s.n);
	}
	p->literal.pending = false;
	*out = slice(to, at);
	if ((rc = read_line(p)) != 0)
		return rc;
	if (memchr(to, '\0', at) != NULL)
		return imap_parser_bad(p, "NUL in a literal");
	return 0;
}

/* --- tokens --- */

char
imap_peek(const struct imap_parser *p)
{
	return p->at < p->line.n ? p->line.p[p->at] : '\0';
}

bool
imap_at_end(const struct imap_parser *p)
{
	return p->at >= p->line.n;
}

bool
imap_accept(struct imap_parser *p, char c)
{
	if (imap_at_end(p) || p->line.p[p->at] != c)
		return false;
	p->at++;
	return true;
}

bool
imap_accept_word(struct imap_parser *p, const char *word)
{
	struct slice rest = slice_from(p->line, p->at);
	size_t n = strlen(word);

	if (!slice_starts_nocase(rest, word) ||
	    (rest.n > n && (class_of(rest.p[n]) & ATOM) != 0))
		return false;
	p->at += n;
	return true;
}

int
imap_parse_char(struct imap_parser *p, char c)
{
	if (imap_accept(p, c))
		return 0;
	return imap_parser_bad(p,
	    c == '('       ? "\"(\" expected"
		: c == ')' ? "\")\" expected"
			   : "Syntax error");
}

int
imap_parse_sp(struct imap_parser *p)
{
	return imap_accept(p, ' ')
	    ? 0
	    : imap_parser_bad(
		  p, imap_at_end(p) ? "Missing argument" : "Space expected");
}

int
imap_parse_end(struct imap_parser *p)
{
	return imap_at_end(p) ? 0 : imap_parser_bad(p, "Unexpected argument");
}

static int
parse_class(
    struct imap_parser *p, unsigned class, const char *why, struct slice *out)
{
	size_t from = p->at;

	while (p->at < p->line.n && (class_of(p->line.p[p->at]) & class) != 0)
		p->at++;
	if (p->at == from)
		return imap_parser_bad(p, why);
	*out = slice(p->line.p + from, p->at - from);
	return 0;
}

int
imap_parse_tag(struct imap_parser *p, struct slice *out)
{
	return parse_class(p, TAG, "Invalid tag", out);
}

int
imap_parse_atom(struct imap_parser *p, struct slice *out)
{
	return parse_class(p, ATOM, "Atom expected", out);
}

int
imap_parse_name(struct imap_parser *p, struct slice *out)
{
	return parse_class(p, NAME, "Name expected", out);
}

int
imap_parse_set_token(struct imap_parser *p, struct slice *out)
{
	return parse_class(p, SET, "Sequence set expected", out);
}

int
imap_parse_flag(struct imap_parser *p, struct slice *out)
{
	size_t from = p->at;
	int rc;

	imap_accept(p, '\\');
	if ((rc = parse_class(p, ATOM, "Flag expected", out)) != 0)
		return rc;
	*out = slice(p->line.p + from, p->at - from);
	return 0;
}

/* The quoted string that begins here, without its quotes and escapes. Octets
 * over 127 are let through: clients do send UTF-8 so. */
static int
parse_quoted(struct imap_parser *p, struct slice *out)
{
	size_t i = p->at + 1, escapes = 0;
	char *to;

	for (;; i++) {
		if (i >= p->line.n)
			return imap_parser_bad(p, "Missing quote");
		if (p->line.p[i] == '"')
			break;
		if (p->line.p[i] == '\0' || p->line.p[i] == '\r')
			return imap_parser_bad(p, "NUL or CR in a string");
		if (p->line.p[i] != '\\')
			continue;
		if (++i >= p->line.n ||
		    (p->line.p[i] != '"' && p->line.p[i] != '\\'))
			return imap_parser_bad(p, "Bad escape in a string");
		escapes++;
	}
	*out = slice(p->line.p + p->at + 1, i - p->at - 1);
	p->at = i + 1;
	if (escapes == 0)
		return 0;
	if ((to = arena_alloc(p->a, out->n)) == NULL)
		return -ENOMEM;
	for (size_t from = 0, n = 0; from < out->n; from++) {
		if (out->p[from] == '\\')
			from++;
		to[n++] = out->p[from];
	}
	*out = slice(to, out->n - escapes);
	return 0;
}

int
imap_parse_string(struct imap_parser *p, struct slice *out)
{
	switch (imap_peek(p)) {
	case '"':
		return parse_quoted(p, out);
	case '{':
		return parse_literal_whole(p, out);
	default:
		return imap_parser_bad(p, "String expected");
	}
}

int
imap_parse_astring(struct imap_parser *p, struct slice *out)
{
	if (imap_peek(p) == '"' || imap_peek(p) == '{')
		return imap_parse_string(p, out);
	return parse_class(p, ASTRING, "Atom or string expected", out);
}

int
imap_parse_list_mailbox(struct imap_parser *p, struct slice *out)
{
	if (imap_peek(p) == '"' || imap_peek(p) == '{')
		return imap_parse_string(p, out);
	return parse_class(p, LIST, "Mailbox pattern expected", out);
}

int
imap_parse_nstring(struct imap_parser *p, struct slice *out)
{
	if (imap_accept_word(p, "NIL")) {
		*out = slice(NULL, 0);
		return 0;
	}
	return imap_parse_string(p, out);
}

static int
parse_number(struct imap_parser *p, uint64_t max, uint64_t *out)
{
	size_t from = p->at;

	while (p->at < p->line.n && ascii_is_digit(p->line.p[p->at]))
		p->at++;
	if (slice_u64(slice(p->line.p + from, p->at - from), max, out) != 0)
		return imap_parser_bad(
		    p, p->at == from ? "Number expected" : "Number too large");
	return 0;
}

int
imap_parse_u64(struct imap_parser *p, uint64_t *out)
{
	return parse_number(p, INT64_MAX, out);
}

int
imap_parse_u32(struct imap_parser *p, uint32_t *out)
{
	uint64_t v;
	int rc = parse_number(p, UINT32_MAX, &v);

	if (rc == 0)
		*out = (uint32_t)v;
	return rc;
}
