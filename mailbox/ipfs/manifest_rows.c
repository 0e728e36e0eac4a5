/* SPDX-License-Identifier: ISC */
#include "mailbox/ipfs/manifest_rows.h"

#include <errno.h>

#include "common/base/clock.h"
#include "mailbox/mails/impl.h"
#include "mailbox/mails/restore.h"

#define KEY_TAIL 13 /* NUL, when, number */
#define UNFINISHED_MS ((uint64_t)86400 * 1000)

int
ipfs_manifest_note(struct store *s, const char *account, uint64_t made_ms,
    uint32_t number, const struct cid *cid)
{
	struct store_batch *b = store_batch_new(s, IPFS_MANIFESTS);
	struct buf key = BUF_INIT;
	unsigned attempts = 0;
	int rc = b == NULL ? -ENOMEM : 0;

	buf_put_str(&key, account);
	buf_put_char(&key, '\0');
	buf_put_be64(&key, made_ms);
	if (!buf_put_be32(&key, number))
		rc = -ENOMEM;
	if (rc == 0) {
		store_put(b, buf_slice(&key),
		    slice(cid->digest, sizeof(cid->digest)));
		do
			rc = store_commit_one(s, b);
		while (try_again(rc, &attempts));
	}
	store_batch_free(&b);
	buf_clear(&key);
	return rc;
}

/* --- restoring --- */

/* No account's name begins so. */
static bool
restoring_key(struct buf *key, const char *account)
{
	buf_put_char(key, '\001');
	return buf_put_str(key, account);
}

int
ipfs_restoring_get(struct store *s, const char *account, bool *out)
{
	struct buf key = BUF_INIT, val = BUF_INIT;
	int rc = restoring_key(&key, account)
	    ? store_get(s, IPFS_MANIFESTS, buf_slice(&key), &val)
	    : -ENOMEM;

	*out = rc == 0;
	buf_clear(&key);
	buf_clear(&val);
	return rc == -ENOENT ? 0 : rc;
}

int
ipfs_restoring_set(struct store *s, const char *account, bool is)
{
	struct store_batch *b = store_batch_new(s, IPFS_MANIFESTS);
	struct buf key = BUF_INIT;
	unsigned attempts = 0;
	int rc = b == NULL || !restoring_key(&key, account) ? -ENOMEM : 0;

	if (rc == 0) {
		if (is)
			store_put(b, buf_slice(&key), SLICE_LIT("1"));
		else
			store_del(b, buf_slice(&key));
		do
			rc = store_commit_one(s, b);
		while (try_again(rc, &attempts));
	}
	store_batch_free(&b);
	buf_clear(&key);
	return rc;
}

/* --- going --- */

struct found {
	struct slice key, account;
	uint64_t made_ms;
	uint32_t number;
	bool goes;
	struct cid cid;
};

struct reaping {
	struct mails *m;
	struct store *s;
	struct ipfs_node *n;
	struct arena a;
	struct found *v;
	size_t count, cap;
};

static int
note(void *arg, struct slice key, struct slice val)
{
	struct reaping *r = arg;
	struct found *f, *v;
	size_t cap = r->cap == 0 ? 64 : r->cap * 2;

	if (key.n <= KEY_TAIL || val.n != CID_DIGEST)
		return 0;
	if (r->count == r->cap) {
		if ((v = arena_alloc(&r->a, cap * sizeof(*v))) == NULL)
			return -ENOMEM;
		if (r->count > 0)
			memcpy(v, r->v, r->count * sizeof(*v));
		r->v = v;
		r->cap = cap;
	}
	f = &r->v[r->count++];
	*f = (struct found){ .key = arena_dup(&r->a, key) };
	if (f->key.p == NULL)
		return -ENOMEM;
	f->account = slice_head(f->key, key.n - KEY_TAIL);
	f->made_ms = get_be64(f->key.p + key.n - 12);
	f->number = get_be32(f->key.p + key.n - 4);
	memcpy(f->cid.digest, val.p, CID_DIGEST);
	return 0;
}

/* Rows i .. end are of one account. */
static int
judge(struct reaping *r, size_t i, size_t end)
{
	const char *account = arena_strdup(&r->a, r->v[i].account);
	uint64_t latest = 0, now = (uint64_t)clock_wall_ms();
	bool gone;
	int rc = account == NULL ? -ENOMEM
				 : mails_is_untouched(r->m, account, &gone);

	if (rc != 0)
		return rc;
	for (size_t k = i; k < end; k++)
		if (r->v[k].number == MANIFEST_ROOT)
			latest = r->v[k].made_ms; /* in ascending order */
	for (size_t k = i; k < end; k++)
		r->v[k].goes = gone || r->v[k].made_ms < latest ||
		    (r->v[k].made_ms > latest &&
			r->v[k].made_ms + UNFINISHED_MS < now);
	return 0;
}

static int
let_go(struct reaping *r, const struct found *f)
{
	struct store_batch *b;
	int rc = ipfs_node_let_go(r->n, &f->cid);

	if (rc != 0)
		return rc;
	if ((b = store_batch_new(r->s, IPFS_MANIFESTS)) == NULL)
		return -ENOMEM;
	store_del(b, f->key);
	rc = store_commit_one(r->s, b);
	store_batch_free(&b);
	return rc;
}

int
ipfs_manifests_reap(struct mails *m, struct ipfs_node *n)
{
	struct reaping r = { .m = m,
		.s = mails_store(m),
		.n = n,
		.a = ARENA_INIT_MAX((size_t)32 << 20) };
	size_t end;
	int rc = store_scan(
	    r.s, IPFS_MANIFESTS, SLICE_EMPTY, SLICE_EMPTY, 0, note, &r);

	for (size_t i = 0; i < r.count && rc == 0; i = end) {
		for (end = i + 1; end < r.count &&
		     slice_eq(r.v[i].account, r.v[end].account);
		     end++)
			;
		rc = judge(&r, i, end);
	}
	for (size_t i = 0; i < r.count && rc == 0; i++)
		if (r.v[i].goes)
			rc = let_go(&r, &r.v[i]);
	arena_reset(&r.a);
	return rc;
}
