/* SPDX-License-Identifier: ISC */
#include "common/mail/html_clean.h"

#include <stdlib.h>

#include "common/mail/html_entities.h"

#define NAME_LEN 15
#define DEPTH_MAX 100 /* open elements; what is deeper loses its tags */
#define ATTRIBUTES_MAX 64
#define URL_MAX ((size_t)2000)

/* --- the lists --- */

enum { VOID = 1, SKIP = 2, RAW = 4 };

/* SKIP: its content goes too, up to its end tag; RAW: so that nothing in it is
 * markup. All other elements lose their
 * tags and keep their text. Sorted. */
static const struct element {
	char name[NAME_LEN + 1];
	int flags;
} elements[] = {
	{ "a", 0 }, { "abbr", 0 }, { "address", 0 }, { "applet", SKIP },
	{ "article", 0 }, { "aside", 0 }, { "b", 0 }, { "bdo", 0 },
	{ "big", 0 }, { "blockquote", 0 }, { "br", VOID }, { "caption", 0 },
	{ "center", 0 }, { "cite", 0 }, { "code", 0 }, { "col", VOID },
	{ "colgroup", 0 }, { "dd", 0 }, { "del", 0 }, { "dfn", 0 },
	{ "div", 0 }, { "dl", 0 }, { "dt", 0 }, { "em", 0 },
	{ "figcaption", 0 }, { "figure", 0 }, { "font", 0 }, { "footer", 0 },
	{ "frameset", SKIP }, { "h1", 0 }, { "h2", 0 }, { "h3", 0 },
	{ "h4", 0 }, { "h5", 0 }, { "h6", 0 }, { "header", 0 }, { "hr", VOID },
	{ "i", 0 }, { "iframe", RAW }, { "img", VOID }, { "ins", 0 },
	{ "kbd", 0 }, { "li", 0 }, { "main", 0 }, { "mark", 0 },
	{ "math", SKIP }, { "nav", 0 }, { "noembed", RAW },
	{ "noframes", RAW }, { "noscript", RAW }, { "object", SKIP },
	{ "ol", 0 }, { "p", 0 }, { "plaintext", RAW }, { "pre", 0 },
	{ "q", 0 }, { "s", 0 }, { "samp", 0 }, { "script", RAW },
	{ "section", 0 }, { "select", SKIP }, { "small", 0 }, { "span", 0 },
	{ "strike", 0 }, { "strong", 0 }, { "style", RAW }, { "sub", 0 },
	{ "sup", 0 }, { "svg", SKIP }, { "table", 0 }, { "tbody", 0 },
	{ "td", 0 }, { "template", SKIP }, { "textarea", RAW },
	{ "tfoot", 0 }, { "th", 0 }, { "thead", 0 }, { "title", RAW },
	{ "tr", 0 }, { "tt", 0 }, { "u", 0 }, { "ul", 0 }, { "var", 0 },
	{ "xmp", RAW },
};

enum value { TEXT, NUMBER, COLOR, LINK, IMAGE, STYLE };

/* Of any element. Sorted. */
static const struct attribute {
	char name[NAME_LEN + 1];
	enum value value;
} attributes[] = {
	{ "align", TEXT }, { "alt", TEXT }, { "bgcolor", COLOR },
	{ "border", NUMBER }, { "cellpadding", NUMBER },
	{ "cellspacing", NUMBER }, { "color", COLOR }, { "colspan", NUMBER },
	{ "dir", TEXT }, { "face", TEXT }, { "height", NUMBER },
	{ "href", LINK }, { "lang", TEXT }, { "rowspan", NUMBER },
	{ "size", NUMBER }, { "src", IMAGE }, { "start", NUMBER },
	{ "style", STYLE }, { "title", TEXT }, { "type", TEXT },
	{ "valign", TEXT }, { "width", NUMBER },
};

/* Style properties that cannot leave the flow or fetch. */
static const char *const properties[] = { "background-color", "border",
	"border-bottom", "border-bottom-color", "border-bottom-style",
	"border-bottom-width", "border-collapse", "border-color",
	"border-left", "border-radius", "border-right", "border-spacing",
	"border-style", "border-top", "border-width", "clear", "color",
	"direction", "display", "float", "font", "font-family", "font-size",
	"font-style", "font-variant", "font-weight", "height",
	"letter-spacing", "line-height", "list-style-type", "margin",
	"margin-bottom", "margin-left", "margin-right", "margin-top",
	"max-height", "max-width", "min-height", "min-width", "padding",
	"padding-bottom", "padding-left", "padding-right", "padding-top",
	"table-layout", "text-align", "text-decoration", "text-indent",
	"text-transform", "vertical-align", "white-space", "width",
	"word-break", "word-spacing", "word-wrap" };

