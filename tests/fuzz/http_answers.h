/* SPDX-License-Identifier: ISC */
/*
 * For targets that drive a server of the HTTP API: what the client got, reply
 * by reply, against what the server was asked and what the OpenAPI document
 * says of that. The target's handler notes each request with answers_asked.
 */
#ifndef PNEU_TESTS_FUZZ_HTTP_ANSWERS_H
#define PNEU_TESTS_FUZZ_HTTP_ANSWERS_H

#include <stdio.h>
#include <stdlib.h>

#include "common/net/http_json.h"
#include "tests/fuzz/need.h"

#define ASKED_MAX 64

struct asked {
	const char *operation; /* NULL: no such path, or it could not be read */
	bool head;
};

struct answers {
	struct asked asked[ASKED_MAX];
	size_t n;
	const json_t *document;
	const struct http_problem *problems;
	/* Says what may fail with 503 though all is well here; NULL: nothing. */
	bool (*may_be_down)(const char *operation);
	struct buf got;
};

static inline void
answers_asked(struct answers *w, const char *operation, bool head)
{
	need(w->n < ASKED_MAX);
	w->asked[w->n++] = (struct asked){ operation, head };
}

static inline json_t *
answers_document(struct slice text)
{
	json_t *doc = json_loadb(text.p, text.n, 0, NULL);

	need(doc != NULL);
	return doc;
}

/* The replies that the document has for an operation. */
static inline const json_t *
responses_of(const json_t *doc, const char *operation)
{
	const char *path, *method;
	json_t *item, *op;

	json_object_foreach(json_object_get(doc, "paths"), path, item)
	    json_object_foreach(item, method,
		op) if (strcmp(json_string_value(json_object_get(op,
				   "operationId")),
			    operation) == 0) return json_object_get(op,
		"responses");
	return NULL;
}

/* Is the code one of those that the document says? */
static inline bool
is_said(const json_t *responses, const char *status, const char *code)
{
	json_t *codes = NULL, *one,
	       *content = json_object_get(
		   json_object_get(
		       json_object_get(responses, status), "content"),
		   "application/problem+json");
	size_t i;

	codes = json_object_get(
	    json_object_get(json_object_get(json_object_get(content, "schema"),
				"properties"),
		"code"),
	    "enum");
	json_array_foreach(codes, i,
	    one) if (strcmp(json_string_value(one), code) == 0) return true;
	return false;
}

/* What any operation may have said of it, before it was looked at. */
static inline bool
is_of_all(const char *code)
{
	static const char *const all[] = { "bad-request", "timeout",
		"too-large", "head-too-large", "not-implemented",
		"bad-version" };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (strcmp(all[i], code) == 0)
			return true;
	return false;
}

static inline void
check_problem(
    const struct answers *w, const struct asked *a, int status, const json_t *j)
{
	const char *code = json_string_value(json_object_get(j, "code"));
	const struct http_problem *p = w->problems;
	char text[12];

	need(code != NULL && json_is_string(json_object_get(j, "title")));
	while (p->code != NULL && strcmp(p->code, code) != 0)
		p++;
	need(p->code != NULL && p->status == status &&
	    json_integer_value(json_object_get(j, "status")) == status);
	need(status < 500 || status == 501 || status == 505 ||
	    (status == 503 && a->operation != NULL && w->may_be_down != NULL &&
		w->may_be_down(a->operation)));
	if (a->operation == NULL) {
		need(is_of_all(code) || strcmp(code, "not-found") == 0 ||
		    strcmp(code, "bad-method") == 0);
		return;
	}
	snprintf(text, sizeof(text), "%d", status);
	if (responses_of(w->document, a->operation) != NULL &&
	    !is_of_all(code) && status != 503 &&
	    !is_said(responses_of(w->document, a->operation), text, code)) {
		fprintf(stderr, "not in the document: %s %d %s\n", a->operation,
		    status, code);
		abort();
	}
}

