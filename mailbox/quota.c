/* SPDX-License-Identifier: ISC */
#include "mailbox/quota.h"

int
quota_get(struct accounts *a, struct arena *arena, const char *account,
    struct mails_quota *out)
{
	struct accounts_quota q;
	int rc = accounts_quota_get(a, arena, slice_str(account), &q);

	if (rc == 0)
		*out = (struct mails_quota){ q.octets, q.messages,
			q.domain_octets, q.domain_messages };
	return rc;
}