/* --- reading --- */

struct reader {
	struct html_clean *h;
	struct slice in; /* what is left */
	struct buf *out;
	struct buf value; /* an attribute's, references undone */
	const struct element *open[DEPTH_MAX];
	size_t n_open;
};

struct tag {
	char name[NAME_LEN + 1];
	bool closing;
	const struct element *element; /* NULL: not on the list */
	struct {
		const struct attribute *attribute;
		struct slice value; /* raw */
	} a[ATTRIBUTES_MAX];
	size_t n;
};

static int
compare_name(const void *key, const void *member)
{
	return strcmp(key, member);
}

static bool
is_space(char c)
{
	return ascii_is_space(c) || c == '\f';
}

/* Up to NAME_LEN octets, lower-case; a longer name is none that we know. */
static void
take_name(struct slice *in, char out[static NAME_LEN + 1])
{
	size_t n = 0;

	while (in->n > 0 && !is_space(in->p[0]) && in->p[0] != '>' &&
	    in->p[0] != '/' && in->p[0] != '=') {
		if (n <= NAME_LEN)
			out[n < NAME_LEN ? n : 0] =
			    n < NAME_LEN ? ascii_lower(in->p[0]) : '!';
		n++;
		*in = slice_from(*in, 1);
	}
	out[n < NAME_LEN ? n : NAME_LEN] = '\0';
}

static void
skip_space(struct slice *in)
{
	while (in->n > 0 && (is_space(in->p[0]) || in->p[0] == '/'))
		*in = slice_from(*in, 1);
}

static struct slice
take_value(struct slice *in)
{
	size_t n = 0;
	struct slice value;
	char quote;

	while (in->n > 0 && is_space(in->p[0]))
		*in = slice_from(*in, 1);
	if (in->n > 0 && (in->p[0] == '"' || in->p[0] == '\'')) {
		quote = in->p[0];
		*in = slice_from(*in, 1);
		return slice_split(in, quote);
	}
	while (n < in->n && !is_space(in->p[n]) && in->p[n] != '>')
		n++;
	value = slice_head(*in, n);
	*in = slice_from(*in, n);
	return value;
}

static void
take_attribute(struct slice *in, struct tag *t)
{
	char name[NAME_LEN + 1];
	const struct attribute *known;
	struct slice value = SLICE_EMPTY, rest;

	take_name(in, name);
	if (name[0] == '\0' && in->n > 0) /* "=" alone */
		*in = slice_from(*in, 1);
	rest = *in;
	while (rest.n > 0 && is_space(rest.p[0]))
		rest = slice_from(rest, 1);
	if (rest.n > 0 && rest.p[0] == '=') {
		*in = slice_from(rest, 1);
		value = take_value(in);
	}
	known = bsearch(name, attributes,
	    sizeof(attributes) / sizeof(attributes[0]), sizeof(attributes[0]),
	    compare_name);
	if (known == NULL || t->n == ATTRIBUTES_MAX)
		return;
	for (size_t i = 0; i < t->n; i++)
		if (t->a[i].attribute == known)
			return; /* the first counts */
	t->a[t->n].attribute = known;
	t->a[t->n++].value = value;
}

/* Behind "<". False: it is none, but text. */
static bool
take_tag(struct slice *in, struct tag *t)
{
	struct slice rest = *in;

	t->n = 0;
	t->closing = rest.n > 0 && rest.p[0] == '/';
	if (t->closing)
		rest = slice_from(rest, 1);
	if (rest.n == 0 || !ascii_is_alpha(rest.p[0]))
		return false;
	take_name(&rest, t->name);
	for (;;) {
		skip_space(&rest);
		if (rest.n == 0 || rest.p[0] == '>')
			break;
		take_attribute(&rest, t);
	}
	*in = slice_from(rest, 1);
	t->element = bsearch(t->name, elements,
	    sizeof(elements) / sizeof(elements[0]), sizeof(elements[0]),
	    compare_name);
	return true;
}

