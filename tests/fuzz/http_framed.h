/* SPDX-License-Identifier: ISC */
/*
 * Requests of the HTTP API from a fuzzer's octets: records, each ended by an RS
 * (0x1e): "GET /mailboxes?limit=3", more fields, an empty line, the body. What
 * a client of the API says besides is put in (host, token, type, length), so
 * that much of what is tried gets into handlers. "@T" and the like stand for
 * what is only known when all is set up.
 */
#ifndef PNEU_TESTS_FUZZ_HTTP_FRAMED_H
#define PNEU_TESTS_FUZZ_HTTP_FRAMED_H

#include <string.h>

#include "common/base/buf.h"

#define RS '\x1e'

struct framed_name {
	char letter; /* of "@T"; '\0' ends the table */
	const char *text;
};

static inline void
framed_put(struct buf *out, struct slice s, const struct framed_name *names)
{
	for (size_t i = 0; i < s.n; i++) {
		const struct framed_name *n = names;

		while (s.p[i] == '@' && i + 1 < s.n && n->letter != '\0' &&
		    n->letter != s.p[i + 1])
			n++;
		if (s.p[i] == '@' && i + 1 < s.n && n->letter != '\0') {
			buf_put_str(out, n->text);
			i++;
		} else {
			buf_put_char(out, s.p[i]);
		}
	}
}

static inline bool
framed_has(struct slice s, const char *text)
{
	return s.n > 0 && memmem(s.p, s.n, text, strlen(text)) != NULL;
}

static inline void
framed_request(struct buf *out, struct slice record, const char *token,
    const struct framed_name *names)
{
	const char *gap =
	    record.n > 0 ? memmem(record.p, record.n, "\n\n", 2) : NULL;
	size_t n = gap == NULL ? record.n : (size_t)(gap - record.p);
	struct slice head = slice_head(record, n);
	struct slice body = slice_from(record, n + 2);
	struct slice line = slice_split(&head, '\n');
	struct slice method = slice_split(&line, ' ');
	struct buf named = BUF_INIT;

	framed_put(&named, body, names);
	buf_put_slice(out, method);
	buf_put_str(out, " /api/v1");
	framed_put(out, line, names);
	buf_put_str(out, " HTTP/1.1\r\nHost: x\r\n");
	if (!framed_has(head, "Authorization") && !framed_has(head, "Cookie"))
		buf_printf(out, "Authorization: Bearer %s\r\n", token);
	if (!framed_has(head, "Content-Type"))
		buf_put_str(out, "Content-Type: application/json\r\n");
	if (!framed_has(head, "Content-Length") && named.n > 0)
		buf_printf(out, "Content-Length: %zu\r\n", named.n);
	while (head.n > 0) {
		framed_put(out, slice_split(&head, '\n'), names);
		buf_put_str(out, "\r\n");
	}
	buf_put_str(out, "\r\n");
	buf_put_slice(out, buf_slice(&named));
	buf_clear(&named);
}

#endif