static inline void
check_body(const struct answers *w, const struct asked *a, int status,
    struct slice type, struct slice body)
{
	const json_t *responses = a->operation == NULL
	    ? NULL
	    : responses_of(w->document, a->operation);
	json_t *j = NULL;
	char text[12];

	if (slice_eq_str(type, "application/json") ||
	    slice_eq_str(type, "application/problem+json")) {
		j = json_loadb(body.p, body.n, JSON_DECODE_ANY, NULL);
		need(j != NULL);
	}
	if (status >= 400) {
		need(slice_eq_str(type, "application/problem+json"));
		check_problem(w, a, status, j);
	} else if (responses != NULL) {
		snprintf(text, sizeof(text), "%d", status);
		need(json_object_get(responses, text) != NULL);
	}
	json_decref(j);
}

static inline struct slice
take_line(struct slice *rest)
{
	ssize_t lf = slice_find(*rest, '\n');
	struct slice line;

	need(lf > 0 && rest->p[lf - 1] == '\r');
	line = slice_head(*rest, (size_t)lf - 1);
	need(slice_find(line, '\r') < 0 && slice_find(line, '\0') < 0);
	*rest = slice_from(*rest, (size_t)lf + 1);
	return line;
}

static inline void
take_chunks(struct slice *rest, struct buf *body)
{
	for (;;) {
		struct slice line = take_line(rest);
		size_t n = 0;

		need(line.n > 0 && line.n < 8);
		for (size_t i = 0; i < line.n; i++) {
			char c = line.p[i];

			need(ascii_is_digit(c) || (c >= 'a' && c <= 'f'));
			n = n << 4 |
			    (size_t)(ascii_is_digit(c) ? c - '0'
						       : c - 'a' + 10);
		}
		need(rest->n >= n + 2);
		buf_put(body, rest->p, n);
		*rest = slice_from(*rest, n);
		need(take_line(rest).n == 0);
		if (n == 0)
			return;
	}
}

/* One reply; false: what comes is no HTTP any more. */
static inline bool
take_answer(const struct answers *w, const struct asked *a, struct slice *rest)
{
	struct slice line = take_line(rest), type = SLICE_EMPTY;
	struct buf body = BUF_INIT;
	uint64_t status, length = 0;
	bool chunked = false, sized = false, close = false;

	need(slice_starts(line, "HTTP/1.1 ") && line.n > 13 &&
	    slice_u64(slice(line.p + 9, 3), 599, &status) == 0);
	while ((line = take_line(rest)).n > 0) {
		struct slice value = line, name = slice_split(&value, ':');

		value = slice_trim(value);
		if (slice_eq_str(name, "Content-Type"))
			type = value;
		else if (slice_eq_str(name, "Transfer-Encoding"))
			chunked = true;
		else if (slice_eq_str(name, "Connection"))
			close = slice_eq_str(value, "close");
		else if (slice_eq_str(name, "Content-Length"))
			need((sized =
				  slice_u64(value, UINT32_MAX, &length) == 0));
	}
	need(!(chunked && sized));
	if (status == 100)
		return take_answer(w, a, rest);
	if (status == 101)
		return false;
	if (slice_eq_str(type, "text/event-stream") || a->head ||
	    (!chunked && !sized)) {
		need(a->head || status == 204 || close);
		return !slice_eq_str(type, "text/event-stream") && !close;
	}
	if (chunked) {
		take_chunks(rest, &body);
	} else {
		need(rest->n >= length);
		buf_put(&body, rest->p, (size_t)length);
		*rest = slice_from(*rest, (size_t)length);
	}
	check_body(w, a, (int)status, type, buf_slice(&body));
	buf_clear(&body);
	return true;
}

/* All that the client got. */
static inline void
answers_check(const struct answers *w)
{
	struct slice rest = buf_slice(&w->got);
	size_t i = 0;

	for (; rest.n > 0 && i < w->n; i++)
		if (!take_answer(w, &w->asked[i], &rest))
			return;
	need(rest.n == 0 && i == w->n);
}

#endif
