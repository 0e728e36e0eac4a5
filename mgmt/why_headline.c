/* SPDX-License-Identifier: ISC */
/* The line above a journey: who to whom, and what became of it, so that the
 * rest need only be read by who wants to know why. */
#include "common/base/clock.h"
#include "mgmt/why.h"

#define RECIPIENTS_SHOWN 3

struct fate {
	size_t stored, sent, refused, put_off, failed, aborted, reported;
	size_t signed_in, not_signed_in, turned_away;
	bool waits, any_front;
};

/* --- what became of it --- */

/* Refusals count where the client heard them. */
static bool
is_front(const struct why_record *r)
{
	return strcmp(r->program, "mta") == 0 || strcmp(r->program, "msa") == 0;
}

static void
count_reply(struct fate *f, const struct why_record *r)
{
	if (r->r.code < 400 || (f->any_front && !is_front(r)))
		return;
	if (r->r.code >= 500)
		f->refused++;
	else
		f->put_off++;
}

static void
count_attempt(struct fate *f, const struct why_record *r)
{
	f->waits = r->r.code >= 400 && r->r.code < 500;
	if (r->r.code >= 500)
		f->failed++;
	/* What mailbox took is told by mailbox. */
	else if (r->r.code < 400 &&
	    !slice_eq_str(r->r.field[TRACE_RULE], "mailbox"))
		f->sent++;
}

static void
count(struct fate *f, const struct why_record *r)
{
	switch (r->r.kind) {
	case TRACE_CONNECT:
		f->turned_away++;
		break;
	case TRACE_AUTH:
		if (r->r.code >= 400)
			f->not_signed_in++;
		else
			f->signed_in++;
		break;
	case TRACE_MAIL:
	case TRACE_RCPT:
	case TRACE_MESSAGE:
		count_reply(f, r);
		break;
	case TRACE_ABORT:
		f->aborted++;
		break;
	case TRACE_STORED:
		f->stored += r->r.code < 400;
		break;
	case TRACE_ATTEMPT:
		count_attempt(f, r);
		break;
	case TRACE_RETRY:
		f->waits = true;
		break;
	case TRACE_EXPIRED:
		f->waits = false;
		f->failed++;
		break;
	case TRACE_REPORT:
		f->reported += r->r.field[TRACE_LINK].n > 0;
		break;
	default:
		break;
	}
}

static void
put_count(struct buf *b, size_t n, const char *word, bool *any)
{
	if (n == 0)
		return;
	buf_printf(b, "%s%s", *any ? ", " : "", word);
	if (n > 1)
		buf_printf(b, " %zu times", n);
	*any = true;
}

static void
put_fate(struct buf *b, const struct fate *f)
{
	bool any = false;

	put_count(b, f->turned_away, "connection turned away", &any);
	put_count(b, f->not_signed_in, "sign-in refused", &any);
	put_count(b, f->stored, "delivered", &any);
	put_count(b, f->sent, "sent", &any);
	put_count(b, f->refused, "refused", &any);
	put_count(b, f->put_off, "put off", &any);
	put_count(b, f->failed, "failed", &any);
	put_count(b, f->reported, "reported to the sender", &any);
	put_count(b, f->aborted, "never completed", &any);
	if (f->waits)
		put_count(b, 1, "waiting for the next attempt", &any);
	if (!any && f->signed_in > 0)
		put_count(b, f->signed_in, "signed in", &any);
}

/* --- who to whom --- */

static bool
came_before(const struct why_record *r, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (r[j].r.kind == TRACE_RCPT &&
		    slice_eq(r[j].r.field[TRACE_RECIPIENT],
			r[i].r.field[TRACE_RECIPIENT]))
			return true;
	return false;
}

/* As the client named them: of the program that it spoke to. */
static void
put_recipients(
    struct buf *b, const struct why_record *r, size_t n, struct slice key)
{
	const char *program = NULL;
	size_t shown = 0, more = 0;

	for (size_t i = 0; i < n; i++) {
		struct slice to = r[i].r.field[TRACE_RECIPIENT];

		if (r[i].r.kind != TRACE_RCPT || to.n == 0 ||
		    !slice_eq(r[i].r.field[TRACE_ID], key))
			continue;
		if (program == NULL || (is_front(&r[i]) && shown == 0))
			program = r[i].program;
		if (shown == RECIPIENTS_SHOWN)
			more++;
		else if (!came_before(r, i)) {
			buf_put_str(b, shown++ == 0 ? " to <" : ", <");
			why_text(to, b);
			buf_put_char(b, '>');
		}
	}
	if (more > 0)
		buf_put_str(b, " and others");
}

static const struct why_record *
first_with(const struct why_record *r, size_t n, enum trace_kind kind,
    enum trace_field field)
{
	for (size_t i = 0; i < n; i++)
		if ((kind == TRACE_NONE || r[i].r.kind == kind) &&
		    r[i].r.field[field].p != NULL)
			return &r[i];
	return NULL;
}

static void
put_who(struct buf *b, const struct why_record *r, size_t n, struct slice key)
{
	const struct why_record *of =
	    first_with(r, n, TRACE_MAIL, TRACE_SENDER);

	if (of == NULL)
		of = first_with(r, n, TRACE_NONE, TRACE_SENDER);
	if (of != NULL) {
		buf_put_str(b, "  from <");
		why_text(of->r.field[TRACE_SENDER], b);
		buf_put_char(b, '>');
	}
	put_recipients(b, r, n, key);
	of = first_with(r, n, TRACE_NONE, TRACE_MESSAGE_ID);
	if (of != NULL) {
		buf_put_str(b, ", Message-ID <");
		why_text(of->r.field[TRACE_MESSAGE_ID], b);
		buf_put_char(b, '>');
	}
}

/* Without any message. */
static void
put_connection(struct buf *b, const struct why_record *r, size_t n)
{
	const struct why_record *peer =
	    first_with(r, n, TRACE_NONE, TRACE_PEER);
	const struct why_record *account =
	    first_with(r, n, TRACE_NONE, TRACE_ACCOUNT);

	buf_put_str(b, "  connection");
	if (peer != NULL) {
		buf_put_str(b, " from ");
		why_text(peer->r.field[TRACE_PEER], b);
	}
	if (account != NULL) {
		buf_put_str(b, ", account ");
		why_text(account->r.field[TRACE_ACCOUNT], b);
	}
}

struct slice
why_journey_key(const struct why_record *r, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (r[i].r.field[TRACE_ID].n > 0)
			return r[i].r.field[TRACE_ID];
	return n > 0 ? r[0].r.field[TRACE_CONN] : SLICE_EMPTY;
}

void
why_headline(const struct why_record *r, size_t n, struct buf *out)
{
	struct slice key = why_journey_key(r, n);
	struct fate f = { 0 };
	size_t at;

	for (size_t i = 0; i < n; i++)
		f.any_front = f.any_front || is_front(&r[i]);
	/* The reports about it have their own. */
	for (size_t i = 0; i < n; i++)
		if (r[i].r.field[TRACE_ID].n == 0 ||
		    slice_eq(r[i].r.field[TRACE_ID], key))
			count(&f, &r[i]);
	why_text(key, out);
	if (key.n == ID_LEN)
		put_who(out, r, n, key);
	else
		put_connection(out, r, n);
	at = out->n;
	buf_put_str(out, ": ");
	put_fate(out, &f);
	if (out->n == at + 2)
		buf_truncate(out, at);
}
