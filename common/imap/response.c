/* SPDX-License-Identifier: ISC */
#include "common/imap/response.h"

#include <errno.h>

#include "common/imap/set.h"
#include "common/mail/date.h"

#define DEPTH_MAX 64

/* --- putting together --- */

void
imap_assembler_clear(struct imap_assembler *a)
{
	buf_clear(&a->text);
	*a = (struct imap_assembler){ .text = BUF_INIT };
}

void
imap_assembler_reset(struct imap_assembler *a)
{
	buf_reset(&a->text);
	a->left = 0;
	a->line_at = 0;
	a->in_literal = a->streaming = false;
}

/* "* NO text {3}" has no literal: what people read may end so. */
static bool
is_status(struct slice text)
{
	static const char *const words[] = { "OK", "NO", "BAD", "BYE",
		"PREAUTH", NULL };
	struct slice tag = slice_split(&text, ' '), word;

	word = slice_split(&text, ' ');
	if (slice_eq_str(tag, "+"))
		return true;
	for (size_t i = 0; words[i] != NULL; i++)
		if (slice_eq_str_nocase(word, words[i]))
			return true;
	return false;
}

/* The line ends with "{123}": where that begins. What stands before line_at is
 * a literal's content, which may look so. */
static bool
literal_at_end(const struct imap_assembler *a, size_t *at, uint64_t *size)
{
	struct slice text = slice_from(buf_slice(&a->text), a->line_at);
	size_t i = text.n, digits;

	if (i < 3 || text.p[--i] != '}' || is_status(buf_slice(&a->text)))
		return false;
	i -= text.p[i - 1] == '+';
	digits = i;
	while (i > 0 && ascii_is_digit(text.p[i - 1]))
		i--;
	if (i == 0 || text.p[i - 1] != '{' ||
	    slice_u64(slice(text.p + i, digits - i), INT64_MAX, size) != 0)
		return false;
	*at = a->line_at + i - 1;
	return true;
}

static int
literal_begin(struct imap_assembler *a, const struct imap_sink *sink, size_t at,
    uint64_t size)
{
	int rc = sink == NULL
	    ? 0
	    : sink->begin(sink->arg, slice(a->text.p, at), size);

	if (rc < 0)
		return rc;
	a->left = size;
	a->in_literal = true;
	a->streaming = rc == 1;
	if (a->streaming) {
		buf_truncate(&a->text, at);
		buf_put_str(&a->text, "{0}");
	} else if (size > IMAP_RESPONSE_MAX) {
		return -EMSGSIZE;
	}
	buf_put_str(&a->text, "\r\n");
	return 0;
}

static int
literal_octets(
    struct imap_assembler *a, const struct imap_sink *sink, struct slice part)
{
	a->left -= part.n;
	if (a->streaming)
		return part.n == 0 ? 0 : sink->octets(sink->arg, part);
	return buf_put_slice(&a->text, part) ? 0 : -EMSGSIZE;
}

/* A line has come to its end. 1: and so has the response. */
static int
line_end(struct imap_assembler *a, const struct imap_sink *sink)
{
	uint64_t size;
	size_t at;

	if (a->text.n > 0 && a->text.p[a->text.n - 1] == '\r')
		buf_truncate(&a->text, a->text.n - 1);
	if (!literal_at_end(a, &at, &size))
		return 1;
	return literal_begin(a, sink, at, size);
}

int
imap_assembler_feed(struct imap_assembler *a, struct slice in,
    const struct imap_sink *sink, size_t *used)
{
	struct slice part;
	ssize_t lf;
	int rc = 0;

	*used = 0;
	a->text.max = IMAP_RESPONSE_MAX;
	while (rc == 0 && *used < in.n) {
		part = slice_from(in, *used);
		if (a->in_literal && a->left > 0) {
			part = slice_head(
			    part, a->left < part.n ? (size_t)a->left : part.n);
			*used += part.n;
			rc = literal_octets(a, sink, part);
			continue;
		}
		if (a->in_literal)
			a->line_at = a->text.n;
		a->in_literal = false;
		lf = slice_find(part, '\n');
		if (lf >= 0)
			part = slice_head(part, (size_t)lf);
		*used += part.n + (lf >= 0);
		if (!buf_put_slice(&a->text, part))
			return -EMSGSIZE;
		if (lf >= 0)
			rc = line_end(a, sink);
		if (rc >= 0 && a->text.failed)
			return -EMSGSIZE;
	}
	return rc;
}

