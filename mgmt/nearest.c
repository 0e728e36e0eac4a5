/* SPDX-License-Identifier: ISC */
#include "mgmt/nearest.h"

#include <string.h>

#include "common/base/slice.h"

#define LEN_MAX 320

/* Levenshtein's, with a swap of neighbours as one edit; case is none. */
static size_t
edit_distance(struct slice a, struct slice b)
{
	unsigned short rows[3][LEN_MAX + 1];
	unsigned short *before = rows[0], *above = rows[1], *row = rows[2], *t;

	for (size_t j = 0; j <= b.n; j++)
		above[j] = (unsigned short)j;
	memset(before, 0, sizeof(rows[0]));
	for (size_t i = 1; i <= a.n; i++) {
		char ca = ascii_lower(a.p[i - 1]);

		row[0] = (unsigned short)i;
		for (size_t j = 1; j <= b.n; j++) {
			char cb = ascii_lower(b.p[j - 1]);
			int best = above[j - 1] + (ca != cb);

			if (above[j] + 1 < best)
				best = above[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			if (i > 1 && j > 1 && ca != cb &&
			    ca == ascii_lower(b.p[j - 2]) &&
			    cb == ascii_lower(a.p[i - 2]) &&
			    before[j - 2] + 1 < best)
				best = before[j - 2] + 1;
			row[j] = (unsigned short)best;
		}
		t = before;
		before = above;
		above = row;
		row = t;
	}
	return above[b.n];
}

struct nearest
nearest_to(const char *name)
{
	size_t n = strlen(name);

	/* Beyond a third of it, it is another name. */
	return (struct nearest){ name, NULL, n / 3 < 4 ? n / 3 + 1 : 5 };
}

void
nearest_try(struct nearest *n, const char *candidate)
{
	struct slice a = slice_str(n->to), b = slice_str(candidate);
	size_t d;

	if (a.n > LEN_MAX || b.n > LEN_MAX)
		return;
	d = edit_distance(a, b);
	if (d > 0 && d < n->distance) {
		n->distance = d;
		n->found = candidate;
	}
}
