/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>

#include "common/net/http_head.h"

static const struct {
	const char *line;
	int status;
	enum http_method method;
	const char *path;
} lines[] = {
	{ "GET / HTTP/1.1", 0, HTTP_GET, "/" },
	{ "HEAD /health HTTP/1.0", 0, HTTP_HEAD, "/health" },
	{ "GET /health?x=1&y=/2 HTTP/1.1", 0, HTTP_GET, "/health" },
	{ "GET http://host:80/a?b HTTP/1.1", 0, HTTP_GET, "/a" },
	{ "GET HTTP://host HTTP/1.1", 0, HTTP_GET, "/" },
	{ "POST /a HTTP/1.1", 0, HTTP_POST, "/a" },
	{ "PATCH /a HTTP/1.1", 0, HTTP_PATCH, "/a" },
	{ "DELETE /%41 HTTP/1.1", 0, HTTP_DELETE, "/%41" },
	{ "get / HTTP/1.1", 0, HTTP_OTHER, "/" },
	{ "POST * HTTP/1.1", 400, 0, "" },
	{ "OPTIONS * HTTP/1.1", 0, HTTP_OPTIONS, "" },
	{ "CONNECT host:80 HTTP/1.1", 0, HTTP_OTHER, "" },
	{ "GET / HTTP/1.9", 0, HTTP_GET, "/" },
	{ "GET / HTTP/2.0", 505, 0, "" },
	{ "GET / HTTP/0.9", 505, 0, "" },
	{ "GET / HTTP/1.10", 400, 0, "" },
	{ "GET / HTTP/1", 400, 0, "" },
	{ "GET / http/1.1", 400, 0, "" },
	{ "GET /", 400, 0, "" },
	{ "GET", 400, 0, "" },
	{ "", 400, 0, "" },
	{ " GET / HTTP/1.1", 400, 0, "" },
	{ "GET  / HTTP/1.1", 400, 0, "" },
	{ "GET /  HTTP/1.1", 400, 0, "" },
	{ "GET /a b HTTP/1.1", 400, 0, "" },
	{ "GET / HTTP/1.1 ", 400, 0, "" },
	{ "GET a HTTP/1.1", 400, 0, "" },
	{ "GET * HTTP/1.1", 400, 0, "" },
	{ "G\tT / HTTP/1.1", 400, 0, "" },
	{ "GET /\x80 HTTP/1.1", 400, 0, "" },
	{ "GET /\x7f HTTP/1.1", 400, 0, "" },
	{ "GET https://host/ HTTP/1.1", 400, 0, "" },
	{ "\x16\x03\x01", 400, 0, "" },
};

static void
request_lines(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct arena a = ARENA_INIT_MAX(0);
		struct http_head r;
		int rc = http_head_line(&r, &a, slice_str(lines[i].line));

		if (rc != lines[i].status)
			fail_msg("%s: %d", lines[i].line, rc);
		if (rc == 0) {
			assert_int_equal(r.method, lines[i].method);
			assert_true(slice_eq_str(r.path, lines[i].path));
		}
		arena_reset(&a);
	}
}

static const struct {
	struct slice line;
	int status;
	bool host, body;
} fields[] = {
	{ SLICE_LIT("Host: a"), 0, true, false },
	{ SLICE_LIT("hOST:"), 0, true, false },
	{ SLICE_LIT("Hosts: a"), 0, false, false },
	{ SLICE_LIT("Content-Length: 0"), 0, false, false },
	{ SLICE_LIT("content-length:\t7 "), 0, false, true },
	{ SLICE_LIT("Content-Length: x"), 400, false, false },
	{ SLICE_LIT("Content-Length: +7"), 400, false, false },
	{ SLICE_LIT("Content-Length: 7, 7"), 400, false, false },
	{ SLICE_LIT("Content-Length:"), 400, false, false },
	{ SLICE_LIT("Content-Length: 99999999999999999999"), 400, false,
	    false },
	{ SLICE_LIT("Transfer-Encoding: chunked"), 0, false, true },
	{ SLICE_LIT("Transfer-Encoding: gzip, chunked"), 501, false, false },
	{ SLICE_LIT("Transfer-Encoding: identity"), 501, false, false },
	{ SLICE_LIT("Expect: 200-ok"), 417, false, false },
	{ SLICE_LIT("X: a:b\tc \xff"), 0, false, false },
	{ SLICE_LIT("Host : a"), 400, false, false },
	{ SLICE_LIT(" Host: a"), 400, false, false },
	{ SLICE_LIT("Host"), 400, false, false },
	{ SLICE_LIT(": a"), 400, false, false },
	{ SLICE_LIT("Host: a\rX: b"), 400, false, false },
	{ SLICE_LIT("Host: a\0b"), 400, false, false },
};

