/* SPDX-License-Identifier: ISC */
/* Opening Mails; what is asked of a whole mailbox or account. */
#include <stdlib.h>

#include "mailbox/mails/index_impl.h"
#include "mailbox/mails/kept_impl.h"
#include "mailbox/mails/room.h"

int
mails_open(struct mails **out, const struct mails_conf *conf, struct buf *err)
{
	struct mails *m = calloc(1, sizeof(*m));
	int rc;

	*out = NULL;
	if (m == NULL)
		return -ENOMEM;
	m->no_default_mailboxes = conf->no_default_mailboxes;
	m->keep_s = conf->keep_s;
	if ((m->packer = packer_new(conf->compression)) == NULL) {
		free(m);
		return -ENOMEM;
	}
	if ((rc = store_open(&m->s, &conf->store, err)) != 0) {
		packer_free(&m->packer);
		free(m);
		return rc;
	}
	m->rooms = rooms_new(conf->store.readonly ? NULL : conf->store.dir);
	rc = m->rooms == NULL ? -ENOMEM : sealing_open(m, conf, err);
	if (rc != 0) {
		mails_close(&m);
		return rc;
	}
	*out = m;
	return 0;
}

void
mails_close(struct mails **out)
{
	struct mails *m = *out;

	*out = NULL;
	if (m == NULL)
		return;
	purge_stop(m);
	index_stop(m);
	warm_free(m);
	store_close(&m->s);
	rooms_free(&m->rooms);
	octets_cache_free(m);
	opened_keys_free(m);
	packer_free(&m->packer);
	explicit_bzero(m->server_key, sizeof(m->server_key));
	explicit_bzero(m->names_key, sizeof(m->names_key));
	free(m);
}

struct store *
mails_store(struct mails *m)
{
	return m->s;
}

/* Of a name of kept mail: there are no sums of it. */
static int
status_counted(struct mails *m, const char *account, struct slice name,
    struct mails_status *out)
{
	struct mails_view *v;
	struct mails_row row;
	int rc = mails_view_examine(m, account, name, &v);

	if (rc != 0)
		return rc;
	*out = (struct mails_status){ .uidvalidity = mails_view_uidvalidity(v),
		.uidnext = mails_view_uidnext(v),
		.messages = mails_view_count(v),
		.highestmodseq = mails_view_highestmodseq(v) };
	for (uint32_t seq = 1; seq <= out->messages; seq++) {
		out->unseen +=
		    (mails_view_flags(v, seq).system & MAILS_SEEN) == 0;
		if (mails_row(v, seq, &row) == 0)
			out->octets += row.size;
	}
	mails_view_close(&v);
	return 0;
}

int
mails_status(struct mails *m, const char *account, struct slice name,
    struct mails_status *out)
{
	struct header h;
	struct box *x;
	uint64_t id;
	int rc;

	if (kept_is_name(name))
		return status_counted(m, account, name, out);
	if ((rc = names_find(m, account, name, &id)) != 0)
		return mails_error(rc);
	if ((x = box_get(m, id)) == NULL)
		return -ENOMEM;
	if ((rc = box_read(x, &h)) == 0)
		*out = (struct mails_status){
			.uidvalidity = h.uidvalidity,
			.uidnext = h.uidnext,
			.messages = h.messages,
			.unseen = h.unseen,
			.deleted = h.deleted,
			.octets = h.octets,
			.highestmodseq = h.modseq,
		};
	box_put(&x);
	return mails_error(rc);
}

struct recount {
	uint32_t n, next; /* counted; the UID to go on with */
};

static int
recount_row(void *arg, struct slice key, struct slice val)
{
	struct recount *r = arg;

	(void)val;
	if (key.n != 5)
		return -EIO;
	r->next = get_be32(key.p + 1) + 1;
	return ++r->n % 1000 == 0; /* and then others have their turn */
}

static int
recount(struct box *x, const struct header *h, uint32_t *n)
{
	struct recount r = { 0, h->recent_uid };
	struct key from, to = key_uid('u', h->uidnext);
	int rc = 1;

	while (rc == 1 && r.next < h->uidnext) {
		from = key_uid('u', r.next);
		rc = store_scan(x->m->s, box_part(x), key_slice(&from),
		    key_slice(&to), STORE_SCAN_KEYS, recount_row, &r);
		if (rc == 1)
			(void)co_yield ();
	}
	*n = r.n;
	return rc > 0 ? 0 : rc;
}

int
mails_recent(
    struct mails *m, const char *account, struct slice name, uint32_t *n)
{
	struct header h;
	struct box *x;
	uint64_t id;
	int rc;

	*n = 0;
	if (kept_is_name(name))
		return 0;
	if ((rc = names_find(m, account, name, &id)) != 0)
		return mails_error(rc);
	if ((x = box_get(m, id)) == NULL)
		return -ENOMEM;
	if ((rc = box_read(x, &h)) == 0)
		rc = recount(x, &h, n);
	box_put(&x);
	return mails_error(rc);
}

/* Of one mailbox, as it is committed: other processes deliver too. */
static int
box_usage(struct mails *m, uint64_t id, uint64_t *octets, uint64_t *messages)
{
	struct box *x = box_get(m, id);
	struct header h;
	int rc;

	if (x == NULL)
		return -ENOMEM;
	if ((rc = box_read(x, &h)) == 0) {
		*octets += h.octets;
		*messages += h.messages;
	}
	box_put(&x);
	return rc == -ENOENT ? 0 : rc; /* deleted at this moment */
}

int
usage_read(
    struct mails *m, const char *account, uint64_t *octets, uint64_t *messages)
{
	struct arena a = ARENA_INIT_MAX((size_t)1 << 20);
	uint64_t *ids;
	size_t n;
	int rc = names_ids(m, account, &a, &ids, &n);

	*octets = *messages = 0;
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = box_usage(m, ids[i], octets, messages);
	arena_reset(&a);
	return rc;
}

int
mails_usage(
    struct mails *m, const char *account, uint64_t *octets, uint64_t *messages)
{
	return mails_error(usage_read(m, account, octets, messages));
}
