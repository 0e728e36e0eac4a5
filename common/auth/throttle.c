/* SPDX-License-Identifier: ISC */
#include "common/auth/throttle.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/param.h>

#include "common/auth/signins.h"

#define COUNT_MAX 20 /* at least; more where it takes more to be blocked */
#define GOOD_MS ((int64_t)30 * 86400 * 1000)
#define USED_MS ((int64_t)60 * 1000)
#define ADDRESS_FREE 3 /* failures that cost nothing: people mistype */
#define ACCOUNT_FREE 5

struct network {
	unsigned char octets[16]; /* IPv4 as ::ffff:a.b.c.d */
	unsigned bits;
};
/* Failures of one kind, and what they cost. */
struct rule {
	enum signins_kind kind;
	uint32_t free, block;
	int64_t max_ms;
};
struct throttle {
	struct signins *signins;
	struct rule address, account;
	int64_t delay_ms, forget_ms;
	struct network *exempt;
	size_t n_exempt;
};

/* --- addresses --- */

/* With or without what follows a slash, which is left in *rest. */
static bool
address_parse(struct slice in, unsigned char out[static 16], struct slice *rest)
{
	struct slice host = slice_split(&in, '/');
	char text[INET6_ADDRSTRLEN];

	*rest = in;
	if (host.n == 0 || host.n >= sizeof(text))
		return false;
	memcpy(text, host.p, host.n);
	text[host.n] = '\0';
	memcpy(out, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
	return inet_pton(AF_INET, text, out + 12) == 1 ||
	    inet_pton(AF_INET6, text, out) == 1;
}

static bool
is_v4(const unsigned char a[static 16])
{
	return memcmp(a, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12) == 0;
}

/* "192.0.2.0/24", "2001:db8::/32", an address, "loopback" (which is two). */
static bool
network_parse(struct slice in, struct network *out)
{
	bool has_bits = slice_find(in, '/') >= 0;
	struct slice rest;
	uint64_t bits;
	unsigned most;

	if (!address_parse(in, out->octets, &rest))
		return false;
	most = is_v4(out->octets) ? 32 : 128;
	bits = most;
	if (has_bits && slice_u64(rest, most, &bits) != 0)
		return false;
	out->bits = (unsigned)bits + (128 - most);
	return true;
}

static bool
network_has(const struct network *n, const unsigned char a[static 16])
{
	/* Of IPv6, a peer is only known by its /64. */
	unsigned bits = is_v4(a) ? n->bits : MIN(n->bits, 64);
	unsigned whole = bits / 8, mask = 0xff00u >> bits % 8 & 0xff;

	if (is_v4(a) != is_v4(n->octets) && n->bits > 0)
		return false;
	return memcmp(n->octets, a, whole) == 0 &&
	    (mask == 0 || ((n->octets[whole] ^ a[whole]) & mask) == 0);
}

static bool
is_exempt(const struct throttle *t, const char *peer)
{
	struct slice p = slice_str(peer), rest;
	unsigned char a[16];

	if (!address_parse(p, a, &rest))
		return true; /* a Unix socket */
	for (size_t i = 0; i < t->n_exempt; i++)
		if (network_has(&t->exempt[i], a))
			return true;
	return false;
}

/*
 * Prefixes are their own ids: the upper half of an IPv6 address; IPv4 is where
 * no IPv6 source is (ff00::/8 is multicast).
 */
#define V4_ID ((uint64_t)0xffffffff << 32)

static uint64_t
address_id(const unsigned char a[static 16])
{
	uint64_t id = is_v4(a) ? V4_ID | get_be32(a + 12) : get_be64(a);

	return id == 0 ? 1 : id;
}

static uint64_t
peer_id(const char *peer)
{
	struct slice rest;
	unsigned char a[16] = { 0 };

	address_parse(slice_str(peer), a, &rest);
	return address_id(a);
}

static void
id_text(uint64_t id, char out[static THROTTLE_PEER_MAX])
{
	unsigned char a[16] = { 0 };
	char text[INET6_ADDRSTRLEN];

	put_be64(a, id);
	if ((id & V4_ID) == V4_ID) {
		inet_ntop(AF_INET, a + 4, out, THROTTLE_PEER_MAX);
	} else {
		inet_ntop(AF_INET6, a, text, sizeof(text));
		snprintf(out, THROTTLE_PEER_MAX, "%s/64", text);
	}
}

/* --- rules --- */

static uint32_t
count_max(const struct rule *r)
{
	/* With room for those who come past a block and are counted while they
	 * are checked: else their good end would take from what others did. */
	return MAX(r->block + 16, COUNT_MAX);
}

static int64_t
delay_of(const struct throttle *t, const struct rule *r, uint32_t failed)
{
	int64_t ms = t->delay_ms;

	if (failed < r->free)
		return 0;
	for (uint32_t i = r->free; i < failed && ms < r->max_ms; i++)
		ms *= 2;
	return MIN(ms, r->max_ms);
}

static uint32_t
failed(const struct throttle *t, const struct rule *r, uint64_t id, int64_t now)
{
	return signins_get(t->signins, r->kind, id, t->forget_ms, now).n;
}

static bool
is_blocked(
    const struct throttle *t, const struct rule *r, uint64_t id, int64_t now)
{
	return r->block > 0 && failed(t, r, id, now) >= r->block;
}

/* One more; what that costs. */
static int64_t
count_up(struct throttle *t, const struct rule *r, uint64_t id, int64_t now)
{
	return delay_of(t, r,
	    signins_up(
		t->signins, r->kind, id, count_max(r), t->forget_ms, now));
}

struct ids {
	uint64_t address, account, pair;
};

static struct ids
ids_of(const struct throttle *t, const char *peer, struct slice account)
{
	return (struct ids){ peer_id(peer),
		signins_id(t->signins, account, SLICE_EMPTY),
		signins_id(t->signins, account, slice_str(peer)) };
}

static bool
is_good(const struct throttle *t, uint64_t pair, int64_t now_ms)
{
	struct signins_count c =
	    signins_get(t->signins, SIGNINS_GOOD, pair, 0, now_ms);

	return c.at_ms > 0 && now_ms - c.at_ms < GOOD_MS;
}

int64_t
throttle_begin(
    struct throttle *t, const char *peer, struct slice account, int64_t now_ms)
{
	struct ids id;
	int64_t a, b;
	bool good;

	if (is_exempt(t, peer))
		return 0;
	id = ids_of(t, peer, account);
	good = is_good(t, id.pair, now_ms);
	/* Not counted, else who tries on would never be free again. */
	if (!good &&
	    (is_blocked(t, &t->address, id.address, now_ms) ||
		is_blocked(t, &t->account, id.account, now_ms)))
		return -EAGAIN;
	a = count_up(t, &t->address, id.address, now_ms);
	b = count_up(t, &t->account, id.account, now_ms);
	return good ? 0 : MAX(a, b);
}

void
throttle_end(struct throttle *t, const char *peer, struct slice account,
    enum throttle_outcome outcome, int64_t now_ms)
{
	struct ids id;

	if (is_exempt(t, peer))
		return;
	id = ids_of(t, peer, account);
	if (outcome == THROTTLE_WRONG) {
		signins_remove(t->signins, SIGNINS_GOOD, id.pair);
		return;
	}
	signins_down(t->signins, t->address.kind, id.address);
	signins_down(t->signins, t->account.kind, id.account);
	if (outcome == THROTTLE_GOOD)
		signins_note(
		    t->signins, SIGNINS_GOOD, id.pair, USED_MS, now_ms);
}

/* --- last use --- */

static uint64_t
used_id(const struct throttle *t, struct slice account, const char *credential,
    int64_t created_s)
{
	char name[128];

	snprintf(name, sizeof(name), "%lld %.100s", (long long)created_s,
	    credential);
	return signins_id(t->signins, account, slice_str(name));
}

void
throttle_used(struct throttle *t, struct slice account, const char *credential,
    int64_t created_s, int64_t now_ms)
{
	signins_note(t->signins, SIGNINS_USED,
	    used_id(t, account, credential, created_s), USED_MS, now_ms);
}

int64_t
throttle_last_used(struct throttle *t, struct slice account,
    const char *credential, int64_t created_s)
{
	return signins_get(t->signins, SIGNINS_USED,
		   used_id(t, account, credential, created_s), 0, INT64_MAX)
		   .at_ms /
	    1000;
}

/* --- for the admin --- */

static bool
state_of(struct throttle *t, const struct rule *r, uint64_t id, int64_t now_ms,
    struct throttle_state *out)
{
	struct signins_count c =
	    signins_get(t->signins, r->kind, id, t->forget_ms, now_ms);
	int64_t next = c.at_ms + t->forget_ms - now_ms; /* one less then */

	*out = (struct throttle_state){ .failed = c.n };
	if (c.n == 0)
		return false;
	out->delay_ms = delay_of(t, r, c.n);
	out->free_ms = next + (c.n - 1) * t->forget_ms;
	if (r->block > 0 && c.n >= r->block)
		out->blocked_ms = next + (c.n - r->block) * t->forget_ms;
	return true;
}

bool
throttle_next_address(struct throttle *t, size_t *i, int64_t now_ms,
    char peer[static THROTTLE_PEER_MAX], struct throttle_state *out)
{
	uint64_t id;

	while (*i < SIGNINS_ENTRIES) {
		id = signins_at(t->signins, SIGNINS_ADDRESS, (*i)++);
		if (id == 0 || !state_of(t, &t->address, id, now_ms, out))
			continue;
		id_text(id, peer);
		return true;
	}
	return false;
}

bool
throttle_account(struct throttle *t, struct slice account, int64_t now_ms,
    struct throttle_state *out)
{
	return state_of(t, &t->account,
	    signins_id(t->signins, account, SLICE_EMPTY), now_ms, out);
}

size_t
throttle_names(struct throttle *t, int64_t now_ms)
{
	size_t n = 0;
	uint64_t id;

	for (size_t i = 0; i < SIGNINS_ENTRIES; i++) {
		id = signins_at(t->signins, SIGNINS_ACCOUNT, i);
		n += id != 0 && failed(t, &t->account, id, now_ms) > 0;
	}
	return n;
}

int
throttle_clear_address(struct throttle *t, const char *text)
{
	unsigned char a[16];
	struct slice rest;

	if (!address_parse(slice_str(text), a, &rest))
		return -EINVAL;
	return signins_remove(t->signins, SIGNINS_ADDRESS, address_id(a))
	    ? 0
	    : -ENOENT;
}

int
throttle_clear_account(struct throttle *t, struct slice account)
{
	return signins_remove(t->signins, SIGNINS_ACCOUNT,
		   signins_id(t->signins, account, SLICE_EMPTY))
	    ? 0
	    : -ENOENT;
}

void
throttle_clear_all(struct throttle *t)
{
	static const enum signins_kind kinds[] = { SIGNINS_ADDRESS,
		SIGNINS_ACCOUNT };
	uint64_t id;

	for (size_t k = 0; k < 2; k++)
		for (size_t i = 0; i < SIGNINS_ENTRIES; i++)
			if ((id = signins_at(t->signins, kinds[k], i)) != 0)
				signins_remove(t->signins, kinds[k], id);
}

/* --- making --- */

static int
exempt_read(struct throttle *t, const struct conf *conf, struct buf *err)
{
	size_t n;
	const char *const *list = conf_list(conf, "auth.exempt", &n);

	if ((t->exempt = calloc(n + 1, 2 * sizeof(*t->exempt))) == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct slice text = slice_str(list[i]);

		if (slice_eq_str(text, "loopback")) {
			network_parse(SLICE_LIT("127.0.0.0/8"),
			    &t->exempt[t->n_exempt++]);
			text = SLICE_LIT("::1");
		}
		if (!network_parse(text, &t->exempt[t->n_exempt++])) {
			buf_printf(err,
			    "auth.exempt: \"%s\" is not a network, such as "
			    "192.0.2.0/24, 2001:db8::/32 or loopback",
			    list[i]);
			return -EINVAL;
		}
	}
	return 0;
}

int
throttle_new(struct throttle **out, const struct conf *conf, struct buf *err)
{
	struct throttle *t = calloc(1, sizeof(*t));
	int64_t max_ms = conf_duration_ms(conf, "auth.delay_max");
	int rc = -ENOMEM;

	if (t == NULL)
		return rc;
	t->delay_ms = conf_duration_ms(conf, "auth.delay");
	t->forget_ms = conf_duration_ms(conf, "auth.forget");
	t->address = (struct rule){ SIGNINS_ADDRESS, ADDRESS_FREE,
		(uint32_t)conf_int(conf, "auth.block_address"), max_ms };
	t->account = (struct rule){ SIGNINS_ACCOUNT, ACCOUNT_FREE,
		(uint32_t)conf_int(conf, "auth.block_account"), max_ms / 2 };
	if ((t->signins = signins_new()) != NULL)
		rc = exempt_read(t, conf, err);
	if (rc != 0) {
		throttle_free(&t);
		return rc;
	}
	*out = t;
	return 0;
}

void
throttle_free(struct throttle **t)
{
	if (*t == NULL)
		return;
	signins_free(&(*t)->signins);
	free((*t)->exempt);
	free(*t);
	*t = NULL;
}

int
throttle_share(struct throttle *t, const char *dir)
{
	return signins_share(t->signins, dir);
}
