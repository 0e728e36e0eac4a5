/* SPDX-License-Identifier: ISC */
/*
 * A small table that all programs and workers share: who failed to sign in,
 * who did well, when which password was used. A file of fixed size that each
 * maps (accounts.dir/signins); without one, memory of this process.
 *
 * No locks, so nobody waits for one who was killed or stopped: an entry is two
 * words, each changed atomically. What a race or a kill can do is to lose a
 * count. Full sets give up what says least. Sets are found by a keyed hash, so
 * that nobody can aim at the entry of another; and accounts are only in it as
 * such hashes.
 */
#ifndef PNEU_AUTH_SIGNINS_H
#define PNEU_AUTH_SIGNINS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"

#define SIGNINS_FILE "signins"
#define SIGNINS_SETS 2048
#define SIGNINS_WAYS 4
#define SIGNINS_ENTRIES ((size_t)SIGNINS_SETS * SIGNINS_WAYS)
#define SIGNINS_COUNT_MAX 65535

enum signins_kind {
	SIGNINS_ADDRESS, /* failures by prefix; the id is the prefix */
	SIGNINS_ACCOUNT, /* failures by name */
	SIGNINS_GOOD,    /* this name did well from this prefix */
	SIGNINS_USED,    /* this password was right */
	SIGNINS_KINDS,
};
struct signins_count {
	int64_t at_ms; /* wall clock */
	uint32_t n;
};

struct signins;

/* Private at first. NULL: out of memory. */
struct signins *signins_new(void);
void signins_free(struct signins **s);
/* Use, and make where it is missing, the file in this folder. 0 or -errno; then
 * all stays as it was. */
int signins_share(struct signins *s, const char *dir);

/* An id for SIGNINS_ACCOUNT, _GOOD and _USED; never 0. */
uint64_t signins_id(const struct signins *s, struct slice a, struct slice b);

/*
 * Counts go down by one for each forget_ms; at_ms is up to when that has been
 * taken off. A time to come (the clock was set back) counts as now.
 */
struct signins_count signins_get(const struct signins *s,
    enum signins_kind kind, uint64_t id, int64_t forget_ms, int64_t now_ms);
/* One more, up to `max`. What it was before. */
uint32_t signins_up(struct signins *s, enum signins_kind kind, uint64_t id,
    uint32_t max, int64_t forget_ms, int64_t now_ms);
/* One less, where there is one. */
void signins_down(struct signins *s, enum signins_kind kind, uint64_t id);
/* Note the time, with no count; written at most each `min_ms`. */
void signins_note(struct signins *s, enum signins_kind kind, uint64_t id,
    int64_t min_ms, int64_t now_ms);
/* True: it was there. */
bool signins_remove(struct signins *s, enum signins_kind kind, uint64_t id);
/* Entry i of SIGNINS_ENTRIES; 0 for a free one. */
uint64_t signins_at(const struct signins *s, enum signins_kind kind, size_t i);

#endif
