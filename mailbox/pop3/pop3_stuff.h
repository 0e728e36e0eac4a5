/* SPDX-License-Identifier: ISC */
/* Multi-line responses (RFC 1939 3): dot-stuffing, and counting lines. */
#ifndef PNEU_MAILBOX_POP3_STUFF_H
#define PNEU_MAILBOX_POP3_STUFF_H

#include "common/base/buf.h"
#include "common/base/slice.h"

struct pop3_stuffer {
	bool in_line; /* the last octet was not a line end */
	char last;
	/* TOP: lines of the body that are left to send. */
	bool counting;
	uint64_t lines;
};

/*
 * Append octets of the message, stuffed; in pieces of any size. When counting,
 * what is behind the last line that is wanted is left out; returns true once
 * that is reached.
 */
bool pop3_stuff(struct pop3_stuffer *t, struct slice in, struct buf *out);
/* The terminating line, after a line end where the message has none. */
void pop3_stuff_end(struct pop3_stuffer *t, struct buf *out);

#endif