/* "<!" and "<?": comments, declarations, CDATA. All go. */
static void
skip_markup(struct slice *in)
{
	ssize_t end;

	if (slice_starts(*in, "!--")) {
		/* "<!-->" and "<!--->" are whole ones. */
		struct slice body = slice_from(*in, 3);

		if (slice_starts(body, ">") || slice_starts(body, "->")) {
			slice_split(in, '>');
			return;
		}
		end = slice_find_slice(body, SLICE_LIT("--"));
		while (end >= 0) {
			body = slice_from(body, (size_t)end + 2);
			if (slice_starts(body, ">") ||
			    slice_starts(body, "!>"))
				break;
			if (slice_starts(body, "-"))
				body = slice(body.p - 1, body.n + 1);
			end = slice_find_slice(body, SLICE_LIT("--"));
		}
		if (end < 0) {
			*in = SLICE_EMPTY;
			return;
		}
		*in = body;
		slice_split(in, '>');
		return;
	}
	slice_split(in, '>');
}

/* Up to the end tag, whatever looks like markup before it (HTML 13.2.5.2). */
static void
skip_raw(struct slice *in, const struct element *what)
{
	struct slice rest = *in;
	size_t n = strlen(what->name);

	for (;;) {
		slice_split(&rest, '<');
		if (rest.n == 0)
			break;
		if (rest.n > n + 1 && rest.p[0] == '/' &&
		    slice_eq_str_nocase(slice(rest.p + 1, n), what->name) &&
		    (is_space(rest.p[n + 1]) || rest.p[n + 1] == '>' ||
			rest.p[n + 1] == '/')) {
			slice_split(&rest, '>');
			*in = rest;
			return;
		}
	}
	*in = SLICE_EMPTY;
}

/* The content of an element that goes with it, nested ones too. What is not
 * closed goes to the end. */
static void
skip_content(struct slice *in, const struct element *what)
{
	struct slice rest = *in;
	size_t depth = 1;
	struct tag t;

	while (depth > 0 && rest.n > 0) {
		slice_split(&rest, '<');
		if (slice_starts(rest, "!"))
			skip_markup(&rest);
		else if (take_tag(&rest, &t) && t.element == what)
			depth = t.closing ? depth - 1 : depth + 1;
	}
	*in = rest;
}

/* --- text --- */

void
html_put_text(struct buf *out, struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		switch (s.p[i]) {
		case '<':
			buf_put_str(out, "&lt;");
			break;
		case '>':
			buf_put_str(out, "&gt;");
			break;
		case '"':
			buf_put_str(out, "&quot;");
			break;
		case '&':
			buf_put_str(out, "&amp;");
			break;
		case '\0':
			break;
		default:
			buf_put_char(out, s.p[i]);
		}
}

static bool
number_reference(struct slice text, uint32_t *out)
{
	bool hex = text.n > 1 && ascii_lower(text.p[1]) == 'x';
	uint32_t v = 0;
	size_t i = hex ? 2 : 1;

	if (i >= text.n)
		return false;
	for (; i < text.n; i++) {
		char c = ascii_lower(text.p[i]);
		uint32_t d;

		if (ascii_is_digit(c))
			d = (uint32_t)(c - '0');
		else if (hex && c >= 'a' && c <= 'f')
			d = (uint32_t)(c - 'a' + 10);
		else
			return false;
		if (v < 0x1000000)
			v = v * (hex ? 16 : 10) + d;
	}
	*out = v == 0 || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff) ? 0xfffd
								      : v;
	return true;
}

static bool
named_reference(struct slice text, uint32_t *out)
{
	char name[10];
	const struct html_entity *e;

	if (text.n >= sizeof(name))
		return false;
	memcpy(name, text.p, text.n);
	name[text.n] = '\0';
	e = bsearch(name, html_entities,
	    sizeof(html_entities) / sizeof(html_entities[0]),
	    sizeof(html_entities[0]), compare_name);
	if (e != NULL)
		*out = e->code_point;
	return e != NULL;
}

/* References undone. Those that a browser knows and we do not stay as text,
 * and their "&" is escaped: nobody undoes them later. */
