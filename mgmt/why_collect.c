/* SPDX-License-Identifier: ISC */
/*
 * From the rings to journeys. Rings may be large, so they are read several
 * times and only what is shown is kept: first the names of what answers, then
 * their records, then the sign-ins of the connections they came by.
 *
 * A name is the id of a message or, for what belongs to none, of a connection.
 * Names that a record links (a message and the report about it) are one
 * journey.
 */
#include <errno.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "mgmt/why.h"

#define NAMES_MAX ((size_t)1 << 18)
#define LINKS_MAX ((size_t)1 << 18)
#define RECORDS_MEMORY ((size_t)512 << 20)
#define NAME_MAX_LEN 31

/* --- names --- */

struct name {
	char text[NAME_MAX_LEN + 1]; /* "": free */
	int64_t last_us;             /* of a record that answers; 0: of none */
	size_t parent;               /* itself: the root of a journey */
	size_t journey;              /* of a root, once chosen: from 1 on */
	bool has_message;            /* a connection: told with it */
	bool is_told_elsewhere;      /* that message is shown */
};

struct link {
	char a[NAME_MAX_LEN + 1], b[NAME_MAX_LEN + 1];
};

struct collection {
	const struct why_query *q;
	struct why_rings *rings;
	struct name *names;
	size_t n_names;
	bool is_thinned; /* older names have gone */
	bool is_joined; /* names have parents: the table stays as it is */
	struct link *links;
	size_t n_links, next_link; /* the newest take the place of the oldest */
	struct why_found *out;
};

static struct name *
name_place(struct name *names, const char *text, size_t n)
{
	size_t h = 0xcbf29ce484222325;

	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)text[i]) * 0x100000001b3;
	for (h >>= 20;; h++) {
		struct name *at = &names[h % NAMES_MAX];

		if (at->text[0] == '\0' ||
		    (strncmp(at->text, text, n) == 0 && at->text[n] == '\0'))
			return at;
	}
}

/* NULL: not there. */
static struct name *
name_find(struct collection *c, struct slice text)
{
	struct name *at;

	if (text.n == 0 || text.n > NAME_MAX_LEN || *text.p == '\0')
		return NULL;
	at = name_place(c->names, text.p, text.n);
	return at->text[0] == '\0' ? NULL : at;
}

/* The newest first. */
static int
by_time(const void *a, const void *b)
{
	const struct name *x = a, *y = b;

	if (x->last_us != y->last_us)
		return x->last_us < y->last_us ? 1 : -1;
	return strcmp(y->text, x->text); /* ids sort by time, too */
}

/* The table is half full: the older half of it goes. */
static int
names_thin(struct collection *c)
{
	struct name *old = c->names;
	struct name *names = calloc(NAMES_MAX, sizeof(*names));

	if (names == NULL)
		return -ENOMEM;
	qsort(old, NAMES_MAX, sizeof(*old), by_time);
	for (size_t i = 0; i < NAMES_MAX / 4; i++)
		*name_place(names, old[i].text, strlen(old[i].text)) = old[i];
	free(old);
	c->names = names;
	c->n_names = NAMES_MAX / 4;
	c->is_thinned = true;
	return 0;
}

/* Found, or made; NULL: out of memory, or no name. */
static struct name *
name_get(struct collection *c, struct slice text)
{
	struct name *at;

	if (text.n == 0 || text.n > NAME_MAX_LEN || *text.p == '\0')
		return NULL;
	if (c->is_joined && c->n_names >= NAMES_MAX / 4 * 3)
		return NULL;
	if (!c->is_joined && c->n_names >= NAMES_MAX / 2 && names_thin(c) != 0)
		return NULL;
	at = name_place(c->names, text.p, text.n);
	if (at->text[0] == '\0') {
		memcpy(at->text, text.p, text.n);
		c->n_names++;
	}
	return at;
}

static void
link_note(struct collection *c, struct slice a, struct slice b)
{
	struct link *l = &c->links[c->next_link];

	if (a.n == 0 || a.n > NAME_MAX_LEN || b.n == 0 || b.n > NAME_MAX_LEN)
		return;
	*l = (struct link){ 0 };
	memcpy(l->a, a.p, a.n);
	memcpy(l->b, b.p, b.n);
	c->next_link = (c->next_link + 1) % LINKS_MAX;
	if (c->n_links < LINKS_MAX)
		c->n_links++;
}

