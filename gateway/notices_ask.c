/* SPDX-License-Identifier: ISC */
/* What is asked about subscriptions: common/auth/notice_ask.h has the list. */
#include <errno.h>
#include <stdlib.h>

#include "common/auth/program_ask.h"
#include "common/base/clock.h"
#include "gateway/notices_impl.h"

#define DEAD_COUNTED 10000
#define DEAD_TOLD 100 /* the oldest; with their words they fit in a reply */

struct question {
	struct notices *s;
	struct arena a;
	struct slice args; /* what is left of them */
	struct notice n;
	json_t **out;
};

static int
answer(struct question *q, json_t *j)
{
	*q->out = j;
	return j == NULL ? -ENOMEM : 0;
}

/* The subscription that is named next, and its status. */
static int
take_notice(struct question *q, struct notice_status *st)
{
	struct slice id = slice_split(&q->args, ' ');
	int rc = notice_get(q->s->g->accounts, &q->a, id, &q->n);

	return rc == 0 ? subscriber_status(q->s, &q->a, &q->n, st) : rc;
}

static struct subscriber *
find(const struct question *q)
{
	return subscriber_find(
	    watched_find(q->s, slice_str(q->n.account)), q->n.id);
}

/* --- STATUS --- */

static const char *
state_word(const struct notice *n, const struct notice_status *st)
{
	return n->paused              ? "paused"
	    : st->ended == n->version ? "ended"
	    : st->fails > 0           ? "retry"
	    : st->sent == 0           ? "new"
				      : "ok";
}

static json_t *
status_json(const struct notice *n, const struct notice_status *st,
    size_t dead, uint64_t first, uint64_t next)
{
	json_t *error = json_string(st->error);

	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:i, "
			 "s:o, s:o}",
	    "state", state_word(n, st), "next", (json_int_t)st->next, "first",
	    (json_int_t)first, "last", (json_int_t)next - 1, "sent",
	    (json_int_t)st->sent, "dead", (json_int_t)dead, "passed",
	    (json_int_t)st->passed, "fails", (json_int_t)st->fails, "error",
	    error != NULL ? error : json_string(""), "status", st->status,
	    "sent_at", program_time(st->sent_s), "next_at", program_time(st->next_s));
}

static int
ask_status(struct question *q)
{
	struct notice_status st;
	struct notice *v;
	uint64_t first, next;
	size_t n, dead;
	json_t *all = json_object();
	int rc = notice_list(q->s->g->accounts, &q->a, q->args, &v, &n);

	if (rc == 0 && q->args.n == 0)
		rc = -EINVAL;
	for (size_t i = 0; i < n && rc == 0; i++) {
		rc = subscriber_status(q->s, &q->a, &v[i], &st);
		if (rc == 0)
			rc = notice_log_bounds(
			    q->s->store, v[i].account, &first, &next);
		if (rc == 0)
			rc = notice_dead_count(q->s->store, v[i].account,
			    v[i].id, DEAD_COUNTED, &dead);
		if (rc == 0)
			json_object_set_new(all, v[i].id,
			    status_json(&v[i], &st, dead, first, next));
	}
	if (rc != 0) {
		json_decref(all);
		return rc;
	}
	return answer(q, all);
}

static int
ask_events(struct question *q)
{
	const char *account = arena_strdup(&q->a, q->args);
	uint64_t first, next;
	int rc = account == NULL
	    ? -ENOMEM
	    : notice_log_bounds(q->s->store, account, &first, &next);

	return rc != 0 ? rc
		       : answer(q,
			     json_pack("{s:I, s:I}", "first", (json_int_t)first,
				 "last", (json_int_t)next - 1));
}

/* --- DEAD --- */

static int
ask_dead(struct question *q)
{
	struct notice_dead *v =
	    arena_array(&q->a, DEAD_TOLD, sizeof(struct notice_dead));
	struct notice_status st;
	size_t n = 0;
	json_t *all;
	int rc = v == NULL ? -ENOMEM : take_notice(q, &st);

	if (rc == 0)
		rc = notice_dead_list(q->s->store, q->n.account, q->n.id, &q->a,
		    0, DEAD_TOLD, v, &n);
	if (rc != 0)
		return rc;
	all = json_array();
	for (size_t i = 0; i < n; i++) {
		json_t *error = json_string(v[i].error);

		json_array_append_new(all,
		    json_pack("{s:I, s:o, s:I, s:i, s:o}", "event",
			(json_int_t)v[i].number, "at", program_time(v[i].at_s),
			"attempts", (json_int_t)v[i].attempts, "status",
			v[i].status, "error",
			error != NULL ? error : json_string("")));
	}
	return answer(q, all);
}

/* --- TEST --- */

