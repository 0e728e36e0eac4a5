/* SPDX-License-Identifier: ISC */
/*
 * Each message is fetched whole into a spool, as its blob lay there, before it
 * is opened and delivered like any other: sealed as the account here wants it.
 */
#include "mailbox/ipfs/take.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "common/smtp/spool.h"
#include "mailbox/ipfs/manifest.h"
#include "mailbox/ipfs/manifest_rows.h"
#include "mailbox/mails/birth.h"
#include "mailbox/mails/restore.h"

#define KEY_LETTER 'p'
#define KEY_OCTETS (1 + STORE_BLOB_ID_LEN + 4)

struct taking {
	struct ipfs_take *conf;
	struct store *s;
	struct arena a; /* names of the mailboxes of the manifest */
	const char **names;
	size_t n_names, cap_names;
	char *from;     /* the account, as it was called there */
	bool untouched; /* the account, before it was restored */
	/* the mailbox */
	struct arena box;
	const char *name;
	bool exists, same;
	struct mails_restored was;
	const char *keywords[MAILS_KEYWORDS_MAX];
	/* the message */
	struct buf block;
	struct spool *spool;
	char *plain;
	bool told_no_key;
};

/* --- the root --- */

int
ipfs_root_get(struct ipfs_node *n, const struct cid *cid, struct ipfs_root *out)
{
	int rc;

	*out = (struct ipfs_root){ .block = BUF_INIT };
	rc = ipfs_node_get(n, cid, &out->block);
	if (rc == 0 &&
	    root_decode(buf_slice(&out->block), &out->root, &out->sealed) !=
		0) {
		snprintf(n->why, sizeof(n->why),
		    "this is no manifest of an account");
		rc = -EBADMSG;
	}
	return rc;
}

static int
open_key(const struct ipfs_take *c, const struct root *r,
    unsigned char key[static AEAD_KEY])
{
	if (r->kind == ROOT_SERVER)
		return c->server_key == NULL
		    ? -ENOKEY
		    : seal_unwrap(c->server_key, r->wrapped, ROOT_CONTEXT, key);
	return c->key == NULL
	    ? -ENOKEY
	    : seal_open(c->key, r->wrapped, ROOT_CONTEXT, key);
}

/* --- a message's octets --- */

static int
fetch(struct taking *t, const unsigned char *key, enum block_kind kind,
    uint64_t number, const struct cid *cid, struct slice *plain)
{
	int rc;

	buf_reset(&t->block);
	rc = ipfs_node_get(t->conf->node, cid, &t->block);
	return rc == 0 ? block_open(key, kind, number, &t->block, plain) : rc;
}

static int
fetch_blob(struct taking *t, const struct manifest_message *m)
{
	uint64_t rest = m->stored;
	struct slice plain;
	struct cid cid;
	size_t part;
	int rc = spool_new(&t->spool, t->conf->spool_dir);

	for (size_t i = 0; i < m->n && rc == 0; i++) {
		memcpy(cid.digest, m->digests.p + i * CID_DIGEST, CID_DIGEST);
		rc = fetch(t, m->key, BLOCK_BLOB, i, &cid, &plain);
		part = rest < BLOCK_OCTETS ? (size_t)rest : BLOCK_OCTETS;
		if (rc == 0 && plain.n < part)
			rc = -EBADMSG;
		if (rc == 0)
			rc = spool_write(t->spool, slice_head(plain, part));
		rest -= part;
	}
	return rc;
}

static int
read_spool(void *arg, uint64_t at, void *p, size_t n)
{
	struct taking *t = arg;
	size_t got;
	int rc = spool_read(t->spool, at, p, n, &got);

	return rc == 0 && got != n ? -EBADMSG : rc;
}

/* As it lay there: without frames, nothing but the message. */
static int
octets_as_is(struct taking *t, const struct manifest_message *m,
    struct mails_message *msg)
{
	uint64_t at = 0;
	struct slice part;
	int rc = m->stored == m->row.size ? 0 : -EBADMSG;

	while (rc == 0 && at < m->stored) {
		rc = spool_view(t->spool, at, &part);
		if (rc == 0)
			rc = mails_message_write(msg, part);
		at += part.n;
	}
	return rc;
}

