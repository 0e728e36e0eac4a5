/* SPDX-License-Identifier: ISC */
/* What a POP3 server says (RFC 1939, 2449), taken apart. Pure. */
#ifndef PNEU_GATEWAY_POP3_PARSE_H
#define PNEU_GATEWAY_POP3_PARSE_H

#include "common/base/buf.h"

#define POP3_UID_MAX 255 /* RFC 1939 7: 70; some servers give more */

enum pop3_status { POP3_NONE, POP3_OK, POP3_ERR, POP3_MORE };
/* Of the first line of a response, or of a challenge; *text is what follows. */
enum pop3_status pop3_status_parse(struct slice line, struct slice *text);
/* "[IN-USE] ..." (RFC 2449 8): the code without brackets; "" for none. */
struct slice pop3_code(struct slice text);

/* A line of a multi-line response: true when it is the last, ".", else without
 * the dot that was stuffed. */
bool pop3_line_is_last(struct slice *line);

/* A line of UIDL: "number unique-id". 0 or -EINVAL. */
int pop3_uidl_parse(struct slice line, uint32_t *number, struct slice *uid);

/* "<...@...>" of a greeting, for APOP; .n is 0 for none. */
struct slice pop3_timestamp(struct slice greeting);

/*
 * A message as it comes: dots undone, up to the line that is only a dot. Lines
 * may end with LF alone, as all clients have it. Zero-initialise.
 */
struct pop3_body {
	enum { POP3_LINE_START, POP3_DOT, POP3_DOT_CR, POP3_IN_LINE } state;
	bool ended;
};
/*
 * Take octets: *used of them, all unless the end was found (body->ended).
 * What `octets` returns, if it is not 0, ends it.
 */
int pop3_body_feed(struct pop3_body *b, struct slice in,
    int (*octets)(void *arg, struct slice octets), void *arg, size_t *used);

#endif