/* --- words --- */

struct cursor {
	struct slice s;
	struct arena *a;
	bool no_memory;
};

static void
skip_spaces(struct cursor *c)
{
	while (c->s.n > 0 && c->s.p[0] == ' ')
		c->s = slice_from(c->s, 1);
}

static bool
accept(struct cursor *c, char want)
{
	if (c->s.n == 0 || c->s.p[0] != want)
		return false;
	c->s = slice_from(c->s, 1);
	return true;
}

static bool
ends_atom(char ch)
{
	return ch == ' ' || ch == '(' || ch == ')' || ch == '"' || ch == '\r';
}

static struct slice
get_atom(struct cursor *c)
{
	struct slice all = c->s;
	size_t n = 0;

	while (n < all.n && !ends_atom(all.p[n]))
		n++;
	c->s = slice_from(all, n);
	return slice_head(all, n);
}

static bool
get_number(struct cursor *c, uint64_t *out)
{
	return slice_u64(get_atom(c), UINT64_MAX, out) == 0;
}

static bool
get_quoted(struct cursor *c, struct slice *out)
{
	size_t n = 0, k = 0;
	bool escaped = false;
	char *copy;

	while (n < c->s.n && c->s.p[n] != '"') {
		bool backslash = c->s.p[n] == '\\';

		escaped |= backslash;
		n += backslash ? 2 : 1;
	}
	if (n >= c->s.n)
		return false;
	*out = slice_head(c->s, n);
	c->s = slice_from(c->s, n + 1);
	if (!escaped)
		return true;
	if ((copy = arena_alloc(c->a, n + 1)) == NULL) {
		c->no_memory = true;
		return false;
	}
	for (size_t i = 0; i < n; i++) {
		i += out->p[i] == '\\';
		copy[k++] = out->p[i];
	}
	*out = slice(copy, k);
	return true;
}

static bool
get_literal(struct cursor *c, struct slice *out)
{
	struct slice size;
	ssize_t end = slice_find(c->s, '}');
	uint64_t n;

	if (end < 0)
		return false;
	size = slice_head(c->s, (size_t)end);
	if (size.n > 0 && size.p[size.n - 1] == '+')
		size.n--;
	c->s = slice_from(c->s, (size_t)end + 1);
	if (slice_u64(size, c->s.n, &n) != 0 || !accept(c, '\r') ||
	    !accept(c, '\n') || n > c->s.n)
		return false;
	*out = slice_head(c->s, (size_t)n);
	c->s = slice_from(c->s, (size_t)n);
	return true;
}

/* An astring or nstring; *nil (may be NULL) says that it was NIL. */
static bool
get_string(struct cursor *c, struct slice *out, bool *nil)
{
	if (nil != NULL)
		*nil = false;
	(void)(c->s.n > 1 && c->s.p[1] == '{' && accept(c, '~'));
	if (accept(c, '"'))
		return get_quoted(c, out);
	if (accept(c, '{'))
		return get_literal(c, out);
	*out = get_atom(c);
	if (nil != NULL)
		*nil = slice_eq_str_nocase(*out, "NIL");
	return out->n > 0;
}

/* A value of any kind, passed over. */
static bool
skip_value(struct cursor *c)
{
	struct slice unused;
	int depth = 0;

	do {
		skip_spaces(c);
		if (accept(c, '(')) {
			if (++depth > DEPTH_MAX)
				return false;
		} else if (accept(c, ')')) {
			if (--depth < 0)
				return false;
		} else if (!get_string(c, &unused, NULL)) {
			return false;
		}
	} while (depth > 0);
	return true;
}

