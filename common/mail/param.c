/* SPDX-License-Identifier: ISC */
/*
 * Lenient where mail is: values with spaces and no quotes, a missing ";",
 * comments anywhere, quotes that never end.
 */
#include "common/mail/param.h"

#include <errno.h>

#include "common/base/buf.h"
#include "common/mail/charset.h"
#include "common/mail/encoded.h"
#include "common/mail/header.h"
#include "common/mail/lex.h"

/* A segment of a parameter (RFC 2231 3): name ["*" section] ["*"] */
struct segment {
	struct slice base; /* name without the stars */
	int section;       /* -1: none */
	bool extended;
	struct slice value;
	bool used;
};

/* RFC 2045 5.1: not CTL, space or tspecials. */
static bool
is_token(char c)
{
	return c > ' ' && c < 127 && memchr("()<>@,;:\\\"/[]?=", c, 15) == NULL;
}

static size_t
token_size(struct slice s)
{
	size_t n = 0;

	while (n < s.n && is_token(s.p[n]))
		n++;
	return n;
}

static struct slice
lower(struct arena *a, struct slice s)
{
	char *p = arena_strdup(a, s);

	if (p == NULL)
		return slice(NULL, 0);
	for (size_t i = 0; i < s.n; i++)
		p[i] = ascii_lower(p[i]);
	return slice(p, s.n);
}

/* --- the text of one parameter --- */

/* "token =": where a ";" was forgotten. */
static bool
begins_param(struct slice s)
{
	size_t n = token_size(s);

	s = slice_from(s, n);
	s = slice_from(s, lex_wsp_size(s));
	return n > 0 && s.n > 0 && *s.p == '=';
}

/* The quoted string at the start of *s. */
static struct slice
take_quoted(struct arena *a, struct slice *s)
{
	struct slice quoted = slice_head(*s, lex_quoted_size(*s));
	char *p = arena_alloc(a, quoted.n);

	if (p == NULL)
		return slice(NULL, 0);
	*s = slice_from(*s, quoted.n);
	return slice(p, lex_unquote(quoted, p));
}

/* A value that should be a token: up to ";", to a comment after a space, or
 * to what looks like the next parameter. */
static struct slice
take_bare(struct slice *s)
{
	struct slice value = *s;
	size_t i = 0;

	while (i < s->n && s->p[i] != ';') {
		size_t space = lex_wsp_size(slice_from(*s, i));
		struct slice next = slice_from(*s, i + space);

		if (space > 0 && next.n > 0 &&
		    (*next.p == '(' || begins_param(next)))
			break;
		i += space > 0 ? space : 1;
	}
	value.n = i;
	*s = slice_from(*s, i);
	return slice_trim(value);
}

/* To the next parameter: behind a ";", or where one begins without. Each
 * octet is looked at a bounded number of times, whatever it says. */
static struct slice
skip_to_next(struct slice s)
{
	while (s.n > 0) {
		size_t n = token_size(s);

		if (*s.p == ';')
			return slice_from(s, 1);
		if (n > 0 && begins_param(s))
			return s;
		if (*s.p == '(')
			n = lex_comment_size(s);
		s = slice_from(s, n > 0 ? n : 1);
	}
	return s;
}

static void
cut_name(struct slice name, struct segment *seg)
{
	ssize_t star = slice_find(name, '*');
	struct slice rest;
	uint64_t section;

	*seg = (struct segment){ .base = name, .section = -1 };
	if (star <= 0)
		return;
	rest = slice_from(name, (size_t)star + 1);
	if (rest.n == 0) {
		seg->base = slice_head(name, (size_t)star);
		seg->extended = true;
		return;
	}
	if (rest.p[rest.n - 1] == '*') {
		seg->extended = true;
		rest.n--;
	}
	if (slice_u64(rest, 999, &section) == 0) {
		seg->base = slice_head(name, (size_t)star);
		seg->section = (int)section;
	} else {
		seg->extended = false; /* no such form: a plain name */
	}
}

/* 1 a parameter, 0 none (the broken text is passed), or -ENOMEM. */
static int
take_param(struct arena *a, struct slice *s, struct segment *seg)
{
	struct slice rest = lex_skip_cfws(*s), name;
	size_t n = token_size(rest);

	name = slice_head(rest, n);
	rest = lex_skip_cfws(slice_from(rest, n));
	if (n == 0 || rest.n == 0 || *rest.p != '=') {
		*s = skip_to_next(rest);
		return 0;
	}
	rest = lex_skip_cfws(slice_from(rest, 1));
	name = lower(a, name);
	if (name.p == NULL)
		return -ENOMEM;
	cut_name(name, seg);
	if (rest.n > 0 && *rest.p == '"')
		seg->value = take_quoted(a, &rest);
	else
		seg->value = take_bare(&rest);
	*s = skip_to_next(rest);
	return seg->value.p == NULL ? -ENOMEM : 1;
}

/* --- joining continuations --- */

/* RFC 2231 7 attribute-char: what needs no %XX in an extended value. */
static bool
is_attribute_char(char c)
{
	return is_token(c) && c != '*' && c != '\'' && c != '%';
}

static void
put_percent(struct buf *b, struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (is_attribute_char(s.p[i]))
			buf_put_char(b, s.p[i]);
		else
			buf_printf(b, "%%%02X", (unsigned char)s.p[i]);
}

static struct segment *
find_section(struct segment *v, size_t n, struct slice base, int section)
{
	for (size_t i = 0; i < n; i++)
		if (!v[i].used && v[i].section == section &&
		    slice_eq(v[i].base, base))
			return &v[i];
	return NULL;
}

