/* SPDX-License-Identifier: ISC */
/*
 * The configuration's text: what makes JSON out of it before jansson sees it,
 * and where each key and value stands, which jansson does not tell.
 */
#include <errno.h>

#include "common/base/conf_impl.h"

#define DEPTH_MAX 16 /* jansson recurses, and coroutine stacks are small */
#define NODES_MAX 10000

/* --- comments and trailing commas --- */

void
conf_pos_next(struct conf_pos *at, char c)
{
	if (c == '\n') {
		at->line++;
		at->col = 1;
	} else if (((unsigned char)c & 0xc0) != 0x80) {
		at->col++; /* not the second octet of a character */
	}
}

/* Index of the first octet after the string whose quote is at `i`. */
static size_t
string_end(const char *p, size_t n, size_t i)
{
	for (i++; i < n && p[i] != '"' && p[i] != '\n'; i++)
		if (p[i] == '\\' && i + 1 < n && p[i + 1] != '\n')
			i++;
	return i < n && p[i] == '"' ? i + 1 : i;
}

static size_t
blank_comment(char *p, size_t n, size_t i)
{
	for (; i < n && p[i] != '\n'; i++)
		p[i] = ' ';
	return i;
}

/* Remembers the last comma, as only what follows tells if it trails. */
struct blanker {
	char *p;
	size_t comma; /* its index, or CONF_NO_NODE */
	char before;  /* the last octet that is no space, before the comma */
	char last;    /* and of all */
	unsigned depth;
};

static void
blank_token(struct blanker *b, size_t i)
{
	char c = b->p[i];

	if (ascii_is_space(c))
		return;
	if (c == ',') {
		b->comma = i;
		b->before = b->last;
	} else {
		/* "[,]" and "[1,,]" stay the errors that they are. */
		if ((c == '}' || c == ']') && b->comma != CONF_NO_NODE &&
		    strchr("[{,:", b->before) == NULL)
			b->p[b->comma] = ' ';
		b->comma = CONF_NO_NODE;
	}
	if (c == '[' || c == '{')
		b->depth++;
	else if ((c == ']' || c == '}') && b->depth > 0)
		b->depth--;
	b->last = c;
}

bool
conf_text_blank(char *text, size_t n, struct conf_pos *too_deep)
{
	struct blanker b = { .p = text, .comma = CONF_NO_NODE };
	size_t i = 0, next;

	*too_deep = (struct conf_pos){ 1, 1 };
	if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		memset(text, ' ', 3); /* a byte order mark */
	while (i < n) {
		if (text[i] == '#')
			next = blank_comment(text, n, i);
		else if (text[i] == '"')
			next = string_end(text, n, i);
		else
			next = i + 1;
		if (text[i] != ' ')
			blank_token(&b, i);
		if (b.depth > DEPTH_MAX)
			return false;
		for (; i < next; i++)
			conf_pos_next(too_deep, text[i]);
	}
	return true;
}

/* --- positions --- */

struct scan {
	const char *p;
	size_t n, i;
	struct conf_pos at;
	struct arena *arena;
	struct conf_index *ix;
};

static char
peek(const struct scan *s)
{
	return s->i < s->n ? s->p[s->i] : '\0';
}

static void
skip_to(struct scan *s, size_t i)
{
	for (; s->i < i && s->i < s->n; s->i++)
		conf_pos_next(&s->at, s->p[s->i]);
}

static void
skip_space(struct scan *s)
{
	while (s->i < s->n && ascii_is_space(s->p[s->i]))
		skip_to(s, s->i + 1);
}

static int
node_add(struct scan *s, size_t parent, size_t *out)
{
	struct conf_index *ix = s->ix;
	struct conf_node *grown;
	size_t cap;

	if (ix->n == NODES_MAX)
		return -E2BIG;
	if (ix->n == ix->cap) {
		cap = ix->cap == 0 ? 64 : ix->cap * 2;
		grown = arena_array(s->arena, cap, sizeof(*grown));
		if (grown == NULL)
			return -ENOMEM;
		if (ix->n > 0)
			memcpy(grown, ix->nodes, ix->n * sizeof(*grown));
		ix->nodes = grown;
		ix->cap = cap;
	}
	*out = ix->n++;
	ix->nodes[*out] = (struct conf_node){ .parent = parent };
	return 0;
}

/* The key whose quote is next, with its escapes undone. */
static int
scan_key(struct scan *s, const char **out)
{
	size_t start = s->i, end = string_end(s->p, s->n, s->i);
	json_t *key =
	    json_loadb(s->p + start, end - start, JSON_DECODE_ANY, NULL);
	int rc = 0;

	skip_to(s, end);
	*out = "";
	if (json_is_string(key)) {
		*out = arena_strdup(s->arena,
		    slice(json_string_value(key), json_string_length(key)));
		rc = *out == NULL ? -ENOMEM : 0;
	}
	json_decref(key);
	return rc;
}

static int scan_value(struct scan *s, size_t node);

static int
scan_member(struct scan *s, size_t parent, bool keyed)
{
	size_t node;
	int rc;

	if ((rc = node_add(s, parent, &node)) != 0)
		return rc;
	s->ix->nodes[node].key_at = s->at;
	if (keyed) {
		if ((rc = scan_key(s, &s->ix->nodes[node].key)) != 0)
			return rc;
		skip_space(s);
		skip_to(s, s->i + 1); /* the colon */
		skip_space(s);
	}
	s->ix->nodes[node].value_at = s->at;
	return scan_value(s, node);
}

static int
scan_members(struct scan *s, size_t parent, bool keyed, char close)
{
	int rc;

	skip_to(s, s->i + 1);
	for (;;) {
		skip_space(s);
		if (s->i >= s->n)
			return 0;
		if (peek(s) == close || peek(s) == ',') {
			bool end = peek(s) == close;

			skip_to(s, s->i + 1);
			if (end)
				return 0;
			continue;
		}
		if ((rc = scan_member(s, parent, keyed)) != 0)
			return rc;
	}
}

static int
scan_value(struct scan *s, size_t node)
{
	skip_space(s);
	switch (peek(s)) {
	case '{':
		return scan_members(s, node, true, '}');
	case '[':
		return scan_members(s, node, false, ']');
	case '"':
		skip_to(s, string_end(s->p, s->n, s->i));
		return 0;
	default: /* a number, true, false, null */
		do
			skip_to(s, s->i + 1);
		while (s->i < s->n && !ascii_is_space(peek(s)) &&
		    strchr(",]}", peek(s)) == NULL);
		return 0;
	}
}

int
conf_text_index(struct slice text, struct arena *a, struct conf_index *out)
{
	struct scan s = {
		.p = text.p, .n = text.n, .at = { 1, 1 }, .arena = a, .ix = out
	};

	*out = (struct conf_index){ 0 };
	return scan_value(&s, CONF_NO_NODE);
}
