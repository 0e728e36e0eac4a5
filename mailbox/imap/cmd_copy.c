/* SPDX-License-Identifier: ISC */
/* COPY (RFC 3501 6.4.7) and MOVE (RFC 6851), with COPYUID (RFC 4315). */
#include <errno.h>

#include "mailbox/imap/imap_commands.h"
#include "mailbox/imap/imap_set.h"

static int
copyuid_code(
    struct imap_session *s, const struct mails_copied *c, const char **code)
{
	struct buf b = BUF_INIT;

	buf_put_str(&b, "COPYUID ");
	buf_put_u64(&b, c->uidvalidity);
	buf_put_char(&b, ' ');
	imap_set_put(&b, c->from, c->n);
	buf_put_char(&b, ' ');
	imap_set_put(&b, c->to, c->n);
	*code = b.failed ? NULL : arena_strdup(&s->a, buf_slice(&b));
	buf_clear(&b);
	return *code == NULL ? -ENOMEM : 0;
}

static int
reply_copy_error(struct imap_session *s, int rc)
{
	if (rc == -ENOENT)
		return imap_no(s, "TRYCREATE", "No such mailbox");
	return imap_no_errno(s, rc);
}

static int
reply_copied(struct imap_session *s, const struct mails_copied *c)
{
	const char *code;
	int rc;

	if ((rc = copyuid_code(s, c, &code)) != 0)
		return rc;
	return imap_ok(s, code, "COPY completed");
}

/* COPYUID goes before the EXPUNGEs (RFC 6851 4.3), which the sync before the
 * reply tells. */
static int
reply_moved(struct imap_session *s, const struct mails_copied *c)
{
	const char *code;
	int rc;

	if ((rc = copyuid_code(s, c, &code)) != 0)
		return rc;
	buf_put_str(&s->out, "* OK [");
	buf_put_str(&s->out, code);
	buf_put_str(&s->out, "] Moved\r\n");
	return imap_ok(s, NULL, "MOVE completed");
}

static int
copy_or_move(struct imap_session *s, bool move)
{
	struct mails_copied copied = { .n = 0 };
	struct imap_set set;
	struct slice target;
	struct mails_quota quota;
	uint32_t *seqs;
	size_t n;
	bool gone;
	int rc;

	if ((rc = imap_parse_sp(&s->p)) != 0 ||
	    (rc = imap_parse_seqs(s, &set)) != 0 ||
	    (rc = imap_parse_sp(&s->p)) != 0 ||
	    (rc = imap_parse_mailbox(s, &target)) != 0 ||
	    (rc = imap_parse_end(&s->p)) != 0 ||
	    (rc = imap_seqs_list(s, &set, &seqs, &n, &gone)) != 0)
		return rc;
	if (gone && !s->uid) /* all or none: RFC 2180 4.4.1 */
		return imap_no(
		    s, "EXPUNGEISSUED", "Some of the messages no longer exist");
	if (n == 0)
		return imap_ok(s, NULL, "No matching messages");
	if (move) {
		rc = mails_move(s->view, seqs, n, target, &s->a, &copied);
	} else if ((rc = imap_quota(s, &quota)) == 0) {
		rc = mails_copy(
		    s->view, seqs, n, target, &quota, &s->a, &copied);
	}
	if (rc != 0)
		return reply_copy_error(s, rc);
	return move ? reply_moved(s, &copied) : reply_copied(s, &copied);
}

int
cmd_copy(struct imap_session *s)
{
	return copy_or_move(s, false);
}

int
cmd_move(struct imap_session *s)
{
	return copy_or_move(s, true);
}
