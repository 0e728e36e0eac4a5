/* SPDX-License-Identifier: ISC */
/*
 * The head of an HTTP/1 request (RFC 9110, 9112), line by line. Strict: what
 * two readers could understand in two ways is refused, so that nothing can be
 * smuggled past whoever stands in front of us.
 */
#ifndef PNEU_NET_HTTP_HEAD_H
#define PNEU_NET_HTTP_HEAD_H

#include <stdbool.h>

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/slice.h"

#define HTTP_FIELDS_MAX 100

enum http_method {
	HTTP_GET = 1,
	HTTP_HEAD = 2,
	HTTP_POST = 4,
	HTTP_PUT = 8,
	HTTP_PATCH = 16,
	HTTP_DELETE = 32,
	HTTP_OPTIONS = 64,
	HTTP_OTHER = 128,
};

struct http_field {
	struct slice name, value; /* the value without blanks around it */
};

struct http_head {
	struct arena *a; /* all slices are in it */
	enum http_method method;
	struct slice method_name;
	struct slice path;  /* as sent, without the query; "" for "*" */
	struct slice query; /* without the "?" */
	bool http10;
	bool has_host, has_length, chunked;
	bool close;	      /* the connection is to end after this request */
	bool expect_continue; /* RFC 9110 10.1.1 */
	uint64_t length;      /* octets of the body, with has_length */
	struct http_field fields[HTTP_FIELDS_MAX];
	size_t n_fields;
};

/*
 * The request line, without its ending; what is kept of it goes into `a`. 0,
 * or the status to answer with: 400, 431 (no room), or 505 for another major
 * version than 1. The version 1.0 counts as having a Host.
 */
int http_head_line(struct http_head *h, struct arena *a, struct slice line);
/* One field line, without its ending; not the empty one at the end. 0 or the
 * status to answer with. */
int http_head_field(struct http_head *h, struct slice line);
/* After the empty line. 0 or the status to answer with. */
int http_head_end(const struct http_head *h);

/* A body follows, though it may be empty. */
bool http_head_has_body(const struct http_head *h);
/* The value of the first field of that name, case ignored; .p NULL: none. */
struct slice http_head_get(const struct http_head *h, const char *name);

/*
 * One parameter of the query ("limit" of "a=b&limit=5"), "+" and "%XX" undone,
 * in the arena. .p NULL: there is none; false: it has a NUL or a bad "%".
 */
bool http_head_query(
    const struct http_head *h, const char *name, struct slice *out);
/* "%XX" undone, in the arena; .p NULL when that is bad or holds NUL. `plus`:
 * "+" is a space. */
struct slice http_percent_decode(struct arena *a, struct slice in, bool plus);

#endif
