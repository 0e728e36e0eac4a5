/* SPDX-License-Identifier: ISC */
/*
 * One session of the server engine: what server.c, the command table and the
 * cmd_*.c files share. Not for programs; those see server.h.
 */
#ifndef PNEU_SMTP_SESSION_H
#define PNEU_SMTP_SESSION_H

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/trace.h"
#include "common/smtp/data.h"
#include "common/smtp/server.h"

/* Where the dialogue stands; one bit each, for the command table. */
enum session_state {
	STATE_START = 1 << 0,	    /* no EHLO yet */
	STATE_READY = 1 << 1,	    /* no transaction */
	STATE_MAIL = 1 << 2,	    /* MAIL accepted, no recipient yet */
	STATE_RCPT = 1 << 3,	    /* at least one recipient */
	STATE_BDAT = 1 << 4,	    /* between chunks */
	STATE_BDAT_FAILED = 1 << 5, /* a chunk was refused: RSET is due */
	STATE_CLOSING = 1 << 6,	    /* the last reply is written */
};
#define STATE_ANY (STATE_CLOSING - 1)

struct smtp_session {
	const struct smtp_server *srv; /* &settings */
	struct smtp_server settings;
	struct conn *conn;
	enum session_state state;
	void *data; /* the handler's */
	struct arena arena;
	struct arena command; /* of a program's own verb, until its reply is out */
	struct buf out; /* a reply being written */
	int64_t started_ms;

	char helo[256];
	char xclient_helo[256]; /* in place of what he says; or "" */
	bool may_xclient;       /* the peer, as it connected */
	bool may_xforward;      /* likewise */
	bool normalises;        /* its bare LF, likewise */
	bool is_esmtp; /* EHLO or LHLO */
	const char *account;
	struct buf response;	   /* decoded answer to an AUTH challenge */
	struct smtp_reply auth_error; /* why the exchange ended; code 0: not */
	bool auth_bare_lf;	   /* and that it ends the session */
	int auth_rc;		   /* the same for a broken connection */

	/* The transaction; what it points to is in `tx`. */
	struct arena tx;
	char id[ID_LEN + 1]; /* "" outside */
	struct smtp_mail mail;
	struct smtp_rcpt **rcpts;
	size_t n_rcpts, cap_rcpts;
	unsigned n_domains; /* of them; counted where there is a limit */
	size_t n_refused;
	struct spool *body;
	uint64_t octets; /* of the message, kept or not */
	struct smtp_decoder decoder;
	struct smtp_reply body_error; /* code 0: it can be accepted so far */
	int final_code;
	struct smtp_xforward xforward;
	bool asked; /* the handler knows of the transaction */
	struct slice message_id; /* for the trace; .p NULL: not looked for */
	const char *body_rule;	 /* what decided body_error; NULL: its text */

	/* Of the command that runs, for the trace. */
	struct {
		enum trace_kind kind; /* NONE: its reply is no news */
		int64_t began_us;
		struct slice recipient; /* .p NULL: about none */
		const char *verb; /* or NULL */
		char rule[TRACE_TEXT_MAX + 1]; /* what decided, or "" */
	} at;
	int end_rc; /* the error that ends the session */

	bool mail_refused; /* and nothing has begun since */
	/* Since the last message that was accepted. */
	unsigned n_errors;  /* of the peer, in the protocol */
	unsigned n_rejects; /* refused recipients */
	unsigned n_junk;    /* commands that bring mail no nearer */
	/* In the session. */
	unsigned n_messages, n_recipients, n_mails;
};

/* --- commands --- */

/* Flags of a command. */
enum {
	CMD_SYNC = 1 << 0,    /* nothing may be sent behind it before its reply
				 (RFC 2920 3.1): what is there is no client */
	CMD_NO_ARGS = 1 << 1, /* 501 with any */
	CMD_OPEN = 1 << 2,    /* before AUTH where that is required */
	CMD_JUNK = 1 << 3,    /* counted: mail does not need many of these */
	CMD_ESMTP = 1 << 4,   /* not in LMTP */
	CMD_LMTP = 1 << 5,    /* only there */
};

struct session_command {
	const char *verb;
	unsigned states; /* where it is allowed */
	unsigned flags;
	/* 0, or negative: the connection is of no more use. */
	int (*run)(struct smtp_session *s, struct slice args);
	unsigned ext; /* the extension that brings it, for HELP; 0: none */
};
#define COMMAND_LINE_MAX 2048 /* RFC 5321 4.5.3.1.4, and RFC 3461 5.4: 1036 */
#define AUTH_LINE_MAX 12288   /* RFC 4954 4 */

/* NULL: not known. */
const struct session_command *session_command_find(struct slice verb);

