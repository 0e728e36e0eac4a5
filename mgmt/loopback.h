/* SPDX-License-Identifier: ISC */
/*
 * A web server for one redirect (RFC 8252 7.3): the browser of who runs the
 * command comes back to a port of 127.0.0.1 with the provider's answer.
 */
#ifndef PNEU_MGMT_LOOPBACK_H
#define PNEU_MGMT_LOOPBACK_H

#include "common/base/buf.h"

struct loopback;

struct loopback_conf {
	uint16_t port; /* 0: any */
	/* The query of a request for "/", in the request's coroutine. 1: not
	 * what is waited for; else it is over, and `why` says how for the page
	 * that the browser shows ("" after 0). */
	int (*redirected)(void *arg, struct slice query, struct buf *why);
	void *arg;
};

/* In a coroutine. 0 or -errno; *port is the one that it is. */
int loopback_open(
    struct loopback **out, const struct loopback_conf *conf, uint16_t *port);
/*
 * Until it is over: what `redirected` returned, -ETIMEDOUT after
 * that time, or -ECANCELED. Where standard input is a terminal, the address that
 * the browser could not open, pasted there, does as well.
 */
int loopback_wait(struct loopback *l, int64_t timeout_ms, struct buf *why);
void loopback_close(struct loopback **l);

#endif
