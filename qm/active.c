/* SPDX-License-Identifier: ISC */
/*
 * Messages in memory. A bound on their number, and on that of their
 * recipients, keeps memory the same whether ten or ten million wait; the
 * walker brings in what is due as room comes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "qm/qm.h"

/* The clock on the wall may be set: never sleep longer. */
#define LOOK_MAX_MS 60000

static struct pass **
bucket_of(struct qm *qm, const char *id)
{
	uint32_t h = 2166136261u; /* FNV-1a */

	for (const char *p = id; *p != '\0'; p++)
		h = (h ^ (unsigned char)*p) * 16777619u;
	return &qm->passes[h % QM_BUCKETS];
}

static bool
is_active(struct qm *qm, const char *id)
{
	struct pass *p = *bucket_of(qm, id);

	while (p != NULL && strcmp(p->id, id) != 0)
		p = p->next;
	return p != NULL;
}

static bool
has_room(const struct qm *qm)
{
	return qm->n_active < qm->active_max && qm->n_rcpts < qm->rcpts_max;
}

/* Start a pass; `m` may be NULL (it is loaded then). */
static bool
pass_start(
    struct qm *qm, const char *id, int64_t due_ms, struct queue_message *m)
{
	struct pass **bucket = bucket_of(qm, id);
	struct pass *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return false;
	p->qm = qm;
	p->due_ms = due_ms;
	memcpy(p->id, id, sizeof(p->id));
	if ((p->co = co_spawn(qm_pass_main, p)) == NULL) {
		free(p);
		return false;
	}
	p->m = m;
	p->next = *bucket;
	*bucket = p;
	qm->n_active++;
	if (m != NULL) {
		p->counted = m->n_rcpts;
		qm->n_rcpts += p->counted;
	}
	return true;
}

void
qm_pass_ended(struct pass *p, int64_t again_ms)
{
	struct qm *qm = p->qm;
	struct pass **at = bucket_of(qm, p->id);
	int slice = queue_id_slice(slice_str(p->id));

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	qm->n_active--;
	qm->n_rcpts -= p->counted;
	queue_message_free(&p->m);
	free(p);
	if (again_ms != INT64_MAX && slice >= 0)
		queue_note(qm->queue, (unsigned)slice, again_ms);
	/* Not for each single place: a walk goes past all that is active. */
	if (qm->full && qm->n_active <= qm->active_max / 4 * 3 &&
	    qm->n_rcpts <= qm->rcpts_max / 4 * 3)
		co_event_set(&qm->look);
	if (qm->stopping && qm->n_active == 0)
		co_wake(qm->stopper);
}

void
qm_offer(struct qm *qm, struct queue_message **message)
{
	struct queue_message *m = *message;

	*message = NULL;
	if (!qm->stopping && queue_holds(qm->queue, m->slice) && has_room(qm) &&
	    m->wishes.release_ms <= clock_wall_ms() && !is_active(qm, m->id) &&
	    pass_start(qm, m->id, -1, m))
		return;
	queue_note(qm->queue, m->slice, m->due_ms);
	queue_message_free(&m);
}

/* --- the walker --- */

static int
on_due(void *arg, const char *id, int64_t due_ms)
{
	struct qm *qm = arg;

	if (is_active(qm, id))
		return 0;
	if (!has_room(qm) || !pass_start(qm, id, due_ms, NULL)) {
		qm->full = true;
		return 1;
	}
	return 0;
}

static void
on_wake(void *arg)
{
	co_event_set(&((struct qm *)arg)->look);
}

static int64_t
walk(struct qm *qm)
{
	int64_t next_ms, now_ms = clock_wall_ms(), wait_ms;

	qm->full = false;
	if (queue_due(qm->queue, now_ms, on_due, qm, &next_ms) != 0)
		return LOOK_MAX_MS;
	if (qm->full) /* until there is room: qm_pass_ended says so */
		return LOOK_MAX_MS;
	wait_ms = next_ms - clock_wall_ms();
	return wait_ms < 0 ? 0 : wait_ms < LOOK_MAX_MS ? wait_ms : LOOK_MAX_MS;
}

static void
walker_main(void *arg)
{
	struct qm *qm = arg;

	while (!qm->stopping) {
		int64_t wait_ms;
		int rc;

		qm->look.set = false;
		wait_ms = walk(qm);
		if (qm->stopping)
			break;
		/* At least a turn of the loop, so that nothing can spin. */
		rc = co_event_wait(&qm->look, wait_ms < 1 ? 1 : wait_ms);
		if (rc == -ECANCELED)
			break;
	}
	qm->walker = NULL;
	co_wake(qm->stopper);
}

int
qm_active_start(struct qm *qm, unsigned share)
{
	if ((qm->walker = co_spawn(walker_main, qm)) == NULL)
		return -ENOMEM;
	return queue_hold_start(qm->queue, share, on_wake, qm);
}

/* Passes that only look or ask can be cut short; deliveries are let be until
 * the scheduler ends them, because their outcomes must be written down. */
static void
cancel_idle_passes(struct qm *qm)
{
	for (size_t i = 0; i < QM_BUCKETS; i++)
		for (struct pass *p = qm->passes[i]; p != NULL; p = p->next)
			if (!p->started)
				co_cancel(p->co);
}

void
qm_active_stop(struct qm *qm, int64_t patience_ms)
{
	int64_t until = clock_mono_ms() + patience_ms, left;

	qm->stopping = true;
	qm->stopper = co_self();
	co_event_set(&qm->look);
	while (qm->walker != NULL)
		co_park_uncancelable();
	cancel_idle_passes(qm);
	while (qm->n_active > 0 && (left = until - clock_mono_ms()) > 0)
		if (co_park(left) == -ECANCELED)
			break;
	scheduler_free(&qm->scheduler);
	while (qm->n_active > 0)
		co_park_uncancelable();
}