static void
decode(struct slice s, struct buf *out)
{
	while (s.n > 0) {
		size_t n = 0;
		uint32_t c;
		struct slice name;

		if (s.p[0] != '&') {
			buf_put_char(out, s.p[0]);
			s = slice_from(s, 1);
			continue;
		}
		while (n + 1 < s.n &&
		    (ascii_is_alpha(s.p[n + 1]) ||
			ascii_is_digit(s.p[n + 1]) ||
			(n == 0 && s.p[1] == '#')))
			n++;
		name = slice(s.p + 1, n);
		if (n > 0 &&
		    (name.p[0] == '#' ? number_reference(name, &c)
				      : named_reference(name, &c))) {
			buf_put_utf8(out, c);
			s = slice_from(s, n + 1);
			if (s.n > 0 && s.p[0] == ';')
				s = slice_from(s, 1);
		} else {
			buf_put_char(out, '&');
			s = slice_from(s, 1);
		}
	}
}

/* --- values --- */

/* What browsers pass over in a URL is no part of it here. */
static void
tidy_url(struct buf *b)
{
	size_t n = 0;

	for (size_t i = 0; i < b->n; i++)
		if ((unsigned char)b->p[i] > ' ' && b->p[i] != 0x7f)
			b->p[n++] = b->p[i];
	buf_truncate(b, n);
}

/* Not only where text is written: what stands before one may be white space. */
static void
drop_nuls(struct buf *b)
{
	size_t n = 0;

	for (size_t i = 0; i < b->n; i++)
		if (b->p[i] != '\0')
			b->p[n++] = b->p[i];
	buf_truncate(b, n);
}

static bool
is_link(struct slice url)
{
	return url.n <= URL_MAX &&
	    (slice_starts_nocase(url, "http://") ||
		slice_starts_nocase(url, "https://") ||
		slice_starts_nocase(url, "mailto:"));
}

static void
put_value(struct reader *r, const char *name, struct slice value)
{
	buf_put_char(r->out, ' ');
	buf_put_str(r->out, name);
	buf_put_str(r->out, "=\"");
	html_put_text(r->out, value);
	buf_put_char(r->out, '"');
}

static void
put_link(struct reader *r)
{
	tidy_url(&r->value);
	if (!is_link(buf_slice(&r->value)))
		return;
	put_value(r, "href", buf_slice(&r->value));
	buf_put_str(r->out, " target=\"_blank\" rel=\"noopener noreferrer\"");
}

static void
put_image(struct reader *r)
{
	struct html_clean *h = r->h;
	size_t at = r->out->n;
	struct slice src;

	tidy_url(&r->value);
	src = buf_slice(&r->value);
	if (slice_starts_nocase(src, "http://") ||
	    slice_starts_nocase(src, "https://")) {
		if (h->remote && src.n <= URL_MAX)
			put_value(r, "src", src);
		else
			h->blocked++;
		return;
	}
	buf_put_str(r->out, " src=\"");
	if (h->image != NULL && h->image(h->arg, src, r->out))
		buf_put_char(r->out, '"');
	else
		buf_truncate(r->out, at);
}

static bool
is_plain(struct slice s, const char *more)
{
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_is_alpha(s.p[i]) && !ascii_is_digit(s.p[i]) &&
		    (s.p[i] == '\0' || strchr(more, s.p[i]) == NULL))
			return false;
	return s.n > 0 && s.n < 200;
}

static bool
has_word(struct slice s, const char *word)
{
	for (size_t i = 0; i < s.n; i++)
		if (slice_starts_nocase(slice_from(s, i), word))
			return true;
	return false;
}

/*
 * "property: value; ...". No escapes, strings, comments or functions but the
 * colours: all that fetches or acts has to be written with one of those.
 */
static void
put_style(struct reader *r)
{
	struct slice rest = buf_slice(&r->value);
	bool any = false;

	while (rest.n > 0) {
		struct slice value = slice_split(&rest, ';');
		struct slice name = slice_trim(slice_split(&value, ':'));
		bool known = false;

		value = slice_trim(value);
		for (size_t i = 0;
		    i < sizeof(properties) / sizeof(properties[0]); i++)
			known |= slice_eq_str_nocase(name, properties[i]);
		if (!known || !is_plain(value, " #%.,-+!()'"))
			continue;
		if (slice_find(value, '(') >= 0 &&
		    (!slice_starts_nocase(value, "rgb") ||
			has_word(value, "url")))
			continue;
		buf_put_str(r->out, any ? ";" : " style=\"");
		html_put_text(r->out, name);
		buf_put_char(r->out, ':');
		html_put_text(r->out, value);
		any = true;
	}
	if (any)
		buf_put_char(r->out, '"');
}

