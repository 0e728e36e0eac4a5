/* SPDX-License-Identifier: ISC */
/*
 * A row of partition "sts" is a domain: the second it was fetched in, its id
 * with a length octet, the file. The look for a new id costs a TXT look-up,
 * which the resolver caches; the file is fetched when the id is another, and
 * when half of its time is over. A fetch that failed is not tried again for
 * five minutes (3.3), by this process.
 */
#include "qm/sts_cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"

#define PART SLICE_LIT("sts")
#define FILE_MAX ((size_t)60000) /* a row's, and over what anybody has */
#define FETCH_MS 20000
#define FAILED_MS (5 * 60 * 1000)
#define FAILED 128
#define SWEEP 256

struct sts_cache {
	struct store *store;
	struct dns *dns;
	struct http_client *http;
	uint16_t port;
	/* By a hash of the domain: who it was, and until when. Another that
	 * falls on it is fetched once more. */
	struct {
		uint64_t hash;
		int64_t until_ms;
	} failed[FAILED];
};

/* A row; what is in `row` backs the slices. */
struct entry {
	struct buf row;
	int64_t fetched_s;
	struct slice id, text;
	struct sts_policy policy;
};

int
sts_cache_new(struct sts_cache **out, struct store *store, struct dns *dns,
    struct http_client *http, uint16_t port)
{
	struct sts_cache *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return -ENOMEM;
	c->store = store;
	c->dns = dns;
	c->http = http;
	c->port = port;
	*out = c;
	return 0;
}

void
sts_cache_free(struct sts_cache **c)
{
	free(*c);
	*c = NULL;
}

/* --- rows --- */

static bool
row_decode(struct slice row, struct entry *e)
{
	size_t n = row.n > 8 ? (unsigned char)row.p[8] : 0;

	if (row.n < 9 + n)
		return false;
	e->fetched_s = (int64_t)get_be64(row.p);
	e->id = slice(row.p + 9, n);
	e->text = slice_from(row, 9 + n);
	return sts_policy_parse(e->text, &e->policy) == 0;
}

static bool
holds(const struct entry *e, int64_t now_s)
{
	int64_t age_s = now_s - e->fetched_s;

	return age_s >= 0 && age_s < e->policy.max_age_s;
}

/* False: none that holds. */
static bool
entry_read(struct sts_cache *c, struct slice domain, struct entry *e)
{
	if (store_get(c->store, PART, domain, &e->row) == 0 &&
	    row_decode(buf_slice(&e->row), e) && holds(e, clock_wall_s()))
		return true;
	buf_reset(&e->row);
	return false;
}

static int
row_write(struct sts_cache *c, struct slice domain, struct slice row)
{
	struct store_batch *b = store_batch_new(c->store, PART);
	int rc;

	if (b == NULL)
		return -ENOMEM;
	if (row.n > 0)
		store_put(b, domain, row);
	else
		store_del(b, domain);
	rc = store_commit_one(c->store, b);
	store_batch_free(&b);
	return rc;
}

/* What cannot be written is known for this time at least. */
static void
entry_write(struct sts_cache *c, struct slice domain, struct entry *e)
{
	int rc = row_write(c, domain, buf_slice(&e->row));

	if (rc != 0)
		log_warning("MTA-STS policy not kept", "domain=%s error=%s",
		    log_q(domain), strerror(-rc));
}

/* --- fetching --- */

static uint64_t
hash_of(struct slice domain)
{
	uint64_t h = 0xcbf29ce484222325;

	for (size_t i = 0; i < domain.n; i++)
		h = (h ^ (unsigned char)domain.p[i]) * 0x100000001b3;
	return h;
}

static bool
failed_lately(const struct sts_cache *c, uint64_t hash)
{
	return c->failed[hash % FAILED].hash == hash &&
	    c->failed[hash % FAILED].until_ms > clock_mono_ms();
}

/* The file of a domain, into e->row behind what stands there. */
static int
file_get(struct sts_cache *c, const char *domain, struct buf *file)
{
	struct buf url = BUF_INIT;
	int status = 0, rc;

	buf_printf(&url, "https://mta-sts.%s", domain);
	if (c->port != 443)
		buf_printf(&url, ":%u", c->port);
	buf_put_str(&url, "/.well-known/mta-sts.txt");
	rc = url.failed ? -ENOMEM
			: http_fetch(c->http,
			      &(struct http_request){ .url = buf_str(&url),
				  .timeout_ms = FETCH_MS,
				  .max = FILE_MAX },
			      &status, file);
	buf_clear(&url);
	/* Nothing but 200 is a policy, and no redirect is followed (3.3). */
	return rc == 0 && status != 200 ? -ENOENT : rc;
}

