/* SPDX-License-Identifier: ISC */
/*
 * For which address a message came in, by its Message-ID: an account that
 * answers as the address that was written to asks for it.
 *
 * Partition "w<account>", one row per bucket of the hash:
 *   w<2 octets>    entries, oldest first: 8 octets of the hash, seconds (4),
 *                  length of the address (4), the address
 *
 * A bucket holds BUCKET_MAX entries, and those that are too old go when it is
 * changed; so it is bounded without anybody who tidies up.
 */
#include <openssl/evp.h>

#include "mailbox/mails/impl.h"

#define BUCKET_MAX 4
#define ENTRY_HEAD 16
#define ADDRESS_OCTETS_MAX 320

struct place {
	struct buf part;
	char key[3];
	char hash[8];
};

struct entry_at {
	size_t at, n; /* in the row */
	int64_t time_s;
	struct slice hash, address;
};

static int
place_init(struct place *p, const char *account, struct slice message_id)
{
	unsigned char md[EVP_MAX_MD_SIZE];

	*p = (struct place){ .part = BUF_INIT_MAX(512) };
	if (EVP_Digest(message_id.p, message_id.n, md, NULL, EVP_sha256(),
		NULL) != 1)
		return -ENOMEM;
	p->key[0] = 'w';
	memcpy(p->key + 1, md, 2);
	memcpy(p->hash, md + 2, 8);
	buf_put_char(&p->part, 'w');
	buf_put_str(&p->part, account);
	return p->part.failed ? -EINVAL : 0;
}

/* The entry at `at`; false at the end, and where the row is damaged. */
static bool
entry_get(struct slice row, size_t at, struct entry_at *out)
{
	const char *p = row.p + at;
	size_t n;

	if (at + ENTRY_HEAD > row.n)
		return false;
	n = get_be32(p + 12);
	if (n > row.n - at - ENTRY_HEAD)
		return false;
	*out = (struct entry_at){ .at = at,
		.n = ENTRY_HEAD + n,
		.time_s = get_be32(p + 8),
		.hash = slice(p, 8),
		.address = slice(p + ENTRY_HEAD, n) };
	return true;
}

static bool
is_old(const struct entry_at *e, int64_t now_s)
{
	return now_s - e->time_s > (int64_t)MAILS_ORIGIN_DAYS * 86400;
}

static void
put_entry(struct buf *out, const struct place *p, struct slice address,
    int64_t now_s)
{
	char head[ENTRY_HEAD];

	memcpy(head, p->hash, 8);
	put_be32(head + 8, (uint32_t)now_s);
	put_be32(head + 12, (uint32_t)address.n);
	buf_put(out, head, sizeof(head));
	buf_put_slice(out, address);
}

/* What stays of the row, and the new entry behind it. */
static void
row_with(struct slice row, const struct place *p, struct slice address,
    int64_t now_s, struct buf *out)
{
	struct entry_at e, keep[BUCKET_MAX];
	size_t n = 0;

	for (size_t at = 0; entry_get(row, at, &e); at += e.n) {
		if (is_old(&e, now_s) ||
		    slice_eq(e.hash, slice(p->hash, sizeof(p->hash))))
			continue;
		if (n == BUCKET_MAX - 1) {
			memmove(keep, keep + 1, (n - 1) * sizeof(keep[0]));
			n--;
		}
		keep[n++] = e;
	}
	for (size_t i = 0; i < n; i++)
		buf_put(out, row.p + keep[i].at, keep[i].n);
	put_entry(out, p, address, now_s);
}

static int
put_attempt(struct mails *m, const struct place *p, struct slice address,
    int64_t now_s)
{
	struct slice part = buf_slice(&p->part), key = slice(p->key, 3);
	struct buf old = BUF_INIT, new = BUF_INIT;
	struct store_batch *b = store_batch_new(m->s, part);
	int rc = b == NULL ? -ENOMEM : store_get(m->s, part, key, &old);

	if (rc == 0)
		store_guard(b, key, buf_slice(&old));
	else if (rc == -ENOENT)
		store_guard_absent(b, key);
	if (rc == 0 || rc == -ENOENT) {
		row_with(buf_slice(&old), p, address, now_s, &new);
		store_put(b, key, buf_slice(&new));
		rc = new.failed ? -ENOMEM : store_commit_one(m->s, b);
	}
	store_batch_free(&b);
	buf_clear(&old);
	buf_clear(&new);
	return rc;
}

int
mails_origin_put(struct mails *m, const char *account, struct slice message_id,
    struct slice address, int64_t now_s)
{
	unsigned attempts = 0;
	struct place p;
	int rc = place_init(&p, account, message_id);

	if (rc == 0 && address.n > ADDRESS_OCTETS_MAX)
		rc = -EINVAL;
	while (rc == 0) {
		rc = put_attempt(m, &p, address, now_s);
		if (!try_again(rc, &attempts))
			break;
		rc = 0;
	}
	buf_clear(&p.part);
	return mails_error(rc);
}

int
mails_origin_get(struct mails *m, const char *account, struct slice message_id,
    int64_t now_s, struct buf *address)
{
	struct buf row = BUF_INIT;
	struct entry_at e;
	struct place p;
	int rc = place_init(&p, account, message_id);

	if (rc == 0)
		rc = store_get(
		    m->s, buf_slice(&p.part), slice(p.key, 3), &row);
	if (rc == 0) {
		rc = -ENOENT;
		for (size_t at = 0; entry_get(buf_slice(&row), at, &e);
		    at += e.n)
			if (slice_eq(e.hash, slice(p.hash, 8)) &&
			    !is_old(&e, now_s))
				rc = buf_put_slice(address, e.address)
				    ? 0
				    : -ENOMEM;
	}
	buf_clear(&row);
	buf_clear(&p.part);
	return mails_error(rc);
}

int
origins_drop(struct mails *m, const char *account)
{
	struct buf part = BUF_INIT_MAX(512);
	int rc;

	buf_put_char(&part, 'w');
	buf_put_str(&part, account);
	rc = part.failed ? -EINVAL : store_partition_drop(m->s, buf_slice(&part));
	buf_clear(&part);
	return rc;
}
