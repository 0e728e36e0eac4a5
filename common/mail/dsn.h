/* SPDX-License-Identifier: ISC */
/*
 * Delivery status notifications (RFC 3464 in multipart/report, RFC 6522; for
 * UTF-8 addresses RFC 6533): words for a person, fields for a program, and the
 * original message or its header.
 */
#ifndef PNEU_MAIL_DSN_H
#define PNEU_MAIL_DSN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/slice.h"

enum dsn_action { /* RFC 3464 2.3.3 */
	DSN_FAILED,
	DSN_DELAYED,
	DSN_DELIVERED,
	DSN_RELAYED,
	DSN_EXPANDED,
};

/* Empty slices and times of 0 mean: not known, left out. */
struct dsn_recipient {
	struct slice final;    /* address, no angle brackets */
	struct slice original; /* ORCPT decoded: "rfc822;bob@x", or "" */
	enum dsn_action action;
	struct slice status;     /* "5.1.1"; empty: 5.0.0, 4.0.0 or 2.0.0 */
	struct slice diagnostic; /* the SMTP reply: "550 5.1.1 unknown", may
				    have several lines */
	struct slice remote_mta; /* host name of who said so */
	int64_t last_attempt;    /* seconds since 1970 */
	int64_t will_retry_until;
};

/*
 * More of the original: sets *chunk, empty at its end. May wait. 0 or a
 * negative errno, which dsn_write hands on.
 */
typedef int dsn_read_fn(void *arg, struct slice *chunk);
/* Takes octets of the notification. May wait. */
typedef int dsn_put_fn(void *arg, struct slice octets);

struct dsn {
	struct slice reporting_mta; /* host name of this system */
	struct slice postmaster;    /* to ask; empty: postmaster@host */
	int64_t now, arrival;       /* seconds since 1970 */
	int64_t deliver_by;         /* RFC 2852 5 */
	struct slice envelope_id;   /* ENVID decoded (RFC 3461 4.4) */
	struct slice hold;          /* Future-Release-Request (RFC 4865 5.1) */
	struct slice sender;        /* original reverse-path: To */
	const struct dsn_recipient *recipients;
	size_t n_recipients;
	bool utf8;      /* SMTPUTF8: sender takes UTF-8 (RFC 6533) */
	bool eight_bit; /* the original may have octets of 128 and more; where
			   not said, those become "?" */
	bool whole;     /* RET=FULL: return all of it, else its header */
	/* The original: in memory, or read when `read` is set. Only its header
	 * is taken unless `whole`. */
	struct slice original;
	dsn_read_fn *read;
	void *read_arg;
};

/*
 * Write the notification: CRLF lines of at most 998 octets, no bare CR or LF,
 * 7-bit unless utf8 or eight_bit. To be sent with the reverse-path "<>"
 * (RFC 3464 2); a sender of "" is the caller's error (no bounce of a bounce).
 * Returns 0, what `put` or `read` returned, -EINVAL (no sender, no recipient)
 * or -ENOMEM.
 */
int dsn_write(const struct dsn *d, dsn_put_fn *put, void *arg);
/* A dsn_put_fn for a struct buf; -ENOSPC when it is full. */
int dsn_put_buf(void *buf, struct slice octets);

#endif
