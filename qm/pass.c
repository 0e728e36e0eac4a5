/* SPDX-License-Identifier: ISC */
/*
 * One pass over a message:
 *
 *   load     its rows, unless it has just been put
 *   route    ask guard about recipients whose way is not known; aliases
 *            become their targets, which is written down before anything else
 *   attempt  one job for each destination; what is over is written down while
 *            other jobs go on, the last outcomes with the end of the pass
 *   finish   one batch: outcomes, the report to the sender if there is one to
 *            make, the next attempt; or the whole message goes
 *
 * An outcome that cannot be written (disk full) is kept and tried again: to
 * forget it would deliver twice.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "qm/qm.h"
#include "qm/tell.h"
#include "qm/verdict.h"

#define FAULT_MS 10000           /* something of ours is in trouble */
#define DAMAGED_MS (3600 * 1000) /* a row that cannot be read */
#define BUSY_MS 15000            /* the destination has enough to do */
#define PATIENCE_MS 5000         /* ... but is ready again so soon: stay */
#define OURS_MS 5000             /* guard or mailbox is away: at least */
#define UNREPORTED_MS 60000      /* a report could not be written */

/* --- loading --- */

static int
pass_load(struct pass *p)
{
	struct qm *qm = p->qm;
	int rc;

	if (p->m != NULL)
		return 0;
	if ((rc = queue_load(qm->queue, p->id, p->due_ms, &p->m)) != 0)
		return rc;
	p->counted = p->m->n_rcpts;
	qm->n_rcpts += p->counted;
	/* Its size shows only now: too much for what is there already. */
	if (qm->n_rcpts > qm->rcpts_max && qm->n_rcpts > p->counted)
		return -EAGAIN;
	return 0;
}

/* --- writing down --- */

/* Until it is written, or the message is not ours any more, or the program
 * ends. */
static int
pass_update(struct pass *p, struct queue_message *report,
    struct store_blob_writer *w, bool *gone)
{
	int rc;

	for (;;) {
		rc = queue_update(p->qm->queue, p->m, report, w, gone);
		if (rc == 0 || rc == -ENOENT || rc == -ESTALE)
			return rc;
		log_error("outcome cannot be written", "qid=%s error=\"%s\"",
		    p->id, strerror(-rc));
		if (p->qm->stopping || co_sleep(FAULT_MS / 2) != 0)
			return rc;
	}
}

static const struct deliver_peer from_guard = { "guard", "guard", "", false,
	false, false, 0, NULL };
static const struct deliver_peer from_here = { "", "none", "", false, false,
	false, 0, NULL };

/* --- route --- */

static int
expand(struct pass *p, struct queue_rcpt *r, const struct smtp_reply *reply)
{
	struct queue_message *m = p->m;
	enum queue_rcpt_state state = QUEUE_DONE;
	bool gone;
	int n;

	if (r->expansions >= VERDICT_EXPANSIONS_MAX) {
		deliver_outcome(m, r,
		    &SMTP_REPLY(554, "5.4.6", "aliases lead in a circle"),
		    &from_here);
		return 0;
	}
	n = verdict_expand(m, r, reply->text, p->qm->smarthost);
	if (n <= 0) {
		deliver_outcome(m, r,
		    n == -E2BIG
			? &SMTP_REPLY(550, "5.5.3", "too many recipients")
			: &SMTP_REPLY(
			      451, "4.3.0", "aliases cannot be followed now"),
		    &from_here);
		return 0;
	}
	if (n > 1 && (r->notify & SMTP_NOTIFY_SUCCESS) != 0)
		state = QUEUE_EXPANDED;
	log_info("expanded", "qid=%s id=%s to=<%s> targets=%d", p->id,
	    log_q(m->trace), log_q(r->address), n);
	tell_expanded(m, r, reply->text);
	queue_rcpt_set(m, r, state, "2.1.5", SLICE_EMPTY, SLICE_EMPTY);
	return pass_update(p, NULL, NULL, &gone);
}

static int
take_verdict(
    struct pass *p, struct queue_rcpt *r, const struct smtp_reply *reply)
{
	enum verdict v = verdict_of(reply);

