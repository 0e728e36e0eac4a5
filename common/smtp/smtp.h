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
	SMTP_EXT_PIPELINING = 1 << 0, /* RFC 2920 */
	SMTP_EXT_SIZE = 1 << 1,       /* RFC 1870 */
	SMTP_EXT_8BITMIME = 1 << 2,   /* RFC 6152 */
	SMTP_EXT_SMTPUTF8 = 1 << 3,   /* RFC 6531 */
	SMTP_EXT_ENHANCED = 1 << 4,   /* RFC 2034 */
	SMTP_EXT_STARTTLS = 1 << 5,   /* RFC 3207 */
	SMTP_EXT_CHUNKING = 1 << 6,   /* RFC 3030 */
	SMTP_EXT_BINARYMIME = 1 << 7, /* RFC 3030 */
	SMTP_EXT_DSN = 1 << 8,        /* RFC 3461 */
	SMTP_EXT_AUTH = 1 << 9,       /* RFC 4954 */
	SMTP_EXT_XFORWARD = 1 << 10,  /* Postfix XFORWARD_README */
	SMTP_EXT_XTRACE = 1 << 11,    /* ours: XTRACE=<id> parameter of MAIL */
	SMTP_EXT_LIMITS = 1 << 12,    /* RFC 9422 */
	SMTP_EXT_PRDR = 1 << 13,      /* draft-hall-prdr */
	SMTP_EXT_XCLIENT = 1 << 14,   /* Postfix XCLIENT_README */
	SMTP_EXT_FUTURERELEASE = 1 << 15, /* RFC 4865 */
	SMTP_EXT_MT_PRIORITY = 1 << 16,   /* RFC 6710 */
	SMTP_EXT_DELIVERBY = 1 << 17,     /* RFC 2852 */
	SMTP_EXT_REQUIRETLS = 1 << 18,    /* RFC 8689 */
	SMTP_EXT_ETRN = 1 << 19,          /* RFC 1985 */
	SMTP_EXT_BURL = 1 << 20,          /* RFC 4468 */
	SMTP_EXT_XOUTSIDE = 1 << 22, /* ours: XOUTSIDE of MAIL, the same page */
	SMTP_EXT_XSOURCE = 1 << 21, /* ours: XSOURCE= of MAIL, docs/gateway.md */
};

/* A Reverse-path or Forward-path. The slices are in the arena. */
struct smtp_path {
	struct slice local;  /* unquoted; empty for <> and <Postmaster> ... */
	struct slice domain; /* as given; "" for <> and <Postmaster>;
				"[192.0.2.1]" for an address literal */
	struct slice text;   /* the whole as given, without the brackets,
				source route dropped (RFC 5321 4.1.1.3);
				quoted where that was forgotten (a..b@c) */
	bool utf8;           /* holds non-ASCII */
};

/* RFC 5321 4.5.3.1, in octets; the local part without its quotes. */
#define SMTP_LOCAL_MAX 64
#define SMTP_DOMAIN_MAX 255
#define SMTP_PATH_MAX 256 /* with the brackets */

enum smtp_path_err {
	SMTP_PATH_OK = 0,
	SMTP_PATH_SYNTAX = -1,   /* 501 5.1.3 / 5.1.7 */
	SMTP_PATH_TOO_LONG = -2, /* RFC 5321 4.5.3.1: 64, 255, 254 + <> */
	SMTP_PATH_NOMEM = -3,
};
/*
 * Parse a path, angle brackets included, at the start of `in`; *used octets
 * were taken. `<>` gives an empty path; `<postmaster>` (any case) a local part
 * without domain. UTF-8 is accepted, and noted in out->utf8. So are dots where
 * an unquoted local part may have none, underscores in domains, and a dot at
 * their end, which is dropped.
 */
int smtp_path_parse(
    struct arena *a, struct slice in, struct smtp_path *out, size_t *used);
/* The same with a local part as long as the path may be (RFC 5321 4.5.3.1:
 * limits are to be avoided): VERP and SRS make such reverse-paths. */
int smtp_long_path_parse(struct arena *a, struct slice in,
    struct smtp_path *out, size_t *used);
/* local@domain as it goes on the wire, quoted where needed, no brackets; of
 * <Postmaster> only the local part. False, and nothing written, for octets
 * that no path can hold (control characters). */
bool smtp_path_write(struct buf *b, struct slice local, struct slice domain);

/* RFC 3461 4 xtext. decode: 0, -EINVAL or -ENOMEM. */
int smtp_xtext_decode(struct slice in, struct buf *out);
bool smtp_xtext_encode(struct slice in, struct buf *out);
/*
 * The value of ORCPT, "type;address": the address is xtext, or for the type
 * utf-8 the encoding of RFC 6533 3. Plain is "type;address" with neither.
 * encode: `utf8` says that the transaction is SMTPUTF8.
 */
int smtp_orcpt_decode(struct slice in, struct buf *out);
bool smtp_orcpt_encode(struct slice plain, bool utf8, struct buf *out);