static bool
any_extended(struct segment *v, size_t n, struct slice base)
{
	struct segment *s;

	for (int i = 0; (s = find_section(v, n, base, i)) != NULL; i++)
		if (s->extended)
			return true;
	return false;
}

static int
param_of(struct arena *a, struct slice base, bool extended, struct slice value,
    struct param *out)
{
	char *name =
	    arena_printf(a, "%.*s%s", (int)base.n, base.p, extended ? "*" : "");

	out->value = arena_dup(a, value);
	if (name == NULL || out->value.p == NULL)
		return -ENOMEM;
	out->name = slice_str(name);
	return 0;
}

/* All segments of v[at], from section 0 on, as one. */
static int
join(struct arena *a, struct segment *v, size_t n, size_t at, struct param *out)
{
	struct slice base = v[at].base;
	bool extended = any_extended(v, n, base);
	struct buf value = BUF_INIT;
	struct segment *s;
	int rc;

	for (int i = 0; (s = find_section(v, n, base, i)) != NULL; i++) {
		if (i == 0 && extended && !s->extended)
			buf_put_str(&value, "''");
		if (extended && !s->extended)
			put_percent(&value, s->value);
		else
			buf_put_slice(&value, s->value);
		s->used = true;
	}
	rc = value.failed ? -ENOMEM
			  : param_of(a, base, extended, buf_slice(&value), out);
	buf_clear(&value);
	return rc;
}

static int
join_all(struct arena *a, struct segment *v, size_t n, struct params *params)
{
	struct param *out = arena_array(a, n, sizeof(*out));
	size_t m = 0;
	int rc = out == NULL ? -ENOMEM : 0;

	for (size_t i = 0; i < n && rc == 0; i++) {
		struct segment *s = &v[i];

		if (s->used)
			continue;
		if (s->section < 0)
			rc = param_of(
			    a, s->base, s->extended, s->value, &out[m++]);
		else if (find_section(v, n, s->base, 0) != NULL)
			rc = join(a, v, n, i, &out[m++]);
		/* A continuation of nothing is dropped. */
	}
	if (rc == 0)
		*params = (struct params){ out, m };
	return rc;
}

static int
parse_params(struct arena *a, struct slice s, struct params *params)
{
	struct segment v[PARAMS_MAX];
	size_t n = 0;

	while (s.n > 0 && n < PARAMS_MAX) {
		int rc = take_param(a, &s, &v[n]);

		if (rc < 0)
			return rc;
		n += (size_t)rc;
	}
	return join_all(a, v, n, params);
}

int
param_field_parse(struct arena *a, struct slice value, struct slice *type,
    struct slice *subtype, struct params *params)
{
	struct slice s = header_unfold(a, value), t, sub = SLICE_EMPTY;
	struct params p = { NULL, 0 };
	int rc;

	if (s.p == NULL)
		return -ENOMEM;
	s = lex_skip_cfws(s);
	t = slice_head(s, token_size(s));
	s = lex_skip_cfws(slice_from(s, t.n));
	if (subtype != NULL && t.n > 0) {
		if (s.n == 0 || *s.p != '/')
			return -EINVAL;
		s = lex_skip_cfws(slice_from(s, 1));
		sub = slice_head(s, token_size(s));
		s = slice_from(s, sub.n);
	}
	if (t.n == 0 || (subtype != NULL && sub.n == 0))
		return -EINVAL;
	t = lower(a, t);
	sub = lower(a, sub);
	if (t.p == NULL || sub.p == NULL)
		return -ENOMEM;
	s = skip_to_next(s);
	if (params != NULL && s.n > 0 && (rc = parse_params(a, s, &p)) != 0)
		return rc;
	*type = t;
	if (subtype != NULL)
		*subtype = sub;
	if (params != NULL)
		*params = p;
	return 0;
}

/* --- reading --- */

struct slice
param_raw(const struct params *params, const char *name)
{
	for (size_t i = 0; i < params->n; i++)
		if (slice_eq_str_nocase(params->v[i].name, name))
			return params->v[i].value;
	return slice(NULL, 0);
}

static void
put_unpercented(struct buf *b, struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '%' && i + 2 < s.n &&
		    lex_hex_digit(s.p[i + 1]) >= 0 &&
		    lex_hex_digit(s.p[i + 2]) >= 0) {
			buf_put_char(b,
			    (char)(lex_hex_digit(s.p[i + 1]) << 4 |
				lex_hex_digit(s.p[i + 2])));
			i += 2;
		} else {
			buf_put_char(b, s.p[i]);
		}
	}
}

/* RFC 2231 4: [charset] "'" [language] "'" text. */
static struct slice
decode_extended(struct arena *a, struct slice value)
{
	struct buf octets = BUF_INIT, text = BUF_INIT;
	struct slice charset = SLICE_EMPTY, rest = value, result;
	ssize_t first = slice_find(value, '\'');

	if (first >= 0 &&
	    slice_find(slice_from(value, (size_t)first + 1), '\'') >= 0) {
		charset = slice_split(&rest, '\'');
		slice_split(&rest, '\'');
	}
	put_unpercented(&octets, rest);
	result = slice(NULL, 0);
	if (!octets.failed &&
	    charset_to_utf8(charset, buf_slice(&octets), &text) == 0)
		result = arena_dup(a, buf_slice(&text));
	buf_clear(&octets);
	buf_clear(&text);
	return result;
}

struct slice
param_decode(struct arena *a, const struct params *params, const char *name)
{
	char *extended = arena_printf(a, "%s*", name);
	struct slice value;

	if (extended == NULL)
		return slice(NULL, 0);
	value = param_raw(params, extended);
	if (value.p != NULL)
		return decode_extended(a, value);
	value = param_raw(params, name);
	return value.p == NULL ? value : encoded_decode(a, value);
}
