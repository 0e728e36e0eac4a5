/* SPDX-License-Identifier: ISC */
#include "mailbox/imap/imap_set.h"

#include <errno.h>
#include <stdlib.h>

/* seq-number: nz-number or "*" */
static int
parse_end(struct slice in, uint32_t *out)
{
	uint64_t v;

	if (slice_eq_str(in, "*")) {
		*out = 0;
		return 0;
	}
	if (slice_u64(in, UINT32_MAX, &v) != 0 || v == 0)
		return -EINVAL;
	*out = (uint32_t)v;
	return 0;
}

static int
parse_range(struct slice in, struct imap_range *out)
{
	ssize_t colon = slice_find(in, ':');
	struct slice lo = in, hi = in;

	if (colon >= 0) {
		lo = slice_head(in, (size_t)colon);
		hi = slice_from(in, (size_t)colon + 1);
	}
	if (parse_end(lo, &out->lo) != 0 || parse_end(hi, &out->hi) != 0)
		return -EINVAL;
	return 0;
}

int
imap_set_parse(struct arena *a, struct slice in, struct imap_set *out)
{
	struct imap_set s = { .n = 0 };
	size_t n = 1;

	for (size_t i = 0; i < in.n; i++)
		n += in.p[i] == ',';
	if ((s.v = arena_array(a, n, sizeof(*s.v))) == NULL)
		return -ENOMEM;
	for (; s.n < n; s.n++)
		if (parse_range(slice_split(&in, ','), &s.v[s.n]) != 0)
			return -EINVAL;
	*out = s;
	return 0;
}

static int
compare(const void *x, const void *y)
{
	const struct imap_range *a = x, *b = y;

	return (a->lo > b->lo) - (a->lo < b->lo);
}

void
imap_set_resolve(struct imap_set *s, uint32_t star)
{
	size_t last = 0;

	for (size_t i = 0; i < s->n; i++) {
		struct imap_range *r = &s->v[i];
		uint32_t lo = r->lo == 0 ? star : r->lo;
		uint32_t hi = r->hi == 0 ? star : r->hi;

		r->lo = lo < hi ? lo : hi;
		r->hi = lo < hi ? hi : lo;
	}
	if (s->n == 0)
		return;
	qsort(s->v, s->n, sizeof(*s->v), compare);
	for (size_t i = 1; i < s->n; i++) {
		struct imap_range *r = &s->v[last];

		if (r->hi == UINT32_MAX || s->v[i].lo <= r->hi + 1) {
			if (s->v[i].hi > r->hi)
				r->hi = s->v[i].hi;
		} else {
			s->v[++last] = s->v[i];
		}
	}
	s->n = last + 1;
}

bool
imap_set_has(const struct imap_set *s, uint32_t n)
{
	size_t lo = 0, hi = s->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (n < s->v[mid].lo)
			hi = mid;
		else if (n > s->v[mid].hi)
			lo = mid + 1;
		else
			return true;
	}
	return false;
}

uint64_t
imap_set_count(const struct imap_set *s)
{
	uint64_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		n += (uint64_t)s->v[i].hi - s->v[i].lo + 1;
	return n;
}
