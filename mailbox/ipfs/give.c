/* SPDX-License-Identifier: ISC */
/*
 * The manifest streams into leaves, each noted before it is put; the root comes
 * last. Until it is there the older manifest stands.
 */
#include "mailbox/ipfs/give.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "mailbox/ipfs/manifest.h"
#include "mailbox/ipfs/manifest_rows.h"
#include "mailbox/ipfs/put.h"

#define PAGE 64

struct giving {
	const struct ipfs_give *conf;
	struct store *s;
	uint64_t made_ms, octets;
	unsigned char key[AEAD_KEY];
	struct root root;
	struct buf stream, block, digests, raw;
	uint32_t leaves;
	struct manifest_end end;
	/* rows of the mailbox */
	struct row rows[PAGE];
	uint32_t uids[PAGE], next;
	size_t n;
};

/* --- leaves and the root --- */

static int
put_block(struct giving *g, uint32_t number, struct cid *cid)
{
	int rc = cid_of(buf_slice(&g->block), cid);

	if (rc == 0)
		rc = ipfs_manifest_note(
		    g->s, g->conf->account, g->made_ms, number, cid);
	if (rc == 0)
		rc = ipfs_node_put(g->conf->node, buf_slice(&g->block), cid);
	return rc;
}

static int
put_leaf(struct giving *g, size_t n)
{
	struct cid cid;
	int rc = block_seal(g->key, BLOCK_LEAF, g->leaves,
	    slice_head(buf_slice(&g->stream), n), &g->block);

	if (rc == 0 && g->leaves == ROOT_LEAVES_MAX)
		rc = -E2BIG;
	if (rc == 0)
		rc = put_block(g, g->leaves, &cid);
	if (rc == 0 && !buf_put(&g->digests, cid.digest, CID_DIGEST))
		rc = -ENOMEM;
	g->leaves++;
	g->octets += n;
	buf_consume(&g->stream, n);
	return rc;
}

/* After each record. */
static int
streamed(struct giving *g, bool fine)
{
	int rc = fine ? 0 : -ENOMEM;

	while (rc == 0 && g->stream.n >= BLOCK_OCTETS)
		rc = put_leaf(g, BLOCK_OCTETS);
	return rc;
}

static int
put_root(struct giving *g, struct cid *out)
{
	struct root_body body = { .is_inline = true };
	int rc = 0;

	if (g->leaves > 0 || g->stream.n > ROOT_ROOM) {
		if (g->stream.n > 0)
			rc = put_leaf(g, g->stream.n);
		body.is_inline = false;
		body.octets = g->octets;
		body.digests = buf_slice(&g->digests);
	} else {
		body.octets = g->stream.n;
		body.octets_here = buf_slice(&g->stream);
	}
	if (rc == 0)
		rc = root_encode(&g->root, g->key, &body, &g->block);
	/* With the root's row the older manifest goes: not before the node has
	 * said that it has this one. */
	if (rc == 0)
		rc = put_block(g, MANIFEST_COMING, out);
	return rc == 0 ? ipfs_manifest_note(g->s, g->conf->account, g->made_ms,
			     MANIFEST_ROOT, out)
		       : rc;
}

/* Who can open it. */
static int
root_make(struct giving *g)
{
	enum mails_sealing how;
	int rc = sealing_of(g->conf->m, g->conf->account, &how, g->root.public);

	if (rc != 0)
		return rc;
	random_octets(g->key, sizeof(g->key));
	if (how != MAILS_SEAL_ACCOUNT) {
		g->root.kind = ROOT_SERVER;
		rc = server_key_need(g->conf->m);
		return rc == 0 ? seal_wrap(g->conf->m->server_key, g->key,
				     ROOT_CONTEXT, g->root.wrapped)
			       : rc;
	}
	g->root.kind = ROOT_ACCOUNT;
	g->root.has_recovery = g->conf->has_recovery;
	if (g->root.has_recovery)
		memcpy(g->root.recovery, g->conf->recovery, SEAL_WRAP_LEN);
	return seal_to(g->root.public, g->key, ROOT_CONTEXT, g->root.wrapped);
}

/* --- messages --- */

static int
note_row(void *arg, struct slice key, struct slice val)
{
	struct giving *g = arg;

	if (key.n != 5)
		return -EIO;
	g->next = get_be32(key.p + 1) + 1;
	if (row_decode(val, &g->rows[g->n]) == 0)
		g->uids[g->n++] = g->next - 1;
	else
		g->conf->report->failed++; /* check names it */
	return g->n == PAGE;
}

