/* SPDX-License-Identifier: ISC */
/* What the client's files share. */
#ifndef PNEU_IMAP_CLIENT_IMPL_H
#define PNEU_IMAP_CLIENT_IMPL_H

#include "common/imap/client.h"

struct imap_client {
	struct imap_client_conf conf;
	struct conn *conn;
	struct imap_assembler in;
	struct arena a; /* of one response */
	struct buf capabilities;
	struct buf said, code;
	unsigned commands; /* for tags */
	bool preauth, bye, broken;
	bool not_now; /* the last reply's code says so (RFC 5530 3) */
};

/* The next response; `sink` as of imap_assembler_feed. */
int client_read(struct imap_client *c, const struct imap_sink *sink,
    struct imap_response *r);
/* "A12 COMMAND\r\n" into the connection. */
int client_send(struct imap_client *c, struct slice command);
/* Read up to the reply to the last command. With `more`, a continuation ends
 * it too: IMAP_MORE. */
#define IMAP_MORE 2
int client_wait(struct imap_client *c, const struct imap_handler *h, bool more,
    struct imap_response *r);
/* 0, IMAP_REFUSED, -ENOTSUP, -EACCES (the server is not who it should be). */
int imap_client_sign_in(struct imap_client *c);

#endif
