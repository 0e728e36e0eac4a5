/* SPDX-License-Identifier: ISC */
/*
 * pneu why --follow. The rings have nothing to wait on, so they are looked at
 * a few times a second; each is read up to where it ended at the look before,
 * when all that stands there has surely been written.
 *
 * What answers is often not the first record of a message (a recipient comes
 * after the sender), so the last ones that did not answer are kept for a while.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "mgmt/commands.h"
#include "mgmt/why.h"

#define LOOK_US 200000
#define NAMES_KEPT 4096
#define RECORDS_KEPT 1024
#define NAME_MAX_LEN 31
#define BATCH_MEMORY ((size_t)256 << 20)

struct kept {
	struct arena arena;
	struct why_record record;
};

struct follow {
	const struct why_query *q;
	bool json;
	struct why_rings rings;
	uint64_t inode[WHY_RINGS_MAX], end[WHY_RINGS_MAX];
	/* Both are rings of their own: the newest replace the oldest. */
	char names[NAMES_KEPT][NAME_MAX_LEN + 1];
	size_t next_name;
	struct kept kept[RECORDS_KEPT];
	size_t next_kept;
	/* Of one look: */
	struct arena arena;
	struct why_record *v;
	size_t n, cap;
};

/* --- printing --- */

static void
print_text(const struct why_record *r)
{
	struct slice key = why_key(&r->r);
	struct buf b = BUF_INIT;

	why_time(r->r.at_us, true, &b);
	buf_printf(&b, "  %-8s ", r->program);
	why_text(key, &b);
	buf_printf(&b, "%*s ", key.n < ID_LEN ? (int)(ID_LEN - key.n) : 0, "");
	why_words(r, &b);
	if (r->r.took_us > 0) {
		buf_put_str(&b, "  [");
		why_duration(r->r.took_us, &b);
		buf_put_char(&b, ']');
	}
	puts(buf_str(&b));
	buf_clear(&b);
}

static void
print(const struct follow *f, const struct why_record *r)
{
	json_t *j;

	if (!f->json) {
		print_text(r);
		return;
	}
	j = why_json(r);
	json_dumpf(j, stdout, JSON_COMPACT);
	json_decref(j);
	putchar('\n');
}

/* --- what belongs to what was asked for --- */

static bool
is_followed(const struct follow *f, struct slice name)
{
	if (name.n == 0 || name.n > NAME_MAX_LEN)
		return false;
	for (size_t i = 0; i < NAMES_KEPT; i++)
		if (slice_eq_str(name, f->names[i]))
			return true;
	return false;
}

static void
keep_name(struct follow *f, struct slice name)
{
	char *to = f->names[f->next_name];

	if (name.n == 0 || name.n > NAME_MAX_LEN)
		return;
	memset(to, 0, NAME_MAX_LEN + 1);
	memcpy(to, name.p, name.n);
	f->next_name = (f->next_name + 1) % NAMES_KEPT;
}

/* What came before of a message that turns out to be of those. */
static void
print_kept(struct follow *f, struct slice name)
{
	for (size_t i = 0; i < RECORDS_KEPT; i++) {
		size_t at = (f->next_kept + i) % RECORDS_KEPT;
		struct kept *k = &f->kept[at];

		if (k->record.program == NULL ||
		    !slice_eq(why_key(&k->record.r), name))
			continue;
		print(f, &k->record);
		k->record.program = NULL;
	}
}

static void
follow_name(struct follow *f, struct slice name)
{
	if (name.n == 0 || is_followed(f, name))
		return;
	keep_name(f, name);
	print_kept(f, name);
}

static void
keep_record(struct follow *f, const struct why_record *r)
{
	struct kept *k = &f->kept[f->next_kept];

	arena_reset(&k->arena);
	if (!why_record_copy(&k->arena, &r->r, r->program, &k->record))
		k->record.program = NULL;
	f->next_kept = (f->next_kept + 1) % RECORDS_KEPT;
}

static void
tell(struct follow *f, const struct why_record *r)
{
	struct slice key = why_key(&r->r), link = r->r.field[TRACE_LINK];

	if (!why_query_matches(f->q, &r->r) && !is_followed(f, key) &&
	    !is_followed(f, link)) {
		keep_record(f, r);
		return;
	}
	if (f->q->what != WHY_ALL) {
		follow_name(f, key);
		follow_name(f, link);
	}
	print(f, r);
}

/* --- reading --- */

static bool
take(struct follow *f, const struct trace_record *r, const char *program)
{
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
	f->n++;
	return true;
}

static void
read_ring(struct follow *f, size_t i, bool is_first)
{
	struct trace_ring *ring = &f->rings.v[i].ring;
	struct trace_record r;

	if (f->inode[i] != f->rings.v[i].inode) { /* it is new to us */
		f->inode[i] = f->rings.v[i].inode;
		f->end[i] = trace_ring_end(ring);
		trace_ring_rewind(ring);
		if (is_first)
			ring->at = ring->head = f->end[i];
		return;
	}
	trace_ring_go_on(ring, f->end[i]);
	f->end[i] = trace_ring_end(ring);
	while (trace_ring_next(ring, &r))
		if (!take(f, &r, ring->program))
			break;
}

static int
by_time(const void *a, const void *b)
{
	const struct why_record *x = a, *y = b;

	return (x->r.at_us > y->r.at_us) - (x->r.at_us < y->r.at_us);
}

/* False: nobody reads what we print. */
static bool
look(struct follow *f, bool is_first)
{
	f->n = 0;
	for (size_t i = 0; i < f->rings.n; i++)
		read_ring(f, i, is_first);
	if (f->n > 1)
		qsort(f->v, f->n, sizeof(*f->v), by_time);
	for (size_t i = 0; i < f->n; i++)
		tell(f, &f->v[i]);
	arena_reset(&f->arena);
	return fflush(stdout) == 0;
}

int
why_follow(const char *dir, const struct why_query *q, bool json)
{
	struct follow *f = calloc(1, sizeof(*f));
	int rc;

	if (f == NULL)
		return EX_OSERR;
	f->q = q;
	f->json = json;
	f->arena = ARENA_INIT_MAX(BATCH_MEMORY);
	rc = why_rings_open(&f->rings, dir);
	if (rc == 0 && f->rings.rc != 0)
		rc = f->rings.rc;
	if (rc != 0) {
		complain("%s: %s", dir, strerror(-rc));
		free(f);
		return rc == -EACCES ? EX_NOPERM : EX_NOINPUT;
	}
	for (bool is_first = true; look(f, is_first); is_first = false) {
		usleep(LOOK_US);
		why_rings_look(&f->rings);
	}
	return EX_IOERR;
}
