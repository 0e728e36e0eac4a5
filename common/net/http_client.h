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
/* Connections at once, and to one host and port; else 512 and 8. What is more
 * waits its turn, within its own time. */
void http_client_limit(struct http_client *h, long total, long per_host);
/* When no request runs. */
void http_client_free(struct http_client **h);

struct http_request {
	const char *url;             /* http: or https: */
	const char *form;            /* POST of this form; NULL: GET */
	struct slice body;           /* POST of these octets, if .p is set */
	const char *const *headers;  /* "Name: value", ends with NULL; or NULL */
	const char *user, *password; /* Basic; user NULL: none */
	int64_t timeout_ms;          /* of all of it */
	size_t max;                  /* octets of the answer */
	/* Only addresses that the whole world can have (net_addr_is_global): for
	 * URLs that users give, who shall not reach this machine by us. */
	bool global_only;
	/* The status is what is wanted: where the answer is longer, or does not
	 * end, what came is as good. */
	bool status_only;
	int64_t *retry_after_s; /* where set: of the answer, or 0 */
	struct buf *why;        /* where set: of -EAGAIN and -EACCES, in words */
};
/*
 * 0 with the status and what came with it; -EINVAL no such URL; -E2BIG; -EACCES
 * (global_only); or
 * -EAGAIN: no connection, no TLS that can be trusted, no answer in time (the
 * reason is logged); -ECANCELED.
 */
int http_fetch(struct http_client *h, const struct http_request *r, int *status,
    struct buf *body);

#endif
