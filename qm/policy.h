/* SPDX-License-Identifier: ISC */
/*
 * How safe a connection to a host must be, by what its domain publishes: DANE
 * (RFC 7672), where DNSSEC vouches for the host and it has TLSA records; else
 * MTA-STS (RFC 8461). DANE goes before MTA-STS, which must not weaken it (RFC
 * 8461 2). Mail without either goes by any TLS or none.
 */
#ifndef PNEU_QM_POLICY_H
#define PNEU_QM_POLICY_H

#include "common/net/dns.h"
#include "common/net/tls.h"
#include "qm/route.h"
#include "qm/sts_cache.h"

struct policy {
	struct dns *dns;           /* NULL: there is no policy */
	struct tls_client *dane;   /* of TLS_VERIFY_DANE; NULL: no DANE */
	struct sts_cache *sts;     /* NULL: no MTA-STS */
	uint16_t port;             /* of the servers, for TLSA */
};

/* One domain while its hosts are gone through. Zeros but for the name. */
struct policy_domain {
	const char *name; /* A-labels, lower case; NULL: no policy applies */
	bool sts_known;
	struct sts_policy sts;
};

enum policy_kind {
	POLICY_ANY,     /* TLS or none */
	POLICY_ENCRYPT, /* TLS with any certificate (RFC 7672 2.2) */
	POLICY_DANE,
	POLICY_NAMES, /* a certificate that fits the host's name */
	POLICY_REFUSE, /* no connection at all, for now */
};

struct policy_hop {
	enum policy_kind kind;
	const char *name; /* "DANE", "MTA-STS"; NULL for POLICY_ANY */
	struct tls_dane tls;
	struct smtp_reply reply; /* of POLICY_REFUSE */
	bool sure; /* an MTA-STS policy vouches for the name (RFC 8689 4.2.1) */
};

/* What holds for a host; what *out has is in the arena. Waits. 0, -ENOMEM or
 * -ECANCELED. */
int policy_of_hop(const struct policy *p, struct policy_domain *d,
    struct arena *a, const struct route_hop *hop, struct policy_hop *out);

#endif
