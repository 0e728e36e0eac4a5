/* SPDX-License-Identifier: ISC */
/* Asking guard who is local: one LMTP transaction, which is then dropped. */
#include <errno.h>

#include "common/base/log.h"
#include "qm/qm.h"

/* Replies live in the client: keep their texts. */
static int
keep(struct arena *a, struct smtp_client_rcpt *rcpts, size_t n,
    const struct smtp_reply *whole)
{
	for (size_t i = 0; i < n; i++) {
		struct smtp_reply *r = &rcpts[i].reply;

		if (!smtp_reply_is_positive(whole) || r->code == 0)
			*r = *whole;
		r->text = arena_dup(a, r->text);
		if (r->text.p == NULL)
			return -ENOMEM;
	}
	return 0;
}

int
qm_ask_guard(struct qm *qm, struct arena *a,
    const struct smtp_client_mail *mail, struct smtp_client_rcpt *rcpts,
    size_t n)
{
	struct smtp_client *c;
	struct smtp_reply whole;
	int rc;

	if ((rc = smtp_pool_get(qm->guard, &c)) != 0)
		return rc;
	rc = smtp_client_mail(c, mail, rcpts, n, &whole);
	if (rc == 0)
		rc = keep(a, rcpts, n, &whole);
	if (rc == 0)
		rc = smtp_client_reset(c);
	smtp_pool_put(qm->guard, c, rc == 0);
	if (rc != 0)
		log_warning("guard",
		    "error=%d text=\"recipients cannot be "
		    "checked now\"",
		    -rc);
	return rc;
}