	switch (v) {
	case VERDICT_LOCAL:
	case VERDICT_REMOTE:
		if (!verdict_route(
			p->m, r, v == VERDICT_LOCAL, p->qm->smarthost))
			deliver_outcome(p->m, r,
			    &SMTP_REPLY(550, "5.1.3", "no domain in address"),
			    &from_here);
		return 0;
	case VERDICT_EXPAND:
		return expand(p, r, reply);
	case VERDICT_REFUSED:
	case VERDICT_LATER:
		deliver_outcome(p->m, r, reply, &from_guard);
		return 0;
	}
	return 0;
}

/* Recipients to be attempted whose way is not known; malloc'd. */
static struct queue_rcpt **
unrouted(const struct queue_message *m, size_t *n)
{
	struct queue_rcpt **v = calloc(m->n_rcpts + 1, sizeof(*v));

	*n = 0;
	for (size_t i = 0; i < m->n_rcpts && v != NULL; i++)
		if (m->rcpts[i]->state == QUEUE_PENDING &&
		    m->rcpts[i]->route == NULL)
			v[(*n)++] = m->rcpts[i];
	return v;
}

static int
route_some(struct pass *p, struct queue_rcpt **v, size_t n)
{
	struct smtp_client_mail mail = { .from = p->m->from,
		.smtputf8 = (p->m->flags & QUEUE_UTF8) != 0,
		.trace = p->m->trace };
	struct arena a = ARENA_INIT_MAX((size_t)16 << 20);
	struct smtp_client_rcpt *ask = arena_array(&a, n, sizeof(*ask));
	int rc = ask == NULL ? -ENOMEM : 0;

	for (size_t i = 0; i < n && rc == 0; i++)
		ask[i].address = v[i]->address;
	if (rc == 0)
		rc = qm_ask_guard(p->qm, &a, &mail, ask, n);
	if (rc == -ECANCELED) {
		arena_reset(&a);
		return rc;
	}
	if (rc != 0)
		p->ours_away = true;
	for (size_t i = 0; i < n && rc != 0; i++)
		deliver_outcome(p->m, v[i],
		    &SMTP_REPLY(451, "4.3.0",
			"recipient cannot be checked now (guard is away)"),
		    &from_here);
	for (size_t i = 0; i < n && rc == 0; i++)
		if ((rc = take_verdict(p, v[i], &ask[i].reply)) != 0) {
			arena_reset(&a);
			return rc;
		}
	arena_reset(&a);
	return 0;
}

static int
pass_route(struct pass *p)
{
	size_t n;
	struct queue_rcpt **v = unrouted(p->m, &n);
	int rc = v == NULL ? -ENOMEM : n == 0 ? 0 : route_some(p, v, n);

	free(v);
	return rc;
}

/* --- attempt --- */

static int
by_route(const void *a, const void *b)
{
	const struct queue_rcpt *const *x = a, *const *y = b;
	int order = strcmp((*x)->route, (*y)->route);

	if (order != 0)
		return order;
	return (*x)->index < (*y)->index ? -1 : (*x)->index > (*y)->index;
}

static void
on_job_done(struct scheduler_job *job)
{
	struct deliver_job *j = (struct deliver_job *)job;
	struct pass *p = j->owner;

	p->jobs--;
	if (j->not_reached && strcmp(job->destination, DESTINATION_LOCAL) == 0)
		p->ours_away = true;
	p->attempted = true;
	co_wake(p->co);
}

static bool
has_outcome_to_write(const struct queue_message *m)
{
	for (size_t i = 0; i < m->n_rcpts; i++)
		if (m->rcpts[i]->state != QUEUE_PENDING &&
		    queue_rcpt_is_dirty(m->rcpts[i]))
			return true;
	return false;
}

/*
 * Wait for one job or more. While others go on, what is over is written down:
 * the end of the pass may be long away. Errors show again at the end.
 */
static void
wait_job(struct pass *p)
{
	size_t before = p->jobs;
	bool gone;

	while (p->jobs == before)
		co_park_uncancelable();
	if (p->jobs > 0 && has_outcome_to_write(p->m))
		queue_update(p->qm->queue, p->m, NULL, NULL, &gone);
}

/*
 * The destination has its part of what may be in memory. One that is quick is
 * waited for; else the message goes back to disk, or it would keep those of
 * other destinations there.
 */
