/* SPDX-License-Identifier: ISC */
/*
 * The lexer of IMAP commands (RFC 3501 9): tokens are taken on demand, and
 * where a token is a literal, its octets and the next line are read then. So a
 * command that is wrong before its literal is refused before the client is
 * asked to send it (RFC 3501 7.5), and the literal of APPEND never stands in
 * memory.
 *
 * Every function returns 0 or one of:
 *   -EBADMSG   not what the syntax wants: reply BAD with p->why
 *   -E2BIG     over a limit of ours: reply BAD with p->why
 *   -ENOMEM    the command's arena is full: reply NO [LIMIT]
 *   another    an error of the connection: end the session
 * Slices given out live in the arena of the command.
 */
#ifndef PNEU_MAILBOX_IMAP_PARSER_H
#define PNEU_MAILBOX_IMAP_PARSER_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/slice.h"

/* Where the octets come from: a connection, or memory in tests. All may wait;
 * 0 or an error of the connection. */
struct imap_input {
	/* A line without its ending, consumed; valid until the next call.
	 * -EMSGSIZE: longer than max. */
	int (*line)(void *arg, size_t max, struct slice *line);
	/* At least one octet; then go past n of them. */
	int (*peek)(void *arg, struct slice *out);
	void (*consume)(void *arg, size_t n);
	/* Tell the client to send the literal ("+ ..."), and make sure that it
	 * goes out. */
	int (*go_ahead)(void *arg);
	void *arg;
};

struct imap_literal {
	uint64_t size;
	bool sync;    /* the client waits to be asked for it */
	bool pending; /* its octets have not been read */
};

struct imap_parser {
	const struct imap_input *in;
	struct arena *a;
	size_t line_max;    /* octets of a line */
	size_t literal_max; /* of a literal that is an argument */
	uint64_t drain_max; /* of one that is read only to be dropped */
	/* The rest is the parser's; `why` is for the reply. */
	struct slice line;
	size_t at;
	struct imap_literal literal; /* that the line ends in */
	size_t shown;                /* of it, by imap_literal_read */
	const char *why;
};

void imap_parser_init(
    struct imap_parser *p, const struct imap_input *in, struct arena *a);
/* Read the first line of a command. -EMSGSIZE too. */
int imap_parser_begin(struct imap_parser *p);
/*
 * The command is done with, well or not: pass over what still belongs to it,
 * that is, non-synchronizing literals and the lines after them (RFC 7888 3).
 * -EFBIG when there is more than drain_max of it: send BYE.
 */
int imap_parser_finish(struct imap_parser *p);

/* Set p->why and return -EBADMSG. `why` must be static. */
int imap_parser_bad(struct imap_parser *p, const char *why);

/* The next octet of the line without going past it; 0 at its end, and where
 * only a literal is left '{'. */
char imap_peek(const struct imap_parser *p);
bool imap_at_end(const struct imap_parser *p);
/* Go past c; false, and nowhere, when it is not there. */
bool imap_accept(struct imap_parser *p, char c);
/* Go past this word (ASCII case ignored) if it stands here and no more atom
 * octets follow it. */
bool imap_accept_word(struct imap_parser *p, const char *word);

int imap_parse_char(struct imap_parser *p, char c);
int imap_parse_sp(struct imap_parser *p);
/* The command must end here. */
int imap_parse_end(struct imap_parser *p);
int imap_parse_tag(struct imap_parser *p, struct slice *out);
int imap_parse_atom(struct imap_parser *p, struct slice *out);
int imap_parse_astring(struct imap_parser *p, struct slice *out);
int imap_parse_string(struct imap_parser *p, struct slice *out);
/* .p is NULL for NIL. */
int imap_parse_nstring(struct imap_parser *p, struct slice *out);
/* A mailbox pattern: as astring, with % and *. */
int imap_parse_list_mailbox(struct imap_parser *p, struct slice *out);
int imap_parse_u32(struct imap_parser *p, uint32_t *out);
int imap_parse_u64(struct imap_parser *p, uint64_t *out); /* 63 bits */
/* The octets of a sequence set, not looked at further. */
int imap_parse_set_token(struct imap_parser *p, struct slice *out);
/* A flag: with its backslash where it has one. */
int imap_parse_flag(struct imap_parser *p, struct slice *out);
/* Letters, digits and dots: names of FETCH items and sections. */
int imap_parse_name(struct imap_parser *p, struct slice *out);

/*
 * Only the announcement of a literal, which must stand here; then either
 * imap_literal_go and imap_literal_read until it is empty, or nothing (finish
 * drops it).
 */
int imap_parse_literal(struct imap_parser *p, struct imap_literal *out);
/* Ask for the octets, where the client waits for that. */
int imap_literal_go(struct imap_parser *p);
/* Show some octets of it (empty at its end; then the line goes on). Valid
 * until the next call. */
int imap_literal_read(struct imap_parser *p, struct slice *out);

#endif
