/* SPDX-License-Identifier: ISC */
/* The head of an HTTP/1 request (RFC 9110). */
#ifndef PNEU_MGMT_HTTP_REQUEST_H
#define PNEU_MGMT_HTTP_REQUEST_H

#include <stdbool.h>

#include "common/base/slice.h"

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_OTHER };

struct http_request {
	enum http_method method;
	struct slice path; /* into the request line, without the query */
	bool has_host;
	bool has_body; /* said to follow */
};

/*
 * The request line, without its ending. 0, or the status to answer with:
 * 400, or 505 for another major version than 1. The version 1.0 counts as
 * having a Host.
 */
int http_request_line(struct http_request *r, struct slice line);
/* One field line, without its ending; not the empty one at the end. 0 or the
 * status to answer with. */
int http_request_field(struct http_request *r, struct slice line);
/* After the empty line. 0 or the status to answer with. */
int http_request_end(const struct http_request *r);

#endif
