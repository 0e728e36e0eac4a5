/* SPDX-License-Identifier: ISC */
/*
 * The answer of an HTTP/1.1 server (RFC 9112) to a request that asked to close:
 * status and body, by Content-Length, chunked, or to the end of the connection.
 * Fed in any pieces; the same for all of them.
 */
#ifndef PNEU_MAILBOX_IPFS_ANSWER_H
#define PNEU_MAILBOX_IPFS_ANSWER_H

#include "common/base/buf.h"

#define ANSWER_LINE_MAX ((size_t)8192)
#define ANSWER_LINES_MAX 200

struct answer {
	int status;
	struct buf body; /* its max is the caller's */
	/* its own: */
	int state;
	struct buf line;
	unsigned lines;
	bool has_length, chunked;
	uint64_t left; /* of the body, or of the chunk */
};

void answer_init(struct answer *a, size_t body_max);
void answer_clear(struct answer *a);
/*
 * 1: the answer is whole, what follows is none of it; 0: more is to come;
 * -EPROTO: no such answer; -E2BIG: more than body_max.
 */
int answer_feed(struct answer *a, struct slice octets);
/* The connection has ended: 1, or -EPROTO where that is too early. */
int answer_end(struct answer *a);

#endif
