/* SPDX-License-Identifier: ISC */
/*
 * The wire format of SMTP and LMTP, for both sides: paths, parameters,
 * replies. Pure functions: nothing here touches a socket.
 * RFC 5321 (SMTP), 2033 (LMTP), 3461 (DSN), 6531 (SMTPUTF8), 2034 and 3463
 * (enhanced status codes).
 */
#ifndef PNEU_SMTP_SMTP_H
#define PNEU_SMTP_SMTP_H

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/slice.h"

/* Extensions, offered by a server or found by a client. */
enum smtp_ext {
	SMTP_EXT_PIPELINING = 1 << 0,	 /* RFC 2920 */
	SMTP_EXT_SIZE = 1 << 1,		 /* RFC 1870 */
	SMTP_EXT_8BITMIME = 1 << 2,	 /* RFC 6152 */
	SMTP_EXT_SMTPUTF8 = 1 << 3,	 /* RFC 6531 */
	SMTP_EXT_ENHANCED = 1 << 4,	 /* RFC 2034 */
	SMTP_EXT_STARTTLS = 1 << 5,	 /* RFC 3207 */
	SMTP_EXT_CHUNKING = 1 << 6,	 /* RFC 3030 */
	SMTP_EXT_BINARYMIME = 1 << 7,	 /* RFC 3030 */
	SMTP_EXT_DSN = 1 << 8,		 /* RFC 3461 */
	SMTP_EXT_AUTH = 1 << 9,		 /* RFC 4954 */
	SMTP_EXT_XFORWARD = 1 << 10,	 /* Postfix XFORWARD_README */
	SMTP_EXT_XTRACE = 1 << 11, /* ours: XTRACE=<id> parameter of MAIL */
};

/* A Reverse-path or Forward-path. The slices are in the arena. */
struct smtp_path {
	struct slice local;  /* unquoted; empty for <> and <Postmaster> ... */
	struct slice domain; /* as given; "" for <> and <Postmaster>;
				"[192.0.2.1]" for an address literal */
	struct slice text;   /* the whole as given, without the brackets,
				source route dropped (RFC 5321 4.1.1.3) */
	bool utf8;	     /* holds non-ASCII */
};

enum smtp_path_err {
	SMTP_PATH_OK = 0,
	SMTP_PATH_SYNTAX = -1,	/* 501 5.1.3 / 5.1.7 */
	SMTP_PATH_TOO_LONG = -2, /* RFC 5321 4.5.3.1: 64, 255, 254 + <> */
	SMTP_PATH_NOMEM = -3,
};
/*
 * Parse a path, angle brackets included, at the start of `in`; *used octets
 * were taken. `<>` gives an empty path; `<postmaster>` (any case) a local part
 * without domain. UTF-8 is accepted, and noted in out->utf8.
 */
int smtp_path_parse(struct arena *a, struct slice in, struct smtp_path *out,
    size_t *used);
/* local@domain as it goes on the wire, quoted where needed, no brackets. */
bool smtp_path_write(struct buf *b, struct slice local, struct slice domain);

/* RFC 3461 xtext. decode: 0 or -EINVAL. */
int smtp_xtext_decode(struct slice in, struct buf *out);
bool smtp_xtext_encode(struct slice in, struct buf *out);

enum smtp_body { SMTP_BODY_7BIT, SMTP_BODY_8BITMIME, SMTP_BODY_BINARYMIME };
enum smtp_ret { SMTP_RET_UNSET, SMTP_RET_FULL, SMTP_RET_HDRS };
enum smtp_notify {
	SMTP_NOTIFY_UNSET = 0,
	SMTP_NOTIFY_NEVER = 1,
	SMTP_NOTIFY_SUCCESS = 2,
	SMTP_NOTIFY_FAILURE = 4,
	SMTP_NOTIFY_DELAY = 8,
};

/* What MAIL FROM said. */
struct smtp_mail {
	struct smtp_path from;
	uint64_t size; /* SIZE=; 0: not said */
	enum smtp_body body;
	bool smtputf8;
	enum smtp_ret ret;
	struct slice envid; /* decoded from xtext */
	struct slice auth;  /* AUTH=, decoded; RFC 4954 5 */
	struct slice trace; /* XTRACE=: the message's id so far, or empty */
};

/* What RCPT TO said, and what became of it. */
struct smtp_rcpt {
	struct smtp_path to;
	unsigned notify;    /* enum smtp_notify */
	struct slice orcpt; /* "rfc822;addr", decoded */
	void *data;	    /* the handler's own, arena of the transaction */
};

/* A reply. The text may have several lines, separated by \n. */
struct smtp_reply {
	int code;	     /* 250 */
	char enhanced[12];   /* "2.1.5"; "" for none */
	struct slice text;   /* without code; static or in some arena */
};
#define SMTP_REPLY(c, e, t) \
	((struct smtp_reply) { (c), e, SLICE_LIT(t) })
static inline bool
smtp_reply_is_positive(const struct smtp_reply *r)
{
	return r->code >= 200 && r->code < 400;
}
static inline bool
smtp_reply_is_temporary(const struct smtp_reply *r)
{
	return r->code >= 400 && r->code < 500;
}
/* A reply with a printed text, in the arena. */
struct smtp_reply smtp_reply_f(struct arena *a, int code, const char *enhanced,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* On the wire: "250-2.1.5 text\r\n250 2.1.5 text\r\n"; no CR, LF, NUL of the
 * text gets through but as a line end. */
bool smtp_reply_write(struct buf *b, const struct smtp_reply *r);

#endif
