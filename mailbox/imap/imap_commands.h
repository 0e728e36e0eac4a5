/* SPDX-License-Identifier: ISC */
/* The table of commands, and their handlers. */
#ifndef PNEU_MAILBOX_IMAP_COMMANDS_H
#define PNEU_MAILBOX_IMAP_COMMANDS_H

#include "common/base/slice.h"
#include "mailbox/imap/imap_session.h"

enum imap_command_flag {
	IMAP_UID = 1,       /* may have the UID prefix */
	IMAP_WRITES = 2,    /* not in a mailbox opened by EXAMINE */
	IMAP_SYNC = 4,      /* its reply tells of changes, expunges too */
	IMAP_SYNC_KEEP = 8, /* the same, but no expunges without the UID prefix
			       (RFC 3501 7.4.1) */
	IMAP_SUBMIT = 16,   /* for submission servers too */
};

struct imap_command {
	const char *verb;
	unsigned states; /* enum imap_state */
	unsigned flags;
	int (*run)(struct imap_session *s);
};

/* NULL when there is none. */
const struct imap_command *imap_command_find(struct slice verb);

/* Run it if it is allowed now; as a handler. */
int imap_command_run(struct imap_session *s, const struct imap_command *c);

/* "IMAP4rev1 ...", as fits the state. */
void imap_put_capabilities(struct imap_session *s);

int cmd_append(struct imap_session *s);
int cmd_authenticate(struct imap_session *s);
int cmd_capability(struct imap_session *s);
int cmd_check(struct imap_session *s);
int cmd_close(struct imap_session *s);
int cmd_copy(struct imap_session *s);
int cmd_create(struct imap_session *s);
int cmd_delete(struct imap_session *s);
int cmd_enable(struct imap_session *s);
int cmd_examine(struct imap_session *s);
int cmd_expunge(struct imap_session *s);
int cmd_fetch(struct imap_session *s);
int cmd_genurlauth(struct imap_session *s);
int cmd_id(struct imap_session *s);
int cmd_idle(struct imap_session *s);
int cmd_list(struct imap_session *s);
int cmd_login(struct imap_session *s);
int cmd_logout(struct imap_session *s);
int cmd_lsub(struct imap_session *s);
int cmd_move(struct imap_session *s);
int cmd_namespace(struct imap_session *s);
int cmd_noop(struct imap_session *s);
int cmd_rename(struct imap_session *s);
int cmd_resetkey(struct imap_session *s);
int cmd_search(struct imap_session *s);
int cmd_select(struct imap_session *s);
int cmd_imap_starttls(struct imap_session *s);
int cmd_status(struct imap_session *s);
int cmd_store(struct imap_session *s);
int cmd_subscribe(struct imap_session *s);
int cmd_uid(struct imap_session *s);
int cmd_unselect(struct imap_session *s);
int cmd_unsubscribe(struct imap_session *s);
int cmd_urlfetch(struct imap_session *s);

#endif