static bool
wait_room(struct pass *p, const char *destination, int64_t *patience_ms)
{
	int64_t wait_ms = scheduler_wait_ms(p->qm->scheduler, destination);

	if (wait_ms > *patience_ms)
		return false;
	wait_ms = wait_ms / 2 + 1 + random_below(50);
	*patience_ms -= wait_ms;
	return co_sleep(wait_ms) == 0;
}

static void
submit(struct pass *p, struct deliver_job *j)
{
	int64_t patience_ms = PATIENCE_MS;

	p->jobs++;
	while (!p->qm->stopping) {
		if (scheduler_submit(p->qm->scheduler, &j->job))
			return;
		if (p->jobs > 1)
			wait_job(p);
		else if (!wait_room(p, j->job.destination, &patience_ms))
			break;
	}
	p->jobs--;
	p->busy = true;
}

/* The recipients of one job: those of the same destination, as many as fit a
 * transaction. */
static size_t
run_length(struct queue_rcpt *const *v, size_t n)
{
	size_t max = strcmp(v[0]->route, DESTINATION_LOCAL) == 0
	    ? DELIVER_RCPTS_LOCAL
	    : DELIVER_RCPTS_REMOTE;
	size_t k = 1;

	while (k < n && k < max && strcmp(v[k]->route, v[0]->route) == 0)
		k++;
	return k;
}

static void
attempt_all(
    struct pass *p, struct queue_rcpt **v, size_t n, struct deliver_job *jobs)
{
	size_t used = 0;

	for (size_t at = 0, k; at < n; at += k) {
		struct deliver_job *j = &jobs[used++];

		k = run_length(v + at, n - at);
		*j = (struct deliver_job){
			.m = p->m, .rcpts = v + at, .n = k, .owner = p
		};
		j->job.destination = v[at]->route;
		j->job.priority = p->m->wishes.priority;
		j->job.at_once = p->at_once;
		j->job.done = on_job_done;
		submit(p, j);
	}
	while (p->jobs > 0)
		wait_job(p);
}

static int
pass_attempt(struct pass *p)
{
	struct queue_message *m = p->m;
	struct queue_rcpt **v = calloc(m->n_rcpts + 1, sizeof(*v));
	struct deliver_job *jobs;
	size_t n = 0;

	for (size_t i = 0; i < m->n_rcpts && v != NULL; i++)
		if (m->rcpts[i]->state == QUEUE_PENDING &&
		    m->rcpts[i]->route != NULL)
			v[n++] = m->rcpts[i];
	jobs = calloc(n + 1, sizeof(*jobs));
	if (v == NULL || jobs == NULL) {
		free(v);
		free(jobs);
		return -ENOMEM;
	}
	if (n > 1)
		qsort(v, n, sizeof(struct queue_rcpt *), by_route);
	p->started = true;
	attempt_all(p, v, n, jobs);
	free(v);
	free(jobs);
	return 0;
}

/* --- DELIVERBY (RFC 2852 4.1.3) --- */

/* To be returned by now. */
static bool
by_is_over(const struct queue_message *m, int64_t now_ms)
{
	return m->wishes.by_mode == 'R' && now_ms >= m->wishes.by_ms;
}

/* The sender is to hear that it is late; not when it came so, because who
 * handed it to us has told him. */
static bool
by_is_late(const struct queue_message *m, int64_t now_ms)
{
	return m->wishes.by_mode == 'N' && (m->flags & QUEUE_BY_TOLD) == 0 &&
	    now_ms >= m->wishes.by_ms && m->wishes.by_ms > m->arrival_ms;
}

static void
say_late(struct queue_message *m)
{
	for (size_t i = 0; i < m->n_rcpts; i++)
		if (m->rcpts[i]->state == QUEUE_PENDING) {
			memcpy(m->rcpts[i]->status, "4.4.7", 6);
			queue_rcpt_touch(m->rcpts[i]);
		}
}

/* Not later than there is something to say. */
static int64_t
by_first(const struct queue_message *m, int64_t now_ms, int64_t next_ms)
{
	const struct smtp_wishes *w = &m->wishes;

	return w->by_mode != '\0' && w->by_ms > now_ms && w->by_ms < next_ms
	    ? w->by_ms
	    : next_ms;
}