static struct name *
root_of(struct collection *c, struct name *of)
{
	while (of->parent != (size_t)(of - c->names)) {
		of->parent = c->names[of->parent].parent;
		of = &c->names[of->parent];
	}
	return of;
}

static void
names_join(struct collection *c)
{
	c->is_joined = true;
	for (size_t i = 0; i < NAMES_MAX; i++)
		c->names[i].parent = i;
	for (size_t i = 0; i < c->n_links; i++) {
		struct name *a = name_get(c, slice_str(c->links[i].a));
		struct name *b = name_get(c, slice_str(c->links[i].b));

		if (a == NULL || b == NULL)
			continue;
		a = root_of(c, a);
		b = root_of(c, b);
		if (a == b)
			continue;
		if (a->last_us < b->last_us)
			a->last_us = b->last_us;
		b->parent = (size_t)(a - c->names);
	}
}

/* --- the first reading: what answers --- */

struct slice
why_key(const struct trace_record *r)
{
	return r->field[TRACE_ID].n > 0 ? r->field[TRACE_ID]
					: r->field[TRACE_CONN];
}

static int
names_read(struct collection *c)
{
	struct trace_record r;

	for (size_t i = 0; i < c->rings->n; i++) {
		struct trace_ring *ring = &c->rings->v[i].ring;

		trace_ring_rewind(ring);
		while (trace_ring_next(ring, &r)) {
			struct name *name;

			if (r.field[TRACE_LINK].n > 0)
				link_note(
				    c, r.field[TRACE_ID], r.field[TRACE_LINK]);
			if (!why_query_matches(c->q, &r) ||
			    why_key(&r).n == 0)
				continue;
			if ((name = name_get(c, why_key(&r))) == NULL)
				return -ENOMEM;
			if (name->last_us < r.at_us)
				name->last_us = r.at_us;
			if (r.field[TRACE_ID].n > 0 &&
			    (name = name_get(c, r.field[TRACE_CONN])) != NULL)
				name->has_message = true;
		}
	}
	return 0;
}

/* The journeys that are shown: the newest `limit`. */
static int
journeys_choose(struct collection *c, size_t limit)
{
	struct name *roots = calloc(c->n_names + 1, sizeof(*roots));
	size_t n = 0;

	if (roots == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < NAMES_MAX; i++)
		if (c->names[i].last_us > 0 && c->names[i].parent == i &&
		    !c->names[i].has_message)
			roots[n++] = c->names[i];
	if (n > 1)
		qsort(roots, n, sizeof(*roots), by_time);
	if (limit == 0 || limit > n)
		limit = n;
	c->out->n_left = n - limit;
	for (size_t i = 0; i < limit; i++)
		c->names[roots[i].parent].journey = i + 1;
	free(roots);
	return 0;
}

/* --- the second and the third: their records --- */

bool
why_record_copy(struct arena *a, const struct trace_record *r,
    const char *program, struct why_record *out)
{
	*out = (struct why_record){ .r = *r, .program = program };
	for (int i = 0; i < TRACE_FIELDS; i++) {
		if (r->field[i].p == NULL)
			continue;
		out->r.field[i] = arena_dup(a, r->field[i]);
		if (out->r.field[i].p == NULL)
			return false;
	}
	return true;
}

static bool
record_keep(struct collection *c, const struct trace_record *r,
    const char *program, size_t journey)
{
	struct why_found *f = c->out;

	if (f->n == f->cap) {
		size_t cap = f->cap == 0 ? 256 : f->cap * 2;
		struct why_record *v = realloc(f->v, cap * sizeof(*v));

		if (v == NULL)
			return false;
		f->v = v;
		f->cap = cap;
	}
	if (!why_record_copy(&f->arena, r, program, &f->v[f->n]))
		return false;
	f->v[f->n++].journey = journey;
	return true;
}

static size_t
journey_of(struct collection *c, struct slice key)
{
	struct name *name = name_find(c, key);

	return name == NULL ? 0 : root_of(c, name)->journey;
}

