/* SPDX-License-Identifier: ISC */
#include "qm/tell.h"

#include <stdio.h>

#include "common/base/trace.h"
#include "common/mail/date.h"

static struct trace_record
record_of(const struct queue_message *m, enum trace_kind kind)
{
	return (struct trace_record){ .kind = kind,
		.octets = m->size,
		.field = {
		    [TRACE_ID] = m->trace,
		    [TRACE_SENDER] = m->from,
		} };
}

static void
set_text(struct trace_record *t, enum trace_field f, const char *text)
{
	if (text != NULL && text[0] != '\0')
		t->field[f] = slice_str(text);
}

/* --- a message --- */

void
tell_queued(const struct queue_message *m, struct slice message_id,
    const struct queue_message *about, int64_t took_us)
{
	struct trace_record t = record_of(m, TRACE_QUEUED);
	char text[128];

	snprintf(text, sizeof(text), "as %s, for %zu recipient%s", m->id,
	    m->n_rcpts, m->n_rcpts == 1 ? "" : "s");
	t.took_us = took_us;
	t.field[TRACE_TEXT] = slice_str(text);
	t.field[TRACE_MESSAGE_ID] = message_id;
	if (m->n_rcpts == 1)
		t.field[TRACE_RECIPIENT] = m->rcpts[0]->address;
	if (about != NULL) {
		t.field[TRACE_RULE] = SLICE_LIT("a report");
		t.field[TRACE_LINK] = about->trace;
	}
	trace_write(&t);
}

void
tell_retry(const struct queue_message *m)
{
	struct trace_record t = record_of(m, TRACE_RETRY);
	size_t n = queue_message_count(m, QUEUE_PENDING);
	struct buf text = BUF_INIT_MAX(256);

	if (!trace_is_on())
		return;
	buf_printf(&text, "%zu recipient%s wait%s", n, n == 1 ? "" : "s",
	    n == 1 ? "s" : "");
	if ((m->flags & QUEUE_HELD) != 0) {
		buf_put_str(&text, ", held by an admin");
	} else {
		buf_put_str(&text, ", next attempt at ");
		date_put_iso(&text, m->due_ms / 1000);
	}
	t.field[TRACE_TEXT] = buf_slice(&text);
	trace_write(&t);
	buf_clear(&text);
}

/* --- one recipient --- */

void
tell_expanded(const struct queue_message *m, const struct queue_rcpt *r,
    struct slice targets)
{
	struct trace_record t = record_of(m, TRACE_EXPANDED);

	t.field[TRACE_RECIPIENT] = r->address;
	t.field[TRACE_TEXT] = targets;
	set_text(&t, TRACE_RULE, "guard");
	trace_write(&t);
}

/* Who was asked, and how safely. */
static const char *
rule_of(const struct deliver_peer *peer, char room[static 64])
{
	if (peer->final)
		return "mailbox";
	if (strcmp(peer->relay, "none") == 0)
		return NULL;
	if (strcmp(peer->relay, "guard") == 0)
		return "guard";
	if (peer->tls[0] == '\0' || peer->policy == NULL)
		return peer->tls[0] != '\0' ? peer->tls : "no TLS";
	snprintf(room, 64, "%s, as %s demands", peer->tls, peer->policy);
	return room;
}

void
tell_outcome(const struct queue_message *m, const struct queue_rcpt *r,
    const struct smtp_reply *reply, const struct deliver_peer *peer)
{
	struct trace_record t = record_of(m, TRACE_ATTEMPT);
	char room[64];

	t.code = reply->code;
	memcpy(t.enhanced, reply->enhanced, sizeof(t.enhanced));
	if (peer->began_us > 0)
		t.took_us = clock_mono_us() - peer->began_us;
	t.field[TRACE_RECIPIENT] = r->address;
	t.field[TRACE_TEXT] = reply->text;
	if (strcmp(peer->relay, "none") != 0)
		set_text(&t, TRACE_PEER, peer->relay);
	set_text(&t, TRACE_RULE, rule_of(peer, room));
	trace_write(&t);
}

/* "450 4.2.1 busy" of the last attempt, back in its parts. */
static void
set_diagnostic(struct trace_record *t, struct slice said)
{
	struct slice rest = said;
	uint64_t code;

	if (slice_u64(slice_split(&rest, ' '), 599, &code) == 0) {
		t->code = (int)code;
		said = rest;
	}
	t->field[TRACE_TEXT] = said;
}

void
tell_expired(const struct queue_message *m, const struct queue_rcpt *r,
    const char *rule)
{
	struct trace_record t = record_of(m, TRACE_EXPIRED);

	t.field[TRACE_RECIPIENT] = r->address;
	set_diagnostic(&t, r->diagnostic);
	set_text(&t, TRACE_RULE, rule);
	t.took_us = (clock_wall_ms() - m->arrival_ms) * 1000;
	trace_write(&t);
}

/* --- reports --- */

void
tell_counts(struct queue_rcpt *const *v, size_t n, struct buf *out)
{
	static const char *const words[] = {
		[QUEUE_PENDING] = "delayed",
		[QUEUE_FAILED] = "failed",
		[QUEUE_DELIVERED] = "delivered",
		[QUEUE_RELAYED] = "relayed",
		[QUEUE_EXPANDED] = "sent on to several",
	};
	size_t counts[QUEUE_DONE] = { 0 };

	for (size_t i = 0; i < n; i++)
		if (v[i]->state < QUEUE_DONE)
			counts[v[i]->state]++;
	for (size_t i = 0; i < QUEUE_DONE; i++)
		if (counts[i] > 0)
			buf_printf(out, "%s%zu %s", out->n > 0 ? ", " : "",
			    counts[i], words[i]);
}

void
tell_report(const struct queue_message *m, struct queue_rcpt *const *v,
    size_t n, struct slice counts, const struct queue_message *report)
{
	struct trace_record t = record_of(m, TRACE_REPORT);

	t.field[TRACE_TEXT] = counts;
	t.field[TRACE_LINK] = report->trace;
	if (n == 1)
		t.field[TRACE_RECIPIENT] = v[0]->address;
	trace_write(&t);
}

void
tell_unreported(const struct queue_message *m, const struct queue_rcpt *r)
{
	struct trace_record t = record_of(m, TRACE_REPORT);

	t.field[TRACE_RECIPIENT] = r->address;
	set_text(&t, TRACE_TEXT,
	    m->from.n == 0 ? "the message has no sender to be told"
			   : "the sender asked not to be told");
	trace_write(&t);
}