static int
octets_framed(struct taking *t, const struct manifest_message *m,
    const struct frames_seal *seal, struct mails_message *msg)
{
	struct frames_source s = { read_spool, t, m->stored };
	struct frames f;
	char tail[BIRTH_TAIL];
	int rc = s.stored < BIRTH_TAIL ? -EBADMSG : 0;

	if (rc == 0)
		rc = read_spool(t, s.stored - BIRTH_TAIL, tail, sizeof(tail));
	if (rc == 0) {
		s.stored -= birth_octets(tail, s.stored);
		rc = frames_open(&f, &s, seal);
	}
	if (rc == 0 && f.size != m->row.size)
		rc = -EBADMSG;
	for (uint64_t i = 0; rc == 0 && i < f.count; i++)
		if ((rc = frames_read(&f, t->conf->m->packer, i, t->plain)) ==
		    0)
			rc = mails_message_write(
			    msg, slice(t->plain, frames_octets(&f, i)));
	return rc;
}

static int
octets(struct taking *t, const struct manifest_message *m,
    struct mails_message *msg)
{
	struct frames_seal seal;
	bool sealed = m->row.wrap.kind != WRAP_NONE;
	int rc = 0;

	memcpy(seal.id, m->row.blob.octets, FRAMES_ID);
	if (sealed)
		rc = wrap_open_by(t->conf->server_key, t->from, t->conf->key,
		    slice(m->row.blob.octets, sizeof(m->row.blob.octets)),
		    &m->row.wrap, seal.key);
	if (rc == 0)
		rc = fetch_blob(t, m);
	if (rc == 0)
		rc = m->row.framed
		    ? octets_framed(t, m, sealed ? &seal : NULL, msg)
		    : octets_as_is(t, m, msg);
	spool_free(&t->spool);
	explicit_bzero(&seal, sizeof(seal));
	return rc == 0 ? mails_message_end(msg) : rc;
}

/* --- a message --- */

static struct slice
key_of(const struct manifest_message *m, char room[static KEY_OCTETS])
{
	room[0] = KEY_LETTER;
	memcpy(room + 1, m->row.blob.octets, STORE_BLOB_ID_LEN);
	put_be32(room + 1 + STORE_BLOB_ID_LEN, m->uid);
	return slice(room, KEY_OCTETS);
}

static int
deliver(struct taking *t, const struct manifest_message *m, struct slice key,
    struct mails_message *msg)
{
	const char *keywords[MAILS_KEYWORDS_MAX + 1];
	struct mails_was was = { m->uid, m->row.savedate };
	struct mails_target target = { .account = t->conf->account,
		.mailbox = slice_str(t->name),
		.flags = m->row.flags.system,
		.keywords = keywords,
		.internaldate = m->row.internaldate,
		.quota = t->conf->quota,
		.key = key };
	size_t n = 0;
	int rc;

	for (unsigned i = 0; i < MAILS_KEYWORDS_MAX; i++)
		if (m->row.flags.keywords >> i & 1 && t->keywords[i] != NULL)
			keywords[n++] = t->keywords[i];
	keywords[n] = NULL;
	if (!t->same)
		was.uid = 0;
	target.was = &was;
	if ((rc = mails_deliver(msg, &target, 1)) != 0)
		return rc;
	t->conf->other_uids += target.uid != m->uid;
	t->conf->report->messages++;
	t->conf->report->octets += m->row.size;
	return 0;
}

static int
restore_message(
    struct taking *t, const struct manifest_message *m, struct slice key)
{
	struct mails_message *msg = NULL;
	int rc = mails_message_begin(t->conf->m, &msg);

	if (rc == 0)
		rc = mails_message_for(msg, t->conf->account);
	if (rc == 0)
		rc = octets(t, m, msg);
	if (rc == 0)
		rc = deliver(t, m, key, msg);
	mails_message_free(&msg);
	return rc;
}

/* One message's trouble, or all's? */
static int
judge(struct taking *t, const struct manifest_message *m, int rc)
{
	struct door_report *r = t->conf->report;
	const char *what = rc == -ENOENT ? "the node has not all of its blocks"
	    : rc == -EBADMSG             ? "damaged, or not what it is to be"
	    : rc == -EIO                 ? "damaged"
					 : NULL;

	if (rc == -ENOKEY) {
		r->failed++;
		if (!t->told_no_key)
			door_warn(r,
			    "%s, UID %u and others: what they are sealed with "
			    "is "
			    "not here; see --key and --password-file",
			    log_qs(t->name), (unsigned)m->uid);
		t->told_no_key = true;
		return 0;
	}
	if (what == NULL)
		return rc;
	r->failed++;
	door_warn(r, "%s, UID %u: %s", log_qs(t->name), (unsigned)m->uid, what);
	return 0;
}

