/* SPDX-License-Identifier: ISC */
/* One subscription is sent what it wants. */
#include <errno.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "gateway/notices_impl.h"

#define MAILBOX_AWAY_MS 5000
#define IDLE (-1)
#define PASSED_AT_ONCE 200

struct run {
	struct subscriber *u;
	struct notices *s;
	struct arena a;
	struct notice n;
	struct notice_status st;
	bool passed; /* st has gone on, and is not written yet */
};

int
subscriber_status(struct notices *s, struct arena *a, const struct notice *n,
    struct notice_status *out)
{
	int rc = notice_status_get(s->store, a, n->account, n->id, out);

	if (rc != -ENOENT && rc != -EIO)
		return rc;
	*out = (struct notice_status){ .error = "" };
	return notice_log_since(s->store, n->account, n->created_s, &out->next);
}

static int
write_status(
    struct run *r, const struct notice_dead *dead, size_t n, uint64_t taken)
{
	int rc = notice_status_put(
	    r->s->store, r->n.account, r->n.id, &r->st, dead, n, taken);

	if (rc == 0)
		r->passed = false;
	else
		log_error(
		    "notice state is not kept", "error=\"%s\"", strerror(-rc));
	return rc;
}

/* --- does it want this one? --- */

/* "*" alone needs no name. */
static bool
by_mailbox(const struct notice *n)
{
	return n->n_mailboxes > 0 && strcmp(n->mailboxes[0], "*") != 0;
}

static bool
mailbox_matches(const struct notice *n, const json_t *about)
{
	const char *name =
	    json_string_value(json_object_get(about, "mailbox_name"));

	for (size_t i = 0; i < n->n_mailboxes && name != NULL; i++)
		if (strcmp(n->mailboxes[i], "*") == 0 ||
		    strcmp(n->mailboxes[i], name) == 0 ||
		    (strcasecmp(n->mailboxes[i], "INBOX") == 0 &&
			strcmp(name, "INBOX") == 0))
			return true;
	return false;
}

/* As far as can be said without asking for the message. */
static bool
wants(const struct notice *n, const struct notice_event *e)
{
	if (n->n_mailboxes == 0 && e->quiet)
		return false;
	if (e->gone)
		return true;
	/* What had come elsewhere before is not new because it is fetched. */
	return e->date_s >= n->created_s &&
	    (n->min_size == 0 || e->size >= n->min_size) &&
	    (n->max_size == 0 || e->size <= n->max_size);
}

/* "name@domain", or the end of it. */
static bool
sender_matches(const struct notice *n, const json_t *about)
{
	const char *from = json_string_value(json_object_get(
	    json_array_get(json_object_get(about, "from"), 0), "address"));

	for (size_t i = 0; i < n->n_senders && from != NULL; i++)
		if (n->senders[i][0] == '@'
			? slice_ends_nocase(slice_str(from), n->senders[i])
			: strcasecmp(from, n->senders[i]) == 0)
			return true;
	return false;
}

/* 1 with what the message says of itself, where that is wanted; 0: it is not
 * wanted; -EAGAIN: mailbox does not say. */
static int
look(struct run *r, const struct notice_event *e, json_t **about)
{
	int rc;

	*about = NULL;
	if (!wants(&r->n, e))
		return 0;
	if (r->n.n_senders == 0 && !by_mailbox(&r->n) &&
	    r->n.content == NOTICE_NOTHING)
		return 1;
	rc = arrived_about(r->s->mailbox, r->n.account, e, about);
	if (rc != 0 && rc != -ENOENT)
		return rc == -ECANCELED ? rc : -EAGAIN;
	if (by_mailbox(&r->n) && !mailbox_matches(&r->n, *about))
		return 0;
	/* Of sealed mail nobody here knows whose it is. */
	return r->n.n_senders == 0 || sender_matches(&r->n, *about);
}

/* --- what came of it --- */

static void
tell(const struct run *r, const struct notice_event *e,
    const struct notice_result *out, int64_t took_ms)
{
	static const char *const fates[] = { "done", "later", "dead", "ended" };
	struct http_url url = { .host = SLICE_EMPTY };

	(void)http_url_parse(slice_str(r->n.url), &url);
	if (out->fate == NOTICE_DONE)
		log_info("notice sent",
		    "account=%s event=%llu host=%s status=%d "
		    "took_ms=%lld",
		    log_qs(r->n.account), (unsigned long long)e->number,
		    log_q(url.host), out->status, (long long)took_ms);
	else
		log_warning("notice not taken",
		    "account=%s event=%llu host=%s fate=%s fails=%u "
		    "reason=\"%s\"",
		    log_qs(r->n.account), (unsigned long long)e->number,
		    log_q(url.host), fates[out->fate], r->st.fails + 1,
		    log_q(buf_slice(&out->why)));
}