/* --- finish --- */

/* Too old by this rule: what waits has failed, for the reason of the last
 * attempt. */
static void
expire(struct pass *p, const char status[static 6], const char *rule)
{
	for (size_t i = 0; i < p->m->n_rcpts; i++) {
		struct queue_rcpt *r = p->m->rcpts[i];

		if (r->state != QUEUE_PENDING)
			continue;
		log_info("expired", "qid=%s id=%s to=<%s> reply=\"%s\"", p->id,
		    log_q(p->m->trace), log_q(r->address),
		    log_q(r->diagnostic));
		tell_expired(p->m, r, rule);
		r->state = QUEUE_FAILED;
		memcpy(r->status, status, 6);
		queue_rcpt_touch(r);
	}
}

/* Recipients that the sender is to hear of; malloc'd. Those over of which
 * nobody is to hear are done. */
static struct queue_rcpt **
reportable(struct pass *p, bool delayed, size_t *n)
{
	struct queue_message *m = p->m;
	struct queue_rcpt **v = calloc(m->n_rcpts + 1, sizeof(*v));

	*n = 0;
	for (size_t i = 0; i < m->n_rcpts && v != NULL; i++) {
		struct queue_rcpt *r = m->rcpts[i];

		if (r->state == QUEUE_DONE ||
		    (r->state == QUEUE_PENDING && !delayed))
			continue;
		if (report_is_wanted(m, r)) {
			v[(*n)++] = r;
		} else if (r->state != QUEUE_PENDING) {
			if (r->state == QUEUE_FAILED) {
				log_info("failed unreported",
				    "qid=%s id=%s to=<%s> from=<%s>", p->id,
				    log_q(m->trace), log_q(r->address),
				    log_q(m->from));
				tell_unreported(m, r);
			}
			r->state = QUEUE_DONE;
			queue_rcpt_touch(r);
		}
	}
	return v;
}

static void
drop_blob(
    struct qm *qm, struct queue_message *report, struct store_blob_writer **w)
{
	store_blob_writer_free(w);
	store_blob_del(queue_store(qm->queue), &report->blob);
}

/* One report about n recipients, and they are off the queue, in one batch. */
static int
report_some(struct pass *p, struct queue_rcpt **v, size_t n, bool *gone)
{
	struct buf counts = BUF_INIT_MAX(256);
	struct queue_message *report;
	struct store_blob_writer *w;
	int rc;

	rc =
	    report_write(p->qm->queue, &p->qm->report, p->m, v, n, &report, &w);
	if (rc != 0) {
		log_error("report cannot be written", "qid=%s error=\"%s\"",
		    p->id, strerror(-rc));
		p->m->due_ms = clock_wall_ms() + UNREPORTED_MS;
		return pass_update(p, NULL, NULL, gone);
	}
	tell_counts(v, n, &counts);
	for (size_t i = 0; i < n; i++) {
		if (v[i]->state == QUEUE_PENDING) {
			p->m->flags |= QUEUE_DELAY_TOLD;
			if (by_is_late(p->m, clock_wall_ms()))
				p->m->flags |= QUEUE_BY_TOLD;
			continue;
		}
		v[i]->state = QUEUE_DONE;
		queue_rcpt_touch(v[i]);
	}
	rc = pass_update(p, report, w, gone);
	if (rc == 0) {
		log_info("reported",
		    "qid=%s id=%s report=%s to=<%s> "
		    "recipients=%zu",
		    p->id, log_q(p->m->trace), report->id, log_q(p->m->from),
		    n);
		tell_report(p->m, v, n, buf_slice(&counts), report);
		tell_queued(report, (struct slice){ NULL, 0 }, p->m, 0);
		store_blob_writer_free(&w);
		qm_offer(p->qm, &report);
	} else {
		drop_blob(p->qm, report, &w);
		queue_message_free(&report);
	}
	buf_clear(&counts);
	return rc;
}

/*
 * All that is to be reported. When nothing stays the message goes with its
 * only report, however many recipients that has; else a batch must hold their
 * rows, so there may be several reports.
 */
static int
report_all(
    struct pass *p, struct queue_rcpt **v, size_t n, bool stays, bool *gone)
{
	size_t at = 0, k = n;
	int rc = 0;

