/* SPDX-License-Identifier: ISC */
/*
 * The frame of a request that the programs of the HTTP API have in common: which
 * route it is, how often somebody may ask, the body, the value against forged
 * requests, and the line in the log. Problems are rows of each program's table
 * (http_json.h), which has the codes that are named here.
 */
#ifndef PNEU_NET_HTTP_API_H
#define PNEU_NET_HTTP_API_H

#include "common/net/http_json.h"

/* Of every reply (http_server.fields). */
#define HTTP_API_FIELDS                                                        \
	"Cache-Control: no-store\r\n"                                          \
	"X-Content-Type-Options: nosniff\r\n"                                  \
	"Referrer-Policy: no-referrer\r\n"                                     \
	"Cross-Origin-Resource-Policy: same-origin\r\n"

#define HTTP_API_REPLIED 1 /* a problem has been replied */

/*
 * Which row of a table a request is for: offer all of them, in order, then end.
 * A fixed segment stands before a parameter where both could be meant; HEAD is
 * as GET.
 */
struct http_match {
	enum http_method method;
	struct slice path;
	unsigned allow; /* methods that the path knows */
	const void *found;
	struct slice param[HTTP_PARAMS];
};
void http_match_offer(struct http_match *m, enum http_method method,
    const char *pattern, const void *route);
/* The route, or NULL; parameters decoded, in the arena. A bad escape is no
 * path of ours: m->allow is 0 then. */
const void *http_match_end(struct http_match *m, struct arena *a);
/* 405 where the path knows other methods, else 404. */
void http_match_refuse(struct http_exchange *x,
    const struct http_problem *table, const struct http_match *m);

/*
 * How often somebody may ask: a bucket for each that fills by `per_minute` (0: any
 * number) and holds a sixth of that. Of this process; of many askers the ones that
 * asked longest ago are forgotten. 0, or in how many seconds `who` may ask again.
 */
int http_rate_take(struct slice who, int64_t per_minute);
/* The same of the account, or of the peer's network where it is NULL. 0 or
 * HTTP_API_REPLIED. */
int http_api_rate(struct http_exchange *x, const struct http_problem *table,
    const char *account, int64_t per_minute);

/* The body as http_json_body reads it. 0, HTTP_API_REPLIED, or an error of the
 * connection. */
int http_api_body(struct http_exchange *x, const struct http_problem *table,
    size_t max, json_t **in);
/* The problem of an error of http_body_*; the same. */
int http_api_body_problem(
    struct http_exchange *x, const struct http_problem *table, int rc);

/*
 * A page of another site can make the browser send our cookie, but can neither
 * read nor guess this value: is it in X-CSRF-Token? Of a request that changes
 * nothing it is not asked.
 */
bool http_api_csrf(struct http_exchange *x, const char *want);

/* http_server.refuse: the first problem of that status. */
void http_api_refuse(
    struct http_exchange *x, const struct http_problem *table, int status);
/* One line of each request; `operation` and `account` may be NULL. */
void http_api_log(struct http_exchange *x, const char *operation,
    const char *account, int64_t began_us);

#endif
