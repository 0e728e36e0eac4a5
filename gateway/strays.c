/* SPDX-License-Identifier: ISC */
#include "gateway/strays.h"

#include <errno.h>
#include <stdlib.h>

static int
stray_cmp(const void *a, const void *b)
{
	const struct stray *x = a, *y = b;

	return (x->print > y->print) - (x->print < y->print);
}

int
strays_find(
    struct here_box *boxes, size_t n_boxes, struct stray **out, size_t *n)
{
	size_t max = 1;

	*n = 0;
	for (size_t i = 0; i < n_boxes; i++)
		max += boxes[i].n;
	if ((*out = calloc(max, sizeof(**out))) == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n_boxes; i++)
		for (size_t k = 0; k < boxes[i].n; k++) {
			struct here_change *c = &boxes[i].v[k];

			if (!c->gone && !c->taken)
				(*out)[(*n)++] =
				    (struct stray){ c->print, &boxes[i], c };
		}
	qsort(*out, *n, sizeof(**out), stray_cmp);
	return 0;
}

/* The first with print >= that. */
static size_t
stray_at(const struct stray *v, size_t n, uint64_t print)
{
	size_t low = 0;

	while (low < n) {
		size_t mid = low + (n - low) / 2;

		if (v[mid].print < print)
			low = mid + 1;
		else
			n = mid;
	}
	return low;
}

const struct stray *
stray_take(const struct stray *v, size_t n, uint64_t print)
{
	for (size_t i = stray_at(v, n, print); i < n && v[i].print == print;
	     i++)
		if (!v[i].change->taken) {
			v[i].change->taken = true;
			return &v[i];
		}
	return NULL;
}

size_t
strays_like(
    const struct stray *v, size_t n, uint64_t like, const struct stray **only)
{
	size_t alike = 0;

	for (size_t i = stray_at(v, n, like);
	     i < n && print_like(v[i].print) == like; i++)
		if (!v[i].change->taken) {
			*only = &v[i];
			alike++;
		}
	return alike;
}
