/* SPDX-License-Identifier: ISC */
#include "common/auth/sent.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "common/auth/shared_table.h"
#include "common/base/buf.h"
#include "common/base/clock.h"

#define SETS 2048
#define WAYS 4

/* Windows, and in how many parts each is counted: one more than fit in, the
 * one that has partly passed. */
enum window { HOUR, DAY, WINDOWS };
#define HOUR_PARTS 13
#define DAY_PARTS 25
static const struct {
	int64_t part_s;
	unsigned parts;
} windows[WINDOWS] = { { 300, HOUR_PARTS }, { 3600, DAY_PARTS } };

static const struct {
	enum window window;
	bool recipients;
} kinds[SENT_LIMITS] = {
	[SENT_MESSAGES_HOUR] = { HOUR, false },
	[SENT_MESSAGES_DAY] = { DAY, false },
	[SENT_RECIPIENTS_HOUR] = { HOUR, true },
	[SENT_RECIPIENTS_DAY] = { DAY, true },
};
const struct sent_limit_name sent_limit_names[SENT_LIMITS] = {
	[SENT_MESSAGES_HOUR] = { "messages_per_hour", "messages an hour" },
	[SENT_MESSAGES_DAY] = { "messages_per_day", "messages a day" },
	[SENT_RECIPIENTS_HOUR] = { "recipients_per_hour",
	    "recipients an hour" },
	[SENT_RECIPIENTS_DAY] = { "recipients_per_day", "recipients a day" },
};

/* A part: its number since 1970 << 40 | messages << 20 | recipients. */
#define COUNT_BITS 20
#define COUNT_MAX ((1U << COUNT_BITS) - 1)

struct entry {
	_Atomic uint64_t id; /* 0: free */
	_Atomic uint64_t hour[HOUR_PARTS], day[DAY_PARTS];
};
struct table {
	struct shared_table shared;
	struct entry entries[SETS][WAYS];
};
static const char magic[8] = "pneusn1";

struct sent {
	struct shared_table *shared; /* a struct table */
};

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2,
    "a lock beside the table would be of this process only");
_Static_assert(SENT_LIMIT_MAX <= COUNT_MAX, "limits can be counted");

/* --- the table --- */

struct sent *
sent_new(void)
{
	struct sent *s = calloc(1, sizeof(*s));

	if (s != NULL &&
	    (s->shared = shared_table_private(sizeof(struct table))) == NULL)
		sent_free(&s);
	return s;
}

void
sent_free(struct sent **s)
{
	if (*s != NULL)
		shared_table_unmap((*s)->shared, sizeof(struct table));
	free(*s);
	*s = NULL;
}

int
sent_share(struct sent *s, const char *dir)
{
	return shared_table_share(
	    &s->shared, dir, SENT_FILE, magic, sizeof(struct table));
}

static struct table *
table_of(const struct sent *s)
{
	return (struct table *)s->shared;
}

static uint64_t
id_of(const struct sent *s, struct slice account)
{
	return shared_table_id(s->shared, account);
}

static struct entry *
find(const struct sent *s, uint64_t id)
{
	struct entry *set = table_of(s)->entries[id % SETS];

	for (size_t i = 0; i < WAYS; i++)
		if (atomic_load(&set[i].id) == id)
			return &set[i];
	return NULL;
}

/* The last part that it has counted in; 0: it is free. */
static uint64_t
last_used(struct entry *e)
{
	uint64_t last = 0;

	if (atomic_load(&e->id) == 0)
		return 0;
	for (size_t i = 0; i < DAY_PARTS; i++) {
		uint64_t part = atomic_load(&e->day[i]) >> (2 * COUNT_BITS);

		last = part > last ? part : last;
	}
	return last;
}

static struct entry *
make(struct sent *s, uint64_t id)
{
	struct entry *set = table_of(s)->entries[id % SETS], *e = set;

	for (size_t i = 1; i < WAYS; i++)
		if (last_used(&set[i]) < last_used(e))
			e = &set[i];
	/* Who has the old one in hand may count once in the new one. */
	atomic_store(&e->id, 0);
	for (size_t i = 0; i < HOUR_PARTS; i++)
		atomic_store(&e->hour[i], 0);
	for (size_t i = 0; i < DAY_PARTS; i++)
		atomic_store(&e->day[i], 0);
	atomic_store(&e->id, id);
	return e;
}

static struct entry *
find_or_make(struct sent *s, uint64_t id)
{
	struct entry *e = find(s, id);

	if (e != NULL)
		return e;
	shared_table_lock(s->shared);
	if ((e = find(s, id)) == NULL)
		e = make(s, id);
	shared_table_unlock(s->shared);
	return e;
}

/* --- parts --- */

static _Atomic uint64_t *
parts_of(struct entry *e, enum window w)
{
	return w == HOUR ? e->hour : e->day;
}

static uint64_t
part_at(enum window w, int64_t at_s)
{
	return (uint64_t)(at_s / windows[w].part_s);
}

static uint32_t
count_in(uint64_t word, bool recipients)
{
	return (uint32_t)(recipients ? word : word >> COUNT_BITS) & COUNT_MAX;
}

