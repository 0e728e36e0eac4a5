/* SPDX-License-Identifier: ISC */
#include "common/auth/throttle.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>

#include "common/base/buf.h"
#include "common/base/clock.h"

#define DECAY_MS 60000
#define COUNT_MAX 20 /* good again after as many minutes */
#define GOOD_MS ((int64_t)30 * 86400 * 1000)
#define PREFIX_FREE 3 /* failures that cost nothing: people mistype */
#define ACCOUNT_FREE 5

typedef struct throttle_entry table[THROTTLE_SETS][THROTTLE_WAYS];

void
throttle_init(struct throttle *t)
{
	random_octets(t->key, sizeof(t->key));
}

static bool
is_exempt(const char *peer)
{
	struct slice p = slice_str(peer);

	return p.n == 0 || slice_eq_str(p, "unix") || slice_starts(p, "127.") ||
	    slice_eq_str(p, "::/64"); /* the prefix of ::1 */
}

/* Keyed, so that nobody can aim at the slot of another. */
static uint64_t
key_hash(const struct throttle *t, const char *peer, struct slice account)
{
	unsigned char mac[EVP_MAX_MD_SIZE];
	struct buf b = BUF_INIT_MAX(1024);
	uint64_t hash = 0;

	buf_put(&b, peer, strlen(peer) + 1);
	buf_put_slice(&b, slice_head(account, 512));
	if (!b.failed &&
	    HMAC(EVP_sha256(), t->key, sizeof(t->key),
		(const unsigned char *)b.p, b.n, mac, NULL) != NULL)
		hash = get_be64(mac);
	buf_clear(&b);
	return hash == 0 ? 1 : hash;
}

static struct throttle_entry *
find(table *in, uint64_t hash)
{
	struct throttle_entry *set = (*in)[hash % THROTTLE_SETS];

	for (size_t i = 0; i < THROTTLE_WAYS; i++)
		if (set[i].hash == hash)
			return &set[i];
	return NULL;
}

static void
decay(struct throttle_entry *e, int64_t now_ms)
{
	int64_t minutes = (now_ms - e->at_ms) / DECAY_MS;

	if (minutes <= 0)
		return;
	e->count -= minutes >= e->count ? e->count : (uint32_t)minutes;
	e->at_ms += minutes * DECAY_MS;
}

/* Whichever of two says less makes room: the lower count, then the older. */
static bool
says_less(const struct throttle_entry *a, const struct throttle_entry *b)
{
	if (a->hash == 0 || b->hash == 0)
		return a->hash == 0;
	return a->count != b->count ? a->count < b->count : a->at_ms < b->at_ms;
}

static struct throttle_entry *
find_or_make(table *in, uint64_t hash, int64_t now_ms)
{
	struct throttle_entry *set = (*in)[hash % THROTTLE_SETS];
	struct throttle_entry *e = find(in, hash), *least = &set[0];

	if (e == NULL) {
		for (size_t i = 0; i < THROTTLE_WAYS; i++) {
			decay(&set[i], now_ms);
			if (says_less(&set[i], least))
				least = &set[i];
		}
		e = least;
		*e = (struct throttle_entry){ hash, now_ms, 0 };
	}
	decay(e, now_ms);
	return e;
}

/* One more; returns how many there were. */
static uint32_t
count_up(struct throttle *t, uint64_t hash, int64_t now_ms)
{
	struct throttle_entry *e = find_or_make(&t->failed, hash, now_ms);
	uint32_t before = e->count;

	if (e->count == 0)
		e->at_ms = now_ms;
	if (e->count < COUNT_MAX)
		e->count++;
	return before;
}

static void
count_down(struct throttle *t, uint64_t hash)
{
	struct throttle_entry *e = find(&t->failed, hash);

	if (e != NULL && e->count > 0)
		e->count--;
}

static int64_t
delay_of(uint32_t failed, uint32_t free, int64_t max_ms)
{
	int64_t ms;

	if (failed < free)
		return 0;
	ms = (int64_t)1000 << (failed - free);
	return ms < max_ms ? ms : max_ms;
}

static bool
is_good(struct throttle *t, uint64_t hash, int64_t now_ms)
{
	const struct throttle_entry *e = find(&t->good, hash);

	return e != NULL && now_ms - e->at_ms < GOOD_MS;
}

int64_t
throttle_begin(
    struct throttle *t, const char *peer, struct slice account, int64_t now_ms)
{
	uint32_t by_prefix, by_account;
	int64_t a, b;

	if (is_exempt(peer))
		return 0;
	by_prefix = count_up(t, key_hash(t, peer, SLICE_EMPTY), now_ms);
	by_account = count_up(t, key_hash(t, "", account), now_ms);
	if (is_good(t, key_hash(t, peer, account), now_ms))
		return 0;
	a = delay_of(by_prefix, PREFIX_FREE, THROTTLE_PREFIX_MAX_MS);
	b = delay_of(by_account, ACCOUNT_FREE, THROTTLE_ACCOUNT_MAX_MS);
	return a > b ? a : b;
}

void
throttle_end(struct throttle *t, const char *peer, struct slice account,
    enum throttle_outcome outcome, int64_t now_ms)
{
	struct throttle_entry *e;
	uint64_t pair;

	if (is_exempt(peer))
		return;
	pair = key_hash(t, peer, account);
	if (outcome == THROTTLE_WRONG) {
		if ((e = find(&t->good, pair)) != NULL)
			e->hash = 0;
		return;
	}
	count_down(t, key_hash(t, peer, SLICE_EMPTY));
	count_down(t, key_hash(t, "", account));
	if (outcome == THROTTLE_GOOD) {
		e = find_or_make(&t->good, pair, now_ms);
		e->at_ms = now_ms;
	}
}
