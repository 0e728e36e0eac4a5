/* SPDX-License-Identifier: ISC */
/* SELECT, EXAMINE (RFC 3501 6.3.1), CLOSE, UNSELECT (RFC 3691), EXPUNGE. */
#include <errno.h>

#include "mailbox/imap/imap_commands.h"
#include "mailbox/imap/imap_set.h"

static void
put_ok_code(
    struct imap_session *s, const char *code, uint64_t n, const char *text)
{
	buf_put_str(&s->out, "* OK [");
	buf_put_str(&s->out, code);
	buf_put_u64(&s->out, n);
	buf_put_str(&s->out, text);
}

void
imap_enable_condstore(struct imap_session *s)
{
	if (s->condstore)
		return;
	s->condstore = true;
	if (s->view != NULL) /* RFC 7162 3.1 */
		put_ok_code(s, "HIGHESTMODSEQ ",
		    mails_view_highestmodseq(s->view), "] Highest\r\n");
}

/* "(CONDSTORE)" (RFC 7162 3.1.8); *condstore says so. */
static int
parse_select_params(struct imap_session *s, bool *condstore)
{
	int rc;

	*condstore = false;
	if (!imap_accept(&s->p, ' '))
		return 0;
	if ((rc = imap_parse_char(&s->p, '(')) != 0)
		return rc;
	if (!imap_accept_word(&s->p, "CONDSTORE"))
		return imap_bad(s, "Unknown parameter");
	*condstore = true;
	return imap_parse_char(&s->p, ')');
}

static void
put_mailbox_state(struct imap_session *s)
{
	struct mails_view *v = s->view;
	uint32_t unseen = mails_view_first_unseen(v);

	imap_put_flags_lines(s);
	buf_put_str(&s->out, "* ");
	buf_put_u64(&s->out, mails_view_count(v));
	buf_put_str(&s->out, " EXISTS\r\n* ");
	buf_put_u64(&s->out, imap_recent_count(s));
	buf_put_str(&s->out, " RECENT\r\n");
	if (unseen != 0)
		put_ok_code(s, "UNSEEN ", unseen, "] First unseen\r\n");
	put_ok_code(
	    s, "UIDVALIDITY ", mails_view_uidvalidity(v), "] UIDs valid\r\n");
	put_ok_code(
	    s, "UIDNEXT ", mails_view_uidnext(v), "] Predicted next UID\r\n");
	put_ok_code(
	    s, "HIGHESTMODSEQ ", mails_view_highestmodseq(v), "] Highest\r\n");
	buf_put_str(&s->out, "* OK [URLMECH INTERNAL] Mechanisms\r\n");
}

static int
select_mailbox(struct imap_session *s, bool read_only)
{
	struct mails_view *v;
	struct slice name;
	bool condstore;
	int rc;

	if ((rc = imap_parse_sp(&s->p)) != 0 ||
	    (rc = imap_parse_mailbox(s, &name)) != 0 ||
	    (rc = parse_select_params(s, &condstore)) != 0 ||
	    (rc = imap_parse_end(&s->p)) != 0)
		return rc;
	if (s->view != NULL) {
		/* RFC 7162 3.2.11: what follows is of the next mailbox. */
		imap_deselect(s);
		buf_put_str(
		    &s->out, "* OK [CLOSED] Previous one is closed\r\n");
	}
	rc = (read_only ? mails_view_examine : mails_view_open)(
	    s->env->mails, s->account, name, &v);
	if (rc != 0)
		return imap_no_errno(s, rc);
	mails_view_unlock(v, s->key);
	s->view = v;
	s->read_only = read_only |= mails_view_is_read_only(v);
	s->condstore |= condstore;
	imap_set_state(s, IMAP_SELECTED);
	put_mailbox_state(s);
	return imap_ok(s, read_only ? "READ-ONLY" : "READ-WRITE",
	    s->command->run == cmd_examine ? "EXAMINE completed"
					   : "SELECT completed");
}

int
cmd_select(struct imap_session *s)
{
	return select_mailbox(s, false);
}

int
cmd_examine(struct imap_session *s)
{
	return select_mailbox(s, true);
}

int
cmd_unselect(struct imap_session *s)
{
	int rc = imap_parse_end(&s->p);

	if (rc != 0)
		return rc;
	imap_deselect(s);
	return imap_ok(s, NULL, "UNSELECT completed");
}

int
cmd_close(struct imap_session *s)
{
	int rc = imap_parse_end(&s->p);

	if (rc != 0)
		return rc;
	if (!s->read_only)
		rc = mails_expunge(s->view, NULL, 0, false);
	if (rc != 0)
		return imap_no_errno(s, rc);
	imap_deselect(s);
	return imap_ok(s, NULL, "CLOSE completed");
}

/* EXPUNGE, and UID EXPUNGE of a set (RFC 4315 2.1). The expunges are told by
 * the sync before the reply. */
int
cmd_expunge(struct imap_session *s)
{
	struct imap_set set;
	uint32_t *seqs = NULL;
	size_t n = 0;
	bool gone;
	int rc;

	if (s->uid &&
	    ((rc = imap_parse_sp(&s->p)) != 0 ||
		(rc = imap_parse_seqs(s, &set)) != 0))
		return rc;
	if ((rc = imap_parse_end(&s->p)) != 0)
		return rc;
	if (s->uid && (rc = imap_seqs_list(s, &set, &seqs, &n, &gone)) != 0)
		return rc;
	if (!s->uid || n > 0)
		rc = mails_expunge(s->view, seqs, n, false);
	return rc == 0 ? imap_ok(s, NULL, "EXPUNGE completed")
		       : imap_no_errno(s, rc);
}
