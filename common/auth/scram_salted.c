/* SPDX-License-Identifier: ISC */
#include "common/auth/scram_salted.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>

#include "common/base/buf.h"
#include "common/base/clock.h"

/* 16,384 of them are 1.4 MiB, of which the machine gives only what is used. */
#define SETS 4096
#define WAYS 4

struct entry {
	unsigned char id[SCRAM_SALTED_ID];
	unsigned char salted[SCRAM_SALTED_MAX];
	uint64_t used; /* the greater, the later; 0: empty */
	size_t n;
};
static struct {
	struct entry (*sets)[WAYS];
	unsigned char key[32]; /* of this process */
	uint64_t uses, hits;
} cache;

static bool
ready(void)
{
	if (cache.sets == NULL) {
		random_octets(cache.key, sizeof(cache.key));
		cache.sets = calloc(SETS, sizeof(*cache.sets));
	}
	return cache.sets != NULL;
}

static void
put_part(struct buf *b, struct slice s)
{
	buf_put_be64(b, s.n);
	buf_put_slice(b, s);
}

bool
scram_salted_id(const char *mechanism, struct slice user, struct slice password,
    struct slice salt, struct slice count,
    unsigned char id[static SCRAM_SALTED_ID])
{
	unsigned char md[EVP_MAX_MD_SIZE];
	struct buf b = BUF_INIT;
	bool ok;

	if (!ready())
		return false;
	put_part(&b, slice_str(mechanism));
	put_part(&b, user);
	put_part(&b, password);
	put_part(&b, salt);
	put_part(&b, count);
	ok = !b.failed &&
	    HMAC(EVP_sha256(), cache.key, sizeof(cache.key),
		(const unsigned char *)b.p, b.n, md, NULL) != NULL;
	if (ok)
		memcpy(id, md, SCRAM_SALTED_ID);
	buf_wipe(&b);
	return ok;
}

/* Where it is, or goes: over the one that was used least lately. */
static struct entry *
place(const unsigned char *id)
{
	struct entry *set = cache.sets[get_be32(id) % SETS], *at = set;

	for (int i = 0; i < WAYS; i++) {
		if (set[i].used > 0 &&
		    CRYPTO_memcmp(set[i].id, id, SCRAM_SALTED_ID) == 0)
			return &set[i];
		if (set[i].used < at->used)
			at = &set[i];
	}
	return at;
}

size_t
scram_salted_get(const unsigned char id[static SCRAM_SALTED_ID],
    unsigned char out[static SCRAM_SALTED_MAX])
{
	struct entry *e;

	if (cache.sets == NULL)
		return 0;
	e = place(id);
	if (e->used == 0 || CRYPTO_memcmp(e->id, id, SCRAM_SALTED_ID) != 0)
		return 0;
	e->used = ++cache.uses;
	cache.hits++;
	memcpy(out, e->salted, e->n);
	return e->n;
}

void
scram_salted_put(
    const unsigned char id[static SCRAM_SALTED_ID], struct slice salted)
{
	struct entry *e;

	if (cache.sets == NULL || salted.n == 0 || salted.n > SCRAM_SALTED_MAX)
		return;
	e = place(id);
	OPENSSL_cleanse(e, sizeof(*e));
	memcpy(e->id, id, SCRAM_SALTED_ID);
	memcpy(e->salted, salted.p, salted.n);
	e->n = salted.n;
	e->used = ++cache.uses;
}

uint64_t
scram_salted_hits(void)
{
	return cache.hits;
}

void
scram_salted_wipe(void)
{
	if (cache.sets != NULL)
		OPENSSL_cleanse(cache.sets, SETS * sizeof(*cache.sets));
	free(cache.sets);
	OPENSSL_cleanse(&cache, sizeof(cache));
	cache.sets = NULL;
}