static int
entry_fetch(struct sts_cache *c, const char *domain, struct slice id,
    struct entry *e)
{
	struct buf file = BUF_INIT;
	int rc = file_get(c, domain, &file);

	buf_reset(&e->row);
	buf_put_be64(&e->row, (uint64_t)clock_wall_s());
	buf_put_char(&e->row, (char)id.n);
	buf_put_slice(&e->row, id);
	buf_put_slice(&e->row, buf_slice(&file));
	buf_clear(&file);
	if (rc == 0 && e->row.failed)
		rc = -ENOMEM;
	if (rc == 0 && !row_decode(buf_slice(&e->row), e))
		rc = -EINVAL;
	return rc;
}

static void
fetch_failed(struct sts_cache *c, const char *domain, uint64_t hash, int rc)
{
	c->failed[hash % FAILED].hash = hash;
	c->failed[hash % FAILED].until_ms = clock_mono_ms() + FAILED_MS;
	log_warning("no MTA-STS policy", "domain=%s error=\"%s\"",
	    log_qs(domain),
	    rc == -EINVAL      ? "bad policy"
		: rc == -ENOENT ? "the policy host has none"
				: strerror(-rc));
}

/* --- looking --- */

/* The id of the one record (3.1), or none: -ENOENT. */
static int
id_get(struct sts_cache *c, struct arena *a, const char *domain,
    struct slice *id)
{
	const char *name = arena_printf(a, "_mta-sts.%s", domain);
	struct slice *txt, one;
	size_t n, found = 0;
	int rc = name == NULL ? -ENOMEM : dns_txt(c->dns, a, name, &txt, &n, NULL);

	for (size_t i = 0; rc == 0 && i < n; i++) {
		int bad = sts_txt_parse(txt[i], &one);

		if (bad == -ENOENT)
			continue;
		if (bad != 0 || found++ > 0)
			return -ENOENT;
		*id = one;
	}
	if (rc == 0 && found == 0)
		rc = -ENOENT;
	return rc;
}

static bool
is_to_be_fetched(const struct entry *e, bool have, struct slice id)
{
	return !have || !slice_eq(e->id, id) ||
	    clock_wall_s() - e->fetched_s > e->policy.max_age_s / 2;
}

/* A copy whose slices are in the arena. */
static int
give(struct arena *a, const struct entry *e, struct sts_policy *out)
{
	struct slice text = arena_dup(a, e->text);

	return text.p == NULL ? -ENOMEM : sts_policy_parse(text, out);
}

int
sts_cache_get(struct sts_cache *c, struct arena *a, const char *domain,
    struct sts_policy *out)
{
	struct entry old = { .row = BUF_INIT }, new = { .row = BUF_INIT };
	struct slice name = slice_str(domain), id = SLICE_EMPTY;
	uint64_t hash = hash_of(name);
	bool have = entry_read(c, name, &old);
	int rc = id_get(c, a, domain, &id);

	*out = (struct sts_policy){ .mode = STS_NONE };
	if (rc == 0 && is_to_be_fetched(&old, have, id) &&
	    !failed_lately(c, hash)) {
		rc = entry_fetch(c, domain, id, &new);
		if (rc == 0)
			entry_write(c, name, &new);
		else if (rc != -ECANCELED)
			fetch_failed(c, domain, hash, rc);
	}
	/* Whatever could not be asked: what we have holds for its time (5.1). */
	if (rc == 0 && new.row.n > 0)
		rc = give(a, &new, out);
	else if (rc != -ECANCELED)
		rc = have ? give(a, &old, out) : 0;
	buf_clear(&old.row);
	buf_clear(&new.row);
	return rc;
}

/* --- what is over --- */

struct sweep {
	struct arena a;
	struct slice over[SWEEP];
	size_t n;
	int64_t now_s;
};

static int
sweep_row(void *arg, struct slice key, struct slice val)
{
	struct sweep *s = arg;
	struct entry e = { .row = BUF_INIT };

	if (s->n < SWEEP && !(row_decode(val, &e) && holds(&e, s->now_s)))
		s->over[s->n++] = arena_dup(&s->a, key);
	return s->n == SWEEP;
}

void
sts_cache_sweep(struct sts_cache *c)
{
	struct sweep *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return;
	s->now_s = clock_wall_s();
	(void)store_scan(
	    c->store, PART, SLICE_EMPTY, SLICE_EMPTY, 0, sweep_row, s);
	for (size_t i = 0; i < s->n; i++)
		if (s->over[i].p != NULL)
			(void)row_write(c, s->over[i], SLICE_EMPTY);
	arena_reset(&s->a);
	free(s);
}
