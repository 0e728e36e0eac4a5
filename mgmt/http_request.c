/* SPDX-License-Identifier: ISC */
/* Reading a request by its lines. Strict: what two readers could understand in
 * two ways is refused (RFC 9110 5.5, 5.6.2, 7.1, 7.2). */
#include "mgmt/http_request.h"

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

/* "/path?query", or "http://host/path?query" of a proxy (RFC 9110 7.1). */
static int
target_path(struct slice target, struct slice *out)
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
	*out = slice_split(&target, '?');
	return 0;
}

int
http_request_line(struct http_request *r, struct slice line)
{
	struct slice rest = line;
	struct slice method = slice_split(&rest, ' ');
	struct slice target = slice_split(&rest, ' ');

	*r = (struct http_request){ .method = HTTP_OTHER };
	if (!is_token(method) || !is_target(target) || rest.n != 8 ||
	    !slice_starts(rest, "HTTP/") || !ascii_is_digit(rest.p[5]) ||
	    rest.p[6] != '.' || !ascii_is_digit(rest.p[7]))
		return 400;
	if (rest.p[5] != '1')
		return 505;
	r->has_host = rest.p[7] == '0';
	if (slice_eq_str(method, "GET"))
		r->method = HTTP_GET;
	else if (slice_eq_str(method, "HEAD"))
		r->method = HTTP_HEAD;
	else if (slice_eq_str(target, "*") || slice_eq_str(method, "CONNECT"))
		return 0; /* other forms of a target; answered with 405 */
	return target_path(target, &r->path);
}

int
http_request_field(struct http_request *r, struct slice line)
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
	value = slice_trim(value);
	if (slice_eq_str_nocase(name, "Host")) {
		r->has_host = true;
	} else if (slice_eq_str_nocase(name, "Transfer-Encoding")) {
		r->has_body = true;
	} else if (slice_eq_str_nocase(name, "Content-Length")) {
		if (!slice_eq_str(value, "0"))
			r->has_body = true;
	}
	return 0;
}

int
http_request_end(const struct http_request *r)
{
	if (!r->has_host)
		return 400; /* RFC 9110 7.2 */
	return r->has_body && r->method != HTTP_OTHER ? 413 : 0;
}
