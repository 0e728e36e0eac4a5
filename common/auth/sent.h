/* SPDX-License-Identifier: ISC */
/*
 * How much each account has sent within the hour and the day, counted by all
 * workers and programs in one file that each maps (accounts.dir/sent), so that
 * a restart forgets nothing. Without the file, in memory of this process.
 *
 * The hour is counted in parts of 5 minutes, the day in hours, and the part
 * that has partly passed counts in full: within any 60 minutes (24 hours) no
 * more goes out than the limit, and it may take up to a part longer. No locks:
 * a part is one word, changed atomically. More accounts than there are entries
 * for: those that sent longest ago go. No clock is read here.
 */
#ifndef PNEU_AUTH_SENT_H
#define PNEU_AUTH_SENT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/slice.h"

#define SENT_FILE "sent"
#define SENT_LIMIT_MAX 1000000

enum sent_limit {
	SENT_MESSAGES_HOUR,
	SENT_MESSAGES_DAY,
	SENT_RECIPIENTS_HOUR,
	SENT_RECIPIENTS_DAY,
	SENT_LIMITS,
};
#define SENT_UNLIMITED UINT32_MAX
extern const struct sent_limit_name {
	const char *key;   /* "messages_per_hour", of settings and records */
	const char *words; /* "messages an hour" */
} sent_limit_names[SENT_LIMITS];

struct sent;

/* NULL: out of memory. */
struct sent *sent_new(void);
void sent_free(struct sent **s);
/* Use, and make where it is missing, the file in this folder. 0 or -errno; then
 * all stays as it was. */
int sent_share(struct sent *s, const char *dir);

/* What would be over. */
struct sent_over {
	enum sent_limit limit;
	uint32_t max;
	int64_t again_s; /* when it would not be; 0: never, it is too many */
};
/* What was counted, to be given back. */
struct sent_count {
	uint64_t id;
	int64_t at_s;
	uint32_t recipients;
};

/* The limits: SENT_UNLIMITED, or what an account may send. */
typedef const uint32_t sent_limits[SENT_LIMITS];

/* May a message to so many recipients go out? False with *over. */
bool sent_may(const struct sent *s, struct slice account, sent_limits limits,
    uint32_t recipients, int64_t now_s, struct sent_over *over);
/*
 * The same, and it is counted: what several ask at once is never over. To be
 * given back should it not go out after all.
 */
bool sent_take(struct sent *s, struct slice account, sent_limits limits,
    uint32_t recipients, int64_t now_s, struct sent_count *count,
    struct sent_over *over);
void sent_give_back(struct sent *s, const struct sent_count *count);

/* What counts now. */
void sent_get(const struct sent *s, struct slice account, int64_t now_s,
    uint32_t out[SENT_LIMITS]);

#endif
