/* SPDX-License-Identifier: ISC */
/*
 * A request whose body, or answer, is large: neither is ever in memory as a
 * whole. Who takes the answer may wait; meanwhile nothing more is read from the
 * server than some 128 KiB.
 */
#ifndef PNEU_NET_HTTP_STREAM_H
#define PNEU_NET_HTTP_STREAM_H

#include "common/net/http_client.h"

struct http_stream_answer {
	int status;            /* 0: none came */
	int64_t retry_after_s; /* 0: not said */
};

struct http_stream_request {
	const char *method; /* "GET" or "POST" */
	const char *url;
	const char *bearer;       /* RFC 6750; NULL: none */
	const char *content_type; /* of what is sent; NULL: nothing is */
	uint64_t size;            /* of that */
	/* The next octets of it, at most n, at least one; must not wait. Negative
	 * ends it all. */
	ssize_t (*read)(void *arg, char *p, size_t n);
	/* A part of the answer, with `status` known; may wait. Anything but 0
	 * ends it all, and is returned. */
	int (*octets)(void *arg, int status, struct slice octets);
	void *arg;
	int64_t silence_ms; /* so long without an octet ends it */
	bool global_only;   /* as of http_request; else -EHOSTUNREACH */
};

/*
 * 0: all of an answer came, whatever its status; -EINVAL no such URL;
 * -EHOSTUNREACH: no connection, or no TLS that can be trusted; -ECONNRESET: it
 * broke off, or silence; with the reason in `why`. What octets or read returned.
 * -ECANCELED, -ENOMEM. A request is made once: nothing is sent twice unasked.
 */
int http_stream(struct http_client *h, const struct http_stream_request *r,
    struct http_stream_answer *out, struct buf *why);

#endif
