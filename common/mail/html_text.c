/* SPDX-License-Identifier: ISC */
#include "common/mail/html_text.h"

#include <stdint.h>
#include <stdlib.h>

#include "common/mail/html_entities.h"

enum {
	IN_TEXT,
	AFTER_LT, /* "<" */
	IN_NAME,  /* "<na", "</na" */
	IN_ATTRIBUTES,
	IN_DECLARATION, /* "<!", "<?" */
	IN_COMMENT,
	IN_RAW,    /* inside script, style, title */
	IN_ENTITY, /* "&na" */
};

static void
put_char(struct html_text *h, struct buf *out, char c)
{
	if (ascii_is_space(c) || c == '\f') {
		if (h->pending == 0)
			h->pending = ' ';
		return;
	}
	if (h->pending != 0 && h->begun)
		buf_put_char(out, h->pending);
	h->pending = 0;
	h->begun = true;
	buf_put_char(out, c);
}

static void
put_code_point(struct html_text *h, struct buf *out, uint32_t c)
{
	/* What pads the hidden summaries of newsletters, and soft hyphens. */
	if (c == 0xad || c == 0x34f || (c >= 0x200b && c <= 0x200f) ||
	    c == 0x2060 || c == 0xfeff || c == 0)
		return;
	if (c == 0xa0)
		c = ' ';
	if (c < 0x80) {
		put_char(h, out, (char)c);
		return;
	}
	if (c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		c = 0xfffd;
	if (c >= 0x10000) {
		put_char(h, out, (char)(0xf0 | c >> 18));
		put_char(h, out, (char)(0x80 | (c >> 12 & 0x3f)));
	} else if (c >= 0x800) {
		put_char(h, out, (char)(0xe0 | c >> 12));
	}
	if (c >= 0x800)
		put_char(h, out, (char)(0x80 | (c >> 6 & 0x3f)));
	else
		put_char(h, out, (char)(0xc0 | c >> 6));
	put_char(h, out, (char)(0x80 | (c & 0x3f)));
}

/* --- entities --- */

static int
compare_entity(const void *key, const void *entity)
{
	return strcmp(key, ((const struct html_entity *)entity)->name);
}

/* "#123" or "#x7b"; UINT32_MAX when it is neither. */
static uint32_t
numeric_entity(const char *s)
{
	/* Numbers of Windows-1252, which everybody means (HTML5 13.2.5.80) */
	static const uint16_t windows[32] = { 0x20ac, 0x81, 0x201a, 0x192,
		0x201e, 0x2026, 0x2020, 0x2021, 0x2c6, 0x2030, 0x160, 0x2039,
		0x152, 0x8d, 0x17d, 0x8f, 0x90, 0x2018, 0x2019, 0x201c, 0x201d,
		0x2022, 0x2013, 0x2014, 0x2dc, 0x2122, 0x161, 0x203a, 0x153,
		0x9d, 0x17e, 0x178 };
	bool hex = s[1] == 'x' || s[1] == 'X';
	char *end;
	unsigned long v = strtoul(s + 1 + hex, &end, hex ? 16 : 10);

	if (end == s + 1 + hex || *end != '\0')
		return UINT32_MAX;
	if (v >= 0x80 && v < 0xa0)
		return windows[v - 0x80];
	return v > 0x10ffff ? 0xfffd : (uint32_t)v;
}

/* The entity ends before `c`, which is ";" when it is as it should be. */
static void
end_entity(struct html_text *h, struct buf *out, bool semicolon)
{
	const struct html_entity *e;
	uint32_t c = UINT32_MAX;

	h->word[h->n_word] = '\0';
	h->state = IN_TEXT;
	if (h->word[0] == '#') {
		c = numeric_entity(h->word);
	} else {
		e = bsearch(h->word, html_entities,
		    sizeof(html_entities) / sizeof(*html_entities),
		    sizeof(*html_entities), compare_entity);
		if (e != NULL)
			c = e->code_point;
	}
	if (c != UINT32_MAX) {
		put_code_point(h, out, c);
		return;
	}
	put_char(h, out, '&');
	for (size_t i = 0; i < h->n_word; i++)
		put_char(h, out, h->word[i]);
	if (semicolon)
		put_char(h, out, ';');
}

/* --- tags --- */

static bool
is_in(const char *const *names, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

static bool
is_block(const char *name)
{
	static const char *const names[] = { "address", "article", "blockquote",
		"body", "br", "center", "dd", "div", "dl", "dt", "footer",
		"form", "h1", "h2", "h3", "h4", "h5", "h6", "head", "header",
		"hr", "li", "ol", "p", "pre", "section", "table", "tbody",
		"tfoot", "thead", "tr", "ul" };

	return is_in(names, sizeof(names) / sizeof(*names), name);
}

/* The element whose content is no text, or NULL. */
static const char *
raw_element(const char *name)
{
	static const char *const names[] = { "script", "style", "title",
		"textarea" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (strcmp(names[i], name) == 0)
			return names[i];
	return NULL;
}

static void
end_tag(struct html_text *h)
{
	h->word[h->n_word] = '\0';
	h->state = IN_TEXT;
	if (is_block(h->word))
		h->pending = '\n';
	else if ((strcmp(h->word, "td") == 0 || strcmp(h->word, "th") == 0) &&
	    h->pending == 0)
		h->pending = ' ';
	if (!h->closing && (h->raw = raw_element(h->word)) != NULL) {
		h->state = IN_RAW;
		h->n_word = 0;
	}
}

static void
add_word(struct html_text *h, char c)
{
	/* A longer name is none that matters here. */
	if (h->n_word < sizeof(h->word) - 1)
		h->word[h->n_word++] = c;
}

static void
after_lt(struct html_text *h, struct buf *out, char c)
{
	h->n_word = 0;
	h->closing = false;
	if (ascii_is_alpha(c)) {
		add_word(h, ascii_lower(c));
		h->state = IN_NAME;
	} else if (c == '/') {
		h->closing = true;
		h->state = IN_NAME;
	} else if (c == '!' || c == '?') {
		h->n_dashes = 0;
		h->state = IN_DECLARATION;
	} else {
		h->state = IN_TEXT;
		put_char(h, out, '<');
		html_text_feed(h, slice(&c, 1), out);
	}
}

static void
in_attributes(struct html_text *h, char c)
{
	if (h->quote != 0) {
		if (c == h->quote)
			h->quote = 0;
	} else if (c == '>') {
		end_tag(h);
	} else if ((c == '"' || c == '\'') && h->after_equals) {
		h->quote = c;
	}
	if (!ascii_is_space(c))
		h->after_equals = h->quote == 0 && c == '=';
}

static void
in_name(struct html_text *h, char c)
{
	if (ascii_is_alpha(c) || ascii_is_digit(c)) {
		add_word(h, ascii_lower(c));
		return;
	}
	h->state = IN_ATTRIBUTES;
	h->quote = 0;
	h->after_equals = false;
	in_attributes(h, c);
}

/* "<!--" ... "-->", or "<!doctype ...>". */
static void
in_declaration(struct html_text *h, char c)
{
	if (h->state == IN_DECLARATION && c == '-' && h->n_dashes < 2) {
		if (++h->n_dashes == 2) {
			h->state = IN_COMMENT;
			h->n_dashes = 0;
		}
	} else if (c == '>' &&
	    (h->state == IN_DECLARATION || h->n_dashes >= 2)) {
		h->state = IN_TEXT;
	} else if (h->state == IN_COMMENT) {
		h->n_dashes = c == '-' ? h->n_dashes + 1 : 0;
	} else {
		h->n_dashes = 2; /* dashes further on are nothing special */
	}
}

/* Only "</name" of the same element ends it. */
static void
in_raw(struct html_text *h, char c)
{
	size_t n = h->n_word;
	char want = n == 0 ? '<' : n == 1 ? '/' : h->raw[n - 2];

	if (ascii_lower(c) != want) {
		h->n_word = c == '<';
		return;
	}
	h->n_word++;
	if (h->raw[h->n_word < 2 ? 0 : h->n_word - 2] == '\0') {
		h->state = IN_ATTRIBUTES;
		h->closing = true;
		h->quote = 0;
		h->after_equals = false;
		h->n_word = 0;
	}
}

static void
in_entity(struct html_text *h, struct buf *out, char c)
{
	bool more = ascii_is_alpha(c) || ascii_is_digit(c) ||
	    (c == '#' && h->n_word == 0);

	if (more && h->n_word < sizeof(h->word) - 1) {
		add_word(h, c);
		return;
	}
	end_entity(h, out, c == ';');
	if (c != ';')
		html_text_feed(h, slice(&c, 1), out);
}

static void
in_text(struct html_text *h, struct buf *out, char c)
{
	if (c == '<') {
		h->state = AFTER_LT;
	} else if (c == '&') {
		h->n_word = 0;
		h->state = IN_ENTITY;
	} else {
		put_char(h, out, c);
	}
}

void
html_text_feed(struct html_text *h, struct slice in, struct buf *out)
{
	for (size_t i = 0; i < in.n && !out->failed; i++) {
		char c = in.p[i];

		switch (h->state) {
		case IN_TEXT:
			in_text(h, out, c);
			break;
		case AFTER_LT:
			after_lt(h, out, c);
			break;
		case IN_NAME:
			in_name(h, c);
			break;
		case IN_ATTRIBUTES:
			in_attributes(h, c);
			break;
		case IN_DECLARATION:
		case IN_COMMENT:
			in_declaration(h, c);
			break;
		case IN_RAW:
			in_raw(h, c);
			break;
		default:
			in_entity(h, out, c);
		}
	}
}

void
html_text_end(struct html_text *h, struct buf *out)
{
	if (h->state == IN_ENTITY)
		end_entity(h, out, false);
	else if (h->state == AFTER_LT)
		put_char(h, out, '<');
}
