/* SPDX-License-Identifier: ISC */
#include "qm/queue_json.h"

#include "common/base/log.h"
#include "common/mail/date.h"

json_t *
queue_json_text(struct slice s)
{
	json_t *j = json_stringn(s.p, s.n);

	return j != NULL ? j : json_string(log_q(s));
}

json_t *
queue_json_time(int64_t ms)
{
	struct buf b = BUF_INIT;
	json_t *j;

	date_put_iso(&b, ms / 1000);
	j = json_string(buf_str(&b));
	buf_clear(&b);
	return j;
}

json_t *
queue_json_release(int64_t ms)
{
	return ms == 0 ? json_null() : queue_json_time(ms);
}

const char *
queue_state_word(const struct queue_rcpt *r)
{
	static const char *const words[] = { "waiting", "failed", "delivered",
		"relayed", "expanded", "done" };

	return r->state == QUEUE_PENDING && r->status[0] != '\0'
	    ? "deferred"
	    : words[r->state];
}

static json_t *
rcpt_json(const struct queue_rcpt *r)
{
	return json_pack("{s:o, s:s, s:s, s:o, s:o, s:o}", "address",
	    queue_json_text(r->address), "state", queue_state_word(r), "status",
	    r->status, "reply", queue_json_text(r->diagnostic), "relay",
	    queue_json_text(r->remote), "attempted",
	    r->attempted_s == 0 ? json_null()
				: queue_json_time(r->attempted_s * 1000));
}

json_t *
queue_message_json(const struct queue_message *m, size_t most, bool waiting)
{
	bool held = (m->flags & QUEUE_HELD) != 0;
	json_t *rcpts = json_array();

	for (size_t i = 0; i < m->n_rcpts && json_array_size(rcpts) < most; i++)
		if (!waiting || m->rcpts[i]->state == QUEUE_PENDING)
			json_array_append_new(rcpts, rcpt_json(m->rcpts[i]));
	return json_pack("{s:s, s:o, s:o, s:o, s:I, s:I, s:b, s:o, s:o, s:o, "
			 "s:b, s:o, s:o}",
	    "id", m->id, "trace", queue_json_text(m->trace), "from",
	    queue_json_text(m->from), "envelope_id", queue_json_text(m->envid),
	    "octets", (json_int_t)m->size, "attempts", (json_int_t)m->attempts,
	    "held", held, "arrived", queue_json_time(m->arrival_ms),
	    "next_attempt", held ? json_null() : queue_json_time(m->due_ms),
	    "release", queue_json_release(m->wishes.release_ms), "requiretls",
	    m->wishes.requiretls, "deliver_by",
	    queue_json_release(m->wishes.by_ms), "recipients", rcpts);
}
