/* SPDX-License-Identifier: ISC */
/*
 * MTA-STS records and policies (RFC 8461): what is taken has an id of its
 * grammar, and hosts that lie within the text and that the policy then names.
 */
#include <stdint.h>
#include <stdlib.h>

#include "qm/sts.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void
check_within(struct slice all, struct slice part)
{
	if (part.n == 0 || part.p < all.p ||
	    part.n > (size_t)(all.p + all.n - part.p))
		abort();
}

static void
check_host(const struct sts_policy *policy, struct slice mx)
{
	char host[300] = "x";
	bool star = slice_starts(mx, "*.");

	if (!star) {
		if (!sts_policy_fits(policy, mx))
			abort();
		return;
	}
	if (mx.n >= sizeof(host))
		abort();
	memcpy(host + 1, mx.p + 1, mx.n - 1);
	if (!sts_policy_fits(policy, slice(host, mx.n)))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct slice in = slice(p, n), id;
	struct sts_policy policy;

	if (sts_txt_parse(in, &id) == 0) {
		check_within(in, id);
		if (id.n > STS_ID_MAX)
			abort();
	}
	if (sts_policy_parse(in, &policy) != 0)
		return 0;
	if (policy.max_age_s < 0 || policy.max_age_s > STS_AGE_MAX ||
	    policy.n_mx > STS_MX_MAX ||
	    (policy.mode != STS_NONE && policy.n_mx == 0))
		abort();
	for (size_t i = 0; i < policy.n_mx; i++) {
		check_within(in, policy.mx[i]);
		check_host(&policy, policy.mx[i]);
	}
	return 0;
}
