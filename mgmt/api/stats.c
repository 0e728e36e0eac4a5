/* SPDX-License-Identifier: ISC */
#include "mgmt/api/stats.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/auth/program_ask.h"
#include "common/base/clock.h"
#include "common/base/co.h"
#include "common/net/service.h"
#include "mgmt/why.h"

#define MINUTES 1440
#define LOOK_MS (30 * 1000)
#define FRESH_MS 2000
#define ASK_MS 10000
#define AT_ONCE 2000 /* records; then others have their turn */

enum stat {
	RECEIVED,  /* messages, from other servers */
	SUBMITTED, /* from our users */
	STORED,    /* for an account */
	RELAYED,   /* recipients, by the queue */
	DEFERRED,  /* attempts that are made again */
	REFUSED,   /* messages and recipients, for good */
	SIGNED_IN,
	SIGN_INS_FAILED,
	CONNECTIONS,
	QUEUED, /* in the queue, at the end of the minute */
	STATS,
};
static const char *const names[STATS] = { "received", "submitted", "stored",
	"relayed", "deferred", "refused", "signed_in", "sign_ins_failed",
	"connections", "queued" };

struct minute {
	int64_t at; /* since 1970; 0: nothing is known */
	uint32_t n[STATS];
	bool asked; /* n[QUEUED] is known */
};

static struct {
	struct minute minutes[MINUTES];
	struct why_rings rings;
	uint64_t inode[WHY_RINGS_MAX], end[WHY_RINGS_MAX];
	char *dir;
	struct co_mutex lock; /* of the rings */
	bool opened;
	int64_t looked_ms;
	struct co *watcher; /* NULL when it has ended */
	struct co_event ended;
} stats;

/* --- counting --- */

static struct minute *
minute_of(int64_t at)
{
	struct minute *m = &stats.minutes[at % MINUTES];

	if (m->at > at)
		return NULL; /* older than a day */
	if (m->at < at)
		*m = (struct minute){ .at = at };
	return m;
}

/* What a record counts as; STATS: nothing. */
static enum stat
kind_of(const char *program, const struct trace_record *r)
{
	bool good = r->code >= 200 && r->code < 300;
	bool door = strcmp(program, "mta") == 0 || strcmp(program, "msa") == 0;

	switch (r->kind) {
	case TRACE_MESSAGE:
		if (!door)
			return STATS;
		if (good)
			return program[1] == 't' ? RECEIVED : SUBMITTED;
		return r->code >= 500 ? REFUSED : STATS;
	case TRACE_RCPT:
	case TRACE_MAIL:
		return door && r->code >= 500 ? REFUSED : STATS;
	case TRACE_STORED:
		return good ? STORED : STATS;
	case TRACE_ATTEMPT:
		return good ? RELAYED : r->code < 500 ? DEFERRED : REFUSED;
	case TRACE_AUTH:
		return r->code >= 400 ? SIGN_INS_FAILED
		    : r->code >= 300  ? STATS
				      : SIGNED_IN;
	case TRACE_SESSION:
		return CONNECTIONS;
	default:
		return STATS;
	}
}

static void
count(const char *program, const struct trace_record *r)
{
	enum stat s = kind_of(program, r);
	struct minute *m;

	if (s != STATS &&
	    (m = minute_of(r->at_us / (60 * INT64_C(1000000)))) != NULL)
		m->n[s]++;
}

/* From where the last look ended; of a ring that is new to us, all of it. */
static int
read_ring(size_t i)
{
	struct trace_ring *ring = &stats.rings.v[i].ring;
	struct trace_record r;
	int rc = 0;

	if (stats.inode[i] != stats.rings.v[i].inode) {
		stats.inode[i] = stats.rings.v[i].inode;
		trace_ring_rewind(ring);
	} else {
		trace_ring_go_on(ring, stats.end[i]);
	}
	stats.end[i] = trace_ring_end(ring);
	for (unsigned n = 1; rc == 0 && trace_ring_next(ring, &r); n++) {
		count(ring->program, &r);
		if (n % AT_ONCE == 0)
			rc = co_sleep(1);
	}
	return rc;
}

static void
ask_queue(void)
{
	struct minute *m;
	struct buf err = BUF_INIT_MAX(500);
	json_t *j = NULL;

	if (program_ask(service_conf(), "qm.lmtp", "XQUEUE COUNT", ASK_MS, &j,
		&err) == 0 &&
	    (m = minute_of(clock_wall_s() / 60)) != NULL) {
		m->n[QUEUED] =
		    (uint32_t)json_integer_value(json_object_get(j, "total"));
		m->asked = true;
	}
	json_decref(j);
	buf_clear(&err);
}

/* 0, or a negative error: cancelled. */
static int
look(void)
{
	int rc = co_mutex_lock(&stats.lock, -1);

	if (rc != 0)
		return rc;
	if (!stats.opened)
		stats.opened = why_rings_open(&stats.rings, stats.dir) == 0;
	else
		(void)why_rings_look(&stats.rings);
	for (size_t i = 0; rc == 0 && stats.opened && i < stats.rings.n; i++)
		rc = read_ring(i);
	stats.looked_ms = clock_mono_ms();
	co_mutex_unlock(&stats.lock);
	return rc;
}

static void
watch(void *arg)
{
	(void)arg;
	while (look() == 0) {
		ask_queue();
		if (co_sleep(LOOK_MS) != 0)
			break;
	}
	stats.watcher = NULL;
	co_event_set(&stats.ended);
}

int
stats_start(const struct conf *conf)
{
	stats.dir = strdup(conf_file(conf, "trace.dir"));
	if (stats.dir != NULL)
		stats.watcher = co_spawn(watch, NULL);
	return stats.watcher != NULL ? 0 : -ENOMEM;
}

void
stats_stop(void)
{
	/* It may be waiting for a queue that does not answer. */
	if (stats.watcher != NULL) {
		co_cancel(stats.watcher);
		(void)co_event_wait(&stats.ended, -1);
	}
	why_rings_close(&stats.rings);
	free(stats.dir);
}

/* --- showing --- */

static json_t *
point(enum stat s, int64_t from, int step)
{
	bool known = s != QUEUED;
	json_int_t n = 0;

	for (int64_t at = from; at < from + step; at++) {
		const struct minute *m = &stats.minutes[at % MINUTES];

		if (m->at != at || (s == QUEUED && !m->asked))
			continue;
		known = true;
		n = s == QUEUED ? (json_int_t)m->n[s] : n + m->n[s];
	}
	return known ? json_integer(n) : json_null();
}

json_t *
stats_json(int minutes, int step)
{
	int64_t now = clock_wall_s() / 60 + 1, from;
	json_t *series;

	if (clock_mono_ms() - stats.looked_ms > FRESH_MS && look() != 0)
		return NULL;
	series = json_object();

	now += (step - now % step) % step;
	from = now - minutes;
	for (int s = 0; s < STATS; s++) {
		json_t *list = json_array();

		for (int64_t at = from; at < now; at += step)
			json_array_append_new(
			    list, point((enum stat)s, at, step));
		json_object_set_new(series, names[s], list);
	}
	return json_pack("{s:i, s:I, s:o}", "step_seconds", 60 * step, "from",
	    (json_int_t)(60 * from), "series", series);
}