static int
on_message(void *arg, const struct manifest_message *m)
{
	struct taking *t = arg;
	struct buf note = BUF_INIT;
	char room[KEY_OCTETS];
	struct slice key = key_of(m, room);
	uint32_t uid;
	int rc;

	if (!t->exists) {
		t->conf->report->failed++;
		return 0;
	}
	rc = mails_key_get(
	    t->conf->m, t->conf->account, slice_str(t->name), key, &uid, &note);
	buf_clear(&note);
	if (rc == 0)
		t->conf->report->known++;
	else if (rc == -ENOENT)
		rc = restore_message(t, m, key);
	door_report_tick(t->conf->report);
	return rc == 0 ? 0 : judge(t, m, rc);
}

/* --- mailboxes --- */

static int
mailbox_end(struct taking *t)
{
	int rc = 0;

	if (t->exists && t->same)
		rc = mails_restore_end(
		    t->conf->m, t->conf->account, slice_str(t->name), &t->was);
	t->exists = t->same = false;
	arena_reset(&t->box);
	return rc;
}

static bool
name_keep(struct taking *t, struct slice name)
{
	size_t cap = t->cap_names == 0 ? 64 : t->cap_names * 2;
	const char **v;

	if (t->n_names == t->cap_names) {
		if ((v = arena_alloc(&t->a, cap * sizeof(*v))) == NULL)
			return false;
		if (t->n_names > 0)
			memcpy(v, t->names, t->n_names * sizeof(*v));
		t->names = v;
		t->cap_names = cap;
	}
	t->name = t->names[t->n_names] = arena_strdup(&t->a, name);
	return t->names[t->n_names++] != NULL;
}

/* A mailbox in which nothing ever was. */
static int
delete_unused(struct taking *t, struct slice name)
{
	struct mails_status s;
	int rc = mails_status(t->conf->m, t->conf->account, name, &s);

	if (rc == 0 && s.messages == 0 && s.uidnext == 1)
		rc = mails_delete(t->conf->m, t->conf->account, name);
	return rc == -ENOENT || rc == -EPERM ? 0 : rc;
}

/* 0, or why there cannot be such a mailbox. */
static int
mailbox_make(struct taking *t, const struct manifest_mailbox *b)
{
	struct mails *m = t->conf->m;
	const char *account = t->conf->account;
	struct slice name = slice_str(t->name);
	bool subscribed = (b->attrs & MAILS_SUBSCRIBED) != 0;
	int rc = 0;

	/* One that every new account gets, and of which that one had the name. */
	if (b->uidvalidity == 0 && t->untouched)
		rc = delete_unused(t, name);
	if (rc == 0 && b->uidvalidity != 0)
		rc = mails_create(
		    m, account, name, b->attrs & MAILS_SPECIAL_USES, NULL);
	else if (rc == 0 && !subscribed)
		rc = mails_create(m, account, name, MAILS_NOSELECT, NULL);
	/* A use that another mailbox has by now. */
	if (rc == -EINVAL && (b->attrs & MAILS_SPECIAL_USES) != 0)
		rc = mails_create(m, account, name, 0, NULL);
	if (rc == -EEXIST)
		rc = 0;
	if (rc == 0 && (t->untouched || subscribed))
		rc = mails_subscribe(m, account, name, subscribed);
	return rc;
}

static int
on_mailbox(void *arg, const struct manifest_mailbox *b)
{
	struct taking *t = arg;
	int rc = mailbox_end(t);

	if (rc == 0 && !name_keep(t, b->name))
		rc = -ENOMEM;
	if (rc != 0)
		return rc;
	door_report_mailbox(t->conf->report, b->name);
	rc = mailbox_make(t, b);
	if (rc == -EINVAL || rc == -EPERM || rc == -E2BIG) {
		door_warn(t->conf->report, "%s: no such mailbox can be here",
		    log_qs(t->name));
		t->conf->report->failed++;
		return 0;
	}
	if (rc != 0 || b->uidvalidity == 0)
		return rc;
	t->was =
	    (struct mails_restored){ b->uidvalidity, b->uidnext, b->modseq };
	memset(t->keywords, 0, sizeof(t->keywords));
	for (size_t i = 0; i < b->n_keywords; i++)
		t->keywords[i] = arena_strdup(&t->box, b->keywords[i]);
	t->exists = true;
	return mails_restore_begin(t->conf->m, t->conf->account,
	    slice_str(t->name), &t->was, &t->same);
}

