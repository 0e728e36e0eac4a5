/* SPDX-License-Identifier: ISC */
#include "mailbox/ipfs/status.h"

#include <stdlib.h>

#include "mailbox/ipfs/manifest_rows.h"

#define PAGE 512

struct counting {
	struct ipfs_status *out;
	struct store_blob_id page[PAGE];
	size_t n;
	uint64_t rows, of_blobs; /* those whose blob is there */
	bool broken;             /* a row is damaged */
};

static int
on_blob(
    void *arg, const struct store_blob_id *id, uint64_t size, int64_t written_s)
{
	struct counting *c = arg;

	(void)size;
	(void)written_s;
	c->page[c->n++] = *id;
	return c->n == PAGE;
}

static int
count_blob(struct store *s, struct counting *c, const struct store_blob_id *id,
    struct buf *raw)
{
	struct ipfs_row row;
	int rc = ipfs_row_get(s, id, raw, &row);

	c->of_blobs += rc == 0;
	if (rc == 0 && row.state == IPFS_PUT)
		c->out->put++;
	else if (rc == 0 || rc == -ENOENT)
		c->out->waiting++;
	return rc == -ENOENT ? 0 : rc;
}

static int
count_blobs(struct store *s, struct counting *c)
{
	const struct store_blob_id *after = NULL;
	struct store_blob_id last;
	struct buf raw = BUF_INIT;
	int more = 1, rc = 0;

	while (more == 1 && rc == 0) {
		c->n = 0;
		if ((more = store_blob_list_after(s, after, on_blob, c)) < 0)
			rc = more;
		for (size_t i = 0; i < c->n && rc == 0; i++)
			rc = count_blob(s, c, &c->page[i], &raw);
		last = c->n > 0 ? c->page[c->n - 1] : last;
		after = &last;
	}
	buf_wipe(&raw);
	return rc;
}

static int
on_row(void *arg, struct slice key, struct slice val)
{
	struct counting *c = arg;
	struct ipfs_row row;

	(void)key;
	c->rows++;
	if (ipfs_row_decode(val, &row) != 0)
		c->broken = true;
	else if (row.state == IPFS_PUT)
		c->out->blocks += row.n;
	return 0;
}

static int
on_manifest(void *arg, struct slice key, struct slice val)
{
	struct counting *c = arg;

	(void)val;
	if (key.n > 4 && get_be32(key.p + key.n - 4) == MANIFEST_ROOT)
		c->out->manifests++;
	return 0;
}

int
ipfs_status_get(struct store *s, struct ipfs_status *out)
{
	struct counting *c = calloc(1, sizeof(*c));
	char part[IPFS_PART + 1];
	struct store_blob_id id;
	int rc;

	*out = (struct ipfs_status){ 0 };
	if (c == NULL)
		return -ENOMEM;
	c->out = out;
	rc = count_blobs(s, c);
	for (unsigned i = 0; i < 256 && rc == 0; i++) {
		id.octets[0] = (unsigned char)i;
		rc = store_scan(s, ipfs_part(&id, part), SLICE_EMPTY,
		    SLICE_EMPTY, 0, on_row, c);
	}
	if (rc == 0)
		rc = store_scan(s, IPFS_MANIFESTS, SLICE_EMPTY, SLICE_EMPTY, 0,
		    on_manifest, c);
	if (rc == 0 && c->broken)
		rc = -EIO;
	/* Whether that was said already, or is yet to be found. */
	if (c->rows > c->of_blobs)
		out->leaving = c->rows - c->of_blobs;
	free(c);
	return rc;
}
