/* SPDX-License-Identifier: ISC */
#include "common/net/http_head.h"

/* RFC 9110 5.6.2 */
static bool
is_token(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_is_alpha(s.p[i]) && !ascii_is_digit(s.p[i]) &&
		    (s.p[i] == '\0' ||
			strchr("!#$%&'*+-.^_`|~", s.p[i]) == NULL))
			return false;
	return s.n > 0;
}

/* No blanks, controls or other octets that do not belong into a URI. */
static bool
is_target(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] >= 0x7f)
			return false;
	return s.n > 0;
}

static const struct {
	const char *name;
	enum http_method method;
} methods[] = {
	{ "GET", HTTP_GET },
	{ "HEAD", HTTP_HEAD },
	{ "POST", HTTP_POST },
	{ "PUT", HTTP_PUT },
	{ "PATCH", HTTP_PATCH },
	{ "DELETE", HTTP_DELETE },
	{ "OPTIONS", HTTP_OPTIONS },
};

static enum http_method
method_of(struct slice name)
{
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (slice_eq_str(name, methods[i].name))
			return methods[i].method;
	return HTTP_OTHER;
}

/* "/path?query", or "http://host/path?query" of a proxy (RFC 9110 7.1). */
static int
target_split(struct http_head *h, struct slice target)
{
	ssize_t slash;

	if (slice_starts_nocase(target, "http://")) {
		target = slice_from(target, strlen("http://"));
		slash = slice_find(target, '/');
		target = slash < 0 ? SLICE_LIT("/")
				   : slice_from(target, (size_t)slash);
	}
	if (target.p[0] != '/')
		return 400;
	h->path = slice_split(&target, '?');
	h->query = target;
	return 0;
}

int
http_head_line(struct http_head *h, struct arena *a, struct slice line)
{
	struct slice rest, method, target;

	*h = (struct http_head){ .a = a, .method = HTTP_OTHER };
	h->path = h->query = h->method_name = SLICE_EMPTY;
	rest = arena_dup(a, line);
	if (rest.p == NULL)
		return 431;
	method = slice_split(&rest, ' ');
	target = slice_split(&rest, ' ');
	if (!is_token(method) || !is_target(target) || rest.n != 8 ||
	    !slice_starts(rest, "HTTP/") || !ascii_is_digit(rest.p[5]) ||
	    rest.p[6] != '.' || !ascii_is_digit(rest.p[7]))
		return 400;
	if (rest.p[5] != '1')
		return 505;
	h->http10 = h->has_host = h->close = rest.p[7] == '0';
	h->method = method_of(method);
	h->method_name = method;
	if (slice_eq_str(method, "CONNECT") ||
	    (slice_eq_str(target, "*") && h->method >= HTTP_OPTIONS))
		return 0; /* other forms of a target; answered with 405 */
	return target_split(h, target);
}

/* --- fields --- */

/* Repeated or listed, another reader might take another one (RFC 9112 6.3). */
static int
take_length(struct http_head *h, struct slice value)
{
	if (h->has_length || h->chunked ||
	    slice_u64(value, INT64_MAX, &h->length) != 0)
		return 400;
	h->has_length = true;
	return 0;
}

static int
take_coding(struct http_head *h, struct slice value)
{
	if (h->has_length || h->chunked || h->http10)
		return 400;
	if (!slice_eq_str_nocase(value, "chunked"))
		return 501;
	h->chunked = true;
	return 0;
}

static void
take_connection(struct http_head *h, struct slice value)
{
	while (value.n > 0) {
		struct slice word = slice_trim(slice_split(&value, ','));

		if (slice_eq_str_nocase(word, "close"))
			h->close = true;
	}
}

static int
take_field(struct http_head *h, struct slice name, struct slice value)
{
	if (slice_eq_str_nocase(name, "Host")) {
		if (h->has_host && !h->http10)
			return 400; /* RFC 9112 3.2 */
		h->has_host = true;
	} else if (slice_eq_str_nocase(name, "Transfer-Encoding")) {
		return take_coding(h, value);
	} else if (slice_eq_str_nocase(name, "Content-Length")) {
		return take_length(h, value);
	} else if (slice_eq_str_nocase(name, "Connection")) {
		take_connection(h, value);
	} else if (slice_eq_str_nocase(name, "Expect")) {
		if (!slice_eq_str_nocase(value, "100-continue"))
			return 417;
		h->expect_continue = !h->http10;
	}
	return 0;
}

int
http_head_field(struct http_head *h, struct slice line)
{
	struct slice value = line;
	struct slice name = slice_split(&value, ':');

	/* A blank before the colon, or a folded line: what one reads as a field
	 * another does not. */
	if (name.n == line.n || !is_token(name))
		return 400;
	for (size_t i = 0; i < value.n; i++)
		if (value.p[i] == '\0' || value.p[i] == '\r')
			return 400;
	if (h->n_fields == HTTP_FIELDS_MAX)
		return 431;
	name = arena_dup(h->a, name);
	value = arena_dup(h->a, slice_trim(value));
	if (name.p == NULL || value.p == NULL)
		return 431;
	h->fields[h->n_fields++] = (struct http_field){ name, value };
	return take_field(h, name, value);
}

int
http_head_end(const struct http_head *h)
{
	return h->has_host ? 0 : 400; /* RFC 9110 7.2 */
}

bool
http_head_has_body(const struct http_head *h)
{
	return h->chunked || h->length > 0;
}

struct slice
http_head_get(const struct http_head *h, const char *name)
{
	for (size_t i = 0; i < h->n_fields; i++)
		if (slice_eq_str_nocase(h->fields[i].name, name))
			return h->fields[i].value;
	return slice(NULL, 0);
}

/* --- the query --- */

static int
hex(char c)
{
	if (ascii_is_digit(c))
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

struct slice
http_percent_decode(struct arena *a, struct slice in, bool plus)
{
	char *out = arena_alloc(a, in.n + 1);
	size_t n = 0;

	if (out == NULL)
		return slice(NULL, 0);
	for (size_t i = 0; i < in.n; i++) {
		char c = in.p[i];

		if (c == '%') {
			int hi = in.n - i > 2 ? hex(in.p[i + 1]) : -1;
			int lo = in.n - i > 2 ? hex(in.p[i + 2]) : -1;

			if (hi < 0 || lo < 0 || (hi | lo) == 0)
				return slice(NULL, 0);
			c = (char)(hi << 4 | lo);
			i += 2;
		} else if (c == '+' && plus) {
			c = ' ';
		}
		out[n++] = c;
	}
	return slice(out, n);
}

bool
http_head_query(const struct http_head *h, const char *name, struct slice *out)
{
	struct slice rest = h->query;

	*out = slice(NULL, 0);
	while (rest.n > 0) {
		struct slice value = slice_split(&rest, '&');

		if (!slice_eq_str(slice_split(&value, '='), name))
			continue;
		*out = http_percent_decode(h->a, value, true);
		return out->p != NULL;
	}
	return true;
}