int cmd_mail(struct smtp_session *s, struct slice args);
int cmd_rcpt(struct smtp_session *s, struct slice args);
int cmd_data(struct smtp_session *s, struct slice args);
int cmd_burl(struct smtp_session *s, struct slice args);
int cmd_bdat(struct smtp_session *s, struct slice args);
int cmd_starttls(struct smtp_session *s, struct slice args);
int cmd_auth(struct smtp_session *s, struct slice args);
int cmd_etrn(struct smtp_session *s, struct slice args);
int cmd_vrfy(struct smtp_session *s, struct slice args);
int cmd_xclient(struct smtp_session *s, struct slice args);
int cmd_xforward(struct smtp_session *s, struct slice args);

/* --- replies: 0, or the error of the connection --- */

int session_reply(struct smtp_session *s, const struct smtp_reply *r);
/* A fixed text. */
int session_say(struct smtp_session *s, int code, const char *enhanced,
    const char *text);
/* The same for a fault of the peer, which is counted. */
int session_refuse(struct smtp_session *s, int code, const char *enhanced,
    const char *text);
/* 503 (554) for a command out of order; counted, but for what may have been
 * sent before the refusal of MAIL or RCPT was read (RFC 2920). */
int session_refuse_order(struct smtp_session *s, int code, const char *text);
/*
 * RFC 5321 2.3.8: nothing but CRLF ends a line. What follows a bare LF is part
 * of the wrong line, and may be what somebody made an application put into an
 * address: it is never looked at, and the session ends.
 */
int session_end_bare_lf(struct smtp_session *s);
/* The same as the last one of the session. */
int session_close(struct smtp_session *s, int code, const char *enhanced,
    const char *text);

/* The reply for what a hook could not do: `rc` is its negative errno. */
struct smtp_reply session_trouble(struct smtp_session *s, const char *hook,
    int rc);

/* --- the trace (session_trace.c) --- */

/* Who this is, to the log and the trace: after each change of the id. */
void session_name(struct smtp_session *s);
/* A command begins, and nothing is decided yet. `verb` is one of ours or NULL:
 * what is not known may be a password, said where none was asked for. */
void session_at(struct smtp_session *s, enum trace_kind kind,
    const char *verb);
/* The setting of the program's section that decides the reply to come. */
void session_setting(struct smtp_session *s, const char *name);
/* By session_reply: a record, if the reply deserves one. */
void session_tell(struct smtp_session *s, const struct smtp_reply *r);
/* Looks into the body, once. */
void session_find_message_id(struct smtp_session *s);
/* The transaction ended without its message; the session ended. */
void session_tell_abort(struct smtp_session *s);
void session_tell_end(struct smtp_session *s);

/* --- state --- */

/* Logs the change at debug. */
void session_set_state(struct smtp_session *s, enum session_state state);
bool session_is_lmtp(const struct smtp_session *s);
/* The extensions that this session has now (enum smtp_ext). */
unsigned session_offered(struct smtp_session *s);
/* The name of EHLO, made safe for header fields; false: none, or too long. */
bool session_take_name(struct slice args, char out[static 256]);
/* Forget the transaction (RSET, EHLO, STARTTLS, after the final reply). */
void session_reset(struct smtp_session *s);
/* The reply for a path that session_path did not take. */
struct smtp_reply session_path_error(int rc, const char *enhanced);
/* The path behind "FROM:" or "TO:"; what follows it goes to *params. */
int session_path(struct smtp_session *s, struct slice args, const char *what,
    struct smtp_path *path, struct slice *params);
/* The same into another arena than the transaction's. */
int session_path_in(struct smtp_session *s, struct arena *a, struct slice args,
    const char *what, struct smtp_path *path, struct slice *params);

/* --- the message (cmd_data.c, shared with BDAT) --- */

/* Asks the handler's data hook and makes the spool; else body_error is set. */
void body_begin(struct smtp_session *s);
/* The message is refused; only the first reason counts. */
void body_fail(struct smtp_session *s, struct smtp_reply why);
/* smtp_emit: counts, and keeps what still can be accepted. */
int body_take(void *session, struct slice octets);
/* The timeout holds for the whole message (or chunk), less so the more of it
 * comes: who sends an octet now and then gains nothing. */
struct pace {
	int64_t until_ms;
};
struct pace pace_begin(const struct smtp_session *s);
/* -ETIMEDOUT when it comes too slowly. */
int pace_check(struct pace *p, size_t octets);
/* So much that reading on to the end would only serve an attack. */
bool body_is_absurd(const struct smtp_session *s);
/* All has come: ask the handler, reply, end the transaction. */
int body_finish(struct smtp_session *s);
/* The same of one that came in chunks (BDAT, BURL). */
int body_finish_chunks(struct smtp_session *s);

#endif
