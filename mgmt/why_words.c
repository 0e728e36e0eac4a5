/* SPDX-License-Identifier: ISC */
/*
 * A record in words. They are for somebody who runs a mail server and has not
 * read its source; what the protocol said is quoted behind them. All text of a
 * record may come from outside: only what prints is printed.
 */
#include <stdio.h>
#include <time.h>
#include <unictype.h>
#include <unistr.h>

#include "common/base/clock.h"
#include "mgmt/why.h"

/* --- pieces --- */

void
why_text(struct slice s, struct buf *b)
{
	for (size_t at = 0; at < s.n;) {
		const uint8_t *p = (const uint8_t *)s.p + at;
		ucs4_t c;
		int n = u8_mbtoucr(&c, p, s.n - at);

		if (n > 0 && uc_is_print(c)) {
			buf_put_slice(b, slice(p, (size_t)n));
			at += (size_t)n;
		} else {
			buf_put_char(b, '?');
			at += n > 0 ? (size_t)n : 1;
		}
	}
}

static bool
has(const struct why_record *r, enum trace_field f)
{
	return r->r.field[f].n > 0;
}

static void
put_field(struct buf *b, const struct why_record *r, enum trace_field f)
{
	why_text(r->r.field[f], b);
}

static void
put_address(struct buf *b, struct slice s)
{
	bool bare = !slice_starts(s, "<");

	buf_printf(b, "%s", bare ? "<" : "");
	why_text(s, b);
	buf_printf(b, "%s", bare ? ">" : "");
}

static void
put_recipient(struct buf *b, const struct why_record *r)
{
	if (has(r, TRACE_RECIPIENT))
		put_address(b, r->r.field[TRACE_RECIPIENT]);
	else
		buf_put_str(b, "the recipients");
}

static void
put_peer(struct buf *b, const struct why_record *r)
{
	if (has(r, TRACE_PEER))
		put_field(b, r, TRACE_PEER);
	else
		buf_put_str(b, "a program on this machine");
}

/* The reference that a hop behind us has put there is the record's own. */
static struct slice
without_reference(struct slice text)
{
	ssize_t at = slice_rfind(text, '[');

	if (at >= 0 && slice_starts(slice_from(text, (size_t)at), "[ref ") &&
	    text.p[text.n - 1] == ']')
		return slice_trim(slice_head(text, (size_t)at));
	return text;
}

static void
put_reply(struct buf *b, const struct why_record *r)
{
	struct slice text = r->r.field[TRACE_TEXT];

	if (r->r.code > 0)
		buf_printf(b, "%d%s%s%s", r->r.code,
		    r->r.enhanced[0] != '\0' ? " " : "", r->r.enhanced,
		    text.n > 0 ? " " : "");
	why_text(r->r.kind == TRACE_ATTEMPT ? text : without_reference(text), b);
}

static void
put_rule(struct buf *b, const struct why_record *r)
{
	if (!has(r, TRACE_RULE))
		return;
	buf_put_str(b, " (");
	put_field(b, r, TRACE_RULE);
	buf_put_char(b, ')');
}

static void
put_refusal(struct buf *b, const struct why_record *r)
{
	buf_put_str(b, ": ");
	put_reply(b, r);
	put_rule(b, r);
}

static void
put_size(struct buf *b, uint64_t octets)
{
	if (octets < 1024)
		buf_printf(b, "%llu octets", (unsigned long long)octets);
	else if (octets < 1024 * 1024)
		buf_printf(b, "%.1f KiB", (double)octets / 1024);
	else
		buf_printf(b, "%.1f MiB", (double)octets / 1048576);
}

static bool
is_good(const struct why_record *r)
{
	return r->r.code < 400;
}

static bool
is_final(const struct why_record *r)
{
	return r->r.code >= 500;
}

/* "refused", or what has only been put off. */
static const char *
refused(const struct why_record *r)
{
	return is_final(r) ? "refused" : "put off";
}

/* --- one function for each kind --- */