/* "(\Seen word ...)" */
static bool
get_flags(struct cursor *c, struct imap_flags *out)
{
	struct slice flag;

	out->n = 0;
	if (!accept(c, '('))
		return false;
	for (;;) {
		skip_spaces(c);
		if (accept(c, ')'))
			return true;
		if (!get_string(c, &flag, NULL))
			return false;
		if (out->n < IMAP_KEYWORDS_MAX)
			out->v[out->n++] = flag;
	}
}

/* --- FETCH --- */

/* "BODY[HEADER.FIELDS (A B)]<0>": spaces within brackets are its own. */
static struct slice
get_item_name(struct cursor *c)
{
	struct slice all = c->s;
	bool in_brackets = false;
	size_t n = 0;

	while (n < all.n && (in_brackets || !ends_atom(all.p[n]))) {
		if (all.p[n] == '[')
			in_brackets = true;
		else if (all.p[n] == ']')
			in_brackets = false;
		n++;
	}
	c->s = slice_from(all, n);
	return slice_head(all, n);
}

static bool
get_date(struct cursor *c, struct imap_response *r)
{
	struct slice text;
	struct date d;

	if (!get_string(c, &text, NULL))
		return false;
	r->has_date = date_parse_imap(text, &d) == 0;
	if (r->has_date)
		r->internaldate = d.time;
	return true;
}

static bool
get_modseq(struct cursor *c, struct imap_response *r)
{
	return accept(c, '(') && get_number(c, &r->modseq) && accept(c, ')');
}

static bool
get_body(struct cursor *c, struct imap_response *r)
{
	bool nil,
	    literal = c->s.n > 0 && (c->s.p[0] == '{' || c->s.p[0] == '~');

	if (!get_string(c, &r->body, &nil))
		return false;
	r->has_body = !nil;
	r->body_streamed = literal && r->body.n == 0;
	return true;
}

static bool
get_uid(struct cursor *c, struct imap_response *r)
{
	uint64_t n;

	if (!get_number(c, &n) || n > UINT32_MAX)
		return false;
	r->uid = (uint32_t)n;
	return true;
}

static bool
get_envelope(struct cursor *c, struct imap_response *r)
{
	struct slice all = c->s;

	if (!skip_value(c))
		return false;
	r->envelope = slice_head(all, (size_t)(c->s.p - all.p));
	return true;
}

static bool
get_item(struct cursor *c, struct imap_response *r)
{
	struct slice name = get_item_name(c);

	if (name.n == 0)
		return false;
	skip_spaces(c);
	if (slice_eq_str_nocase(name, "UID"))
		return get_uid(c, r);
	if (slice_eq_str_nocase(name, "FLAGS"))
		return r->has_flags = get_flags(c, &r->flags);
	if (slice_eq_str_nocase(name, "INTERNALDATE"))
		return get_date(c, r);
	if (slice_eq_str_nocase(name, "RFC822.SIZE"))
		return get_number(c, &r->size);
	if (slice_eq_str_nocase(name, "MODSEQ"))
		return get_modseq(c, r);
	if (slice_eq_str_nocase(name, "X-GM-MSGID"))
		return get_number(c, &r->gm_msgid);
	if (slice_eq_str_nocase(name, "ENVELOPE"))
		return get_envelope(c, r);
	if (slice_eq_str_nocase(name, "BODY[]") ||
	    slice_eq_str_nocase(name, "RFC822"))
		return get_body(c, r);
	return skip_value(c);
}

static bool
parse_fetch(struct cursor *c, struct imap_response *r)
{
	if (!accept(c, '('))
		return false;
	for (;;) {
		skip_spaces(c);
		if (accept(c, ')'))
			return true;
		if (!get_item(c, r))
			return false;
	}
}

/* --- mailboxes --- */

static bool
get_separator(struct cursor *c, struct imap_response *r)
{
	struct slice text;
	bool nil;

	if (!get_string(c, &text, &nil))
		return false;
	r->separator = nil || text.n == 0 ? '\0' : text.p[0];
	return true;
}

