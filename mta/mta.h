/* SPDX-License-Identifier: ISC */
/* pneu-mta inside: the session's hooks, and what happens at the end of data. */
#ifndef PNEU_MTA_MTA_H
#define PNEU_MTA_MTA_H

#include "common/net/clients.h"
#include "common/net/service.h"
#include "common/smtp/client.h"
#include "common/smtp/server.h"

int mta_start(const struct conf *conf);
void mta_reload(const struct conf *conf);
void mta_stop(void);
size_t mta_paths(const struct conf *conf, struct service_path *out, size_t max);
void mta_session(struct conn *c, const struct service_protocol *p);

/*
 * One address that the message goes to, after guard's word: an accepted
 * recipient itself, or each forward-path of its 251.
 */
struct mta_target {
	struct slice address; /* on the wire, no brackets */
	struct slice orcpt;   /* "rfc822;..": what the client asked for */
	unsigned notify;
	size_t owner;            /* index of the accepted recipient */
	bool relay;              /* not an account of ours: to qm */
	struct smtp_reply reply; /* the fate, once tried */
	int64_t took_us;
	int error; /* -errno of who was to take it, which had no reply */
};

/* Whom mta asks, and hands messages to. */
struct mta_peers {
	struct smtp_pool *guard, *mailbox, *qm;
};

/*
 * The forward-paths of guard's 251 reply (guard/guard.h says their form) as
 * targets, appended to *out (*n of them, room for max). -EPROTO: no path in
 * it, -E2BIG: too many.
 */
int mta_targets_of_251(struct arena *a, const struct smtp_reply *r,
    struct slice orcpt, unsigned notify, struct mta_target *out, size_t *n,
    size_t max);
/* Sort, relayed ones first, and drop those whose address came before; the new
 * count. */
size_t mta_targets_unique(struct mta_target *t, size_t n);
/* The one of t (as mta_targets_unique left it) that stands for `like`. */
struct mta_target *mta_targets_find(
    struct mta_target *t, size_t n, const struct mta_target *like);

/*
 * Hand the message to all targets and say the one reply that SMTP has (design
 * section 3, "mta end of data"). What failed while other targets did not is
 * handed to qm, which tries again, and reports what cannot be. Waits.
 *
 * With PRDR, n_replies over 1, each recipient hears of its own fate; qm gets
 * only what failed of one that has several targets, some of which did not.
 */
void mta_deliver(const struct mta_peers *peers, struct smtp_session *s,
    struct slice prefix, struct spool *body, struct mta_target *targets,
    size_t n, struct smtp_reply *replies, size_t n_replies);

#endif
