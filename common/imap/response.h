/* SPDX-License-Identifier: ISC */
/*
 * What an IMAP server says (RFC 3501 7, 9): put together from octets in any
 * pieces, then taken apart. A large literal is never in memory: it goes to
 * whoever wants it as it comes. Lenient where servers are known to be odd,
 * bounded everywhere.
 */
#ifndef PNEU_IMAP_RESPONSE_H
#define PNEU_IMAP_RESPONSE_H

#include "common/base/arena.h"
#include "common/base/buf.h"

#define IMAP_RESPONSE_MAX ((size_t)256 << 10) /* without streamed literals */
#define IMAP_KEYWORDS_MAX 64

/* --- putting together --- */

/*
 * Literals. `begin` sees the response so far and the size: 1: octets are to be
 * given; 0: it is part of the response (if it fits). Negative: end with that.
 */
struct imap_sink {
	int (*begin)(void *arg, struct slice so_far, uint64_t size);
	int (*octets)(void *arg, struct slice octets);
	void *arg;
};

struct imap_assembler {
	struct buf text; /* of the response; a streamed literal is {0} in it */
	uint64_t left;   /* of the literal */
	size_t line_at;  /* in text: behind the last literal */
	bool in_literal, streaming;
};

/* Zero-initialise. */
void imap_assembler_clear(struct imap_assembler *a);
/*
 * Take octets: *used of them. 1: a response is complete in a->text, without
 * its CRLF; reset before going on. 0: more is needed. -EMSGSIZE: over
 * IMAP_RESPONSE_MAX; or what `sink` (may be NULL) returned.
 */
int imap_assembler_feed(struct imap_assembler *a, struct slice in,
    const struct imap_sink *sink, size_t *used);
void imap_assembler_reset(struct imap_assembler *a);

/* --- taking apart --- */

enum imap_kind {
	IMAP_OTHER, /* nothing that we know, or not well-formed */
	IMAP_CONTINUE,
	IMAP_OK,
	IMAP_NO,
	IMAP_BAD,
	IMAP_BYE,
	IMAP_PREAUTH,
	IMAP_CAPABILITY,
	IMAP_NAMESPACE,
	IMAP_LIST, /* LSUB too */
	IMAP_LSUB,
	IMAP_STATUS,
	IMAP_EXISTS,
	IMAP_EXPUNGE,
	IMAP_FETCH,
	IMAP_SEARCH, /* text: the numbers */
	IMAP_VANISHED, /* RFC 7162 3.2.10 */
};

/* Names of flags, with the '\' of system flags. */
struct imap_flags {
	size_t n;
	struct slice v[IMAP_KEYWORDS_MAX];
};

struct imap_response {
	enum imap_kind kind;
	struct slice tag;  /* empty: untagged, or a continuation */
	struct slice code; /* between the brackets: "UIDVALIDITY 7" */
	/* Human text; of CAPABILITY and SEARCH the words; of a continuation its text. */
	struct slice text;
	uint32_t number; /* EXISTS, EXPUNGE, FETCH */
	/* LIST, LSUB, STATUS, NAMESPACE (the first personal one): */
	struct slice name;       /* as on the wire, quoting undone */
	char separator;          /* '\0': there is none */
	struct imap_flags flags; /* of LIST: attributes; of FETCH */
	/* FETCH: */
	bool has_flags, has_date, has_body, body_streamed;
	uint32_t uid; /* 0: not said */
	int64_t internaldate;
	uint64_t size, modseq;
	uint64_t gm_msgid;     /* X-GM-MSGID; 0: not said */
	struct slice body;     /* where it came inside */
	struct slice envelope; /* as it came, not taken apart */
	/* STATUS: */
	uint32_t messages, uidnext, uidvalidity;
	/* modseq is HIGHESTMODSEQ */
	struct slice mailboxid; /* RFC 8474 4.3 */
	/* VANISHED: */
	struct slice set; /* for imap_set_next */
	bool earlier;
};

/* Names that needed unquoting are in the arena, all else in `text`. Never
 * fails: what makes no sense is IMAP_OTHER. -ENOMEM. */
int imap_response_parse(
    struct arena *a, struct slice text, struct imap_response *out);

/* "UIDVALIDITY 7" of a code, for "UIDVALIDITY": 0, or -ENOENT. */
int imap_code_number(struct slice code, const char *name, uint64_t *out);

/*
 * "COPYUID 38505 304,319:320 3956:3958" (RFC 4315 3): where messages that were
 * copied or moved are now, pair by pair, at most `max`. How many; 0: it is not
 * that, or makes no sense.
 */
size_t imap_code_copyuid(struct slice code, uint32_t *uidvalidity,
    uint32_t *from, uint32_t *to, size_t max);

/* An argument: quoted. False: out has failed, or it has CR, LF or NUL. */
bool imap_put_quoted(struct buf *out, struct slice text);

#endif