static bool
parse_list(struct cursor *c, struct imap_response *r)
{
	if (!get_flags(c, &r->flags))
		return false;
	skip_spaces(c);
	if (!get_separator(c, r))
		return false;
	skip_spaces(c);
	/* An empty name may come from an atom that is not there. */
	return get_string(c, &r->name, NULL);
}

static bool
status_item(struct cursor *c, struct imap_response *r)
{
	struct slice name = get_atom(c);
	uint64_t n;

	skip_spaces(c);
	if (slice_eq_str_nocase(name, "MAILBOXID") && c->s.n > 1 &&
	    c->s.p[0] == '(' && c->s.p[1] != ')' && c->s.p[1] != '(') {
		c->s = slice_from(c->s, 1);
		r->mailboxid = get_atom(c);
		return r->mailboxid.n > 0 && accept(c, ')');
	}
	if (c->s.n > 0 && c->s.p[0] == '(')
		return skip_value(c);
	if (name.n == 0 || !get_number(c, &n))
		return false;
	if (slice_eq_str_nocase(name, "HIGHESTMODSEQ"))
		r->modseq = n;
	if (n > UINT32_MAX)
		return true;
	if (slice_eq_str_nocase(name, "MESSAGES"))
		r->messages = (uint32_t)n;
	else if (slice_eq_str_nocase(name, "UIDNEXT"))
		r->uidnext = (uint32_t)n;
	else if (slice_eq_str_nocase(name, "UIDVALIDITY"))
		r->uidvalidity = (uint32_t)n;
	return true;
}

static bool
parse_status(struct cursor *c, struct imap_response *r)
{
	if (!get_string(c, &r->name, NULL))
		return false;
	skip_spaces(c);
	if (!accept(c, '('))
		return false;
	for (;;) {
		skip_spaces(c);
		if (accept(c, ')'))
			return true;
		if (!status_item(c, r))
			return false;
	}
}

/* "((\"INBOX.\" \".\")(...)) NIL NIL": RFC 2342 5. */
static bool
parse_namespace(struct cursor *c, struct imap_response *r)
{
	if (!accept(c, '('))
		return true; /* NIL: no personal one */
	if (!accept(c, '(') || !get_string(c, &r->name, NULL))
		return false;
	skip_spaces(c);
	return get_separator(c, r);
}

/* "(EARLIER) 41,43:116" */
static bool
parse_vanished(struct cursor *c, struct imap_response *r)
{
	struct slice rest;
	uint32_t from, to;
	int rc;

	if (accept(c, '(')) {
		r->earlier = slice_eq_str_nocase(get_atom(c), "EARLIER");
		if (!r->earlier || !accept(c, ')'))
			return false;
		skip_spaces(c);
	}
	r->set = rest = get_atom(c);
	while ((rc = imap_set_next(&rest, &from, &to)) == 1)
		;
	if (rc != 0)
		r->set = SLICE_EMPTY;
	return r->set.n > 0;
}

/* --- responses --- */

static bool
parse_words(struct cursor *c, struct imap_response *r)
{
	r->text = c->s;
	return true;
}

/* "[CODE args] text" */
static bool
parse_text(struct cursor *c, struct imap_response *r)
{
	ssize_t end;

	if (c->s.n > 0 && c->s.p[0] == '[' &&
	    (end = slice_find(c->s, ']')) > 0) {
		r->code = slice(c->s.p + 1, (size_t)end - 1);
		c->s = slice_from(c->s, (size_t)end + 1);
		skip_spaces(c);
	}
	r->text = c->s;
	return true;
}

static bool
parse_nothing(struct cursor *c, struct imap_response *r)
{
	(void)c, (void)r;
	return true;
}