static void
say_connect(const struct why_record *r, struct buf *b)
{
	buf_put_str(b, "turned away the connection from ");
	put_peer(b, r);
	put_refusal(b, r);
}

static void
say_command(const struct why_record *r, struct buf *b)
{
	buf_printf(b, "%s a command of ",
	    is_good(r) ? "could not do" : "refused");
	put_peer(b, r);
	put_refusal(b, r);
}

static void
say_auth(const struct why_record *r, struct buf *b)
{
	if (!is_good(r))
		buf_printf(b, "%s the sign-in ", refused(r));
	if (has(r, TRACE_ACCOUNT))
		buf_put_str(b, is_good(r) ? "" : "as ");
	else
		buf_put_str(b, is_good(r) ? "somebody" : "under a strange name");
	put_field(b, r, TRACE_ACCOUNT);
	buf_put_str(b, is_good(r) ? " signed in from " : " from ");
	put_peer(b, r);
	if (!is_good(r)) {
		put_refusal(b, r);
		return;
	}
	if (strcmp(r->program, "mailbox") == 0) {
		buf_put_str(b, " by ");
		put_field(b, r, TRACE_TEXT);
	}
	put_rule(b, r);
}

static void
say_session(const struct why_record *r, struct buf *b)
{
	buf_put_str(b, "the connection from ");
	put_peer(b, r);
	buf_put_str(b, " ended: ");
	put_field(b, r, TRACE_TEXT);
	put_rule(b, r);
}

static void
say_mail(const struct why_record *r, struct buf *b)
{
	if (!is_good(r)) {
		buf_printf(b, "%s the sender ", refused(r));
		put_address(b, r->r.field[TRACE_SENDER]);
		put_refusal(b, r);
		return;
	}
	put_peer(b, r);
	if (has(r, TRACE_TEXT)) {
		buf_put_str(b, " (");
		put_field(b, r, TRACE_TEXT);
		buf_put_char(b, ')');
	}
	if (has(r, TRACE_ACCOUNT)) {
		buf_put_str(b, " as ");
		put_field(b, r, TRACE_ACCOUNT);
	}
	buf_put_str(b, " brings a message from ");
	put_address(b, r->r.field[TRACE_SENDER]);
	if (r->r.octets > 0) {
		buf_put_str(b, ", ");
		put_size(b, r->r.octets);
	}
	put_rule(b, r);
}

/* "<a@b> local" and "<c@d> relay", a line each (in the ring: a space). */
static void
put_targets(struct buf *b, struct slice text)
{
	bool any = false;

	while (text.n > 0) {
		struct slice word = slice_split(&text, ' ');

		if (!slice_starts(word, "<"))
			continue;
		buf_put_str(b, any ? ", " : "");
		why_text(word, b);
		any = true;
	}
}

/* qm asks guard, too, to learn who is somewhere else. */
static bool
is_elsewhere(const struct why_record *r)
{
	return strcmp(r->program, "guard") == 0 && r->r.code == 550 &&
	    strcmp(r->r.enhanced, "5.7.1") == 0;
}

static void
say_rcpt(const struct why_record *r, struct buf *b)
{
	if (is_elsewhere(r)) {
		put_recipient(b, r);
		buf_put_str(b, " is not at this system");
		put_refusal(b, r);
	} else if (!is_good(r)) {
		buf_printf(b, "%s the recipient ", refused(r));
		put_recipient(b, r);
		put_refusal(b, r);
	} else if (r->r.code == 251) {
		put_recipient(b, r);
		buf_put_str(b, " stands for ");
		put_targets(b, r->r.field[TRACE_TEXT]);
		put_rule(b, r);
	} else {
		buf_printf(b, "%s the recipient ",
		    strcmp(r->program, "guard") == 0 ? "knows" : "took");
		put_recipient(b, r);
		put_rule(b, r);
	}
}

