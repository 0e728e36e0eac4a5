/* SPDX-License-Identifier: ISC */
/*
 * The list is read element by element. What an element is (a name with an
 * angle address, the start of a group, a bare address) is known by looking
 * ahead to the first "<", ":" or separator; then the words are taken, which
 * are at the same time a phrase (with its spaces) and a local part (the last
 * words that dots join).
 */
#include "common/mail/address.h"

#include <errno.h>

#include "common/mail/charset.h"
#include "common/mail/encoded.h"
#include "common/mail/header.h"
#include "common/mail/lex.h"

struct words {
	struct buf phrase;
	struct buf local;     /* the words since the last space without a dot */
	size_t before;        /* octets of the phrase before those */
	struct slice comment; /* the inside of the last one */
	bool after_dot;
};

struct parser {
	struct arena *a;
	struct slice rest;
	struct words w;
	struct buf domain;
	struct address_list *out;
	bool in_group;
};

static void
words_reset(struct words *w)
{
	buf_reset(&w->phrase);
	buf_reset(&w->local);
	w->before = 0;
	w->comment = slice(NULL, 0);
	w->after_dot = false;
}

/* --- the result --- */

static int
emit(struct parser *p, const struct address *m)
{
	struct address_list *list = p->out;
	size_t n = list->n;

	if ((n & (n - 1)) == 0) { /* grow at each power of two */
		struct address *v =
		    arena_array(p->a, n == 0 ? 1 : n * 2, sizeof(*v));

		if (v == NULL)
			return -ENOMEM;
		if (n > 0)
			memcpy(v, list->v, n * sizeof(*v));
		list->v = v;
	}
	list->v[list->n++] = *m;
	return 0;
}

static int
emit_named(struct parser *p, struct address *m, struct slice name)
{
	if (name.n > 0) {
		m->raw_name = arena_dup(p->a, name);
		m->name = encoded_decode(p->a, name);
		if (m->raw_name.p == NULL || m->name.p == NULL)
			return -ENOMEM;
	}
	return emit(p, m);
}

/* `domain` NULL: there is none. `name` may be empty. */
static int
emit_mailbox(struct parser *p, struct slice name, struct slice route,
    struct slice local, struct slice domain, bool broken)
{
	struct address m = { .kind = ADDRESS_MAILBOX };

	m.local = arena_dup(p->a, local);
	if (m.local.p == NULL)
		return -ENOMEM;
	if (domain.p != NULL && domain.n > 0)
		m.domain = arena_dup(p->a, domain);
	if (route.n > 0)
		m.route = arena_dup(p->a, route);
	if ((domain.n > 0 && m.domain.p == NULL) ||
	    (route.n > 0 && m.route.p == NULL))
		return -ENOMEM;
	m.broken = broken || local.n == 0 || domain.n == 0;
	return emit_named(p, &m, name);
}

/* --- words --- */

/* A word or a dot; `space`: there was white space or a comment before it. */
static void
add_word(struct words *w, struct slice word, bool space)
{
	bool dot = slice_eq_str(word, ".");

	if (space && w->phrase.n > 0) {
		if (!dot && !w->after_dot) {
			w->before = w->phrase.n;
			buf_reset(&w->local);
		}
		buf_put_char(&w->phrase, ' ');
	}
	buf_put_slice(&w->phrase, word);
	buf_put_slice(&w->local, word);
	w->after_dot = dot;
}

static int
add_quoted(struct parser *p, bool space)
{
	struct slice quoted = slice_head(p->rest, lex_quoted_size(p->rest));
	char *text = arena_alloc(p->a, quoted.n);

	if (text == NULL)
		return -ENOMEM;
	p->rest = slice_from(p->rest, quoted.n);
	/* Not a dot, whatever is inside: "." alone would join. */
	add_word(&p->w, slice(text, lex_unquote(quoted, text)), space);
	p->w.after_dot = false;
	return 0;
}

