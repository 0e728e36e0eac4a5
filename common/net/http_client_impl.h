/* SPDX-License-Identifier: ISC */
/* What the two kinds of request have in common: http_client.c, http_stream.c. */
#ifndef PNEU_NET_HTTP_CLIENT_IMPL_H
#define PNEU_NET_HTTP_CLIENT_IMPL_H

#include <curl/curl.h>

#include "common/base/co.h"
#include "common/net/http_client.h"

struct http_client {
	struct dns *dns;
	CURLM *multi;
	struct event *timer;
	char *ca; /* NULL: the system's */
};

/* A request under way; CURLINFO_PRIVATE of its handle. */
struct http_transfer {
	CURL *easy;
	const struct http_request *r; /* NULL: a stream */
	struct curl_slist *resolve, *headers;
	struct co_event done;
	bool ended;
	CURLcode result; /* when ended */
	struct buf *body;
	bool global_only;
	bool refused; /* an address that is not global */
	char error[CURL_ERROR_SIZE];
};

/* Ask our resolver, and tell libcurl, by f->resolve. 0, -EINVAL, -EAGAIN,
 * -EACCES (global_only), -ECANCELED, -ENOMEM. */
int http_client_resolve(
    struct http_client *h, struct http_transfer *f, const char *url);
/* Where f->global_only: nothing else is connected to, whatever it was resolved
 * to. False: libcurl has no room. */
bool http_client_guard(struct http_transfer *f);

#endif
