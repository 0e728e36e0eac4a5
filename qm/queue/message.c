/* SPDX-License-Identifier: ISC */
/* A message of the queue in memory. */
#include <stdlib.h>
#include <string.h>

#include "qm/queue/internal.h"

/* A thousand recipients with their last outcomes fit several times over. */
#define ARENA_MAX ((size_t)32 << 20)
#define DIAGNOSTIC_MAX 400

struct queue_message *
queue_message_new(void)
{
	struct queue_message *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return NULL;
	m->arena = ARENA_INIT_MAX(ARENA_MAX);
	m->arrival_ms = m->due_ms = clock_wall_ms();
	m->from = m->envid = m->trace = m->wishes.hold = SLICE_EMPTY;
	return m;
}

void
queue_message_free(struct queue_message **out)
{
	struct queue_message *m = *out;

	if (m == NULL)
		return;
	*out = NULL;
	arena_reset(&m->arena);
	buf_clear(&m->row);
	free(m->rcpts);
	free(m);
}

struct queue_rcpt *
queue_message_slot(struct queue_message *m)
{
	size_t cap = m->cap_rcpts == 0 ? 4 : m->cap_rcpts * 2;
	struct queue_rcpt **rcpts;

	if (m->n_rcpts == QUEUE_RCPTS_MAX)
		return NULL;
	if (m->n_rcpts == m->cap_rcpts) {
		rcpts = realloc(m->rcpts, cap * sizeof(struct queue_rcpt *));
		if (rcpts == NULL)
			return NULL;
		m->rcpts = rcpts;
		m->cap_rcpts = cap;
	}
	m->rcpts[m->n_rcpts] = arena_alloc(&m->arena, sizeof(**m->rcpts));
	if (m->rcpts[m->n_rcpts] == NULL)
		return NULL;
	return m->rcpts[m->n_rcpts++];
}

struct queue_rcpt *
queue_message_add(struct queue_message *m, struct slice address,
    unsigned notify, struct slice orcpt)
{
	struct queue_rcpt r = { .notify = notify, .changes = 1 }, *added;

	r.address = arena_dup(&m->arena, address);
	r.orcpt = arena_dup(&m->arena, orcpt);
	r.diagnostic = r.remote = SLICE_EMPTY;
	if (r.address.p == NULL || r.orcpt.p == NULL ||
	    (added = queue_message_slot(m)) == NULL)
		return NULL;
	r.index = m->next_index++;
	*added = r;
	return added;
}

void
queue_rcpt_touch(struct queue_rcpt *r)
{
	r->changes++;
}

bool
queue_rcpt_is_dirty(const struct queue_rcpt *r)
{
	if (r->state == QUEUE_DONE)
		return r->in_store;
	return !r->in_store || r->changes != r->stored;
}

/* One line of printable text; the server said it, reports and terminals are
 * where it goes. UTF-8 passes (RFC 6531 3.7.4.1). */
static struct slice
printable(struct arena *a, struct slice s)
{
	struct slice copy = arena_dup(a, slice_head(s, DIAGNOSTIC_MAX));
	char *p = (char *)copy.p;

	for (size_t i = 0; i < copy.n; i++)
		if ((unsigned char)p[i] < ' ' || p[i] == 127)
			p[i] = ' ';
	return copy;
}

bool
queue_rcpt_set(struct queue_message *m, struct queue_rcpt *r,
    enum queue_rcpt_state state, const char *status, struct slice diagnostic,
    struct slice remote)
{
	struct slice d = printable(&m->arena, diagnostic);
	struct slice h = printable(&m->arena, remote);
	size_t n = strnlen(status, sizeof(r->status) - 1);

	r->state = state;
	r->attempted_s = clock_wall_s();
	memcpy(r->status, status, n);
	r->status[n] = '\0';
	r->diagnostic = d.p == NULL ? SLICE_EMPTY : d;
	r->remote = h.p == NULL ? SLICE_EMPTY : h;
	queue_rcpt_touch(r);
	return d.p != NULL && h.p != NULL;
}

size_t
queue_message_count(const struct queue_message *m, enum queue_rcpt_state state)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n_rcpts; i++)
		n += m->rcpts[i]->state == state;
	return n;
}

int64_t
queue_message_since_ms(const struct queue_message *m)
{
	return m->wishes.release_ms > m->arrival_ms ? m->wishes.release_ms
						    : m->arrival_ms;
}
