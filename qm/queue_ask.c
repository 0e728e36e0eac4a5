/* SPDX-License-Identifier: ISC */
#include "qm/queue_ask.h"

#include <errno.h>

#include "common/auth/program_ask.h"
#include "common/net/conn.h"
#include "qm/queue_json.h"

#define PAGE 50
#define RCPTS_OF_LIST 3
#define RCPTS_OF_ONE 100

/* --- many --- */

/* The first PAGE ids behind `after`, in order: what a page needs, however long
 * the queue is. */
struct page {
	struct arena *a;
	struct slice after;
	char ids[PAGE][QUEUE_ID_LEN + 1];
	size_t n;
	uint64_t total, held;
	bool more;
};

static int
note(void *arg, const struct queue_info *info)
{
	struct page *p = arg;
	struct slice id = slice_str(info->id);
	size_t at = p->n;

	p->total++;
	p->held += (info->flags & QUEUE_HELD) != 0;
	if (p->after.n > 0 &&
	    (id.n != p->after.n || memcmp(id.p, p->after.p, id.n) <= 0))
		return 0;
	while (at > 0 && strcmp(p->ids[at - 1], info->id) > 0)
		at--;
	if (p->n == PAGE)
		p->more = true;
	if (at == PAGE)
		return 0;
	memmove(p->ids[at + 1 < PAGE ? at + 1 : at], p->ids[at],
	    (size_t)((p->n < PAGE ? p->n : PAGE - 1) - at) * sizeof(p->ids[0]));
	memcpy(p->ids[at], info->id, sizeof(p->ids[at]));
	p->n += p->n < PAGE;
	return 0;
}

static int
list(struct queue *q, struct slice after, bool count, json_t **out)
{
	struct page p = { .after = after };
	json_t *messages;
	int rc = queue_list(q, note, &p);

	if (rc != 0)
		return rc;
	if (count) {
		*out = json_pack("{s:I, s:I}", "total", (json_int_t)p.total,
		    "held", (json_int_t)p.held);
		return 0;
	}
	messages = json_array();
	for (size_t i = 0; i < p.n; i++) {
		struct queue_message *m = NULL;

		/* Gone meanwhile: fine. */
		if (queue_load(q, p.ids[i], -1, &m) == 0)
			json_array_append_new(messages,
			    queue_message_json(m, RCPTS_OF_LIST, true));
		queue_message_free(&m);
	}
	*out = json_pack("{s:I, s:I, s:s?, s:o}", "total", (json_int_t)p.total,
	    "held", (json_int_t)p.held, "next",
	    p.more && p.n > 0 ? p.ids[p.n - 1] : NULL, "messages", messages);
	return 0;
}

/* --- one --- */

static int
show(struct queue *q, const char *id, json_t **out)
{
	struct queue_message *m = NULL;
	int rc = queue_load(q, id, -1, &m);

	if (rc == 0)
		*out = queue_message_json(m, RCPTS_OF_ONE, false);
	queue_message_free(&m);
	return rc;
}

static int
order(struct queue *q, struct slice word, const char *id, json_t **out)
{
	static const char *const words[] = { [QUEUE_ORDER_HOLD] = "HOLD",
		[QUEUE_ORDER_RELEASE] = "RELEASE",
		[QUEUE_ORDER_RETRY] = "RETRY",
		[QUEUE_ORDER_DELETE] = "DELETE" };
	int rc;

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (slice_eq_str_nocase(word, words[i])) {
			rc = queue_order(q, id, (enum queue_order)i);
			*out = json_pack("{s:b}", "ok", rc == 0);
			return rc;
		}
	return -EINVAL;
}

int
queue_ask(struct queue *q, struct smtp_session *s, struct slice verb,
    struct slice args, struct smtp_reply *reply)
{
	struct arena *a = smtp_session_arena(s);
	struct slice rest = slice_trim(args), word = slice_split(&rest, ' ');
	const char *id = arena_strdup(a, slice_trim(rest));
	json_t *j = NULL;
	int rc = -EINVAL;

	if (!slice_eq_str_nocase(verb, "XQUEUE") ||
	    !net_addr_is_unix(conn_peer(smtp_session_conn(s))))
		return -ENOSYS;
	if (id == NULL)
		rc = -ENOMEM;
	else if (slice_eq_str_nocase(word, "LIST"))
		rc = list(q, slice_str(id), false, &j);
	else if (slice_eq_str_nocase(word, "COUNT"))
		rc = list(q, SLICE_EMPTY, true, &j);
	else if (queue_id_slice(slice_str(id)) < 0)
		rc = -ENOENT;
	else if (slice_eq_str_nocase(word, "SHOW"))
		rc = show(q, id, &j);
	else
		rc = order(q, word, id, &j);
	if (rc == 0) {
		program_answer(a, j, reply);
		return 0;
	}
	json_decref(j);
	*reply = rc == -ENOENT
	    ? SMTP_REPLY(550, "5.1.1", "no such message in the queue")
	    : rc == -EINVAL ? SMTP_REPLY(501, "5.5.4", "LIST, SHOW, RETRY ...")
			    : SMTP_REPLY(451, "4.3.0", "not possible just now");
	return 0;
}