static void
take_comment(struct parser *p)
{
	size_t n = lex_comment_size(p->rest);
	struct slice inside = slice_from(slice_head(p->rest, n), 1);

	if (inside.n > 0 && inside.p[inside.n - 1] == ')')
		inside.n--;
	inside = slice_trim(inside);
	if (inside.n > 0)
		p->w.comment = inside;
	p->rest = slice_from(p->rest, n);
}

static void
skip_cfws(struct parser *p)
{
	while (p->rest.n > 0)
		if (lex_is_wsp(*p->rest.p))
			p->rest = slice_from(p->rest, 1);
		else if (*p->rest.p == '(')
			take_comment(p);
		else
			break;
}

static bool
is_one_of(char c, const char *set)
{
	return c != '\0' && strchr(set, c) != NULL;
}

/* Words up to an octet of `stop` outside quotes and comments, or the end. */
static int
take_words(struct parser *p, const char *stop)
{
	bool space = false;
	int rc = 0;

	while (p->rest.n > 0 && rc == 0) {
		char c = *p->rest.p;
		size_t n = 1;

		if (is_one_of(c, stop))
			break;
		if (lex_is_wsp(c) || c == '(') {
			skip_cfws(p);
			space = true;
			continue;
		}
		if (c == '"') {
			rc = add_quoted(p, space);
		} else {
			while (c != '.' && n < p->rest.n &&
			    !is_one_of(p->rest.p[n], " \t(\".") &&
			    !is_one_of(p->rest.p[n], stop))
				n++;
			add_word(&p->w, slice_head(p->rest, n), space);
			p->rest = slice_from(p->rest, n);
		}
		space = false;
	}
	return rc;
}

/* Octets of the domain literal at the start of s (RFC 5322 3.4.1), 0 when it
 * is none: it ends in time, and has none of what would end an address. */
static size_t
literal_size(struct slice s)
{
	if (s.n == 0 || *s.p != '[')
		return 0;
	for (size_t i = 1; i < s.n && !is_one_of(s.p[i], "[\\<>,;@\"()"); i++)
		if (s.p[i] == ']')
			return i + 1;
	return 0;
}

/* After "@": atoms and dots, or a literal, white space and comments out. */
static void
take_domain(struct parser *p)
{
	bool joined = true; /* a word may follow */

	buf_reset(&p->domain);
	for (;;) {
		size_t before = p->rest.n, n = 0;

		skip_cfws(p);
		if (p->rest.n == 0)
			return;
		if (p->rest.n != before && *p->rest.p != '.' && !joined)
			return;
		if (p->domain.n == 0 && (n = literal_size(p->rest)) > 0) {
			buf_put(&p->domain, p->rest.p, n);
			p->rest = slice_from(p->rest, n);
			return;
		}
		if (*p->rest.p == '.')
			n = 1;
		while (n < p->rest.n && *p->rest.p != '.' &&
		    lex_is_atext(p->rest.p[n]))
			n++;
		if (n == 0)
			return;
		joined = *p->rest.p == '.';
		buf_put(&p->domain, p->rest.p, n);
		p->rest = slice_from(p->rest, n);
	}
}

/*
 * [local] ["@" domain] into w and domain; more than one "@" makes all but the
 * last part of the local part. Returns whether there was an "@".
 */
static bool
take_spec_end(struct parser *p, bool *broken)
{
	bool at = false;

	while (p->rest.n > 0 && *p->rest.p == '@') {
		if (at) {
			buf_put_char(&p->w.local, '@');
			buf_put_slice(&p->w.local, buf_slice(&p->domain));
			*broken = true;
		}
		at = true;
		p->rest = slice_from(p->rest, 1);
		take_domain(p);
	}
	return at;
}

/* --- elements --- */

/* The first of "<", ":" (outside groups) or a separator (0) that comes. */
static char
look_ahead(const struct parser *p)
{
	struct slice s = p->rest;

	while (s.n > 0) {
		size_t n = 1;
		char c = *s.p;

		if (c == '<' || (c == ':' && !p->in_group))
			return c;
		if (c == ',' || c == ';')
			return 0;
		if (c == '"')
			n = lex_quoted_size(s);
		else if (c == '(')
			n = lex_comment_size(s);
		s = slice_from(s, n);
		if (c == '@')
			s = slice_from(s, literal_size(s));
	}
	return 0;
}