static void
say_message(const struct why_record *r, struct buf *b)
{
	buf_printf(b, "%s the message", is_good(r) ? "took" : refused(r));
	if (has(r, TRACE_RECIPIENT)) {
		buf_put_str(b, " for ");
		put_recipient(b, r);
	}
	if (r->r.octets > 0) {
		buf_put_str(b, ", ");
		put_size(b, r->r.octets);
	}
	put_refusal(b, r);
}

static void
say_abort(const struct why_record *r, struct buf *b)
{
	buf_put_str(b, "the message never came to its end: ");
	put_field(b, r, TRACE_TEXT);
	put_rule(b, r);
}

static void
say_handover(const struct why_record *r, struct buf *b)
{
	if (!is_good(r)) {
		buf_put_str(b, "could not hand it over for ");
		put_recipient(b, r);
		put_refusal(b, r);
		return;
	}
	buf_put_str(b, "handed it to ");
	put_field(b, r, TRACE_RULE);
	buf_put_str(b, " for ");
	put_recipient(b, r);
	buf_put_str(b, ": ");
	put_reply(b, r);
}

static void
say_stored(const struct why_record *r, struct buf *b)
{
	buf_put_str(b, is_good(r) ? "stored it for " : "could not store it for ");
	put_field(b, r, TRACE_ACCOUNT);
	if (is_good(r)) {
		buf_put_str(b, " in ");
		put_field(b, r, TRACE_TEXT);
		put_rule(b, r);
	} else {
		put_refusal(b, r);
	}
}

static void
say_queued(const struct why_record *r, struct buf *b)
{
	buf_put_str(b, "queued it ");
	put_field(b, r, TRACE_TEXT);
	put_rule(b, r);
}

static void
say_expanded(const struct why_record *r, struct buf *b)
{
	put_recipient(b, r);
	buf_put_str(b, " stands for ");
	put_targets(b, r->r.field[TRACE_TEXT]);
	put_rule(b, r);
}

static void
say_attempt(const struct why_record *r, struct buf *b)
{
	bool reached = has(r, TRACE_PEER);
	/* "mailbox" says more than where its socket is. */
	bool ours = slice_starts(r->r.field[TRACE_PEER], "unix:");

	if (is_good(r))
		buf_put_str(b, "sent it for ");
	else if (is_final(r))
		buf_put_str(b, "failed for good for ");
	else
		buf_put_str(b, "could not send it yet for ");
	put_recipient(b, r);
	if (reached) {
		buf_put_str(b, is_good(r) ? " to " : ", tried ");
		put_field(b, r, ours ? TRACE_RULE : TRACE_PEER);
	}
	if (!ours)
		put_rule(b, r);
	buf_put_str(b, reached ? ", which said: " : ": ");
	put_reply(b, r);
}

static void
say_text(const struct why_record *r, struct buf *b)
{
	put_field(b, r, TRACE_TEXT);
	put_rule(b, r);
}

static void
say_expired(const struct why_record *r, struct buf *b)
{
	buf_put_str(b, "gave up on ");
	put_recipient(b, r);
	buf_put_str(b, ", it was tried for too long; the last reply was: ");
	put_reply(b, r);
	put_rule(b, r);
}

static void
say_report(const struct why_record *r, struct buf *b)
{
	if (!has(r, TRACE_LINK)) {
		buf_put_str(b, "told nobody about ");
		put_recipient(b, r);
	} else {
		buf_put_str(b, "told ");
		put_address(b, r->r.field[TRACE_SENDER]);
		buf_put_str(b, " in the report ");
		put_field(b, r, TRACE_LINK);
	}
	buf_put_str(b, ": ");
	put_field(b, r, TRACE_TEXT);
	put_rule(b, r);
}

static void
say_order(const struct why_record *r, struct buf *b)
{
	buf_put_str(b, "an admin ordered: ");
	put_field(b, r, TRACE_TEXT);
	put_rule(b, r);
}