static const struct kind {
	const char *word;
	enum imap_kind kind;
	bool numbered; /* "* 12 EXISTS" */
	bool tagged;   /* may have a tag */
	bool (*parse)(struct cursor *c, struct imap_response *r);
} kinds[] = {
	{ "OK", IMAP_OK, false, true, parse_text },
	{ "NO", IMAP_NO, false, true, parse_text },
	{ "BAD", IMAP_BAD, false, true, parse_text },
	{ "BYE", IMAP_BYE, false, false, parse_text },
	{ "PREAUTH", IMAP_PREAUTH, false, false, parse_text },
	{ "CAPABILITY", IMAP_CAPABILITY, false, false, parse_words },
	{ "NAMESPACE", IMAP_NAMESPACE, false, false, parse_namespace },
	{ "LIST", IMAP_LIST, false, false, parse_list },
	{ "LSUB", IMAP_LSUB, false, false, parse_list },
	{ "SEARCH", IMAP_SEARCH, false, false, parse_words },
	{ "STATUS", IMAP_STATUS, false, false, parse_status },
	{ "EXISTS", IMAP_EXISTS, true, false, parse_nothing },
	{ "EXPUNGE", IMAP_EXPUNGE, true, false, parse_nothing },
	{ "FETCH", IMAP_FETCH, true, false, parse_fetch },
	{ "VANISHED", IMAP_VANISHED, false, false, parse_vanished },
};

static void
parse_kind(struct cursor *c, struct imap_response *r, bool numbered)
{
	struct slice word = get_atom(c);

	skip_spaces(c);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const struct kind *k = &kinds[i];

		if (k->numbered != numbered || (r->tag.n > 0 && !k->tagged) ||
		    !slice_eq_str_nocase(word, k->word))
			continue;
		r->kind = k->parse(c, r) ? k->kind : IMAP_OTHER;
		return;
	}
}

int
imap_response_parse(
    struct arena *a, struct slice text, struct imap_response *out)
{
	struct cursor c = { .s = text, .a = a };
	struct slice tag = get_atom(&c), before;
	uint64_t n;

	*out = (struct imap_response){ .kind = IMAP_OTHER };
	skip_spaces(&c);
	if (slice_eq_str(tag, "+")) {
		out->kind = IMAP_CONTINUE;
		out->text = c.s;
		return 0;
	}
	if (tag.n == 0)
		return 0;
	if (!slice_eq_str(tag, "*"))
		out->tag = tag;
	before = c.s;
	if (out->tag.n == 0 && get_number(&c, &n) && n <= UINT32_MAX) {
		out->number = (uint32_t)n;
		skip_spaces(&c);
		parse_kind(&c, out, true);
	} else {
		c.s = before;
		parse_kind(&c, out, false);
	}
	return c.no_memory ? -ENOMEM : 0;
}

int
imap_code_number(struct slice code, const char *name, uint64_t *out)
{
	struct slice word = slice_split(&code, ' ');

	if (!slice_eq_str_nocase(word, name) ||
	    slice_u64(slice_split(&code, ' '), UINT64_MAX, out) != 0)
		return -ENOENT;
	return 0;
}

/* How many numbers; 0: more than `max`, or no set. */
static size_t
expand(struct slice set, uint32_t *out, size_t max)
{
	uint32_t from, to;
	size_t n = 0;
	int rc;

	while ((rc = imap_set_next(&set, &from, &to)) == 1) {
		if (to - from >= max - n)
			return 0;
		for (uint32_t i = 0; i <= to - from; i++)
			out[n++] = from + i;
	}
	return rc == 0 ? n : 0;
}

size_t
imap_code_copyuid(struct slice code, uint32_t *uidvalidity, uint32_t *from,
    uint32_t *to, size_t max)
{
	uint64_t validity;
	size_t n;

	if (imap_code_number(code, "COPYUID", &validity) != 0 ||
	    validity > UINT32_MAX)
		return 0;
	*uidvalidity = (uint32_t)validity;
	(void)slice_split(&code, ' ');
	(void)slice_split(&code, ' ');
	n = expand(slice_split(&code, ' '), from, max);
	return n == expand(slice_split(&code, ' '), to, max) ? n : 0;
}

bool
imap_put_quoted(struct buf *out, struct slice text)
{
	buf_put_char(out, '"');
	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];

		if (c == '\r' || c == '\n' || c == '\0')
			return false;
		if (c == '"' || c == '\\')
			buf_put_char(out, '\\');
		buf_put_char(out, c);
	}
	return buf_put_char(out, '"');
}
