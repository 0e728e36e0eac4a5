/* SPDX-License-Identifier: ISC */
/*
 * A file of fixed size that programs and workers map together, for counts
 * that all of them keep (signins.h, sent.h). It begins with its magic and a
 * key of its own; the rest is zeros when it is new.
 */
#ifndef PNEU_AUTH_SHARED_TABLE_H
#define PNEU_AUTH_SHARED_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"

#define SHARED_TABLE_KEY 32

struct shared_table {
	char magic[8]; /* last of what is written into a new file */
	unsigned char key[SHARED_TABLE_KEY];
	_Atomic uint64_t lock; /* shared_table_lock */
	unsigned char unused[16];
	/* the table's own */
};

/*
 * Map dir/name, made where it is missing, or where it is another version's.
 * `size` is of all. *out is to be unmapped. 0 or -errno.
 */
int shared_table_map(const char *dir, const char *name, const char magic[8],
    size_t size, struct shared_table **out);
/* Into the place of *t, which is unmapped; on error it stays. */
int shared_table_share(struct shared_table **t, const char *dir,
    const char *name, const char magic[8], size_t size);
/* The same in memory of this process; NULL: there is none. */
struct shared_table *shared_table_private(size_t size);
/* The id of an entry: keyed, so that nobody can aim at the entry of another;
 * never 0. */
uint64_t shared_table_id(const struct shared_table *t, struct slice octets);
/*
 * While an entry is made, lest two make the same: some hundred instructions,
 * seldom, so others spin. Who holds it for 100 ms is taken for dead.
 */
void shared_table_lock(struct shared_table *t);
void shared_table_unlock(struct shared_table *t);
/* NULL is fine. */
void shared_table_unmap(struct shared_table *t, size_t size);

#endif