static void (*const says[TRACE_KINDS])(
    const struct why_record *r, struct buf *b) = {
	[TRACE_CONNECT] = say_connect,
	[TRACE_COMMAND] = say_command,
	[TRACE_AUTH] = say_auth,
	[TRACE_SESSION] = say_session,
	[TRACE_MAIL] = say_mail,
	[TRACE_RCPT] = say_rcpt,
	[TRACE_MESSAGE] = say_message,
	[TRACE_ABORT] = say_abort,
	[TRACE_HANDOVER] = say_handover,
	[TRACE_STORED] = say_stored,
	[TRACE_QUEUED] = say_queued,
	[TRACE_EXPANDED] = say_expanded,
	[TRACE_ATTEMPT] = say_attempt,
	[TRACE_RETRY] = say_text,
	[TRACE_EXPIRED] = say_expired,
	[TRACE_REPORT] = say_report,
	[TRACE_ORDER] = say_order,
};

void
why_words(const struct why_record *r, struct buf *out)
{
	unsigned kind = (unsigned)r->r.kind;

	if (kind < TRACE_KINDS && says[kind] != NULL) {
		says[kind](r, out);
	} else { /* of a newer version */
		put_reply(out, r);
		put_rule(out, r);
	}
}

/* --- numbers --- */

void
why_duration(int64_t us, struct buf *out)
{
	double v = (double)us;

	if (us < 1000)
		buf_printf(out, "%lld us", (long long)us);
	else if (us < 1000000)
		buf_printf(out, "%.1f ms", v / 1e3);
	else if (us < 120 * 1000000LL)
		buf_printf(out, "%.1f s", v / 1e6);
	else
		buf_printf(out, "%.0f min", v / 60e6);
}

void
why_time(int64_t us, bool date, struct buf *out)
{
	time_t s = (time_t)(us / 1000000);
	struct tm tm;
	char text[32];

	if (gmtime_r(&s, &tm) == NULL)
		return;
	strftime(text, sizeof(text), date ? "%Y-%m-%d %H:%M:%S" : "%H:%M:%S",
	    &tm);
	buf_printf(out, "%s.%03d", text, (int)(us / 1000 % 1000));
}

/* --- as data --- */

static json_t *
json_text(struct slice s)
{
	struct buf b = BUF_INIT;
	json_t *j;

	why_text(s, &b);
	j = json_string(buf_str(&b));
	buf_clear(&b);
	return j;
}

static json_t *
json_words(const struct why_record *r)
{
	struct buf b = BUF_INIT;
	json_t *j;

	why_words(r, &b);
	j = json_text(buf_slice(&b));
	buf_clear(&b);
	return j;
}

static json_t *
json_us(int64_t us)
{
	struct buf b = BUF_INIT;
	time_t s = (time_t)(us / 1000000);
	struct tm tm;
	char text[32] = "";
	json_t *j;

	if (gmtime_r(&s, &tm) != NULL)
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	buf_printf(&b, "%s.%06dZ", text, (int)(us % 1000000));
	j = json_string(buf_str(&b));
	buf_clear(&b);
	return j;
}

json_t *
why_json(const struct why_record *r)
{
	json_t *j = json_pack("{s:o, s:s, s:s, s:o}", "time",
	    json_us(r->r.at_us), "program", r->program, "kind",
	    trace_kind_name((unsigned)r->r.kind), "words", json_words(r));

	if (r->r.code > 0)
		json_object_set_new(j, "code", json_integer(r->r.code));
	if (r->r.enhanced[0] != '\0')
		json_object_set_new(
		    j, "enhanced", json_string(r->r.enhanced));
	json_object_set_new(j, "duration_us", json_integer(r->r.took_us));
	if (r->r.octets > 0)
		json_object_set_new(
		    j, "octets", json_integer((json_int_t)r->r.octets));
	for (enum trace_field f = 0; f < TRACE_FIELDS; f++)
		if (r->r.field[f].p != NULL)
			json_object_set_new(j, trace_field_name(f),
			    json_text(r->r.field[f]));
	return j;
}