static void
put_attribute(
    struct reader *r, const struct attribute *a, struct slice raw)
{
	struct slice value;

	buf_reset(&r->value);
	decode(raw, &r->value);
	if (r->value.failed)
		return;
	drop_nuls(&r->value);
	value = slice_trim(buf_slice(&r->value));
	switch (a->value) {
	case LINK:
		put_link(r);
		break;
	case IMAGE:
		put_image(r);
		break;
	case STYLE:
		put_style(r);
		break;
	case NUMBER:
		if (is_plain(value, "%.+-"))
			put_value(r, a->name, value);
		break;
	case COLOR:
		if (is_plain(value, "#(),% "))
			put_value(r, a->name, value);
		break;
	case TEXT:
		if (value.n < 1000)
			put_value(r, a->name, value);
		break;
	}
}

/* --- the tree --- */

/* Attributes that only make sense, and are only allowed, in one place. */
static bool
fits(const struct element *e, const struct attribute *a)
{
	if (a->value == LINK)
		return strcmp(e->name, "a") == 0;
	if (a->value == IMAGE)
		return strcmp(e->name, "img") == 0;
	return true;
}

static void
put_open(struct reader *r, const struct tag *t)
{
	bool is_void = (t->element->flags & VOID) != 0;

	if (!is_void) {
		if (r->n_open == DEPTH_MAX)
			return;
		r->open[r->n_open++] = t->element;
	}
	buf_put_char(r->out, '<');
	buf_put_str(r->out, t->element->name);
	for (size_t i = 0; i < t->n; i++)
		if (fits(t->element, t->a[i].attribute))
			put_attribute(r, t->a[i].attribute, t->a[i].value);
	buf_put_char(r->out, '>');
}

/* Ends what is open within it too; an end of nothing is passed over. */
static void
put_close(struct reader *r, const struct element *e)
{
	size_t at = r->n_open;

	while (at > 0 && r->open[at - 1] != e)
		at--;
	if (at == 0)
		return;
	while (r->n_open >= at)
		buf_printf(r->out, "</%s>", r->open[--r->n_open]->name);
}

static void
take_markup(struct reader *r)
{
	struct tag t;

	if (slice_starts(r->in, "!") || slice_starts(r->in, "?")) {
		skip_markup(&r->in);
		return;
	}
	if (!take_tag(&r->in, &t)) {
		if (slice_starts(r->in, "/")) /* "</>" and "</1>" are nothing */
			slice_split(&r->in, '>');
		else
			buf_put_str(r->out, "&lt;");
		return;
	}
	if (t.element == NULL)
		return;
	if ((t.element->flags & RAW) != 0) {
		if (!t.closing)
			skip_raw(&r->in, t.element);
	} else if ((t.element->flags & SKIP) != 0) {
		if (!t.closing)
			skip_content(&r->in, t.element);
	} else if (t.closing) {
		put_close(r, t.element);
	} else {
		put_open(r, &t);
	}
}

static void
put_run(struct reader *r, struct slice text)
{
	while (text.n > 0) {
		struct slice part = slice_head(text, 4096);

		/* A reference is not cut. */
		if (part.n < text.n)
			while (part.n > 4000 && part.p[part.n - 1] != ' ')
				part.n--;
		buf_reset(&r->value);
		decode(part, &r->value);
		html_put_text(r->out, buf_slice(&r->value));
		text = slice_from(text, part.n);
	}
}

bool
html_clean(struct html_clean *h, struct slice in, struct buf *out)
{
	struct reader r = { .h = h, .in = in, .out = out };

	h->blocked = 0;
	while (r.in.n > 0 && !out->failed) {
		ssize_t lt = slice_find(r.in, '<');

		put_run(&r, slice_head(r.in, lt < 0 ? r.in.n : (size_t)lt));
		if (lt < 0)
			break;
		r.in = slice_from(r.in, (size_t)lt + 1);
		take_markup(&r);
	}
	while (r.n_open > 0)
		buf_printf(out, "</%s>", r.open[--r.n_open]->name);
	buf_clear(&r.value);
	return !out->failed;
}
