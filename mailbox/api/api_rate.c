/* SPDX-License-Identifier: ISC */
/*
 * How often an account, or an address that has not signed in, may ask: a
 * bucket for each that fills by the minute's rate and holds a sixth of it. Of
 * this process; of many askers the ones that asked longest ago are forgotten.
 */
#include <string.h>

#include "common/base/clock.h"
#include "mailbox/api/api_impl.h"

#define BUCKETS 1024
#define PROBES 8
#define NAME_MAX_ 95

static struct bucket {
	char who[NAME_MAX_ + 1];
	int64_t at_ms;
	double left;
} buckets[BUCKETS];

static uint32_t
hash(struct slice s)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < s.n; i++)
		h = (h ^ (unsigned char)s.p[i]) * 16777619u;
	return h;
}

static struct bucket *
bucket_of(struct slice who, int64_t now_ms, double most)
{
	uint32_t h = hash(who);
	struct bucket *oldest = NULL;

	for (uint32_t i = 0; i < PROBES; i++) {
		struct bucket *b = &buckets[(h + i) % BUCKETS];

		if (slice_eq_str(who, b->who))
			return b;
		if (oldest == NULL || b->at_ms < oldest->at_ms)
			oldest = b;
	}
	memcpy(oldest->who, who.p, who.n);
	oldest->who[who.n] = '\0';
	oldest->at_ms = now_ms;
	oldest->left = most;
	return oldest;
}

int
api_rate(const struct api_env *env, struct slice who)
{
	double per_ms = (double)env->rate / 60000, most;
	int64_t now_ms = clock_mono_ms();
	struct bucket *b;

	if (env->rate == 0)
		return 0;
	most = env->rate < 60 ? 10 : (double)env->rate / 6;
	b = bucket_of(slice_head(who, NAME_MAX_), now_ms, most);
	b->left += (double)(now_ms - b->at_ms) * per_ms;
	if (b->left > most)
		b->left = most;
	b->at_ms = now_ms;
	if (b->left < 1)
		return (int)((1 - b->left) / per_ms / 1000) + 1;
	b->left--;
	return 0;
}
