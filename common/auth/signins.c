/* SPDX-License-Identifier: ISC */
#include "common/auth/signins.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "common/auth/shared_table.h"
#include "common/base/buf.h"
#include "common/base/clock.h"

struct entry {
	_Atomic uint64_t id;    /* 0: free */
	_Atomic uint64_t state; /* at_ms << 16 | n */
};
struct table {
	struct shared_table shared;
	struct entry entries[SIGNINS_KINDS][SIGNINS_SETS][SIGNINS_WAYS];
};
static const char magic[8] = "pneusg1";

struct signins {
	struct shared_table *shared; /* a struct table */
};

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2,
    "a lock beside the table would be of this process only");

struct signins *
signins_new(void)
{
	struct signins *s = calloc(1, sizeof(*s));

	if (s != NULL &&
	    (s->shared = shared_table_private(sizeof(struct table))) == NULL)
		signins_free(&s);
	return s;
}

void
signins_free(struct signins **s)
{
	if (*s != NULL)
		shared_table_unmap((*s)->shared, sizeof(struct table));
	free(*s);
	*s = NULL;
}

int
signins_share(struct signins *s, const char *dir)
{
	return shared_table_share(
	    &s->shared, dir, SIGNINS_FILE, magic, sizeof(struct table));
}

static struct table *
table_of(const struct signins *s)
{
	return (struct table *)s->shared;
}

/* --- ids --- */

uint64_t
signins_id(const struct signins *s, struct slice a, struct slice b)
{
	struct buf in = BUF_INIT_MAX(2048);
	uint64_t id;

	buf_put_slice(&in, slice_head(a, 512));
	buf_put_char(&in, '\0');
	buf_put_slice(&in, slice_head(b, 512));
	id = in.failed ? 1 : shared_table_id(s->shared, buf_slice(&in));
	buf_clear(&in);
	return id;
}

/* The set of an id; ids of addresses are no hashes. */
static struct entry *
set_of(const struct signins *s, enum signins_kind kind, uint64_t id)
{
	unsigned char octets[8];
	uint64_t hash = id;

	if (kind == SIGNINS_ADDRESS) {
		put_be64(octets, id);
		hash = signins_id(s, slice(octets, 8), SLICE_EMPTY);
	}
	return table_of(s)->entries[kind][hash % SIGNINS_SETS];
}

static struct entry *
find(const struct signins *s, enum signins_kind kind, uint64_t id)
{
	struct entry *set = set_of(s, kind, id);

	for (size_t i = 0; i < SIGNINS_WAYS; i++)
		if (atomic_load(&set[i].id) == id)
			return &set[i];
	return NULL;
}

/* --- counts --- */

static uint64_t
pack(struct signins_count c)
{
	return (uint64_t)c.at_ms << 16 | c.n;
}

static struct signins_count
unpack(uint64_t state, int64_t forget_ms, int64_t now_ms)
{
	struct signins_count c = { (int64_t)(state >> 16), state & 0xffff };
	int64_t gone;

	if (c.at_ms > now_ms)
		c.at_ms = now_ms;
	if (forget_ms <= 0)
		return c;
	gone = (now_ms - c.at_ms) / forget_ms;
	c.n -= gone >= c.n ? c.n : (uint32_t)gone;
	c.at_ms += gone * forget_ms;
	return c;
}

/* Whichever of two says less makes room: the lower count, then the older. */
static bool
says_less(struct entry *a, struct entry *b, int64_t forget_ms, int64_t now_ms)
{
	struct signins_count x, y;

	if (atomic_load(&a->id) == 0 || atomic_load(&b->id) == 0)
		return atomic_load(&b->id) != 0;
	x = unpack(atomic_load(&a->state), forget_ms, now_ms);
	y = unpack(atomic_load(&b->state), forget_ms, now_ms);
	return x.n != y.n ? x.n < y.n : x.at_ms < y.at_ms;
}

static struct entry *
make(struct signins *s, enum signins_kind kind, uint64_t id, int64_t forget_ms,
    int64_t now_ms)
{
	struct entry *set = set_of(s, kind, id), *e = set;

	for (size_t i = 1; i < SIGNINS_WAYS; i++)
		if (says_less(&set[i], e, forget_ms, now_ms))
			e = &set[i];
	/* Who has the old one in hand may count once in the new one. */
	atomic_store(&e->id, 0);
	atomic_store(&e->state, pack((struct signins_count){ now_ms, 0 }));
	atomic_store(&e->id, id);
	return e;
}

static struct entry *
find_or_make(struct signins *s, enum signins_kind kind, uint64_t id,
    int64_t forget_ms, int64_t now_ms)
{
	struct entry *e = find(s, kind, id);

	if (e != NULL)
		return e;
	shared_table_lock(s->shared);
	if ((e = find(s, kind, id)) == NULL)
		e = make(s, kind, id, forget_ms, now_ms);
	shared_table_unlock(s->shared);
	return e;
}

struct signins_count
signins_get(const struct signins *s, enum signins_kind kind, uint64_t id,
    int64_t forget_ms, int64_t now_ms)
{
	struct entry *e = find(s, kind, id);

	if (e == NULL)
		return (struct signins_count){ 0, 0 };
	return unpack(atomic_load(&e->state), forget_ms, now_ms);
}

uint32_t
signins_up(struct signins *s, enum signins_kind kind, uint64_t id, uint32_t max,
    int64_t forget_ms, int64_t now_ms)
{
	struct entry *e = find_or_make(s, kind, id, forget_ms, now_ms);
	uint64_t old = atomic_load(&e->state);
	struct signins_count c;
	uint32_t before;

	do {
		c = unpack(old, forget_ms, now_ms);
		before = c.n;
		if (c.n == 0)
			c.at_ms = now_ms;
		if (c.n < max && c.n < SIGNINS_COUNT_MAX)
			c.n++;
	} while (!atomic_compare_exchange_weak(&e->state, &old, pack(c)));
	return before;
}

void
signins_down(struct signins *s, enum signins_kind kind, uint64_t id)
{
	struct entry *e = find(s, kind, id);
	uint64_t old;

	if (e == NULL)
		return;
	old = atomic_load(&e->state);
	while ((old & 0xffff) != 0 &&
	    !atomic_compare_exchange_weak(&e->state, &old, old - 1))
		;
}

void
signins_note(struct signins *s, enum signins_kind kind, uint64_t id,
    int64_t min_ms, int64_t now_ms)
{
	struct entry *e = find(s, kind, id);
	struct signins_count old;

	if (e != NULL) {
		old = unpack(atomic_load(&e->state), 0, INT64_MAX);
		if (old.at_ms <= now_ms && now_ms - old.at_ms < min_ms)
			return;
	} else {
		e = find_or_make(s, kind, id, 0, now_ms);
	}
	atomic_store(&e->state, pack((struct signins_count){ now_ms, 0 }));
}

bool
signins_remove(struct signins *s, enum signins_kind kind, uint64_t id)
{
	struct entry *set = set_of(s, kind, id);
	bool found = false;
	uint64_t had;

	/* All of them: two at once may have made it twice. */
	for (size_t i = 0; i < SIGNINS_WAYS; i++) {
		had = id;
		if (atomic_compare_exchange_strong(&set[i].id, &had, 0))
			found = true;
	}
	return found;
}

uint64_t
signins_at(const struct signins *s, enum signins_kind kind, size_t i)
{
	struct entry *set = table_of(s)->entries[kind][i / SIGNINS_WAYS];

	return atomic_load(&set[i % SIGNINS_WAYS].id);
}
