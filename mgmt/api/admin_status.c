/* SPDX-License-Identifier: ISC */
/* /admin/status: does each program answer. /admin/why: what became of a message. */
#include <errno.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "mgmt/api/manage_impl.h"
#include "mgmt/api/stats.h"
#include "mgmt/directory.h"
#include "mgmt/health.h"
#include "mgmt/why.h"

#define TEXT_MAX 500
#define JOURNEYS 20
#define JOURNEYS_MAX 100
#define RECORDS_MAX 2000 /* of an answer */

int
admin_status_get(struct manage_call *c)
{
	struct slice v = SLICE_EMPTY;
	const struct health *h;
	uint64_t minutes = 60;
	json_t *j;

	if (!http_head_query(&c->x->head, "minutes", &v) ||
	    (v.p != NULL &&
		(slice_u64(v, 1440, &minutes) != 0 || minutes < 10)))
		return manage_problem(c, "bad-value", "minutes is 10 to 1440");
	if ((h = health_now(c->env->conf)) == NULL)
		return manage_problem(c, "try-later", NULL);
	j = health_json(h);
	json_object_set_new(j, "version", json_string(PNEU_VERSION));
	json_object_set_new(j, "hostname", json_string(service_hostname()));
	/* Some 72 points are what a graph can show. */
	json_object_set_new(
	    j, "stats", stats_json((int)minutes, (int)(minutes + 71) / 72));
	return manage_json(c, 200, j);
}

/* --- why --- */

static json_t *
record_json(const struct why_record *r)
{
	struct buf b = BUF_INIT_MAX(4096);
	json_t *j = why_json(r);

	why_words(r, &b);
	json_object_set_new(j, "words", json_string(buf_str(&b)));
	buf_clear(&b);
	return j;
}

static json_t *
journey_json(const struct why_record *r, size_t n)
{
	struct buf b = BUF_INIT_MAX(4096);
	json_t *records = json_array(), *j;

	for (size_t i = 0; i < n && i < RECORDS_MAX; i++)
		json_array_append_new(records, record_json(&r[i]));
	why_headline(r, n, &b);
	j = json_pack("{s:s, s:b, s:o}", "headline", buf_str(&b), "cut",
	    n > RECORDS_MAX, "records", records);
	buf_clear(&b);
	return j;
}

static json_t *
found_json(const struct why_found *f)
{
	json_t *all = json_array();

	for (size_t i = 0, n; i < f->n; i += n) {
		for (n = 1;
		     i + n < f->n && f->v[i + n].journey == f->v[i].journey;
		     n++)
			continue;
		json_array_append_new(all, journey_json(&f->v[i], n));
	}
	return json_pack("{s:o, s:I, s:b}", "journeys", all, "older",
	    (json_int_t)f->n_left, "cut", f->cut);
}

static int
answer(struct manage_call *c, const struct why_query *q, size_t limit)
{
	struct why_rings *rings = calloc(1, sizeof(*rings));
	struct why_found found = { 0 };
	int rc = rings == NULL
	    ? -ENOMEM
	    : why_rings_open(rings, conf_file(c->env->conf, "trace.dir"));

	if (rc == -ENOENT)
		rc = 0; /* no program has run: nothing is found */
	if (rc == 0)
		rc = why_collect(rings, q, limit, &found);
	if (rc == 0) {
		rc = manage_json(c, 200, found_json(&found));
		why_found_clear(&found);
	}
	if (rings != NULL)
		why_rings_close(rings);
	free(rings);
	return rc;
}

int
admin_why_get(struct manage_call *c)
{
	struct slice about = SLICE_EMPTY, since = SLICE_EMPTY,
		     last = SLICE_EMPTY;
	struct why_query q;
	uint64_t limit = JOURNEYS;
	const char *text;

	if (!http_head_query(&c->x->head, "about", &about) ||
	    !http_head_query(&c->x->head, "since", &since) ||
	    !http_head_query(&c->x->head, "last", &last) ||
	    about.n > TEXT_MAX || since.n > TEXT_MAX)
		return manage_problem(c, "bad-value", NULL);
	if (last.p != NULL &&
	    (slice_u64(last, JOURNEYS_MAX, &limit) != 0 || limit == 0))
		return manage_problem(c, "bad-value", "last is 1 to 100");
	text = about.n > 0 ? arena_strdup(c->a, about) : NULL;
	if (why_query_parse(&q, c->a, text) != 0)
		return -ENOMEM;
	if (since.n > 0 &&
	    why_since_parse(
		arena_strdup(c->a, since), clock_wall_us(), &q.since_us) != 0)
		return manage_problem(c, "bad-value",
		    "since is like 15m, 2h, 3d, or 2026-11-28 12:30 in UTC");
	return answer(c, &q, limit);
}
