/* SPDX-License-Identifier: ISC */
/*
 * APPEND (RFC 3501 6.3.11, 4315, 7889). All that can be refused is refused
 * before the client is asked for the literal, which then goes straight into
 * Mails in pieces.
 */
#include <errno.h>

#include "common/mail/date.h"
#include "mailbox/imap/imap_commands.h"

struct append_args {
	struct slice mailbox;
	struct imap_flags flags;
	int64_t internaldate;
	struct imap_literal literal;
};

static int
parse_date_time(struct imap_session *s, int64_t *out)
{
	struct slice text;
	struct date d;
	int rc;

	if ((rc = imap_parse_string(&s->p, &text)) != 0)
		return rc;
	if (date_parse_imap(text, &d) != 0)
		return imap_bad(s, "Invalid date-time");
	*out = d.time;
	return imap_parse_sp(&s->p);
}

static int
parse_append_args(struct imap_session *s, struct append_args *a)
{
	int rc;

	*a = (struct append_args){ .internaldate = INT64_MIN };
	if ((rc = imap_parse_sp(&s->p)) != 0 ||
	    (rc = imap_parse_mailbox(s, &a->mailbox)) != 0 ||
	    (rc = imap_parse_sp(&s->p)) != 0)
		return rc;
	if (imap_peek(&s->p) == '(' &&
	    ((rc = imap_parse_flags(s, false, &a->flags)) != 0 ||
		(rc = imap_parse_sp(&s->p)) != 0))
		return rc;
	if (imap_peek(&s->p) == '"' &&
	    (rc = parse_date_time(s, &a->internaldate)) != 0)
		return rc;
	return imap_parse_literal(&s->p, &a->literal);
}

/* --- the octets --- */

/* LF alone becomes CRLF: Mails has CRLF only, and so do the sizes that it
 * tells. */
struct crlf {
	bool after_cr; /* the last octet was a CR */
};

static int
write_crlf(struct crlf *state, struct mails_message *msg, struct slice s)
{
	while (s.n > 0) {
		ssize_t lf = slice_find(s, '\n');
		size_t n = lf < 0 ? s.n : (size_t)lf;
		bool after_cr = n > 0 ? s.p[n - 1] == '\r' : state->after_cr;
		int rc = 0;

		if (n > 0)
			rc = mails_message_write(msg, slice_head(s, n));
		if (rc == 0 && lf >= 0)
			rc = mails_message_write(msg,
			    after_cr ? SLICE_LIT("\n") : SLICE_LIT("\r\n"));
		if (rc != 0)
			return rc;
		state->after_cr = lf < 0 && after_cr;
		s = slice_from(s, lf < 0 ? n : n + 1);
	}
	return 0;
}

/* Read the literal to its end, also when it cannot be stored: *stored is the
 * fate of the message, the return value that of the connection. */
static int
receive(struct imap_session *s, struct mails_message *msg, int *stored)
{
	struct crlf state = { false };
	struct slice part;
	int rc;

	*stored = 0;
	if ((rc = imap_literal_go(&s->p)) != 0)
		return rc;
	for (;;) {
		if ((rc = imap_literal_read(&s->p, &part)) != 0)
			return rc;
		if (part.n == 0)
			return 0;
		if (*stored == 0)
			*stored = write_crlf(&state, msg, part);
	}
}

static int
append_code(
    struct imap_session *s, const struct mails_target *t, const char **code)
{
	*code = arena_printf(&s->a, "APPENDUID %u %u", t->uidvalidity, t->uid);
	return *code == NULL ? -ENOMEM : 0;
}

/* Where the message is to go. Says no while that costs nothing yet. */
static int
prepare_target(struct imap_session *s, const struct append_args *a,
    struct mails_target *t, struct mails_quota *quota)
{
	struct mails_status st;
	int rc;

	*t = (struct mails_target){
		.account = s->account,
		.mailbox = a->mailbox,
		.flags = a->flags.system,
		.keywords = a->flags.keywords,
		.internaldate = a->internaldate,
	};
	rc = mails_status(s->env->mails, s->account, a->mailbox, &st);
	if (rc != 0)
		return rc;
	t->quota = quota;
	return imap_quota(s, quota);
}

static int
reply_append_error(struct imap_session *s, int rc)
{
	if (rc == -ENOENT)
		return imap_no(s, "TRYCREATE", "No such mailbox");
	return imap_no_errno(s, rc);
}

static int
finish_append(
    struct imap_session *s, struct mails_message *msg, struct mails_target *t)
{
	const char *code;
	int rc;

	if ((rc = mails_message_end(msg)) != 0 ||
	    (rc = mails_deliver(msg, t, 1)) != 0)
		return reply_append_error(s, rc);
	if ((rc = append_code(s, t, &code)) != 0)
		return rc;
	return imap_ok(s, code, "APPEND completed");
}

static int
append_message(
    struct imap_session *s, struct mails_message *msg, struct mails_target *t)
{
	int stored, rc;

	if ((rc = receive(s, msg, &stored)) != 0 ||
	    (rc = imap_parse_end(&s->p)) != 0)
		return rc;
	if (stored != 0)
		return imap_no_errno(s, stored);
	return finish_append(s, msg, t);
}

int
cmd_append(struct imap_session *s)
{
	struct mails_message *msg = NULL;
	struct append_args a;
	struct mails_quota quota;
	struct mails_target t;
	int rc;

	/* Even a refused message is read, if it comes unasked. */
	s->p.drain_max = s->env->max_size;
	if ((rc = parse_append_args(s, &a)) != 0)
		return rc;
	if (a.literal.size > s->env->max_size)
		return imap_no(s, "TOOBIG", "Message is too large");
	if (a.literal.size == 0)
		return imap_no(s, "CANNOT", "Message is empty");
	if ((rc = prepare_target(s, &a, &t, &quota)) != 0)
		return reply_append_error(s, rc);
	if ((rc = mails_message_begin(s->env->mails, &msg)) != 0)
		return imap_no_errno(s, rc);
	if ((rc = mails_message_for(msg, t.account)) == 0)
		rc = append_message(s, msg, &t);
	else
		rc = reply_append_error(s, rc);
	mails_message_free(&msg);
	return rc;
}
