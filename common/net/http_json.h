/* SPDX-License-Identifier: ISC */
/*
 * What the servers of the HTTP API have in common: paths with parameters, JSON
 * bodies within limits, problems (RFC 9457), and for whom one of our programs
 * passes a request on.
 */
#ifndef PNEU_NET_HTTP_JSON_H
#define PNEU_NET_HTTP_JSON_H

#include <jansson.h>

#include "common/net/http_server.h"

#define HTTP_PARAMS 3 /* in a path */

/* Does the path fit "/a/{b}/c"? Parameters as they stand, not decoded. */
bool http_path_fits(
    const char *pattern, struct slice path, struct slice param[HTTP_PARAMS]);
/* "%XX" undone, in the arena; false: one of them is bad. */
bool http_params_decode(struct arena *a, struct slice param[HTTP_PARAMS]);
/* Replies' Allow, of a set of methods. */
void http_reply_allow(struct http_exchange *x, unsigned methods);

/*
 * The body: a JSON object of at most `max` octets and 20 levels, into *out; {}
 * where there is none. 0; -EMSGSIZE (413), -EBADMSG (400), -EPROTONOSUPPORT (it
 * is of another type: 415), -EINVAL (not such JSON; `why` says more); or an
 * error of the connection.
 */
int http_json_body(
    struct http_exchange *x, size_t max, json_t **out, struct buf *why);
/* The same of octets that are there. */
int http_json_load(struct slice text, json_t **out, struct buf *why);

/* Takes the reference to j; NULL is "out of memory". */
void http_json_reply(
    struct http_exchange *x, int status, const char *type, json_t *j);

/* Codes are for programs and never change; titles are for people. */
struct http_problem {
	const char *code;
	int status;
	const char *title;
};
/* `table` ends with a NULL code, and has this one; `detail` may be NULL. */
void http_problem_reply(struct http_exchange *x,
    const struct http_problem *table, const char *code, json_t *detail);

/*
 * Who passes requests on to us over a Unix socket (pneu http) is one of us and
 * says for whom (RFC 7239): for="192.0.2.1:1";proto=https. From all others the
 * field is anybody's word. The connection's peer is then that one.
 */
void http_take_forwarded(struct http_exchange *x, bool *is_tls);

#endif
