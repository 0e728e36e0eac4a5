/* SPDX-License-Identifier: ISC */
/*
 * What failed sign-ins cost: a wait before the next check, which grows with
 * the failures of the client's address prefix and of the account. A check that
 * runs counts as failed until it has succeeded, so that many at once gain
 * nothing. An address from which an account has signed in well is not made to
 * wait for what others try on that account.
 *
 * Bounded tables with chance in their hash; counts go down by one a minute.
 * Peers on this machine are exempt. No clock is read here: time comes in.
 */
#ifndef PNEU_AUTH_THROTTLE_H
#define PNEU_AUTH_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/slice.h"

#define THROTTLE_SETS 512
#define THROTTLE_WAYS 4
#define THROTTLE_PREFIX_MAX_MS 15000
#define THROTTLE_ACCOUNT_MAX_MS 8000

struct throttle_entry {
	uint64_t hash; /* 0: free */
	int64_t at_ms; /* up to when decay has been taken off */
	uint32_t count;
};
struct throttle {
	unsigned char key[32];
	struct throttle_entry failed[THROTTLE_SETS][THROTTLE_WAYS];
	struct throttle_entry good[THROTTLE_SETS][THROTTLE_WAYS];
};

enum throttle_outcome {
	THROTTLE_GOOD,
	THROTTLE_WRONG,
	THROTTLE_UNCHECKED, /* it came to no check */
};

void throttle_init(struct throttle *t);
/* Milliseconds to wait before the check; throttle_end must follow. `peer` as
 * of net_addr_prefix; NULL is exempt. */
int64_t throttle_begin(
    struct throttle *t, const char *peer, struct slice account, int64_t now_ms);
void throttle_end(struct throttle *t, const char *peer, struct slice account,
    enum throttle_outcome outcome, int64_t now_ms);

#endif
