/* SPDX-License-Identifier: ISC */
/* Mailboxes as a whole: CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE
 * (RFC 3501 6.3, RFC 6154 3). */
#include <errno.h>

#include "mailbox/imap/imap_commands.h"
#include "mailbox/imap/imap_special.h"

/* use-attr; more than one use for a mailbox is not kept. */
static int
parse_use_list(struct imap_session *s, unsigned *special, unsigned *n)
{
	struct slice flag;
	int rc;

	if ((rc = imap_parse_char(&s->p, '(')) != 0)
		return rc;
	for (*n = 0; !imap_accept(&s->p, ')'); ++*n) {
		if ((*n > 0 && (rc = imap_parse_sp(&s->p)) != 0) ||
		    (rc = imap_parse_flag(&s->p, &flag)) != 0)
			return rc;
		*special |= imap_special_of(flag);
	}
	return 0;
}

/* SP "(USE (\Sent))" (RFC 4466 2.2, RFC 6154 6); *ok is false when the use is
 * not to be had. */
static int
parse_create_params(struct imap_session *s, unsigned *special, bool *ok)
{
	unsigned n;
	int rc;

	if (!imap_accept(&s->p, ' '))
		return 0;
	if ((rc = imap_parse_char(&s->p, '(')) != 0)
		return rc;
	if (!imap_accept_word(&s->p, "USE"))
		return imap_bad(s, "Unknown parameter");
	if ((rc = imap_parse_sp(&s->p)) != 0 ||
	    (rc = parse_use_list(s, special, &n)) != 0)
		return rc;
	*ok = n == (unsigned)__builtin_popcount(*special) && n <= 1 &&
	    (*special & (MAILS_ALL | MAILS_FLAGGED)) == 0; /* virtual ones */
	return imap_parse_char(&s->p, ')');
}

int
cmd_create(struct imap_session *s)
{
	unsigned special = 0;
	struct slice name;
	bool use_ok = true;
	uint64_t id;
	int rc;

	if ((rc = imap_parse_sp(&s->p)) != 0 ||
	    (rc = imap_parse_mailbox(s, &name)) != 0 ||
	    (rc = parse_create_params(s, &special, &use_ok)) != 0 ||
	    (rc = imap_parse_end(&s->p)) != 0)
		return rc;
	if (!use_ok)
		return imap_no(s, "USEATTR", "Special use is not supported");
	/* "foo/" declares that there will be names under foo. */
	if (name.n > 1 && name.p[name.n - 1] == MAILS_SEPARATOR)
		name.n--;
	rc = mails_create(s->env->mails, s->account, name, special, &id);
	return rc == 0 ? imap_ok(s, NULL, "CREATE completed")
		       : imap_no_errno(s, rc);
}

int
cmd_delete(struct imap_session *s)
{
	struct slice name;
	int rc;

	if ((rc = imap_parse_sp(&s->p)) != 0 ||
	    (rc = imap_parse_mailbox(s, &name)) != 0 ||
	    (rc = imap_parse_end(&s->p)) != 0)
		return rc;
	rc = mails_delete(s->env->mails, s->account, name);
	return rc == 0 ? imap_ok(s, NULL, "DELETE completed")
		       : imap_no_errno(s, rc);
}

int
cmd_rename(struct imap_session *s)
{
	struct slice from, to;
	int rc;

	if ((rc = imap_parse_sp(&s->p)) != 0 ||
	    (rc = imap_parse_mailbox(s, &from)) != 0 ||
	    (rc = imap_parse_sp(&s->p)) != 0 ||
	    (rc = imap_parse_mailbox(s, &to)) != 0 ||
	    (rc = imap_parse_end(&s->p)) != 0)
		return rc;
	rc = mails_rename(s->env->mails, s->account, from, to);
	return rc == 0 ? imap_ok(s, NULL, "RENAME completed")
		       : imap_no_errno(s, rc);
}

static int
subscribe(struct imap_session *s, bool subscribed, const char *done)
{
	struct slice name;
	int rc;

	if ((rc = imap_parse_sp(&s->p)) != 0 ||
	    (rc = imap_parse_mailbox(s, &name)) != 0 ||
	    (rc = imap_parse_end(&s->p)) != 0)
		return rc;
	rc = mails_subscribe(s->env->mails, s->account, name, subscribed);
	return rc == 0 ? imap_ok(s, NULL, done) : imap_no_errno(s, rc);
}

int
cmd_subscribe(struct imap_session *s)
{
	return subscribe(s, true, "SUBSCRIBE completed");
}

int
cmd_unsubscribe(struct imap_session *s)
{
	return subscribe(s, false, "UNSUBSCRIBE completed");
}
