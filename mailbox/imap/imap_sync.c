/* SPDX-License-Identifier: ISC */
/*
 * What changed in the selected mailbox, told by untagged responses (RFC 3501
 * 5.2, 7.3, 7.4). The callbacks of a sync only note; the telling comes after,
 * because it may wait.
 */
#include <errno.h>
#include <string.h>

#include "common/base/log.h"
#include "mailbox/imap/imap_commands.h"
#include "mailbox/imap/imap_session.h"

struct noted {
	struct buf expunged, flags; /* arrays of uint32_t: sequence numbers */
	bool exists, keywords;
};

static void
note_expunged(void *arg, uint32_t seq, uint32_t uid)
{
	struct noted *n = arg;

	(void)uid;
	buf_put(&n->expunged, &seq, sizeof(seq));
}

static void
note_exists(void *arg, uint32_t count)
{
	struct noted *n = arg;

	(void)count;
	n->exists = true;
}

static void
note_flags(void *arg, uint32_t seq, uint32_t uid)
{
	struct noted *n = arg;

	(void)uid;
	buf_put(&n->flags, &seq, sizeof(seq));
}

static void
note_keywords(void *arg)
{
	struct noted *n = arg;

	n->keywords = true;
}

static uint32_t
noted_at(const struct buf *b, size_t i)
{
	uint32_t seq;

	memcpy(&seq, b->p + i * sizeof(seq), sizeof(seq));
	return seq;
}

static size_t
noted_count(const struct buf *b)
{
	return b->n / sizeof(uint32_t);
}

uint32_t
imap_recent_count(const struct imap_session *s)
{
	uint32_t from = mails_view_recent_from(s->view);
	bool exact;

	if (from == 0)
		return mails_view_count(s->view);
	return mails_view_count(s->view) -
	    mails_view_seq(s->view, from - 1, &exact);
}

static void
put_count(struct buf *b, uint32_t n, const char *what)
{
	buf_put_str(b, "* ");
	buf_put_u64(b, n);
	buf_put_str(b, what);
}

/* --- flags --- */

static void
put_flag(struct buf *b, const char *name)
{
	if (b->n > 0 && b->p[b->n - 1] != '(')
		buf_put_char(b, ' ');
	buf_put_str(b, name);
}

/* All flags that there are, in a list that stays open. */
static unsigned
put_known_flags(struct imap_session *s)
{
	struct buf *b = &s->out;
	unsigned i;

	buf_put_char(b, '(');
	for (i = 0; i < MAILS_FLAGS; i++)
		put_flag(b, mails_flag_names[i].name);
	for (i = 0; i < MAILS_KEYWORDS_MAX; i++) {
		const char *name = mails_view_keyword(s->view, i);

		if (name == NULL)
			break;
		put_flag(b, name);
	}
	return i;
}

void
imap_put_flags_lines(struct imap_session *s)
{
	struct buf *b = &s->out;

	buf_put_str(b, "* FLAGS ");
	put_known_flags(s);
	buf_put_str(b, ")\r\n* OK [PERMANENTFLAGS ");
	if (s->read_only)
		buf_put_char(b, '(');
	else if (put_known_flags(s) < MAILS_KEYWORDS_MAX)
		put_flag(b, "\\*");
	buf_put_str(b, ")] Flags that can be kept\r\n");
}

void
imap_put_flags(struct imap_session *s, uint32_t seq)
{
	struct mails_flags f = mails_view_flags(s->view, seq);
	struct buf *b = &s->out;

	if (!buf_put_str(b, "FLAGS ("))
		return;
	for (unsigned i = 0; i < MAILS_FLAGS && f.system != 0; i++)
		if ((f.system & mails_flag_names[i].flag) != 0)
			put_flag(b, mails_flag_names[i].name);
	for (uint64_t left = f.keywords; left != 0; left &= left - 1) {
		const char *name = mails_view_keyword(
		    s->view, (unsigned)__builtin_ctzll(left));

		if (name != NULL)
			put_flag(b, name);
	}
	if (mails_view_uid(s->view, seq) >= mails_view_recent_from(s->view))
		put_flag(b, "\\Recent");
	buf_put_char(b, ')');
}

void
imap_put_flags_update(struct imap_session *s, uint32_t seq, bool flags)
{
	struct buf *b = &s->out;

	put_count(b, seq, " FETCH (");
	if (s->uid) { /* RFC 3501 6.4.8 */
		buf_put_str(b, "UID ");
		buf_put_u64(b, mails_view_uid(s->view, seq));
		if (flags || s->condstore)
			buf_put_char(b, ' ');
	}
	if (s->condstore) { /* RFC 7162 3.1 */
		buf_put_str(b, "MODSEQ (");
		buf_put_u64(b, mails_view_modseq(s->view, seq));
		buf_put_str(b, flags ? ") " : ")");
	}
	if (flags)
		imap_put_flags(s, seq);
	buf_put_str(b, ")\r\n");
}

/* --- telling --- */

static int
tell(struct imap_session *s, const struct noted *n)
{
	struct buf *b = &s->out;
	int rc = 0;

	if (n->keywords)
		imap_put_flags_lines(s);
	for (size_t i = 0; i < noted_count(&n->expunged) && rc == 0; i++) {
		put_count(b, noted_at(&n->expunged, i), " EXPUNGE\r\n");
		rc = imap_drain(s);
	}
	if (n->exists) {
		put_count(b, mails_view_count(s->view), " EXISTS\r\n");
		put_count(b, imap_recent_count(s), " RECENT\r\n");
	}
	for (size_t i = 0; i < noted_count(&n->flags) && rc == 0; i++) {
		imap_put_flags_update(s, noted_at(&n->flags, i), true);
		rc = imap_drain(s);
	}
	return rc;
}

int
imap_sync(struct imap_session *s, bool expunge)
{
	struct noted n = { .exists = false };
	const struct mails_changes changes = {
		.expunged = note_expunged,
		.exists = note_exists,
		.flags = note_flags,
		.keywords = note_keywords,
		.arg = &n,
	};
	int rc = mails_view_sync(s->view, expunge, &changes);

	if (rc == -ENOENT) {
		/* RFC 2180 3.3 */
		imap_bye(s, "Selected mailbox has been deleted");
		rc = 0;
	} else if (rc != 0 && rc != -ECANCELED) {
		/* They will be told when they can be read. */
		log_error("changes not read", "account=%s error=%s",
		    log_qs(s->account), strerror(-rc));
		rc = 0;
	}
	/* A message whose expunge is not told would shift all numbers. */
	if (rc == 0 && (n.expunged.failed || n.flags.failed))
		rc = -ENOMEM;
	if (rc == 0 && s->state == IMAP_SELECTED)
		rc = tell(s, &n);
	buf_clear(&n.expunged);
	buf_clear(&n.flags);
	return rc;
}
