/* SPDX-License-Identifier: ISC */
/* Commands about the maildrop as a list: STAT, LIST, UIDL, DELE, RSET, QUIT. */
#include <errno.h>

#include "common/base/log.h"
#include "mailbox/pop3/pop3_session.h"

int
pop3_message(struct pop3_session *s, struct slice arg, uint32_t *seq)
{
	uint64_t n;

	*seq = 0;
	if (slice_u64(arg, UINT32_MAX, &n) != 0)
		return pop3_bad(s, "Message number expected");
	if (n == 0 || n > mails_view_count(s->view))
		return pop3_err(s, "No such message");
	if (s->deleted[n])
		return pop3_err(s, "Message is deleted");
	*seq = (uint32_t)n;
	return 0;
}

static uint32_t
messages(const struct pop3_session *s)
{
	return mails_view_count(s->view) - s->n_deleted;
}

/* "n octets" */
static void
put_pair(struct buf *b, uint64_t n, uint64_t octets)
{
	buf_put_u64(b, n);
	buf_put_char(b, ' ');
	buf_put_u64(b, octets);
}

int
pop3_noop(struct pop3_session *s, struct slice args)
{
	(void)args;
	return pop3_ok(s, "Nothing done");
}

int
pop3_stat(struct pop3_session *s, struct slice args)
{
	(void)args;
	buf_put_str(&s->out, "+OK ");
	put_pair(&s->out, messages(s), s->octets);
	buf_put_str(&s->out, "\r\n");
	return pop3_drain(s);
}

/* --- listings --- */

static void
put_scan(struct pop3_session *s, uint32_t seq)
{
	put_pair(&s->out, seq, s->sizes[seq]);
}

/* "n uidvalidity.uid": never used again for another message. */
static void
put_unique_id(struct pop3_session *s, uint32_t seq)
{
	put_pair(&s->out, seq, mails_view_uidvalidity(s->view));
	buf_put_char(&s->out, '.');
	buf_put_u64(&s->out, mails_view_uid(s->view, seq));
}

static int
listing(struct pop3_session *s, struct slice args,
    void (*put)(struct pop3_session *, uint32_t))
{
	uint32_t seq;
	int rc;

	if (args.n > 0) {
		if ((rc = pop3_message(s, args, &seq)) != 0 || seq == 0)
			return rc;
		buf_put_str(&s->out, "+OK ");
		put(s, seq);
		buf_put_str(&s->out, "\r\n");
		return pop3_drain(s);
	}
	if ((rc = pop3_ok(s, "Listing follows")) != 0)
		return rc;
	for (seq = 1; seq <= mails_view_count(s->view) && rc == 0; seq++) {
		if (s->deleted[seq])
			continue;
		put(s, seq);
		buf_put_str(&s->out, "\r\n");
		rc = pop3_drain(s);
	}
	buf_put_str(&s->out, ".\r\n");
	return rc != 0 ? rc : pop3_drain(s);
}

int
pop3_list(struct pop3_session *s, struct slice args)
{
	return listing(s, args, put_scan);
}

int
pop3_uidl(struct pop3_session *s, struct slice args)
{
	return listing(s, args, put_unique_id);
}

/* --- deleting --- */

int
pop3_dele(struct pop3_session *s, struct slice args)
{
	uint32_t seq;
	int rc;

	if ((rc = pop3_message(s, args, &seq)) != 0 || seq == 0)
		return rc;
	s->deleted[seq] = true;
	s->n_deleted++;
	s->octets -= s->sizes[seq];
	return pop3_ok(s, "Message will be deleted");
}

int
pop3_rset(struct pop3_session *s, struct slice args)
{
	(void)args;
	for (uint32_t seq = 1; seq <= mails_view_count(s->view); seq++) {
		if (s->deleted[seq])
			s->octets += s->sizes[seq];
		s->deleted[seq] = false;
	}
	s->n_deleted = 0;
	return pop3_ok(s, "Nothing will be deleted");
}

/* The UPDATE state. */
static int
update(struct pop3_session *s)
{
	uint32_t *seqs = arena_array(&s->a, s->n_deleted, sizeof(*seqs));
	size_t n = 0;
	int rc;

	if (s->n_deleted == 0)
		return 0;
	if (seqs == NULL)
		return -ENOMEM;
	for (uint32_t seq = 1; seq <= mails_view_count(s->view); seq++)
		if (s->deleted[seq])
			seqs[n++] = seq;
	if ((rc = mails_expunge(s->view, seqs, n, true)) == 0)
		log_info("deleted", "account=%s messages=%zu",
		    log_qs(s->account), n);
	return rc;
}

int
pop3_quit(struct pop3_session *s, struct slice args)
{
	int rc = 0;

	(void)args;
	if (s->state == POP3_TRANSACTION)
		rc = update(s);
	s->state = POP3_END;
	if (rc == -ECANCELED)
		return rc;
	if (rc != 0)
		return pop3_err_trouble(
		    s, rc, "[SYS/TEMP] Deleted messages are not removed");
	return pop3_ok(s, "Bye");
}
