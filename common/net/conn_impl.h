/* SPDX-License-Identifier: ISC */
/* What conn.c (buffers, waiting) and conn_tls.c (handshake, records) share;
 * nobody else includes it. */
#ifndef PNEU_NET_CONN_IMPL_H
#define PNEU_NET_CONN_IMPL_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <openssl/ssl.h>

#include "common/base/clock.h"
#include "common/net/conn.h"

struct conn {
	int rfd, wfd;	    /* the same for a socket */
	struct event event; /* of rfd; edge-triggered, so added but once */
	struct event wevent; /* of wfd, while a write waits */
	bool armed;	     /* `event` is added */
	bool end_seen;	     /* the loop has: a read will meet the end */
	bool idle;
	bool tls_broken; /* no close_notify after a fatal error */
	const char *tls_failure; /* why the handshake failed; static */
	short ready;	 /* EV_READ, EV_WRITE: a try may succeed */
	short want;	 /* what the last try lacked */
	struct co *waiter;
	char id[ID_LEN + 1];
	SSL *ssl;

	char *in; /* unread octets are in[in_at .. in_at + in_n) */
	size_t in_at, in_n, in_cap;
	size_t in_want; /* capacity to have at the next read */
	struct buf out; /* not sent yet */
	size_t moved;	/* octets since the last wait */

	int read_error, write_error; /* sticky */
	int64_t timeout_ms, deadline;
	struct net_addr peer, local;
};

/* A point in time that is set when first needed, from the conn's limits. */
#define CONN_UNTIL_UNSET INT64_MIN

/* Wait for `want`; *until as above. 0, -ETIMEDOUT, -ECANCELED, -ENOMEM. */
int conn_wait(struct conn *c, int64_t *until);

/*
 * One try: octets moved, 0 at the end of input, -EAGAIN (with `want` set),
 * or another -errno, which is final.
 */
ssize_t conn_tls_read(struct conn *c, void *p, size_t n);
ssize_t conn_tls_write(struct conn *c, const void *p, size_t n);
/* Tell the peer that no more comes, if that needs no wait; then forget. */
void conn_tls_close_notify(struct conn *c);

#endif