	if (stays && n > QUEUE_REPORT_MAX) {
		if ((rc = pass_update(p, NULL, NULL, gone)) != 0)
			return rc;
		k = QUEUE_REPORT_MAX;
	}
	for (; at < n && rc == 0; at += k) {
		if (k > n - at)
			k = n - at;
		rc = report_some(p, v + at, k, gone);
	}
	return rc;
}

/* The backoff is for others' faults. What waits for us waits no longer than
 * it must, and has not been tried in truth. */
static int64_t
next_attempt(struct pass *p, int64_t now_ms)
{
	int64_t soon_ms = now_ms + INT64_MAX / 2, next_ms;

	if (p->ours_away)
		soon_ms = now_ms + OURS_MS + random_below(2 * OURS_MS);
	else if (p->busy && !p->attempted)
		soon_ms = now_ms + BUSY_MS + random_below(2 * BUSY_MS);
	next_ms = retry_next_ms(&p->qm->retry, p->m->attempts + 1,
	    queue_message_since_ms(p->m), now_ms, random_below(65536));
	if (soon_ms < next_ms)
		return soon_ms;
	p->m->attempts++;
	return next_ms;
}

static int
pass_finish(struct pass *p, bool *gone)
{
	struct queue_message *m = p->m;
	int64_t now_ms = clock_wall_ms();
	bool delayed, waits;
	struct queue_rcpt **v;
	size_t n;
	int rc;

	m->flags &= ~(unsigned)QUEUE_AT_ONCE;
	if (by_is_over(m, now_ms)) /* nothing was attempted any more */
		expire(p, "5.4.7", "DELIVERBY");
	else if (!p->busy &&
	    retry_is_over(&p->qm->retry, queue_message_since_ms(m), now_ms))
		expire(p, "4.4.7", "qm.max_age"); /* RFC 3463 3.5 */
	waits = queue_message_count(m, QUEUE_PENDING) > 0;
	delayed = waits && (m->flags & QUEUE_DELAY_TOLD) == 0 &&
	    retry_is_delayed(&p->qm->retry, queue_message_since_ms(m), now_ms);
	if (waits && by_is_late(m, now_ms)) {
		say_late(m);
		delayed = true;
	}
	if (waits)
		m->due_ms = by_first(m, now_ms, next_attempt(p, now_ms));
	if ((v = reportable(p, delayed, &n)) == NULL)
		return -ENOMEM;
	rc = n > 0 ? report_all(p, v, n, waits, gone)
		   : pass_update(p, NULL, NULL, gone);
	free(v);
	if (rc == 0 && waits)
		tell_retry(m);
	if (rc == 0 && *gone)
		log_info("removed", "qid=%s id=%s", p->id, log_q(m->trace));
	return rc;
}

/* --- the whole --- */

static int64_t
again_at(const struct pass *p, int rc, bool gone)
{
	switch (rc) {
	case 0:
		return gone || (p->m->flags & QUEUE_HELD) != 0 ? INT64_MAX
							       : p->m->due_ms;
	case -ENOENT: /* an admin deleted it, or it was never whole */
		return INT64_MAX;
	case -ESTALE: /* whoever has the slice now shall look; maybe we do */
		return clock_wall_ms();
	case -EIO:
		log_error("message cannot be read", "qid=%s", p->id);
		return clock_wall_ms() + DAMAGED_MS;
	default:
		if (rc != -ECANCELED)
			log_warning("pass", "qid=%s error=\"%s\"", p->id,
			    strerror(-rc));
		return clock_wall_ms() + FAULT_MS;
	}
}

void
qm_pass_main(void *arg)
{
	struct pass *p = arg;
	bool gone = false;
	int rc;

	co_log_context("%s", "");
	rc = pass_load(p);
	if (rc == 0)
		rc = queue_claim(p->qm->queue, p->m->slice);
	if (rc == 0 && !by_is_over(p->m, clock_wall_ms())) {
		p->at_once = (p->m->flags & QUEUE_AT_ONCE) != 0;
		rc = pass_route(p);
		if (rc == 0)
			rc = pass_attempt(p);
	}
	if (rc == 0)
		rc = pass_finish(p, &gone);
	qm_pass_ended(p, again_at(p, rc, gone));
}
