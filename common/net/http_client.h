/* SPDX-License-Identifier: ISC */
/*
 * HTTP and HTTPS requests by libcurl, in the loop; each waits. Names are asked
 * of our own resolver, never of libcurl's, which would start threads. TLS is
 * verified; no redirects, no proxy, no cookies.
 */
#ifndef PNEU_NET_HTTP_CLIENT_H
#define PNEU_NET_HTTP_CLIENT_H

#include "common/net/dns.h"

struct http_client;

/* After fork; `conf` for dns and tls.ca. 0, or -errno with the reason. */
int http_client_new(
    struct http_client **out, const struct conf *conf, struct buf *err);
/* Connections at once, and to one host; else 8. */
void http_client_limit(struct http_client *h, long total, long per_host);
/* When no request runs. */
void http_client_free(struct http_client **h);

struct http_request {
	const char *url;             /* http: or https: */
	const char *form;            /* POST of this form; NULL: GET */
	const char *user, *password; /* Basic; user NULL: none */
	int64_t timeout_ms;          /* of all of it */
	size_t max;                  /* octets of the answer */
};
/*
 * 0 with the status and what came with it; -EINVAL no such URL; -E2BIG; or
 * -EAGAIN: no connection, no TLS that can be trusted, no answer in time (the
 * reason is logged); -ECANCELED.
 */
int http_fetch(struct http_client *h, const struct http_request *r, int *status,
    struct buf *body);

#endif