enum smtp_body { SMTP_BODY_7BIT, SMTP_BODY_8BITMIME, SMTP_BODY_BINARYMIME };
enum smtp_ret { SMTP_RET_UNSET, SMTP_RET_FULL, SMTP_RET_HDRS };
enum smtp_notify {
	SMTP_NOTIFY_UNSET = 0,
	SMTP_NOTIFY_NEVER = 1,
	SMTP_NOTIFY_SUCCESS = 2,
	SMTP_NOTIFY_FAILURE = 4,
	SMTP_NOTIFY_DELAY = 8,
};

/*
 * What MAIL can ask for beyond delivery. It goes with the message from hop to
 * hop, and into the queue's rows. All zero: nothing.
 */
struct smtp_wishes {
	/* FUTURERELEASE: not before release_ms (clock_wall_ms); `hold` is how
	 * that was said, "for;3600" or "until;2026-11-20T22:00:00Z", or "". */
	int64_t release_ms;
	struct slice hold;
	int priority; /* MT-PRIORITY, -9 to 9; more is sooner */
	bool has_priority;
	/* DELIVERBY: delivered by then (clock_wall_ms), or else returned, 'R',
	 * or the sender told, 'N'; 0: not asked for. */
	char by_mode;
	bool by_trace; /* tell the sender of each hop */
	int64_t by_ms;
	bool requiretls; /* no hop without TLS that is verified */
	/* XOUTSIDE, of our msa: the sender's outside account is to send it. */
	bool outside;
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
	struct slice source; /* XSOURCE=: where it stands elsewhere, or empty */
	bool prdr;          /* a reply for each recipient is wanted */
	struct smtp_wishes wishes;
};

/* What RCPT TO said, and what became of it. */
struct smtp_rcpt {
	struct smtp_path to;
	unsigned notify;    /* enum smtp_notify */
	struct slice orcpt; /* "rfc822;addr", decoded */
	void *data;         /* the handler's own, arena of the transaction */
};

struct smtp_reply;
/*
 * What stands after the path of MAIL (RCPT): " SIZE=1 BODY=7BIT", into *out,
 * whose path is left alone. Only parameters of extensions in `offered` (a set
 * of enum smtp_ext) are known. True; or false with the reply to give in
 * *error (501 syntax or twice, 555 unknown, 452 out of memory). Times that are
 * counted from now are, by the clock.
 */
bool smtp_mail_params_parse(struct arena *a, struct slice in, unsigned offered,
    struct smtp_mail *out, struct smtp_reply *error);
bool smtp_rcpt_params_parse(struct arena *a, struct slice in, unsigned offered,
    struct smtp_rcpt *out, struct smtp_reply *error);

/* A reply. The text may have several lines, separated by \n. */
struct smtp_reply {
	int code;          /* 250 */
	char enhanced[12]; /* "2.1.5"; "" for none */
	struct slice text; /* without codes; static or in some arena */
};
#define SMTP_REPLY(c, e, t) ((struct smtp_reply){ (c), e, SLICE_LIT(t) })
/* Positive completion, 2yz (RFC 5321 4.2.1): 354 accepts nothing. */
static inline bool
smtp_reply_is_positive(const struct smtp_reply *r)
{
	return r->code >= 200 && r->code < 300;
}
static inline bool
smtp_reply_is_temporary(const struct smtp_reply *r)
{
	return r->code >= 400 && r->code < 500;
}
/* A reply with a printed text, in the arena. */
struct smtp_reply smtp_reply_f(struct arena *a, int code, const char *enhanced,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* On the wire: "250-2.1.5 text\r\n250 2.1.5 text\r\n". No control character of
 * the text gets through but as a line end. A line over 512 octets (RFC 5321
 * 4.5.3.1.5) goes on in the next, which begins with the space it was cut at:
 * a header field in a reply is folded by that. */
bool smtp_reply_write(struct buf *b, const struct smtp_reply *r);

/*
 * Reads a reply of the other side line by line. Zero-initialise with the
 * arena that the text goes to; free the buffer by smtp_reply_reader_clear.
 */
struct smtp_reply_reader {
	struct arena *arena;
	bool plain; /* no enhanced codes: banner and EHLO (RFC 2034 4) */
	int code;
	unsigned lines;
	char enhanced[12];
	struct buf text;
};
#define SMTP_REPLY_LINE_MAX 4096 /* octets, more than any honest one */
#define SMTP_REPLY_LINES_MAX 1000
#define SMTP_REPLY_TEXT_MAX 65536
/*
 * Feed one line without its ending. 1: the reply is complete, in *out (the
 * reader is ready for the next one); 0: more lines follow; -EPROTO: not a
 * reply, or over a limit; -ENOMEM. Control characters become spaces.
 */
int smtp_reply_read(
    struct smtp_reply_reader *r, struct slice line, struct smtp_reply *out);
void smtp_reply_reader_clear(struct smtp_reply_reader *r);

#endif
