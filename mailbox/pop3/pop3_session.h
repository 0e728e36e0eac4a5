/* SPDX-License-Identifier: ISC */
/* One POP3 session, for the command handlers. */
#ifndef PNEU_MAILBOX_POP3_SESSION_H
#define PNEU_MAILBOX_POP3_SESSION_H

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/net/conn.h"
#include "mailbox/pop3/pop3.h"

enum pop3_state { /* RFC 1939 3 */
	POP3_AUTHORIZATION = 1,
	POP3_TRANSACTION = 2,
	POP3_END = 4,
};

struct pop3_session {
	const struct pop3_env *env;
	struct conn *c;
	enum pop3_state state;
	char *challenge; /* of APOP, in the greeting; NULL: not offered */
	char *user;    /* of USER, until PASS */
	char *account; /* in POP3_TRANSACTION */
	struct seal_key *key; /* the account's, if the sign-in opened it */
	int64_t began_us; /* of the running command */
	int64_t login_until_ms; /* signed in by then, or gone */
	/*
	 * The maildrop: INBOX as it was at the login. The view is never
	 * synchronised, so numbers stay; what somebody else expunged meanwhile
	 * is there and cannot be read.
	 */
	struct mails_view *view;
	uint64_t *sizes; /* of message 1 .. */
	bool *deleted;
	uint32_t n_deleted;
	uint64_t octets; /* of those that are not deleted */
	unsigned bad, failed_logins;
	struct arena a; /* of the running command */
	struct buf out;
};

/* Replies; `text` is ours, never the peer's. 0, or connection errors. */
int pop3_ok(struct pop3_session *s, const char *text);
int pop3_err(struct pop3_session *s, const char *text);
/* The same with a reference that `pneu why` finds; `rc`, the reason, is for the
 * trace only. */
int pop3_err_trouble(struct pop3_session *s, int rc, const char *text);
/* -ERR for what no client should say: so many in a row end the session. */
int pop3_bad(struct pop3_session *s, const char *text);
/* -ERR with the response code for an error of Mails or Accounts. -ECANCELED is
 * returned instead. */
int pop3_err_errno(struct pop3_session *s, int rc);
/* Move s->out on once it is large; all of it. */
int pop3_drain(struct pop3_session *s);
int pop3_drain_all(struct pop3_session *s);

/* The account has been authenticated: open its maildrop and reply. */
int
pop3_login(struct pop3_session *s, const char *account, const char *mechanism);
bool pop3_is_private(const struct pop3_session *s);

struct pop3_command {
	const char *verb;
	unsigned states; /* enum pop3_state */
	/* `args` is what follows the verb and a space. */
	int (*run)(struct pop3_session *s, struct slice args);
};
const struct pop3_command *pop3_command_find(struct slice verb);

/* pop3_auth.c */
int pop3_apop(struct pop3_session *s, struct slice args);
int pop3_auth(struct pop3_session *s, struct slice args);
int pop3_capa(struct pop3_session *s, struct slice args);
int pop3_pass(struct pop3_session *s, struct slice args);
int pop3_stls(struct pop3_session *s, struct slice args);
int pop3_user(struct pop3_session *s, struct slice args);
/* pop3_maildrop.c */
int pop3_dele(struct pop3_session *s, struct slice args);
int pop3_list(struct pop3_session *s, struct slice args);
int pop3_noop(struct pop3_session *s, struct slice args);
int pop3_quit(struct pop3_session *s, struct slice args);
int pop3_rset(struct pop3_session *s, struct slice args);
int pop3_stat(struct pop3_session *s, struct slice args);
int pop3_uidl(struct pop3_session *s, struct slice args);
/* A message number that is there and not deleted; else *seq is 0 and the reply
 * has been made. */
int pop3_message(struct pop3_session *s, struct slice arg, uint32_t *seq);
/* pop3_retr.c */
int pop3_retr(struct pop3_session *s, struct slice args);
int pop3_top(struct pop3_session *s, struct slice args);

#endif