/* Octets of what stands after "<": up to the ">" that is its own, else up to
 * the next separator. */
static size_t
angle_size(struct slice s, bool *closed)
{
	size_t separator = s.n, i = 0, n;

	*closed = false;
	for (; i < s.n && s.p[i] != '<'; i += n) {
		n = 1;
		if (s.p[i] == '>') {
			*closed = true;
			return i;
		}
		if (s.p[i] == '"')
			n = lex_quoted_size(slice_from(s, i));
		else if (s.p[i] == '(')
			n = lex_comment_size(slice_from(s, i));
		else if (is_one_of(s.p[i], ",;") && separator == s.n)
			separator = i;
	}
	return separator < i ? separator : i < s.n ? i : s.n;
}

/* "@a,@b:" before the address (RFC 5322 4.4 obs-route); left in place when it
 * does not end in ":". */
static struct slice
take_route(struct parser *p)
{
	struct slice route = p->rest;
	ssize_t end;

	if (route.n == 0 || *route.p != '@' ||
	    (end = slice_find(route, ':')) < 0)
		return SLICE_EMPTY;
	p->rest = slice_from(p->rest, (size_t)end + 1);
	return slice_trim(slice_head(route, (size_t)end));
}

/* What stands between "<" and ">", as the whole of p->rest. */
static int
parse_angle_inside(struct parser *p, struct slice name, bool broken)
{
	struct slice route, domain = { NULL, 0 };
	struct buf *local = &p->w.local;
	int rc;

	words_reset(&p->w);
	skip_cfws(p);
	route = take_route(p);
	if ((rc = take_words(p, "@")) != 0)
		return rc;
	if (p->w.before > 0) { /* spaces that nothing allows */
		broken = true;
		local = &p->w.phrase;
		buf_reset(&p->w.local);
		buf_put_slice(&p->w.local, buf_slice(&p->w.phrase));
	}
	if (take_spec_end(p, &broken)) {
		domain = buf_slice(&p->domain);
		local = &p->w.local;
	}
	skip_cfws(p);
	broken = broken || p->rest.n > 0;
	if (p->w.phrase.failed || p->w.local.failed || p->domain.failed)
		return -ENOMEM;
	return emit_mailbox(p, name, route, buf_slice(local), domain, broken);
}

/* phrase "<" ... ">" [comment] */
static int
parse_angle(struct parser *p)
{
	struct slice name, after;
	bool closed;
	size_t n;
	int rc;

	if ((rc = take_words(p, "<")) != 0)
		return rc;
	p->rest = slice_from(p->rest, 1);
	n = angle_size(p->rest, &closed);
	after = slice_from(p->rest, n + closed);
	name = arena_dup(p->a, buf_slice(&p->w.phrase));
	if (name.p == NULL || p->w.phrase.failed)
		return -ENOMEM;
	p->rest = slice_head(p->rest, n);
	if (name.n == 0) { /* the name may come as a comment, behind */
		struct slice inside = p->rest;

		p->rest = after;
		skip_cfws(p);
		after = p->rest;
		if (p->w.comment.p != NULL)
			name = p->w.comment;
		p->rest = inside;
	}
	rc = parse_angle_inside(p, name, !closed);
	p->rest = after;
	skip_cfws(p);
	return rc;
}

static int
parse_group(struct parser *p)
{
	struct address m = { .kind = ADDRESS_GROUP_START };
	int rc = take_words(p, ":");

	if (rc != 0 || p->w.phrase.failed)
		return -ENOMEM;
	p->rest = slice_from(p->rest, 1);
	p->in_group = true;
	m.raw_name = m.name = SLICE_EMPTY;
	return emit_named(p, &m, buf_slice(&p->w.phrase));
}

