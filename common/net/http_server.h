/* SPDX-License-Identifier: ISC */
/*
 * The server side of HTTP/1.1 (RFC 9110, 9112) on a conn, in its coroutine: one
 * engine for all that speak HTTP here. libevent's evhttp answers by callbacks
 * and has neither a limit of connections nor one for the whole time of a
 * request. Heads are bounded, bodies and replies stream.
 */
#ifndef PNEU_NET_HTTP_SERVER_H
#define PNEU_NET_HTTP_SERVER_H

#include "common/net/conn.h"
#include "common/net/http_head.h"

#define HTTP_LINE_MAX ((size_t)8 << 10)
#define HTTP_HEAD_MAX ((size_t)32 << 10)

struct http_exchange;

struct http_server {
	/* One request. May wait. Must reply, or leave x->rc with an error of
	 * the connection. */
	void (*handle)(struct http_exchange *x);
	/* Replies to a request that could not be read, with this status; NULL:
	 * one line of text. */
	void (*refuse)(struct http_exchange *x, int status);
	const char *fields; /* of every reply: "Name: value\r\n"...; or NULL */
	size_t memory;	    /* octets of the arena of a request; 0: 1 MiB */
	size_t line_max;    /* of a line of the head; 0: HTTP_LINE_MAX */
	int64_t head_ms;    /* for the whole head; 0: 10 s */
	int64_t idle_ms;    /* between requests; 0: 60 s */
	unsigned requests;  /* on one connection; 0: 1000 */
};

struct http_exchange {
	struct conn *c;
	const struct http_server *server;
	void *arg; /* http_serve's */
	struct arena a;
	struct http_head head;
	int rc; /* the connection's fate: 0, or an error of conn */

	/* for the engine: */
	uint64_t body_left; /* of the body, or of its chunk */
	uint64_t body_got;
	bool body_begun, body_done;
	struct buf fields; /* of the reply */
	int status;
	bool begun, chunked, close;
};

/* Requests until the connection ends; it stays the caller's. */
void http_serve(struct conn *c, const struct http_server *s, void *arg);

/* --- the body of the request --- */

/*
 * The next octets of it, valid until the next read; empty at its end. 0,
 * -EMSGSIZE (more than `max` in all: reply 413), -EBADMSG (400), or an error of
 * conn.
 */
int http_body_read(struct http_exchange *x, uint64_t max, struct slice *piece);
/* All of it, into `out`. */
int http_body_all(struct http_exchange *x, size_t max, struct buf *out);

/* --- the reply --- */

/* Before it begins. CR and LF of a value become blanks. */
void http_reply_field(
    struct http_exchange *x, const char *name, struct slice value);
/* A whole reply; `type` NULL: no body. All return 0 or an error of conn, which
 * is in x->rc too. */
int http_reply(
    struct http_exchange *x, int status, const char *type, struct slice body);
/* In pieces: `length` octets, or -1 where it is not known (chunked, or up to
 * the end of the connection). What is not written of `length` ends the
 * connection. To HEAD the pieces are not sent. */
int http_reply_begin(
    struct http_exchange *x, int status, const char *type, int64_t length);
int http_reply_write(struct http_exchange *x, struct slice piece);
/* It will not be whole: the peer must see that. */
void http_reply_abort(struct http_exchange *x);

const char *http_reason(int status);

#endif
