/* SPDX-License-Identifier: ISC */
#include "common/imap/set.h"

#include <errno.h>

bool
imap_set_put(struct buf *b, const uint32_t *v, size_t n)
{
	for (size_t i = 0, last; i < n; i = last + 1) {
		for (last = i; last + 1 < n && v[last + 1] == v[last] + 1;)
			last++;
		if (i > 0)
			buf_put_char(b, ',');
		buf_put_u64(b, v[i]);
		if (last > i) {
			buf_put_char(b, ':');
			buf_put_u64(b, v[last]);
		}
	}
	return !b->failed;
}

int
imap_set_next(struct slice *set, uint32_t *from, uint32_t *to)
{
	struct slice range, first;
	uint64_t a, b;

	if (set->n == 0)
		return 0;
	range = slice_split(set, ',');
	if (set->n == 0 && set->p > range.p + range.n)
		return -EINVAL; /* it ends with a comma */
	first = slice_split(&range, ':');
	if (slice_u64(first, UINT32_MAX, &a) != 0 || a == 0)
		return -EINVAL;
	b = a;
	if (range.p > first.p + first.n &&
	    (slice_u64(range, UINT32_MAX, &b) != 0 || b == 0))
		return -EINVAL;
	/* RFC 3501 9: in either order. */
	*from = (uint32_t)(a < b ? a : b);
	*to = (uint32_t)(a < b ? b : a);
	return 1;
}