static void
field_lines(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		struct arena a = ARENA_INIT_MAX(0);
		struct http_head r;
		int rc;

		assert_int_equal(
		    http_head_line(&r, &a, SLICE_LIT("GET / HTTP/1.1")), 0);
		rc = http_head_field(&r, fields[i].line);
		if (rc != fields[i].status)
			fail_msg("%s: %d", fields[i].line.p, rc);
		if (rc == 0) {
			assert_int_equal(r.has_host, fields[i].host);
			assert_int_equal(
			    http_head_has_body(&r), fields[i].body);
		}
		arena_reset(&a);
	}
}

/* The lines of a whole head; the first status that is not 0. */
static int
head(struct http_head *h, struct arena *a, const char *text)
{
	struct slice rest = slice_str(text);
	int rc = http_head_line(h, a, slice_split(&rest, '\n'));

	while (rc == 0 && rest.n > 0)
		rc = http_head_field(h, slice_split(&rest, '\n'));
	return rc != 0 ? rc : http_head_end(h);
}

/* What two readers would end in two places is refused (RFC 9112 6.3). */
static const struct {
	const char *text;
	int status;
} wholes[] = {
	{ "GET / HTTP/1.1", 400 },
	{ "GET / HTTP/1.1\nHost: x", 0 },
	{ "GET / HTTP/1.1\nHost: x\nHost: x", 400 },
	{ "GET / HTTP/1.0", 0 },
	{ "POST / HTTP/1.0\nContent-Length: 5", 0 },
	{ "POST / HTTP/1.0\nContent-Length: 5\nContent-Length: 5", 400 },
	{ "POST / HTTP/1.1\nHost: x\nContent-Length: 5\n"
	  "Transfer-Encoding: chunked",
	    400 },
	{ "POST / HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n"
	  "Content-Length: 5",
	    400 },
	{ "POST / HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n"
	  "Transfer-Encoding: chunked",
	    400 },
	{ "POST / HTTP/1.0\nTransfer-Encoding: chunked", 400 },
};

static void
whole_heads(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(wholes) / sizeof(wholes[0]); i++) {
		struct arena a = ARENA_INIT_MAX(0);
		struct http_head h;
		int rc = head(&h, &a, wholes[i].text);

		if (rc != wholes[i].status)
			fail_msg("%s: %d", wholes[i].text, rc);
		arena_reset(&a);
	}
}

static void
a_head_is_bounded(void **state)
{
	struct arena a = ARENA_INIT_MAX(0), tight = ARENA_INIT_MAX(64);
	struct http_head h;

	(void)state;
	assert_int_equal(head(&h, &a, "GET / HTTP/1.1\nHost: x"), 0);
	for (int i = 1; i < HTTP_FIELDS_MAX; i++)
		assert_int_equal(http_head_field(&h, SLICE_LIT("X: y")), 0);
	assert_int_equal(http_head_field(&h, SLICE_LIT("X: y")), 431);
	assert_int_equal(
	    http_head_line(&h, &tight,
		SLICE_LIT("GET /012345678901234567890123456789012345678901234567"
			  "890123456789 HTTP/1.1")),
	    431);
	arena_reset(&a);
	arena_reset(&tight);
}

static const struct {
	const char *query, *name;
	bool good;
	const char *value; /* NULL: none */
} queries[] = {
	{ "limit=5&q=a+b%2Bc", "q", true, "a b+c" },
	{ "limit=5&q=a+b%2Bc", "limit", true, "5" },
	{ "limit=5", "imit", true, NULL },
	{ "q", "q", true, "" },
	{ "q=", "q", true, "" },
	{ "", "q", true, NULL },
	{ "q=a=b", "q", true, "a=b" },
	{ "q=%c3%A9", "q", true, "\xc3\xa9" },
	{ "q=%", "q", false, NULL },
	{ "q=%4", "q", false, NULL },
	{ "q=%4g", "q", false, NULL },
	{ "q=%41", "q", true, "A" },
	{ "q=%00", "q", false, NULL },
};

static void
query_parameters(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
		struct arena a = ARENA_INIT_MAX(0);
		struct http_head h = { .a = &a };
		struct slice value;

		h.query = slice_str(queries[i].query);
		if (http_head_query(&h, queries[i].name, &value) !=
		    queries[i].good)
			fail_msg("%s", queries[i].query);
		assert_int_equal(value.p != NULL, queries[i].value != NULL);
		if (value.p != NULL)
			assert_true(slice_eq_str(value, queries[i].value));
		arena_reset(&a);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(request_lines),
		cmocka_unit_test(field_lines),
		cmocka_unit_test(whole_heads),
		cmocka_unit_test(a_head_is_bounded),
		cmocka_unit_test(query_parameters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