static int
give_row(struct giving *g, uint32_t uid, const struct row *r)
{
	struct manifest_message m = { .uid = uid, .row = *r };
	struct door_report *report = g->conf->report;
	struct ipfs_row row;
	uint64_t put = 0;
	int rc =
	    ipfs_blob_put(g->s, g->conf->node, &r->blob, &g->raw, &row, &put);

	if (rc == -ENOENT || rc == -EIO || rc == -E2BIG) {
		report->failed += rc != -ENOENT; /* else expunged meanwhile */
		if (rc != -ENOENT)
			door_warn(report, "%s, UID %u: %s", report->mailbox,
			    (unsigned)uid,
			    rc == -E2BIG ? "over 1.5 GiB" : strerror(-rc));
		return 0;
	}
	if (rc != 0)
		return rc;
	memcpy(m.key, row.key, sizeof(m.key));
	m.stored = row.size;
	m.digests = row.digests;
	m.n = row.n;
	g->end.messages++;
	report->messages++;
	report->octets += r->size;
	door_report_tick(report);
	rc = streamed(g, manifest_put_message(&g->stream, &m));
	explicit_bzero(m.key, sizeof(m.key));
	return rc;
}

static int
give_rows(struct giving *g, struct box *x, uint32_t uidnext)
{
	struct key from, to = key_uid('u', uidnext);
	int more = 1, rc = 0;

	g->next = 1;
	while (more == 1 && rc == 0) {
		g->n = 0;
		from = key_uid('u', g->next);
		more = store_scan(g->s, box_part(x), key_slice(&from),
		    key_slice(&to), 0, note_row, g);
		if (more < 0)
			return more;
		for (size_t i = 0; i < g->n && rc == 0; i++)
			rc = give_row(g, g->uids[i], &g->rows[i]);
	}
	return rc;
}

static int
give_box(struct giving *g, const struct mails_info *info)
{
	struct manifest_mailbox b = { .attrs = info->attrs,
		.name = slice_str(info->name) };
	struct keywords keywords = { 0 };
	struct header h = { 0 };
	struct box *x = NULL;
	int rc = 0;

	door_report_mailbox(g->conf->report, b.name);
	g->end.mailboxes++;
	if (info->id == 0)
		return streamed(g, manifest_put_mailbox(&g->stream, &b));
	if ((x = box_get(g->conf->m, info->id)) == NULL)
		return -ENOMEM;
	if ((rc = moves_replay(x)) == 0 && (rc = box_read(x, &h)) == 0)
		rc = keywords_read(x, &keywords);
	if (rc == 0) {
		b.uidvalidity = h.uidvalidity;
		b.uidnext = h.uidnext;
		b.modseq = h.modseq;
		b.n_keywords = keywords.n;
		for (size_t i = 0; i < keywords.n; i++)
			b.keywords[i] = slice_str(keywords.names[i]);
		rc = streamed(g, manifest_put_mailbox(&g->stream, &b));
	}
	if (rc == 0)
		rc = give_rows(g, x, h.uidnext);
	keywords_clear(&keywords);
	box_put(&x);
	return rc;
}

static int
give_boxes(struct giving *g)
{
	struct arena a = ARENA_INIT_MAX((size_t)4 << 20);
	struct mails_info *infos;
	size_t n = 0;
	int rc = mails_list(g->conf->m, g->conf->account, &a, &infos, &n);

	for (size_t i = 0; i < n && rc == 0; i++)
		rc = give_box(g, &infos[i]);
	arena_reset(&a);
	return rc;
}

int
ipfs_give(const struct ipfs_give *conf, struct cid *out)
{
	struct giving *g = calloc(1, sizeof(*g));
	struct manifest_head h = { .made_s = clock_wall_s(),
		.account = slice_str(conf->account) };
	int rc;

	if (g == NULL)
		return -ENOMEM;
	g->conf = conf;
	g->s = mails_store(conf->m);
	g->made_ms = (uint64_t)clock_wall_ms();
	if ((rc = root_make(g)) == 0)
		rc = streamed(g, manifest_put_head(&g->stream, &h));
	if (rc == 0)
		rc = give_boxes(g);
	if (rc == 0)
		rc = streamed(g, manifest_put_end(&g->stream, &g->end));
	if (rc == 0)
		rc = put_root(g, out);
	if (rc == 0)
		rc = ipfs_manifests_reap(conf->m, conf->node);
	buf_wipe(&g->stream);
	buf_clear(&g->block);
	buf_clear(&g->digests);
	buf_wipe(&g->raw);
	explicit_bzero(g, sizeof(*g));
	free(g);
	return rc;
}
