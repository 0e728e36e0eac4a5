/* SPDX-License-Identifier: ISC */
/* "Did you mean ...?": the candidate that is fewest edits away. */
#ifndef PNEU_MGMT_NEAREST_H
#define PNEU_MGMT_NEAREST_H

#include <stddef.h>

struct nearest {
	const char *to;
	const char *found; /* NULL: none is near enough */
	size_t distance;
};

struct nearest nearest_to(const char *name);
/* `candidate` must outlive the struct. */
void nearest_try(struct nearest *n, const char *candidate);

#endif
