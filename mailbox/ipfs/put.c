/* SPDX-License-Identifier: ISC */
#include "mailbox/ipfs/put.h"

#include <errno.h>

#include "common/base/clock.h"
#include "mailbox/mails/impl.h"

#define ON_LOOP ((size_t)16 << 10) /* octets that are sealed there and then */

struct putting {
	struct store *s;
	struct ipfs_node *n;
	const struct store_blob_id *id;
	struct buf plain, block;
	uint64_t have;  /* the number of what is in `block`; UINT64_MAX: none */
	struct cid cid; /* of that */
};

/* --- a block of the blob --- */

struct sealing {
	const unsigned char *key;
	uint64_t number;
	struct buf *plain, *block;
	struct cid *cid;
	int rc;
};

static void
seal_work(void *arg)
{
	struct sealing *j = arg;

	j->rc = block_seal(
	    j->key, BLOCK_BLOB, j->number, buf_slice(j->plain), j->block);
	if (j->rc == 0)
		j->rc = cid_of(buf_slice(j->block), j->cid);
}

static int
block_make(struct putting *p, const struct ipfs_row *r, uint64_t i)
{
	struct sealing j = { r->key, i, &p->plain, &p->block, &p->cid, 0 };
	uint64_t at = i * BLOCK_OCTETS, rest = r->size - at;
	size_t want = rest < BLOCK_OCTETS ? (size_t)rest : BLOCK_OCTETS, got;
	int rc;

	if (p->have == i)
		return 0;
	p->have = UINT64_MAX;
	buf_reset(&p->plain);
	if (!buf_reserve(&p->plain, want))
		return -ENOMEM;
	rc = store_blob_read(p->s, p->id, at, p->plain.p, want, &got);
	if (rc != 0)
		return rc;
	if (got != want)
		return -EIO;
	p->plain.n = got;
	if (want <= ON_LOOP)
		seal_work(&j);
	else if ((rc = co_work(seal_work, &j)) != 0)
		return rc;
	if (j.rc == 0)
		p->have = i;
	return j.rc;
}

/* --- the row --- */

/* A new one, PENDING, into `raw`. */
static int
row_make(struct putting *p, struct buf *raw, struct ipfs_row *row)
{
	struct buf digests = BUF_INIT;
	uint64_t n;
	int rc;

	*row = (struct ipfs_row){ .state = IPFS_PENDING };
	if ((rc = store_blob_size(p->s, p->id, &row->size)) != 0)
		return rc;
	if ((n = block_count(row->size)) > IPFS_BLOCKS_MAX)
		return -E2BIG;
	random_octets(row->key, sizeof(row->key));
	p->have = UINT64_MAX;
	for (uint64_t i = 0; i < n && rc == 0; i++)
		if ((rc = block_make(p, row, i)) == 0 &&
		    !buf_put(&digests, p->cid.digest, CID_DIGEST))
			rc = -ENOMEM;
	row->digests = buf_slice(&digests);
	if (rc == 0 && !ipfs_row_encode(row, raw))
		rc = -ENOMEM;
	if (rc == 0)
		rc = ipfs_row_change(p->s, p->id, SLICE_EMPTY, buf_slice(raw));
	if (rc == 0)
		rc = ipfs_row_decode(buf_slice(raw), row);
	buf_clear(&digests);
	return rc;
}

static int
blocks_put(struct putting *p, const struct ipfs_row *row, uint64_t *octets)
{
	struct cid want;
	int rc = 0;

	for (size_t i = 0; i < row->n && rc == 0; i++) {
		want = ipfs_row_cid(row, i);
		if ((rc = block_make(p, row, i)) != 0)
			break;
		if (memcmp(&want, &p->cid, sizeof(want)) != 0)
			return -EIO;
		rc = ipfs_node_put(p->n, buf_slice(&p->block), &want);
		*octets += p->block.n;
	}
	return rc;
}

static int
row_is_put(struct putting *p, struct buf *raw, struct ipfs_row *row)
{
	struct buf new = BUF_INIT;
	int rc = 0;

	row->state = IPFS_PUT;
	if (!ipfs_row_encode(row, &new))
		rc = -ENOMEM;
	if (rc == 0)
		rc = ipfs_row_change(
		    p->s, p->id, buf_slice(raw), buf_slice(&new));
	if (rc == 0) {
		buf_reset(raw);
		rc = buf_put_slice(raw, buf_slice(&new))
		    ? ipfs_row_decode(buf_slice(raw), row)
		    : -ENOMEM;
	}
	buf_wipe(&new);
	return rc;
}

static int
put_attempt(
    struct putting *p, struct buf *raw, struct ipfs_row *row, uint64_t *octets)
{
	uint64_t size;
	int rc = ipfs_row_get(p->s, p->id, raw, row);

	/* One that went, and came back from a file: its blocks go first. */
	if (rc == 0 && row->state == IPFS_LEAVING &&
	    (rc = ipfs_blob_leave(p->s, p->n, p->id)) == 0)
		rc = STORE_ECONFLICT;
	if (rc == 0 && row->state == IPFS_PUT)
		return store_blob_size(p->s, p->id, &size);
	if (rc == -ENOENT) {
		buf_reset(raw);
		rc = row_make(p, raw, row);
	}
	if (rc == 0 && (rc = blocks_put(p, row, octets)) == 0)
		rc = row_is_put(p, raw, row);
	return rc;
}

/* A node that is away answers -EAGAIN, which is a conflict's too: the node's
 * words tell them apart. */
int
ipfs_blob_put(struct store *s, struct ipfs_node *n,
    const struct store_blob_id *id, struct buf *raw, struct ipfs_row *row,
    uint64_t *octets)
{
	struct putting p = { .s = s, .n = n, .id = id, .have = UINT64_MAX };
	unsigned attempts = 0;
	int rc;

	do {
		n->why[0] = '\0';
		rc = put_attempt(&p, raw, row, octets);
	} while (n->why[0] == '\0' && try_again(rc, &attempts));
	buf_wipe(&p.plain);
	buf_clear(&p.block);
	return rc;
}

/* --- going --- */

static int
leave_attempt(
    struct store *s, struct ipfs_node *n, const struct store_blob_id *id)
{
	struct buf raw = BUF_INIT, new = BUF_INIT;
	struct ipfs_row row;
	struct cid cid;
	int rc = ipfs_row_get(s, id, &raw, &row);

	if (rc == 0 && row.state != IPFS_LEAVING) {
		/* The key goes first, and for good. */
		row.state = IPFS_LEAVING;
		rc = ipfs_row_encode(&row, &new)
		    ? ipfs_row_change(s, id, buf_slice(&raw), buf_slice(&new))
		    : -ENOMEM;
		if (rc == 0)
			rc = ipfs_row_get(s, id, &raw, &row);
	}
	for (size_t i = 0; rc == 0 && i < row.n; i++) {
		cid = ipfs_row_cid(&row, i);
		rc = ipfs_node_let_go(n, &cid);
	}
	if (rc == 0)
		rc = ipfs_row_change(s, id, buf_slice(&raw), SLICE_EMPTY);
	buf_wipe(&raw);
	buf_clear(&new);
	return rc == -ENOENT ? 0 : rc;
}

int
ipfs_blob_leave(
    struct store *s, struct ipfs_node *n, const struct store_blob_id *id)
{
	unsigned attempts = 0;
	int rc;

	do {
		n->why[0] = '\0';
		rc = leave_attempt(s, n, id);
	} while (n->why[0] == '\0' && try_again(rc, &attempts));
	return rc;
}
