/* SPDX-License-Identifier: ISC */
#include "qm/policy.h"

#include <errno.h>
#include <string.h>

#include "common/base/log.h"

static void
refuse(struct arena *a, struct policy_hop *out, const char *name,
    const struct route_hop *hop, const char *why)
{
	out->kind = POLICY_REFUSE;
	out->name = name;
	out->reply =
	    smtp_reply_f(a, 451, "4.7.5", "%s: %s: %s", name, hop->host, why);
}

/* --- DANE --- */

/* Only of hosts whose own addresses are signed TLSA records are asked (RFC 7672
 * 2.2.2): many servers of others do not even answer. */
static int
addresses_are_signed(const struct policy *p, struct arena *a,
    const struct route_hop *hop, bool *is)
{
	struct net_addr *v;
	size_t n;
	int rc = dns_addresses(p->dns, a, hop->host, &v, &n, is);

	*is = rc == 0 && *is;
	return rc == -ECANCELED ? rc : 0;
}

static int
tlsa_of(const struct policy *p, struct policy_domain *d, struct arena *a,
    const struct route_hop *hop, struct policy_hop *out)
{
	struct dns_tlsa *records = NULL;
	size_t n = 0;
	bool secure;
	int rc = dns_tlsa(p->dns, a, hop->host, p->port, &records, &n, &secure);

	if (rc == -ECANCELED)
		return rc;
	/* Whoever keeps the answer away would have it his way else (2.1.1). */
	if (rc == -EAGAIN) {
		refuse(a, out, "DANE", hop, "its TLSA records cannot be had");
		return 0;
	}
	if (rc != 0 || !secure)
		return 0;
	out->tls = (struct tls_dane){ records, n, hop->host, d->name };
	out->name = "DANE";
	out->kind = tls_dane_usable(p->dane, &out->tls) > 0 ? POLICY_DANE
							   : POLICY_ENCRYPT;
	return 0;
}

static int
dane_of(const struct policy *p, struct policy_domain *d, struct arena *a,
    const struct route_hop *hop, struct policy_hop *out)
{
	bool is_signed;
	int rc;

	if (p->dane == NULL || !hop->secure)
		return 0;
	rc = addresses_are_signed(p, a, hop, &is_signed);
	return rc == 0 && is_signed ? tlsa_of(p, d, a, hop, out) : rc;
}

/* --- MTA-STS --- */

static int
sts_of(const struct policy *p, struct policy_domain *d, struct arena *a,
    const struct route_hop *hop, struct policy_hop *out)
{
	bool fits;
	int rc = 0;

	if (p->sts == NULL)
		return 0;
	if (!d->sts_known)
		rc = sts_cache_get(p->sts, a, d->name, &d->sts);
	if (rc != 0)
		return rc;
	d->sts_known = true;
	if (d->sts.mode == STS_NONE)
		return 0;
	fits = sts_policy_fits(&d->sts, slice_str(hop->host));
	if (!fits && d->sts.mode == STS_TESTING)
		log_info("MTA-STS would refuse", "domain=%s host=%s",
		    log_qs(d->name), log_qs(hop->host));
	if (d->sts.mode != STS_ENFORCE)
		return 0;
	if (!fits) {
		refuse(a, out, "MTA-STS", hop, "the policy does not name it");
		return 0;
	}
	out->kind = POLICY_NAMES;
	out->name = "MTA-STS";
	out->sure = true;
	return 0;
}

int
policy_of_hop(const struct policy *p, struct policy_domain *d,
    struct arena *a, const struct route_hop *hop, struct policy_hop *out)
{
	int rc;

	*out = (struct policy_hop){ .kind = POLICY_ANY };
	if (p->dns == NULL || d->name == NULL)
		return 0;
	if ((rc = dane_of(p, d, a, hop, out)) != 0)
		return rc;
	/* Of a host with DANE nothing is left to ask. */
	if (out->kind == POLICY_DANE || out->kind == POLICY_REFUSE)
		return 0;
	return sts_of(p, d, a, hop, out);
}