static int
on_head(void *arg, const struct manifest_head *h)
{
	struct taking *t = arg;
	int rc;

	if ((t->from = slice_strdup(h->account)) == NULL)
		return -ENOMEM;
	if ((rc = t->conf->who(t->conf->arg, t->from)) != 0)
		return rc;
	rc = mails_is_untouched(t->conf->m, t->conf->account, &t->untouched);
	if (rc == 0 && t->untouched)
		return ipfs_restoring_set(t->s, t->conf->account, true);
	return rc == 0
	    ? ipfs_restoring_get(t->s, t->conf->account, &t->untouched)
	    : rc;
}

static bool
is_named(const struct taking *t, const char *name)
{
	for (size_t i = 0; i < t->n_names; i++)
		if (strcmp(t->names[i], name) == 0)
			return true;
	return false;
}

/* Mailboxes that every new account gets, and that one had not. */
static int
remove_defaults(struct taking *t)
{
	struct mails_info *infos;
	size_t n = 0;
	int rc = !t->untouched
	    ? 0
	    : mails_list(t->conf->m, t->conf->account, &t->a, &infos, &n);

	for (size_t i = 0; i < n && rc == 0; i++) {
		if (is_named(t, infos[i].name))
			continue;
		if (infos[i].attrs & MAILS_SUBSCRIBED)
			rc = mails_subscribe(t->conf->m, t->conf->account,
			    slice_str(infos[i].name), false);
		if (rc == 0 && infos[i].id != 0)
			rc = delete_unused(t, slice_str(infos[i].name));
	}
	/* What failed may come by another run. */
	if (rc == 0 && t->untouched && t->conf->report->failed == 0)
		rc = ipfs_restoring_set(t->s, t->conf->account, false);
	return rc;
}

/* --- all of it --- */

static int
leaves(struct taking *t, const unsigned char *key, const struct root_body *b,
    struct manifest_reader *r)
{
	struct buf leaf = BUF_INIT;
	uint64_t rest = b->octets;
	struct slice plain;
	struct cid cid;
	size_t part;
	int rc = 0;

	for (uint64_t i = 0; rc == 0 && i < b->digests.n / CID_DIGEST; i++) {
		memcpy(cid.digest, b->digests.p + i * CID_DIGEST, CID_DIGEST);
		buf_reset(&leaf);
		rc = ipfs_node_get(t->conf->node, &cid, &leaf);
		if (rc == 0)
			rc = block_open(key, BLOCK_LEAF, i, &leaf, &plain);
		part = rest < BLOCK_OCTETS ? (size_t)rest : BLOCK_OCTETS;
		if (rc == 0 && plain.n < part)
			rc = -EBADMSG;
		if (rc == 0)
			rc = manifest_feed(r, slice_head(plain, part));
		rest -= part;
	}
	buf_wipe(&leaf);
	return rc;
}

static int
take_all(struct taking *t, const unsigned char *key, struct root_body *body)
{
	static const struct manifest_fns fns = { on_head, on_mailbox,
		on_message };
	struct manifest_reader r;
	int rc;

	manifest_reader_init(&r, &fns, t);
	rc = body->is_inline ? manifest_feed(&r, body->octets_here)
			     : leaves(t, key, body, &r);
	if (rc == 0)
		rc = manifest_feed_end(&r);
	if (rc == 0)
		rc = mailbox_end(t);
	if (rc == 0)
		rc = remove_defaults(t);
	manifest_reader_clear(&r);
	return rc;
}

int
ipfs_take(struct ipfs_take *conf, struct ipfs_root *root)
{
	struct taking *t = calloc(1, sizeof(*t));
	unsigned char key[AEAD_KEY];
	struct root_body body;
	int rc = t == NULL ? -ENOMEM : open_key(conf, &root->root, key);

	if (rc == 0)
		rc = root_open(&root->block, root->sealed, key, &body);
	if (rc == 0 && (t->plain = malloc(FRAME_OCTETS)) == NULL)
		rc = -ENOMEM;
	if (rc == 0) {
		t->conf = conf;
		t->s = mails_store(conf->m);
		t->a = ARENA_INIT_MAX((size_t)8 << 20);
		t->box = ARENA_INIT_MAX((size_t)64 << 10);
		rc = take_all(t, key, &body);
		explicit_bzero(t->plain, FRAME_OCTETS);
	}
	if (t != NULL) {
		arena_reset(&t->a);
		arena_reset(&t->box);
		buf_wipe(&t->block);
		free(t->from);
		free(t->plain);
	}
	free(t);
	explicit_bzero(key, sizeof(key));
	return rc;
}