static void
skip_to_separator(struct parser *p)
{
	while (p->rest.n > 0 && !is_one_of(*p->rest.p, ",;")) {
		size_t n = 1;

		if (*p->rest.p == '"')
			n = lex_quoted_size(p->rest);
		else if (*p->rest.p == '(')
			n = lex_comment_size(p->rest);
		p->rest = slice_from(p->rest, n);
	}
}

/* local "@" domain [comment], or words without an address. */
static int
parse_bare(struct parser *p)
{
	struct slice name, local, domain = { NULL, 0 };
	bool broken = false;
	int rc = take_words(p, "@,;");

	if (rc != 0)
		return rc;
	name = slice_head(buf_slice(&p->w.phrase), p->w.before);
	if (take_spec_end(p, &broken)) {
		skip_cfws(p);
		broken = broken || name.n > 0 ||
		    (p->rest.n > 0 && !is_one_of(*p->rest.p, ",;"));
		local = buf_slice(&p->w.local);
		domain = buf_slice(&p->domain);
		if (name.n == 0 && p->w.comment.p != NULL)
			name = p->w.comment;
	} else {
		name = SLICE_EMPTY;
		local = buf_slice(&p->w.phrase);
	}
	skip_to_separator(p);
	if (p->w.phrase.failed || p->w.local.failed || p->domain.failed)
		return -ENOMEM;
	if (local.n == 0 && domain.n == 0)
		return 0; /* nothing between separators (4.4 obs-mbox-list) */
	return emit_mailbox(p, name, SLICE_EMPTY, local, domain, broken);
}

static int
end_group(struct parser *p)
{
	struct address m = { .kind = ADDRESS_GROUP_END };

	p->in_group = false;
	return emit(p, &m);
}

static int
parse_element(struct parser *p)
{
	words_reset(&p->w);
	switch (look_ahead(p)) {
	case '<':
		return parse_angle(p);
	case ':':
		return parse_group(p);
	default:
		return parse_bare(p);
	}
}

static int
parse_list(struct parser *p)
{
	int rc = 0;

	for (; p->rest.n > 0 && rc == 0;) {
		char c = *p->rest.p;

		if (c == ',' || c == ';' || lex_is_wsp(c)) {
			p->rest = slice_from(p->rest, 1);
			if (c == ';' && p->in_group)
				rc = end_group(p);
		} else if (p->out->n >= ADDRESS_LIST_MAX) {
			p->out->truncated = true;
			break;
		} else {
			rc = parse_element(p);
		}
	}
	if (rc == 0 && p->in_group)
		rc = end_group(p);
	return rc;
}

int
address_list_parse(
    struct arena *a, struct slice value, struct address_list *out)
{
	struct parser p = { .a = a, .out = out };
	int rc;

	*out = (struct address_list){ NULL, 0, false };
	p.rest = header_unfold(a, value);
	rc = p.rest.p == NULL ? -ENOMEM : parse_list(&p);
	buf_clear(&p.w.phrase);
	buf_clear(&p.w.local);
	buf_clear(&p.domain);
	return rc;
}

const struct address *
address_list_first(const struct address_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		if (list->v[i].kind == ADDRESS_MAILBOX && !list->v[i].broken)
			return &list->v[i];
	return NULL;
}

/* --- writing --- */

bool
address_put_spec(struct buf *b, struct slice local, struct slice domain)
{
	if (lex_is_dot_atom(local))
		buf_put_slice(b, local);
	else
		lex_put_quoted(b, local);
	if (domain.n > 0) {
		buf_put_char(b, '@');
		buf_put_slice(b, domain);
	}
	return !b->failed;
}

bool
address_put(struct buf *b, const struct address *m, bool utf8)
{
	if (m->name.p == NULL || m->name.n == 0)
		return address_put_spec(b, m->local, m->domain);
	if (utf8 && !ascii_is_all(m->name) && utf8_is_valid(m->name))
		lex_put_quoted(b, m->name);
	else
		encoded_put_phrase(b, m->name, 0);
	buf_put_str(b, " <");
	address_put_spec(b, m->local, m->domain);
	return buf_put_char(b, '>');
}
