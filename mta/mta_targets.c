/* SPDX-License-Identifier: ISC */
/* From guard's replies to the list of addresses that a message goes to. */
#include "mta/mta.h"

#include <errno.h>
#include <stdlib.h>

/* "<path> local" or "<path> relay"; without a word, qm finds out. */
static int
target_of_line(struct arena *a, struct slice line, struct mta_target *out)
{
	struct smtp_path path;
	size_t used;
	ssize_t at = slice_find(line, '<');

	if (at < 0)
		return -EPROTO;
	line = slice_from(line, (size_t)at);
	if (smtp_path_parse(a, line, &path, &used) != 0 || path.text.n == 0)
		return -EPROTO;
	out->address = path.text;
	out->relay = !slice_starts(slice_trim(slice_from(line, used)), "local");
	return 0;
}

int
mta_targets_of_251(struct arena *a, const struct smtp_reply *r,
    struct slice orcpt, unsigned notify, struct mta_target *out, size_t *n,
    size_t max)
{
	struct slice rest = r->text;
	size_t before = *n;

	while (rest.n > 0) {
		struct slice line = slice_split(&rest, '\n');
		struct mta_target t = { .orcpt = orcpt, .notify = notify };
		int rc = target_of_line(a, line, &t);

		if (rc != 0)
			return rc;
		if (*n == max)
			return -E2BIG;
		out[(*n)++] = t;
	}
	return *n == before ? -EPROTO : 0;
}

static int
target_cmp(const void *a, const void *b)
{
	const struct mta_target *x = a, *y = b;

	if (x->relay != y->relay)
		return x->relay ? -1 : 1;
	return slice_cmp(x->address, y->address);
}

struct mta_target *
mta_targets_find(
    struct mta_target *t, size_t n, const struct mta_target *like)
{
	return n == 0 ? NULL : bsearch(like, t, n, sizeof(*t), target_cmp);
}

size_t
mta_targets_unique(struct mta_target *t, size_t n)
{
	size_t kept = 0;

	if (n > 1)
		qsort(t, n, sizeof(*t), target_cmp);
	for (size_t i = 0; i < n; i++)
		if (kept == 0 || !slice_eq(t[kept - 1].address, t[i].address))
			t[kept++] = t[i];
	return kept;
}
