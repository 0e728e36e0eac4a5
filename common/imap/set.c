/* SPDX-License-Identifier: ISC */
#include "common/imap/set.h"

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