static struct notice_dead
dead_of(const struct run *r, uint64_t number, uint32_t attempts)
{
	return (struct notice_dead){ .number = number,
		.at_s = clock_wall_s(),
		.attempts = attempts,
		.status = r->st.status,
		.error = r->st.error };
}

/* Some of those that have waited for too long; *more: there may be others. */
static int
give_up_some(struct run *r, int64_t old_s, bool *more)
{
	struct notice_event v[NOTICE_DEAD_STEP];
	struct notice_dead dead[NOTICE_DEAD_STEP];
	size_t n, i, k = 0;
	int rc = notice_log_read(
	    r->s->store, r->n.account, r->st.next, NOTICE_DEAD_STEP, v, &n);

	*more = false;
	if (rc != 0)
		return rc;
	for (i = 0; i < n && v[i].arrived_s <= old_s; i++) {
		r->st.next = v[i].number + 1;
		if (!wants(&r->n, &v[i])) {
			r->st.passed++;
			continue;
		}
		dead[k++] = dead_of(r, v[i].number, i == 0 ? r->st.fails : 0);
	}
	if (k > 0)
		log_warning("notices given up", "account=%s events=%zu",
		    log_qs(r->n.account), k);
	*more = i == NOTICE_DEAD_STEP;
	return i > 0 ? write_status(r, dead, k, 0) : 0;
}

/* It has taken none for so long: what is as old as that goes. */
static int
give_up(struct run *r)
{
	int64_t old_s = clock_wall_s() - r->s->conf.give_up_s;
	bool more = r->st.since_s <= old_s && r->st.replayed_s <= old_s;
	int rc = 0;

	while (rc == 0 && more)
		rc = give_up_some(r, old_s, &more);
	return rc;
}

static int64_t
wait_ms(const struct run *r, const struct notice_result *out)
{
	const struct backoff_conf *c = &r->s->conf.retry;
	int64_t ms = backoff_retry(c, r->st.fails, random_below(0x10000));
	int64_t asked = out->retry_after_s > c->max_ms / 1000
	    ? c->max_ms
	    : out->retry_after_s * 1000;

	return asked > ms ? asked : ms;
}

static int64_t
failed(struct run *r, const struct notice_result *out)
{
	int64_t now_s = clock_wall_s(), ms;
	int rc;

	r->st.fails++;
	if (r->st.since_s == 0)
		r->st.since_s = now_s;
	r->st.status = out->status;
	r->st.error =
	    arena_strdup(&r->a, slice_head(buf_slice(&out->why), 300));
	if (r->st.error == NULL)
		r->st.error = "";
	ms = wait_ms(r, out);
	r->st.next_s = now_s + (ms + 999) / 1000;
	if ((rc = write_status(r, NULL, 0, 0)) == 0)
		rc = give_up(r);
	return rc == -ECANCELED ? IDLE : ms;
}

static int
sent(struct run *r, const struct notice_event *e,
    const struct notice_result *out)
{
	r->st.next = e->number + 1;
	r->st.sent++;
	r->st.fails = 0;
	r->st.since_s = r->st.next_s = 0;
	r->st.sent_s = clock_wall_s();
	r->st.status = out->status;
	r->st.error = "";
	/* Who went back may have come to one that was dead. */
	return write_status(
	    r, NULL, 0, r->st.replayed_s != 0 ? e->number : 0);
}

static int
dead(struct run *r, const struct notice_event *e,
    const struct notice_result *out)
{
	struct notice_dead d;

	r->st.status = out->status;
	r->st.error = buf_str(&out->why);
	d = dead_of(r, e->number, r->st.fails + 1);
	r->st.next = e->number + 1;
	r->st.fails = 0;
	r->st.since_s = r->st.next_s = 0;
	return write_status(r, &d, 1, 0);
}

static int
ended(struct run *r, const struct notice_result *out)
{
	r->st.ended = r->n.version;
	r->st.status = out->status;
	r->st.error = buf_str(&out->why);
	r->st.next_s = 0;
	return write_status(r, NULL, 0, 0);
}

/* --- sending --- */

static int
send_one(struct run *r, const struct notice_event *e, const json_t *about,
    struct notice_result *out)
{
	int64_t began_ms = clock_mono_ms();
	int rc = co_semaphore_take(&r->s->sending, -1);

	if (rc != 0)
		return rc;
	rc = notice_send(&r->s->sender, &r->n, e, about, out);
	co_semaphore_give(&r->s->sending);
	if (rc == 0)
		tell(r, e, out, clock_mono_ms() - began_ms);
	return rc;
}

