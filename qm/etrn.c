/* SPDX-License-Identifier: ISC */
/*
 * What waits for a domain is tried now: ETRN (RFC 1985), handed on by mta and
 * msa, who decide who may ask. The queue is gone through once; what its sender
 * has held stays held.
 */
#include <errno.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "common/mail/address.h"
#include "qm/qm.h"

struct ids {
	char (*v)[QUEUE_ID_LEN + 1];
	size_t n, cap;
};

static int
id_add(void *arg, const struct queue_info *info)
{
	struct ids *ids = arg;

	if (info->flags & QUEUE_HELD)
		return 0;
	if (ids->n == ids->cap) {
		size_t cap = ids->cap == 0 ? 256 : ids->cap * 2;
		void *v = realloc(ids->v, cap * sizeof(*ids->v));

		if (v == NULL)
			return -ENOMEM;
		ids->v = v;
		ids->cap = cap;
	}
	memcpy(ids->v[ids->n++], info->id, sizeof(info->id));
	return 0;
}

bool
qm_domain_matches(struct slice address, struct slice node, bool subdomains)
{
	struct arena a = ARENA_INIT_MAX(16384);
	ssize_t at = slice_rfind(address, '@');
	struct slice domain =
	    at < 0 ? SLICE_EMPTY : slice_from(address, (size_t)at + 1);
	struct slice x, y;
	bool same;

	if (domain_canonical(&a, domain, &x) != 0)
		x = domain; /* a literal */
	if (domain_canonical(&a, node, &y) != 0)
		y = node;
	same = x.n > 0 && slice_eq_nocase(x, y);
	if (!same && subdomains && x.n > y.n + 1 && y.n > 0)
		same = x.p[x.n - y.n - 1] == '.' &&
		    slice_eq_nocase(slice_from(x, x.n - y.n), y);
	arena_reset(&a);
	return same;
}

static bool
waits_for(const struct queue_message *m, struct slice node, bool subdomains)
{
	for (size_t i = 0; i < m->n_rcpts; i++)
		if (m->rcpts[i]->state == QUEUE_PENDING &&
		    qm_domain_matches(m->rcpts[i]->address, node, subdomains))
			return true;
	return false;
}

/* 1: it waits for the node, and is due now; 0: it does not; or an error. */
static int
flush_one(struct qm *qm, const char *id, struct slice node, bool subdomains)
{
	struct queue_message *m;
	bool waits;
	int rc;

	if ((rc = queue_load(qm->queue, id, -1, &m)) != 0)
		return rc == -ENOENT ? 0 : rc;
	waits = waits_for(m, node, subdomains);
	queue_message_free(&m);
	if (!waits)
		return 0;
	rc = queue_order(qm->queue, id, QUEUE_ORDER_RETRY);
	return rc == 0 ? 1 : rc == -ENOENT ? 0 : rc;
}

int
qm_flush(struct qm *qm, struct slice node, bool subdomains, size_t *n)
{
	struct ids ids = { 0 };
	int rc;

	*n = 0;
	if (qm->flushing)
		return -EBUSY;
	qm->flushing = true;
	rc = queue_list(qm->queue, id_add, &ids);
	for (size_t i = 0; i < ids.n && rc == 0; i++) {
		int one = flush_one(qm, ids.v[i], node, subdomains);

		if (one < 0)
			rc = one;
		else
			*n += (size_t)one;
	}
	free(ids.v);
	qm->flushing = false;
	log_info("flushed", "node=%s messages=%zu rc=%d", log_q(node), *n, rc);
	return rc;
}
