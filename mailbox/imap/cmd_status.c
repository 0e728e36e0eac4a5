/* SPDX-License-Identifier: ISC */
#include "mailbox/imap/imap_commands.h"
#include "mailbox/imap/imap_status.h"
#include "common/imap/utf7.h"

enum item {
	MESSAGES,
	RECENT,
	UIDNEXT,
	UIDVALIDITY,
	UNSEEN,
	HIGHESTMODSEQ,
	SIZE,
	APPENDLIMIT,
	ITEMS
};

static const char *const names[ITEMS] = { "MESSAGES", "RECENT", "UIDNEXT",
	"UIDVALIDITY", "UNSEEN", "HIGHESTMODSEQ", "SIZE", "APPENDLIMIT" };

static int
parse_item(struct imap_session *s, unsigned *items)
{
	struct slice name;
	int rc;

	if ((rc = imap_parse_atom(&s->p, &name)) != 0)
		return rc;
	for (unsigned i = 0; i < ITEMS; i++)
		if (slice_eq_str_nocase(name, names[i])) {
			*items |= 1U << i;
			return 0;
		}
	return imap_bad(s, "Unknown status item");
}

int
imap_parse_status_items(struct imap_session *s, unsigned *items)
{
	int rc;

	*items = 0;
	if ((rc = imap_parse_char(&s->p, '(')) != 0)
		return rc;
	do {
		if ((rc = parse_item(s, items)) != 0)
			return rc;
	} while (imap_accept(&s->p, ' '));
	if ((*items & 1U << HIGHESTMODSEQ) != 0) /* RFC 7162 3.1 */
		imap_enable_condstore(s);
	return imap_parse_char(&s->p, ')');
}

static uint64_t
value_of(const struct imap_session *s, const struct mails_status *st,
    uint32_t recent, unsigned item)
{
	switch (item) {
	case MESSAGES:
		return st->messages;
	case RECENT:
		return recent;
	case UIDNEXT:
		return st->uidnext;
	case UIDVALIDITY:
		return st->uidvalidity;
	case UNSEEN:
		return st->unseen;
	case HIGHESTMODSEQ:
		return st->highestmodseq;
	case SIZE:
		return st->octets;
	default:
		return s->env->max_size;
	}
}

int
imap_put_status(struct imap_session *s, struct slice name, struct slice utf7,
    unsigned items)
{
	struct mails_status st;
	uint32_t recent = 0;
	const char *before = "";
	int rc;

	rc = mails_status(s->env->mails, s->account, name, &st);
	if (rc == 0 && (items & 1U << RECENT) != 0)
		rc = mails_recent(s->env->mails, s->account, name, &recent);
	if (rc != 0)
		return rc;
	buf_put_str(&s->out, "* STATUS ");
	imap_put_string(&s->out, utf7);
	buf_put_str(&s->out, " (");
	for (unsigned i = 0; i < ITEMS; i++) {
		if ((items & 1U << i) == 0)
			continue;
		buf_put_str(&s->out, before);
		buf_put_str(&s->out, names[i]);
		buf_put_char(&s->out, ' ');
		buf_put_u64(&s->out, value_of(s, &st, recent, i));
		before = " ";
	}
	buf_put_str(&s->out, ")\r\n");
	return 0;
}

int
cmd_status(struct imap_session *s)
{
	struct buf utf7 = BUF_INIT_MAX(8 * MAILS_NAME_MAX);
	struct slice name;
	unsigned items;
	int rc;

	if ((rc = imap_parse_sp(&s->p)) != 0 ||
	    (rc = imap_parse_mailbox(s, &name)) != 0 ||
	    (rc = imap_parse_sp(&s->p)) != 0 ||
	    (rc = imap_parse_status_items(s, &items)) != 0 ||
	    (rc = imap_parse_end(&s->p)) != 0)
		return rc;
	imap_utf7_encode(&utf7, name);
	rc = imap_put_status(s, name, buf_slice(&utf7), items);
	buf_clear(&utf7);
	return rc == 0 ? imap_ok(s, NULL, "STATUS completed")
		       : imap_no_errno(s, rc);
}
