/* SPDX-License-Identifier: ISC */
/*
 * One IMAP session, for the command handlers. A handler parses its arguments
 * with s->p, acts, writes untagged responses into s->out, and ends with one
 * tagged reply (imap_ok, imap_no, ...), which first tells what has changed in
 * the mailbox. It returns 0, or what the parser or the connection returned:
 * the dispatcher makes BAD of the first and an end of the second.
 */
#ifndef PNEU_MAILBOX_IMAP_SESSION_H
#define PNEU_MAILBOX_IMAP_SESSION_H

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/net/conn.h"
#include "mailbox/imap/imap.h"
#include "mailbox/imap/imap_parser.h"
#include "mailbox/mails/mails.h"

enum imap_state { /* RFC 3501 3 */
	IMAP_NOT_AUTHENTICATED = 1,
	IMAP_AUTHENTICATED = 2,
	IMAP_SELECTED = 4,
	IMAP_LOGOUT = 8,
};

struct imap_command;

struct imap_session {
	const struct imap_env *env;
	struct conn *c;
	enum imap_state state;
	char *account;           /* canonical; set when authenticated */
	struct seal_key *key;    /* the account's, if the sign-in opened it */
	struct mails_view *view; /* set in IMAP_SELECTED only */
	bool read_only;          /* EXAMINE */
	bool condstore;          /* the client knows CONDSTORE */
	unsigned bad;            /* commands in a row that were BAD */
	unsigned failed_logins;

	/* Of the running command. */
	struct imap_parser p;
	struct arena a; /* freed before the next command is waited for */
	struct buf out; /* on its way to the connection */
	struct slice tag;
	const struct imap_command *command;
	int64_t began_us;
	int64_t login_until_ms; /* signed in by then, or gone */
	bool uid;          /* with the UID prefix */
	char idle_tag[64]; /* what `tag` is of while IDLE waits */
};

/* --- replies --- */

/*
 * The tagged reply. `code` is a response code without its brackets, or NULL;
 * `text` is ours, never the peer's. 0 or an error of the connection.
 */
int imap_ok(struct imap_session *s, const char *code, const char *text);
int imap_no(struct imap_session *s, const char *code, const char *text);
/* NO [UNAVAILABLE] with a reference that `pneu why` finds; `rc`, its reason, is
 * for the trace only. */
int imap_no_trouble(struct imap_session *s, int rc, const char *text);
/* BAD for an argument that the syntax allows: as imap_parser_bad. */
int imap_bad(struct imap_session *s, const char *why);
/* NO for an error of Mails or Accounts, logged where an admin must know.
 * -ECANCELED is returned instead: the session ends. */
int imap_no_errno(struct imap_session *s, int rc);
/* "* BYE text", the last line of the session unless LOGOUT's OK follows. */
void imap_bye(struct imap_session *s, const char *text);

/*
 * Move s->out on to the connection once it is large; in long output, between
 * responses. May wait. 0 or an error of the connection.
 */
int imap_drain(struct imap_session *s);
/* Move on all of it. */
int imap_drain_all(struct imap_session *s);

/* --- state --- */

void imap_set_state(struct imap_session *s, enum imap_state state);
/* Authenticated as this account; out of memory is -ENOMEM. */
int imap_authenticated(
    struct imap_session *s, const char *account, const char *mechanism);
/* The client has said that it knows CONDSTORE (RFC 7162 3.1). */
void imap_enable_condstore(struct imap_session *s);
/* Leave the selected mailbox, if there is one. */
void imap_deselect(struct imap_session *s);
/* May passwords go over this connection? */
bool imap_is_private(const struct imap_session *s);

/* --- what changed in the mailbox (imap_sync.c) --- */

/* Tell it by untagged responses, EXPUNGE only where `expunge` says so. */
int imap_sync(struct imap_session *s, bool expunge);
/* "* FLAGS" and "* OK [PERMANENTFLAGS". */
void imap_put_flags_lines(struct imap_session *s);
/* Messages of the view that are \Recent. */
uint32_t imap_recent_count(const struct imap_session *s);
/* "FLAGS (...)" of a message. */
void imap_put_flags(struct imap_session *s, uint32_t seq);
/* "* n FETCH (UID u MODSEQ (m) FLAGS (..))": UID and MODSEQ as they must be
 * here; FLAGS when asked for. */
void imap_put_flags_update(struct imap_session *s, uint32_t seq, bool flags);

/* --- arguments that several commands have (imap_args.c) --- */

/* A mailbox name as UTF-8, in the arena. -EINVAL when it cannot be a name here;
 * a handler may return that: the dispatcher replies NO [CANNOT]. */
int imap_parse_mailbox(struct imap_session *s, struct slice *name);
/* A name in the form for responses. */
void imap_put_mailbox(struct buf *b, const char *name);
/* An IMAP string: quoted where that is possible. */
void imap_put_string(struct buf *b, struct slice text);

/*
 * A sequence set, or UIDs under UID, as ranges of sequence numbers of the view
 * (in order, all of them exist). BAD for numbers over the count (RFC 3501 9
 * seq-number).
 */
struct imap_set;
int imap_parse_seqs(struct imap_session *s, struct imap_set *out);
/* Each number of such a set, without those that are gone (expunged by another
 * session); *gone says whether there were any. -ENOMEM. */
int imap_seqs_list(struct imap_session *s, const struct imap_set *set,
    uint32_t **seqs, size_t *n, bool *gone);

/* "(\Seen word)" or, where `bare` allows, "\Seen word". */
struct imap_flags {
	uint32_t system;       /* enum mails_flag */
	const char **keywords; /* NULL-terminated */
};
int imap_parse_flags(struct imap_session *s, bool bare, struct imap_flags *out);

/* The account's quota, for APPEND and COPY. 0 or an error of Accounts. */
int imap_quota(struct imap_session *s, struct mails_quota *out);

#endif
