/* SPDX-License-Identifier: ISC */
#include "mailbox/door/seen.h"

#include <errno.h>
#include <stdlib.h>

#define FIRST 256 /* slots; a power of 2, as every size of the table */

struct seen_slot {
	uint64_t fingerprint;
	uint32_t times; /* 0: the slot is free */
};

/* Where it is, or where it goes: there always is a free slot. */
static struct seen_slot *
slot_of(const struct seen *s, uint64_t fingerprint)
{
	size_t at = (size_t)fingerprint & (s->cap - 1);

	while (s->v[at].times != 0 && s->v[at].fingerprint != fingerprint)
		at = (at + 1) & (s->cap - 1);
	return &s->v[at];
}

static int
grow(struct seen *s)
{
	size_t cap = s->cap == 0 ? FIRST : s->cap * 2;
	struct seen old = *s;

	if ((s->v = calloc(cap, sizeof(*s->v))) == NULL) {
		*s = old;
		return -ENOMEM;
	}
	s->cap = cap;
	for (size_t i = 0; i < old.cap; i++)
		if (old.v[i].times != 0)
			*slot_of(s, old.v[i].fingerprint) = old.v[i];
	free(old.v);
	return 0;
}

int
seen_count(struct seen *s, uint64_t fingerprint, uint32_t *times)
{
	struct seen_slot *slot;
	int rc;

	if (s->n >= s->cap / 4 * 3 && (rc = grow(s)) != 0)
		return rc;
	slot = slot_of(s, fingerprint);
	if (slot->times == 0)
		s->n++;
	slot->fingerprint = fingerprint;
	*times = slot->times++;
	return 0;
}

void
seen_clear(struct seen *s)
{
	free(s->v);
	*s = (struct seen){ 0 };
}