static int
ask_test(struct question *q)
{
	struct notice_result out = { .why = BUF_INIT_MAX(500) };
	struct notice_status st;
	json_t *error;
	int rc = take_notice(q, &st);

	if (rc == 0)
		rc = co_semaphore_take(&q->s->sending, -1);
	if (rc != 0)
		return rc;
	rc = notice_send(&q->s->sender, &q->n, NULL, NULL, &out);
	co_semaphore_give(&q->s->sending);
	error = json_string(buf_str(&out.why));
	if (rc == 0)
		rc = answer(q,
		    json_pack("{s:b, s:i, s:o}", "ok", out.fate == NOTICE_DONE,
			"status", out.status, "error",
			error != NULL ? error : json_string("")));
	else
		json_decref(error);
	buf_clear(&out.why);
	return rc;
}

/* --- REPLAY, RETRY --- */

/* The status is changed while nobody else does so, and then it begins. */
static int
change(struct question *q, struct subscriber *u,
    int (*fn)(struct question *q, struct notice_status *st))
{
	struct notice_status st;
	int rc;

	u->users++;
	if ((rc = co_mutex_lock(&u->lock, -1)) == 0) {
		rc = subscriber_status(q->s, &q->a, &q->n, &st);
		if (rc == 0)
			rc = fn(q, &st);
		if (rc == 0)
			rc = notice_status_put(q->s->store, q->n.account,
			    q->n.id, &st, NULL, 0, 0);
		co_mutex_unlock(&u->lock);
	}
	u->users--;
	subscriber_settle(u);
	/* It may have gone while we waited. */
	if (rc == 0 && (u = find(q)) != NULL)
		subscriber_kick(u, true);
	return rc;
}

static int
change_named(
    struct question *q, int (*fn)(struct question *q, struct notice_status *st))
{
	struct notice_status st;
	struct subscriber *u;
	int rc;

	if ((rc = notices_look(q->s)) != 0)
		return rc;
	if ((rc = take_notice(q, &st)) != 0)
		return rc;
	if (q->n.paused)
		return -EPERM;
	if ((u = find(q)) == NULL || u->gone)
		return -ENOENT;
	return change(q, u, fn);
}

static int
go_back(struct question *q, struct notice_status *st)
{
	uint64_t from, first, next;
	int rc = notice_log_bounds(q->s->store, q->n.account, &first, &next);

	if (rc != 0)
		return rc;
	if (slice_u64(q->args, INT64_MAX, &from) != 0 || from == 0)
		return -EINVAL;
	if (from < first || from >= next)
		return -ERANGE;
	st->next = from;
	st->fails = 0;
	st->since_s = st->next_s = 0;
	st->replayed_s = clock_wall_s();
	st->ended = 0;
	return answer(q,
	    json_pack("{s:I, s:I}", "from", (json_int_t)from, "last",
		(json_int_t)next - 1));
}

static int
ask_replay(struct question *q)
{
	return change_named(q, go_back);
}

static int
try_dead(struct question *q, struct notice_status *st)
{
	struct notice_dead d;
	uint64_t from = 0, count = 0;
	size_t n = 1;
	int rc = 0;

	while (rc == 0 && n == 1) {
		struct arena a = ARENA_INIT_MAX(65536);

		rc = notice_dead_list(
		    q->s->store, q->n.account, q->n.id, &a, from, 1, &d, &n);
		if (rc == 0 && n == 1) {
			st->retry_to = d.number;
			from = d.number + 1;
			count++;
		}
		arena_reset(&a);
	}
	st->fails = 0;
	st->since_s = st->next_s = 0;
	st->ended = 0;
	return rc != 0
	    ? rc
	    : answer(q, json_pack("{s:I}", "events", (json_int_t)count));
}

static int
ask_retry(struct question *q)
{
	return change_named(q, try_dead);
}

/* --- KEY --- */

static int
ask_key(struct question *q)
{
	struct buf b = BUF_INIT_MAX(256);
	int rc = -ENOMEM;

	if (webpush_key_public(q->s->sender.key, &b))
		rc = answer(q, json_pack("{s:s}", "public", buf_str(&b)));
	buf_clear(&b);
	return rc;
}

int
notices_ask(struct notices *s, struct slice what, json_t **out)
{
	static const struct {
		const char *word;
		int (*run)(struct question *q);
	} words[] = { { "STATUS", ask_status }, { "DEAD", ask_dead },
		{ "EVENTS", ask_events }, { "TEST", ask_test },
		{ "REPLAY", ask_replay }, { "RETRY", ask_retry },
		{ "KEY", ask_key } };
	struct question q = {
		.s = s, .a = ARENA_INIT_MAX((size_t)4 << 20), .out = out
	};
	struct slice word = slice_split(&what, ' ');
	int rc = -EINVAL;

	*out = NULL;
	q.args = what;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (slice_eq_str_nocase(word, words[i].word))
			rc = words[i].run(&q);
	if (rc != 0 && *out != NULL) {
		json_decref(*out);
		*out = NULL;
	}
	arena_reset(&q.a);
	return rc;
}
