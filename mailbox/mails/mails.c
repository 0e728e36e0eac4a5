/* SPDX-License-Identifier: ISC */
/* Opening Mails; what is asked of a whole mailbox or account. */
#include <stdlib.h>

#include "mailbox/mails/impl.h"

int
mails_open(struct mails **out, const struct mails_conf *conf, struct buf *err)
{
	struct mails *m = calloc(1, sizeof(*m));
	int rc;

	*out = NULL;
	if (m == NULL)
		return -ENOMEM;
	m->no_default_mailboxes = conf->no_default_mailboxes;
	if ((rc = store_open(&m->s, &conf->store, err)) != 0) {
		free(m);
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
	store_close(&m->s);
	free(m);
}

struct store *
mails_store(struct mails *m)
{
	return m->s;
}

static int
count_row(void *arg, struct slice key, struct slice val)
{
	uint32_t *n = arg;

	(void)key, (void)val;
	++*n;
	return 0;
}

/* Messages that no session has been told of. */
static int
count_recent(struct box *x, const struct header *h, uint32_t *n)
{
	struct key from = key_uid('u', h->recent_uid);
	struct key to = key_uid('u', h->uidnext);

	*n = 0;
	if (h->recent_uid >= h->uidnext)
		return 0;
	return store_scan(x->m->s, box_part(x), key_slice(&from),
	    key_slice(&to), STORE_SCAN_KEYS, count_row, n);
}

int
mails_status(struct mails *m, const char *account, struct slice name,
    struct mails_status *out)
{
	struct header h;
	struct box *x;
	uint64_t id;
	uint32_t recent;
	int rc;

	if ((rc = names_find(m, account, name, &id)) != 0)
		return mails_error(rc);
	if ((x = box_get(m, id)) == NULL)
		return -ENOMEM;
	if ((rc = box_read(x, &h)) == 0 &&
	    (rc = count_recent(x, &h, &recent)) == 0)
		*out = (struct mails_status){
			.recent = recent,
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

/* Of one mailbox, with what this process has handed over already. */
static int
box_usage(struct mails *m, uint64_t id, uint64_t *octets, uint64_t *messages)
{
	struct box *x = box_get(m, id);
	struct header h;
	int rc = 0;

	if (x == NULL)
		return -ENOMEM;
	if (x->known)
		h = x->h;
	else
		rc = box_read(x, &h);
	if (rc == 0) {
		*octets += h.octets;
		*messages += h.messages;
	}
	box_put(&x);
	return rc == -ENOENT ? 0 : rc; /* deleted at this moment */
}

int
usage_read(struct mails *m, const char *account, uint64_t except,
    uint64_t *octets, uint64_t *messages)
{
	struct arena a = ARENA_INIT_MAX((size_t)1 << 20);
	uint64_t *ids;
	size_t n;
	int rc = names_ids(m, account, &a, &ids, &n);

	*octets = *messages = 0;
	for (size_t i = 0; i < n && rc == 0; i++)
		if (ids[i] != except)
			rc = box_usage(m, ids[i], octets, messages);
	arena_reset(&a);
	return rc;
}

int
mails_usage(
    struct mails *m, const char *account, uint64_t *octets, uint64_t *messages)
{
	return mails_error(usage_read(m, account, 0, octets, messages));
}
