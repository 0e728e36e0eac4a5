/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>

#include "mgmt/http_request.h"

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
	{ "POST /a HTTP/1.1", 0, HTTP_OTHER, "/a" },
	{ "get / HTTP/1.1", 0, HTTP_OTHER, "/" },
	{ "OPTIONS * HTTP/1.1", 0, HTTP_OTHER, "" },
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
		struct http_request r;
		int rc = http_request_line(&r, slice_str(lines[i].line));

		if (rc != lines[i].status)
			fail_msg("%s: %d", lines[i].line, rc);
		if (rc != 0)
			continue;
		assert_int_equal(r.method, lines[i].method);
		assert_true(slice_eq_str(r.path, lines[i].path));
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
	{ SLICE_LIT("Content-Length: x"), 0, false, true },
	{ SLICE_LIT("Transfer-Encoding: identity"), 0, false, true },
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
		struct http_request r;
		int rc;

		assert_int_equal(
		    http_request_line(&r, SLICE_LIT("GET / HTTP/1.1")), 0);
		rc = http_request_field(&r, fields[i].line);
		if (rc != fields[i].status)
			fail_msg("%s: %d", fields[i].line.p, rc);
		if (rc != 0)
			continue;
		assert_int_equal(r.has_host, fields[i].host);
		assert_int_equal(r.has_body, fields[i].body);
	}
}

static int
whole(const char *line, const char *field)
{
	struct http_request r;

	assert_int_equal(http_request_line(&r, slice_str(line)), 0);
	if (field != NULL)
		assert_int_equal(http_request_field(&r, slice_str(field)), 0);
	return http_request_end(&r);
}

static void
a_request_needs_a_host_and_has_no_body(void **state)
{
	(void)state;
	assert_int_equal(whole("GET / HTTP/1.1", NULL), 400);
	assert_int_equal(whole("GET / HTTP/1.1", "Host: x"), 0);
	assert_int_equal(whole("GET / HTTP/1.0", NULL), 0);
	assert_int_equal(whole("GET / HTTP/1.0", "Content-Length: 5"), 413);
	/* Refused for its method, which is the better answer. */
	assert_int_equal(whole("POST / HTTP/1.0", "Content-Length: 5"), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(request_lines),
		cmocka_unit_test(field_lines),
		cmocka_unit_test(a_request_needs_a_host_and_has_no_body),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