/* Of messages, or of all that belongs to none. */
static bool
records_read(struct collection *c, bool of_messages)
{
	struct trace_record r;

	for (size_t i = 0; i < c->rings->n; i++) {
		struct trace_ring *ring = &c->rings->v[i].ring;

		trace_ring_rewind(ring);
		while (trace_ring_next(ring, &r)) {
			size_t journey;

			if ((r.field[TRACE_ID].n > 0) != of_messages)
				continue;
			journey = journey_of(c, why_key(&r));
			if (journey != 0 &&
			    !record_keep(c, &r, ring->program, journey))
				return false;
		}
	}
	return true;
}

/* Sign-ins and ends of sessions are told with the first message that came by
 * the connection. */
static void
connections_join(struct collection *c)
{
	for (size_t i = 0; i < c->out->n; i++) {
		const struct why_record *r = &c->out->v[i];
		struct name *name = name_get(c, r->r.field[TRACE_CONN]);

		/* Journeys are numbered from the newest on. */
		if (name == NULL ||
		    (name->is_told_elsewhere && name->journey >= r->journey))
			continue;
		name->is_told_elsewhere = true;
		name->journey = r->journey;
	}
}

/* --- in order --- */

static int
by_journey_and_time(const void *a, const void *b)
{
	const struct why_record *x = a, *y = b;

	if (x->journey != y->journey)
		return x->journey > y->journey ? 1 : -1;
	return (x->r.at_us > y->r.at_us) - (x->r.at_us < y->r.at_us);
}

struct start {
	size_t journey;
	int64_t at_us;
};

static int
by_start(const void *a, const void *b)
{
	const struct start *x = a, *y = b;

	if (x->at_us != y->at_us)
		return x->at_us > y->at_us ? 1 : -1;
	return (x->journey < y->journey) - (x->journey > y->journey);
}

/* Numbered anew by when they began. */
static int
journeys_sort(struct why_found *f)
{
	struct start *v = calloc(f->n + 1, sizeof(*v));
	size_t *to = NULL, n = 0, most = 0;

	if (v == NULL)
		return -ENOMEM;
	qsort(f->v, f->n, sizeof(*f->v), by_journey_and_time);
	for (size_t i = 0; i < f->n; i++) {
		if (f->v[i].journey > most)
			most = f->v[i].journey;
		if (i == 0 || f->v[i].journey != f->v[i - 1].journey)
			v[n++] = (struct start){ f->v[i].journey,
				f->v[i].r.at_us };
	}
	qsort(v, n, sizeof(*v), by_start);
	if ((to = calloc(most + 1, sizeof(*to))) == NULL) {
		free(v);
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++)
		to[v[i].journey] = i + 1;
	for (size_t i = 0; i < f->n; i++)
		f->v[i].journey = to[f->v[i].journey];
	free(to);
	free(v);
	qsort(f->v, f->n, sizeof(*f->v), by_journey_and_time);
	return 0;
}

/* --- the whole --- */

static int
collect(struct collection *c, size_t limit)
{
	int rc = names_read(c);

	if (rc != 0)
		return rc;
	names_join(c);
	if ((rc = journeys_choose(c, limit)) != 0)
		return rc;
	if (!records_read(c, true))
		c->out->cut = true;
	connections_join(c);
	if (!c->out->cut && !records_read(c, false))
		c->out->cut = true;
	/* Who asks for the newest has them. */
	if (limit == 0 && c->is_thinned)
		c->out->cut = true;
	return c->out->n == 0 ? 0 : journeys_sort(c->out);
}

int
why_collect(struct why_rings *rings, const struct why_query *q, size_t limit,
    struct why_found *out)
{
	struct collection c = { .q = q, .rings = rings, .out = out };
	int rc = -ENOMEM;

	*out = (struct why_found){ .arena = ARENA_INIT_MAX(RECORDS_MEMORY) };
	c.names = calloc(NAMES_MAX, sizeof(*c.names));
	c.links = calloc(LINKS_MAX, sizeof(*c.links));
	if (c.names != NULL && c.links != NULL)
		rc = collect(&c, limit);
	free(c.names);
	free(c.links);
	return rc;
}

void
why_found_clear(struct why_found *f)
{
	free(f->v);
	arena_reset(&f->arena);
	*f = (struct why_found){ 0 };
}