static uint32_t
moved(uint32_t count, uint32_t by, bool up)
{
	if (!up)
		return by > count ? 0 : count - by;
	return by > COUNT_MAX - count ? COUNT_MAX : count + by;
}

static void
count(struct entry *e, enum window w, int64_t at_s, uint32_t recipients,
    bool up)
{
	uint64_t part = part_at(w, at_s), old, new;
	_Atomic uint64_t *word = &parts_of(e, w)[part % windows[w].parts];

	old = atomic_load(word);
	do {
		uint64_t now = old >> (2 * COUNT_BITS) == part ? old : 0;

		if (now == 0 && !up)
			return;
		new = part << (2 * COUNT_BITS) |
		    (uint64_t)moved(count_in(now, false), 1, up)
			<< COUNT_BITS |
		    moved(count_in(now, true), recipients, up);
	} while (!atomic_compare_exchange_weak(word, &old, new));
}

/* What counts in the window, part by part from the oldest on. */
static uint32_t
window_sum(struct entry *e, enum sent_limit limit, int64_t now_s,
    uint32_t counts[DAY_PARTS])
{
	enum window w = kinds[limit].window;
	unsigned n = windows[w].parts;
	uint64_t now = part_at(w, now_s);
	uint32_t sum = 0;

	for (unsigned i = 0; i < n; i++) {
		uint64_t part = now + 1 + i - n, word;

		word = e == NULL ? 0
				 : atomic_load(&parts_of(e, w)[part % n]);
		counts[i] = word >> (2 * COUNT_BITS) == part
		    ? count_in(word, kinds[limit].recipients)
		    : 0;
		sum += counts[i];
	}
	return sum;
}

/* When so many parts have passed that `sum` is down to `room`. */
static int64_t
time_of_room(enum sent_limit limit, const uint32_t counts[DAY_PARTS],
    uint32_t sum, uint32_t room, int64_t now_s)
{
	enum window w = kinds[limit].window;
	unsigned i = 0;

	while (sum > room)
		sum -= counts[i++];
	return ((int64_t)part_at(w, now_s) + i) * windows[w].part_s;
}

/* `more` on top of what is counted. */
static bool
is_over(struct entry *e, enum sent_limit limit, uint32_t max, uint32_t more,
    int64_t now_s, struct sent_over *over)
{
	uint32_t counts[DAY_PARTS], sum;

	if (max == SENT_UNLIMITED)
		return false;
	sum = window_sum(e, limit, now_s, counts);
	if (more <= max && sum <= max - more)
		return false;
	*over = (struct sent_over){ limit, max, 0 };
	if (more <= max)
		over->again_s =
		    time_of_room(limit, counts, sum, max - more, now_s);
	return true;
}

/* Of several, the one that lasts longest is told. */
static bool
may(struct entry *e, sent_limits limits, uint32_t messages,
    uint32_t recipients, int64_t now_s, struct sent_over *over)
{
	struct sent_over one;
	bool any = false;

	for (enum sent_limit i = 0; i < SENT_LIMITS; i++) {
		uint32_t more = kinds[i].recipients ? recipients : messages;

		if (!is_over(e, i, limits[i], more, now_s, &one))
			continue;
		if (!any || one.again_s == 0 ||
		    (over->again_s != 0 && one.again_s > over->again_s))
			*over = one;
		any = true;
	}
	return !any;
}

/* --- the calls --- */

bool
sent_may(const struct sent *s, struct slice account, sent_limits limits,
    uint32_t recipients, int64_t now_s, struct sent_over *over)
{
	return may(find(s, id_of(s, account)), limits, 1, recipients, now_s,
	    over);
}

bool
sent_take(struct sent *s, struct slice account, sent_limits limits,
    uint32_t recipients, int64_t now_s, struct sent_count *c,
    struct sent_over *over)
{
	uint64_t id = id_of(s, account);
	struct entry *e = find_or_make(s, id);
	bool ok;

	if (recipients > SENT_LIMIT_MAX)
		recipients = SENT_LIMIT_MAX;
	/* How long to wait is told without it; counted first, then looked at:
	 * two at once may both be refused, never both get through. */
	if (!may(e, limits, 1, recipients, now_s, over))
		return false;
	*c = (struct sent_count){ id, now_s, recipients };
	for (enum window w = 0; w < WINDOWS; w++)
		count(e, w, now_s, recipients, true);
	if (!(ok = may(e, limits, 0, 0, now_s, over)))
		sent_give_back(s, c);
	return ok;
}

void
sent_give_back(struct sent *s, const struct sent_count *c)
{
	struct entry *e = find(s, c->id);

	for (enum window w = 0; w < WINDOWS && e != NULL; w++)
		count(e, w, c->at_s, c->recipients, false);
}

void
sent_get(const struct sent *s, struct slice account, int64_t now_s,
    uint32_t out[SENT_LIMITS])
{
	struct entry *e = find(s, id_of(s, account));
	uint32_t counts[DAY_PARTS];

	for (enum sent_limit i = 0; i < SENT_LIMITS; i++)
		out[i] = window_sum(e, i, now_s, counts);
}