/* Until when to wait; 0: go on. */
static int64_t
deal_with(struct run *r, const struct notice_event *e)
{
	struct notice_result out = { .why = BUF_INIT_MAX(500) };
	json_t *about = NULL;
	int64_t wait = 0;
	int rc = look(r, e, &about);

	if (rc == 0) {
		r->st.next = e->number + 1;
		r->st.passed++;
		r->passed = true;
	}
	if (rc == 1) {
		rc = send_one(r, e, about, &out);
		if (rc == 0 && out.fate == NOTICE_LATER)
			wait = failed(r, &out);
		else if (rc == 0)
			rc = out.fate == NOTICE_DONE ? sent(r, e, &out)
			    : out.fate == NOTICE_DEAD
			    ? dead(r, e, &out)
			    : (wait = IDLE, ended(r, &out));
	}
	if (rc != 0 && wait == 0)
		wait = rc == -ECANCELED ? IDLE : MAILBOX_AWAY_MS;
	json_decref(about);
	buf_clear(&out.why);
	return wait;
}

/* The first that is dead and is to be sent again, if it is wanted still: 1; 0: it
 * is not, or there is no such event any more. *n: 0 where there is none. */
static int
look_at_dead(struct run *r, struct notice_dead *d, struct notice_event *e,
    json_t **about, size_t *n)
{
	size_t found;
	int rc = notice_dead_list(
	    r->s->store, r->n.account, r->n.id, &r->a, 0, 1, d, n);

	if (rc == 0 && *n == 1 && d->number > r->st.retry_to)
		*n = 0;
	if (rc != 0 || *n == 0)
		return rc;
	rc = notice_log_read(
	    r->s->store, r->n.account, d->number, 1, e, &found);
	if (rc == 0 && found == 1 && e->number == d->number)
		rc = look(r, e, about);
	return rc;
}

/* What is not taken stays dead, and those behind it are not tried now. */
static int
retry_dead(struct run *r)
{
	struct notice_result out = { .why = BUF_INIT_MAX(500) };
	struct notice_dead d = { .number = 0 };
	struct notice_event e;
	json_t *about = NULL;
	size_t n = 0;
	int rc = look_at_dead(r, &d, &e, &about, &n);

	if (rc == 0 && n == 0) {
		r->st.retry_to = 0;
	} else if (rc == 0) {
		r->st.passed++;
	} else if (rc == 1 && (rc = send_one(r, &e, about, &out)) == 0) {
		r->st.status = out.status;
		r->st.error = buf_str(&out.why);
		if (out.fate == NOTICE_DONE) {
			r->st.sent++;
			r->st.sent_s = clock_wall_s();
			r->st.error = "";
		} else {
			r->st.retry_to = 0;
			d.number = 0;
		}
		if (out.fate == NOTICE_ENDED)
			r->st.ended = r->n.version;
	}
	if (rc == 0)
		rc = write_status(r, NULL, 0, n == 0 ? 0 : d.number);
	json_decref(about);
	buf_clear(&out.why);
	return rc;
}

/* Is there anything to do now? 0, or until when not. */
static int64_t
may_begin(struct run *r)
{
	int64_t now_s = clock_wall_s();

	if (r->n.paused || r->st.ended == r->n.version)
		return IDLE;
	/* Another record may work. A clock that was set back must not stop it. */
	if (r->u->force) {
		r->u->force = false;
		return 0;
	}
	if (r->st.fails > 0 && r->st.next_s > now_s &&
	    r->st.next_s <= now_s + r->s->conf.retry.max_ms / 1000 + 1)
		return (r->st.next_s - now_s) * 1000;
	return 0;
}

static int64_t
step(struct run *r)
{
	struct notice_event e;
	int64_t wait;
	size_t n, at_once = PASSED_AT_ONCE;
	int rc =
	    notice_get(r->s->g->accounts, &r->a, slice_str(r->u->id), &r->n);

	if (rc == -ENOENT)
		return IDLE;
	if (rc == 0)
		rc = subscriber_status(r->s, &r->a, &r->n, &r->st);
	if (rc != 0)
		return MAILBOX_AWAY_MS;
	if ((wait = may_begin(r)) != 0)
		return wait;
	if (r->st.retry_to > 0)
		return retry_dead(r) == 0 ? 0 : MAILBOX_AWAY_MS;
	do {
		rc = notice_log_read(
		    r->s->store, r->n.account, r->st.next, 1, &e, &n);
		if (rc != 0)
			return MAILBOX_AWAY_MS;
		wait = n == 0 ? IDLE : deal_with(r, &e);
	} while (wait == 0 && r->passed && --at_once > 0);
	if (r->passed)
		(void)write_status(r, NULL, 0, 0);
	return wait;
}

/* Each step has the lock, so that what is asked of it comes in between. */
int64_t
subscriber_run(struct subscriber *u)
{
	int64_t wait = 0;

	while (wait == 0 && !u->gone && !u->all->stopping) {
		struct run r = { .u = u,
			.s = u->all,
			.a = ARENA_INIT_MAX((size_t)1 << 20) };

		if (co_mutex_lock(&u->lock, -1) != 0)
			return IDLE;
		wait = step(&r);
		co_mutex_unlock(&u->lock);
		arena_reset(&r.a);
	}
	return wait;
}
