/* SPDX-License-Identifier: ISC */
/*
 * Policies of MTA-STS (RFC 8461), fetched when mail goes to a domain and kept
 * in the queue's store for as long as they say, so that a domain that had one
 * has it while its DNS or its web server cannot be asked (3.3, 5.1).
 */
#ifndef PNEU_QM_STS_CACHE_H
#define PNEU_QM_STS_CACHE_H

#include "common/net/http_client.h"
#include "common/store/store.h"
#include "qm/sts.h"

struct sts_cache;

/* All of them outlive it. `port`: of the policy hosts, 443. */
int sts_cache_new(struct sts_cache **out, struct store *store, struct dns *dns,
    struct http_client *http, uint16_t port);
void sts_cache_free(struct sts_cache **c);

/*
 * What holds for a domain (A-labels, lower case) now; STS_NONE where there is
 * none. What *out has points into `a`. Waits, for a policy host up to 20
 * seconds. 0, -ENOMEM or -ECANCELED.
 */
int sts_cache_get(struct sts_cache *c, struct arena *a, const char *domain,
    struct sts_policy *out);
/* Remove the rows that hold no more. */
void sts_cache_sweep(struct sts_cache *c);

#endif
