/* SPDX-License-Identifier: ISC */
/* THE table: which command is allowed when, and what it does to the client's
 * knowledge of the mailbox. */
#include "mailbox/imap/imap_commands.h"

#include "common/base/clock.h"

#define ANY (IMAP_NOT_AUTHENTICATED | IMAP_AUTHENTICATED | IMAP_SELECTED)
#define NOT_AUTH IMAP_NOT_AUTHENTICATED
#define AUTH (IMAP_AUTHENTICATED | IMAP_SELECTED)
#define SELECTED IMAP_SELECTED
#define UID IMAP_UID
#define SYNC IMAP_SYNC
#define KEEP IMAP_SYNC_KEEP
#define WRITES IMAP_WRITES

static const struct imap_command commands[] = {
	/* verb, allowed in, flags, handler */
	{ "UID", SELECTED, 0, cmd_uid },
	{ "FETCH", SELECTED, UID | KEEP, cmd_fetch },
	{ "STORE", SELECTED, UID | KEEP | WRITES, cmd_store },
	{ "SEARCH", SELECTED, UID | KEEP, cmd_search },
	{ "NOOP", ANY, SYNC | IMAP_SUBMIT, cmd_noop },
	{ "IDLE", AUTH, SYNC, cmd_idle }, /* RFC 2177 */
	{ "SELECT", AUTH, 0, cmd_select },
	{ "EXAMINE", AUTH, 0, cmd_examine },
	{ "CLOSE", SELECTED, 0, cmd_close },
	{ "UNSELECT", SELECTED, 0, cmd_unselect }, /* RFC 3691 */
	{ "CHECK", SELECTED, SYNC, cmd_check },
	{ "EXPUNGE", SELECTED, UID | SYNC | WRITES, cmd_expunge },
	{ "COPY", SELECTED, UID | SYNC, cmd_copy },
	{ "MOVE", SELECTED, UID | SYNC | WRITES, cmd_move }, /* RFC 6851 */
	{ "APPEND", AUTH, SYNC, cmd_append },
	{ "STATUS", AUTH, SYNC, cmd_status },
	{ "LIST", AUTH, SYNC, cmd_list },
	{ "LSUB", AUTH, SYNC, cmd_lsub },
	{ "CREATE", AUTH, SYNC, cmd_create },
	{ "DELETE", AUTH, SYNC, cmd_delete },
	{ "RENAME", AUTH, SYNC, cmd_rename },
	{ "SUBSCRIBE", AUTH, SYNC, cmd_subscribe },
	{ "UNSUBSCRIBE", AUTH, SYNC, cmd_unsubscribe },
	{ "GENURLAUTH", AUTH, SYNC, cmd_genurlauth }, /* RFC 4467 */
	{ "RESETKEY", AUTH, SYNC, cmd_resetkey },
	{ "URLFETCH", AUTH, SYNC | IMAP_SUBMIT, cmd_urlfetch },
	{ "NAMESPACE", AUTH, SYNC, cmd_namespace }, /* RFC 2342 */
	{ "ENABLE", AUTH, SYNC, cmd_enable },       /* RFC 5161 */
	{ "CAPABILITY", ANY, SYNC | IMAP_SUBMIT, cmd_capability },
	{ "ID", ANY, SYNC, cmd_id }, /* RFC 2971 */
	{ "LOGIN", NOT_AUTH, 0, cmd_login },
	{ "AUTHENTICATE", NOT_AUTH, 0, cmd_authenticate },
	{ "STARTTLS", NOT_AUTH, 0, cmd_imap_starttls },
	{ "LOGOUT", ANY, IMAP_SUBMIT, cmd_logout },
};

const struct imap_command *
imap_command_find(struct slice verb)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (slice_eq_str_nocase(verb, commands[i].verb))
			return &commands[i];
	return NULL;
}

int
imap_command_run(struct imap_session *s, const struct imap_command *c)
{
	s->command = c;
	s->began_us = clock_mono_us();
	if ((c->states & s->state) == 0)
		return imap_bad(s,
		    c->states == NOT_AUTH ? "Already authenticated"
			: s->state == IMAP_NOT_AUTHENTICATED
			? "Log in first"
			: "No mailbox is selected");
	if (s->env->submit && (c->flags & IMAP_SUBMIT) == 0)
		return imap_no(s, "NOPERM", "Only URLFETCH is for you");
	if ((c->flags & IMAP_WRITES) != 0 && s->read_only)
		return imap_no(s, "READ-ONLY", "Mailbox is read-only");
	return c->run(s);
}

/* UID FETCH, UID STORE, ...: the same handlers with UIDs for numbers. */
int
cmd_uid(struct imap_session *s)
{
	const struct imap_command *command;
	struct slice verb;
	int rc;

	if ((rc = imap_parse_sp(&s->p)) != 0 ||
	    (rc = imap_parse_atom(&s->p, &verb)) != 0)
		return rc;
	command = imap_command_find(verb);
	if (command == NULL || (command->flags & IMAP_UID) == 0)
		return imap_bad(s, "Unknown UID command");
	s->uid = true;
	return imap_command_run(s, command);
}
